//! Random blueprints: parsing in every YAML style, instances, scaling groups. Also the JSON schema.

use dockctl::{
    catalog,
    diagnostic::{Diagnostic, Diagnostics, Sources},
    model::{
        self,
        normal::{self, PlanPhase},
    },
    plugins::Plugins,
    syntax::parse,
};
use indexmap::IndexMap;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

/// Generates property values. No key is the name of a function, so no value is a function call.
fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-1_000_000_i64..1_000_000).prop_map(Json::from),
        (-1e6..1e6_f64).prop_map(Json::from),
        // Includes text that unquoted YAML would parse as another type.
        prop_oneof![
            "[ -~]{0,12}",
            "(yes|no|on|010|1:30|1e3|~|null|2020-01-31|<<|=|- a|a: b|#x|ä€)"
        ]
        .prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// Generates nodes with random properties, instance counts, and relationships to earlier nodes.
fn blueprint() -> impl Strategy<Value = Json> {
    let node = (
        prop::collection::btree_map("[a-z]{1,3}", value(), 0..4),
        0_u8..4,
        any::<prop::sample::Index>(),
        0_u8..3,
    );
    prop::collection::vec(node, 1..8).prop_map(|nodes| {
        let mut templates = Map::new();
        let mut types = Map::new();
        for (at, (properties, deploy, target, relationships)) in nodes.into_iter().enumerate() {
            let schema: Map<String, Json> = properties.keys().map(|name| (name.clone(), json!({ "required": false }))).collect();
            types.insert(format!("t{at}"), json!({ "properties": schema }));
            let relationships: Vec<Json> = (0..relationships)
                .filter(|_| at > 0)
                .map(|_| json!({ "type": "cloudify.relationships.connected_to", "target": format!("n{}", target.index(at)) }))
                .collect();
            templates.insert(
                format!("n{at}"),
                json!({ "type": format!("t{at}"), "properties": properties, "instances": { "deploy": deploy }, "relationships": relationships }),
            );
        }
        json!({
            "tosca_definitions_version": "cloudify_dsl_1_3",
            "relationships": {
                "cloudify.relationships.depends_on": { "properties": { "connection_type": { "default": "all_to_all" } } },
                "cloudify.relationships.connected_to": { "derived_from": "cloudify.relationships.depends_on" },
            },
            "node_types": types,
            "node_templates": templates,
        })
    })
}

fn plan(text: &str) -> Json {
    let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
    let file = sources.add_text("blueprint.yaml", text);
    let ast = catalog::load_source(
        file,
        &catalog::Options::default(),
        &mut sources,
        &mut faults,
    );
    let blueprint = model::resolve(
        ast,
        &sources,
        |plugin| Plugins::default().provides(plugin),
        &mut faults,
    );
    faults.retain(Diagnostic::is_error);
    assert!(faults.is_empty(), "{faults:?}\n{text}");
    normal::plan(&blueprint, PlanPhase::Parsed)
}

/// Returns the data in block style: strings quoted, everything else plain.
fn to_block_style(value: &Json, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Json::Object(map) if !map.is_empty() => map
            .iter()
            .map(|(key, value)| {
                format!(
                    "\n{pad}{}: {}",
                    Json::from(key.as_str()),
                    to_block_style(value, indent + 2)
                )
            })
            .collect(),
        Json::Array(items) if !items.is_empty() => items
            .iter()
            .map(|item| format!("\n{pad}- {}", to_block_style(item, indent + 2)))
            .collect(),
        other => scalar(other),
    }
}

/// Formats a scalar. In YAML 1.1, a float needs a dot, and its exponent needs a sign.
fn scalar(value: &Json) -> String {
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(number) => dockctl::syntax::python_float(number),
        None => value.to_string(),
    }
}

fn to_flow_style(value: &Json) -> String {
    match value {
        Json::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| {
                    format!("{}: {}", Json::from(key.as_str()), to_flow_style(value))
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Json::Array(items) => format!(
            "[{}]",
            items
                .iter()
                .map(to_flow_style)
                .collect::<Vec<_>>()
                .join(", ")
        ),
        other => scalar(other),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_model_is_unchanged_after_writing_and_parsing(model in blueprint()) {
        let from_flow = plan(&to_flow_style(&model));
        prop_assert_eq!(&from_flow, &plan(&to_block_style(&model, 0)));
        for (name, template) in model["node_templates"].as_object().unwrap() {
            let node = &from_flow["nodes"][name];
            prop_assert_eq!(&node["properties"], &template["properties"]);
            prop_assert_eq!(&node["scalable"]["default_instances"], &template["instances"]["deploy"]);
            let targets = |relationships: &Json| relationships.as_array().unwrap().iter().map(|relationship| relationship["target"].clone()).collect::<Vec<_>>();
            prop_assert_eq!(targets(&node["relationships"]), targets(&template["relationships"]));
        }
    }

    #[test]
    fn instance_and_relationship_counts_match_the_model(model in blueprint(), seed in any::<u64>()) {
        let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
        let file = sources.add_text("blueprint.yaml", to_flow_style(&model));
        let ast = catalog::load_source(file, &catalog::Options::default(), &mut sources, &mut faults);
        let blueprint = model::evaluate(model::resolve(ast, &sources, |plugin| Plugins::default().provides(plugin), &mut faults), &mut IndexMap::new(), &mut faults);
        let expand = || model::expand(&blueprint, &[], &mut fastrand::Rng::with_seed(seed), &mut Diagnostics::default());
        let instances = expand();
        prop_assert_eq!(&instances, &expand(), "a seed makes IDs reproducible");
        let count = |node: &str| instances.iter().filter(|it| it.node == node).count();
        for (name, template) in model["node_templates"].as_object().unwrap() {
            prop_assert_eq!(count(name) as u64, template["instances"]["deploy"].as_u64().unwrap());
            let targets: std::collections::BTreeSet<&str> =
                template["relationships"].as_array().unwrap().iter().map(|relationship| relationship["target"].as_str().unwrap()).collect();
            let expected: usize = targets.iter().map(|target| count(target)).sum();
            prop_assert!(instances.iter().filter(|it| it.node == *name).all(|it| it.relationships.len() == expected));
        }
        // Existing instances keep their IDs when the blueprint is expanded again.
        let again = model::expand(&blueprint, &instances, &mut fastrand::Rng::with_seed(seed.wrapping_add(1)), &mut Diagnostics::default());
        prop_assert_eq!(again, instances);
    }
}

/// Parses a blueprint to JSON, for the schema.
fn parse_to_json(text: &str) -> Json {
    let mut sources = Sources::default();
    let file = sources.add_text("blueprint.yaml", text);
    parse(&sources, file, &mut Diagnostics::default())
        .unwrap()
        .to_json()
}

#[test]
fn examples_match_the_schema_and_typos_do_not() {
    let mut compiler = boon::Compiler::new();
    let mut schemas = boon::Schemas::new();
    compiler
        .add_resource("blueprint.schema.json", Plugins::default().json_schema())
        .unwrap();
    let schema = compiler
        .compile("blueprint.schema.json", &mut schemas)
        .unwrap();
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = glob::glob(directory.join("blueprints/*/*.yaml").to_str().unwrap()).unwrap();
    let mut examples: Vec<_> = examples.flatten().collect();
    examples.retain(|path| {
        std::fs::read_to_string(path).is_ok_and(|text| text.contains("tosca_definitions_version"))
    });
    assert!(examples.len() >= 3, "{examples:?}");
    let catalogs = [
        "types/latest",
        "types/3.3.1",
        "docker/2.0.16",
        "kubernetes/2.13",
        "swarm/blueprint",
    ];
    let catalogs = catalogs.map(|name| directory.join("src/catalog").join(format!("{name}.yaml")));
    for path in examples.iter().chain(&catalogs) {
        // Imported files need no version, but the schema of a blueprint requires one.
        let mut file = parse_to_json(&std::fs::read_to_string(path).unwrap());
        file["tosca_definitions_version"] = "cloudify_dsl_1_3".into();
        if let Err(error) = schemas.validate(&file, schema) {
            panic!("{}: {error}", path.display());
        }
    }
    for invalid in [
        "tosca_definitions_version: cloudify_dsl_9_9",
        "tosca_definitions_version: cloudify_dsl_1_3\nnode_template: {}",
        "tosca_definitions_version: cloudify_dsl_1_3\nnode_templates: {a: {typ: t}}",
        "tosca_definitions_version: cloudify_dsl_1_3\nplugins: {p: {executor: here}}",
        "tosca_definitions_version: cloudify_dsl_1_3\noutputs: {a: {description: b}}",
        "inputs: {}",
    ] {
        assert!(
            schemas.validate(&parse_to_json(invalid), schema).is_err(),
            "{invalid}"
        );
    }
}

/// Nodes and scaling groups: instance counts, containment and members. Names are `nN` and `gN`.
#[derive(Clone, Debug)]
struct Topology {
    instance_counts: Vec<usize>,
    /// The container of each node.
    containers: Vec<Option<usize>>,
    /// Members of each group: names of nodes and groups.
    groups: Vec<Vec<String>>,
}

impl Topology {
    fn to_yaml(&self, with_groups: bool) -> String {
        let head = "tosca_definitions_version: cloudify_dsl_1_3
node_types: {t: {}}
relationships:
  cloudify.relationships.depends_on: {properties: {connection_type: {default: all_to_all}}}
  cloudify.relationships.contained_in: {derived_from: cloudify.relationships.depends_on}
";
        let node = |(at, container): (usize, &Option<usize>)| {
            let relationship = container
                .map(|at| format!("{{type: cloudify.relationships.contained_in, target: n{at}}}"))
                .unwrap_or_default();
            format!(
                "  n{at}: {{type: t, instances: {{deploy: {}}}, relationships: [{relationship}]}}\n",
                self.instance_counts[at]
            )
        };
        let nodes: String = self.containers.iter().enumerate().map(node).collect();
        if !with_groups || self.groups.is_empty() {
            return format!("{head}node_templates:\n{nodes}");
        }
        let group = |(at, members): (usize, &Vec<String>)| {
            format!("  g{at}: {{members: [{}]}}\n", members.join(", "))
        };
        let policy = |at: usize| {
            let number = Self::instances_of_group(at);
            format!(
                "  p{at}: {{type: cloudify.policies.scaling, targets: [g{at}], properties: {{default_instances: {number}}}}}\n"
            )
        };
        let groups: String = self.groups.iter().enumerate().map(group).collect();
        let policies: String = (0..self.groups.len()).map(policy).collect();
        format!("{head}node_templates:\n{nodes}groups:\n{groups}policies:\n{policies}")
    }

    fn instances_of_group(at: usize) -> usize {
        2 - at % 2
    }

    /// Returns the node itself, or all nodes of a group and its nested groups.
    fn nodes_in(&self, name: &str) -> Vec<usize> {
        match name.split_at(1) {
            ("g", at) => self.groups[at.parse::<usize>().unwrap()]
                .iter()
                .flat_map(|member| self.nodes_in(member))
                .collect(),
            (_, at) => vec![at.parse().unwrap()],
        }
    }

    fn ancestors(&self, node: usize) -> Vec<usize> {
        self.containers[node]
            .map(|at| [vec![at], self.ancestors(at)].concat())
            .unwrap_or_default()
    }

    /// Returns true if a node or group is a direct member of a group: a member that no other node
    /// of the group contains.
    fn is_direct_member(&self, name: &str, group: usize) -> bool {
        let (own_nodes, all) = (self.nodes_in(name), self.nodes_in(&format!("g{group}")));
        let contained = |node: &usize| {
            self.ancestors(*node)
                .iter()
                .any(|at| all.contains(at) && !own_nodes.contains(at))
        };
        self.groups[group].iter().any(|member| member == name) && !own_nodes.iter().any(contained)
    }

    /// Returns the container of a node, or of the direct members of a group, at any depth.
    fn container_of(&self, name: &str) -> Option<usize> {
        match name.split_at(1) {
            ("g", at) => {
                let group: usize = at.parse().unwrap();
                self.groups[group]
                    .iter()
                    .filter(|member| self.is_direct_member(member, group))
                    .find_map(|member| self.container_of(member))
            }
            (_, at) => self.containers[at.parse::<usize>().unwrap()],
        }
    }

    /// Returns true if each group has one container. If members have containers of different depth,
    /// neither the rules nor the reference define the container of the group.
    fn is_unambiguous(&self) -> bool {
        let containers = |group: usize| {
            let members = self.groups[group]
                .iter()
                .filter(move |member| self.is_direct_member(member, group));
            members
                .map(|member| self.container_of(member))
                .collect::<std::collections::BTreeSet<_>>()
        };
        (0..self.groups.len()).all(|group| containers(group).len() <= 1)
    }

    /// Returns the number of instances of a node or group: its own count times the count of its
    /// group or container.
    fn instance_count(&self, name: &str, depth: usize) -> usize {
        assert!(depth < 30, "{name} {self:?}\n{}", self.to_yaml(true));
        let group = (0..self.groups.len()).find(|at| self.is_direct_member(name, *at));
        let at: usize = name[1..].parse().unwrap();
        let number = if name.starts_with('g') {
            Self::instances_of_group(at)
        } else {
            self.instance_counts[at]
        };
        let outer = match (group, self.container_of(name)) {
            (Some(group), _) => self.instance_count(&format!("g{group}"), depth + 1),
            (None, Some(container)) => self.instance_count(&format!("n{container}"), depth + 1),
            (None, None) => 1,
        };
        number * outer
    }
}

fn topology() -> impl Strategy<Value = Topology> {
    use prop::sample::Index;
    let node = (1_usize..3, any::<Index>(), 0_u8..3);
    let group = (any::<Index>(), any::<Index>(), any::<bool>());
    (
        prop::collection::vec(node, 1..6),
        prop::collection::vec(group, 0..5),
        any::<bool>(),
    )
        .prop_map(|(nodes, groups, reversed)| {
            let count = nodes.len();
            // Containers are declared before their contents, or after them.
            let container =
                |(at, (_, index, kind)): (usize, &(usize, Index, u8))| match (kind, reversed) {
                    (0, _) => None,
                    (_, false) => (at > 0).then(|| index.index(at)),
                    (_, true) => (at + 1 < count).then(|| at + 1 + index.index(count - at - 1)),
                };
            let mut free: Vec<String> = (0..count).map(|at| format!("n{at}")).collect();
            let mut created_groups: Vec<Vec<String>> = Vec::new();
            for (first, second, has_two_members) in groups.into_iter().take_while(|_| count > 0) {
                let mut members = vec![free.swap_remove(first.index(free.len()))];
                if has_two_members && !free.is_empty() {
                    members.push(free.swap_remove(second.index(free.len())));
                }
                free.push(format!("g{}", created_groups.len()));
                created_groups.push(members);
            }
            Topology {
                instance_counts: nodes.iter().map(|node| node.0).collect(),
                containers: nodes.iter().enumerate().map(container).collect(),
                groups: created_groups,
            }
        })
}

/// Returns the resolved blueprint. `None` if it has errors: some random groups are invalid.
fn resolve(text: &str) -> Option<model::Blueprint> {
    let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
    let file = sources.add_text("blueprint.yaml", text);
    let ast = catalog::load_source(
        file,
        &catalog::Options::default(),
        &mut sources,
        &mut faults,
    );
    let blueprint = model::resolve(
        ast,
        &sources,
        |plugin| Plugins::default().provides(plugin),
        &mut faults,
    );
    faults.retain(Diagnostic::is_error);
    faults.is_empty().then_some(blueprint)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn groups_and_containment_multiply_instances(nest in topology()) {
        let text = nest.to_yaml(true);
        let blueprint = resolve(&text);
        prop_assume!(blueprint.is_some() && nest.is_unambiguous());
        let (blueprint, mut random, mut faults) = (blueprint.unwrap(), fastrand::Rng::with_seed(1), Diagnostics::default());
        let instances = model::expand(&blueprint, &[], &mut random, &mut faults);
        prop_assert!(faults.is_empty(), "{:?}\n{}", faults, text);
        for node in blueprint.nodes.keys() {
            let found = instances.iter().filter(|it| it.node == *node).count();
            prop_assert_eq!(found, nest.instance_count(node, 0), "{}\n{}", node, text);
        }
        // Existing instances remain when groups are added around them.
        let without_groups = resolve(&nest.to_yaml(false)).expect("the blueprint is valid without groups");
        let before = model::expand(&without_groups, &[], &mut random, &mut faults);
        let after = model::modify(&blueprint, &without_groups, &before, &IndexMap::new(), &mut random, &mut faults).instances;
        prop_assert!(faults.is_empty(), "{:?}\n{}", faults, text);
        let removed: Vec<&str> = before.iter().filter(|it| !after.iter().any(|new| new.id == it.id)).map(|it| it.id.as_str()).collect();
        prop_assert!(removed.is_empty(), "{:?}\n{}", removed, text);
        for node in blueprint.nodes.keys() {
            prop_assert_eq!(after.iter().filter(|it| it.node == *node).count(), nest.instance_count(node, 0), "{}\n{}", node, text);
        }
    }
}
