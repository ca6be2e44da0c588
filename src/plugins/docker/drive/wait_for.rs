//! `wait_for`: conditions that a container must meet before its instance counts as started. This
//! input of `start` is dockctl's own.

use crate::{
    engine::{Lines, failure},
    plugins::docker::{
        declare::{
            condition::{Condition, MAX_LINE, WaitFor, display_condition},
            container::Container,
        },
        drive::{containers::recorded_id, engine::Engine, watch::EventCoverage},
    },
    seam::{Call, Failure, ObjectState, Outputs, Progress, ProgressSink},
};
use fancy_regex::Regex;
use futures_util::StreamExt as _;
use serde_json::Value as Json;
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// Longest wait for one connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Time to watch a connection to a published port: a proxy accepts connections even if the program
/// does not, and then drops them.
const PROXY_WATCH: Duration = Duration::from_millis(200);
/// Restarts after which a container that keeps crashing counts as failed.
const MAX_RESTARTS: i64 = 5;

impl Engine {
    /// Waits until a condition is met. Fails at once if the container can no longer meet it.
    pub(crate) async fn wait_for(
        &self,
        call: &Call,
        value: &Json,
        progress: ProgressSink<'_>,
    ) -> Result<Outputs, Failure> {
        let wait = WaitFor::read(value).map_err(|fault| {
            super::containers::invalid_arguments(&[fault.nested_in(&["wait_for".to_owned()])])
        })?;
        let (id, what, begin) = (recorded_id(call)?, display_condition(value), Instant::now());
        progress(Progress::Note(format!("waiting for {what}")));
        let mut changes = self.watch.subscribe(&self.client);
        let mut working = WorkingTime::default();
        // With Podman, this loop runs the health checks.
        let shows = match wait.condition {
            Condition::Exited(_) => EventCoverage::Full,
            Condition::Healthy if !self.client.is_podman() => EventCoverage::Full,
            Condition::Healthy
            | Condition::WorksFor(_)
            | Condition::Port(_)
            | Condition::Log(_) => EventCoverage::ExitOnly,
        };
        loop {
            if self.is_met(&wait, (&id, &what), &mut working).await? {
                return Ok(Outputs::default());
            }
            let interval = wait.interval.min(working.left(&wait.condition));
            let left = wait.timeout.saturating_sub(begin.elapsed());
            if left < interval {
                return Err(self.timeout_failure(&wait, &id, &what).await);
            }
            tokio::select! {
                // The last check happens when the time is up.
                () = changes.next(&id, interval, shows) => {}
                () = tokio::time::sleep(left) => {}
                () = call.stop.cancelled() => return Err(Failure::cancelled(format!("cancelled while waiting for {what}"))),
            }
        }
    }

    async fn is_met(
        &self,
        wait: &WaitFor,
        (id, what): (&str, &str),
        working: &mut WorkingTime,
    ) -> Result<bool, Failure> {
        let Some(container) = self.inspect(id).await? else {
            return Err(Failure::fatal(format!(
                "the container disappeared while dockctl waited for {what}"
            )));
        };
        let runs = matches!(
            container.state(),
            ObjectState::Running | ObjectState::Restarting | ObjectState::Paused
        );
        // A container that is about to restart may still meet the condition, unless it keeps
        // restarting.
        let restarts = container.json["RestartCount"].as_i64().unwrap_or(0);
        let is_between = container.state() == ObjectState::Restarting;
        match &wait.condition {
            Condition::Healthy
            | Condition::WorksFor(_)
            | Condition::Port(_)
            | Condition::Log(_)
                if is_between && restarts > MAX_RESTARTS =>
            {
                Err(self.exit_failure(id, what).await)
            }
            Condition::Healthy | Condition::Port(_) if is_between => Ok(false),
            Condition::WorksFor(time) if runs => {
                let works = !is_between && self.works(&container).await?;
                Ok(working.observe(works.then(|| start_of(&container)), *time))
            }
            Condition::Exited(code) if !runs => self.check_exit_code(&container, *code).await,
            Condition::Exited(_) => Ok(false),
            Condition::Log(pattern) if self.log_matches(&container, pattern).await? => Ok(true),
            _ if !runs => Err(self.exit_failure(id, what).await),
            Condition::Healthy => {
                self.run_due_health_check(&container).await;
                is_healthy(&container)
            }
            Condition::Port(port) => self.accepts_connections(&container, *port).await,
            Condition::WorksFor(_) | Condition::Log(_) => Ok(false),
        }
    }

    /// Returns true if a container runs and its health check, if it has one, reports healthy.
    async fn works(&self, container: &Container) -> Result<bool, Failure> {
        let has_check = !matches!(
            container.text("/State/Health/Status"),
            None | Some("" | "none")
        );
        if container.state() != ObjectState::Running || !has_check {
            return Ok(container.state() == ObjectState::Running);
        }
        self.run_due_health_check(container).await;
        is_healthy(container)
    }

    /// Runs the health check of a container that has just started: Podman runs it only on request.
    async fn run_due_health_check(&self, container: &Container) {
        let is_starting = container.text("/State/Health/Status") == Some("starting");
        if self.client.is_podman() && is_starting {
            self.client.run_podman_health_check(&container.id()).await;
        }
    }

    async fn check_exit_code(&self, container: &Container, code: i64) -> Result<bool, Failure> {
        let found = container.json["State"]["ExitCode"]
            .as_i64()
            .unwrap_or_default();
        if found == code {
            return Ok(true);
        }
        let exit = self.exit_info(&container.id()).await;
        Err(Failure {
            exit,
            ..Failure::fatal(format!(
                "the container exited with code {found}, but code {code} was expected"
            ))
        })
    }

    /// Searches the log since the container's start.
    async fn log_matches(&self, container: &Container, pattern: &Regex) -> Result<bool, Failure> {
        let since = container
            .started_at()
            .and_then(|at| humantime::parse_rfc3339(at).ok())
            .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        // A fast program writes before the engine records its start.
        let since = since
            .and_then(|since| i32::try_from(since.as_secs()).ok())
            .map_or(0, |since| (since - 1).max(0));
        let query = [("since", since.to_string())];
        let mut logs = std::pin::pin!(self.client.logs(
            &container.id(),
            &query,
            (container.has_terminal(), false)
        ));
        let mut lines = Lines::with_max_length(MAX_LINE);
        let matches = |line: &String| pattern.is_match(line).unwrap_or(false);
        while let Some(piece) = logs.next().await {
            let piece =
                piece.map_err(|error| failure(&error, "reading the log of the container"))?;
            if lines.take(&piece.bytes).iter().any(matches) {
                return Ok(true);
            }
        }
        Ok(lines.rest().is_some_and(|line| matches(&line)))
    }

    /// Returns true if a program in the container accepts connections: on the container's own
    /// addresses, which this machine may not reach, or on a published port.
    async fn accepts_connections(&self, container: &Container, port: u16) -> Result<bool, Failure> {
        let shared = container
            .text("/HostConfig/NetworkMode")
            .and_then(|mode| mode.strip_prefix("container:"));
        let other = match shared {
            Some(id) => self.inspect(id).await?,
            None => None,
        };
        let container = other.as_ref().unwrap_or(container);
        let settings = &container.json["NetworkSettings"];
        let networks = settings["Networks"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(_, network)| &network["IPAddress"]);
        let own: Vec<String> = networks
            .filter_map(|ip| ip.as_str().filter(|ip| !ip.is_empty()).map(str::to_owned))
            .collect();
        let host = self.client.host().unwrap_or_else(|| "127.0.0.1".to_owned());
        let on_host = container.text("/HostConfig/NetworkMode") == Some("host");
        let bindings = settings["Ports"][format!("{port}/tcp")]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let published: Vec<(String, u16)> = bindings
            .iter()
            .filter_map(|binding| binding_address(binding, &host))
            .collect();
        if own.is_empty() && published.is_empty() && !on_host {
            return Err(Failure::fatal(format!(
                "port {port} of the container cannot be reached from this machine"
            ))
            .hint("connect the container to a network, or publish the port with `port_bindings`"));
        }
        if on_host && connects(&host, port, false).await {
            return Ok(true);
        }
        // The container addresses of a remote engine may belong to other machines here.
        for ip in own.iter().filter(|_| self.client.host().is_none()) {
            if connects(ip, port, false).await {
                return Ok(true);
            }
        }
        for (ip, port) in &published {
            if connects(ip, *port, true).await {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the failure for a container that exited during a wait.
    pub(crate) async fn exit_failure(&self, id: &str, what: &str) -> Failure {
        let exit = self.exit_info(id).await;
        let exited = exit
            .as_ref()
            .map_or_else(|| "the container exited".to_owned(), ToString::to_string);
        Failure {
            exit,
            ..Failure::fatal(format!("{exited} while waiting for {what}"))
        }
    }

    /// Returns the failure for a wait that timed out.
    async fn timeout_failure(&self, wait: &WaitFor, id: &str, what: &str) -> Failure {
        let message = format!(
            "timed out after {} s waiting for {what}",
            wait.timeout.as_secs_f64()
        );
        Failure {
            exit: self.exit_info(id).await,
            ..Failure::fatal(message)
        }
        .hint("check the log with docker logs, or increase `timeout` in `wait_for`")
    }
}

/// Since when a container works without interruption.
#[derive(Default)]
struct WorkingTime(Option<(String, Instant)>);

impl WorkingTime {
    /// Records that the container works since this start, or that it does not work. Returns true if
    /// it has worked for the given time.
    fn observe(&mut self, start: Option<String>, time: Duration) -> bool {
        let Some(start) = start else {
            self.0 = None;
            return false;
        };
        let is_same = self.0.as_ref().is_some_and(|(known, _)| *known == start);
        if !is_same {
            self.0 = Some((start, Instant::now()));
        }
        self.0
            .as_ref()
            .is_some_and(|(_, since)| since.elapsed() >= time)
    }

    /// Returns the time until the condition can be met.
    fn left(&self, condition: &Condition) -> Duration {
        match (condition, &self.0) {
            (Condition::WorksFor(time), Some((_, since))) => time.saturating_sub(since.elapsed()),
            _ => Duration::MAX,
        }
    }
}

/// Identifies a start of a container: a restart is another one.
fn start_of(container: &Container) -> String {
    let restarts = container.json["RestartCount"].as_i64().unwrap_or(0);
    format!("{restarts} {}", container.started_at().unwrap_or_default())
}

fn is_healthy(container: &Container) -> Result<bool, Failure> {
    match container.text("/State/Health/Status") {
        Some("healthy") => Ok(true),
        Some("starting") => Ok(false),
        Some("unhealthy") => {
            let last = container.health_log().pop().unwrap_or_default();
            Err(Failure::fatal(format!("the container is unhealthy: {last}"))
                .hint("the health check failed `retries` times in a row; increase `start_period` if the container starts slowly"))
        }
        _ => Err(no_health_check()),
    }
}

/// Returns the failure for a container without a health check in its parameters or image.
pub(crate) fn no_health_check() -> Failure {
    Failure::fatal("the container has no health check, so it never becomes healthy")
        .hint("add one: params: {healthcheck: {test: …}}, or wait for a port or a log line")
}

fn binding_address(binding: &Json, host: &str) -> Option<(String, u16)> {
    let port = binding["HostPort"].as_str()?.parse().ok()?;
    let ip: Option<IpAddr> = binding["HostIp"].as_str().and_then(|ip| ip.parse().ok());
    let ip = ip
        .filter(|ip| !ip.is_unspecified())
        .map_or_else(|| host.to_owned(), |ip| ip.to_string());
    Some((ip, port))
}

/// Returns true if a connection is accepted. If there may be a proxy, it must also stay open.
async fn connects(ip: &str, port: u16, proxied: bool) -> bool {
    let Ok(Ok(mut stream)) =
        tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((ip, port))).await
    else {
        return false;
    };
    if !proxied {
        return true;
    }
    let mut byte = [0];
    match tokio::time::timeout(PROXY_WATCH, stream.read(&mut byte)).await {
        // Neither data nor a close: the program waits for its client to begin.
        Err(_) => true,
        Ok(read) => read.is_ok_and(|bytes| bytes > 0),
    }
}
