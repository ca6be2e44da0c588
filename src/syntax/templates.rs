//! Node templates and their relationships.

use super::{
    Data, Map, Value, Version,
    fields::{Fields, Owner, Reader},
    types::{Interfaces, given_interface},
};
use crate::diagnostic::{Code, Span, Spanned};
use std::sync::Arc;

/// `node_templates.NAME`.
#[derive(Clone, Debug)]
pub struct NodeTemplate {
    /// Its type.
    pub type_name: Option<Spanned<String>>,
    /// Properties.
    pub properties: Arc<Map>,
    /// `instances`.
    pub instances: InstanceList,
    /// `capabilities.scalable.properties`.
    pub scalable: Scalable,
    /// Operations.
    pub interfaces: Interfaces<Arc<Map>>,
    /// Relationships in order.
    pub relationships: Vec<Relationship>,
}

/// `instances` of a node template.
#[derive(Clone, Debug, Default)]
pub struct InstanceList {
    /// `deploy`: their number.
    pub deploy: Option<Value>,
    /// `names`: the names of their objects. There are as many instances as names.
    pub names: Vec<Spanned<String>>,
    /// `first`: the number of the first instance.
    pub first: usize,
    /// Places of `names` and `first`, which Cloudify does not have.
    pub own_keys: Vec<Spanned<&'static str>>,
}

/// Numbers of instances of a node or a scaling group. Each is an integer or a function.
#[derive(Clone, Debug, Default)]
pub struct Scalable {
    /// Their place; `None` if they are not given.
    pub span: Option<Span>,
    /// `min_instances`; 0 if not given.
    pub min: Option<Value>,
    /// `max_instances`; unbounded if not given.
    pub max: Option<Value>,
    /// `default_instances`; 1 if not given.
    pub default: Option<Value>,
}

/// An entry of a node's `relationships`.
#[derive(Clone, Debug)]
pub struct Relationship {
    /// Its type.
    pub type_name: Spanned<String>,
    /// The node it points to.
    pub target: Spanned<String>,
    /// Properties.
    pub properties: Arc<Map>,
    /// Operations run for the source.
    pub source_interfaces: Interfaces<Arc<Map>>,
    /// Operations run for the target.
    pub target_interfaces: Interfaces<Arc<Map>>,
}

pub(super) fn node_template(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<NodeTemplate> {
    let owner = Owner::new("node template", name);
    let mut fields = Fields::open(value, owner, r)?;
    let type_name = fields.required_text("type", r);
    let listed = fields.non_null("instances");
    let capabilities = fields.since("capabilities", Version::V1_3, r);
    if let (Some(one), Some(other)) = (listed, capabilities) {
        let message = format!("{owner} sets both `instances` and `capabilities`");
        let fault = other.span.error(Code::ScalingSetTwice, message);
        r.push(fault.related(one.span, "`instances` is here"));
    }
    let template = NodeTemplate {
        type_name,
        properties: fields.free_map("properties", r),
        instances: listed
            .and_then(|value| instances(value, &owner, r))
            .unwrap_or_default(),
        scalable: capabilities
            .and_then(|value| capability(value, &owner, r))
            .unwrap_or_default(),
        interfaces: fields.named("interfaces", r, given_interface),
        relationships: relationships(&mut fields, r),
    };
    fields.report_unknown(r);
    Some(template)
}

fn instances(value: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) -> Option<InstanceList> {
    let part = owner.part("instances");
    Fields::read(value, part, r, |fields, r| {
        let names = fields.non_null("names");
        let deploy = match names {
            Some(_) => fields.take("deploy"),
            None => fields.required("deploy", r),
        };
        let first = fields.non_null("first");
        let mut list = InstanceList {
            deploy: deploy
                .filter(|it| check_count(it, &part.part("deploy"), r))
                .cloned(),
            names: names.map_or_else(Vec::new, |it| instance_names(it, &part.part("names"), r)),
            first: first.map_or(0, |it| first_number(it, &part.part("first"), r)),
            own_keys: Vec::new(),
        };
        let own = [("names", names), ("first", first)];
        let own = own
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?.span)));
        list.own_keys = own.map(|(node, span)| Spanned { node, span }).collect();
        check_number_of_names(&list, r);
        list
    })
}

/// Reads the names of instances: different, not empty, without control characters.
fn instance_names(value: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) -> Vec<Spanned<String>> {
    let mut names: Vec<Spanned<String>> = Vec::new();
    for item in r.list(value, owner) {
        let Some(name) = r.text(item, owner) else {
            continue;
        };
        if name.node.is_empty() || name.node.chars().any(char::is_control) {
            let message = format!("{owner} must be names without control characters");
            r.push(name.span.error(Code::InstanceNames, message));
        } else if let Some(first) = names.iter().find(|it| it.node == name.node) {
            let message = format!("two instances have the name `{}`", name.node);
            let fault = name.span.error(Code::InstanceNames, message);
            r.push(fault.related(first.span, "the first one is here"));
        } else {
            names.push(name);
        }
    }
    if r.list(value, owner).is_empty() {
        let message = format!("{owner} must not be empty");
        r.push(value.span.error(Code::InstanceNames, message));
    }
    names
}

/// A larger number of a first instance is a mistake.
const MAX_FIRST: i64 = 1_000_000;

fn first_number(value: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) -> usize {
    match value.data {
        Data::Int(number @ 0..=MAX_FIRST) => usize::try_from(number).unwrap_or_default(),
        Data::Int(_) => {
            let message = format!("{owner} must be from 0 to {MAX_FIRST}");
            r.push(value.span.error(Code::InstanceNumbers, message));
            0
        }
        _ => {
            r.wrong_shape(value, owner, "an integer");
            0
        }
    }
}

fn check_number_of_names(list: &InstanceList, r: &mut Reader<'_>) {
    let (Some(deploy), false) = (&list.deploy, list.names.is_empty()) else {
        return;
    };
    let (names, number) = (list.names.len(), deploy.to_key());
    let is_number = matches!(deploy.data, Data::Int(it) if usize::try_from(it) == Ok(names));
    if !is_number {
        let message = format!("`deploy` is {number}, but there are {names} names");
        let fault = deploy.span.error(Code::InstanceNames, message);
        r.push(fault.hint("leave out `deploy`: the names determine the number"));
    }
}

/// Returns true if a value is a valid number of instances; reports an error otherwise.
fn check_count(value: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) -> bool {
    let negative = || format!("{owner} must be at least 0");
    match value.data {
        Data::Int(0..) | Data::Bool(_) => return true,
        Data::Int(_) => r.push(value.span.error(Code::Format, negative())),
        _ => r.wrong_shape(value, owner, "a non-negative integer"),
    }
    false
}

fn capability(value: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) -> Option<Scalable> {
    let capabilities = owner.part("capabilities");
    let inner = Fields::read(value, capabilities, r, |fields, _| fields.take("scalable"))??;
    let part = capabilities.part("scalable");
    let properties = Fields::read(inner, part, r, |fields, _| fields.take("properties"))??;
    Some(scalable(properties, &part.part("properties"), r))
}

/// Reads numbers of instances.
pub(super) fn scalable(value: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) -> Scalable {
    let scalable = Fields::read(value, *owner, r, |fields, _| Scalable {
        span: Some(value.span),
        min: fields.non_null("min_instances").cloned(),
        max: fields.non_null("max_instances").cloned(),
        default: fields.non_null("default_instances").cloned(),
    });
    scalable.unwrap_or_default()
}

fn relationships(fields: &mut Fields<'_, '_>, r: &mut Reader<'_>) -> Vec<Relationship> {
    let items = fields.items("relationships", r).iter();
    let node = *fields.owner();
    items
        .filter_map(|item| relationship(item, &node, r))
        .collect()
}

fn relationship(value: &Value, node: &Owner<'_>, r: &mut Reader<'_>) -> Option<Relationship> {
    let mut fields = Fields::open(value, node.part("relationships"), r)?;
    let type_name = fields.required_text("type", r);
    let target = fields.required_text("target", r);
    let properties = fields.free_map("properties", r);
    let source_interfaces = fields.named("source_interfaces", r, given_interface);
    let target_interfaces = fields.named("target_interfaces", r, given_interface);
    fields.report_unknown(r);
    Some(Relationship {
        type_name: type_name?,
        target: target?,
        properties,
        source_interfaces,
        target_interfaces,
    })
}
