//! dockctl: a Cloudify-style TOSCA lifecycle executor. The library is internal: only the command
//! line is meant to be used.
//!
//! ```text
//! text ─syntax→ Ast ─model→ Blueprint ─inputs→ Deployment ─plan→ Stage ─executor→ Event* ─→ journal, then reporters
//!                                     Record, Observed ───┘              └─ Driver::perform
//! ```
//!
//! Modules from low to high; `docs/architecture.md` gives the reasons, and a test holds the order.
//! [`diagnostic`] and [`syntax`] know text, `printable` makes it fit for a terminal, `web` asks the
//! network, [`catalog`] follows imports, [`model`] knows meaning, [`secrets`] knows what to forget.
//! [`seam`], [`stage`], [`author`], [`known`], [`told`] and [`event`] are the vocabulary that the
//! kernel and the plugins share; [`record`] folds events, [`journal`] keeps them, [`report`] tells.
//! [`engine`] is the connection to Docker engines, [`plugins`] the systems that deployments are on.
//! [`plan`] decides, [`preflight`] looks up what that needs, [`executor`] does. [`operate`]
//! is the application, [`graph`] draws, [`cli`] is the command line.

pub mod diagnostic;
mod digest;
mod printable;
pub mod syntax;
mod web;

pub mod catalog;
pub mod model;
pub mod secrets;

pub mod seam;
pub mod stage;

pub mod author;
pub mod known;
pub mod told;

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

pub mod cli;
