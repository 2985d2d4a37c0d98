# What there is to run. `just` lists it.
default:
    @just --list

# Formatting, lints, and the core without anything of the system.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test -p fdo-protocol --no-default-features
    cargo test -p fdo-tests --test architecture

# Everything that `cargo test` knows.
test:
    cargo test --workspace

# The whole story on this machine.
demo *ARGS:
    ./deploy/demo.sh {{ARGS}}

# Three services and simulated devices, with PostgreSQL where FDO_TEST_POSTGRES names one.
e2e:
    cargo test -p fdo-tests

# Devices and services that others wrote with ours: the matrix of docs/interop.md. It needs Go; --write updates the tables.
interop *ARGS:
    cargo build --bins -p fdo-manufacturer -p fdo-rendezvous -p fdo-owner -p fdo-device -p fdo-interop
    "${CARGO_TARGET_DIR:-target}"/debug/interop {{ARGS}}

# Protocol steps, then CPU time a session against its public-key operations.
bench:
    cargo bench -p fdo-protocol
    cargo run --release -p fdo-tests --bin load

# Random input for one target of tests/fuzz, for so many seconds; needs `cargo install cargo-fuzz`. RUSTC_BOOTSTRAP lets
# the stable compiler use the sanitizer; with a nightly toolchain it changes nothing.
fuzz TARGET="messages" SECONDS="600":
    RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz {{TARGET}} -- -max_total_time={{SECONDS}} -max_len=16384
