//! Finds the operations that read attributes of other nodes. The attributes exist once those nodes
//! are started.

use crate::{
    model::{Definition, Deployment, Planned, function::attribute_targets},
    plugins::Plugins,
    stage::brings_up,
};
use serde::Serialize;
use std::{collections::BTreeSet, fmt};

/// An install operation that reads attributes of another node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Reading {
    /// The node that reads them.
    pub reader: String,
    /// `interface.operation`; of a relationship `side/interface.operation`.
    pub operation: String,
    /// The node that has them.
    pub target: String,
    /// The operation creates or starts a container, which would lack the value.
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

/// Returns all readings of install operations. Operations that create or start containers come
/// first; later ones find the attributes anyway.
pub(super) fn readings(deployment: &Deployment, plugins: Plugins) -> Vec<Reading> {
    let readers = Readers {
        deployment,
        plugins,
    };
    let nodes = deployment.nodes.iter();
    let mut all: Vec<Reading> = nodes
        .flat_map(|(name, node)| readers.of_node(name, node))
        .collect();
    all.sort_by_key(|reading| !reading.makes);
    all
}

/// Nodes, and the plugins that know what their operations do.
#[derive(Clone, Copy)]
struct Readers<'a> {
    deployment: &'a Deployment,
    plugins: Plugins,
}

impl Readers<'_> {
    fn of_node(self, name: &str, node: &Definition) -> Vec<Reading> {
        let own = node.operations.iter();
        let of_relationships = node.ties.iter().flat_map(|tie| &tie.operations);
        own.chain(of_relationships)
            .filter(|(operation, _)| brings_up(operation))
            .flat_map(|(operation, planned)| self.of_operation((name, node), operation, planned))
            .collect()
    }

    fn of_operation(
        self,
        (name, node): (&str, &Definition),
        operation: &str,
        planned: &Planned,
    ) -> Vec<Reading> {
        let makes = self.plugins.makes_or_starts(planned);
        let reads = makes || self.plugins.reads_properties(planned);
        let properties = node.properties.values().filter(|_| reads);
        let values = planned.inputs.values().chain(properties);
        let targets: BTreeSet<String> = values.flat_map(attribute_targets).collect();
        let nodes = &self.deployment.nodes;
        let is_other = |target: &String| target != name && nodes.contains_key(target);
        let reading = |target: String| Reading {
            reader: name.to_owned(),
            operation: operation.to_owned(),
            target,
            makes,
        };
        targets.into_iter().filter(is_other).map(reading).collect()
    }
}
