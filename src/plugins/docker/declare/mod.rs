//! What blueprints declare of Docker objects, and what that comes to: pure, without any engine.
//!
//! An operation becomes actions, which are the payloads of steps (`lower`, [`action`]). [`declared`]
//! says what objects are called and made from, `standing` how far one is from that, [`change`] what
//! leads there, `compare` and `drift` how it differs.

pub mod action;
pub(crate) mod adopted;
pub mod change;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod condition;
pub(crate) mod container;
pub mod declared;
pub(crate) mod drift;
pub(crate) mod exclusive;
pub(crate) mod image;
mod json;
pub(crate) mod label;
pub(crate) mod lower;
pub(crate) mod network;
pub(crate) mod operation;
pub mod params;
pub(crate) mod recipe;
pub(crate) mod request;
pub(crate) mod standing;
pub(crate) mod told;
pub(crate) mod volume;
