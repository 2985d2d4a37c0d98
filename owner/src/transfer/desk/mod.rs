//! What operators do with voucher transfer: pull now, sell to a partner, push again.

pub mod routes;
