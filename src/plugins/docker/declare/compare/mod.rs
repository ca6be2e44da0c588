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
        function::{Surroundings, bind, is_call},
    },
    plugins::docker::declare::{
        action::Creation,
        change::ADJUSTABLE,
        declared::{creation, object_name},
        network,
        operation::kind,
        request::{MAC_ADDRESS_OF_ENDPOINT, NewContainer, assembled},
        volume,
    },
    seam::{Comparison, Object},
    syntax::literal,
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use values::{
    Match, UNKNOWN, alike, as_set, covers, entries, in_order, is_nothing, is_unknown, keys, list,
    or_default, text,
};

/// An engine's data on an object, for the comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shown {
    /// The inspection of the object.
    pub(crate) object: Json,
    /// `Config` of the image of a container.
    pub(crate) image: Json,
    /// The image that the declaration names.
    pub(crate) wanted_image: WantedImage,
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
pub(crate) enum WantedImage {
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
fn nothing() -> Comparison {
    Comparison {
        unseen: BTreeSet::from(["everything".to_owned()]),
        ..Comparison::default()
    }
}

fn add(comparison: &mut Comparison, field: impl Into<String>, found: Match) {
    match found {
        Match::Same => false,
        Match::Unseen => comparison.unseen.insert(field.into()),
        Match::Differs => comparison.differs.insert(field.into()),
    };
}

/// Compares an object that another state directory created with the declaration of the deployment,
/// and stores the result in the object.
pub(crate) fn judge(
    object: &mut Object,
    shown: &Shown,
    deployment: &Deployment,
    around: &dyn Surroundings,
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
        let name = bound(&object_name(&deployment.name, instance, node), around);
        request.ok().map(|mut body| {
            body["Name"] = name;
            body
        })
    };
    let properties = || bound(&json!(node.properties), around);
    object.comparison = match kind(node) {
        Some(Kind::Container) => of_container(deployment, instance, node, shown, around),
        Some(Kind::Network) => of_plain(named(network::request(&properties())).as_ref(), |body| {
            network(body, &shown.object)
        }),
        Some(Kind::Volume) => of_plain(named(volume::request(&properties())).as_ref(), |body| {
            volume(body, &shown.object)
        }),
        _ => Comparison::default(),
    };
    owner.as_declared = object.comparison.differs.is_empty();
}

fn of_plain(request: Option<&Json>, compare: impl Fn(&Json) -> Comparison) -> Comparison {
    request.map_or_else(nothing, compare)
}

fn of_container(
    deployment: &Deployment,
    instance: &Instance,
    node: &Definition,
    shown: &Shown,
    around: &dyn Surroundings,
) -> Comparison {
    let declared = creation(deployment, instance, node);
    let Ok(creation) = serde_json::from_value::<Creation>(bound(&json!(declared), around)) else {
        return nothing();
    };
    let Ok(converted) = creation.converted() else {
        return nothing();
    };
    let name = creation.name.as_str().unwrap_or_default();
    let mut body = assembled(
        converted,
        &NewContainer {
            name,
            version: shown.version,
            proxies: &shown.config,
        },
    );
    for attachment in creation.later_networks() {
        let (Some(network), Ok(endpoint)) = (attachment.network.as_str(), attachment.converted())
        else {
            return nothing();
        };
        body["NetworkingConfig"]["EndpointsConfig"][network] = endpoint;
    }
    container(&body, shown)
}

/// Evaluates functions; unknown values become [`UNKNOWN`].
fn bound(json: &Json, around: &dyn Surroundings) -> Json {
    match json {
        call if is_call(call) => bind(call, around).unwrap_or_else(|_| UNKNOWN.into()),
        data if literal(data).is_some() => data.clone(),
        Json::Array(items) => items.iter().map(|item| bound(item, around)).collect(),
        Json::Object(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), bound(value, around)))
            .collect(),
        other => other.clone(),
    }
}

/// Compares a container with the body of the request that would create it now.
pub(crate) fn container(body: &Json, shown: &Shown) -> Comparison {
    let mut comparison = Comparison::default();
    let all = Comparing {
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
        add(&mut comparison, field, alike(&body[field], &found[field]));
    }
    add(
        &mut comparison,
        "Driver",
        or_default(&body["Driver"], &found["Driver"], &["bridge"]),
    );
    add(
        &mut comparison,
        "Options",
        entries(&body["Options"], &found["Options"], |name| {
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
        entries(&body["Labels"], &found["Labels"], is_own_label),
    );
    comparison
}

/// Compares a volume with the body of the request that would create it now.
pub(crate) fn volume(body: &Json, found: &Json) -> Comparison {
    let mut comparison = Comparison::default();
    add(
        &mut comparison,
        "Name",
        alike(&body["Name"], &found["Name"]),
    );
    add(
        &mut comparison,
        "Driver",
        or_default(&body["Driver"], &found["Driver"], &["local"]),
    );
    add(
        &mut comparison,
        "Options",
        entries(&body["DriverOpts"], &found["Options"], |_| false),
    );
    add(
        &mut comparison,
        "Labels",
        entries(&body["Labels"], &found["Labels"], is_own_label),
    );
    comparison
}

/// Compares the addresses of a network. Without declared addresses the engine chooses them. Other
/// addresses than its usual ones may come from its daemon.json, and count as unseen.
fn addresses(own: &Json, found: &Json) -> Match {
    let driver = or_default(&own["Driver"], &found["Driver"], &["default", "host-local"]);
    let options = entries(&own["Options"], &found["Options"], |_| false);
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
    let config = match is_nothing(&own["Config"]) {
        false => covers(&own["Config"], &found["Config"]),
        true if list(&found["Config"]).all(is_chosen) => Match::Same,
        true => Match::Unseen,
    };
    driver.max(options).max(config)
}

struct Comparing<'a> {
    body: &'a Json,
    shown: &'a Shown,
    config: &'a Json,
    host: &'a Json,
}

impl Comparing<'_> {
    fn image(&self, comparison: &mut Comparison) {
        let found = match &self.shown.wanted_image {
            WantedImage::Unnamed => Match::Unseen,
            WantedImage::Tarball { is_same: true } => Match::Same,
            WantedImage::Id(wanted)
                if short_id(wanted) == short_id(text(&self.shown.object["Image"])) =>
            {
                Match::Same
            }
            WantedImage::Id(_) | WantedImage::Absent | WantedImage::Tarball { is_same: false } => {
                Match::Differs
            }
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
        let command = if has_words || !is_nothing(&body["Cmd"]) {
            &body["Cmd"]
        } else {
            &image["Cmd"]
        };
        add(
            comparison,
            "Entrypoint",
            in_order(entry, &self.config["Entrypoint"]),
        );
        add(comparison, "Cmd", in_order(command, &self.config["Cmd"]));
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
                (Some(value), _) if value.contains(UNKNOWN) => Match::Unseen,
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
            let own = &self.body[field];
            let wanted = if is_nothing(own) {
                &self.shown.image[field]
            } else {
                own
            };
            let usual: &[&str] = if field == "StopSignal" {
                &["SIGTERM", "15"]
            } else {
                &["/"]
            };
            let spelled = |value: &Json| {
                if field == "WorkingDir" {
                    json!(plain_path(text(value)))
                } else {
                    value.clone()
                }
            };
            add(
                comparison,
                field,
                or_default(&spelled(wanted), &spelled(&self.config[field]), usual),
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
                alike(&self.body[field], &self.config[field]),
            );
        }
        // Newer engines show the MAC address of a network here, declared or not.
        if self
            .shown
            .version
            .is_some_and(|version| version < MAC_ADDRESS_OF_ENDPOINT)
            && !self.shown.is_podman
        {
            add(
                comparison,
                "MacAddress",
                alike(&self.body["MacAddress"], &self.config["MacAddress"]),
            );
        }
        if !is_nothing(&self.body["Hostname"]) {
            add(
                comparison,
                "Hostname",
                alike(&self.body["Hostname"], &self.config["Hostname"]),
            );
        }
        add(comparison, "StopTimeout", self.stop_timeout());
        add(comparison, "ExposedPorts", self.exposed_ports());
        add(comparison, "Healthcheck", self.health());
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
    fn health(&self) -> Match {
        let mut wanted = self.shown.image["Healthcheck"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let own = self.body["Healthcheck"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| !is_nothing(value));
        wanted.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        let found = &self.config["Healthcheck"];
        if wanted.is_empty() {
            return if is_nothing(found) {
                Match::Same
            } else {
                Match::Differs
            };
        }
        let test = in_order(wanted.get("Test").unwrap_or(&Json::Null), &found["Test"]);
        let times = [
            "Interval",
            "Timeout",
            "StartPeriod",
            "StartInterval",
            "Retries",
        ]
        .into_iter();
        // Podman sets defaults for omitted fields.
        let said = times.filter(|name| !self.shown.is_podman || wanted.contains_key(*name));
        said.map(|name| alike(wanted.get(name).unwrap_or(&Json::Null), &found[name]))
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
            entries(&wanted.into(), &self.config["Labels"], is_own_label),
        );
    }

    fn host_config(&self, comparison: &mut Comparison) {
        /// Fields that are compared elsewhere or never declared.
        const ELSEWHERE: [&str; 9] = [
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
            .filter(|field| !ELSEWHERE.contains(&field.as_str()))
        {
            let (own, found) = (&declared[field.as_str()], &self.host[field.as_str()]);
            let is_limit = ADJUSTABLE.contains(&field.as_str()) && !is_nothing(own);
            let is_same = if is_limit {
                self.limit(field, own, found)
            } else {
                self.host_field(field, own, found)
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
                alike(&declared[field], &self.host[field]),
            );
        }
        add(
            comparison,
            "HostConfig.VolumesFrom",
            as_set(
                &declared["VolumesFrom"],
                &self.host["VolumesFrom"],
                |from| from.trim_end_matches(":rw").to_owned(),
            ),
        );
    }

    /// Compares an adjustable limit. A different limit is a drift, not a difference. If the engine
    /// shows no limit, none is set, or the engine does not support it.
    fn limit(&self, field: &str, own: &Json, found: &Json) -> Match {
        let engine = &self.shown.engine;
        let keeps = |what: &str| engine[what] == true;
        let is_kept = match field {
            "Memory" | "MemoryReservation" => keeps("MemoryLimit"),
            "MemorySwap" => keeps("SwapLimit"),
            "NanoCpus" | "CpuPeriod" | "CpuQuota" => keeps("CpuCfsPeriod") && keeps("CpuCfsQuota"),
            "CpuShares" => keeps("CPUShares"),
            "CpusetCpus" | "CpusetMems" => keeps("CPUSet"),
            "PidsLimit" => keeps("PidsLimit"),
            _ => false,
        };
        match () {
            () if field == "RestartPolicy" => Match::Same,
            () if *own == -1 => {
                self.undeclared(field, if *found == -1 { &Json::Null } else { found })
            }
            () if !is_nothing(found) => Match::Same,
            () if is_kept && !is_unknown(own) => Match::Differs,
            () => Match::Unseen,
        }
    }

    fn host_field(&self, field: &str, own: &Json, found: &Json) -> Match {
        match field {
            "PortBindings" if is_unknown(own) => return Match::Unseen,
            "PortBindings" => return ports(own, found, self.shown.is_podman),
            "Tmpfs" | "Sysctls" | "StorageOpt" => return entries(own, found, |_| false),
            // Zero is a value, except for Podman.
            "MemorySwappiness" if *own == 0 && *found == 0 => return Match::Same,
            "MemorySwappiness" if own.is_null() && *found == 0 && !self.shown.is_podman => {
                return Match::Differs;
            }
            "MemorySwappiness" if *own == 0 && self.shown.engine["CgroupVersion"] == "1" => {
                return Match::Differs;
            }
            _ if is_nothing(own) => return self.undeclared(field, found),
            _ => {}
        }
        match field {
            // Engines omit values that they do not support.
            "KernelMemory" | "KernelMemoryTCP" | "OomKillDisable" | "BlkioWeightDevice"
            | "MemorySwappiness"
                if is_nothing(found) =>
            {
                Match::Unseen
            }
            // Engines do not show these links on user-defined networks.
            "Links" if is_nothing(found) && self.is_on_network_of_user() => Match::Unseen,
            "CapAdd" | "CapDrop" => as_set(own, found, |name| {
                name.to_uppercase().trim_start_matches("CAP_").to_owned()
            }),
            "SecurityOpt" => as_set(own, found, |option| option.replacen(':', "=", 1)),
            "Links" => as_set(own, found, link),
            "GroupAdd" | "ExtraHosts" => as_set(own, found, str::to_owned),
            "Dns" | "DnsOptions" | "DnsSearch" => in_order(own, found),
            "Ulimits" => limits(own, found),
            "LogConfig" => alike(&own["Type"], &found["Type"])
                .max(self.log_options(&own["Config"], &found["Config"])),
            "PidMode" | "IpcMode" => self.shared(text(own), text(found)),
            _ => alike(own, found),
        }
    }

    /// Compares an undeclared field with the engine's default. A default from the engine's
    /// configuration cannot be distinguished from an earlier declaration.
    fn undeclared(&self, field: &str, found: &Json) -> Match {
        let or_unseen = |usual: bool| if usual { Match::Same } else { Match::Unseen };
        let is = |usual: &[&str]| {
            if usual.contains(&text(found)) {
                Match::Same
            } else {
                Match::Differs
            }
        };
        let podman = self.shown.is_podman;
        match field {
            _ if is_nothing(found) => Match::Same,
            "MemorySwappiness" if *found == -1 => Match::Same,
            "LogConfig" => match text(&self.shown.engine["LoggingDriver"]) {
                "" => Match::Unseen,
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
            "MemorySwap" if !is_nothing(&self.body["HostConfig"]["Memory"]) => Match::Same,
            "OomScoreAdj" | "PidsLimit" | "Ulimits" | "CgroupParent" | "Cgroup"
            | "CgroupManager" | "CapDrop" | "SecurityOpt"
                if podman =>
            {
                Match::Same
            }
            // Engines record this for privileged containers and for those in host namespaces.
            "SecurityOpt" => alike(&json!(["label=disable"]), found),
            _ => Match::Differs,
        }
    }

    fn is_on_network_of_user(&self) -> bool {
        let mode = text(&self.host["NetworkMode"]);
        !is_alone(mode) && !is_default_network(mode)
    }

    /// Compares log options. Engines add options from their daemon.json.
    fn log_options(&self, own: &Json, found: &Json) -> Match {
        let more = keys(found).any(|name| own.get(name).is_none()) && !self.shown.is_podman;
        entries(own, found, |_| true).max(if more { Match::Unseen } else { Match::Same })
    }

    /// Compares shared namespaces. A declaration names another container by name or ID; engines
    /// show the ID.
    fn shared(&self, own: &str, found: &str) -> Match {
        let of = |mode: &str| {
            mode.strip_prefix("container:")
                .map(|name| name.trim_start_matches('/').to_owned())
        };
        let is_peer = |own: &str, found: &str| {
            self.shown
                .peers
                .iter()
                .any(|(id, name)| id == found && (name == own || id.starts_with(own)))
        };
        match (of(own), of(found)) {
            _ if own.contains(UNKNOWN) => Match::Unseen,
            (Some(own), Some(found)) if is_peer(&own, &found) => Match::Same,
            _ if own == found => Match::Same,
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
        let is_shared = !is_nothing(&host["VolumesFrom"]);
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
        let own = &self.body["HostConfig"];
        let carried = |mount: &&Json| is_anonymous(text(&mount["Source"]));
        let found: Json = list(&self.host["Mounts"])
            .filter(|mount| !carried(mount))
            .cloned()
            .collect();
        add(
            comparison,
            "HostConfig.Mounts",
            alike(&list(&own["Mounts"]).cloned().collect(), &found),
        );
        add(
            comparison,
            "HostConfig.Binds",
            as_set(&own["Binds"], &self.host["Binds"], plain_bind),
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
        if is_alone(mode) {
            return;
        }
        let found = &self.shown.object["NetworkSettings"]["Networks"];
        let mut expected: BTreeSet<&str> = keys(endpoints).map(String::as_str).collect();
        expected.extend(Some(mode).filter(|mode| !is_default_network(mode)));
        let is_same = |name: &str, network: &Json| network["NetworkID"] == name;
        for name in &expected {
            let there = keys(found)
                .find(|it| it == name || is_same(name, &found[it.as_str()]))
                .map(|it| &found[it.as_str()]);
            let endpoint = &endpoints[*name];
            add(
                comparison,
                format!("network {name}"),
                there.map_or(Match::Differs, |there| self.endpoint(endpoint, there)),
            );
        }
        let known = |name: &String| {
            expected
                .iter()
                .any(|it| it == name || is_same(it, &found[name.as_str()]))
        };
        for name in keys(found)
            .filter(|name| !(known(name) || expected.is_empty() && is_default_network(name)))
        {
            add(comparison, format!("network {name}"), Match::Differs);
        }
    }

    /// Compares the endpoint of a network. Engines add the container's ID and name as aliases.
    fn endpoint(&self, own: &Json, found: &Json) -> Match {
        if is_unknown(own) {
            return Match::Unseen;
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
        let wanted: BTreeSet<&str> = list(&own["Aliases"]).map(text).collect();
        let aliases: BTreeSet<&str> = list(&found["Aliases"]).map(text).collect();
        let is_same = wanted.is_subset(&aliases)
            && aliases
                .iter()
                .all(|alias| wanted.contains(alias) || is_added(alias));
        let address = if is_nothing(&own["IPAMConfig"]) {
            alike(&Json::Null, &found["IPAMConfig"])
        } else {
            covers(&own["IPAMConfig"], &found["IPAMConfig"])
        };
        let hardware = text(&own["MacAddress"]);
        let is_hardware = hardware.is_empty()
            || is_nothing(&found["MacAddress"])
            || text(&found["MacAddress"]).eq_ignore_ascii_case(hardware);
        let others = as_set(&own["Links"], &found["Links"], link).max(entries(
            &own["DriverOpts"],
            &found["DriverOpts"],
            |_| false,
        ));
        if is_same && is_hardware {
            address.max(others)
        } else {
            Match::Differs
        }
    }

    fn mode(&self, own: &str, found: &str) -> Match {
        match () {
            () if own.starts_with("container:") || own.contains(UNKNOWN) => self.shared(own, found),
            () if own == found || (is_default_network(own) && is_default_network(found)) => {
                Match::Same
            }
            // Podman shows `bridge` for every bridge network, and a network can also be shown by
            // its ID.
            () if !is_alone(own)
                && !is_alone(found)
                && (self.shown.is_podman || !is_default_network(own)) =>
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
            Some(source) if source.contains(UNKNOWN) => Match::Unseen,
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
fn ports(own: &Json, found: &Json, is_podman: bool) -> Match {
    let is_chosen = |port: &Json| matches!(text(port), "" | "0") || text(port).contains('-');
    let known =
        |port: &str| !is_podman || list(&own[port]).all(|binding| !is_chosen(&binding["HostPort"]));
    if keys(own).collect::<BTreeSet<_>>() != keys(found).collect::<BTreeSet<_>>() {
        return Match::Differs;
    }
    let spelled = |bindings: &Json, port: &str| -> Json {
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
    keys(own)
        .map(|port| {
            alike(
                &spelled(&own[port.as_str()], port),
                &spelled(&found[port.as_str()], port),
            )
        })
        .max()
        .unwrap_or(Match::Same)
}

/// Compares resource limits. Podman uses the kernel's names, such as `RLIMIT_NOFILE`.
fn limits(own: &Json, found: &Json) -> Match {
    let spelled = |limits: &Json| -> Json {
        let name = |limit: &Json| {
            text(&limit["Name"])
                .to_lowercase()
                .trim_start_matches("rlimit_")
                .to_owned()
        };
        list(limits).map(|limit| json!({ "name": name(limit), "soft": limit["Soft"], "hard": limit["Hard"] })).collect()
    };
    alike(&spelled(own), &spelled(found))
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
fn is_alone(mode: &str) -> bool {
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
    fn plain() -> Shown {
        Shown {
            object: json!({
                "Id": "0123456789abcdef", "Name": "/web", "Image": "sha256:1",
                "Config": { "Hostname": "web", "Cmd": ["sleep", "1"], "Env": ["PATH=/bin", "FROM=image"], "Labels": { "of": "image", "dockctl.node": "web" } },
                "HostConfig": { "NetworkMode": "default", "ShmSize": 67_108_864, "Runtime": "runc", "LogConfig": { "Type": "json-file", "Config": {} }, "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 } },
                "NetworkSettings": { "Networks": { "bridge": { "Aliases": null } } },
                "Mounts": [],
            }),
            image: json!({ "Cmd": ["sleep", "1"], "Env": ["PATH=/bin", "FROM=image"], "Labels": { "of": "image" } }),
            wanted_image: WantedImage::Id("sha256:1".to_owned()),
            engine: json!({ "LoggingDriver": "json-file", "DefaultRuntime": "runc", "CgroupVersion": "2" }),
            ..Shown::default()
        }
    }

    fn differs(body: &Json, shown: &Shown) -> Vec<String> {
        container(body, shown).differs.into_iter().collect()
    }

    #[test]
    fn nothing_declared_is_what_the_engine_fills_in() {
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
    fn what_is_not_declared_any_more_differs() {
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
    fn a_secret_that_is_not_given_and_what_a_daemon_decides_are_named() {
        let mut shown = plain();
        shown.object["HostConfig"]["ShmSize"] = json!(1 << 27);
        shown.object["Config"]["Env"] = json!(["PATH=/bin", "FROM=image", "TOKEN=x"]);
        let body = json!({ "Env": [format!("TOKEN={UNKNOWN}")] });
        let Comparison { differs, unseen } = container(&body, &shown);
        assert_eq!(
            (differs.len(), unseen.into_iter().collect::<Vec<_>>()),
            (
                0,
                vec!["Env TOKEN".to_owned(), "HostConfig.ShmSize".to_owned()]
            )
        );
    }

    #[test]
    fn a_namespace_of_another_container_is_known_by_its_name() {
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
    fn a_port_that_the_engine_chose_can_be_any() {
        let found = json!({ "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "49153" }] });
        for (own, is_same) in [
            (json!({ "80/tcp": [{ "HostPort": "" }] }), true),
            (json!({ "80/tcp": [{ "HostPort": "49153" }] }), true),
            (json!({ "80/tcp": [{ "HostPort": "8080" }] }), false),
            (
                json!({ "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "49153" }] }),
                false,
            ),
            (json!({ "81/tcp": [{ "HostPort": "49153" }] }), false),
        ] {
            assert_eq!(ports(&own, &found, true) == Match::Same, is_same, "{own}");
        }
        let asked = |port: &str| json!({ "80/tcp": [{ "HostIp": "", "HostPort": port }] });
        assert_eq!(
            ports(&asked("8000-8010"), &asked("8000-8010"), false),
            Match::Same
        );
        assert_eq!(
            ports(&asked("8000-8010"), &asked("8011-8020"), false),
            Match::Differs
        );
        assert_eq!(ports(&asked("0"), &asked(""), false), Match::Same);
    }

    #[test]
    fn limits_that_are_new_differ_where_the_engine_can_keep_them() {
        let mut shown = plain();
        let limits = json!({ "HostConfig": { "Memory": 1 << 26, "CpuShares": 512, "PidsLimit": 7, "CpusetCpus": "0", "NanoCpus": 1 } });
        assert_eq!(
            container(&limits, &shown).unseen.len(),
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
    fn what_is_empty_or_zero_is_still_declared() {
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
    fn a_label_or_variable_of_the_image_comes_back() {
        let mut shown = plain();
        shown.object["Config"]["Labels"]["of"] = "blueprint".into();
        shown.object["Config"]["Env"] = json!(["PATH=/bin", "FROM=image", "HOME=/x"]);
        assert_eq!(differs(&json!({}), &shown), ["Env HOME", "Labels"]);
    }

    #[test]
    fn paths_are_cleaned_and_empty_entry_points_take_those_of_the_image_away() {
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
    fn links_on_networks_of_the_user_are_not_shown() {
        let mut shown = plain();
        shown.object["HostConfig"]["NetworkMode"] = "back".into();
        shown.object["NetworkSettings"]["Networks"] = json!({ "back": {} });
        let body = json!({ "HostConfig": { "NetworkMode": "back", "Links": ["db:db"] } });
        let Comparison { differs, unseen } = container(&body, &shown);
        assert_eq!(
            (differs.len(), unseen.into_iter().collect::<Vec<_>>()),
            (0, vec!["HostConfig.Links".to_owned()])
        );
    }

    #[test]
    fn what_was_carried_over_stays_without_a_difference() {
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
    fn options_of_logs_that_are_not_declared_may_be_the_daemons() {
        let mut shown = plain();
        shown.object["HostConfig"]["LogConfig"]["Config"] = json!({ "max-size": "1m" });
        assert_eq!(
            container(&json!({}), &shown)
                .unseen
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
                .differs
                .into_iter()
                .collect::<Vec<_>>(),
            ["Name"]
        );
        let declared_once = of("net", json!([{ "Subnet": "172.99.0.0/24" }]));
        assert_eq!(
            network(&json!({ "Name": "net" }), &declared_once)
                .unseen
                .into_iter()
                .collect::<Vec<_>>(),
            ["IPAM"]
        );
        assert_eq!(
            network(
                &json!({ "Name": "net", "IPAM": { "Driver": "null" } }),
                &found
            )
            .differs
            .len(),
            1
        );
        assert_eq!(
            volume(
                &json!({ "Name": "new" }),
                &json!({ "Name": "old", "Driver": "local" })
            )
            .differs
            .len(),
            1
        );
    }
}
