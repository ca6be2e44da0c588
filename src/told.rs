//! Deployments found through labels on engines, or through equivalent data of another system. Used
//! when the journal is lost. Objects sealed by this state directory are its own; all others are
//! claims.

use crate::{
    author::AuthorName,
    known::{InstanceRecord, PREDECESSOR, SUCCESSOR},
    model::{
        Definition, Deployment, Instance, InstanceState, InstanceTie, Positions, RelationshipKind,
        Structure,
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
pub struct Recovered {
    /// The deployment, as far as the labels describe it.
    pub deployment: Deployment,
    /// Its instances by ID.
    pub instances: IndexMap<String, InstanceRecord>,
    /// Names of objects and instances that were not recovered, each with the reason.
    pub left_out: Vec<(String, String)>,
    /// IDs of all objects labeled with the name of the deployment, whoever created them.
    pub seen: BTreeSet<String>,
}

/// The objects labeled with one deployment name. Several deployments may share the name.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The deployment name.
    pub deployment: String,
    /// The objects labeled with the name.
    pub found: Vec<Found>,
    /// Names of objects with implausible labels, each with the reason.
    pub doubts: Vec<(String, String)>,
}

/// Unproven objects: their labels claim that they belong to a deployment.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// ID of the deployment; for older objects without one, the ID of the key that sealed them.
    pub id: String,
    /// Path of the blueprint.
    pub blueprint: PathBuf,
    /// Creator of the objects.
    pub made_by: Option<AuthorName>,
    /// Creation time of the oldest object, as the engine formats it.
    pub since: String,
    /// Kind and name of each object.
    pub objects: Vec<String>,
}

/// An object found on an engine, with the data in its labels.
#[derive(Clone, Debug)]
pub struct Found {
    /// Kind of the object, such as `container`.
    pub kind: &'static str,
    /// ID of the object.
    pub id: String,
    /// Name of the object.
    pub name: String,
    /// Creation time, as its system formats it.
    pub created: String,
    /// The object contains data that cannot be recreated. It is only removed on request.
    pub holds_data: bool,
    /// The object remains when its deployment is uninstalled.
    pub outlives: bool,
    /// Role in a replacement, for objects that can be replaced.
    pub turn: Option<Turn>,
    /// ID of the instance that the object represents.
    pub instance: String,
    /// Description of the instance in the labels.
    pub about: About,
    /// State of the instance.
    pub state: InstanceState,
    /// Runtime properties of the instance.
    pub properties: JsonMap<String, Json>,
    /// Owner of the object.
    pub whose: Whose,
}

/// The role of an object during the replacement of an instance's object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// The object with the permanent name.
    Lasting,
    /// The successor: created to replace the current object.
    Next,
    /// The predecessor: it will be removed or restored.
    Former,
}

/// The description of an instance that is stored with its object.
#[derive(Clone, Debug)]
pub struct About {
    /// Node of the instance.
    pub node: String,
    /// Index among the instances of the node.
    pub index: usize,
    /// Path of the blueprint.
    pub blueprint: PathBuf,
    /// Definition of the node, as far as uninstalling requires it.
    pub definition: Definition,
    /// IDs of the instances that it depends on.
    pub needs: Vec<String>,
    /// Names and IDs of the objects that its own object refers to.
    pub uses: Vec<String>,
    /// The blueprint protects the node.
    pub is_protected: bool,
    /// Number of instances that the blueprint declares for the node; 0 if it was not recorded.
    pub declared: usize,
    /// IDs of instances without a labeled object, each with the reason.
    pub beside: Vec<(String, String)>,
}

/// The owner of an object.
#[derive(Clone, Debug, Default)]
pub struct Whose {
    /// This state directory created the object or took it over.
    pub is_ours: bool,
    /// ID of the deployment; empty on older objects.
    pub deployment: String,
    /// ID of the key that sealed the object.
    pub key: String,
    /// Creator of the object, according to its label.
    pub made_by: Option<AuthorName>,
}

impl Found {
    /// Returns true if scaling added this instance beyond the number in the blueprint.
    fn is_scaled(&self) -> bool {
        self.about.declared > 0 && self.about.index >= self.about.declared
    }

    /// Returns the ID that distinguishes deployments with the same name.
    fn identity(&self) -> &str {
        if self.whose.deployment.is_empty() {
            &self.whose.key
        } else {
            &self.whose.deployment
        }
    }
}

impl Told {
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
    pub fn ours(&self) -> Option<Recovered> {
        self.of(|found| found.whose.is_ours)
    }

    /// Returns the unproven objects, grouped by the ID of their deployment.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        let mut claims: IndexMap<&str, Vec<&Found>> = IndexMap::new();
        for found in self.found.iter().filter(|found| !found.whose.is_ours) {
            claims.entry(found.identity()).or_default().push(found);
        }
        claims
            .into_iter()
            .map(|(id, found)| claim(id, &found))
            .collect()
    }

    /// Returns the objects of a deployment that this state directory created but that are not in
    /// `known`, the object IDs of its record. Objects with data are included if `with_data` is set.
    #[must_use]
    pub fn left_of(
        &self,
        deployment: &str,
        known: &HashSet<String>,
        with_data: bool,
    ) -> Option<Recovered> {
        let is_of = |id: &str| id.is_empty() || deployment.is_empty() || id == deployment;
        let is_asked_for = |found: &Found| with_data || !found.holds_data;
        self.of(|found| {
            found.whose.is_ours
                && is_of(&found.whose.deployment)
                && !known.contains(&found.id)
                && is_asked_for(found)
        })
    }

    /// Returns the objects of a deployment that another state directory created and that are not in
    /// `known`, the object IDs of its record.
    #[must_use]
    pub fn made_elsewhere(&self, deployment: &str, known: &HashSet<String>) -> Option<Recovered> {
        let made = self.of(|found| {
            !found.whose.is_ours
                && !deployment.is_empty()
                && found.whose.deployment == deployment
                && !known.contains(&found.id)
        });
        // The other objects are known here, or listed by a full recovery.
        made.map(|made| Recovered {
            left_out: Vec::new(),
            ..made
        })
    }

    /// Returns the deployment with this ID, whoever created it.
    #[must_use]
    pub fn identified(&self, id: &str) -> Option<Recovered> {
        self.of(|found| found.identity() == id)
    }

    /// Returns the deployment that a name refers to without an ID: the objects of this state
    /// directory with those of other state directories for the same deployment, else the only
    /// claim. Returns `None` if there are no objects, or several claims.
    #[must_use]
    pub fn meant(&self) -> Option<Recovered> {
        let sealed: Vec<&str> = self
            .found
            .iter()
            .filter(|found| found.whose.is_ours)
            .map(Found::identity)
            .collect();
        match &self.claims()[..] {
            _ if !sealed.is_empty() => {
                self.of(|found| found.whose.is_ours || sealed.contains(&found.identity()))
            }
            [only] => self.identified(&only.id),
            _ => None,
        }
    }

    fn of(&self, chosen: impl Fn(&Found) -> bool) -> Option<Recovered> {
        let (chosen, others): (Vec<&Found>, Vec<&Found>) =
            self.found.iter().partition(|found| chosen(found));
        let others = others.into_iter().map(|found| {
            let is_of_same = chosen.iter().any(|it| it.identity() == found.identity());
            let other = if is_of_same {
                "was created by another state directory"
            } else {
                "is labeled as part of another deployment"
            };
            (found.name.clone(), format!("this {} {other}", found.kind))
        });
        let recovered = (!chosen.is_empty()).then(|| {
            put_together(
                &self.deployment,
                &chosen,
                self.doubts.iter().cloned().chain(others).collect(),
            )
        });
        recovered.map(|recovered| Recovered {
            seen: self.found.iter().map(|found| found.id.clone()).collect(),
            ..recovered
        })
    }
}

fn claim(id: &str, found: &[&Found]) -> Claim {
    Claim {
        id: id.to_owned(),
        blueprint: found
            .iter()
            .map(|it| it.about.blueprint.clone())
            .find(|path| !path.as_os_str().is_empty())
            .unwrap_or_default(),
        made_by: found.iter().find_map(|it| it.whose.made_by.clone()),
        since: found
            .iter()
            .map(|it| it.created.as_str())
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

fn put_together(name: &str, found: &[&Found], mut left_out: Vec<(String, String)>) -> Recovered {
    let is_found = |id: &String| found.iter().any(|it| it.instance == *id);
    let unlabelled = found.iter().flat_map(|it| it.about.beside.clone());
    let needed = found.iter().flat_map(|it| {
        it.about.needs.iter().map(|id| {
            (
                id.clone(),
                "no object on this engine is labeled with this instance".to_owned(),
            )
        })
    });
    for (id, why) in unlabelled.chain(needed) {
        if !is_found(&id) && !left_out.iter().any(|(known, _)| *known == id) {
            left_out.push((id, why));
        }
    }
    let mut deployment = nothing_of(name, found);
    let mut instances = IndexMap::new();
    for it in found {
        let (stands, others) = in_place(found, it);
        if stands.id != it.id {
            // A kept volume is labeled with the instance that created it. A newer object can be
            // labeled with the same instance.
            let is_other = !others.values().any(|id| *id == it.id.as_str());
            let why = format!("this {} also belongs to `{}`", it.kind, it.instance);
            left_out.extend(is_other.then(|| (it.name.clone(), why)));
            continue;
        }
        let properties = it.properties.clone().into_iter().chain(others).collect();
        instances.insert(
            it.instance.clone(),
            InstanceRecord {
                state: it.state,
                properties,
                outlives: it.outlives,
                ..InstanceRecord::default()
            },
        );
        deployment
            .nodes
            .entry(it.about.node.clone())
            .or_insert_with(|| Arc::new(it.about.definition.clone()));
        deployment.instances.push(instance(it, found));
    }
    deployment.protected = found
        .iter()
        .filter(|it| it.about.is_protected)
        .map(|it| it.about.node.clone())
        .collect();
    deployment.protected.dedup();
    deployment.structure.numbers = numbers(&deployment, found);
    Recovered {
        deployment,
        instances,
        left_out,
        seen: BTreeSet::new(),
    }
}

/// Returns a deployment with the origin from the labels, without nodes and instances.
fn nothing_of(name: &str, found: &[&Found]) -> Deployment {
    let mut blueprints = found.iter().map(|it| it.about.blueprint.clone());
    let mut ids = found.iter().map(|it| it.whose.deployment.clone());
    Deployment {
        name: name.to_owned(),
        id: ids.find(|id| !id.is_empty()).unwrap_or_default(),
        blueprint: blueprints
            .find(|path| !path.as_os_str().is_empty())
            .unwrap_or_default(),
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
fn numbers(deployment: &Deployment, found: &[&Found]) -> IndexMap<String, usize> {
    if !found.iter().any(|it| it.is_scaled()) {
        return IndexMap::new();
    }
    let scaled = |node: &str| {
        found
            .iter()
            .find(|it| it.about.node == node && it.is_scaled())
            .map(|it| it.about.declared)
    };
    let number = |node: &String| {
        scaled(node)
            .or_else(|| deployment.number(node))
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
fn in_place<'f>(found: &[&'f Found], it: &Found) -> (&'f Found, JsonMap<String, Json>) {
    let all: Vec<&'f Found> = found
        .iter()
        .filter(|other| other.instance == it.instance)
        .copied()
        .collect();
    let at = |turn: Turn| all.iter().find(|other| other.turn == Some(turn)).copied();
    let (next, former, lasting) = (at(Turn::Next), at(Turn::Former), at(Turn::Lasting));
    let ids = |names: &[(&str, Option<&Found>)]| -> JsonMap<String, Json> {
        names
            .iter()
            .filter_map(|(name, other)| {
                Some(((*name).to_owned(), other.as_ref()?.id.clone().into()))
            })
            .collect()
    };
    match (lasting, former) {
        (Some(lasting), _) => (lasting, ids(&[(SUCCESSOR, next), (PREDECESSOR, former)])),
        (None, Some(former)) if next.is_some() => (former, ids(&[(SUCCESSOR, next)])),
        // The predecessor was restored but not started yet.
        (None, Some(former)) => (former, ids(&[(PREDECESSOR, Some(former))])),
        (None, None) => (all.first().copied().unwrap_or(found[0]), JsonMap::new()),
    }
}

/// Returns the instance, with relationships to the instances that it needs and to the instances
/// of the objects that its own object refers to.
fn instance(it: &Found, all: &[&Found]) -> Instance {
    let named = |other: &&&Found| {
        it.about.needs.contains(&other.instance)
            || it.about.uses.contains(&other.name)
            || it.about.uses.contains(&other.id)
    };
    let tie = |other: &&Found| InstanceTie {
        target: other.instance.clone(),
        kind: RelationshipKind::DependsOn,
        type_name: String::new(),
    };
    Instance {
        id: it.instance.clone(),
        node: it.about.node.clone(),
        index: it.about.index,
        host: None,
        ties: all
            .iter()
            .filter(|other| other.instance != it.instance)
            .filter(named)
            .map(tie)
            .collect(),
        groups: Vec::new(),
    }
}
