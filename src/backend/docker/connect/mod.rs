//! The way to an engine: which one ([`Host`]), what its address says ([`address`]), bytes to and from
//! it ([`wire`]), and calls that are repeated when they were lost ([`Client`]).

mod address;
mod client;
mod daemon_client;
mod host;
mod tls;
mod version;
mod wire;

pub use host::{ConnectError, Host, broken_config};

pub(crate) use client::ANSWER;
pub(super) use client::{Client, failure, is_passing, pauses, status};
pub(super) use daemon_client::check as check_daemon_client;
pub(super) use host::{config_folder, read_json};
pub(super) use version::Version;
