//! Groups, their policies, and scaling groups.

use super::{
    Group, GroupPolicy, Node, ScalingGroup, ScalingPolicy,
    scaling::InstanceCounts,
    types::{DataTypes, Fields, Owner, fill},
};
use crate::{
    diagnostic::{Code, Diagnostics, Spanned},
    syntax::ast::{self, Ast, Definition, Named, Schema},
};
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap};

/// Resolves the groups of a blueprint.
pub(super) fn groups(ast: &Ast, data: &DataTypes, d: &mut Diagnostics) -> IndexMap<String, Group> {
    ast.groups
        .iter()
        .map(|(name, definition)| (name.clone(), group(name, definition, ast, data, d)))
        .collect()
}

fn group(
    name: &str,
    definition: &Definition<ast::Group>,
    ast: &Ast,
    data: &DataTypes,
    d: &mut Diagnostics,
) -> Group {
    if let Some(node) = ast.node_templates.get(name) {
        let fault = definition.name.error(
            Code::GroupName,
            format!("a group and a node are both named `{name}`"),
        );
        d.push(fault.related(node.name, "the node"));
    }
    let known =
        |member: &str| ast.node_templates.contains_key(member) || ast.groups.contains_key(member);
    for member in definition
        .body
        .members
        .iter()
        .filter(|member| !known(&member.node))
    {
        let fault = member.span.error(
            Code::GroupMember,
            format!("`{}` is neither a node nor a group", member.node),
        );
        d.push(
            fault.did_you_mean(
                &member.node,
                ast.node_templates
                    .keys()
                    .chain(ast.groups.keys())
                    .map(String::as_str),
            ),
        );
    }
    let policies = definition
        .body
        .policies
        .iter()
        .filter_map(|(name, policy)| {
            Some((name.clone(), group_policy(name, policy, ast, data, d)?))
        });
    Group {
        span: definition.name,
        members: definition
            .body
            .members
            .iter()
            .map(|member| member.node.clone())
            .collect(),
        policies: policies.collect(),
    }
}

fn group_policy(
    name: &str,
    policy: &Definition<ast::GroupPolicy>,
    ast: &Ast,
    data: &DataTypes,
    d: &mut Diagnostics,
) -> Option<GroupPolicy> {
    let declared = find_policy_type(
        &policy.body.type_name,
        &ast.policy_types,
        Code::PolicyType,
        "policy type",
        d,
    );
    let mut triggers = IndexMap::new();
    for (name, trigger) in &policy.body.triggers {
        let Some(declared) = find_policy_type(
            &trigger.body.type_name,
            &ast.policy_triggers,
            Code::PolicyTrigger,
            "policy trigger",
            d,
        ) else {
            continue;
        };
        let what = format!("trigger `{name}`");
        let parameters = fill(
            &trigger.body.parameters,
            &fields(declared),
            &Owner {
                what: &what,
                span: trigger.name,
            },
            data,
            d,
        );
        triggers.insert(
            name.clone(),
            (trigger.body.type_name.node.clone(), parameters),
        );
    }
    let what = format!("policy `{name}`");
    let properties = fill(
        &policy.body.properties,
        &fields(declared?),
        &Owner {
            what: &what,
            span: policy.name,
        },
        data,
        d,
    );
    Some(GroupPolicy {
        type_name: policy.body.type_name.node.clone(),
        properties,
        triggers,
    })
}

fn find_policy_type<'a>(
    name: &Spanned<String>,
    all: &'a Named<ast::PolicyType>,
    code: Code,
    what: &str,
    d: &mut Diagnostics,
) -> Option<&'a Named<Schema>> {
    let found = all
        .get(&name.node)
        .map(|definition| &definition.body.properties);
    if found.is_none() {
        let fault = name
            .span
            .error(code, format!("there is no {what} `{}`", name.node));
        d.push(fault.did_you_mean(&name.node, all.keys().map(String::as_str)));
    }
    found
}

fn fields(declared: &Named<Schema>) -> Fields {
    declared
        .iter()
        .map(|(name, schema)| {
            (
                name.as_str().into(),
                Definition {
                    name: schema.name,
                    body: std::sync::Arc::new(schema.body.clone()),
                },
            )
        })
        .collect()
}

/// Resolves the scaling policies of a blueprint.
pub(super) fn policies(
    ast: &Ast,
    groups: &IndexMap<String, Group>,
    d: &mut Diagnostics,
) -> IndexMap<String, ScalingPolicy> {
    let mut all = IndexMap::new();
    for (name, policy) in &ast.policies {
        let ast::Policy {
            type_name,
            targets,
            properties,
        } = &policy.body;
        if type_name.node != "cloudify.policies.scaling" {
            let fault = type_name.span.error(
                Code::ScalingPolicy,
                format!("there is no policy type `{}`", type_name.node),
            );
            d.push(fault.hint("`policies` supports only the type cloudify.policies.scaling"));
        }
        for target in targets
            .iter()
            .filter(|target| !groups.contains_key(&target.node))
        {
            let fault = target.span.error(
                Code::PolicyTarget,
                format!("the target `{}` is not a group", target.node),
            );
            d.push(fault.did_you_mean(&target.node, groups.keys().map(String::as_str)));
        }
        let numbers = InstanceCounts::new(properties, None, policy.name, d);
        let targets = targets
            .iter()
            .map(|target| target.node.clone())
            .filter(|target| groups.contains_key(target))
            .collect();
        all.insert(
            name.clone(),
            ScalingPolicy {
                targets,
                instance_counts: numbers,
            },
        );
    }
    all
}

/// Returns the groups that scaling policies target. If several policies target a group, the numbers
/// of the last one apply.
pub(super) fn scaling_groups(
    groups: &IndexMap<String, Group>,
    policies: &IndexMap<String, ScalingPolicy>,
    nodes: &IndexMap<String, Node>,
    d: &mut Diagnostics,
) -> IndexMap<String, ScalingGroup> {
    let mut scaling: IndexMap<String, ScalingGroup> = IndexMap::new();
    for policy in policies.values() {
        for target in &policy.targets {
            let members = groups[target].members.clone();
            scaling.insert(
                target.clone(),
                ScalingGroup {
                    members,
                    instance_counts: policy.instance_counts.clone(),
                },
            );
        }
    }
    let checker = Checker {
        groups,
        scaling: &scaling,
        nodes,
    };
    if checker.check_cycles(d) || checker.check_shared_members(d) {
        return IndexMap::new();
    }
    checker.check_containment(d);
    let kept: Vec<BTreeSet<String>> = scaling
        .keys()
        .map(|name| checker.outermost_members(name))
        .collect();
    for (group, members) in scaling.values_mut().zip(kept) {
        group.members = members;
    }
    scaling
}

struct Checker<'a> {
    groups: &'a IndexMap<String, Group>,
    scaling: &'a IndexMap<String, ScalingGroup>,
    nodes: &'a IndexMap<String, Node>,
}

impl Checker<'_> {
    /// Reports groups that contain themselves, directly or indirectly. Returns true if there are
    /// any.
    fn check_cycles(&self, d: &mut Diagnostics) -> bool {
        let before = d.len();
        let mut visited: BTreeSet<&str> = BTreeSet::new();
        for start in self.scaling.keys() {
            let mut path: Vec<(&str, Vec<&str>)> = if visited.contains(start.as_str()) {
                Vec::new()
            } else {
                vec![(start, self.inner_groups(start))]
            };
            while let Some((name, inner)) = path.last_mut() {
                let Some(next) = inner.pop() else {
                    visited.insert(name);
                    path.pop();
                    continue;
                };
                if let Some(from) = path.iter().position(|(name, _)| *name == next) {
                    let names: Vec<&str> = path[from..]
                        .iter()
                        .map(|(name, _)| *name)
                        .chain([next])
                        .collect();
                    let span = self.groups[next].span;
                    d.push(span.error(
                        Code::GroupCycle,
                        format!(
                            "groups contain each other in a cycle: {}",
                            names.join(" → ")
                        ),
                    ));
                } else if !visited.contains(next) {
                    path.push((next, self.inner_groups(next)));
                }
            }
        }
        d.len() > before
    }

    fn inner_groups(&self, group: &str) -> Vec<&str> {
        let members = self
            .scaling
            .get(group)
            .into_iter()
            .flat_map(|group| &group.members);
        members
            .map(String::as_str)
            .filter(|member| self.scaling.contains_key(*member))
            .collect()
    }

    /// Reports members of more than one scaling group. Returns true if there are any.
    fn check_shared_members(&self, d: &mut Diagnostics) -> bool {
        let before = d.len();
        let mut of: HashMap<&str, &str> = HashMap::new();
        for (name, group) in self.scaling {
            for member in &group.members {
                if let Some(first) = of.insert(member, name) {
                    let fault = self.groups[name].span.error(
                        Code::MemberOfTwoGroups,
                        format!(
                            "`{member}` is a member of two scaling groups: `{first}` and `{name}`"
                        ),
                    );
                    d.push(fault.related(self.groups[first].span, "the first group"));
                }
            }
        }
        d.len() > before
    }

    /// Reports scaling groups whose members are in different containers. Members of an inner group
    /// count as members of the outermost group.
    fn check_containment(&self, d: &mut Diagnostics) {
        let inner: BTreeSet<&str> = self
            .scaling
            .keys()
            .flat_map(|name| self.inner_groups(name))
            .collect();
        for name in self
            .scaling
            .keys()
            .filter(|name| !inner.contains(name.as_str()))
        {
            let leaves = self.nodes_of(name);
            let outermost = |node: &&str| {
                !self
                    .containers(node)
                    .iter()
                    .any(|container| leaves.contains(container))
            };
            let members: Vec<&str> = leaves.iter().copied().filter(outermost).collect();
            for pair in members.windows(2) {
                if !self.share_container(pair[0], pair[1]) {
                    let message = format!(
                        "`{}` and `{}` of the scaling group `{name}` are in different containers",
                        pair[0], pair[1]
                    );
                    d.push(
                        self.groups[name]
                            .span
                            .error(Code::GroupContainment, message),
                    );
                }
            }
        }
    }

    /// Returns the nodes of a group, including those of inner groups.
    fn nodes_of(&self, group: &str) -> BTreeSet<&str> {
        let mut leaves = BTreeSet::new();
        let mut open = vec![group];
        while let Some(name) = open.pop() {
            match self.scaling.get(name) {
                Some(group) => open.extend(group.members.iter().map(String::as_str)),
                None => leaves.extend(
                    self.nodes
                        .get_key_value(name)
                        .map(|(name, _)| name.as_str()),
                ),
            }
        }
        leaves
    }

    /// Returns the containers of a node, innermost first.
    fn containers(&self, node: &str) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        let mut current = self.nodes.get(node).and_then(Node::container);
        while let Some(name) = current.filter(|name| !all.contains(name)) {
            all.push(name);
            current = self.nodes.get(name).and_then(Node::container);
        }
        all
    }

    fn share_container(&self, one: &str, other: &str) -> bool {
        let (first, second) = (self.containers(one), self.containers(other));
        (first.is_empty() && second.is_empty())
            || first.contains(&other)
            || second.contains(&one)
            || first.iter().any(|container| second.contains(container))
    }

    /// Returns the members that are not contained in another member, not even in part. Contained
    /// members scale with their container.
    fn outermost_members(&self, group: &str) -> BTreeSet<String> {
        let leaves = self.nodes_of(group);
        let inside = |member: &str| {
            let nodes = if self.scaling.contains_key(member) {
                self.nodes_of(member)
            } else {
                BTreeSet::from([member])
            };
            let own = nodes.clone();
            nodes.iter().any(|node| {
                self.containers(node)
                    .iter()
                    .any(|container| leaves.contains(container) && !own.contains(container))
            })
        };
        self.scaling[group]
            .members
            .iter()
            .filter(|member| !inside(member))
            .cloned()
            .collect()
    }
}
