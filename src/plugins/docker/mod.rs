//! The docker plugin: containers, images, networks and volumes on Docker engines. Implements the
//! operations of Cloudify's docker plugin and those that dockctl adds.

pub mod declare;
pub(crate) mod drive;

use drive::engines::Engines;

use super::{
    Driver, DriverSettings, ExclusiveResource, InstanceRef, InstanceView, JoinedNetwork, Name,
    Plugin, Replacement,
};
use crate::{
    diagnostic::{Diagnostics, Fault},
    engine::Kind,
    model::{Blueprint, Definition, OperationDefinition},
    seam::{Change, InstanceStatus, Labeling, Need, Object, ObjectState, Purpose, Step, Target},
};
use declare::{
    action::{Action, ID},
    change, check, declared, exclusive, lower, operation,
    operation::Operation,
    params, status,
};
use serde_json::Value as Json;
use std::path::Path;

/// The docker plugin.
pub struct Docker;

impl Plugin for Docker {
    fn id(&self) -> &'static str {
        ID
    }

    fn supports(&self, plugin: &str, operation: &str) -> bool {
        Operation::of(plugin, operation).is_some()
    }

    fn lower(
        &self,
        part: InstanceRef<'_>,
        name: &str,
        planned: &OperationDefinition,
        purpose: &Purpose<'_>,
        labeling: &Labeling,
    ) -> Option<Vec<Step>> {
        lower::lower(part, name, planned, purpose, labeling)
    }

    fn create_driver(&self, settings: &DriverSettings) -> Box<dyn Driver> {
        Box::new(Engines::new(settings))
    }

    fn provides(&self, plugin: &str) -> bool {
        operation::provides(plugin)
    }

    fn check(&self, blueprint: &Blueprint, d: &mut Diagnostics) {
        check::check(blueprint, d);
    }

    fn holds_data(&self, node: &Definition) -> bool {
        operation::kind(node) == Some(Kind::Volume)
    }

    fn advise(&self, blueprint: &Blueprint, d: &mut Diagnostics) {
        check::advise(blueprint, d);
    }

    fn check_files(&self, blueprint: &Blueprint, directory: &Path, d: &mut Diagnostics) {
        check::check_files(blueprint, directory, d);
    }

    fn arguments(&self) -> Option<String> {
        Some(params::markdown())
    }

    fn extend_schema(&self, schema: &mut Json) {
        params::extend_schema(schema);
    }

    fn faults(&self, part: InstanceRef<'_>) -> Vec<Fault> {
        declared::faults(part)
    }

    fn kind(&self, node: &Definition) -> Option<&'static str> {
        operation::kind(node).map(Kind::as_str)
    }

    /// Images are not observed: they are inspected when they are used.
    fn is_observed(&self, node: &Definition) -> bool {
        operation::kind(node).is_some_and(|kind| kind != Kind::Image)
    }

    fn target(&self, part: InstanceRef<'_>) -> Target {
        declared::engine(part.node)
    }

    fn name(&self, part: InstanceRef<'_>) -> Option<String> {
        declared::declared_name(part.deployment, part.instance)
    }

    fn adopts(&self, node: &Definition) -> Option<String> {
        declared::adopted_name(node)
    }

    fn id_property(&self, node: &Definition) -> Option<&'static str> {
        operation::kind(node).map(status::id_property)
    }

    fn has_shell(&self, node: &Definition) -> bool {
        operation::kind(node) == Some(Kind::Container)
    }

    fn own_names(&self, part: InstanceRef<'_>) -> Vec<Name> {
        declared::provided_names(part)
    }

    fn referenced_names(&self, part: InstanceRef<'_>) -> Vec<Name> {
        declared::referenced_names(part)
    }

    fn follows_starts(&self, part: InstanceRef<'_>) -> bool {
        exclusive::shares_namespaces(part.deployment, part.instance, part.node)
    }

    fn exclusive_resources(&self, part: InstanceRef<'_>) -> Vec<ExclusiveResource> {
        exclusive::exclusive(part.deployment, part.instance, part.node)
    }

    fn joined_networks(&self, part: InstanceRef<'_>) -> Vec<JoinedNetwork> {
        exclusive::joined_networks(part.deployment, part.instance, part.node)
    }

    fn is_never_started(&self, node: &Definition) -> bool {
        operation::is_never_started(node)
    }

    fn is_ephemeral(&self, part: InstanceRef<'_>) -> bool {
        exclusive::is_removed_when_stopped(part.deployment, part.instance, part.node)
    }

    fn removal_obstacle(&self, object: &Object) -> Option<String> {
        change::used_by_others(object)
    }

    fn survives_uninstall(&self, node: &Definition) -> bool {
        status::survives_uninstall(node)
    }

    fn status(&self, at: InstanceView<'_>) -> InstanceStatus {
        status::status(at.part.instance, at.part.node, at.record, at.observed)
    }

    fn is_in_desired_state(&self, node: &Definition, object: &Object) -> bool {
        status::is_in_desired_state(node, object)
    }

    fn change(&self, at: InstanceView<'_>) -> Change {
        change::change(at.part.instance, at.part.node, at.record, at.observed)
    }

    fn replacement(&self, part: InstanceRef<'_>, former: &Definition) -> Option<Replacement> {
        change::replacement(part, former)
    }

    fn effect_exists(&self, step: &Step, node: &Definition, object: Option<&Object>) -> bool {
        Action::from_step(step).is_ok_and(|action| status::effect_exists(&action, node, object))
    }

    /// A container that has run was created with everything that `start` adds.
    fn is_redundant(&self, step: &Step, object: &Object) -> bool {
        object.state != ObjectState::Created
            && matches!(Action::from_step(step), Ok(Action::Recreate(_)))
    }

    fn files(&self, step: &Step) -> Vec<Need> {
        Action::from_step(step).map_or_else(|_| Vec::new(), |action| action.files())
    }

    fn creates_or_starts(&self, planned: &OperationDefinition) -> bool {
        let operation = Operation::of(&planned.plugin, &planned.operation);
        matches!(
            operation,
            Some(
                Operation::Create
                    | Operation::Run
                    | Operation::Start
                    | Operation::CreateInstance
                    | Operation::StartInstance
            )
        )
    }

    fn reads_properties(&self, planned: &OperationDefinition) -> bool {
        Operation::of(&planned.plugin, &planned.operation)
            .and_then(Operation::creates)
            .is_some()
    }

    fn untrusted(&self) -> &'static [&'static str] {
        &status::UNTRUSTED
    }
}
