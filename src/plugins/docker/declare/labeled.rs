//! Reads the labels of a deployment's objects.

use super::{
    change::{CARRIED_VOLUMES, PREDECESSOR_SUFFIX, SUCCESSOR_SUFFIX, base_name},
    container::{Container, anonymous_volumes},
    label::{self, DELETE, Label, STOP, is_plain},
    operation::Operation,
};
use crate::{
    author::AuthorName,
    discovery::{Discovery, FoundObject, InstanceLabels, Ownership, ReplacementRole},
    engine::Kind,
    model::{Definition, InstanceState, OperationDefinition, Retry, SourceLocation},
    seam::ObjectState,
};
use indexmap::IndexMap;
use serde_json::{Map as JsonMap, Value as Json};
use std::collections::BTreeMap;

/// An object with its label.
pub(crate) struct LabeledObject {
    kind: Kind,
    id: String,
    name: String,
    label: Label,
    instance: String,
    state: InstanceState,
    properties: JsonMap<String, Json>,
    created: String,
    whose: Ownership,
}

impl LabeledObject {
    /// Returns true if the label was written for an object of this name and kind. Older labels do
    /// not contain the kind.
    pub(crate) fn matches_label(&self) -> bool {
        let is_of_its_kind = self.label.kind.is_empty() || self.label.kind == self.kind.as_str();
        self.label.name == self.name && is_of_its_kind
    }

    /// Adds the object to the found ones, or to the doubts if its labels were written for another
    /// object or are not printable.
    pub(crate) fn add_to(mut self, discovery: &mut Discovery, (is_ours, is_claim): (bool, bool)) {
        self.whose.is_ours = is_ours;
        let reason = match &self.label {
            label if !is_claim || label.name != base_name(&self.name) => {
                "has labels that were not written for it"
            }
            label if !label.is_printable() || !is_plain(&self.instance) => {
                "has labels with control characters"
            }
            _ => return discovery.found.push(self.found()),
        };
        let why = format!("this {} {reason}", self.kind.as_str());
        discovery.implausible.push((self.name, why));
    }

    fn found(self) -> FoundObject {
        let is_volume = self.kind == Kind::Volume;
        FoundObject {
            labels: self.about(),
            role: self.generation(),
            kind: self.kind.as_str(),
            contains_data: is_volume,
            outlives: is_volume && self.label.properties.get("keep") != Some(&Json::Bool(false)),
            id: self.id,
            name: self.name,
            created_at: self.created,
            instance: self.instance,
            state: self.state,
            properties: self.properties,
            ownership: self.whose,
        }
    }

    fn generation(&self) -> Option<ReplacementRole> {
        let name = &self.name;
        match () {
            () if self.kind != Kind::Container => None,
            () if name.ends_with(SUCCESSOR_SUFFIX) => Some(ReplacementRole::Successor),
            () if name.ends_with(PREDECESSOR_SUFFIX) => Some(ReplacementRole::Predecessor),
            () => (base_name(name) == name).then_some(ReplacementRole::Current),
        }
    }

    fn about(&self) -> InstanceLabels {
        let label = self.label.clone();
        InstanceLabels {
            definition: definition(self),
            node: label.node,
            index: label.index,
            label: label.of_instance,
            first: label.first,
            blueprint: label.blueprint,
            needs: label.needs,
            references: label.uses,
            is_protected: label.protected,
            declared_number: label.declared,
            unlabeled: label.unlabeled,
            other_operations: label.others,
        }
    }
}

pub(crate) fn from_container(container: &Container) -> LabeledObject {
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
    let labeled = from_labels(container.labels(), container.text("/Created"));
    // The label is a claim: a volume that it names must be mounted at that path, and be anonymous.
    let carried: JsonMap<String, Json> = anonymous_volumes(container)
        .into_iter()
        .filter(|(path, name)| labeled.label.carried.get(path) == Some(name))
        .collect();
    if !carried.is_empty() {
        properties.insert(CARRIED_VOLUMES.to_owned(), carried.into());
    }
    let is_started = labeled
        .label
        .operations
        .values()
        .any(|(plugin, operation, _)| {
            matches!(
                Operation::of(plugin, operation),
                Some(Operation::Start | Operation::Run | Operation::StartInstance)
            )
        });
    LabeledObject {
        id: container.id(),
        name: container.name(),
        // A container that ran and then stopped has drifted: its instance was started.
        state: if container.state() == ObjectState::Created && is_started {
            InstanceState::Created
        } else {
            InstanceState::Started
        },
        properties,
        ..labeled
    }
}

pub(crate) fn from_inspection(found: &Json, kind: Kind) -> LabeledObject {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let id = if kind == Kind::Volume {
        text(&found["Name"])
    } else {
        text(&found["Id"])
    };
    let properties = match kind {
        Kind::Volume => super::volume::runtime_properties(found).set,
        _ => super::network::runtime_properties(found).set,
    };
    LabeledObject {
        kind,
        id,
        name: text(&found["Name"]),
        properties,
        ..from_labels(
            &found["Labels"],
            found["CreatedAt"].as_str().or(found["Created"].as_str()),
        )
    }
}

/// Returns an object with only the data from its labels.
fn from_labels(labels: &Json, created: Option<&str>) -> LabeledObject {
    let text = |name: &str| labels[name].as_str().unwrap_or_default().to_owned();
    LabeledObject {
        kind: Kind::Container,
        id: String::new(),
        name: String::new(),
        instance: text(label::INSTANCE),
        label: serde_json::from_str(&text(label::RECORD)).unwrap_or_default(),
        state: InstanceState::Started,
        properties: JsonMap::new(),
        created: created.unwrap_or_default().to_owned(),
        whose: Ownership {
            is_ours: false,
            deployment: text(label::DEPLOYMENT_ID),
            key: text(label::KEY),
            created_by: author_of(labels),
        },
    }
}

/// Returns default operations that remove an object whose label has no `delete` that this version
/// can run. Without one, the object would stay and be reported as deleted.
fn default_removal(kind: Kind) -> &'static [(&'static str, &'static str, &'static str)] {
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

fn definition(it: &LabeledObject) -> Definition {
    let label = &it.label;
    let place = SourceLocation {
        file: label.blueprint.display().to_string(),
        line: 1,
        column: 1,
    };
    let planned = |(plugin, operation, inputs): &(String, String, JsonMap<String, Json>)| {
        OperationDefinition {
            plugin: plugin.clone(),
            operation: operation.clone(),
            inputs: inputs.clone(),
            inputs_types: BTreeMap::new(),
            executor: None,
            retry: Retry::default(),
            place: place.clone(),
        }
    };
    let mut operations: IndexMap<String, OperationDefinition> = label
        .operations
        .iter()
        .map(|(name, operation)| (name.clone(), planned(operation)))
        .collect();
    if !operations.contains_key(DELETE) {
        for (name, plugin, task) in default_removal(it.kind) {
            let default_operation = (plugin.to_string(), task.to_string(), JsonMap::new());
            operations
                .entry(name.to_string())
                .or_insert_with(|| planned(&default_operation));
        }
    }
    Definition {
        hierarchy: vec![label.type_name.clone()],
        properties: properties_with_name(it),
        operations,
        relationships: Vec::new(),
        secrets: BTreeMap::new(),
        place: place.clone(),
        property_places: IndexMap::new(),
    }
}

/// Returns the properties with the node's `name`, from which the names of its objects are computed.
fn properties_with_name(it: &LabeledObject) -> JsonMap<String, Json> {
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
        None => drop(properties.insert(name_property(it).to_owned(), name.into())),
    }
    properties
}

/// Returns the property that names the object of a node.
fn name_property(it: &LabeledObject) -> &'static str {
    let mut operations = it.label.operations.values();
    let is_infrakit = operations.any(|(plugin, operation, _)| {
        Operation::of(plugin, operation) == Some(Operation::CreateInstance)
    });
    if is_infrakit { "logical_id" } else { "name" }
}

/// Returns the author of an object from its label.
fn author_of(labels: &Json) -> Option<AuthorName> {
    let text = labels[label::AUTHOR].as_str()?;
    serde_json::from_str(text).ok()
}
