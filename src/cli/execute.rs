//! Commands for single workflows and operations: `execute`, `execute-operation`, `start`, `stop`,
//! `restart`, `reinstall`, `scale`, `heal`.

use super::{
    Outcome,
    args::{Global, OperationArgs, RunArgs, ScaleArgs},
    error::CliError,
    run::closing,
    runtime, selection,
    status::known_instances,
    terminal::Terminal,
    unseen, watch,
};
use crate::{
    model::Deployment,
    operate::{
        Workspace,
        execute::{Operation, Request, RequestContext, Work, read_parameters},
        scale::{Number, Scaling},
        watch::RepairLimit,
    },
    record::Record,
    seam::Unseen,
    stage::{Parameters, Workflow},
};
use serde_json::json;

/// A command on an existing deployment.
pub(crate) struct Command<'a> {
    pub global: &'a Global,
    pub deployment: Option<&'a str>,
    /// Sensitive inputs, which are not stored.
    pub inputs: &'a [String],
    pub run: RunArgs,
    /// The command with its own arguments, without those of every command.
    pub arguments: Vec<String>,
}

impl Command<'_> {
    /// Executes the request.
    pub(crate) fn execute(&self, request: &Request) -> Result<Outcome, CliError> {
        let terminal = Terminal::new(self.global);
        let workspace = terminal.workspace()?;
        let order = self.order(&workspace)?;
        let executed = runtime()?.block_on(order.execute(request))?;
        let outcome = match &executed.work {
            Work::Ran => closing(&executed.record),
            Work::Nothing(parameters) => {
                let unseen = &executed.unseen;
                nothing_to_do(&order.deployment, parameters, &executed.record, unseen)
            }
        };
        unseen::complete(outcome, &executed.unseen)
    }

    /// Repairs failed instances until Ctrl-C.
    pub(crate) fn watch(
        &self,
        instances: &[String],
        patience: RepairLimit,
    ) -> Result<Outcome, CliError> {
        let terminal = Terminal::new(self.global);
        let workspace = terminal.workspace()?;
        watch::watch(&self.order(&workspace)?, instances, patience)
    }

    fn order<'w>(&self, workspace: &'w Workspace<'w>) -> Result<RequestContext<'w>, CliError> {
        Ok(RequestContext {
            workspace,
            deployment: selection::name(workspace, self.deployment)?,
            inputs: self.inputs.to_vec(),
            options: self.run.options(),
            arguments: self.arguments.clone(),
        })
    }
}

/// Returns the request of `dockctl execute`.
pub(crate) fn workflow(name: &str, parameters: &[String]) -> Result<Request, CliError> {
    Ok(Request::Workflow {
        name: name.to_owned(),
        parameters: read_parameters(parameters)?,
    })
}

/// Returns the request of `dockctl execute-operation`.
pub(crate) fn operation(args: &OperationArgs) -> Result<Request, CliError> {
    Ok(Request::Operation(Operation {
        name: args.operation.clone(),
        kwargs: read_parameters(&args.kwargs)?,
        allow_override: args.allow_override,
        in_order: args.in_order,
        nodes: args.selection.nodes.clone(),
        instances: args.selection.instances.clone(),
        types: args.selection.types.clone(),
    }))
}

/// Returns the request of `dockctl scale`.
pub(crate) fn scale(args: &ScaleArgs) -> Request {
    let by = Number::By(args.delta.unwrap_or_default());
    Request::Scale(Scaling {
        entity: args.entity.clone(),
        number: args.to.map_or(by, Number::To),
        remove: args.remove.clone(),
        keep: args.keep.clone(),
        ignore_failure: args.ignore_failure,
        rollback: !args.no_rollback,
    })
}

fn nothing_to_do(
    name: &str,
    parameters: &Parameters,
    record: &Record,
    unseen: &[Unseen],
) -> Outcome {
    let fields =
        json!({ "deployment": name, "execution": null, "instances": known_instances(record) });
    let is_selected = |deployment: &Deployment| {
        deployment
            .instances
            .iter()
            .any(|it| parameters.selection().contains(deployment, it))
    };
    let is_unseen = |id: &String| unseen.iter().any(|it| it.instances.contains(id));
    let all_unseen = |deployment: &Deployment| {
        let instances = deployment.instances.iter();
        let mut selected = instances.filter(|it| parameters.selection().contains(deployment, it));
        !unseen.is_empty() && selected.all(|it| is_unseen(&it.id))
    };
    let why = match parameters.workflow() {
        _ if !record.deployment.as_ref().is_some_and(is_selected) => {
            "the filters match no instance"
        }
        _ if record.deployment.as_ref().is_some_and(all_unseen) => {
            "the engines of the selected instances do not respond"
        }
        Workflow::Heal => "no instance needs repair",
        Workflow::Install | Workflow::Update => "the deployment is up to date",
        Workflow::Uninstall | Workflow::Rollback => "there is nothing to remove",
        Workflow::Stop => "no owned container is running",
        Workflow::Scale => "the number of instances is already correct",
        _ => "no selected instance has an operation to run",
    };
    Outcome::new(fields, format!("`{name}`: nothing to do: {why}\n"))
}
