//! Node instances: their number and their relationships.

use super::{Blueprint, Node, Relationship, RelationshipKind};
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Span, Spanned},
    syntax::Value,
};
use indexmap::IndexSet;
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

/// Maximum number of instances of one deployment.
pub(super) const MAX_INSTANCES: usize = 100_000;
/// Maximum estimated size of the instances of one deployment, in bytes, including relationships and
/// groups.
const MAX_SIZE: usize = 32 << 20;

/// One instance of a node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Instance {
    /// `<node>_<6 random characters of [a-z0-9]>`. Never changes while the instance exists.
    pub id: String,
    /// The node.
    pub node: String,
    /// Number of the instance within its node, by default from 0. Never changes, like the ID.
    pub index: usize,
    /// Name of its object, if it does not follow from the number. Never changes either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// ID of the outermost host: one that contains the instance, or the instance itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Relationships to other instances, in the order of the template.
    #[serde(rename = "ties")]
    pub relationships: Vec<InstanceRelationship>,
    /// Instances of scaling groups that contain it, innermost first. Its container may be in
    /// further groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupInstance>,
}

impl Instance {
    /// Creates an instance with only an ID and the name of its node.
    #[must_use]
    pub fn placeholder(id: &str, node: &str) -> Self {
        Self {
            id: id.to_owned(),
            node: node.to_owned(),
            index: 0,
            label: None,
            host: None,
            relationships: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// A relationship to another instance.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct InstanceRelationship {
    /// ID of the target.
    pub target: String,
    /// Base type of the relationship.
    pub kind: RelationshipKind,
    /// Name of its type.
    #[serde(default)]
    pub type_name: String,
}

/// One instance of a scaling group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GroupInstance {
    /// The group.
    pub name: String,
    /// `<group>_<6 random characters>`.
    pub id: String,
}

/// Instances. Containers precede their contents.
pub type Instances = Vec<Instance>;

/// Expands nodes into instances. Containers precede their contents. Instances in `previous` keep
/// their IDs.
#[must_use]
pub fn expand(
    blueprint: &Blueprint,
    previous: &[Instance],
    random: &mut fastrand::Rng,
    d: &mut Diagnostics,
) -> Instances {
    check_relationships(blueprint, d);
    populate(blueprint, previous, MemberChoice::AsDeclared, random, d)
}

/// Creates the instances of a blueprint. Some of them may exist already.
pub(super) fn populate<'p>(
    blueprint: &Blueprint,
    previous: &[Instance],
    population: MemberChoice<'p>,
    random: &'p mut fastrand::Rng,
    d: &mut Diagnostics,
) -> Instances {
    let groups = previous
        .iter()
        .flat_map(|instance| instance.groups.iter().map(|group| group.id.clone()));
    let mut expansion = Expansion {
        blueprint,
        containment: Containment::new(blueprint),
        population,
        known: previous
            .iter()
            .map(|instance| ((instance.node.as_str(), instance.index), instance))
            .collect(),
        used: previous
            .iter()
            .map(|instance| instance.id.clone())
            .chain(groups)
            .collect(),
        random,
        instances: Vec::new(),
        parents: Vec::new(),
        of_node: HashMap::with_capacity(blueprint.nodes.len()),
        groups: Vec::new(),
        of_group: HashMap::new(),
        size: 0,
    };
    for part in outermost_first(blueprint, d) {
        if !expansion.add_part(part, d) {
            break;
        }
    }
    expansion.connect(d);
    expansion.instances
}

/// How the members of each part are chosen.
pub(super) enum MemberChoice<'a> {
    /// As many as the blueprint declares. Members with a known number keep their IDs.
    AsDeclared,
    /// Chosen by a function of the part, the ID of the enclosing instance and the declared number.
    Chosen(&'a mut dyn FnMut(Part<'_>, Option<&str>, usize) -> Vec<Member>),
}

/// One instance of a part.
pub(super) enum Member {
    /// An existing instance with its ID and, for nodes, its number.
    Existing(String, usize),
    /// A new instance with its number, and its label if it has one.
    New(usize, Option<String>),
}

impl Member {
    /// Returns its number, which is meaningful only for nodes.
    pub(super) fn index(&self) -> usize {
        let (Self::Existing(_, index) | Self::New(index, _)) = self;
        *index
    }

    /// Returns the label of a new instance.
    fn label(&self) -> Option<&String> {
        match self {
            Self::New(_, label) => label.as_ref(),
            Self::Existing(..) => None,
        }
    }
}

/// A node or a scaling group; each has instances.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Part<'a> {
    Node(&'a str),
    Group(&'a str),
}

impl<'a> Part<'a> {
    pub(super) fn name(self) -> &'a str {
        match self {
            Self::Node(name) | Self::Group(name) => name,
        }
    }

    /// Returns its name if it is a group.
    fn as_group(self) -> Option<&'a str> {
        match self {
            Self::Group(name) => Some(name),
            Self::Node(_) => None,
        }
    }
}

/// The direct parent of each part. For a node: its scaling group, otherwise its container. For a
/// group: the enclosing group, otherwise the container of its members.
pub(super) struct Containment<'a> {
    blueprint: &'a Blueprint,
    group_of: HashMap<&'a str, &'a str>,
}

impl<'a> Containment<'a> {
    pub(super) fn new(blueprint: &'a Blueprint) -> Self {
        let pairs = blueprint.scaling_groups.iter().flat_map(|(name, group)| {
            let members = group.members.iter();
            members.map(move |member| (member.as_str(), name.as_str()))
        });
        Self {
            blueprint,
            group_of: pairs.collect(),
        }
    }

    pub(super) fn parent(&self, part: Part<'a>) -> Option<Part<'a>> {
        if let Some(group) = self.group_of.get(part.name()) {
            return Some(Part::Group(group));
        }
        self.container_of(part).map(Part::Node)
    }

    /// Returns the node that contains a part.
    fn container_of(&self, part: Part<'a>) -> Option<&'a str> {
        let container = match part {
            Part::Node(name) => self.blueprint.nodes.get(name).and_then(container),
            Part::Group(name) => self.container_of_group(name),
        };
        container.filter(|name| self.blueprint.nodes.contains_key(*name))
    }

    /// Returns true if a node is a member of a group, directly or through inner groups. The search
    /// is bounded because invalid groups may contain each other in a cycle.
    fn is_inside(&self, node: &str, group: &str) -> bool {
        let groups =
            std::iter::successors(self.group_of.get(node), |name| self.group_of.get(**name));
        groups
            .take(self.blueprint.scaling_groups.len())
            .any(|name| *name == group)
    }

    /// Returns the node that contains the members of a group but is not itself a member.
    fn container_of_group(&self, group: &str) -> Option<&'a str> {
        let mut pending: Vec<&'a str> = vec![self.blueprint.scaling_groups.get_key_value(group)?.0];
        while let Some(name) = pending.pop() {
            if let Some(group) = self.blueprint.scaling_groups.get(name) {
                pending.extend(group.members.iter().map(String::as_str));
            } else if let Some(container) = self
                .blueprint
                .nodes
                .get(name)
                .and_then(container)
                .filter(|it| !self.is_inside(it, group))
            {
                return Some(container);
            }
        }
        None
    }

    /// Returns a part and everything that encloses it, innermost first, up to a part that `stop`
    /// accepts.
    ///
    /// # Errors
    ///
    /// Returns the cycle if the part contains itself.
    fn with_ancestors_until(
        &self,
        part: Part<'a>,
        stop: impl Fn(&Part<'a>) -> bool,
    ) -> AncestorsResult<'a> {
        let (mut chain, mut current) = (IndexSet::new(), Some(part));
        while let Some(part) = current.filter(|part| !stop(part)) {
            if let (at, false) = chain.insert_full(part) {
                return Err(ContainmentCycle(chain.into_iter().skip(at).collect()));
            }
            current = self.parent(part);
        }
        Ok(chain.into_iter().collect())
    }

    /// Returns a part and everything that encloses it, innermost first. Returns only the part if it
    /// contains itself.
    pub(super) fn with_ancestors(&self, part: Part<'a>) -> Vec<Part<'a>> {
        self.with_ancestors_until(part, |_| false)
            .unwrap_or_else(|_| vec![part])
    }

    /// Returns all scaling groups that enclose a part, innermost first.
    fn enclosing_groups(&self, part: Part<'a>) -> Vec<&'a str> {
        let parent = self.with_ancestors(part).into_iter().skip(1);
        parent.filter_map(Part::as_group).collect()
    }
}

/// A part and everything that encloses it, innermost first, or the cycle that they form.
type AncestorsResult<'a> = Result<Vec<Part<'a>>, ContainmentCycle<'a>>;

/// Parts that contain each other.
#[derive(Debug)]
struct ContainmentCycle<'a>(Vec<Part<'a>>);

impl ContainmentCycle<'_> {
    fn to_diagnostic(&self, span: Span) -> Diagnostic {
        let closed = self.0.iter().chain(self.0.first());
        let names: Vec<&str> = closed.map(|part| part.name()).collect();
        let message = format!(
            "nodes and groups contain each other in a cycle: {}",
            names.join(" → ")
        );
        span.error(Code::GroupCycle, message)
    }
}

/// Returns all parts, containers and groups before their contents, otherwise in document order.
/// Reports a cycle as an error and returns nothing, because a partial list would look like a
/// deployment that lost its other instances.
fn outermost_first<'b>(blueprint: &'b Blueprint, d: &mut Diagnostics) -> Vec<Part<'b>> {
    containment_order(blueprint).unwrap_or_else(|cycle| {
        d.push(cycle);
        Vec::new()
    })
}

/// Returns all parts, containers and groups before their contents. Fails if there is a cycle.
fn containment_order(blueprint: &Blueprint) -> Result<Vec<Part<'_>>, Diagnostic> {
    let containment = Containment::new(blueprint);
    let mut order: IndexSet<Part<'_>> = IndexSet::with_capacity(blueprint.nodes.len());
    for (name, node) in &blueprint.nodes {
        let chain = containment.with_ancestors_until(Part::Node(name), |part| order.contains(part));
        let chain = chain.map_err(|cycle| cycle.to_diagnostic(node.name.span))?;
        order.extend(chain.into_iter().rev());
    }
    Ok(order.into_iter().collect())
}

/// Reports relationships that cannot be expanded: without a base type, or with an unknown
/// `connection_type`.
pub(super) fn check_relationships(blueprint: &Blueprint, d: &mut Diagnostics) {
    for (name, node) in &blueprint.nodes {
        let ties = node.relationships.iter();
        d.extend(ties.filter_map(|it| relationship_error(name, it)));
    }
}

fn relationship_error(source: &str, relationship: &Relationship) -> Option<Diagnostic> {
    let is_connected = is_all_to_one(relationship).is_some();
    match relationship.kind {
        None => Some(no_base_type_error(&relationship.type_name)),
        Some(RelationshipKind::ContainedIn) => None,
        Some(_) => (!is_connected).then(|| connection_type_error(source, relationship)),
    }
}

fn no_base_type_error(type_name: &Spanned<String>) -> Diagnostic {
    let message = format!(
        "relationship type `{}` is not derived from a base type",
        type_name.node
    );
    let fault = type_name.span.error(Code::UnsupportedRelationship, message);
    fault.hint("derive it from cloudify.relationships.depends_on, connected_to or contained_in")
}

fn connection_type_error(source: &str, relationship: &Relationship) -> Diagnostic {
    let given = relationship.properties.get("connection_type");
    let quoted = |value: &Value| format!("`{}`", value.to_key());
    let shown = given.map_or_else(|| "missing".to_owned(), quoted);
    let message = format!(
        "`connection_type` of the relationship from `{source}` to `{}` is {shown}",
        relationship.target.node
    );
    let span = given.map_or(relationship.type_name.span, |value| value.span);
    let fault = span.error(Code::ConnectionType, message);
    fault.hint("use all_to_all or all_to_one")
}

/// Returns the relationships of a node that are expanded. If several have the same target, the last
/// one applies.
fn expanded_relationships(node: &Node) -> Vec<&Relationship> {
    let mut targets: HashSet<&str> = HashSet::with_capacity(node.relationships.len());
    let last_first = node.relationships.iter().rev();
    let mut edges: Vec<&Relationship> = last_first
        .filter(|relationship| targets.insert(&relationship.target.node))
        .collect();
    edges.reverse();
    edges
}

/// Returns the container of a node. If several relationships have the same target, only the last
/// one counts.
fn container(node: &Node) -> Option<&str> {
    let own = node.container()?;
    let last = node
        .relationships
        .iter()
        .rfind(|relationship| relationship.target.node == own)?;
    (last.kind == Some(RelationshipKind::ContainedIn)).then_some(own)
}

/// Returns true for `all_to_one`, false for `all_to_all`, and `None` for anything else.
fn is_all_to_one(relationship: &Relationship) -> Option<bool> {
    let given = relationship.properties.get("connection_type");
    match given.and_then(Value::as_str) {
        Some("all_to_all") => Some(false),
        Some("all_to_one") => Some(true),
        _ => None,
    }
}

/// An enclosing instance of a node or of a group, by its position.
#[derive(Clone, Copy)]
enum Parent {
    Instance(usize),
    Group(usize),
}

/// Returns the member at a position of a part, as the blueprint declares it.
fn declared_member(blueprint: &Blueprint, part: Part<'_>, at: usize) -> Member {
    let node = match part {
        Part::Node(name) => blueprint.nodes.get(name),
        Part::Group(_) => None,
    };
    let numbering = node.map(|node| &node.numbering);
    let first = numbering.map_or(0, |numbering| numbering.first);
    Member::New(first + at, numbering.and_then(|it| it.label(at)))
}

fn name_used_twice(span: Span, node: &str, label: &str) -> Diagnostic {
    let message = format!(
        "several instances of `{node}` would have the name `{label}`: it is in several instances of its container or scaling group"
    );
    span.error(Code::InstanceNames, message)
}

struct Expansion<'a, 'p> {
    blueprint: &'a Blueprint,
    containment: Containment<'a>,
    population: MemberChoice<'p>,
    known: HashMap<(&'a str, usize), &'a Instance>,
    used: HashSet<String>,
    random: &'p mut fastrand::Rng,
    instances: Vec<Instance>,
    /// Direct parent of each instance.
    parents: Vec<Option<Parent>>,
    /// Positions of the instances of each node.
    of_node: HashMap<&'a str, Vec<usize>>,
    /// Instances of groups, each with its direct parent.
    groups: Vec<(GroupInstance, Option<Parent>)>,
    /// Positions of the instances of each group.
    of_group: HashMap<&'a str, Vec<usize>>,
    /// Estimated size of all instances, in bytes.
    size: usize,
}

impl<'a> Expansion<'a, '_> {
    /// Creates the instances of a part. Returns false if there would be too many.
    fn add_part(&mut self, part: Part<'a>, d: &mut Diagnostics) -> bool {
        let counts = match part {
            Part::Node(name) => &self.blueprint.nodes[name].instance_counts,
            Part::Group(name) => &self.blueprint.scaling_groups[name].instance_counts,
        };
        // The number is unknown after a reported error or while an input has no value.
        let each = counts.initial().unwrap_or(1).min(MAX_INSTANCES + 1);
        let mut members: Vec<(Option<Parent>, Member)> = Vec::new();
        let parents = self.parents_of(part);
        if let Part::Node(name) = part
            && parents.len() > 1
            && let [label, ..] = &self.blueprint.nodes[name].numbering.names[..]
        {
            d.push(name_used_twice(counts.default.span, name, label));
            return false;
        }
        for parent in parents {
            let first = members.len();
            let here = match &mut self.population {
                MemberChoice::AsDeclared => (first
                    ..first.saturating_add(each).min(MAX_INSTANCES + 1))
                    .map(|at| declared_member(self.blueprint, part, at))
                    .collect(),
                MemberChoice::Chosen(decide) => {
                    let id = parent.map(|parent| match parent {
                        Parent::Instance(at) => self.instances[at].id.as_str(),
                        Parent::Group(at) => self.groups[at].0.id.as_str(),
                    });
                    decide(part, id, each)
                }
            };
            members.extend(here.into_iter().map(|member| (parent, member)));
            if members.len() + self.instances.len() + self.groups.len() > MAX_INSTANCES {
                d.push(counts.default.span.error(
                    Code::Limit,
                    format!("the deployment would have more than {MAX_INSTANCES} instances"),
                ));
                return false;
            }
        }
        // All members are nested in as many groups as the first one.
        let groups = members
            .first()
            .map_or(0, |(parent, _)| self.size_of_groups(*parent));
        if !self.reserve_size(
            members.len() * (part.name().len() + size_of::<Instance>() + groups),
            counts.default.span,
            d,
        ) {
            return false;
        }
        match part {
            Part::Node(name) => self.add_nodes(name, &members),
            Part::Group(name) => self.add_group(name, members),
        }
        true
    }

    /// Returns the parents of the instances of a part; `None` is the top level.
    fn parents_of(&self, part: Part<'a>) -> Vec<Option<Parent>> {
        match self.containment.parent(part) {
            None => vec![None],
            Some(Part::Node(name)) => parents_at(self.of_node.get(name), Parent::Instance),
            Some(Part::Group(name)) => parents_at(self.of_group.get(name), Parent::Group),
        }
    }

    /// Adds to the estimated size. Reports an error and returns false if the limit is exceeded.
    fn reserve_size(&mut self, bytes: usize, span: Span, d: &mut Diagnostics) -> bool {
        self.size = self.size.saturating_add(bytes);
        if self.size > MAX_SIZE {
            d.push(too_large_error(span));
        }
        self.size <= MAX_SIZE
    }

    fn size_of_groups(&self, mut parent: Option<Parent>) -> usize {
        let mut size = 0;
        while let Some(Parent::Group(at)) = parent {
            let (group, next) = &self.groups[at];
            size += group.name.len() + group.id.len() + size_of::<GroupInstance>();
            parent = *next;
        }
        size
    }

    fn add_nodes(&mut self, name: &'a str, members: &[(Option<Parent>, Member)]) {
        let first = self.instances.len();
        for (parent, member) in members {
            let instance = self.new_instance(name, member, *parent);
            self.instances.push(instance);
            self.parents.push(*parent);
        }
        self.of_node
            .insert(name, (first..self.instances.len()).collect());
    }

    fn add_group(&mut self, name: &'a str, members: Vec<(Option<Parent>, Member)>) {
        let first = self.groups.len();
        for (parent, member) in members {
            let group = self.group_instance(name, member);
            self.groups.push((group, parent));
        }
        let positions = (first..self.groups.len()).collect();
        self.of_group.insert(name, positions);
    }

    fn group_instance(&mut self, name: &str, member: Member) -> GroupInstance {
        let id = match member {
            Member::Existing(id, _) => id,
            Member::New(..) => self.fresh_id(name),
        };
        let name = name.to_owned();
        GroupInstance { name, id }
    }

    fn new_instance(&mut self, name: &str, member: &Member, parent: Option<Parent>) -> Instance {
        let index = member.index();
        let known = self.known.get(&(name, index)).copied();
        let id = known.map_or_else(|| self.fresh_id(name), |known| known.id.clone());
        let container = self.container(parent);
        let host = container.and_then(|at| self.instances[at].host.clone());
        let host = host.or_else(|| self.blueprint.nodes[name].is_host().then(|| id.clone()));
        let groups = self.enclosing_groups(parent, known);
        Instance {
            id,
            node: name.to_owned(),
            index,
            label: member
                .label()
                .or(known.and_then(|it| it.label.as_ref()))
                .cloned(),
            host,
            relationships: Vec::new(),
            groups,
        }
    }

    /// Returns the innermost enclosing node instance.
    fn container(&self, mut parent: Option<Parent>) -> Option<usize> {
        while let Some(Parent::Group(at)) = parent {
            parent = self.groups[at].1;
        }
        match parent {
            Some(Parent::Instance(at)) => Some(at),
            _ => None,
        }
    }

    /// Returns the group instances that directly enclose an instance, innermost first. Known group
    /// instances keep their IDs.
    fn enclosing_groups(
        &mut self,
        mut parent: Option<Parent>,
        known: Option<&Instance>,
    ) -> Vec<GroupInstance> {
        let mut around = Vec::new();
        while let Some(Parent::Group(at)) = parent {
            let (group, next) = &mut self.groups[at];
            if let Some(before) =
                known.and_then(|known| known.groups.iter().find(|before| before.name == group.name))
            {
                group.id.clone_from(&before.id);
            }
            around.push(group.clone());
            parent = *next;
        }
        around
    }

    fn fresh_id(&mut self, name: &str) -> String {
        loop {
            let id = random_id(name, self.random);
            if self.used.insert(id.clone()) {
                return id;
            }
        }
    }

    fn connect(&mut self, d: &mut Diagnostics) {
        for (name, node) in &self.blueprint.nodes {
            let sources = self.of_node.get(name.as_str()).cloned().unwrap_or_default();
            let edges = expanded_relationships(node);
            let chosen: Vec<Targets> = edges
                .iter()
                .map(|relationship| self.targets(name, relationship, d))
                .collect();
            for at in sources {
                let mut ties: Vec<InstanceRelationship> = Vec::new();
                for (relationship, targets) in edges.iter().zip(&chosen) {
                    let targets = self.targets_of(at, targets);
                    let name = &relationship.type_name;
                    let each = relationship.target.node.len()
                        + name.node.len()
                        + size_of::<InstanceRelationship>();
                    if !self.reserve_size(targets.len() * each, name.span, d) {
                        return;
                    }
                    ties.extend(targets.iter().map(|target| InstanceRelationship {
                        target: self.instances[*target].id.clone(),
                        kind: relationship.kind.unwrap_or(RelationshipKind::DependsOn),
                        type_name: relationship.type_name.node.clone(),
                    }));
                }
                self.instances[at].relationships = ties;
            }
        }
    }

    /// Returns the target instances of a relationship.
    fn targets(&self, source: &str, relationship: &Relationship, d: &mut Diagnostics) -> Targets {
        let target = relationship.target.node.as_str();
        if relationship.kind == Some(RelationshipKind::ContainedIn) {
            return Targets::Container;
        }
        let all = self.of_node.get(target).cloned().unwrap_or_default();
        let one = is_all_to_one(relationship) == Some(true);
        match self.shared_group(source, target) {
            Some(group) if one => {
                if !all.is_empty() && self.of_node.get(source).is_some_and(|of| !of.is_empty()) {
                    d.push(all_to_one_in_group_error(source, relationship, group));
                }
                Targets::All(Vec::new())
            }
            Some(group) => Targets::InGroup(group.to_owned(), self.by_group(&all, group)),
            None if one => Targets::All(self.single_target(source, &all, relationship, d)),
            None => Targets::All(all),
        }
    }

    /// Returns the innermost scaling group that contains both nodes.
    fn shared_group<'s>(&'s self, source: &'s str, target: &'s str) -> Option<&'s str> {
        let around = self.containment.enclosing_groups(Part::Node(target));
        let mut own = self
            .containment
            .enclosing_groups(Part::Node(source))
            .into_iter();
        own.find(|group| around.contains(group))
    }

    /// Returns the instances by the ID of the group instance that contains them.
    fn by_group(&self, all: &[usize], group: &str) -> HashMap<String, Vec<usize>> {
        let mut of_group: HashMap<String, Vec<usize>> = HashMap::new();
        for at in all {
            if let Some(id) = self.enclosing_group_id(*at, group) {
                of_group.entry(id.to_owned()).or_default().push(*at);
            }
        }
        of_group
    }

    /// Returns the target of an `all_to_one` relationship: the present target, otherwise the
    /// instance with the smallest ID.
    fn single_target(
        &self,
        source: &str,
        all: &[usize],
        relationship: &Relationship,
        d: &mut Diagnostics,
    ) -> Vec<usize> {
        let before = self
            .known
            .values()
            .filter(|instance| instance.node == source)
            .flat_map(|instance| &instance.relationships);
        let used: HashSet<&str> = before
            .filter(|tie| tie.type_name == relationship.type_name.node)
            .map(|tie| tie.target.as_str())
            .collect();
        let used: Vec<usize> = all
            .iter()
            .copied()
            .filter(|at| used.contains(self.instances[*at].id.as_str()))
            .collect();
        if used.len() > 1 {
            let message = format!(
                "`{source}` is `all_to_one`, but its instances are connected to {} instances of `{}`",
                used.len(),
                relationship.target.node
            );
            d.push(
                relationship
                    .type_name
                    .span
                    .error(Code::AllToOneState, message),
            );
        }
        let smallest = || all.iter().copied().min_by_key(|at| &self.instances[*at].id);
        used.first()
            .copied()
            .or_else(smallest)
            .into_iter()
            .collect()
    }

    /// Returns the ID of the group instance that contains an instance, directly or through its
    /// containers.
    fn enclosing_group_id(&self, at: usize, group: &str) -> Option<&str> {
        let places = std::iter::successors(self.parents[at], |place| self.parent_of(*place));
        let mut groups = places.filter_map(|place| self.as_group(place));
        let found = groups.find(|instance| instance.name == group);
        found.map(|instance| instance.id.as_str())
    }

    /// Returns the direct parent.
    fn parent_of(&self, place: Parent) -> Option<Parent> {
        match place {
            Parent::Group(at) => self.groups[at].1,
            Parent::Instance(at) => self.parents[at],
        }
    }

    /// Returns the group instance, unless it is a node instance.
    fn as_group(&self, place: Parent) -> Option<&GroupInstance> {
        match place {
            Parent::Group(at) => Some(&self.groups[at].0),
            Parent::Instance(_) => None,
        }
    }

    fn targets_of<'t>(&self, at: usize, targets: &'t Targets) -> Cow<'t, [usize]> {
        match targets {
            Targets::Container => self.container(self.parents[at]).into_iter().collect(),
            Targets::All(all) => all.as_slice().into(),
            Targets::InGroup(group, of) => {
                let together = self.enclosing_group_id(at, group).and_then(|id| of.get(id));
                together.map_or(&[][..], Vec::as_slice).into()
            }
        }
    }
}

/// Returns the instances at some positions as parents.
fn parents_at(positions: Option<&Vec<usize>>, parent: fn(usize) -> Parent) -> Vec<Option<Parent>> {
    let positions = positions.into_iter().flatten();
    positions.map(|at| Some(parent(*at))).collect()
}

fn too_large_error(span: Span) -> Diagnostic {
    let message = format!(
        "the instances and relationships of the deployment would need more than {} MiB",
        MAX_SIZE >> 20
    );
    span.error(Code::Limit, message)
}

/// Returns a name with six random characters.
pub(crate) fn random_id(name: &str, random: &mut fastrand::Rng) -> String {
    const CHARACTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut id = String::with_capacity(name.len() + 7);
    id.push_str(name);
    id.push('_');
    for _ in 0..6 {
        id.push(char::from(CHARACTERS[random.usize(..CHARACTERS.len())]));
    }
    id
}

fn all_to_one_in_group_error(source: &str, relationship: &Relationship, group: &str) -> Diagnostic {
    let target = &relationship.target.node;
    let message = format!(
        "`all_to_one` cannot connect `{source}` and `{target}`: both are in the scaling group `{group}`"
    );
    let span = relationship.type_name.span;
    let fault = span.error(Code::AllToOneInGroup, message);
    fault.hint("use all_to_all: it connects members of the same group instance")
}

/// Target instances of a relationship.
enum Targets {
    /// The container of the source.
    Container,
    /// These instances, for every source.
    All(Vec<usize>),
    /// The instances in the same group instance as the source, by ID of the group instance.
    InGroup(String, HashMap<String, Vec<usize>>),
}
