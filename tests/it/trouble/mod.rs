//! What goes wrong: engines that lie, lost state, strangers, many at once.

pub(crate) mod answers;
pub(crate) mod endure;
pub(crate) mod faults;
pub(crate) mod recover;
pub(crate) mod secrets;
pub(crate) mod taken_over;
pub(crate) mod trust;
