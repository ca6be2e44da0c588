//! The deployment of one node that stands for an instance. It is never stored: the controller of
//! the client holds the specification.

use super::api::{Spec, Tags, get};
use crate::{
    catalog,
    diagnostic::{Diagnostics, Fault, Sources, fault::nearest_key},
    model::{self, Definition, Deployment, DeploymentSource},
    plugins::Plugins,
    serve::json_rpc::RpcError,
    syntax::as_literal,
};
use indexmap::IndexMap;
use serde_json::{Map as JsonMap, Value as Json};
use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

/// Name of the node.
const NODE: &str = "instance";
const BLUEPRINT: &str = "\
tosca_definitions_version: cloudify_dsl_1_3
imports:
  - http://www.getcloudify.org/spec/cloudify/3.3.1/types.yaml
  - plugin:dockctl
node_templates:
  instance:
    type: dockctl.nodes.infrakit.Instance
";

/// Properties of an instance, and the properties of its node.
const PROPERTIES: [(&str, &str); 4] = [
    ("Tags", "tags"),
    ("Config", "config"),
    ("HostConfig", "host_config"),
    ("NetworkAttachments", "networks"),
];
/// Fields of a specification, and the properties of its node.
const FIELDS: [(&str, &str); 3] = [
    ("Init", "init"),
    ("LogicalID", "logical_id"),
    ("Attachments", "attachments"),
];

/// Beginning of the tags that belong to InfraKit itself.
const SYSTEM: &str = "infrakit.";

/// Makes deployments of one instance.
pub(crate) struct Template {
    deployment: Deployment,
    /// Tags of all instances.
    namespace: Tags,
}

impl Template {
    /// Resolves the blueprint.
    ///
    /// # Errors
    ///
    /// If the bundled types are unusable.
    pub(crate) fn new(namespace: Tags, init_timeout: Duration) -> Result<Self, String> {
        let mut deployment = deployment()?;
        let node = Arc::make_mut(
            deployment
                .nodes
                .get_mut(NODE)
                .ok_or("the node is missing")?,
        );
        let seconds = Json::from(init_timeout.as_secs_f64());
        node.properties.insert("init_timeout".to_owned(), seconds);
        Ok(Self {
            deployment,
            namespace,
        })
    }

    /// Returns the tags of all instances.
    pub(crate) fn namespace(&self) -> &Tags {
        &self.namespace
    }

    /// Returns the deployment of an instance. The container is called `name` unless the
    /// specification has a logical ID.
    ///
    /// # Errors
    ///
    /// If the properties are not an object with the known keys.
    pub(crate) fn instance(&self, spec: &Spec, name: &str) -> Result<Deployment, RpcError> {
        if spec.properties.is_null() {
            return Err(RpcError::new("Properties must be set"));
        }
        check_keys(&spec.properties)?;
        let mut deployment = self.deployment.clone();
        deployment.replace_instance_id(0, name);
        let node = deployment.nodes.get_mut(NODE).map(Arc::make_mut);
        let properties = self.properties(spec)?;
        if let Some(node) = node {
            node.properties.extend(properties);
        }
        Ok(deployment)
    }

    /// Returns the deployment of an instance of which only the name is known.
    pub(crate) fn existing(&self, name: &str) -> Deployment {
        let mut deployment = self.deployment.clone();
        deployment.replace_instance_id(0, name);
        deployment
    }

    fn properties(&self, spec: &Spec) -> Result<JsonMap<String, Json>, RpcError> {
        let mut properties = JsonMap::new();
        for (key, property) in PROPERTIES {
            let value = get(&spec.properties, key).map(as_literal);
            properties.insert(property.to_owned(), value.unwrap_or_default());
        }
        let tags = self.tags(spec)?;
        properties.insert("tags".to_owned(), as_literal(&tags));
        properties.insert("init".to_owned(), spec.init.as_str().into());
        properties.insert(
            "logical_id".to_owned(),
            spec.logical_id.clone().unwrap_or_default().into(),
        );
        properties.insert("attachments".to_owned(), as_literal(&spec.attachments));
        Ok(properties)
    }

    /// Returns the labels of an instance: the tags of its properties win over those of the
    /// specification, but not over those of InfraKit itself.
    ///
    /// # Errors
    ///
    /// If a tag or a label contradicts the namespace: such an instance would never be listed.
    fn tags(&self, spec: &Spec) -> Result<Json, RpcError> {
        let own = match get(&spec.properties, "Tags") {
            None | Some(Json::Null) => JsonMap::new(),
            Some(Json::Object(tags)) => tags.clone(),
            Some(_) => return Err(invalid("`Tags` must be a mapping of strings")),
        };
        let text = |(key, value): (&String, &String)| (key.clone(), Json::from(value.as_str()));
        let mut tags: JsonMap<String, Json> = spec.tags.iter().map(text).collect();
        tags.extend(own);
        let system = spec.tags.iter().filter(|(key, _)| key.starts_with(SYSTEM));
        tags.extend(system.map(text));
        let config = get(&spec.properties, "Config");
        let labels = config
            .and_then(|config| get(config, "Labels"))
            .and_then(Json::as_object);
        self.check_namespace(tags.iter().chain(labels.into_iter().flatten()))?;
        tags.extend(self.namespace.iter().map(text));
        Ok(tags.into())
    }

    fn check_namespace<'t>(
        &self,
        mut tags: impl Iterator<Item = (&'t String, &'t Json)>,
    ) -> Result<(), RpcError> {
        let contradicts = |(key, value): &(&String, &Json)| {
            self.namespace.get(*key).is_some_and(|own| *value != own)
        };
        match tags.find(contradicts) {
            Some((key, _)) => Err(namespace_error(key)),
            None => Ok(()),
        }
    }
}

/// Returns the error for a label that contradicts the namespace.
pub(crate) fn namespace_error(key: &str) -> RpcError {
    RpcError::new(format!(
        "the tag `{key}` belongs to the namespace of this plugin; leave it out"
    ))
}

fn deployment() -> Result<Deployment, String> {
    let (mut sources, mut d) = (Sources::default(), Diagnostics::default());
    let main = sources.add_text("instance.yaml", BLUEPRINT.to_owned());
    let options = catalog::Options {
        network: catalog::Network {
            offline: true,
            cache: None,
        },
        ..catalog::Options::default()
    };
    let ast = catalog::load_source(main, &options, &mut sources, &mut d);
    let provides = |plugin: &str| Plugins::default().provides(plugin);
    let blueprint = model::resolve(ast, &sources, provides, &mut d);
    let origin = DeploymentSource {
        name: NODE,
        path: Path::new("/"),
        given: JsonMap::new(),
        previous: None,
        planned: &[],
        removed_first: BTreeSet::new(),
        sources: &sources,
    };
    let deployment = Deployment::new(
        &origin,
        &blueprint,
        &IndexMap::new(),
        &mut fastrand::Rng::new(),
        &mut d,
    );
    match d.iter().find(|it| it.is_error()) {
        Some(error) => Err(error.message.clone()),
        None => Ok(deployment),
    }
}

fn invalid(message: &str) -> RpcError {
    RpcError::new(format!("invalid input formatting: {message}"))
}

/// Fails for properties that are not an object, or have an unknown key.
fn check_keys(properties: &Json) -> Result<(), RpcError> {
    let Some(given) = properties.as_object() else {
        return Err(invalid("`Properties` must be an object"));
    };
    let known = PROPERTIES.map(|(key, _)| key);
    for key in given.keys() {
        let same = |known: &&str| known.eq_ignore_ascii_case(key);
        if !known.iter().any(same) {
            let hint = match nearest_key(key, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {}", known.join(", ")),
            };
            return Err(invalid(&format!("unknown key `{key}`; {hint}")));
        }
        if given
            .keys()
            .filter(|other| other.eq_ignore_ascii_case(key))
            .count()
            > 1
        {
            return Err(invalid(&format!("`{key}` is given twice")));
        }
    }
    Ok(())
}

/// Returns the error for the faults of an instance, in the words of its document.
pub(crate) fn faults_error(faults: &[Fault]) -> Option<RpcError> {
    let texts: Vec<String> = faults.iter().map(fault_text).collect();
    (!texts.is_empty()).then(|| RpcError::new(texts.join("; ")))
}

fn fault_text(fault: &Fault) -> String {
    let Some((first, rest)) = fault.path.split_first() else {
        return fault.message.clone();
    };
    let mut names = PROPERTIES.iter().chain(&FIELDS);
    let name = names
        .find(|(_, property)| property == first)
        .map_or(first.as_str(), |(key, _)| key);
    let place = [name]
        .into_iter()
        .chain(rest.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(".");
    let what = match fault.message.strip_prefix("this ") {
        Some(what) => format!("`{place}` {what}"),
        None => format!("`{place}`: {}", fault.message),
    };
    let hint = fault.hint.iter().map(|hint| format!("; {hint}"));
    format!(
        "invalid input formatting: {what}{}",
        hint.collect::<String>()
    )
}

/// Returns the only node of a deployment.
pub(crate) fn node_of(deployment: &Deployment) -> Option<&Arc<Definition>> {
    deployment.nodes.get(NODE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plugins::InstanceRef, syntax::without_marks};
    use serde_json::json;

    fn template(namespace: &[(&str, &str)]) -> Template {
        Template::new(tags(namespace), Duration::from_secs(7)).unwrap()
    }

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn error(template: &Template, properties: Json) -> String {
        let spec = Spec {
            properties,
            ..Spec::default()
        };
        let deployment = match template.instance(&spec, "given") {
            Ok(deployment) => deployment,
            Err(error) => return error.message,
        };
        let part = InstanceRef::of(&deployment, &deployment.instances[0]).unwrap();
        let faults = Plugins::default().faults(part);
        faults_error(&faults)
            .map(|error| error.message)
            .unwrap_or_default()
    }

    #[test]
    fn tags_of_infrakit_and_the_namespace_win() {
        let spec = Spec {
            properties: json!({ "Config": { "Image": "a" }, "tags": { "ik": "1", "infrakit.group": "mine", "scope": "prod" } }),
            tags: tags(&[
                ("ik", "2"),
                ("tier", "web"),
                ("infrakit.group", "g"),
                ("infrakit.config_sha", "s"),
            ]),
            ..Spec::default()
        };
        let deployment = template(&[("scope", "prod")])
            .instance(&spec, "given")
            .unwrap();
        let tags = &node_of(&deployment).unwrap().properties["tags"];
        let expected = json!({ "ik": "1", "tier": "web", "infrakit.group": "g", "infrakit.config_sha": "s", "scope": "prod" });
        assert_eq!(without_marks(tags), expected);
    }

    #[test]
    fn tag_that_contradicts_the_namespace_is_refused() {
        let template = template(&[("scope", "prod")]);
        let message = "the tag `scope` belongs to the namespace of this plugin; leave it out";
        for properties in [
            json!({ "Config": { "Image": "a" }, "Tags": { "scope": "x" } }),
            json!({ "Config": { "Image": "a", "labels": { "scope": "x" } } }),
        ] {
            assert_eq!(error(&template, properties), message);
        }
    }

    #[test]
    fn errors_name_the_fields_of_the_document() {
        let template = template(&[]);
        for (properties, message) in [
            (json!(null), "Properties must be set"),
            (json!({}), "Config should be set"),
            (
                json!({ "Config": {} }),
                "A Docker image should be specified",
            ),
            (
                json!({ "Config": { "Image": 5 } }),
                "invalid input formatting: `Config.Image` must be a string, but is an integer",
            ),
            (
                json!({ "bogus": 1 }),
                "invalid input formatting: unknown key `bogus`; known keys: Tags, Config, HostConfig, NetworkAttachments",
            ),
            (
                json!({ "Confg": 1 }),
                "invalid input formatting: unknown key `Confg`; did you mean `Config`?",
            ),
            (
                json!({ "config": {}, "Config": {} }),
                "invalid input formatting: `config` is given twice",
            ),
            (
                json!([]),
                "invalid input formatting: `Properties` must be an object",
            ),
            (
                json!({ "Config": { "Image": "a" }, "NetworkAttachments": [{}] }),
                "NetworkAttachment should have a name",
            ),
            (
                json!({ "Config": { "Image": "a" }, "hostconfig": { "Binds": 1 } }),
                "invalid input formatting: `HostConfig.Binds` must be a list, but is an integer",
            ),
            (
                json!({ "Config": { "Image": "a" }, "Tags": { "a": 1 } }),
                "invalid input formatting: `Tags.a` must be a string",
            ),
        ] {
            assert_eq!(error(&template, properties), message);
        }
    }

    #[test]
    fn container_has_the_logical_id_or_the_given_name() {
        let template = template(&[]);
        let name = |logical_id: Option<&str>| {
            let spec = Spec {
                properties: json!({ "Config": { "Image": "a" } }),
                logical_id: logical_id.map(str::to_owned),
                ..Spec::default()
            };
            let deployment = template.instance(&spec, "given").unwrap();
            let part = InstanceRef::of(&deployment, &deployment.instances[0]).unwrap();
            Plugins::default().name(part)
        };
        assert_eq!(name(Some("n1")).as_deref(), Some("n1"));
        assert_eq!(name(None).as_deref(), Some("given"));
        let timeout = &node_of(&template.deployment).unwrap().properties["init_timeout"];
        assert_eq!(*timeout, json!(7.0));
    }
}
