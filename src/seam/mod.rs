//! The seam between the kernel and the systems that it works on: a vocabulary that knows no plugin.
//!
//! A [`Step`] is data: its [`Traits`] are what the kernel needs to plan, replay and settle it, its
//! payload is the plugin's own. A [`Call`] hands it to the plugin's driver, which answers with
//! [`Outputs`] or a [`Failure`]. An [`Object`] is what a driver sees.

mod call;
mod failure;
mod happening;
mod object;
mod outputs;
mod purpose;
mod shell;
mod step;
mod target;

pub use call::{Call, Note, Party, Progress, ProgressSink, Settled, Subject};
pub use failure::{Exit, Failure, FailureKind};
pub use happening::{Happening, What};
pub use object::{Comparison, Drift, Object, ObjectState, Observed, Owner};
pub use outputs::{Edit, Outputs};
pub use purpose::{Change, Need, Purpose, Standing};
pub use shell::{Command, Excerpt, Log, Piece, Reached, Streams, Typed};
pub use step::{Declares, Effect, Material, Settling, Step, Traits};
pub use target::Target;
