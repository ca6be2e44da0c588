//! The sections of a blueprint, merged with its imports. Values have places and may be invalid.

pub use super::{
    groups::{Group, GroupPolicy, GroupTrigger, Policy, PolicyType},
    schema::{Constraint, Schema},
    sections::{Label, Output, Settings, Workflow},
    templates::{InstanceList, NodeTemplate, Relationship, Scalable},
    types::{DataType, ExecutionRules, Interfaces, NodeType, Operation, Plugin, RelationshipType},
};

use super::{
    Data, Value, Version,
    fields::{Fields, Owner, Reader, not_a_mapping},
    groups, schema, sections, templates, types,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, FileId, Span},
    document::Document,
};
use indexmap::IndexMap;

/// Definitions by name, in document order.
pub type Named<T> = IndexMap<String, Definition<T>>;

/// A definition and the place of its name.
#[derive(Clone, Debug)]
pub struct Definition<T> {
    /// Place of the name.
    pub name: Span,
    /// The definition.
    pub body: T,
}

/// A blueprint with its imports.
#[derive(Clone, Debug)]
pub struct Ast {
    /// The main file.
    pub file: FileId,
    /// The document of another kind that the main file is.
    pub document: Option<Document>,
    /// The declared version, or the newest one if no known version is declared.
    pub version: Version,
    /// `description`.
    pub description: Option<String>,
    /// `metadata`.
    pub metadata: Option<Value>,
    /// `inputs`.
    pub inputs: Named<Schema>,
    /// `plugins`.
    pub plugins: Named<Plugin>,
    /// `data_types`.
    pub data_types: Named<DataType>,
    /// `node_types`.
    pub node_types: Named<NodeType>,
    /// `relationships`.
    pub relationships: Named<RelationshipType>,
    /// `node_templates`.
    pub node_templates: Named<NodeTemplate>,
    /// `policy_types`.
    pub policy_types: Named<PolicyType>,
    /// `policy_triggers`.
    pub policy_triggers: Named<PolicyType>,
    /// `groups`.
    pub groups: Named<Group>,
    /// `policies`.
    pub policies: Named<Policy>,
    /// `workflows`.
    pub workflows: Named<Workflow>,
    /// `outputs`.
    pub outputs: Named<Output>,
    /// `capabilities`, which have the shape of outputs.
    pub capabilities: Named<Output>,
    /// `labels`.
    pub labels: Named<Label>,
    /// `blueprint_labels`.
    pub blueprint_labels: Named<Label>,
    /// `deployment_settings`.
    pub settings: Option<Settings>,
    /// `resource_tags`.
    pub resource_tags: Option<Value>,
}

/// Names of all sections of a blueprint or an imported file.
pub const SECTIONS: [&str; 24] = [
    "tosca_definitions_version",
    "imports",
    "imported_blueprints",
    "namespaces_mapping",
    "dsl_definitions",
    "description",
    "metadata",
    "inputs",
    "plugins",
    "data_types",
    "node_types",
    "relationships",
    "node_templates",
    "policy_types",
    "policy_triggers",
    "groups",
    "policies",
    "workflows",
    "outputs",
    "capabilities",
    "labels",
    "blueprint_labels",
    "deployment_settings",
    "resource_tags",
];

impl Ast {
    /// Reads the sections of a merged blueprint.
    #[must_use]
    pub fn read(
        file: FileId,
        version: Version,
        root: &Value,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let r = &mut Reader {
            version,
            diagnostics,
        };
        let mut fields = Fields::open_or_empty(root, Owner::singleton("the blueprint"), r);
        for elsewhere in [
            "tosca_definitions_version",
            "imports",
            "imported_blueprints",
            "namespaces_mapping",
        ] {
            fields.take(elsewhere); // Read when the imports were followed.
        }
        check_dsl_definitions(&mut fields, r);
        let ast = Self {
            file,
            document: None,
            version,
            description: fields
                .text_since("description", Version::V1_2, r)
                .map(|text| text.node),
            metadata: metadata(fields.take("metadata"), r),
            inputs: fields.named("inputs", r, schema::input),
            plugins: non_null_section(&mut fields, "plugins", r, types::plugin),
            data_types: section_since(
                &mut fields,
                "data_types",
                Version::V1_2,
                r,
                types::data_type,
            ),
            node_types: non_null_section(&mut fields, "node_types", r, types::node_type),
            relationships: fields.named("relationships", r, types::relationship_type),
            node_templates: fields.named("node_templates", r, templates::node_template),
            policy_types: fields.named("policy_types", r, groups::policy_type),
            policy_triggers: fields.named("policy_triggers", r, groups::policy_trigger),
            groups: fields.named("groups", r, groups::group),
            policies: section_since(&mut fields, "policies", Version::V1_3, r, groups::policy),
            workflows: fields.named("workflows", r, sections::workflow),
            outputs: fields.named("outputs", r, sections::output),
            capabilities: fields.named("capabilities", r, sections::output),
            labels: fields.named("labels", r, sections::label),
            blueprint_labels: fields.named("blueprint_labels", r, sections::blueprint_label),
            settings: fields
                .non_null("deployment_settings")
                .and_then(|value| sections::settings(value, r)),
            resource_tags: fields.since("resource_tags", Version::V1_3, r).cloned(),
        };
        r.any_map(
            ast.resource_tags.as_ref(),
            &Owner::singleton("`resource_tags`"),
        );
        fields.report_unknown(r);
        ast
    }
}

/// Checks the form of `dsl_definitions`, which only contains anchors.
fn check_dsl_definitions(fields: &mut Fields<'_, '_>, r: &mut Reader<'_>) {
    if let Some(value) = fields.since("dsl_definitions", Version::V1_2, r)
        && !matches!(value.data, Data::Map(_) | Data::List(_))
    {
        let owner = Owner::singleton("`dsl_definitions`");
        r.wrong_shape(value, &owner, "a mapping or a list");
    }
}

fn metadata(value: Option<&Value>, r: &mut Reader<'_>) -> Option<Value> {
    value
        .filter(|value| check_mapping(value, Owner::singleton("`metadata`"), r))
        .cloned()
}

/// Reads a section that must not be `null`, as in Cloudify.
fn non_null_section<'v, T>(
    fields: &mut Fields<'v, '_>,
    key: &'static str,
    r: &mut Reader<'_>,
    read: impl FnMut(&'v Value, &str, &mut Reader<'_>) -> Option<T>,
) -> Named<T> {
    let given = fields.take(key);
    let value = given.filter(|value| check_mapping(value, Owner::new("", key), r));
    r.named(value, &fields.owner().part(key), read)
}

fn check_mapping(value: &Value, owner: Owner<'_>, r: &mut Reader<'_>) -> bool {
    let is_mapping = value.as_map().is_some();
    if !is_mapping {
        r.push(not_a_mapping_hint(value, owner));
    }
    is_mapping
}

fn not_a_mapping_hint(value: &Value, owner: Owner<'_>) -> Diagnostic {
    let fault = not_a_mapping(value, &owner);
    if value.is_null() {
        fault.hint("remove it if it is empty")
    } else {
        fault
    }
}

fn section_since<'v, T>(
    fields: &mut Fields<'v, '_>,
    key: &'static str,
    since: Version,
    r: &mut Reader<'_>,
    read: impl FnMut(&'v Value, &str, &mut Reader<'_>) -> Option<T>,
) -> Named<T> {
    let value = fields.since(key, since, r);
    r.named(value, &fields.owner().part(key), read)
}
