//! The application: all requests that a user interface can make.
//!
//! A user interface (a command line or a daemon) creates a [`Workspace`] from [`Settings`] and
//! calls the functions here. They return results and errors as data, which the user interface
//! renders. Events and questions go to the [`Caller`]; requests to stop come from it. This module
//! does not read arguments or the environment, print, or handle signals. Hints name the commands
//! and flags of dockctl.

pub(crate) mod blueprint;
pub mod caller;
pub(crate) mod claims;
pub(crate) mod converge;
pub(crate) mod desired;
pub mod error;
pub(crate) mod execute;
pub(crate) mod group;
pub(crate) mod input_args;
pub(crate) mod instance_log;
pub(crate) mod observation;
pub(crate) mod plan_file;
pub(crate) mod preview;
pub(crate) mod recover;
mod reference_cycle;
pub(crate) mod relink;
pub(crate) mod resume;
mod run_error;
pub(crate) mod scale;
pub mod session;
pub mod settings;
mod single_holder;
pub(crate) mod target;
pub(crate) mod uninstall;
pub(crate) mod watch;
pub mod workspace;

pub use caller::Caller;
pub use error::Error;
pub use session::Session;
pub use settings::Settings;
pub use workspace::Workspace;
