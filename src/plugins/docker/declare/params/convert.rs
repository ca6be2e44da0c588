//! Converts the values of docker-py's arguments to Engine JSON.

use crate::{
    diagnostic::fault::{Fault, normalized_key},
    model::function::python_text,
    plugins::docker::declare::params::{
        conflicts::{TMPFS, mounted_twice},
        shape::{self, Shape, apply_shape},
        signal::signal,
        words,
    },
};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{net::IpAddr, ops::RangeInclusive};

/// Forms of argument values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// Any value, unchanged.
    Raw,
    /// A string; a number is converted to one.
    Text,
    /// `true` or `false`.
    Bool,
    /// An integer.
    Int,
    /// An integer, or a string of digits.
    Digits,
    /// A number of bytes, or a string such as `512m`.
    Bytes,
    /// The name or the number of a signal.
    Signal,
    /// An absolute path in the container.
    Directory,
    /// A command line, or a list of arguments.
    Command,
    /// A list of strings; a single string is a list of one.
    Strings,
    /// A list of strings only.
    StringList,
    /// A mapping of strings; other scalars are converted, null to `None`.
    StringMap,
    /// A mapping of strings; other scalars are converted, null to an empty string.
    Options,
    Mounts,
    Weights,
    Rates,
    /// Only `host`.
    OnlyHost,
    Ports,
    PortBindings,
    Environment,
    Volumes,
    VolumesFrom,
    Labels,
    Binds,
    Links,
    RestartPolicy,
    Devices,
    DeviceRequests,
    ExtraHosts,
    Ulimits,
    LogConfig,
    Tmpfs,
    Healthcheck,
    Networking,
}

type Converted = Result<Json, Fault>;

/// Converts a value. Accepted values that may be errors are added to the warnings.
pub(crate) fn convert(form: Form, value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    match form {
        Form::Raw => Ok(value.clone()),
        Form::Text => text(value).map(Json::from),
        Form::Bool => value
            .as_bool()
            .map(Json::from)
            .ok_or_else(|| expected("a boolean", value)),
        Form::Int => int(value).map(Json::from),
        Form::Digits => digits(value),
        Form::Bytes => bytes(value),
        Form::Signal => signal(value),
        Form::Directory => directory(value),
        Form::Command => command(value),
        Form::Strings => strings(value),
        Form::StringList => string_list(value),
        Form::StringMap => map(value, |value| scalar_text(value).map(Json::from)),
        Form::Options | Form::Labels if value.is_object() => options(value),
        Form::Labels => labels(value),
        Form::Options => Err(expected("a mapping", value)),
        Form::OnlyHost => match value.as_str() {
            Some("host" | "") => Ok(value.clone()),
            _ => Err(expected("`host`", value)),
        },
        Form::Ports => ports(value),
        Form::PortBindings => port_bindings(value, warnings),
        Form::Environment => environment(value, warnings),
        Form::Volumes => volumes(value, warnings),
        Form::VolumesFrom => match value {
            Json::String(names) => Ok(names.split(',').collect()),
            _ => strings(value),
        },
        Form::Binds => binds(value),
        Form::Links => links(value),
        Form::RestartPolicy => restart_policy(value, warnings),
        Form::Devices => devices(value, warnings),
        Form::DeviceRequests => device_requests(value, warnings),
        Form::Weights => records(value, &shape::WEIGHT, "Weight", warnings),
        Form::Rates => records(value, &shape::RATE, "Rate", warnings),
        Form::Mounts => each(value, |item| apply_shape(&shape::MOUNT, item, warnings)),
        Form::ExtraHosts => extra_hosts(value),
        Form::Ulimits => ulimits(value, warnings),
        Form::LogConfig => log_config(value, warnings),
        Form::Tmpfs => tmpfs(value),
        Form::Healthcheck => healthcheck(value, warnings),
        Form::Networking => networking(value, warnings),
    }
}

pub(crate) fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(number) if number.is_f64() => "a float",
        Json::Number(_) => "an integer",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "a mapping",
    }
}

/// Returns the fault of a value that has the wrong type, without the value: it may be a secret.
pub(crate) fn expected_type(what: &str, value: &Json) -> Fault {
    Fault::new(format!("this must be {what}, but is {}", kind(value)))
}

pub(crate) fn expected(what: &str, value: &Json) -> Fault {
    let shown = match value {
        Json::Array(_) | Json::Object(_) | Json::Null => String::new(),
        _ => format!(" (`{}`)", python_text(value)),
    };
    Fault::new(format!(
        "this must be {what}, but is {}{shown}",
        kind(value)
    ))
}

/// Returns a string, or an integer as a string.
fn text(value: &Json) -> Result<String, Fault> {
    match value {
        Json::String(text) => Ok(text.clone()),
        Json::Number(number) if !number.is_f64() => Ok(number.to_string()),
        _ => Err(expected("a string", value)),
    }
}

/// Converts any scalar to a string like Python's `str()`.
fn scalar_text(value: &Json) -> Result<String, Fault> {
    match value {
        Json::Array(_) | Json::Object(_) => Err(expected("a string", value)),
        _ => Ok(python_text(value)),
    }
}

fn int(value: &Json) -> Result<i64, Fault> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be whole and small"
    )]
    let whole = || {
        value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && number.abs() < 9e15)
            .map(|number| number as i64)
    };
    value
        .as_i64()
        .or_else(whole)
        .ok_or_else(|| expected("an integer", value))
}

fn digits(value: &Json) -> Converted {
    match value.as_str().and_then(|text| text.parse::<i64>().ok()) {
        Some(number) => Ok(number.into()),
        None => int(value).map(Json::from),
    }
}

/// Parses `512m`, `1.5g`, `10 m` or `-1`. Units are b, k, m, g with an optional b after it, as
/// powers of 1024.
fn bytes(value: &Json) -> Converted {
    let Some(text) = value.as_str() else {
        return int(value).map(Json::from);
    };
    let fault = || {
        expected("a number of bytes such as 512m", value).hint("units: b, k, m, g (powers of 1024)")
    };
    let lower = text.trim().to_lowercase();
    if lower.is_empty() {
        return Ok(0.into());
    }
    let number_end = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(number_end);
    let factor: f64 = match unit.trim() {
        "" | "b" => 1.0,
        "k" | "kb" => 1024.0,
        "m" | "mb" => 1_048_576.0,
        "g" | "gb" => 1_073_741_824.0,
        _ => return Err(fault()),
    };
    let bytes = number.parse::<f64>().map_err(|_| fault())? * factor;
    if bytes.abs() >= 9e18 {
        return Err(expected("a number of bytes that fits 64 bits", value));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "fractions of a byte are dropped"
    )]
    Ok(Json::from(bytes as i64))
}

/// Converts an absolute path in the container, of Linux or Windows.
fn directory(value: &Json) -> Converted {
    let path = text(value)?;
    let is_of_windows = path.get(1..2) == Some(":");
    if path.is_empty() || path.starts_with('/') || is_of_windows {
        return Ok(path.into());
    }
    Err(
        Fault::new(format!("`{path}` must be an absolute path")).hint(format!(
            "write the whole path in the container, such as /{path}"
        )),
    )
}

fn command(value: &Json) -> Converted {
    match value {
        Json::String(line) => words::split(line)
            .map(Json::from)
            .map_err(|error| Fault::new(error.to_string())),
        _ => strings(value),
    }
}

fn strings(value: &Json) -> Converted {
    list_or_one(value, |item| text(item).map(Json::from))
}

fn string_list(value: &Json) -> Converted {
    each(value, |item| text(item).map(Json::from))
}

/// Converts the items of a list.
fn each(value: &Json, mut one: impl FnMut(&Json) -> Converted) -> Converted {
    items(value)?
        .iter()
        .enumerate()
        .map(|(at, item)| one(item).map_err(|fault| fault.at_key(at.to_string())))
        .collect()
}

/// Converts a mapping of options to strings; null becomes an empty string.
fn options(value: &Json) -> Converted {
    map(value, |value| {
        if value.is_null() {
            Ok("".into())
        } else {
            scalar_text(value).map(Json::from)
        }
    })
}

fn labels(value: &Json) -> Converted {
    let names = items(value)?
        .iter()
        .map(|name| Ok((text(name)?, Json::from(""))));
    names
        .collect::<Result<JsonMap<_, _>, Fault>>()
        .map(Json::Object)
}

/// Converts a field of an object in place, if the object has it.
fn convert_field(
    object: &mut Json,
    field: &str,
    convert: impl FnOnce(&Json) -> Converted,
) -> Result<(), Fault> {
    match object.get_mut(field) {
        Some(value) => {
            *value = convert(value).map_err(|fault| fault.at_key(snake(field)))?;
            Ok(())
        }
        None => Ok(()),
    }
}

/// Converts the name of a field to snake case: `StartPeriod` to `start_period`.
fn snake(field: &str) -> String {
    let parts = field.char_indices().map(|(at, c)| {
        if c.is_ascii_uppercase() && at > 0 {
            format!("_{}", c.to_ascii_lowercase())
        } else {
            c.to_ascii_lowercase().to_string()
        }
    });
    parts.collect()
}

fn items(value: &Json) -> Result<&Vec<Json>, Fault> {
    value.as_array().ok_or_else(|| expected("a list", value))
}

fn fields(value: &Json) -> Result<&JsonMap<String, Json>, Fault> {
    value
        .as_object()
        .ok_or_else(|| expected("a mapping", value))
}

fn list_or_one(value: &Json, mut one: impl FnMut(&Json) -> Converted) -> Converted {
    match value {
        Json::Array(_) => each(value, one),
        Json::Object(_) => Err(expected("a list", value)),
        only => Ok(json!([one(only)?])),
    }
}

fn map(value: &Json, each: impl Fn(&Json) -> Converted) -> Converted {
    let entries = fields(value)?
        .iter()
        .map(|(key, value)| Ok((key.clone(), each(value).map_err(|fault| fault.at_key(key))?)));
    entries.collect::<Result<_, Fault>>().map(Json::Object)
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') {
        port.to_owned()
    } else {
        format!("{port}/tcp")
    }
}

/// Converts a list of `80`, `"80"`, `"53/udp"` or `[53, udp]`; the inner list represents a Python
/// tuple. In a mapping, the engine's format, ports have no values.
fn ports(value: &Json) -> Converted {
    if let Json::Object(entries) = value {
        let nothing =
            |value: &Json| value.is_null() || value.as_object().is_some_and(JsonMap::is_empty);
        return match entries.iter().find(|(_, value)| !nothing(value)) {
            Some((port, _)) => Err(Fault::new("an exposed port must not have a value")
                .hint("to publish ports, use `port_bindings`")
                .at_key(port)),
            None => Ok(Json::Object(
                entries
                    .keys()
                    .map(|port| (with_protocol(port), json!({})))
                    .collect(),
            )),
        };
    }
    let port = |item: &Json| match item {
        Json::Array(pair) => match &pair[..] {
            [port] => checked_port(&text(port)?),
            [port, protocol] => checked_port(&format!("{}/{}", text(port)?, text(protocol)?)),
            _ => Err(expected("a port, or [port, protocol]", item)),
        },
        _ => checked_port(&text(item)?),
    };
    let list = list_or_one(value, |item| port(item).map(Json::from))?;
    let exposed = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .flat_map(single_ports)
        .map(|port| (port, json!({})));
    Ok(Json::Object(exposed.collect()))
}

/// Parses `80` or `8000-8010`.
fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let port = |text: &str| {
        let is_number = text.bytes().all(|c| c.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_number)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some(first..=last)
}

fn is_port_range(text: &str) -> bool {
    port_range(text).is_some()
}

/// Returns the ports of `80/tcp` or `8000-8010/tcp`. Engines know no ranges of container ports.
fn single_ports(port: &str) -> Vec<String> {
    let (numbers, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let numbers = port_range(numbers).into_iter().flatten();
    numbers.map(|it| format!("{it}/{protocol}")).collect()
}

/// Checks `80`, `53/udp` or `8000-8010`, and adds a missing protocol.
fn checked_port(port: &str) -> Result<String, Fault> {
    let port = with_protocol(port).to_lowercase();
    match port.split_once('/') {
        Some((number, "tcp" | "udp" | "sctp")) if is_port_range(number) => Ok(port),
        Some((pair, _)) if pair.contains(':') => {
            let message = format!("`{pair}` is not a port of a container");
            let hint = "bind it to a host port in `host_config`: {port_bindings: {80: 8080}}";
            Err(Fault::new(message).hint(hint))
        }
        _ => Err(Fault::new(format!("`{port}` is not a valid port")).hint(
            "use a number from 0 to 65535 or a range such as 8000-8010, followed by /udp or /sctp unless the protocol is tcp",
        )),
    }
}

fn port_bindings(value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    let mut all = JsonMap::new();
    for (key, value) in fields(value)? {
        let under = |fault: Fault| fault.at_key(key);
        let ports = single_ports(&checked_port(key).map_err(under)?);
        let bindings = bindings(value, warnings).map_err(under)?;
        let count = ports.len();
        for (at, port) in ports.into_iter().enumerate() {
            let of_port = bindings.iter().map(|it| binding_of(it, (at, count)));
            let of_port: Vec<Json> = of_port.collect::<Result<_, _>>().map_err(under)?;
            all.insert(port, of_port.into());
        }
    }
    Ok(Json::Object(all))
}

/// Returns the binding of one port of a range of container ports: its position, and their number.
/// The ranges must be equally long. The engine chooses among the host ports of a single container
/// port.
fn binding_of(binding: &Json, (at, count): (usize, usize)) -> Converted {
    let host = binding["HostPort"].as_str().unwrap_or_default();
    if count == 1 || host.is_empty() || host == "0" {
        return Ok(binding.clone());
    }
    let ports: Vec<u16> = port_range(host).into_iter().flatten().collect();
    if ports.len() != count {
        let message = format!("{count} container ports cannot be bound to `{host}`");
        return Err(Fault::new(message).hint(format!(
            "use a range of {count} host ports, or let the engine choose the ports"
        )));
    }
    let mut own = binding.clone();
    own["HostPort"] = ports[at].to_string().into();
    Ok(own)
}

/// Converts one binding or a list. `[ip, port]` and `[ip]` are single bindings, because an address
/// cannot be a port.
fn bindings(value: &Json, warnings: &mut Vec<Fault>) -> Result<Vec<Json>, Fault> {
    let is_address = |item: &Json| {
        item.as_str()
            .is_some_and(|text| text.parse::<IpAddr>().is_ok())
    };
    match value {
        Json::Array(items) => match &items[..] {
            [ip] if is_address(ip) => Ok(vec![binding(ip, &Json::Null)?]),
            [ip, port]
                if is_address(ip) && !is_address(port) && !port.is_array() && !port.is_object() =>
            {
                Ok(vec![binding(ip, port)?])
            }
            _ => {
                let mut all = Vec::new();
                for (at, item) in items.iter().enumerate() {
                    all.extend(
                        bindings(item, warnings).map_err(|fault| fault.at_key(at.to_string()))?,
                    );
                }
                Ok(all)
            }
        },
        Json::Object(_) => {
            let given = apply_shape(&shape::BINDING, value, warnings)?;
            if !fields(value)?
                .keys()
                .any(|key| normalized_key(key) == "hostport")
            {
                return Err(Fault::new("a binding that is a mapping needs a `HostPort`")
                    .hint("{HostIp: 127.0.0.1, HostPort: 8080}"));
            }
            Ok(vec![binding(&given["HostIp"], &given["HostPort"])?])
        }
        port => Ok(vec![binding(&Json::Null, port)?]),
    }
}

fn binding(ip: &Json, port: &Json) -> Converted {
    let as_text = |value: &Json| {
        if value.is_null() {
            Ok(String::new())
        } else {
            text(value)
        }
    };
    let port_text = as_text(port)?;
    if !is_port_range(&port_text) && !port_text.is_empty() {
        return Err(expected(
            "a port from 0 to 65535, or a range such as 8000-8010",
            port,
        ));
    }
    Ok(json!({ "HostIp": as_text(ip)?, "HostPort": port_text }))
}

/// Converts a mapping, keeping its order, or a list of `K=V`. Null removes the image's variable.
fn environment(value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    let Json::Object(entries) = value else {
        return strings(value);
    };
    if let Some((key, _)) = entries.iter().find(|(_, value)| value.is_null()) {
        let warning = format!("`{key}` has no value, which removes the variable of the image");
        warnings.push(
            Fault::new(warning)
                .hint("for an empty value, write ''")
                .at_key(key),
        );
    }
    let entry = |(key, value): (&String, &Json)| match value {
        Json::Null => Ok(Json::from(key.as_str())),
        _ => scalar_text(value)
            .map(|text| Json::from(format!("{key}={text}")))
            .map_err(|fault| fault.at_key(key)),
    };
    entries.iter().map(entry).collect()
}

/// Converts paths inside the container. Warns about values that look like binds, which have no
/// effect here.
fn volumes(value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    let mut misplaced = |path: &str| {
        let warning =
            format!("`{path}` looks like a bind, but `volumes` are paths inside the container");
        warnings
            .push(Fault::new(warning).hint("to mount a host path, use `binds` in `host_config`"));
    };
    if let Json::Object(entries) = value {
        entries
            .iter()
            .filter(|(_, value)| value.get("bind").is_some())
            .for_each(|(path, _)| misplaced(path));
        return Ok(Json::Object(
            entries
                .iter()
                .map(|(path, value)| {
                    (
                        path.clone(),
                        if value.is_null() {
                            json!({})
                        } else {
                            value.clone()
                        },
                    )
                })
                .collect(),
        ));
    }
    let paths = strings(value)?;
    let paths = || {
        paths
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
    };
    paths()
        .filter(|path| path.contains(':'))
        .for_each(&mut misplaced);
    Ok(Json::Object(
        paths().map(|path| (path.to_owned(), json!({}))).collect(),
    ))
}

fn binds(value: &Json) -> Converted {
    let Json::Object(entries) = value else {
        return strings(value);
    };
    entries
        .iter()
        .map(|(host, options)| {
            bind(host, options)
                .map(Json::from)
                .map_err(|fault| fault.at_key(host))
        })
        .collect()
}

fn bind(host: &str, bind: &Json) -> Result<String, Fault> {
    if let Json::String(container) = bind {
        return Ok(format!("{host}:{container}:rw"));
    }
    let options = fields(bind)?;
    let known = ["bind", "ro", "mode", "propagation"];
    if let Some(key) = options.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Fault::new(format!("unknown key `{key}` of a bind"))
            .hint(format!("known keys: {}", known.join(", ")))
            .unknown()
            .at_key(key));
    }
    let given = |key: &str| options.get(key).filter(|value| !value.is_null());
    let as_text = |key: &str| {
        given(key)
            .map(|value| text(value).map_err(|fault| fault.at_key(key)))
            .transpose()
    };
    let container = as_text("bind")?
        .ok_or_else(|| Fault::new("a bind needs a `bind`: the path inside the container"))?;
    let mode = match (given("ro"), given("mode")) {
        (Some(_), Some(_)) => return Err(Fault::new("`ro` and `mode` cannot be combined")),
        (Some(ro), None) => if ro
            .as_bool()
            .ok_or_else(|| expected("a boolean", ro).at_key("ro"))?
        {
            "ro"
        } else {
            "rw"
        }
        .to_owned(),
        (None, _) => as_text("mode")?.unwrap_or_else(|| "rw".to_owned()),
    };
    let modes: Vec<String> = [Some(mode), as_text("propagation")?]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    Ok(format!("{host}:{container}:{}", modes.join(",")))
}

/// Converts a mapping of containers to aliases, or a list of pairs or `container:alias`. Sorts by
/// container.
fn links(value: &Json) -> Converted {
    let link = |container: &str, alias: &Json| match alias {
        Json::Null => Ok((container.to_owned(), String::new())),
        _ => text(alias).map(|alias| (container.to_owned(), alias)),
    };
    let mut all: Vec<(String, String)> = match value {
        Json::Object(entries) => entries
            .iter()
            .map(|(container, alias)| {
                link(container, alias).map_err(|fault| fault.at_key(container))
            })
            .collect::<Result<_, _>>()?,
        Json::Array(items) => items
            .iter()
            .map(|item| match item.as_array().map(Vec::as_slice) {
                Some([container, alias]) => link(&text(container)?, alias),
                Some(_) => Err(expected("[container, alias]", item)),
                None => text(item).map(|text| split_pair(&text)),
            })
            .collect::<Result<_, _>>()?,
        _ => vec![split_pair(&text(value)?)],
    };
    all.sort();
    Ok(all
        .into_iter()
        .map(|(container, alias)| {
            if alias.is_empty() {
                container
            } else {
                format!("{container}:{alias}")
            }
        })
        .collect())
}

fn split_pair(text: &str) -> (String, String) {
    let (container, alias) = text.split_once(':').unwrap_or((text, ""));
    (container.to_owned(), alias.to_owned())
}

fn restart_policy(value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    const NAMES: [&str; 5] = ["", "no", "always", "unless-stopped", "on-failure"];
    let mut policy = match value {
        Json::String(short) => match short.split_once(':') {
            Some((name, count)) => json!({ "Name": name, "MaximumRetryCount": count }),
            None => json!({ "Name": short }),
        },
        _ => apply_shape(&shape::RESTART_POLICY, value, warnings)?,
    };
    convert_field(&mut policy, "Name", |name| match name {
        // An unquoted `no` is false in YAML.
        Json::Bool(false) => Ok("no".into()),
        Json::String(_) => Ok(name.clone()),
        _ => Err(expected("the name of a policy", name)),
    })?;
    convert_field(&mut policy, "MaximumRetryCount", digits)?;
    let name = policy["Name"].as_str().unwrap_or_default();
    if !NAMES.contains(&name) {
        return Err(Fault::new(format!("unknown restart policy `{name}`"))
            .hint(format!("known policies: {}", NAMES[1..].join(", "))));
    }
    Ok(policy)
}

fn devices(value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    list_or_one(value, |item| {
        if item.is_object() {
            let mut device = apply_shape(&shape::DEVICE, item, warnings)?;
            for field in ["PathOnHost", "PathInContainer", "CgroupPermissions"] {
                convert_field(&mut device, field, |value| text(value).map(Json::from))?;
            }
            return Ok(device);
        }
        let text = item
            .as_str()
            .ok_or_else(|| expected("a device such as /dev/snd:/dev/snd:rwm", item))?;
        let mut parts = text.split(':');
        let host = parts.next().unwrap_or_default();
        Ok(
            json!({ "PathOnHost": host, "PathInContainer": parts.next().unwrap_or(host), "CgroupPermissions": parts.next().unwrap_or("rwm") }),
        )
    })
}

fn device_requests(value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    each(value, |item| {
        let mut given = apply_shape(&shape::DEVICE_REQUEST, item, warnings)?;
        convert_field(&mut given, "Driver", |value| {
            value
                .as_str()
                .map(Json::from)
                .ok_or_else(|| expected("a string", value))
        })?;
        convert_field(&mut given, "Count", |value| int(value).map(Json::from))?;
        convert_field(&mut given, "DeviceIDs", string_list)?;
        convert_field(&mut given, "Capabilities", |value| each(value, string_list))?;
        convert_field(&mut given, "Options", options)?;
        let mut request =
            json!({ "Driver": "", "Count": 0, "DeviceIDs": [], "Capabilities": [], "Options": {} });
        for (key, value) in given.as_object().into_iter().flatten() {
            request[key] = value.clone();
        }
        Ok(request)
    })
}

/// Converts `[{Path, Weight}]` or `[{Path, Rate}]`.
fn records(value: &Json, shape: &Shape, number: &str, warnings: &mut Vec<Fault>) -> Converted {
    each(value, |item| {
        let mut record = apply_shape(shape, item, warnings)?;
        convert_field(&mut record, "Path", |value| text(value).map(Json::from))?;
        convert_field(&mut record, number, |value| int(value).map(Json::from))?;
        Ok(record)
    })
}

fn extra_hosts(value: &Json) -> Converted {
    let Json::Object(entries) = value else {
        return strings(value);
    };
    let entry = |(host, ip): (&String, &Json)| {
        Ok((host.clone(), text(ip).map_err(|fault| fault.at_key(host))?))
    };
    let mut all = entries
        .iter()
        .map(entry)
        .collect::<Result<Vec<_>, Fault>>()?;
    all.sort();
    Ok(all
        .into_iter()
        .map(|(host, ip)| format!("{host}:{ip}"))
        .collect())
}

fn ulimits(value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    each(value, |item| {
        let mut limit = apply_shape(&shape::ULIMIT, item, warnings)?;
        if !limit["Name"].is_string() {
            return Err(Fault::new("a ulimit needs a `name`, such as nofile"));
        }
        for field in ["Soft", "Hard"] {
            convert_field(&mut limit, field, |value| int(value).map(Json::from))?;
        }
        Ok(limit)
    })
}

fn log_config(value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    let mut given = apply_shape(&shape::LOG_CONFIG, value, warnings)?;
    convert_field(&mut given, "Type", |value| {
        value
            .as_str()
            .map(Json::from)
            .ok_or_else(|| expected("a string", value))
    })?;
    if given.get("Config").is_none() {
        given["Config"] = json!({});
    }
    convert_field(&mut given, "Config", options)?;
    Ok(given)
}

fn tmpfs(value: &Json) -> Converted {
    if value.is_object() {
        return options(value);
    }
    let mut mounts = JsonMap::new();
    for item in items(value)? {
        let mount = item
            .as_str()
            .ok_or_else(|| expected("a path, optionally with options", item))?;
        let (path, options) = mount.split_once(':').unwrap_or((mount, ""));
        if mounts.insert(path.to_owned(), options.into()).is_some() {
            return Err(mounted_twice(path, [TMPFS, TMPFS]));
        }
    }
    Ok(Json::Object(mounts))
}

/// Converts a health check. Durations are nanoseconds; strings such as `30s` are accepted too.
fn healthcheck(value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    let mut check = apply_shape(&shape::HEALTHCHECK, value, warnings)?;
    convert_field(&mut check, "Test", |test| match test {
        Json::String(line) => Ok(json!(["CMD-SHELL", line])),
        _ => string_list(test),
    })?;
    convert_field(&mut check, "Retries", retries)?;
    for field in ["Interval", "Timeout", "StartPeriod", "StartInterval"] {
        convert_field(&mut check, field, check_duration)?;
    }
    Ok(check)
}

fn retries(value: &Json) -> Converted {
    let number = int(value)?;
    if number < 0 {
        let message = format!("the number of retries cannot be negative: `{number}`");
        return Err(Fault::new(message));
    }
    Ok(number.into())
}

/// Converts a duration of a health check. Engines refuse those under a millisecond, except 0.
fn check_duration(value: &Json) -> Converted {
    let duration = match value.as_str() {
        Some(text) => nanoseconds(text)
            .ok_or_else(|| expected("nanoseconds, or a duration such as 30s", value))?,
        None => int(value)?,
    };
    if duration < 0 {
        return Err(Fault::new(format!(
            "a duration cannot be negative: `{duration}`"
        )));
    }
    if (1..1_000_000).contains(&duration) {
        let message =
            format!("`{duration}` means {duration} nanoseconds; engines need at least 1ms");
        return Err(Fault::new(message).hint(format!("for seconds, write {duration}s")));
    }
    Ok(duration.into())
}

/// Parses a duration in Go's format into nanoseconds: `1m30s`, `1.5h`, `500ms`; digits without a
/// unit are nanoseconds.
pub(crate) fn nanoseconds(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let (mut rest, mut total) = (text.trim(), 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let unit = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let factor = match &after[..unit] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = &after[unit..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to fit")]
    (!text.trim().is_empty() && total < 9e18).then_some(total.round() as i64)
}

fn networking(value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    let mut given = apply_shape(&shape::NETWORKING, value, warnings)?;
    convert_field(&mut given, "EndpointsConfig", |networks| {
        let mut all = JsonMap::new();
        for (name, value) in fields(networks)? {
            all.insert(
                name.clone(),
                endpoint(value, warnings).map_err(|fault| fault.at_key(name))?,
            );
        }
        Ok(Json::Object(all))
    })?;
    Ok(given)
}

/// Converts the address in a field of `IPAMConfig`, or its addresses. An empty address means none.
fn convert_address(field: &str, value: &Json) -> Converted {
    let (version, is_version): (_, fn(&IpAddr) -> bool) = match field {
        "IPv4Address" => ("IPv4", IpAddr::is_ipv4),
        "IPv6Address" => ("IPv6", IpAddr::is_ipv6),
        _ => return strings(value),
    };
    let address = text(value)?;
    if address.is_empty() || address.parse().is_ok_and(|address| is_version(&address)) {
        return Ok(address.into());
    }
    Err(Fault::new(format!(
        "`{address}` is not an {version} address"
    )))
}

/// Argument names of docker-py's `create_endpoint_config`, and one that it does not have yet.
pub(crate) const ENDPOINT: [&str; 8] = [
    "aliases",
    "links",
    "ipv4_address",
    "ipv6_address",
    "link_local_ips",
    "mac_address",
    "driver_opt",
    "gw_priority",
];

/// Converts an endpoint with the engine's field names or those of `create_endpoint_config`.
pub(crate) fn endpoint(value: &Json, warnings: &mut Vec<Fault>) -> Converted {
    if value.is_null() {
        return Ok(json!({}));
    }
    let mut raw = fields(value)?.clone();
    let mut addresses = raw
        .shift_remove("IPAMConfig")
        .filter(|config| !config.is_null())
        .unwrap_or_else(|| json!({}));
    for (name, field) in [
        ("ipv4_address", "IPv4Address"),
        ("ipv6_address", "IPv6Address"),
        ("link_local_ips", "LinkLocalIPs"),
    ] {
        if let Some(value) = raw.shift_remove(name).filter(|value| !value.is_null()) {
            let checked = convert_address(field, &value);
            addresses[field] = checked.map_err(|fault| fault.at_key(name))?;
        }
    }
    if let Some(options) = raw.shift_remove("driver_opt") {
        raw.insert("DriverOpts".to_owned(), options);
    }
    if addresses
        .as_object()
        .is_none_or(|addresses| !addresses.is_empty())
    {
        raw.insert("IPAMConfig".to_owned(), addresses);
    }
    let is_field = |key: &str| matches!(&shape::ENDPOINT, Shape::Fields(fields) if fields.iter().any(|(name, _)| normalized_key(name) == normalized_key(key)));
    if let Some(key) = raw
        .keys()
        .find(|key| key.starts_with(|c: char| c.is_ascii_lowercase()) && !is_field(key))
    {
        return Err(Fault::unknown_among(key, &ENDPOINT));
    }
    let mut endpoint = apply_shape(&shape::ENDPOINT, &Json::Object(raw), warnings)?;
    if endpoint.get("MacAddress").is_some() {
        let warning =
            Fault::new("engines before API 1.44 choose the MAC address of a network themselves");
        warnings.push(
            warning
                .hint("to support all engines, set `mac_address` next to `networking_config`")
                .at_key("mac_address"),
        );
    }
    convert_field(&mut endpoint, "Aliases", strings)?;
    convert_field(&mut endpoint, "Links", links)?;
    convert_field(&mut endpoint, "DriverOpts", options)?;
    convert_field(&mut endpoint, "MacAddress", |value| {
        text(value).map(Json::from)
    })?;
    convert_field(&mut endpoint, "IPAMConfig", |config| {
        let mut config = apply_shape(&shape::IPAM, config, warnings)?;
        for field in ["IPv4Address", "IPv6Address", "LinkLocalIPs"] {
            convert_field(&mut config, field, |value| convert_address(field, value))?;
        }
        Ok(config)
    })?;
    Ok(endpoint)
}
