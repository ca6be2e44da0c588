//! Normal form of a blueprint and of its deployment: everything that was parsed, as JSON.
//!
//! It has the shape of a Cloudify plan. Names are sorted where the order is irrelevant; empty
//! sections are omitted.

use super::{
    Blueprint, Instance, InstanceCounts, Node, Operation, Operations, Relationship, ScalingGroup,
    Values,
    types::{CompletedValue, Fields, FlatType, complete},
};
use crate::{
    diagnostic::{Diagnostics, Span},
    syntax::{
        Call, Data, Map, Value,
        ast::{ExecutionRules, Named, Output, Plugin, Schema},
        call,
    },
};
use indexmap::IndexMap;
use serde_json::{Map as JsonMap, Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Whether inputs have been applied.
#[derive(Clone, Copy, Debug)]
pub enum PlanPhase<'a> {
    /// The parsed blueprint: inputs are declarations.
    Parsed,
    /// Inputs applied, functions evaluated.
    Deployed {
        /// Values of the inputs.
        inputs: &'a IndexMap<String, Value>,
    },
}

/// Sections of a plan. Empty ones are omitted, as in Cloudify.
#[derive(Default)]
struct Sections(JsonMap<String, Json>);

impl Sections {
    fn put(&mut self, name: &str, value: Json) {
        let is_empty = value.is_null()
            || value.as_object().is_some_and(JsonMap::is_empty)
            || value.as_array().is_some_and(Vec::is_empty);
        if !is_empty {
            self.0.insert(name.to_owned(), value);
        }
    }
}

/// Returns the plan of a blueprint.
#[must_use]
pub fn plan(blueprint: &Blueprint, stage: PlanPhase<'_>) -> Json {
    let deployed = matches!(stage, PlanPhase::Deployed { .. });
    let plugins = Plugins::of(blueprint);
    let mut plan = Sections::default();
    plan.put("version", blueprint.version.as_str().into());
    plan.put("description", blueprint.description.clone().into());
    plan.put(
        "metadata",
        blueprint
            .metadata
            .as_ref()
            .map_or(Json::Null, Value::to_plan),
    );
    match stage {
        PlanPhase::Parsed => plan.put(
            "inputs",
            named(&blueprint.inputs, |schema| input(schema, blueprint)),
        ),
        PlanPhase::Deployed { inputs } => plan.put(
            "inputs",
            sorted(
                inputs
                    .iter()
                    .map(|(name, value)| (name.clone(), value.to_plan())),
            ),
        ),
    }
    if !deployed {
        put_types(&mut plan, blueprint);
    }
    plan.put(
        "nodes",
        sorted(
            blueprint
                .nodes
                .iter()
                .map(|(name, it)| (name.clone(), node(name, it, &plugins, deployed))),
        ),
    );
    put_groups(&mut plan, blueprint);
    plan.put(
        "workflows",
        sorted(
            blueprint
                .workflows
                .iter()
                .map(|(name, it)| (name.clone(), workflow(it, blueprint))),
        ),
    );
    put_results(&mut plan, blueprint);
    put_plugins(&mut plan, blueprint, &plugins);
    let super::Requirements {
        secrets,
        parent_capabilities,
    } = &blueprint.requirements;
    plan.put(
        "requirements",
        json!({ "parent_capabilities": parent_capabilities, "secrets": secrets }),
    );
    Json::Object(plan.0)
}

fn put_types(plan: &mut Sections, blueprint: &Blueprint) {
    plan.put(
        "data_types",
        sorted(
            blueprint
                .data_types
                .iter()
                .map(|(name, flat)| (name.clone(), data_type(flat, blueprint))),
        ),
    );
    let types = blueprint
        .relationship_types
        .iter()
        .map(|(name, flat)| (name.clone(), relationship_type(flat, blueprint)));
    plan.put("relationship_types", sorted(types));
    plan.put(
        "policy_types",
        named(&blueprint.policy_types, |it| {
            policy_type_form(it, "properties", blueprint)
        }),
    );
    plan.put(
        "policy_triggers",
        named(&blueprint.policy_triggers, |it| {
            policy_type_form(it, "parameters", blueprint)
        }),
    );
}

fn put_groups(plan: &mut Sections, blueprint: &Blueprint) {
    plan.put("node_order", blueprint.nodes.keys().cloned().collect());
    plan.put(
        "groups",
        sorted(
            blueprint
                .groups
                .iter()
                .map(|(name, group)| (name.clone(), group_form(group))),
        ),
    );
    plan.put(
        "policies",
        sorted(
            blueprint
                .policies
                .iter()
                .map(|(name, policy)| (name.clone(), policy_form(policy))),
        ),
    );
    let scaling = blueprint.scaling_groups.iter();
    let form = |group: &ScalingGroup| json!({ "members": group.members, "properties": numbers(&group.instance_counts) });
    plan.put(
        "scaling_groups",
        sorted(scaling.map(|(name, group)| (name.clone(), form(group)))),
    );
}

fn put_results(plan: &mut Sections, blueprint: &Blueprint) {
    for (section, outputs) in [
        ("outputs", &blueprint.outputs),
        ("capabilities", &blueprint.capabilities),
    ] {
        let form = |output: &Output| {
            if output.is_empty {
                return json!({});
            }
            let mut form = json!({ "value": output.value.to_plan() });
            if let Some(description) = &output.description {
                form["description"] = description.clone().into();
            }
            form
        };
        plan.put(section, named(outputs, form));
    }
    for (section, labels) in [
        ("labels", &blueprint.labels),
        ("blueprint_labels", &blueprint.blueprint_labels),
    ] {
        plan.put(section, named(labels, |label| json!({ "values": label.values.iter().map(Value::to_plan).collect::<Vec<_>>() })));
    }
}

fn put_plugins(plan: &mut Sections, blueprint: &Blueprint, plugins: &Plugins<'_>) {
    plan.put(
        "deployment_settings",
        blueprint.settings.as_ref().map_or(Json::Null, settings),
    );
    plan.put(
        "resource_tags",
        blueprint
            .resource_tags
            .as_ref()
            .map_or(Json::Null, Value::to_plan),
    );
    plan.put(
        "deployment_plugins_to_install",
        plugins.list("central_deployment_agent", blueprint),
    );
    plan.put(
        "host_agent_plugins_to_install",
        plugins.list("host_agent", blueprint),
    );
    plan.put("workflow_plugins_to_install", workflow_plugins(blueprint));
}

/// Returns the calls that read capabilities of other deployments, with their paths and target
/// deployments.
#[must_use]
pub fn inter_deployment_functions(blueprint: &Blueprint) -> Vec<Json> {
    let mut found = Vec::new();
    walk(blueprint, &mut |path, value| {
        if let Some(call) = call(value).filter(|call| call.name == "get_capability") {
            let target = call
                .arguments
                .as_list()
                .and_then(|list| list.first())
                .map_or(Json::Null, Value::to_plan);
            let known = if target.is_string() {
                target.clone()
            } else {
                Json::Null
            };
            found.push(json!({ "function_identifier": format!("{path}.get_capability"), "target_deployment": [known, target] }));
        }
    });
    found
}

/// Returns the instances of a deployment, sorted by node and number.
#[must_use]
pub fn instances(instances: &[Instance]) -> Json {
    let node_of: BTreeMap<&str, &str> = instances
        .iter()
        .map(|it| (it.id.as_str(), it.node.as_str()))
        .collect();
    let mut all: Vec<&Instance> = instances.iter().collect();
    all.sort_by_key(|instance| (&instance.node, instance.index));
    let form = |instance: &&Instance| {
        let ties = instance
            .relationships
            .iter()
            .map(|relationship| json!({ "type": relationship.type_name, "target_name": node_of.get(relationship.target.as_str()), "target_id": relationship.target }));
        let mut form = json!({ "id": instance.id, "node": instance.node, "relationships": ties.collect::<Vec<_>>() });
        if let Some(host) = &instance.host {
            form["host_id"] = host.clone().into();
        }
        if !instance.groups.is_empty() {
            form["scaling_groups"] = instance
                .groups
                .iter()
                .map(|group| json!({ "name": group.name, "id": group.id }))
                .collect();
        }
        form
    };
    all.iter().map(form).collect()
}

/// Returns a summary of the instances without their IDs: how many exist, on which hosts, and with
/// which relationships.
#[must_use]
pub fn instance_summary(instances: &[Instance]) -> Json {
    let by_id: BTreeMap<&str, &Instance> =
        instances.iter().map(|it| (it.id.as_str(), it)).collect();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut hosted: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    let mut sources: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    let mut targets: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for instance in instances {
        *count.entry(&instance.node).or_default() += 1;
        for group in &instance.groups {
            groups.entry(&group.name).or_default().insert(&group.id);
        }
        if let Some(host) = instance.host.as_deref().and_then(|id| by_id.get(id)) {
            *hosted
                .entry(format!("{} on {}", instance.node, host.node))
                .or_default()
                .entry(&host.id)
                .or_default() += 1;
        }
        for relationship in &instance.relationships {
            let Some(target) = by_id.get(relationship.target.as_str()) else {
                continue;
            };
            let name = format!(
                "{} -[{}]-> {}",
                instance.node, relationship.type_name, target.node
            );
            *sources
                .entry(name.clone())
                .or_default()
                .entry(&target.id)
                .or_default() += 1;
            *targets
                .entry(name)
                .or_default()
                .entry(&instance.id)
                .or_default() += 1;
        }
    }
    let counts = |of: BTreeMap<String, BTreeMap<&str, usize>>| -> Json {
        let listed = |counts: BTreeMap<&str, usize>| {
            let mut counts: Vec<usize> = counts.into_values().collect();
            counts.sort_unstable();
            Json::from(counts)
        };
        Json::Object(
            of.into_iter()
                .map(|(name, counts)| (name, listed(counts)))
                .collect(),
        )
    };
    json!({
        "count": count,
        "group_instances": groups.into_iter().map(|(name, ids)| (name, ids.len())).collect::<BTreeMap<_, _>>(),
        "instances_per_host": counts(hosted),
        "sources_per_target": counts(sources),
        "targets_per_source": counts(targets),
    })
}

fn sorted(entries: impl Iterator<Item = (String, Json)>) -> Json {
    let mut entries: Vec<(String, Json)> = entries.collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    Json::Object(entries.into_iter().collect())
}

fn named<T>(all: &Named<T>, form: impl Fn(&T) -> Json) -> Json {
    sorted(
        all.iter()
            .map(|(name, definition)| (name.clone(), form(&definition.body))),
    )
}

fn values(values: &Values) -> Json {
    sorted(
        values
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_plan())),
    )
}

fn names(names: &[Arc<str>]) -> Vec<&str> {
    names.iter().map(AsRef::as_ref).collect()
}

/// Returns a declaration with the keys that are written. `default` replaces the written default.
fn schema_form(schema: &Schema, default: Option<Json>) -> Json {
    let mut form = JsonMap::new();
    let mut put =
        |key: &str, value: Option<Json>| form.extend(value.map(|value| (key.to_owned(), value)));
    put("type", schema.type_of().map(Json::from));
    put(
        "default",
        default.or_else(|| schema.default.as_ref().map(Value::to_plan)),
    );
    put("required", schema.required.map(Json::from));
    put("description", schema.description.clone().map(Json::from));
    put(
        "constraints",
        schema.raw_constraints.as_ref().map(Value::to_plan),
    );
    put(
        "item_type",
        schema
            .item_type
            .as_ref()
            .map(|name| name.node.clone().into()),
    );
    put(
        "display_label",
        schema.display_label.clone().map(Json::from),
    );
    put("hidden", schema.hidden.map(Json::from));
    put("display", schema.display.as_ref().map(Value::to_plan));
    form.extend(
        schema
            .null_keys
            .iter()
            .map(|key| (key.to_string(), Json::Null)),
    );
    Json::Object(form)
}

/// Returns a declared input. If it has a default, its constraints have no error messages, as in
/// Cloudify.
fn input(schema: &Schema, blueprint: &Blueprint) -> Json {
    let mut form = parameter(schema, blueprint);
    if schema
        .default
        .as_ref()
        .is_some_and(|default| !default.is_null())
    {
        let constraints = form.get_mut("constraints").and_then(Json::as_array_mut);
        constraints
            .into_iter()
            .flatten()
            .filter_map(Json::as_object_mut)
            .for_each(|constraint| {
                constraint.remove("error_message");
            });
    }
    form
}

/// Returns a declared input or parameter. A default is completed only if it is declared.
fn parameter(schema: &Schema, blueprint: &Blueprint) -> Json {
    let given = schema
        .default
        .as_ref()
        .is_some_and(|default| !default.is_null());
    if given {
        property(schema, blueprint)
    } else {
        schema_form(schema, None)
    }
}

/// Returns a declared property. The default of a data type is completed with the defaults of that
/// type.
fn property(schema: &Schema, blueprint: &Blueprint) -> Json {
    let custom = schema
        .type_of()
        .filter(|name| blueprint.data_types.contains_key(*name));
    let default = custom.map(|_| {
        let empty = Value::new(Span::NOWHERE, Data::Map(Arc::<Map>::default()));
        let given = schema.default.as_ref().unwrap_or(&empty);
        complete(
            given,
            schema,
            &CompletedValue {
                what: &"",
                reports_missing: false,
            },
            &blueprint.data_types,
            &mut Diagnostics::default(),
        )
        .to_plan()
    });
    schema_form(schema, default)
}

fn fields(fields: &Fields, blueprint: &Blueprint) -> Json {
    sorted(
        fields
            .iter()
            .map(|(name, field)| (name.to_string(), property(&field.body, blueprint))),
    )
}

fn data_type(flat: &FlatType, blueprint: &Blueprint) -> Json {
    json!({
        "derived_from": flat.parent,
        "description": flat.description,
        "properties": fields(&flat.properties, blueprint),
        "version": flat.version.as_ref().map(Value::to_plan),
    })
}

fn relationship_type(flat: &FlatType, blueprint: &Blueprint) -> Json {
    let operation = |operation: &crate::syntax::ast::Operation<Named<Schema>>| {
        let mut form = rules(&operation.policy);
        form["implementation"] = operation
            .implementation
            .as_ref()
            .map_or("", |text| &text.node)
            .into();
        form["inputs"] = named(&operation.inputs, |schema| property(schema, blueprint));
        form
    };
    let interface = |(name, it): (
        &Arc<str>,
        &Arc<IndexMap<_, crate::syntax::ast::Definition<Arc<_>>>>,
    )| {
        (
            name.to_string(),
            sorted(
                it.iter()
                    .map(|(name, it): (&Arc<str>, _)| (name.to_string(), operation(&it.body))),
            ),
        )
    };
    let interfaces = |declared: &super::DeclaredOperations| sorted(declared.iter().map(interface));
    json!({
        "derived_from": flat.parent,
        "properties": fields(&flat.properties, blueprint),
        "source_interfaces": interfaces(&flat.interfaces),
        "target_interfaces": interfaces(&flat.target_interfaces),
        "type_hierarchy": names(&flat.hierarchy),
    })
}

fn policy_type_form(
    it: &crate::syntax::ast::PolicyType,
    properties: &str,
    blueprint: &Blueprint,
) -> Json {
    let Some(source) = &it.source else {
        return json!({});
    };
    let mut form = json!({ "source": source.node });
    form[properties] = named(&it.properties, |schema| property(schema, blueprint));
    form
}

fn rules(rules: &ExecutionRules) -> Json {
    let plain = |value: &Option<Value>| value.as_ref().map_or(Json::Null, Value::to_plan);
    json!({
        "executor": rules.executor.as_deref(),
        "max_retries": plain(&rules.max_retries),
        "retry_interval": plain(&rules.retry_interval),
        "timeout": plain(&rules.timeout),
        "timeout_recoverable": rules.timeout_recoverable,
    })
}

fn operation(operation: &Operation, deployed: bool) -> Json {
    let mut form = rules(&operation.rules);
    form["plugin"] = operation.plugin.as_ref().into();
    form["operation"] = operation.operation.as_ref().into();
    form["inputs"] = values(&operation.inputs);
    form["has_intrinsic_functions"] =
        (deployed && operation.inputs.values().any(contains_call)).into();
    if !operation.input_types.is_empty() {
        let types = operation.input_types.iter();
        form["inputs_types"] = types
            .map(|it| (it.input.to_string(), it.type_name.to_plan()))
            .collect();
    }
    form
}

/// Number of operations for each short name, the last part of the full name.
struct ShortNames<'a>(BTreeMap<&'a str, usize>);

impl<'a> ShortNames<'a> {
    fn of(all: &'a Operations) -> Self {
        let mut times = BTreeMap::new();
        all.keys()
            .for_each(|name| *times.entry(last_part(name)).or_default() += 1);
        Self(times)
    }

    /// Returns the short name of an operation if it is unique.
    fn unique<'n>(&self, name: &'n str) -> Option<&'n str> {
        Some(last_part(name)).filter(|short| self.0[short] == 1)
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, short)| short)
}

/// Returns operations by full name, and also by short name if it is unique.
fn operations(all: &Operations, deployed: bool) -> Json {
    let names = ShortNames::of(all);
    let both = all.iter().flat_map(|(name, it)| {
        let form = operation(it, deployed);
        let short = names
            .unique(name)
            .map(|short| (short.to_owned(), form.clone()));
        short.into_iter().chain([(name.to_string(), form)])
    });
    sorted(both)
}

fn node(name: &str, node: &Node, plugins: &Plugins<'_>, deployed: bool) -> Json {
    let own = plugins.of_node.get(name);
    let with = |executor: &str| -> Vec<&str> {
        own.into_iter()
            .flatten()
            .filter(|(_, at)| *at == executor)
            .map(|(plugin, _)| *plugin)
            .collect()
    };
    let to_install = if node.is_host() {
        plugins.of_host.get(name).cloned().unwrap_or_default()
    } else {
        BTreeSet::new()
    };
    json!({
        "deployment_plugins_to_install": with("central_deployment_agent"),
        "host_id": node.host,
        "instances_deploy": node.deploy.as_ref().map(Value::to_plan),
        "operations": operations(&node.operations, deployed),
        "plugins": own.into_iter().flatten().map(|(plugin, executor)| format!("{plugin}/{executor}")).collect::<Vec<_>>(),
        "plugins_to_install": to_install,
        "properties": values(&node.properties),
        "relationships": node.relationships.iter().map(|it| relationship(it, deployed)).collect::<Vec<_>>(),
        "scalable": numbers(&node.instance_counts),
        "type": node.hierarchy.last().map(AsRef::as_ref),
        "type_hierarchy": names(&node.hierarchy),
    })
}

fn relationship(relationship: &Relationship, deployed: bool) -> Json {
    let mut form = json!({
        "properties": values(&relationship.properties),
        "target": relationship.target.node,
        "type": relationship.type_name.node,
        "type_hierarchy": names(&relationship.relationship_type.hierarchy),
    });
    for (side, of_side) in [
        ("source_operations", &relationship.source_operations),
        ("target_operations", &relationship.target_operations),
    ] {
        if !of_side.is_empty() {
            form[side] = operations(of_side, deployed);
        }
    }
    form
}

fn numbers(numbers: &InstanceCounts) -> Json {
    let default = numbers.default.to_plan();
    json!({
        "current_instances": default,
        "default_instances": default,
        "max_instances": numbers.max.to_plan(),
        "min_instances": numbers.min.to_plan(),
        "planned_instances": default,
    })
}

fn group_form(group: &super::Group) -> Json {
    let policies = group.policies.iter().map(|(name, policy)| {
        let triggers = policy
            .triggers
            .iter()
            .map(|(name, (type_name, parameters))| (name.clone(), json!({ "type": type_name, "parameters": values(parameters) })));
        let form = json!({ "type": policy.type_name, "properties": values(&policy.properties), "triggers": sorted(triggers) });
        (name.clone(), form)
    });
    json!({ "members": group.members, "policies": sorted(policies) })
}

fn policy_form(policy: &super::ScalingPolicy) -> Json {
    json!({ "properties": numbers(&policy.instance_counts), "targets": policy.targets, "type": "cloudify.policies.scaling" })
}

fn workflow(workflow: &super::Workflow, blueprint: &Blueprint) -> Json {
    json!({
        "availability_rules": workflow.availability_rules.as_ref().map(Value::to_plan),
        "is_cascading": workflow.is_cascading,
        "operation": workflow.operation,
        "parameters": named(&workflow.parameters, |schema| parameter(schema, blueprint)),
        "plugin": workflow.plugin,
    })
}

fn settings(settings: &crate::syntax::ast::Settings) -> Json {
    let mut form = json!({ "default_schedules": settings.default_schedules.to_plan() });
    for (key, value) in [
        ("id_template", &settings.id_template),
        ("display_name", &settings.display_name),
        ("default_groups", &settings.default_groups),
    ] {
        if let Some(value) = value {
            form[key] = value.to_plan();
        }
    }
    form
}

/// Plugins in use: pairs of plugin and executor.
struct Plugins<'a> {
    of_node: BTreeMap<&'a str, BTreeSet<(&'a str, &'a str)>>,
    /// Plugins that run on a host, by host.
    of_host: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Plugins<'a> {
    fn of(blueprint: &'a Blueprint) -> Self {
        let mut of_node: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
        let mut note = |node: &'a str, operations: &'a Operations| {
            let used = operations
                .values()
                .filter(|operation| !operation.is_empty());
            of_node.entry(node).or_default().extend(used.map(|it| {
                (
                    it.plugin.as_ref(),
                    it.rules.executor.as_deref().unwrap_or_default(),
                )
            }));
        };
        for (name, node) in &blueprint.nodes {
            note(name, &node.operations);
            for relationship in &node.relationships {
                note(name, &relationship.source_operations);
                note(&relationship.target.node, &relationship.target_operations);
            }
        }
        let mut of_host: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, used) in &of_node {
            if let Some(host) = blueprint
                .nodes
                .get(*name)
                .and_then(|node| node.host.as_deref())
            {
                of_host.entry(host).or_default().extend(
                    used.iter()
                        .filter(|(_, at)| *at == "host_agent")
                        .map(|(plugin, _)| *plugin),
                );
            }
        }
        Self { of_node, of_host }
    }

    fn list(&self, executor: &str, blueprint: &Blueprint) -> Json {
        let used: BTreeSet<&str> = self
            .of_node
            .values()
            .flatten()
            .filter(|(_, at)| *at == executor)
            .map(|(plugin, _)| *plugin)
            .collect();
        used.into_iter()
            .filter_map(|name| Some(plugin(name, &blueprint.plugins.get(name)?.body, executor)))
            .collect()
    }
}

fn workflow_plugins(blueprint: &Blueprint) -> Json {
    let used: BTreeSet<&str> = blueprint
        .workflows
        .values()
        .map(|workflow| workflow.plugin.as_str())
        .collect();
    let form = |name: &str| {
        blueprint
            .plugins
            .get(name)
            .map(|it| plugin(name, &it.body, &it.body.executor))
    };
    used.into_iter().filter_map(form).collect()
}

fn plugin(name: &str, plugin: &Plugin, executor: &str) -> Json {
    let mut form = json!({
        "distribution": null,
        "distribution_release": null,
        "distribution_version": null,
        "executor": executor,
        "install": plugin.install,
        "install_arguments": null,
        "name": name,
        "package_name": null,
        "package_version": null,
        "properties": plugin.properties.to_plan(),
        "properties_description": null,
        "source": null,
        "supported_platform": null,
    });
    for (key, value) in &plugin.package {
        form[*key] = value.to_plan();
    }
    form
}

/// Returns the secrets and parent capabilities that functions refer to: one entry per reference,
/// and two if the operation also has a short name, as in Cloudify.
pub(super) fn requirements(blueprint: &Blueprint) -> super::Requirements {
    let mut requirements = super::Requirements::default();
    visit_requirements(blueprint, &mut |call| match call.name {
        "get_secret" => requirements.secrets.push(call.arguments.to_plan()),
        "get_environment_capability" => {
            let arguments = call.arguments.to_plan();
            requirements
                .parent_capabilities
                .push(if arguments.is_array() {
                    arguments
                } else {
                    json!([arguments])
                });
        }
        _ => {}
    });
    requirements
}

/// Returns the secrets that functions refer to, each with the location of the first reference.
#[must_use]
pub fn secrets(blueprint: &Blueprint) -> BTreeMap<String, Span> {
    let mut all = BTreeMap::new();
    visit_requirements(blueprint, &mut |call| {
        let first = call
            .arguments
            .as_list()
            .map_or(Some(call.arguments), |list| list.first());
        if let Some(name) = first
            .and_then(Value::as_str)
            .filter(|_| call.name == "get_secret")
        {
            all.entry(name.to_owned()).or_insert(call.arguments.span);
        }
    });
    all
}

/// Functions that read values from outside the deployment.
const REQUIREMENT_FUNCTIONS: [&str; 2] = ["get_secret", "get_environment_capability"];

/// Visits each call of one of [`REQUIREMENT_FUNCTIONS`] in a blueprint, in the order of Cloudify.
fn visit_requirements(blueprint: &Blueprint, visit: &mut dyn FnMut(Call<'_>)) {
    let mut other = |value: &Value| visit_requirements_in(value, visit);
    for node in blueprint.nodes.values() {
        node.properties.values().for_each(&mut other);
        visit_counts(&node.instance_counts, &mut other);
        visit_inputs_by_name(&node.operations, &mut other);
        for relationship in &node.relationships {
            visit_inputs_by_name(&relationship.source_operations, &mut other);
            visit_inputs_by_name(&relationship.target_operations, &mut other);
        }
    }
    blueprint
        .outputs
        .values()
        .for_each(|output| other(&output.body.value));
    blueprint
        .policies
        .values()
        .for_each(|policy| visit_counts(&policy.instance_counts, &mut other));
    blueprint
        .scaling_groups
        .values()
        .for_each(|group| visit_counts(&group.instance_counts, &mut other));
    blueprint
        .capabilities
        .values()
        .for_each(|output| other(&output.body.value));
    blueprint
        .labels
        .values()
        .flat_map(|label| &label.body.values)
        .for_each(&mut other);
    blueprint
        .settings
        .iter()
        .flat_map(|settings| &settings.display_name)
        .for_each(&mut other);
}

/// Visits the instance counts. The default counts three times, because the plan also contains it as
/// the current and the planned number.
fn visit_counts(numbers: &InstanceCounts, visit: &mut dyn FnMut(&Value)) {
    [
        &numbers.default,
        &numbers.default,
        &numbers.default,
        &numbers.max,
        &numbers.min,
    ]
    .into_iter()
    .for_each(visit);
}

/// Visits the inputs of operations, twice if an operation also has a short name.
fn visit_inputs_by_name(operations: &Operations, visit: &mut dyn FnMut(&Value)) {
    // Most operations contain no such call; skip the search for short names then.
    let mut asks = false;
    operations
        .values()
        .flat_map(|operation| operation.inputs.values())
        .for_each(|value| visit_requirements_in(value, &mut |_| asks = true));
    if !asks {
        return;
    }
    let names = ShortNames::of(operations);
    for (name, operation) in operations {
        for _ in 0..if names.unique(name).is_some() { 2 } else { 1 } {
            operation.inputs.values().for_each(&mut *visit);
        }
    }
}

fn visit_requirements_in(value: &Value, visit: &mut dyn FnMut(Call<'_>)) {
    match &value.data {
        Data::List(list) => list
            .iter()
            .for_each(|item| visit_requirements_in(item, visit)),
        Data::Map(map) => {
            if let Some(call) =
                call(value).filter(|call| REQUIREMENT_FUNCTIONS.contains(&call.name))
            {
                visit(call);
            }
            map.entries
                .iter()
                .for_each(|(_, item)| visit_requirements_in(item, visit));
        }
        _ => {}
    }
}

/// Visits all values that may contain functions, nested ones included, with their paths.
fn walk(blueprint: &Blueprint, visit: &mut dyn FnMut(&str, &Value)) {
    for (name, node) in &blueprint.nodes {
        walk_values(
            &format!("nodes.{name}.properties"),
            node.properties.iter(),
            visit,
        );
        walk_operations(&format!("nodes.{name}.operations"), &node.operations, visit);
        for relationship in &node.relationships {
            let path = format!("{name}.relationships.{}", relationship.target.node);
            walk_operations(
                &format!("{path}.source_operations"),
                &relationship.source_operations,
                visit,
            );
            walk_operations(
                &format!("{path}.target_operations"),
                &relationship.target_operations,
                visit,
            );
        }
    }
    for (section, outputs) in [
        ("outputs", &blueprint.outputs),
        ("capabilities", &blueprint.capabilities),
    ] {
        for (name, output) in outputs {
            walk_value(
                &format!("{section}.{name}.value"),
                &output.body.value,
                visit,
            );
        }
    }
    for (name, label) in &blueprint.labels {
        for value in &label.body.values {
            walk_value(&format!("labels.{name}.values"), value, visit);
        }
    }
}

/// Returns true if a value is or contains a call.
fn contains_call(value: &Value) -> bool {
    call(value).is_some()
        || match &value.data {
            Data::List(list) => list.iter().any(contains_call),
            Data::Map(map) => map.entries.iter().any(|(_, value)| contains_call(value)),
            _ => false,
        }
}

fn walk_operations(path: &str, operations: &Operations, visit: &mut dyn FnMut(&str, &Value)) {
    for (name, operation) in operations {
        walk_values(
            &format!("{path}.{name}.inputs"),
            operation.inputs.iter(),
            visit,
        );
    }
}

fn walk_values<'v>(
    path: &str,
    values: impl Iterator<Item = (&'v Arc<str>, &'v Value)>,
    visit: &mut dyn FnMut(&str, &Value),
) {
    for (name, value) in values {
        if matches!(value.data, Data::Map(_) | Data::List(_)) {
            walk_value(&format!("{path}.{name}"), value, visit);
        }
    }
}

fn walk_value(path: &str, value: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, value);
    match &value.data {
        Data::List(list) => list
            .iter()
            .enumerate()
            .for_each(|(at, item)| walk_value(&format!("{path}[{at}]"), item, visit)),
        Data::Map(map) => map
            .entries
            .iter()
            .for_each(|(key, item)| walk_value(&format!("{path}.{}", key.to_key()), item, visit)),
        _ => {}
    }
}
