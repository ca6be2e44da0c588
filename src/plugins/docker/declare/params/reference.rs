//! Generates documentation and JSON Schema from the table of arguments.

use crate::{
    plugins::docker::declare::params::{
        CREATE, Form, HOST, Host, Ignored, Query, REMOVE, RUN, START, STOP, Special, TABLE,
        Target::{self, Body},
        names, places,
    },
    syntax::FUNCTIONS,
};
use serde_json::{Map as JsonMap, Value as Json, json};

/// Returns the tables of arguments and of keys of `image` as Markdown.
#[must_use]
pub(crate) fn markdown() -> String {
    format!(
        "### Arguments\n\n{}\n### Keys of `image`\n\n{}",
        arguments(),
        image_keys()
    )
}

fn image_keys() -> String {
    let row = |key: &super::super::image::Key| {
        format!(
            "| `{}` | {} | {} |\n",
            key.name,
            key.form.accepts(),
            key.meaning
        )
    };
    super::super::image::KEYS.iter().map(row).fold(
        "| key | value | meaning |\n|---|---|---|\n".to_owned(),
        |text, row| text + &row,
    )
}

fn arguments() -> String {
    let head =
        "| argument | used in | value | sets | engine API |\n|---|---|---|---|---|\n".to_owned();
    let row = |it: &super::Argument| {
        format!(
            "| `{}` | {} | {} | {} | {} |\n",
            it.name,
            places(it.places).replace(" and of ", ", "),
            it.form.accepts(),
            target_text(it.target),
            it.versions
        )
    };
    TABLE.iter().map(row).fold(head, |text, row| text + &row)
}

fn target_text(target: Target) -> String {
    match target {
        Body(field) => format!("`{field}`"),
        Host(field) => format!("`HostConfig.{field}`"),
        Query(field) => format!("query parameter `{field}`"),
        Special => "– (read only by dockctl)".to_owned(),
        Ignored(why) => format!("no effect: {why}"),
    }
}

/// Adds the arguments of the docker plugins to the JSON Schema of a blueprint.
pub(crate) fn extend_schema(schema: &mut Json) {
    let defs = &mut schema["$defs"];
    for (name, place) in [
        ("create", CREATE),
        ("start", START),
        ("stop", STOP),
        ("delete", REMOVE),
        ("container_args", RUN),
    ] {
        let properties: JsonMap<String, Json> = names(place)
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), property(name, place)?)))
            .collect();
        defs[format!("docker_{name}")] = mapping(properties);
    }
    let keys = super::super::image::KEYS.iter().map(|key| {
        (
            key.name.to_owned(),
            with_description(key.form.schema(), key.meaning),
        )
    });
    defs["docker_image"] = mapping(keys.collect());
    let operation = |name: &str| json!({ "properties": { "inputs": { "properties": { "params": { "$ref": format!("#/$defs/docker_{name}") } } } } });
    let operations: JsonMap<String, Json> = ["create", "start", "stop", "delete"]
        .map(|name| (name.to_owned(), operation(name)))
        .into_iter()
        .collect();
    defs["node_template"]["allOf"] = json!([
        {
            "if": { "properties": { "type": { "const": "cloudify.docker.Container" } }, "required": ["type"] },
            "then": { "properties": {
                "properties": { "properties": { "image": { "$ref": "#/$defs/docker_image" } } },
                "interfaces": { "properties": { "cloudify.interfaces.lifecycle": { "properties": operations } } },
            } },
        },
        {
            "if": { "properties": { "type": { "const": "cloudify.nodes.docker.container" } }, "required": ["type"] },
            "then": { "properties": { "properties": { "properties": { "resource_config": { "properties": {
                "container_args": { "$ref": "#/$defs/docker_container_args" },
            } } } } } },
        },
    ]);
}

/// Returns the schema of a mapping with these keys, or of a function call.
fn mapping(mut properties: JsonMap<String, Json>) -> Json {
    properties.extend(FUNCTIONS.iter().map(|name| ((*name).to_owned(), json!({}))));
    json!({ "type": ["object", "null"], "properties": properties, "additionalProperties": false })
}

fn property(name: &str, place: u8) -> Option<Json> {
    let argument = super::find(name, place)?;
    // `host_config` also accepts fields of the engine in any case.
    let properties = || {
        names(HOST)
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), property(name, HOST)?)))
            .collect::<JsonMap<_, _>>()
    };
    let schema = if name == "host_config" {
        json!({ "type": ["object", "null"], "properties": properties() })
    } else {
        argument.form.schema()
    };
    Some(with_description(schema, &target_text(argument.target)))
}

fn with_description(mut schema: Json, text: &str) -> Json {
    schema["description"] = text.into();
    schema
}

impl Form {
    /// Describes the accepted values in a few words.
    fn accepts(self) -> &'static str {
        match self {
            Self::Raw => "any value",
            Self::Text => "string",
            Self::Bool => "boolean",
            Self::Int => "integer",
            Self::Digits => "integer, or string of digits",
            Self::Bytes => "number of bytes, or string such as `512m`",
            Self::Signal => "name or number of a signal, such as `SIGTERM`",
            Self::Directory => "absolute path in the container",
            Self::Command => "command line, or list of arguments",
            Self::Strings => "string, or list of strings",
            Self::StringList => "list of strings",
            Self::StringMap | Self::Options => "mapping of strings",
            Self::Mounts => "list of mounts: `{Type, Source, Target, ReadOnly, …}`",
            Self::Weights => "list of `{Path, Weight}`",
            Self::Rates => "list of `{Path, Rate}`",
            Self::OnlyHost => "`host`",
            Self::Ports => {
                "list of ports: `80`, `53/udp`, `[53, udp]`; or mapping of ports to null"
            }
            Self::PortBindings => {
                "mapping of ports to `8080`, `[127.0.0.1, 8080]`, `8000-8010` (the engine chooses one), null, `{HostIp, HostPort}`, or a list of these; `80-82` to a range of as many host ports"
            }
            Self::Environment => "mapping, or list of `K=V`",
            Self::Volumes => "path in the container, list of paths, or mapping",
            Self::VolumesFrom => "list of containers, or `a,b:ro`",
            Self::Labels => "mapping, or list of label names",
            Self::Binds => {
                "mapping of host paths or volumes to a container path or `{bind, ro \\| mode, propagation}`; or list of `host:container:mode`"
            }
            Self::Links => "mapping of containers to aliases, or list of `container:alias`",
            Self::RestartPolicy => "`{Name, MaximumRetryCount}`, `always` or `on-failure:5`",
            Self::Devices => "list of `host:container:rwm` or of mappings",
            Self::DeviceRequests => "list of `{driver, count, device_ids, capabilities, options}`",
            Self::ExtraHosts => "mapping of hosts to addresses, or list of `host:address`",
            Self::Ulimits => "list of `{name, soft, hard}`",
            Self::LogConfig => "`{type, config}`",
            Self::Tmpfs => "mapping of paths to options, or list of `path:options`",
            Self::Healthcheck => {
                "`{test, interval, timeout, start_period, start_interval, retries}`; durations as text such as `30s`, or as nanoseconds, at least 1000000 (1ms) or 0"
            }
            Self::Networking => "`{EndpointsConfig: {network: {aliases, links, ipv4_address, …}}}`",
        }
    }

    /// Returns the JSON Schema of the values. Every form accepts a mapping, because a function call
    /// is one.
    fn schema(self) -> Json {
        let types: &[&str] = match self {
            Self::Raw => return json!({}),
            Self::Text | Self::Signal | Self::Directory => &["string", "integer"],
            Self::Bool => &["boolean"],
            Self::Int => &["integer"],
            Self::Digits | Self::Bytes => &["integer", "number", "string"],
            Self::Command
            | Self::Strings
            | Self::Volumes
            | Self::VolumesFrom
            | Self::Ports
            | Self::Devices => &["string", "integer", "array"],
            Self::StringList
            | Self::Mounts
            | Self::Weights
            | Self::Rates
            | Self::DeviceRequests
            | Self::Ulimits => &["array"],
            Self::Environment
            | Self::Labels
            | Self::Binds
            | Self::Links
            | Self::ExtraHosts
            | Self::Tmpfs => &["array", "string"],
            Self::RestartPolicy | Self::OnlyHost => &["string", "boolean"],
            Self::StringMap
            | Self::Options
            | Self::PortBindings
            | Self::LogConfig
            | Self::Healthcheck
            | Self::Networking => &[],
        };
        let types: Vec<&str> = types.iter().copied().chain(["object", "null"]).collect();
        json!({ "type": types })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_blueprints_matches_the_source() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/blueprint.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (head, rest) = page
            .split_once("<!-- made from the source: arguments -->\n")
            .unwrap();
        let (_, tail) = rest.split_once("<!-- end -->").unwrap();
        let made = format!(
            "{head}<!-- made from the source: arguments -->\n\n{}\n<!-- end -->{tail}",
            markdown()
        );
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap() == made,
            "docs/blueprint.md is out of date: run UPDATE_DOCS=1 cargo test the_page_about_blueprints"
        );
    }
}
