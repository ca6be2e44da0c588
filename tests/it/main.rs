//! One binary for all integration tests: against a real engine, but for `kernel` and `validate`.
#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    reason = "a test that cannot go on says so by panicking"
)]
#![allow(
    clippy::print_stdout,
    reason = "how many points were tried is the result"
)]

mod adopt;
mod answers;
mod contract;
mod daytwo;
mod endure;
mod engines;
mod examples;
mod fake;
mod faults;
mod formats;
mod hostile;
mod images;
mod imports;
mod install;
mod interrupt;
mod kernel;
mod kernel_sweep;
mod layers;
mod literals;
mod networks;
mod parallel;
mod params;
mod plugin2;
mod podman;
mod private;
mod properties;
mod readers;
mod recover;
mod reference;
mod registry;
mod restore;
mod rules;
mod runs;
mod seam;
mod secrets;
mod shown;
mod simulated;
mod support;
mod taken_over;
mod trust;
mod update;
mod validate;
mod waits;
mod watch_ends;
mod watching;
mod workflows;
