//! Plugins: support for the systems that deployments run on. A [`Plugin`] answers questions of the
//! planner; a [`Driver`] runs steps.
//!
//! A new plugin needs one line in [`PLUGINS`] and a directory here. Code outside this module uses
//! [`Plugins`] and [`Drivers`], which combine all of them, and never names a single plugin.

pub mod docker;
mod driver;
mod drivers;
mod guard;
mod plugin;
mod table;

pub use driver::{
    Adoptable, Adopter, Answer, Candidate, Driver, Happenings, Heard, Inside, Notes, Scene, Shell,
    Tools, Watch,
};
pub use drivers::Drivers;
pub use guard::{Guard, GuardHolder, Guarded, Guarding, Guards, Held, Unguarded};
pub use plugin::{
    At, Ends, Exclusive, Name, PORT, Part, Plugin, Replacement, Settings, by_record, clash,
};
pub use table::{Connected, Places, Plugins, Whereabouts};

/// All plugins. A node belongs to the first plugin that knows its kind.
pub const PLUGINS: &[&dyn Plugin] = &[&docker::Docker];
