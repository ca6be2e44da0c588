//! Compares the inspection of an object with its declaration.
//!
//! For objects that this state directory created, digests in labels are sufficient. For objects of
//! another state directory there is only the inspection: it is compared field by field with the
//! request for the declaration, including the defaults of the image and the engine. Fields that an
//! engine does not show, or that depend only on its daemon.json, are reported as unseen and count
//! as equal. Otherwise every run would replace the object.

mod values;

use crate::{
    diagnostic::Fault,
    engine::{Kind, Version},
    model::{
        Definition, Deployment, Instance,
        function::{EvaluationContext, bind, is_call},
    },
    plugins::docker::declare::{
        action::Creation,
        change::ADJUSTABLE,
        declared::{creation, object_name},
        network,
        operation::kind,
        request::{
            RequestContext, SEVERAL_ENDPOINTS, SHOWN_MAC_ADDRESS, complete_body, first_network,
        },
        volume,
    },
    seam::{Comparison, Object},
    syntax::literal,
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use values::{
    Match, UNKNOWN, compare_declared, compare_entries, compare_ordered, compare_sets,
    compare_values, compare_with_default, is_unknown, is_unset, keys, list, text,
};

/// An engine's data on an object, for the comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Inspection {
    /// The inspection of the object.
    pub(crate) object: Json,
    /// `Config` of the image of a container.
    pub(crate) image: Json,
    /// The image that the declaration names.
    pub(crate) declared_image: DeclaredImage,
    /// The engine's `/info`.
    pub(crate) engine: Json,
    pub(crate) is_podman: bool,
    /// IDs and names of the containers with which the container shares namespaces.
    pub(crate) peers: Vec<(String, String)>,
    /// Version of the engine's API.
    pub(crate) version: Option<Version>,
    /// Local configuration of the docker command, which names proxies.
    pub(crate) config: Json,
}

/// The image that a declaration names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum DeclaredImage {
    /// Image without a name, or with a late one.
    #[default]
    Unnamed,
    /// The image does not exist on the engine.
    Absent,
    /// Image imported from a tarball: the same one as for the container's image, or another.
    Tarball { is_same: bool },
    /// ID of the image.
    Id(String),
}

/// Returns the result if no field can be compared.
fn not_comparable() -> Comparison {
    Comparison {
        unobservable: BTreeSet::from(["everything".to_owned()]),
        ..Comparison::default()
    }
}

fn add(comparison: &mut Comparison, field: impl Into<String>, found: Match) {
    match found {
        Match::Same => false,
        Match::NotShown => comparison.unobservable.insert(field.into()),
        Match::Differs => comparison.differing.insert(field.into()),
    };
}

/// Compares an object that another state directory created with the declaration of the deployment,
/// and stores the result in the object.
pub(crate) fn compare_object(
    object: &mut Object,
    shown: &Inspection,
    deployment: &Deployment,
    context: &dyn EvaluationContext,
) {
    // Labels of a recovered deployment do not contain the declaration of its objects.
    if deployment.recovered {
        return;
    }
    let Some(owner) = &mut object.owner else {
        return;
    };
    let Some(instance) = deployment.instance(&owner.instance) else {
        return;
    };
    let Some(node) = deployment.node(instance).filter(|node| !node.is_adopted()) else {
        return;
    };
    // Only for networks and volumes: another name of a container is a drift.
    let named = |request: Result<Json, Fault>| {
        let name = evaluated(&object_name(&deployment.name, instance, node), context);
        request.ok().map(|mut body| {
            body["Name"] = name;
            body
        })
    };
    let properties = || evaluated(&json!(node.properties), context);
    object.comparison = match kind(node) {
        Some(Kind::Container) => compare_container(deployment, instance, node, shown, context),
        Some(Kind::Network) => {
            compare_request(named(network::request(&properties())).as_ref(), |body| {
                network(body, &shown.object)
            })
        }
        Some(Kind::Volume) => {
            compare_request(named(volume::request(&properties())).as_ref(), |body| {
                volume(body, &shown.object)
            })
        }
        _ => Comparison::default(),
    };
    owner.as_declared = object.comparison.differing.is_empty();
}

fn compare_request(request: Option<&Json>, compare: impl Fn(&Json) -> Comparison) -> Comparison {
    request.map_or_else(not_comparable, compare)
}

fn compare_container(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
    shown: &Inspection,
    context: &dyn EvaluationContext,
) -> Comparison {
    let declared = creation(deployment, instance, node);
    let Ok(creation) = serde_json::from_value::<Creation>(evaluated(&json!(declared), context))
    else {
        return not_comparable();
    };
    let Ok(converted) = creation.converted() else {
        return not_comparable();
    };
    let mut body = complete_body(
        converted,
        &RequestContext {
            host_name: creation.host_name(),
            version: shown.version,
            proxies: &shown.config,
        },
    );
    for attachment in creation.later_networks() {
        let (Some(network), Ok(endpoint)) = (attachment.network.as_str(), attachment.converted())
        else {
            return not_comparable();
        };
        body["NetworkingConfig"]["EndpointsConfig"][network] = endpoint;
    }
    container(&body, shown)
}

/// Evaluates functions; unknown values become [`UNKNOWN`].
fn evaluated(json: &Json, context: &dyn EvaluationContext) -> Json {
    match json {
        call if is_call(call) => bind(call, context).unwrap_or_else(|_| UNKNOWN.into()),
        data if literal(data).is_some() => data.clone(),
        Json::Array(items) => items.iter().map(|item| evaluated(item, context)).collect(),
        Json::Object(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), evaluated(value, context)))
            .collect(),
        other => other.clone(),
    }
}

/// Compares a container with the body of the request that would create it now.
pub(crate) fn container(body: &Json, shown: &Inspection) -> Comparison {
    let mut comparison = Comparison::default();
    let all = ContainerComparison {
        body,
        shown,
        config: &shown.object["Config"],
        host: &shown.object["HostConfig"],
    };
    all.image(&mut comparison);
    all.command(&mut comparison);
    all.environment(&mut comparison);
    all.plain_fields(&mut comparison);
    all.labels(&mut comparison);
    all.host_config(&mut comparison);
    all.mounts(&mut comparison);
    all.networks(&mut comparison);
    comparison
}

/// Compares a network with the body of the request that would create it now.
pub(crate) fn network(body: &Json, found: &Json) -> Comparison {
    let mut comparison = Comparison::default();
    for field in ["Name", "Internal", "Attachable", "EnableIPv6"] {
        add(
            &mut comparison,
            field,
            compare_values(&body[field], &found[field]),
        );
    }
    add(
        &mut comparison,
        "Driver",
        compare_with_default(&body["Driver"], &found["Driver"], &["bridge"]),
    );
    add(
        &mut comparison,
        "Options",
        compare_entries(&body["Options"], &found["Options"], |name| {
            name.starts_with("com.docker.network.enable_ip")
        }),
    );
    add(
        &mut comparison,
        "IPAM",
        addresses(&body["IPAM"], &found["IPAM"]),
    );
    add(
        &mut comparison,
        "Labels",
        compare_entries(&body["Labels"], &found["Labels"], is_own_label),
    );
    comparison
}

/// Compares a volume with the body of the request that would create it now.
pub(crate) fn volume(body: &Json, found: &Json) -> Comparison {
    let mut comparison = Comparison::default();
    add(
        &mut comparison,
        "Name",
        compare_values(&body["Name"], &found["Name"]),
    );
    add(
        &mut comparison,
        "Driver",
        compare_with_default(&body["Driver"], &found["Driver"], &["local"]),
    );
    add(
        &mut comparison,
        "Options",
        compare_entries(&body["DriverOpts"], &found["Options"], |_| false),
    );
    add(
        &mut comparison,
        "Labels",
        compare_entries(&body["Labels"], &found["Labels"], is_own_label),
    );
    comparison
}

/// Compares the addresses of a network. Without declared addresses the engine chooses them. Other
/// addresses than its usual ones may come from its daemon.json, and count as unseen.
fn addresses(declared: &Json, found: &Json) -> Match {
    let driver = compare_with_default(
        &declared["Driver"],
        &found["Driver"],
        &["default", "host-local"],
    );
    // Podman shows its driver here too.
    let is_driver = |name: &str| name == "driver";
    let options = compare_entries(&declared["Options"], &found["Options"], is_driver);
    let is_chosen = |pool: &Json| {
        let subnet = text(&pool["Subnet"]);
        let parts: Vec<u8> = subnet
            .split(['.', '/'])
            .filter_map(|part| part.parse().ok())
            .collect();
        matches!(
            parts[..],
            [172, 17..=31, ..] | [192, 168, ..] | [10, 89..=255, ..]
        ) || subnet.contains(':')
    };
    let config = match is_unset(&declared["Config"]) {
        false => compare_declared(&declared["Config"], &found["Config"]),
        true if list(&found["Config"]).all(is_chosen) => Match::Same,
        true => Match::NotShown,
    };
    driver.max(options).max(config)
}

struct ContainerComparison<'a> {
    body: &'a Json,
    shown: &'a Inspection,
    config: &'a Json,
    host: &'a Json,
}

impl ContainerComparison<'_> {
    fn image(&self, comparison: &mut Comparison) {
        let found = match &self.shown.declared_image {
            DeclaredImage::Unnamed => Match::NotShown,
            DeclaredImage::Tarball { is_same: true } => Match::Same,
            DeclaredImage::Id(wanted)
                if short_id(wanted) == short_id(text(&self.shown.object["Image"])) =>
            {
                Match::Same
            }
            DeclaredImage::Id(_)
            | DeclaredImage::Absent
            | DeclaredImage::Tarball { is_same: false } => Match::Differs,
        };
        add(comparison, "image", found);
    }

    /// An entry point in the request replaces that of the image; a non-empty list also removes the
    /// image's command.
    fn command(&self, comparison: &mut Comparison) {
        let (body, image) = (self.body, &self.shown.image);
        let has_words = list(&body["Entrypoint"]).next().is_some();
        let entry = if body["Entrypoint"].is_null() {
            &image["Entrypoint"]
        } else {
            &body["Entrypoint"]
        };
        let command = if has_words || !is_unset(&body["Cmd"]) {
            &body["Cmd"]
        } else {
            &image["Cmd"]
        };
        add(
            comparison,
            "Entrypoint",
            compare_ordered(entry, &self.config["Entrypoint"]),
        );
        add(
            comparison,
            "Cmd",
            compare_ordered(command, &self.config["Cmd"]),
        );
    }

    /// Reports names only, because values may be secret. An entry without a value removes the
    /// image's variable.
    fn environment(&self, comparison: &mut Comparison) {
        const ADDED_BY_PODMAN: [&str; 5] = ["PATH", "HOME", "HOSTNAME", "TERM", "container"];
        let mut wanted = variables(&self.shown.image["Env"]);
        wanted.extend(variables(&self.body["Env"]));
        let found = variables(&self.config["Env"]);
        for (name, value) in &wanted {
            let is_same = match (value, found.get(name)) {
                (None, None | Some(None)) => Match::Same,
                (Some(value), _) if value.contains(UNKNOWN) => Match::NotShown,
                (Some(value), Some(Some(found))) if value == found => Match::Same,
                _ => Match::Differs,
            };
            add(comparison, format!("Env {name}"), is_same);
        }
        let is_added = |name: &str| self.shown.is_podman && ADDED_BY_PODMAN.contains(&name);
        for name in found
            .keys()
            .filter(|name| !wanted.contains_key(*name) && !is_added(name))
        {
            add(comparison, format!("Env {name}"), Match::Differs);
        }
    }

    fn plain_fields(&self, comparison: &mut Comparison) {
        for field in ["User", "WorkingDir", "StopSignal"] {
            let declared = &self.body[field];
            let wanted = if is_unset(declared) {
                &self.shown.image[field]
            } else {
                declared
            };
            let defaults: &[&str] = if field == "StopSignal" {
                &["SIGTERM", "15"]
            } else {
                &["/"]
            };
            let normalized = |value: &Json| {
                if field == "WorkingDir" {
                    json!(plain_path(text(value)))
                } else {
                    value.clone()
                }
            };
            add(
                comparison,
                field,
                compare_with_default(
                    &normalized(wanted),
                    &normalized(&self.config[field]),
                    defaults,
                ),
            );
        }
        for field in [
            "Domainname",
            "Tty",
            "OpenStdin",
            "StdinOnce",
            "NetworkDisabled",
        ] {
            add(
                comparison,
                field,
                compare_values(&self.body[field], &self.config[field]),
            );
        }
        if let Some(declared) = self.declared_mac_address() {
            add(
                comparison,
                "MacAddress",
                compare_values(declared, &self.config["MacAddress"]),
            );
        }
        if !is_unset(&self.body["Hostname"]) {
            add(
                comparison,
                "Hostname",
                compare_values(&self.body["Hostname"], &self.config["Hostname"]),
            );
        }
        add(comparison, "StopTimeout", self.stop_timeout());
        add(comparison, "ExposedPorts", self.exposed_ports());
        add(comparison, "Healthcheck", self.healthcheck());
    }

    /// Returns the declared MAC address, if the engine shows the requested one.
    fn declared_mac_address(&self) -> Option<&Json> {
        let version = self.shown.version.filter(|_| !self.shown.is_podman)?;
        if version < SEVERAL_ENDPOINTS {
            return Some(&self.body["MacAddress"]);
        }
        let network = first_network(self.body);
        let endpoint = &self.body["NetworkingConfig"]["EndpointsConfig"][network];
        let is_shown = SHOWN_MAC_ADDRESS.contains(&version);
        is_shown.then(|| &endpoint["MacAddress"])
    }

    fn stop_timeout(&self) -> Match {
        // Zero is a value: it kills at once. Podman shows it as default.
        let is_default = |value: &Json| value.is_null() || (self.shown.is_podman && *value == 0);
        let seconds = |value: &Json| {
            if is_default(value) {
                json!(10)
            } else {
                value.clone()
            }
        };
        let is_same = seconds(&self.body["StopTimeout"]) == seconds(&self.config["StopTimeout"]);
        if is_same { Match::Same } else { Match::Differs }
    }

    fn exposed_ports(&self) -> Match {
        let exposed = keys(&self.body["ExposedPorts"])
            .chain(keys(&self.shown.image["ExposedPorts"]))
            .collect::<BTreeSet<_>>();
        let found = keys(&self.config["ExposedPorts"]).collect::<BTreeSet<_>>();
        // Podman shows only published ports.
        let is_same = exposed == found || (self.shown.is_podman && exposed.is_superset(&found));
        if is_same { Match::Same } else { Match::Differs }
    }

    /// Fields that the request's health check omits come from the image.
    fn healthcheck(&self) -> Match {
        let mut wanted = self.shown.image["Healthcheck"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let declared = self.body["Healthcheck"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| !is_unset(value));
        wanted.extend(declared.map(|(name, value)| (name.clone(), value.clone())));
        let found = &self.config["Healthcheck"];
        if wanted.is_empty() {
            return if is_unset(found) {
                Match::Same
            } else {
                Match::Differs
            };
        }
        let test = compare_ordered(wanted.get("Test").unwrap_or(&Json::Null), &found["Test"]);
        let times = [
            "Interval",
            "Timeout",
            "StartPeriod",
            "StartInterval",
            "Retries",
        ]
        .into_iter();
        // Podman sets defaults for omitted fields.
        let fields = times.filter(|name| !self.shown.is_podman || wanted.contains_key(*name));
        fields
            .map(|name| compare_values(wanted.get(name).unwrap_or(&Json::Null), &found[name]))
            .chain([test])
            .max()
            .unwrap_or(Match::Same)
    }

    fn labels(&self, comparison: &mut Comparison) {
        let mut wanted = self.shown.image["Labels"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        wanted.extend(self.body["Labels"].as_object().cloned().unwrap_or_default());
        wanted.retain(|name, _| !is_own_label(name));
        add(
            comparison,
            "Labels",
            compare_entries(&wanted.into(), &self.config["Labels"], is_own_label),
        );
    }

    fn host_config(&self, comparison: &mut Comparison) {
        /// Fields that are compared elsewhere or never declared.
        const EXCLUDED_FIELDS: [&str; 9] = [
            "Binds",
            "Mounts",
            "VolumesFrom",
            "NetworkMode",
            "ContainerIDFile",
            "ConsoleSize",
            "MaskedPaths",
            "ReadonlyPaths",
            "Annotations",
        ];
        let declared = &self.body["HostConfig"];
        let fields: BTreeSet<&String> = keys(declared).chain(keys(self.host)).collect();
        for field in fields
            .into_iter()
            .filter(|field| !EXCLUDED_FIELDS.contains(&field.as_str()))
        {
            let (declared, found) = (&declared[field.as_str()], &self.host[field.as_str()]);
            let is_limit = ADJUSTABLE.contains(&field.as_str()) && !is_unset(declared);
            let is_same = if is_limit {
                self.limit(field, declared, found)
            } else {
                self.host_field(field, declared, found)
            };
            add(comparison, format!("HostConfig.{field}"), is_same);
        }
        for field in ["MaskedPaths", "ReadonlyPaths", "Annotations"]
            .into_iter()
            .filter(|field| !declared[*field].is_null())
        {
            add(
                comparison,
                format!("HostConfig.{field}"),
                compare_values(&declared[field], &self.host[field]),
            );
        }
        add(
            comparison,
            "HostConfig.VolumesFrom",
            compare_sets(
                &declared["VolumesFrom"],
                &self.host["VolumesFrom"],
                |from| from.trim_end_matches(":rw").to_owned(),
            ),
        );
    }

    /// Compares an adjustable limit. A different limit is a drift, not a difference. If the engine
    /// shows no limit, none is set, or the engine does not support it.
    fn limit(&self, field: &str, declared: &Json, found: &Json) -> Match {
        let engine = &self.shown.engine;
        let supports = |what: &str| engine[what] == true;
        let is_supported = match field {
            "Memory" | "MemoryReservation" => supports("MemoryLimit"),
            "MemorySwap" => supports("SwapLimit"),
            "NanoCpus" | "CpuPeriod" | "CpuQuota" => {
                supports("CpuCfsPeriod") && supports("CpuCfsQuota")
            }
            "CpuShares" => supports("CPUShares"),
            "CpusetCpus" | "CpusetMems" => supports("CPUSet"),
            "PidsLimit" => supports("PidsLimit"),
            _ => false,
        };
        match () {
            () if field == "RestartPolicy" => Match::Same,
            () if *declared == -1 => {
                self.undeclared(field, if *found == -1 { &Json::Null } else { found })
            }
            () if !is_unset(found) => Match::Same,
            () if is_supported && !is_unknown(declared) => Match::Differs,
            () => Match::NotShown,
        }
    }

    fn host_field(&self, field: &str, declared: &Json, found: &Json) -> Match {
        match field {
            "PortBindings" if is_unknown(declared) => return Match::NotShown,
            "PortBindings" => return ports(declared, found, self.shown.is_podman),
            "Tmpfs" | "Sysctls" | "StorageOpt" => {
                return compare_entries(declared, found, |_| false);
            }
            // Zero is a value, except for Podman.
            "MemorySwappiness" if *declared == 0 && *found == 0 => return Match::Same,
            "MemorySwappiness" if declared.is_null() && *found == 0 && !self.shown.is_podman => {
                return Match::Differs;
            }
            "MemorySwappiness" if *declared == 0 && self.shown.engine["CgroupVersion"] == "1" => {
                return Match::Differs;
            }
            _ if is_unset(declared) => return self.undeclared(field, found),
            _ => {}
        }
        match field {
            // Engines omit values that they do not support.
            "KernelMemory" | "KernelMemoryTCP" | "OomKillDisable" | "BlkioWeightDevice"
            | "MemorySwappiness"
                if is_unset(found) =>
            {
                Match::NotShown
            }
            // Engines do not show these links on user-defined networks.
            "Links" if is_unset(found) && self.is_on_user_network() => Match::NotShown,
            "CapAdd" | "CapDrop" => compare_sets(declared, found, |name| {
                name.to_uppercase().trim_start_matches("CAP_").to_owned()
            }),
            "SecurityOpt" => compare_sets(declared, found, |option| option.replacen(':', "=", 1)),
            "Links" => compare_sets(declared, found, link),
            "GroupAdd" | "ExtraHosts" => compare_sets(declared, found, str::to_owned),
            "Dns" | "DnsOptions" | "DnsSearch" => compare_ordered(declared, found),
            "Ulimits" => limits(declared, found),
            "LogConfig" => compare_values(&declared["Type"], &found["Type"])
                .max(self.log_options(&declared["Config"], &found["Config"])),
            "PidMode" | "IpcMode" => self.shared_namespace(text(declared), text(found)),
            _ => compare_values(declared, found),
        }
    }

    /// Compares an undeclared field with the engine's default. A default from the engine's
    /// configuration cannot be distinguished from an earlier declaration.
    fn undeclared(&self, field: &str, found: &Json) -> Match {
        let or_unseen = |defaults: bool| {
            if defaults {
                Match::Same
            } else {
                Match::NotShown
            }
        };
        let is = |defaults: &[&str]| {
            if defaults.contains(&text(found)) {
                Match::Same
            } else {
                Match::Differs
            }
        };
        let podman = self.shown.is_podman;
        match field {
            _ if is_unset(found) => Match::Same,
            "MemorySwappiness" if *found == -1 => Match::Same,
            "LogConfig" => match text(&self.shown.engine["LoggingDriver"]) {
                "" if !podman => Match::NotShown,
                driver if podman || text(&found["Type"]) == driver => {
                    self.log_options(&Json::Null, &found["Config"])
                }
                _ => Match::Differs,
            },
            "Runtime" => match text(&self.shown.engine["DefaultRuntime"]) {
                driver if podman || driver == text(found) => Match::Same,
                _ => Match::Differs,
            },
            "ShmSize" => {
                or_unseen([67_108_864, 65_536_000].contains(&found.as_u64().unwrap_or_default()))
            }
            "CgroupnsMode" => or_unseen(
                text(found)
                    == if self.shown.engine["CgroupVersion"] == "1" {
                        "host"
                    } else {
                        "private"
                    },
            ),
            "IpcMode" => is(&["private", "shareable"]),
            "PidMode" | "UTSMode" | "UsernsMode" => is(&["private"]),
            "Isolation" => is(&["default"]),
            "RestartPolicy" => is_default_policy(found),
            "MemorySwap" if !is_unset(&self.body["HostConfig"]["Memory"]) => Match::Same,
            "OomScoreAdj" | "PidsLimit" | "Ulimits" | "CgroupParent" | "Cgroup"
            | "CgroupManager" | "CapDrop" | "SecurityOpt"
                if podman =>
            {
                Match::Same
            }
            // Engines record this for privileged containers and for those in host namespaces.
            "SecurityOpt" => compare_values(&json!(["label=disable"]), found),
            _ => Match::Differs,
        }
    }

    fn is_on_user_network(&self) -> bool {
        let mode = text(&self.host["NetworkMode"]);
        !has_no_networks(mode) && !is_default_network(mode)
    }

    /// Compares log options. Engines add options from their daemon.json.
    fn log_options(&self, declared: &Json, found: &Json) -> Match {
        let more = keys(found).any(|name| declared.get(name).is_none()) && !self.shown.is_podman;
        compare_entries(declared, found, |_| true).max(if more {
            Match::NotShown
        } else {
            Match::Same
        })
    }

    /// Compares shared namespaces. A declaration names another container by name or ID; engines
    /// show the ID.
    fn shared_namespace(&self, declared: &str, found: &str) -> Match {
        let of = |mode: &str| {
            mode.strip_prefix("container:")
                .map(|name| name.trim_start_matches('/').to_owned())
        };
        let is_peer = |declared: &str, found: &str| {
            self.shown
                .peers
                .iter()
                .any(|(id, name)| id == found && (name == declared || id.starts_with(declared)))
        };
        match (of(declared), of(found)) {
            _ if declared.contains(UNKNOWN) => Match::NotShown,
            (Some(declared), Some(found)) if is_peer(&declared, &found) => Match::Same,
            _ if declared == found => Match::Same,
            _ => Match::Differs,
        }
    }

    /// Compares paths and sources of mounts. An anonymous volume matches any.
    fn mounts(&self, comparison: &mut Comparison) {
        let host = &self.body["HostConfig"];
        let mut wanted: BTreeMap<String, Mount> = BTreeMap::new();
        for path in keys(&self.shown.image["Volumes"]).chain(keys(&self.body["Volumes"])) {
            wanted.insert(plain_path(path), Mount::default());
        }
        wanted.extend(list(&host["Binds"]).filter_map(Mount::of_bind));
        wanted.extend(
            list(&host["Mounts"])
                .filter(|mount| mount["Type"] != "tmpfs")
                .filter_map(Mount::of_mount),
        );
        let mut found: BTreeMap<String, Mount> = list(&self.shown.object["Mounts"])
            .filter(|it| it["Type"] != "tmpfs")
            .map(Mount::of_shown)
            .collect();
        let is_shared = !is_unset(&host["VolumesFrom"]);
        for (path, mount) in wanted {
            let is_same = found
                .remove(&path)
                .map_or(Match::Differs, |found| mount.matches(&found));
            add(comparison, format!("mount {path}"), is_same);
        }
        // Volumes carried over from an older container stay, declared or not.
        let carried: BTreeSet<&str> = list(&self.host["Mounts"])
            .map(|mount| text(&mount["Source"]))
            .filter(|it| is_anonymous(it))
            .collect();
        let is_carried = |mount: &Mount| {
            mount
                .source
                .as_deref()
                .is_some_and(|source| carried.contains(source))
        };
        for (path, _) in found
            .iter()
            .filter(|(_, mount)| !is_shared && !is_carried(mount))
        {
            add(comparison, format!("mount {path}"), Match::Differs);
        }
        if !self.shown.is_podman {
            self.mount_options(comparison);
        }
    }

    /// Compares the requested binds and mounts, which Docker also shows.
    fn mount_options(&self, comparison: &mut Comparison) {
        let declared = &self.body["HostConfig"];
        let carried = |mount: &&Json| is_anonymous(text(&mount["Source"]));
        let found: Json = list(&self.host["Mounts"])
            .filter(|mount| !carried(mount))
            .cloned()
            .collect();
        add(
            comparison,
            "HostConfig.Mounts",
            compare_values(&list(&declared["Mounts"]).cloned().collect(), &found),
        );
        add(
            comparison,
            "HostConfig.Binds",
            compare_sets(&declared["Binds"], &self.host["Binds"], plain_bind),
        );
    }

    fn networks(&self, comparison: &mut Comparison) {
        let mode = text(&self.body["HostConfig"]["NetworkMode"]);
        let shown_mode = text(&self.host["NetworkMode"]);
        let endpoints = &self.body["NetworkingConfig"]["EndpointsConfig"];
        add(
            comparison,
            "HostConfig.NetworkMode",
            self.mode(mode, shown_mode),
        );
        if has_no_networks(mode) {
            return;
        }
        let found = &self.shown.object["NetworkSettings"]["Networks"];
        let mut expected: BTreeSet<&str> = keys(endpoints).map(String::as_str).collect();
        expected.extend(Some(mode).filter(|mode| !is_default_network(mode)));
        // The request names the default network by its mode, or a network by its ID.
        let is_same = |name: &str, shown: &str| {
            name == shown
                || found[shown]["NetworkID"] == name
                || (is_default_network(name) && is_default_network(shown))
        };
        for name in &expected {
            let attached = keys(found)
                .find(|shown| is_same(name, shown))
                .map(|shown| &found[shown.as_str()]);
            let endpoint = &endpoints[*name];
            add(
                comparison,
                format!("network {name}"),
                attached.map_or(Match::Differs, |attached| self.endpoint(endpoint, attached)),
            );
        }
        let known = |shown: &String| expected.iter().any(|name| is_same(name, shown));
        for name in keys(found)
            .filter(|name| !(known(name) || expected.is_empty() && is_default_network(name)))
        {
            add(comparison, format!("network {name}"), Match::Differs);
        }
    }

    /// Compares the endpoint of a network. Engines add the container's ID and name as aliases.
    fn endpoint(&self, declared: &Json, found: &Json) -> Match {
        if is_unknown(declared) {
            return Match::NotShown;
        }
        let (id, name) = (
            text(&self.shown.object["Id"]),
            text(&self.shown.object["Name"]).trim_start_matches('/'),
        );
        let is_added = |alias: &str| {
            alias == name
                || (alias.len() >= 12 && id.starts_with(alias))
                || alias == text(&self.config["Hostname"])
        };
        let wanted: BTreeSet<&str> = list(&declared["Aliases"]).map(text).collect();
        let aliases: BTreeSet<&str> = list(&found["Aliases"]).map(text).collect();
        let is_same = wanted.is_subset(&aliases)
            && aliases
                .iter()
                .all(|alias| wanted.contains(alias) || is_added(alias));
        let address = if is_unset(&declared["IPAMConfig"]) {
            compare_values(&Json::Null, &found["IPAMConfig"])
        } else {
            compare_declared(&declared["IPAMConfig"], &found["IPAMConfig"])
        };
        let hardware = text(&declared["MacAddress"]);
        let is_hardware = hardware.is_empty()
            || is_unset(&found["MacAddress"])
            || text(&found["MacAddress"]).eq_ignore_ascii_case(hardware);
        let others = compare_sets(&declared["Links"], &found["Links"], link).max(compare_entries(
            &declared["DriverOpts"],
            &found["DriverOpts"],
            |_| false,
        ));
        let others = others.max(compare_values(
            &declared["GwPriority"],
            &found["GwPriority"],
        ));
        if is_same && is_hardware {
            address.max(others)
        } else {
            Match::Differs
        }
    }

    fn mode(&self, declared: &str, found: &str) -> Match {
        match () {
            () if declared.starts_with("container:") || declared.contains(UNKNOWN) => {
                self.shared_namespace(declared, found)
            }
            () if declared == found
                || (is_default_network(declared) && is_default_network(found)) =>
            {
                Match::Same
            }
            // Podman shows `bridge` for every bridge network, and a network can also be shown by
            // its ID.
            () if !has_no_networks(declared)
                && !has_no_networks(found)
                && (self.shown.is_podman || !is_default_network(declared)) =>
            {
                Match::Same
            }
            () => Match::Differs,
        }
    }
}

/// A mounted directory or volume.
#[derive(Clone, Debug, Default, PartialEq)]
struct Mount {
    /// Directory or name of a volume; none for an anonymous volume.
    source: Option<String>,
    is_read_only: bool,
}

impl Mount {
    fn of_bind(bind: &Json) -> Option<(String, Self)> {
        let parts: Vec<&str> = text(bind).split(':').collect();
        let options = parts.get(2).copied().unwrap_or_default();
        let target = plain_path(parts.get(1)?);
        Some((
            target,
            Self {
                source: Some(plain_path(parts[0])),
                is_read_only: options.split(',').any(|option| option == "ro"),
            },
        ))
    }

    fn of_mount(mount: &Json) -> Option<(String, Self)> {
        let source = Some(plain_path(text(&mount["Source"]))).filter(|source| !source.is_empty());
        Some((
            plain_path(mount["Target"].as_str()?),
            Self {
                source,
                is_read_only: mount["ReadOnly"] == true,
            },
        ))
    }

    fn of_shown(mount: &Json) -> (String, Self) {
        let named = if mount["Type"] == "volume" {
            text(&mount["Name"])
        } else {
            text(&mount["Source"])
        };
        let path = plain_path(text(&mount["Destination"]));
        (
            path,
            Self {
                source: Some(plain_path(named)),
                is_read_only: mount["RW"] == false,
            },
        )
    }

    fn matches(&self, found: &Self) -> Match {
        let source = match &self.source {
            Some(source) if source.contains(UNKNOWN) => Match::NotShown,
            Some(source) if found.source.as_ref() == Some(source) => Match::Same,
            None if found.source.as_deref().is_some_and(is_anonymous) => Match::Same,
            _ => Match::Differs,
        };
        if self.is_read_only == found.is_read_only {
            source
        } else {
            Match::Differs
        }
    }
}

/// Normalizes a path as engines do; a name stays unchanged.
fn plain_path(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn plain_bind(bind: &str) -> String {
    bind.trim_end_matches(":rw")
        .split(':')
        .map(plain_path)
        .collect::<Vec<_>>()
        .join(":")
}

fn short_id(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

fn is_own_label(name: &str) -> bool {
    name.starts_with("dockctl.")
}

/// Returns variables by name; the value is none for a name without `=`.
fn variables(list_of: &Json) -> BTreeMap<String, Option<String>> {
    let variable = |entry: &Json| match text(entry).split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text(entry).to_owned(), None),
    };
    list(list_of).map(variable).collect()
}

/// Converts a link from the engine's format `/name:/container/alias` to `name:alias`.
fn link(link: &str) -> String {
    let (name, alias) = link.split_once(':').unwrap_or((link, link));
    format!(
        "{}:{}",
        name.trim_start_matches('/'),
        alias.rsplit('/').next().unwrap_or(alias)
    )
}

/// Compares port bindings. A port that the engine chooses matches any; only Podman shows the chosen
/// port.
fn ports(declared: &Json, found: &Json, is_podman: bool) -> Match {
    let is_chosen = |port: &Json| matches!(text(port), "" | "0") || text(port).contains('-');
    let known = |port: &str| {
        !is_podman || list(&declared[port]).all(|binding| !is_chosen(&binding["HostPort"]))
    };
    if keys(declared).collect::<BTreeSet<_>>() != keys(found).collect::<BTreeSet<_>>() {
        return Match::Differs;
    }
    let normalized = |bindings: &Json, port: &str| -> Json {
        let address = |binding: &Json| {
            if matches!(text(&binding["HostIp"]), "0.0.0.0" | "") {
                Json::Null
            } else {
                binding["HostIp"].clone()
            }
        };
        let number = |binding: &Json| match text(&binding["HostPort"]) {
            number if known(port) && number != "0" => json!(number),
            _ => Json::Null,
        };
        // A binding without address and port also publishes the port.
        list(bindings)
            .map(|binding| json!([true, address(binding), number(binding)]))
            .collect()
    };
    keys(declared)
        .map(|port| {
            compare_values(
                &normalized(&declared[port.as_str()], port),
                &normalized(&found[port.as_str()], port),
            )
        })
        .max()
        .unwrap_or(Match::Same)
}

/// Compares resource limits. Podman uses the kernel's names, such as `RLIMIT_NOFILE`.
fn limits(declared: &Json, found: &Json) -> Match {
    let normalized = |limits: &Json| -> Json {
        let name = |limit: &Json| {
            text(&limit["Name"])
                .to_lowercase()
                .trim_start_matches("rlimit_")
                .to_owned()
        };
        list(limits).map(|limit| json!({ "name": name(limit), "soft": limit["Soft"], "hard": limit["Hard"] })).collect()
    };
    compare_values(&normalized(declared), &normalized(found))
}

fn is_default_policy(found: &Json) -> Match {
    if matches!(text(&found["Name"]), "" | "no") {
        Match::Same
    } else {
        Match::Differs
    }
}

/// Returns true if an engine generated the name of a volume.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit())
}

/// Returns true for a network mode without attached networks.
fn has_no_networks(mode: &str) -> bool {
    matches!(mode, "host" | "none") || mode.starts_with("container:") || mode.starts_with("ns:")
}

fn is_default_network(name: &str) -> bool {
    matches!(
        name,
        "" | "default" | "bridge" | "podman" | "slirp4netns" | "pasta"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the engine's data on a container that was created without arguments.
    fn plain() -> Inspection {
        Inspection {
            object: json!({
                "Id": "0123456789abcdef", "Name": "/web", "Image": "sha256:1",
                "Config": { "Hostname": "web", "Cmd": ["sleep", "1"], "Env": ["PATH=/bin", "FROM=image"], "Labels": { "of": "image", "dockctl.node": "web" } },
                "HostConfig": { "NetworkMode": "default", "ShmSize": 67_108_864, "Runtime": "runc", "LogConfig": { "Type": "json-file", "Config": {} }, "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 } },
                "NetworkSettings": { "Networks": { "bridge": { "Aliases": null } } },
                "Mounts": [],
            }),
            image: json!({ "Cmd": ["sleep", "1"], "Env": ["PATH=/bin", "FROM=image"], "Labels": { "of": "image" } }),
            declared_image: DeclaredImage::Id("sha256:1".to_owned()),
            engine: json!({ "LoggingDriver": "json-file", "DefaultRuntime": "runc", "CgroupVersion": "2" }),
            ..Inspection::default()
        }
    }

    fn differs(body: &Json, shown: &Inspection) -> Vec<String> {
        container(body, shown).differing.into_iter().collect()
    }

    #[test]
    fn engine_defaults_equal_an_empty_declaration() {
        assert_eq!(container(&json!({}), &plain()), Comparison::default());
    }

    #[test]
    fn each_declaration_differs_from_a_plain_container() {
        for (body, what) in [
            (json!({ "Cmd": ["sleep", "2"] }), "Cmd"),
            (json!({ "Env": ["A=1"] }), "Env A"),
            (json!({ "Env": ["FROM=blueprint"] }), "Env FROM"),
            (json!({ "User": "7" }), "User"),
            (json!({ "Labels": { "a": "b" } }), "Labels"),
            (json!({ "ExposedPorts": { "80/tcp": {} } }), "ExposedPorts"),
            (
                json!({ "Healthcheck": { "Test": ["CMD", "true"] } }),
                "Healthcheck",
            ),
            (
                json!({ "HostConfig": { "Privileged": true } }),
                "HostConfig.Privileged",
            ),
            (
                json!({ "HostConfig": { "PortBindings": { "80/tcp": [{ "HostPort": "8080" }] } } }),
                "HostConfig.PortBindings",
            ),
            (
                json!({ "HostConfig": { "Binds": ["/a:/b"] } }),
                "HostConfig.Binds",
            ),
            (
                json!({ "HostConfig": { "NetworkMode": "host" } }),
                "HostConfig.NetworkMode",
            ),
            (json!({ "Volumes": { "/data": {} } }), "mount /data"),
            (
                json!({ "NetworkingConfig": { "EndpointsConfig": { "back": {} } } }),
                "network back",
            ),
        ] {
            assert!(
                differs(&body, &plain()).contains(&what.to_owned()),
                "{body}: {:?}",
                differs(&body, &plain())
            );
        }
    }

    #[test]
    fn values_no_longer_declared_differ() {
        for (pointer, value, what) in [
            (
                "/object/Config/Env",
                json!(["PATH=/bin", "FROM=image", "OLD=1"]),
                "Env OLD",
            ),
            (
                "/object/Config/Labels",
                json!({ "of": "image", "old": "1" }),
                "Labels",
            ),
            (
                "/object/HostConfig/CapAdd",
                json!(["NET_ADMIN"]),
                "HostConfig.CapAdd",
            ),
            (
                "/object/HostConfig/Memory",
                json!(1 << 26),
                "HostConfig.Memory",
            ),
            (
                "/object/HostConfig/LogConfig",
                json!({ "Type": "none" }),
                "HostConfig.LogConfig",
            ),
            (
                "/object/Mounts",
                json!([{ "Type": "bind", "Source": "/a", "Destination": "/b", "RW": true }]),
                "mount /b",
            ),
            (
                "/object/NetworkSettings/Networks",
                json!({ "bridge": {}, "back": {} }),
                "network back",
            ),
            ("/object/Image", json!("sha256:2"), "image"),
        ] {
            let mut shown = plain();
            let at = pointer.strip_prefix("/object").unwrap();
            let (parent, name) = at.rsplit_once('/').unwrap();
            shown.object.pointer_mut(parent).unwrap()[name] = value;
            assert_eq!(differs(&json!({}), &shown), [what], "{pointer}");
        }
    }

    #[test]
    fn missing_secrets_and_daemon_defaults_are_reported_as_unseen() {
        let mut shown = plain();
        shown.object["HostConfig"]["ShmSize"] = json!(1 << 27);
        shown.object["Config"]["Env"] = json!(["PATH=/bin", "FROM=image", "TOKEN=x"]);
        let body = json!({ "Env": [format!("TOKEN={UNKNOWN}")] });
        let Comparison {
            differing: differs,
            unobservable: unseen,
        } = container(&body, &shown);
        assert_eq!(
            (differs.len(), unseen.into_iter().collect::<Vec<_>>()),
            (
                0,
                vec!["Env TOKEN".to_owned(), "HostConfig.ShmSize".to_owned()]
            )
        );
    }

    #[test]
    fn shared_namespaces_match_by_container_name() {
        let mut shown = plain();
        shown.object["HostConfig"]["NetworkMode"] = "container:abc".into();
        shown.peers = vec![("abc".to_owned(), "db".to_owned())];
        assert_eq!(
            differs(
                &json!({ "HostConfig": { "NetworkMode": "container:db" } }),
                &shown
            ),
            Vec::<String>::new()
        );
        assert_eq!(
            differs(
                &json!({ "HostConfig": { "NetworkMode": "container:web" } }),
                &shown
            ),
            ["HostConfig.NetworkMode"]
        );
    }

    #[test]
    fn engine_chosen_ports_match_any_port() {
        let found = json!({ "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "49153" }] });
        for (declared, is_same) in [
            (json!({ "80/tcp": [{ "HostPort": "" }] }), true),
            (json!({ "80/tcp": [{ "HostPort": "49153" }] }), true),
            (json!({ "80/tcp": [{ "HostPort": "8080" }] }), false),
            (
                json!({ "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "49153" }] }),
                false,
            ),
            (json!({ "81/tcp": [{ "HostPort": "49153" }] }), false),
        ] {
            assert_eq!(
                ports(&declared, &found, true) == Match::Same,
                is_same,
                "{declared}"
            );
        }
        let requested = |port: &str| json!({ "80/tcp": [{ "HostIp": "", "HostPort": port }] });
        assert_eq!(
            ports(&requested("8000-8010"), &requested("8000-8010"), false),
            Match::Same
        );
        assert_eq!(
            ports(&requested("8000-8010"), &requested("8011-8020"), false),
            Match::Differs
        );
        assert_eq!(ports(&requested("0"), &requested(""), false), Match::Same);
    }

    #[test]
    fn new_limits_differ_if_the_engine_supports_them() {
        let mut shown = plain();
        let limits = json!({ "HostConfig": { "Memory": 1 << 26, "CpuShares": 512, "PidsLimit": 7, "CpusetCpus": "0", "NanoCpus": 1 } });
        assert_eq!(
            container(&limits, &shown).unobservable.len(),
            5,
            "an engine that supports no limits"
        );
        for able in [
            "MemoryLimit",
            "CPUShares",
            "PidsLimit",
            "CPUSet",
            "CpuCfsPeriod",
            "CpuCfsQuota",
        ] {
            shown.engine[able] = true.into();
        }
        assert_eq!(differs(&limits, &shown).len(), 5);
        shown.object["HostConfig"]["PidsLimit"] = 9.into();
        assert_eq!(
            differs(&json!({ "HostConfig": { "PidsLimit": 7 } }), &shown),
            Vec::<String>::new(),
            "another value is a drift"
        );
        assert_eq!(
            differs(&json!({ "HostConfig": { "PidsLimit": -1 } }), &shown),
            ["HostConfig.PidsLimit"]
        );
    }

    #[test]
    fn empty_and_zero_values_count_as_declared() {
        for (body, what) in [
            (json!({ "Env": ["A="] }), "Env A"),
            (json!({ "Labels": { "a": "" } }), "Labels"),
            (
                json!({ "HostConfig": { "Tmpfs": { "/t": "" } } }),
                "HostConfig.Tmpfs",
            ),
            (
                json!({ "HostConfig": { "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "" }] } } }),
                "HostConfig.PortBindings",
            ),
            (json!({ "StopTimeout": 0 }), "StopTimeout"),
        ] {
            assert_eq!(differs(&body, &plain()), [what], "{body}");
        }
        let mut shown = plain();
        shown.engine["CgroupVersion"] = "1".into();
        assert_eq!(
            differs(&json!({ "HostConfig": { "MemorySwappiness": 0 } }), &shown),
            ["HostConfig.MemorySwappiness"]
        );
        shown.object["HostConfig"]["MemorySwappiness"] = 0.into();
        assert_eq!(differs(&json!({}), &shown), ["HostConfig.MemorySwappiness"]);
    }

    #[test]
    fn labels_and_variables_of_the_image_are_expected() {
        let mut shown = plain();
        shown.object["Config"]["Labels"]["of"] = "blueprint".into();
        shown.object["Config"]["Env"] = json!(["PATH=/bin", "FROM=image", "HOME=/x"]);
        assert_eq!(differs(&json!({}), &shown), ["Env HOME", "Labels"]);
    }

    #[test]
    fn paths_are_normalized_and_empty_entry_points_remove_those_of_the_image() {
        let mut shown = plain();
        shown.object["Config"]["WorkingDir"] = "/tmp".into();
        shown.object["Mounts"] =
            json!([{ "Type": "bind", "Source": "/tmp", "Destination": "/a", "RW": true }]);
        shown.object["HostConfig"]["Binds"] = json!(["/tmp/../tmp/:/a/"]);
        let body =
            json!({ "WorkingDir": "/tmp//x/..", "HostConfig": { "Binds": ["/tmp/../tmp/:/a/"] } });
        assert_eq!(differs(&body, &shown), Vec::<String>::new());
        let mut shown = plain();
        shown.image["Entrypoint"] = json!(["/init"]);
        assert_eq!(differs(&json!({}), &shown), ["Entrypoint"]);
        assert_eq!(
            differs(&json!({ "Entrypoint": [] }), &shown),
            Vec::<String>::new()
        );
        assert_eq!(
            differs(&json!({ "Entrypoint": [""] }), &shown),
            ["Cmd"],
            "it also removes the command"
        );
    }

    #[test]
    fn links_on_user_networks_are_not_compared() {
        let mut shown = plain();
        shown.object["HostConfig"]["NetworkMode"] = "back".into();
        shown.object["NetworkSettings"]["Networks"] = json!({ "back": {} });
        let body = json!({ "HostConfig": { "NetworkMode": "back", "Links": ["db:db"] } });
        let Comparison {
            differing: differs,
            unobservable: unseen,
        } = container(&body, &shown);
        assert_eq!(
            (differs.len(), unseen.into_iter().collect::<Vec<_>>()),
            (0, vec!["HostConfig.Links".to_owned()])
        );
    }

    #[test]
    fn carried_over_volumes_do_not_differ() {
        let name = "0123456789abcdef".repeat(4);
        let mut shown = plain();
        shown.object["Mounts"] =
            json!([{ "Type": "volume", "Name": name, "Destination": "/data", "RW": true }]);
        assert_eq!(differs(&json!({}), &shown), ["mount /data"]);
        shown.object["HostConfig"]["Mounts"] =
            json!([{ "Type": "volume", "Source": name, "Target": "/data" }]);
        assert_eq!(differs(&json!({}), &shown), Vec::<String>::new());
    }

    #[test]
    fn undeclared_log_options_may_come_from_the_daemon() {
        let mut shown = plain();
        shown.object["HostConfig"]["LogConfig"]["Config"] = json!({ "max-size": "1m" });
        assert_eq!(
            container(&json!({}), &shown)
                .unobservable
                .into_iter()
                .collect::<Vec<_>>(),
            ["HostConfig.LogConfig"]
        );
    }

    #[test]
    fn networks_and_volumes_are_compared_with_their_names_and_addresses() {
        let of = |name: &str, config: Json| json!({ "Name": name, "Driver": "bridge", "IPAM": { "Driver": "default", "Config": config } });
        let chosen = json!([{ "Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1" }]);
        let found = of("net", chosen);
        assert_eq!(
            network(&json!({ "Name": "net" }), &found),
            Comparison::default()
        );
        assert_eq!(
            network(&json!({ "Name": "new" }), &found)
                .differing
                .into_iter()
                .collect::<Vec<_>>(),
            ["Name"]
        );
        let declared_once = of("net", json!([{ "Subnet": "172.99.0.0/24" }]));
        assert_eq!(
            network(&json!({ "Name": "net" }), &declared_once)
                .unobservable
                .into_iter()
                .collect::<Vec<_>>(),
            ["IPAM"]
        );
        assert_eq!(
            network(
                &json!({ "Name": "net", "IPAM": { "Driver": "null" } }),
                &found
            )
            .differing
            .len(),
            1
        );
        assert_eq!(
            volume(
                &json!({ "Name": "new" }),
                &json!({ "Name": "old", "Driver": "local" })
            )
            .differing
            .len(),
            1
        );
    }
}
