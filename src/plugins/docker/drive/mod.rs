//! Runs actions on Docker engines and reads their objects.
//!
//! [`Engine`](engine::Engine) is one engine, [`Engines`](engines::Engines) all engines of a
//! deployment.

mod adopt;
pub(crate) mod attach;
mod build;
pub(crate) mod containers;
pub(crate) mod engine;
pub(crate) mod engines;
pub(crate) mod events;
pub(crate) mod guard;
pub(crate) mod images;
mod index;
mod init;
pub(crate) mod networks;
mod ownership;
mod port_holder;
pub(crate) mod recover;
pub(crate) mod replace;
mod run;
mod settle;
mod sharers;
mod volumes;
mod wait;
pub(crate) mod wait_for;
pub(crate) mod watch;
