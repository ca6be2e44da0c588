//! What of a blueprint decides how many instances there are and how they are connected. It is kept with the deployment, so that this
//! can be scaled without its blueprint.

use super::{
    Blueprint, Definition, Deployment, Instance, Node, Numbers, Relationship, RelationshipKind, ScalingGroup, Tie, Wanted, modify,
};
use crate::{
    diagnostic::{Diagnostics, FileId, Span, Spanned},
    syntax::{Data, Value},
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use thiserror::Error;

/// Numbers and groups of a blueprint.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Structure {
    /// How many instances each node and each scaling group is declared to have at first.
    pub numbers: IndexMap<String, usize>,
    /// Members of the scaling groups.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub groups: IndexMap<String, BTreeSet<String>>,
}

impl Structure {
    pub(super) fn of(blueprint: &Blueprint) -> Self {
        let nodes = blueprint.nodes.iter().map(|(name, node)| (name, &node.numbers));
        let groups = blueprint.scaling_groups.iter().map(|(name, group)| (name, &group.numbers));
        Self {
            numbers: nodes.chain(groups).map(|(name, numbers)| (name.clone(), numbers.first().unwrap_or(1))).collect(),
            groups: blueprint.scaling_groups.iter().map(|(name, group)| (name.clone(), group.members.clone())).collect(),
        }
    }
}

/// Why a node or a group cannot be scaled so.
#[derive(Clone, Debug, Error, PartialEq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Unscalable {
    #[error("there is no node and no scaling group `{0}`")]
    Unknown(String),
    #[error("`{name}` has {current} of them now: {delta:+} would make {after}")]
    Negative { name: String, current: usize, delta: i64, after: i64 },
    #[error("instances to remove or to keep are only named when there are to be fewer")]
    HintsWhenGrowing,
    #[error("`{0}` is no instance of what is scaled")]
    UnknownInstance(String),
    #[error("`{0}` is to be removed and to be kept")]
    Contradiction(String),
    #[error("{kept} instances are to be kept, and only {wanted} are to be left")]
    TooManyKept { kept: usize, wanted: usize },
    #[error("{removed} instances are to be removed, and only {fewer} are to go")]
    TooManyRemoved { removed: usize, fewer: usize },
    #[error("there would be more instances than one deployment can have")]
    TooMany,
}

/// How a node or a scaling group is to be scaled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scaling {
    /// The node or group.
    pub entity: String,
    /// How many more, for each instance of what contains it.
    pub delta: i64,
    /// Ids of instances to remove first.
    pub include: BTreeSet<String>,
    /// Ids of instances to keep.
    pub exclude: BTreeSet<String>,
}

/// What comes of scaling.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled {
    /// Every instance there is then, those that go included.
    pub instances: Vec<Instance>,
    /// Ids of those that are new.
    pub added: Vec<String>,
    /// Ids of those that go.
    pub removed: Vec<String>,
}

impl Deployment {
    /// Works out what scaling means. Where instances go and no hint tells which, those with the highest numbers do.
    ///
    /// # Errors
    ///
    /// If it cannot be.
    pub fn scale(&self, scaling: &Scaling, random: &mut fastrand::Rng) -> Result<Scaled, Unscalable> {
        let wanted = self.wanted(scaling)?;
        let (skeleton, mut d) = (self.skeleton(), Diagnostics::default());
        let wanted = IndexMap::from([(scaling.entity.clone(), wanted)]);
        let modification = modify(&skeleton, &skeleton, &self.instances, &wanted, random, &mut d);
        if d.iter().any(crate::diagnostic::Diagnostic::is_error) {
            return Err(Unscalable::TooMany);
        }
        let ids = |touched: &[super::Touched]| touched.iter().filter(|it| it.is_changed).map(|it| it.instance.id.clone()).collect();
        let (added, removed): (Vec<String>, Vec<String>) = (ids(&modification.added_and_related), ids(&modification.removed_and_related));
        let instances = if removed.is_empty() { modification.instances } else { self.instances.clone() };
        Ok(Scaled { instances, added, removed })
    }

    fn wanted(&self, scaling: &Scaling) -> Result<Wanted, Unscalable> {
        let Scaling { entity, delta, include, exclude } = scaling;
        let current = self.number(entity).ok_or_else(|| Unscalable::Unknown(entity.clone()))?;
        let after = i64::try_from(current).unwrap_or(i64::MAX).saturating_add(*delta);
        let negative = |_| Unscalable::Negative { name: entity.clone(), current, delta: *delta, after };
        let instances = usize::try_from(after).map_err(negative)?;
        self.check_hints(scaling, instances, current)?;
        Ok(Wanted { instances, include: include.clone(), exclude: exclude.clone() })
    }

    fn check_hints(&self, scaling: &Scaling, wanted: usize, current: usize) -> Result<(), Unscalable> {
        let Scaling { entity, include, exclude, .. } = scaling;
        if include.is_empty() && exclude.is_empty() {
            return Ok(());
        }
        if wanted >= current {
            return Err(Unscalable::HintsWhenGrowing);
        }
        let is_its =
            |id: &str| self.instance(id).is_some_and(|it| it.node == *entity || it.groups.iter().any(|group| group.name == *entity));
        if let Some(unknown) = include.iter().chain(exclude).find(|id| !is_its(id)) {
            return Err(Unscalable::UnknownInstance(unknown.clone()));
        }
        if let Some(both) = include.intersection(exclude).next() {
            return Err(Unscalable::Contradiction(both.clone()));
        }
        if exclude.len() > wanted {
            return Err(Unscalable::TooManyKept { kept: exclude.len(), wanted });
        }
        if include.len() > current - wanted {
            return Err(Unscalable::TooManyRemoved { removed: include.len(), fewer: current - wanted });
        }
        Ok(())
    }

    /// How many instances a node or a group has, for each instance of what contains it; none if there is no such thing.
    #[must_use]
    pub fn number(&self, entity: &str) -> Option<usize> {
        let is_group = self.structure.groups.contains_key(entity);
        if !is_group && !self.nodes.contains_key(entity) {
            return None;
        }
        let mut inside: HashMap<Option<&str>, BTreeSet<&str>> = HashMap::new();
        for instance in &self.instances {
            let container = instance.ties.iter().find(|tie| tie.kind == RelationshipKind::ContainedIn).map(|tie| tie.target.as_str());
            if let Some(at) = instance.groups.iter().position(|group| group.name == entity) {
                let outer = instance.groups.get(at + 1).map(|group| group.id.as_str()).or(container);
                inside.entry(outer).or_default().insert(&instance.groups[at].id);
            } else if instance.node == entity {
                let outer = instance.groups.first().map(|group| group.id.as_str()).or(container);
                inside.entry(outer).or_default().insert(&instance.id);
            }
        }
        Some(inside.values().map(BTreeSet::len).max().unwrap_or(0))
    }

    /// The deployment without some instances, and without relationships to them.
    #[must_use]
    pub fn without(&self, ids: &[String]) -> Self {
        let mut left = self.clone();
        left.instances.retain(|instance| !ids.contains(&instance.id));
        for instance in &mut left.instances {
            instance.ties.retain(|tie| !ids.contains(&tie.target));
        }
        left
    }

    /// As much of the blueprint as decides about instances.
    #[must_use]
    pub fn skeleton(&self) -> Blueprint {
        let number = |name: &str| numbers(self.structure.numbers.get(name).copied().unwrap_or(1));
        let node = |(name, definition): (&String, &Definition)| (name.clone(), node(name, definition, number(name)));
        let group = |(name, members): (&String, &BTreeSet<String>)| {
            (name.clone(), ScalingGroup { members: members.clone(), numbers: number(name) })
        };
        Blueprint {
            nodes: self.nodes.iter().map(node).collect(),
            scaling_groups: self.structure.groups.iter().map(group).collect(),
            ..Blueprint::default()
        }
    }

    /// Nodes and groups whose declared number is another in a blueprint, with that number: only then it counts for a deployment
    /// that exists, which may have been scaled.
    pub(super) fn declared_anew(&self, blueprint: &Blueprint) -> IndexMap<String, Wanted> {
        let now = Structure::of(blueprint).numbers;
        let before = &self.structure.numbers;
        let is_other =
            |(name, number): &(&String, &usize)| before.get(*name) != Some(number) && (before.contains_key(*name) || before.is_empty());
        let wanted = |number: usize| Wanted { instances: number, ..Wanted::default() };
        now.iter().filter(is_other).map(|(name, number)| (name.clone(), wanted(*number))).collect()
    }
}

/// A place where nothing was written.
const NOWHERE: Span = Span { file: FileId(0), start: 0, end: 0 };

fn numbers(number: usize) -> Numbers {
    let whole = |number: i64| Value::new(NOWHERE, Data::Int(number));
    Numbers { min: whole(0), max: whole(-1), default: whole(i64::try_from(number).unwrap_or(i64::MAX)) }
}

fn spanned<T>(node: T) -> Spanned<T> {
    Spanned { node, span: NOWHERE }
}

fn node(name: &str, definition: &Definition, numbers: Numbers) -> Node {
    Node {
        name: spanned(name.to_owned()),
        hierarchy: Arc::new(definition.hierarchy.iter().map(|name| Arc::from(name.as_str())).collect()),
        properties: IndexMap::new(),
        operations: Arc::default(),
        relationships: definition.ties.iter().map(relationship).collect(),
        is_open: false,
        deploy: None,
        numbers,
        host: None,
    }
}

fn relationship(tie: &Tie) -> Relationship {
    let connection = tie.properties.get("connection_type").and_then(|value| value.as_str()).unwrap_or("all_to_all");
    Relationship {
        relationship_type: Arc::default(),
        type_name: spanned(tie.type_name.clone()),
        kind: Some(tie.kind),
        properties: [(Arc::from("connection_type"), Value::text(NOWHERE, connection))].into_iter().collect(),
        target: spanned(tie.target.clone()),
        source_operations: Arc::default(),
        target_operations: Arc::default(),
    }
}
