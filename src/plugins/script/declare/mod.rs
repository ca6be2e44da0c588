//! The pure part of the script plugin.

pub(crate) mod action;
pub(crate) mod command_line;
pub(crate) mod context;
pub(crate) mod environment;
pub(crate) mod language;
pub(crate) mod lint;
pub(crate) mod lower;
pub(crate) mod operation;
pub(crate) mod outcome;
pub(crate) mod path;
pub(crate) mod placement;
pub(crate) mod python_json;
pub(crate) mod request;
mod shell;
pub(crate) mod template;
