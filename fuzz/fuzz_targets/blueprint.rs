//! Reads any text as a blueprint and computes its plan; expands a valid one into instances.
#![no_main]

use dockctl::plugins::Plugins;
use dockctl::{
    catalog,
    diagnostic::{Diagnostic, Diagnostics, github, json, render, sarif, Sources},
    model::{
        self,
        inputs::{Missing, supply},
        normal::{self, Stage},
    },
};
use indexmap::IndexMap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
    let file = sources.add_text("blueprint.yaml", text);
    let network = catalog::Network { offline: true, cache: None };
    let ast = catalog::follow(file, &catalog::Options { network, rules: Vec::new() }, &mut sources, &mut faults);
    let blueprint = model::resolve(ast, &sources, |plugin| Plugins::default().provides(plugin), &mut faults);
    let _ = normal::plan(&blueprint, Stage::Parsed);
    let mut inputs = supply(&blueprint, &IndexMap::new(), Missing::Open, &mut faults);
    let blueprint = model::evaluate(blueprint, &mut inputs, &mut faults);
    Plugins::default().check(&blueprint, &sources, &mut faults);
    if !faults.iter().any(Diagnostic::is_error) {
        let instances = model::expand(&blueprint, &[], &mut fastrand::Rng::with_seed(1), &mut faults);
        let _ = normal::plan(&blueprint, Stage::Deployed { inputs: &inputs });
        let _ = (normal::instances(&instances), normal::shape(&instances));
    }
    let _ = (render::render(&faults, &sources, false), github::annotations(&faults, &sources));
    for fault in faults.iter() {
        let _ = (json::diagnostic(fault, &sources), sarif::result(fault, &sources));
    }
});
