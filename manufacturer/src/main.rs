//! `fdo-manufacturer`.

fn main() {}
