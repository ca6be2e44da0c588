//! Finds the containers outside a deployment that share namespaces of its containers.

use crate::{
    engine::{Kind, failure},
    instance_record::InstanceRecord,
    plugins::{
        ObjectPlaces,
        docker::{
            declare::{
                container::Container,
                drift::{root_owner, shared_namespaces},
                json::text,
            },
            drive::engine::{CONCURRENT_INSPECTIONS, Engine},
        },
    },
    printable::printable,
    record::Record,
    seam::{Failure, ForeignSharers, Namespace},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::{BTreeMap, BTreeSet};

impl Engine {
    /// Returns the running containers outside the deployment that share namespaces of these
    /// instances. `places` and `record` have all objects of the deployment. The engine's list does not show whose
    /// processes or IPC a container shares, so this inspects the foreign containers.
    pub(crate) async fn foreign_sharers(
        &self,
        (record, places): (&Record, &ObjectPlaces),
        instances: &BTreeSet<String>,
    ) -> Result<Vec<ForeignSharers>, Failure> {
        let running = self.client.list(Kind::Container, &[]).await;
        let running = running.map_err(|error| failure(&error, "listing containers"))?;
        let recorded = record.instances.values();
        let recorded = recorded.flat_map(InstanceRecord::object_ids);
        let own = places.values().filter_map(|it| it.object.clone());
        let own: BTreeSet<String> = own.chain(recorded).collect();
        let foreign = running.iter().map(|it| text(&it["Id"]));
        let foreign = foreign.filter(|id| !own.contains(*id));
        let looks = stream::iter(foreign.map(|id| self.inspect(id)));
        let looks = looks.buffer_unordered(CONCURRENT_INSPECTIONS);
        let found: Vec<Option<Container>> = looks.try_collect().await?;
        Ok(grouped(places, instances, found.iter().flatten()))
    }
}

/// Returns the sharers of each namespace of these instances.
fn grouped<'c>(
    places: &ObjectPlaces,
    instances: &BTreeSet<String>,
    foreign: impl Iterator<Item = &'c Container>,
) -> Vec<ForeignSharers> {
    let owners: BTreeMap<&str, &str> = places
        .iter()
        .filter(|(instance, _)| instances.contains(*instance))
        .filter_map(|(instance, place)| Some((place.object.as_deref()?, instance.as_str())))
        .collect();
    let foreign: BTreeMap<String, &Container> = foreign.map(|it| (it.id(), it)).collect();
    let mut sharers: BTreeMap<(&str, Namespace), BTreeSet<String>> = BTreeMap::new();
    for container in foreign.values() {
        for shared in shared_namespaces(container) {
            let by_id = |id: &str| foreign.get(id).copied();
            // It may share the namespace through other foreign containers.
            if let Some(instance) = owners.get(root_owner(&shared, &by_id)) {
                let names = sharers.entry((*instance, shared.namespace)).or_default();
                names.insert(printable(&container.name()));
            }
        }
    }
    let sharers = sharers.into_iter();
    sharers
        .map(|((instance, namespace), objects)| {
            let objects: Vec<String> = objects.into_iter().collect();
            ForeignSharers {
                instance: instance.to_owned(),
                namespace,
                restart_command: restart_command(namespace, &objects),
                objects,
                can_start_again: true,
            }
        })
        .collect()
}

/// Returns the command that starts containers again after the owner of a namespace.
fn restart_command(namespace: Namespace, containers: &[String]) -> String {
    let command = match namespace {
        Namespace::Network | Namespace::Ipc => "restart",
        Namespace::Processes => "start",
    };
    format!("docker {command} {}", containers.join(" "))
}
