//! Tests of the kernel and its formats, on a simulated engine.

mod exchange;
mod followers;
mod formats;
mod heal;
mod input_types;
pub(crate) mod layers;
pub(crate) mod parallel;
pub(crate) mod readers;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod seam;
pub(crate) mod session;
pub(crate) mod sweep;
mod unseen;
pub(crate) mod workflows;
