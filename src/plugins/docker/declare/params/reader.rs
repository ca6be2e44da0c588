//! Reads arguments according to the table and converts them to requests.

use crate::{
    diagnostic::fault::{Fault, nearest_key},
    model::function::{contains_call, is_call},
    plugins::docker::declare::params::{
        Argument, CREATE, Form, HOST, Host, REMOVE, RUN, START, STOP, Special, TABLE,
        Target::{Body, Ignored, Query},
        conflicts::conflicts,
        convert::convert,
        find,
        gate::{ApiRange, Gate, gates},
        host_field, host_fields, names, places,
        shape::{apply_shape, host_field_shape},
    },
    syntax::{literal, without_marks},
};
use serde_json::{Map as JsonMap, Value as Json, json};

/// A request to create a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Creation {
    /// The body, without the image.
    pub body: JsonMap<String, Json>,
    /// `name` in the parameters.
    pub name: Option<String>,
    /// `platform` in the parameters.
    pub platform: Option<String>,
    /// `processes_to_wait_for`, which old blueprints declare here.
    pub processes: Vec<String>,
    /// Do not attach to the container: neither wait for its exit nor read its output.
    pub detach: bool,
    /// Add the proxies from the docker command's configuration to the environment.
    pub proxies: bool,
    /// Arguments that only some versions of the API support.
    pub gates: Vec<Gate>,
    /// Arguments without effect, or with an unexpected one.
    pub warnings: Vec<Fault>,
}

/// Parts of a request that fewer versions support than the argument they belong to. Other versions
/// silently drop them.
const LIMITED_PARTS: &[(&str, ApiRange)] = &[
    ("HostConfig.Annotations", ApiRange::since(43)),
    (
        "HostConfig.Mounts.*.BindOptions.NonRecursive",
        ApiRange::since(40),
    ),
    (
        "HostConfig.Mounts.*.BindOptions.CreateMountpoint",
        ApiRange::since(42),
    ),
    (
        "HostConfig.Mounts.*.BindOptions.ReadOnlyNonRecursive",
        ApiRange::since(44),
    ),
    (
        "HostConfig.Mounts.*.BindOptions.ReadOnlyForceRecursive",
        ApiRange::since(44),
    ),
    (
        "HostConfig.Mounts.*.VolumeOptions.Subpath",
        ApiRange::since(45),
    ),
    (
        "HostConfig.Mounts.*.TmpfsOptions.Options",
        ApiRange::since(46),
    ),
    ("HostConfig.Mounts.*.ImageOptions", ApiRange::since(48)),
    (
        "NetworkingConfig.EndpointsConfig.*.GwPriority",
        ApiRange::since(48),
    ),
    (
        "HostConfig.KernelMemoryTCP",
        ApiRange::since(40).and_until(51),
    ),
    ("Healthcheck.StartPeriod", ApiRange::since(29)),
    ("Healthcheck.StartInterval", ApiRange::since(44)),
];

/// Returns the parts of a request that only some versions of the API support, in addition to whole
/// arguments.
#[must_use]
pub(crate) fn limited_parts(body: &JsonMap<String, Json>) -> Vec<Gate> {
    let networks = body
        .get("NetworkingConfig")
        .and_then(|config| config["EndpointsConfig"].as_object());
    let several = (networks.map_or(0, JsonMap::len) > 1).then(|| Gate {
        path: ["create", "params", "NetworkingConfig"]
            .map(str::to_owned)
            .to_vec(),
        versions: ApiRange::since(44),
    });
    let mounts = body.get("HostConfig").map(|host| &host["Mounts"]);
    let mounts = mounts.and_then(Json::as_array).into_iter().flatten();
    let of_image = mounts.into_iter().any(|it| it["Type"] == "image");
    let of_image = of_image.then(|| Gate {
        path: ["create", "params", "host_config", "mounts"]
            .map(str::to_owned)
            .to_vec(),
        versions: ApiRange::since(48),
    });
    gates(body, LIMITED_PARTS)
        .into_iter()
        .chain(several)
        .chain(of_image)
        .collect()
}

impl Creation {
    /// Returns `network_mode`; empty if not given.
    fn mode(&self) -> &str {
        self.body
            .get("HostConfig")
            .and_then(|host| host["NetworkMode"].as_str())
            .unwrap_or_default()
    }

    /// Adds the network that `network_mode` names to the endpoints, unless it is there: engines attach
    /// a container only to its endpoints, if it has any.
    pub(crate) fn add_endpoint_of_mode(&mut self) {
        let mode = self.mode().to_owned();
        if names_network(&mode) {
            let config = self
                .body
                .entry("NetworkingConfig")
                .or_insert_with(|| json!({}));
            let endpoint = &mut config["EndpointsConfig"][&mode];
            if endpoint.is_null() {
                *endpoint = json!({});
            }
        }
    }

    /// Returns true if the parameters attach the container to this network.
    #[must_use]
    pub(crate) fn is_attached_to(&self, network: &str) -> bool {
        let endpoints = self
            .body
            .get("NetworkingConfig")
            .and_then(|config| config["EndpointsConfig"].as_object());
        self.mode() == network || endpoints.is_some_and(|networks| networks.contains_key(network))
    }

    /// Returns true if the parameters name a network or a network mode.
    #[must_use]
    pub(crate) fn names_network(&self) -> bool {
        let endpoints = self
            .body
            .get("NetworkingConfig")
            .and_then(|config| config["EndpointsConfig"].as_object());
        !matches!(self.mode(), "" | "default")
            || endpoints.is_some_and(|networks| !networks.is_empty())
    }
}

/// Returns true if a network mode is the name of a network.
pub(crate) fn names_network(mode: &str) -> bool {
    !matches!(mode, "" | "default" | "host" | "none") && !mode.contains(':')
}

/// Converts the network properties of a relationship to an endpoint in the engine's format.
///
/// # Errors
///
/// The first invalid property.
pub(crate) fn endpoint(given: &Json) -> Result<Json, Fault> {
    super::convert::endpoint(given, &mut Vec::new())
}

/// Converts the parameters of create and start to one request, because engines no longer accept a
/// host configuration at start. For each key, start overrides create.
///
/// Late values are left out.
///
/// # Errors
///
/// All unknown or invalid arguments. Paths start with `create` or `start`.
pub(crate) fn creation(create: &Json, start: &Json) -> Result<Creation, Vec<Fault>> {
    let mut reader = Reader::default();
    reader.read(create, CREATE, &["create", "params"]);
    reader.read(start, START, &["start", "params"]);
    reader.finish()
}

/// Converts `container_args` of the plugin 2.x, which mixes the host configuration with the other
/// arguments.
///
/// # Errors
///
/// All unknown or invalid arguments. Paths start with `create`, `container_args`.
pub(crate) fn container_args(arguments: &Json) -> Result<Creation, Vec<Fault>> {
    let mut reader = Reader::default();
    reader.read_run(arguments);
    if !reader.host.is_empty() && !reader.host.contains_key("NetworkMode") {
        reader.host.insert("NetworkMode".into(), "default".into());
    }
    reader.finish()
}

/// Converts the parameters of stop. Returns the seconds to wait before the container is killed.
///
/// # Errors
///
/// All unknown or invalid arguments.
pub(crate) fn stop(params: &Json) -> Result<Option<i64>, Vec<Fault>> {
    let query = query(params, STOP, "stop")?;
    Ok(query.get("t").and_then(Json::as_i64))
}

/// Options for the removal of a container.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Removal {
    /// Remove its anonymous volumes too.
    pub volumes: bool,
    /// Remove the link with that name, not the container.
    pub link: bool,
    /// Remove the container even while it runs.
    pub force: bool,
}

/// Converts the parameters of `remove_container`.
///
/// # Errors
///
/// All unknown or invalid arguments.
pub(crate) fn removal(params: &Json) -> Result<Removal, Vec<Fault>> {
    let query = query(params, REMOVE, "delete")?;
    let flag = |name: &str| query.get(name).and_then(Json::as_bool);
    Ok(Removal {
        volumes: flag("v").unwrap_or(true),
        link: flag("link").unwrap_or(false),
        force: flag("force").unwrap_or(false),
    })
}

fn query(params: &Json, place: u8, operation: &str) -> Result<JsonMap<String, Json>, Vec<Fault>> {
    let mut reader = Reader::default();
    reader.read(params, place, &[operation, "params"]);
    if reader.faults.is_empty() {
        Ok(reader.query)
    } else {
        Err(reader.faults)
    }
}

#[derive(Default)]
struct Reader {
    body: JsonMap<String, Json>,
    host: JsonMap<String, Json>,
    query: JsonMap<String, Json>,
    name: Option<String>,
    detach: bool,
    stdin_open: bool,
    proxies: bool,
    /// Fields of `HostConfig` written with the engine's names.
    raw: Vec<&'static str>,
    processes: Vec<String>,
    gates: Vec<Gate>,
    warnings: Vec<Fault>,
    faults: Vec<Fault>,
}

impl Reader {
    fn read(&mut self, params: &Json, place: u8, path: &[&str]) {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        match params {
            Json::Null => {}
            // The whole mapping is a late value.
            Json::Object(_) if is_call(params) => {}
            Json::Object(_) => {
                let params = literal(params).unwrap_or(params);
                let params = params.as_object().into_iter().flatten();
                // Read `host_config` first: single arguments override it in any order.
                let (raw, single): (Vec<_>, Vec<_>) =
                    params.partition(|(key, _)| *key == "host_config");
                raw.into_iter()
                    .chain(single)
                    .for_each(|(key, value)| self.argument(key, value, place, &path));
            }
            _ => self
                .faults
                .push(Fault::new("`params` must be a mapping").nested_in(&path)),
        }
    }

    /// Reads `container_args`. Arguments in `host_config` override those on the top level. On the
    /// top level, `volumes` are paths inside the container, which have an effect only with
    /// `volumes_mapping`; in `host_config`, they are binds.
    fn read_run(&mut self, arguments: &Json) {
        let path = ["create".to_owned(), "container_args".to_owned()];
        let Some(arguments) = arguments.as_object().filter(|_| !is_call(arguments)) else {
            if !arguments.is_null() && !is_call(arguments) {
                self.faults
                    .push(Fault::new("`container_args` must be a mapping").nested_in(&path));
            }
            return;
        };
        let separate = ["host_config", "volumes", "volumes_mapping"];
        let host = arguments
            .get("host_config")
            .filter(|host| !host.is_null() && !is_call(host));
        for (key, value) in arguments
            .iter()
            .filter(|(key, _)| !separate.contains(&key.as_str()))
        {
            self.run_argument(key, value, &path);
        }
        let [volumes, mapping] = ["volumes", "volumes_mapping"].map(|key| {
            arguments
                .get(key)
                .filter(|value| !value.is_null() && !contains_call(value))
        });
        let inner = [&path[..], &["host_config".to_owned()]].concat();
        match host {
            None => {}
            Some(Json::Object(entries)) => entries.iter().for_each(|(key, value)| match &**key {
                // Blueprints of the plugin 1.x have these names, and mean the same.
                "binds" | "port_bindings" => self.argument(key, value, HOST, &inner),
                _ => self.run_argument(key, value, &inner),
            }),
            Some(_) => self
                .faults
                .push(Fault::new("`host_config` must be a mapping").nested_in(&inner)),
        }
        match (volumes, mapping) {
            (Some(inside), Some(outside)) => self.mapped_volumes(inside, outside, &path),
            (Some(_), None) => {
                let warning = Fault::new("`volumes` has no effect without `volumes_mapping`");
                self.warnings.push(
                    warning
                        .hint("to mount a host path, use `volumes` in `host_config`")
                        .nested_in(&[&path[..], &["volumes".to_owned()]].concat()),
                );
            }
            _ => {}
        }
    }

    fn run_argument(&mut self, key: &str, value: &Json, path: &[String]) {
        match key {
            "ports" => self.published_ports(value, path),
            "volumes" => self.bound_volumes(value, path),
            _ => self.argument(key, value, RUN, path),
        }
    }

    /// Reads `{80/tcp: 8080}`, which exposes and publishes ports.
    fn published_ports(&mut self, value: &Json, path: &[String]) {
        let path = [path, &["ports".to_owned()]].concat();
        if value.is_null() || contains_call(value) {
            return;
        }
        let value = &without_marks(value);
        match convert(Form::PortBindings, value, &mut self.warnings) {
            Ok(bindings) => {
                let exposed: JsonMap<String, Json> = bindings
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(port, _)| (port.clone(), json!({})))
                    .collect();
                self.body.insert("ExposedPorts".into(), exposed.into());
                self.host.insert("PortBindings".into(), bindings);
            }
            Err(fault) => self.faults.push(fault.nested_in(&path)),
        }
    }

    /// Reads binds; their container paths also become volumes.
    fn bound_volumes(&mut self, value: &Json, path: &[String]) {
        if value.is_null() || contains_call(value) {
            return;
        }
        let value = &without_marks(value);
        match convert(Form::Binds, value, &mut self.warnings) {
            Ok(binds) => {
                let inside =
                    |bind: &Json| Some((bind.as_str()?.split(':').nth(1)?.to_owned(), json!({})));
                let volumes: JsonMap<String, Json> = binds
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(inside)
                    .collect();
                self.body.insert("Volumes".into(), volumes.into());
                self.host.insert("Binds".into(), binds);
            }
            Err(fault) => self
                .faults
                .push(fault.nested_in(&[path, &["volumes".to_owned()]].concat())),
        }
    }

    fn mapped_volumes(&mut self, inside: &Json, outside: &Json, path: &[String]) {
        let mut texts =
            |value: &Json, key: &str| match convert(Form::Strings, value, &mut self.warnings) {
                Ok(list) => strings(&list),
                Err(fault) => {
                    self.faults
                        .push(fault.nested_in(&[path, &[key.to_owned()]].concat()));
                    Vec::new()
                }
            };
        let (inside, outside) = (texts(inside, "volumes"), texts(outside, "volumes_mapping"));
        if inside.len() != outside.len() {
            let fault = Fault::new("`volumes` and `volumes_mapping` must have the same length");
            self.faults
                .push(fault.nested_in(&[path, &["volumes_mapping".to_owned()]].concat()));
        }
        let binds: Vec<String> = outside
            .iter()
            .zip(&inside)
            .map(|(outside, inside)| format!("{outside}:{inside}"))
            .collect();
        self.bound_volumes(&binds.into(), path);
    }

    fn argument(&mut self, key: &str, value: &Json, place: u8, path: &[String]) {
        let path = [path, &[key.to_owned()]].concat();
        let Some(argument) = find(key, place) else {
            self.faults
                .push(unknown_argument(key, place).nested_in(&path));
            return;
        };
        // Late values inside are left out one by one.
        if key == "host_config" && !value.is_null() && !is_call(value) {
            return self.host_config(literal(value).unwrap_or(value), &path);
        }
        if value.is_null() || contains_call(value) {
            return;
        }
        let value = &without_marks(value);
        if argument.skip_empty && is_empty(value) {
            return self.remove_empty(argument, place, &path);
        }
        let mut warnings = Vec::new();
        let converted = convert(argument.form, value, &mut warnings);
        // A key similar to a known one is a typo, not a field of a newer engine.
        let is_typo = |warning: &Fault| {
            warning
                .hint
                .as_ref()
                .is_some_and(|hint| hint.starts_with("did you mean"))
        };
        let (typos, warnings): (Vec<_>, Vec<_>) = warnings
            .into_iter()
            .map(|warning| warning.nested_in(&path))
            .partition(is_typo);
        self.faults.extend(typos.into_iter().map(Fault::unknown));
        self.warnings.extend(warnings);
        match converted {
            Ok(converted) => self.place(argument, converted, value, place, &path),
            Err(fault) => self.faults.push(fault.nested_in(&path)),
        }
    }

    /// Handles an empty value, which is not sent; in `start` it removes the value of `create`.
    fn remove_empty(&mut self, argument: &Argument, place: u8, path: &[String]) {
        if let (Host(field), START) = (argument.target, place)
            && self.host.shift_remove(field).is_some()
        {
            self.warnings
                .push(overridden(argument.name).nested_in(path));
        }
    }

    fn place(
        &mut self,
        argument: &Argument,
        value: Json,
        given: &Json,
        place: u8,
        path: &[String],
    ) {
        if !argument.versions.is_all() {
            self.gates.push(Gate {
                path: path.to_owned(),
                versions: argument.versions,
            });
        }
        match argument.target {
            Body(field) => {
                self.body.insert(field.into(), value);
            }
            Host(field) => {
                let old = self.host.insert(field.into(), value.clone());
                match old {
                    Some(old) if old != value && place == START => self
                        .warnings
                        .push(overridden(argument.name).nested_in(path)),
                    Some(old) if old != value && place == HOST => {
                        let warning = format!(
                            "`{field}` is given twice; the value of `{}` applies",
                            argument.name
                        );
                        self.warnings.push(Fault::new(warning).nested_in(path));
                    }
                    _ => {}
                }
            }
            Query(field) => {
                self.query.insert(field.into(), value);
            }
            Special => self.special(argument.name, given, path),
            Ignored(why) => self.warnings.push(
                Fault::new(format!("`{}` has no effect: {why}", argument.name)).nested_in(path),
            ),
        }
    }

    fn special(&mut self, name: &str, value: &Json, path: &[String]) {
        match name {
            "name" => {
                self.name = value
                    .as_str()
                    .map(|name| name.strip_prefix('/').unwrap_or(name).to_owned())
                    .filter(|name| !name.is_empty())
            }
            "image" => {}
            "detach" => self.detach = value.as_bool().unwrap_or(false),
            "stdin_open" => self.stdin_open = value.as_bool().unwrap_or(false),
            "use_config_proxy" => self.proxies = value.as_bool().unwrap_or(false),
            _ => match convert(Form::Strings, value, &mut self.warnings) {
                Ok(names) => self.processes.extend(strings(&names)),
                Err(fault) => self.faults.push(fault.nested_in(path)),
            },
        }
    }

    /// Reads `host_config`: converts docker-py's arguments, passes the engine's fields through.
    fn host_config(&mut self, value: &Json, path: &[String]) {
        let Json::Object(fields) = value else {
            return self
                .faults
                .push(Fault::new("`host_config` must be a mapping").nested_in(path));
        };
        for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            match host_field(key) {
                _ if find(key, HOST).is_some() => self.argument(key, value, HOST, path),
                _ if contains_call(value) => {}
                Some(field) => self.raw(field, key, &without_marks(value), path),
                None if key.starts_with(|c: char| c.is_ascii_uppercase()) => {
                    self.unknown_field(key, value, path)
                }
                None => self.faults.push(
                    unknown_argument(key, HOST)
                        .nested_in(&[path, std::slice::from_ref(key)].concat()),
                ),
            }
        }
    }

    fn raw(&mut self, field: &'static str, key: &str, value: &Json, path: &[String]) {
        let path = [path, &[key.to_owned()]].concat();
        let mut warnings = Vec::new();
        let argument = TABLE
            .iter()
            .find(|it| matches!(it.target, Host(target) if target == field));
        // Values that the engine would refuse, such as `512m`, are converted like the argument.
        let read = apply_shape(host_field_shape(field), value, &mut warnings).and_then(|value| {
            let converted = argument.map_or(Ok(value.clone()), |it| {
                convert(it.form, &value, &mut Vec::new())
            })?;
            Ok(if covers(&converted, &value) {
                value
            } else {
                converted
            })
        });
        self.warnings
            .extend(warnings.into_iter().map(|warning| warning.nested_in(&path)));
        let versions = argument.map(|it| it.versions);
        if let Some(versions) = versions.filter(|it| it.is_limit_for(value)) {
            self.gates.push(Gate {
                path: path.clone(),
                versions,
            });
        }
        match read {
            Ok(value) => {
                self.raw.push(field);
                self.host.insert(field.into(), value);
            }
            Err(fault) => self.faults.push(fault.nested_in(&path)),
        }
    }

    /// Passes an unknown field through, with a warning: it may be one of a newer engine, or a typo.
    fn unknown_field(&mut self, key: &str, value: &Json, path: &[String]) {
        self.host.insert(key.to_owned(), value.clone());
        let warning = Fault::new(format!(
            "unknown `HostConfig` field `{key}`; it is sent unchanged"
        ));
        let near = nearest_key(key, &host_fields()).map(|name| format!("did you mean `{name}`?"));
        self.warnings.push(
            near.into_iter()
                .fold(warning, Fault::hint)
                .nested_in(&[path, &[key.to_owned()]].concat()),
        );
    }

    fn finish(mut self) -> Result<Creation, Vec<Fault>> {
        self.faults.extend(conflicts(&self.host, &self.raw));
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        self.attach();
        if !self.host.is_empty() {
            self.body
                .insert("HostConfig".into(), Json::Object(self.host));
        }
        let platform = self
            .query
            .get("platform")
            .and_then(Json::as_str)
            .map(str::to_owned);
        Ok(Creation {
            body: self.body,
            name: self.name,
            platform,
            processes: self.processes,
            detach: self.detach,
            proxies: self.proxies,
            gates: self.gates,
            warnings: self.warnings,
        })
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

/// Returns true if the converted value contains the whole original value, in any order.
fn covers(converted: &Json, value: &Json) -> bool {
    match (converted, value) {
        (Json::Object(all), Json::Object(some)) => some
            .iter()
            .all(|(key, value)| all.get(key).is_some_and(|it| covers(it, value))),
        (Json::Array(all), Json::Array(some)) => {
            all.len() == some.len()
                && some
                    .iter()
                    .all(|value| all.iter().any(|it| covers(it, value)))
        }
        _ => converted == value,
    }
}

fn overridden(name: &str) -> Fault {
    Fault::new(format!(
        "`{name}` is also given for create; the value of start applies"
    ))
}

fn unknown_argument(key: &str, place: u8) -> Fault {
    let known = names(place);
    let fields = if place == HOST {
        host_fields()
    } else {
        Vec::new()
    };
    let elsewhere = TABLE.iter().find(|argument| argument.name == key);
    let fault = Fault::new(format!("unknown argument `{key}`")).unknown();
    match (
        nearest_key(key, &known).or_else(|| nearest_key(key, &fields)),
        elsewhere,
    ) {
        (Some(name), _) => fault.hint(format!("did you mean `{name}`?")),
        (None, Some(argument)) => fault.hint(format!(
            "`{key}` is an argument of {}",
            places(argument.places)
        )),
        (None, None) => fault.hint(format!("known arguments: {}", known.join(", "))),
    }
}

/// Returns true if docker-py treats the value as not given.
pub(crate) fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(object) => object.is_empty(),
        Json::Bool(true) => false,
    }
}

/// Returns the strings in a list.
fn strings(list: &Json) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Parameters with the resulting Engine JSON, recorded from five releases of docker-py.
    const CASES: &str = include_str!("../../../../../tests/data/params.jsonl");
    /// Cases that docker-py refuses and that dockctl accepts as an extension.
    const COERCED: [&str; 5] = [
        "hc-dns-str",
        "hc-mem-float",
        "x-cmd-int",
        "x-ports-single-int",
        "x-log-intval",
    ];

    fn converted(case: &Json) -> Result<Json, Vec<Fault>> {
        let (params, nothing) = (&case["params"], json!({}));
        let creation = match case["kind"].as_str().unwrap() {
            "create" => creation(params, &nothing)?,
            "start" => creation(&nothing, params)?,
            "create+start" => creation(&params["create"], &params["start"])?,
            "stop" => {
                return stop(params).map(
                    |t| json!({ "query": t.map_or(json!({}), |t| json!({ "t": t.to_string() })) }),
                );
            }
            "remove" => {
                let mut params = params.clone();
                params.as_object_mut().unwrap().shift_remove("container");
                let Removal { link, force, .. } = removal(&params)?;
                return Ok(
                    json!({ "query": { "link": link.to_string(), "force": force.to_string() } }),
                );
            }
            "container_args" => container_args(&params["container_args"])?,
            other => panic!("unknown kind of case: {other}"),
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

    /// Removes the defaults of every request, which the recorded bodies omit.
    fn strip_defaults(body: &mut Json) {
        let defaults = json!({
            "AttachStdout": true, "AttachStderr": true, "AttachStdin": false, "OpenStdin": false, "StdinOnce": false, "Tty": false, "NetworkDisabled": false,
        });
        body.as_object_mut()
            .unwrap()
            .retain(|key, value| defaults.get(key) != Some(value));
    }

    fn expected(case: &Json) -> Json {
        let mut engine = case["engine"].clone();
        if let Some(query) = engine.get_mut("query").and_then(Json::as_object_mut) {
            query.retain(|key, _| key != "v");
            query.values_mut().for_each(|value| {
                *value = value.as_str().unwrap_or_default().to_lowercase().into()
            });
        }
        for key in ["method", "path"] {
            engine.as_object_mut().unwrap().shift_remove(key);
        }
        if let Some(body) = engine
            .as_object_mut()
            .filter(|body| !body.contains_key("query"))
        {
            let mut json = Json::Object(std::mem::take(body));
            strip_defaults(&mut json);
            engine = json;
        }
        engine
    }

    #[test]
    fn parameters_convert_like_docker_py() {
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
        assert!(
            wrong.is_empty(),
            "{} of {checked} cases:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        assert_eq!(checked, 116);
    }

    #[test]
    fn empty_start_values_remove_create_values() {
        let create = json!({ "host_config": { "privileged": true, "cap_add": ["SYS_ADMIN"], "dns": ["1.1.1.1"] } });
        let creation = creation(&create, &json!({ "privileged": false, "cap_add": [] })).unwrap();
        assert_eq!(creation.body["HostConfig"], json!({ "Dns": ["1.1.1.1"] }));
        assert_eq!(creation.warnings.len(), 2);
    }

    #[test]
    fn arguments_of_some_versions_are_recorded_as_gates() {
        let gates = |params: Json| creation(&params, &json!({})).unwrap().gates;
        let gate = |path: &[&str], since| Gate {
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            versions: ApiRange::since(since),
        };
        assert_eq!(
            gates(json!({ "stop_timeout": 5 })),
            [gate(&["create", "params", "stop_timeout"], 25)]
        );
        assert_eq!(
            gates(json!({ "host_config": { "Init": true } })),
            [gate(&["create", "params", "host_config", "Init"], 25)]
        );
        let late = |params: Json| limited_parts(&creation(&params, &json!({})).unwrap().body);
        let interval = json!({ "healthcheck": { "test": "true", "start_interval": "1s" } });
        assert_eq!(
            late(interval),
            [gate(
                &["create", "params", "Healthcheck", "StartInterval"],
                44
            )]
        );
        let mounts = json!({ "host_config": { "mounts": [{ "Type": "volume" }, { "VolumeOptions": { "subpath": "x" } }] } });
        assert_eq!(
            late(mounts),
            [gate(
                &[
                    "create",
                    "params",
                    "HostConfig",
                    "Mounts",
                    "VolumeOptions",
                    "Subpath"
                ],
                45
            )]
        );
        let until = Gate {
            versions: ApiRange::until(41),
            ..gate(&["create", "params", "host_config", "kernel_memory"], 0)
        };
        assert_eq!(
            gates(json!({ "host_config": { "kernel_memory": "4m" } })),
            [until]
        );
        assert_eq!(gates(json!({ "hostname": "x" })), []);
    }

    #[test]
    fn values_refused_by_docker_py_are_coerced_without_loss() {
        let params = json!({
            "command": 5,
            "ports": 80,
            "labels": { "n": 1 },
            "host_config": { "dns": "1.1.1.1", "mem_limit": 1_048_576.0, "log_config": { "type": "json-file", "config": { "max-file": 3 } } },
        });
        let body = creation(&params, &json!({})).unwrap().body;
        assert_eq!(
            (&body["Cmd"], &body["ExposedPorts"], &body["Labels"]),
            (
                &json!(["5"]),
                &json!({ "80/tcp": {} }),
                &json!({ "n": "1" })
            )
        );
        let host = json!({ "Dns": ["1.1.1.1"], "Memory": 1_048_576, "LogConfig": { "Type": "json-file", "Config": { "max-file": "3" } } });
        assert_eq!(body["HostConfig"], host);
    }

    #[test]
    fn raw_fields_pass_unchanged_unless_the_engine_would_refuse_them() {
        let raw = json!({
            "Links": ["b:b", "a:a"], "LogConfig": { "Type": "x" }, "portbindings": { "80/tcp": [{ "HostPort": "80" }] },
            "Memory": "8m", "Dns": "1.1.1.1", "Sysctls": { "a": 1 }, "Privileged": false,
        });
        let body = creation(&json!({ "host_config": raw }), &json!({}))
            .unwrap()
            .body;
        let expected = json!({
            "Links": ["b:b", "a:a"], "LogConfig": { "Type": "x" }, "PortBindings": { "80/tcp": [{ "HostPort": "80" }] },
            "Memory": 8_388_608, "Dns": ["1.1.1.1"], "Sysctls": { "a": "1" }, "Privileged": false,
        });
        assert_eq!(body["HostConfig"], expected);
        assert!(
            creation(
                &json!({ "host_config": { "Privileged": "yes" } }),
                &json!({})
            )
            .is_err()
        );
    }

    #[test]
    fn start_overrides_create_with_a_warning() {
        let create = json!({ "host_config": { "Dns": ["1.1.1.1"], "Privileged": true } });
        let creation = creation(
            &create,
            &json!({ "dns": ["8.8.8.8"], "links": { "db": "db" } }),
        )
        .unwrap();
        assert_eq!(
            creation.body["HostConfig"],
            json!({ "Dns": ["8.8.8.8"], "Privileged": true, "Links": ["db:db"] })
        );
        assert_eq!(creation.warnings.len(), 1);
    }

    #[test]
    fn list_with_an_address_is_one_binding() {
        let bindings = |value: Json| {
            creation(&json!({}), &json!({ "port_bindings": { "80": value } }))
                .unwrap()
                .body["HostConfig"]["PortBindings"]["80/tcp"]
                .clone()
        };
        assert_eq!(
            bindings(json!(["127.0.0.1", 8080])),
            json!([{ "HostIp": "127.0.0.1", "HostPort": "8080" }])
        );
        assert_eq!(
            bindings(json!([8080, 8081])),
            json!([{ "HostIp": "", "HostPort": "8080" }, { "HostIp": "", "HostPort": "8081" }])
        );
        assert_eq!(bindings(json!([[80, 81], 82])).as_array().unwrap().len(), 3);
        assert_eq!(
            bindings(json!({ "host_port": 8080, "HostIP": "::1" })),
            json!([{ "HostIp": "::1", "HostPort": "8080" }])
        );
        assert_eq!(
            bindings(json!(["::1"])),
            json!([{ "HostIp": "::1", "HostPort": "" }])
        );
    }

    #[test]
    fn unknown_arguments_are_reported_with_the_nearest_name() {
        let faults = creation(
            &json!({ "port_bindigs": { "80": 80 } }),
            &json!({ "port_bindigs": { "80": 80 }, "comand": "x" }),
        )
        .unwrap_err();
        assert_eq!(faults[1].path, ["start", "params", "port_bindigs"]);
        assert_eq!(
            faults[1].hint.as_deref(),
            Some("did you mean `port_bindings`?")
        );
        assert!(faults.iter().all(|fault| fault.unknown));
    }

    #[test]
    fn every_argument_is_in_the_table_once() {
        let mut names: Vec<&str> = TABLE.iter().map(|argument| argument.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
