//! What objects tell of a deployment whose journal is gone: labels, or whatever a system keeps with
//! them. What this state directory sealed is its own; everything else is a claim.

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

/// What labels tell of a deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    /// The deployment, as far as they tell.
    pub deployment: Deployment,
    /// Its instances by id.
    pub instances: IndexMap<String, InstanceRecord>,
    /// What is known to be missing, each with the reason.
    pub left_out: Vec<(String, String)>,
    /// Ids of everything that carries the name of the deployment, whoever made it.
    pub seen: BTreeSet<String>,
}

/// What objects tell of the deployments of one name.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The name.
    pub deployment: String,
    /// The objects that carry it.
    pub found: Vec<Found>,
    /// Names of objects whose labels are not believed, each with the reason.
    pub doubts: Vec<(String, String)>,
}

/// Objects that carry the name of a deployment, and that nothing proves to be of it.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// Id of the deployment; where older objects have none, that of the key that sealed them.
    pub id: String,
    /// The blueprint.
    pub blueprint: PathBuf,
    /// Who made them.
    pub made_by: Option<AuthorName>,
    /// When the first of them was made, as the engine spells it.
    pub since: String,
    /// Kind and name of each.
    pub objects: Vec<String>,
}

/// An object, with what is kept with it.
#[derive(Clone, Debug)]
pub struct Found {
    /// What kind of object it is, such as `container`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made, as its system spells it.
    pub created: String,
    /// What is in it cannot be made again: it is only taken down if that is asked for.
    pub holds_data: bool,
    /// It stays when its deployment is taken down.
    pub outlives: bool,
    /// Of what can be replaced by another: which of them it is.
    pub turn: Option<Turn>,
    /// Id of the instance that it stands for.
    pub instance: String,
    /// What the instance is, as far as that is kept with the object.
    pub about: About,
    /// State of the instance.
    pub state: InstanceState,
    /// Its runtime properties.
    pub properties: JsonMap<String, Json>,
    /// Whose it is.
    pub whose: Whose,
}

/// Which of several objects of one instance it is, while one replaces another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// It has the name that lasts.
    Lasting,
    /// It was made to replace that one.
    Next,
    /// It is to be removed, or put back.
    Former,
}

/// What is kept of an instance with its object.
#[derive(Clone, Debug)]
pub struct About {
    /// Its node.
    pub node: String,
    /// Counts the instances of the node.
    pub index: usize,
    /// The blueprint.
    pub blueprint: PathBuf,
    /// What the node was, as far as that matters for taking it down.
    pub definition: Definition,
    /// Ids of instances that it needs.
    pub needs: Vec<String>,
    /// Names and ids of objects that its own names.
    pub uses: Vec<String>,
    /// The blueprint protects the node.
    pub is_protected: bool,
    /// How many instances the blueprint declared for the node; 0 if that was not noted.
    pub declared: usize,
    /// Instances without such an object, and why.
    pub beside: Vec<(String, String)>,
}

/// Whose an object is.
#[derive(Clone, Debug, Default)]
pub struct Whose {
    /// This state directory made it, or took it over.
    pub is_ours: bool,
    /// Id of the deployment; empty on older objects.
    pub deployment: String,
    /// Id of the key that sealed it.
    pub key: String,
    /// Who made it, as is said there.
    pub made_by: Option<AuthorName>,
}

impl Found {
    /// Whether it was made when the node had been scaled to more instances than its blueprint
    /// declares.
    fn is_scaled(&self) -> bool {
        self.about.declared > 0 && self.about.index >= self.about.declared
    }

    /// What tells deployments of one name apart.
    fn identity(&self) -> &str {
        if self.whose.deployment.is_empty() {
            &self.whose.key
        } else {
            &self.whose.deployment
        }
    }
}

impl Told {
    /// Nothing is told yet of the deployments of a name.
    #[must_use]
    pub fn of_name(deployment: impl Into<String>) -> Self {
        Self {
            deployment: deployment.into(),
            ..Self::default()
        }
    }

    /// What this state directory made; none if nothing is there.
    #[must_use]
    pub fn ours(&self) -> Option<Recovered> {
        self.of(|found| found.whose.is_ours)
    }

    /// What somebody claims: by id of the deployment.
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

    /// What this state directory made for a deployment, and a record does not know: none of these
    /// ids. What cannot be made again is among it only if that is asked for.
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

    /// What another state directory made for a deployment that a record knows: none of these ids.
    #[must_use]
    pub fn made_elsewhere(&self, deployment: &str, known: &HashSet<String>) -> Option<Recovered> {
        let made = self.of(|found| {
            !found.whose.is_ours
                && !deployment.is_empty()
                && found.whose.deployment == deployment
                && !known.contains(&found.id)
        });
        // The rest is known, or told by whoever is asked for all.
        made.map(|made| Recovered {
            left_out: Vec::new(),
            ..made
        })
    }

    /// The deployment with this id, whoever made it; none if nothing carries the id.
    #[must_use]
    pub fn identified(&self, id: &str) -> Option<Recovered> {
        self.of(|found| found.identity() == id)
    }

    /// What a user means who gives no id: what this state directory made, with what others made for
    /// the same deployment, else the only claim. None if nothing is there, or there are several
    /// claims.
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
                "another state directory made this"
            } else {
                "labels of another deployment name this"
            };
            (found.name.clone(), format!("{other} {}", found.kind))
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
                "nothing on this engine carries its name".to_owned(),
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
            // A kept volume names the instance that made it, which another object of today may be
            // called.
            let is_other = !others.values().any(|id| *id == it.id.as_str());
            let why = format!("this {} is of `{}` too", it.kind, it.instance);
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

/// A deployment of which labels tell where it comes from, and nothing yet of what it has.
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

/// How many instances of each node were declared, as far as that matters: a number that was scaled
/// holds until the blueprint declares another one. None if nothing was scaled: then the blueprint's
/// number counts.
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

/// Which object stands for the instance of one, and ids of others that a replacement left which
/// came to no end.
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
        // It has its place again, and is not started yet.
        (None, Some(former)) => (former, ids(&[(PREDECESSOR, Some(former))])),
        (None, None) => (all.first().copied().unwrap_or(found[0]), JsonMap::new()),
    }
}

/// The instance, tied to those that it needs and to those whose objects its own names.
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
