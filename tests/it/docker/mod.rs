//! The Docker plugin on real and in-memory engines.

pub(crate) mod adopt;
pub(crate) mod engines;
pub(crate) mod events;
pub(crate) mod examples;
mod exchange;
mod followers;
pub(crate) mod images;
pub(crate) mod in_memory;
pub(crate) mod install;
pub(crate) mod networks;
pub(crate) mod params;
pub(crate) mod platforms;
pub(crate) mod plugin2;
pub(crate) mod podman;
pub(crate) mod registry;
pub(crate) mod update;
pub(crate) mod versions;
pub(crate) mod waits;
pub(crate) mod watch;
