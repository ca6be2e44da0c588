//! Module layers, as in `docs/architecture.md`: every path in the sources leads to a lower layer,
//! and only the registry of plugins uses the modules of plugins.

use crate::support::project_root;
use std::{fs, path::Path};

/// Modules from low to high. Modules in the same line must not use each other.
const LAYERS: [&str; 24] = [
    "digest document printable web",
    "diagnostic",
    "syntax",
    "front",
    "catalog",
    "model",
    "secrets",
    "seam",
    "stage",
    "author instance_record",
    "discovery",
    "event",
    "record",
    "journal",
    "report",
    "engine",
    "plugins",
    "plan",
    "preflight",
    "executor",
    "operate",
    "graph",
    "serve",
    "cli",
];

fn layer(module: &str) -> Option<usize> {
    LAYERS
        .iter()
        .position(|line| line.split(' ').any(|it| it == module))
}

/// Returns the module path of a file: `[plan, heal]` for `plan/heal.rs`.
fn module_of(file: &str) -> Vec<&str> {
    let path = file.trim_end_matches(".rs");
    path.split('/').filter(|part| *part != "mod").collect()
}

/// Removes comments and unit tests from the code of a file.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    // Slashes inside a word do not start a comment: URLs contain them.
    let lines = text.lines().map(|line| match line.find("//") {
        Some(at) if line[..at].trim().is_empty() || line[..at].ends_with(' ') => &line[..at],
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Expands brace groups: `a::{b, c::{d, e}}` to `a::b`, `a::c::d` and `a::c::e`.
fn expand_braces(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, group)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap().to_owned()];
    };
    let inside = group.rsplit_once('}').map_or(group, |(inside, _)| inside);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in inside.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    let named = parts.iter().filter(|part| !part.trim().is_empty());
    named
        .flat_map(|part| expand_braces(part))
        .map(|leaf| format!("{}{leaf}", head.trim()))
        .collect()
}

/// Returns every path in the `use` declarations of a file.
fn use_paths(code: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), code);
    while let Some(at) = rest.find("use ") {
        let is_word = !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        rest = &rest[at + 4..];
        if let Some((tree, after)) = rest.split_once(';').filter(|_| is_word) {
            found.extend(expand_braces(tree));
            rest = after;
        }
    }
    found
}

/// Returns the paths of a file that start with `crate` or `super`, resolved from the crate root.
fn paths(file: &str, text: &str, plugins: &[String]) -> Vec<Vec<String>> {
    let code = code(text);
    let mut found = use_paths(&code);
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let inline = code.split(|c: char| !is_path(c)).filter(|word| {
        let starts = word.starts_with("crate::") || word.starts_with("super::");
        starts && !word.ends_with(':')
    });
    found.extend(inline.map(str::to_owned));
    let me = module_of(file);
    if me == ["plugins"] {
        let words = code.split(|c: char| !is_path(c));
        let below = |word: &&str| {
            plugins
                .iter()
                .any(|it| word.starts_with(&format!("{it}::")))
        };
        found.extend(
            words
                .filter(below)
                .map(|word| format!("crate::plugins::{word}")),
        );
    }
    found.iter().filter_map(|path| resolve(&me, path)).collect()
}

fn resolve(me: &[&str], path: &str) -> Option<Vec<String>> {
    let steps: Vec<&str> = path.split("::").map(str::trim).collect();
    let up = steps.iter().take_while(|step| **step == "super").count();
    match steps[0] {
        "crate" => Some(steps[1..].iter().map(|it| (*it).to_owned()).collect()),
        "super" if up <= me.len() => {
            let base = me[..me.len() - up].iter().chain(&steps[up..]);
            Some(base.map(|it| (*it).to_owned()).collect())
        }
        _ => None,
    }
}

/// Returns why a file must not use a path, or `None` if it may.
fn path_violation(file: &str, path: &[String], plugins: &[String]) -> Option<&'static str> {
    let me = module_of(file);
    let (mine, its) = (layer(me[0])?, layer(path.first()?)?);
    let part = |at: usize| path.get(at).map(String::as_str);
    let is_plugin =
        |name: Option<&str>| name.is_some_and(|name| plugins.iter().any(|it| it == name));
    let into_plugin = part(0) == Some("plugins") && is_plugin(part(1));
    let own_plugin = me[0] == "plugins" && me.get(1).copied() == part(1);
    match () {
        () if its > mine => Some("leads to a higher layer"),
        () if its == mine && me[0] != path[0] => Some("leads to another module of the same layer"),
        () if into_plugin && own_plugin => {
            let enters_drive = me.get(2) == Some(&"declare") && part(2) == Some("drive");
            enters_drive.then_some("leads from `declare` to `drive`")
        }
        // The registry may use the plugins, but not their inner modules.
        () if into_plugin && me == ["plugins"] => {
            let is_inside = matches!(part(2), Some("declare" | "drive"));
            is_inside.then_some("leads into a plugin from outside")
        }
        () if into_plugin && is_plugin(me.get(1).copied()) => {
            (part(2) != Some("declare")).then_some("leads to another plugin outside its `declare`")
        }
        () if into_plugin => Some("leads into a plugin from outside"),
        () => None,
    }
}

/// Returns true if a file may use the client of an engine.
fn may_use_client(file: &str) -> bool {
    file.starts_with("engine/") || file.starts_with("plugins/docker/")
}

/// Names that the application must not use, because they belong to its caller.
const FORBIDDEN_IN_OPERATE: [&str; 18] = [
    "clap",
    "eprint!",
    "eprintln!",
    "print!",
    "println!",
    "std::env",
    "io::std",
    "IsTerminal",
    "process::exit",
    "current_dir",
    "getuid",
    "tokio::signal",
    "Host::find",
    "engine::config_error",
    "report::Live",
    "report::Plain",
    "signal::",
    "termios",
];

/// Returns the forbidden names that a file of the application uses.
fn forbidden_names(file: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let all = format!("{code}\n{}", use_paths(&code).join("\n"));
    let known = FORBIDDEN_IN_OPERATE
        .iter()
        .filter(|word| all.contains(**word));
    let is_inside = file.starts_with("operate/");
    known
        .filter(|_| is_inside)
        .map(|word| format!("{file}: the application must not use `{word}`"))
        .collect()
}

fn violations(file: &str, text: &str, plugins: &[String]) -> Vec<String> {
    let fault = |path: Vec<String>| {
        let why = path_violation(file, &path, plugins)?;
        Some(format!("{file}: {}: {why}", path.join("::")))
    };
    let mut all: Vec<String> = paths(file, text, plugins)
        .into_iter()
        .filter_map(fault)
        .collect();
    if code(text).contains("bollard") && !may_use_client(file) {
        all.push(format!(
            "{file}: only engine/ and plugins/docker/ may use the client of an engine"
        ));
    }
    all.extend(forbidden_names(file, text));
    all.sort();
    all.dedup();
    all
}

/// Returns the names of the plugins, which are the names of their directories.
fn plugins() -> Vec<String> {
    let entries = fs::read_dir(project_root().join("src/plugins")).unwrap();
    let directories = entries
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir());
    directories
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

fn sources(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let file = path.strip_prefix(project_root().join("src")).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            found.push((file.display().to_string(), text));
        }
    }
}

#[test]
fn every_path_leads_to_a_lower_layer() {
    let (mut all, plugins) = (Vec::new(), plugins());
    sources(&project_root().join("src"), &mut all);
    assert!(plugins.contains(&"docker".to_owned()), "{plugins:?}");
    assert!(all.len() > 150, "sources not found");
    let faults: Vec<String> = all
        .iter()
        .flat_map(|(file, text)| violations(file, text, &plugins))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let known = |file: &String| {
        let module = module_of(file)[0].to_owned();
        layer(&module).is_some() || ["lib", "main"].contains(&module.as_str())
    };
    let unknown: Vec<&String> = all
        .iter()
        .map(|(file, _)| file)
        .filter(|file| !known(file))
        .collect();
    assert!(unknown.is_empty(), "not in any layer: {unknown:?}");
}

/// Files, forbidden lines, and the reasons.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    (
        "seam/step.rs",
        "use crate::plan::PlanInput;",
        "leads to a higher layer",
    ),
    (
        "model/mod.rs",
        "use crate::{\n    diagnostic::Span,\n    record::{self, Record},\n};",
        "leads to a higher layer",
    ),
    (
        "record/mod.rs",
        "fn f() { crate::executor::run() }",
        "leads to a higher layer",
    ),
    (
        "plugins/docker/declare/lower.rs",
        "fn f(it: super::super::super::super::plan::PlanInput) {}",
        "leads to a higher layer",
    ),
    (
        "web.rs",
        "use crate::digest::sha256;",
        "leads to another module of the same layer",
    ),
    (
        "plugins/docker/declare/action.rs",
        "use super::super::drive::engine::Engine;",
        "leads from `declare` to `drive`",
    ),
    (
        "plan/heal.rs",
        "use crate::plugins::{Plugins, docker::declare::action::Action};",
        "leads into a plugin from outside",
    ),
    (
        "cli/exec.rs",
        "use crate::plugins::docker::drive::engines::Engines;",
        "leads into a plugin from outside",
    ),
    (
        "plugins/registry.rs",
        "use super::docker::Docker;",
        "leads into a plugin from outside",
    ),
    (
        "plugins/mod.rs",
        "pub use docker::declare::label::Label;",
        "leads into a plugin from outside",
    ),
    (
        "plugins/mod.rs",
        "pub const X: usize = crate::plugins::script::drive::X;",
        "leads into a plugin from outside",
    ),
    (
        "plugins/script/drive/run.rs",
        "use crate::plugins::docker::drive::engines::Engines;",
        "leads to another plugin outside its `declare`",
    ),
    (
        "plugins/script/declare/lower.rs",
        "use super::super::drive::run::Runner;",
        "leads from `declare` to `drive`",
    ),
    (
        "plan/heal.rs",
        "use crate::plugins::script::declare::Script;",
        "leads into a plugin from outside",
    ),
    (
        "cli/plan.rs",
        "use bollard::Docker;",
        "only engine/ and plugins/docker/ may use",
    ),
    (
        "operate/session.rs",
        "use crate::cli::args::Global;",
        "leads to a higher layer",
    ),
    (
        "operate/execute.rs",
        "let url = \"http://x\"; println!(\"{url}\");",
        "must not use `println!`",
    ),
    (
        "operate/workspace.rs",
        "let host = crate::engine::Host::find(None, None)?;",
        "must not use `Host::find`",
    ),
    (
        "operate/recover.rs",
        "use std::io;\nfn f() { io::stdout().flush(); }",
        "must not use `io::std`",
    ),
    ("operate/scale.rs", "use clap::Args;", "must not use `clap`"),
    (
        "operate/watch.rs",
        "eprintln!(\"died\");",
        "must not use `eprintln!`",
    ),
    (
        "operate/settings.rs",
        "fn f() { std::env::var(\"HOME\"); }",
        "must not use `std::env`",
    ),
    (
        "operate/settings.rs",
        "use std::{\n    collections::BTreeMap,\n    env,\n};",
        "must not use `std::env`",
    ),
    (
        "operate/session.rs",
        "use tokio::signal::unix::SignalKind;",
        "must not use `signal::`",
    ),
    (
        "operate/caller.rs",
        "use std::io::{IsTerminal as _, stderr};",
        "must not use `io::std`",
    ),
];

/// Files and permitted lines.
const ALLOWED: &[(&str, &str)] = &[
    (
        "plan/heal.rs",
        "// use crate::cli::Outcome;\nuse crate::kernel::seam::Step;",
    ),
    (
        "plugins/mod.rs",
        "pub const PLUGINS: &[&dyn Plugin] = &[&crate::plugins::docker::Docker];",
    ),
    (
        "plugins/mod.rs",
        "pub mod docker;\npub const PLUGINS: &[&dyn Plugin] = &[&docker::Docker];",
    ),
    (
        "plugins/script/declare/lower.rs",
        "use crate::plugins::docker::declare::label;",
    ),
    (
        "plugins/docker/drive/engine.rs",
        "use crate::plugins::docker::declare::label; use bollard::Docker;",
    ),
    (
        "operate/session.rs",
        "// like std::env\nlet signals = caller.stop_requests()?; use std::{fs::File, io};",
    ),
    (
        "plan/heal.rs",
        "use super::install;\n#[cfg(test)]\nmod tests { use crate::cli::Outcome; }",
    ),
];

#[test]
fn every_kind_of_violation_is_detected() {
    let two = ["docker", "script"].map(str::to_owned);
    for (file, line, why) in FORBIDDEN {
        let found = violations(file, line, &two).join("\n");
        assert!(
            found.contains(why) && found.contains(file),
            "{file}: {line}: {found}"
        );
    }
    for (file, line) in ALLOWED {
        assert_eq!(
            violations(file, line, &two),
            Vec::<String>::new(),
            "{file}: {line}"
        );
    }
}

/// Returns the Rust files below a directory.
fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let below = |path: std::path::PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    let all = entries.flat_map(below);
    all.filter(|path| path.extension().is_some_and(|it| it == "rs"))
        .collect()
}

/// Returns true if one of the texts declares the module of a file.
fn is_declared(path: &Path, texts: &[String]) -> bool {
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let module = match name(path).as_str() {
        "mod" => name(path.parent().unwrap()),
        other => other.to_owned(),
    };
    let declares = |line: &str| {
        let line = line.trim().trim_start_matches("pub(crate) ");
        line == format!("mod {module};")
    };
    texts.iter().any(|text| text.lines().any(declares))
}

#[test]
fn every_test_file_is_compiled() {
    let directory = project_root().join("tests");
    let all = files(&directory);
    assert!(all.len() > 50, "tests not found");
    let texts: Vec<String> = all
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let is_target = |path: &Path| path.parent() == Some(&directory) || path.ends_with("it/main.rs");
    let lost: Vec<_> = all
        .iter()
        .filter(|path| !is_target(path) && !is_declared(path, &texts))
        .collect();
    assert!(lost.is_empty(), "not in any test binary: {lost:?}");
    assert!(!is_declared(
        Path::new("tests/it/docker/nowhere.rs"),
        &texts
    ));
}
