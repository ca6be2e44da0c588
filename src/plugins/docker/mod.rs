//! The docker plugin: containers, images, networks and volumes on Docker engines. Implements the
//! operations of Cloudify's docker plugin and those that dockctl adds.

pub mod declare;
pub(crate) mod drive;

use drive::engines::Engines;

use super::{At, Driver, Exclusive, Name, Part, Plugin, Replacement, Settings};
use crate::{
    diagnostic::Diagnostics,
    engine::Kind,
    model::{Blueprint, Definition, Planned},
    seam::{Change, Need, Object, ObjectState, Purpose, Standing, Step, Target},
};
use declare::{
    action::{Action, ID},
    change, check, declared, exclusive, lower, operation,
    operation::Operation,
    params, standing,
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
        part: Part<'_>,
        name: &str,
        planned: &Planned,
        purpose: &Purpose<'_>,
    ) -> Option<Vec<Step>> {
        lower::lower(part, name, planned, purpose)
    }

    fn connect(&self, settings: &Settings) -> Box<dyn Driver> {
        Box::new(Engines::new(settings))
    }

    fn provides(&self, plugin: &str) -> bool {
        operation::provides(plugin)
    }

    fn check(&self, blueprint: &Blueprint, d: &mut Diagnostics) {
        check::check(blueprint, d);
    }

    fn check_files(&self, blueprint: &Blueprint, folder: &Path, d: &mut Diagnostics) {
        check::check_files(blueprint, folder, d);
    }

    fn arguments(&self) -> Option<String> {
        Some(params::markdown())
    }

    fn extend_schema(&self, schema: &mut Json) {
        params::extend_schema(schema);
    }

    fn kind(&self, node: &Definition) -> Option<&'static str> {
        operation::kind(node).map(Kind::as_str)
    }

    /// Images are not observed: they are inspected when they are used.
    fn is_observed(&self, node: &Definition) -> bool {
        operation::kind(node).is_some_and(|kind| kind != Kind::Image)
    }

    fn target(&self, part: Part<'_>) -> Target {
        declared::engine(part.node)
    }

    fn name(&self, part: Part<'_>) -> Option<String> {
        declared::wanted_name(part.deployment, part.instance)
    }

    fn adopts(&self, node: &Definition) -> Option<String> {
        declared::adopted_name(node)
    }

    fn id_property(&self, node: &Definition) -> Option<&'static str> {
        operation::kind(node).map(standing::id_property)
    }

    fn has_shell(&self, node: &Definition) -> bool {
        operation::kind(node) == Some(Kind::Container)
    }

    fn called(&self, part: Part<'_>) -> Vec<Name> {
        declared::called(part)
    }

    fn names(&self, part: Part<'_>) -> Vec<Name> {
        declared::names(part)
    }

    fn exclusive(&self, part: Part<'_>) -> Vec<Exclusive> {
        exclusive::exclusive(part.deployment, part.instance, part.node)
    }

    fn is_ephemeral(&self, part: Part<'_>) -> bool {
        exclusive::is_removed_when_stopped(part.deployment, part.instance, part.node)
    }

    fn outlives(&self, node: &Definition) -> bool {
        standing::outlives(node)
    }

    fn standing(&self, at: At<'_>) -> Standing {
        standing::standing(at.part.instance, at.part.node, at.record, at.observed)
    }

    fn is_done(&self, node: &Definition, object: &Object) -> bool {
        standing::is_done(node, object)
    }

    fn change(&self, at: At<'_>) -> Change {
        change::change(at.part.instance, at.part.node, at.record, at.observed)
    }

    fn replacement(&self, part: Part<'_>, former: &Definition) -> Option<Replacement> {
        change::replacement(part, former)
    }

    fn still_done(&self, step: &Step, node: &Definition, object: Option<&Object>) -> bool {
        Action::of(step).is_ok_and(|action| standing::still_done(&action, node, object))
    }

    /// A container that has run was created with everything that `start` adds.
    fn is_needless(&self, step: &Step, object: &Object) -> bool {
        object.state != ObjectState::Created && matches!(Action::of(step), Ok(Action::Recreate(_)))
    }

    fn files(&self, step: &Step) -> Vec<Need> {
        Action::of(step).map_or_else(|_| Vec::new(), |action| action.files())
    }

    fn makes_or_starts(&self, planned: &Planned) -> bool {
        let operation = Operation::of(&planned.plugin, &planned.operation);
        matches!(
            operation,
            Some(Operation::Create | Operation::Run | Operation::Start)
        )
    }

    fn reads_properties(&self, planned: &Planned) -> bool {
        Operation::of(&planned.plugin, &planned.operation)
            .and_then(Operation::makes)
            .is_some()
    }

    fn untrusted(&self) -> &'static [&'static str] {
        &standing::UNTRUSTED
    }
}
