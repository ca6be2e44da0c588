//! `dockctl schema`.

use super::Outcome;
use crate::plugins::Plugins;

/// Prints a JSON Schema for blueprints.
pub(crate) fn schema() -> Outcome {
    let schema = Plugins::default().json_schema();
    let text = format!("{schema:#}\n");
    Outcome::exact(serde_json::json!({ "schema": schema }), text)
}
