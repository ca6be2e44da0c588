//! A JSON Schema of blueprints for editors: types, keys and enumerations.
//!
//! A schema cannot express rules that depend on other parts of a blueprint.

use super::{OPERATORS, PRIMITIVES, Version};
use serde_json::{Value as Json, json};

/// Returns the schema, in JSON Schema draft 2020-12.
#[must_use]
pub fn json_schema() -> Json {
    let versions: Vec<&str> = Version::ALL
        .iter()
        .map(|version| version.as_str())
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Cloudify blueprint",
        "type": "object",
        "required": ["tosca_definitions_version"],
        "additionalProperties": false,
        "properties": {
            "tosca_definitions_version": { "enum": versions, "description": "DSL version" },
            "description": text("Description for people; since 1_2"),
            "metadata": { "type": ["object", "null"], "description": "Free-form data" },
            "dsl_definitions": { "type": ["object", "array", "null"], "description": "YAML anchors for reuse; since 1_2" },
            "imports": { "type": ["array", "null"], "description": "Paths, URLs, plugin:NAME or ns--FILE", "items": { "oneOf": [
                { "type": "string" },
                { "type": "object", "minProperties": 1, "maxProperties": 1, "description": "Import with properties for its plugins; since 1_5" },
            ] } },
            "inputs": map("input"),
            "plugins": map("plugin"),
            "data_types": map("data_type"),
            "node_types": map("node_type"),
            "relationships": map("relationship_type"),
            "node_templates": map("node_template"),
            "groups": map("group"),
            "policy_types": map("policy_type"),
            "policy_triggers": map("policy_trigger"),
            "policies": map("policy"),
            "workflows": map("workflow"),
            "outputs": map("output"),
            "capabilities": map("output"),
            "labels": map("label"),
            "blueprint_labels": map("label"),
            "deployment_settings": { "$ref": "#/$defs/deployment_settings" },
            "resource_tags": { "type": ["object", "null"], "description": "Tags of all created resources; since 1_3" },
        },
        "$defs": definitions(),
    })
}

fn text(description: &str) -> Json {
    json!({ "type": ["string", "null"], "description": description })
}

fn flag(description: &str) -> Json {
    json!({ "type": ["boolean", "null"], "description": description })
}

/// Returns the schema of a mapping from names to definitions of one kind.
fn map(definition: &str) -> Json {
    json!({ "type": ["object", "null"], "additionalProperties": { "$ref": format!("#/$defs/{definition}") } })
}

fn free(description: &str) -> Json {
    json!({ "type": ["object", "null"], "description": description })
}

/// Returns the schema of a mapping with exactly these keys.
#[expect(clippy::needless_pass_by_value, reason = "callers pass JSON literals")]
fn object(properties: Json, required: &[&str]) -> Json {
    let nullable = required.is_empty();
    let kind = if nullable {
        json!(["object", "null"])
    } else {
        json!("object")
    };
    json!({ "type": kind, "additionalProperties": false, "properties": properties, "required": required })
}

fn definitions() -> Json {
    let operators: serde_json::Map<String, Json> = OPERATORS
        .iter()
        .map(|name| ((*name).to_owned(), json!({})))
        .chain([
            ("deployment_id".to_owned(), json!({})),
            ("error_message".to_owned(), json!({})),
        ])
        .collect();
    let constraints = json!({ "type": ["array", "null"], "items": { "type": "object", "minProperties": 1, "additionalProperties": false, "properties": operators } });
    let type_name = json!({ "type": ["string", "null"], "description": "Primitive type or data type", "examples": PRIMITIVES });
    let property = json!({ "type": type_name, "default": {}, "required": flag("A value is required; since 1_2"), "description": text("Description for people") });
    let with = |base: &Json, more: Json| {
        let mut all = base.clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        all
    };
    let parameter = with(
        &property,
        json!({ "item_type": { "type": ["string", "null"] }, "constraints": constraints }),
    );
    let input = with(
        &parameter,
        json!({
            "display_label": text("Label shown instead of the name; since 1_3"),
            "hidden": flag("The input is not shown; since 1_3"),
            "display": object(json!({ "rows": { "type": "integer" } }), &[]),
        }),
    );
    let interfaces = |operation: &str| json!({ "type": ["object", "null"], "additionalProperties": map(operation) });
    let derived = |more: Json| {
        object(
            with(
                &json!({ "derived_from": text("Parent type"), "properties": map("property") }),
                more,
            ),
            &[],
        )
    };
    json!({
        "property": object(property, &[]),
        "parameter": object(parameter, &[]),
        "input": object(input, &[]),
        "plugin": object(plugin(), &["executor"]),
        "data_type": derived(json!({ "version": {}, "description": text("Description for people") })),
        "node_type": derived(json!({ "interfaces": interfaces("declared_operation"), "runtime_properties": map("property") })),
        "relationship_type": derived(json!({
            "source_interfaces": interfaces("declared_operation"), "target_interfaces": interfaces("declared_operation"),
        })),
        "declared_operation": operation(&map("input")),
        "operation": operation(&free("Input values")),
        "node_template": node_template(&interfaces("operation")),
        "scaling": object(json!({ "min_instances": count(), "max_instances": count(), "default_instances": count() }), &[]),
        "group": object(json!({ "members": names(1), "policies": { "type": ["object", "null"] } }), &["members"]),
        "policy_type": object(json!({ "source": { "type": "string" }, "properties": map("property") }), &["source"]),
        "policy_trigger": object(json!({ "source": { "type": "string" }, "parameters": map("property") }), &["source"]),
        "policy": object(json!({
            "type": { "const": "cloudify.policies.scaling" }, "targets": names(1), "properties": { "$ref": "#/$defs/scaling" },
        }), &["type", "targets"]),
        "workflow": { "oneOf": [{ "type": "string" }, object(json!({
            "mapping": { "type": "string" }, "parameters": map("parameter"), "is_cascading": flag("Also runs in child deployments"),
            "availability_rules": object(json!({
                "available": flag("The workflow may run"),
                "node_instances_active": { "type": "array", "items": { "enum": ["all", "partial", "none"] } },
                "node_types_required": names(0),
            }), &[]),
        }), &["mapping"])] },
        "output": object(json!({ "value": { "not": { "type": "null" } }, "description": text("Description for people") }), &["value"]),
        "label": object(json!({ "values": { "type": "array", "items": { "type": ["string", "object"] } } }), &["values"]),
        "deployment_settings": object(json!({
            "id_template": text("Template of the deployment ID"),
            "display_name": { "type": ["string", "object", "null"] },
            "default_groups": { "type": ["array", "null"] },
            "default_schedules": { "type": ["object", "null"], "additionalProperties": schedule() },
        }), &[]),
    })
}

fn names(least: usize) -> Json {
    json!({ "type": "array", "minItems": least, "items": { "type": "string" } })
}

/// Returns the schema of a number of instances.
fn count() -> Json {
    json!({ "oneOf": [{ "type": ["integer", "boolean", "object", "null"] }, { "const": "UNBOUNDED" }] })
}

fn plugin() -> Json {
    let mut properties = json!({
        "executor": { "enum": ["central_deployment_agent", "host_agent"] },
        "install": flag("The plugin is installed before use"),
        "properties": free("Declared properties; since 1_5"),
    });
    for key in [
        "source",
        "install_arguments",
        "package_name",
        "package_version",
        "supported_platform",
        "distribution",
        "distribution_version",
        "distribution_release",
        "properties_description",
    ] {
        properties[key] = text("");
    }
    properties
}

fn operation(inputs: &Json) -> Json {
    let whole = json!({
        "implementation": text("plugin.module.function, or the path of a script"),
        "inputs": inputs,
        "executor": { "enum": ["central_deployment_agent", "host_agent", null] },
        "max_retries": { "type": ["integer", "boolean", "null"], "minimum": -1 },
        "retry_interval": { "type": ["number", "null"], "minimum": 0 },
        "timeout": { "type": ["number", "null"], "minimum": 0 },
        "timeout_recoverable": flag("The operation is retried after a timeout"),
    });
    json!({ "oneOf": [{ "type": "string" }, object(whole, &[])] })
}

fn node_template(interfaces: &Json) -> Json {
    let relationship = object(
        json!({
            "type": { "type": "string" }, "target": { "type": "string" }, "properties": free("Property values"),
            "source_interfaces": interfaces, "target_interfaces": interfaces,
        }),
        &["type", "target"],
    );
    // `type` is not required: a template can add relationships to a node of another file.
    object(
        json!({
            "type": { "type": "string" },
            "properties": free("Property values"),
            "instances": object(
                json!({
                    "deploy": { "type": "integer", "minimum": 0 },
                    "names": { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1, "uniqueItems": true },
                    "first": { "type": "integer", "minimum": 0 },
                }),
                &[],
            ),
            "capabilities": object(json!({ "scalable": object(json!({ "properties": { "$ref": "#/$defs/scaling" } }), &[]) }), &[]),
            "interfaces": interfaces,
            "relationships": { "type": ["array", "null"], "items": relationship },
        }),
        &[],
    )
}

fn schedule() -> Json {
    let mut properties = json!({
        "workflow": { "type": "string" },
        "since": { "type": "string", "examples": ["2030-01-31 23:59", "+2h+30min"] },
        "count": { "type": ["integer", "null"] },
        "slip": { "type": ["integer", "null"] },
        "weekdays": { "type": ["array", "null"], "items": { "type": "string" } },
        "default_enabled": flag("The schedule is enabled"),
        "stop_after_fail": flag("A failure ends the schedule"),
        "workflow_parameters": free("Parameter values"),
        "execution_arguments": object(json!({
            "force": flag(""), "is_dry_run": flag(""), "allow_custom_parameters": flag(""), "wait_after_fail": { "type": ["integer", "null"] },
        }), &[]),
    });
    for key in ["until", "recurrence", "timezone"] {
        properties[key] = text("");
    }
    object(properties, &["workflow", "since"])
}
