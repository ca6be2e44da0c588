//! What labels tell of a deployment whose journal is gone, and making one of it.
//!
//! Every object carries what taking it down needs. Labels can be copied, and containers inherit those of images that were
//! made of other containers: an object is believed that has the name which its own label gives.

use super::{
    connect::failure,
    container::Container,
    declared::{conditions, engine, engine_of, names_used, property, stop_params},
    engine::{Engine, label},
    kind,
    operation::{Operation, is_run},
};
use crate::{
    backend::{EngineRef, Failure, ObjectKind, ObjectState},
    model::{Definition, Deployment, Instance, InstanceTie, Place, Planned, RelationshipKind, Retry, Structure},
    plan::{InstanceState, takes_down},
    state::InstanceRecord,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{collections::BTreeMap, path::PathBuf};

/// How many objects are looked at at once.
const LOOKS: usize = 8;

/// What an object's label says of its instance: everything that an uninstall needs.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Label {
    /// Name of the object; filled in when it is made.
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    node: String,
    index: usize,
    #[serde(rename = "type")]
    type_name: String,
    blueprint: PathBuf,
    /// Ids of instances that this one needs.
    needs: Vec<String>,
    /// Names of objects that its own names.
    uses: Vec<String>,
    /// Plugin, operation and inputs of what is run, by `interface.operation`.
    operations: IndexMap<String, (String, String, JsonMap<String, Json>)>,
    #[serde(skip_serializing_if = "JsonMap::is_empty")]
    properties: JsonMap<String, Json>,
    /// Instances that have no such label, and why; on one object of a deployment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    beside: Vec<(String, String)>,
}

/// The label of what is made for an instance. Functions in it stay functions: they may ask for secrets.
pub(super) fn record(deployment: &Deployment, instance: &Instance, node: &Definition) -> Json {
    let mut uses = names_used(deployment, instance);
    uses.sort();
    uses.dedup();
    json!(Label {
        name: String::new(),
        node: instance.node.clone(),
        index: instance.index,
        type_name: node.hierarchy.last().cloned().unwrap_or_default(),
        blueprint: deployment.blueprint.clone(),
        needs: instance.ties.iter().map(|tie| tie.target.clone()).collect(),
        uses,
        operations: node.operations.iter().filter_map(|(name, planned)| Some((name.clone(), operation(name, planned, node)?))).collect(),
        properties: properties(node),
        beside: if is_first(deployment, instance) { beside(deployment) } else { Vec::new() },
    })
}

/// Of an operation that takes down its inputs, of one that makes or starts only what tells what the object is.
fn operation(name: &str, planned: &Planned, node: &Definition) -> Option<(String, String, JsonMap<String, Json>)> {
    let of = Operation::of(&planned.plugin, &planned.operation)?;
    let mut inputs = JsonMap::new();
    if takes_down(name) {
        let kept = planned.inputs.iter().filter(|(name, value)| matches!(name.as_str(), "params" | "stop_command") && !value.is_null());
        inputs.extend(kept.map(|(name, value)| (name.clone(), value.clone())));
        if of == Operation::Stop {
            let params = stop_params(node, inputs.get("params").cloned().unwrap_or_default());
            inputs.insert("params".to_owned(), params);
        }
    } else if of == Operation::Start && !conditions(node).is_empty() {
        inputs.insert("wait_for".to_owned(), conditions(node).into());
    } else if of.makes().is_none() && of != Operation::Start {
        return None;
    }
    Some((planned.plugin.clone(), planned.operation.clone(), inputs))
}

fn properties(node: &Definition) -> JsonMap<String, Json> {
    let mut properties = JsonMap::new();
    if is_run(node) {
        let config = property(node, "resource_config");
        let detach = config["container_args"]["detach"].clone();
        properties
            .insert("resource_config".to_owned(), json!({ "image_tag": config["image_tag"], "container_args": { "detach": detach } }));
    }
    properties.extend(node.properties.get("keep").map(|keep| ("keep".to_owned(), keep.clone())));
    properties
}

/// Whether an instance is the first whose object is made on the default engine.
fn is_first(deployment: &Deployment, instance: &Instance) -> bool {
    deployment.instances.iter().find(|it| why_beside(deployment, it).is_none()).is_some_and(|first| first.id == instance.id)
}

fn beside(deployment: &Deployment) -> Vec<(String, String)> {
    deployment.instances.iter().filter_map(|instance| Some((instance.id.clone(), why_beside(deployment, instance)?))).collect()
}

/// Why nothing on the default engine carries a label of the instance; none if something does.
fn why_beside(deployment: &Deployment, instance: &Instance) -> Option<String> {
    let node = deployment.node(instance)?;
    match engine_of(deployment, instance) {
        None => Some("it has no object on an engine".to_owned()),
        Some(_) if node.is_adopted() => Some(format!("it is adopted: {}", super::step::shown(&super::declared::adopted(node)))),
        Some(_) if kind(node) == Some(ObjectKind::Image) => Some("it is an image".to_owned()),
        Some(EngineRef::Client(_)) => Some(format!("it is on {}", engine(node))),
        Some(EngineRef::Default) => None,
    }
}

/// What labels tell of a deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    /// The deployment, as far as they tell.
    pub deployment: Deployment,
    /// Its instances by id.
    pub instances: IndexMap<String, InstanceRecord>,
    /// What is known to be missing, each with the reason.
    pub left_out: Vec<(String, String)>,
}

/// An object with its label.
struct Found {
    kind: ObjectKind,
    id: String,
    name: String,
    instance: String,
    label: Label,
    state: InstanceState,
    properties: JsonMap<String, Json>,
}

impl Engine {
    /// What the labels on this engine tell of a deployment; none if nothing carries its name.
    ///
    /// # Errors
    ///
    /// If the engine does not say.
    pub async fn recover(&self, deployment: &str) -> Result<Option<Recovered>, Failure> {
        let mut found = self.labelled_containers(deployment).await?;
        for (kind, path) in [(ObjectKind::Network, "/networks"), (ObjectKind::Volume, "/volumes")] {
            found.extend(self.labelled_others(deployment, kind, path).await?);
        }
        let (mut believed, doubted): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|found| found.label.name == found.name);
        believed.sort_by(|a, b| (&a.label.node, a.label.index).cmp(&(&b.label.node, b.label.index)));
        let doubts = doubted.iter().map(|found| {
            let reason = format!("this {} carries labels that were not made for it", found.kind.as_str());
            (found.name.clone(), reason)
        });
        Ok((!believed.is_empty()).then(|| put_together(deployment, &believed, doubts.collect())))
    }

    /// Names of the deployments that something on this engine carries, each with the number of such objects.
    ///
    /// # Errors
    ///
    /// If the engine does not say.
    pub async fn deployments(&self) -> Result<BTreeMap<String, usize>, Failure> {
        let mut all = BTreeMap::new();
        for path in ["/containers/json", "/networks", "/volumes"] {
            for labels in self.with_label(path, label::DEPLOYMENT).await?.iter().map(|found| &found["Labels"]) {
                let name = labels[label::DEPLOYMENT].as_str().filter(|name| !name.is_empty());
                if let Some(name) = name {
                    *all.entry(name.to_owned()).or_insert(0) += 1;
                }
            }
        }
        Ok(all)
    }

    async fn with_label(&self, path: &str, label: &str) -> Result<Vec<Json>, Failure> {
        let query = [("all", "true".to_owned()), ("filters", json!({ "label": [label] }).to_string())];
        let query = if path.starts_with("/containers") { &query[..] } else { &query[1..] };
        let listed = self.client.ask(path, query).await.map_err(|error| failure(&error, "looking for what is labelled"))?;
        let listed = if listed.is_array() { &listed } else { &listed["Volumes"] };
        Ok(listed.as_array().cloned().unwrap_or_default())
    }

    async fn labelled_containers(&self, deployment: &str) -> Result<Vec<Found>, Failure> {
        let ids = self.labelled(deployment, None).await?;
        let looks = stream::iter(ids.iter().map(|id| self.inspect(id))).buffer_unordered(LOOKS);
        let containers: Vec<Option<Container>> = looks.try_collect().await?;
        Ok(containers.iter().flatten().map(of_container).collect())
    }

    async fn labelled_others(&self, deployment: &str, kind: ObjectKind, path: &str) -> Result<Vec<Found>, Failure> {
        let listed = self.with_label(path, &format!("{}={deployment}", label::DEPLOYMENT)).await?;
        Ok(listed.iter().map(|found| of_other(found, kind)).collect())
    }
}

fn of_container(container: &Container) -> Found {
    let mut properties = JsonMap::from_iter([
        ("container_id".to_owned(), container.id().into()),
        ("image_id".to_owned(), container.text("/Image").unwrap_or_default().into()),
    ]);
    if container.flag("/State/Running") {
        properties.extend(container.network_properties());
    }
    Found {
        kind: ObjectKind::Container,
        id: container.id(),
        name: container.name(),
        instance: container.label(label::INSTANCE).unwrap_or_default().to_owned(),
        label: container.label(label::RECORD).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        // One that ran and does not any more has drifted: its instance was started.
        state: if container.state() == ObjectState::Created { InstanceState::Created } else { InstanceState::Started },
        properties,
    }
}

fn of_other(found: &Json, kind: ObjectKind) -> Found {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let id = if kind == ObjectKind::Volume { text(&found["Name"]) } else { text(&found["Id"]) };
    let properties = match kind {
        ObjectKind::Volume => super::volumes::known(found).set,
        _ => super::networks::known(found).set,
    };
    Found {
        kind,
        id,
        name: text(&found["Name"]),
        instance: text(&found["Labels"][label::INSTANCE]),
        label: found["Labels"][label::RECORD].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
        state: InstanceState::Started,
        properties,
    }
}

fn put_together(name: &str, found: &[Found], mut left_out: Vec<(String, String)>) -> Recovered {
    let is_found = |id: &String| found.iter().any(|it| it.instance == *id);
    let unlabelled = found.iter().flat_map(|it| it.label.beside.clone());
    let needed =
        found.iter().flat_map(|it| it.label.needs.iter().map(|id| (id.clone(), "nothing on this engine carries its name".to_owned())));
    for (id, why) in unlabelled.chain(needed) {
        if !is_found(&id) && !left_out.iter().any(|(known, _)| *known == id) {
            left_out.push((id, why));
        }
    }
    let blueprint = found.iter().map(|it| it.label.blueprint.clone()).find(|path| !path.as_os_str().is_empty());
    let mut deployment = Deployment {
        name: name.to_owned(),
        blueprint: blueprint.unwrap_or_default(),
        inputs: JsonMap::new(),
        given: JsonMap::new(),
        nodes: IndexMap::new(),
        instances: Vec::new(),
        outputs: JsonMap::new(),
        capabilities: JsonMap::new(),
        labels: JsonMap::new(),
        structure: Structure::default(),
        protected: Vec::new(),
        workflows: IndexMap::new(),
        recovered: true,
    };
    let mut instances = IndexMap::new();
    for it in found {
        // A kept volume names the instance that made it, which another object of today may be called.
        if instances.contains_key(&it.instance) {
            left_out.push((it.name.clone(), format!("this {} is of `{}` too", it.kind.as_str(), it.instance)));
            continue;
        }
        instances.insert(
            it.instance.clone(),
            InstanceRecord { state: it.state, properties: it.properties.clone(), ..InstanceRecord::default() },
        );
        deployment.nodes.entry(it.label.node.clone()).or_insert_with(|| definition(it));
        deployment.instances.push(instance(it, found));
    }
    Recovered { deployment, instances, left_out }
}

fn definition(it: &Found) -> Definition {
    let label = &it.label;
    let place = Place { file: label.blueprint.display().to_string(), line: 1, column: 1 };
    let planned = |(plugin, operation, inputs): &(String, String, JsonMap<String, Json>)| Planned {
        plugin: plugin.clone(),
        operation: operation.clone(),
        inputs: inputs.clone(),
        retry: Retry::default(),
        place: place.clone(),
    };
    Definition {
        hierarchy: vec![label.type_name.clone()],
        properties: named(it),
        operations: label.operations.iter().map(|(name, operation)| (name.clone(), planned(operation))).collect(),
        ties: Vec::new(),
        secrets: BTreeMap::new(),
        place: place.clone(),
        property_places: IndexMap::new(),
    }
}

/// Properties with the name that the node gives, for that tells what its objects are called.
fn named(it: &Found) -> JsonMap<String, Json> {
    let mut properties = it.label.properties.clone();
    let suffix = if it.label.index == 0 { String::new() } else { format!("-{}", it.label.index) };
    // Without a name of its own a container is called as its instance.
    let Some(name) = it.name.strip_suffix(&suffix).filter(|_| it.name != it.instance) else { return properties };
    match properties.get_mut("resource_config") {
        Some(config) => config["container_args"]["name"] = name.into(),
        None => drop(properties.insert("name".to_owned(), name.into())),
    }
    properties
}

/// The instance, tied to those that it needs and to those whose objects its own names.
fn instance(it: &Found, all: &[Found]) -> Instance {
    let named = |other: &&Found| {
        it.label.needs.contains(&other.instance) || it.label.uses.contains(&other.name) || it.label.uses.contains(&other.id)
    };
    let tie = |other: &Found| InstanceTie { target: other.instance.clone(), kind: RelationshipKind::DependsOn, type_name: String::new() };
    Instance {
        id: it.instance.clone(),
        node: it.label.node.clone(),
        index: it.label.index,
        host: None,
        ties: all.iter().filter(|other| other.instance != it.instance).filter(named).map(tie).collect(),
        groups: Vec::new(),
    }
}

/// Whether a label was made for an object of this name.
pub(super) fn is_of(record: &str, name: &str) -> bool {
    serde_json::from_str(record).is_ok_and(|label: Label| label.name == name)
}

/// The label's text for an object of this name.
pub(super) fn text(record: &Json, name: &str) -> String {
    let mut record = record.clone();
    if record.get("node").is_some() {
        record["name"] = name.into();
    }
    record.to_string()
}
