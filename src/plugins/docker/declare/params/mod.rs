//! The arguments of docker-py, and their places in the engine's requests.
//!
//! One table drives conversion, diagnostics, documentation and JSON Schema: a new argument is one
//! line. The names are the union of all docker-py releases that a blueprint may have been written
//! for; the conversions are those of the newest one, except where YAML lacks a Python type (a list
//! represents a tuple).

mod convert;
mod reader;
mod reference;
mod shape;
mod words;

pub(crate) use convert::{ENDPOINT, Form, convert, kind, nanoseconds};
pub(crate) use reader::is_empty;
pub(crate) use reader::{
    Creation, Gate, Removal, container_args, creation, endpoint, late_parts, removal, stop,
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
const CALL: u8 = CREATE | RUN;
/// Host arguments that `create` accepted in old releases.
const LEGACY: u8 = CREATE | HOST;
/// Host arguments that `start` accepted in old releases.
const BOTH: u8 = HOST | START;

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
    Nothing(&'static str),
}

struct Argument {
    name: &'static str,
    places: u8,
    target: Target,
    form: Form,
    /// Not sent if empty, zero or false.
    skip_empty: bool,
    /// First minor version of the API (1.N) that supports it; 0 if every engine does.
    since: u32,
}

const fn sent(name: &'static str, places: u8, target: Target, form: Form) -> Argument {
    Argument {
        name,
        places,
        target,
        form,
        skip_empty: false,
        since: 0,
    }
}

const fn full(name: &'static str, places: u8, target: Target, form: Form) -> Argument {
    Argument {
        name,
        places,
        target,
        form,
        skip_empty: true,
        since: 0,
    }
}

impl Argument {
    const fn since(mut self, minor: u32) -> Self {
        self.since = minor;
        self
    }

    /// Returns true if the argument is permitted at this place. The plugin 2.x accepts host
    /// arguments next to the others, with a few exceptions.
    fn goes(&self, place: u8) -> bool {
        let flat = place == RUN
            && self.places & HOST != 0
            && !matches!(self.name, "binds" | "port_bindings" | "lxc_conf");
        self.places & place != 0 || flat
    }
}

use crate::diagnostic::fault;
use Form as F;
use Target::{Body, Host, Nothing, Query, Special};

const TABLE: &[Argument] = &[
    sent("image", CREATE, Special, F::Text),
    sent("name", CALL, Special, F::Text),
    sent("command", CALL, Body("Cmd"), F::Words),
    sent("entrypoint", CALL, Body("Entrypoint"), F::Words),
    sent("hostname", CALL, Body("Hostname"), F::Text),
    sent("domainname", CALL, Body("Domainname"), F::Text),
    sent("user", CALL, Body("User"), F::Text),
    sent("detach", CALL, Special, F::Bool),
    sent("stdin_open", CALL, Special, F::Bool),
    sent("tty", CALL, Body("Tty"), F::Bool),
    sent("ports", CREATE, Body("ExposedPorts"), F::Ports),
    sent("environment", CALL, Body("Env"), F::Environment),
    sent("volumes", CREATE, Body("Volumes"), F::Volumes),
    sent("network_disabled", CALL, Body("NetworkDisabled"), F::Bool),
    sent("working_dir", CALL, Body("WorkingDir"), F::Text),
    sent("mac_address", CALL, Body("MacAddress"), F::Text),
    sent("labels", CALL, Body("Labels"), F::Labels),
    sent("stop_signal", CALL, Body("StopSignal"), F::Text),
    sent("stop_timeout", CREATE, Body("StopTimeout"), F::Int).since(25),
    sent("healthcheck", CALL, Body("Healthcheck"), F::Healthcheck),
    sent(
        "networking_config",
        CREATE,
        Body("NetworkingConfig"),
        F::Networking,
    ),
    sent("host_config", CREATE, Special, F::Raw),
    full("platform", CALL, Query("platform"), F::Text).since(41),
    sent("use_config_proxy", CALL, Special, F::Bool),
    sent("processes_to_wait_for", CREATE | START, Special, F::Strings),
    sent("cpuset", CREATE, Host("CpusetCpus"), F::Text),
    sent("mem_limit", LEGACY, Host("Memory"), F::Bytes),
    sent("memswap_limit", LEGACY, Host("MemorySwap"), F::Bytes),
    full("cpu_shares", LEGACY, Host("CpuShares"), F::Int),
    sent("dns", LEGACY | START, Host("Dns"), F::Strings),
    sent(
        "volumes_from",
        LEGACY | START,
        Host("VolumesFrom"),
        F::VolumesFrom,
    ),
    sent("volume_driver", LEGACY, Host("VolumeDriver"), F::Text),
    full("runtime", LEGACY, Host("Runtime"), F::Text),
    sent("binds", BOTH, Host("Binds"), F::Binds),
    sent("port_bindings", BOTH, Host("PortBindings"), F::PortBindings),
    full("publish_all_ports", BOTH, Host("PublishAllPorts"), F::Bool),
    sent("links", BOTH, Host("Links"), F::Links),
    full("privileged", BOTH, Host("Privileged"), F::Bool),
    full("dns_search", BOTH, Host("DnsSearch"), F::Strings),
    sent("dns_opt", HOST, Host("DnsOptions"), F::Strings),
    full("network_mode", BOTH, Host("NetworkMode"), F::Text),
    full(
        "restart_policy",
        BOTH,
        Host("RestartPolicy"),
        F::RestartPolicy,
    ),
    full("cap_add", BOTH, Host("CapAdd"), F::Strings),
    full("cap_drop", BOTH, Host("CapDrop"), F::Strings),
    full("devices", BOTH, Host("Devices"), F::Devices),
    sent("extra_hosts", BOTH, Host("ExtraHosts"), F::ExtraHosts),
    sent(
        "lxc_conf",
        BOTH,
        Nothing("engines no longer have an LXC driver"),
        F::Raw,
    ),
    sent("read_only", BOTH, Host("ReadonlyRootfs"), F::Bool),
    full("pid_mode", BOTH, Host("PidMode"), F::Text),
    full("ipc_mode", BOTH, Host("IpcMode"), F::Text),
    full("uts_mode", HOST, Host("UTSMode"), F::OnlyHost),
    full("userns_mode", HOST, Host("UsernsMode"), F::OnlyHost),
    full("cgroupns", HOST, Host("CgroupnsMode"), F::Text).since(41),
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
    full("nano_cpus", HOST, Host("NanoCpus"), F::Int).since(25),
    full("cpu_count", HOST, Host("CpuCount"), F::Int).since(25),
    full("cpu_percent", HOST, Host("CpuPercent"), F::Int),
    full("isolation", HOST, Host("Isolation"), F::Text),
    full("cpu_rt_period", HOST, Host("CpuRealtimePeriod"), F::Int).since(25),
    full("cpu_rt_runtime", HOST, Host("CpuRealtimeRuntime"), F::Int).since(25),
    full("blkio_weight", HOST, Host("BlkioWeight"), F::Int),
    full(
        "blkio_weight_device",
        HOST,
        Host("BlkioWeightDevice"),
        F::Weights,
    ),
    full(
        "device_read_bps",
        HOST,
        Host("BlkioDeviceReadBps"),
        F::Rates,
    ),
    full(
        "device_write_bps",
        HOST,
        Host("BlkioDeviceWriteBps"),
        F::Rates,
    ),
    full(
        "device_read_iops",
        HOST,
        Host("BlkioDeviceReadIOps"),
        F::Rates,
    ),
    full(
        "device_write_iops",
        HOST,
        Host("BlkioDeviceWriteIOps"),
        F::Rates,
    ),
    sent(
        "device_cgroup_rules",
        HOST,
        Host("DeviceCgroupRules"),
        F::StringList,
    )
    .since(28),
    sent(
        "device_requests",
        HOST,
        Host("DeviceRequests"),
        F::DeviceRequests,
    )
    .since(40),
    full("oom_kill_disable", HOST, Host("OomKillDisable"), F::Bool),
    full("oom_score_adj", HOST, Host("OomScoreAdj"), F::Int),
    full("pids_limit", HOST, Host("PidsLimit"), F::Int),
    full("group_add", HOST, Host("GroupAdd"), F::Strings),
    full("sysctls", HOST, Host("Sysctls"), F::StringMap),
    full("tmpfs", HOST, Host("Tmpfs"), F::Tmpfs),
    sent("mounts", HOST, Host("Mounts"), F::Mounts).since(25),
    sent("init", HOST, Host("Init"), F::Bool).since(25),
    full("auto_remove", HOST, Host("AutoRemove"), F::Bool).since(25),
    sent("storage_opt", HOST, Host("StorageOpt"), F::Options),
    full("cgroup_parent", HOST, Host("CgroupParent"), F::Text),
    sent("network", RUN, Host("NetworkMode"), F::Text),
    sent("timeout", STOP, Query("t"), F::Digits),
    sent("v", REMOVE, Query("v"), F::Bool),
    sent("link", REMOVE, Query("link"), F::Bool),
    sent("force", REMOVE, Query("force"), F::Bool),
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
        .find(|argument| argument.name == name && argument.goes(place))
}

fn names(place: u8) -> Vec<&'static str> {
    TABLE
        .iter()
        .filter(|argument| argument.goes(place))
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
        .find(|field| fault::plain(field) == fault::plain(key))
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
