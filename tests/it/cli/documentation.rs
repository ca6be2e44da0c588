//! The examples in the documentation.

use crate::support::{Test, project_root};
use std::path::PathBuf;

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
