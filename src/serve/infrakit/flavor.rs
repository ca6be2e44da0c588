//! The vanilla flavor as a plugin.

use super::{
    api::{self, Spec},
    group_api::{FlavorMethod, FlavorRequest, spec_json},
};
use crate::{
    front::{self, infrakit::flavor},
    serve::json_rpc::RpcError,
};
use serde_json::{Value as Json, json};

/// Names of the subtype, besides the default one.
const SUBTYPES: [&str; 3] = ["", "vanilla", "flavor-vanilla"];
/// A flavor does not look into instances: all of them work.
const HEALTHY: u8 = 1;

/// Answers a request.
pub(crate) fn answer(request: &FlavorRequest, options: &front::Options) -> Result<Json, RpcError> {
    let FlavorRequest {
        subtype,
        properties,
        method,
    } = request;
    if !SUBTYPES.contains(&subtype.as_str()) {
        return Err(RpcError::new(format!("no-plugin:{subtype}")));
    }
    Ok(match method {
        FlavorMethod::Validate => {
            flavor::prepare(properties, options).map_err(RpcError::new)?;
            api::ok(subtype)
        }
        FlavorMethod::Prepare(spec) => {
            let spec = prepared(spec.clone(), properties, options)?;
            json!({ "Type": subtype, "Spec": spec_json(&spec) })
        }
        FlavorMethod::Healthy => json!({ "Type": subtype, "Health": HEALTHY }),
        FlavorMethod::Drain => api::ok(subtype),
    })
}

/// Adds the script, the tags and the attachments of the flavor to a specification.
fn prepared(mut spec: Spec, properties: &Json, options: &front::Options) -> Result<Spec, RpcError> {
    let added = flavor::prepare(properties, options).map_err(RpcError::new)?;
    let scripts = [spec.init, added.script].into_iter();
    let scripts: Vec<String> = scripts.filter(|script| !script.is_empty()).collect();
    spec.init = scripts.join("\n");
    spec.tags.extend(added.tags);
    let all = [spec.attachments, added.attachments].into_iter();
    let all = all.filter_map(|list| list.as_array().cloned()).flatten();
    let all: Vec<Json> = all.collect();
    spec.attachments = if all.is_empty() {
        Json::Null
    } else {
        all.into()
    };
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(spec: Spec, properties: &Json) -> Result<Spec, String> {
        let prepared = prepared(spec, properties, &front::Options::default());
        prepared.map_err(|error| error.message)
    }

    #[test]
    fn specification_is_completed() {
        let spec = Spec {
            init: "first".to_owned(),
            tags: [("a", "1"), ("b", "1")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            attachments: json!([{ "ID": "x", "Type": "t" }]),
            ..Spec::default()
        };
        let properties = json!({
            "Init": ["second", "third"],
            "Tags": { "b": "2", "infrakit.group": "own" },
            "Attachments": [{ "ID": "y", "Type": "t" }],
        });
        let prepared = prepare(spec, &properties).unwrap();
        assert_eq!(prepared.init, "first\nsecond\nthird");
        assert_eq!(
            json!(prepared.tags),
            json!({ "a": "1", "b": "2", "infrakit.group": "own" })
        );
        assert_eq!(prepared.attachments[1]["ID"], "y");
        assert_eq!(
            prepare(Spec::default(), &Json::Null).unwrap(),
            Spec::default()
        );
    }

    #[test]
    fn invalid_properties_are_refused() {
        for (properties, message) in [
            (
                json!({ "Init": "echo" }),
                "Invalid properties: `Init` must be a list of strings",
            ),
            (
                json!({ "Init": ["a"], "InitScriptTemplateURL": "http://a" }),
                r#"Either "Init" or "InitScriptTemplateURL" can be specified but not both"#,
            ),
            (
                json!({ "Initt": [] }),
                "Invalid properties: `Properties` has no key `Initt`",
            ),
        ] {
            assert_eq!(
                prepare(Spec::default(), &properties),
                Err(message.to_owned())
            );
        }
    }
}
