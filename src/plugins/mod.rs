//! The systems that deployments are on.

pub mod docker;
