//! One binary for all integration tests: against a real engine, but for `kernel` and `validate`.

mod adopt;
mod contract;
mod examples;
mod faults;
mod install;
mod interrupt;
mod kernel;
mod registry;
mod support;
mod validate;
