//! The examples in the documentation.

use crate::support::{Test, project_root};
use std::path::{Path, PathBuf};

/// A fenced YAML block of a page.
struct Block {
    /// The page and the line of the fence.
    place: String,
    /// Text of the fence after `yaml`.
    mark: String,
    text: String,
}

#[test]
fn every_blueprint_in_the_documentation_is_valid() {
    let test = Test::in_memory("documentation");
    test.write("demo-image.tar", "it only has to be there");
    std::fs::create_dir(test.path("scripts")).unwrap();
    for script in ["create", "fill", "stop"] {
        test.write(&format!("scripts/{script}.sh"), "#!/bin/sh\n");
    }
    let mut validated = 0;
    for block in pages().iter().flat_map(blocks) {
        let text = match block.mark.as_str() {
            "blueprint" => block.text,
            // Sections that are added to any blueprint.
            "fragment" => FRAME.to_owned() + &block.text,
            // A file of a CI system.
            "pipeline" => continue,
            mark => panic!(
                "{}: mark the block as blueprint, fragment or pipeline, not as `{mark}`",
                block.place
            ),
        };
        test.write("shown.yaml", &text);
        let run = test.run(&["validate", "shown.yaml", "--strict"]);
        assert!(run.code == 0, "{}: {}", block.place, run.stderr);
        validated += 1;
    }
    assert!(validated >= 3, "only {validated} blueprints were found");
}

const FRAME: &str = "tosca_definitions_version: cloudify_dsl_1_5
imports:
  - http://www.getcloudify.org/spec/cloudify/3.3.1/types.yaml
  - http://www.getcloudify.org/spec/docker-plugin/1.3.2/plugin.yaml
  - plugin:dockctl
node_templates:
  database: {type: cloudify.docker.Container, properties: {image: {repository: postgres}}}
";

#[test]
fn the_readme_names_both_scripts() {
    let readme = std::fs::read_to_string(project_root().join("README.md")).unwrap();
    for script in ["scripts/demo", "scripts/test"] {
        assert!(readme.contains(script), "the README does not name {script}");
    }
}

/// The README and every page in `docs/` and `blueprints/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![project_root().join("README.md")];
    for pattern in [
        "docs",
        "blueprints/adopt",
        "blueprints/hello",
        "blueprints/nodecellar",
        "blueprints/scripts",
    ] {
        let entries = std::fs::read_dir(project_root().join(pattern)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        pages.extend(paths.filter(|path| path.extension().is_some_and(|it| it == "md")));
    }
    pages
}

fn blocks(page: &PathBuf) -> Vec<Block> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(mark) = line.trim_start().strip_prefix("```yaml") else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let inside = lines.by_ref().map(|(_, line)| line);
        let inside = inside.take_while(|line| !line.trim_start().starts_with("```"));
        let inside = inside.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default()));
        blocks.push(Block {
            place: format!("{}:{}", page.display(), number + 1),
            mark: mark.trim().to_owned(),
            text: inside.collect(),
        });
    }
    blocks
}

#[test]
fn texts_avoid_the_words_that_the_glossary_rules_out() {
    let words = words_to_avoid();
    assert!(words.contains(&"folder".to_owned()), "{words:?}");
    let mut files = vec![
        project_root().join("README.md"),
        project_root().join("CHANGELOG.md"),
    ];
    for directory in ["docs", "src", "tests", "benches", "scripts"] {
        text_files(&project_root().join(directory), &mut files);
    }
    assert!(files.len() > 250, "{} files", files.len());
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let text = prose(&file, &text).to_lowercase();
        let hits = words.iter().filter(|word| contains_word(&text, word));
        found.extend(hits.map(|word| format!("{}: {word}", file.display())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Returns the first column of the last table of the glossary.
fn words_to_avoid() -> Vec<String> {
    let glossary = std::fs::read_to_string(project_root().join("docs/glossary.md")).unwrap();
    let (_, section) = glossary.split_once("## Words to avoid").unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split(','))
        .map(|word| word.trim().to_owned())
        .collect()
}

/// Finds Rust files, pages and scripts.
fn text_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_text = path.extension().is_none_or(|it| it == "rs" || it == "md");
        let names_words = ["glossary.md", "documentation.rs"].contains(&name.as_str());
        if path.is_dir() && name != "data" {
            text_files(&path, files);
        } else if path.is_file() && is_text && !names_words {
            files.push(path);
        }
    }
}

/// Returns the text of a page, or the comments and strings of a Rust file.
fn prose(file: &Path, text: &str) -> String {
    if file.extension().is_none_or(|it| it != "rs") {
        return text.to_owned();
    }
    // Names in the journal and in JSON stay as they are, and so does a message of InfraKit.
    let is_stored = |part: &&str| {
        ["folder", "anew"].contains(part) || part.contains("service/method request ill-formed")
    };
    let lines = text.lines().map(|line| {
        if let Some((_, comment)) = line.split_once("//") {
            return comment.to_owned();
        }
        let strings = line.split('"').skip(1).step_by(2);
        let strings: Vec<&str> = strings.filter(|it| !is_stored(it)).collect();
        strings.join("\n")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn contains_word(text: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '`' | '"');
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_letter) && !after.is_some_and(is_letter)
    })
}

/// The page about compatibility lists the tests that are left out on an engine. All of them exist.
#[test]
fn skipped_tests_exist_and_are_documented() {
    let read = |path: &str| std::fs::read_to_string(project_root().join(path)).unwrap();
    let page = read("docs/compatibility.md");
    let own = std::env::current_exe().unwrap();
    let listed = std::process::Command::new(own)
        .arg("--list")
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let skipped = read("tests/data/skipped-tests.tsv");
    let rows: Vec<Vec<&str>> = skipped
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect();
    assert!(!rows.is_empty());
    for row in &rows {
        let [engine, test, reason] = row[..] else {
            panic!("not three columns: {row:?}");
        };
        let is_test = |line: &str| line.starts_with(test) && line.ends_with(": test");
        assert!(listed.lines().any(is_test), "no test {test}");
        let documented = format!("| {engine} | `{test}` | {reason} |");
        assert!(page.contains(&documented), "missing: {documented}");
    }
    let rows_of_page = page
        .lines()
        .filter(|line| line.contains(" | `") && line.contains("::"));
    assert_eq!(rows_of_page.count(), rows.len());
}
