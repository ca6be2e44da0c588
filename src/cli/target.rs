//! Containers that a command is about.

use super::{
    error::{CliError, Kind},
    execute::named,
    workspace::Workspace,
};
use crate::{
    plugins::{
        Plugins, Scene,
        docker::drive::{engine::Engine, engines::Engines},
    },
    record::Record,
    seam::Target,
};

/// The container of an instance.
pub(crate) struct Running {
    pub instance: String,
    pub container: String,
    pub engine: Target,
}

/// The containers of the instances that are named, or of all. Nodes without one have none.
pub(crate) fn targets(
    workspace: &Workspace<'_>,
    record: &Record,
    names: &[String],
) -> Result<Vec<Running>, CliError> {
    let selection = named(names, record)?;
    let Some(deployment) = &record.deployment else {
        return Ok(Vec::new());
    };
    let places = Plugins::default()
        .places(Scene {
            deployment,
            record,
            secrets: &workspace.secrets,
        })
        .map_err(|message| CliError::new(Kind::Engine, message))?;
    let target = |instance: &crate::model::Instance| {
        let container = record
            .properties(&instance.id)?
            .get("container_id")?
            .as_str()?
            .to_owned();
        let engine = places
            .get(&instance.id)
            .map(|place| place.target.clone())
            .unwrap_or_default();
        Some(Running {
            instance: instance.id.clone(),
            container,
            engine,
        })
    };
    let chosen = deployment
        .instances
        .iter()
        .filter(|instance| selection.has(deployment, instance));
    let found: Vec<Running> = chosen.filter_map(target).collect();
    if found.is_empty() {
        return Err(CliError::new(
            Kind::Failed,
            format!("`{}` has no container there", deployment.name),
        )
        .hint(format!(
            "dockctl status -d {} shows what there is",
            deployment.name
        )));
    }
    Ok(found)
}

/// Says so if a container is not there any more.
pub(crate) async fn require(
    engine: &Engine,
    target: &Running,
    deployment: &str,
) -> Result<(), CliError> {
    if engine.has_container(&target.container).await? {
        return Ok(());
    }
    let short: String = target.container.chars().take(12).collect();
    let error = CliError::new(
        Kind::Failed,
        format!("the container {short} of {} is gone", target.instance),
    );
    Err(error.hint(format!("dockctl heal -d {deployment} makes it anew")))
}

/// The engine that a container is on.
pub(crate) async fn engine(
    engines: &Engines,
    target: &Running,
) -> Result<std::rc::Rc<crate::plugins::docker::drive::engine::Engine>, CliError> {
    Ok(engines.get(&target.engine).await?)
}
