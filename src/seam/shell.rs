//! Commands inside an object, and what it writes.

use super::{Failure, Target};
use bytes::Bytes;
use futures_util::Stream;
use std::{future::Future, pin::Pin};

/// A command in an object.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The words.
    pub words: Vec<String>,
    /// Variables, as `NAME=VALUE`.
    pub environment: Vec<String>,
    /// Who runs it.
    pub user: Option<String>,
    /// Where.
    pub folder: Option<String>,
    /// On a terminal of its own.
    pub terminal: bool,
    /// It reads what is written to it.
    pub input: bool,
}

/// What comes from the one who runs a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Typed {
    /// What the command is to read.
    Bytes(Vec<u8>),
    /// There is no more to read.
    End,
    /// The terminal has this size now.
    Size {
        /// Height.
        rows: u16,
        /// Width.
        columns: u16,
    },
}

/// What a command writes, and what it reads.
pub trait Streams {
    /// Takes what it wrote. False if nobody reads it any more: the command is waited for no longer.
    fn written(&mut self, bytes: &[u8], is_error: bool) -> bool;

    /// What comes next. Asked again and again while the command runs, if it reads or has a
    /// terminal. What comes can be given up half way.
    fn typed<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = Typed> + 'a>> {
        Box::pin(std::future::pending())
    }
}

/// Something that an object wrote.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    /// It was written to standard error.
    pub is_error: bool,
    /// What was written.
    pub bytes: Bytes,
}

/// What an object writes, in the pieces in which it comes.
pub type Log = Pin<Box<dyn Stream<Item = Result<Piece, Failure>> + Send>>;

/// Which part of a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Excerpt {
    /// What comes from now on, too.
    pub follow: bool,
    /// Nothing older, in seconds since 1970 UTC.
    pub since: Option<i32>,
    /// Only so many lines from the end.
    pub tail: Option<u32>,
    /// With the time of each line.
    pub timestamps: bool,
}

/// An object that a step is carried out in, of whatever plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Reached {
    /// The plugin that it belongs to.
    pub plugin: String,
    /// Where it is.
    pub target: Target,
    /// Its id.
    pub object: String,
}
