//! Untrusted files: project files of a cloned repository, symbolic links, and files that a
//! blueprint refers to.

use crate::{
    docker::install::SLEEPER,
    support::{Run, Test},
};
use std::{fs, os::unix::fs::symlink};

fn run_with(test: &Test, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = test.command(arguments);
    Run::from_output(&command.envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn project_file_cannot_set_engines_or_files() {
    let test = Test::in_memory("project");
    test.blueprint(SLEEPER);
    test.write("victim", "precious");
    for (text, flag) in [
        ("host = 'tcp://203.0.113.1:2375'\n", "host"),
        ("context = 'other'\n", "context"),
        ("yes = true\n", "yes"),
        ("state-dir = 'state'\n", "state-dir"),
        ("secrets = ['/etc/shadow']\n", "secrets"),
        ("[graph]\nout = 'victim'\n", "out"),
        ("[uninstall]\nvolumes = true\n", "volumes"),
    ] {
        test.write("dockctl.toml", text);
        for command in [&["list"][..], &["graph"], &["uninstall"]] {
            let config = "dockctl/dockctl.toml";
            test.run(command)
                .exits_with(2)
                .stderr_contains(&[&format!("a project file cannot set `{flag}`"), config]);
        }
        // Commands about the program itself still work.
        for command in [
            &["--help"][..],
            &["list", "--help"],
            &["--version"],
            &["completions", "bash"],
            &["man"],
        ] {
            assert!(
                !test.run(command).exits_with(0).stdout.is_empty(),
                "{command:?}"
            );
        }
    }
    assert_eq!(fs::read_to_string(test.path("victim")).unwrap(), "precious");
    test.write("dockctl.toml", "ok = 1\nbroken = [ secret-words\n");
    let broken = test
        .run(&["list"])
        .exits_with(2)
        .stderr_contains(&["line 2"]);
    assert!(!broken.stderr.contains("secret-words"), "{}", broken.stderr);
    test.run(&["--version"]).exits_with(0);
    // A symbolic link could expose a file that only the user can read.
    fs::remove_file(test.path("dockctl.toml")).unwrap();
    symlink("/etc/passwd", test.path("dockctl.toml")).unwrap();
    let linked = test
        .run(&["list"])
        .exits_with(0)
        .stderr_contains(&["is ignored: it is a link"]);
    assert!(!linked.stderr.contains("root:"), "{}", linked.stderr);
}

/// The user's own file is never treated as a project file, under any spelling of its path.
#[test]
fn user_file_is_recognized_under_any_path() {
    let test = Test::in_memory("spelled");
    fs::create_dir_all(test.path("home/.config/dockctl")).unwrap();
    test.write("home/.config/dockctl/dockctl.toml", "yes = true\n");
    symlink(test.path("home"), test.path("link")).unwrap();
    let run = |base: String| {
        let mut command = test.command(&["list"]);
        command
            .env("XDG_CONFIG_HOME", base)
            .current_dir(test.path("home/.config/dockctl"));
        Run::from_output(&command.output().expect("start dockctl"))
    };
    for base in ["link/.config", "home/../home/.config"] {
        run(test.path(base).display().to_string()).exits_with(0);
    }
}

#[test]
fn user_file_sets_every_flag_and_environment_variables_override_it() {
    let test = Test::new("own");
    fs::create_dir_all(test.path("config/dockctl")).unwrap();
    test.write(
        "config/dockctl/dockctl.toml",
        "host = 'tcp://127.0.0.1:1'\n[list]\nall = true\n",
    );
    let config = test.path("config").display().to_string();
    let config = ("XDG_CONFIG_HOME", config.as_str());
    run_with(&test, &["list"], &[config])
        .exits_with(4)
        .stderr_contains(&["tcp://127.0.0.1:1"]);
    let real = ("DOCKER_HOST", "unix:///var/run/docker.sock");
    let listed = run_with(&test, &["list"], &[config, real]).exits_with(0);
    assert!(!listed.stderr.contains("127.0.0.1"), "{}", listed.stderr);
    run_with(&test, &["list", "--context", "nowhere"], &[config]).stderr_contains(&["nowhere"]);
    run_with(
        &test,
        &["list", "--host", "tcp://127.0.0.1:2"],
        &[config, real],
    )
    .stderr_contains(&["tcp://127.0.0.1:2"]);
}

#[test]
fn world_writable_state_directory_is_only_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let test = Test::in_memory("open-state");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    let mode =
        |mode| fs::set_permissions(test.path("state"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o777);
    for command in [&["status"][..], &["list"], &["executions"]] {
        test.run(command)
            .exits_with(0)
            .stderr_contains(&["another user may have modified the state directory"]);
    }
    for command in [&["uninstall"][..], &["restart", "web"], &["cancel"]] {
        let run = test.run(command);
        assert!(
            run.code != 0 || command[0] == "cancel",
            "{command:?}: {}",
            run.stdout
        );
        assert!(
            run.stderr.contains("it is world-writable"),
            "{command:?}: {}",
            run.stderr
        );
    }
    assert_eq!(test.containers(), ["PREFIX-web running"]);
    mode(0o700);
    // dockctl follows a symbolic link to the state directory, but not a link inside it.
    symlink(test.path("state"), test.path("link")).unwrap();
    let link = test.path("link").display().to_string();
    test.run(&["status", "--state-dir", &link, "--exit-code"])
        .exits_with(0);
    test.write("victim", "precious");
    let lock = test
        .path("state/deployments")
        .join(format!("{}.lock", test.prefix));
    fs::remove_file(&lock).unwrap();
    symlink(test.path("victim"), &lock).unwrap();
    test.run(&["uninstall"]).exits_with(1);
    assert_eq!(fs::read_to_string(test.path("victim")).unwrap(), "precious");
    fs::remove_file(&lock).unwrap();
    // Read-only commands need no key.
    fs::create_dir(test.path("empty")).unwrap();
    fs::set_permissions(test.path("empty"), fs::Permissions::from_mode(0o777)).unwrap();
    let empty = test.path("empty").display().to_string();
    let listed = test
        .run(&["list", "--all", "--state-dir", &empty])
        .exits_with(0);
    assert!(
        listed.stdout.contains(&test.prefix) && listed.stdout.contains("claimed"),
        "{}",
        listed.stdout
    );
    assert!(
        test.run(&["status", "--state-dir", &empty])
            .exits_with(0)
            .stdout
            .contains("PREFIX-web".replace("PREFIX", &test.prefix).as_str())
    );
    test.run(&["recover", &test.prefix, "--state-dir", &empty])
        .exits_with(1)
        .stderr_contains(&["it is world-writable"]);
    test.run(&["uninstall"]).exits_with(0);
    // dockctl does not wait for a named pipe.
    fs::remove_file(test.path("state/key")).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(test.path("state/key"))
            .status()
            .unwrap()
            .success()
    );
    test.run(&["plan"])
        .exits_with(1)
        .stderr_contains(&["not a regular file"]);
}

/// The author of a blueprint may lack access to files that the user can read: their content is not
/// printed.
#[test]
fn content_of_referenced_files_is_not_shown() {
    let test = Test::in_memory("named");
    let secret = "root:$6$salt$very.secret.hash:19000:0:99999:7:::\n";
    test.write("shadow", secret);
    test.write(
        "config.yaml",
        "password: very.secret.hash\nother: [very.secret.hash\n",
    );
    test.write("list.yaml", "- very.secret.hash\n");
    test.write(
        "types.yaml",
        "node_types:\n  a: {derived_from: very.public.name}\n",
    );
    for (name, code) in [("shadow", 3), ("config.yaml", 3), ("list.yaml", 3)] {
        for import in [name.to_owned(), format!("ns--{name}")] {
            let head = format!(
                "tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml, {import}]\n"
            );
            test.write("blueprint.yaml", &head);
            for form in ["text", "json", "sarif", "github"] {
                let run = test.run(&["validate", "--output", form]).exits_with(code);
                let output = format!("{}{}", run.stdout, run.stderr);
                assert!(
                    !output.contains("very.secret.hash") && !output.contains("salt"),
                    "{import} {form}: {output}"
                );
                assert!(
                    output.contains("is not a DSL file"),
                    "{import} {form}: {output}"
                );
            }
        }
    }
    let head = "tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml, types.yaml]\n";
    test.write("blueprint.yaml", head);
    test.run(&["validate"])
        .exits_with(3)
        .stderr_contains(&["very.public.name", "2 |   a: {derived_from"]);
    for name in ["shadow", "config.yaml"] {
        test.blueprint(&SLEEPER.replace("TARBALL", name));
        let run = test
            .run(&["install", "--task-retries", "0"])
            .exits_with(1)
            .stderr_contains(&["not a tarball"]);
        assert!(
            !run.stderr.contains("very.secret") && !run.stderr.contains("root:"),
            "{}",
            run.stderr
        );
        test.run(&["uninstall"]).exits_with(0);
    }
}

#[test]
fn broken_docker_cli_configuration_causes_a_warning() {
    let test = Test::in_memory("docker-config");
    fs::create_dir(test.path("docker")).unwrap();
    test.write(
        "docker/config.json",
        "{\"auths\": {\"x\": {\"auth\": \"very-secret\"",
    );
    let config = test.path("docker").display().to_string();
    let run = run_with(&test, &["list", "--all"], &[("DOCKER_CONFIG", &config)])
        .exits_with(0)
        .stderr_contains(&["the configuration of the Docker CLI is invalid"]);
    assert!(!run.stderr.contains("very-secret"));
    let refused = run_with(
        &test,
        &["list", "--all"],
        &[("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CONFIG", &config)],
    );
    refused.stderr_contains(&["DOCKER_TLS_VERIFY is set, but"]);
    test.run(&["status", "--host", "ssh://[-oProxyCommand=touch${IFS}x]"])
        .exits_with(4)
        .stderr_contains(&["missing or invalid host"]);
}
