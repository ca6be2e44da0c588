//! The specification of a group, as InfraKit defines it.

use super::{MAX_SIZE, reader::Section};
use crate::{
    diagnostic::{Diagnostics, Span},
    front::{Options, fault},
    syntax::{Data, Value},
};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Names of the instance plugin that every specification can use.
const INSTANCE_PLUGINS: [&str; 2] = ["instance-docker", "docker"];
/// Names of the flavor plugin that every specification can use.
const FLAVOR_PLUGINS: [&str; 3] = ["vanilla", "flavor-vanilla", "vanilla/flavor-vanilla"];

/// Longest ID: it is part of the names of containers and files.
const MAX_ID: usize = 100;

/// How many instances a group has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Allocation {
    /// This number.
    Size(usize),
    /// One for each logical ID.
    LogicalIds(Vec<String>),
}

impl Allocation {
    /// Returns the number of instances.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Size(size) => *size,
            Self::LogicalIds(ids) => ids.len(),
        }
    }
}

/// The specification of a group. Its default is the one that a document without any keys has.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSpec {
    /// ID of the group, which is the name of its deployment.
    pub id: String,
    /// How many instances it has.
    pub allocation: Allocation,
    /// Sections with `Plugin` and `Properties`.
    pub instance: Json,
    /// Like `instance`.
    pub flavor: Json,
    /// `Updating`, if given.
    pub updating: Option<Updating>,
}

/// How long new instances must work before an update goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Updating {
    /// For this time.
    pub duration: Duration,
    /// In this number of checks in a row.
    pub count: usize,
    /// When to skip `Drain`, which the flavor does not use.
    pub skip: Option<String>,
}

/// A specification with the places that its translation needs.
pub(super) struct PlacedSpec<'v> {
    pub group: GroupSpec,
    pub root: Span,
    /// The place of each logical ID.
    pub logical_ids: Vec<Span>,
    /// Properties of the instance and of the flavor.
    pub properties: Option<&'v Value>,
    pub flavor: Option<&'v Value>,
    /// Places of the two sections.
    pub sections: [Span; 2],
}

/// Reads a specification. Messages and their order are those of the original.
pub(super) fn read<'v>(root: &'v Value, options: &Options, d: &mut Diagnostics) -> PlacedSpec<'v> {
    let root = Section::open(Some(root), ("group", root.span), &["ID", "Properties"], d);
    let (id, id_span) = root.text("ID", d);
    if id.is_empty() {
        d.push(fault(id_span, "Group ID must not be blank"));
    } else if !is_name(&id) {
        let message = format!("the ID `{id}` of the group cannot be the name of a deployment");
        let hint =
            "use at most 100 of the characters [a-z0-9_.-], and start with a letter or digit";
        d.push(fault(id_span, message).hint(hint));
    }
    let known = ["Allocation", "Instance", "Flavor", "Updating"];
    let properties = Section::open(root.get("Properties"), ("Properties", root.span), &known, d);
    let (allocation, logical_ids) = allocation(&properties, d);
    let updating = updating(&properties, d);
    let section = |name, d: &mut Diagnostics| {
        Section::open(
            properties.get(name),
            (name, properties.span),
            &["Plugin", "Properties"],
            d,
        )
    };
    let (flavor, instance) = (section("Flavor", d), section("Instance", d));
    let flavors = FLAVOR_PLUGINS.iter().copied();
    let flavors = flavors.chain(options.flavor_plugins.iter().map(String::as_str));
    let flavor_plugin = plugin(&flavor, "Flavor", &flavors.collect::<Vec<_>>(), d);
    let instances = INSTANCE_PLUGINS.iter().copied();
    let instances = instances.chain(options.instance_plugins.iter().map(String::as_str));
    let instance_plugin = plugin(&instance, "Instance", &instances.collect::<Vec<_>>(), d);
    let part = |plugin: String, section: &Section<'_>| {
        let properties = section.get("Properties").map(Value::to_json);
        json!({ "Plugin": plugin, "Properties": properties })
    };
    PlacedSpec {
        group: GroupSpec {
            id,
            allocation,
            instance: part(instance_plugin, &instance),
            flavor: part(flavor_plugin, &flavor),
            updating,
        },
        root: root.span,
        logical_ids,
        properties: instance.get("Properties"),
        flavor: flavor.get("Properties"),
        sections: [instance.span, flavor.span],
    }
}

/// Returns true if an ID can be the name of a deployment.
fn is_name(id: &str) -> bool {
    let is_inner = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '-');
    let is_short = id.len() <= MAX_ID;
    is_short && id.starts_with(|c: char| c.is_ascii_alphanumeric()) && id.chars().all(is_inner)
}

fn allocation(properties: &Section<'_>, d: &mut Diagnostics) -> (Allocation, Vec<Span>) {
    let known = ["Size", "LogicalIDs"];
    let place = ("Allocation", properties.span);
    let section = Section::open(properties.get("Allocation"), place, &known, d);
    let before = d.len();
    let size = section.number("Size", d).unwrap_or(0);
    let ids = section.texts("LogicalIDs", d);
    let is_wrong = d.len() > before;
    check_logical_ids(&ids, d);
    if size.max(ids.len()) > MAX_SIZE {
        let message = format!("Invalid properties: a group has at most {MAX_SIZE} instances");
        d.push(fault(section.span, message));
    }
    match (size, ids.is_empty()) {
        (0, true) if !is_wrong => d.push(fault(section.span, "Allocation must not be blank")),
        (1.., false) => d.push(fault(
            section.span,
            "Only one Allocation method may be used",
        )),
        _ => {}
    }
    if ids.is_empty() {
        return (Allocation::Size(size), Vec::new());
    }
    let (ids, spans) = ids.into_iter().unzip();
    (Allocation::LogicalIds(ids), spans)
}

fn check_logical_ids(ids: &[(String, Span)], d: &mut Diagnostics) {
    for (at, (id, span)) in ids.iter().enumerate() {
        if id.is_empty() {
            d.push(fault(*span, "a logical ID must not be blank"));
        } else if let Some((_, first)) = ids[..at].iter().find(|(other, _)| other == id) {
            let twice = fault(*span, format!("the logical ID `{id}` is given twice"));
            d.push(twice.related(*first, "the first one is here"));
        }
    }
}

fn updating(properties: &Section<'_>, d: &mut Diagnostics) -> Option<Updating> {
    let value = properties.get("Updating")?;
    let known = ["Duration", "Count", "SkipBeforeInstanceDestroy"];
    let section = Section::open(Some(value), ("Updating", value.span), &known, d);
    let updating = Updating {
        duration: duration(&section, d),
        count: section.number("Count", d).unwrap_or(0),
        skip: skip(&section, d),
    };
    if !updating.duration.is_zero() && updating.count > 0 {
        d.push(fault(section.span, "Only one Updating method may be used"));
    }
    Some(updating)
}

/// Reads a duration such as `10s`, or a number of nanoseconds.
fn duration(section: &Section<'_>, d: &mut Diagnostics) -> Duration {
    let Some(value) = section.get("Duration") else {
        return Duration::ZERO;
    };
    let given = match &value.data {
        Data::Int(nanoseconds) => u64::try_from(*nanoseconds).map(Duration::from_nanos).ok(),
        Data::Str(text) if text.as_ref() == "0" => Some(Duration::ZERO),
        Data::Str(text) => humantime::parse_duration(text).ok(),
        _ => None,
    };
    given.unwrap_or_else(|| {
        let message = "Invalid properties: `Duration` must be a duration, such as 10s or 1m30s";
        d.push(fault(value.span, message));
        Duration::ZERO
    })
}

fn skip(section: &Section<'_>, d: &mut Diagnostics) -> Option<String> {
    let (skip, span) = section.text("SkipBeforeInstanceDestroy", d);
    if !skip.is_empty() && skip != "drain" {
        let message = "Invalid properties: `SkipBeforeInstanceDestroy` must be `drain`";
        d.push(fault(span, message));
    }
    Some(skip).filter(|skip| !skip.is_empty())
}

/// Returns the name of the plugin of a section. Fails for a plugin that dockctl does not have.
fn plugin(section: &Section<'_>, kind: &str, known: &[&str], d: &mut Diagnostics) -> String {
    let (name, span) = section.text("Plugin", d);
    if !known.contains(&name.as_str()) {
        let message = format!("Failed to find {kind} plugin '{name}':plugin not found:{name}");
        d.push(fault(span, message).hint(format!("known plugins: {}", known.join(", "))));
    }
    name
}

impl GroupSpec {
    /// Reads the normal form.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let properties = &json["Properties"];
        let allocation = &properties["Allocation"];
        let id = |id: &Json| id.as_str().map(str::to_owned);
        let allocation = match allocation["LogicalIDs"].as_array() {
            Some(ids) => Allocation::LogicalIds(ids.iter().map(id).collect::<Option<_>>()?),
            None => Allocation::Size(usize::try_from(allocation["Size"].as_u64()?).ok()?),
        };
        let updating = properties.get("Updating").map(|updating| Updating {
            duration: updating["Duration"]
                .as_str()
                .and_then(|text| humantime::parse_duration(text).ok())
                .unwrap_or_default(),
            count: updating["Count"]
                .as_u64()
                .and_then(|count| usize::try_from(count).ok())
                .unwrap_or_default(),
            skip: updating["SkipBeforeInstanceDestroy"]
                .as_str()
                .map(str::to_owned),
        });
        Some(Self {
            id: json["ID"].as_str()?.to_owned(),
            allocation,
            instance: properties["Instance"].clone(),
            flavor: properties["Flavor"].clone(),
            updating,
        })
    }

    /// Returns the specification in a normal form, as the original prints it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let (size, ids) = match &self.allocation {
            Allocation::Size(size) => (*size, None),
            Allocation::LogicalIds(ids) => (0, Some(ids)),
        };
        let mut json = json!({
            "ID": self.id,
            "Properties": {
                "Instance": self.instance,
                "Flavor": self.flavor,
                "Allocation": { "Size": size, "LogicalIDs": ids },
            },
        });
        if let Some(updating) = &self.updating {
            json["Properties"]["Updating"] = json!({
                "Duration": humantime::format_duration(updating.duration).to_string().replace(' ', ""),
                "Count": updating.count,
                "SkipBeforeInstanceDestroy": updating.skip,
            });
        }
        json
    }
}

impl Updating {
    /// Returns how long a new instance must work; `tick` is the time between two checks.
    #[must_use]
    pub fn time(&self, tick: Duration) -> Duration {
        let ticks = u32::try_from(self.count).unwrap_or(u32::MAX);
        self.duration.max(tick.saturating_mul(ticks))
    }
}
