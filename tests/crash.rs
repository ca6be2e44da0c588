//! Crash sweep: kills dockctl at each request to the engine, before or after the engine receives
//! it, and runs the same command again.
//!
//! Tries a sample of the points, most of them on an in-memory engine. With `DOCKCTL_SWEEP=all`
//! (`scripts/sweep`), tries all points on the machine's engine.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]
#![allow(
    clippy::print_stdout,
    reason = "the sweeps print how many points they tried"
)]

#[expect(dead_code, reason = "shared with other tests")]
mod support;
mod sweep;

use sweep::{CONTAINERS, Deed, HEAL, SCALE_IN, SCALE_OUT, Sweep, UPDATE, next::Next, proxy::Fault};

/// Runs a command that is killed at a request, and runs it again. Returns whether the first run was
/// killed, and the number of containers that both runs created.
fn killed(sweep: &Sweep, command: &str, at: usize, fault: Fault) -> (bool, usize) {
    sweep.proxy.arm(Some((at, fault)));
    let first = sweep.through_proxy(&[command]);
    sweep.proxy.disarm();
    if first.code != 0 {
        let again = sweep.through_proxy(&[command]);
        assert_eq!(
            again.code, 0,
            "second {command} after {fault:?} at request {at}:\n{}\n{}",
            first.stderr, again.stderr
        );
    }
    // Count late: the engine may respond to the killed run's request during the second run.
    (first.code != 0, sweep.created())
}

fn sweep(sweep: &Sweep, fault: Fault) {
    let (mut installs, mut uninstalls) = (0, 0);
    for at in Sweep::points(sweep.install, 6, fault) {
        let point = format!("{fault:?} at request {at} of the install");
        let (hit, created) = killed(sweep, "install", at, fault);
        assert_eq!(
            created, CONTAINERS,
            "{point}: each container is created once"
        );
        sweep.expect_installed(&point);
        let point = format!("{fault:?} at request {at} of the uninstall");
        let (down, created) = killed(sweep, "uninstall", at, fault);
        assert_eq!(created, 0, "{point}");
        sweep.expect_nothing(&point);
        installs += usize::from(hit);
        uninstalls += usize::from(down);
    }
    println!(
        "{fault:?}: {installs} points of an install of {} requests, {uninstalls} of an uninstall of {}",
        sweep.install, sweep.uninstall
    );
    assert!(
        installs >= 5 && uninstalls >= 3,
        "{installs} and {uninstalls} points"
    );
}

#[test]
fn a_run_killed_before_any_request_is_taken_up() {
    sweep(&Sweep::new("crash-before"), Fault::KillBefore);
}

#[test]
fn a_run_killed_after_any_request_is_taken_up() {
    // Only a real engine continues to work after a response that nobody reads.
    sweep(&Sweep::real("crash-after"), Fault::KillAfter);
}

/// Kills commands on an installed deployment before and after requests.
fn sweep_over(name: &str, deeds: &[Deed]) {
    let sweep = Sweep::new(name);
    sweep.direct(&["install"]).exits(0);
    for deed in deeds {
        let measured = sweep.measure(deed);
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let (mut points, mut hits) = (0, 0);
            for at in Sweep::points(measured.requests, 3, fault) {
                let (hit, created) = sweep.disturb(deed, &measured, at, fault);
                assert_eq!(
                    created, measured.created,
                    "{:?}, {fault:?} at request {at}: each container is created once",
                    deed.command
                );
                points += 1;
                hits += usize::from(hit);
            }
            println!(
                "{:?} of {} requests, {fault:?}: killed at {hits} of {points} points",
                deed.command, measured.requests
            );
            assert!(hits >= 1, "{:?}", deed.command);
        }
    }
    sweep.direct(&["uninstall"]).exits(0);
    sweep.expect_nothing("final uninstall");
}

#[test]
fn an_update_that_is_killed_is_taken_up() {
    sweep_over("crash-update", &[UPDATE]);
}

#[test]
fn scaling_and_healing_that_are_killed_are_taken_up() {
    sweep_over("crash-scale", &[SCALE_OUT, SCALE_IN, HEAL]);
}

#[test]
fn whatever_comes_after_an_update_that_was_killed_leaves_what_works() {
    let next = Next::new("crash-next");
    for fault in [Fault::KillBefore, Fault::KillAfter] {
        let points = next.sweep(fault, 2);
        println!("update with {fault:?}, then any command: {points} points");
        assert!(points >= 2);
    }
}
