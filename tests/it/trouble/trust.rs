//! Untrusted files: project files of a cloned repository, symbolic links, and files that a
//! blueprint refers to.

use crate::{
    docker::install::SLEEPER,
    support::{Run, Test},
};
use std::{fs, os::unix::fs::symlink};

fn with(test: &Test, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = test.command(arguments);
    Run::of(&command.envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn a_project_chooses_no_engine_and_no_file() {
    let test = Test::fake("project");
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
            let own = "dockctl/dockctl.toml";
            test.run(command)
                .exits(2)
                .says(&[&format!("a project file cannot set `{flag}`"), own]);
        }
        // Commands about the program itself still work.
        for command in [
            &["--help"][..],
            &["list", "--help"],
            &["--version"],
            &["completions", "bash"],
            &["man"],
        ] {
            assert!(!test.run(command).exits(0).stdout.is_empty(), "{command:?}");
        }
    }
    assert_eq!(fs::read_to_string(test.path("victim")).unwrap(), "precious");
    test.write("dockctl.toml", "ok = 1\nbroken = [ secret-words\n");
    let broken = test.run(&["list"]).exits(2).says(&["line 2"]);
    assert!(!broken.stderr.contains("secret-words"), "{}", broken.stderr);
    test.run(&["--version"]).exits(0);
    // A symbolic link could expose a file that only the user can read.
    fs::remove_file(test.path("dockctl.toml")).unwrap();
    symlink("/etc/passwd", test.path("dockctl.toml")).unwrap();
    let linked = test
        .run(&["list"])
        .exits(0)
        .says(&["is ignored: it is a link"]);
    assert!(!linked.stderr.contains("root:"), "{}", linked.stderr);
}

/// The user's own file is never treated as a project file, under any spelling of its path.
#[test]
fn the_users_own_file_is_known_by_any_path() {
    let test = Test::fake("spelled");
    fs::create_dir_all(test.path("home/.config/dockctl")).unwrap();
    test.write("home/.config/dockctl/dockctl.toml", "yes = true\n");
    symlink(test.path("home"), test.path("link")).unwrap();
    let run = |base: String| {
        let mut command = test.command(&["list"]);
        command
            .env("XDG_CONFIG_HOME", base)
            .current_dir(test.path("home/.config/dockctl"));
        Run::of(&command.output().expect("start dockctl"))
    };
    for base in ["link/.config", "home/../home/.config"] {
        run(test.path(base).display().to_string()).exits(0);
    }
}

#[test]
fn the_users_own_file_sets_everything_and_the_environment_beats_it() {
    let test = Test::new("own");
    fs::create_dir_all(test.path("config/dockctl")).unwrap();
    test.write(
        "config/dockctl/dockctl.toml",
        "host = 'tcp://127.0.0.1:1'\n[list]\nall = true\n",
    );
    let config = test.path("config").display().to_string();
    let own = ("XDG_CONFIG_HOME", config.as_str());
    with(&test, &["list"], &[own])
        .exits(4)
        .says(&["tcp://127.0.0.1:1"]);
    let real = ("DOCKER_HOST", "unix:///var/run/docker.sock");
    let listed = with(&test, &["list"], &[own, real]).exits(0);
    assert!(!listed.stderr.contains("127.0.0.1"), "{}", listed.stderr);
    with(&test, &["list", "--context", "nowhere"], &[own]).says(&["nowhere"]);
    with(
        &test,
        &["list", "--host", "tcp://127.0.0.1:2"],
        &[own, real],
    )
    .says(&["tcp://127.0.0.1:2"]);
}

#[test]
fn a_state_folder_for_all_is_read_and_not_written() {
    use std::os::unix::fs::PermissionsExt as _;
    let test = Test::fake("open-state");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits(0);
    let mode =
        |mode| fs::set_permissions(test.path("state"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o777);
    for command in [&["status"][..], &["list"], &["executions"]] {
        test.run(command)
            .exits(0)
            .says(&["another user may have modified the state directory"]);
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
        .exits(0);
    test.write("victim", "precious");
    let lock = test
        .path("state/deployments")
        .join(format!("{}.lock", test.prefix));
    fs::remove_file(&lock).unwrap();
    symlink(test.path("victim"), &lock).unwrap();
    test.run(&["uninstall"]).exits(1);
    assert_eq!(fs::read_to_string(test.path("victim")).unwrap(), "precious");
    fs::remove_file(&lock).unwrap();
    // Read-only commands need no key.
    fs::create_dir(test.path("empty")).unwrap();
    fs::set_permissions(test.path("empty"), fs::Permissions::from_mode(0o777)).unwrap();
    let empty = test.path("empty").display().to_string();
    let listed = test.run(&["list", "--all", "--state-dir", &empty]).exits(0);
    assert!(
        listed.stdout.contains(&test.prefix) && listed.stdout.contains("claimed"),
        "{}",
        listed.stdout
    );
    assert!(
        test.run(&["status", "--state-dir", &empty])
            .exits(0)
            .stdout
            .contains("PREFIX-web".replace("PREFIX", &test.prefix).as_str())
    );
    test.run(&["recover", &test.prefix, "--state-dir", &empty])
        .exits(1)
        .says(&["it is world-writable"]);
    test.run(&["uninstall"]).exits(0);
    // dockctl does not wait for a named pipe.
    fs::remove_file(test.path("state/key")).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(test.path("state/key"))
            .status()
            .unwrap()
            .success()
    );
    test.run(&["plan"]).exits(1).says(&["not a regular file"]);
}

/// The author of a blueprint may lack access to files that the user can read: their content is not
/// printed.
#[test]
fn what_a_blueprint_merely_names_is_not_shown() {
    let test = Test::fake("named");
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
                let run = test.run(&["validate", "--output", form]).exits(code);
                let said = format!("{}{}", run.stdout, run.stderr);
                assert!(
                    !said.contains("very.secret.hash") && !said.contains("salt"),
                    "{import} {form}: {said}"
                );
                assert!(
                    said.contains("is not a DSL file"),
                    "{import} {form}: {said}"
                );
            }
        }
    }
    let head = "tosca_definitions_version: cloudify_dsl_1_3\nimports: [cloudify/types/types.yaml, types.yaml]\n";
    test.write("blueprint.yaml", head);
    test.run(&["validate"])
        .exits(3)
        .says(&["very.public.name", "2 |   a: {derived_from"]);
    for name in ["shadow", "config.yaml"] {
        test.blueprint(&SLEEPER.replace("TARBALL", name));
        let run = test
            .run(&["install", "--task-retries", "0"])
            .exits(1)
            .says(&["not a tarball"]);
        assert!(
            !run.stderr.contains("very.secret") && !run.stderr.contains("root:"),
            "{}",
            run.stderr
        );
        test.run(&["uninstall"]).exits(0);
    }
}

#[test]
fn a_broken_configuration_of_the_docker_command_is_a_warning() {
    let test = Test::fake("docker-config");
    fs::create_dir(test.path("docker")).unwrap();
    test.write(
        "docker/config.json",
        "{\"auths\": {\"x\": {\"auth\": \"very-secret\"",
    );
    let config = test.path("docker").display().to_string();
    let run = with(&test, &["list", "--all"], &[("DOCKER_CONFIG", &config)])
        .exits(0)
        .says(&["the configuration of the Docker CLI is invalid"]);
    assert!(!run.stderr.contains("very-secret"));
    let refused = with(
        &test,
        &["list", "--all"],
        &[("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CONFIG", &config)],
    );
    refused.says(&["DOCKER_TLS_VERIFY is set, but"]);
    test.run(&["status", "--host", "ssh://[-oProxyCommand=touch${IFS}x]"])
        .exits(4)
        .says(&["missing or invalid host"]);
}
