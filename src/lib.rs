//! dockctl: a Cloudify-style TOSCA lifecycle executor. The library is internal; the command line is
//! the only supported interface.
//!
//! ```text
//! text ─syntax→ Ast ─model→ Blueprint ─inputs→ Deployment ─plan→ Stage ─executor→ Event* ─→ journal, then reporters
//!                                     Record, Observed ───┘              └─ Driver::perform
//! ```
//!
//! Modules from low to high. `docs/architecture.md` explains this order, and a test enforces it.
//!
//! - [`diagnostic`] and [`syntax`] parse text and report errors in it, `printable` escapes text for
//!   terminals, `web` downloads files, [`catalog`] resolves imports, [`model`] evaluates
//!   blueprints, [`secrets`] redacts sensitive values.
//! - [`seam`], [`stage`], [`author`], [`instance_record`], [`discovery`] and [`event`] define the
//!   types that the kernel and the plugins share.
//! - [`record`] computes the state of a deployment from events, [`journal`] stores the events,
//!   [`report`] shows them.
//! - [`engine`] connects to Docker engines, [`plugins`] supports the systems that run deployments.
//! - [`plan`] plans stages, [`preflight`] checks their requirements, [`executor`] runs them.
//! - [`operate`] is the application, [`graph`] draws graphs, [`serve`] are daemons, [`cli`] is the
//!   command line.

pub mod diagnostic;
mod digest;
pub mod document;
mod printable;
pub mod syntax;
mod web;

pub mod front;

pub mod catalog;
pub mod model;
pub mod secrets;

pub mod seam;
pub mod stage;

pub mod author;
pub mod instance_record;

pub mod discovery;

pub mod event;
pub mod record;

pub mod journal;
pub mod report;

pub mod engine;
pub mod plugins;

pub mod plan;

pub mod preflight;

pub mod executor;

pub mod operate;

pub mod graph;

pub mod serve;

pub mod cli;
