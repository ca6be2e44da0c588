//! Exec commands in containers.

use super::{
    daemon::{Daemon, Exec, SharedDaemon, State, random_id},
    logs::frame,
    processes::{self, Task},
    response::{ErrorResponse, HandlerResult, full_body, json_response, ok, stream_response},
    routes::ParsedRequest,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream as streams};
use http_body_util::BodyExt as _;
use hyper::{Request, Response, StatusCode, body::Incoming, header, upgrade};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use std::{
    io::{Read, Write as _},
    process::{Child, ChildStdin},
    thread,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

pub(super) fn create(world: &Daemon, name: &str, asked: &ParsedRequest) -> HandlerResult {
    let config = asked.json()?;
    let mut state = world.state();
    let container = state.container_id(name)?;
    if !state.containers[&container].status.is_running() {
        return Err(ErrorResponse::conflict(format!(
            "Container {container} is not running"
        )));
    }
    let id = random_id();
    let exec = Exec {
        container: container.clone(),
        config,
        exit_code: None,
        is_running: false,
    };
    state.execs.insert(id.clone(), exec);
    let words = command(&state.execs[&id].config).join(" ");
    state.record_container_event(
        &container,
        &format!("exec_create: {words}"),
        &json!({ "execID": id }),
    );
    Ok(json_response(201, &json!({ "Id": id })))
}

fn command(config: &Json) -> Vec<String> {
    let all = config["Cmd"].as_array().into_iter().flatten();
    all.filter_map(|it| Some(it.as_str()?.to_owned())).collect()
}

pub(super) fn inspect(world: &Daemon, id: &str) -> HandlerResult {
    let state = world.state();
    let missing = || ErrorResponse(404, format!("No such exec instance: {id}"));
    let exec = state.execs.get(id).ok_or_else(missing)?;
    ok(&json!({
        "ID": id,
        "Running": exec.is_running,
        "ExitCode": exec.exit_code,
        "ContainerID": exec.container,
    }))
}

/// The streams of a running command.
struct Running {
    output: mpsc::UnboundedReceiver<Bytes>,
    input: Option<ChildStdin>,
}

/// Starts a created command.
fn run(world: &SharedDaemon, id: &str) -> Result<Running, ErrorResponse> {
    let mut state = world.state();
    let (task, container, has_terminal) = task(&state, world, id)?;
    let (send, output) = mpsc::unbounded_channel();
    let mut child = match task.start() {
        Ok(child) => child,
        Err(program) => {
            let _ = send.send(frame(
                program_not_found(&program).as_bytes(),
                false,
                has_terminal,
            ));
            state.execs[id].exit_code = Some(127);
            let input = None;
            return Ok(Running { output, input });
        }
    };
    state.execs[id].is_running = true;
    let group = processes::group(&child);
    state.containers[&container].groups.push(group);
    let input = child.stdin.take();
    watch_command(world, (id, container), child, (send, has_terminal));
    Ok(Running { output, input })
}

/// Returns the task of a created command, its container, and whether it has a terminal.
fn task(
    state: &State,
    world: &SharedDaemon,
    id: &str,
) -> Result<(Task, String, bool), ErrorResponse> {
    let missing = || ErrorResponse(404, format!("No such exec instance: {id}"));
    let Exec {
        container, config, ..
    } = state.execs.get(id).ok_or_else(missing)?;
    let mut task = Task::in_container(state, container, &world.directory, command(config));
    task.has_input = config["AttachStdin"] == true;
    let directory = config["WorkingDir"]
        .as_str()
        .filter(|path| !path.is_empty());
    task.directory = directory.map_or(task.directory, Into::into);
    let more = config["Env"].as_array().into_iter().flatten();
    task.environment
        .extend(more.filter_map(|it| Some(it.as_str()?.to_owned())));
    Ok((task, container.clone(), config["Tty"] == true))
}

fn program_not_found(program: &str) -> String {
    format!(
        "OCI runtime exec failed: exec failed: exec: \"{program}\": executable file not found in $PATH: unknown\r\n"
    )
}

/// Forwards the output of a command and records its exit code.
fn watch_command(
    world: &SharedDaemon,
    (id, container): (&str, String),
    mut child: Child,
    (send, has_terminal): (mpsc::UnboundedSender<Bytes>, bool),
) {
    let (world, id) = (world.clone(), id.to_owned());
    thread::spawn(move || {
        let group = processes::group(&child);
        let to = send.clone();
        let code = processes::wait_with_outputs(&mut child, move |output, is_error| {
            forward_output(output, is_error, has_terminal, &to);
        });
        let mut state = world.state();
        if let Some(it) = state.containers.get_mut(&container) {
            it.groups.retain(|it| *it != group);
        }
        if let Some(exec) = state.execs.get_mut(&id) {
            (exec.exit_code, exec.is_running) = (Some(code), false);
        }
        // Close the output after recording the exit code, because clients query the code then.
        drop(state);
        drop(send);
    });
}

fn forward_output(
    output: &mut dyn Read,
    is_error: bool,
    has_terminal: bool,
    send: &mpsc::UnboundedSender<Bytes>,
) {
    let mut buffer = [0; 8192];
    while let Ok(read @ 1..) = output.read(&mut buffer) {
        if send
            .send(frame(&buffer[..read], is_error, has_terminal))
            .is_err()
        {
            return;
        }
    }
}

/// Starts a command and connects its streams to the client.
pub(super) async fn start(
    world: &SharedDaemon,
    id: &str,
    request: Request<Incoming>,
) -> HandlerResult {
    let is_upgrade = request.headers().contains_key(header::UPGRADE);
    let (mut parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Err(ErrorResponse(400, "incomplete request body".to_owned()));
    };
    let config: Json = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let running = run(world, id)?;
    if config["Detach"] == true {
        return Ok(Response::new(full_body("")));
    }
    if !is_upgrade {
        let next = |mut output: mpsc::UnboundedReceiver<Bytes>| async move {
            let piece = output.recv().await?;
            Some((piece, output))
        };
        let all = streams::unfold(running.output, next).boxed();
        return Ok(stream_response(
            200,
            "application/vnd.docker.raw-stream",
            all,
        ));
    }
    let on = parts.extensions.remove::<upgrade::OnUpgrade>();
    tokio::spawn(async move {
        if let Some(Ok(upgraded)) = match on {
            Some(on) => Some(on.await),
            None => None,
        } {
            connect_streams(TokioIo::new(upgraded), running).await;
        }
    });
    let mut response = Response::new(full_body(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(
        header::CONNECTION,
        header::HeaderValue::from_static("Upgrade"),
    );
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("tcp"));
    Ok(response)
}

async fn connect_streams(connection: TokioIo<upgrade::Upgraded>, running: Running) {
    let (mut from, mut to) = tokio::io::split(connection);
    let Running { mut output, input } = running;
    let reads = tokio::spawn(async move {
        let (mut input, mut buffer) = (input, [0; 8192]);
        while let (Some(input), Ok(read @ 1..)) = (&mut input, from.read(&mut buffer).await) {
            if input
                .write_all(&buffer[..read])
                .and_then(|()| input.flush())
                .is_err()
            {
                return;
            }
        }
    });
    while let Some(piece) = output.recv().await {
        if to.write_all(&piece).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
    reads.abort();
}
