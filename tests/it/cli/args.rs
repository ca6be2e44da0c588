//! Help texts of all commands.

use crate::support::Test;
use std::process::Command;

#[test]
fn help_of_every_command_has_examples() {
    let test = Test::in_memory("help");
    // Cleared because help shows the values of environment variables.
    let help_of = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockctl"));
        command
            .args(arguments)
            .current_dir(test.directory.path())
            .env_clear();
        crate::support::Run::from_output(&command.output().unwrap())
            .exits_with(0)
            .stdout
    };
    let overview = help_of(&["--help"]);
    let commands = overview
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let names: Vec<&str> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    let mut all = overview.clone();
    for name in names.iter().filter(|name| **name != "help") {
        let help = help_of(&[name, "--help"]);
        assert!(
            help.contains("Example"),
            "the help of {name} has no example"
        );
        all += &format!(
            "\n=== {name}\n\n{}",
            help.split("\nGlobal options:").next().unwrap()
        );
    }
    assert!(names.len() > 28, "{names:?}");
    insta::assert_snapshot!("help", all);
}
