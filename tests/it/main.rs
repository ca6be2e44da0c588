//! All integration tests in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    reason = "a failed test panics"
)]
#![allow(
    clippy::print_stdout,
    reason = "the sweeps print how many points they tried"
)]

mod cli;
mod docker;
mod failures;
mod infrakit;
mod kernel;
mod language;
#[path = "../sweep/proxy.rs"]
#[allow(dead_code, reason = "the sweeps use the rest")]
mod proxy;
mod script;
mod simulated;
#[path = "../support/mod.rs"]
mod support;
