//! The tasks of a stage as a graph, while a plan changes their order.

use crate::stage::{Stage, Task, TaskId};
use std::collections::BTreeSet;

/// The tasks of a stage while their needs change.
#[derive(Clone)]
pub(super) struct TaskGraph {
    pub tasks: Vec<Task>,
}

impl TaskGraph {
    pub(super) fn of(stage: &Stage) -> Self {
        let tasks = stage.tasks().to_vec();
        Self { tasks }
    }

    /// Returns the tasks that `tasks` wait for, directly or through others, and these tasks.
    pub(super) fn before(&self, tasks: impl IntoIterator<Item = TaskId>) -> BTreeSet<TaskId> {
        let (mut seen, mut open) = (BTreeSet::new(), Vec::from_iter(tasks));
        while let Some(at) = open.pop() {
            if seen.insert(at) {
                open.extend(&self.tasks[at.0].needs);
            }
        }
        seen
    }

    /// Returns the tasks that wait for `task`, directly or through others, and this task.
    pub(super) fn after(&self, task: TaskId) -> BTreeSet<TaskId> {
        let mut dependents = vec![Vec::new(); self.tasks.len()];
        for (at, it) in self.tasks.iter().enumerate() {
            it.needs
                .iter()
                .for_each(|need| dependents[need.0].push(TaskId(at)));
        }
        let (mut seen, mut open) = (BTreeSet::new(), vec![task]);
        while let Some(at) = open.pop() {
            if seen.insert(at) {
                open.extend(&dependents[at.0]);
            }
        }
        seen
    }

    /// Returns true if `task` is `other` or comes after it.
    pub(super) fn follows(&self, task: TaskId, other: TaskId) -> bool {
        self.before([task]).contains(&other)
    }

    /// Makes `task` wait for `need`. Returns false if `need` already waits for `task`.
    pub(super) fn add_need(&mut self, task: TaskId, need: TaskId) -> bool {
        let is_possible = !self.follows(need, task);
        let needs = &mut self.tasks[task.0].needs;
        if is_possible && !needs.contains(&need) {
            needs.push(need);
        }
        is_possible
    }

    /// Lets the tasks that `is_affected` selects not wait for `needed`.
    pub(super) fn forget(
        &mut self,
        needed: &BTreeSet<TaskId>,
        is_affected: impl Fn(&Task) -> bool,
    ) {
        for task in self.tasks.iter_mut().filter(|task| is_affected(task)) {
            task.needs.retain(|need| !needed.contains(need));
        }
    }

    /// Moves the needs of `from` that `chosen` selects to `to`.
    pub(super) fn move_needs(
        &mut self,
        from: TaskId,
        to: TaskId,
        chosen: impl Fn(&Self, TaskId) -> bool,
    ) {
        let needs = self.tasks[from.0].needs.clone();
        let (moved, kept): (Vec<_>, Vec<_>) = needs.into_iter().partition(|it| chosen(self, *it));
        self.tasks[from.0].needs = kept;
        for need in moved {
            self.add_need(to, need);
        }
    }
}
