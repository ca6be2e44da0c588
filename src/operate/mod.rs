//! The application: what a caller can ask of deployments.
//!
//! A caller (a command line, a daemon) makes a [`Workspace`] of [`Settings`], asks by the functions
//! here, and gets results and errors with facts, which it renders. What happens meanwhile goes to
//! the [`Caller`], and requests to stop come from it. Nothing here reads arguments, prints,
//! registers signals or reads the environment. Advice names the commands and flags of dockctl.

pub(crate) mod blueprint;
pub mod caller;
pub(crate) mod claims;
pub(crate) mod converge;
mod ended;
pub mod error;
pub(crate) mod execute;
pub(crate) mod given;
pub(crate) mod observation;
pub(crate) mod plan_file;
pub(crate) mod preview;
pub(crate) mod recover;
pub(crate) mod resume;
pub(crate) mod scale;
pub mod session;
pub mod settings;
pub(crate) mod target;
pub(crate) mod uninstall;
pub(crate) mod watch;
pub(crate) mod wish;
pub mod workspace;

pub use caller::Caller;
pub use error::Error;
pub use session::Session;
pub use settings::Settings;
pub use workspace::Workspace;
