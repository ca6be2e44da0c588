//! The order of engine calls: creations first, because a container is visible once it is created,
//! and at most eight other calls at once, so that they do not slow each other down.

use std::{cell::Cell, time::Duration};
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

/// Most calls at once that are not creations.
const AT_ONCE: usize = 8;
/// Longest time that other calls wait for a creation: one that pulls its image takes longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Turns of engine calls.
pub(crate) struct Turns {
    creations: Cell<usize>,
    /// Time of the beginning of the last creation.
    last: Cell<Instant>,
    changed: Notify,
    others: Semaphore,
}

/// A creation that runs.
pub(crate) struct Creating<'t>(&'t Turns);

impl Turns {
    pub(crate) fn new() -> Self {
        Self {
            creations: Cell::new(0),
            last: Cell::new(Instant::now()),
            changed: Notify::new(),
            others: Semaphore::new(AT_ONCE),
        }
    }

    /// Announces a creation.
    pub(crate) fn creation(&self) -> Creating<'_> {
        self.creations.set(self.creations.get() + 1);
        self.last.set(Instant::now());
        Creating(self)
    }

    /// Waits until another call may run.
    pub(crate) async fn other(&self) -> Option<SemaphorePermit<'_>> {
        let _ = timeout_at(self.last.get() + PATIENCE, self.no_creation()).await;
        self.others.acquire().await.ok()
    }

    async fn no_creation(&self) {
        loop {
            let changed = self.changed.notified();
            if self.creations.get() == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        self.0.creations.set(self.0.creations.get() - 1);
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test(start_paused = true)]
    async fn other_calls_wait_for_creations_but_not_forever() {
        let turns = Turns::new();
        let (one, two) = (turns.creation(), turns.creation());
        let mut waiting = Box::pin(turns.other());
        drop(one);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(two);
        assert!(waiting.as_mut().now_or_never().is_some());
        let _slow = turns.creation();
        assert!(turns.other().await.is_some(), "after the time limit");
    }

    #[tokio::test]
    async fn few_other_calls_run_at_once() {
        let turns = Turns::new();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(turns.other().await);
        }
        assert!(turns.other().now_or_never().is_none());
        held.pop();
        assert!(turns.other().now_or_never().is_some());
    }
}
