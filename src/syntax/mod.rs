//! Source text, YAML with the place of every key and value, and the sections of a blueprint.
//!
//! Knows grammar and no meaning. Main types: [`Sources`], [`Value`], [`ast::Ast`].

pub mod ast;
mod fields;
mod scalar;
mod source;
mod value;
mod yaml;

pub use source::{SourceError, Sources};
pub use value::{Data, Map, Value, python_float};
pub use yaml::parse;
