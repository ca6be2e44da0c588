//! Deployments found through labels on engines, or through equivalent data of another system. Used
//! when the journal is lost. Objects sealed by this state directory are its own; all others are
//! claims.

use crate::{
    author::AuthorName,
    instance_record::{InstanceRecord, PREDECESSOR, SUCCESSOR},
    model::{
        Definition, Deployment, Instance, InstanceRelationship, InstanceState, Positions,
        RelationshipKind, Structure,
    },
};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map as JsonMap, Value as Json};
use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
    sync::Arc,
};

/// A deployment recovered from labels.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveredDeployment {
    /// The deployment, as far as the labels describe it.
    pub deployment: Deployment,
    /// Its instances by ID.
    pub instances: IndexMap<String, InstanceRecord>,
    /// Names of objects and instances that were not recovered, each with the reason.
    pub not_recovered: Vec<(String, String)>,
    /// IDs of all objects labeled with the name of the deployment, whoever created them.
    pub object_ids: BTreeSet<String>,
}

/// The objects labeled with one deployment name. Several deployments may share the name.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// The deployment name.
    pub deployment: String,
    /// The objects labeled with the name.
    pub found: Vec<FoundObject>,
    /// Names of objects with implausible labels, each with the reason.
    pub implausible: Vec<(String, String)>,
}

/// Unproven objects: their labels claim that they belong to a deployment.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// ID of the deployment; for older objects without one, the ID of the key that sealed them.
    pub id: String,
    /// Path of the blueprint.
    pub blueprint: PathBuf,
    /// Creator of the objects.
    #[serde(rename = "made_by")]
    pub created_by: Option<AuthorName>,
    /// Creation time of the oldest object, as the engine formats it.
    #[serde(rename = "since")]
    pub created_at: String,
    /// Kind and name of each object.
    pub objects: Vec<String>,
}

/// An object found on an engine, with the data in its labels.
#[derive(Clone, Debug)]
pub struct FoundObject {
    /// Kind of the object, such as `container`.
    pub kind: &'static str,
    /// ID of the object.
    pub id: String,
    /// Name of the object.
    pub name: String,
    /// Creation time, as its system formats it.
    pub created_at: String,
    /// The object contains data that cannot be recreated. It is only removed on request.
    pub contains_data: bool,
    /// The object remains when its deployment is uninstalled.
    pub outlives: bool,
    /// Role in a replacement, for objects that can be replaced.
    pub role: Option<ReplacementRole>,
    /// ID of the instance that the object represents.
    pub instance: String,
    /// Description of the instance in the labels.
    pub labels: InstanceLabels,
    /// State of the instance.
    pub state: InstanceState,
    /// Runtime properties of the instance.
    pub properties: JsonMap<String, Json>,
    /// Owner of the object.
    pub ownership: Ownership,
}

/// The role of an object during the replacement of an instance's object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReplacementRole {
    /// The object with the permanent name.
    Current,
    /// The successor: created to replace the current object.
    Successor,
    /// The predecessor: it will be removed or restored.
    Predecessor,
}

/// The description of an instance that is stored with its object.
#[derive(Clone, Debug)]
pub struct InstanceLabels {
    /// Node of the instance.
    pub node: String,
    /// Index among the instances of the node.
    pub index: usize,
    /// Name of the object, if it does not follow from the index.
    pub label: Option<String>,
    /// Index of the first instance of the node.
    pub first: usize,
    /// Path of the blueprint.
    pub blueprint: PathBuf,
    /// Definition of the node, as far as uninstalling requires it.
    pub definition: Definition,
    /// IDs of the instances that it depends on.
    pub needs: Vec<String>,
    /// Names and IDs of the objects that its own object refers to.
    pub references: Vec<String>,
    /// The blueprint protects the node.
    pub is_protected: bool,
    /// Number of instances that the blueprint declares for the node; 0 if it was not recorded.
    pub declared_number: usize,
    /// IDs of instances without a labeled object, each with the reason.
    pub unlabeled: Vec<(String, String)>,
    /// Operations of other plugins, which labels do not contain.
    pub other_operations: Vec<String>,
}

/// The owner of an object.
#[derive(Clone, Debug, Default)]
pub struct Ownership {
    /// This state directory created the object or took it over.
    pub is_ours: bool,
    /// ID of the deployment; empty on older objects.
    pub deployment: String,
    /// ID of the key that sealed the object.
    pub key: String,
    /// Creator of the object, according to its label.
    pub created_by: Option<AuthorName>,
}

impl FoundObject {
    /// Returns true if scaling added this instance beyond the number in the blueprint.
    fn is_scaled(&self) -> bool {
        let InstanceLabels {
            declared_number,
            first,
            index,
            ..
        } = self.labels;
        declared_number > 0 && index >= first + declared_number
    }

    /// Returns the ID that distinguishes deployments with the same name.
    fn deployment_key(&self) -> &str {
        if self.ownership.deployment.is_empty() {
            &self.ownership.key
        } else {
            &self.ownership.deployment
        }
    }
}

impl Discovery {
    /// Starts with no objects for a deployment name.
    #[must_use]
    pub fn of_name(deployment: impl Into<String>) -> Self {
        Self {
            deployment: deployment.into(),
            ..Self::default()
        }
    }

    /// Returns the deployment that this state directory created, if it has any objects.
    #[must_use]
    pub fn own(&self) -> Option<RecoveredDeployment> {
        self.select(|found| found.ownership.is_ours)
    }

    /// Returns the unproven objects, grouped by the ID of their deployment.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        let mut claims: IndexMap<&str, Vec<&FoundObject>> = IndexMap::new();
        for found in self.found.iter().filter(|found| !found.ownership.is_ours) {
            claims
                .entry(found.deployment_key())
                .or_default()
                .push(found);
        }
        claims
            .into_iter()
            .map(|(id, found)| claim(id, &found))
            .collect()
    }

    /// Returns the objects of a deployment that this state directory created but that are not in
    /// `known`, the object IDs of its record. Objects with data are included if `with_data` is set.
    #[must_use]
    pub fn leftovers(
        &self,
        deployment: &str,
        known: &HashSet<String>,
        with_data: bool,
    ) -> Option<RecoveredDeployment> {
        let is_of = |id: &str| id.is_empty() || deployment.is_empty() || id == deployment;
        let is_asked_for = |found: &FoundObject| with_data || !found.contains_data;
        self.select(|found| {
            found.ownership.is_ours
                && is_of(&found.ownership.deployment)
                && !known.contains(&found.id)
                && is_asked_for(found)
        })
    }

    /// Returns the objects of a deployment that another state directory created and that are not in
    /// `known`, the object IDs of its record.
    #[must_use]
    pub fn created_elsewhere(
        &self,
        deployment: &str,
        known: &HashSet<String>,
    ) -> Option<RecoveredDeployment> {
        let found = self.select(|found| {
            !found.ownership.is_ours
                && !deployment.is_empty()
                && found.ownership.deployment == deployment
                && !known.contains(&found.id)
        });
        // The other objects are known here, or listed by a full recovery.
        found.map(|found| RecoveredDeployment {
            not_recovered: Vec::new(),
            ..found
        })
    }

    /// Returns the deployment with this ID, whoever created it.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<RecoveredDeployment> {
        self.select(|found| found.deployment_key() == id)
    }

    /// Returns the deployment that a name refers to without an ID: the objects of this state
    /// directory with those of other state directories for the same deployment, else the only
    /// claim. Returns `None` if there are no objects, or several claims.
    #[must_use]
    pub fn unique(&self) -> Option<RecoveredDeployment> {
        let sealed: Vec<&str> = self
            .found
            .iter()
            .filter(|found| found.ownership.is_ours)
            .map(FoundObject::deployment_key)
            .collect();
        match &self.claims()[..] {
            _ if !sealed.is_empty() => self.select(|found| {
                found.ownership.is_ours || sealed.contains(&found.deployment_key())
            }),
            [only] => self.by_id(&only.id),
            _ => None,
        }
    }

    fn select(&self, chosen: impl Fn(&FoundObject) -> bool) -> Option<RecoveredDeployment> {
        let (chosen, other_ids): (Vec<&FoundObject>, Vec<&FoundObject>) =
            self.found.iter().partition(|found| chosen(found));
        let other_ids = other_ids.into_iter().map(|found| {
            let is_same_deployment = chosen
                .iter()
                .any(|it| it.deployment_key() == found.deployment_key());
            let other = if is_same_deployment {
                "was created by another state directory"
            } else {
                "is labeled as part of another deployment"
            };
            (found.name.clone(), format!("this {} {other}", found.kind))
        });
        let recovered = (!chosen.is_empty()).then(|| {
            assemble(
                &self.deployment,
                &chosen,
                self.implausible.iter().cloned().chain(other_ids).collect(),
            )
        });
        recovered.map(|recovered| RecoveredDeployment {
            object_ids: self.found.iter().map(|found| found.id.clone()).collect(),
            ..recovered
        })
    }
}

fn claim(id: &str, found: &[&FoundObject]) -> Claim {
    Claim {
        id: id.to_owned(),
        blueprint: found
            .iter()
            .map(|it| it.labels.blueprint.clone())
            .find(|path| !path.as_os_str().is_empty())
            .unwrap_or_default(),
        created_by: found.iter().find_map(|it| it.ownership.created_by.clone()),
        created_at: found
            .iter()
            .map(|it| it.created_at.as_str())
            .filter(|at| !at.is_empty())
            .min()
            .unwrap_or_default()
            .to_owned(),
        objects: found
            .iter()
            .map(|it| format!("{} {}", it.kind, it.name))
            .collect(),
    }
}

fn assemble(
    name: &str,
    found: &[&FoundObject],
    mut left_out: Vec<(String, String)>,
) -> RecoveredDeployment {
    let is_found = |id: &String| found.iter().any(|it| it.instance == *id);
    let unlabeled = found.iter().flat_map(|it| it.labels.unlabeled.clone());
    let needed = found.iter().flat_map(|it| {
        it.labels.needs.iter().map(|id| {
            (
                id.clone(),
                "no object on this engine is labeled with this instance".to_owned(),
            )
        })
    });
    for (id, why) in unlabeled.chain(needed) {
        if !is_found(&id) && !left_out.iter().any(|(known, _)| *known == id) {
            left_out.push((id, why));
        }
    }
    left_out.extend(found.iter().filter_map(|it| {
        let operations = it.labels.other_operations.join(", ");
        let why = format!("labels do not contain its other operations: {operations}");
        (!operations.is_empty()).then(|| (it.instance.clone(), why))
    }));
    let mut deployment = empty_deployment(name, found);
    let mut instances = IndexMap::new();
    for it in found {
        let (current, other_ids) = current_object(found, it);
        if current.id != it.id {
            // A kept volume is labeled with the instance that created it. A newer object can be
            // labeled with the same instance.
            let is_other = !other_ids.values().any(|id| *id == it.id.as_str());
            let why = format!("this {} also belongs to `{}`", it.kind, it.instance);
            left_out.extend(is_other.then(|| (it.name.clone(), why)));
            continue;
        }
        let properties = it.properties.clone().into_iter().chain(other_ids).collect();
        instances.insert(
            it.instance.clone(),
            InstanceRecord {
                state: it.state,
                properties,
                is_kept: it.outlives,
                ..InstanceRecord::default()
            },
        );
        deployment
            .nodes
            .entry(it.labels.node.clone())
            .or_insert_with(|| Arc::new(it.labels.definition.clone()));
        deployment.instances.push(instance(it, found));
    }
    deployment.protected = found
        .iter()
        .filter(|it| it.labels.is_protected)
        .map(|it| it.labels.node.clone())
        .collect();
    deployment.protected.dedup();
    deployment.structure.numbers = declared_numbers(&deployment, found);
    RecoveredDeployment {
        deployment,
        instances,
        not_recovered: left_out,
        object_ids: BTreeSet::new(),
    }
}

/// Returns a deployment with the origin from the labels, without nodes and instances.
fn empty_deployment(name: &str, found: &[&FoundObject]) -> Deployment {
    let mut blueprints = found.iter().map(|it| it.labels.blueprint.clone());
    let mut ids = found.iter().map(|it| it.ownership.deployment.clone());
    Deployment {
        name: name.to_owned(),
        id: ids.find(|id| !id.is_empty()).unwrap_or_default(),
        blueprint: blueprints
            .find(|path| !path.as_os_str().is_empty())
            .unwrap_or_default(),
        document: None,
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
        positions: Positions::default(),
    }
}

/// Returns the declared number of instances of each node, if any node was scaled. A scaled number
/// remains valid until the blueprint declares another number. Without scaling the result is empty,
/// and the numbers in the blueprint apply.
fn declared_numbers(deployment: &Deployment, found: &[&FoundObject]) -> IndexMap<String, usize> {
    if !found.iter().any(|it| it.is_scaled()) {
        return IndexMap::new();
    }
    let scaled = |node: &str| {
        found
            .iter()
            .find(|it| it.labels.node == node && it.is_scaled())
            .map(|it| it.labels.declared_number)
    };
    let number = |node: &String| {
        scaled(node)
            .or_else(|| deployment.instance_count(node))
            .unwrap_or(1)
    };
    deployment
        .nodes
        .keys()
        .map(|node| (node.clone(), number(node)))
        .collect()
}

/// Returns the current object of the instance that `it` belongs to, and the runtime properties with
/// the IDs of objects that an unfinished replacement left.
fn current_object<'f>(
    found: &[&'f FoundObject],
    it: &FoundObject,
) -> (&'f FoundObject, JsonMap<String, Json>) {
    let all: Vec<&'f FoundObject> = found
        .iter()
        .filter(|other| other.instance == it.instance)
        .copied()
        .collect();
    let at = |turn: ReplacementRole| all.iter().find(|other| other.role == Some(turn)).copied();
    let (successor, predecessor, current) = (
        at(ReplacementRole::Successor),
        at(ReplacementRole::Predecessor),
        at(ReplacementRole::Current),
    );
    let ids = |names: &[(&str, Option<&FoundObject>)]| -> JsonMap<String, Json> {
        names
            .iter()
            .filter_map(|(name, other)| {
                Some(((*name).to_owned(), other.as_ref()?.id.clone().into()))
            })
            .collect()
    };
    match (current, predecessor) {
        (Some(current), _) => (
            current,
            ids(&[(SUCCESSOR, successor), (PREDECESSOR, predecessor)]),
        ),
        (None, Some(predecessor)) if successor.is_some() => {
            (predecessor, ids(&[(SUCCESSOR, successor)]))
        }
        // The predecessor was restored but not started yet.
        (None, Some(predecessor)) => (predecessor, ids(&[(PREDECESSOR, Some(predecessor))])),
        (None, None) => (all.first().copied().unwrap_or(found[0]), JsonMap::new()),
    }
}

/// Returns the instance, with relationships to the instances that it needs and to the instances
/// of the objects that its own object refers to.
fn instance(it: &FoundObject, all: &[&FoundObject]) -> Instance {
    let named = |other: &&&FoundObject| {
        it.labels.needs.contains(&other.instance)
            || it.labels.references.contains(&other.name)
            || it.labels.references.contains(&other.id)
    };
    let relationship = |other: &&FoundObject| InstanceRelationship {
        target: other.instance.clone(),
        kind: RelationshipKind::DependsOn,
        type_name: String::new(),
    };
    Instance {
        id: it.instance.clone(),
        node: it.labels.node.clone(),
        index: it.labels.index,
        label: it.labels.label.clone(),
        host: None,
        relationships: all
            .iter()
            .filter(|other| other.instance != it.instance)
            .filter(named)
            .map(relationship)
            .collect(),
        groups: Vec::new(),
    }
}
