//! Secrets: found where they are said to be, used where they are needed, and nowhere to be seen.

use crate::support::{Run, Test, docker};
use std::{fs, path::Path};

const SECRET: &str = "correct-horse-battery";

const BLUEPRINT: &str = "
node_templates:
  web:
    type: cloudify.docker.Container
    properties:
      name: PREFIX-web
      image: {src: TARBALL, repository: dockctl-demo}
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          inputs:
            params:
              command: sleep 1000
              environment: {PASSWORD: {get_secret: password}, URL: {concat: ['http://root:', {get_secret: password}, '@db']}}
        start: {inputs: {processes_to_wait_for: [sleep]}}
        stop: {inputs: {params: {timeout: 0}}}
outputs:
  url: {value: {concat: ['http://root:', {get_secret: password}, '@db']}}
  pin: {value: {get_secret: pin}}
";

pub(crate) fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { holds(&path, text) } else { fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) }
    })
}

#[test]
fn a_secret_reaches_the_container_and_nothing_else() {
    let test = Test::new("secret");
    test.blueprint(BLUEPRINT);
    fs::create_dir(test.path("mounted")).unwrap();
    test.write("mounted/password", &format!("{SECRET}\n"));
    test.write("mounted/pin", "7\n");
    let place = test.path("mounted");
    let secrets = ["--secrets", place.to_str().unwrap()];
    for command in [&["plan", "-v"][..], &["install", "-vv", "--progress", "plain"], &["status"], &["executions"], &["inspect", "--deploy"]]
    {
        let run = test.run(&[command, &secrets].concat()).exits(0);
        assert!(!run.stdout.contains(SECRET) && !run.stderr.contains(SECRET), "{command:?}:\n{}{}", run.stdout, run.stderr);
    }
    let name = test.name("web");
    let environment = docker(&["inspect", "--format", "{{json .Config.Env}}", &name]);
    assert!(
        environment.contains(&format!("PASSWORD={SECRET}")) && environment.contains(&format!("http://root:{SECRET}@db")),
        "{environment}"
    );
    assert!(!docker(&["inspect", "--format", "{{json .Config.Labels}}", &name]).contains(SECRET));
    assert!(!holds(&test.path("state"), SECRET), "the state holds the secret");
    // Asked for by name, an output is what it is made of: but the secret itself is never printed.
    let run = test.run(&["outputs", secrets[0], secrets[1]]).exits(0);
    assert_eq!(run.stdout, "url: http://root:********@db\npin: ********\n");
    test.run(&["uninstall", "--yes", secrets[0], secrets[1]]).exits(0);
}

#[test]
fn a_missing_secret_is_told_before_anything_begins() {
    let test = Test::new("nosecret");
    test.blueprint(BLUEPRINT);
    test.run(&["install"]).exits(3).says(&["error[D0098]", "there is no secret `password`", "DOCKCTL_SECRET_PASSWORD"]);
    test.run(&["validate"]).exits(0);
}

#[test]
fn a_sensitive_input_is_kept_as_a_digest_and_has_to_be_given_again() {
    let test = Test::new("sensitive");
    let inputs = "metadata: {dockctl: {sensitive: [password]}}\ninputs: {password: {}, colour: {default: red}}";
    let body = BLUEPRINT.replace("{get_secret: password}", "{get_input: password}").replace("  pin: {value: {get_secret: pin}}\n", "");
    test.blueprint(&format!("{inputs}{body}"));
    let given = format!("password={SECRET}");
    test.run(&["install", "-i", &given]).exits(0);
    assert!(test.inspect("web", "{{json .Config.Env}}").contains(SECRET));
    assert!(!holds(&test.path("state"), SECRET));
    let shown = test.run(&["outputs"]).exits(0).stdout;
    assert!(!shown.contains(SECRET), "{shown}");
    test.run(&["install"]).exits(3).says(&["the input `password` holds a secret, which is not kept", "-i password="]);
    test.run(&["install", "-i", &given]).exits(0);
    test.run(&["plan", "--exit-code", "-i", &given]).exits(0);
    let other = test.run(&["install", "-i", "password=another-one-entirely"]).exits(6);
    assert!(!other.stderr.contains("another-one-entirely"), "{}", other.stderr);
    test.run(&["uninstall"]).exits(0);
}

#[test]
fn a_new_value_behind_an_old_name_is_a_change() {
    const OTHER: &str = "another-one-entirely";
    let test = Test::new("rotated");
    test.blueprint(BLUEPRINT);
    let run = |value: &str, arguments: &[&str]| {
        let mut command = test.command(arguments);
        Run::of(&command.env("DOCKCTL_SECRET_PASSWORD", value).env("DOCKCTL_SECRET_PIN", "7").output().unwrap())
    };
    run(SECRET, &["install"]).exits(0);
    run(SECRET, &["plan", "--exit-code"]).exits(0);
    let plan = run(OTHER, &["plan", "--exit-code"]).exits(6);
    assert!(plan.stdout.contains("recreate: its definition changed\n      secrets.password: changed (sensitive)\n"), "{}", plan.stdout);
    run(OTHER, &["install"]).exits(6).says(&["nodes.web.secrets.password: changed (sensitive)"]);
    run(OTHER, &["update"]).exits(0);
    assert!(test.inspect("web", "{{json .Config.Env}}").contains(&format!("PASSWORD={OTHER}")));
    run(OTHER, &["plan", "--exit-code"]).exits(0);
    run(OTHER, &["status", "--exit-code"]).exits(0);
    assert!(!holds(&test.path("state"), SECRET) && !holds(&test.path("state"), OTHER));
    run(OTHER, &["uninstall"]).exits(0);
}
