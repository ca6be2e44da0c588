//! dockctl: a Cloudify-style TOSCA lifecycle executor.
pub mod backend;
pub mod catalog;
pub mod cli;
pub mod diagnostic;
pub mod event;
pub mod executor;
pub mod journal;
pub mod model;
pub mod plan;
pub mod report;
pub mod state;
pub mod syntax;
