//! The script plugin: operations that are scripts, here or in a container. Scripts talk to their
//! deployment through `ctx`.

mod client;
pub(crate) mod declare;
mod drive;
mod socket;

use super::{Driver, DriverSettings, HelperCall, InstanceRef, Plugin, Plugins, RelationshipRef};
use crate::{
    diagnostic::{Diagnostics, Sources},
    model::{Blueprint, Definition, OperationDefinition},
    seam::{Labeling, Object, Purpose, Step},
};
pub use declare::command_line::Printed;
use declare::{
    action::{ID, PATH, may_be_python},
    lint, lower, operation, placement,
};
use drive::Scripts;
use serde_json::Value as Json;

/// The script plugin.
pub(super) struct Script;

impl Plugin for Script {
    fn id(&self) -> &'static str {
        ID
    }

    fn supports(&self, plugin: &str, operation: &str) -> bool {
        operation::is_script(plugin, operation)
    }

    /// Unlike plugins of dockctl, the script plugin runs on hosts: a script without a host is an
    /// error, as in Cloudify.
    fn provides(&self, _plugin: &str) -> bool {
        false
    }

    fn lower(
        &self,
        part: InstanceRef<'_>,
        name: &str,
        planned: &OperationDefinition,
        _purpose: &Purpose<'_>,
        _labeling: &Labeling,
    ) -> Option<Vec<Step>> {
        lower::lower(part, name, planned)
    }

    fn lower_relationship(
        &self,
        ends: RelationshipRef<'_>,
        name: &str,
        planned: &OperationDefinition,
    ) -> Option<Vec<Step>> {
        lower::lower_relationship(ends, name, planned)
    }

    fn create_driver(&self, settings: &DriverSettings) -> Box<dyn Driver> {
        Box::new(Scripts::new(settings))
    }

    /// What a script did for an object is gone with the object.
    fn effect_exists(&self, _step: &Step, node: &Definition, object: Option<&Object>) -> bool {
        object.is_some() || !Plugins::default().is_observed(node)
    }

    fn runs_elsewhere(&self, planned: &OperationDefinition, host: Option<&Definition>) -> bool {
        operation::is_script(&planned.plugin, &planned.operation)
            && !lower::has_container(planned)
            && !placement::is_here(planned, host)
    }

    fn lint_scripts(&self, blueprint: &Blueprint, sources: &Sources, d: &mut Diagnostics) {
        lint::lint(blueprint, sources, d);
    }

    fn creates_secrets(&self, planned: &OperationDefinition) -> bool {
        operation::is_script(&planned.plugin, &planned.operation) && may_be_python(&planned.inputs)
    }

    fn resources(&self, planned: &OperationDefinition) -> Option<Vec<String>> {
        if !operation::is_script(&planned.plugin, &planned.operation) {
            return None;
        }
        let path = planned.inputs.get(PATH).and_then(Json::as_str);
        Some(path.map(str::to_owned).into_iter().collect())
    }

    fn runs_inside(&self, part: InstanceRef<'_>) -> Vec<String> {
        lower::runs_inside(part)
    }

    fn undoes_only_own_work(&self) -> bool {
        true
    }

    fn run_helper(&self, call: &HelperCall<'_>) -> Option<Printed> {
        (call.name == socket::NAME).then(|| client::run(call))
    }
}
