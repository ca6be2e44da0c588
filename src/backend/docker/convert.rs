//! Values as docker-py takes them, and the Engine JSON that each becomes.

use super::words;
use crate::{diagnostic::nearest, model::function::python_text};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::net::IpAddr;

/// Why a value cannot be converted, and where in it the fault lies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    /// Keys and indexes that lead to the fault.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The fault is a name that does not exist.
    pub unknown: bool,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn unknown(mut self) -> Self {
        self.unknown = true;
        self
    }

    /// A name that is none of these.
    pub(super) fn unknown_among(name: &str, known: &[&str]) -> Self {
        let fault = Self::new(format!("there is no argument `{name}` here")).unknown().within(&[name.to_owned()]);
        match nearest(name, known.iter().copied()) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint(format!("known arguments: {}", known.join(", "))),
        }
    }

    pub(super) fn within(mut self, outer: &[String]) -> Self {
        self.path.splice(0..0, outer.iter().cloned());
        self
    }

    fn under(self, key: impl Into<String>) -> Self {
        self.within(&[key.into()])
    }
}

/// The forms that arguments come in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// As it is.
    Raw,
    /// Text; a number is spelt out.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A whole number, or text of digits.
    Digits,
    /// A number of bytes, or text such as `512m`.
    Bytes,
    /// A command line, or a list of its words.
    Words,
    /// A list of texts; a single text is a list of one.
    Strings,
    /// A list of texts and nothing else.
    StringList,
    /// A mapping to texts; other values are spelt out.
    StringMap,
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

pub(super) fn convert(form: Form, value: &Json) -> Converted {
    match form {
        Form::Raw => Ok(value.clone()),
        Form::Text => text(value).map(Json::from),
        Form::Bool => value.as_bool().map(Json::from).ok_or_else(|| wanted("a boolean", value)),
        Form::Int => int(value).map(Json::from),
        Form::Digits => digits(value),
        Form::Bytes => bytes(value),
        Form::Words => command(value),
        Form::Strings => list_or_one(value, |item| text(item).map(Json::from)),
        Form::StringList => items(value)?
            .iter()
            .enumerate()
            .map(|(at, item)| text(item).map(Json::from).map_err(|fault| fault.under(at.to_string())))
            .collect(),
        Form::StringMap => map(value, |value| text_of_any(value).map(Json::from)),
        Form::OnlyHost => match value.as_str() {
            Some("host" | "") => Ok(value.clone()),
            _ => Err(wanted("`host`", value)),
        },
        Form::Ports => ports(value),
        Form::PortBindings => port_bindings(value),
        Form::Environment => environment(value),
        Form::Volumes => volumes(value),
        Form::VolumesFrom => match value {
            Json::String(names) => Ok(names.split(',').collect()),
            _ => convert(Form::Strings, value),
        },
        Form::Labels => match value {
            Json::Array(names) => {
                names.iter().map(|name| Ok((text(name)?, Json::from("")))).collect::<Result<JsonMap<_, _>, _>>().map(Json::Object)
            }
            _ => map(value, |value| text_of_any(value).map(Json::from)),
        },
        Form::Binds => binds(value),
        Form::Links => links(value),
        Form::RestartPolicy => restart_policy(value),
        Form::Devices => devices(value),
        Form::DeviceRequests => device_requests(value),
        Form::ExtraHosts => extra_hosts(value),
        Form::Ulimits => ulimits(value),
        Form::LogConfig => log_config(value),
        Form::Tmpfs => tmpfs(value),
        Form::Healthcheck => healthcheck(value),
        Form::Networking => networking(value),
    }
}

pub(super) fn kind(value: &Json) -> &'static str {
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

fn wanted(what: &str, value: &Json) -> Fault {
    let shown = match value {
        Json::Array(_) | Json::Object(_) => String::new(),
        _ => format!(" (`{}`)", python_text(value)),
    };
    Fault::new(format!("this must be {what}, and it is {}{shown}", kind(value)))
}

/// Text, or a whole number spelt out.
fn text(value: &Json) -> Result<String, Fault> {
    match value {
        Json::String(text) => Ok(text.clone()),
        Json::Number(number) if !number.is_f64() => Ok(number.to_string()),
        _ => Err(wanted("a string", value)),
    }
}

/// Any scalar, spelt as Python's `str()` does.
fn text_of_any(value: &Json) -> Result<String, Fault> {
    match value {
        Json::Array(_) | Json::Object(_) => Err(wanted("a string", value)),
        _ => Ok(python_text(value)),
    }
}

fn int(value: &Json) -> Result<i64, Fault> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    let whole = || value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15).map(|number| number as i64);
    value.as_i64().or_else(whole).ok_or_else(|| wanted("an integer", value))
}

fn digits(value: &Json) -> Converted {
    match value.as_str().and_then(|text| text.parse::<i64>().ok()) {
        Some(number) => Ok(number.into()),
        None => int(value).map(Json::from),
    }
}

/// `512m`, `1.5g`, `10 m`, `-1`: powers of 1024; at most one of b, k, m, g with an optional b after it.
fn bytes(value: &Json) -> Converted {
    let Some(text) = value.as_str() else { return int(value).map(Json::from) };
    let fault = || wanted("a number of bytes such as 512m", value).hint("units: b, k, m, g; they are powers of 1024");
    let lower = text.trim().to_lowercase();
    if lower.is_empty() {
        return Ok(0.into());
    }
    let number_end = lower.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(number_end);
    let factor: f64 = match unit.trim() {
        "" | "b" => 1.0,
        "k" | "kb" => 1024.0,
        "m" | "mb" => 1_048_576.0,
        "g" | "gb" => 1_073_741_824.0,
        _ => return Err(fault()),
    };
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a byte is no byte")]
    number.parse::<f64>().map(|number| Json::from((number * factor) as i64)).map_err(|_| fault())
}

fn command(value: &Json) -> Converted {
    match value {
        Json::String(line) => words::split(line).map(Json::from).map_err(|error| Fault::new(error.to_string())),
        _ => convert(Form::Strings, value),
    }
}

fn items(value: &Json) -> Result<&Vec<Json>, Fault> {
    value.as_array().ok_or_else(|| wanted("a list", value))
}

fn fields(value: &Json) -> Result<&JsonMap<String, Json>, Fault> {
    value.as_object().ok_or_else(|| wanted("a mapping", value))
}

fn list_or_one(value: &Json, each: impl Fn(&Json) -> Converted) -> Converted {
    match value {
        Json::Array(items) => items.iter().enumerate().map(|(at, item)| each(item).map_err(|fault| fault.under(at.to_string()))).collect(),
        Json::Object(_) => Err(wanted("a list", value)),
        one => Ok(json!([each(one)?])),
    }
}

fn map(value: &Json, each: impl Fn(&Json) -> Converted) -> Converted {
    let entries = fields(value)?.iter().map(|(key, value)| Ok((key.clone(), each(value).map_err(|fault| fault.under(key))?)));
    entries.collect::<Result<_, Fault>>().map(Json::Object)
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

/// `80`, `"80"`, `"53/udp"`, `[53, udp]`: a list inside the list is the tuple that YAML lacks.
fn ports(value: &Json) -> Converted {
    if value.is_object() {
        return Ok(value.clone());
    }
    let port = |item: &Json| match item {
        Json::Array(pair) => match &pair[..] {
            [port] => checked_port(&text(port)?),
            [port, protocol] => checked_port(&format!("{}/{}", text(port)?, text(protocol)?)),
            _ => Err(wanted("a port, or [port, protocol]", item)),
        },
        _ => checked_port(&text(item)?),
    };
    let list = list_or_one(value, |item| port(item).map(Json::from))?;
    let exposed = list.as_array().into_iter().flatten().filter_map(Json::as_str).map(|port| (port.to_owned(), json!({})));
    Ok(Json::Object(exposed.collect()))
}

fn is_port_range(text: &str) -> bool {
    let is_port = |text: &str| text.bytes().all(|c| c.is_ascii_digit()) && text.parse::<u16>().is_ok();
    text.split_once('-').map_or_else(|| is_port(text), |(first, last)| is_port(first) && is_port(last))
}

/// `80`, `53/udp`, `8000-8010`, with the protocol spelt out.
fn checked_port(port: &str) -> Result<String, Fault> {
    let port = with_protocol(port);
    match port.split_once('/') {
        Some((number, "tcp" | "udp" | "sctp")) if is_port_range(number) => Ok(port),
        _ => Err(Fault::new(format!("`{port}` is no port"))
            .hint("a port is a number from 0 to 65535, with /udp or /sctp after it if it is not tcp")),
    }
}

fn port_bindings(value: &Json) -> Converted {
    let binding = |(key, value): (&String, &Json)| Ok((checked_port(key)?, bindings(value)?));
    let entries = fields(value)?.iter().map(|entry| binding(entry).map_err(|fault: Fault| fault.under(entry.0)));
    entries.collect::<Result<_, Fault>>().map(Json::Object)
}

/// One binding or a list of them. `[ip, port]` and `[ip]` are one: an address is never a port.
fn bindings(value: &Json) -> Converted {
    let is_address = |item: &Json| item.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok());
    match value {
        Json::Array(items) => match &items[..] {
            [ip] if is_address(ip) => Ok(json!([binding(ip, &Json::Null)?])),
            [ip, port] if is_address(ip) && !is_address(port) && !port.is_array() && !port.is_object() => Ok(json!([binding(ip, port)?])),
            _ => items
                .iter()
                .enumerate()
                .map(|(at, item)| Ok(bindings(item).map_err(|fault| fault.under(at.to_string()))?[0].clone()))
                .collect(),
        },
        Json::Object(fields) => {
            let Some(port) = fields.get("HostPort") else {
                return Err(Fault::new("a binding in this form needs a `HostPort`").hint("{HostIp: 127.0.0.1, HostPort: 8080}"));
            };
            Ok(json!([binding(fields.get("HostIp").unwrap_or(&Json::Null), port)?]))
        }
        port => Ok(json!([binding(&Json::Null, port)?])),
    }
}

fn binding(ip: &Json, port: &Json) -> Converted {
    let spelt = |value: &Json| if value.is_null() { Ok(String::new()) } else { text(value) };
    let port_text = spelt(port)?;
    if !is_port_range(&port_text) && !port_text.is_empty() {
        return Err(wanted("a port from 0 to 65535, or a range such as 8000-8010", port));
    }
    Ok(json!({ "HostIp": spelt(ip)?, "HostPort": port_text }))
}

/// A mapping in document order, or a list of `K=V`. Null removes the image's own value.
fn environment(value: &Json) -> Converted {
    let Json::Object(entries) = value else { return convert(Form::Strings, value) };
    let entry = |(key, value): (&String, &Json)| match value {
        Json::Null => Ok(Json::from(key.as_str())),
        _ => text_of_any(value).map(|text| Json::from(format!("{key}={text}"))).map_err(|fault| fault.under(key)),
    };
    entries.iter().map(entry).collect()
}

fn volumes(value: &Json) -> Converted {
    if value.is_object() {
        return Ok(value.clone());
    }
    let paths = convert(Form::Strings, value)?;
    Ok(Json::Object(paths.as_array().into_iter().flatten().filter_map(Json::as_str).map(|path| (path.to_owned(), json!({}))).collect()))
}

fn binds(value: &Json) -> Converted {
    let Json::Object(entries) = value else { return convert(Form::Strings, value) };
    entries.iter().map(|(host, bind)| bind_one(host, bind).map(Json::from).map_err(|fault| fault.under(host))).collect()
}

fn bind_one(host: &str, bind: &Json) -> Result<String, Fault> {
    if let Json::String(container) = bind {
        return Ok(format!("{host}:{container}:rw"));
    }
    let options = fields(bind)?;
    let known = ["bind", "ro", "mode", "propagation"];
    if let Some(key) = options.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Fault::new(format!("a bind has no `{key}`")).hint(format!("known keys: {}", known.join(", "))).under(key));
    }
    let container = options.get("bind").ok_or_else(|| Fault::new("a bind needs a `bind`: the path inside the container"))?;
    let mode = match (options.get("ro"), options.get("mode")) {
        (Some(_), Some(_)) => return Err(Fault::new("`ro` and `mode` exclude each other")),
        (Some(ro), None) => if ro.as_bool().ok_or_else(|| wanted("a boolean", ro).under("ro"))? { "ro" } else { "rw" }.to_owned(),
        (None, Some(mode)) => text(mode).map_err(|fault| fault.under("mode"))?,
        (None, None) => "rw".to_owned(),
    };
    let propagation = options.get("propagation").and_then(Json::as_str).map(|it| format!(",{it}")).unwrap_or_default();
    Ok(format!("{host}:{}:{mode}{propagation}", text(container).map_err(|fault| fault.under("bind"))?))
}

/// A mapping of container to alias, or a list of pairs or of `container:alias`; sorted by container.
fn links(value: &Json) -> Converted {
    let link = |container: &str, alias: &Json| match alias {
        Json::Null => Ok(container.to_owned()),
        _ => text(alias).map(|alias| format!("{container}:{alias}")),
    };
    let mut all = match value {
        Json::Object(entries) => entries
            .iter()
            .map(|(container, alias)| link(container, alias).map_err(|fault| fault.under(container)))
            .collect::<Result<Vec<_>, _>>()?,
        Json::Array(items) => items
            .iter()
            .map(|item| match item.as_array().map(Vec::as_slice) {
                Some([container, alias]) => link(&text(container)?, alias),
                Some(_) => Err(wanted("[container, alias]", item)),
                None => text(item),
            })
            .collect::<Result<_, _>>()?,
        _ => vec![text(value)?],
    };
    all.sort();
    Ok(all.into())
}

fn restart_policy(value: &Json) -> Converted {
    const NAMES: [&str; 5] = ["", "no", "always", "unless-stopped", "on-failure"];
    let policy = match value {
        Json::String(short) => match short.split_once(':') {
            Some((name, count)) => {
                json!({ "Name": name, "MaximumRetryCount": count.parse::<i64>().map_err(|_| wanted("a policy such as on-failure:5", value))? })
            }
            None => json!({ "Name": short }),
        },
        _ => camel(value, &["Name", "MaximumRetryCount"])?,
    };
    let name = policy.get("Name").and_then(Json::as_str).unwrap_or_default();
    if !NAMES.contains(&name) {
        return Err(Fault::new(format!("there is no restart policy `{name}`")).hint(format!("known policies: {}", NAMES[1..].join(", "))));
    }
    Ok(policy)
}

/// A mapping whose keys may be written in snake case or as the engine writes them.
fn camel(value: &Json, known: &[&str]) -> Converted {
    let plain = |key: &str| key.replace('_', "").to_lowercase();
    let mut converted = JsonMap::new();
    for (key, value) in fields(value)? {
        let Some(name) = known.iter().find(|name| plain(name) == plain(key)) else {
            return Err(Fault::new(format!("there is no `{key}` here"))
                .hint(format!("known keys: {}", known.join(", ")))
                .unknown()
                .under(key));
        };
        converted.insert((*name).to_owned(), value.clone());
    }
    Ok(Json::Object(converted))
}

fn devices(value: &Json) -> Converted {
    list_or_one(value, |item| {
        if item.is_object() {
            return Ok(item.clone());
        }
        let text = text(item)?;
        let mut parts = text.split(':');
        let host = parts.next().unwrap_or_default();
        Ok(
            json!({ "PathOnHost": host, "PathInContainer": parts.next().unwrap_or(host), "CgroupPermissions": parts.next().unwrap_or("rwm") }),
        )
    })
}

fn device_requests(value: &Json) -> Converted {
    list_or_one(value, |item| {
        let given = camel(item, &["Driver", "Count", "DeviceIDs", "Capabilities", "Options"])?;
        let mut request = json!({ "Driver": "", "Count": 0, "DeviceIDs": [], "Capabilities": [], "Options": {} });
        for (key, value) in given.as_object().into_iter().flatten() {
            request[key] = value.clone();
        }
        Ok(request)
    })
}

fn extra_hosts(value: &Json) -> Converted {
    let Json::Object(entries) = value else { return convert(Form::Strings, value) };
    let mut all = entries
        .iter()
        .map(|(host, ip)| Ok(format!("{host}:{}", text(ip).map_err(|fault| fault.under(host))?)))
        .collect::<Result<Vec<_>, Fault>>()?;
    all.sort();
    Ok(all.into())
}

fn ulimits(value: &Json) -> Converted {
    let ulimit = |item: &Json| {
        let given = camel(item, &["Name", "Soft", "Hard"])?;
        let mut limit = JsonMap::new();
        for (key, value) in given.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let fits = if key == "Name" { value.is_string() } else { value.is_i64() || value.is_u64() };
            if !fits {
                return Err(wanted(if key == "Name" { "a string" } else { "an integer" }, value).under(key.to_lowercase()));
            }
            limit.insert(key.clone(), value.clone());
        }
        Ok(Json::Object(limit))
    };
    items(value)?.iter().enumerate().map(|(at, item)| ulimit(item).map_err(|fault| fault.under(at.to_string()))).collect()
}

fn log_config(value: &Json) -> Converted {
    let mut given = camel(value, &["Type", "Config"])?;
    let config = given.get("Config").filter(|config| !config.is_null()).cloned().unwrap_or_else(|| json!({}));
    given["Config"] = map(&config, |value| text_of_any(value).map(Json::from)).map_err(|fault| fault.under("config"))?;
    Ok(given)
}

fn tmpfs(value: &Json) -> Converted {
    if value.is_object() {
        return Ok(value.clone());
    }
    let mounts = items(value)?.iter().map(|item| {
        let mount = text(item)?;
        let (path, options) = mount.split_once(':').unwrap_or((&mount, ""));
        Ok((path.to_owned(), Json::from(options)))
    });
    mounts.collect::<Result<_, Fault>>().map(Json::Object)
}

/// Durations are nanoseconds; text such as `30s` is accepted too.
fn healthcheck(value: &Json) -> Converted {
    let given = camel(value, &["Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"])?;
    let mut check = JsonMap::new();
    for (key, value) in given.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        let converted = match (key.as_str(), value) {
            ("Test", Json::String(line)) => json!(["CMD-SHELL", line]),
            ("Test", _) => convert(Form::StringList, value).map_err(|fault| fault.under("test"))?,
            ("Retries", _) => int(value).map(Json::from).map_err(|fault| fault.under("retries"))?,
            (_, Json::String(text)) => nanoseconds(text)
                .map(Json::from)
                .ok_or_else(|| wanted("nanoseconds, or text such as 30s", value).under(key.to_lowercase()))?,
            _ => int(value).map(Json::from).map_err(|fault| fault.under(key.to_lowercase()))?,
        };
        check.insert(key.clone(), converted);
    }
    Ok(Json::Object(check))
}

fn nanoseconds(text: &str) -> Option<i64> {
    humantime::parse_duration(text).ok().and_then(|duration| i64::try_from(duration.as_nanos()).ok())
}

fn networking(value: &Json) -> Converted {
    let given = camel(value, &["EndpointsConfig"])?;
    let Some(networks) = given.get("EndpointsConfig").filter(|networks| !networks.is_null()) else { return Ok(given) };
    Ok(json!({ "EndpointsConfig": map(networks, endpoint).map_err(|fault| fault.under("EndpointsConfig"))? }))
}

fn endpoint(value: &Json) -> Converted {
    if value.is_null() {
        return Ok(json!({}));
    }
    let mut endpoint = JsonMap::new();
    let mut addresses = JsonMap::new();
    for (key, value) in fields(value)? {
        match key.as_str() {
            "ipv4_address" => addresses.insert("IPv4Address".into(), value.clone()),
            "ipv6_address" => addresses.insert("IPv6Address".into(), value.clone()),
            "link_local_ips" => addresses.insert("LinkLocalIPs".into(), value.clone()),
            "links" | "Links" => endpoint.insert("Links".into(), links(value).map_err(|fault| fault.under(key))?),
            "driver_opt" => endpoint.insert("DriverOpts".into(), value.clone()),
            "aliases" => endpoint.insert("Aliases".into(), value.clone()),
            "mac_address" => endpoint.insert("MacAddress".into(), value.clone()),
            "Aliases" | "IPAMConfig" | "DriverOpts" | "MacAddress" | "NetworkID" | "GwPriority" => {
                endpoint.insert(key.clone(), value.clone())
            }
            _ => return Err(Fault::new(format!("a network has no `{key}`")).unknown().under(key)),
        };
    }
    if !addresses.is_empty() {
        endpoint.insert("IPAMConfig".into(), Json::Object(addresses));
    }
    Ok(Json::Object(endpoint))
}
