//! The arguments of docker-py, and their places in the engine's requests.
//!
//! One table drives conversion, diagnostics, documentation and JSON Schema: a new argument is one
//! line. The names are the union of all docker-py releases that a blueprint may have been written
//! for; the conversions are those of the newest one, except where YAML lacks a Python type (a list
//! represents a tuple).

mod conflicts;
mod convert;
mod gate;
mod reader;
mod reference;
pub(crate) mod shape;
mod signal;
mod words;

pub(crate) use conflicts::{mounted_twice, mounts, normal_target, unusable_target};
pub(crate) use convert::{ENDPOINT, Form, convert, kind, nanoseconds};
pub(crate) use gate::{ApiRange, Gate, gates};
pub(crate) use reader::{
    Creation, Removal, container_args, creation, endpoint, is_empty, limited_parts, names_network,
    removal, stop,
};
pub(crate) use reference::{extend_schema, markdown};

/// Places where an argument is permitted, as bits.
const CREATE: u8 = 1;
const HOST: u8 = 2;
const START: u8 = 4;
const STOP: u8 = 8;
const REMOVE: u8 = 16;
/// `container_args` of the plugin 2.x.
const RUN: u8 = 32;
/// `create` and `container_args`.
const CREATE_OR_RUN: u8 = CREATE | RUN;
/// Host arguments that `create` accepted in old releases.
const CREATE_OR_HOST: u8 = CREATE | HOST;
/// Host arguments that `start` accepted in old releases.
const HOST_OR_START: u8 = HOST | START;

/// Place of the converted value in the request.
#[derive(Clone, Copy)]
enum Target {
    /// A field of the request's body.
    Body(&'static str),
    /// A field of `HostConfig`.
    Host(&'static str),
    /// A query parameter.
    Query(&'static str),
    /// Handled elsewhere: name, image, attached streams, waits.
    Special,
    /// Accepted with a warning that explains why it has no effect.
    Ignored(&'static str),
}

struct Argument {
    name: &'static str,
    places: u8,
    target: Target,
    form: Form,
    /// Not sent if empty, zero or false.
    skip_empty: bool,
    /// Versions of the API that support it.
    versions: ApiRange,
}

const fn argument(name: &'static str, places: u8, target: Target, form: Form) -> Argument {
    Argument {
        name,
        places,
        target,
        form,
        skip_empty: false,
        versions: ApiRange::ALL,
    }
}

const fn unless_empty(name: &'static str, places: u8, target: Target, form: Form) -> Argument {
    Argument {
        name,
        places,
        target,
        form,
        skip_empty: true,
        versions: ApiRange::ALL,
    }
}

/// Returns true if an argument with this name creates containers.
pub(crate) fn is_argument(name: &str) -> bool {
    TABLE.iter().any(|it| it.name == name)
}

/// Returns the inputs of an operation in which a blueprint sets an argument of the plugin 1.x; none
/// if no operation accepts it.
pub(crate) fn inputs_with(name: &str) -> Option<String> {
    let places = TABLE.iter().find(|it| it.name == name)?.places;
    let has = |place: u8| places & place != 0;
    let within = |operation: &str| format!("{operation}: {{inputs: {{params: {{{name}: …}}}}}}");
    match () {
        () if has(CREATE) => Some(within("create")),
        () if has(HOST) => Some(format!(
            "create: {{inputs: {{params: {{host_config: {{{name}: …}}}}}}}}"
        )),
        () if has(START) => Some(within("start")),
        () if has(STOP) => Some(within("stop")),
        () if has(REMOVE) => Some(within("delete")),
        () => None,
    }
}

impl Argument {
    const fn since(mut self, minor: u32) -> Self {
        self.versions = ApiRange::since(minor);
        self
    }

    const fn until(mut self, minor: u32) -> Self {
        self.versions = self.versions.and_until(minor);
        self
    }

    /// Returns true if the argument is permitted at this place. The plugin 2.x accepts host
    /// arguments next to the others, with a few exceptions.
    fn is_allowed_in(&self, place: u8) -> bool {
        let flat = place == RUN
            && self.places & HOST != 0
            && !matches!(self.name, "binds" | "port_bindings" | "lxc_conf");
        self.places & place != 0 || flat
    }
}

use crate::diagnostic::fault;
use Form as F;
use Target::{Body, Host, Ignored, Query, Special};

const TABLE: &[Argument] = &[
    argument("image", CREATE, Special, F::Text),
    argument("name", CREATE_OR_RUN, Special, F::Text),
    argument("command", CREATE_OR_RUN, Body("Cmd"), F::Command),
    argument("entrypoint", CREATE_OR_RUN, Body("Entrypoint"), F::Command),
    argument("hostname", CREATE_OR_RUN, Body("Hostname"), F::Text),
    argument("domainname", CREATE_OR_RUN, Body("Domainname"), F::Text),
    argument("user", CREATE_OR_RUN, Body("User"), F::Text),
    argument("detach", CREATE_OR_RUN, Special, F::Bool),
    argument("stdin_open", CREATE_OR_RUN, Special, F::Bool),
    argument("tty", CREATE_OR_RUN, Body("Tty"), F::Bool),
    argument("ports", CREATE, Body("ExposedPorts"), F::Ports),
    argument("environment", CREATE_OR_RUN, Body("Env"), F::Environment),
    argument("volumes", CREATE, Body("Volumes"), F::Volumes),
    argument(
        "network_disabled",
        CREATE_OR_RUN,
        Body("NetworkDisabled"),
        F::Bool,
    ),
    argument(
        "working_dir",
        CREATE_OR_RUN,
        Body("WorkingDir"),
        F::Directory,
    ),
    argument("mac_address", CREATE_OR_RUN, Body("MacAddress"), F::Text),
    argument("labels", CREATE_OR_RUN, Body("Labels"), F::Labels),
    argument("stop_signal", CREATE_OR_RUN, Body("StopSignal"), F::Signal),
    argument("stop_timeout", CREATE, Body("StopTimeout"), F::Int).since(25),
    argument(
        "healthcheck",
        CREATE_OR_RUN,
        Body("Healthcheck"),
        F::Healthcheck,
    ),
    argument(
        "networking_config",
        CREATE,
        Body("NetworkingConfig"),
        F::Networking,
    ),
    argument("host_config", CREATE, Special, F::Raw),
    unless_empty("platform", CREATE_OR_RUN, Query("platform"), F::Text).since(41),
    argument("use_config_proxy", CREATE_OR_RUN, Special, F::Bool),
    argument("processes_to_wait_for", CREATE | START, Special, F::Strings),
    argument("cpuset", CREATE, Host("CpusetCpus"), F::Text),
    argument("mem_limit", CREATE_OR_HOST, Host("Memory"), F::Bytes),
    argument(
        "memswap_limit",
        CREATE_OR_HOST,
        Host("MemorySwap"),
        F::Bytes,
    ),
    unless_empty("cpu_shares", CREATE_OR_HOST, Host("CpuShares"), F::Int),
    argument("dns", CREATE_OR_HOST | START, Host("Dns"), F::Strings),
    argument(
        "volumes_from",
        CREATE_OR_HOST | START,
        Host("VolumesFrom"),
        F::VolumesFrom,
    ),
    argument(
        "volume_driver",
        CREATE_OR_HOST,
        Host("VolumeDriver"),
        F::Text,
    ),
    unless_empty("runtime", CREATE_OR_HOST, Host("Runtime"), F::Text),
    argument("binds", HOST_OR_START, Host("Binds"), F::Binds),
    argument(
        "port_bindings",
        HOST_OR_START,
        Host("PortBindings"),
        F::PortBindings,
    ),
    unless_empty(
        "publish_all_ports",
        HOST_OR_START,
        Host("PublishAllPorts"),
        F::Bool,
    ),
    argument("links", HOST_OR_START, Host("Links"), F::Links),
    unless_empty("privileged", HOST_OR_START, Host("Privileged"), F::Bool),
    unless_empty("dns_search", HOST_OR_START, Host("DnsSearch"), F::Strings),
    argument("dns_opt", HOST, Host("DnsOptions"), F::Strings),
    unless_empty("network_mode", HOST_OR_START, Host("NetworkMode"), F::Text),
    unless_empty(
        "restart_policy",
        HOST_OR_START,
        Host("RestartPolicy"),
        F::RestartPolicy,
    ),
    unless_empty("cap_add", HOST_OR_START, Host("CapAdd"), F::Strings),
    unless_empty("cap_drop", HOST_OR_START, Host("CapDrop"), F::Strings),
    unless_empty("devices", HOST_OR_START, Host("Devices"), F::Devices),
    argument(
        "extra_hosts",
        HOST_OR_START,
        Host("ExtraHosts"),
        F::ExtraHosts,
    ),
    argument(
        "lxc_conf",
        HOST_OR_START,
        Ignored("engines no longer have an LXC driver"),
        F::Raw,
    ),
    argument("read_only", HOST_OR_START, Host("ReadonlyRootfs"), F::Bool),
    unless_empty("pid_mode", HOST_OR_START, Host("PidMode"), F::Text),
    unless_empty("ipc_mode", HOST_OR_START, Host("IpcMode"), F::Text),
    unless_empty("uts_mode", HOST, Host("UTSMode"), F::OnlyHost),
    unless_empty("userns_mode", HOST, Host("UsernsMode"), F::OnlyHost),
    unless_empty("cgroupns", HOST, Host("CgroupnsMode"), F::Text).since(41),
    argument(
        "security_opt",
        HOST_OR_START,
        Host("SecurityOpt"),
        F::StringList,
    ),
    argument("ulimits", HOST_OR_START, Host("Ulimits"), F::Ulimits),
    argument("log_config", HOST, Host("LogConfig"), F::LogConfig),
    unless_empty("mem_reservation", HOST, Host("MemoryReservation"), F::Bytes),
    unless_empty("kernel_memory", HOST, Host("KernelMemory"), F::Bytes).until(41),
    argument("mem_swappiness", HOST, Host("MemorySwappiness"), F::Int),
    argument("shm_size", HOST, Host("ShmSize"), F::Bytes),
    unless_empty("cpu_period", HOST, Host("CpuPeriod"), F::Int),
    unless_empty("cpu_quota", HOST, Host("CpuQuota"), F::Int),
    unless_empty("cpuset_cpus", HOST, Host("CpusetCpus"), F::Text),
    unless_empty("cpuset_mems", HOST, Host("CpusetMems"), F::Text),
    unless_empty("nano_cpus", HOST, Host("NanoCpus"), F::Int).since(25),
    unless_empty("cpu_count", HOST, Host("CpuCount"), F::Int).since(25),
    unless_empty("cpu_percent", HOST, Host("CpuPercent"), F::Int),
    unless_empty("isolation", HOST, Host("Isolation"), F::Text),
    unless_empty("cpu_rt_period", HOST, Host("CpuRealtimePeriod"), F::Int).since(25),
    unless_empty("cpu_rt_runtime", HOST, Host("CpuRealtimeRuntime"), F::Int).since(25),
    unless_empty("blkio_weight", HOST, Host("BlkioWeight"), F::Int),
    unless_empty(
        "blkio_weight_device",
        HOST,
        Host("BlkioWeightDevice"),
        F::Weights,
    ),
    unless_empty(
        "device_read_bps",
        HOST,
        Host("BlkioDeviceReadBps"),
        F::Rates,
    ),
    unless_empty(
        "device_write_bps",
        HOST,
        Host("BlkioDeviceWriteBps"),
        F::Rates,
    ),
    unless_empty(
        "device_read_iops",
        HOST,
        Host("BlkioDeviceReadIOps"),
        F::Rates,
    ),
    unless_empty(
        "device_write_iops",
        HOST,
        Host("BlkioDeviceWriteIOps"),
        F::Rates,
    ),
    argument(
        "device_cgroup_rules",
        HOST,
        Host("DeviceCgroupRules"),
        F::StringList,
    )
    .since(28),
    argument(
        "device_requests",
        HOST,
        Host("DeviceRequests"),
        F::DeviceRequests,
    )
    .since(40),
    unless_empty("oom_kill_disable", HOST, Host("OomKillDisable"), F::Bool),
    unless_empty("oom_score_adj", HOST, Host("OomScoreAdj"), F::Int),
    unless_empty("pids_limit", HOST, Host("PidsLimit"), F::Int),
    unless_empty("group_add", HOST, Host("GroupAdd"), F::Strings),
    unless_empty("sysctls", HOST, Host("Sysctls"), F::StringMap),
    unless_empty("tmpfs", HOST, Host("Tmpfs"), F::Tmpfs),
    argument("mounts", HOST, Host("Mounts"), F::Mounts).since(25),
    argument("init", HOST, Host("Init"), F::Bool).since(25),
    unless_empty("auto_remove", HOST, Host("AutoRemove"), F::Bool).since(25),
    argument("storage_opt", HOST, Host("StorageOpt"), F::Options),
    unless_empty("cgroup_parent", HOST, Host("CgroupParent"), F::Text),
    argument("network", RUN, Host("NetworkMode"), F::Text),
    argument("timeout", STOP, Query("t"), F::Digits),
    argument("v", REMOVE, Query("v"), F::Bool),
    argument("link", REMOVE, Query("link"), F::Bool),
    argument("force", REMOVE, Query("force"), F::Bool),
];

/// Fields of `HostConfig` without an argument, which a raw `host_config` may contain.
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

fn find(name: &str, place: u8) -> Option<&'static Argument> {
    TABLE
        .iter()
        .find(|argument| argument.name == name && argument.is_allowed_in(place))
}

fn names(place: u8) -> Vec<&'static str> {
    TABLE
        .iter()
        .filter(|argument| argument.is_allowed_in(place))
        .map(|argument| argument.name)
        .collect()
}

/// Returns the argument that sets a field of `HostConfig`.
pub(crate) fn argument_of(field: &str) -> Option<&'static str> {
    TABLE
        .iter()
        .find(|argument| {
            matches!(argument.target, Host(target) if target == field)
                && argument.places & HOST != 0
        })
        .map(|it| it.name)
}

fn host_fields() -> Vec<&'static str> {
    let fields = TABLE.iter().filter_map(|argument| {
        if let Host(field) = argument.target {
            Some(field)
        } else {
            None
        }
    });
    fields.chain(RAW_HOST).collect()
}

/// Returns the field of `HostConfig` for a key. The engine ignores case, and blueprints rely on it
/// (`restartpolicy`); snake case is accepted too.
fn host_field(key: &str) -> Option<&'static str> {
    host_fields()
        .into_iter()
        .find(|field| fault::normalized_key(field) == fault::normalized_key(key))
}

fn places(places: u8) -> String {
    let names = [
        (CREATE, "create"),
        (HOST, "`host_config` of create"),
        (START, "start"),
        (STOP, "stop"),
        (REMOVE, "delete"),
        (RUN, "`container_args`"),
    ];
    names
        .iter()
        .filter(|(bit, _)| places & bit != 0)
        .map(|(_, name)| *name)
        .collect::<Vec<_>>()
        .join(" and of ")
}
