//! `Ast` to [`Blueprint`]: every reference resolved, every type flattened.

use super::{
    Blueprint, Node, Operation, Relationship, RelationshipKind, Retry, function,
    types::{Flat, Owner, Types, fill, overlay_operation},
};
use crate::{
    diagnostic::{Code, Diagnostic, Span, Spanned},
    syntax::{
        Data, Sources, Value,
        ast::{self, Ast, Definition, Interfaces, Named},
    },
};
use indexmap::IndexMap;
use std::path::{Path, PathBuf};

/// Resolves a merged blueprint. What is faulty is left out, so that one run finds all faults.
#[must_use]
pub fn resolve(ast: &Ast, sources: &Sources, d: &mut Vec<Diagnostic>) -> Blueprint {
    let folder = sources.path(ast.file).and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    let resolver = Resolver { ast, types: Types::new(ast, d), folder };
    resolver.check_defaults(d);
    let nodes: IndexMap<String, Node> =
        ast.node_templates.iter().filter_map(|(name, node)| Some((name.clone(), resolver.node(name, node, d)?))).collect();
    check_cycles(&nodes, d);
    for section in &ast.unread {
        let warning = section.span.warning(Code::NotYet, format!("the section `{}` has no effect in this version", section.node));
        d.push(warning);
    }
    let blueprint = Blueprint {
        inputs: ast.inputs.clone(),
        data_types: resolver.types.data,
        nodes,
        outputs: ast.outputs.clone(),
        capabilities: ast.capabilities.clone(),
    };
    function::check(&blueprint, ast, d);
    blueprint
}

struct Resolver<'a> {
    ast: &'a Ast,
    types: Types,
    /// Where the blueprint lies; scripts are found from here.
    folder: PathBuf,
}

impl Resolver<'_> {
    fn check_defaults(&self, d: &mut Vec<Diagnostic>) {
        for (name, input) in &self.ast.inputs {
            if let Some(default) = input.body.default.as_ref().filter(|default| !default.is_null()) {
                super::types::complete(default, &input.body, &format!("the default of input `{name}`"), &self.types.data, d);
            }
        }
    }

    fn node(&self, name: &str, node: &Definition<ast::NodeTemplate>, d: &mut Vec<Diagnostic>) -> Option<Node> {
        let type_name = node.body.type_name.as_ref()?;
        let Some(flat) = self.types.nodes.get(&type_name.node) else {
            let fault =
                type_name.span.error(Code::UnknownNodeType, format!("there is no node type `{}`", type_name.node)).label("not defined");
            d.push(fault.did_you_mean(&type_name.node, self.ast.node_types.keys().map(String::as_str)));
            return None;
        };
        let what = format!("node `{name}`");
        let owner = Owner { what: &what, span: node.name };
        let properties = fill(&node.body.properties, &flat.properties, &owner, &self.types.data, d);
        if let Some(external) = properties.get("use_external_resource").filter(|value| function::call(value).is_some()) {
            d.push(external.span.error(Code::ExternalByFunction, "`use_external_resource` cannot be computed by a function"));
        }
        Some(Node {
            name: Spanned { node: name.to_owned(), span: node.name },
            hierarchy: flat.hierarchy.clone(),
            properties,
            operations: self.operations(&node.body.interfaces, &flat.interfaces, &owner, Code::UnknownImplementation, d),
            relationships: self.relationships(name, node, d),
            deploy: deploy(node, d),
        })
    }

    /// Operations that do something, of a template over those of its type.
    fn operations(
        &self,
        mine: &Interfaces<Value>,
        declared: &Interfaces<ast::Schema>,
        owner: &Owner<'_>,
        code: Code,
        d: &mut Vec<Diagnostic>,
    ) -> IndexMap<String, Operation> {
        let mut all = IndexMap::new();
        let interfaces: indexmap::IndexSet<&String> = declared.keys().chain(mine.keys()).collect();
        for interface in interfaces {
            let (mine, declared) = (mine.get(interface).map(|it| &it.body), declared.get(interface).map(|it| &it.body));
            let names: indexmap::IndexSet<&String> =
                declared.into_iter().flat_map(Named::keys).chain(mine.into_iter().flat_map(Named::keys)).collect();
            for name in names {
                let what = format!("operation `{name}` of {}", owner.what);
                let (mine, declared) = (mine.and_then(|it| it.get(name)), declared.and_then(|it| it.get(name)));
                let owner = Owner { what: &what, span: mine.map_or(owner.span, |mine| mine.name) };
                let merged = overlay_operation(mine.map(|it| &it.body), declared.map(|it| &it.body), &owner, &self.types.data, d);
                if let Some(operation) = merged.and_then(|merged| self.operation(merged, &what, code, d)) {
                    all.insert(format!("{interface}.{name}"), operation);
                }
            }
        }
        all
    }

    /// Finds who carries an operation out; none if it does nothing.
    fn operation(&self, operation: ast::Operation<Value>, what: &str, code: Code, d: &mut Vec<Diagnostic>) -> Option<Operation> {
        let implementation = operation.implementation?;
        let mut inputs: IndexMap<String, Value> = operation.inputs.into_iter().map(|(name, input)| (name, input.body)).collect();
        let (plugin, name) = if self.is_script(&implementation.node) {
            inputs.insert("script_path".into(), Value::text(implementation.span, &implementation.node));
            (self.script_plugin(&implementation, what, code, d)?, "script_runner.tasks.run".to_owned())
        } else {
            self.plugin(&implementation, what, code, d)?
        };
        let retry = Retry { max_retries: operation.max_retries, interval: operation.retry_interval };
        Some(Operation { plugin, operation: name, inputs, retry, span: operation.span })
    }

    fn is_script(&self, implementation: &str) -> bool {
        implementation.contains("://") || implementation.contains('\n') || self.folder.join(implementation).is_file()
    }

    fn script_plugin(&self, implementation: &Spanned<String>, what: &str, code: Code, d: &mut Vec<Diagnostic>) -> Option<String> {
        let plugin = self.ast.plugins.keys().find(|name| name.ends_with("script"));
        if plugin.is_none() {
            d.push(implementation.span.error(code, format!("{what} is a script, and no script plugin is declared")));
        }
        plugin.cloned()
    }

    fn plugin(&self, implementation: &Spanned<String>, what: &str, code: Code, d: &mut Vec<Diagnostic>) -> Option<(String, String)> {
        let fitting = |name: &&String| implementation.node.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'));
        let candidates: Vec<&String> = self.ast.plugins.keys().filter(fitting).collect();
        match candidates[..] {
            [plugin] => Some((plugin.clone(), implementation.node[plugin.len() + 1..].to_owned())),
            [] => {
                let fault =
                    implementation.span.error(code, format!("{what}: `{}` names no declared plugin and no script", implementation.node));
                let plugins: Vec<&str> = self.ast.plugins.keys().map(String::as_str).collect();
                let first = implementation.node.split('.').next().unwrap_or_default();
                d.push(if implementation.node.contains('/') {
                    fault.hint(format!("there is no file {}", self.folder.join(&implementation.node).display()))
                } else {
                    fault.did_you_mean(first, plugins.iter().copied()).hint(format!("declared plugins: {}", plugins.join(", ")))
                });
                None
            }
            _ => {
                let names: Vec<&str> = candidates.iter().map(|name| name.as_str()).collect();
                d.push(implementation.span.error(
                    Code::AmbiguousImplementation,
                    format!("{what}: `{}` fits several plugins: {}", implementation.node, names.join(", ")),
                ));
                None
            }
        }
    }

    fn relationships(&self, source: &str, node: &Definition<ast::NodeTemplate>, d: &mut Vec<Diagnostic>) -> Vec<Relationship> {
        let all: Vec<Relationship> =
            node.body.relationships.iter().filter_map(|relationship| self.relationship(source, relationship, d)).collect();
        let mut containers = all.iter().filter(|relationship| relationship.kind == RelationshipKind::ContainedIn);
        if let (Some(first), Some(second)) = (containers.next(), containers.next()) {
            let fault = second.target.span.error(Code::SeveralContainers, format!("node `{source}` is contained in two nodes"));
            d.push(fault.related(first.target.span, "the first container"));
        }
        all
    }

    fn relationship(&self, source: &str, relationship: &ast::Relationship, d: &mut Vec<Diagnostic>) -> Option<Relationship> {
        let ast::Relationship { type_name, target, .. } = relationship;
        if target.node == source {
            d.push(target.span.error(Code::SelfRelationship, format!("node `{source}` has a relationship to itself")));
        } else if !self.ast.node_templates.contains_key(&target.node) {
            let fault = target.span.error(Code::UnknownTarget, format!("there is no node `{}`", target.node)).label("not defined");
            d.push(fault.did_you_mean(&target.node, self.ast.node_templates.keys().map(String::as_str)));
        }
        let Some(flat) = self.types.relationships.get(&type_name.node) else {
            let fault = type_name
                .span
                .error(Code::UnknownRelationship, format!("there is no relationship type `{}`", type_name.node))
                .label("not defined");
            d.push(fault.did_you_mean(&type_name.node, self.ast.relationships.keys().map(String::as_str)));
            return None;
        };
        let what = format!("the relationship from `{source}` to `{}`", target.node);
        let owner = Owner { what: &what, span: type_name.span };
        let properties = fill(&relationship.properties, &flat.properties, &owner, &self.types.data, d);
        Some(Relationship {
            type_name: type_name.node.clone(),
            kind: kind(flat, type_name, d)?,
            all_to_one: all_to_one(properties.get("connection_type"), type_name.span, d),
            target: target.clone(),
            operations: self.both_sides(relationship, flat, &owner, d),
        })
    }

    fn both_sides(
        &self,
        relationship: &ast::Relationship,
        flat: &Flat,
        owner: &Owner<'_>,
        d: &mut Vec<Diagnostic>,
    ) -> IndexMap<String, Operation> {
        let code = Code::UnknownRelationshipImplementation;
        let source = self.operations(&relationship.source_interfaces, &flat.interfaces, owner, code, d);
        let target = self.operations(&relationship.target_interfaces, &flat.target_interfaces, owner, code, d);
        let source = source.into_iter().map(|(name, operation)| (format!("source/{name}"), operation));
        source.chain(target.into_iter().map(|(name, operation)| (format!("target/{name}"), operation))).collect()
    }
}

fn kind(flat: &Flat, type_name: &Spanned<String>, d: &mut Vec<Diagnostic>) -> Option<RelationshipKind> {
    let derived = |name: &str| flat.hierarchy.iter().any(|ancestor| ancestor == name);
    let kind = match () {
        () if derived("cloudify.relationships.contained_in") => Some(RelationshipKind::ContainedIn),
        () if derived("cloudify.relationships.connected_to") => Some(RelationshipKind::ConnectedTo),
        () if derived("cloudify.relationships.depends_on") => Some(RelationshipKind::DependsOn),
        () => None,
    };
    if kind.is_none() {
        let fault = type_name.span.error(Code::UnsupportedRelationship, format!("`{}` is derived from no base type", type_name.node));
        d.push(fault.hint("derive it from cloudify.relationships.depends_on, connected_to or contained_in"));
    }
    kind
}

fn all_to_one(connection_type: Option<&Value>, span: Span, d: &mut Vec<Diagnostic>) -> bool {
    match connection_type.and_then(Value::as_str) {
        Some("all_to_all") => false,
        Some("all_to_one") => true,
        other => {
            let span = connection_type.map_or(span, |value| value.span);
            let fault = span.error(Code::ConnectionType, format!("`connection_type` is `{}`", other.unwrap_or("not given")));
            d.push(fault.hint("it is all_to_all or all_to_one"));
            false
        }
    }
}

/// The number of instances, from either of its two spellings; 1 where nothing is said.
fn deploy(node: &Definition<ast::NodeTemplate>, d: &mut Vec<Diagnostic>) -> Value {
    let scalable = node.body.scalable.as_ref();
    let one = Value::new(node.name, Data::Int(1));
    let value = node.body.deploy.clone().or_else(|| scalable?.get("default_instances").cloned()).unwrap_or(one);
    let fits = matches!(value.data, Data::Int(n) if n >= 0) || function::call(&value).is_some();
    if !fits {
        d.push(value.span.error(Code::InstanceNumbers, "the number of instances must be a whole number from 0 up"));
    }
    value
}

/// Relationships of any kind may not form a circle.
fn check_cycles(nodes: &IndexMap<String, Node>, d: &mut Vec<Diagnostic>) {
    let mut settled: Vec<bool> = vec![false; nodes.len()];
    for start in 0..nodes.len() {
        // Each frame: a node and the next of its relationships to follow.
        let mut path: Vec<(usize, usize)> = if settled[start] { vec![] } else { vec![(start, 0)] };
        while let Some((at, next)) = path.last_mut() {
            let at = *at;
            let Some(relationship) = nodes[at].relationships.get(*next) else {
                settled[at] = true;
                path.pop();
                continue;
            };
            *next += 1;
            let Some(target) = nodes.get_index_of(&relationship.target.node).filter(|target| *target != at) else { continue };
            if let Some(from) = path.iter().position(|(node, _)| *node == target) {
                let names = path[from..].iter().map(|(node, _)| *node).chain([target]);
                let names: Vec<&str> = names.map(|node| nodes[node].name.node.as_str()).collect();
                d.push(
                    relationship.target.span.error(Code::Cycle, format!("nodes depend on each other in a circle: {}", names.join(" → "))),
                );
            } else if !settled[target] {
                path.push((target, 0));
            }
        }
    }
}
