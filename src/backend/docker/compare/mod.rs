//! Whether what an engine shows of an object is what its declaration comes to.
//!
//! Digests in labels answer that for what this state directory made. Of what another one made, all that tells is what the engine
//! shows: the request that the declaration comes to, with what the image and the engine add to it, is compared field by field. What an
//! engine does not show, or what only somebody's daemon.json decides, is named and counts as equal: it must not be replaced at every
//! run.

mod values;

use super::{
    Creation,
    connect::Version,
    containers::{MAC_ADDRESS_OF_ENDPOINT, NewContainer, assembled},
    declared::creation,
    networks,
    operation::kind,
    replace::ADJUSTABLE,
    volumes,
};
use crate::{
    backend::{Object, ObjectKind},
    model::{
        Definition, Deployment, Instance,
        function::{Surroundings, bind, is_call},
    },
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use values::{Match, UNKNOWN, alike, as_set, covers, entries, in_order, is_nothing, is_unknown, keys, list, or_default, text};

/// What an engine shows of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The inspection of the object.
    pub(super) object: Json,
    /// `Config` of the image of a container.
    pub(super) image: Json,
    /// Id of the image that the declaration names.
    pub(super) wanted_image: WantedImage,
    /// What the engine says of itself.
    pub(super) engine: Json,
    pub(super) is_podman: bool,
    /// Ids and names of the containers whose namespaces it shares.
    pub(super) peers: Vec<(String, String)>,
    /// Version of its API.
    pub(super) version: Option<Version>,
    /// Configuration of the docker command here, which names proxies.
    pub(super) config: Json,
}

/// The image that a declaration names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum WantedImage {
    /// It has no name, or one that is only known later.
    #[default]
    Unnamed,
    /// The engine does not have it.
    Absent,
    /// Its id.
    Id(String),
}

/// What a comparison came to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Comparison {
    /// What is not as declared, as the engine calls it.
    pub differs: BTreeSet<String>,
    /// What cannot be seen.
    pub unseen: BTreeSet<String>,
}

impl Comparison {
    /// Nothing could be compared.
    fn nothing() -> Self {
        Self { unseen: BTreeSet::from(["everything".to_owned()]), ..Self::default() }
    }

    fn add(&mut self, field: impl Into<String>, found: Match) {
        match found {
            Match::Same => false,
            Match::Unseen => self.unseen.insert(field.into()),
            Match::Differs => self.differs.insert(field.into()),
        };
    }
}

/// Says whether an object is as the deployment declares it, if another state directory made it and the engine showed it.
pub(in crate::backend) fn judge(object: &mut Object, deployment: &Deployment, around: &dyn Surroundings) {
    // What was read from labels declares nothing of what goes into an object.
    let Some(shown) = object.shown.take().filter(|_| !deployment.recovered) else { return };
    let Some(owner) = &mut object.owner else { return };
    let Some(instance) = deployment.instance(&owner.instance) else { return };
    let Some(node) = deployment.node(instance).filter(|node| !node.is_adopted()) else { return };
    object.comparison = match kind(node) {
        Some(ObjectKind::Container) => of_container(deployment, instance, node, &shown, around),
        Some(ObjectKind::Network) => {
            of_plain(&networks::request(&bound(&json!(node.properties), around)), |body| network(body, &shown.object))
        }
        Some(ObjectKind::Volume) => {
            of_plain(&volumes::request(&bound(&json!(node.properties), around)), |body| volume(body, &shown.object))
        }
        _ => Comparison::default(),
    };
    owner.as_declared = object.comparison.differs.is_empty();
}

fn of_plain<E>(request: &Result<Json, E>, compare: impl Fn(&Json) -> Comparison) -> Comparison {
    request.as_ref().map_or_else(|_| Comparison::nothing(), compare)
}

fn of_container(deployment: &Deployment, instance: &Instance, node: &Definition, shown: &Shown, around: &dyn Surroundings) -> Comparison {
    let declared = Creation { declaration: String::new(), ..creation(deployment, instance, node) };
    let Ok(creation) = serde_json::from_value::<Creation>(bound(&json!(declared), around)) else { return Comparison::nothing() };
    let Ok(converted) = creation.converted() else { return Comparison::nothing() };
    let name = creation.name.as_str().unwrap_or_default();
    let mut body = assembled(converted, &NewContainer { name, version: shown.version, proxies: &shown.config });
    for attachment in creation.later_networks() {
        let (Some(network), Ok(endpoint)) = (attachment.network.as_str(), attachment.converted()) else { return Comparison::nothing() };
        body["NetworkingConfig"]["EndpointsConfig"][network] = endpoint;
    }
    container(&body, shown)
}

/// Evaluates functions; what cannot be known now becomes [`UNKNOWN`].
fn bound(json: &Json, around: &dyn Surroundings) -> Json {
    match json {
        call if is_call(call) => bind(call, around).unwrap_or_else(|_| UNKNOWN.into()),
        Json::Array(items) => items.iter().map(|item| bound(item, around)).collect(),
        Json::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), bound(value, around))).collect(),
        other => other.clone(),
    }
}

/// Compares a container with the body of the request that would create it now.
pub(super) fn container(body: &Json, shown: &Shown) -> Comparison {
    let mut comparison = Comparison::default();
    let all = Comparing { body, shown, config: &shown.object["Config"], host: &shown.object["HostConfig"] };
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
pub(super) fn network(body: &Json, found: &Json) -> Comparison {
    let mut comparison = Comparison::default();
    for field in ["Internal", "Attachable", "EnableIPv6"] {
        comparison.add(field, alike(&body[field], &found[field]));
    }
    comparison.add("Driver", or_default(&body["Driver"], &found["Driver"], &["bridge"]));
    comparison.add("Options", entries(&body["Options"], &found["Options"], |name| name.starts_with("com.docker.network.enable_ip")));
    if !is_nothing(&body["IPAM"]["Config"]) {
        comparison.add("IPAM", covers(&body["IPAM"]["Config"], &found["IPAM"]["Config"]));
    }
    comparison.add("Labels", entries(&body["Labels"], &found["Labels"], is_own_label));
    comparison
}

/// Compares a volume with the body of the request that would create it now.
pub(super) fn volume(body: &Json, found: &Json) -> Comparison {
    let mut comparison = Comparison::default();
    comparison.add("Driver", or_default(&body["Driver"], &found["Driver"], &["local"]));
    comparison.add("Options", entries(&body["DriverOpts"], &found["Options"], |_| false));
    comparison.add("Labels", entries(&body["Labels"], &found["Labels"], is_own_label));
    comparison
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
            WantedImage::Id(wanted) if short_id(wanted) == short_id(text(&self.shown.object["Image"])) => Match::Same,
            WantedImage::Id(_) | WantedImage::Absent => Match::Differs,
        };
        comparison.add("image", found);
    }

    /// An entry point of the request hides the command of the image.
    fn command(&self, comparison: &mut Comparison) {
        let (body, image) = (self.body, &self.shown.image);
        let own_entry = !is_nothing(&body["Entrypoint"]);
        let entry = if own_entry { &body["Entrypoint"] } else { &image["Entrypoint"] };
        let command = if own_entry || !is_nothing(&body["Cmd"]) { &body["Cmd"] } else { &image["Cmd"] };
        comparison.add("Entrypoint", in_order(entry, &self.config["Entrypoint"]));
        comparison.add("Cmd", in_order(command, &self.config["Cmd"]));
    }

    /// Names only: values may be secret. An entry without a value takes one of the image away.
    fn environment(&self, comparison: &mut Comparison) {
        const ADDED: [&str; 5] = ["PATH", "HOME", "HOSTNAME", "TERM", "container"];
        let mut wanted = variables(&self.shown.image["Env"]);
        wanted.extend(variables(&self.body["Env"]));
        let found = variables(&self.config["Env"]);
        for (name, value) in &wanted {
            let is_same = match (value, found.get(name)) {
                (None, None | Some(None)) => Match::Same,
                (None, Some(Some(_))) => Match::Differs,
                (Some(value), found) => alike(&json!(value), &json!(found.cloned().flatten())),
            };
            comparison.add(format!("Env {name}"), is_same);
        }
        for name in found.keys().filter(|name| !wanted.contains_key(*name) && !ADDED.contains(&name.as_str())) {
            comparison.add(format!("Env {name}"), Match::Differs);
        }
    }

    fn plain_fields(&self, comparison: &mut Comparison) {
        for field in ["User", "WorkingDir", "StopSignal"] {
            let own = &self.body[field];
            let wanted = if is_nothing(own) { &self.shown.image[field] } else { own };
            let usual: &[&str] = if field == "StopSignal" { &["SIGTERM", "15"] } else { &["/"] };
            comparison.add(field, or_default(wanted, &self.config[field], usual));
        }
        for field in ["Domainname", "Tty", "OpenStdin", "StdinOnce", "NetworkDisabled"] {
            comparison.add(field, alike(&self.body[field], &self.config[field]));
        }
        // Newer engines show the address of a network there, whoever chose it.
        if self.shown.version.is_some_and(|version| version < MAC_ADDRESS_OF_ENDPOINT) && !self.shown.is_podman {
            comparison.add("MacAddress", alike(&self.body["MacAddress"], &self.config["MacAddress"]));
        }
        let (timeout, found) = (&self.body["StopTimeout"], &self.config["StopTimeout"]);
        let is_default = timeout.is_null() && *found == 10;
        comparison.add("StopTimeout", if is_default { Match::Same } else { alike(timeout, found) });
        if !is_nothing(&self.body["Hostname"]) {
            comparison.add("Hostname", alike(&self.body["Hostname"], &self.config["Hostname"]));
        }
        let exposed = keys(&self.body["ExposedPorts"]).chain(keys(&self.shown.image["ExposedPorts"])).collect::<BTreeSet<_>>();
        let found = keys(&self.config["ExposedPorts"]).collect::<BTreeSet<_>>();
        // Podman shows those that are published.
        let is_same = exposed == found || (self.shown.is_podman && exposed.is_superset(&found));
        comparison.add("ExposedPorts", if is_same { Match::Same } else { Match::Differs });
        comparison.add("Healthcheck", self.health());
    }

    /// What the request leaves out of a check comes from the image.
    fn health(&self) -> Match {
        let mut wanted = self.shown.image["Healthcheck"].as_object().cloned().unwrap_or_default();
        let own = self.body["Healthcheck"].as_object().into_iter().flatten().filter(|(_, value)| !is_nothing(value));
        wanted.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        let found = &self.config["Healthcheck"];
        if wanted.is_empty() {
            return if is_nothing(found) { Match::Same } else { Match::Differs };
        }
        let test = in_order(wanted.get("Test").unwrap_or(&Json::Null), &found["Test"]);
        let times = ["Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"].into_iter();
        // Podman fills in what is not said.
        let said = times.filter(|name| !self.shown.is_podman || wanted.contains_key(*name));
        said.map(|name| alike(wanted.get(name).unwrap_or(&Json::Null), &found[name])).chain([test]).max().unwrap_or(Match::Same)
    }

    fn labels(&self, comparison: &mut Comparison) {
        let image = &self.shown.image["Labels"];
        let of_image = |name: &str| image.get(name).is_some();
        comparison.add("Labels", entries(&self.body["Labels"], &self.config["Labels"], |name| is_own_label(name) || of_image(name)));
    }

    fn host_config(&self, comparison: &mut Comparison) {
        /// Compared elsewhere, or nothing that anyone declares.
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
        for field in fields.into_iter().filter(|field| !ELSEWHERE.contains(&field.as_str())) {
            let (own, found) = (&declared[field.as_str()], &self.host[field.as_str()]);
            let is_adjusted = ADJUSTABLE.contains(&field.as_str()) && !is_nothing(own);
            if !is_adjusted {
                comparison.add(format!("HostConfig.{field}"), self.host_field(field, own, found));
            }
        }
        for field in ["MaskedPaths", "ReadonlyPaths", "Annotations"].into_iter().filter(|field| !declared[*field].is_null()) {
            comparison.add(format!("HostConfig.{field}"), alike(&declared[field], &self.host[field]));
        }
        comparison.add(
            "HostConfig.VolumesFrom",
            as_set(&declared["VolumesFrom"], &self.host["VolumesFrom"], |from| from.trim_end_matches(":rw").to_owned()),
        );
    }

    fn host_field(&self, field: &str, own: &Json, found: &Json) -> Match {
        if is_nothing(own) {
            return self.undeclared(field, found);
        }
        match field {
            // Engines that cannot keep one leave it out.
            "KernelMemory" | "KernelMemoryTCP" | "OomKillDisable" | "BlkioWeightDevice" | "MemorySwappiness" if is_nothing(found) => {
                Match::Unseen
            }
            "CapAdd" | "CapDrop" => as_set(own, found, |name| name.to_uppercase().trim_start_matches("CAP_").to_owned()),
            "SecurityOpt" => as_set(own, found, |option| option.replacen(':', "=", 1)),
            "Links" => as_set(own, found, link),
            "GroupAdd" | "ExtraHosts" | "DnsOptions" => as_set(own, found, str::to_owned),
            "PortBindings" => ports(own, found),
            "Ulimits" => limits(own, found),
            "LogConfig" => alike(&own["Type"], &found["Type"]).max(entries(&own["Config"], &found["Config"], |_| false)),
            "PidMode" | "IpcMode" => self.shared(text(own), text(found)),
            _ => alike(own, found),
        }
    }

    /// What an engine has where nothing is declared. What its configuration decides cannot be told from what was declared once.
    fn undeclared(&self, field: &str, found: &Json) -> Match {
        let or_unseen = |usual: bool| if usual { Match::Same } else { Match::Unseen };
        let is = |usual: &[&str]| if usual.contains(&text(found)) { Match::Same } else { Match::Differs };
        let podman = self.shown.is_podman;
        match field {
            _ if is_nothing(found) => Match::Same,
            "MemorySwappiness" if *found == -1 => Match::Same,
            "LogConfig" => match text(&self.shown.engine["LoggingDriver"]) {
                "" => Match::Unseen,
                driver if podman || text(&found["Type"]) == driver => Match::Same,
                _ => Match::Differs,
            },
            "Runtime" => match text(&self.shown.engine["DefaultRuntime"]) {
                driver if podman || driver == text(found) => Match::Same,
                _ => Match::Differs,
            },
            "ShmSize" => or_unseen([67_108_864, 65_536_000].contains(&found.as_u64().unwrap_or_default())),
            "CgroupnsMode" => or_unseen(text(found) == if self.shown.engine["CgroupVersion"] == "1" { "host" } else { "private" }),
            "IpcMode" => is(&["private", "shareable"]),
            "PidMode" | "UTSMode" | "UsernsMode" => is(&["private"]),
            "Isolation" => is(&["default"]),
            "RestartPolicy" => is_default_policy(found),
            "MemorySwap" if !is_nothing(&self.body["HostConfig"]["Memory"]) => Match::Same,
            "OomScoreAdj" | "PidsLimit" | "Ulimits" | "CgroupParent" | "Cgroup" | "CgroupManager" | "CapDrop" | "SecurityOpt" if podman => {
                Match::Same
            }
            // Engines say so of what may see everything anyway.
            "SecurityOpt" => alike(&json!(["label=disable"]), found),
            _ => Match::Differs,
        }
    }

    /// A namespace of another container is named by its name or its id, and engines show its id.
    fn shared(&self, own: &str, found: &str) -> Match {
        let of = |mode: &str| mode.strip_prefix("container:").map(|name| name.trim_start_matches('/').to_owned());
        let is_peer =
            |own: &str, found: &str| self.shown.peers.iter().any(|(id, name)| id == found && (name == own || id.starts_with(own)));
        match (of(own), of(found)) {
            _ if own.contains(UNKNOWN) => Match::Unseen,
            (Some(own), Some(found)) if is_peer(&own, &found) => Match::Same,
            _ if own == found => Match::Same,
            _ => Match::Differs,
        }
    }

    /// Where something is mounted, and what. A volume without a name can be any.
    fn mounts(&self, comparison: &mut Comparison) {
        let host = &self.body["HostConfig"];
        let mut wanted: BTreeMap<String, Mount> = BTreeMap::new();
        for path in keys(&self.shown.image["Volumes"]).chain(keys(&self.body["Volumes"])) {
            wanted.insert(path.trim_end_matches('/').to_owned(), Mount::default());
        }
        wanted.extend(list(&host["Binds"]).filter_map(Mount::of_bind));
        wanted.extend(list(&host["Mounts"]).filter(|mount| mount["Type"] != "tmpfs").filter_map(Mount::of_mount));
        let mut found: BTreeMap<String, Mount> =
            list(&self.shown.object["Mounts"]).filter(|it| it["Type"] != "tmpfs").map(Mount::of_shown).collect();
        let is_shared = !is_nothing(&host["VolumesFrom"]);
        for (path, mount) in wanted {
            let is_same = found.remove(&path).map_or(Match::Differs, |found| mount.matches(&found));
            comparison.add(format!("mount {path}"), is_same);
        }
        for path in found.keys().filter(|_| !is_shared) {
            comparison.add(format!("mount {path}"), Match::Differs);
        }
        if !self.shown.is_podman {
            self.mount_options(comparison);
        }
    }

    /// Docker shows binds and mounts as they were asked for, too.
    fn mount_options(&self, comparison: &mut Comparison) {
        let own = &self.body["HostConfig"];
        let carried = |mount: &&Json| is_anonymous(text(&mount["Source"]));
        let found: Json = list(&self.host["Mounts"]).filter(|mount| !carried(mount)).cloned().collect();
        comparison.add("HostConfig.Mounts", alike(&list(&own["Mounts"]).cloned().collect(), &found));
        comparison.add("HostConfig.Binds", as_set(&own["Binds"], &self.host["Binds"], |bind| bind.trim_end_matches(":rw").to_owned()));
    }

    fn networks(&self, comparison: &mut Comparison) {
        let mode = text(&self.body["HostConfig"]["NetworkMode"]);
        let shown_mode = text(&self.host["NetworkMode"]);
        let endpoints = &self.body["NetworkingConfig"]["EndpointsConfig"];
        comparison.add("HostConfig.NetworkMode", self.mode(mode, shown_mode));
        if is_alone(mode) {
            return;
        }
        let found = &self.shown.object["NetworkSettings"]["Networks"];
        let mut expected: BTreeSet<&str> = keys(endpoints).map(String::as_str).collect();
        expected.extend(Some(mode).filter(|mode| !is_default_network(mode)));
        let is_same = |name: &str, network: &Json| network["NetworkID"] == name;
        for name in &expected {
            let there = keys(found).find(|it| it == name || is_same(name, &found[it.as_str()])).map(|it| &found[it.as_str()]);
            let endpoint = &endpoints[*name];
            comparison.add(format!("network {name}"), there.map_or(Match::Differs, |there| self.endpoint(endpoint, there)));
        }
        let known = |name: &String| expected.iter().any(|it| it == name || is_same(it, &found[name.as_str()]));
        for name in keys(found).filter(|name| !(known(name) || expected.is_empty() && is_default_network(name))) {
            comparison.add(format!("network {name}"), Match::Differs);
        }
    }

    /// What is declared of the container on a network. Engines add aliases: its id, its name.
    fn endpoint(&self, own: &Json, found: &Json) -> Match {
        if is_unknown(own) {
            return Match::Unseen;
        }
        let (id, name) = (text(&self.shown.object["Id"]), text(&self.shown.object["Name"]).trim_start_matches('/'));
        let is_added =
            |alias: &str| alias == name || (alias.len() >= 12 && id.starts_with(alias)) || alias == text(&self.config["Hostname"]);
        let wanted: BTreeSet<&str> = list(&own["Aliases"]).map(text).collect();
        let aliases: BTreeSet<&str> = list(&found["Aliases"]).map(text).collect();
        let is_same = wanted.is_subset(&aliases) && aliases.iter().all(|alias| wanted.contains(alias) || is_added(alias));
        let address = if is_nothing(&own["IPAMConfig"]) {
            alike(&Json::Null, &found["IPAMConfig"])
        } else {
            covers(&own["IPAMConfig"], &found["IPAMConfig"])
        };
        let hardware = text(&own["MacAddress"]);
        let is_hardware =
            hardware.is_empty() || is_nothing(&found["MacAddress"]) || text(&found["MacAddress"]).eq_ignore_ascii_case(hardware);
        let others = as_set(&own["Links"], &found["Links"], link).max(entries(&own["DriverOpts"], &found["DriverOpts"], |_| false));
        if is_same && is_hardware { address.max(others) } else { Match::Differs }
    }

    fn mode(&self, own: &str, found: &str) -> Match {
        match () {
            () if own.starts_with("container:") || own.contains(UNKNOWN) => self.shared(own, found),
            () if own == found || (is_default_network(own) && is_default_network(found)) => Match::Same,
            // Podman calls every network of a bridge so, and networks have ids.
            () if !is_alone(own) && !is_alone(found) && (self.shown.is_podman || !is_default_network(own)) => Match::Same,
            () => Match::Differs,
        }
    }
}

/// Something that is mounted.
#[derive(Clone, Debug, Default, PartialEq)]
struct Mount {
    /// Folder, or name of a volume; none if it is a volume without a name.
    source: Option<String>,
    is_read_only: bool,
}

impl Mount {
    fn of_bind(bind: &Json) -> Option<(String, Self)> {
        let parts: Vec<&str> = text(bind).split(':').collect();
        let options = parts.get(2).copied().unwrap_or_default();
        let target = parts.get(1)?.trim_end_matches('/').to_owned();
        Some((target, Self { source: Some(parts[0].to_owned()), is_read_only: options.split(',').any(|option| option == "ro") }))
    }

    fn of_mount(mount: &Json) -> Option<(String, Self)> {
        let source = Some(text(&mount["Source"]).to_owned()).filter(|source| !source.is_empty());
        Some((mount["Target"].as_str()?.trim_end_matches('/').to_owned(), Self { source, is_read_only: mount["ReadOnly"] == true }))
    }

    fn of_shown(mount: &Json) -> (String, Self) {
        let named = if mount["Type"] == "volume" { text(&mount["Name"]) } else { text(&mount["Source"]) };
        let path = text(&mount["Destination"]).trim_end_matches('/').to_owned();
        (path, Self { source: Some(named.to_owned()), is_read_only: mount["RW"] == false })
    }

    fn matches(&self, found: &Self) -> Match {
        let source = match &self.source {
            Some(source) if source.contains(UNKNOWN) => Match::Unseen,
            Some(source) if found.source.as_deref().map(|it| it.trim_end_matches('/')) == Some(source.trim_end_matches('/')) => Match::Same,
            None if found.source.as_deref().is_some_and(is_anonymous) => Match::Same,
            _ => Match::Differs,
        };
        if self.is_read_only == found.is_read_only { source } else { Match::Differs }
    }
}

fn short_id(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

fn is_own_label(name: &str) -> bool {
    name.starts_with("dockctl.")
}

/// Variables by name; none where only a name is given.
fn variables(list_of: &Json) -> BTreeMap<String, Option<String>> {
    let variable = |entry: &Json| match text(entry).split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text(entry).to_owned(), None),
    };
    list(list_of).map(variable).collect()
}

/// `name:alias`, however the engine spells it: `/name:/container/alias`.
fn link(link: &str) -> String {
    let (name, alias) = link.split_once(':').unwrap_or((link, link));
    format!("{}:{}", name.trim_start_matches('/'), alias.rsplit('/').next().unwrap_or(alias))
}

/// A port that the engine chooses can be any.
fn ports(own: &Json, found: &Json) -> Match {
    let known = |port: &str| {
        list(&own[port]).all(|binding| !matches!(text(&binding["HostPort"]), "" | "0") && !text(&binding["HostPort"]).contains('-'))
    };
    if keys(own).collect::<BTreeSet<_>>() != keys(found).collect::<BTreeSet<_>>() {
        return Match::Differs;
    }
    let spelled = |bindings: &Json, port: &str| -> Json {
        let address =
            |binding: &Json| if matches!(text(&binding["HostIp"]), "0.0.0.0" | "") { Json::Null } else { binding["HostIp"].clone() };
        let number = |binding: &Json| if known(port) { binding["HostPort"].clone() } else { Json::Null };
        // One that says nothing publishes the port, too.
        list(bindings).map(|binding| json!([true, address(binding), number(binding)])).collect()
    };
    keys(own).map(|port| alike(&spelled(&own[port.as_str()], port), &spelled(&found[port.as_str()], port))).max().unwrap_or(Match::Same)
}

/// Podman calls limits as the kernel does.
fn limits(own: &Json, found: &Json) -> Match {
    let spelled = |limits: &Json| -> Json {
        let name = |limit: &Json| text(&limit["Name"]).to_lowercase().trim_start_matches("rlimit_").to_owned();
        list(limits).map(|limit| json!({ "name": name(limit), "soft": limit["Soft"], "hard": limit["Hard"] })).collect()
    };
    alike(&spelled(own), &spelled(found))
}

fn is_default_policy(found: &Json) -> Match {
    if matches!(text(&found["Name"]), "" | "no") { Match::Same } else { Match::Differs }
}

/// A volume that an engine gave its name.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit())
}

/// A mode in which a container is on no network of its own.
fn is_alone(mode: &str) -> bool {
    matches!(mode, "host" | "none") || mode.starts_with("container:") || mode.starts_with("ns:")
}

fn is_default_network(name: &str) -> bool {
    matches!(name, "" | "default" | "bridge" | "podman" | "slirp4netns" | "pasta")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an engine shows of a container that was made without any argument.
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
            (json!({ "Healthcheck": { "Test": ["CMD", "true"] } }), "Healthcheck"),
            (json!({ "HostConfig": { "Privileged": true } }), "HostConfig.Privileged"),
            (json!({ "HostConfig": { "PortBindings": { "80/tcp": [{ "HostPort": "8080" }] } } }), "HostConfig.PortBindings"),
            (json!({ "HostConfig": { "Binds": ["/a:/b"] } }), "HostConfig.Binds"),
            (json!({ "HostConfig": { "NetworkMode": "host" } }), "HostConfig.NetworkMode"),
            (json!({ "Volumes": { "/data": {} } }), "mount /data"),
            (json!({ "NetworkingConfig": { "EndpointsConfig": { "back": {} } } }), "network back"),
        ] {
            assert!(differs(&body, &plain()).contains(&what.to_owned()), "{body}: {:?}", differs(&body, &plain()));
        }
    }

    #[test]
    fn what_is_not_declared_any_more_differs() {
        for (pointer, value, what) in [
            ("/object/Config/Env", json!(["PATH=/bin", "FROM=image", "OLD=1"]), "Env OLD"),
            ("/object/Config/Labels", json!({ "of": "image", "old": "1" }), "Labels"),
            ("/object/HostConfig/CapAdd", json!(["NET_ADMIN"]), "HostConfig.CapAdd"),
            ("/object/HostConfig/Memory", json!(1 << 26), "HostConfig.Memory"),
            ("/object/HostConfig/LogConfig", json!({ "Type": "none" }), "HostConfig.LogConfig"),
            ("/object/Mounts", json!([{ "Type": "bind", "Source": "/a", "Destination": "/b", "RW": true }]), "mount /b"),
            ("/object/NetworkSettings/Networks", json!({ "bridge": {}, "back": {} }), "network back"),
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
            (0, vec!["Env TOKEN".to_owned(), "HostConfig.ShmSize".to_owned()])
        );
    }

    #[test]
    fn a_namespace_of_another_container_is_known_by_its_name() {
        let mut shown = plain();
        shown.object["HostConfig"]["NetworkMode"] = "container:abc".into();
        shown.peers = vec![("abc".to_owned(), "db".to_owned())];
        assert_eq!(differs(&json!({ "HostConfig": { "NetworkMode": "container:db" } }), &shown), Vec::<String>::new());
        assert_eq!(differs(&json!({ "HostConfig": { "NetworkMode": "container:web" } }), &shown), ["HostConfig.NetworkMode"]);
    }

    #[test]
    fn a_port_that_the_engine_chose_can_be_any() {
        let found = json!({ "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "49153" }] });
        for (own, is_same) in [
            (json!({ "80/tcp": [{ "HostPort": "" }] }), true),
            (json!({ "80/tcp": [{ "HostPort": "49153" }] }), true),
            (json!({ "80/tcp": [{ "HostPort": "8080" }] }), false),
            (json!({ "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "49153" }] }), false),
            (json!({ "81/tcp": [{ "HostPort": "49153" }] }), false),
        ] {
            assert_eq!(ports(&own, &found) == Match::Same, is_same, "{own}");
        }
    }
}
