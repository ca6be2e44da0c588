//! `heal --watch` on real engines, whose events differ.

use crate::{
    docker::install::SLEEPER,
    support::{Test, docker, eventually},
};
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A process that is killed at the end of the test.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asserts that a watch of an installed deployment restarts a container whose process was killed,
/// and ignores one that a user stopped.
pub(crate) fn assert_watches(test: &Test, mut watch: Command, docker: &dyn Fn(&[&str]) -> String) {
    let log = test.path("watch.log");
    watch
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap());
    let _watch = KillOnDrop(watch.spawn().unwrap());
    let text = || fs::read_to_string(&log).unwrap();
    eventually("the watch", || {
        text().contains("watching 1 container").then_some(())
    });
    std::thread::sleep(Duration::from_millis(700));
    let name = test.name("web");
    let inspect = |what: &str| docker(&["inspect", "-f", what, &name]);
    let pid: u32 = inspect("{{.State.Pid}}").parse().unwrap();
    assert!(pid > 1, "{}", inspect("{{json .State}}"));
    let mut kill = Command::new("kill");
    let killed = kill.args(["-KILL", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    eventually("the repair", || {
        (text().contains("repaired: web_") && inspect("{{.State.Running}}") == "true").then_some(())
    });
    docker(&["stop", "-t", "0", &name]);
    eventually("the stop", || {
        text().contains("was stopped by a user").then_some(())
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(inspect("{{.State.Running}}"), "false", "{}", text());
}

#[test]
fn watch_restarts_dead_containers_and_ignores_stopped_ones() {
    let test = Test::new("watched");
    test.blueprint(SLEEPER);
    test.run(&["install"]).exits_with(0);
    let watch = test.command(&["heal", "--watch", "--cool-down", "0.1"]);
    assert_watches(&test, watch, &docker);
}
