//! The interoperability matrix: every device, maker, rendezvous and owner that can be put together from our programs
//! and from those of others, each as a process of its own.

mod cell;
mod credentials;
mod device;
mod files;
mod guide;
mod library;
mod management;
mod ours;
mod peers;
mod report;
mod run;
mod server;
mod theirs;

pub use cell::{Cell, Place, cells};
pub use peers::{Peers, find_go};
pub use report::{Expectations, Outcome, Report};
pub use run::{World, run};
