//! `dockctl exec`.

use crate::cli::installed_pair;
use std::process::Command;

#[test]
fn exec_returns_the_exit_code_of_the_command() {
    let test = installed_pair("exec");
    let run = test
        .run(&[
            "exec",
            "db",
            "--",
            "sh",
            "-c",
            "echo out; echo err >&2; exit 7",
        ])
        .exits_with(7);
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("out\n", "err\n")
    );
    let mut piped = test.command(&["exec", "-i", "web", "cat"]);
    let mut child = piped
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"through and back").unwrap();
    assert_eq!(
        String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout),
        "through and back"
    );
    assert_eq!(
        test.run(&[
            "exec",
            "-e",
            "X=1",
            "-w",
            "/tmp",
            "db",
            "sh",
            "-c",
            "echo $X $PWD"
        ])
        .exits_with(0)
        .stdout,
        "1 /tmp\n"
    );
    // exec ends when the reader closes the pipe, even if the command still writes.
    let script = "dockctl=$1; shift; \"$dockctl\" exec db -- sh -c 'while :; do echo more; done' | head -1; echo ${PIPESTATUS[0]}";
    let command = test.command(&[]);
    let mut shell = Command::new("timeout");
    shell.args(["20", "bash", "-c", script, "bash"]);
    shell.arg(command.get_program()).current_dir(test.path(""));
    shell.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    shell.env("DOCKCTL_DEPLOYMENT", &test.prefix);
    let output = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    assert_eq!(output, "more\n141\n");
    test.run(&["exec", "nope", "true"])
        .exits_with(125)
        .stderr_contains(&["there is no instance or node `nope`"]);
    test.run(&["scale", "web", "--to", "2"]).exits_with(0);
    test.run(&["exec", "web", "true"])
        .exits_with(125)
        .stderr_contains(&["several instances", "name one of them"]);
}
