//! Secrets in scripts and in their runtime properties.

use super::uninstall::write;
use crate::support::Test;
use serde_json::{Value as Json, json};
use std::{fs, path::Path};

const TEXT: &str = "sw0rdfish-of-the-test";

/// Returns true if a file in a directory contains a text.
fn contains(directory: &Path, text: &str) -> bool {
    let entries = fs::read_dir(directory).unwrap().flatten();
    entries.into_iter().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            contains(&path, text)
        } else {
            let content = fs::read(&path).unwrap();
            content
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        }
    })
}

fn properties(test: &Test) -> Json {
    let status = test.run(&["status", "--output", "json"]).json();
    status["instances"][0]["runtime_properties"].clone()
}

#[test]
fn a_secret_in_a_runtime_property_is_stored_as_an_expression() {
    let test = Test::new("expression");
    let templates = "
node_templates:
  n:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {implementation: c.sh, inputs: {TOKEN: {get_secret: token}}}
        start: s.sh
outputs:
  url: {value: {get_attribute: [n, url]}}
";
    write(&test, templates, &[]);
    test.write("c.sh", "#!/bin/sh\nctx instance runtime-properties url \"http://u:$TOKEN@host\"\nctx instance runtime-properties all.token \"$TOKEN\"\nctx instance runtime-properties literal '@{\"get_secret\": \"token\"}'\necho \"token $TOKEN\"\n");
    test.write("s.sh", "#!/bin/sh\n[ \"$(ctx instance runtime-properties all.token | wc -c)\" = 21 ] && echo same\nctx -j instance runtime-properties literal\nctx instance runtime-properties x '@{\"dockctl.evaluate\": 1}'\necho rc=$?\n");
    let installed = test
        .command(&["install", "blueprint.yaml"])
        .env("DOCKCTL_SECRET_TOKEN", TEXT)
        .output()
        .unwrap();
    let installed = crate::support::Run::from_output(&installed).exits_with(0);
    let installed = installed.stderr_contains(&[
        "<out> token ********\n",
        "<out> same\n",
        "<out> {\"get_secret\": \"token\"}",
        "ctx: ValueError: the key `dockctl.evaluate` is reserved",
        "rc=1\n",
    ]);
    assert!(!installed.stderr.contains(TEXT) && !installed.stdout.contains(TEXT));
    assert!(!contains(&test.path("state"), TEXT));
    let expected = json!({
        "url": "http://u:********@host",
        "all": { "token": "********" },
        "literal": { "get_secret": "token" },
    });
    assert_eq!(properties(&test), expected);
    let outputs = test.run(&["outputs", "--output", "json"]).json();
    assert_eq!(outputs["outputs"]["url"], "http://u:********@host");
}

#[test]
fn a_script_cannot_read_a_secret_that_is_not_available_any_more() {
    let test = Test::new("unavailable");
    let templates = "
node_templates:
  n:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {implementation: c.sh, inputs: {TOKEN: {get_secret: token}}}
        stop: s.sh
";
    write(&test, templates, &[]);
    test.write(
        "c.sh",
        "#!/bin/sh\nctx instance runtime-properties token \"$TOKEN\"\n",
    );
    test.write(
        "s.sh",
        "#!/bin/sh\nctx instance runtime-properties token\necho rc=$?\n",
    );
    let mut install = test.command(&["install", "blueprint.yaml"]);
    assert!(
        install
            .env("DOCKCTL_SECRET_TOKEN", TEXT)
            .output()
            .unwrap()
            .status
            .success()
    );
    test.run(&["uninstall", "-y"]).exits_with(0);
}

#[test]
fn secrets_of_a_script_belong_to_its_deployment() {
    let test = Test::new("own");
    let templates = "
node_templates:
  n:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: c.py, start: {implementation: s.sh, inputs: {T: {get_secret: made}}}}}
";
    write(&test, templates, &[]);
    test.write(
        "c.py",
        &format!(
            "
from cloudify import ctx, manager
from cloudify_rest_client.exceptions import CloudifyClientError
secrets = manager.get_rest_client().secrets
secrets.create('made', '{TEXT}')
try:
    secrets.create('made', 'other')
except CloudifyClientError as error:
    ctx.logger.info('%s', error.status_code)
secrets.create('made', '{TEXT}', update_if_exists=True)
ctx.logger.info('%s', [secret.key for secret in secrets.list()])
ctx.logger.info('%s', secrets.get('made').value == '{TEXT}')
try:
    secrets.get('HOME')
except CloudifyClientError as error:
    ctx.logger.info('%s', error.status_code)
"
        ),
    );
    test.write("s.sh", "#!/bin/sh\nprintf %s \"$T\" | wc -c\n");
    let run = test.run(&["install", "blueprint.yaml"]).exits_with(0);
    run.stderr_contains(&[
        "] 409\n",
        "] ['made']\n",
        "] True\n",
        "] 404\n",
        "<out> 21\n",
    ]);
    let listed = test.run(&["secrets", "list", "--output", "json"]).json();
    assert_eq!(listed["secrets"], json!(["made"]));
    let other = test
        .run(&["install", "blueprint.yaml", "-d", "other"])
        .exits_with(0);
    other.stderr_contains(&["] 409\n"]);
    let file = test
        .path("state/secrets")
        .join(format!("{}.json", test.prefix));
    assert!(fs::read_to_string(&file).unwrap().contains(TEXT));
    test.run(&["uninstall", "-y"]).exits_with(0);
    assert!(file.exists());
    test.run(&["secrets", "delete", "nope"]).exits_with(2);
    test.run(&["secrets", "delete", "made"]).exits_with(0);
    assert_eq!(
        test.run(&["secrets", "list", "--output", "json"]).json()["secrets"],
        json!([])
    );
}
