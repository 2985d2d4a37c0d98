//! Violations that are known and not yet repaired: (rule, what the checker says). The aim is an empty list; whoever
//! adds a line says why beside it.

pub const KNOWN_BREAKS: &[(&str, &str)] = &[
    // p256 and p384 bring it in with their default features; nothing in these crates calls it.
    (
        "pure crates depend on no runtime, HTTP, database, clock or source of randomness",
        "fdo-protocol -> getrandom",
    ),
    ("pure crates depend on no runtime, HTTP, database, clock or source of randomness", "fdo-pki -> getrandom"),
];
