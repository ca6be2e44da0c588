//! Hostile and broken text: always a diagnostic, never a crash. A sample of what `scripts/fuzz` does at length.

use crate::support::Test;
use dockctl::{
    backend, catalog,
    diagnostic::{Diagnostic, render},
    model::{
        self,
        inputs::{Missing, supply},
        normal::{self, Stage},
    },
    syntax::Sources,
};
use indexmap::IndexMap;
use std::{fmt::Write as _, fs, path::Path};

const START: &str = "tosca_definitions_version: cloudify_dsl_1_3\n";
const TYPES: &str = "node_types: {t: {}, cloudify.nodes.Compute: {}}
relationships:
  cloudify.relationships.depends_on: {properties: {connection_type: {default: all_to_all}}}
  cloudify.relationships.contained_in: {derived_from: cloudify.relationships.depends_on}
";

/// The codes of all errors that a text gets on its way to instances.
fn codes(text: &str) -> Vec<&'static str> {
    let (mut sources, mut faults) = (Sources::default(), Vec::new());
    let file = sources.add_text("blueprint.yaml", text);
    let network = catalog::Network { offline: true, cache: None };
    let ast = catalog::follow(file, &catalog::Options { network, rules: Vec::new() }, &mut sources, &mut faults);
    let blueprint = model::resolve(ast, &sources, backend::provides, &mut faults);
    let mut inputs = supply(&blueprint, &IndexMap::new(), Missing::Open, &mut faults);
    let blueprint = model::evaluate(blueprint, &mut inputs, &mut faults);
    if !faults.iter().any(Diagnostic::is_error) {
        let instances = model::expand(&blueprint, &[], &mut fastrand::Rng::with_seed(1), &mut faults);
        if !faults.iter().any(Diagnostic::is_error) {
            let _ = (normal::plan(&blueprint, Stage::Deployed { inputs: &inputs }), normal::shape(&instances));
        }
    }
    let _ = render::render(&faults, &sources, false);
    let mut codes: Vec<_> = faults.iter().filter(|fault| fault.is_error()).map(|fault| fault.code.as_str()).collect();
    codes.dedup();
    codes
}

#[test]
fn more_than_anyone_writes_is_refused_by_a_limit() {
    let bomb: String = (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |mut text, n| {
        let _ = writeln!(text, "a{n}: &a{n} [*a{m}, *a{m}, *a{m}]", m = n - 1);
        text
    });
    let chain: String = (1..3000).fold("node_types:\n  t0: {}\n".to_owned(), |mut text, n| {
        let _ = writeln!(text, "  t{n}: {{derived_from: t{}}}", n - 1);
        text
    });
    let contained = |count: usize| {
        let mut text = format!("{START}{TYPES}node_templates:\n  n0: {{type: t, instances: {{deploy: 100}}}}\n");
        for n in 1..count {
            let _ = writeln!(
                text,
                "  n{n}: {{type: t, instances: {{deploy: 100}}, relationships: [{{type: cloudify.relationships.contained_in, target: n{}}}]}}",
                n - 1
            );
        }
        text
    };
    let all_to_all = "node_templates:\n  a: {type: t, instances: {deploy: 9000}}\n  b: {type: t, instances: {deploy: 9000}, relationships: [{type: cloudify.relationships.depends_on, target: a}]}\n";
    for (what, text) in [
        ("an alias bomb", format!("{START}dsl_definitions:\n{}", bomb.replace("a0:", "  a0:").replace("\na", "\n  a"))),
        ("a long line of ancestors", format!("{START}{chain}")),
        (
            "a billion instances",
            format!(
                "{START}{TYPES}node_templates: {{a: {{type: t, capabilities: {{scalable: {{properties: {{default_instances: 1000000000}}}}}}}}}}"
            ),
        ),
        ("instances in instances", contained(6)),
        ("relationships from all to all", format!("{START}{TYPES}{all_to_all}")),
        ("deep nesting", format!("{START}metadata: {{a: {}1{}}}", "[".repeat(220), "]".repeat(220))),
    ] {
        assert_eq!(codes(&text), ["D0004"], "{what}");
    }
}

#[test]
fn broken_text_is_told_so() {
    let deep_block: String = (0..20_000).map(|n| format!("{}a:\n", " ".repeat(n % 400))).collect();
    for text in [
        "[".repeat(100_000),
        "{".repeat(100_000),
        "- ".repeat(50_000),
        "? ".repeat(50_000),
        deep_block,
        "&a ".repeat(10_000),
        format!("{START}metadata: {{a: \"{}", "x".repeat(1_000_000)),
        format!("{START}a: 'x\0y'"),
        "\u{feff}\u{feff}a: b".to_owned(),
        format!("{START}metadata:\r\n\ta: b\r\n"),
        "%YAML 9.9\n---\na: b\n".to_owned(),
        format!("{START}inputs: {{? [a] : b}}"),
    ] {
        assert!(!codes(&text).is_empty(), "{text:.60}");
    }
}

#[test]
fn line_ends_and_byte_order_marks_are_no_trouble() {
    let text = format!("\u{feff}{START}inputs:\n  a: {{default: 1}}\n").replace('\n', "\r\n");
    assert!(codes(&text).is_empty());
    assert!(codes(&format!("{START}metadata: {{a: {}}}", "x".repeat(5_000_000))).is_empty(), "a huge scalar is only text");
}

#[test]
fn what_is_no_file_of_text_is_refused() {
    let test = Test::new("nofile");
    fs::write(test.path("latin.yaml"), [b'a', b':', b' ', 0xe9, b'\n']).unwrap();
    fs::write(test.path("wide.yaml"), "a: b\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()).unwrap();
    for import in ["latin.yaml", ".", "/dev/zero"] {
        test.write("blueprint.yaml", &format!("{START}imports: [{import}]\n"));
        test.run(&["validate"]).exits(3).says(&["error[D0014]"]);
    }
    test.run(&["validate", "wide.yaml"]).exits(3);
    test.run(&["validate", "/dev/zero"]).exits(3).says(&["is not a regular file"]);
}

/// Every file of the corpus, as it is and torn in a thousand ways.
#[test]
fn torn_blueprints_never_crash() {
    const PIECES: [&str; 22] = [
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "- ",
        "? ",
        "&a ",
        "*a ",
        "!",
        "|\n",
        ">\n",
        "'",
        "\"",
        "\t",
        "\n",
        " ",
        "<<: *a",
        "~",
        "get_input",
        "cloudify.",
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/blueprint");
    let mut random = fastrand::Rng::with_seed(11);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 100);
    for path in files {
        let text = fs::read_to_string(path).unwrap();
        codes(&text);
        for _ in 0..6 {
            let mut torn = text.clone();
            for _ in 0..random.usize(1..4) {
                let at = torn.floor_char_boundary(random.usize(..=torn.len()));
                let to = torn.floor_char_boundary((at + random.usize(..8)).min(torn.len()));
                torn.replace_range(at..to, PIECES[random.usize(..PIECES.len())]);
            }
            codes(&torn);
        }
    }
}
