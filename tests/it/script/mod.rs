//! Scripts: operations that are files, with `ctx`.

mod recorded;
