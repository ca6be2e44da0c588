//! A blueprint for containers that exist: what they are made of, without what their image and the
//! engine filled in.

use crate::{
    engine::{Kind, failure},
    plugins::docker::{declare::adopted::Found, drive::engine::Engine},
    seam::Failure,
};
use serde_json::Value as Json;

impl Engine {
    /// Looks at containers: those of these names or ids, and all that a filter of the engine lets
    /// through.
    ///
    /// # Errors
    ///
    /// If the engine does not say, or there is no container of a name.
    pub async fn describe(
        &self,
        names: &[String],
        filters: Option<&Json>,
    ) -> Result<Vec<Found>, Failure> {
        let mut all: Vec<String> = names.to_vec();
        if let Some(filters) = filters {
            let query = [("all", "1".to_owned()), ("filters", filters.to_string())];
            let listed = self.client.list(Kind::Container, &query).await;
            let listed = listed.map_err(|error| failure(&error, "listing the containers"))?;
            all.extend(
                listed
                    .iter()
                    .filter_map(|it| it["Id"].as_str().map(str::to_owned)),
            );
        }
        let mut found: Vec<Found> = Vec::new();
        for name in &all {
            let container = self.inspect(name.trim_start_matches('/')).await?;
            let container = container
                .ok_or_else(|| {
                    Failure::fatal(format!("there is no container `{name}`"))
                        .hint("docker ps -a lists those there are")
                })?
                .json;
            let image = self
                .image(container["Image"].as_str().unwrap_or_default())
                .await?
                .unwrap_or_default();
            if !found.iter().any(|it| it.container["Id"] == container["Id"]) {
                found.push(Found { container, image });
            }
        }
        Ok(found)
    }

    /// What the engine says of itself.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub async fn info(&self) -> Result<Json, Failure> {
        self.client
            .mapping("/info", &[])
            .await
            .map_err(|error| failure(&error, "asking the engine about itself"))
    }
}
