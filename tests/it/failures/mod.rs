//! Failures: invalid engine responses, lost state, untrusted files, concurrent runs.

pub(crate) mod errors;
pub(crate) mod recover;
pub(crate) mod responses;
pub(crate) mod secrets;
pub(crate) mod stress;
pub(crate) mod taken_over;
pub(crate) mod trust;
