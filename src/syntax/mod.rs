//! Parses text to values with places, and values to the sections of a blueprint.
//!
//! Handles grammar only, not meaning.

pub mod ast;
mod call;
mod fields;
mod groups;
mod json;
mod json_schema;
mod literal;
mod scalar;
mod schedule;
mod schema;
mod sections;
mod templates;
mod types;
mod value;
mod version;
mod yaml;

pub use ast::SECTIONS;
pub use call::{Call, FUNCTIONS, call};
pub use json::parse_json;
pub use json_schema::json_schema;
pub use literal::{LITERAL, as_literal, literal, without_marks};
pub use schema::{Comparison, OPERATORS, Operator, PRIMITIVES, matches_type, regex};
pub use value::{Data, Map, Value, python_float};
pub use version::Version;
pub use yaml::parse;
