//! What people and programs see of the commands.

pub(crate) mod contract;
pub(crate) mod daytwo;
pub(crate) mod interrupt;
pub(crate) mod runs;
pub(crate) mod shown;
pub(crate) mod watch_ends;
