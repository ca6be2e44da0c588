//! The parts of a blueprint that determine the number of instances and their relationships. They
//! are stored with the deployment, to scale it without its blueprint.

use super::{
    Blueprint, Definition, Deployment, DesiredCount, Instance, InstanceCounts, Node, Numbering,
    Relationship, RelationshipDefinition, RelationshipKind, ScalingGroup,
    instances::{Containment, Part},
    modify,
};
use crate::{
    diagnostic::{Diagnostics, Span, Spanned},
    syntax::{Data, Value},
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use thiserror::Error;

/// Instance counts and scaling groups of a blueprint.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Structure {
    /// Declared initial number of instances of each node and scaling group.
    pub numbers: IndexMap<String, usize>,
    /// Names and first numbers of instances, of the nodes that declare them.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub numbering: IndexMap<String, Numbering>,
    /// Members of the scaling groups.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub groups: IndexMap<String, BTreeSet<String>>,
    /// Nodes and groups that were scaled to 0. Absent in deployments of older versions, which did
    /// not store them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emptied: Option<BTreeSet<String>>,
}

impl Structure {
    pub(super) fn of(blueprint: &Blueprint) -> Self {
        let nodes = blueprint
            .nodes
            .iter()
            .map(|(name, node)| (name, &node.instance_counts));
        let groups = blueprint
            .scaling_groups
            .iter()
            .map(|(name, group)| (name, &group.instance_counts));
        Self {
            numbers: nodes
                .chain(groups)
                .map(|(name, numbers)| (name.clone(), numbers.initial().unwrap_or(1)))
                .collect(),
            numbering: declared_numbering(blueprint),
            groups: blueprint
                .scaling_groups
                .iter()
                .map(|(name, group)| (name.clone(), group.members.clone()))
                .collect(),
            emptied: Some(BTreeSet::new()),
        }
    }
}

/// Returns the names and numbers of instances, of the nodes that declare them.
pub(super) fn declared_numbering(blueprint: &Blueprint) -> IndexMap<String, Numbering> {
    let nodes = blueprint.nodes.iter();
    let declared = nodes.filter(|(_, node)| !node.numbering.is_default());
    declared
        .map(|(name, node)| (name.clone(), node.numbering.clone()))
        .collect()
}

/// Reason why a node or group cannot be scaled as requested.
#[derive(Clone, Debug, Error, PartialEq)]
#[expect(missing_docs, reason = "the messages explain the variants")]
pub enum ScalingError {
    #[error("there is no node or scaling group `{0}`")]
    Unknown(String),
    #[error("cannot scale `{name}` from {current} to {after} instances ({delta:+})")]
    Negative {
        name: String,
        current: usize,
        delta: i64,
        after: i64,
    },
    #[error("instances to remove or to keep can only be selected when scaling down")]
    HintsWhenScalingUp,
    #[error("`{0}` is not an instance of the scaled node or group")]
    UnknownInstance(String),
    #[error("`{0}` is selected both to remove and to keep")]
    ConflictingHints(String),
    #[error("more instances are selected to keep ({kept}) than would remain ({wanted})")]
    TooManyKept { kept: usize, wanted: usize },
    #[error("more instances are selected to remove ({removed}) than scaling removes ({fewer})")]
    TooManyRemoved { removed: usize, fewer: usize },
    #[error(
        "the instances of `{0}` have names: change the names instead, and update the deployment"
    )]
    Named(String),
    #[error("the deployment would have too many instances")]
    TooManyInstances,
}

/// Request to scale a node or scaling group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScalingRequest {
    /// Name of the node or group.
    pub entity: String,
    /// Change of the number of instances, per instance of the container.
    pub delta: i64,
    /// IDs of instances to remove first.
    pub include: BTreeSet<String>,
    /// IDs of instances to keep.
    pub exclude: BTreeSet<String>,
}

/// Result of scaling.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingResult {
    /// All instances, including those to remove.
    pub instances: Vec<Instance>,
    /// IDs of the added instances.
    pub added: Vec<String>,
    /// IDs of the instances to remove.
    pub removed: Vec<String>,
    /// Nodes and groups without instances because they were scaled to 0.
    pub emptied: Option<BTreeSet<String>>,
}

impl Deployment {
    /// Computes the result of scaling. If instances must be removed and no hint selects them, those
    /// with the highest numbers are removed.
    ///
    /// # Errors
    ///
    /// If the request is invalid.
    pub fn scale(
        &self,
        scaling: &ScalingRequest,
        random: &mut fastrand::Rng,
    ) -> Result<ScalingResult, ScalingError> {
        self.check_unnamed(&scaling.entity)?;
        let wanted = self.desired_count(scaling)?;
        let mut emptied = self.structure.emptied.clone();
        if let Some(emptied) = &mut emptied {
            emptied.remove(&scaling.entity);
            emptied.extend((wanted.instances == 0).then(|| scaling.entity.clone()));
        }
        let (skeleton, mut d) = (self.skeleton(), Diagnostics::default());
        let wanted = IndexMap::from([(scaling.entity.clone(), wanted)]);
        let modification = modify(
            &skeleton,
            &skeleton,
            &self.instances,
            &wanted,
            random,
            &mut d,
        );
        if d.iter().any(crate::diagnostic::Diagnostic::is_error) {
            return Err(ScalingError::TooManyInstances);
        }
        let ids = |touched: &[super::AffectedInstance]| {
            touched
                .iter()
                .filter(|it| it.is_changed)
                .map(|it| it.instance.id.clone())
                .collect()
        };
        let (added, removed): (Vec<String>, Vec<String>) = (
            ids(&modification.added_and_related),
            ids(&modification.removed_and_related),
        );
        let instances = if removed.is_empty() {
            modification.instances
        } else {
            self.instances.clone()
        };
        Ok(ScalingResult {
            instances,
            added,
            removed,
            emptied,
        })
    }

    /// Fails if a node or group contains a node whose instances have names: their number follows
    /// from the names.
    fn check_unnamed(&self, entity: &str) -> Result<(), ScalingError> {
        let skeleton = self.skeleton();
        let containment = Containment::new(&skeleton);
        let is_inside = |node: &String| {
            let ancestors = containment.with_ancestors(Part::Node(node));
            ancestors.iter().any(|part| part.name() == entity)
        };
        let named = self.structure.numbering.iter();
        let mut named = named.filter(|(_, numbering)| !numbering.names.is_empty());
        match named.find(|(node, _)| is_inside(node)) {
            Some((node, _)) => Err(ScalingError::Named(node.clone())),
            None => Ok(()),
        }
    }

    fn desired_count(&self, scaling: &ScalingRequest) -> Result<DesiredCount, ScalingError> {
        let ScalingRequest {
            entity,
            delta,
            include,
            exclude,
        } = scaling;
        let current = self
            .instance_count(entity)
            .ok_or_else(|| ScalingError::Unknown(entity.clone()))?;
        let after = i64::try_from(current)
            .unwrap_or(i64::MAX)
            .saturating_add(*delta);
        let negative = |_| ScalingError::Negative {
            name: entity.clone(),
            current,
            delta: *delta,
            after,
        };
        let instances = usize::try_from(after).map_err(negative)?;
        self.check_hints(scaling, instances, current)?;
        Ok(DesiredCount {
            instances,
            include: include.clone(),
            exclude: exclude.clone(),
        })
    }

    fn check_hints(
        &self,
        scaling: &ScalingRequest,
        wanted: usize,
        current: usize,
    ) -> Result<(), ScalingError> {
        let ScalingRequest {
            entity,
            include,
            exclude,
            ..
        } = scaling;
        if include.is_empty() && exclude.is_empty() {
            return Ok(());
        }
        if wanted >= current {
            return Err(ScalingError::HintsWhenScalingUp);
        }
        let is_its = |id: &str| {
            self.instance(id).is_some_and(|it| {
                it.node == *entity || it.groups.iter().any(|group| group.name == *entity)
            })
        };
        if let Some(unknown) = include.iter().chain(exclude).find(|id| !is_its(id)) {
            return Err(ScalingError::UnknownInstance(unknown.clone()));
        }
        if let Some(both) = include.intersection(exclude).next() {
            return Err(ScalingError::ConflictingHints(both.clone()));
        }
        if exclude.len() > wanted {
            return Err(ScalingError::TooManyKept {
                kept: exclude.len(),
                wanted,
            });
        }
        if include.len() > current - wanted {
            return Err(ScalingError::TooManyRemoved {
                removed: include.len(),
                fewer: current - wanted,
            });
        }
        Ok(())
    }

    /// Returns the number of instances of a node or group, per instance of its container; `None` if
    /// there is no such node or group.
    #[must_use]
    pub fn instance_count(&self, entity: &str) -> Option<usize> {
        let is_group = self.structure.groups.contains_key(entity);
        if !is_group && !self.nodes.contains_key(entity) {
            return None;
        }
        let mut inside: HashMap<Option<&str>, BTreeSet<&str>> = HashMap::new();
        for instance in &self.instances {
            let container = instance
                .relationships
                .iter()
                .find(|relationship| relationship.kind == RelationshipKind::ContainedIn)
                .map(|relationship| relationship.target.as_str());
            if let Some(at) = instance
                .groups
                .iter()
                .position(|group| group.name == entity)
            {
                let outer = instance
                    .groups
                    .get(at + 1)
                    .map(|group| group.id.as_str())
                    .or(container);
                inside
                    .entry(outer)
                    .or_default()
                    .insert(&instance.groups[at].id);
            } else if instance.node == entity {
                let outer = instance
                    .groups
                    .first()
                    .map(|group| group.id.as_str())
                    .or(container);
                inside.entry(outer).or_default().insert(&instance.id);
            }
        }
        Some(inside.values().map(BTreeSet::len).max().unwrap_or(0))
    }

    /// Returns the names of nodes without instances although neither the blueprint nor `scale` set
    /// their number to 0. A non-empty result means a bug in dockctl: continuing would remove the
    /// objects of these nodes.
    #[must_use]
    pub fn nodes_without_instances(&self) -> Vec<&str> {
        let Some(emptied) = &self.structure.emptied else {
            return Vec::new();
        };
        let skeleton = self.skeleton();
        let containment = Containment::new(&skeleton);
        let is_zero = |part: &Part<'_>| {
            emptied.contains(part.name()) || self.structure.numbers.get(part.name()) == Some(&0)
        };
        let populated: BTreeSet<&str> = self
            .instances
            .iter()
            .map(|instance| instance.node.as_str())
            .collect();
        let empty = self
            .nodes
            .keys()
            .map(String::as_str)
            .filter(|name| !populated.contains(name));
        empty
            .filter(|name| {
                !containment
                    .with_ancestors(Part::Node(name))
                    .iter()
                    .any(is_zero)
            })
            .collect()
    }

    /// Returns the nodes and groups of a newer blueprint that were scaled to 0 and for which it
    /// declares no new number.
    pub(super) fn still_scaled_to_zero(&self, blueprint: &Blueprint) -> BTreeSet<String> {
        let declared = self.changed_counts(blueprint, &BTreeSet::new());
        let names = blueprint
            .nodes
            .keys()
            .chain(blueprint.scaling_groups.keys());
        let is_empty = |name: &&String| match &self.structure.emptied {
            Some(emptied) => emptied.contains(*name),
            None => self.instance_count(name) == Some(0),
        };
        names
            .filter(is_empty)
            .filter(|name| !declared.contains_key(*name))
            .cloned()
            .collect()
    }

    /// Returns the deployment without some instances and without relationships to them.
    #[must_use]
    pub fn without(&self, ids: &[String]) -> Self {
        let mut left = self.clone();
        left.instances
            .retain(|instance| !ids.contains(&instance.id));
        for instance in &mut left.instances {
            instance
                .relationships
                .retain(|relationship| !ids.contains(&relationship.target));
        }
        left
    }

    /// Returns the part of the blueprint that determines the instances.
    #[must_use]
    pub fn skeleton(&self) -> Blueprint {
        let number =
            |name: &str| instance_counts(self.structure.numbers.get(name).copied().unwrap_or(1));
        let node = |(name, definition): (&String, &Arc<Definition>)| {
            let numbering = self.structure.numbering.get(name).cloned();
            let node = Node {
                numbering: numbering.unwrap_or_default(),
                ..node(name, definition, number(name))
            };
            (name.clone(), node)
        };
        let group = |(name, members): (&String, &BTreeSet<String>)| {
            (
                name.clone(),
                ScalingGroup {
                    members: members.clone(),
                    instance_counts: number(name),
                },
            )
        };
        Blueprint {
            nodes: self.nodes.iter().map(node).collect(),
            scaling_groups: self.structure.groups.iter().map(group).collect(),
            ..Blueprint::default()
        }
    }

    /// Returns the nodes and groups whose declared number differs in a blueprint, with the new
    /// number. An unchanged number has no effect on an existing deployment, which may have been
    /// scaled.
    pub(super) fn changed_counts(
        &self,
        blueprint: &Blueprint,
        removed_first: &BTreeSet<String>,
    ) -> IndexMap<String, DesiredCount> {
        let now = Structure::of(blueprint).numbers;
        let before = &self.structure.numbers;
        let is_other = |(name, number): &(&String, &usize)| {
            before.get(*name) != Some(number) && (before.contains_key(*name) || before.is_empty())
        };
        let wanted = |number: usize| DesiredCount {
            instances: number,
            include: removed_first.clone(),
            ..DesiredCount::default()
        };
        now.iter()
            .filter(is_other)
            .map(|(name, number)| (name.clone(), wanted(*number)))
            .collect()
    }
}

fn instance_counts(number: usize) -> InstanceCounts {
    let whole = |number: i64| Value::new(Span::NOWHERE, Data::Int(number));
    InstanceCounts {
        min: whole(0),
        max: whole(-1),
        default: whole(i64::try_from(number).unwrap_or(i64::MAX)),
    }
}

fn spanned<T>(node: T) -> Spanned<T> {
    Spanned {
        node,
        span: Span::NOWHERE,
    }
}

fn node(name: &str, definition: &Definition, numbers: InstanceCounts) -> Node {
    Node {
        name: spanned(name.to_owned()),
        hierarchy: Arc::new(
            definition
                .hierarchy
                .iter()
                .map(|name| Arc::from(name.as_str()))
                .collect(),
        ),
        properties: IndexMap::new(),
        operations: Arc::default(),
        relationships: definition.relationships.iter().map(relationship).collect(),
        has_unknown_type: false,
        deploy: None,
        numbering: Numbering::default(),
        instance_counts: numbers,
        host: None,
    }
}

fn relationship(tie: &RelationshipDefinition) -> Relationship {
    let connection = tie
        .properties
        .get("connection_type")
        .and_then(|value| value.as_str())
        .unwrap_or("all_to_all");
    Relationship {
        relationship_type: Arc::default(),
        type_name: spanned(tie.type_name.clone()),
        kind: Some(tie.kind),
        properties: [(
            Arc::from("connection_type"),
            Value::text(Span::NOWHERE, connection),
        )]
        .into_iter()
        .collect(),
        target: spanned(tie.target.clone()),
        source_operations: Arc::default(),
        target_operations: Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog, diagnostic::Sources, model};

    const NODES: &str = "tosca_definitions_version: cloudify_dsl_1_3
node_types: {t: {}}
relationships:
  cloudify.relationships.depends_on: {properties: {connection_type: {default: all_to_all}}}
  cloudify.relationships.contained_in: {derived_from: cloudify.relationships.depends_on}
node_templates:
  host: {type: t, instances: {deploy: HOSTS}}
  app: {type: t, relationships: [{type: cloudify.relationships.contained_in, target: host}]}
  other: {type: t}
groups: {g: {members: [other]}}
policies: {p: {type: cloudify.policies.scaling, targets: [g], properties: {default_instances: 1}}}
";

    fn deployment(hosts: &str, before: Option<&Deployment>) -> Deployment {
        let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
        let file = sources.add_text("t.yaml", NODES.replace("HOSTS", hosts));
        let ast = catalog::load_source(
            file,
            &catalog::Options::default(),
            &mut sources,
            &mut faults,
        );
        let blueprint = model::resolve(ast, &sources, |_| false, &mut faults);
        let path = "/srv/t.yaml".as_ref();
        let origin = model::DeploymentSource {
            name: "t",
            path,
            given: serde_json::Map::new(),
            previous: before,
            planned: &[],
            removed_first: BTreeSet::new(),
            sources: &sources,
        };
        let made = Deployment::new(
            &origin,
            &blueprint,
            &IndexMap::new(),
            &mut fastrand::Rng::with_seed(1),
            &mut faults,
        );
        assert!(faults.is_empty(), "{faults:?}");
        made
    }

    fn scaled(deployment: &Deployment, entity: &str, delta: i64) -> Deployment {
        let scaling = ScalingRequest {
            entity: entity.to_owned(),
            delta,
            ..ScalingRequest::default()
        };
        let scaled = deployment
            .scale(&scaling, &mut fastrand::Rng::with_seed(2))
            .unwrap();
        let structure = Structure {
            emptied: scaled.emptied,
            ..deployment.structure.clone()
        };
        Deployment {
            instances: scaled.instances,
            structure,
            ..deployment.clone()
        }
        .without(&scaled.removed)
    }

    #[test]
    fn node_without_instances_is_reported_unless_set_to_0() {
        let whole = deployment("1", None);
        assert_eq!(whole.nodes_without_instances(), [""; 0]);
        let lost = |node: &str| {
            let ids: Vec<String> = whole
                .instances
                .iter()
                .filter(|it| it.node == node)
                .map(|it| it.id.clone())
                .collect();
            whole.without(&ids)
        };
        assert_eq!(
            (
                lost("app").nodes_without_instances(),
                lost("other").nodes_without_instances()
            ),
            (vec!["app"], vec!["other"])
        );
        assert_eq!(
            deployment("0", None).nodes_without_instances(),
            [""; 0],
            "the blueprint declares 0 for its container"
        );
        for entity in ["host", "app", "other", "g"] {
            let empty = scaled(&whole, entity, -1);
            assert_eq!(
                empty.nodes_without_instances(),
                [""; 0],
                "{entity} was scaled to 0"
            );
            assert_eq!(
                deployment("1", Some(&empty)).nodes_without_instances(),
                [""; 0],
                "still 0 after an update"
            );
        }
        let grown = scaled(&scaled(&whole, "app", -1), "app", 1);
        assert_eq!(grown.structure.emptied, Some(BTreeSet::new()));
    }
}
