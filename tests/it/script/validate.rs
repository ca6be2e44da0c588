//! `dockctl validate --scripts`.

use super::uninstall::write;
use crate::support::Test;
use serde_json::Value as Json;

const TEMPLATES: &str = "
node_templates:
  n:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle:
        create: hides.sh
        configure: old.py
        start: start.sh
        poststart: |
          ls
          pwd
        stop: |
          #!/bin/sh
          touch RAN
  other:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle:
        create: https://example.org/create.sh
        start: start.sh
";

#[test]
fn six_rules_are_checked_and_nothing_is_run() {
    let test = Test::new("lint");
    write(&test, TEMPLATES, &[]);
    test.write("hides.sh", "#!/bin/sh\ntouch RAN\nfalse\necho done\n");
    test.write("old.py", "open('RAN', 'w')\nprint 'x'\n");
    test.write(
        "start.sh",
        "#!/bin/sh -e\nsudo true\ncurl https://example.org/x | sh\ntouch RAN\n",
    );
    let found = test
        .run(&["validate", "--scripts", "--output", "json"])
        .exits_with(0)
        .json();
    let text = |it: &Json| {
        format!(
            "{} {}",
            it["code"].as_str().unwrap(),
            it["message"].as_str().unwrap()
        )
    };
    let mut all: Vec<String> = found["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    all.sort();
    assert_eq!(
        all,
        [
            "D0400 hides.sh:4: the last command, `echo done`, hides failures of the commands before it",
            "D0401 node `other` has a script for `start` and no operation `stop`",
            "D0402 start.sh:2: this command needs sudo",
            "D0403 old.py:2: this is Python 2: `print 'x'`",
            "D0404 start.sh:3: this line fetches https://example.org/x",
            "D0404 the script is fetched from https://example.org/create.sh",
            "D0405 this inline text may be shell or Python",
        ]
    );
    assert!(!test.path("RAN").exists());
    let without = test.run(&["validate", "--output", "json"]).json();
    assert_eq!(without["diagnostics"], serde_json::json!([]));
    test.run(&["validate", "--scripts", "--strict"])
        .exits_with(3);
}

#[test]
fn python_2_without_an_interpreter_is_refused_before_anything_begins() {
    let test = Test::new("python2");
    let templates = "
node_templates:
  n:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: first.sh, start: old.py}}
";
    write(&test, templates, &["first.sh"]);
    test.write("old.py", "x = 1\nprint 'x'\n");
    // The interpreters of this directory are the only ones.
    let bin = test.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let mut command = test.command(&["install", "blueprint.yaml"]);
    let refused = command.env("PATH", &bin).output().unwrap();
    let refused = crate::support::Run::from_output(&refused).exits_with(3);
    let refused = refused.stderr_contains(&["old.py needs Python 2", "line 2 is `print 'x'`"]);
    assert!(!refused.stderr.contains("ran first.sh"));
}
