//! A crash sweep of groups: kills the command and the daemon at requests to the engine during a
//! commit that scales and updates, and tries again. The group must match its specification, and
//! nothing else may be left.

use super::{
    crash::Sweep,
    group_daemon::serve,
    groups::{group, members, sized, write},
};
use crate::{
    proxy::Fault,
    support::{Run, eventually},
};
use serde_json::Value as Json;
use std::env;

/// Every how many requests CI tries a point.
const SAMPLED: usize = 31;

impl Sweep {
    /// Returns the specification that a commit goes to: one commit adds an instance, the next one
    /// removes it, and both update.
    fn target(&self, round: u32) -> Json {
        sized(&self.test, 2 + round % 2, 1000 + round)
    }

    /// Checks that the group is the committed one, and nothing else is left.
    fn check_group(&self, round: u32, point: &str) {
        let (size, seconds) = (2 + round % 2, 1000 + round);
        let expected = (1..=size).map(|n| format!("PREFIX-{n} sleep {seconds} running"));
        let expected: Vec<String> = expected.collect();
        assert_eq!(members(&self.test), expected, "{point}");
        assert_eq!(self.test.containers().len(), expected.len(), "{point}");
        let described = group(&self.test, &["describe", "-q", &self.test.prefix]).exits_with(0);
        assert_eq!(described.stdout.lines().count(), expected.len(), "{point}");
    }

    /// Returns the points to try: a sample, or all with `DOCKCTL_SWEEP=all`.
    fn points(fault: Fault) -> impl Iterator<Item = usize> {
        let is_all = env::var("DOCKCTL_SWEEP").is_ok_and(|which| which == "all");
        let first = if fault == Fault::KillBefore { 1 } else { 4 };
        (first..).step_by(if is_all { 1 } else { SAMPLED })
    }
}

#[test]
fn command_killed_during_a_commit_is_completed_by_the_next() {
    let sweep = Sweep::new("ikg-kill");
    let (test, url) = (&sweep.test, sweep.proxy.address());
    let commit = |path: &str| {
        let mut command = test.command(&["group", "commit", path]);
        command.env("DOCKER_HOST", &url);
        command.env("INFRAKIT_PLUGINS_DIR", test.path("plugins"));
        let child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        sweep.proxy.set_kill_target(child.id());
        Run::from_output(&child.wait_with_output().unwrap())
    };
    let (mut tried, mut round) = (0, 0);
    assert_eq!(commit(&write(test, &sweep.target(round))).code, 0);
    for fault in [Fault::KillBefore, Fault::KillAfter] {
        for at in Sweep::points(fault) {
            round += 1;
            let path = write(test, &sweep.target(round));
            sweep.proxy.arm(Some((at, fault)));
            let killed = commit(&path).code != 0;
            sweep.proxy.arm(None);
            let point = format!("{fault:?} at request {at}");
            if killed {
                let again = commit(&path);
                assert_eq!(again.code, 0, "{point}: {}", again.stderr);
                tried += 1;
            }
            sweep.check_group(round, &point);
            if !killed {
                break;
            }
        }
    }
    assert!(tried >= 4, "{tried} points");
}

#[test]
fn daemon_killed_during_a_commit_completes_it_at_its_next_start() {
    let sweep = Sweep::new("ikg-daemon");
    let (test, url) = (&sweep.test, sweep.proxy.address());
    let (mut tried, mut round) = (0, 0);
    let serve = || {
        let served = serve(test, &["--url", &url]);
        served.await_log("the engine can be used");
        served
    };
    let mut served = serve();
    served.commit(&sweep.target(round));
    served.converged(&test.prefix);
    for fault in [Fault::KillBefore, Fault::KillAfter] {
        for at in Sweep::points(fault) {
            round += 1;
            let matching = "the group matches its specification";
            let before = served.log().matches(matching).count();
            served.commit(&sweep.target(round));
            sweep.proxy.arm(Some((at, fault)));
            sweep.proxy.set_kill_target(served.process.id());
            eventually("an end", || {
                let is_dead = served.process.try_wait().unwrap().is_some();
                let matches = served.log().matches(matching).count() > before;
                (is_dead || matches).then_some(())
            });
            sweep.proxy.arm(None);
            let was_killed = served.process.try_wait().unwrap().is_some();
            drop(served);
            served = serve();
            served.converged(&test.prefix);
            sweep.check_group(
                round,
                &format!("{fault:?} at request {at}: {}", served.log()),
            );
            if !was_killed {
                break;
            }
            tried += 1;
        }
    }
    assert!(tried >= 4, "{tried} points");
}
