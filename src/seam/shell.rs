//! Commands that run inside an object, and logs of objects.

use super::{Failure, ObjectState, Target};
use bytes::Bytes;
use futures_util::Stream;
use std::{future::Future, pin::Pin, time::Duration};

/// A command to run in an object.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The command and its arguments.
    pub arguments: Vec<String>,
    /// Environment variables, as `NAME=VALUE`.
    pub environment: Vec<String>,
    /// The user that runs it.
    pub user: Option<String>,
    /// Its working directory.
    pub working_dir: Option<String>,
    /// Allocates a terminal.
    pub terminal: bool,
    /// Connects standard input.
    pub has_input: bool,
}

/// Input from the user of a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CommandInput {
    /// Data for standard input.
    Bytes(Vec<u8>),
    /// End of input.
    End,
    /// A new size of the terminal.
    Size {
        /// Height in rows.
        rows: u16,
        /// Width in columns.
        columns: u16,
    },
}

/// The output and the input of a command.
pub trait Streams {
    /// Receives output. Returns false if its reader has gone; the command is then abandoned.
    fn write_output(&mut self, bytes: &[u8], is_error: bool) -> bool;

    /// Returns the next input. Called repeatedly while the command runs, if it has standard input
    /// or a terminal. The future may be dropped before it completes.
    fn next_input<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = CommandInput> + 'a>> {
        Box::pin(std::future::pending())
    }
}

/// A piece of an object's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogChunk {
    /// It is from standard error.
    pub is_error: bool,
    /// The content.
    pub bytes: Bytes,
}

/// The log of an object, in pieces.
pub type Log = Pin<Box<dyn Stream<Item = Result<LogChunk, Failure>> + Send>>;

/// Selects a part of a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogOptions {
    /// Includes future output.
    pub follow: bool,
    /// Excludes output before this time since 1970 UTC.
    pub since: Option<Duration>,
    /// Maximum number of lines from the end.
    pub tail: Option<u32>,
    /// Adds the time of each line.
    pub timestamps: bool,
}

/// The presence of an object on its system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Presence {
    /// Its state.
    pub state: ObjectState,
    /// Time of its last start, since 1970 UTC; none if it never started.
    pub started_at: Option<Duration>,
}

/// The object that a step runs in, of any plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectRef {
    /// ID of its plugin.
    pub plugin: String,
    /// Its system.
    pub target: Target,
    /// Its ID.
    pub object: String,
}
