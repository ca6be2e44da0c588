//! Which operations read attributes of other nodes. The attributes exist once those nodes are
//! started.

use crate::{
    model::{Definition, Deployment, Planned, function::attribute_targets},
    plugins::Plugins,
    stage::brings_up,
};
use serde::Serialize;
use std::{collections::BTreeSet, fmt};

/// An operation on the way up that reads attributes of another node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Reading {
    /// The node that reads.
    pub reader: String,
    /// `interface.operation`; of a relationship `side/interface.operation`.
    pub operation: String,
    /// The node that is read.
    pub target: String,
    /// It creates or starts a container, which would lack the value.
    pub makes: bool,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.operation.rsplit('.').next().unwrap_or(&self.operation);
        write!(
            f,
            "`{name}` of `{}` reads attributes of `{}`",
            self.reader, self.target
        )
    }
}

/// Returns all readings of operations that lead to a started instance, those that create or start
/// containers first. Operations that run later find the attributes anyway.
pub(super) fn readings(deployment: &Deployment) -> Vec<Reading> {
    let mut all: Vec<Reading> = deployment
        .nodes
        .iter()
        .flat_map(|(name, node)| of_node(deployment, name, node))
        .collect();
    all.sort_by_key(|reading| !reading.makes);
    all
}

fn of_node(deployment: &Deployment, name: &str, node: &Definition) -> Vec<Reading> {
    let own = node.operations.iter();
    let of_relationships = node.ties.iter().flat_map(|tie| &tie.operations);
    let operations = own
        .chain(of_relationships)
        .filter(|(operation, _)| brings_up(operation));
    operations
        .flat_map(|(operation, planned)| of_operation(deployment, (name, node), operation, planned))
        .collect()
}

fn of_operation(
    deployment: &Deployment,
    (name, node): (&str, &Definition),
    operation: &str,
    planned: &Planned,
) -> Vec<Reading> {
    let makes = Plugins::default().makes_or_starts(planned);
    let mut targets: BTreeSet<String> = planned
        .inputs
        .values()
        .flat_map(attribute_targets)
        .collect();
    if makes || Plugins::default().reads_properties(planned) {
        targets.extend(node.properties.values().flat_map(attribute_targets));
    }
    let is_other = |target: &String| target != name && deployment.nodes.contains_key(target);
    let reading = |target: String| Reading {
        reader: name.to_owned(),
        operation: operation.to_owned(),
        target,
        makes,
    };
    targets.into_iter().filter(is_other).map(reading).collect()
}
