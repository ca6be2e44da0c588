//! What labels tell of a deployment, put together.

use super::label::{DELETE, Label, STOP, is_plain};
use crate::{
    engine::Kind,
    known::InstanceRecord,
    model::{
        Definition, Deployment, Instance, InstanceState, InstanceTie, Place, Planned, Positions,
        RelationshipKind, Retry, Structure,
    },
    plugins::docker::declare::{
        author::AuthorName,
        change::{CARRIED, FORMER, NEXT, PREDECESSOR, SUCCESSOR, lasting_name},
        container::{Container, nameless_volumes},
        label,
        operation::Operation,
    },
    seam::ObjectState,
};

use indexmap::IndexMap;

use serde::Serialize;
use serde_json::{Map as JsonMap, Value as Json};

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
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

/// What the labels on an engine tell of the deployments of one name.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub(crate) deployment: String,
    pub(crate) found: Vec<Found>,
    /// Objects whose labels were made for another object.
    pub(crate) doubts: Vec<(String, String)>,
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

/// An object with its label.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) instance: String,
    pub(crate) label: Label,
    pub(crate) state: InstanceState,
    pub(crate) properties: JsonMap<String, Json>,
    /// This state directory made it, or took it over.
    pub(crate) is_ours: bool,
    pub(crate) deployment_id: String,
    pub(crate) key: String,
    pub(crate) made_by: Option<AuthorName>,
    pub(crate) created: String,
}

impl Found {
    /// Whether its labels were made for an object of its kind; older ones do not say.
    pub(crate) fn is_of_its_kind(&self) -> bool {
        self.label.kind.is_empty() || self.label.kind == self.kind.as_str()
    }

    /// Whether it was made when the node had been scaled to more instances than its blueprint
    /// declares.
    pub(crate) fn is_scaled(&self) -> bool {
        self.label.declared > 0 && self.label.index >= self.label.declared
    }

    /// What tells deployments of one name apart.
    pub(crate) fn identity(&self) -> &str {
        if self.deployment_id.is_empty() {
            &self.key
        } else {
            &self.deployment_id
        }
    }
}

impl Told {
    /// What this state directory made; none if nothing is there.
    #[must_use]
    pub fn ours(&self) -> Option<Recovered> {
        self.of(|found| found.is_ours)
    }

    /// What somebody claims: by id of the deployment.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        let mut claims: IndexMap<&str, Vec<&Found>> = IndexMap::new();
        for found in self.found.iter().filter(|found| !found.is_ours) {
            claims.entry(found.identity()).or_default().push(found);
        }
        claims
            .into_iter()
            .map(|(id, found)| claim(id, &found))
            .collect()
    }

    /// What this state directory made for a deployment, and a record does not know: none of these
    /// ids. Volumes among it only if they are asked for.
    #[must_use]
    pub fn left_of(
        &self,
        deployment: &str,
        known: &HashSet<String>,
        volumes: bool,
    ) -> Option<Recovered> {
        let is_of = |id: &str| id.is_empty() || deployment.is_empty() || id == deployment;
        let is_asked_for = |found: &Found| volumes || found.kind != Kind::Volume;
        self.of(|found| {
            found.is_ours
                && is_of(&found.deployment_id)
                && !known.contains(&found.id)
                && is_asked_for(found)
        })
    }

    /// What another state directory made for a deployment that a record knows: none of these ids.
    #[must_use]
    pub fn made_elsewhere(&self, deployment: &str, known: &HashSet<String>) -> Option<Recovered> {
        let made = self.of(|found| {
            !found.is_ours
                && !deployment.is_empty()
                && found.deployment_id == deployment
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
            .filter(|found| found.is_ours)
            .map(Found::identity)
            .collect();
        match &self.claims()[..] {
            _ if !sealed.is_empty() => {
                self.of(|found| found.is_ours || sealed.contains(&found.identity()))
            }
            [only] => self.identified(&only.id),
            _ => None,
        }
    }

    pub(crate) fn of(&self, chosen: impl Fn(&Found) -> bool) -> Option<Recovered> {
        let (chosen, others): (Vec<&Found>, Vec<&Found>) =
            self.found.iter().partition(|found| chosen(found));
        let others = others.into_iter().map(|found| {
            let is_of_same = chosen.iter().any(|it| it.identity() == found.identity());
            let other = if is_of_same {
                "another state directory made this"
            } else {
                "labels of another deployment name this"
            };
            (
                found.name.clone(),
                format!("{other} {}", found.kind.as_str()),
            )
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
            .map(|it| it.label.blueprint.clone())
            .find(|path| !path.as_os_str().is_empty())
            .unwrap_or_default(),
        made_by: found.iter().find_map(|it| it.made_by.clone()),
        since: found
            .iter()
            .map(|it| it.created.as_str())
            .filter(|at| !at.is_empty())
            .min()
            .unwrap_or_default()
            .to_owned(),
        objects: found
            .iter()
            .map(|it| format!("{} {}", it.kind.as_str(), it.name))
            .collect(),
    }
}

impl Told {
    /// Takes an object in, unless its labels were made for another one or by nobody who follows the
    /// rules.
    pub(crate) fn add(&mut self, found: Found, is_claim: bool) {
        let reason = match &found.label {
            label if !is_claim || label.name != lasting_name(&found.name) => {
                "carries labels that were not made for it"
            }
            label if !label.is_printable() || !is_plain(&found.instance) => {
                "carries labels with control characters"
            }
            _ => return self.found.push(found),
        };
        self.doubts
            .push((found.name, format!("this {} {reason}", found.kind.as_str())));
    }
}

pub(crate) fn of_container(container: &Container) -> Found {
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
    // The label is a claim: what it names must be mounted there, and have no name of its own.
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
    Found {
        id: container.id(),
        name: container.name(),
        // One that ran and does not any more has drifted: its instance was started.
        state: if container.state() == ObjectState::Created && is_started {
            InstanceState::Created
        } else {
            InstanceState::Started
        },
        properties,
        ..told
    }
}

pub(crate) fn of_other(found: &Json, kind: Kind) -> Found {
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
    Found {
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

/// What only labels tell of an object.
fn of_labels(labels: &Json, created: Option<&str>) -> Found {
    let text = |name: &str| labels[name].as_str().unwrap_or_default().to_owned();
    Found {
        kind: Kind::Container,
        id: String::new(),
        name: String::new(),
        instance: text(label::INSTANCE),
        label: serde_json::from_str(&text(label::RECORD)).unwrap_or_default(),
        state: InstanceState::Started,
        properties: JsonMap::new(),
        is_ours: false,
        deployment_id: text(label::DEPLOYMENT_ID),
        key: text(label::KEY),
        made_by: AuthorName::of(labels),
        created: created.unwrap_or_default().to_owned(),
    }
}

pub(crate) fn put_together(
    name: &str,
    found: &[&Found],
    mut left_out: Vec<(String, String)>,
) -> Recovered {
    let is_found = |id: &String| found.iter().any(|it| it.instance == *id);
    let unlabelled = found.iter().flat_map(|it| it.label.beside.clone());
    let needed = found.iter().flat_map(|it| {
        it.label.needs.iter().map(|id| {
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
            let why = format!("this {} is of `{}` too", it.kind.as_str(), it.instance);
            left_out.extend(is_other.then(|| (it.name.clone(), why)));
            continue;
        }
        let properties = it.properties.clone().into_iter().chain(others).collect();
        instances.insert(
            it.instance.clone(),
            InstanceRecord {
                state: it.state,
                properties,
                outlives: it.kind == Kind::Volume
                    && it.label.properties.get("keep") != Some(&Json::Bool(false)),
                ..InstanceRecord::default()
            },
        );
        deployment
            .nodes
            .entry(it.label.node.clone())
            .or_insert_with(|| definition(it));
        deployment.instances.push(instance(it, found));
    }
    deployment.protected = found
        .iter()
        .filter(|it| it.label.protected)
        .map(|it| it.label.node.clone())
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
    let mut blueprints = found.iter().map(|it| it.label.blueprint.clone());
    let mut ids = found.iter().map(|it| it.deployment_id.clone());
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
            .find(|it| it.label.node == node && it.is_scaled())
            .map(|it| it.label.declared)
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
    let containers = || {
        all.iter()
            .filter(|other| other.kind == Kind::Container)
            .copied()
    };
    let ending = |end: &str| containers().find(|other| other.name.ends_with(end));
    let (next, former) = (ending(NEXT), ending(FORMER));
    let plain = containers().find(|other| lasting_name(&other.name) == other.name);
    let ids = |names: &[(&str, Option<&Found>)]| -> JsonMap<String, Json> {
        names
            .iter()
            .filter_map(|(name, other)| {
                Some(((*name).to_owned(), other.as_ref()?.id.clone().into()))
            })
            .collect()
    };
    match (plain, former) {
        (Some(plain), _) => (plain, ids(&[(SUCCESSOR, next), (PREDECESSOR, former)])),
        (None, Some(former)) if next.is_some() => (former, ids(&[(SUCCESSOR, next)])),
        // It has its place again, and is not started yet.
        (None, Some(former)) => (former, ids(&[(PREDECESSOR, Some(former))])),
        (None, None) => (all.first().copied().unwrap_or(found[0]), JsonMap::new()),
    }
}

/// The operations that remove what only labels know, where they name no `delete` that this version
/// can run: taken down without one, the object would stay and be called deleted.
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

fn definition(it: &Found) -> Definition {
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

/// Properties with the name that the node gives, for that tells what its objects are called.
fn named(it: &Found) -> JsonMap<String, Json> {
    let mut properties = it.label.properties.clone();
    let suffix = if it.label.index == 0 {
        String::new()
    } else {
        format!("-{}", it.label.index)
    };
    // Without a name of its own a container is called as its instance.
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

/// The instance, tied to those that it needs and to those whose objects its own names.
fn instance(it: &Found, all: &[&Found]) -> Instance {
    let named = |other: &&&Found| {
        it.label.needs.contains(&other.instance)
            || it.label.uses.contains(&other.name)
            || it.label.uses.contains(&other.id)
    };
    let tie = |other: &&Found| InstanceTie {
        target: other.instance.clone(),
        kind: RelationshipKind::DependsOn,
        type_name: String::new(),
    };
    Instance {
        id: it.instance.clone(),
        node: it.label.node.clone(),
        index: it.label.index,
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
