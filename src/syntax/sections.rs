//! The smaller sections: workflows, outputs, labels and deployment settings.

use super::{
    Data, Map, Value, Version,
    ast::Named,
    call::call,
    fields::{Fields, Owner, Reader},
    schedule,
    schema::{self, Schema},
};
use crate::diagnostic::{Code, Spanned};
use std::sync::Arc;

/// `workflows.NAME`.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// The plugin function or script that implements it.
    pub mapping: Option<Spanned<Arc<str>>>,
    /// Parameters by name.
    pub parameters: Named<Schema>,
    /// True if it also runs in child deployments.
    pub is_cascading: bool,
    /// Conditions for running it, as written.
    pub availability_rules: Option<Value>,
}

/// `outputs.NAME` or `capabilities.NAME`.
#[derive(Clone, Debug)]
pub struct Output {
    /// Description for people.
    pub description: Option<String>,
    /// The value, usually a function; null if the output is empty.
    pub value: Value,
    /// The output is empty: `outputs: {a: }`.
    pub is_empty: bool,
}

/// `labels.NAME` or `blueprint_labels.NAME`.
#[derive(Clone, Debug)]
pub struct Label {
    /// Its values: strings, and in `labels` also functions.
    pub values: Vec<Value>,
}

/// `deployment_settings`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Template of the deployment ID.
    pub id_template: Option<Value>,
    /// Display name; text or a function.
    pub display_name: Option<Value>,
    /// Groups of deployments.
    pub default_groups: Option<Value>,
    /// Schedules by name, normalized.
    pub default_schedules: Map,
}

pub(super) fn workflow(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Workflow> {
    let owner = Owner::new("workflow", name);
    let mut workflow = Workflow {
        mapping: None,
        parameters: Named::default(),
        is_cascading: false,
        availability_rules: None,
    };
    match &value.data {
        Data::Str(text) => {
            workflow.mapping = Some(Spanned {
                node: text.clone(),
                span: value.span,
            })
        }
        Data::Null => r.wrong_shape(value, &owner, "a string or a mapping"),
        _ => {
            let mut fields = Fields::open(value, owner, r)?;
            let mapping = fields.text("mapping", r);
            if mapping.is_none() && value.get("mapping").is_none_or(Value::is_null) {
                r.missing(value.span, &owner, "mapping");
            }
            workflow.mapping = mapping.map(|text| Spanned {
                node: text.node.into(),
                span: text.span,
            });
            workflow.parameters = fields.named("parameters", r, schema::parameter);
            workflow.is_cascading = fields.boolean("is_cascading", r).unwrap_or(false);
            workflow.availability_rules = fields
                .since("availability_rules", Version::V1_4, r)
                .filter(|value| !value.is_null())
                .cloned();
            if let Some(rules) = &workflow.availability_rules {
                availability_rules(rules, &owner, r);
            }
            fields.report_unknown(r);
        }
    }
    Some(workflow)
}

fn availability_rules(value: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) {
    const ACTIVE: [&str; 3] = ["all", "partial", "none"];
    let part = owner.part("availability_rules");
    let Some(mut fields) = Fields::open(value, part, r) else {
        return;
    };
    fields.boolean("available", r);
    if let Some(active) = fields
        .take("node_instances_active")
        .filter(|value| !value.is_null())
    {
        let inner = part.part("node_instances_active");
        for item in r.list(active, &inner) {
            if !item.as_str().is_some_and(|word| ACTIVE.contains(&word)) {
                let fault = item.span.error(
                    Code::AvailabilityRule,
                    format!("{inner} cannot contain `{}`", item.to_key()),
                );
                r.push(fault.hint(format!("allowed values: {}", ACTIVE.join(", "))));
            }
        }
    }
    if let Some(types) = fields
        .take("node_types_required")
        .filter(|value| !value.is_null())
    {
        let inner = part.part("node_types_required");
        for item in r.list(types, &inner) {
            r.text(item, &inner);
        }
    }
    fields.report_unknown(r);
}

pub(super) fn output(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Output> {
    let owner = Owner::new("output", name);
    if value.is_null() {
        return Some(Output {
            description: None,
            value: value.clone(),
            is_empty: true,
        });
    }
    let mut fields = Fields::open(value, owner, r)?;
    let description = fields.text("description", r).map(|text| text.node);
    let given = fields
        .take("value")
        .filter(|value| !value.is_null())
        .cloned();
    fields.report_unknown(r);
    if given.is_none() {
        r.missing(value.span, &owner, "value");
    }
    Some(Output {
        description,
        value: given?,
        is_empty: false,
    })
}

pub(super) fn label(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Label> {
    label_values(value, Owner::new("label", name), r, |item| {
        match call(item) {
            _ if item.get("get_attribute").is_some() => Some(item.span.error(
                Code::Label,
                "a label cannot use `get_attribute`: labels are created before any operation runs",
            )),
            None if item.as_str().is_none() && item.as_map().is_none() => Some(item.span.error(
                Code::Label,
                format!(
                    "the value of a label must be a string or a function, not {}",
                    item.kind()
                ),
            )),
            _ => None,
        }
    })
}

pub(super) fn blueprint_label(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Label> {
    label_values(value, Owner::new("blueprint label", name), r, |item| {
        let fault = || {
            item.span.error(
                Code::Label,
                format!(
                    "the value of a blueprint label must be a string, not {}",
                    item.kind()
                ),
            )
        };
        item.as_str().is_none().then(fault)
    })
}

fn label_values(
    value: &Value,
    owner: Owner<'_>,
    r: &mut Reader<'_>,
    check: fn(&Value) -> Option<crate::diagnostic::Diagnostic>,
) -> Option<Label> {
    let mut fields = Fields::open(value, owner, r)?;
    let values = fields.take("values").filter(|value| !value.is_null());
    fields.report_unknown(r);
    let Some(values) = values else {
        r.missing(value.span, &owner, "values");
        return None;
    };
    let values = r.list(values, &owner.part("values"));
    r.diagnostics.extend(values.iter().filter_map(check));
    Some(Label {
        values: values.to_vec(),
    })
}

pub(super) fn settings(value: &Value, r: &mut Reader<'_>) -> Option<Settings> {
    let owner = Owner::singleton("`deployment_settings`");
    let mut fields = Fields::open(value, owner, r)?;
    let id_template = fields
        .text("id_template", r)
        .map(|text| Value::text(text.span, &text.node));
    let display_name = fields
        .take("display_name")
        .filter(|value| !value.is_null())
        .cloned();
    if let Some(name) = display_name
        .as_ref()
        .filter(|name| name.as_str().is_none() && name.as_map().is_none())
    {
        r.wrong_shape(name, &owner.part("display_name"), "a string or a function");
    }
    let default_groups = fields
        .take("default_groups")
        .filter(|value| !value.is_null())
        .cloned();
    if let Some(groups) = &default_groups {
        r.list(groups, &owner.part("default_groups"));
    }
    let schedules = fields.named("default_schedules", r, schedule::schedule);
    fields.report_unknown(r);
    let entries = schedules
        .into_iter()
        .map(|(name, schedule)| (Value::text(schedule.name, &name), schedule.body))
        .collect();
    Some(Settings {
        id_template,
        display_name,
        default_groups,
        default_schedules: Map::new(entries),
    })
}
