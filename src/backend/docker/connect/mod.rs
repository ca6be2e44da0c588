//! The way to an engine: which one ([`Host`]), what its address says ([`address`]), bytes to and
//! from it ([`wire`]), what an answer must be to be believed ([`answer`]), and calls that are
//! repeated when they were lost ([`Client`]).

mod address;
mod answer;
mod client;
mod daemon_client;
mod error;
mod host;
mod stream;
mod tls;
mod version;
mod wire;

pub use host::{ConnectError, Host, broken_config};

pub(crate) use client::ANSWER;
pub(super) use client::{Client, pauses};
pub(super) use daemon_client::check as check_daemon_client;
pub(super) use error::{EngineError, failure, is_passing, status};
pub(super) use host::{config_folder, read_json};
pub(super) use stream::Lines;
pub use stream::Piece;
pub(super) use version::Version;
