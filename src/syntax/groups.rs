//! Groups of nodes and the policies on them.

use super::{
    Map, Value,
    ast::Named,
    fields::{Fields, Owner, Reader},
    schema::{self, Schema},
    templates::{Scalable, scalable},
};
use crate::diagnostic::{Code, Spanned};
use std::sync::Arc;

/// `groups.NAME`.
#[derive(Clone, Debug)]
pub struct Group {
    /// Nodes and groups.
    pub members: Vec<Spanned<String>>,
    /// Policies by name.
    pub policies: Named<GroupPolicy>,
}

/// `groups.NAME.policies.NAME`.
#[derive(Clone, Debug)]
pub struct GroupPolicy {
    /// Its type.
    pub type_name: Spanned<String>,
    /// Properties.
    pub properties: Arc<Map>,
    /// Triggers by name.
    pub triggers: Named<GroupTrigger>,
}

/// `groups.NAME.policies.NAME.triggers.NAME`.
#[derive(Clone, Debug)]
pub struct GroupTrigger {
    /// Its type.
    pub type_name: Spanned<String>,
    /// Parameters.
    pub parameters: Arc<Map>,
}

/// `policy_types.NAME` or `policy_triggers.NAME`.
#[derive(Clone, Debug)]
pub struct PolicyType {
    /// The program that implements it.
    pub source: Option<Spanned<String>>,
    /// Properties of a type, parameters of a trigger.
    pub properties: Named<Schema>,
}

/// `policies.NAME`.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its type.
    pub type_name: Spanned<String>,
    /// Names of groups.
    pub targets: Vec<Spanned<String>>,
    /// Numbers of instances of each group.
    pub properties: Scalable,
}

pub(super) fn group(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Group> {
    let owner = Owner::new("group", name);
    let mut fields = Fields::open(value, owner, r)?;
    let given = fields.take("members").filter(|value| !value.is_null());
    let policies = fields.named("policies", r, group_policy);
    fields.report_unknown(r);
    let Some(given) = given else {
        r.missing(value.span, &owner, "members");
        return Some(Group {
            members: Vec::new(),
            policies,
        });
    };
    let part = owner.part("members");
    let items = r.list(given, &part);
    if items.is_empty() && given.as_list().is_some() {
        r.push(
            given
                .span
                .error(Code::Format, format!("{owner} has no members"))
                .hint("name at least one node or group"),
        );
    }
    Some(Group {
        members: items
            .iter()
            .filter_map(|item| r.text(item, &part))
            .collect(),
        policies,
    })
}

fn group_policy(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<GroupPolicy> {
    let owner = Owner::new("policy", name);
    let mut fields = Fields::open(value, owner, r)?;
    let type_name = required(&mut fields, "type", value, r);
    let properties = fields.free_map("properties", r);
    let triggers = fields.named("triggers", r, group_trigger);
    fields.report_unknown(r);
    Some(GroupPolicy {
        type_name: type_name?,
        properties,
        triggers,
    })
}

fn group_trigger(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<GroupTrigger> {
    let mut fields = Fields::open(value, Owner::new("trigger", name), r)?;
    let type_name = required(&mut fields, "type", value, r);
    let parameters = fields.free_map("parameters", r);
    fields.report_unknown(r);
    Some(GroupTrigger {
        type_name: type_name?,
        parameters,
    })
}

pub(super) fn policy_type(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<PolicyType> {
    program(value, Owner::new("policy type", name), "properties", r)
}

pub(super) fn policy_trigger(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<PolicyType> {
    program(value, Owner::new("policy trigger", name), "parameters", r)
}

fn program(
    value: &Value,
    owner: Owner<'_>,
    properties: &'static str,
    r: &mut Reader<'_>,
) -> Option<PolicyType> {
    let mut fields = Fields::open(value, owner, r)?;
    // `null` declares nothing and is accepted.
    let source = if value.is_null() {
        None
    } else {
        required(&mut fields, "source", value, r)
    };
    let properties = fields.named(properties, r, schema::property);
    fields.report_unknown(r);
    Some(PolicyType { source, properties })
}

pub(super) fn policy(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<Policy> {
    let owner = Owner::new("policy", name);
    let mut fields = Fields::open(value, owner, r)?;
    let type_name = required(&mut fields, "type", value, r);
    let targets = fields.take("targets").filter(|value| !value.is_null());
    let properties = fields.take("properties").filter(|value| !value.is_null());
    let properties = properties.map_or_else(Scalable::default, |value| {
        scalable(value, &owner.part("properties"), r)
    });
    fields.report_unknown(r);
    let part = owner.part("targets");
    let targets = match targets {
        None => {
            r.missing(value.span, &owner, "targets");
            Vec::new()
        }
        Some(given) => {
            let items = r.list(given, &part);
            if items.is_empty() && given.as_list().is_some() {
                r.push(
                    given
                        .span
                        .error(Code::NoTargets, format!("{owner} has no targets"))
                        .hint("name at least one group"),
                );
            }
            items
                .iter()
                .filter_map(|item| r.text(item, &part))
                .collect()
        }
    };
    Some(Policy {
        type_name: type_name?,
        targets,
        properties,
    })
}

fn required(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    value: &Value,
    r: &mut Reader<'_>,
) -> Option<Spanned<String>> {
    let text = fields.text(key, r);
    if text.is_none() && value.get(key).is_none_or(Value::is_null) {
        r.missing(value.span, fields.owner(), key);
    }
    text
}
