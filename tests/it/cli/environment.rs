//! Environment variables.

use crate::{
    docker::install::SLEEPER,
    support::{Run, Test},
};
use serde_json::{Value as Json, json};
use std::{os::unix::ffi::OsStrExt as _, process::Command};

#[test]
fn environment_variables_set_flags() {
    let test = Test::in_memory("env");
    test.blueprint(SLEEPER);
    let run = test
        .command(&["plan"])
        .env("DOCKCTL_OUTPUT", "json")
        .env("DOCKCTL_SEED", "7")
        .output()
        .unwrap();
    let again = test
        .run(&["plan", "--output", "json", "--seed", "7"])
        .json();
    assert_eq!(serde_json::from_slice::<Json>(&run.stdout).unwrap(), again);
    for (variable, value, code) in [
        ("DOCKCTL_STRICT", "1", 0),
        ("DOCKCTL_STRICT", "", 0),
        ("DOCKCTL_YES", "no", 0),
        // Only global options have variables.
        ("DOCKCTL_EXIT_CODE", "yes", 0),
    ] {
        let run = test
            .command(&["plan"])
            .env(variable, value)
            .output()
            .unwrap();
        assert_eq!(
            run.status.code(),
            Some(code),
            "{variable}={value}: {}",
            String::from_utf8_lossy(&run.stderr)
        );
    }
    // Arguments take precedence over variables.
    let run = test
        .command(&["uninstall", "another"])
        .env("DOCKCTL_DEPLOYMENT", "one")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&run.stdout).contains("`another` is not installed"));
    let run = test
        .command(&["frobnicate"])
        .env("DOCKCTL_OUTPUT", "json")
        .output()
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<Json>(&run.stdout).unwrap()["error"]["code"],
        "usage"
    );
}

#[test]
fn ignored_variables_are_reported_once() {
    let test = Test::in_memory("unread");
    test.blueprint(SLEEPER);
    let graph = test.path("graph.svg");
    let run = test
        .command(&["graph"])
        .env("DOCKCTL_OUT", &graph)
        .env("DOCKCTL_PARAMETER", "x=1")
        .env("DOCKCTL_SECRET_X", "1")
        .env("DOCKCTL_INPUT_X", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(!graph.exists(), "DOCKCTL_OUT is ignored");
    assert_eq!(
        stderr.lines().collect::<Vec<_>>(),
        [
            "warning: variable DOCKCTL_OUT is ignored: only global options have variables; use --out",
            "warning: variable DOCKCTL_PARAMETER is ignored: pass parameters as -p NAME=VALUE",
        ]
    );
}

#[test]
fn environment_variables_set_inputs() {
    let test = Test::in_memory("env-inputs");
    let inputs = "
inputs:
  plain: {default: from blueprint}
  number: {type: integer, default: 1}
  list-of-things: {type: list, default: []}
  pin: {type: integer, default: 1}
metadata: {dockctl: {sensitive: [pin]}}
outputs:
  plain: {value: {get_input: plain}}
  number: {value: {get_input: number}}
  list: {value: {get_input: list-of-things}}
";
    test.blueprint(&(SLEEPER.to_owned() + inputs));
    let with_inputs = |mut command: Command| {
        command
            .env("DOCKCTL_INPUT_plain", "from environment")
            .env("DOCKCTL_INPUT_PLAIN", "from uppercase variable")
            .env("DOCKCTL_INPUT_NUMBER", "7")
            .env("DOCKCTL_INPUT_LIST_OF_THINGS", "[a, b]")
            .env("DOCKCTL_INPUT_PIN", "41524152");
        Run::from_output(&command.output().unwrap())
    };
    let outputs = || {
        test.run(&["outputs", "--output", "json"])
            .exits_with(0)
            .json()["outputs"]
            .clone()
    };
    with_inputs(test.command(&["install"])).exits_with(0);
    assert_eq!(
        outputs(),
        json!({ "plain": "from environment", "number": 7, "list": ["a", "b"] })
    );
    // They are stored like inputs from the command line, which take precedence.
    test.run(&["install", "-i", "pin=41524152"]).exits_with(0);
    assert_eq!(outputs()["number"], 7);
    with_inputs(test.command(&["update", "-i", "plain=typed", "--yes"])).exits_with(0);
    assert_eq!(outputs()["plain"], "typed");
    let state = std::fs::read(test.path(&format!("state/deployments/{}.db", test.prefix))).unwrap();
    let state = String::from_utf8_lossy(&state);
    assert!(
        !state.contains("41524152"),
        "sensitive inputs are not stored"
    );
    // Values may be multi-line YAML. Empty variables are ignored.
    let mut block = test.command(&["update", "-i", "pin=41524152", "--yes"]);
    block.env("DOCKCTL_INPUT_LIST_OF_THINGS", "\n- c\n- d\n");
    Run::from_output(&block.env("DOCKCTL_INPUT_NUMBER", "").output().unwrap()).exits_with(0);
    assert_eq!(
        (&outputs()["list"], &outputs()["number"]),
        (&json!(["c", "d"]), &json!(7))
    );
    let mut invalid_utf8 = test.command(&["plan", "-i", "pin=1"]);
    invalid_utf8.env(
        "DOCKCTL_INPUT_PLAIN",
        std::ffi::OsStr::from_bytes(b"caf\xe9"),
    );
    let invalid_utf8 = Run::from_output(&invalid_utf8.output().unwrap()).exits_with(2);
    invalid_utf8
        .stderr_contains(&["cannot read the variable DOCKCTL_INPUT_PLAIN: it is not valid UTF-8"]);
    // The error for a value of the wrong type names its variable.
    let mut wrong = test.command(&["plan"]);
    wrong.env("DOCKCTL_INPUT_NUMBER", "seven");
    let wrong = Run::from_output(&wrong.env("DOCKCTL_INPUT_PIN", "1").output().unwrap());
    wrong
        .exits_with(3)
        .stderr_contains(&["DOCKCTL_INPUT_NUMBER=VALUE", "<environment>"]);
    with_inputs(test.command(&["uninstall"])).exits_with(0);
}

#[test]
fn every_command_reads_sensitive_mappings_from_the_environment() {
    let test = Test::in_memory("env-sensitive");
    let inputs = "
inputs:
  creds: {type: dict}
metadata: {dockctl: {sensitive: [creds]}}
";
    let container = "command: [sh, -c, 'echo got $PW; exec sleep 1000'], environment: {PW: {get_input: [creds, a]}}";
    test.blueprint(&(SLEEPER.replace("command: sleep 1000", container) + inputs));
    let run = |arguments: &[&str]| {
        let mut command = test.command(arguments);
        command.env("DOCKCTL_INPUT_CREDS", "{a: Topsecret-99}");
        Run::from_output(&command.output().unwrap()).exits_with(0)
    };
    run(&["install"]);
    let logs = run(&["logs"]);
    assert!(logs.stdout.contains("got ********"), "{}", logs.stdout);
    assert!(!logs.stderr.contains("warning"), "{}", logs.stderr);
    test.docker(&["rm", "-f", &test.name("web")]);
    run(&["heal"]);
    run(&["reinstall"]);
    run(&["uninstall"]);
}

#[test]
fn a_locale_without_utf_8_gets_ascii_signs() {
    let test = Test::in_memory("locale");
    let published = SLEEPER.replace(
        "command: sleep 1000",
        "command: sleep 1000, ports: [80], host_config: {port_bindings: {80: [127.0.0.1]}}",
    );
    test.blueprint(&published);
    test.run(&["install"]).exits_with(0);
    test.blueprint(&published.replace("sleep 1000", "sleep 1001"));
    let shown = |arguments: &[&str], locale: &[(&str, &str)]| {
        let mut command = test.command(arguments);
        let output = command.envs(locale.iter().copied()).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    for locale in [
        &[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")][..],
        &[("LC_CTYPE", "POSIX"), ("LANG", "C.UTF-8")],
        &[("LC_ALL", ""), ("LANG", "C")],
    ] {
        let plan = shown(&["plan"], locale);
        assert!(plan.contains("\n  * web_"), "{locale:?}: {plan}");
        assert!(plan.contains("1000\" -> \"sleep 1001\""), "{plan}");
        for command in [
            &["status"][..],
            &["plan"],
            &["inspect"],
            &["heal"],
            &["executions"],
        ] {
            let text = shown(command, locale);
            assert!(text.is_ascii(), "{locale:?}, {command:?}: {text}");
        }
    }
    for locale in [
        &[("LC_ALL", "C.UTF-8"), ("LANG", "C")][..],
        &[("LC_CTYPE", "de_DE.utf8"), ("LANG", "POSIX")],
        &[],
    ] {
        let plan = shown(&["plan"], locale);
        assert!(plan.contains("\n  ± web_"), "{locale:?}: {plan}");
    }
    test.run(&["uninstall"]).exits_with(0);
}
