//! Waiting for processes of a container.

use crate::{
    engine::{failure, status},
    plugins::docker::{
        declare::action::processes_text,
        drive::{containers::recorded_id, engine::Engine, watch::EventCoverage},
    },
    seam::{Call, Failure, ObjectState, Outputs, Progress, ProgressSink},
};
use serde_json::Value as Json;
use std::time::Duration;

/// Default time between checks, in seconds; the same as in the original plugin.
const INTERVAL: f64 = 1.0;
/// Time that a successor must run before its predecessor is removed.
const PROBATION: Duration = Duration::from_millis(700);
/// Time for a container that exits to be seen as exited.
const EXIT_DELAY: Duration = Duration::from_millis(500);
/// Restarts after which a container that keeps crashing counts as failed.
const MAX_RESTARTS: i64 = 5;

impl Engine {
    /// Polls the list of processes until each name is part of a command line. Fails at once if the
    /// container stops running.
    pub(crate) async fn wait(
        &self,
        call: &Call,
        processes: &Json,
        interval: &Json,
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        let names = process_names(processes)?;
        let interval = Duration::from_secs_f64(
            interval
                .as_f64()
                .filter(|seconds| *seconds >= 0.0)
                .unwrap_or(INTERVAL)
                .clamp(0.02, 3600.0),
        );
        let id = recorded_id(call)?;
        let mut changes = self.watch.subscribe(&self.client);
        loop {
            let missing = self.missing_processes(&id, &names).await?;
            if missing.is_empty() {
                return Ok(Outputs::default());
            }
            let what = processes_text(&missing);
            progress(Progress::Note(format!("waiting for {what}")));
            tokio::select! {
                () = changes.next(&id, interval, EventCoverage::ExitOnly) => {}
                () = call.stop.cancelled() => return Err(Failure::cancelled(format!("cancelled while waiting for {what}"))),
            }
        }
    }

    /// Checks the container once more, a moment after its start. Without a configured wait, this is
    /// all that can be checked.
    pub(crate) async fn check_stays_up(&self, call: &Call) -> Result<Outputs, Failure> {
        let id = recorded_id(call)?;
        let mut changes = self.watch.subscribe(&self.client);
        tokio::select! {
            () = changes.next(&id, PROBATION, EventCoverage::ExitOnly) => {}
            () = call.stop.cancelled() => return Err(Failure::cancelled("cancelled while waiting")),
        }
        match self.inspect(&id).await? {
            Some(container) if container.state() == ObjectState::Running => Ok(Outputs::default()),
            Some(_) => {
                let exit = self.exit_info(&id).await;
                let exited = exit
                    .as_ref()
                    .map_or_else(|| "the container exited".to_owned(), ToString::to_string);
                Err(Failure {
                    exit,
                    ..Failure::fatal(format!("{exited} right after its start"))
                })
            }
            None => Err(Failure::fatal(
                "the container disappeared right after its start",
            )),
        }
    }

    async fn missing_processes(&self, id: &str, names: &[String]) -> Result<Vec<String>, Failure> {
        // Podman runs `ps` inside the container unless the columns are given.
        let query: &[(&str, String)] = if self.client.is_podman() {
            &[("ps_args", "pid,args".to_owned())]
        } else {
            &[]
        };
        match self
            .client
            .mapping_or_null(&format!("/containers/{id}/top"), query)
            .await
        {
            Ok(Json::Null) => {
                // A container that is just exiting has no processes, and still counts as running.
                tokio::time::sleep(EXIT_DELAY).await;
                self.explain_listing_failure(
                    id,
                    names,
                    Failure::fatal("the engine returned no processes"),
                )
                .await
            }
            Ok(top) => {
                let rows = top["Processes"].as_array().cloned().unwrap_or_default();
                let lines: Vec<&str> = rows
                    .iter()
                    .filter_map(|row| row.as_array()?.last()?.as_str())
                    .collect();
                Ok(names
                    .iter()
                    .filter(|name| !lines.iter().any(|line| line.contains(*name)))
                    .cloned()
                    .collect())
            }
            Err(error) if matches!(status(&error), Some(404 | 409 | 500)) => {
                self.explain_listing_failure(id, names, failure(&error, "listing the processes"))
                    .await
            }
            Err(error) => Err(failure(&error, "listing the processes")),
        }
    }

    /// Explains why the processes could not be listed: the container has exited, or is about to
    /// restart.
    async fn explain_listing_failure(
        &self,
        id: &str,
        names: &[String],
        listing_failure: Failure,
    ) -> Result<Vec<String>, Failure> {
        let Some(container) = self.inspect(id).await? else {
            return Err(Failure::fatal(
                "the container disappeared while dockctl waited for its processes",
            ));
        };
        let restarts = container
            .json
            .pointer("/RestartCount")
            .and_then(Json::as_i64)
            .unwrap_or(0);
        match container.state() {
            ObjectState::Running => Err(listing_failure),
            ObjectState::Restarting if restarts <= MAX_RESTARTS => Ok(names.to_vec()),
            // Podman 4 does not report that it is about to restart a container.
            ObjectState::Exited
                if self.client.is_podman()
                    && !self.client.tells_stops_only_on_request()
                    && restarts <= MAX_RESTARTS
                    && container.is_restarted_after_exit() =>
            {
                Ok(names.to_vec())
            }
            ObjectState::Paused => Ok(names.to_vec()),
            _ => Err(self.exit_failure(id, &processes_text(names)).await),
        }
    }
}

fn process_names(processes: &Json) -> Result<Vec<String>, Failure> {
    let list = processes
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![processes.clone()]);
    let name = |name: &Json| {
        name.as_str().map(str::to_owned).ok_or_else(|| {
            Failure::fatal(format!(
                "`processes_to_wait_for` contains {name}, which is not a process name"
            ))
        })
    };
    list.iter().map(name).collect()
}
