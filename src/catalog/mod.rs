//! Bundled type libraries, and the files that a blueprint imports.
//!
//! The libraries state facts (names, types, defaults, operations) of the published ones, so that
//! blueprints that import those by address need no network. Main function: [`load`].

mod bundled;
mod fetch;
mod imports;
mod locate;
mod merge;
mod namespace;
mod properties;

pub use fetch::Network;
pub use imports::{Options, follow, load};
pub(crate) use namespace::DELIMITER as NAMESPACE_DELIMITER;
