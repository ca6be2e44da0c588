//! Operations of the docker plugin 2.x on a container besides starting it: waiting for its exit,
//! and a command before its stop.

use crate::{
    diagnostic::Fault,
    engine::{EngineError, Kind, failure},
    plugins::docker::{
        declare::{
            container::Container,
            params::{Form, convert},
        },
        drive::{
            containers::{invalid_arguments, recorded_id},
            engine::Engine,
            watch::EventCoverage,
        },
    },
    seam::{Call, Failure, LogChunk, ObjectState, Outputs, Progress, ProgressSink},
};
use futures_util::{Stream, StreamExt as _};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Longest output to keep, in bytes.
const MAX_OUTPUT: usize = 1 << 20;
/// Time between checks of a container that must exit.
const INTERVAL: Duration = Duration::from_millis(200);
/// Time limit of the stop command; the same as in the original plugin.
const STOP_COMMAND_TIMEOUT: Duration = Duration::from_secs(20);

impl Engine {
    /// Waits until the container exits and stores its output as `run_result`, and its exit code.
    /// The exit code never causes a failure.
    pub(crate) async fn wait_for_exit(
        &self,
        call: &Call,
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        let id = recorded_id(call)?;
        progress(Progress::Note(
            "waiting for the container to exit".to_owned(),
        ));
        let mut changes = self.watch.subscribe(&self.client);
        loop {
            let found = self.inspect(&id).await?;
            let Some(found) = found else {
                return Err(Failure::fatal(
                    "the container disappeared while dockctl waited for it to exit",
                ));
            };
            if !matches!(
                found.state(),
                ObjectState::Running | ObjectState::Restarting | ObjectState::Paused
            ) {
                let code = found.json["State"]["ExitCode"].clone();
                let set = [
                    (
                        "run_result",
                        Json::from(self.output(&id, found.has_terminal()).await),
                    ),
                    ("exit_code", code),
                ];
                return Ok(Outputs {
                    set: set
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                    unset: Vec::new(),
                    ..Outputs::default()
                });
            }
            tokio::select! {
                () = changes.next(&id, INTERVAL, EventCoverage::Full) => {}
                () = call.stop.cancelled() => return Err(Failure::cancelled("cancelled while waiting for the container to exit")),
            }
        }
    }

    async fn output(&self, id: &str, is_terminal: bool) -> String {
        collect_output(self.client.logs(id, &[], (is_terminal, false))).await
    }

    /// Runs a command in the container, or in a separate one if the container does not run. A
    /// command that fails does not prevent the stop.
    pub(crate) async fn execute(
        &self,
        call: &Call,
        command: &Json,
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        let words = convert(Form::Command, command, &mut Vec::new())
            .map_err(|fault: Fault| invalid_arguments(&[fault]))?;
        let words: Vec<String> = words
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect();
        let Some(id) = call.properties().get("container_id").and_then(Json::as_str) else {
            return Ok(Outputs::default());
        };
        let Some(found) = self.inspect(id).await?.filter(|_| !words.is_empty()) else {
            return Ok(Outputs::default());
        };
        if found.state() != ObjectState::Running {
            return self
                .execute_in_separate_container(call, &found, &words, progress)
                .await;
        }
        let config = json!({ "Cmd": words, "AttachStdout": true, "AttachStderr": true });
        let ran = tokio::time::timeout(STOP_COMMAND_TIMEOUT, self.exec_output(id, &config)).await;
        match ran {
            Ok(result) => result
                .map_err(|error| failure(&error, "running the stop command"))
                .map(|text| progress(Progress::Note(text)))?,
            Err(_) => progress(Progress::Note(format!(
                "the stop command did not finish within {} seconds",
                STOP_COMMAND_TIMEOUT.as_secs()
            ))),
        }
        Ok(Outputs::default())
    }

    /// Runs a command in a separate container, with the image and the mounts of a container that
    /// has exited.
    async fn execute_in_separate_container(
        &self,
        call: &Call,
        found: &Container,
        words: &[String],
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        let config = &found.json["Config"];
        let mut body = json!({
            "Image": found.json["Image"], "Cmd": words, "Entrypoint": [""], "Env": config["Env"], "User": config["User"], "WorkingDir": config["WorkingDir"],
            "HostConfig": { "VolumesFrom": [found.id()], "NetworkMode": found.json["HostConfig"]["NetworkMode"] },
        });
        let name = format!("{}-stop", found.name());
        self.add_labels(&mut body, call, "", (&json!({}), &name));
        self.add_seal(&mut body, Kind::Container, &name);
        let cannot = |error| failure(&error, "running the stop command in a separate container");
        // A run that died may have left one.
        if let Some(left) = self.inspect(&name).await?
            && self.is_proven(&left).await?
        {
            self.remove_separate_container(&name)
                .await
                .map_err(cannot)?;
        }
        let id = self
            .client
            .create("/containers/create", &[("name", name)], &body)
            .await
            .map_err(cannot)?;
        let started = self
            .client
            .send(&format!("/containers/{id}/start"), &[])
            .await;
        if started.is_ok() {
            let in_time =
                tokio::time::timeout(STOP_COMMAND_TIMEOUT, self.client.wait_for_exit(&id)).await;
            progress(Progress::Note(self.output(&id, false).await));
            if in_time.is_err() {
                progress(Progress::Note(format!(
                    "the stop command did not finish within {} seconds",
                    STOP_COMMAND_TIMEOUT.as_secs()
                )));
            }
        }
        self.remove_separate_container(&id).await.map_err(cannot)?;
        started.map(|()| Outputs::default()).map_err(cannot)
    }

    async fn remove_separate_container(&self, id: &str) -> Result<(), EngineError> {
        self.client
            .delete(
                &format!("/containers/{id}"),
                &[("force", "true".to_owned()), ("v", "false".to_owned())],
            )
            .await
    }

    async fn exec_output(&self, id: &str, config: &Json) -> Result<String, EngineError> {
        let made = self
            .client
            .create(&format!("/containers/{id}/exec"), &[], config)
            .await?;
        let (output, _input) = self.client.attach(&made, false).await?;
        Ok(collect_output(output).await)
    }
}

/// Returns the text of an output; only its end if it is long.
async fn collect_output(output: impl Stream<Item = Result<LogChunk, EngineError>>) -> String {
    let mut text = Vec::new();
    let mut output = std::pin::pin!(output);
    while let Some(Ok(part)) = output.next().await {
        text.extend_from_slice(&part.bytes);
        if text.len() > 2 * MAX_OUTPUT {
            text.drain(..text.len() - MAX_OUTPUT);
        }
    }
    String::from_utf8_lossy(&text[text.len().saturating_sub(MAX_OUTPUT)..]).into_owned()
}
