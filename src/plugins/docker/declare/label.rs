//! Contents of an object's labels: its owner, and the data that an uninstall needs.

use crate::{
    engine::Kind,
    model::{Definition, Deployment, Instance, OperationDefinition},
    plugins::docker::declare::{
        action::display_value,
        declared::{
            adopted_reference, conditions, container_references, engine, instance_engine, property,
            stop_params,
        },
        json::map_of,
        operation::{Operation, is_run, kind},
    },
    seam::{Call, Labeling, Target, labeling::names_infrakit},
    stage::{is_lifecycle_operation, is_uninstall_operation},
};

use indexmap::IndexMap;
use serde::Deserialize;
use serde::Serialize;
use serde_json::{Map as JsonMap, Value as Json, json};

use std::path::PathBuf;

pub(crate) use crate::seam::labeling::DEPLOYMENT;
pub(crate) const NODE: &str = "dockctl.node";
pub(crate) const INSTANCE: &str = "dockctl.instance";
pub(crate) const GENERATION: &str = "dockctl.generation";
pub(crate) const EXECUTION: &str = "dockctl.execution";
/// Keyed digest of the declaration that the object was created from.
pub(crate) const SPEC: &str = "dockctl.spec";
/// Keyed digest of the request that created the object.
pub(crate) const REQUEST: &str = "dockctl.request";
/// ID of the image that a container was created from, for people and other programs: the
/// configuration of the container has the name of the image, which may be given to another one.
pub(crate) const IMAGE: &str = "dockctl.image";
/// The [`Label`] as JSON.
pub(crate) const RECORD: &str = "dockctl.record";
/// ID of the deployment; stays the same when it is uninstalled and installed again.
pub(crate) const DEPLOYMENT_ID: &str = "dockctl.deployment-id";
/// Author of the object, as JSON.
pub(crate) const AUTHOR: &str = "dockctl.author";
/// Identifies the key, and therefore the state directory, of the digests.
pub(crate) const KEY: &str = "dockctl.key";
/// Seal: keyed digest of the name and the labels that identify the owner. Labels can be copied; a
/// seal cannot be created for another name without the key.
pub(crate) const SEAL: &str = "dockctl.seal";
/// Digest of the tarball that an image was imported from.
pub(crate) const SOURCE: &str = "dockctl.source";
/// Deployment that an image was built for. Images do not use the labels of other objects, because
/// containers inherit the labels of their image.
pub(crate) const BUILT_FOR: &str = "dockctl.built-for";
/// Keyed digest of the URL that an imported image was downloaded from.
pub(crate) const SOURCE_URL: &str = "dockctl.from";
/// Marks an imported image that the blueprint does not name: it is removed with its last container.
pub(crate) const UNNAMED: &str = "dockctl.unnamed";

pub(crate) const STOP: &str = "cloudify.interfaces.lifecycle.stop";

pub(crate) const DELETE: &str = "cloudify.interfaces.lifecycle.delete";

/// Plugin, operation and inputs of an operation.
pub(crate) type LabeledOperation = (String, String, JsonMap<String, Json>);

/// The instance of an object, as stored in the label [`RECORD`]: all data that an uninstall needs.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Label {
    /// Name of the object; set when it is created.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) index: usize,
    /// Label of the instance: the name of the object, if it does not follow from the index.
    #[serde(rename = "label", skip_serializing_if = "Option::is_none")]
    pub(crate) of_instance: Option<String>,
    /// Index of the first instance of the node.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) first: usize,
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    pub(crate) blueprint: PathBuf,
    /// IDs of the instances that this one depends on.
    pub(crate) needs: Vec<String>,
    /// Names of the objects that this one refers to.
    pub(crate) uses: Vec<String>,
    /// Operations of the node, by `interface.operation`.
    pub(crate) operations: IndexMap<String, LabeledOperation>,
    #[serde(skip_serializing_if = "JsonMap::is_empty")]
    pub(crate) properties: JsonMap<String, Json>,
    /// Anonymous volumes carried over from an older container of the instance, by mount path.
    #[serde(skip_serializing_if = "JsonMap::is_empty")]
    pub(crate) carried: JsonMap<String, Json>,
    /// `network` or `volume`, because labels can be copied to objects of another kind; empty for a
    /// container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kind: String,
    /// The blueprint protects the node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) protected: bool,
    /// Number of instances that the blueprint declared for the node; 0 if unknown.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) declared: usize,
    /// Instances without such a label, and the reason; stored on one object of a deployment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "beside")]
    pub(crate) unlabeled: Vec<(String, String)>,
    /// Lifecycle operations of other plugins, such as scripts. They cannot be recovered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<String>,
}

impl Label {
    /// Returns true if no name, type, ID or path in the label contains control characters.
    pub(crate) fn is_printable(&self) -> bool {
        let own = [&self.node, &self.type_name]
            .into_iter()
            .chain(&self.of_instance);
        let objects = own.chain(&self.needs).chain(&self.uses);
        let unlabeled = self.unlabeled.iter().flat_map(|(id, why)| [id, why]);
        let texts = objects.chain(self.operations.keys()).chain(unlabeled);
        let mut texts = texts.chain(&self.others);
        let blueprint = self.blueprint.display().to_string();
        texts.all(|text| is_plain(text)) && is_plain(&blueprint)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde requires a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

pub(crate) fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Returns the label for the object of an instance. Functions are not evaluated, because they may
/// read secrets.
pub(crate) fn record(deployment: &Deployment, instance: &Instance, node: &Definition) -> Json {
    let uses = container_references(deployment, instance).into_iter();
    let mut uses: Vec<String> = uses.map(|(_, name)| name).collect();
    uses.sort();
    uses.dedup();
    let numbering = deployment.structure.numbering.get(&instance.node);
    json!(Label {
        name: String::new(),
        node: instance.node.clone(),
        index: instance.index,
        of_instance: instance.label.clone(),
        first: numbering.map_or(0, |numbering| numbering.first),
        type_name: node.hierarchy.last().cloned().unwrap_or_default(),
        blueprint: deployment.blueprint.clone(),
        needs: instance
            .relationships
            .iter()
            .map(|relationship| relationship.target.clone())
            .collect(),
        uses,
        operations: node
            .operations
            .iter()
            .filter_map(|(name, planned)| Some((name.clone(), operation(name, planned, node)?)))
            .collect(),
        properties: properties(node),
        carried: JsonMap::new(),
        kind: kind(node)
            .filter(|kind| *kind != Kind::Container)
            .map(|kind| kind.as_str().to_owned())
            .unwrap_or_default(),
        protected: deployment.protected.contains(&instance.node),
        declared: deployment
            .structure
            .numbers
            .get(&instance.node)
            .copied()
            .unwrap_or_default(),
        others: other_operations(node),
        unlabeled: if is_first(deployment, instance) {
            unlabeled_instances(deployment)
        } else {
            Vec::new()
        },
    })
}

/// Returns the lifecycle operations of a node that other plugins run.
fn other_operations(node: &Definition) -> Vec<String> {
    let of_relationships = node.relationships.iter().flat_map(|it| &it.operations);
    let all = node.operations.iter().chain(of_relationships);
    let others = all.filter(|(name, it)| {
        is_lifecycle_operation(name) && Operation::of(&it.plugin, &it.operation).is_none()
    });
    others.map(|(name, _)| name.clone()).collect()
}

/// Returns an operation as the label stores it. Uninstall operations keep the inputs that a removal
/// needs; operations that create or start the object keep only the inputs that describe it. Others
/// are omitted.
fn operation(
    name: &str,
    planned: &OperationDefinition,
    node: &Definition,
) -> Option<LabeledOperation> {
    let of = Operation::of(&planned.plugin, &planned.operation)?;
    let inputs = if is_uninstall_operation(name) {
        removal_inputs(of, planned, node)
    } else {
        descriptive_inputs(of, node)?
    };
    Some((planned.plugin.clone(), planned.operation.clone(), inputs))
}

/// Returns the inputs that are needed to take down the object.
fn removal_inputs(
    of: Operation,
    planned: &OperationDefinition,
    node: &Definition,
) -> JsonMap<String, Json> {
    let mut inputs = planned.inputs.clone();
    let is_kept = |name: &str| matches!(name, "params" | "stop_command");
    inputs.retain(|name, value| is_kept(name) && !value.is_null());
    if of == Operation::Stop {
        let params = inputs.get("params").cloned().unwrap_or_default();
        inputs.insert("params".to_owned(), stop_params(node, params));
    }
    inputs
}

/// Returns the inputs that describe the object; none for an operation that neither creates nor
/// starts it.
fn descriptive_inputs(of: Operation, node: &Definition) -> Option<JsonMap<String, Json>> {
    let waits = conditions(node);
    match of {
        Operation::Start | Operation::StartInstance if !waits.is_empty() => {
            Some(map_of([("wait_for", waits.into())]))
        }
        Operation::Start | Operation::StartInstance => Some(JsonMap::new()),
        _ => of.creates().map(|_| JsonMap::new()),
    }
}

fn properties(node: &Definition) -> JsonMap<String, Json> {
    let mut properties = JsonMap::new();
    if is_run(node) {
        let config = label_config(property(node, "resource_config"));
        properties.insert("resource_config".to_owned(), config);
    }
    let keep = node.properties.get("keep");
    properties.extend(keep.map(|keep| ("keep".to_owned(), keep.clone())));
    properties
}

fn label_config(config: &Json) -> Json {
    let detach = &config["container_args"]["detach"];
    json!({ "image_tag": config["image_tag"], "container_args": { "detach": detach } })
}

/// Returns true if the instance is the first one with an object on the default engine.
fn is_first(deployment: &Deployment, instance: &Instance) -> bool {
    deployment
        .instances
        .iter()
        .find(|it| unlabeled_reason(deployment, it).is_none())
        .is_some_and(|first| first.id == instance.id)
}

fn unlabeled_instances(deployment: &Deployment) -> Vec<(String, String)> {
    deployment
        .instances
        .iter()
        .filter_map(|instance| Some((instance.id.clone(), unlabeled_reason(deployment, instance)?)))
        .collect()
}

/// Returns why no object on the default engine has a label of the instance; none if one has.
fn unlabeled_reason(deployment: &Deployment, instance: &Instance) -> Option<String> {
    let node = deployment.node(instance)?;
    match instance_engine(deployment, instance) {
        None => Some("it has no object on an engine".to_owned()),
        Some(_) if node.is_adopted() => Some(format!(
            "it is adopted: {}",
            display_value(&adopted_reference(node))
        )),
        Some(_) if kind(node) == Some(Kind::Image) => Some("it is an image".to_owned()),
        Some(Target::At { .. }) => Some(format!("it is on {}", engine(node))),
        Some(Target::Default) => None,
    }
}

/// Returns true if a label was written for an object of this name.
pub(crate) fn is_for(record: &str, name: &str) -> bool {
    serde_json::from_str(record).is_ok_and(|label: Label| label.name == name)
}

/// Returns the record with the volumes carried over from an older object: they are removed with
/// this one.
pub(crate) fn label_with_carried_volumes(record: &Json, carried: Option<&Json>) -> Json {
    let mut record = record.clone();
    if let Some(carried) =
        carried.filter(|carried| **carried != json!({}) && record.get("node").is_some())
    {
        record["carried"] = carried.clone();
    }
    record
}

/// Returns the value of the label for an object of this name.
pub(crate) fn label_value(record: &Json, name: &str) -> String {
    let mut record = record.clone();
    if record.get("node").is_some() {
        record["name"] = name.into();
    }
    record.to_string()
}

/// Returns true if labels name the deployment: its name, and its ID if both are known. Objects
/// from older versions have no ID.
pub(crate) fn names_deployment(labels: &Json, name: &str, id: &str) -> bool {
    let labeled = labels[DEPLOYMENT_ID].as_str().unwrap_or_default();
    labels[DEPLOYMENT] == name && (labeled.is_empty() || id.is_empty() || labeled == id)
}

/// Returns true if labels name the instance of a call.
pub(crate) fn names_instance(labels: &Json, call: &Call) -> bool {
    names_deployment(labels, &call.deployment.name, &call.deployment.id)
        && labels[INSTANCE] == call.instance()
}

/// Returns true if labels name the owner of the objects of a call: its instance, or, for a server,
/// any client of InfraKit.
pub(crate) fn names_owner(labels: &Json, call: &Call, labeling: &Labeling) -> bool {
    match labeling {
        Labeling::Deployment => names_instance(labels, call),
        Labeling::Server { .. } => names_infrakit(|label| labels.get(label).is_some()),
    }
}

/// Returns the text that a seal is the digest of: the name of an object and the labels that
/// identify its owner. With an ID of the deployment, that ID and the kind are sealed too.
pub(crate) fn seal_text(kind: Kind, name: &str, labels: &Json) -> String {
    let text = |label: &str| labels[label].as_str().unwrap_or_default();
    let whose = [DEPLOYMENT, NODE, INSTANCE, REQUEST].map(text).join("\n");
    let (id, kind) = (text(DEPLOYMENT_ID), kind.as_str());
    if id.is_empty() {
        format!("{name}\n{whose}")
    } else {
        format!("{name}\n{whose}\n{id}\n{kind}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::keyed_digest,
        engine::Version,
        plugins::{
            InstanceRef,
            docker::declare::{
                action::Action,
                lower,
                request::{RequestContext, complete_body},
            },
        },
        seam::Purpose,
    };

    const CREATE: &str = "cloudify.interfaces.lifecycle.create";
    use serde_json::json;

    #[test]
    pub(crate) fn deployments_match_by_name_and_known_id() {
        let with = |id: &str| json!({ "dockctl.deployment": "shop", "dockctl.deployment-id": id });
        let old = json!({ "dockctl.deployment": "shop" });
        assert!(names_deployment(&with("a"), "shop", "a"));
        assert!(
            !names_deployment(&with("b"), "shop", "a"),
            "another deployment with the same name"
        );
        assert!(
            names_deployment(&old, "shop", "a"),
            "older objects have no ID"
        );
        assert!(
            names_deployment(&with("b"), "shop", ""),
            "an older journal has no ID"
        );
        assert!(!names_deployment(&old, "store", ""));
        assert!(!names_deployment(&Json::Null, "shop", ""));
    }

    /// This version writes the same labels as an older one (`tests/data/format2/golden.json`).
    /// Otherwise objects would count as changed or as foreign.
    #[test]
    fn labels_equal_those_of_format_2() {
        let text = include_str!("../../../../tests/data/format2/golden.json");
        let golden: Json = serde_json::from_str(text).unwrap();
        let key = golden["key"].as_str().unwrap();
        let key: Vec<u8> = (0..key.len() / 2)
            .map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let digest = |text: &str| keyed_digest(&key, text);
        let deployment: Deployment = serde_json::from_value(golden["deployment"].clone()).unwrap();
        let mut compared = 0;
        for instance in &deployment.instances {
            let part = InstanceRef::of(&deployment, instance).unwrap();
            let planned = &part.node.operations[CREATE];
            let steps = lower::lower(
                part,
                CREATE,
                planned,
                &Purpose::Ordinary,
                &Labeling::Deployment,
            )
            .unwrap();
            let step = steps.iter().find(|step| step.creates_object()).unwrap();
            let name = step.payload["name"].as_str().unwrap();
            let object = &golden["objects"][name];
            let is = |label: &str, text: &str| {
                assert_eq!(object["labels"][label], text, "{name}: {label}");
            };
            let declaration = step.payload["declaration"].as_str().unwrap();
            is(SPEC, &digest(declaration));
            is(RECORD, &super::label_value(&step.label_declaration, name));
            let kind = kind(part.node).unwrap();
            is(SEAL, &digest(&seal_text(kind, name, &object["labels"])));
            let is_known = !step.reads_attributes();
            if let (Ok(Action::Create(creation)), true) = (Action::from_step(step), is_known) {
                let new = RequestContext {
                    host_name: Some(name),
                    version: Version::parse(golden["version"].as_str().unwrap()),
                    proxies: &Json::Null,
                };
                let mut body = complete_body(creation.converted().unwrap(), &new);
                body["Image"] = object["image"].clone();
                is(REQUEST, &digest(&body.to_string()));
                compared += 1;
            }
        }
        assert_eq!((deployment.instances.len(), compared), (4, 1));
    }
}
