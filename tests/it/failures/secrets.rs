//! Secrets: their lookup, their use in containers, and their redaction everywhere else.

use crate::support::{Run, Test};
use std::os::unix::fs::PermissionsExt as _;
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

pub(crate) fn contains_text(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contains_text(&path, text)
        } else {
            fs::read(&path)
                .unwrap()
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        }
    })
}

#[test]
fn secret_appears_only_in_the_container() {
    let test = Test::in_memory("secret");
    test.blueprint(BLUEPRINT);
    fs::create_dir(test.path("mounted")).unwrap();
    test.write("mounted/password", &format!("{SECRET}\n"));
    test.write("mounted/pin", "7\n");
    let directory = test.path("mounted");
    let secrets = ["--secrets", directory.to_str().unwrap()];
    for command in [
        &["plan", "-v"][..],
        &["install", "-vv", "--progress", "plain"],
        &["status"],
        &["executions"],
        &["inspect", "--deploy"],
    ] {
        let run = test.run(&[command, &secrets].concat()).exits_with(0);
        assert!(
            !run.stdout.contains(SECRET) && !run.stderr.contains(SECRET),
            "{command:?}:\n{}{}",
            run.stdout,
            run.stderr
        );
    }
    let name = test.name("web");
    let environment = test.docker(&["inspect", "--format", "{{json .Config.Env}}", &name]);
    assert!(
        environment.contains(&format!("PASSWORD={SECRET}"))
            && environment.contains(&format!("http://root:{SECRET}@db")),
        "{environment}"
    );
    assert!(
        !test
            .docker(&["inspect", "--format", "{{json .Config.Labels}}", &name])
            .contains(SECRET)
    );
    assert!(
        !contains_text(&test.path("state"), SECRET),
        "the state directory contains the secret"
    );
    // `outputs` prints an output that contains a secret, but redacts the secret.
    let run = test.run(&["outputs", secrets[0], secrets[1]]).exits_with(0);
    assert_eq!(run.stdout, "url: http://root:********@db\npin: ********\n");
    test.run(&["uninstall", "--yes", secrets[0], secrets[1]])
        .exits_with(0);
}

#[test]
fn missing_secret_is_reported_before_any_change() {
    let test = Test::in_memory("nosecret");
    test.blueprint(BLUEPRINT);
    test.run(&["install"]).exits_with(3).stderr_contains(&[
        "error[D0098]",
        "there is no secret `password`",
        "DOCKCTL_SECRET_PASSWORD",
    ]);
    test.run(&["validate"]).exits_with(0);
}

#[test]
fn sensitive_input_is_stored_as_a_digest_and_must_be_passed_again() {
    let test = Test::in_memory("sensitive");
    let inputs = "metadata: {dockctl: {sensitive: [password]}}\ninputs: {password: {}, color: {default: red}}";
    let body = BLUEPRINT
        .replace("{get_secret: password}", "{get_input: password}")
        .replace("  pin: {value: {get_secret: pin}}\n", "");
    test.blueprint(&format!("{inputs}{body}"));
    let given = format!("password={SECRET}");
    test.run(&["install", "-i", &given]).exits_with(0);
    assert!(test.inspect("web", "{{json .Config.Env}}").contains(SECRET));
    assert!(!contains_text(&test.path("state"), SECRET));
    let shown = test.run(&["outputs"]).exits_with(0).stdout;
    assert!(!shown.contains(SECRET), "{shown}");
    test.run(&["install"]).exits_with(3).stderr_contains(&[
        "the value of the sensitive input `password` is not stored",
        "-i password=",
    ]);
    test.run(&["install", "-i", &given]).exits_with(0);
    test.run(&["plan", "--exit-code", "-i", &given])
        .exits_with(0);
    let other = test
        .run(&["install", "-i", "password=another-one-entirely"])
        .exits_with(6);
    assert!(
        !other.stderr.contains("another-one-entirely"),
        "{}",
        other.stderr
    );
    test.run(&["uninstall"]).exits_with(0);
}

#[test]
fn new_value_of_a_secret_is_a_change() {
    const OTHER: &str = "another-one-entirely";
    let test = Test::in_memory("rotated");
    test.blueprint(BLUEPRINT);
    let run = |value: &str, arguments: &[&str]| {
        let mut command = test.command(arguments);
        Run::from_output(
            &command
                .env("DOCKCTL_SECRET_PASSWORD", value)
                .env("DOCKCTL_SECRET_PIN", "7")
                .output()
                .unwrap(),
        )
    };
    run(SECRET, &["install"]).exits_with(0);
    run(SECRET, &["plan", "--exit-code"]).exits_with(0);
    let plan = run(OTHER, &["plan", "--exit-code"]).exits_with(6);
    assert!(
        plan.stdout.contains(
            "recreate: its definition changed\n      secrets.password: changed (sensitive)\n"
        ),
        "{}",
        plan.stdout
    );
    run(OTHER, &["install"])
        .exits_with(6)
        .stderr_contains(&["nodes.web.secrets.password: changed (sensitive)"]);
    run(OTHER, &["update"]).exits_with(0);
    assert!(
        test.inspect("web", "{{json .Config.Env}}")
            .contains(&format!("PASSWORD={OTHER}"))
    );
    run(OTHER, &["plan", "--exit-code"]).exits_with(0);
    run(OTHER, &["status", "--exit-code"]).exits_with(0);
    assert!(
        !contains_text(&test.path("state"), SECRET) && !contains_text(&test.path("state"), OTHER)
    );
    run(OTHER, &["uninstall"]).exits_with(0);
}

/// Blueprint with sensitive inputs of every type, used as a whole, in part, and in functions.
const TYPED: &str = "
metadata: {dockctl: {sensitive: [pin, flag, password, creds, words, spare]}}
inputs:
  pin: {type: integer}
  flag: {type: boolean}
  password: {}
  creds: {}
  words: {}
  spare: {default: 47110815}
  derived: {default: {concat: [x, {get_input: password}]}}
node_templates:
  web:
    type: cloudify.docker.Container
    properties: {name: PREFIX-web, image: {src: TARBALL, repository: PREFIX-img}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          inputs:
            params:
              command: [sleep, '1000']
              environment:
                PIN: {get_input: pin}
                FLAG: {get_input: flag}
                UPPER: {string_upper: {get_input: password}}
                JOINED: {concat: ['pw=', {get_input: password}, ';pin=', {get_input: pin}]}
                USER: {get_input: [creds, user]}
                PORT: {get_input: [creds, ports, 1]}
                WORD: {get_input: [words, 0]}
                SPARE: {get_input: spare}
                DERIVED: {get_input: derived}
        stop: {inputs: {params: {timeout: 0}}}
outputs:
  pin: {value: {get_input: pin}}
  upper: {value: {string_upper: {get_input: password}}}
  creds: {value: {get_input: creds}}
";

/// Returns the content of the journal files as text.
fn journal(test: &Test) -> String {
    let at = |ending: &str| {
        test.path("state/deployments")
            .join(format!("{}.db{ending}", test.prefix))
    };
    let files = [at(""), at("-wal")]
        .into_iter()
        .filter_map(|path| std::fs::read(path).ok());
    files
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

const INPUTS: [&str; 5] = [
    "pin=8364",
    "flag=true",
    "password=glass-horse",
    "creds:={user: bo, ports: [1, 7391]}",
    "words:=[zyx, paper-boat-9]",
];

/// Asserts that no text contains a sensitive value. Each text has a description.
fn assert_redacted(all: &[(String, String)]) {
    let secrets = [
        "8364",
        "glass-horse",
        "GLASS-HORSE",
        "7391",
        "zyx",
        "paper-boat-9",
        "47110815",
    ];
    for (what, text) in all {
        // IDs, times and paths may contain a value by chance: ignore matches inside words.
        for secret in secrets {
            let is_bare = |at: usize| {
                let is_boundary = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
                is_boundary(text[..at].chars().next_back())
                    && is_boundary(text[at + secret.len()..].chars().next())
            };
            assert!(
                !text.match_indices(secret).any(|(at, _)| is_bare(at)),
                "{what} contains {secret}"
            );
        }
    }
}

/// Environment of the container of `TYPED` with the inputs `INPUTS`.
const EXPECTED_ENVIRONMENT: [&str; 9] = [
    "PIN=8364",
    "FLAG=True",
    "UPPER=GLASS-HORSE",
    "JOINED=pw=glass-horse;pin=8364",
    "USER=bo",
    "PORT=7391",
    "WORD=zyx",
    "SPARE=47110815",
    "DERIVED=xglass-horse",
];

/// Returns everything that dockctl stores and prints about a deployment, each with a description.
fn stored_and_printed(test: &Test, plan: &Path, given: &[&'static str]) -> Vec<(String, String)> {
    let with = |arguments: &[&'static str]| [arguments, given].concat();
    let shown = |arguments: &[&str]| {
        let run = test.run(arguments);
        run.stdout + &run.stderr
    };
    let mut all = vec![
        ("journal".to_owned(), journal(test)),
        (
            "plan file".to_owned(),
            std::fs::read_to_string(plan).unwrap(),
        ),
    ];
    for arguments in [
        with(&["plan", "--output", "json", "--steps"]),
        with(&["inspect", "--deploy", "--output", "json"]),
        with(&["inspect", "--deploy"]),
        vec!["inspect", "--output", "json"],
        vec!["outputs", "--output", "json"],
        vec!["outputs"],
        vec!["status", "--output", "json"],
        vec!["executions", "--output", "json"],
        with(&["validate", "--output", "json"]),
    ] {
        all.push((arguments.join(" "), shown(&arguments)));
    }
    all
}

#[test]
fn sensitive_inputs_of_every_type_are_withheld() {
    let test = Test::in_memory("typed");
    test.blueprint(TYPED);
    let given = INPUTS.map(|input| ["-i", input]).concat();
    let with = |arguments: &[&'static str]| [arguments, &given[..]].concat();
    let out = test.path("plan.json");
    std::fs::write(&out, "old content of a world-readable file").unwrap();
    test.run(&with(&["plan", "--out", "plan.json"]))
        .exits_with(0);
    test.run(&with(&[
        "install",
        "--plan",
        "plan.json",
        "--verbose",
        "--verbose",
    ]))
    .exits_with(0);
    let env = test.inspect("web", "{{json .Config.Env}}");
    for entry in EXPECTED_ENVIRONMENT {
        assert!(env.contains(&format!("\"{entry}\"")), "{entry}: {env}");
    }
    assert!(
        test.run(&with(&["install"]))
            .exits_with(0)
            .stdout
            .contains("up to date")
    );
    // Nothing stored or printed contains a sensitive value.
    assert_redacted(&stored_and_printed(&test, &out, &given));
    assert_eq!(
        std::fs::metadata(&out).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // Values of every type can be passed again for a run.
    let again = [
        "-i",
        "spare:=47110815",
        "-i",
        "creds:={ports: [1, 7391], user: bo}",
    ];
    let reinstall = [&["reinstall", "web", "--yes"], &given[..], &again].concat();
    test.run(&reinstall).exits_with(0);
    assert_eq!(test.inspect("web", "{{json .Config.Env}}"), env);
    // A new value is a change.
    let other: Vec<&str> = with(&["install"])
        .iter()
        .map(|word| {
            if *word == "pin=8364" {
                "pin=8365"
            } else {
                word
            }
        })
        .collect();
    let differs = test.run(&other).exits_with(6);
    assert!(!format!("{}{}", differs.stdout, differs.stderr).contains("836"));
    test.run(&["uninstall"]).exits_with(0);
}

/// Errors about a sensitive value show neither the value nor the line that contains it.
#[test]
fn errors_about_sensitive_values_do_not_show_them() {
    let test = Test::in_memory("faults-hidden");
    let head = "metadata: {dockctl: {sensitive: [pin, password, creds]}}\ninputs:\n";
    let nodes = "node_templates:\n  a: {type: cloudify.nodes.Root, properties: {}}\noutputs:\n  b: {value: {string_find: [{get_input: password}, {get_input: creds}]}}\n";
    let inputs = "  pin: {type: integer, constraints: [{in_range: [1, 5]}]}\n  password: {type: string, constraints: [{max_length: 3}]}\n  creds: {default: x}\n";
    test.blueprint(&format!("{head}{inputs}{nodes}"));
    test.write("inputs.yaml", "pin: 8364\npassword: hunter2\n");
    for given in [
        vec!["-i", "pin=8364", "-i", "password=hunter2"],
        vec!["-i", "pin:=8364", "-i", "password:=[hunter2"],
        vec!["-i", "inputs.yaml"],
        vec!["-i", "pin=hunter2", "-i", "password:=[hunter2, 8364]"],
    ] {
        for form in [
            &["--output", "json"][..],
            &[],
            &["--output", "github"],
            &["--output", "sarif"],
        ] {
            let run = test
                .run(&[&["validate"], &given[..], form].concat())
                .exits_with(3);
            let output = format!("{}{}", run.stdout, run.stderr);
            assert!(
                !output.contains("hunter2") && !output.contains("8364"),
                "{given:?} {form:?}:\n{output}"
            );
            assert!(
                output.contains("sensitive input"),
                "{given:?} {form:?}:\n{output}"
            );
        }
    }
    // A default value is part of the blueprint.
    let inputs = "  pin: {type: integer, default: 8364, constraints: [{in_range: [1, 5]}]}\n  password: {default: hunter2, constraints: [{max_length: 3}]}\n  creds: {type: dict, default: {user: hunter2}, constraints: [{max_length: 0}]}\n";
    test.blueprint(&format!("{head}{inputs}{nodes}"));
    for command in [
        &["validate"][..],
        &["validate", "--output", "json"],
        &["inspect", "--deploy"],
        &["install"],
    ] {
        let run = test.run(command).exits_with(3);
        let output = format!("{}{}", run.stdout, run.stderr);
        assert!(
            !output.contains("hunter2") && !output.contains("8364"),
            "{command:?}:\n{output}"
        );
    }
}

/// Errors in input arguments and files do not quote the input if it is sensitive or may be
/// sensitive.
#[test]
fn inputs_that_may_be_sensitive_are_not_quoted() {
    let test = Test::in_memory("not-quoted");
    let head = "metadata: {dockctl: {sensitive: [password, creds]}}
data_types:
  account: {properties: {user: {type: string, required: false}, port: {type: integer, required: false}}}
inputs:
  password: {default: ''}
  creds: {type: account, default: {}}
";
    let nodes = "node_templates:\n  a: {type: cloudify.nodes.Root, properties: {}}\n";
    test.write("broken.yaml", "password: hunter2: x\n");
    test.write("escape.yaml", "password: \"hunter2\\q\"\n");
    test.write("alias.yaml", "password: hunter2\ncreds: *hunter2\n");
    test.write("typo.yaml", "{passwrd: hunter2}\n");
    let cases = [
        vec!["-i", "passwrd=hunter2"],
        vec!["-i", "passwrd:=[hunter2, 1]"],
        vec!["-i", "creds:={user: hunter2, port: hunter2}"],
        vec!["-i", "creds:={hunter2: 1}"],
        vec!["-i", "creds:={user: {get_input: hunter2}, port: x}"],
        vec!["-i", "broken.yaml"],
        vec!["-i", "escape.yaml"],
        vec!["-i", "alias.yaml"],
        vec!["-i", "typo.yaml"],
    ];
    let expect = |given: &[&str], command: &str| {
        for form in [
            &["--output", "json"][..],
            &[],
            &["--output", "github"],
            &["--output", "sarif"],
        ] {
            if command != "validate" && form.last().is_some_and(|form| *form != "json") {
                continue;
            }
            let run = test.run(&[&[command], given, form].concat());
            let output = format!("{}{}", run.stdout, run.stderr);
            assert!(
                run.code == 3 && !output.contains("hunter2"),
                "{command} {given:?} {form:?} {}:\n{output}",
                run.code
            );
        }
    };
    test.blueprint(&format!("{head}{nodes}"));
    for command in ["validate", "plan", "install"] {
        for given in &cases {
            expect(given, command);
        }
    }
    // The declared inputs of an unreadable blueprint are unknown.
    test.blueprint(&format!("{head}{nodes}x: [unclosed\n"));
    let output = test
        .run(&["validate", "-i", "password=hunter2"])
        .exits_with(3);
    assert!(
        !output.stderr.contains("declares no input"),
        "{}",
        output.stderr
    );
    for given in [
        vec!["-i", "password=hunter2"],
        vec!["-i", "password:=[hunter2]"],
        vec!["-i", "typo.yaml"],
        vec!["-i", "broken.yaml"],
    ] {
        for command in ["validate", "plan"] {
            expect(&given, command);
        }
    }
    // Without sensitive inputs, the error quotes the input.
    test.blueprint(&format!("inputs: {{port: {{type: integer}}}}\n{nodes}"));
    test.run(&["validate", "-i", "port=many"])
        .exits_with(3)
        .stderr_contains(&["-i port=many"]);
}

/// Values that functions compute from a sensitive input are also redacted, in container logs and in
/// outputs.
#[test]
fn values_computed_from_sensitive_inputs_are_redacted() {
    let test = Test::in_memory("derived");
    test.blueprint(
        "
metadata: {dockctl: {sensitive: [password, creds]}}
inputs: {password: {}, creds: {default: {}}}
node_templates:
  web:
    type: cloudify.docker.Container
    properties: {name: PREFIX-web, image: {src: TARBALL, repository: PREFIX-img}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          inputs:
            params:
              command: sh -c 'echo $PLAIN $UPPER $JOINED; exit 3'
              environment:
                PLAIN: {get_input: password}
                UPPER: {string_upper: {get_input: password}}
                JOINED: {concat: [aa, {string_lower: {get_input: password}}]}
        start: {inputs: {processes_to_wait_for: [nothing], retry_interval: 0.1}}
outputs:
  found: {value: {string_find: [{get_input: password}, Word]}}
  part: {value: {string_split: [{get_input: password}, '-', 1]}}
  joined: {value: {concat: [x-, {string_upper: {get_input: password}}]}}
",
    );
    let given = [
        "-i",
        "password=Glass-Word-One",
        "-i",
        "creds:={a: paper-boat-9}",
    ];
    let run = test
        .run(&[&["install", "--task-retries", "0"], &given[..]].concat())
        .exits_with(1)
        .stderr_contains(&["********"]);
    let logs = test.run(&[&["logs"], &given[..]].concat()).exits_with(0);
    assert!(logs.stdout.contains("********"), "{}", logs.stdout);
    let outputs = test.run(&["outputs", "--output", "json"]).exits_with(0);
    for text in [&run.stderr, &run.stdout, &logs.stdout, &outputs.stdout] {
        let lowercase = text.to_lowercase();
        assert!(
            !lowercase.contains("glass-word") && !lowercase.contains("paper-boat"),
            "{text}"
        );
    }
    let outputs = &outputs.json()["outputs"];
    assert_eq!(outputs["joined"], "x-********");
    for name in ["found", "part"] {
        assert_eq!(outputs[name], "********", "{outputs}");
    }
    // Unreadable inputs are not ignored: without their values, nothing could be redacted.
    test.write("bad.yaml", "password: [unclosed\n");
    for wrong in ["bad.yaml", "password:=[unclosed"] {
        let run = test
            .run(&["logs", "-i", wrong])
            .exits_with(2)
            .stderr_contains(&["cannot parse the inputs as YAML"]);
        assert!(run.stdout.is_empty(), "{}", run.stdout);
        test.run(&["uninstall", "-i", wrong]).exits_with(2);
    }
    test.run(&[&["uninstall"], &given[..]].concat())
        .exits_with(0);
}
