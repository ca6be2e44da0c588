//! Converts an `Ast` to a [`Blueprint`]: resolves all references and flattens all types.

use super::{
    AWAITS_OPERATION, Blueprint, DockctlMetadata, Node, Numbering, Relationship, RelationshipKind,
    Values, Workflow, constraints, function, groups,
    implementation::{Implementations, InterfaceSide},
    normal,
    scaling::InstanceCounts,
    types::{
        BASIC_TYPES_HINT, CompletedValue, DataTypes, FlatType, Owner, ROOT_TYPES, Types, complete,
        fill, is_basic,
    },
};
use crate::{
    catalog::NAMESPACE_DELIMITER,
    diagnostic::{Code, Diagnostic, Diagnostics, Sources, Span, Spanned},
    syntax::{
        Data, Map, Value,
        ast::{self, Ast, Definition, Named, Schema},
        matches_type,
    },
};
use indexmap::IndexMap;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Returns true if dockctl itself provides a plugin. Such a plugin does not need a host to run on.
pub type IsBuiltIn = fn(plugin: &str) -> bool;

/// Returns the directories that scripts are searched in: that of the blueprint, then those of its
/// imports.
fn script_directories(ast: &Ast, sources: &Sources) -> Vec<PathBuf> {
    let main = sources.path(ast.file).and_then(Path::parent);
    let main = main.map(Path::to_owned).unwrap_or_default();
    let imports = sources.directories().into_iter().filter(|it| *it != main);
    [main.clone()].into_iter().chain(imports).collect()
}

/// Resolves a merged blueprint. Invalid parts are left out, to find all errors in one run.
#[must_use]
pub fn resolve(ast: Ast, sources: &Sources, provided: IsBuiltIn, d: &mut Diagnostics) -> Blueprint {
    let types = Types::new(&ast, d);
    check_defaults(&ast.inputs, &types.data, d);
    let mut resolver = Resolver {
        ast: &ast,
        types: &types,
        implementations: Implementations::new(&ast, &types.data, script_directories(&ast, sources)),
        filled_values: 0,
    };
    for flat in types.relationships.values() {
        resolver
            .implementations
            .check_type(flat, InterfaceSide::Source, d);
        resolver
            .implementations
            .check_type(flat, InterfaceSide::Target, d);
    }
    let mut nodes = IndexMap::with_capacity(ast.node_templates.len());
    for (name, node) in &ast.node_templates {
        nodes.extend(
            resolver
                .node(name, node, d)
                .map(|node| (name.clone(), node)),
        );
    }
    let workflows = resolver.workflows(d);
    check_cycles(&nodes, d);
    find_hosts(&mut nodes);
    check_hosts(&nodes, provided, d);
    let all_groups = groups::groups(&ast, &types.data, d);
    let policies = groups::policies(&ast, &all_groups, d);
    let scaling_groups = groups::scaling_groups(&all_groups, &policies, &nodes, d);
    let (names, inputs): (Vec<&str>, Vec<&str>) = (
        ast.node_templates.keys().map(String::as_str).collect(),
        ast.inputs.keys().map(String::as_str).collect(),
    );
    let mut blueprint = Blueprint {
        version: ast.version,
        document: ast.document,
        data_types: types.data,
        relationship_types: types.relationships,
        nodes,
        groups: all_groups,
        policies,
        scaling_groups,
        workflows,
        description: ast.description,
        dockctl_metadata: DockctlMetadata::read(ast.metadata.as_ref(), &names, &inputs, d),
        metadata: ast.metadata,
        inputs: ast.inputs,
        plugins: ast.plugins,
        policy_types: ast.policy_types,
        policy_triggers: ast.policy_triggers,
        outputs: ast.outputs,
        capabilities: ast.capabilities,
        labels: ast.labels,
        blueprint_labels: ast.blueprint_labels,
        settings: ast.settings,
        resource_tags: ast.resource_tags,
        requirements: super::Requirements::default(),
    };
    function::check(&blueprint, &ast.node_templates, d);
    blueprint.requirements = normal::requirements(&blueprint);
    blueprint
}

/// Checks the defaults of inputs like given values.
fn check_defaults(inputs: &Named<Schema>, data: &DataTypes, d: &mut Diagnostics) {
    for (name, input) in inputs {
        if let Some(default) = &input.body.default {
            check_items(name, default, &input.body, d);
            let mut faults = Diagnostics::default();
            let whole = complete(
                default,
                &input.body,
                &CompletedValue {
                    what: &format!("the default of input `{name}`"),
                    reports_missing: true,
                },
                data,
                &mut faults,
            );
            // Errors in the type of the default were reported with the types.
            faults.retain(|fault| fault.code == Code::MissingProperty);
            d.append(faults);
            constraints::check(name, &whole, &input.body, default.span, d);
        }
    }
}

/// Checks that the items of a list have the declared type.
pub(super) fn check_items(name: &str, value: &Value, schema: &Schema, d: &mut Diagnostics) {
    let Some(item_type) = &schema.item_type else {
        return;
    };
    // Cloudify checks each character of a string, which is a string again.
    let items = value.as_str().map_or_else(
        || value.as_list().unwrap_or_default(),
        |_| std::slice::from_ref(value),
    );
    for item in items
        .iter()
        .filter(|item| !matches_type(item, &item_type.node))
    {
        let message = format!(
            "items of input `{name}` must be of type {}, not {}",
            item_type.node,
            item.kind()
        );
        d.push(
            item.span
                .error(Code::TypeMismatch, message)
                .related(item_type.span, "declared here"),
        );
    }
}

/// Returns the number of instances of a node, if it is declared.
fn number_of(list: &ast::InstanceList) -> Option<Value> {
    let number = |first: &Spanned<String>| {
        let number = i64::try_from(list.names.len()).unwrap_or(i64::MAX);
        Value::new(first.span, Data::Int(number))
    };
    list.deploy
        .clone()
        .or_else(|| list.names.first().map(number))
}

struct Resolver<'a> {
    ast: &'a Ast,
    types: &'a Types,
    implementations: Implementations<'a>,
    /// Maximum number of values that data types have filled in up to now.
    filled_values: usize,
}

/// Maximum number of values that data types fill in, for all nodes and relationships together.
const MAX_FILLED_VALUES: usize = 500_000;

/// A node or relationship in a message, formatted only if needed.
struct OwnerName<'a> {
    node: &'a str,
    target: Option<&'a str>,
}

impl std::fmt::Display for OwnerName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.target {
            None => write!(f, "node `{}`", self.node),
            Some(target) => write!(f, "the relationship from `{}` to `{target}`", self.node),
        }
    }
}

impl Resolver<'_> {
    fn node(
        &mut self,
        name: &str,
        node: &Definition<ast::NodeTemplate>,
        d: &mut Diagnostics,
    ) -> Option<Node> {
        let type_name = node.body.type_name.as_ref()?;
        let unknown = FlatType {
            has_unknown_ancestor: true,
            ..FlatType::default()
        };
        let known: Option<&FlatType> = self.types.nodes.get(&type_name.node).map(AsRef::as_ref);
        if known.is_none() {
            d.push(self.unknown_type(type_name));
        }
        let flat = known.unwrap_or(&unknown);
        let what = OwnerName {
            node: name,
            target: None,
        };
        let owner = Owner {
            what: &what,
            span: node.name,
        };
        let deploy = number_of(&node.body.instances);
        Some(Node {
            name: Spanned {
                node: name.to_owned(),
                span: node.name,
            },
            hierarchy: flat.hierarchy.clone(),
            properties: self.fill(&node.body.properties, flat, &owner, d),
            operations: self.implementations.operations(
                flat,
                InterfaceSide::Node,
                &node.body.interfaces,
                &owner,
                d,
            ),
            relationships: self.relationships(name, node, d),
            has_unknown_type: flat.has_unknown_ancestor,
            deploy: deploy.clone(),
            numbering: self.numbering(name, &node.body.instances, d),
            instance_counts: InstanceCounts::new(
                &node.body.scalable,
                deploy.as_ref(),
                node.name,
                d,
            ),
            host: None,
        })
    }

    /// Returns the names and numbers of the instances of a node. Only documents that import
    /// dockctl's types can declare them.
    fn numbering(&self, node: &str, list: &ast::InstanceList, d: &mut Diagnostics) -> Numbering {
        let is_dockctl = |name: &String| name.rsplit(NAMESPACE_DELIMITER).next() == Some("dockctl");
        let is_imported = self.ast.plugins.keys().any(is_dockctl);
        for key in list.own_keys.iter().filter(|_| !is_imported) {
            let message = format!(
                "`instances` of node template `{node}` has no key `{}`",
                key.node
            );
            let fault = key.span.error(Code::Format, message);
            d.push(fault.hint("dockctl adds this key: to use it, import `plugin:dockctl`"));
        }
        Numbering {
            names: list.names.iter().map(|name| name.node.clone()).collect(),
            first: list.first,
        }
    }

    fn unknown_type(&self, type_name: &Spanned<String>) -> Diagnostic {
        let fault = type_name
            .span
            .error(
                Code::UnknownNodeType,
                format!("there is no node type `{}`", type_name.node),
            )
            .label("not defined");
        let fault = fault.did_you_mean(
            &type_name.node,
            self.ast.node_types.keys().map(String::as_str),
        );
        let lacks_basic = !self.types.nodes.contains_key(ROOT_TYPES[0]);
        if lacks_basic && is_basic(&type_name.node) {
            fault.hint(BASIC_TYPES_HINT)
        } else {
            fault
        }
    }

    /// Fills in properties, unless the maximum number of values is exceeded.
    fn fill(
        &mut self,
        given: &Map,
        flat: &FlatType,
        owner: &Owner<'_>,
        d: &mut Diagnostics,
    ) -> Values {
        let before = self.filled_values;
        self.filled_values = before.saturating_add(flat.max_filled_values(&self.types.data));
        if self.filled_values <= MAX_FILLED_VALUES {
            if !flat.has_unknown_ancestor {
                return fill(given, &flat.properties, owner, &self.types.data, d);
            }
            // Unknown ancestor types may declare these properties.
            let mut faults = Diagnostics::default();
            let values = fill(
                given,
                &flat.properties,
                owner,
                &self.types.data,
                &mut faults,
            );
            faults.retain(|fault| fault.code != Code::UndefinedProperty);
            d.append(faults);
            return values;
        }
        if before <= MAX_FILLED_VALUES {
            let fault = owner.span.error(
                Code::Limit,
                format!(
                    "data types expand to more than {MAX_FILLED_VALUES} values in this blueprint"
                ),
            );
            d.push(fault.hint("a property of a data type adds all values of that type to each node or relationship"));
        }
        Values::new()
    }

    fn relationships(
        &mut self,
        source: &str,
        node: &Definition<ast::NodeTemplate>,
        d: &mut Diagnostics,
    ) -> Vec<Relationship> {
        let all: Vec<Relationship> = node
            .body
            .relationships
            .iter()
            .filter_map(|relationship| self.relationship(source, relationship, d))
            .collect();
        let mut containers = all
            .iter()
            .filter(|relationship| relationship.kind == Some(RelationshipKind::ContainedIn));
        if let (Some(first), Some(second)) = (containers.next(), containers.next()) {
            let fault = second.target.span.error(
                Code::MultipleContainedIn,
                format!("node `{source}` is contained in two nodes"),
            );
            d.push(fault.related(first.target.span, "the first container"));
        }
        all
    }

    fn relationship(
        &mut self,
        source: &str,
        relationship: &ast::Relationship,
        d: &mut Diagnostics,
    ) -> Option<Relationship> {
        let ast::Relationship {
            type_name, target, ..
        } = relationship;
        self.check_target(source, target, d);
        let Some(flat) = self.types.relationships.get(&type_name.node) else {
            let message = format!("there is no relationship type `{}`", type_name.node);
            let fault = type_name
                .span
                .error(Code::UnknownRelationship, message)
                .label("not defined");
            let fault = fault.did_you_mean(
                &type_name.node,
                self.ast.relationships.keys().map(String::as_str),
            );
            let lacks_basic = !self.types.relationships.contains_key(ROOT_TYPES[1]);
            d.push(if lacks_basic && is_basic(&type_name.node) {
                fault.hint(BASIC_TYPES_HINT)
            } else {
                fault
            });
            return None;
        };
        let what = OwnerName {
            node: source,
            target: Some(&target.node),
        };
        let owner = Owner {
            what: &what,
            span: type_name.span,
        };
        let properties = self.fill(&relationship.properties, flat, &owner, d);
        if type_name.node == AWAITS_OPERATION {
            self.check_lifecycle(&relationship.properties, target, type_name.span, d);
        }
        Some(Relationship {
            type_name: type_name.clone(),
            kind: kind(flat),
            properties,
            target: target.clone(),
            source_operations: self.implementations.operations(
                flat,
                InterfaceSide::Source,
                &relationship.source_interfaces,
                &owner,
                d,
            ),
            target_operations: self.implementations.operations(
                flat,
                InterfaceSide::Target,
                &relationship.target_interfaces,
                &owner,
                d,
            ),
            relationship_type: flat.clone(),
        })
    }

    fn check_target(&self, source: &str, target: &Spanned<String>, d: &mut Diagnostics) {
        if target.node == source {
            d.push(target.span.error(
                Code::SelfRelationship,
                format!("node `{source}` has a relationship to itself"),
            ));
        } else if !self.ast.node_templates.contains_key(&target.node) {
            let fault = target
                .span
                .error(
                    Code::UnknownTarget,
                    format!("there is no node `{}`", target.node),
                )
                .label("not defined");
            d.push(fault.did_you_mean(
                &target.node,
                self.ast.node_templates.keys().map(String::as_str),
            ));
        }
    }

    /// Checks that the relationship names an operation of the target, and that the template of the
    /// target defines it.
    fn check_lifecycle(
        &self,
        given: &crate::syntax::Map,
        target: &Spanned<String>,
        span: Span,
        d: &mut Diagnostics,
    ) {
        let Some(operation) = given
            .get("operation")
            .filter(|value| !value.is_null() && value.as_str() != Some(""))
        else {
            d.push(span.error(
                Code::LifecycleOperation,
                "the relationship must name the operation to wait for in its property `operation`",
            ));
            return;
        };
        let written = self
            .ast
            .node_templates
            .get(&target.node)
            .and_then(|node| node.body.interfaces.get("cloudify.interfaces.lifecycle"));
        let name = operation.as_str().unwrap_or_default();
        if !written.is_some_and(|interface| interface.body.contains_key(name)) {
            let message = format!(
                "node `{}` does not define the lifecycle operation `{}`",
                target.node,
                operation.to_key()
            );
            d.push(operation.span.error(Code::LifecycleTarget, message));
        }
    }

    fn workflows(&self, d: &mut Diagnostics) -> IndexMap<String, Workflow> {
        let workflow = |name: &String, workflow: &ast::Workflow, d: &mut Diagnostics| {
            let mapping = workflow.mapping.as_ref()?;
            let mut parameters = workflow.parameters.clone();
            let place = parameters
                .get("script_path")
                .or_else(|| parameters.get("script_source"));
            if let Some(given) = place.filter(|_| self.implementations.is_script(&mapping.node)) {
                d.push(given.name.error(
                    Code::ScriptInput,
                    format!("workflow `{name}` is a script and must not declare this parameter"),
                ));
            }
            let found = self.implementations.workflow(mapping, name, d)?;
            if let Some((input, script)) = found.script {
                let description = Some("Workflow script executed by the script plugin".to_owned());
                let span = script.span;
                let schema = Schema {
                    default: Some(script),
                    description,
                    ..Schema::default()
                };
                parameters.insert(
                    input.to_owned(),
                    Definition {
                        name: span,
                        body: schema,
                    },
                );
            }
            Some(Workflow {
                plugin: found.plugin.to_string(),
                operation: found.operation.to_string(),
                parameters,
                is_cascading: workflow.is_cascading,
                availability_rules: workflow.availability_rules.clone(),
            })
        };
        self.ast
            .workflows
            .iter()
            .filter_map(|(name, it)| Some((name.clone(), workflow(name, &it.body, d)?)))
            .collect()
    }
}

fn kind(flat: &Arc<FlatType>) -> Option<RelationshipKind> {
    let derived = |name: &str| {
        flat.hierarchy
            .iter()
            .any(|ancestor| ancestor.as_ref() == name)
    };
    match () {
        () if derived("cloudify.relationships.contained_in") => Some(RelationshipKind::ContainedIn),
        () if derived("cloudify.relationships.connected_to") => Some(RelationshipKind::ConnectedTo),
        () if derived("cloudify.relationships.depends_on") => Some(RelationshipKind::DependsOn),
        () => None,
    }
}

/// Reports relationships that form a cycle.
fn check_cycles(nodes: &IndexMap<String, Node>, d: &mut Diagnostics) {
    let mut visited: Vec<bool> = vec![false; nodes.len()];
    // One flag per node, to avoid a search of the path for each step of a long chain.
    let mut on_path: Vec<bool> = vec![false; nodes.len()];
    for start in 0..nodes.len() {
        // Each frame: a node and the position of its next relationship.
        let mut path: Vec<(usize, usize)> = if visited[start] {
            vec![]
        } else {
            vec![(start, 0)]
        };
        while let Some((at, next)) = path.last_mut() {
            let at = *at;
            on_path[at] = true;
            let Some(relationship) = nodes[at].relationships.get(*next) else {
                (visited[at], on_path[at]) = (true, false);
                path.pop();
                continue;
            };
            *next += 1;
            let Some(target) = nodes
                .get_index_of(&relationship.target.node)
                .filter(|target| *target != at)
            else {
                continue;
            };
            if on_path[target] {
                let from = path
                    .iter()
                    .position(|(node, _)| *node == target)
                    .unwrap_or(0);
                let names = path[from..].iter().map(|(node, _)| *node).chain([target]);
                let names: Vec<&str> = names.map(|node| nodes[node].name.node.as_str()).collect();
                let message = format!(
                    "nodes depend on each other in a cycle: {}",
                    names.join(" → ")
                );
                d.push(relationship.target.span.error(Code::Cycle, message));
            } else if !visited[target] {
                path.push((target, 0));
            }
        }
    }
}

/// Sets the host of each node: the node itself, otherwise the host of its container.
fn find_hosts(nodes: &mut IndexMap<String, Node>) {
    let mut hosts: Vec<Option<Option<usize>>> = vec![None; nodes.len()];
    for start in 0..nodes.len() {
        let mut path = Vec::new();
        let mut current = Some(start);
        let found = loop {
            match current {
                None => break None,
                Some(at) if hosts[at].is_some() => break hosts[at].flatten(),
                Some(at) if nodes[at].is_host() => {
                    hosts[at] = Some(Some(at));
                    break Some(at);
                }
                Some(at) => {
                    path.push(at);
                    hosts[at] = Some(None); // Stops at a cycle, which has been reported.
                    current = nodes[at]
                        .container()
                        .and_then(|name| nodes.get_index_of(name));
                }
            }
        };
        for at in path {
            hosts[at] = Some(found);
        }
    }
    for (at, host) in hosts.into_iter().enumerate() {
        let host = host.flatten().map(|host| nodes[host].name.node.clone());
        nodes[at].host = host;
    }
}

/// Returns true if the types of a node and of its containers are known. A node of an unknown type
/// may be a host.
fn is_fully_known<'a>(mut node: &'a Node, nodes: &'a IndexMap<String, Node>) -> bool {
    for _ in 0..nodes.len() {
        let Some(container) = node.container().filter(|_| !node.has_unknown_type) else {
            return !node.has_unknown_type;
        };
        let Some(next) = nodes.get(container) else {
            return false;
        };
        node = next;
    }
    false // A cycle, which is reported elsewhere.
}

/// Reports nodes without a host whose plugins run on hosts. Plugins of dockctl itself need no host.
fn check_hosts(nodes: &IndexMap<String, Node>, provided: IsBuiltIn, d: &mut Diagnostics) {
    let on_host = |operation: &super::Operation| {
        operation.rules.executor.as_deref() == Some("host_agent") && !provided(&operation.plugin)
    };
    let mut refuse = |node: &Node, operation: &super::Operation| {
        if !is_fully_known(node, nodes) {
            return;
        }
        let message = format!(
            "node `{}` has no host, but the plugin `{}` of its operations runs on a host",
            node.name.node, operation.plugin
        );
        let fault = operation
            .span
            .error(Code::NoHost, message)
            .related(node.name.span, "the node");
        d.push(
            fault.hint("add a contained_in relationship to a host, or use the executor central_deployment_agent"),
        );
    };
    for node in nodes.values() {
        let own = node.operations.values().chain(
            node.relationships
                .iter()
                .flat_map(|it| it.source_operations.values()),
        );
        if node.host.is_none() {
            own.filter(|operation| on_host(operation))
                .for_each(|operation| refuse(node, operation));
        }
        for relationship in &node.relationships {
            let target = nodes
                .get(&relationship.target.node)
                .filter(|target| target.host.is_none());
            let Some(target) = target else { continue };
            relationship
                .target_operations
                .values()
                .filter(|operation| on_host(operation))
                .for_each(|operation| refuse(target, operation));
        }
    }
}
