//! Health checks of containers.

use super::{
    daemon::{Health, SharedDaemon},
    processes::Task,
};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// The health check of a container.
pub(super) struct HealthCheck {
    words: Vec<String>,
    interval: Duration,
    retries: u64,
}

impl HealthCheck {
    /// Returns the health check that a container's configuration declares.
    pub(super) fn declared(config: &Json) -> Option<Self> {
        let wanted = &config["Healthcheck"];
        let command: Vec<String> = wanted["Test"]
            .as_array()?
            .iter()
            .filter_map(|it| Some(it.as_str()?.to_owned()))
            .collect();
        let command = match command.split_first()? {
            (kind, rest) if kind == "CMD-SHELL" => {
                vec!["sh".to_owned(), "-c".to_owned(), rest.join(" ")]
            }
            (kind, rest) if kind == "CMD" => rest.to_vec(),
            _ => return None,
        };
        let number = |name: &str| wanted[name].as_u64().filter(|given| *given > 0);
        Some(Self {
            words: command,
            interval: Duration::from_nanos(number("Interval").unwrap_or(30_000_000_000)),
            retries: number("Retries").unwrap_or(3),
        })
    }

    /// Returns the health before the first check.
    pub(super) fn initial() -> Health {
        Health {
            status: "starting",
            failing: 0,
            log: Vec::new(),
        }
    }

    /// Checks a container at each interval until its current run ends.
    pub(super) async fn watch(self, world: SharedDaemon, id: String, run: u64) {
        loop {
            tokio::time::sleep(self.interval).await;
            let Some(task) = self.task(&world, &id, run) else {
                return;
            };
            let checked = tokio::task::spawn_blocking(move || run_check(&task)).await;
            let (code, stdout) = checked.ok().flatten().unwrap_or((1, String::new()));
            if self.record(&world, (&id, run), code, &stdout).is_none() {
                return;
            }
        }
    }

    fn task(&self, world: &SharedDaemon, id: &str, run: u64) -> Option<Task> {
        let state = world.state();
        let it = state.containers.get(id)?;
        let is_up = it.run == run && it.status.is_running();
        is_up.then(|| Task::in_container(&state, id, &world.directory, self.words.clone()))
    }

    /// Records a result. Returns `None` if the container was removed or started again.
    fn record(
        &self,
        world: &SharedDaemon,
        (id, run): (&str, u64),
        code: i32,
        stdout: &str,
    ) -> Option<()> {
        let mut state = world.state();
        let it = state.containers.get_mut(id).filter(|it| it.run == run)?;
        let health = it.health.as_mut()?;
        health
            .log
            .push(json!({ "ExitCode": code, "Output": stdout }));
        health.failing = if code == 0 { 0 } else { health.failing + 1 };
        let before = health.status;
        health.status = match health.failing {
            0 => "healthy",
            n if n >= self.retries => "unhealthy",
            _ => before,
        };
        let status = health.status;
        if status != before {
            state.record_container_event(id, &format!("health_status: {status}"), &json!({}));
        }
        Some(())
    }
}

fn run_check(task: &Task) -> Option<(i32, String)> {
    let output = task.start().ok()?.wait_with_output().ok()?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output.status.code().unwrap_or(1), stdout))
}
