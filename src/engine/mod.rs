//! Connection to a Docker engine: selecting it ([`Host`]), parsing its address, the transport,
//! validating responses, and repeating lost calls.

mod address;
mod answer;
mod client;
mod connections;
mod daemon_client;
mod encode;
mod error;
mod host;
mod kind;
mod says;
mod stream;
mod tls;
mod version;
mod wire;

pub(crate) use client::{ANSWER, Client, pauses};
pub use connections::Connections;
pub(crate) use daemon_client::check as check_daemon_client;
pub(crate) use encode::in_path;
pub(crate) use error::{EngineError, failure, is_passing, status};
pub use host::{ConnectError, Host, broken_config};
pub(crate) use host::{config_folder, read_json};
pub use kind::Kind;
pub(crate) use says::Says;
pub(crate) use stream::Lines;
pub(crate) use version::Version;
