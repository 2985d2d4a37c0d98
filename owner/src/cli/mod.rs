//! The command line: `serve`, and a thin client of the operator API.
