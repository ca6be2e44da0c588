//! Fault sweep: injects faults at each request to the engine. A command either succeeds or fails
//! with a clear error; run again, it reaches the same final state.
//!
//! Tries a sample of the points on an in-memory engine, except for engine restarts. With
//! `DOCKCTL_SWEEP=all` (`scripts/sweep`), tries all points on the machine's engine.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]
#![allow(
    clippy::print_stdout,
    reason = "the sweeps print how many points they tried"
)]

#[expect(dead_code, reason = "shared with other tests")]
mod support;
mod sweep;

use std::path::Path;
use support::{Test, private::Private};
use sweep::{CONTAINERS, Deed, HEAL, SCALE_IN, SCALE_OUT, Sweep, UPDATE, next::Next, proxy::Fault};

/// Number of points tried, and of those where the first run succeeded.
#[derive(Debug, Default)]
struct Tally {
    points: usize,
    unharmed: usize,
}

/// Tries one point: runs a command with a fault at a request, and again if it fails.
fn disturb(sweep: &Sweep, command: &str, at: usize, fault: Fault, tally: &mut Tally) {
    sweep.proxy.arm(Some((at, fault)));
    let run = sweep.through_proxy(&[command]);
    sweep.proxy.disarm();
    let point = format!("{command} with {fault:?} at request {at}");
    tally.points += usize::from(sweep.proxy.requests() >= at);
    tally.unharmed += usize::from(run.code == 0);
    if run.code != 0 {
        sweep.wait_for_engine();
        assert!(
            matches!(run.code, 1 | 4) && run.stderr.contains("error: "),
            "{point}: exit {}\n{}",
            run.code,
            run.stderr
        );
        let again = sweep.through_proxy(&[command]);
        assert_eq!(
            again.code, 0,
            "{point}, second run:\n{}\n{}",
            run.stderr, again.stderr
        );
    }
}

fn sweep_over(sweep: &Sweep, fault: Fault, sample: usize) {
    let (mut installs, mut uninstalls) = (Tally::default(), Tally::default());
    for at in Sweep::points(sweep.install.max(sweep.uninstall), sample, fault) {
        disturb(sweep, "install", at, fault, &mut installs);
        let point = format!("{fault:?} at request {at}");
        assert_eq!(
            sweep.created(),
            CONTAINERS,
            "{point} of the install: each container is created once"
        );
        sweep.expect_installed(&point);
        disturb(sweep, "uninstall", at, fault, &mut uninstalls);
        assert_eq!(sweep.created(), 0, "{point} of the uninstall");
        sweep.expect_nothing(&point);
    }
    println!(
        "{fault:?}: install ({} requests) {installs:?}, uninstall ({} requests) {uninstalls:?}",
        sweep.install, sweep.uninstall
    );
    assert!(
        installs.points >= 1 && uninstalls.points >= 1,
        "{installs:?} {uninstalls:?}"
    );
}

#[test]
fn connections_that_break() {
    let sweep = Sweep::new("cut");
    sweep_over(&sweep, Fault::ResetBefore, 3);
    sweep_over(&sweep, Fault::ResetAfter, 3);
}

#[test]
fn answers_that_are_none() {
    let sweep = Sweep::new("refused");
    sweep_over(&sweep, Fault::Status(500), 3);
    sweep_over(&sweep, Fault::Status(503), 2);
}

#[test]
fn answers_that_are_cut_off_or_never_come() {
    let sweep = Sweep::new("frozen");
    sweep_over(&sweep, Fault::Truncate, 2);
    sweep_over(&sweep, Fault::Freeze, 2);
}

/// Runs a command on an installed deployment with faults.
fn in_trouble(sweep: &Sweep, deed: &Deed, faults: &[Fault]) {
    sweep.direct(&["install"]).exits(0);
    let measured = sweep.measure(deed);
    for fault in faults {
        let points = Sweep::points(measured.requests, 1, *fault);
        assert!(
            points.iter().any(|at| *at <= measured.requests),
            "{:?}: no point for {fault:?}",
            deed.command
        );
        let hits = points
            .iter()
            .filter(|at| sweep.disturb(deed, &measured, **at, *fault).0)
            .count();
        println!(
            "{:?} of {} requests, {fault:?}: {} points, {hits} with a second run",
            deed.command,
            measured.requests,
            points.len()
        );
    }
    sweep.direct(&["uninstall"]).exits(0);
    sweep.expect_nothing("final uninstall");
}

/// Faults that the proxy in front of the engine can inject.
const FAULTS: [Fault; 6] = [
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::Status(500),
    Fault::Status(503),
    Fault::Truncate,
    Fault::Freeze,
];

#[test]
fn an_update_in_trouble() {
    in_trouble(&Sweep::new("fault-update"), &UPDATE, &FAULTS);
}

#[test]
fn scaling_out_in_trouble() {
    in_trouble(&Sweep::new("fault-out"), &SCALE_OUT, &FAULTS);
}

#[test]
fn scaling_in_in_trouble() {
    in_trouble(&Sweep::new("fault-in"), &SCALE_IN, &FAULTS);
}

#[test]
fn healing_in_trouble() {
    in_trouble(&Sweep::new("fault-heal"), &HEAL, &FAULTS);
}

#[test]
fn a_volume_that_an_engine_left_half_made() {
    let sweep = Sweep::new("torso");
    sweep.proxy.leave_half_made(&sweep.test.name("data"));
    let run = sweep.through_proxy(&["install"]).exits(0);
    assert!(run.stderr.contains("retrying"), "{}", run.stderr);
    sweep.expect_installed("a partial volume");
}

#[test]
fn an_engine_that_is_restarted() {
    let test = Test::new("restarted");
    let engine = Private::isolated(&test);
    let sweep = Sweep::on(
        "restart",
        Path::new(engine.socket.trim_start_matches("unix://")),
    );
    sweep.proxy.set_restart(engine.restart());
    sweep_over(&sweep, Fault::Restart, 2);
}

#[test]
fn commands_on_an_engine_that_is_restarted() {
    let test = Test::new("restarts");
    let engine = Private::isolated(&test);
    let sweep = Sweep::on(
        "restart-deeds",
        Path::new(engine.socket.trim_start_matches("unix://")),
    );
    sweep.proxy.set_restart(engine.restart());
    for deed in [UPDATE, SCALE_OUT, SCALE_IN, HEAL] {
        in_trouble(&sweep, &deed, &[Fault::Restart]);
    }
}

#[test]
fn whatever_comes_after_an_update_in_trouble_leaves_what_works() {
    let next = Next::new("fault-next");
    for fault in [Fault::ResetAfter, Fault::Status(500), Fault::Truncate] {
        let points = next.sweep(fault, 1);
        println!("update with {fault:?}, then any command: {points} points");
        assert!(points >= 1);
    }
}
