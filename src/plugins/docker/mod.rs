//! Containers, images, networks and volumes on Docker engines: the operations of the original
//! docker plugin, and dockctl's own.

pub(crate) mod declare;
pub(crate) mod drive;

pub(crate) use declare::{
    action::{Action, ID},
    change::{
        change, discarding, enduring, is_being_replaced, is_predecessor_gone, is_put_back,
        is_replaced, put_back, starting_old, stopping, swap,
    },
    check,
    compare::{Comparison, Shown, judge},
    declared::{adopted_name, declaration as declaration_of, engine_of, uses},
    exclusive::{both_need, fixed_port, is_removed_when_stopped},
    lower::lower,
    operation::{Operation, kind, provides},
    params,
    standing::{HEARSAY, is_done, known_id, standing, still_done, wanted},
};
pub use drive::engines::Engines;
