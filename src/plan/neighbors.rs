//! Relationship operations of unchanged instances: `establish` and `unlink` run for their
//! relationships to instances that are created or removed.

use super::{PlanInput, Proposal, chain::Chain};
use crate::{
    model::{DefinedRelationship, Instance, RelationshipChange, defined_relationships},
    stage::TaskId,
};
use std::collections::{HashMap, HashSet};

/// The instances that change, and when operations of unchanged instances run.
pub(super) struct Neighbors<'a> {
    /// Selects the instances that the workflow is about.
    pub chosen: &'a dyn Fn(&Instance) -> bool,
    /// Selects those of them that change.
    pub changed: &'a dyn Fn(&Instance) -> bool,
    /// For each changed instance, by ID, the task that must end before the operations run.
    pub after: &'a HashMap<String, TaskId>,
    /// The reason.
    pub cause: &'a str,
}

/// Appends `establish` or `unlink` for every relationship from an unchanged instance to a changed
/// one. Returns the tasks by the ID of the changed instance.
pub(super) fn append_operations(
    known: PlanInput<'_>,
    operation: &str,
    neighbors: &Neighbors<'_>,
    proposal: &mut Proposal,
) -> HashMap<String, Vec<TaskId>> {
    let mut tasks: HashMap<String, Vec<TaskId>> = HashMap::new();
    let touched: HashSet<&str> = known
        .deployment
        .instances
        .iter()
        .filter(|it| (neighbors.changed)(it))
        .map(|it| it.id.as_str())
        .collect();
    for instance in known
        .deployment
        .instances
        .iter()
        .filter(|instance| !(neighbors.chosen)(instance))
    {
        let Some(node) = known.deployment.node(instance) else {
            continue;
        };
        let is_touched =
            |link: &DefinedRelationship<'_>| touched.contains(link.relationship.target.as_str());
        for link in defined_relationships(instance, node)
            .into_iter()
            .filter(is_touched)
        {
            let target = link.relationship.target.clone();
            let mut chain = Chain::new(known, (instance, node), neighbors.cause, proposal);
            chain.ignores_failure = operation == "unlink";
            chain.after = neighbors.after.get(&target).copied().into_iter().collect();
            chain.relationship(operation, &[link]);
            let ends: Vec<TaskId> = if chain.last.is_some() {
                chain.after
            } else {
                Vec::new()
            };
            tasks.entry(target).or_default().extend(ends);
        }
    }
    tasks
}

/// Appends `unlink` for every relationship that is no longer in the definition. Returns the last
/// tasks.
pub(super) fn unlink_removed(known: PlanInput<'_>, proposal: &mut Proposal) -> Vec<TaskId> {
    let removed = known
        .record
        .relationship_changes
        .iter()
        .filter(|end| !end.is_new);
    removed
        .flat_map(|end| append_operation(known, end, Vec::new(), proposal))
        .collect()
}

/// Appends `establish` for every relationship that is new in the definition, unless the stage
/// already establishes it when it starts the source. `last` maps instances to their last tasks.
pub(super) fn establish_new(
    known: PlanInput<'_>,
    last: &HashMap<&str, TaskId>,
    proposal: &mut Proposal,
) {
    let tasks: HashSet<(String, String)> = proposal
        .stage
        .tasks()
        .iter()
        .filter_map(|task| task.side.as_ref())
        .map(|side| (side.source.clone(), side.target.clone()))
        .collect();
    let new = known
        .record
        .relationship_changes
        .iter()
        .filter(|end| end.is_new);
    for end in
        new.filter(|end| !tasks.contains(&(end.source.clone(), end.relationship.target.clone())))
    {
        let after = [end.source.as_str(), end.relationship.target.as_str()]
            .into_iter()
            .filter_map(|id| last.get(id).copied())
            .collect();
        append_operation(known, end, after, proposal);
    }
}

fn append_operation(
    known: PlanInput<'_>,
    end: &RelationshipChange,
    after: Vec<TaskId>,
    proposal: &mut Proposal,
) -> Vec<TaskId> {
    let instance = known.deployment.instance(&end.source);
    let Some((instance, node)) = instance.and_then(|it| Some((it, known.deployment.node(it)?)))
    else {
        return Vec::new();
    };
    let cause = format!(
        "its relationship to {} {}",
        end.relationship.target,
        if end.is_new { "is new" } else { "was removed" }
    );
    let mut chain = Chain::new(known, (instance, node), &cause, proposal);
    chain.ignores_failure = !end.is_new;
    chain.after = after;
    chain.relationship(
        end.operation(),
        &[DefinedRelationship {
            relationship: &end.relationship,
            definition: &end.definition,
        }],
    );
    if chain.last.is_some() {
        chain.after
    } else {
        Vec::new()
    }
}
