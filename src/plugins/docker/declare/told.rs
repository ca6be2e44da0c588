//! Reads the labels of a deployment's objects.

use super::{
    change::{CARRIED, FORMER, NEXT, lasting_name},
    container::{Container, nameless_volumes},
    label::{self, DELETE, Label, STOP, is_plain},
    operation::Operation,
};
use crate::{
    author::AuthorName,
    engine::Kind,
    model::{Definition, InstanceState, Place, Planned, Retry},
    seam::ObjectState,
    told::{About, Found, Told, Turn, Whose},
};
use indexmap::IndexMap;
use serde_json::{Map as JsonMap, Value as Json};
use std::collections::BTreeMap;

/// An object with its label.
pub(crate) struct Labeled {
    kind: Kind,
    id: String,
    name: String,
    label: Label,
    instance: String,
    state: InstanceState,
    properties: JsonMap<String, Json>,
    created: String,
    whose: Whose,
}

impl Labeled {
    /// Returns true if the label was written for an object of this name and kind. Older labels do
    /// not contain the kind.
    pub(crate) fn names_itself(&self) -> bool {
        let is_of_its_kind = self.label.kind.is_empty() || self.label.kind == self.kind.as_str();
        self.label.name == self.name && is_of_its_kind
    }

    /// Adds the object to the found ones, or to the doubts if its labels were written for another
    /// object or are not printable.
    pub(crate) fn tell(mut self, told: &mut Told, (is_ours, is_claim): (bool, bool)) {
        self.whose.is_ours = is_ours;
        let reason = match &self.label {
            label if !is_claim || label.name != lasting_name(&self.name) => {
                "has labels that were not written for it"
            }
            label if !label.is_printable() || !is_plain(&self.instance) => {
                "has labels with control characters"
            }
            _ => return told.found.push(self.found()),
        };
        let why = format!("this {} {reason}", self.kind.as_str());
        told.doubts.push((self.name, why));
    }

    fn found(self) -> Found {
        let is_volume = self.kind == Kind::Volume;
        Found {
            about: self.about(),
            turn: self.turn(),
            kind: self.kind.as_str(),
            holds_data: is_volume,
            outlives: is_volume && self.label.properties.get("keep") != Some(&Json::Bool(false)),
            id: self.id,
            name: self.name,
            created: self.created,
            instance: self.instance,
            state: self.state,
            properties: self.properties,
            whose: self.whose,
        }
    }

    fn turn(&self) -> Option<Turn> {
        let name = &self.name;
        match () {
            () if self.kind != Kind::Container => None,
            () if name.ends_with(NEXT) => Some(Turn::Next),
            () if name.ends_with(FORMER) => Some(Turn::Former),
            () => (lasting_name(name) == name).then_some(Turn::Lasting),
        }
    }

    fn about(&self) -> About {
        let label = self.label.clone();
        About {
            definition: definition(self),
            node: label.node,
            index: label.index,
            blueprint: label.blueprint,
            needs: label.needs,
            uses: label.uses,
            is_protected: label.protected,
            declared: label.declared,
            beside: label.beside,
        }
    }
}

pub(crate) fn of_container(container: &Container) -> Labeled {
    let mut properties = JsonMap::from_iter([
        ("container_id".to_owned(), container.id().into()),
        (
            "image_id".to_owned(),
            container.text("/Image").unwrap_or_default().into(),
        ),
    ]);
    if container.flag("/State/Running") {
        properties.extend(container.network_properties());
    }
    let told = of_labels(container.labels(), container.text("/Created"));
    // The label is a claim: a volume that it names must be mounted at that path, and be anonymous.
    let carried: JsonMap<String, Json> = nameless_volumes(container)
        .into_iter()
        .filter(|(path, name)| told.label.carried.get(path) == Some(name))
        .collect();
    if !carried.is_empty() {
        properties.insert(CARRIED.to_owned(), carried.into());
    }
    let is_started = told
        .label
        .operations
        .values()
        .any(|(plugin, operation, _)| {
            matches!(
                Operation::of(plugin, operation),
                Some(Operation::Start | Operation::Run)
            )
        });
    Labeled {
        id: container.id(),
        name: container.name(),
        // A container that ran and then stopped has drifted: its instance was started.
        state: if container.state() == ObjectState::Created && is_started {
            InstanceState::Created
        } else {
            InstanceState::Started
        },
        properties,
        ..told
    }
}

pub(crate) fn of_other(found: &Json, kind: Kind) -> Labeled {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let id = if kind == Kind::Volume {
        text(&found["Name"])
    } else {
        text(&found["Id"])
    };
    let properties = match kind {
        Kind::Volume => super::volume::known(found).set,
        _ => super::network::known(found).set,
    };
    Labeled {
        kind,
        id,
        name: text(&found["Name"]),
        properties,
        ..of_labels(
            &found["Labels"],
            found["CreatedAt"].as_str().or(found["Created"].as_str()),
        )
    }
}

/// Returns an object with only the data from its labels.
fn of_labels(labels: &Json, created: Option<&str>) -> Labeled {
    let text = |name: &str| labels[name].as_str().unwrap_or_default().to_owned();
    Labeled {
        kind: Kind::Container,
        id: String::new(),
        name: String::new(),
        instance: text(label::INSTANCE),
        label: serde_json::from_str(&text(label::RECORD)).unwrap_or_default(),
        state: InstanceState::Started,
        properties: JsonMap::new(),
        created: created.unwrap_or_default().to_owned(),
        whose: Whose {
            is_ours: false,
            deployment: text(label::DEPLOYMENT_ID),
            key: text(label::KEY),
            made_by: author_of(labels),
        },
    }
}

/// Returns default operations that remove an object whose label has no `delete` that this version
/// can run. Without one, the object would stay and be reported as deleted.
fn removal(kind: Kind) -> &'static [(&'static str, &'static str, &'static str)] {
    match kind {
        Kind::Container => &[
            (STOP, "docker", "docker_plugin.tasks.stop"),
            (DELETE, "docker", "docker_plugin.tasks.remove_container"),
        ],
        Kind::Network => &[(DELETE, "dockctl", "network.remove")],
        Kind::Volume => &[(DELETE, "dockctl", "volume.remove")],
        Kind::Image => &[],
    }
}

fn definition(it: &Labeled) -> Definition {
    let label = &it.label;
    let place = Place {
        file: label.blueprint.display().to_string(),
        line: 1,
        column: 1,
    };
    let planned = |(plugin, operation, inputs): &(String, String, JsonMap<String, Json>)| Planned {
        plugin: plugin.clone(),
        operation: operation.clone(),
        inputs: inputs.clone(),
        retry: Retry::default(),
        place: place.clone(),
    };
    let mut operations: IndexMap<String, Planned> = label
        .operations
        .iter()
        .map(|(name, operation)| (name.clone(), planned(operation)))
        .collect();
    if !operations.contains_key(DELETE) {
        for (name, plugin, task) in removal(it.kind) {
            let by_us = (plugin.to_string(), task.to_string(), JsonMap::new());
            operations
                .entry(name.to_string())
                .or_insert_with(|| planned(&by_us));
        }
    }
    Definition {
        hierarchy: vec![label.type_name.clone()],
        properties: named(it),
        operations,
        ties: Vec::new(),
        secrets: BTreeMap::new(),
        place: place.clone(),
        property_places: IndexMap::new(),
    }
}

/// Returns the properties with the node's `name`, from which the names of its objects are computed.
fn named(it: &Labeled) -> JsonMap<String, Json> {
    let mut properties = it.label.properties.clone();
    let suffix = if it.label.index == 0 {
        String::new()
    } else {
        format!("-{}", it.label.index)
    };
    // A container without a given name has the ID of its instance as name.
    let Some(name) = it
        .name
        .strip_suffix(&suffix)
        .filter(|_| it.name != it.instance)
    else {
        return properties;
    };
    match properties.get_mut("resource_config") {
        Some(config) => config["container_args"]["name"] = name.into(),
        None => drop(properties.insert("name".to_owned(), name.into())),
    }
    properties
}

/// Returns the author of an object from its label.
fn author_of(labels: &Json) -> Option<AuthorName> {
    let text = labels[label::AUTHOR].as_str()?;
    serde_json::from_str(text).ok()
}
