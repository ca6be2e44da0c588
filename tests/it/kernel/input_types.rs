//! Inputs of operations with declared types: in the plan, and when late values are bound.

use crate::kernel::{
    restore::{TestDeployment, blueprint},
    run::{deployment_of, resolve},
};
use dockctl::{
    event::Outcome,
    model::normal::{PlanPhase, plan},
    stage::Workflow,
};
use serde_json::json;

/// Returns a blueprint whose container `b` takes its `params` from an attribute of `a`, as a value of
/// a type.
fn reads_params(type_name: &str) -> String {
    let base = blueprint(&[("a", "command: sleep 1", "", "")]);
    format!(
        "{base}  b:
    type: typed
    properties: {{name: b, image: {{repository: i}}}}
    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{get_attribute: [a, container_id]}}, mine: {{type: tcp}}}}}}}}}}
node_types:
  typed:
    derived_from: cloudify.docker.Container
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          implementation: docker.docker_plugin.tasks.create_container
          inputs: {{params: {{type: {type_name}, default: {{}}}}}}
"
    )
}

#[test]
fn plan_contains_the_types_of_inputs_that_are_mappings() {
    let (parsed, _) = resolve(&reads_params("dict"));
    let plan = plan(&parsed, PlanPhase::Parsed);
    let create = &plan["nodes"]["b"]["operations"]["cloudify.interfaces.lifecycle.create"];
    assert_eq!(
        create["inputs_types"],
        json!({ "params": "dict", "mine": "tcp" })
    );
    let start = &plan["nodes"]["b"]["operations"]["cloudify.interfaces.lifecycle.start"];
    assert!(start.get("inputs_types").is_none(), "{start}");
}

#[test]
fn late_value_of_another_type_fails_before_the_driver_is_called() {
    let deployment = deployment_of(&reads_params("dict"), None);
    let mut life = TestDeployment::new();
    let outcome = life.run(&deployment, Workflow::Install);
    assert_eq!(outcome, Some(Outcome::Failed));
    assert_eq!(life.container_states(), ["a running"]);
    let record = life.record();
    let executions = record.executions.iter();
    let failures: Vec<&str> = executions
        .flat_map(|it| &it.failed)
        .map(|it| it.failure.message.as_str())
        .collect();
    assert_eq!(
        failures,
        ["the value of input `params` must be of type dict, not a string"]
    );
}

#[test]
fn another_type_alone_is_no_change() {
    let before = deployment_of(&reads_params("dict"), None);
    let after = deployment_of(&reads_params("string"), Some(&before));
    assert_ne!(before, after);
    assert_eq!(before.comparable_content(), after.comparable_content());
}
