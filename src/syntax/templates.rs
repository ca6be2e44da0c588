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
    /// Given properties.
    pub properties: Arc<Map>,
    /// `instances.deploy`.
    pub deploy: Option<Value>,
    /// `capabilities.scalable.properties`.
    pub scalable: Scalable,
    /// Given operations.
    pub interfaces: Interfaces<Arc<Map>>,
    /// Relationships in order.
    pub relationships: Vec<Relationship>,
}

/// Numbers of instances, of a node or of a scaling group; each a whole number or a function.
#[derive(Clone, Debug, Default)]
pub struct Scalable {
    /// Where they are given; none where nothing is.
    pub span: Option<Span>,
    /// `min_instances`, 0 where not given.
    pub min: Option<Value>,
    /// `max_instances`, unbounded where not given.
    pub max: Option<Value>,
    /// `default_instances`, 1 where not given.
    pub default: Option<Value>,
}

/// An entry of a node's `relationships`.
#[derive(Clone, Debug)]
pub struct Relationship {
    /// Its type.
    pub type_name: Spanned<String>,
    /// The node it points to.
    pub target: Spanned<String>,
    /// Given properties.
    pub properties: Arc<Map>,
    /// Operations run for the source.
    pub source_interfaces: Interfaces<Arc<Map>>,
    /// Operations run for the target.
    pub target_interfaces: Interfaces<Arc<Map>>,
}

pub(super) fn node_template(value: &Value, name: &str, r: &mut Reader<'_>) -> Option<NodeTemplate> {
    let owner = Owner::new("node template", name);
    let mut fields = Fields::open(value, owner, r)?;
    let type_name = fields.text("type", r);
    if type_name.is_none() && fields.take("type").is_none_or(Value::is_null) {
        r.missing(value.span, &owner, "type");
    }
    let deploy = fields.take("instances").filter(|value| !value.is_null());
    let capabilities = fields
        .since("capabilities", Version::V1_3, r)
        .filter(|value| !value.is_null());
    if let (Some(one), Some(other)) = (deploy, capabilities) {
        let fault = other.span.error(
            Code::TwoScalings,
            format!("{owner} gives both `instances` and `capabilities`"),
        );
        r.push(fault.related(one.span, "`instances` is here"));
    }
    let template = NodeTemplate {
        type_name,
        properties: fields.free_map("properties", r),
        deploy: deploy.and_then(|value| instances(value, &owner, r)),
        scalable: capabilities.map_or_else(Scalable::default, |value| capability(value, &owner, r)),
        interfaces: fields.named("interfaces", r, given_interface),
        relationships: relationships(fields.take("relationships"), &owner, r),
    };
    fields.close(r);
    Some(template)
}

fn instances(value: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) -> Option<Value> {
    let part = owner.part("instances");
    let mut fields = Fields::open(value, part, r)?;
    let deploy = fields.take("deploy").filter(|value| !value.is_null());
    fields.close(r);
    let Some(deploy) = deploy else {
        r.missing(value.span, &part, "deploy");
        return None;
    };
    match deploy.data {
        Data::Int(0..) | Data::Bool(_) => return Some(deploy.clone()),
        Data::Int(_) => r.push(deploy.span.error(
            Code::Format,
            format!("{} must be 0 or more", part.part("deploy")),
        )),
        _ => r.wrong_shape(deploy, &part.part("deploy"), "a whole number from 0 up"),
    }
    None
}

fn capability(value: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) -> Scalable {
    let part = owner.part("capabilities");
    let Some(mut fields) = Fields::open(value, part, r) else {
        return Scalable::default();
    };
    let inner = fields.take("scalable");
    fields.close(r);
    let part = part.part("scalable");
    let Some(mut fields) = inner.and_then(|inner| Fields::open(inner, part, r)) else {
        return Scalable::default();
    };
    let properties = fields.take("properties");
    fields.close(r);
    properties.map_or_else(Scalable::default, |properties| {
        scalable(properties, &part.part("properties"), r)
    })
}

/// Reads numbers of instances.
pub(super) fn scalable(value: &Value, owner: &Owner<'_>, r: &mut Reader<'_>) -> Scalable {
    let Some(mut fields) = Fields::open(value, *owner, r) else {
        return Scalable::default();
    };
    let mut count = |key| fields.take(key).filter(|value| !value.is_null()).cloned();
    let scalable = Scalable {
        span: Some(value.span),
        min: count("min_instances"),
        max: count("max_instances"),
        default: count("default_instances"),
    };
    fields.close(r);
    scalable
}

fn relationships(
    value: Option<&Value>,
    owner: &Owner<'_>,
    r: &mut Reader<'_>,
) -> Vec<Relationship> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Vec::new();
    };
    r.list(value, &owner.part("relationships"))
        .iter()
        .filter_map(|item| relationship(item, owner, r))
        .collect()
}

fn relationship(value: &Value, node: &Owner<'_>, r: &mut Reader<'_>) -> Option<Relationship> {
    let owner = node.part("relationships");
    let mut fields = Fields::open(value, owner, r)?;
    let (type_name, target) = (fields.text("type", r), fields.text("target", r));
    let properties = fields.free_map("properties", r);
    let source_interfaces = fields.named("source_interfaces", r, given_interface);
    let target_interfaces = fields.named("target_interfaces", r, given_interface);
    fields.close(r);
    for (key, given) in [("type", &type_name), ("target", &target)] {
        if given.is_none() && value.get(key).is_none_or(Value::is_null) {
            r.missing(value.span, &owner, key);
        }
    }
    Some(Relationship {
        type_name: type_name?,
        target: target?,
        properties,
        source_interfaces,
        target_interfaces,
    })
}
