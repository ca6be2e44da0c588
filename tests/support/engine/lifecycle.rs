//! Life cycle of containers: start, stop, kill, pause, restart and wait.

use super::{
    containers,
    daemon::{Container, Daemon, SharedDaemon, State, Status},
    health::HealthCheck,
    inspection, networks, ports,
    processes::{self, Task, kill_group},
    response::{
        ErrorResponse, HandlerResult, json_line, no_content, not_modified, stream_response,
    },
    routes::ParsedRequest,
};
use futures_util::stream as streams;
use jiff::Timestamp;
use serde_json::json;
use std::{process::Child, thread, time::Duration};

/// Longest wait for a container that ignores the stop signal. Limits the requested timeout, to keep
/// the tests fast.
const MAX_STOP_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) fn start(world: &SharedDaemon, name: &str) -> HandlerResult {
    let id = {
        let state = world.state();
        let id = state.container_id(name)?;
        match state.containers[&id].status {
            Status::Running | Status::Restarting => return not_modified(),
            Status::Paused => {
                return Err(ErrorResponse::conflict(
                    "cannot start a paused container, try unpause instead",
                ));
            }
            Status::Created | Status::Exited => id,
        }
    };
    launch(world, &id)?;
    no_content()
}

/// Starts the process of a container. Records the error if it does not start.
fn launch(world: &SharedDaemon, id: &str) -> Result<(), ErrorResponse> {
    let mut state = world.state();
    let started = start_process(&mut state, world, id);
    if let Err(refused) = &started {
        // Docker records the error and an exit code on the container.
        if let Some(it) = state.containers.get_mut(id) {
            it.error.clone_from(&refused.1);
            it.ports.clear();
            it.exit_code = if refused.1.contains("executable file") {
                127
            } else {
                128
            };
        }
        networks::release_addresses(&mut state, id);
    }
    started
}

/// Starts the process of a container, unless a precondition fails.
fn start_process(state: &mut State, world: &SharedDaemon, id: &str) -> Result<(), ErrorResponse> {
    require_shared_containers(state, id)?;
    networks::assign_addresses(state, id)?;
    let ports = ports::published(state, id)?;
    let words = inspection::command(&state.containers[id].config);
    let task = Task::in_container(state, id, &world.directory, words);
    let child = task
        .start()
        .map_err(|program| program_not_found(&program))?;
    let check = HealthCheck::declared(&state.containers[id].config);
    let it = &mut state.containers[id];
    it.ports = ports;
    it.status = Status::Running;
    it.groups = vec![processes::group(&child)];
    (it.exit_code, it.stopped) = (0, false);
    it.error.clear();
    it.started = Some(Timestamp::now());
    it.health = check.as_ref().map(|_| HealthCheck::initial());
    it.run += 1;
    let run = it.run;
    state.record_container_event(id, "start", &json!({}));
    watch_process(world, (id, run), child);
    if let Some(check) = check {
        tokio::spawn(check.watch(world.clone(), id.to_owned(), run));
    }
    Ok(())
}

fn program_not_found(program: &str) -> ErrorResponse {
    let message = format!(
        "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"{program}\": executable file not found in $PATH: unknown"
    );
    ErrorResponse(400, message)
}

/// Logs the output of a process and handles its exit.
fn watch_process(world: &SharedDaemon, (id, run): (&str, u64), mut child: Child) {
    let (world, id) = (world.clone(), id.to_owned());
    let runtime = tokio::runtime::Handle::current();
    thread::spawn(move || {
        let (for_log, of) = (world.clone(), id.clone());
        let code = processes::wait_with_outputs(&mut child, move |output, is_error| {
            processes::append_log(&for_log, &of, output, is_error);
        });
        let _guard = runtime.enter();
        handle_exit(&world, &id, run, code);
    });
}

/// Checks that the containers whose namespaces or links a container uses are running.
fn require_shared_containers(state: &State, id: &str) -> Result<(), ErrorResponse> {
    let it = &state.containers[id];
    for field in ["NetworkMode", "IpcMode", "PidMode"] {
        let mode = it.host[field].as_str().unwrap_or_default();
        let Some(other) = mode.strip_prefix("container:") else {
            continue;
        };
        let other = state.container_id(other)?;
        if !state.containers[&other].status.is_running() {
            let message = format!("cannot join network of a non running container: {other}");
            return Err(ErrorResponse::conflict(message));
        }
    }
    for link in it.host["Links"].as_array().into_iter().flatten() {
        let name = link
            .as_str()
            .unwrap_or_default()
            .split(':')
            .next()
            .unwrap_or_default();
        let other = state.container_id(name)?;
        if !state.containers[&other].status.is_running() {
            let message = format!(
                "Cannot link to a non running container: /{name} AS /{}",
                it.name
            );
            return Err(ErrorResponse(500, message));
        }
    }
    Ok(())
}

/// Handles the exit of a container's process.
fn handle_exit(world: &SharedDaemon, id: &str, run: u64, code: i64) {
    let restarts = {
        let mut state = world.state();
        let Some(it) = state.containers.get_mut(id).filter(|it| it.run == run) else {
            return;
        };
        it.groups.drain(..).for_each(kill_group);
        it.exit_code = code;
        it.finished = Some(Timestamp::now());
        it.ports.clear();
        let restarts = must_restart(it);
        it.status = if restarts {
            Status::Restarting
        } else {
            Status::Exited
        };
        let removes = !restarts && it.host["AutoRemove"] == true;
        networks::release_addresses(&mut state, id);
        state.record_container_event(id, "die", &json!({ "exitCode": code.to_string() }));
        if removes {
            containers::delete(&mut state, world, id, true);
        }
        restarts
    };
    if restarts {
        tokio::spawn(restart_later(world.clone(), id.to_owned(), run));
    }
}

fn must_restart(it: &Container) -> bool {
    let policy = &it.host["RestartPolicy"];
    let most = policy["MaximumRetryCount"].as_u64().unwrap_or_default();
    match policy["Name"].as_str().unwrap_or_default() {
        _ if it.stopped => false,
        "always" | "unless-stopped" => true,
        "on-failure" => it.exit_code != 0 && (most == 0 || it.restarts < most),
        _ => false,
    }
}

/// Restarts a container after a delay that doubles with each restart.
async fn restart_later(world: SharedDaemon, id: String, run: u64) {
    let restarts = world
        .state()
        .containers
        .get(&id)
        .map_or(0, |it| it.restarts);
    tokio::time::sleep(Duration::from_millis(100 << restarts.min(6))).await;
    {
        let mut state = world.state();
        let Some(it) = state.containers.get_mut(&id) else {
            return;
        };
        if it.run != run || it.status != Status::Restarting {
            return;
        }
        it.restarts += 1;
    }
    let _ = launch(&world, &id);
}

/// Sends a signal to a container and kills it after a timeout. Returns true if it was running.
pub(super) async fn stop_process(
    world: &SharedDaemon,
    id: &str,
    first: i32,
    within: Duration,
) -> bool {
    if cancel_restart(world, id) {
        return true;
    }
    let Some(group) = mark_stopped(world, id, first) else {
        return false;
    };
    processes::signal(group, first);
    if tokio::time::timeout(within, wait_until_stopped(world, id))
        .await
        .is_err()
    {
        world
            .state()
            .record_container_event(id, "kill", &json!({ "signal": "9" }));
        processes::signal(group, 9);
        wait_until_stopped(world, id).await;
    }
    true
}

/// Cancels the pending restart of a container. Returns true if one was pending.
fn cancel_restart(world: &SharedDaemon, id: &str) -> bool {
    let mut state = world.state();
    let it = state.containers.get_mut(id);
    let Some(it) = it.filter(|it| it.status == Status::Restarting) else {
        return false;
    };
    (it.status, it.stopped) = (Status::Exited, true);
    true
}

/// Marks a container as stopped. Returns its process group if it is running.
fn mark_stopped(world: &SharedDaemon, id: &str, signal: i32) -> Option<i32> {
    let mut state = world.state();
    let it = state.containers.get_mut(id)?;
    it.stopped = true;
    let group = it.groups.first().copied();
    let group = group.filter(|_| it.status.is_running())?;
    if it.status == Status::Paused {
        processes::signal(group, 18);
    }
    state.record_container_event(id, "kill", &json!({ "signal": signal.to_string() }));
    Some(group)
}

/// Waits until a container is not running.
async fn wait_until_stopped(world: &SharedDaemon, id: &str) {
    let is_down = |state: &State| {
        let it = state.containers.get(id);
        it.is_none_or(|it| !it.status.is_running()).then_some(())
    };
    world.wait_for(is_down).await;
}

/// Returns the stop signal and the stop timeout of a container.
fn stop_settings(world: &Daemon, id: &str, asked: &ParsedRequest) -> (i32, Duration) {
    let state = world.state();
    let config = &state.containers[id].config;
    let requested = asked.query("t").and_then(|it| it.parse().ok());
    let seconds: i64 = requested.or(config["StopTimeout"].as_i64()).unwrap_or(10);
    let signal = processes::signal_number(config["StopSignal"].as_str().unwrap_or("TERM"));
    // A negative timeout means no timeout.
    let within = u64::try_from(seconds).map_or(MAX_STOP_TIMEOUT, Duration::from_secs);
    (signal, within.min(MAX_STOP_TIMEOUT))
}

pub(super) async fn stop(world: &SharedDaemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let id = world.state().container_id(name)?;
    let (signal, within) = stop_settings(world, &id, asked);
    if !stop_process(world, &id, signal, within).await {
        return not_modified();
    }
    world
        .state()
        .record_container_event(&id, "stop", &json!({}));
    no_content()
}

pub(super) async fn restart(
    world: &SharedDaemon,
    name: &str,
    asked: &ParsedRequest,
) -> HandlerResult {
    let id = world.state().container_id(name)?;
    let (signal, within) = stop_settings(world, &id, asked);
    // A restart does not trigger `AutoRemove`.
    let removes = std::mem::replace(
        &mut world.state().containers[&id].host["AutoRemove"],
        false.into(),
    );
    if stop_process(world, &id, signal, within).await {
        world
            .state()
            .record_container_event(&id, "stop", &json!({}));
    }
    if let Some(it) = world.state().containers.get_mut(&id) {
        it.host["AutoRemove"] = removes;
    }
    launch(world, &id)?;
    world
        .state()
        .record_container_event(&id, "restart", &json!({}));
    no_content()
}

pub(super) async fn kill(world: &SharedDaemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let number = processes::signal_number(asked.query("signal").unwrap_or("KILL"));
    let (id, group) = {
        let mut state = world.state();
        let id = state.container_id(name)?;
        let it = &mut state.containers[&id];
        if !it.status.is_running() {
            let message = format!("Cannot kill container: {name}: Container {id} is not running");
            return Err(ErrorResponse::conflict(message));
        }
        it.stopped |= number == 9 || number == 15;
        let group = it.groups.first().copied().unwrap_or_default();
        state.record_container_event(&id, "kill", &json!({ "signal": number.to_string() }));
        (id, group)
    };
    processes::signal(group, number);
    if number == 9 {
        wait_until_stopped(world, &id).await;
    }
    no_content()
}

pub(super) fn pause(world: &Daemon, name: &str, pauses: bool) -> HandlerResult {
    let mut state = world.state();
    let id = state.container_id(name)?;
    let it = &mut state.containers[&id];
    let (from, to, action, number) = if pauses {
        (Status::Running, Status::Paused, "pause", 19)
    } else {
        (Status::Paused, Status::Running, "unpause", 18)
    };
    if it.status != from {
        return Err(ErrorResponse::conflict(format!(
            "Container {id} is not {}",
            from.as_str()
        )));
    }
    it.status = to;
    let groups = it.groups.clone();
    for group in groups {
        processes::signal(group, number);
    }
    state.record_container_event(&id, action, &json!({}));
    no_content()
}

/// Responds at once with headers, and with the exit code when the container exits.
pub(super) fn wait(world: &SharedDaemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let id = world.state().container_id(name)?;
    let condition = asked.query("condition").unwrap_or("not-running").to_owned();
    let run = world.state().containers[&id].run;
    let world = world.clone();
    let code = async move {
        let code = world
            .wait_for(|state| {
                let Some(it) = state.containers.get(&id) else {
                    return Some(0);
                };
                let is_over = match condition.as_str() {
                    "removed" => false,
                    "next-exit" => it.run > run && !it.status.is_running(),
                    _ => !it.status.is_running(),
                };
                is_over.then_some(it.exit_code)
            })
            .await;
        json_line(&json!({ "StatusCode": code, "Error": null }))
    };
    Ok(stream_response(
        200,
        "application/json",
        streams::once(code),
    ))
}
