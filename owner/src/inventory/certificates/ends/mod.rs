//! When certificates end: which are due for a look, and how many end when.

mod store;

pub use store::{alive_between, due, forecast, next_end, reconsider};
