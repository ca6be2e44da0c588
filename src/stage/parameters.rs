//! What a user says of a workflow beside its name.

use super::Workflow;
use crate::model::{Deployment, Instance};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map as JsonMap, Value as Json};

/// Which instances a workflow is about. On disk it is three lists; none of them means all.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(from = "Chosen", into = "Chosen")]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Some of them, or none at all.
    Only(Chosen),
}

/// What instances are chosen by. Each list that is empty lets all through; the others have to
/// agree. If all are empty, nothing is chosen.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Chosen {
    /// Names of nodes.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub node_ids: Vec<String>,
    /// Ids of instances.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub node_instance_ids: Vec<String>,
    /// Names of types that a node is of, or is derived from.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub type_names: Vec<String>,
}

/// Empty lists of a user mean all, as in the original.
impl From<Chosen> for Selection {
    fn from(chosen: Chosen) -> Self {
        if chosen == Chosen::default() {
            Self::All
        } else {
            Self::Only(chosen)
        }
    }
}

impl From<Selection> for Chosen {
    fn from(selection: Selection) -> Self {
        match selection {
            Selection::All => Self::default(),
            Selection::Only(chosen) => chosen,
        }
    }
}

impl Selection {
    /// Some instances, by their ids; none, if there are no ids.
    #[must_use]
    pub fn of_instances(ids: impl IntoIterator<Item = String>) -> Self {
        Self::Only(Chosen {
            node_instance_ids: ids.into_iter().collect(),
            ..Chosen::default()
        })
    }

    /// Whether all instances are meant.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// Whether no instance at all is meant.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Only(chosen) if *chosen == Chosen::default())
    }

    /// Ids of the instances that are named.
    #[must_use]
    pub fn instances(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::Only(chosen) => &chosen.node_instance_ids,
        }
    }

    /// Whether an instance is meant. Unknown names select nothing, as in the original.
    #[must_use]
    pub fn has(&self, deployment: &Deployment, instance: &Instance) -> bool {
        let Self::Only(chosen) = self else {
            return true;
        };
        let named =
            |names: &[String], name: &str| names.is_empty() || names.iter().any(|it| it == name);
        let typed = || {
            deployment.node(instance).is_some_and(|node| {
                chosen
                    .type_names
                    .iter()
                    .any(|name| node.hierarchy.contains(name))
            })
        };
        !self.is_none()
            && named(&chosen.node_ids, &instance.node)
            && named(&chosen.node_instance_ids, &instance.id)
            && (chosen.type_names.is_empty() || typed())
    }
}

/// A list, or the one thing that would be in it.
fn one_or_many<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text, or a list of texts")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

/// Parameters of the built-in workflows; the names, and what they are where nothing is said, are
/// the original's.
#[expect(clippy::struct_excessive_bools, reason = "switches of the original")]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Parameters {
    /// Which instances.
    #[serde(flatten)]
    pub selection: Selection,
    /// `execute_operation`: `interface.operation`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// Inputs of the operation, over those of the blueprint.
    #[serde(alias = "operation_parms", skip_serializing_if = "JsonMap::is_empty")]
    pub operation_kwargs: JsonMap<String, Json>,
    /// `restart`: inputs of `stop`.
    #[serde(skip_serializing_if = "JsonMap::is_empty")]
    pub stop_parms: JsonMap<String, Json>,
    /// `restart`: inputs of `start`.
    #[serde(skip_serializing_if = "JsonMap::is_empty")]
    pub start_parms: JsonMap<String, Json>,
    /// Inputs may be given that the blueprint gives too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_kwargs_override: Option<bool>,
    /// Each instance after those it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_by_dependency_order: Option<bool>,
    /// Operations that take down are noted if they fail, and not repeated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_failure: bool,
    /// `uninstall`: volumes go too, whatever the blueprint says; dockctl's own way.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub volumes: bool,
    /// Instances that are stopped or started are known to rest or to run from then on, and those
    /// that need others stop first: dockctl's own way.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_recorded: bool,
    /// `update`: how many instances of a node may be out of service at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<usize>,
    /// `update`: the new one is started before the old one is stopped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub start_first: bool,
    /// `scale`: the node or scaling group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scalable_entity_name: String,
    /// `scale`: how many more; fewer, if it is negative.
    #[serde(skip_serializing_if = "is_one")]
    pub delta: i64,
    /// `scale`: not the node itself is meant but the host that it is on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub scale_compute: bool,
    /// `scale`: ids of instances to remove first.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub include_instances: Vec<String>,
    /// `scale`: ids of instances to keep.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub exclude_instances: Vec<String>,
    /// `scale`: what was added is taken down again if something fails.
    #[serde(skip_serializing_if = "is_true")]
    pub rollback_if_failed: bool,
    /// `scale`: what a modification under way means is settled before; it is never in the way.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub abort_started: bool,
    /// `scale`: ids of the instances that it comes to add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// `scale`: ids of the instances that it comes to remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// `rollback`: then everything is taken down.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub full_rollback: bool,
    /// `heal`: the instance that is said to be ill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_instance_id: Option<String>,
    /// `heal`: why; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnose_value: Option<String>,
    /// `heal`: look first.
    #[serde(skip_serializing_if = "is_true")]
    pub check_status: bool,
    /// `heal`: what cannot be healed may be made anew.
    #[serde(skip_serializing_if = "is_true")]
    pub allow_reinstall: bool,
    /// `heal`: all is made anew, whatever its state.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force_reinstall: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_one(number: &i64) -> bool {
    *number == 1
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            operation: String::new(),
            operation_kwargs: JsonMap::new(),
            stop_parms: JsonMap::new(),
            start_parms: JsonMap::new(),
            allow_kwargs_override: None,
            run_by_dependency_order: None,
            ignore_failure: false,
            volumes: false,
            is_recorded: false,
            max_unavailable: None,
            start_first: false,
            scalable_entity_name: String::new(),
            delta: 1,
            scale_compute: false,
            include_instances: Vec::new(),
            exclude_instances: Vec::new(),
            rollback_if_failed: true,
            abort_started: false,
            added: Vec::new(),
            removed: Vec::new(),
            full_rollback: false,
            node_instance_id: None,
            diagnose_value: None,
            check_status: true,
            allow_reinstall: true,
            force_reinstall: false,
        }
    }
}

impl Parameters {
    /// Reads what is given for a workflow.
    ///
    /// # Errors
    ///
    /// The first that the workflow does not take, or that is of another kind.
    pub fn read(workflow: Workflow, given: JsonMap<String, Json>) -> Result<Self, String> {
        let names = names(workflow);
        if let Some(unknown) = given.keys().find(|name| !names.contains(&name.as_str())) {
            let names = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            return Err(format!(
                "the workflow `{workflow}` takes no parameter `{unknown}`; it takes: {names}"
            ));
        }
        // What is null is not given.
        let mut given: JsonMap<_, _> = given
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect();
        if workflow == Workflow::Heal {
            given.entry("ignore_failure").or_insert(true.into());
        }
        let read: Self = serde_json::from_value(given.into())
            .map_err(|error| format!("the parameters of `{workflow}`: {error}"))?;
        if workflow == Workflow::ExecuteOperation && read.operation.is_empty() {
            return Err("the workflow `execute_operation` needs the parameter `operation`, as interface.operation".to_owned());
        }
        if workflow == Workflow::Scale && read.scalable_entity_name.is_empty() {
            return Err("the workflow `scale` needs the parameter `scalable_entity_name`: a node or a scaling group".to_owned());
        }
        Ok(read)
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Names of the parameters that a workflow takes.
#[must_use]
pub fn names(workflow: Workflow) -> Vec<&'static str> {
    let own: &[&str] = match workflow {
        Workflow::Install => &[],
        Workflow::Uninstall | Workflow::Reinstall => &["ignore_failure"],
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
        Workflow::Update => return vec!["max_unavailable", "start_first"],
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
            ];
        }
    };
    own.iter()
        .copied()
        .chain(["node_ids", "node_instance_ids", "type_names"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(workflow: Workflow, given: &Json) -> Result<Parameters, String> {
        Parameters::read(workflow, given.as_object().cloned().unwrap())
    }

    #[test]
    fn what_a_workflow_does_not_take_is_refused() {
        let refused = read(Workflow::Start, &json!({ "delta": 1 })).unwrap_err();
        assert_eq!(
            refused,
            "the workflow `start` takes no parameter `delta`; it takes: operation_parms, run_by_dependency_order, node_ids, node_instance_ids, type_names"
        );
        assert!(
            read(Workflow::ExecuteOperation, &json!({}))
                .unwrap_err()
                .contains("needs the parameter `operation`")
        );
        assert!(
            read(Workflow::Start, &json!({ "node_ids": { "a": 1 } }))
                .unwrap_err()
                .contains("a text, or a list of texts")
        );
    }

    #[test]
    fn one_name_is_a_list_of_one_and_null_is_not_given() {
        let given = read(
            Workflow::Install,
            &json!({ "node_ids": "a", "type_names": null }),
        )
        .unwrap();
        assert_eq!(
            given.selection,
            Selection::Only(Chosen {
                node_ids: vec!["a".to_owned()],
                ..Chosen::default()
            })
        );
        let all = read(Workflow::Install, &json!({ "node_ids": [] })).unwrap();
        assert!(all.selection.is_all());
        assert!(Selection::of_instances([]).is_none());
    }

    #[test]
    fn parameters_come_back_from_the_journal_and_only_what_is_said_is_kept() {
        assert_eq!(json!(Parameters::default()), json!({}));
        let given = read(
            Workflow::Heal,
            &json!({ "node_instance_id": "a_1", "allow_reinstall": false }),
        )
        .unwrap();
        let back: Parameters = serde_json::from_value(json!(given)).unwrap();
        assert_eq!((back.ignore_failure, &back), (true, &given));
    }
}
