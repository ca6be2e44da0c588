//! `dockctl exec`.

use crate::cli::installed;
use std::process::Command;

#[test]
fn commands_in_containers_end_as_they_end() {
    let test = installed("exec");
    let run = test
        .run(&[
            "exec",
            "db",
            "--",
            "sh",
            "-c",
            "echo out; echo err >&2; exit 7",
        ])
        .exits(7);
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
        .exits(0)
        .stdout,
        "1 /tmp\n"
    );
    // exec ends when the reader closes the pipe, even if the command still writes.
    let endless = "dockctl=$1; shift; \"$dockctl\" exec db -- sh -c 'while :; do echo more; done' | head -1; echo ${PIPESTATUS[0]}";
    let command = test.command(&[]);
    let mut shell = Command::new("timeout");
    shell.args(["20", "bash", "-c", endless, "bash"]);
    shell.arg(command.get_program()).current_dir(test.path(""));
    shell.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    shell.env("DOCKCTL_DEPLOYMENT", &test.prefix);
    let said = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    assert_eq!(said, "more\n141\n");
    test.run(&["exec", "nope", "true"])
        .exits(125)
        .says(&["there is no instance or node `nope`"]);
    test.run(&["scale", "web", "--to", "2"]).exits(0);
    test.run(&["exec", "web", "true"])
        .exits(125)
        .says(&["several instances", "name one of them"]);
}
