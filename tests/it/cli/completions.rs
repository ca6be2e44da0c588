//! `dockctl completions` and `dockctl man`.

use crate::{cli::installed_pair, support::Test};

#[test]
fn existing_names_are_completed() {
    let test = installed_pair("complete");
    let complete = |arguments: &[&str]| {
        let mut command = test.command(&[&["--", "dockctl"], arguments].concat());
        command
            .env("DOCKCTL_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (arguments.len()).to_string())
            .env("_CLAP_IFS", "\n")
            .env("_CLAP_COMPLETE_COMP_TYPE", "9");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(complete(&["inst"]).lines().any(|line| line == "install"));
    assert!(
        complete(&["status", "t-"])
            .lines()
            .any(|line| line == test.prefix)
    );
    assert!(
        complete(&["stop", "-d", &test.prefix, "w"])
            .lines()
            .any(|line| line == "web")
    );
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            test.run(&["completions", shell])
                .exits_with(0)
                .stdout
                .contains("DOCKCTL_COMPLETE"),
            "{shell}"
        );
    }
}

#[test]
fn manual_has_a_page_per_command() {
    let test = Test::in_memory("man");
    let directory = test.path("man").display().to_string();
    test.run(&["man", "--out", &directory]).exits_with(0);
    let pages = std::fs::read_dir(&directory).unwrap().count();
    assert!(pages > 25, "{pages}");
    assert!(
        std::fs::read_to_string(test.path("man/dockctl-update.1"))
            .unwrap()
            .contains("start\\-first")
    );
    assert!(test.run(&["man"]).exits_with(0).stdout.starts_with(".ie"));
}
