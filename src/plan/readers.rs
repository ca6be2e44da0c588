//! Finds the operations that read attributes of other nodes. The attributes exist once those nodes
//! are started.

use crate::{
    model::{Definition, Deployment, OperationDefinition, function::attribute_targets},
    plugins::Plugins,
    stage::is_install_operation,
};
use serde::Serialize;
use std::{collections::BTreeSet, fmt};

/// An install operation that reads attributes of another node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct AttributeRead {
    /// The node that reads them.
    pub reader: String,
    /// `interface.operation`; of a relationship `side/interface.operation`.
    pub operation: String,
    /// The node that has them.
    pub target: String,
    /// The operation creates or starts a container, which would lack the value.
    #[serde(rename = "makes")]
    pub creates_or_starts: bool,
}

impl fmt::Display for AttributeRead {
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
pub(super) fn readings(deployment: &Deployment, plugins: Plugins) -> Vec<AttributeRead> {
    let readers = Readers {
        deployment,
        plugins,
    };
    let nodes = deployment.nodes.iter();
    let mut all: Vec<AttributeRead> = nodes
        .flat_map(|(name, node)| readers.readings_of_node(name, node))
        .collect();
    all.sort_by_key(|reading| !reading.creates_or_starts);
    all
}

/// Nodes, and the plugins that know what their operations do.
#[derive(Clone, Copy)]
struct Readers<'a> {
    deployment: &'a Deployment,
    plugins: Plugins,
}

impl Readers<'_> {
    fn readings_of_node(self, name: &str, node: &Definition) -> Vec<AttributeRead> {
        let own = node.operations.iter();
        let of_relationships = node
            .relationships
            .iter()
            .flat_map(|relationship| &relationship.operations);
        own.chain(of_relationships)
            .filter(|(operation, _)| is_install_operation(operation))
            .flat_map(|(operation, planned)| {
                self.readings_of_operation((name, node), operation, planned)
            })
            .collect()
    }

    fn readings_of_operation(
        self,
        (name, node): (&str, &Definition),
        operation: &str,
        planned: &OperationDefinition,
    ) -> Vec<AttributeRead> {
        let makes = self.plugins.creates_or_starts(planned);
        let reads = makes || self.plugins.reads_properties(planned);
        let properties = node.properties.values().filter(|_| reads);
        let values = planned.inputs.values().chain(properties);
        let targets: BTreeSet<String> = values.flat_map(attribute_targets).collect();
        let nodes = &self.deployment.nodes;
        let is_other = |target: &String| target != name && nodes.contains_key(target);
        let reading = |target: String| AttributeRead {
            reader: name.to_owned(),
            operation: operation.to_owned(),
            target,
            creates_or_starts: makes,
        };
        targets.into_iter().filter(is_other).map(reading).collect()
    }
}
