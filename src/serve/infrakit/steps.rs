//! The steps of an instance: lowered as for blueprints, carried out without plan and executor.

use super::{instances::Instances, template::node_of};
use crate::{
    model::Deployment,
    plugins::{InstanceRef, Plugins},
    printable::on_one_line,
    seam::{
        Call, Effect, Failure, Labeling, LogLevel, Participant, Progress, Purpose, Settling, Step,
        StepNote, Subject, Target,
    },
    secrets::Secrets,
    serve::json_rpc::RpcError,
};
use serde_json::{Map as JsonMap, Value as Json};
use std::{cell::RefCell, rc::Rc};
use tokio_util::sync::CancellationToken;

/// Beginning of the names of operations.
const OPERATIONS: &str = "cloudify.interfaces.lifecycle.";

impl Instances {
    /// Returns the steps of an operation on an engine.
    pub(super) fn steps(
        &self,
        deployment: &Deployment,
        operation: &str,
        target: &Target,
        request: &str,
    ) -> Result<Vec<Step>, RpcError> {
        let lowered = deployment.instances.first().and_then(|instance| {
            let part = InstanceRef::of(deployment, instance)?;
            let name = format!("{OPERATIONS}{operation}");
            let planned = part.node.operations.get(&name)?;
            let labeling = Labeling::Server {
                server: self.name.clone(),
                request: request.to_owned(),
            };
            Plugins::default().lower(part, (&name, planned), &Purpose::Ordinary, &labeling)
        });
        let steps =
            lowered.ok_or_else(|| RpcError::new(format!("no plugin runs `{operation}`")))?;
        let on_target = |step| Step {
            target: target.clone(),
            ..step
        };
        Ok(steps.into_iter().map(on_target).collect())
    }

    /// Carries out a step, when it is its turn, and keeps its outputs.
    pub(super) async fn perform(
        &self,
        deployment: &Rc<Deployment>,
        step: Step,
        request: &str,
        properties: &mut JsonMap<String, Json>,
    ) -> Result<(), Failure> {
        let creation = step.creates_object().then(|| self.state.turns.creation());
        let _turn = if takes_turns(&step) {
            self.state.turns.other().await
        } else {
            None
        };
        let outputs_so_far = RefCell::new(JsonMap::new());
        let notes = |note: StepNote| {
            match note {
                StepNote::Outputs(outputs) => outputs_so_far.borrow_mut().extend(outputs.set),
                StepNote::Progress(Progress::Note(note)) => {
                    tracing::warn!(request, note = %on_one_line(&note), "note");
                }
                StepNote::Log(lines) => {
                    for line in lines.iter().filter(|it| it.level >= LogLevel::Warning) {
                        tracing::warn!(request, note = %on_one_line(&line.text), "note");
                    }
                }
                StepNote::Progress(Progress::Bytes { .. }) => {}
            }
            Box::pin(std::future::ready(())) as _
        };
        let call = call(deployment, step, request, properties)?;
        let drivers = self.plugins.drivers();
        let outputs = drivers.perform(&call, &notes, &Secrets::default()).await;
        drop(creation);
        properties.extend(outputs_so_far.into_inner());
        properties.extend(outputs?.set);
        Ok(())
    }
}

/// Returns the call of a step: what the driver knows of its instance.
fn call(
    deployment: &Rc<Deployment>,
    step: Step,
    request: &str,
    properties: &JsonMap<String, Json>,
) -> Result<Call, Failure> {
    let subject = deployment.instances.first().zip(node_of(deployment));
    let (instance, node) = subject.ok_or_else(|| Failure::fatal("the node is missing"))?;
    Ok(Call {
        deployment: deployment.clone(),
        execution: request.to_owned(),
        workflow: "serve".to_owned(),
        subject: Subject::Instance(Participant {
            instance: instance.clone(),
            node: node.clone(),
            properties: properties.clone(),
        }),
        related: Vec::new(),
        step,
        attempt: 1,
        max_retries: 0.0,
        inside: None,
        stop: CancellationToken::new(),
    })
}

/// Returns true if a step loads the engine. A script mostly waits, and may take long.
fn takes_turns(step: &Step) -> bool {
    let is_script = step.traits.settling == Settling::AtLeastOnce;
    matches!(step.effect(), Effect::Starts | Effect::Adjusts) && !is_script
}
