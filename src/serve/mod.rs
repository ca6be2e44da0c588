//! Daemons: they serve programs of other systems until they are stopped.

mod http;
pub mod infrakit;
mod json_rpc;
mod listener;
mod service_manager;
mod tls;
