//! The task of one group: carries out accepted requests, works until the group matches its
//! specification, and heals it.

use super::{
    daemon::Daemon,
    groups::{Groups, Pending},
};
use crate::{
    event::StopReason,
    executor::StopRequests,
    operate::{
        self, Workspace,
        error::{Detail, Kind},
        execute::RequestContext,
        group::{self, commit},
        settings::RunOptions,
        watch::{self, RepairLimit},
    },
    printable::on_one_line,
};
use std::{
    cell::{Cell, RefCell},
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

/// Pause before a request is tried again that was interrupted by another run.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// How others influence the task of a group.
#[derive(Default)]
pub(crate) struct Control {
    /// Requests to stop what the task does now.
    current: RefCell<StopRequests>,
    /// The task must end.
    is_stopped: Cell<bool>,
    /// There is a new request.
    wake: Notify,
    ended: CancellationToken,
}

impl Control {
    /// Interrupts what the task does, because there is a new request.
    pub(super) fn interrupt(&self) {
        self.current.borrow().stop(StopReason::Asked);
        self.wake.notify_one();
    }

    /// Ends the task.
    pub(super) fn stop(&self) {
        self.is_stopped.set(true);
        self.interrupt();
    }

    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    /// Waits until the task has ended.
    pub(super) async fn wait(&self) {
        self.ended.cancelled().await;
    }

    /// Begins a piece of work. Returns the requests to stop it.
    fn begin(&self, parent: &StopRequests) -> StopRequests {
        let requests = parent.child();
        *self.current.borrow_mut() = requests.clone();
        requests
    }
}

/// Works on a group until it is removed, freed, or the daemon stops.
pub(super) async fn run(groups: &Groups, id: &str, control: &Control) {
    loop {
        let requests = control.begin(&groups.stop);
        if control.is_stopped.get() || groups.stop.is_stopped() {
            return;
        }
        let caller = Daemon::new(id, requests.clone());
        let workspace = Workspace::new(groups.settings.settings.clone(), &caller);
        let work = Work {
            groups,
            id,
            workspace: &workspace,
        };
        let next = Box::pin(work.next()).await;
        // A new request may have come meanwhile.
        if requests.is_stopped() {
            continue;
        }
        match next {
            Next::Again => {}
            Next::Wait(pause) => tokio::select! {
                () = sleep(pause) => {}
                () = control.wake.notified() => {}
                () = groups.stop.wait_for_stop() => {}
            },
            Next::End => return,
        }
    }
}

/// Returns the message of an error, with the first failed step.
fn cause(error: &operate::Error) -> String {
    let failed = match &error.detail {
        Detail::Ended(run) => run
            .record
            .executions
            .last()
            .and_then(|last| last.failed.first()),
        Detail::Faults(faults) => {
            let mut faults = faults.diagnostics.iter().filter(|it| it.is_error());
            return faults
                .next()
                .map_or_else(|| error.message.clone(), |it| it.message.clone());
        }
        _ => None,
    };
    match failed {
        Some(failed) => format!(
            "{}: {}: {}",
            error.message, failed.instance, failed.failure.message
        ),
        None => error.message.clone(),
    }
}

/// What follows a piece of work.
enum Next {
    /// The next piece at once.
    Again,
    /// The next piece after this time, or with the next request.
    Wait(Duration),
    /// Nothing: the group is gone.
    End,
}

/// A piece of work on a group.
struct Work<'a> {
    groups: &'a Groups,
    id: &'a str,
    workspace: &'a Workspace<'a>,
}

impl Work<'_> {
    async fn next(&self) -> Next {
        let pending = self.groups.pending.borrow().get(self.id).cloned();
        let done = match &pending {
            Some(Pending::Destroy) => self.destroy().await,
            Some(pending) => Box::pin(self.commit(pending)).await,
            None => self.converge_and_heal().await,
        };
        match done {
            Ok(next) => next,
            Err(error) if error.kind == Kind::Interrupted => Next::Again,
            Err(error) => {
                let message = on_one_line(&cause(&error));
                tracing::error!(group = self.id, error = %message, "the group does not match its specification yet");
                Next::Wait(match error.kind {
                    Kind::Busy => BUSY_PAUSE,
                    _ => self.groups.settings.poll_interval,
                })
            }
        }
    }

    async fn destroy(&self) -> Result<Next, operate::Error> {
        if group::find(self.workspace, self.id)?.is_some() {
            group::destroy(self.workspace, self.id, RunOptions::default()).await?;
        }
        self.forget(&Pending::Destroy);
        tracing::info!(group = self.id, "destroyed");
        Ok(Next::End)
    }

    /// Carries out a commit. It is forgotten once the deployment has its specification: whatever is
    /// left to do follows from the deployment.
    async fn commit(&self, pending: &Pending) -> Result<Next, operate::Error> {
        let Pending::Commit {
            spec,
            script,
            removed_first,
            rolling,
        } = pending
        else {
            return Ok(Next::Again);
        };
        let mut request = commit::Request::of_json(spec, self.groups.settings.takes_over);
        request.removed_first.clone_from(removed_first);
        request.rolling = *rolling;
        let settings = self.workspace.settings.with_script(script.clone());
        let workspace = Workspace::new(settings, self.workspace.caller);
        let committed = Box::pin(commit::commit(&workspace, &request)).await;
        let known = group::find(self.workspace, self.id)?;
        if known.is_some_and(|known| known.spec.to_json() == *spec) {
            self.forget(pending);
        }
        committed?;
        tracing::info!(group = self.id, "the group matches its specification");
        Ok(Next::Again)
    }

    /// Forgets a request that is carried out, unless there is a newer one.
    fn forget(&self, done: &Pending) {
        let is_last = self.groups.pending.borrow().get(self.id) == Some(done);
        if is_last && let Err(error) = self.groups.forget(self.id) {
            tracing::error!(group = self.id, error = %error.message, "a request cannot be forgotten");
        }
    }

    /// Completes what an earlier run left, then heals until there is a new request.
    async fn converge_and_heal(&self) -> Result<Next, operate::Error> {
        let Some(known) = group::find(self.workspace, self.id)? else {
            return Ok(Next::End);
        };
        if known.is_unfinished() {
            commit::complete(self.workspace, &known).await?;
        }
        let context = RequestContext {
            workspace: self.workspace,
            deployment: self.id.to_owned(),
            inputs: Vec::new(),
            options: RunOptions::default(),
            arguments: vec!["heal".to_owned()],
        };
        let limit = RepairLimit {
            budget: usize::MAX,
            cool_down: self.groups.settings.poll_interval,
            check_interval: self.groups.settings.poll_interval,
            heals_stopped: true,
        };
        watch::watch(&context, &[], limit).await?;
        Ok(Next::Again)
    }
}
