//! `dockctl.toml`.

use crate::support::Test;

#[test]
fn config_file_sets_defaults_of_flags() {
    let test = Test::in_memory("config");
    test.write(
        "dockctl.toml",
        "output = \"json\"\n[install]\ntimeout = 60\n",
    );
    assert_eq!(test.run(&["list"]).exits_with(0).json()["kind"], "list");
    assert!(
        !test
            .run(&["list", "--output", "text"])
            .exits_with(0)
            .stdout
            .starts_with('{'),
        "a flag takes precedence over the file"
    );
    test.write("dockctl.toml", "ouput = \"json\"\n");
    test.run(&["list"]).exits_with(2).stderr_contains(&[
        "dockctl.toml cannot be used: there is no option `ouput`",
        "did you mean `output`?",
    ]);
}
