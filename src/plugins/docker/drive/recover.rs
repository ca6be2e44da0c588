//! Reading a deployment from labels on the engine, when its journal is gone.
//!
//! The labels of every object contain the data for its removal. An object that this state directory
//! sealed is owned. Anything else is a claim: it is shown, and becomes part of the record only if
//! the user confirms it. Labels that name another object, or that a container inherited from its
//! image, do not count as claims.

use crate::{
    discovery::{Discovery, FoundObject},
    engine::{Kind, failure},
    plugins::docker::{
        declare::{
            container::Container,
            label,
            labeled::{from_container, from_inspection},
        },
        drive::engine::Engine,
    },
    seam::Failure,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Number of objects to inspect at once.
const CONCURRENT_INSPECTIONS: usize = 8;

impl Engine {
    /// Adds the objects on this engine whose labels name a deployment.
    ///
    /// # Errors
    ///
    /// Returns an error if an engine call fails.
    pub(crate) async fn add_claims(&self, discovery: &mut Discovery) -> Result<(), Failure> {
        let deployment = discovery.deployment.clone();
        for container in self.labeled_containers(&deployment).await? {
            let is_ours = self.is_proven(&container).await?;
            let is_claim = is_ours || self.is_claim(&container).await?;
            from_container(&container).add_to(discovery, (is_ours, is_claim));
        }
        for kind in [Kind::Network, Kind::Volume] {
            let label = format!("{}={deployment}", label::DEPLOYMENT);
            for it in self.with_label(kind, &label).await? {
                let (is_ours, found) = (self.is_proven_as(&it, kind), from_inspection(&it, kind));
                let is_claim = found.matches_label();
                found.add_to(discovery, (is_ours, is_claim));
            }
        }
        let key = |found: &FoundObject| (found.labels.node.clone(), found.labels.index);
        discovery.found.sort_by_key(key);
        Ok(())
    }

    /// Returns the names of deployments in labels on this engine, each with its number of objects.
    ///
    /// # Errors
    ///
    /// Returns an error if an engine call fails.
    pub(crate) async fn deployments(&self) -> Result<BTreeMap<String, usize>, Failure> {
        let mut all = BTreeMap::new();
        for kind in [Kind::Container, Kind::Network, Kind::Volume] {
            for labels in self
                .with_label(kind, label::DEPLOYMENT)
                .await?
                .iter()
                .map(|found| &found["Labels"])
            {
                let name = labels[label::DEPLOYMENT]
                    .as_str()
                    .filter(|name| !name.is_empty());
                if let Some(name) = name {
                    *all.entry(name.to_owned()).or_insert(0) += 1;
                }
            }
        }
        Ok(all)
    }

    async fn with_label(&self, kind: Kind, label: &str) -> Result<Vec<Json>, Failure> {
        let query = [
            ("all", "true".to_owned()),
            ("filters", json!({ "label": [label] }).to_string()),
        ];
        let query = if kind == Kind::Container {
            &query[..]
        } else {
            &query[1..]
        };
        self.client
            .list(kind, query)
            .await
            .map_err(|error| failure(&error, "listing labeled objects"))
    }

    async fn labeled_containers(&self, deployment: &str) -> Result<Vec<Container>, Failure> {
        let ids = self.labeled(deployment, None).await?;
        let looks = stream::iter(ids.iter().map(|id| self.inspect(id)))
            .buffer_unordered(CONCURRENT_INSPECTIONS);
        let containers: Vec<Option<Container>> = looks.try_collect().await?;
        Ok(containers.into_iter().flatten().collect())
    }
}
