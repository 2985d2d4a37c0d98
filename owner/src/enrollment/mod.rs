//! How devices come by certificates outside TO2.

pub mod est;
pub mod external;
