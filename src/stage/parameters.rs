//! Parameters of the workflows: one type per workflow. Names and default values are Cloudify's.
//! Default values are not serialized.

use super::{Selection, Workflow, selection::one_or_many};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map as JsonMap, Value as Json, json};
use std::ops::Not;

/// A workflow with its parameters. Serialized as the name of the workflow, next to an object of
/// parameters. Parameters of other workflows are ignored, because journal format 2 contains them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "Serialized", into = "Serialized")]
pub enum Parameters {
    /// `install`.
    Install(Install),
    /// `uninstall`.
    Uninstall(Uninstall),
    /// `rollback`.
    Rollback(Rollback),
    /// `reinstall`.
    Reinstall(Reinstall),
    /// `start`.
    Start(OneOperation),
    /// `stop`.
    Stop(OneOperation),
    /// `restart`.
    Restart(Restart),
    /// `pull`.
    Pull(OneOperation),
    /// `execute_operation`.
    ExecuteOperation(ExecuteOperation),
    /// `heal`.
    Heal(Heal),
    /// `scale`.
    Scale(Scale),
    /// `update`.
    Update(Update),
    /// `check_status`.
    CheckStatus(Check),
    /// `check_drift`.
    CheckDrift(Check),
}

/// Parameters of `install`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Install {
    /// The instances.
    #[serde(flatten)]
    pub selection: Selection,
}

/// Parameters of `uninstall`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Uninstall {
    /// The instances.
    #[serde(flatten)]
    pub selection: Selection,
    /// Failed operations are recorded, ignored and not retried.
    #[serde(skip_serializing_if = "Not::not")]
    pub ignore_failure: bool,
    /// Remove volumes too, regardless of the blueprint. Not in Cloudify.
    #[serde(skip_serializing_if = "Not::not")]
    pub volumes: bool,
}

/// Parameters of `rollback`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Rollback {
    /// The instances.
    #[serde(flatten)]
    pub selection: Selection,
    /// Take everything down afterwards.
    #[serde(skip_serializing_if = "Not::not")]
    pub full_rollback: bool,
}

/// Parameters of `reinstall`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Reinstall {
    /// The instances.
    #[serde(flatten)]
    pub selection: Selection,
    /// Failed stop and delete operations are recorded, ignored and not retried.
    #[serde(skip_serializing_if = "Not::not")]
    pub ignore_failure: bool,
}

/// Parameters of `start`, `stop` and `pull`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct OneOperation {
    /// The instances.
    #[serde(flatten)]
    pub selection: Selection,
    /// Inputs of the operation. They override those of the blueprint.
    #[serde(alias = "operation_parms", skip_serializing_if = "JsonMap::is_empty")]
    pub operation_kwargs: JsonMap<String, Json>,
    /// Run in dependency order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_by_dependency_order: Option<bool>,
    /// Record the instances as stopped on purpose or as started, and stop dependents first. Not in
    /// Cloudify.
    #[serde(skip_serializing_if = "Not::not")]
    pub is_recorded: bool,
}

/// Parameters of `restart`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Restart {
    /// The instances.
    #[serde(flatten)]
    pub selection: Selection,
    /// Inputs of `stop`.
    #[serde(skip_serializing_if = "JsonMap::is_empty")]
    pub stop_parms: JsonMap<String, Json>,
    /// Inputs of `start`.
    #[serde(skip_serializing_if = "JsonMap::is_empty")]
    pub start_parms: JsonMap<String, Json>,
    /// Run in dependency order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_by_dependency_order: Option<bool>,
    /// See [`OneOperation::is_recorded`].
    #[serde(skip_serializing_if = "Not::not")]
    pub is_recorded: bool,
}

/// Parameters of `execute_operation`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ExecuteOperation {
    /// The instances.
    #[serde(flatten)]
    pub selection: Selection,
    /// `interface.operation`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// Inputs of the operation. They override those of the blueprint.
    #[serde(alias = "operation_parms", skip_serializing_if = "JsonMap::is_empty")]
    pub operation_kwargs: JsonMap<String, Json>,
    /// Allow inputs that the blueprint also declares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_kwargs_override: Option<bool>,
    /// Run in dependency order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_by_dependency_order: Option<bool>,
}

/// Parameters of `check_status` and `check_drift`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Check {
    /// The instances.
    #[serde(flatten)]
    pub selection: Selection,
    /// Run in dependency order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_by_dependency_order: Option<bool>,
}

/// Parameters of `update`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Update {
    /// How many instances of a node may be out of service at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<usize>,
    /// Start each successor before its predecessor is stopped.
    #[serde(skip_serializing_if = "Not::not")]
    pub start_first: bool,
    /// Seconds to wait before the next instance of a node goes out of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<f64>,
    /// Leave instances alone that do not match the definition: they were just taken over.
    #[serde(skip_serializing_if = "Not::not")]
    pub keep_outdated: bool,
}

/// Parameters of `scale`.
#[expect(clippy::struct_excessive_bools, reason = "Cloudify's flags")]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Scale {
    /// The node or scaling group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scalable_entity_name: String,
    /// Number of instances to add; negative to remove.
    #[serde(skip_serializing_if = "is_one")]
    pub delta: i64,
    /// Scale the host of the node instead of the node itself.
    #[serde(skip_serializing_if = "Not::not")]
    pub scale_compute: bool,
    /// IDs of instances to remove first.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub include_instances: Vec<String>,
    /// IDs of instances to keep.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub exclude_instances: Vec<String>,
    /// Failed stop and delete operations are recorded, ignored and not retried.
    #[serde(skip_serializing_if = "Not::not")]
    pub ignore_failure: bool,
    /// Remove the added instances if the execution fails.
    #[serde(skip_serializing_if = "is_true")]
    pub rollback_if_failed: bool,
    /// Accepted for compatibility: an unfinished modification never blocks an execution.
    #[serde(skip_serializing_if = "Not::not")]
    pub abort_started: bool,
    /// IDs of the added instances, as planned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// IDs of the removed instances, as planned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// Parameters of `heal`.
#[expect(clippy::struct_excessive_bools, reason = "Cloudify's flags")]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Heal {
    /// The instances. Not in Cloudify.
    #[serde(flatten)]
    pub selection: Selection,
    /// ID of the instance that is reported as unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_instance_id: Option<String>,
    /// The reason, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnose_value: Option<String>,
    /// Failed stop and delete operations are recorded, ignored and not retried.
    #[serde(skip_serializing_if = "Not::not")]
    pub ignore_failure: bool,
    /// Check the status first.
    #[serde(skip_serializing_if = "is_true")]
    pub check_status: bool,
    /// Reinstall instances that cannot be healed.
    #[serde(skip_serializing_if = "is_true")]
    pub allow_reinstall: bool,
    /// Reinstall all instances, regardless of their state.
    #[serde(skip_serializing_if = "Not::not")]
    pub force_reinstall: bool,
    /// Leave running instances alone that do not match their definition. Not in Cloudify.
    #[serde(skip_serializing_if = "Not::not")]
    pub keep_outdated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "required by serde")]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "required by serde")]
fn is_one(number: &i64) -> bool {
    *number == 1
}

impl Default for Scale {
    fn default() -> Self {
        Self {
            scalable_entity_name: String::new(),
            delta: 1,
            scale_compute: false,
            include_instances: Vec::new(),
            exclude_instances: Vec::new(),
            ignore_failure: false,
            rollback_if_failed: true,
            abort_started: false,
            added: Vec::new(),
            removed: Vec::new(),
        }
    }
}

impl Default for Heal {
    fn default() -> Self {
        Self {
            selection: Selection::All,
            node_instance_id: None,
            diagnose_value: None,
            ignore_failure: false,
            check_status: true,
            allow_reinstall: true,
            force_reinstall: false,
            keep_outdated: false,
        }
    }
}

/// The serialized form of parameters.
#[derive(Deserialize, Serialize)]
struct Serialized {
    workflow: Workflow,
    #[serde(default, skip_serializing_if = "Json::is_null")]
    parameters: Json,
}

impl From<Parameters> for Serialized {
    fn from(given: Parameters) -> Self {
        let parameters = given.non_default();
        Self {
            workflow: given.workflow(),
            parameters: if parameters == json!({}) {
                Json::Null
            } else {
                parameters
            },
        }
    }
}

impl TryFrom<Serialized> for Parameters {
    type Error = serde_json::Error;

    fn try_from(parameters: Serialized) -> Result<Self, serde_json::Error> {
        fn read<T: DeserializeOwned + Default>(given: Json) -> Result<T, serde_json::Error> {
            match given {
                Json::Null => Ok(T::default()),
                given => serde_json::from_value(given),
            }
        }
        let given = parameters.parameters;
        Ok(match parameters.workflow {
            Workflow::Install => Self::Install(read(given)?),
            Workflow::Uninstall => Self::Uninstall(read(given)?),
            Workflow::Rollback => Self::Rollback(read(given)?),
            Workflow::Reinstall => Self::Reinstall(read(given)?),
            Workflow::Start => Self::Start(read(given)?),
            Workflow::Stop => Self::Stop(read(given)?),
            Workflow::Restart => Self::Restart(read(given)?),
            Workflow::Pull => Self::Pull(read(given)?),
            Workflow::ExecuteOperation => Self::ExecuteOperation(read(given)?),
            Workflow::Heal => Self::Heal(read(given)?),
            Workflow::Scale => Self::Scale(read(given)?),
            Workflow::Update => Self::Update(read(given)?),
            Workflow::CheckStatus => Self::CheckStatus(read(given)?),
            Workflow::CheckDrift => Self::CheckDrift(read(given)?),
        })
    }
}

/// A workflow with default parameters.
impl From<Workflow> for Parameters {
    fn from(workflow: Workflow) -> Self {
        match workflow {
            Workflow::Install => Self::Install(Install::default()),
            Workflow::Uninstall => Self::Uninstall(Uninstall::default()),
            Workflow::Rollback => Self::Rollback(Rollback::default()),
            Workflow::Reinstall => Self::Reinstall(Reinstall::default()),
            Workflow::Start => Self::Start(OneOperation::default()),
            Workflow::Stop => Self::Stop(OneOperation::default()),
            Workflow::Restart => Self::Restart(Restart::default()),
            Workflow::Pull => Self::Pull(OneOperation::default()),
            Workflow::ExecuteOperation => Self::ExecuteOperation(ExecuteOperation::default()),
            Workflow::Heal => Self::Heal(Heal::default()),
            Workflow::Scale => Self::Scale(Scale::default()),
            Workflow::Update => Self::Update(Update::default()),
            Workflow::CheckStatus => Self::CheckStatus(Check::default()),
            Workflow::CheckDrift => Self::CheckDrift(Check::default()),
        }
    }
}

impl Parameters {
    /// Parses the parameters of a workflow.
    ///
    /// # Errors
    ///
    /// If a parameter is unknown to the workflow, has the wrong type, or is missing.
    pub fn read(workflow: Workflow, mut given: JsonMap<String, Json>) -> Result<Self, String> {
        reject_unknown(workflow, &given)?;
        // A null value counts as not given.
        given.retain(|_, value| !value.is_null());
        if workflow == Workflow::Heal {
            given.entry("ignore_failure").or_insert(true.into());
        }
        let parameters = given.into();
        let read = Self::try_from(Serialized {
            workflow,
            parameters,
        });
        let read = read.map_err(|error| format!("invalid parameters for `{workflow}`: {error}"))?;
        read.reject_incomplete()?;
        Ok(read)
    }

    fn reject_incomplete(&self) -> Result<(), String> {
        let lacking = match self {
            Self::ExecuteOperation(given) if given.operation.is_empty() => {
                "the workflow `execute_operation` requires the parameter `operation` (interface.operation)"
            }
            Self::Scale(given) if given.scalable_entity_name.is_empty() => {
                "the workflow `scale` requires the parameter `scalable_entity_name` (a node or scaling group)"
            }
            _ => return Ok(()),
        };
        Err(lacking.to_owned())
    }

    /// Returns the workflow that the parameters belong to.
    #[must_use]
    pub fn workflow(&self) -> Workflow {
        match self {
            Self::Install(_) => Workflow::Install,
            Self::Uninstall(_) => Workflow::Uninstall,
            Self::Rollback(_) => Workflow::Rollback,
            Self::Reinstall(_) => Workflow::Reinstall,
            Self::Start(_) => Workflow::Start,
            Self::Stop(_) => Workflow::Stop,
            Self::Restart(_) => Workflow::Restart,
            Self::Pull(_) => Workflow::Pull,
            Self::ExecuteOperation(_) => Workflow::ExecuteOperation,
            Self::Heal(_) => Workflow::Heal,
            Self::Scale(_) => Workflow::Scale,
            Self::Update(_) => Workflow::Update,
            Self::CheckStatus(_) => Workflow::CheckStatus,
            Self::CheckDrift(_) => Workflow::CheckDrift,
        }
    }

    /// Returns the selected instances; all, if the workflow selects them in another way.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        match self {
            Self::Install(Install { selection })
            | Self::Uninstall(Uninstall { selection, .. })
            | Self::Rollback(Rollback { selection, .. })
            | Self::Reinstall(Reinstall { selection, .. })
            | Self::Start(OneOperation { selection, .. })
            | Self::Stop(OneOperation { selection, .. })
            | Self::Restart(Restart { selection, .. })
            | Self::Pull(OneOperation { selection, .. })
            | Self::ExecuteOperation(ExecuteOperation { selection, .. })
            | Self::Heal(Heal { selection, .. })
            | Self::CheckStatus(Check { selection, .. })
            | Self::CheckDrift(Check { selection, .. }) => selection,
            Self::Scale(_) | Self::Update(_) => &Selection::All,
        }
    }

    /// Returns the ID of the instance that is reported as unhealthy.
    #[must_use]
    pub fn unhealthy_instance(&self) -> Option<&str> {
        match self {
            Self::Heal(heal) => heal.node_instance_id.as_deref(),
            _ => None,
        }
    }

    /// Returns the parameters that differ from the defaults.
    fn non_default(&self) -> Json {
        match self {
            Self::Install(parameters) => json!(parameters),
            Self::Uninstall(parameters) => json!(parameters),
            Self::Rollback(parameters) => json!(parameters),
            Self::Reinstall(parameters) => json!(parameters),
            Self::Start(parameters) | Self::Stop(parameters) | Self::Pull(parameters) => {
                json!(parameters)
            }
            Self::Restart(parameters) => json!(parameters),
            Self::ExecuteOperation(parameters) => json!(parameters),
            Self::Heal(parameters) => json!(parameters),
            Self::Scale(parameters) => json!(parameters),
            Self::Update(parameters) => json!(parameters),
            Self::CheckStatus(parameters) | Self::CheckDrift(parameters) => json!(parameters),
        }
    }
}

fn reject_unknown(workflow: Workflow, given: &JsonMap<String, Json>) -> Result<(), String> {
    let names = names(workflow);
    let Some(unknown) = given.keys().find(|name| !names.contains(&name.as_str())) else {
        return Ok(());
    };
    let names = names.join(", ");
    Err(format!(
        "the workflow `{workflow}` does not accept the parameter `{unknown}`; accepted: {names}"
    ))
}

/// Returns the names of the parameters that a workflow accepts.
#[must_use]
pub fn names(workflow: Workflow) -> Vec<&'static str> {
    let specific: &[&str] = match workflow {
        Workflow::Install => &[],
        Workflow::Uninstall => &["ignore_failure", "volumes"],
        Workflow::Reinstall => &["ignore_failure"],
        Workflow::Rollback => &["full_rollback"],
        Workflow::Start | Workflow::Stop | Workflow::Pull => {
            &["operation_parms", "run_by_dependency_order"]
        }
        Workflow::Restart => &["stop_parms", "start_parms", "run_by_dependency_order"],
        Workflow::ExecuteOperation => &[
            "operation",
            "operation_kwargs",
            "allow_kwargs_override",
            "run_by_dependency_order",
        ],
        Workflow::CheckStatus | Workflow::CheckDrift => &["run_by_dependency_order"],
        Workflow::Update => {
            return vec!["max_unavailable", "start_first", "pause", "keep_outdated"];
        }
        Workflow::Scale => {
            return vec![
                "scalable_entity_name",
                "delta",
                "scale_compute",
                "include_instances",
                "exclude_instances",
                "ignore_failure",
                "rollback_if_failed",
                "abort_started",
            ];
        }
        Workflow::Heal => {
            return vec![
                "node_instance_id",
                "diagnose_value",
                "ignore_failure",
                "check_status",
                "allow_reinstall",
                "force_reinstall",
                "keep_outdated",
            ];
        }
    };
    specific
        .iter()
        .copied()
        .chain(["node_ids", "node_instance_ids", "type_names"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Criteria;

    fn read(workflow: Workflow, given: &Json) -> Result<Parameters, String> {
        Parameters::read(workflow, given.as_object().cloned().unwrap())
    }

    #[test]
    fn unknown_parameters_are_rejected() {
        let refused = read(Workflow::Start, &json!({ "delta": 1 })).unwrap_err();
        assert_eq!(
            refused,
            "the workflow `start` does not accept the parameter `delta`; accepted: operation_parms, run_by_dependency_order, node_ids, node_instance_ids, type_names"
        );
        assert!(
            read(Workflow::ExecuteOperation, &json!({}))
                .unwrap_err()
                .contains("requires the parameter `operation`")
        );
        assert!(
            read(Workflow::Start, &json!({ "node_ids": { "a": 1 } }))
                .unwrap_err()
                .contains("a string or a list of strings")
        );
    }

    #[test]
    fn single_name_is_a_list_of_one_and_null_is_ignored() {
        let given = read(
            Workflow::Install,
            &json!({ "node_ids": "a", "type_names": null }),
        )
        .unwrap();
        assert_eq!(
            *given.selection(),
            Selection::Only(Criteria {
                node_ids: vec!["a".to_owned()],
                ..Criteria::default()
            })
        );
        let all = read(Workflow::Install, &json!({ "node_ids": [] })).unwrap();
        assert!(all.selection().is_all());
        assert!(Selection::of_instances([]).is_none());
    }

    #[test]
    fn parameters_round_trip_without_default_values() {
        for workflow in Workflow::ALL {
            let nothing = Parameters::from(workflow);
            assert_eq!(json!(nothing), json!({ "workflow": workflow }));
            let back: Parameters = serde_json::from_value(json!(nothing)).unwrap();
            assert_eq!((back.workflow(), &back), (workflow, &nothing));
        }
        let given = read(
            Workflow::Heal,
            &json!({ "node_instance_id": "a_1", "allow_reinstall": false }),
        )
        .unwrap();
        let written = json!({
            "workflow": "heal",
            "parameters": {
                "node_instance_id": "a_1",
                "ignore_failure": true,
                "allow_reinstall": false,
            },
        });
        assert_eq!(json!(given), written);
        let back: Parameters = serde_json::from_value(written).unwrap();
        assert_eq!(back, given);
    }

    #[test]
    fn parameters_of_another_workflow_are_ignored() {
        let written =
            json!({ "workflow": "install", "parameters": { "delta": 3, "node_ids": ["a"] } });
        let read: Parameters = serde_json::from_value(written).unwrap();
        assert_eq!(
            json!(read),
            json!({ "workflow": "install", "parameters": { "node_ids": ["a"] } })
        );
    }
}
