//! dockctl: a Cloudify-style TOSCA lifecycle executor.
//!
//! ```text
//! text ─syntax→ Ast ─model→ Blueprint ─inputs→ Deployment ─plan→ Stage ─executor→ Event* ─→ journal, then reporters
//!                                     Record, Observed ───┘              └─ backend.perform
//! ```
//!
//! Modules in the order of the pipeline: [`diagnostic`] and [`syntax`] know text, `printable` makes
//! it fit for a terminal, `web` asks the network, [`catalog`] follows imports, [`model`] knows
//! meaning, [`plan`] decides, [`preflight`] looks up what that needs, [`executor`] does,
//! [`backend`] is what it does it with, [`event`], [`state`] and [`journal`] remember, [`secrets`]
//! knows what to forget, [`report`] tells, [`graph`] draws, [`cli`] is the command line.
//! `docs/architecture.md` gives the reasons.

pub mod diagnostic;
mod printable;
pub mod syntax;
mod web;

pub mod catalog;
pub mod model;

pub mod plan;

pub mod backend;
mod digest;
pub mod engine;
pub mod event;
pub mod executor;
pub mod journal;
pub mod known;
pub mod plugins;
pub mod preflight;
pub mod record;
pub mod seam;
pub mod secrets;
pub mod stage;

pub mod cli;
pub mod graph;
pub mod report;
