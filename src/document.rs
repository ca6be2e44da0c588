//! Documents of other kinds that deployments are created from.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Kind of a document that is not a blueprint.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum DocumentKind {
    /// Specification of a group of InfraKit.
    #[serde(rename = "infrakit.group")]
    InfrakitGroup,
}

/// The document that a deployment was created from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Document {
    /// Its kind.
    pub kind: DocumentKind,
    /// Its content in a normal form.
    pub content: Json,
    /// Text of the script that it refers to, as it was when the document was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
}
