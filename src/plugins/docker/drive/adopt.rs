//! Inspection of existing containers, for a blueprint that adopts them.

use crate::{
    engine::{Kind, failure},
    plugins::{
        Adoptable, Adopter, Candidate, DriverFuture,
        docker::{
            declare::generate::{ExistingContainer, blueprint, left_out},
            drive::{engine::Engine, engines::Engines},
        },
    },
    seam::Failure,
};
use serde_json::{Map as JsonMap, Value as Json, json};

impl Adopter for Engines {
    fn describe<'a>(
        &'a self,
        names: &'a [String],
        filters: Option<&'a [(String, String)]>,
    ) -> DriverFuture<'a, Adoptable> {
        Box::pin(async move {
            let engine = self.default_engine().await?;
            let found = engine
                .describe(names, filters.map(engine_filters).as_ref())
                .await?;
            let info = engine.info().await?;
            let (free, owned): (Vec<ExistingContainer>, Vec<ExistingContainer>) =
                found.into_iter().partition(|it| it.owner().is_none());
            Ok(Adoptable {
                blueprint: blueprint(&free, &info),
                left_out: left_out(&free),
                found: free.iter().chain(&owned).map(candidate).collect(),
            })
        })
    }
}

fn candidate(found: &ExistingContainer) -> Candidate {
    Candidate {
        name: found.name(),
        is_running: found.is_running(),
        owner: found.owner().map(str::to_owned),
    }
}

/// Converts filters to the engine's format: a list of values for each key.
fn engine_filters(filters: &[(String, String)]) -> Json {
    let mut all: JsonMap<String, Json> = JsonMap::new();
    for (key, value) in filters {
        let values = all.entry(key).or_insert_with(|| json!([]));
        let list = values.as_array_mut().into_iter();
        list.for_each(|list| list.push(value.as_str().into()));
    }
    Json::Object(all)
}

impl Engine {
    /// Inspects the containers with these names or IDs, and all containers that match the filters.
    ///
    /// # Errors
    ///
    /// Returns an error if an engine call fails or a named container does not exist.
    async fn describe(
        &self,
        names: &[String],
        filters: Option<&Json>,
    ) -> Result<Vec<ExistingContainer>, Failure> {
        let mut all: Vec<String> = names.to_vec();
        if let Some(filters) = filters {
            let query = [("all", "1".to_owned()), ("filters", filters.to_string())];
            let listed = self.client.list(Kind::Container, &query).await;
            let listed = listed.map_err(|error| failure(&error, "listing containers"))?;
            all.extend(
                listed
                    .iter()
                    .filter_map(|it| it["Id"].as_str().map(str::to_owned)),
            );
        }
        let mut found: Vec<ExistingContainer> = Vec::new();
        for name in &all {
            let container = self.inspect(name.trim_start_matches('/')).await?;
            let container = container
                .ok_or_else(|| {
                    Failure::fatal(format!("container `{name}` does not exist"))
                        .hint("list the containers: docker ps -a")
                })?
                .json;
            let image = self
                .image(container["Image"].as_str().unwrap_or_default())
                .await?
                .unwrap_or_default();
            if !found.iter().any(|it| it.container["Id"] == container["Id"]) {
                found.push(ExistingContainer { container, image });
            }
        }
        Ok(found)
    }

    /// Returns the engine's information about itself.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine call fails.
    async fn info(&self) -> Result<Json, Failure> {
        self.client
            .mapping("/info", &[])
            .await
            .map_err(|error| failure(&error, "reading the engine information"))
    }
}
