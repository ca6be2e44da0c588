//! JSON representation of containers.

use super::daemon::{Container, Endpoint, Image, State, Status, format_time};
use serde_json::{Map as JsonMap, Value as Json, json};

/// Defaults of `HostConfig`, as Docker 20.10 returns them.
const HOST_DEFAULTS: &str = r#"{
    "Binds": null, "ContainerIDFile": "", "LogConfig": { "Type": "json-file", "Config": {} },
    "NetworkMode": "default", "PortBindings": null,
    "RestartPolicy": { "Name": "", "MaximumRetryCount": 0 }, "AutoRemove": false,
    "VolumeDriver": "", "VolumesFrom": null, "CapAdd": null, "CapDrop": null,
    "CgroupnsMode": "host", "Dns": null, "DnsOptions": null, "DnsSearch": null,
    "ExtraHosts": null, "GroupAdd": null, "IpcMode": "private", "Cgroup": "", "Links": null,
    "OomScoreAdj": 0, "PidMode": "", "Privileged": false, "PublishAllPorts": false,
    "ReadonlyRootfs": false, "SecurityOpt": null, "UTSMode": "", "UsernsMode": "",
    "ShmSize": 67108864, "Runtime": "runc", "ConsoleSize": [0, 0], "Isolation": "",
    "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0,
    "BlkioWeightDevice": null, "BlkioDeviceReadBps": null, "BlkioDeviceWriteBps": null,
    "BlkioDeviceReadIOps": null, "BlkioDeviceWriteIOps": null, "CpuPeriod": 0, "CpuQuota": 0,
    "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "",
    "Devices": null, "DeviceCgroupRules": null, "DeviceRequests": null, "KernelMemory": 0,
    "KernelMemoryTCP": 0, "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": null,
    "OomKillDisable": false, "PidsLimit": null, "Ulimits": null, "CpuCount": 0,
    "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0
}"#;

fn host_defaults() -> Json {
    serde_json::from_str(HOST_DEFAULTS).expect("valid JSON")
}

/// Returns the defaults of `Config`.
fn config_defaults() -> Json {
    json!({
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false,
        "AttachStderr": false, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": null,
        "Cmd": null, "Image": "", "Volumes": null, "WorkingDir": "", "Entrypoint": null,
        "OnBuild": null, "Labels": {},
    })
}

/// Overrides the defaults with the requested settings.
fn with_defaults(mut base: Json, requested: &Json) -> Json {
    for (name, value) in requested.as_object().into_iter().flatten() {
        if !value.is_null() {
            base[name] = value.clone();
        }
    }
    base
}

/// Returns the `Config` of a container, merged with that of its image.
pub(super) fn config(requested: &Json, image: &Image, id: &str) -> Json {
    let mut config = with_defaults(config_defaults(), requested);
    for part in ["HostConfig", "NetworkingConfig"] {
        config.as_object_mut().map(|config| config.remove(part));
    }
    if config["Hostname"] == "" {
        config["Hostname"] = id.chars().take(12).collect::<String>().into();
    }
    let inherited = &image.config;
    let is_unset = |value: &Json| value.as_array().is_none_or(Vec::is_empty);
    // An image's command applies only with the image's entry point.
    if is_unset(&config["Cmd"]) && is_unset(&requested["Entrypoint"]) {
        config["Cmd"] = inherited["Cmd"].clone();
    }
    if is_unset(&config["Entrypoint"]) {
        config["Entrypoint"] = inherited["Entrypoint"].clone();
    }
    for name in ["WorkingDir", "User"] {
        if config[name] == "" && inherited[name].is_string() {
            config[name] = inherited[name].clone();
        }
    }
    for name in ["Labels", "ExposedPorts", "Volumes"] {
        if inherited[name].is_object() {
            config[name] = with_defaults(inherited[name].clone(), &config[name]);
        }
    }
    if config["Volumes"].as_object().is_some_and(JsonMap::is_empty) {
        config["Volumes"] = Json::Null;
    }
    let name_of = |it: &Json| {
        it.as_str()
            .and_then(|it| it.split('=').next())
            .map(str::to_owned)
    };
    let given = config["Env"].as_array().cloned().unwrap_or_default();
    let mut environment = inherited["Env"].as_array().cloned().unwrap_or_default();
    environment.retain(|it| !given.iter().any(|other| name_of(other) == name_of(it)));
    environment.splice(0..0, given);
    if !environment.is_empty() {
        config["Env"] = environment.into();
    }
    config
}

/// Returns the `HostConfig` of a container.
pub(super) fn host(requested: &Json) -> Json {
    let mut host = with_defaults(host_defaults(), requested);
    if host["Memory"].as_i64().unwrap_or_default() > 0 && host["MemorySwap"] == 0 {
        host["MemorySwap"] = (host["Memory"].as_i64().unwrap_or_default() * 2).into();
    }
    if host["RestartPolicy"]["MaximumRetryCount"].is_null() {
        host["RestartPolicy"]["MaximumRetryCount"] = 0.into();
    }
    // Values that clients send for unset fields.
    for (name, nothing) in [("MemorySwappiness", -1), ("PidsLimit", 0)] {
        if host[name] == nothing {
            host[name] = Json::Null;
        }
    }
    if host["NetworkMode"] == "" {
        host["NetworkMode"] = "default".into();
    }
    host
}

/// Returns the entry point and command of a container.
pub(super) fn command(config: &Json) -> Vec<String> {
    let texts = |name: &str| {
        let all = config[name].as_array().into_iter().flatten();
        all.filter_map(|it| Some(it.as_str()?.to_owned()))
            .collect::<Vec<_>>()
    };
    [texts("Entrypoint"), texts("Cmd")].concat()
}

fn endpoint(state: &State, name: &str, endpoint: &Endpoint) -> Json {
    let id = super::networks::id_of(state, name).unwrap_or_default();
    let subnet = state
        .networks
        .get(&id)
        .map(|it| it.subnet.clone())
        .unwrap_or_default();
    let is_up = endpoint.address.is_some();
    let when_up = |text: String| if is_up { text } else { String::new() };
    json!({
        "IPAMConfig": endpoint.ipam,
        "Links": endpoint.links,
        "Aliases": endpoint.aliases,
        "NetworkID": when_up(id),
        "EndpointID": endpoint.id,
        "Gateway": when_up(format!("{subnet}.0.1")),
        "IPAddress": endpoint.address.clone().unwrap_or_default(),
        "IPPrefixLen": if is_up { 16 } else { 0 },
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "MacAddress": when_up("02:42:ac:11:00:02".to_owned()),
        "DriverOpts": null,
    })
}

fn endpoints(state: &State, container: &Container) -> JsonMap<String, Json> {
    let all = container.endpoints.iter();
    all.map(|(name, it)| (name.clone(), endpoint(state, name, it)))
        .collect()
}

/// Returns a container as the inspect endpoint does.
pub(super) fn full(state: &State, container: &Container) -> Json {
    let words = command(&container.config);
    let (path, arguments) = words
        .split_first()
        .map_or((String::new(), &[][..]), |(path, rest)| {
            (path.clone(), rest)
        });
    let networks = endpoints(state, container);
    let bridge = networks.get("bridge").cloned().unwrap_or_default();
    let of_bridge = |name: &str| bridge[name].as_str().unwrap_or_default().to_owned();
    let mut shown = json!({
        "Id": container.id,
        "Created": format_time(Some(container.created)),
        "Path": path,
        "Args": arguments,
        "State": state_json(container),
        "Image": container.image,
        "Name": format!("/{}", container.name),
        "RestartCount": container.restarts,
        "Driver": "overlay2",
        "Platform": "linux",
        "ExecIDs": null,
        "HostConfig": container.host,
        "Mounts": container.mounts,
        "Config": container.config,
        "NetworkSettings": {
            "Bridge": "",
            "Ports": container.ports,
            "EndpointID": of_bridge("EndpointID"),
            "Gateway": of_bridge("Gateway"),
            "IPAddress": of_bridge("IPAddress"),
            "MacAddress": of_bridge("MacAddress"),
            "Networks": networks,
        },
    });
    if let Some(health) = &container.health {
        shown["State"]["Health"] = json!({
            "Status": health.status,
            "FailingStreak": health.failing,
            "Log": health.log,
        });
    }
    shown
}

fn state_json(container: &Container) -> Json {
    let status = container.status;
    json!({
        "Status": status.as_str(),
        "Running": status.is_running(),
        "Paused": status == Status::Paused,
        "Restarting": status == Status::Restarting,
        "OOMKilled": false,
        "Dead": false,
        "Pid": container.groups.first().copied().unwrap_or_default(),
        "ExitCode": container.exit_code,
        "Error": container.error,
        "StartedAt": format_time(container.started),
        "FinishedAt": format_time(container.finished),
    })
}

/// Returns a container as the list endpoint does.
pub(super) fn summary(state: &State, container: &Container) -> Json {
    let ports = container.ports.iter().flat_map(|(port, bindings)| {
        let (number, kind) = port.split_once('/').unwrap_or((port, "tcp"));
        let number: u16 = number.parse().unwrap_or_default();
        let all = bindings.as_array().cloned().unwrap_or_default();
        all.into_iter().map(move |it| {
            let public: u16 = it["HostPort"]
                .as_str()
                .and_then(|it| it.parse().ok())
                .unwrap_or_default();
            json!({ "IP": it["HostIp"], "PrivatePort": number, "PublicPort": public, "Type": kind })
        })
    });
    json!({
        "Id": container.id,
        "Names": [format!("/{}", container.name)],
        "Image": container.config["Image"],
        "ImageID": container.image,
        "Command": command(&container.config).join(" "),
        "Created": container.created.as_second(),
        "Ports": ports.collect::<Vec<_>>(),
        "Labels": container.config["Labels"],
        "State": container.status.as_str(),
        "Status": status_text(container),
        "HostConfig": { "NetworkMode": container.host["NetworkMode"] },
        "NetworkSettings": { "Networks": endpoints(state, container) },
        "Mounts": container.mounts,
    })
}

fn status_text(container: &Container) -> String {
    let health = container
        .health
        .as_ref()
        .map(|it| format!(" ({})", it.status))
        .unwrap_or_default();
    match container.status {
        Status::Created => "Created".to_owned(),
        Status::Running => format!("Up 1 second{health}"),
        Status::Paused => "Up 1 second (Paused)".to_owned(),
        Status::Restarting => format!("Restarting ({}) 1 second ago", container.exit_code),
        Status::Exited => format!("Exited ({}) 1 second ago", container.exit_code),
    }
}
