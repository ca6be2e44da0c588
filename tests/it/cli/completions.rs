//! `dockctl completions` and `dockctl man`.

use crate::{cli::installed, support::Test};

#[test]
fn words_are_completed_from_what_there_is() {
    let test = installed("complete");
    let complete = |words: &[&str]| {
        let mut command = test.command(&[&["--", "dockctl"], words].concat());
        command
            .env("DOCKCTL_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (words.len()).to_string())
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
                .exits(0)
                .stdout
                .contains("DOCKCTL_COMPLETE"),
            "{shell}"
        );
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let test = Test::fake("man");
    let folder = test.path("man").display().to_string();
    test.run(&["man", "--out", &folder]).exits(0);
    let pages = std::fs::read_dir(&folder).unwrap().count();
    assert!(pages > 25, "{pages}");
    assert!(
        std::fs::read_to_string(test.path("man/dockctl-update.1"))
            .unwrap()
            .contains("start\\-first")
    );
    assert!(test.run(&["man"]).exits(0).stdout.starts_with(".ie"));
}
