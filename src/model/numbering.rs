//! Names and numbers of the instances of a node.

use serde::{Deserialize, Serialize};

/// How the instances of a node are named and numbered. An instance has a label, which is the name
/// of its object, or its number is part of that name.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Numbering {
    /// Labels of the instances. If there are any, the node has exactly one instance with each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Number of the first instance.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first: usize,
}

impl Numbering {
    /// Returns true if nothing is declared.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.names.is_empty() && self.first == 0
    }

    /// Returns the label of the instance at a position, if the node has labels.
    #[must_use]
    pub fn label(&self, at: usize) -> Option<String> {
        self.names.get(at).cloned()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde requires a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use crate::{
        catalog,
        diagnostic::{Diagnostics, Sources},
        model::{self, Deployment, Instance, ScalingError, ScalingRequest},
    };
    use indexmap::IndexMap;
    use std::collections::BTreeSet;

    const TYPES: &str = "tosca_definitions_version: cloudify_dsl_1_3
plugins: {dockctl: {executor: central_deployment_agent, install: false}}
node_types: {t: {}}
relationships:
  cloudify.relationships.depends_on: {properties: {connection_type: {default: all_to_all}}}
  cloudify.relationships.contained_in: {derived_from: cloudify.relationships.depends_on}
";

    /// Returns the deployment of a blueprint, and the messages of its errors.
    fn resolved(text: &str, before: Option<&Deployment>) -> (Deployment, Vec<String>) {
        let (mut sources, mut d) = (Sources::default(), Diagnostics::default());
        let file = sources.add_text("t.yaml", text);
        let options = catalog::Options::default();
        let ast = catalog::load_source(file, &options, &mut sources, &mut d);
        let blueprint = model::resolve(ast, &sources, |_| true, &mut d);
        let origin = model::DeploymentSource {
            name: "t",
            path: "/srv/t.yaml".as_ref(),
            given: serde_json::Map::new(),
            previous: before,
            planned: &[],
            removed_first: BTreeSet::new(),
            sources: &sources,
        };
        let random = &mut fastrand::Rng::with_seed(before.map_or(1, |_| 2));
        let made = Deployment::new(&origin, &blueprint, &IndexMap::new(), random, &mut d);
        (made, d.iter().map(|fault| fault.message.clone()).collect())
    }

    fn deployment(instances: &str, before: Option<&Deployment>) -> Deployment {
        let node = format!("node_templates: {{web: {{type: t, instances: {instances}}}}}");
        let (made, errors) = resolved(&format!("{TYPES}{node}"), before);
        assert_eq!(errors, [""; 0]);
        made
    }

    fn errors(nodes: &str) -> Vec<String> {
        resolved(&format!("{TYPES}node_templates: {nodes}"), None).1
    }

    fn numbers(deployment: &Deployment) -> Vec<(usize, &str)> {
        let instances = deployment.instances.iter();
        let number = instances.map(|it| (it.index, it.label.as_deref().unwrap_or_default()));
        number.collect()
    }

    fn id<'d>(deployment: &'d Deployment, label: &str) -> &'d str {
        let mut instances = deployment.instances.iter();
        let named = instances.find(|it| it.label.as_deref() == Some(label));
        named.map_or("", |it: &Instance| &it.id)
    }

    #[test]
    fn instances_have_names_that_updates_keep() {
        let first = deployment("{names: [a, b]}", None);
        assert_eq!(numbers(&first), [(0, "a"), (1, "b")]);
        let next = deployment("{deploy: 3, names: [c, b, d]}", Some(&first));
        assert_eq!(numbers(&next), [(1, "b"), (2, "c"), (3, "d")]);
        assert_eq!(id(&first, "b"), id(&next, "b"));
        let same = deployment("{names: [d, c, b]}", Some(&next));
        assert_eq!(same.instances, next.instances, "the order does not matter");
        let unnamed = deployment("{deploy: 2}", Some(&next));
        assert_eq!(numbers(&unnamed), [(1, "b"), (2, "c")], "names stay");
    }

    #[test]
    fn numbers_begin_with_the_first_one() {
        let first = deployment("{deploy: 2, first: 1}", None);
        assert_eq!(numbers(&first), [(1, ""), (2, "")]);
        let more = deployment("{deploy: 3, first: 1}", Some(&first));
        assert_eq!(numbers(&more), [(1, ""), (2, ""), (3, "")]);
        let request = ScalingRequest {
            entity: "web".to_owned(),
            delta: 1,
            ..ScalingRequest::default()
        };
        let scaled = first
            .scale(&request, &mut fastrand::Rng::with_seed(3))
            .unwrap();
        let last = scaled.instances.last().unwrap();
        assert_eq!(last.index, 3);
    }

    #[test]
    fn node_with_names_cannot_be_scaled() {
        let request = ScalingRequest {
            entity: "web".to_owned(),
            delta: 1,
            ..ScalingRequest::default()
        };
        let named = deployment("{names: [a]}", None);
        let scaled = named.scale(&request, &mut fastrand::Rng::with_seed(3));
        assert_eq!(scaled, Err(ScalingError::Named("web".to_owned())));
    }

    #[test]
    fn names_are_checked() {
        for (instances, message) in [
            (
                "{names: []}",
                "`names` of `instances` of node template `web` must not be empty",
            ),
            ("{names: [a, a]}", "two instances have the name `a`"),
            (
                "{deploy: 3, names: [a, b]}",
                "`deploy` is 3, but there are 2 names",
            ),
            (
                "{deploy: 1, first: -1}",
                "`first` of `instances` of node template `web` must be from 0 to 1000000",
            ),
            (
                "{first: 1}",
                "`instances` of node template `web` requires `deploy`",
            ),
        ] {
            let found = errors(&format!("{{web: {{type: t, instances: {instances}}}}}"));
            assert_eq!(
                found.first().map(String::as_str),
                Some(message),
                "{instances}"
            );
        }
        let contained = "{host: {type: t, instances: {deploy: 2}}, web: {type: t, instances: {names: [a]}, relationships: [{type: cloudify.relationships.contained_in, target: host}]}}";
        let several = "several instances of `web` would have the name `a`: it is in several instances of its container or scaling group";
        assert_eq!(errors(contained), [several]);
    }

    #[test]
    fn cloudify_does_not_have_these_keys() {
        let text = TYPES.replace("dockctl:", "other:");
        let nodes = "node_templates: {web: {type: t, instances: {names: [a]}}}";
        let (_, errors) = resolved(&format!("{text}{nodes}"), None);
        assert_eq!(
            errors,
            ["`instances` of node template `web` has no key `names`"]
        );
    }
}
