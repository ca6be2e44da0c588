//! Commands inside an object.

use super::Target;
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

/// What a command writes, and what it reads.
pub trait Streams {
    /// Takes what it wrote.
    fn written(&mut self, bytes: &[u8], is_error: bool);

    /// The next that it is to read; none at the end of that. Only asked for if the command reads.
    fn typed<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + 'a>> {
        Box::pin(async { None })
    }
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
