//! The systems that deployments are on: what planning asks about them ([`Plugin`]), and what carries
//! steps out on them ([`Driver`]).
//!
//! A back-end is one line in [`PLUGINS`] and a folder here. Nobody outside names what is in it;
//! [`Plugins`] and [`Drivers`] put all of them together.

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

/// Every plugin. A node belongs to the first that knows what it stands for.
pub const PLUGINS: &[&dyn Plugin] = &[&docker::Docker];
