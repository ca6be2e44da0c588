//! Bundled type libraries, and the files that a blueprint imports.
//!
//! The bundled libraries contain the names, types, defaults and operations of the published ones.
//! Blueprints that import the published ones by address therefore need no network. Main function:
//! [`load`].

mod bundled;
mod fetch;
mod imports;
mod locate;
mod merge;
mod namespace;
mod properties;

pub use fetch::Network;
pub use imports::{Options, load, load_source};
pub(crate) use namespace::DELIMITER as NAMESPACE_DELIMITER;
