//! The arguments that docker-py takes, and where the engine wants them.
//!
//! One table drives conversion and diagnostics: adding an argument is one line. The names are the
//! union of all releases of the library that a blueprint may have been written for; the conversions
//! are those of its newest one, except where YAML cannot say what Python can (a list stands for a tuple).

use super::convert::{Fault, Form, convert};
use crate::{
    diagnostic::nearest,
    model::function::{holds_call, is_call},
};
use serde_json::{Map as JsonMap, Value as Json};

/// Where an argument may be given.
const CREATE: u8 = 1;
const HOST: u8 = 2;
const START: u8 = 4;
const STOP: u8 = 8;
const REMOVE: u8 = 16;
/// Host arguments that `create` itself took in old releases.
const LEGACY: u8 = CREATE | HOST;
/// Host arguments that `start` took in old releases.
const BOTH: u8 = HOST | START;

/// Where the converted value goes.
#[derive(Clone, Copy)]
enum Target {
    /// A field of the request's body.
    Body(&'static str),
    /// A field of `HostConfig`.
    Host(&'static str),
    /// A parameter of the query.
    Query(&'static str),
    /// Understood elsewhere: the name, the image, what is attached, waits.
    Special,
    /// Accepted, with a warning that says why it does nothing.
    Nothing(&'static str),
}

struct Argument {
    name: &'static str,
    places: u8,
    target: Target,
    form: Form,
    /// Not sent when empty, zero or false.
    skip_empty: bool,
}

const fn sent(name: &'static str, places: u8, target: Target, form: Form) -> Argument {
    Argument { name, places, target, form, skip_empty: false }
}

const fn full(name: &'static str, places: u8, target: Target, form: Form) -> Argument {
    Argument { name, places, target, form, skip_empty: true }
}

use Form as F;
use Target::{Body, Host, Nothing, Query, Special};

const TABLE: &[Argument] = &[
    sent("image", CREATE, Special, F::Text),
    sent("name", CREATE, Special, F::Text),
    sent("command", CREATE, Body("Cmd"), F::Words),
    sent("entrypoint", CREATE, Body("Entrypoint"), F::Words),
    sent("hostname", CREATE, Body("Hostname"), F::Text),
    sent("domainname", CREATE, Body("Domainname"), F::Text),
    sent("user", CREATE, Body("User"), F::Text),
    sent("detach", CREATE, Special, F::Bool),
    sent("stdin_open", CREATE, Special, F::Bool),
    sent("tty", CREATE, Body("Tty"), F::Bool),
    sent("ports", CREATE, Body("ExposedPorts"), F::Ports),
    sent("environment", CREATE, Body("Env"), F::Environment),
    sent("volumes", CREATE, Body("Volumes"), F::Volumes),
    sent("network_disabled", CREATE, Body("NetworkDisabled"), F::Bool),
    sent("working_dir", CREATE, Body("WorkingDir"), F::Text),
    sent("mac_address", CREATE, Body("MacAddress"), F::Text),
    sent("labels", CREATE, Body("Labels"), F::Labels),
    sent("stop_signal", CREATE, Body("StopSignal"), F::Text),
    sent("stop_timeout", CREATE, Body("StopTimeout"), F::Int),
    sent("healthcheck", CREATE, Body("Healthcheck"), F::Healthcheck),
    sent("networking_config", CREATE, Body("NetworkingConfig"), F::Networking),
    sent("host_config", CREATE, Special, F::Raw),
    sent("platform", CREATE, Query("platform"), F::Text),
    sent("use_config_proxy", CREATE, Nothing("proxies of the client's configuration are never added"), F::Bool),
    sent("processes_to_wait_for", CREATE | START, Special, F::Strings),
    sent("cpuset", CREATE, Host("CpusetCpus"), F::Text),
    sent("mem_limit", LEGACY, Host("Memory"), F::Bytes),
    sent("memswap_limit", LEGACY, Host("MemorySwap"), F::Bytes),
    full("cpu_shares", LEGACY, Host("CpuShares"), F::Int),
    sent("dns", LEGACY | START, Host("Dns"), F::Strings),
    sent("volumes_from", LEGACY | START, Host("VolumesFrom"), F::VolumesFrom),
    sent("volume_driver", LEGACY, Host("VolumeDriver"), F::Text),
    sent("runtime", LEGACY, Host("Runtime"), F::Text),
    sent("binds", BOTH, Host("Binds"), F::Binds),
    sent("port_bindings", BOTH, Host("PortBindings"), F::PortBindings),
    full("publish_all_ports", BOTH, Host("PublishAllPorts"), F::Bool),
    sent("links", BOTH, Host("Links"), F::Links),
    full("privileged", BOTH, Host("Privileged"), F::Bool),
    full("dns_search", BOTH, Host("DnsSearch"), F::Strings),
    sent("dns_opt", HOST, Host("DnsOptions"), F::Strings),
    sent("network_mode", BOTH, Host("NetworkMode"), F::Text),
    sent("restart_policy", BOTH, Host("RestartPolicy"), F::RestartPolicy),
    full("cap_add", BOTH, Host("CapAdd"), F::Strings),
    full("cap_drop", BOTH, Host("CapDrop"), F::Strings),
    sent("devices", BOTH, Host("Devices"), F::Devices),
    sent("extra_hosts", BOTH, Host("ExtraHosts"), F::ExtraHosts),
    sent("lxc_conf", BOTH, Nothing("engines have no LXC driver any more"), F::Raw),
    sent("read_only", BOTH, Host("ReadonlyRootfs"), F::Bool),
    full("pid_mode", BOTH, Host("PidMode"), F::Text),
    full("ipc_mode", BOTH, Host("IpcMode"), F::Text),
    full("uts_mode", HOST, Host("UTSMode"), F::OnlyHost),
    full("userns_mode", HOST, Host("UsernsMode"), F::OnlyHost),
    full("cgroupns", HOST, Host("CgroupnsMode"), F::Text),
    sent("security_opt", BOTH, Host("SecurityOpt"), F::StringList),
    sent("ulimits", BOTH, Host("Ulimits"), F::Ulimits),
    sent("log_config", HOST, Host("LogConfig"), F::LogConfig),
    full("mem_reservation", HOST, Host("MemoryReservation"), F::Bytes),
    full("kernel_memory", HOST, Host("KernelMemory"), F::Bytes),
    sent("mem_swappiness", HOST, Host("MemorySwappiness"), F::Int),
    sent("shm_size", HOST, Host("ShmSize"), F::Bytes),
    full("cpu_period", HOST, Host("CpuPeriod"), F::Int),
    full("cpu_quota", HOST, Host("CpuQuota"), F::Int),
    full("cpuset_cpus", HOST, Host("CpusetCpus"), F::Text),
    full("cpuset_mems", HOST, Host("CpusetMems"), F::Text),
    full("nano_cpus", HOST, Host("NanoCpus"), F::Int),
    full("cpu_count", HOST, Host("CpuCount"), F::Int),
    full("cpu_percent", HOST, Host("CpuPercent"), F::Int),
    full("isolation", HOST, Host("Isolation"), F::Text),
    full("cpu_rt_period", HOST, Host("CpuRealtimePeriod"), F::Int),
    full("cpu_rt_runtime", HOST, Host("CpuRealtimeRuntime"), F::Int),
    full("blkio_weight", HOST, Host("BlkioWeight"), F::Int),
    full("blkio_weight_device", HOST, Host("BlkioWeightDevice"), F::Raw),
    full("device_read_bps", HOST, Host("BlkioDeviceReadBps"), F::Raw),
    full("device_write_bps", HOST, Host("BlkioDeviceWriteBps"), F::Raw),
    full("device_read_iops", HOST, Host("BlkioDeviceReadIOps"), F::Raw),
    full("device_write_iops", HOST, Host("BlkioDeviceWriteIOps"), F::Raw),
    sent("device_cgroup_rules", HOST, Host("DeviceCgroupRules"), F::StringList),
    sent("device_requests", HOST, Host("DeviceRequests"), F::DeviceRequests),
    full("oom_kill_disable", HOST, Host("OomKillDisable"), F::Bool),
    full("oom_score_adj", HOST, Host("OomScoreAdj"), F::Int),
    full("pids_limit", HOST, Host("PidsLimit"), F::Int),
    sent("group_add", HOST, Host("GroupAdd"), F::Strings),
    sent("sysctls", HOST, Host("Sysctls"), F::StringMap),
    sent("tmpfs", HOST, Host("Tmpfs"), F::Tmpfs),
    sent("mounts", HOST, Host("Mounts"), F::Raw),
    sent("init", HOST, Host("Init"), F::Bool),
    full("auto_remove", HOST, Host("AutoRemove"), F::Bool),
    sent("storage_opt", HOST, Host("StorageOpt"), F::StringMap),
    full("cgroup_parent", HOST, Host("CgroupParent"), F::Text),
    sent("timeout", STOP, Query("t"), F::Digits),
    sent("v", REMOVE, Query("v"), F::Bool),
    sent("link", REMOVE, Query("link"), F::Bool),
    sent("force", REMOVE, Query("force"), F::Bool),
];

/// Fields of `HostConfig` that no argument leads to and that a raw `host_config` may hold.
const RAW_HOST: [&str; 9] = [
    "Annotations",
    "Cgroup",
    "ConsoleSize",
    "ContainerIDFile",
    "IOMaximumBandwidth",
    "IOMaximumIOps",
    "KernelMemoryTCP",
    "MaskedPaths",
    "ReadonlyPaths",
];

/// A request to create a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Creation {
    /// The body, without the image.
    pub body: JsonMap<String, Json>,
    /// `name`, where the parameters give one.
    pub name: Option<String>,
    /// `platform`, where the parameters give one.
    pub platform: Option<String>,
    /// `processes_to_wait_for`, which old blueprints give here.
    pub processes: Vec<String>,
    /// What has no effect, or not the effect that it seems to have.
    pub warnings: Vec<Fault>,
}

/// Converts the parameters of create and start into one request: engines take no host configuration
/// at start any more. Per key, start wins.
///
/// Values that hold a call which is evaluated later are left out.
///
/// # Errors
///
/// All arguments that are unknown or cannot be converted. Paths start with `create` or `start`.
pub fn creation(create: &Json, start: &Json) -> Result<Creation, Vec<Fault>> {
    let mut reader = Reader::default();
    reader.body.insert("AttachStdin".into(), false.into());
    reader.body.insert("AttachStdout".into(), true.into());
    reader.body.insert("AttachStderr".into(), true.into());
    reader.read(create, CREATE, "create");
    reader.read(start, START, "start");
    reader.finish()
}

/// Converts the parameters of stop: the seconds to wait before the container is killed.
///
/// # Errors
///
/// All arguments that are unknown or cannot be converted.
pub fn stop(params: &Json) -> Result<Option<i64>, Vec<Fault>> {
    let query = query(params, STOP, "stop")?;
    Ok(query.get("t").and_then(Json::as_i64))
}

/// How a container is removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Removal {
    /// With its anonymous volumes.
    pub volumes: bool,
    /// The link of that name, not the container.
    pub link: bool,
    /// Even while it runs.
    pub force: bool,
}

/// Converts the parameters of `remove_container`.
///
/// # Errors
///
/// All arguments that are unknown or cannot be converted.
pub fn removal(params: &Json) -> Result<Removal, Vec<Fault>> {
    let query = query(params, REMOVE, "delete")?;
    let flag = |name: &str| query.get(name).and_then(Json::as_bool);
    Ok(Removal { volumes: flag("v").unwrap_or(true), link: flag("link").unwrap_or(false), force: flag("force").unwrap_or(false) })
}

fn query(params: &Json, place: u8, operation: &str) -> Result<JsonMap<String, Json>, Vec<Fault>> {
    let mut reader = Reader::default();
    reader.read(params, place, operation);
    if reader.faults.is_empty() { Ok(reader.query) } else { Err(reader.faults) }
}

#[derive(Default)]
struct Reader {
    body: JsonMap<String, Json>,
    host: JsonMap<String, Json>,
    query: JsonMap<String, Json>,
    name: Option<String>,
    detach: bool,
    stdin_open: bool,
    processes: Vec<String>,
    warnings: Vec<Fault>,
    faults: Vec<Fault>,
}

impl Reader {
    fn read(&mut self, params: &Json, place: u8, operation: &str) {
        let path = [operation.to_owned(), "params".to_owned()];
        match params {
            Json::Null => {}
            // The whole mapping is computed later: nothing to look at yet.
            Json::Object(_) if is_call(params) => {}
            Json::Object(params) => {
                // The raw object first: single arguments overlay it, in whatever order they are written.
                for (key, value) in params.iter().filter(|(key, _)| *key == "host_config") {
                    self.argument(key, value, place, &path);
                }
                for (key, value) in params.iter().filter(|(key, _)| *key != "host_config") {
                    self.argument(key, value, place, &path);
                }
            }
            _ => self.faults.push(Fault::new("`params` must be a mapping").within(&path)),
        }
    }

    fn argument(&mut self, key: &str, value: &Json, place: u8, path: &[String]) {
        let path = [path, &[key.to_owned()]].concat();
        let Some(argument) = TABLE.iter().find(|argument| argument.name == key && argument.places & place != 0) else {
            self.faults.push(unknown(key, place).within(&path));
            return;
        };
        if value.is_null() || holds_call(value) {
            return;
        }
        if key == "host_config" {
            return self.host_config(value, &path);
        }
        match convert(argument.form, value) {
            Ok(converted) => self.place(argument, converted, value, place, &path),
            Err(fault) => self.faults.push(fault.within(&path)),
        }
    }

    fn place(&mut self, argument: &Argument, value: Json, given: &Json, place: u8, path: &[String]) {
        if argument.skip_empty && is_empty(&value) {
            return;
        }
        match argument.target {
            Body(field) => {
                self.body.insert(field.into(), value);
            }
            Host(field) => {
                let old = self.host.insert(field.into(), value.clone());
                if place == START && old.is_some_and(|old| old != value) {
                    self.warnings
                        .push(Fault::new(format!("`{}` is given for create too; the value of start holds", argument.name)).within(path));
                }
            }
            Query(field) => {
                self.query.insert(field.into(), value);
            }
            Special => self.special(argument.name, given),
            Nothing(why) => self.warnings.push(Fault::new(format!("`{}` has no effect: {why}", argument.name)).within(path)),
        }
    }

    fn special(&mut self, name: &str, value: &Json) {
        match name {
            "name" => self.name = value.as_str().map(str::to_owned),
            "image" => {}
            "detach" => self.detach = value.as_bool().unwrap_or(false),
            "stdin_open" => self.stdin_open = value.as_bool().unwrap_or(false),
            _ => self.processes.extend(convert(Form::Strings, value).ok().into_iter().flat_map(|list| strings(&list))),
        }
    }

    /// Arguments in snake case are converted; fields of the engine go through as they are.
    fn host_config(&mut self, value: &Json, path: &[String]) {
        let Json::Object(fields) = value else {
            return self.faults.push(Fault::new("`host_config` must be a mapping").within(path));
        };
        for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let is_argument = TABLE.iter().any(|argument| argument.name == key && argument.places & HOST != 0);
            match host_field(key) {
                Some(field) if !is_argument => {
                    self.host.insert(field.into(), value.clone());
                }
                // A field that only newer engines know: it must get there, and may be a slip of the pen.
                None if !is_argument && key.starts_with(|c: char| c.is_ascii_uppercase()) => {
                    self.host.insert(key.clone(), value.clone());
                    let warning = Fault::new(format!("`{key}` is no known field of `HostConfig`; it is sent as it is"));
                    let fields = TABLE.iter().filter_map(|argument| if let Host(field) = argument.target { Some(field) } else { None });
                    let near = nearest(key, fields).map(|name| format!("did you mean `{name}`?"));
                    let path = [path, std::slice::from_ref(key)].concat();
                    self.warnings.push(near.into_iter().fold(warning, Fault::hint).within(&path));
                }
                _ => self.argument(key, value, HOST, path),
            }
        }
    }

    fn finish(mut self) -> Result<Creation, Vec<Fault>> {
        let host_network = self.host.get("NetworkMode").and_then(Json::as_str) == Some("host");
        if host_network && self.host.get("PortBindings").is_some_and(|bindings| !is_empty(bindings)) {
            let fault = Fault::new("`network_mode: host` and `port_bindings` exclude each other");
            self.faults.push(fault.hint("on the host's network every port is the host's: leave `port_bindings` out"));
        }
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        self.attach();
        if !self.host.is_empty() {
            self.body.insert("HostConfig".into(), Json::Object(self.host));
        }
        let platform = self.query.get("platform").and_then(Json::as_str).map(str::to_owned);
        Ok(Creation { body: self.body, name: self.name, platform, processes: self.processes, warnings: self.warnings })
    }

    fn attach(&mut self) {
        let attached = !self.detach;
        for (field, value) in [
            ("AttachStdout", attached),
            ("AttachStderr", attached),
            ("AttachStdin", attached && self.stdin_open),
            ("StdinOnce", attached && self.stdin_open),
            ("OpenStdin", self.stdin_open),
        ] {
            self.body.insert(field.into(), value.into());
        }
    }
}

fn unknown(key: &str, place: u8) -> Fault {
    let known = || TABLE.iter().filter(move |argument| argument.places & place != 0).map(|argument| argument.name);
    let elsewhere = TABLE.iter().find(|argument| argument.name == key);
    let fault = Fault::new(format!("there is no argument `{key}` here")).unknown();
    match (elsewhere, nearest(key, known())) {
        (Some(argument), _) => fault.hint(format!("`{key}` is an argument of {}", places(argument.places))),
        (None, Some(name)) => fault.hint(format!("did you mean `{name}`?")),
        (None, None) => fault.hint(format!("known arguments: {}", known().collect::<Vec<_>>().join(", "))),
    }
}

fn places(places: u8) -> String {
    let names = [(CREATE, "create"), (HOST, "`host_config` of create"), (START, "start"), (STOP, "stop"), (REMOVE, "delete")];
    names.iter().filter(|(bit, _)| places & bit != 0).map(|(_, name)| *name).collect::<Vec<_>>().join(" and of ")
}

/// The engine decodes names without regard to case, so blueprints with `restartpolicy` work.
fn host_field(key: &str) -> Option<&'static str> {
    let fields = TABLE.iter().filter_map(|argument| if let Host(field) = argument.target { Some(field) } else { None });
    fields.chain(RAW_HOST).find(|field| field.eq_ignore_ascii_case(key))
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(object) => object.is_empty(),
        Json::Bool(true) => false,
    }
}

/// The texts of a list.
fn strings(list: &Json) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Pairs of parameters and Engine JSON, recorded from five releases of docker-py.
    const CASES: &str = include_str!("../../../tests/data/params.jsonl");
    /// Cases that the library refuses for want of an extension that dockctl has.
    const COERCED: [&str; 5] = ["hc-dns-str", "hc-mem-float", "x-cmd-int", "x-ports-single-int", "x-log-intval"];

    fn converted(case: &Json) -> Result<Json, Vec<Fault>> {
        let (params, nothing) = (&case["params"], json!({}));
        let creation = match case["kind"].as_str().unwrap() {
            "create" => creation(params, &nothing)?,
            "start" => creation(&nothing, params)?,
            "create+start" => creation(&params["create"], &params["start"])?,
            "stop" => return stop(params).map(|t| json!({ "query": t.map_or(json!({}), |t| json!({ "t": t.to_string() })) })),
            "remove" => {
                let mut params = params.clone();
                params.as_object_mut().unwrap().shift_remove("container");
                let Removal { link, force, .. } = removal(&params)?;
                return Ok(json!({ "query": { "link": link.to_string(), "force": force.to_string() } }));
            }
            other => panic!("{other} is no kind of case"),
        };
        let mut body = Json::Object(creation.body);
        strip_defaults(&mut body);
        for (name, value) in [("name", creation.name), ("platform", creation.platform)] {
            if let Some(value) = value {
                body["@query"][name] = value.into();
            }
        }
        Ok(body)
    }

    /// The recorded bodies leave out what every request holds.
    fn strip_defaults(body: &mut Json) {
        let defaults = json!({
            "AttachStdout": true, "AttachStderr": true, "AttachStdin": false, "OpenStdin": false, "StdinOnce": false, "Tty": false, "NetworkDisabled": false,
        });
        body.as_object_mut().unwrap().retain(|key, value| defaults.get(key) != Some(value));
    }

    fn expected(case: &Json) -> Json {
        let mut engine = case["engine"].clone();
        if let Some(query) = engine.get_mut("query").and_then(Json::as_object_mut) {
            query.retain(|key, _| key != "v");
            query.values_mut().for_each(|value| *value = value.as_str().unwrap_or_default().to_lowercase().into());
        }
        for key in ["method", "path"] {
            engine.as_object_mut().unwrap().shift_remove(key);
        }
        if let Some(body) = engine.as_object_mut().filter(|body| !body.contains_key("query")) {
            let mut json = Json::Object(std::mem::take(body));
            strip_defaults(&mut json);
            engine = json;
        }
        engine
    }

    #[test]
    fn parameters_become_what_docker_py_made_of_them() {
        let (mut checked, mut wrong) = (0, Vec::new());
        for line in CASES.lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            let (id, result) = (case["id"].as_str().unwrap(), converted(&case));
            let fits = match (&result, case.get("reject")) {
                (Ok(body), None) => *body == expected(&case),
                (Err(_), Some(_)) => !COERCED.contains(&id),
                (Ok(_), Some(_)) => COERCED.contains(&id),
                (Err(_), None) => false,
            };
            checked += 1;
            if !fits {
                wrong.push(format!("{id}: {result:?}\n  expected {}", case["engine"]));
            }
        }
        assert!(wrong.is_empty(), "{} of {checked} cases:\n{}", wrong.len(), wrong.join("\n"));
        assert_eq!(checked, 105);
    }

    #[test]
    fn what_docker_py_refused_is_coerced_where_nothing_is_lost() {
        let params = json!({
            "command": 5,
            "ports": 80,
            "labels": { "n": 1 },
            "host_config": { "dns": "1.1.1.1", "mem_limit": 1_048_576.0, "log_config": { "type": "json-file", "config": { "max-file": 3 } } },
        });
        let body = creation(&params, &json!({})).unwrap().body;
        assert_eq!((&body["Cmd"], &body["ExposedPorts"], &body["Labels"]), (&json!(["5"]), &json!({ "80/tcp": {} }), &json!({ "n": "1" })));
        let host = json!({ "Dns": ["1.1.1.1"], "Memory": 1_048_576, "LogConfig": { "Type": "json-file", "Config": { "max-file": "3" } } });
        assert_eq!(body["HostConfig"], host);
    }

    #[test]
    fn start_wins_over_create_and_says_so() {
        let create = json!({ "host_config": { "Dns": ["1.1.1.1"], "Privileged": true } });
        let creation = creation(&create, &json!({ "dns": ["8.8.8.8"], "links": { "db": "db" } })).unwrap();
        assert_eq!(creation.body["HostConfig"], json!({ "Dns": ["8.8.8.8"], "Privileged": true, "Links": ["db:db"] }));
        assert_eq!(creation.warnings.len(), 1);
    }

    #[test]
    fn an_address_in_a_list_is_one_binding_and_ports_are_several() {
        let bindings = |value: Json| {
            creation(&json!({}), &json!({ "port_bindings": { "80": value } })).unwrap().body["HostConfig"]["PortBindings"]["80/tcp"].clone()
        };
        assert_eq!(bindings(json!(["127.0.0.1", 8080])), json!([{ "HostIp": "127.0.0.1", "HostPort": "8080" }]));
        assert_eq!(bindings(json!([8080, 8081])), json!([{ "HostIp": "", "HostPort": "8080" }, { "HostIp": "", "HostPort": "8081" }]));
        assert_eq!(bindings(json!(["::1"])), json!([{ "HostIp": "::1", "HostPort": "" }]));
    }

    #[test]
    fn an_unknown_argument_is_named_with_the_nearest_one() {
        let faults =
            creation(&json!({ "port_bindigs": { "80": 80 } }), &json!({ "port_bindigs": { "80": 80 }, "comand": "x" })).unwrap_err();
        assert_eq!(faults[1].path, ["start", "params", "port_bindigs"]);
        assert_eq!(faults[1].hint.as_deref(), Some("did you mean `port_bindings`?"));
        assert!(faults.iter().all(|fault| fault.unknown));
    }

    #[test]
    fn every_argument_is_in_the_table_once() {
        let mut names: Vec<&str> = TABLE.iter().map(|argument| argument.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
