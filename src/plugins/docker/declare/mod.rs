//! The pure part of the docker plugin: reads declarations of Docker objects and plans their steps,
//! without an engine.
//!
//! `lower` translates an operation into actions, the payloads of steps ([`action`]). [`declared`]
//! computes the names and contents of objects. `status` compares the state of an object with its
//! declaration, [`change`] plans how to change it, `compare` and `drift` list the differences.

pub mod action;
pub(crate) mod binds;
pub(crate) mod build_config;
pub mod change;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod condition;
pub(crate) mod container;
pub mod declared;
pub(crate) mod drift;
pub(crate) mod exclusive;
pub(crate) mod generate;
pub(crate) mod image;
pub(crate) mod infrakit;
pub(crate) mod json;
pub(crate) mod label;
pub(crate) mod labeled;
pub(crate) mod lower;
pub(crate) mod network;
pub(crate) mod operation;
pub mod params;
pub(crate) mod platform;
pub(crate) mod request;
pub(crate) mod rules;
pub(crate) mod sdk;
pub(crate) mod status;
pub(crate) mod volume;
