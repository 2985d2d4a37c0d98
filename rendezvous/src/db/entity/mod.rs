//! Rows as the database knows them; only stores use them.

pub mod registration;
