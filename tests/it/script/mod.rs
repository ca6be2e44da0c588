//! Scripts: operations that are files, with `ctx`.

mod container;
mod crash;
mod log;
mod recorded;
mod secrets;
mod trouble;
mod uninstall;
mod validate;
