//! Failures: invalid engine responses, lost state, untrusted files, concurrent runs.

pub(crate) mod answers;
pub(crate) mod endure;
pub(crate) mod faults;
pub(crate) mod recover;
pub(crate) mod secrets;
pub(crate) mod taken_over;
pub(crate) mod trust;
