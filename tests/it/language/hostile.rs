//! Hostile and malformed blueprints: always a diagnostic, never a crash.
//!
//! `scripts/fuzz` tests the same at length.

use crate::support::Test;
use dockctl::{
    catalog,
    diagnostic::{Diagnostic, Diagnostics, Sources, render},
    model::{
        self,
        inputs::{MissingInputs, input_values},
        normal::{self, PlanPhase},
    },
    plugins::Plugins,
};
use indexmap::IndexMap;
use std::{fmt::Write as _, fs, path::Path};

const VERSION_LINE: &str = "tosca_definitions_version: cloudify_dsl_1_3\n";
const TYPES: &str = "node_types: {t: {}, cloudify.nodes.Compute: {}}
relationships:
  cloudify.relationships.depends_on: {properties: {connection_type: {default: all_to_all}}}
  cloudify.relationships.contained_in: {derived_from: cloudify.relationships.depends_on}
";

/// Parses, resolves and expands a blueprint. Returns the codes of its errors.
fn error_codes(text: &str) -> Vec<&'static str> {
    let (mut sources, mut faults) = (Sources::default(), Diagnostics::default());
    let file = sources.add_text("blueprint.yaml", text);
    let network = catalog::Network {
        offline: true,
        cache: None,
    };
    let ast = catalog::load_source(
        file,
        &catalog::Options {
            network,
            ..catalog::Options::default()
        },
        &mut sources,
        &mut faults,
    );
    let blueprint = model::resolve(
        ast,
        &sources,
        |plugin| Plugins::default().provides(plugin),
        &mut faults,
    );
    let mut inputs = input_values(
        &blueprint,
        &IndexMap::new(),
        MissingInputs::Allow,
        &mut faults,
    );
    let blueprint = model::evaluate(blueprint, &mut inputs, &mut faults);
    if !faults.iter().any(Diagnostic::is_error) {
        let instances = model::expand(
            &blueprint,
            &[],
            &mut fastrand::Rng::with_seed(1),
            &mut faults,
        );
        if !faults.iter().any(Diagnostic::is_error) {
            let _ = (
                normal::plan(&blueprint, PlanPhase::Deployed { inputs: &inputs }),
                normal::instance_summary(&instances),
            );
        }
    }
    let _ = render::render(&faults, &sources, false);
    let mut codes: Vec<_> = faults
        .iter()
        .filter(|fault| fault.is_error())
        .map(|fault| fault.code.as_str())
        .collect();
    codes.dedup();
    codes
}

#[test]
fn excessive_blueprints_are_refused_by_a_limit() {
    let bomb: String = (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |mut text, n| {
        let _ = writeln!(text, "a{n}: &a{n} [*a{m}, *a{m}, *a{m}]", m = n - 1);
        text
    });
    let type_chain: String = (1..3000).fold("node_types:\n  t0: {}\n".to_owned(), |mut text, n| {
        let _ = writeln!(text, "  t{n}: {{derived_from: t{}}}", n - 1);
        text
    });
    let contained = |count: usize| {
        let mut text = format!(
            "{VERSION_LINE}{TYPES}node_templates:\n  n0: {{type: t, instances: {{deploy: 100}}}}\n"
        );
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
    let data_types: String = (0..10).fold(String::new(), |mut text, n| {
        let _ = writeln!(
            text,
            "  d{n}: {{properties: {{a: {{type: d{m}}}, b: {{type: d{m}}}}}}}",
            m = n + 1
        );
        text
    });
    let multiplying_types = (0..1000).fold(
        format!("{VERSION_LINE}data_types:\n{data_types}  d10: {{}}\nnode_types: {{t: {{properties: {{x: {{type: d0}}}}}}}}\nnode_templates:\n"),
        |text, n| text + &format!("  n{n}: {{type: t, properties: {{x: {{a: {{}}}}}}}}\n"),
    );
    let input_chain = (0..300).fold(
        format!(
            "{VERSION_LINE}outputs: {{o: {{value: {{get_input: i0}}}}}}\ninputs:\n  i300: {{default: 1}}\n"
        ),
        |text, n| text + &format!("  i{n}: {{default: {{get_input: i{}}}}}\n", n + 1),
    );
    for (case, text) in [
        (
            "data types that multiply in a thousand nodes",
            multiplying_types,
        ),
        ("a long chain of inputs", input_chain),
        (
            "an alias bomb",
            format!(
                "{VERSION_LINE}dsl_definitions:\n{}",
                bomb.replace("a0:", "  a0:").replace("\na", "\n  a")
            ),
        ),
        (
            "a long chain of parent types",
            format!("{VERSION_LINE}{type_chain}"),
        ),
        (
            "a billion instances",
            format!(
                "{VERSION_LINE}{TYPES}node_templates: {{a: {{type: t, capabilities: {{scalable: {{properties: {{default_instances: 1000000000}}}}}}}}}}"
            ),
        ),
        ("instances that multiply through containment", contained(6)),
        (
            "all-to-all relationships",
            format!("{VERSION_LINE}{TYPES}{all_to_all}"),
        ),
        (
            "deep nesting",
            format!(
                "{VERSION_LINE}metadata: {{a: {}1{}}}",
                "[".repeat(220),
                "]".repeat(220)
            ),
        ),
    ] {
        assert_eq!(error_codes(&text), ["D0004"], "{case}");
    }
}

#[test]
fn recursive_namespaces_are_refused_by_a_limit() {
    let test = Test::in_memory("namespaces");
    let types: String = (0..300)
        .map(|n| format!("  t{n}: {{properties: {{a: {{default: 1}}, b: {{default: x}}}}}}\n"))
        .collect();
    let imports = "imports: [n0--blueprint.yaml, n1--blueprint.yaml, n2--blueprint.yaml]";
    test.write(
        "blueprint.yaml",
        &format!("{VERSION_LINE}{imports}\nnode_types:\n{types}"),
    );
    test.run(&["validate"])
        .exits_with(3)
        .stderr_contains(&["error[D0004]"]);
}

#[test]
fn excess_errors_are_counted_and_excerpts_stay_short() {
    let test = Test::in_memory("flood");
    let inputs: Vec<String> = (0..30_000).map(|n| format!("ä{n}: {{typ: x}}")).collect();
    test.write(
        "blueprint.yaml",
        &format!("{VERSION_LINE}inputs: {{{}}}\n", inputs.join(", ")),
    );
    let run = test.run(&["validate", "--output", "json"]).exits_with(3);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (
            json["diagnostics"].as_array().unwrap().len(),
            &json["omitted"]
        ),
        (10_000, &20_000.into())
    );
    let column = format!("inputs: {{{}, ä5000: {{", inputs[..5000].join(", "))
        .chars()
        .count()
        + 1;
    assert_eq!(json["diagnostics"][5000]["column"], column);
    let excerpt = run.stderr.split("\n\n").nth(1500).unwrap();
    assert!(
        excerpt.contains("typ: x") && excerpt.len() < 1000,
        "{excerpt}"
    );
}

#[test]
fn malformed_text_is_reported() {
    let deep_block: String = (0..20_000)
        .map(|n| format!("{}a:\n", " ".repeat(n % 400)))
        .collect();
    for text in [
        "[".repeat(100_000),
        "{".repeat(100_000),
        "- ".repeat(50_000),
        "? ".repeat(50_000),
        deep_block,
        "&a ".repeat(10_000),
        format!("{VERSION_LINE}metadata: {{a: \"{}", "x".repeat(1_000_000)),
        format!("{VERSION_LINE}a: 'x\0y'"),
        "\u{feff}\u{feff}a: b".to_owned(),
        format!("{VERSION_LINE}metadata:\r\n\ta: b\r\n"),
        "%YAML 9.9\n---\na: b\n".to_owned(),
        format!("{VERSION_LINE}inputs: {{? [a] : b}}"),
    ] {
        assert!(!error_codes(&text).is_empty(), "{text:.60}");
    }
}

#[test]
fn line_endings_and_byte_order_marks_are_accepted() {
    let text =
        format!("\u{feff}{VERSION_LINE}inputs:\n  a: {{default: 1}}\n").replace('\n', "\r\n");
    assert!(error_codes(&text).is_empty());
    assert!(
        error_codes(&format!(
            "{VERSION_LINE}metadata: {{a: {}}}",
            "x".repeat(5_000_000)
        ))
        .is_empty(),
        "a huge scalar is valid"
    );
}

#[test]
fn files_that_are_not_text_are_refused() {
    let test = Test::in_memory("nofile");
    fs::write(test.path("latin.yaml"), [b'a', b':', b' ', 0xe9, b'\n']).unwrap();
    fs::write(
        test.path("wide.yaml"),
        "a: b\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>(),
    )
    .unwrap();
    for import in ["latin.yaml", ".", "/dev/zero"] {
        test.write(
            "blueprint.yaml",
            &format!("{VERSION_LINE}imports: [{import}]\n"),
        );
        test.run(&["validate"])
            .exits_with(3)
            .stderr_contains(&["error[D0014]"]);
    }
    test.run(&["validate", "wide.yaml"]).exits_with(3);
    test.run(&["validate", "/dev/zero"])
        .exits_with(3)
        .stderr_contains(&["is not a regular file"]);
}

/// Resolves each file of the fuzz corpus, unchanged and with random edits.
#[test]
fn randomly_edited_blueprints_never_crash() {
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
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/blueprint");
    let mut random = fastrand::Rng::with_seed(11);
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 100);
    for path in files {
        let text = fs::read_to_string(path).unwrap();
        error_codes(&text);
        for _ in 0..6 {
            let mut edited = text.clone();
            for _ in 0..random.usize(1..4) {
                let at = edited.floor_char_boundary(random.usize(..=edited.len()));
                let to = edited.floor_char_boundary((at + random.usize(..8)).min(edited.len()));
                edited.replace_range(at..to, PIECES[random.usize(..PIECES.len())]);
            }
            error_codes(&edited);
        }
    }
}
