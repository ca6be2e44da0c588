//! How long a blueprint takes from text to instances, beside the bare events of the YAML parser on
//! the same text. `cargo bench --bench model`; the table of results is in `docs/performance.md`.
#![allow(missing_docs, reason = "criterion's macros write functions without")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dockctl::{
    catalog,
    diagnostic::{Diagnostics, Sources},
    model,
    plugins::Plugins,
};
use granit_parser::Parser;
use indexmap::IndexMap;
use std::{fs, hint::black_box, path::Path, time::Duration};

// The allocator of the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 4] = [100, 1_000, 5_000, 10_000];

/// Containers in chains of `length`, each with what real ones have: about 330 bytes.
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

/// Text to instances: parse, validate, apply inputs, expand.
fn whole(path: &Path) -> usize {
    let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
    let ast = catalog::load(
        path,
        &catalog::Options::default(),
        &mut sources,
        &mut faults,
    )
    .expect("the file can be read");
    let resolved = model::resolve(
        ast,
        &sources,
        |plugin| Plugins::default().provides(plugin),
        &mut faults,
    );
    let mut inputs = model::inputs::supply(
        &resolved,
        &IndexMap::new(),
        model::inputs::Missing::Fault,
        &mut faults,
    );
    let evaluated = model::evaluate(resolved, &mut inputs, &mut faults);
    let instances = model::expand(
        &evaluated,
        &[],
        &mut fastrand::Rng::with_seed(1),
        &mut faults,
    );
    assert!(faults.is_empty(), "{faults:?}");
    instances.len()
}

fn events(text: &str) -> usize {
    Parser::new_from_str(text).flatten().count()
}

fn bench(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut group = c.benchmark_group("blueprint");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(6))
        .warm_up_time(Duration::from_secs(1));
    let cases = SIZES
        .map(|nodes| (nodes, 10, format!("{nodes} in tens")))
        .into_iter()
        .chain([(10_000, 10_000, "10000 in one chain".to_owned())]);
    for (nodes, length, name) in cases {
        let text = blueprint(nodes, length);
        let path = folder.path().join(format!("{nodes}-{length}.yaml"));
        fs::write(&path, &text).expect("the blueprint can be written");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::new("events", &name), &text, |b, text| {
            b.iter(|| events(black_box(text)))
        });
        group.bench_with_input(
            BenchmarkId::new("text to instances", &name),
            &path,
            |b, path| b.iter(|| whole(black_box(path))),
        );
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
