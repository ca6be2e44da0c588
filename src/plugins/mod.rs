//! The systems that deployments are on: what planning asks about them ([`Plugin`]), and what carries
//! steps out on them ([`Driver`]).
//!
//! A back-end is one line in [`PLUGINS`] and a folder here. Nobody outside names what is in it;
//! [`Plugins`] and [`Drivers`] put all of them together.

pub mod docker;
mod driver;
mod plugin;
mod table;

pub use driver::{Answer, Driver, Drivers, Heard, Inside, Notes, Scene, Shell, Tools};
pub use plugin::{At, Ends, Exclusive, Name, PORT, Part, Plugin, Replacement, by_record, clash};
pub use table::{Places, Plugins, Whereabouts};

/// The drivers of a run: those that are connected to Docker engines.
#[must_use]
pub fn drivers(engines: &docker::Engines) -> Drivers<'_> {
    let docker: &dyn Driver = engines;
    Drivers::new(Plugins::default(), vec![(docker::Docker.id(), docker)])
}

/// Every plugin. A node belongs to the first that knows what it stands for.
pub const PLUGINS: &[&dyn Plugin] = &[&docker::Docker];
