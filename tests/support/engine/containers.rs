//! Containers and what happens to them.

use super::{
    body::{Answered, Refused, done, json_of, line, ok, stream, unchanged},
    images, networks,
    processes::{self, Task, kill_group},
    routes::{Asked, has_labels},
    shown, volumes,
    world::{Container, Health, Shared, State, Status, World, Written, random_id, time},
};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream as streams;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{collections::HashMap, net::TcpListener, thread, time::Duration};

pub(super) fn create(world: &World, asked: &Asked) -> Answered {
    let wanted = asked.json()?;
    let mut state = world.state();
    let id = random_id();
    let name = match asked.query("name").filter(|name| !name.is_empty()) {
        Some(name) => name.trim_start_matches('/').to_owned(),
        None => format!("fake_{}", &id[..8]),
    };
    refuse_taken(&state, &name)?;
    let named = wanted["Image"].as_str().unwrap_or_default();
    let image = images::id_of(&state, named)?;
    let config = shown::config(&wanted, &state.images[&image], &id);
    let host = shown::host(&wanted["HostConfig"]);
    let mounts = mounts(&mut state, world, &config, &host)?;
    let mode = host["NetworkMode"].as_str().unwrap_or_default();
    let mut endpoints = IndexMap::new();
    if !mode.starts_with("container:") {
        let name = if mode == "default" { "bridge" } else { mode };
        let name = networks::id_of(&state, name)
            .map_or_else(|_| name.to_owned(), |id| state.networks[&id].name.clone());
        let given = wanted["NetworkingConfig"]["EndpointsConfig"].as_object();
        let of_mode = given
            .and_then(|all| all.get(mode))
            .cloned()
            .unwrap_or_default();
        endpoints.insert(name, networks::endpoint(&of_mode));
        for (name, wanted) in given
            .into_iter()
            .flatten()
            .filter(|(name, _)| *name != mode)
        {
            endpoints.insert(name.clone(), networks::endpoint(wanted));
        }
    }
    let container = Container {
        id: id.clone(),
        name,
        created: Timestamp::now(),
        config,
        host,
        image,
        status: Status::Created,
        exit_code: 0,
        error: String::new(),
        started: None,
        finished: None,
        health: None,
        restarts: 0,
        stopped: false,
        groups: Vec::new(),
        endpoints,
        mounts,
        ports: JsonMap::new(),
        log: Vec::new(),
        run: 0,
    };
    state.containers.insert(id.clone(), container);
    state.tell_of(&id, "create", &json!({}));
    Ok(json_of(201, &json!({ "Id": id, "Warnings": [] })))
}

fn refuse_taken(state: &State, name: &str) -> Result<(), Refused> {
    let mut all = state.containers.values();
    let Some(other) = all.find(|it| it.name == name) else {
        return Ok(());
    };
    Err(Refused::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
        other.id
    )))
}

/// The mounts of a container; volumes are made.
fn mounts(
    state: &mut State,
    world: &World,
    config: &Json,
    host: &Json,
) -> Result<Vec<Json>, Refused> {
    let mut mounts: Vec<Json> = Vec::new();
    let directory = &world.directory;
    let texts = |list: &Json| {
        let all = list.as_array().cloned().unwrap_or_default();
        all.iter()
            .filter_map(|it| Some(it.as_str()?.to_owned()))
            .collect::<Vec<_>>()
    };
    let volume = |state: &mut State, name: Option<&str>, to: &str, wanted: &Json| {
        let name = volumes::ensure(state, directory, name, wanted);
        json!({
            "Type": "volume", "Name": name, "Source": volumes::data(directory, &name),
            "Destination": to, "Driver": "local", "Mode": "z", "RW": true, "Propagation": "",
        })
    };
    let bind = |from: &str, to: &str, mode: &str| {
        json!({
            "Type": "bind", "Source": from, "Destination": to, "Mode": mode,
            "RW": !mode.split(',').any(|it| it == "ro"), "Propagation": "rprivate",
        })
    };
    for written in texts(&host["Binds"]) {
        let parts: Vec<&str> = written.split(':').collect();
        let mode = parts.get(2).copied().unwrap_or_default();
        match parts[..] {
            [from, to, ..] if from.starts_with('/') => {
                let _ = std::fs::create_dir_all(from);
                mounts.push(bind(from, to, mode));
            }
            [name, to, ..] => mounts.push(volume(state, Some(name), to, &json!({}))),
            _ => {
                return Err(Refused(
                    400,
                    format!("invalid volume specification: '{written}'"),
                ));
            }
        }
    }
    for wanted in host["Mounts"].as_array().cloned().unwrap_or_default() {
        let text = |name: &str| wanted[name].as_str().unwrap_or_default().to_owned();
        let (from, to) = (text("Source"), text("Target"));
        mounts.push(match text("Type").as_str() {
            "bind" => bind(&from, &to, ""),
            "tmpfs" => json!({ "Type": "tmpfs", "Destination": to, "RW": true, "Source": "" }),
            _ => volume(
                state,
                Some(from.as_str()).filter(|it| !it.is_empty()),
                &to,
                &wanted["VolumeOptions"],
            ),
        });
    }
    for from in texts(&host["VolumesFrom"]) {
        let other = state.container_id(from.split(':').next().unwrap_or_default())?;
        let taken: Vec<Json> = state.containers[&other].mounts.clone();
        mounts.extend(taken);
    }
    let declared: Vec<String> = config["Volumes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(to, _)| to.clone())
        .collect();
    for to in declared {
        if !mounts.iter().any(|it| it["Destination"] == to.as_str()) {
            mounts.push(volume(state, None, &to, &json!({})));
        }
    }
    Ok(mounts)
}

pub(super) fn inspect(world: &World, name: &str) -> Answered {
    let state = world.state();
    let id = state.container_id(name)?;
    ok(&shown::whole(&state, &state.containers[&id]))
}

pub(super) fn list(world: &World, asked: &Asked) -> Answered {
    let (state, filters) = (world.state(), asked.filters());
    let is_all = asked.is_set("all") || filters.contains_key("status");
    let mut found: Vec<&Container> = state
        .containers
        .values()
        .filter(|it| is_all || it.status.is_running())
        .filter(|it| is_meant(&state, it, &filters))
        .collect();
    // The newest comes first.
    found.reverse();
    let all: Vec<Json> = found
        .into_iter()
        .map(|it| shown::brief(&state, it))
        .collect();
    ok(&Json::from(all))
}

fn is_meant(state: &State, it: &Container, filters: &HashMap<String, Vec<String>>) -> bool {
    let matches = |name: &str, test: &dyn Fn(&str) -> bool| {
        let wanted = filters.get(name);
        wanted.is_none_or(|all| all.iter().any(|it| test(it)))
    };
    let is_named = |pattern: &str| {
        let pattern = fancy_regex::Regex::new(pattern).expect("it is a pattern");
        let fits = |name: &str| pattern.is_match(name).unwrap_or_default();
        fits(&it.name) || fits(&format!("/{}", it.name))
    };
    let is_on = |network: &str| {
        let name = networks::id_of(state, network).map(|id| state.networks[&id].name.clone());
        name.is_ok_and(|name| it.endpoints.contains_key(&name))
    };
    matches("name", &is_named)
        && matches("id", &|id| it.id.starts_with(id))
        && matches("status", &|status| it.status.as_str() == status)
        && matches("network", &is_on)
        && matches("volume", &|volume| {
            it.mounts
                .iter()
                .any(|it| it["Name"] == volume || it["Destination"] == volume)
        })
        && matches("ancestor", &|image| {
            images::id_of(state, image).is_ok_and(|id| id == it.image)
        })
        && has_labels(&it.config["Labels"], filters.get("label"))
}

pub(super) fn start(world: &Shared, name: &str) -> Answered {
    let id = {
        let state = world.state();
        let id = state.container_id(name)?;
        match state.containers[&id].status {
            Status::Running | Status::Restarting => return unchanged(),
            Status::Paused => {
                return Err(Refused::conflict(
                    "cannot start a paused container, try unpause instead",
                ));
            }
            Status::Created | Status::Exited => id,
        }
    };
    launch(world, &id)?;
    done()
}

/// Starts a container's process.
fn launch(world: &Shared, id: &str) -> Result<(), Refused> {
    let mut state = world.state();
    let begun = begin(&mut state, world, id);
    if let Err(refused) = &begun {
        // Who is refused for the lack of a program was started all the same.
        if let Some(it) = state.containers.get_mut(id) {
            it.error.clone_from(&refused.1);
            it.ports.clear();
            it.exit_code = if refused.1.contains("executable file") {
                127
            } else {
                128
            };
        }
        networks::pull_out(&mut state, id);
    }
    begun
}

fn begin(state: &mut State, world: &Shared, id: &str) -> Result<(), Refused> {
    require_partners(state, id)?;
    networks::plug_in(state, id)?;
    let ports = ports(state, id)?;
    let words = shown::words(&state.containers[id].config);
    let task = Task::of(state, id, &world.directory, words);
    let mut child = task.start().map_err(|program| {
        Refused(400, format!("OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"{program}\": executable file not found in $PATH: unknown"))
    })?;
    let it = &mut state.containers[id];
    it.ports = ports;
    it.status = Status::Running;
    it.groups = vec![processes::group(&child)];
    (it.exit_code, it.stopped) = (0, false);
    it.error.clear();
    it.started = Some(Timestamp::now());
    it.run += 1;
    let run = it.run;
    let check = it.config["Healthcheck"].clone();
    it.health = is_check(&check).then(|| Health {
        status: "starting",
        failing: 0,
        log: Vec::new(),
    });
    state.tell_of(id, "start", &json!({}));
    let streams: [(Option<Box<dyn std::io::Read + Send>>, bool); 2] = [
        (child.stdout.take().map(|it| Box::new(it) as _), false),
        (child.stderr.take().map(|it| Box::new(it) as _), true),
    ];
    let readers = streams.map(|(output, is_error)| {
        let (world, id) = (world.clone(), id.to_owned());
        thread::spawn(move || {
            output.map(|output| processes::keep_log(&world, &id, output, is_error))
        })
    });
    let (shared, id) = (world.clone(), id.to_owned());
    let waiting = id.clone();
    let runtime = tokio::runtime::Handle::current();
    thread::spawn(move || {
        let group = processes::group(&child);
        let code = processes::exit_code(&mut child);
        kill_group(group);
        // One that panicked has read what there was.
        let _ = readers.map(thread::JoinHandle::join);
        let _guard = runtime.enter();
        ended(&shared, &waiting, run, code);
    });
    if is_check(&check) {
        tokio::spawn(watch_health(world.clone(), id, run, check));
    }
    Ok(())
}

/// Whose network, process or links a container uses has to run.
fn require_partners(state: &State, id: &str) -> Result<(), Refused> {
    let it = &state.containers[id];
    for field in ["NetworkMode", "IpcMode", "PidMode"] {
        let mode = it.host[field].as_str().unwrap_or_default();
        let Some(other) = mode.strip_prefix("container:") else {
            continue;
        };
        let other = state.container_id(other)?;
        if !state.containers[&other].status.is_running() {
            let message = format!("cannot join network of a non running container: {other}");
            return Err(Refused::conflict(message));
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
            return Err(Refused(500, message));
        }
    }
    Ok(())
}

/// The ports of the machine that a container gets.
fn ports(state: &State, id: &str) -> Result<JsonMap<String, Json>, Refused> {
    let mut given = JsonMap::new();
    let it = &state.containers[id];
    let is_taken = |port: &str| {
        let mut others = state
            .containers
            .values()
            .filter(|other| other.status.is_running());
        let has = |bindings: &Json| {
            let mut all = bindings.as_array().into_iter().flatten();
            all.any(|it| it["HostPort"] == port)
        };
        others.any(|other| other.ports.values().any(has))
    };
    let is_busy = |port: &str| TcpListener::bind(format!("0.0.0.0:{port}")).is_err();
    let exposed = it.config["ExposedPorts"].as_object();
    for port in exposed.into_iter().flatten().map(|(port, _)| port) {
        given.insert(port.clone(), Json::Null);
    }
    for (port, wanted) in it.host["PortBindings"].as_object().into_iter().flatten() {
        let mut all = Vec::new();
        for binding in wanted.as_array().into_iter().flatten() {
            let host = binding["HostPort"].as_str().unwrap_or_default();
            let address = binding["HostIp"]
                .as_str()
                .filter(|it| !it.is_empty())
                .unwrap_or("0.0.0.0");
            let found = match host.split_once('-') {
                _ if host.is_empty() || host == "0" => free_port().to_string(),
                Some((first, last)) => {
                    let (first, last) = (first.parse().unwrap_or(1), last.parse().unwrap_or(1));
                    let mut range = (first..=last).map(|port: u16| port.to_string());
                    let free = range.find(|port| !is_taken(port) && !is_busy(port));
                    free.ok_or_else(|| Refused(500, "driver failed programming external connectivity: all ports are allocated".to_owned()))?
                }
                None if is_taken(host) => {
                    let message = format!(
                        "driver failed programming external connectivity on endpoint {}: Bind for {address}:{host} failed: port is already allocated",
                        it.name
                    );
                    return Err(Refused(500, message));
                }
                None if is_busy(host) => {
                    let message = format!(
                        "driver failed programming external connectivity on endpoint {}: Error starting userland proxy: listen tcp4 {address}:{host}: bind: address already in use",
                        it.name
                    );
                    return Err(Refused(500, message));
                }
                None => host.to_owned(),
            };
            all.push(json!({ "HostIp": address, "HostPort": found }));
        }
        given.insert(port.clone(), all.into());
    }
    Ok(given)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").and_then(|it| it.local_addr());
    listener.map(|it| it.port()).unwrap_or_default()
}

/// A container's process ended.
fn ended(world: &Shared, id: &str, run: u64, code: i64) {
    let restarts = {
        let mut state = world.state();
        let Some(it) = state.containers.get_mut(id).filter(|it| it.run == run) else {
            return;
        };
        it.groups.drain(..).for_each(kill_group);
        it.exit_code = code;
        it.finished = Some(Timestamp::now());
        it.ports.clear();
        let restarts = is_restarted(it);
        it.status = if restarts {
            Status::Restarting
        } else {
            Status::Exited
        };
        let removes = !restarts && it.host["AutoRemove"] == true;
        networks::pull_out(&mut state, id);
        state.tell_of(id, "die", &json!({ "exitCode": code.to_string() }));
        if removes {
            destroy(&mut state, world, id, true);
        }
        restarts
    };
    if restarts {
        tokio::spawn(again(world.clone(), id.to_owned(), run));
    }
}

fn is_restarted(it: &Container) -> bool {
    let policy = &it.host["RestartPolicy"];
    let most = policy["MaximumRetryCount"].as_u64().unwrap_or_default();
    match policy["Name"].as_str().unwrap_or_default() {
        _ if it.stopped => false,
        "always" | "unless-stopped" => true,
        "on-failure" => it.exit_code != 0 && (most == 0 || it.restarts < most),
        _ => false,
    }
}

/// Starts a container again, after a pause that grows.
async fn again(world: Shared, id: String, run: u64) {
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

/// Ends a container's process: by a signal first, and by force after so long. Whether it ran.
async fn halt(world: &Shared, id: &str, first: Option<i32>, within: Duration) -> bool {
    let group = {
        let mut state = world.state();
        let it = &mut state.containers[id];
        it.stopped = true;
        if it.status == Status::Restarting {
            it.status = Status::Exited;
            return true;
        }
        if !it.status.is_running() {
            return false;
        }
        let group = it.groups.first().copied().unwrap_or_default();
        let kind = first.unwrap_or(9);
        if it.status == Status::Paused {
            processes::signal(group, 18);
        }
        state.tell_of(id, "kill", &json!({ "signal": kind.to_string() }));
        group
    };
    processes::signal(group, first.unwrap_or(9));
    let gone = || async {
        let is_down = |state: &State| {
            let it = state.containers.get(id);
            it.is_none_or(|it| !it.status.is_running()).then_some(())
        };
        world.when(is_down).await;
    };
    if tokio::time::timeout(within, gone()).await.is_err() {
        world.state().tell_of(id, "kill", &json!({ "signal": "9" }));
        processes::signal(group, 9);
        gone().await;
    }
    true
}

/// Longest wait for a container that does not heed the signal to stop. Real ones wait as long as they
/// are told; here that only takes the tests' time.
const PATIENCE: Duration = Duration::from_millis(500);

/// The signal and the time by which a container is stopped.
fn manner(world: &World, id: &str, asked: &Asked) -> (i32, Duration) {
    let state = world.state();
    let config = &state.containers[id].config;
    let given = asked.query("t").and_then(|it| it.parse().ok());
    let seconds: i64 = given.or(config["StopTimeout"].as_i64()).unwrap_or(10);
    let signal = processes::signal_number(config["StopSignal"].as_str().unwrap_or("TERM"));
    // A negative one waits without end.
    let within = u64::try_from(seconds).map_or(PATIENCE, Duration::from_secs);
    (signal, within.min(PATIENCE))
}

pub(super) async fn stop(world: &Shared, name: &str, asked: &Asked) -> Answered {
    let id = world.state().container_id(name)?;
    let (signal, within) = manner(world, &id, asked);
    if !halt(world, &id, Some(signal), within).await {
        return unchanged();
    }
    world.state().tell_of(&id, "stop", &json!({}));
    done()
}

pub(super) async fn restart(world: &Shared, name: &str, asked: &Asked) -> Answered {
    let id = world.state().container_id(name)?;
    let (signal, within) = manner(world, &id, asked);
    // One that the engine removes when it ends is kept for this.
    let removes = std::mem::replace(
        &mut world.state().containers[&id].host["AutoRemove"],
        false.into(),
    );
    if halt(world, &id, Some(signal), within).await {
        world.state().tell_of(&id, "stop", &json!({}));
    }
    if let Some(it) = world.state().containers.get_mut(&id) {
        it.host["AutoRemove"] = removes;
    }
    launch(world, &id)?;
    world.state().tell_of(&id, "restart", &json!({}));
    done()
}

pub(super) async fn kill(world: &Shared, name: &str, asked: &Asked) -> Answered {
    let number = processes::signal_number(asked.query("signal").unwrap_or("KILL"));
    let (id, group) = {
        let mut state = world.state();
        let id = state.container_id(name)?;
        let it = &mut state.containers[&id];
        if !it.status.is_running() {
            let message = format!("Cannot kill container: {name}: Container {id} is not running");
            return Err(Refused::conflict(message));
        }
        it.stopped |= number == 9 || number == 15;
        let group = it.groups.first().copied().unwrap_or_default();
        state.tell_of(&id, "kill", &json!({ "signal": number.to_string() }));
        (id, group)
    };
    processes::signal(group, number);
    if number == 9 {
        let is_down = |state: &State| {
            let it = state.containers.get(&id);
            it.is_none_or(|it| !it.status.is_running()).then_some(())
        };
        world.when(is_down).await;
    }
    done()
}

pub(super) fn pause(world: &World, name: &str, pauses: bool) -> Answered {
    let mut state = world.state();
    let id = state.container_id(name)?;
    let it = &mut state.containers[&id];
    let (from, to, action, number) = if pauses {
        (Status::Running, Status::Paused, "pause", 19)
    } else {
        (Status::Paused, Status::Running, "unpause", 18)
    };
    if it.status != from {
        return Err(Refused::conflict(format!(
            "Container {id} is not {}",
            from.as_str()
        )));
    }
    it.status = to;
    let groups = it.groups.clone();
    for group in groups {
        processes::signal(group, number);
    }
    state.tell_of(&id, action, &json!({}));
    done()
}

pub(super) fn rename(world: &World, name: &str, asked: &Asked) -> Answered {
    let mut state = world.state();
    let id = state.container_id(name)?;
    let new = asked
        .query("name")
        .unwrap_or_default()
        .trim_start_matches('/')
        .to_owned();
    refuse_taken(&state, &new)?;
    let old = std::mem::replace(&mut state.containers[&id].name, new);
    state.tell_of(&id, "rename", &json!({ "oldName": format!("/{old}") }));
    done()
}

pub(super) fn update(world: &World, name: &str, asked: &Asked) -> Answered {
    let wanted = asked.json()?;
    let mut state = world.state();
    let id = state.container_id(name)?;
    let it = &mut state.containers[&id];
    for (field, value) in wanted.as_object().into_iter().flatten() {
        // What is 0 is not asked for.
        if !value.is_null() && *value != 0 {
            it.host[field] = value.clone();
        }
    }
    state.tell_of(&id, "update", &json!({}));
    ok(&json!({ "Warnings": null }))
}

/// Answers at once, and says how the container ended when it does.
pub(super) fn wait(world: &Shared, name: &str, asked: &Asked) -> Answered {
    let id = world.state().container_id(name)?;
    let condition = asked.query("condition").unwrap_or("not-running").to_owned();
    let run = world.state().containers[&id].run;
    let world = world.clone();
    let code = async move {
        let code = world
            .when(|state| {
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
        line(&json!({ "StatusCode": code, "Error": null }))
    };
    Ok(stream(200, "application/json", streams::once(code)))
}

pub(super) async fn remove(world: &Shared, name: &str, asked: &Asked) -> Answered {
    let id = {
        let state = world.state();
        let id = state.container_id(name)?;
        let it = &state.containers[&id];
        if it.status.is_running() && !asked.is_set("force") {
            return Err(Refused::conflict(format!(
                "You cannot remove a {} container {id}. Stop the container before attempting removal or force remove",
                it.status.as_str()
            )));
        }
        id
    };
    halt(world, &id, None, Duration::from_secs(10)).await;
    let mut state = world.state();
    if state.containers.contains_key(&id) {
        destroy(&mut state, world, &id, asked.is_set("v"));
    }
    done()
}

/// Forgets a container, and with `volumes` those that only it has a name for.
fn destroy(state: &mut State, world: &World, id: &str, volumes: bool) {
    state.tell_of(id, "destroy", &json!({}));
    let Some(it) = state.containers.shift_remove(id) else {
        return;
    };
    let _ = std::fs::remove_dir_all(world.directory.join("containers").join(id));
    for name in it.mounts.iter().filter_map(|it| it["Name"].as_str()) {
        let is_free = state.volumes.get(name).is_some_and(|it| it.is_anonymous)
            && !state
                .containers
                .values()
                .any(|it| it.mounts.iter().any(|it| it["Name"] == name));
        if volumes && is_free {
            volumes::drop_volume(state, &world.directory, name);
        }
    }
}

pub(super) fn top(world: &World, name: &str) -> Answered {
    let state = world.state();
    let id = state.container_id(name)?;
    let it = &state.containers[&id];
    if !it.status.is_running() {
        return Err(Refused::conflict(format!("Container {id} is not running")));
    }
    let row = |(number, command): (i32, String)| {
        json!([
            "root",
            number.to_string(),
            "1",
            "0",
            "00:00",
            "?",
            "00:00:00",
            command
        ])
    };
    let all: Vec<Json> = processes::running(&it.groups)
        .into_iter()
        .map(row)
        .collect();
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
    ok(&json!({ "Titles": titles, "Processes": all }))
}

/// What a container wrote, and with `follow` what it writes until it ends.
pub(super) fn logs(world: &Shared, name: &str, asked: &Asked) -> Answered {
    let id = world.state().container_id(name)?;
    let (raw, run, first) = {
        let state = world.state();
        let it = &state.containers[&id];
        let tail = asked.query("tail").and_then(|it| it.parse::<usize>().ok());
        let first = tail.map_or(0, |tail| it.log.len().saturating_sub(tail));
        (it.config["Tty"] == true, it.run, first)
    };
    let since: f64 = asked
        .query("since")
        .and_then(|it| it.parse().ok())
        .unwrap_or_default();
    let wanted = (asked.is_set("stdout"), asked.is_set("stderr"));
    let (follows, stamps) = (asked.is_set("follow"), asked.is_set("timestamps"));
    let next = move |(world, id, at): (Shared, String, usize)| async move {
        let found = world
            .when(|state| {
                let Some(it) = state.containers.get(&id) else {
                    return Some(None);
                };
                let is_over = !follows || !it.status.is_running() || it.run != run;
                match it.log.get(at) {
                    Some(written) => Some(Some(written.clone())),
                    None => is_over.then_some(None),
                }
            })
            .await;
        let written = found?;
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let is_old = (written.at.as_second() as f64) < since;
        let is_wanted = if written.is_error { wanted.1 } else { wanted.0 };
        let piece = if is_old || !is_wanted {
            Bytes::new()
        } else {
            framed(&written, stamps, raw)
        };
        Some((piece, (world, id, at + 1)))
    };
    let kind = "application/vnd.docker.raw-stream";
    Ok(stream(
        200,
        kind,
        streams::unfold((world.clone(), id, first), next),
    ))
}

fn framed(written: &Written, stamps: bool, raw: bool) -> Bytes {
    let stamp = if stamps {
        format!("{} ", time(Some(written.at)))
    } else {
        String::new()
    };
    let bytes = [stamp.as_bytes(), &written.bytes].concat();
    frame(&bytes, written.is_error, raw)
}

/// Bytes of a stream, with the head that names it unless they come from a terminal.
pub(super) fn frame(bytes: &[u8], is_error: bool, raw: bool) -> Bytes {
    let mut framed = BytesMut::new();
    if !raw {
        framed.put_slice(&[1 + u8::from(is_error), 0, 0, 0]);
        framed.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    }
    framed.put_slice(bytes);
    framed.freeze()
}

/// Whether a check of health is wanted.
fn is_check(check: &Json) -> bool {
    let first = check["Test"][0].as_str();
    first.is_some_and(|first| first != "NONE" && !first.is_empty())
}

/// Runs the check of health of a container for as long as it runs.
async fn watch_health(world: Shared, id: String, run: u64, check: Json) {
    let time = |name: &str, otherwise: u64| {
        let given = check[name].as_u64().filter(|given| *given > 0);
        Duration::from_nanos(given.unwrap_or(otherwise * 1_000_000_000))
    };
    let words: Vec<String> = {
        let all = check["Test"].as_array().into_iter().flatten();
        let all: Vec<String> = all.filter_map(|it| Some(it.as_str()?.to_owned())).collect();
        match all[0].as_str() {
            "CMD-SHELL" => vec!["sh".to_owned(), "-c".to_owned(), all[1..].join(" ")],
            _ => all[1..].to_vec(),
        }
    };
    let retries = check["Retries"].as_u64().filter(|it| *it > 0).unwrap_or(3);
    loop {
        tokio::time::sleep(time("Interval", 30)).await;
        let task = {
            let state = world.state();
            let is_up = state
                .containers
                .get(&id)
                .is_some_and(|it| it.run == run && it.status.is_running());
            if !is_up {
                return;
            }
            Task::of(&state, &id, &world.directory, words.clone())
        };
        let checked = tokio::task::spawn_blocking(move || {
            let output = task.start().ok()?.wait_with_output().ok()?;
            Some((
                output.status.code().unwrap_or(1),
                String::from_utf8_lossy(&output.stdout).into_owned(),
            ))
        });
        let (code, said) = checked.await.ok().flatten().unwrap_or((1, String::new()));
        let mut state = world.state();
        let Some(it) = state.containers.get_mut(&id).filter(|it| it.run == run) else {
            return;
        };
        let Some(health) = it.health.as_mut() else {
            return;
        };
        let before = health.status;
        health.log.push(json!({ "ExitCode": code, "Output": said }));
        health.failing = if code == 0 { 0 } else { health.failing + 1 };
        health.status = match health.failing {
            0 => "healthy",
            n if n >= retries => "unhealthy",
            _ => before,
        };
        let status = health.status;
        if status != before {
            state.tell_of(&id, &format!("health_status: {status}"), &json!({}));
        }
    }
}
