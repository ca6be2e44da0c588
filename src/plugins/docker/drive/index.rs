//! Finds containers by their labels.

use super::{engine::Engine, engines::Engines};
use crate::{
    engine::{Kind, failure},
    instance_record::{ForeignObject, InstanceRecord},
    model::InstanceState,
    plugins::{
        DriverFuture, ObjectFilter, ObjectIndex,
        docker::declare::{
            container::{Container, state_named, without_slash},
            json::{pairs, strings, text},
        },
    },
    seam::{Failure, LabeledObject, ObjectState, Target},
};
use serde_json::{Map as JsonMap, Value as Json, json};

impl ObjectIndex for Engines {
    fn check<'a>(&'a self, target: &'a Target) -> DriverFuture<'a, ()> {
        Box::pin(async move {
            let pinged = self.get(target).await?.client.ping().await;
            pinged.map_err(|error| failure(&error, &format!("reaching the engine {target}")))
        })
    }

    fn list<'a>(
        &'a self,
        target: &'a Target,
        filter: &'a ObjectFilter,
    ) -> DriverFuture<'a, Vec<LabeledObject>> {
        Box::pin(async move { self.get(target).await?.containers_with(filter).await })
    }

    fn find<'a>(
        &'a self,
        target: &'a Target,
        name: &'a str,
    ) -> DriverFuture<'a, Option<LabeledObject>> {
        Box::pin(async move {
            let found = self.get(target).await?.inspect(name).await?;
            Ok(found.as_ref().map(inspected))
        })
    }

    fn describe<'a>(&'a self, target: &'a Target, id: &'a str) -> DriverFuture<'a, Option<Json>> {
        Box::pin(async move {
            let found = self.get(target).await?.inspect(id).await?;
            Ok(found.map(|container| container.json))
        })
    }

    fn take_over<'a>(
        &'a self,
        target: &'a Target,
        id: &'a str,
    ) -> DriverFuture<'a, Option<InstanceRecord>> {
        Box::pin(async move {
            let found = self.get(target).await?.inspect(id).await?;
            Ok(found.as_ref().map(taken_over))
        })
    }

    fn last_log_lines<'a>(
        &'a self,
        target: &'a Target,
        id: &'a str,
    ) -> DriverFuture<'a, Vec<String>> {
        Box::pin(async move {
            let exit = self.get(target).await?.exit_info(id).await;
            Ok(exit.map(|exit| exit.log).unwrap_or_default())
        })
    }
}

impl Engine {
    async fn containers_with(&self, filter: &ObjectFilter) -> Result<Vec<LabeledObject>, Failure> {
        let label = |(key, value): &(String, Option<String>)| match value {
            Some(value) => format!("{key}={value}"),
            None => key.clone(),
        };
        let labels: Vec<String> = filter.labels.iter().map(label).collect();
        // Podman does not know all states.
        let states = filter.states.iter().filter(|_| !self.client.is_podman());
        let states: Vec<&str> = states.map(|state| state.as_str()).collect();
        let mut filters = json!({});
        let ids: Vec<&String> = filter.id.iter().collect();
        for (name, values) in [
            ("label", json!(labels)),
            ("status", json!(states)),
            ("id", json!(ids)),
        ] {
            if values != json!([]) {
                filters[name] = values;
            }
        }
        let query = [("all", "true".to_owned()), ("filters", filters.to_string())];
        let listed = self.client.list(Kind::Container, &query).await;
        let listed = listed.map_err(|error| failure(&error, "listing containers"))?;
        let is_wanted = |found: &LabeledObject| {
            filter.states.is_empty() || filter.states.contains(&found.state)
        };
        let found = listed.iter().map(listed_container);
        Ok(found.filter(is_wanted).collect())
    }
}

/// Returns the state of an instance with an existing container. Its script ran before.
fn taken_over(container: &Container) -> InstanceRecord {
    let mut properties = JsonMap::from_iter([
        ("container_id".to_owned(), container.id().into()),
        ("image_id".to_owned(), container.text("/Image").into()),
    ]);
    if container.flag("/State/Running") {
        properties.extend(container.network_properties());
    }
    InstanceRecord {
        state: if container.state() == ObjectState::Created {
            InstanceState::Created
        } else {
            InstanceState::Started
        },
        properties,
        foreign: Some(ForeignObject {
            id: container.id(),
            created_at: container.text("/Created").unwrap_or_default().to_owned(),
            labels: container.tags(),
        }),
        ..InstanceRecord::default()
    }
}

fn listed_container(found: &Json) -> LabeledObject {
    object(
        found,
        strings(&found["Names"]).next().unwrap_or_default(),
        state_named(text(&found["State"])),
        &found["Labels"],
    )
}

fn inspected(container: &Container) -> LabeledObject {
    object(
        &container.json,
        &container.name(),
        container.state(),
        container.labels(),
    )
}

fn object(found: &Json, name: &str, state: ObjectState, labels: &Json) -> LabeledObject {
    let label = |(key, value): (&String, &Json)| (key.clone(), text(value).to_owned());
    LabeledObject {
        id: text(&found["Id"]).to_owned(),
        name: without_slash(name),
        state,
        labels: pairs(labels).map(label).collect(),
    }
}
