//! The seam: types shared by the kernel and the plugins, independent of any plugin.
//!
//! A [`Step`] is data: the kernel uses its [`Traits`] to plan, replay and settle it; only the
//! plugin understands its payload. A [`Call`] passes the step to the plugin's driver, which returns
//! [`Outputs`] or a [`Failure`]. Drivers describe observed objects as [`Object`].

mod call;
mod failure;
pub mod labeling;
mod log_line;
mod object;
mod object_event;
mod outputs;
mod purpose;
mod sharers;
mod shell;
mod step;
mod target;
mod typed_input;

pub use call::{Call, Participant, Progress, ProgressSink, Settled, StepNote, Subject};
pub use failure::{Exit, Failure, FailureKind};
pub use labeling::Labeling;
pub use log_line::{LogLevel, LogLine};
pub use object::{
    Comparison, Drift, DriftKind, HeldAddress, LabeledObject, Object, ObjectState, Observed, Owner,
    SharedNamespace, Unseen,
};
pub use object_event::{ObjectEvent, ObjectEventKind};
pub use outputs::{Edit, Outputs};
pub use purpose::{Change, InstanceStatus, Need, Purpose};
pub use sharers::{ForeignSharers, Namespace};
pub use shell::{Command, CommandInput, Log, LogChunk, LogOptions, ObjectRef, Presence, Streams};
pub use step::{Declares, Effect, Material, Settling, Step, Traits};
pub use target::Target;
pub use typed_input::TypedInput;
