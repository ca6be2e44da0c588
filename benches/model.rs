//! Benchmarks of reading and planning. Run with `cargo bench --bench model`.
//!
//! The group `blueprint` measures the time from the text of a blueprint to its instances and, for
//! comparison, the bare events of the YAML parser. The group `plan` measures planning an install.
//! The results are in `docs/performance.md`.
#![allow(missing_docs, reason = "criterion's macros generate public functions")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dockctl::{
    catalog,
    diagnostic::{Diagnostics, Sources},
    event::{Entry, Event},
    model::{self, Blueprint, Deployment, DeploymentSource},
    plan::{self, PlanInput, effect},
    plugins::Plugins,
    record::Record,
    seam::Observed,
    stage::Workflow,
    syntax::Value,
};
use granit_parser::Parser;
use indexmap::IndexMap;
use std::{fs, hint::black_box, path::Path, time::Duration};

// The allocator of the `dockctl` command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 4] = [100, 1_000, 5_000, 10_000];

/// Returns a blueprint of containers in chains of `length`. Each is declared like a real one, in
/// about 330 bytes.
fn blueprint(nodes: usize, length: usize) -> String {
    let mut text = "tosca_definitions_version: cloudify_dsl_1_3
imports:
  - http://www.getcloudify.org/spec/cloudify/4.3.3/types.yaml
  - http://www.getcloudify.org/spec/docker-plugin/1.3.2/plugin.yaml
inputs:
  tag: {default: latest}
node_templates:
"
    .to_owned();
    for n in 0..nodes {
        text += &format!(
            "  n{n}:\n    type: cloudify.docker.Container\n    properties:\n      name: c-{n}\n      image: {{repository: busybox, tag: {{get_input: tag}}}}\n"
        );
        text += "    interfaces:\n      cloudify.interfaces.lifecycle:\n        create:\n          inputs:\n            params:\n";
        text += &format!(
            "              command: sleep {n}\n              ports: [80, 443]\n              environment: {{PORT: '80'}}\n"
        );
        if n % length > 0 {
            text += &format!(
                "    relationships:\n      - type: cloudify.relationships.connected_to\n        target: n{}\n",
                n - 1
            );
        }
    }
    text
}

/// A parsed blueprint with its inputs.
struct Parsed {
    sources: Sources,
    blueprint: Blueprint,
    inputs: IndexMap<String, Value>,
}

/// Parses and validates a blueprint, and applies its inputs.
fn parse(path: &Path) -> Parsed {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let options = catalog::Options::default();
    let ast = catalog::load(path, &options, &mut sources, &mut diagnostics);
    let ast = ast.expect("the blueprint is readable");
    let provides = |plugin: &str| Plugins::default().provides(plugin);
    let resolved = model::resolve(ast, &sources, provides, &mut diagnostics);
    let missing = model::inputs::MissingInputs::Reject;
    let mut inputs =
        model::inputs::input_values(&resolved, &IndexMap::new(), missing, &mut diagnostics);
    let blueprint = model::evaluate(resolved, &mut inputs, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    Parsed {
        sources,
        blueprint,
        inputs,
    }
}

/// Goes from text to instances: parses, validates, applies inputs, expands. Returns their number.
fn instances(path: &Path) -> usize {
    let mut diagnostics = Diagnostics::default();
    let random = &mut fastrand::Rng::with_seed(1);
    let instances = model::expand(&parse(path).blueprint, &[], random, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    instances.len()
}

fn events(text: &str) -> usize {
    Parser::new_from_str(text).flatten().count()
}

/// Number of containers, and length of each chain.
const PLAN_SIZES: [(usize, usize); 3] = [(100, 10), (1_000, 10), (5_000, 5_000)];

fn deployment(path: &Path) -> Deployment {
    let (read, mut diagnostics) = (parse(path), Diagnostics::default());
    let origin = DeploymentSource {
        name: "bench",
        path,
        given: serde_json::Map::default(),
        previous: None,
        planned: &[],
        removed_first: std::collections::BTreeSet::new(),
        sources: &read.sources,
    };
    let random = &mut fastrand::Rng::with_seed(1);
    Deployment::new(
        &origin,
        &read.blueprint,
        &read.inputs,
        random,
        &mut diagnostics,
    )
}

fn record(deployment: &Deployment) -> Record {
    let mut record = Record::default();
    let deployment = Box::new(deployment.clone());
    let applied = record.apply(&Entry::now(Event::Defined { deployment }));
    applied.expect("a definition is valid at any time");
    record
}

/// Plans an install and its effect on each instance. Returns the number of instances.
fn plan_install(deployment: &Deployment, record: &Record) -> usize {
    let observed = Observed::default();
    let known = PlanInput::new(deployment, record, &observed);
    let proposal = plan::first(&Workflow::Install.into(), &known);
    effect::instance_effects(&known, &proposal.stage).len()
}

fn bench(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut group = c.benchmark_group("blueprint");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(6))
        .warm_up_time(Duration::from_secs(1));
    let cases = SIZES
        .map(|nodes| (nodes, 10, format!("{nodes} in chains of 10")))
        .into_iter()
        .chain([(10_000, 10_000, "10000 in one chain".to_owned())]);
    for (nodes, length, name) in cases {
        let text = blueprint(nodes, length);
        let path = directory.path().join(format!("{nodes}-{length}.yaml"));
        fs::write(&path, &text).expect("write the blueprint");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::new("events", &name), &text, |b, text| {
            b.iter(|| events(black_box(text)))
        });
        group.bench_with_input(
            BenchmarkId::new("text to instances", &name),
            &path,
            |b, path| b.iter(|| instances(black_box(path))),
        );
    }
    group.finish();
}

fn plan_bench(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut group = c.benchmark_group("plan");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(6))
        .warm_up_time(Duration::from_secs(1));
    for (nodes, length) in PLAN_SIZES {
        let path = directory.path().join(format!("{nodes}-{length}.yaml"));
        fs::write(&path, blueprint(nodes, length)).expect("write the blueprint");
        let deployment = deployment(&path);
        let record = record(&deployment);
        let id = BenchmarkId::new("install", format!("{nodes} in chains of {length}"));
        group.bench_with_input(id, &deployment, |b, deployment| {
            b.iter(|| plan_install(black_box(deployment), &record));
        });
    }
    group.finish();
}

criterion_group!(benches, bench, plan_bench);
criterion_main!(benches);
