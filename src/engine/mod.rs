//! Connection to a Docker engine: selecting it ([`Host`]), parsing its address, the transport,
//! validating responses, and repeating lost calls.

mod address;
mod client;
mod connections;
mod daemon_client;
mod encode;
mod error;
mod host;
mod kind;
mod known_message;
mod response;
mod stream;
mod tls;
mod transport;
mod version;

pub(crate) use client::{Client, RESPONSE_TIMEOUT, retry_delays};
pub use connections::Connections;
pub(crate) use daemon_client::check as check_daemon_client;
pub(crate) use encode::encode_path;
pub(crate) use error::{EngineError, failure, is_temporary, status};
pub use host::{ConnectError, Host, config_error};
pub(crate) use host::{config_dir, read_json};
pub use kind::Kind;
pub(crate) use known_message::KnownMessage;
pub(crate) use stream::Lines;
pub(crate) use tls::{Tls, Verify, cannot_read, certificates, roots_in};
pub(crate) use version::Version;
