//! Changes when nodes are scaled or a blueprint is updated: added and removed instances, and added
//! and removed relationships of the others.

use super::{
    Blueprint, Instance, InstanceRelationship, Instances, Numbering, RelationshipKind,
    instances::{Containment, MAX_INSTANCES, Member, MemberChoice, Part, populate},
    structure::declared_numbering,
};
use crate::diagnostic::Diagnostics;
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Desired number of instances of a node or scaling group, per instance of its container.
#[derive(Clone, Debug, Default)]
pub struct DesiredCount {
    /// Desired number.
    pub instances: usize,
    /// IDs of instances to remove first. A member of a group instance selects the whole group
    /// instance.
    pub include: BTreeSet<String>,
    /// IDs of instances to keep.
    pub exclude: BTreeSet<String>,
}

/// An instance that a modification affects.
#[derive(Clone, Debug, PartialEq)]
pub struct AffectedInstance {
    /// The instance. A neighbor has only its added or removed relationships.
    pub instance: Instance,
    /// True if the instance itself is added, removed, extended or reduced; false for a neighbor.
    pub is_changed: bool,
}

/// The changes. Each list contains the changed instances and their neighbors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Modification {
    /// Added instances.
    pub added_and_related: Vec<AffectedInstance>,
    /// Removed instances.
    pub removed_and_related: Vec<AffectedInstance>,
    /// Remaining instances with their new relationships to other remaining instances.
    pub extended_and_related: Vec<AffectedInstance>,
    /// Remaining instances with their removed relationships to other remaining instances.
    pub reduced_and_related: Vec<AffectedInstance>,
    /// All instances after the modification.
    pub instances: Instances,
}

/// Computes the changes from `before` with its `previous` instances to `blueprint`. Nodes and
/// groups that are not in `wanted` keep their number of instances; in new containers they get as
/// many as in the existing ones. Limits of the blueprint on these numbers are not enforced, as in
/// Cloudify.
///
/// If instances must be removed and no hint selects them, those with the highest numbers are
/// removed.
#[must_use]
pub fn modify(
    blueprint: &Blueprint,
    before: &Blueprint,
    previous: &[Instance],
    desired: &IndexMap<String, DesiredCount>,
    random: &mut fastrand::Rng,
    d: &mut Diagnostics,
) -> Modification {
    let mut census = Census::new(before, blueprint, previous, desired);
    let mut decide =
        |part: Part<'_>, outer: Option<&str>, default: usize| census.members(part, outer, default);
    let instances = populate(
        blueprint,
        previous,
        MemberChoice::Chosen(&mut decide),
        random,
        d,
    );
    let after: HashMap<&str, &Instance> = instances
        .iter()
        .map(|instance| (instance.id.as_str(), instance))
        .collect();
    let known: HashMap<&str, &Instance> = previous
        .iter()
        .map(|instance| (instance.id.as_str(), instance))
        .collect();
    Modification {
        added_and_related: with_neighbors(&instances, |id| !known.contains_key(id)),
        removed_and_related: with_neighbors(previous, |id| !after.contains_key(id)),
        extended_and_related: changed_relationships(&instances, &known, &after),
        reduced_and_related: changed_relationships(previous, &after, &known),
        instances,
    }
}

/// Existing instances, by node or group and by direct parent.
struct Census<'a> {
    desired: &'a IndexMap<String, DesiredCount>,
    /// IDs and numbers of the instances in each parent, lowest number first.
    inside: HashMap<(String, Option<String>), Vec<(String, usize)>>,
    /// Nodes and groups before the change.
    previous_names: HashSet<&'a str>,
    /// Highest number of instances of each part in one parent.
    highest: HashMap<String, usize>,
    /// Next free number of each node.
    next: HashMap<String, usize>,
    /// Names and first numbers of the instances of each node.
    numbering: IndexMap<String, Numbering>,
    /// Labels of the instances that have one, by ID.
    labels: HashMap<&'a str, &'a str>,
    /// IDs of the instances in each group instance.
    members: HashMap<String, BTreeSet<String>>,
    /// IDs and numbers, lowest number first, of instances whose parent changed: an enclosing group
    /// was added or removed, or another node contains them. They remain and are assigned to their
    /// new parents.
    moved: HashMap<String, Vec<(String, usize)>>,
}

impl<'a> Census<'a> {
    fn new(
        before: &'a Blueprint,
        after: &Blueprint,
        previous: &'a [Instance],
        desired: &'a IndexMap<String, DesiredCount>,
    ) -> Self {
        let names = before
            .nodes
            .keys()
            .chain(before.scaling_groups.keys())
            .map(String::as_str);
        let mut census = Self {
            desired,
            inside: HashMap::new(),
            previous_names: names.collect(),
            highest: HashMap::new(),
            next: HashMap::new(),
            numbering: declared_numbering(after),
            labels: labels(previous),
            members: HashMap::new(),
            moved: HashMap::new(),
        };
        for instance in previous {
            census.count(instance);
        }
        for ((name, _), inside) in &mut census.inside {
            inside.sort_by_key(|(_, index)| *index);
            let most = census.highest.entry(name.clone()).or_default();
            *most = (*most).max(inside.len());
        }
        census.moved = census.moved(before, after);
        census
    }

    /// Returns the instances whose parent changed.
    fn moved(
        &self,
        before: &Blueprint,
        after: &Blueprint,
    ) -> HashMap<String, Vec<(String, usize)>> {
        let (old, new) = (Containment::new(before), Containment::new(after));
        let part = |name: &str| match after.nodes.get_key_value(name) {
            Some((name, _)) => Some(Part::Node(name.as_str())),
            None => after
                .scaling_groups
                .get_key_value(name)
                .map(|(name, _)| Part::Group(name.as_str())),
        };
        let mut moved: HashMap<String, Vec<(String, usize)>> = HashMap::new();
        for ((name, _), inside) in &self.inside {
            if part(name).is_some_and(|part| old.parent(part) != new.parent(part)) {
                moved
                    .entry(name.clone())
                    .or_default()
                    .extend(inside.iter().cloned());
            }
        }
        for all in moved.values_mut() {
            all.sort_by_key(|(_, index)| *index);
        }
        moved
    }

    fn count(&mut self, instance: &Instance) {
        let next = self.next.entry(instance.node.clone()).or_default();
        *next = (*next).max(instance.index + 1);
        let container = instance
            .relationships
            .iter()
            .find(|relationship| relationship.kind == RelationshipKind::ContainedIn)
            .map(|relationship| relationship.target.clone());
        let mut part = (instance.node.clone(), instance.id.clone());
        for group in &instance.groups {
            self.add(part, Some(group.id.clone()), instance.index);
            self.members
                .entry(group.id.clone())
                .or_default()
                .insert(instance.id.clone());
            part = (group.name.clone(), group.id.clone());
        }
        self.add(part, container, instance.index);
    }

    fn add(&mut self, (name, id): (String, String), outer: Option<String>, index: usize) {
        let inside = self.inside.entry((name, outer)).or_default();
        if !inside.iter().any(|(other, _)| *other == id) {
            inside.push((id, index));
        }
    }

    /// Returns the members of a parent after the change: the remaining ones, then new ones.
    fn members(&mut self, part: Part<'_>, outer: Option<&str>, default: usize) -> Vec<Member> {
        let (Part::Node(name) | Part::Group(name)) = part;
        let as_elsewhere = || {
            self.highest
                .get(name)
                .copied()
                .unwrap_or(if self.previous_names.contains(name) {
                    0
                } else {
                    default
                })
        };
        let there = match self.moved.get(name) {
            Some(moved) => moved.clone(),
            None => self
                .inside
                .get(&(name.to_owned(), outer.map(str::to_owned)))
                .cloned()
                .unwrap_or_default(),
        };
        let number = match self.desired.get(name) {
            _ if self
                .numbering
                .get(name)
                .is_some_and(|it| !it.names.is_empty()) =>
            {
                return self.named_members(name, &there);
            }
            Some(desired) => desired.instances,
            None if there.is_empty() || self.moved.contains_key(name) => as_elsewhere(),
            None => there.len(),
        };
        let staying = self.remaining(name, &there, number);
        if let Some(moved) = self.moved.get_mut(name) {
            moved.retain(|member| !staying.contains(member));
        }
        // More instances are an error, which is reported with their first member.
        let more = number.saturating_sub(staying.len()).min(MAX_INSTANCES + 1);
        let mut members: Vec<Member> = staying
            .into_iter()
            .map(|(id, index)| Member::Existing(id, index))
            .collect();
        members.extend((0..more).map(|_| Member::New(self.next_number(name), None)));
        members
    }

    /// Returns the next free number of a node.
    fn next_number(&mut self, name: &str) -> usize {
        let first = self.numbering.get(name).map_or(0, |it| it.first);
        let next = self.next.entry(name.to_owned()).or_insert(first);
        *next += 1;
        *next - 1
    }

    /// Returns the members of a node with names: one for each name, the lowest number first. Those
    /// that have the name already remain.
    fn named_members(&mut self, name: &str, there: &[(String, usize)]) -> Vec<Member> {
        let names = self.numbering[name].names.clone();
        let member = |label: String| {
            let has_label = |id: &str| self.labels.get(id) == Some(&label.as_str());
            match there.iter().find(|(id, _)| has_label(id)) {
                Some((id, index)) => Member::Existing(id.clone(), *index),
                None => Member::New(self.next_number(name), Some(label)),
            }
        };
        let mut members: Vec<Member> = names.into_iter().map(member).collect();
        members.sort_by_key(Member::index);
        members
    }

    /// Returns `number` members that remain: first those to keep, then those with the lowest
    /// numbers; those to remove only if no others are left.
    fn remaining(
        &self,
        name: &str,
        there: &[(String, usize)],
        number: usize,
    ) -> Vec<(String, usize)> {
        let hinted = |id: &str, hints: &BTreeSet<String>| {
            hints.contains(id)
                || self
                    .members
                    .get(id)
                    .is_some_and(|members| !members.is_disjoint(hints))
        };
        let rank = |id: &str| match self.desired.get(name) {
            Some(desired) if hinted(id, &desired.include) => 2,
            Some(desired) if hinted(id, &desired.exclude) => 0,
            _ => 1,
        };
        let mut all = there.to_vec();
        all.sort_by_key(|(id, index)| (rank(id), *index));
        all.truncate(number);
        all.sort_by_key(|(_, index)| *index);
        all
    }
}

fn labels(instances: &[Instance]) -> HashMap<&str, &str> {
    let labeled = instances
        .iter()
        .filter_map(|it| it.label.as_deref().zip(Some(it.id.as_str())));
    labeled.map(|(label, id)| (id, label)).collect()
}

/// Returns the changed instances, and their neighbors with only the relationships to changed
/// instances.
fn with_neighbors(all: &[Instance], changed: impl Fn(&str) -> bool) -> Vec<AffectedInstance> {
    let targets: HashSet<&str> = all
        .iter()
        .filter(|instance| changed(&instance.id))
        .flat_map(|instance| &instance.relationships)
        .map(|relationship| relationship.target.as_str())
        .collect();
    let touched = |instance: &Instance| {
        if changed(&instance.id) {
            return Some(AffectedInstance {
                instance: instance.clone(),
                is_changed: true,
            });
        }
        let ties: Vec<InstanceRelationship> = instance
            .relationships
            .iter()
            .filter(|relationship| changed(&relationship.target))
            .cloned()
            .collect();
        (!ties.is_empty() || targets.contains(instance.id.as_str())).then(|| AffectedInstance {
            instance: Instance {
                relationships: ties,
                ..instance.clone()
            },
            is_changed: false,
        })
    };
    all.iter().filter_map(touched).collect()
}

/// Returns the instances of `here` that also exist in `there`, each with its relationships between
/// remaining instances that are missing in `there`. `this` maps the instances of `here` by ID.
fn changed_relationships(
    here: &[Instance],
    there: &HashMap<&str, &Instance>,
    this: &HashMap<&str, &Instance>,
) -> Vec<AffectedInstance> {
    let mut changed: HashMap<&str, Vec<InstanceRelationship>> = HashMap::new();
    let mut targets: HashSet<&str> = HashSet::new();
    for instance in here {
        let Some(other) = there.get(instance.id.as_str()) else {
            continue;
        };
        let stays = |relationship: &&InstanceRelationship| {
            there.contains_key(relationship.target.as_str())
                && this.contains_key(relationship.target.as_str())
        };
        let missing = |relationship: &&InstanceRelationship| {
            !other.relationships.iter().any(|old| {
                (&old.target, &old.type_name) == (&relationship.target, &relationship.type_name)
            })
        };
        let ties: Vec<InstanceRelationship> = instance
            .relationships
            .iter()
            .filter(stays)
            .filter(missing)
            .cloned()
            .collect();
        if !ties.is_empty() {
            targets.extend(
                instance
                    .relationships
                    .iter()
                    .filter(|relationship| ties.contains(relationship))
                    .map(|relationship| relationship.target.as_str()),
            );
            changed.insert(&instance.id, ties);
        }
    }
    let touched = |instance: &Instance| match changed.get(instance.id.as_str()) {
        Some(ties) => Some(AffectedInstance {
            instance: Instance {
                relationships: ties.clone(),
                ..instance.clone()
            },
            is_changed: true,
        }),
        None => targets
            .contains(instance.id.as_str())
            .then(|| AffectedInstance {
                instance: Instance {
                    relationships: Vec::new(),
                    ..instance.clone()
                },
                is_changed: false,
            }),
    };
    here.iter().filter_map(touched).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog,
        diagnostic::Sources,
        model::{self, expand},
    };

    const TYPES: &str = "tosca_definitions_version: cloudify_dsl_1_3
node_types: {t: {}, cloudify.nodes.Compute: {}}
relationships:
  cloudify.relationships.depends_on: {properties: {connection_type: {default: all_to_all}}}
  cloudify.relationships.connected_to: {derived_from: cloudify.relationships.depends_on}
  cloudify.relationships.contained_in: {derived_from: cloudify.relationships.depends_on}
";

    fn blueprint(text: &str) -> Blueprint {
        let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
        let file = sources.add_text("t.yaml", format!("{TYPES}{text}"));
        let ast = catalog::load_source(
            file,
            &catalog::Options::default(),
            &mut sources,
            &mut faults,
        );
        let blueprint = model::resolve(ast, &sources, |_| false, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        blueprint
    }

    fn expanded(blueprint: &Blueprint) -> Vec<Instance> {
        expand(
            blueprint,
            &[],
            &mut fastrand::Rng::with_seed(1),
            &mut Diagnostics::default(),
        )
    }

    fn scaled_to(instances: usize) -> DesiredCount {
        DesiredCount {
            instances,
            ..DesiredCount::default()
        }
    }

    fn change(
        blueprint: &Blueprint,
        previous: &[Instance],
        desired: &[(&str, DesiredCount)],
    ) -> Modification {
        let desired = desired
            .iter()
            .map(|(name, desired)| ((*name).to_owned(), desired.clone()))
            .collect();
        modify(
            blueprint,
            blueprint,
            previous,
            &desired,
            &mut fastrand::Rng::with_seed(2),
            &mut Diagnostics::default(),
        )
    }

    /// Formats changed instances as node and number, neighbors in parentheses, each with its
    /// targets.
    fn format_affected(touched: &[AffectedInstance], all: &[Instance]) -> String {
        let name = |id: &str| {
            all.iter()
                .find(|it| it.id == id)
                .map_or_else(|| "new".to_owned(), |it| format!("{}{}", it.node, it.index))
        };
        let one = |touched: &AffectedInstance| {
            let targets: Vec<String> = touched
                .instance
                .relationships
                .iter()
                .map(|relationship| name(&relationship.target))
                .collect();
            let targets = if targets.is_empty() {
                String::new()
            } else {
                format!(">{}", targets.join("+"))
            };
            let text = format!(
                "{}{}{targets}",
                touched.instance.node, touched.instance.index
            );
            if touched.is_changed {
                text
            } else {
                format!("({text})")
            }
        };
        touched.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    const HOSTS: &str = "node_templates:
  host: {type: cloudify.nodes.Compute, instances: {deploy: 2}}
  app: {type: t, instances: {deploy: 2}, relationships: [{type: cloudify.relationships.contained_in, target: host}]}
  web: {type: t, relationships: [{type: cloudify.relationships.connected_to, target: app}]}
";

    #[test]
    fn scaling_up_adds_subtrees_and_lists_neighbors() {
        let blueprint = blueprint(HOSTS);
        let previous = expanded(&blueprint);
        let changed = change(&blueprint, &previous, &[("host", scaled_to(3))]);
        assert_eq!(
            format_affected(&changed.added_and_related, &changed.instances),
            "host2 app4>host2 app5>host2 (web0>app4+app5)"
        );
        assert_eq!(
            (
                changed.removed_and_related.len(),
                changed.extended_and_related.len(),
                changed.instances.len()
            ),
            (0, 0, 10)
        );
        let kept = |instance: &Instance| {
            changed
                .instances
                .iter()
                .any(|other| other.id == instance.id)
        };
        assert!(
            previous.iter().all(kept),
            "existing instances keep their IDs"
        );
    }

    #[test]
    fn counts_of_contained_nodes_apply_per_container() {
        let blueprint = blueprint(HOSTS);
        let previous = expanded(&blueprint);
        let changed = change(&blueprint, &previous, &[("app", scaled_to(3))]);
        assert_eq!(
            format_affected(&changed.added_and_related, &changed.instances),
            "(host0) (host1) app4>host0 app5>host1 (web0>app4+app5)"
        );
        let again = change(&blueprint, &changed.instances, &[("host", scaled_to(3))]);
        assert_eq!(
            again.instances.iter().filter(|it| it.node == "app").count(),
            9,
            "new hosts get as many as the existing ones"
        );
    }

    #[test]
    fn scaling_down_removes_hinted_then_highest_instances() {
        let blueprint = blueprint(HOSTS);
        let previous = expanded(&blueprint);
        let id = |node: &str, index: usize| {
            previous
                .iter()
                .find(|it| it.node == node && it.index == index)
                .unwrap()
                .id
                .clone()
        };
        let changed = change(&blueprint, &previous, &[("host", scaled_to(1))]);
        assert_eq!(
            format_affected(&changed.removed_and_related, &previous),
            "host1 app2>host1 app3>host1 (web0>app2+app3)"
        );
        let hint = DesiredCount {
            instances: 1,
            include: BTreeSet::from([id("host", 0)]),
            exclude: BTreeSet::new(),
        };
        let changed = change(&blueprint, &previous, &[("host", hint)]);
        assert_eq!(
            format_affected(&changed.removed_and_related, &previous),
            "host0 app0>host0 app1>host0 (web0>app0+app1)"
        );
        let hint = DesiredCount {
            instances: 1,
            include: BTreeSet::new(),
            exclude: BTreeSet::from([id("app", 1)]),
        };
        let changed = change(&blueprint, &previous, &[("app", hint)]);
        assert_eq!(
            format_affected(&changed.removed_and_related, &previous),
            "(host0) (host1) app0>host0 app3>host1 (web0>app0+app3)"
        );
    }

    #[test]
    fn groups_scale_as_a_unit_and_members_select_them() {
        let blueprint = blueprint(
            "node_templates:
  a: {type: t}
  b: {type: t, relationships: [{type: cloudify.relationships.connected_to, target: a}]}
groups: {g: {members: [a, b]}}
policies: {p: {type: cloudify.policies.scaling, targets: [g], properties: {default_instances: 2}}}
",
        );
        let previous = expanded(&blueprint);
        let changed = change(&blueprint, &previous, &[("g", scaled_to(3))]);
        assert_eq!(
            format_affected(&changed.added_and_related, &changed.instances),
            "a2 b2>a2"
        );
        let first = previous
            .iter()
            .find(|it| it.node == "b" && it.index == 0)
            .unwrap()
            .id
            .clone();
        let hint = DesiredCount {
            instances: 1,
            include: BTreeSet::from([first]),
            exclude: BTreeSet::new(),
        };
        let changed = change(&blueprint, &previous, &[("g", hint)]);
        assert_eq!(
            format_affected(&changed.removed_and_related, &previous),
            "a0 b0>a0"
        );
    }

    #[test]
    fn update_adds_removes_extends_and_reduces_instances() {
        let before = blueprint(
            "node_templates:
  a: {type: t}
  b: {type: t, relationships: [{type: cloudify.relationships.connected_to, target: a}]}
  c: {type: t}
  old: {type: t, relationships: [{type: cloudify.relationships.connected_to, target: c}]}
",
        );
        let after = blueprint(
            "node_templates:
  a: {type: t}
  b: {type: t, relationships: [{type: cloudify.relationships.connected_to, target: c}]}
  c: {type: t}
  new: {type: t, instances: {deploy: 2}, relationships: [{type: cloudify.relationships.connected_to, target: b}]}
",
        );
        let previous = expanded(&before);
        let changed = modify(
            &after,
            &before,
            &previous,
            &IndexMap::new(),
            &mut fastrand::Rng::with_seed(2),
            &mut Diagnostics::default(),
        );
        assert_eq!(
            format_affected(&changed.added_and_related, &changed.instances),
            "(b0) new0>b0 new1>b0"
        );
        assert_eq!(
            format_affected(&changed.removed_and_related, &previous),
            "(c0) old0>c0"
        );
        assert_eq!(
            format_affected(&changed.extended_and_related, &changed.instances),
            "b0>c0 (c0)"
        );
        assert_eq!(
            format_affected(&changed.reduced_and_related, &previous),
            "(a0) b0>a0"
        );
    }

    /// Returns a blueprint with these node templates and groups; each group has two instances.
    fn grouped(nodes: &str, groups: &[(&str, &str)]) -> Blueprint {
        let one = |(name, members): &(&str, &str)| format!("{name}: {{members: [{members}]}}");
        let names: Vec<&str> = groups.iter().map(|(name, _)| *name).collect();
        let groups: Vec<String> = groups.iter().map(one).collect();
        let policy = "type: cloudify.policies.scaling, properties: {default_instances: 2}";
        blueprint(&format!(
            "node_templates:\n{nodes}groups: {{{}}}\npolicies: {{p: {{{policy}, targets: [{}]}}}}\n",
            groups.join(", "),
            names.join(", ")
        ))
    }

    fn update(before: &Blueprint, after: &Blueprint, previous: &[Instance]) -> Modification {
        let mut faults = Diagnostics::default();
        let modified = modify(
            after,
            before,
            previous,
            &IndexMap::new(),
            &mut fastrand::Rng::with_seed(3),
            &mut faults,
        );
        assert!(faults.is_empty(), "{faults:?}");
        modified
    }

    #[test]
    fn instance_is_kept_when_its_group_is_added_or_removed() {
        let node = "  a: {type: t}\n";
        let plain = blueprint(&format!("node_templates:\n{node}"));
        let (one, two) = (
            grouped(node, &[("g1", "a")]),
            grouped(node, &[("g1", "a"), ("g2", "g1")]),
        );
        let ids = |instances: &[Instance]| {
            instances
                .iter()
                .map(|it| it.id.clone())
                .collect::<BTreeSet<_>>()
        };
        let first = expanded(&plain);
        let second = update(&plain, &one, &first).instances;
        let third = update(&one, &two, &second).instances;
        assert_eq!([first.len(), second.len(), third.len()], [1, 2, 4]);
        assert!(
            ids(&first).is_subset(&ids(&second)) && ids(&second).is_subset(&ids(&third)),
            "existing instances keep their IDs"
        );
        let back = update(&two, &one, &third).instances;
        let plain_again = update(&one, &plain, &back).instances;
        assert_eq!(
            (back.len(), plain_again),
            (2, first),
            "the lowest numbers remain"
        );
        assert!(ids(&back).is_subset(&ids(&third)));
    }

    #[test]
    fn instance_is_kept_when_its_container_changes() {
        let of = |host: &str| {
            blueprint(&format!(
                "node_templates:\n  one: {{type: t}}\n  two: {{type: t}}\n  a: {{type: t, relationships: [{host}]}}\n"
            ))
        };
        let (free, there) = (
            of(""),
            of("{type: cloudify.relationships.contained_in, target: two}"),
        );
        let previous = expanded(&free);
        let id = |all: &[Instance]| {
            all.iter()
                .find(|it| it.node == "a")
                .map(|it| (it.id.clone(), it.index))
        };
        assert_eq!(
            id(&update(&free, &there, &previous).instances),
            id(&previous)
        );
    }

    #[test]
    fn empty_request_changes_nothing() {
        let blueprint = blueprint(HOSTS);
        let previous = expanded(&blueprint);
        let changed = change(&blueprint, &previous, &[]);
        assert_eq!(
            changed,
            Modification {
                instances: previous,
                ..Modification::default()
            }
        );
    }
}
