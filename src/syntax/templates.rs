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
    /// `instances.deploy`.
    pub deploy: Option<Value>,
    /// `capabilities.scalable.properties`.
    pub scalable: Scalable,
    /// Operations.
    pub interfaces: Interfaces<Arc<Map>>,
    /// Relationships in order.
    pub relationships: Vec<Relationship>,
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
    let deploy = fields.non_null("instances");
    let capabilities = fields.since("capabilities", Version::V1_3, r);
    if let (Some(one), Some(other)) = (deploy, capabilities) {
        let message = format!("{owner} sets both `instances` and `capabilities`");
        let fault = other.span.error(Code::ScalingSetTwice, message);
        r.push(fault.related(one.span, "`instances` is here"));
    }
    let template = NodeTemplate {
        type_name,
        properties: fields.free_map("properties", r),
        deploy: deploy.and_then(|value| instances(value, &owner, r)),
        scalable: capabilities
            .and_then(|value| capability(value, &owner, r))
            .unwrap_or_default(),
        interfaces: fields.named("interfaces", r, given_interface),
        relationships: relationships(&mut fields, r),
    };
    fields.report_unknown(r);
    Some(template)
}

fn instances(value: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) -> Option<Value> {
    let part = owner.part("instances");
    let deploy = Fields::read(value, part, r, |fields, r| fields.required("deploy", r))??;
    check_count(deploy, &part.part("deploy"), r).then(|| deploy.clone())
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
