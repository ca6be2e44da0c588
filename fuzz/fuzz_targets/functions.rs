//! Uses any value as an output, a property and an operation input: checks it, evaluates it and
//! binds it at run time.
#![no_main]

use dockctl::plugins::Plugins;
use dockctl::{
    catalog,
    diagnostic::{Diagnostic, Diagnostics, Sources},
    model::{
        self,
        function::{Surroundings, bind},
        inputs::{Missing, supply},
    },
};
use indexmap::IndexMap;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value as Json, json};

struct Stub;

impl Surroundings for Stub {
    fn withheld(&self, digest: &str) -> Result<Json, String> {
        Ok(json!({ "get_secret": digest }))
    }

    fn attribute(&self, target: &str, path: &[Json]) -> Result<Json, String> {
        Ok(json!([target, path]))
    }

    fn attributes(&self, node: &str, path: &[Json]) -> Result<Vec<(String, Json)>, String> {
        Ok(vec![(format!("{node}_1"), json!(path))])
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        if name.is_empty() { Err("no name".into()) } else { Ok(format!("{{\"{}\": [1]}}", name.len())) }
    }

    fn deployment(&self, call: &str, arguments: &Json) -> Result<Json, String> {
        Ok(json!([call, arguments]))
    }
}

fuzz_target!(|value: &str| {
    let indented = value.replace('\n', "\n      ");
    let text = format!(
        "tosca_definitions_version: cloudify_dsl_1_5
plugins: {{p: {{executor: central_deployment_agent, install: false}}}}
inputs: {{i: {{default: text}}, n: {{default: 2}}, d: {{default: {{k: [a, {{get_input: i}}]}}}}}}
node_types: {{t: {{properties: {{x: {{required: false}}, y: {{default: {{k: [1, 2]}}}}}}}}}}
node_templates:
  a: {{type: t}}
  b:
    type: t
    properties:
     x:
      {indented}
    interfaces: {{i: {{o: {{implementation: p.f, inputs: {{v: {{get_property: [SELF, x]}}}}}}}}}}
outputs:
  o:
    value:
      {indented}
"
    );
    let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
    let file = sources.add_text("blueprint.yaml", text);
    let ast = catalog::follow(file, &catalog::Options::default(), &mut sources, &mut faults);
    let blueprint = model::resolve(ast, &sources, |plugin| Plugins::default().provides(plugin), &mut faults);
    if faults.iter().any(Diagnostic::is_error) {
        return;
    }
    let mut inputs = supply(&blueprint, &IndexMap::new(), Missing::Fault, &mut faults);
    let blueprint = model::evaluate(blueprint, &mut inputs, &mut faults);
    for output in blueprint.outputs.values() {
        let _ = bind(&output.body.value.to_json(), &Stub);
    }
});
