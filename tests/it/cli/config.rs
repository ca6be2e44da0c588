//! `dockctl.toml`.

use crate::support::Test;

#[test]
fn a_file_sets_what_flags_are() {
    let test = Test::fake("config");
    test.write(
        "dockctl.toml",
        "output = \"json\"\n[install]\ntimeout = 60\n",
    );
    assert_eq!(test.run(&["list"]).exits(0).json()["kind"], "list");
    assert!(
        !test
            .run(&["list", "--output", "text"])
            .exits(0)
            .stdout
            .starts_with('{'),
        "a flag takes precedence over the file"
    );
    test.write("dockctl.toml", "ouput = \"json\"\n");
    test.run(&["list"]).exits(2).says(&[
        "dockctl.toml cannot be used: there is no flag `ouput`",
        "did you mean `output`?",
    ]);
}
