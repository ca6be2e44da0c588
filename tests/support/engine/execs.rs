//! Exec commands in containers.

use super::{
    body::{Answered, Refused, full, json_of, ok, stream},
    logs::frame,
    processes::{self, Task},
    routes::Asked,
    world::{Exec, Shared, State, World, random_id},
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

pub(super) fn create(world: &World, name: &str, asked: &Asked) -> Answered {
    let wanted = asked.json()?;
    let mut state = world.state();
    let container = state.container_id(name)?;
    if !state.containers[&container].status.is_running() {
        return Err(Refused::conflict(format!(
            "Container {container} is not running"
        )));
    }
    let id = random_id();
    let exec = Exec {
        container: container.clone(),
        wanted,
        exit_code: None,
        is_running: false,
    };
    state.execs.insert(id.clone(), exec);
    let words = words(&state.execs[&id].wanted).join(" ");
    state.tell_of(
        &container,
        &format!("exec_create: {words}"),
        &json!({ "execID": id }),
    );
    Ok(json_of(201, &json!({ "Id": id })))
}

fn words(wanted: &Json) -> Vec<String> {
    let all = wanted["Cmd"].as_array().into_iter().flatten();
    all.filter_map(|it| Some(it.as_str()?.to_owned())).collect()
}

pub(super) fn inspect(world: &World, id: &str) -> Answered {
    let state = world.state();
    let missing = || Refused(404, format!("No such exec instance: {id}"));
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
fn run(world: &Shared, id: &str) -> Result<Running, Refused> {
    let mut state = world.state();
    let (task, container, is_raw) = task(&state, world, id)?;
    let (send, output) = mpsc::unbounded_channel();
    let mut child = match task.start() {
        Ok(child) => child,
        Err(program) => {
            let _ = send.send(frame(no_program(&program).as_bytes(), false, is_raw));
            state.execs[id].exit_code = Some(127);
            let input = None;
            return Ok(Running { output, input });
        }
    };
    state.execs[id].is_running = true;
    let group = processes::group(&child);
    state.containers[&container].groups.push(group);
    let input = child.stdin.take();
    follow(world, (id, container), child, (send, is_raw));
    Ok(Running { output, input })
}

/// Returns the task of a created command, its container, and whether it has a terminal.
fn task(state: &State, world: &Shared, id: &str) -> Result<(Task, String, bool), Refused> {
    let missing = || Refused(404, format!("No such exec instance: {id}"));
    let Exec {
        container, wanted, ..
    } = state.execs.get(id).ok_or_else(missing)?;
    let mut task = Task::of(state, container, &world.directory, words(wanted));
    task.input = wanted["AttachStdin"] == true;
    let directory = wanted["WorkingDir"]
        .as_str()
        .filter(|path| !path.is_empty());
    task.directory = directory.map_or(task.directory, Into::into);
    let more = wanted["Env"].as_array().into_iter().flatten();
    task.environment
        .extend(more.filter_map(|it| Some(it.as_str()?.to_owned())));
    Ok((task, container.clone(), wanted["Tty"] == true))
}

fn no_program(program: &str) -> String {
    format!(
        "OCI runtime exec failed: exec failed: exec: \"{program}\": executable file not found in $PATH: unknown\r\n"
    )
}

/// Forwards the output of a command and records its exit code.
fn follow(
    world: &Shared,
    (id, container): (&str, String),
    mut child: Child,
    (send, is_raw): (mpsc::UnboundedSender<Bytes>, bool),
) {
    let (world, id) = (world.clone(), id.to_owned());
    thread::spawn(move || {
        let group = processes::group(&child);
        let to = send.clone();
        let code = processes::follow(&mut child, move |output, is_error| {
            pass(output, is_error, is_raw, &to);
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

fn pass(output: &mut dyn Read, is_error: bool, is_raw: bool, send: &mpsc::UnboundedSender<Bytes>) {
    let mut buffer = [0; 8192];
    while let Ok(read @ 1..) = output.read(&mut buffer) {
        if send.send(frame(&buffer[..read], is_error, is_raw)).is_err() {
            return;
        }
    }
}

/// Starts a command and connects its streams to the client.
pub(super) async fn start(world: &Shared, id: &str, request: Request<Incoming>) -> Answered {
    let is_upgrade = request.headers().contains_key(header::UPGRADE);
    let (mut parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Err(Refused(400, "incomplete request body".to_owned()));
    };
    let wanted: Json = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let running = run(world, id)?;
    if wanted["Detach"] == true {
        return Ok(Response::new(full("")));
    }
    if !is_upgrade {
        let next = |mut output: mpsc::UnboundedReceiver<Bytes>| async move {
            let piece = output.recv().await?;
            Some((piece, output))
        };
        let all = streams::unfold(running.output, next).boxed();
        return Ok(stream(200, "application/vnd.docker.raw-stream", all));
    }
    let on = parts.extensions.remove::<upgrade::OnUpgrade>();
    tokio::spawn(async move {
        if let Some(Ok(upgraded)) = match on {
            Some(on) => Some(on.await),
            None => None,
        } {
            pass_on(TokioIo::new(upgraded), running).await;
        }
    });
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(
        header::CONNECTION,
        header::HeaderValue::from_static("Upgrade"),
    );
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("tcp"));
    Ok(response)
}

async fn pass_on(connection: TokioIo<upgrade::Upgraded>, running: Running) {
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
