//! The blueprint of a group: one node with its instances.

use super::{
    Allocation, GROUP_TAG, HASH_TAGS, NODE,
    config_hash::config_hash,
    flavor::{self, Vanilla},
    reader::Section,
    spec::PlacedSpec,
};
use crate::{
    diagnostic::{Diagnostics, Span},
    front::Options,
    syntax::{Data, Map, Value},
};
use std::{path::Path, sync::Arc, time::Duration};

/// Keys of the properties of an instance, and the properties of its node.
const PROPERTIES: [(&str, &str); 3] = [
    ("Config", "config"),
    ("HostConfig", "host_config"),
    ("NetworkAttachments", "networks"),
];
/// Shortest time that a new instance must work.
const PROBATION: Duration = Duration::from_millis(700);

/// Creates values at one place.
struct Build(Span);

impl Build {
    fn text(&self, text: &str) -> Value {
        Value::text(self.0, text)
    }

    fn number(&self, number: usize) -> Value {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        Value::new(self.0, Data::Int(number))
    }

    fn list(&self, items: Vec<Value>) -> Value {
        Value::new(self.0, Data::List(Arc::new(items)))
    }

    fn map<'k>(&self, entries: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
        let entries = entries.into_iter();
        let entries = entries
            .map(|(key, value)| (self.text(key), value))
            .collect();
        Value::new(self.0, Data::Map(Arc::new(Map::new(entries))))
    }
}

/// Returns the blueprint of a group, and the text of the script that its specification refers to.
pub(super) fn of(
    spec: &PlacedSpec<'_>,
    directory: Option<&Path>,
    options: &Options,
    d: &mut Diagnostics,
) -> (Value, Option<String>) {
    let build = Build(spec.root);
    let (properties, script) = properties(spec, directory, options, d);
    let imports = [
        "http://www.getcloudify.org/spec/cloudify/3.3.1/types.yaml",
        "plugin:dockctl",
    ];
    let node = build.map([
        ("type", build.text("dockctl.nodes.infrakit.Instance")),
        ("instances", instances(spec)),
        ("properties", properties),
        ("interfaces", interfaces(spec, options)),
    ]);
    let blueprint = build.map([
        ("tosca_definitions_version", build.text("cloudify_dsl_1_3")),
        (
            "imports",
            build.list(imports.map(|it| build.text(it)).to_vec()),
        ),
        ("node_templates", build.map([(NODE, node)])),
    ]);
    (blueprint, script)
}

fn instances(spec: &PlacedSpec<'_>) -> Value {
    let build = Build(spec.root);
    match &spec.group.allocation {
        Allocation::Size(size) => {
            build.map([("deploy", build.number(*size)), ("first", build.number(1))])
        }
        Allocation::LogicalIds(ids) => {
            let names = ids.iter().zip(&spec.logical_ids);
            let names = names.map(|(id, span)| Value::text(*span, id)).collect();
            build.map([("names", build.list(names))])
        }
    }
}

/// Returns the operations: an instance counts as started once it works.
fn interfaces(spec: &PlacedSpec<'_>, options: &Options) -> Value {
    let build = Build(spec.root);
    let updating = spec.group.updating.clone().unwrap_or_default();
    let time = updating.time(options.poll_interval).max(PROBATION);
    let seconds = Value::new(spec.root, Data::Float(time.as_secs_f64()));
    let condition = build.map([("works_for", seconds)]);
    let inputs = build.map([("wait_for", build.list(vec![condition]))]);
    let start = build.map([
        ("implementation", build.text("dockctl.infrakit.start")),
        ("inputs", inputs),
    ]);
    let operations = build.map([("start", start)]);
    build.map([("cloudify.interfaces.lifecycle", operations)])
}

/// Returns the properties of the node. All of them are data: functions in them are not evaluated.
fn properties(
    spec: &PlacedSpec<'_>,
    directory: Option<&Path>,
    options: &Options,
    d: &mut Diagnostics,
) -> (Value, Option<String>) {
    let build = Build(spec.root);
    let keys = ["Tags", "Config", "HostConfig", "NetworkAttachments"];
    let [instance_span, flavor_span] = spec.sections;
    let place = ("Properties", instance_span);
    let instance = Section::open(spec.properties, place, &keys, d);
    let place = flavor::Place {
        section: flavor_span,
        directory,
        options,
    };
    let vanilla = Vanilla::read(spec.flavor, place, d);
    let mut entries = vec![("name", build.text(&spec.group.id))];
    for (key, property) in PROPERTIES {
        let missing = || Value::new(instance_span, Data::Null);
        entries.push((property, instance.get(key).cloned().unwrap_or_else(missing)));
    }
    entries.push(("tags", tags(spec, &instance, &vanilla, d)));
    entries.extend(vanilla.attachments.map(|it| ("attachments", it.clone())));
    let init = vanilla.script.as_ref();
    let init = init.map(|(text, span)| Value::text(*span, text));
    entries.extend(init.map(|init| ("init", init)));
    let external = vanilla.script.filter(|_| vanilla.is_external);
    let properties = build.map(entries).as_literal();
    (properties, external.map(|(text, _)| text))
}

/// Returns the tags of an instance: those of its properties win over those of the flavor, and the
/// tags of the group win over both.
fn tags(
    spec: &PlacedSpec<'_>,
    instance: &Section<'_>,
    vanilla: &Vanilla<'_>,
    d: &mut Diagnostics,
) -> Value {
    let build = Build(spec.root);
    let hash = config_hash(&spec.group.instance, &spec.group.flavor);
    let own = [
        (GROUP_TAG, spec.group.id.as_str()),
        (HASH_TAGS[0], hash.as_str()),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), build.text(value)));
    let of_instance = instance.tags("Tags", d);
    let given = vanilla.tags.iter().chain(&of_instance);
    let given = given.map(|(key, value)| (key.clone(), (*value).clone()));
    let mut tags: Vec<(String, Value)> = Vec::new();
    for (key, value) in given.chain(own) {
        tags.retain(|(known, _)| *known != key);
        tags.push((key, value));
    }
    build.map(
        tags.iter()
            .map(|(key, value)| (key.as_str(), value.clone())),
    )
}
