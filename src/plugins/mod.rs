//! Plugins: support for the systems that deployments run on. A [`Plugin`] answers questions of the
//! planner; a [`Driver`] runs steps.
//!
//! A new plugin needs one line in [`PLUGINS`] and a directory here. Code outside this module uses
//! [`Plugins`] and [`Drivers`], which combine all of them, and never names a single plugin.

pub mod docker;
mod driver;
mod drivers;
mod exclusive;
mod guard;
mod plugin;
mod registry;
mod script;

pub use driver::{
    Adoptable, Adopter, Candidate, Driver, DriverFuture, NoteSink, ObjectEvents, ObjectFilter,
    ObjectIndex, ObserveContext, Processed, Shell, StepContext, StepShell, Watch,
};
pub use drivers::Drivers;
pub use exclusive::{ExclusiveResource, JoinedNetwork, ResourceKind, Scope, conflict};
pub use guard::{FoundGuard, Guard, GuardError, GuardFuture, GuardHolder, Guards, HeldGuard};
pub use plugin::{
    DriverSettings, HelperCall, InstanceRef, InstanceView, Name, Plugin, RelationshipRef,
    Replacement, recorded_status,
};
pub use registry::{ConnectedPlugins, ObjectPlace, ObjectPlaces, Plugins};
pub use script::Printed;

/// All plugins. A node belongs to the first plugin that knows its kind.
pub const PLUGINS: &[&dyn Plugin] = &[&docker::Docker, &script::Script];
