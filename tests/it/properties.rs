//! Random models: written as text and read again they are the same, whatever the spelling.

use dockctl::{
    backend,
    backend::json_schema,
    catalog,
    diagnostic::{Diagnostic, Diagnostics},
    model::{
        self,
        normal::{self, Stage},
    },
    syntax::{Sources, parse},
};
use indexmap::IndexMap;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

/// Values of properties. No key is the name of a function, so none is a call.
fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-1_000_000_i64..1_000_000).prop_map(Json::from),
        (-1e6..1e6_f64).prop_map(Json::from),
        // Text that plain YAML would read as something else is among it.
        prop_oneof!["[ -~]{0,12}", "(yes|no|on|010|1:30|1e3|~|null|2020-01-31|<<|=|- a|a: b|#x|ä€)"].prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// Nodes with free properties, numbers of instances, and relationships to earlier nodes.
fn blueprint() -> impl Strategy<Value = Json> {
    let node = (prop::collection::btree_map("[a-z]{1,3}", value(), 0..4), 0_u8..4, any::<prop::sample::Index>(), 0_u8..3);
    prop::collection::vec(node, 1..8).prop_map(|nodes| {
        let mut templates = Map::new();
        let mut types = Map::new();
        for (at, (properties, deploy, target, ties)) in nodes.into_iter().enumerate() {
            let schema: Map<String, Json> = properties.keys().map(|name| (name.clone(), json!({ "required": false }))).collect();
            types.insert(format!("t{at}"), json!({ "properties": schema }));
            let ties: Vec<Json> = (0..ties)
                .filter(|_| at > 0)
                .map(|_| json!({ "type": "cloudify.relationships.connected_to", "target": format!("n{}", target.index(at)) }))
                .collect();
            templates.insert(
                format!("n{at}"),
                json!({ "type": format!("t{at}"), "properties": properties, "instances": { "deploy": deploy }, "relationships": ties }),
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
    let ast = catalog::follow(file, &catalog::Options::default(), &mut sources, &mut faults);
    let blueprint = model::resolve(ast, &sources, backend::provides, &mut faults);
    faults.retain(Diagnostic::is_error);
    assert!(faults.is_empty(), "{faults:?}\n{text}");
    normal::plan(&blueprint, Stage::Parsed)
}

/// The same data in block style: texts in quotes, everything else as plain as can be.
fn block(value: &Json, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Json::Object(map) if !map.is_empty() => {
            map.iter().map(|(key, value)| format!("\n{pad}{}: {}", Json::from(key.as_str()), block(value, indent + 2))).collect()
        }
        Json::Array(items) if !items.is_empty() => items.iter().map(|item| format!("\n{pad}- {}", block(item, indent + 2))).collect(),
        other => float(other),
    }
}

/// Floats need a dot and a signed exponent to be floats.
fn float(value: &Json) -> String {
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(number) => dockctl::syntax::python_float(number),
        None => value.to_string(),
    }
}

fn flow(value: &Json) -> String {
    match value {
        Json::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(key, value)| format!("{}: {}", Json::from(key.as_str()), flow(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        other => float(other),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_model_written_and_read_is_the_same(model in blueprint()) {
        let from_flow = plan(&flow(&model));
        prop_assert_eq!(&from_flow, &plan(&block(&model, 0)));
        for (name, template) in model["node_templates"].as_object().unwrap() {
            let node = &from_flow["nodes"][name];
            prop_assert_eq!(&node["properties"], &template["properties"]);
            prop_assert_eq!(&node["scalable"]["default_instances"], &template["instances"]["deploy"]);
            let targets = |ties: &Json| ties.as_array().unwrap().iter().map(|tie| tie["target"].clone()).collect::<Vec<_>>();
            prop_assert_eq!(targets(&node["relationships"]), targets(&template["relationships"]));
        }
    }

    #[test]
    fn instances_are_as_many_as_asked_for_and_tied_to_all(model in blueprint(), seed in any::<u64>()) {
        let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
        let file = sources.add_text("blueprint.yaml", flow(&model));
        let ast = catalog::follow(file, &catalog::Options::default(), &mut sources, &mut faults);
        let blueprint = model::evaluate(model::resolve(ast, &sources, backend::provides, &mut faults), &mut IndexMap::new(), &mut faults);
        let expand = || model::expand(&blueprint, &[], &mut fastrand::Rng::with_seed(seed), &mut Diagnostics::default());
        let instances = expand();
        prop_assert_eq!(&instances, &expand(), "a seed makes ids reproducible");
        let count = |node: &str| instances.iter().filter(|it| it.node == node).count();
        for (name, template) in model["node_templates"].as_object().unwrap() {
            prop_assert_eq!(count(name) as u64, template["instances"]["deploy"].as_u64().unwrap());
            let targets: std::collections::BTreeSet<&str> =
                template["relationships"].as_array().unwrap().iter().map(|tie| tie["target"].as_str().unwrap()).collect();
            let wanted: usize = targets.iter().map(|target| count(target)).sum();
            prop_assert!(instances.iter().filter(|it| it.node == *name).all(|it| it.ties.len() == wanted));
        }
        // What is there keeps its ids when everything is worked out anew.
        let again = model::expand(&blueprint, &instances, &mut fastrand::Rng::with_seed(seed.wrapping_add(1)), &mut Diagnostics::default());
        prop_assert_eq!(again, instances);
    }
}

/// A blueprint as the schema sees it: plain data.
fn data(text: &str) -> Json {
    let mut sources = Sources::default();
    let file = sources.add_text("blueprint.yaml", text);
    parse(&sources, file, &mut Diagnostics::default()).unwrap().to_json()
}

#[test]
fn the_examples_fit_the_schema_and_slips_do_not() {
    let mut compiler = boon::Compiler::new();
    let mut schemas = boon::Schemas::new();
    compiler.add_resource("blueprint.schema.json", json_schema()).unwrap();
    let schema = compiler.compile("blueprint.schema.json", &mut schemas).unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = glob::glob(folder.join("blueprints/*/*.yaml").to_str().unwrap()).unwrap();
    let mut examples: Vec<_> = examples.flatten().collect();
    examples.retain(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("tosca_definitions_version")));
    assert!(examples.len() >= 3, "{examples:?}");
    let catalogs = ["types/latest", "types/3.3.1", "docker/2.0.16", "kubernetes/2.13", "swarm/blueprint"];
    let catalogs = catalogs.map(|name| folder.join("src/catalog").join(format!("{name}.yaml")));
    for path in examples.iter().chain(&catalogs) {
        // Imported files need no version; the schema is that of a blueprint.
        let mut file = data(&std::fs::read_to_string(path).unwrap());
        file["tosca_definitions_version"] = "cloudify_dsl_1_3".into();
        if let Err(error) = schemas.validate(&file, schema) {
            panic!("{}: {error}", path.display());
        }
    }
    for slip in [
        "tosca_definitions_version: cloudify_dsl_9_9",
        "tosca_definitions_version: cloudify_dsl_1_3\nnode_template: {}",
        "tosca_definitions_version: cloudify_dsl_1_3\nnode_templates: {a: {typ: t}}",
        "tosca_definitions_version: cloudify_dsl_1_3\nplugins: {p: {executor: here}}",
        "tosca_definitions_version: cloudify_dsl_1_3\noutputs: {a: {description: b}}",
        "inputs: {}",
    ] {
        assert!(schemas.validate(&data(slip), schema).is_err(), "{slip}");
    }
}
