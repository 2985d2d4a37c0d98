//! TO1, 30 to 33: a device asks the rendezvous where its owner is. One file a role.

pub mod device;
pub mod rendezvous;
