//! Scripts: operations that are files, with `ctx`.

mod log;
mod recorded;
mod secrets;
mod uninstall;
