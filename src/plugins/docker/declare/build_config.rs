//! Reads the `resource_config` of a node that builds or pulls an image.

use crate::{
    diagnostic::Fault,
    model::function::contains_call,
    plugins::docker::declare::{
        image::{Image, is_url, resolve_path},
        json::map_of,
    },
    seam::{Need, Outputs},
};

use serde_json::{Map as JsonMap, Value as Json, json};

use std::path::Path;

/// A parsed `resource_config` of an image to build or pull.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct BuildConfig {
    /// Dockerfile: a URL, a file, or its content. None if the context contains it or the image is
    /// only pulled.
    pub content: Option<String>,
    pub tag: String,
    pub pull: bool,
    /// Directory of the build context; an extension of dockctl.
    pub context: Option<String>,
    /// Values of `ARG`; an extension of dockctl.
    pub args: JsonMap<String, Json>,
    /// Stage to build; an extension of dockctl.
    pub target: Option<String>,
}

impl BuildConfig {
    /// Reads `resource_config`. Late values are left out.
    ///
    /// # Errors
    ///
    /// The first invalid value.
    pub(crate) fn read(config: &Json) -> Result<Self, Fault> {
        let args = build_args(&config["build_args"])?;
        let recipe = Self {
            content: text(config, "image_content")?,
            tag: text(config, "tag")?.unwrap_or_default(),
            pull: config["pull_image"] == true,
            context: text(config, "context")?,
            args,
            target: text(config, "target")?,
        };
        if !recipe.tag.is_empty() {
            check_tag(&recipe.tag)?;
        } else if !contains_call(&config["tag"]) {
            let fault = Fault::new("an image needs a `tag`: the name of the new image");
            return Err(fault.hint("tag: NAME:TAG"));
        }
        Ok(recipe)
    }

    /// Returns the outputs for an image that an execution had built before its process died.
    pub(crate) fn interrupted_outputs(image: &Json, tag: &str) -> Outputs {
        let result = Json::from("built by an interrupted execution");
        Outputs {
            set: properties(image, tag, Some(result)),
            ..Outputs::default()
        }
    }

    pub(crate) fn builds(&self) -> bool {
        self.content.is_some() || self.context.is_some()
    }
}

/// Returns a string value, if it is given and already known.
fn text(config: &Json, name: &str) -> Result<Option<String>, Fault> {
    match &config[name] {
        Json::String(text) if !text.is_empty() => Ok(Some(text.clone())),
        Json::Null | Json::String(_) => Ok(None),
        value if contains_call(value) => Ok(None),
        _ => Err(Fault::new("this must be a string").at_key(name)),
    }
}

/// Returns the values of `ARG`, as far as they are already known.
fn build_args(given: &Json) -> Result<JsonMap<String, Json>, Fault> {
    match super::network::string_map(given) {
        _ if contains_call(given) => Ok(JsonMap::new()),
        Some(Json::Object(args)) => Ok(args),
        _ => Err(Fault::new("this must be a mapping of strings").at_key("build_args")),
    }
}

/// Checks a tag, which must be a valid image name.
fn check_tag(tag: &str) -> Result<(), Fault> {
    let faults = Image::read(&json!({ "repository": tag })).err();
    let first = faults.and_then(|faults| faults.into_iter().next());
    first.map_or(Ok(()), |fault| {
        let path = vec!["tag".to_owned()];
        Err(Fault { path, ..fault })
    })
}

/// Formats the step for a plan.
pub(crate) fn display_build(config: &Json) -> String {
    match BuildConfig::read(config) {
        Ok(_) if contains_call(&config["tag"]) => {
            "build or pull image (known after install)".to_owned()
        }
        Ok(recipe) if recipe.builds() => format!("build image {}", recipe.tag),
        Ok(recipe) => format!("pull image {}", recipe.tag),
        Err(_) => "build or pull image (invalid)".to_owned(),
    }
}

/// Returns the local build context and Dockerfile, as far as they are already known.
pub(crate) fn local_files(config: &Json, directory: &Path) -> Vec<Need> {
    let Ok(recipe) = BuildConfig::read(config) else {
        return Vec::new();
    };
    let is_file = |content: &String| is_file_name(content) && !is_url(content);
    let context = recipe
        .context
        .map(|it| Need::Directory(resolve_path(&it, directory)));
    let dockerfile = recipe.content.filter(is_file);
    let dockerfile = dockerfile.map(|it| Need::File(resolve_path(&it, directory)));
    context.into_iter().chain(dockerfile).collect()
}

/// Returns true if `image_content` is the name of a Dockerfile, not its content.
fn is_file_name(content: &str) -> bool {
    !content.contains('\n')
        && !content.contains("\\n")
        && !content.trim_start().to_uppercase().starts_with("FROM ")
}

pub(crate) fn properties(image: &Json, tag: &str, result: Option<Json>) -> JsonMap<String, Json> {
    let mut known = map_of([
        ("image_id", image["Id"].clone()),
        ("image", image.clone()),
        ("image_tag", tag.into()),
    ]);
    known.extend(result.map(|result| ("build_result".to_owned(), result)));
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_config_is_read() {
        let recipe = BuildConfig::read(
            &json!({ "image_content": "FROM x", "tag": "a:1", "build_args": { "N": 1 } }),
        )
        .unwrap();
        assert_eq!((recipe.builds(), &recipe.args["N"]), (true, &json!("1")));
        assert_eq!(
            display_build(&json!({ "tag": "a:1", "context": "." })),
            "build image a:1"
        );
        assert_eq!(
            display_build(&json!({ "tag": "a:1", "pull_image": true })),
            "pull image a:1"
        );
        assert!(BuildConfig::read(&json!({ "image_content": "FROM x" })).is_err());
        assert!(BuildConfig::read(&json!({ "tag": "a", "build_args": [1] })).is_err());
    }
}
