//! Requests and results of the interfaces `Group` and `Flavor`.

use super::api::{Fields, Spec, unknown_method};
use crate::{operate::group::GroupMember, serve::json_rpc::RpcError, stage::parameters::Update};
use serde_json::{Value as Json, json};

/// A method of the interface `Group`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GroupMethod {
    /// Commits a specification.
    Commit(CommitRequest),
    /// Gives up a group.
    Free(String),
    /// Lists the instances of a group.
    Describe(String),
    /// Removes a group.
    Destroy(String),
    /// Returns the specifications of all groups.
    Inspect,
    /// Removes instances of a group.
    DestroyInstances(String, Vec<String>),
    /// Returns the size of a group.
    Size(String),
    /// Sets the size of a group.
    SetSize(String, i64),
}

/// A request to commit a specification.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommitRequest {
    /// The specification.
    pub spec: Json,
    /// Only describe what the commit would do.
    pub pretend: bool,
    /// Text of the script that the specification refers to. Only clients of dockctl send it.
    pub script: Option<String>,
    /// Parameters of a rolling update. Only clients of dockctl send them.
    pub rolling: Update,
}

/// A request to a flavor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FlavorRequest {
    /// Name of the subtype; empty for the default one.
    pub subtype: String,
    /// Properties of the flavor.
    pub properties: Json,
    /// The request.
    pub method: FlavorMethod,
}

/// A method of the interface `Flavor`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FlavorMethod {
    /// Checks the properties.
    Validate,
    /// Completes the specification of an instance.
    Prepare(Spec),
    /// Tells whether an instance works.
    Healthy,
    /// Prepares an instance for its removal.
    Drain,
}

pub(super) fn group_method(
    fields: &Fields<'_>,
    (whole, name): (&str, &str),
) -> Result<GroupMethod, RpcError> {
    let id = || fields.text("ID");
    Ok(match name {
        "CommitGroup" => {
            let spec = fields.inside("Spec")?;
            let spec = json!({ "ID": spec.text("ID")?, "Properties": spec.get("Properties") });
            let rolling = fields.get("Rolling");
            GroupMethod::Commit(CommitRequest {
                spec,
                pretend: fields.flag("Pretend")?,
                script: fields.get("Script").as_str().map(str::to_owned),
                rolling: serde_json::from_value(rolling.clone()).unwrap_or_default(),
            })
        }
        "FreeGroup" => GroupMethod::Free(id()?),
        "DescribeGroup" => GroupMethod::Describe(id()?),
        "DestroyGroup" => GroupMethod::Destroy(id()?),
        "InspectGroups" => GroupMethod::Inspect,
        "DestroyInstances" => GroupMethod::DestroyInstances(id()?, texts(fields, "Instances")?),
        "Size" => GroupMethod::Size(id()?),
        "SetSize" => {
            let size = fields.get("Size").as_i64();
            let size = size.ok_or_else(|| fields.wrong("Size", "an integer"))?;
            GroupMethod::SetSize(id()?, size)
        }
        _ => return Err(unknown_method(whole)),
    })
}

fn texts(fields: &Fields<'_>, name: &str) -> Result<Vec<String>, RpcError> {
    let wrong = || fields.wrong(name, "a list of strings");
    match fields.get(name) {
        Json::Null => Ok(Vec::new()),
        Json::Array(items) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

pub(super) fn flavor_request(
    fields: &Fields<'_>,
    (whole, name): (&str, &str),
) -> Result<FlavorRequest, RpcError> {
    let method = match name {
        "Validate" => FlavorMethod::Validate,
        "Prepare" => FlavorMethod::Prepare(fields.inside("Spec")?.spec()?),
        "Healthy" => FlavorMethod::Healthy,
        "Drain" => FlavorMethod::Drain,
        _ => return Err(unknown_method(whole)),
    };
    Ok(FlavorRequest {
        subtype: fields.subtype()?,
        properties: fields.get("Properties").clone(),
        method,
    })
}

/// Returns the description of a group.
pub(crate) fn description(members: &[GroupMember], converged: bool) -> Json {
    let instances = members.iter().map(GroupMember::to_json).collect::<Json>();
    json!({ "Instances": instances, "Converged": converged })
}

/// Returns the specification of an instance as a flavor returns it.
pub(crate) fn spec_json(spec: &Spec) -> Json {
    json!({
        "Properties": spec.properties,
        "Tags": spec.tags,
        "Init": spec.init,
        "LogicalID": spec.logical_id,
        "Attachments": spec.attachments,
    })
}
