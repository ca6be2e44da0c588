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
use support::{Test, private_engine::PrivateEngine};
use sweep::{
    CONTAINERS, HEAL, SCALE_IN, SCALE_OUT, Scenario, Sweep, UPDATE, next_command::NextCommandSweep,
    proxy::Fault,
};

/// Number of points tried, and of those where the first run succeeded.
#[derive(Debug, Default)]
struct Tally {
    points: usize,
    succeeded: usize,
}

/// Tries one point: runs a command with a fault at a request, and again if it fails.
fn try_point(sweep: &Sweep, command: &str, at: usize, fault: Fault, tally: &mut Tally) {
    sweep.proxy.arm(Some((at, fault)));
    let run = sweep.run_through_proxy(&[command]);
    sweep.proxy.disarm();
    let point = format!("{command} with {fault:?} at request {at}");
    tally.points += usize::from(sweep.proxy.requests() >= at);
    tally.succeeded += usize::from(run.code == 0);
    if run.code != 0 {
        sweep.wait_for_engine();
        assert!(
            matches!(run.code, 1 | 4) && run.stderr.contains("error: "),
            "{point}: exit {}\n{}",
            run.code,
            run.stderr
        );
        let again = sweep.run_through_proxy(&[command]);
        assert_eq!(
            again.code, 0,
            "{point}, second run:\n{}\n{}",
            run.stderr, again.stderr
        );
    }
}

fn sweep_install_and_uninstall(sweep: &Sweep, fault: Fault, sample: usize) {
    let (mut installs, mut uninstalls) = (Tally::default(), Tally::default());
    for at in Sweep::points(sweep.install.max(sweep.uninstall), sample, fault) {
        try_point(sweep, "install", at, fault, &mut installs);
        let point = format!("{fault:?} at request {at}");
        assert_eq!(
            sweep.created_containers(),
            CONTAINERS,
            "{point} of the install: each container is created once"
        );
        sweep.expect_installed(&point);
        try_point(sweep, "uninstall", at, fault, &mut uninstalls);
        assert_eq!(sweep.created_containers(), 0, "{point} of the uninstall");
        sweep.expect_uninstalled(&point);
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
fn install_and_uninstall_survive_broken_connections() {
    let sweep = Sweep::new("cut");
    sweep_install_and_uninstall(&sweep, Fault::ResetBefore, 3);
    sweep_install_and_uninstall(&sweep, Fault::ResetAfter, 3);
}

#[test]
fn install_and_uninstall_survive_error_responses() {
    let sweep = Sweep::new("refused");
    sweep_install_and_uninstall(&sweep, Fault::Status(500), 3);
    sweep_install_and_uninstall(&sweep, Fault::Status(503), 2);
}

#[test]
fn install_and_uninstall_survive_truncated_and_missing_responses() {
    let sweep = Sweep::new("frozen");
    sweep_install_and_uninstall(&sweep, Fault::Truncate, 2);
    sweep_install_and_uninstall(&sweep, Fault::Freeze, 2);
}

/// Runs a command on an installed deployment with faults.
fn sweep_with_faults(sweep: &Sweep, scenario: &Scenario, faults: &[Fault]) {
    sweep.run_directly(&["install"]).exits_with(0);
    let measured = sweep.measure(scenario);
    for fault in faults {
        let points = Sweep::points(measured.requests, 1, *fault);
        assert!(
            points.iter().any(|at| *at <= measured.requests),
            "{:?}: no point for {fault:?}",
            scenario.command
        );
        let hits = points
            .iter()
            .filter(|at| sweep.run_with_fault(scenario, &measured, **at, *fault).0)
            .count();
        println!(
            "{:?} of {} requests, {fault:?}: {} points, {hits} with a second run",
            scenario.command,
            measured.requests,
            points.len()
        );
    }
    sweep.run_directly(&["uninstall"]).exits_with(0);
    sweep.expect_uninstalled("final uninstall");
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
fn update_survives_faults() {
    sweep_with_faults(&Sweep::new("fault-update"), &UPDATE, &FAULTS);
}

#[test]
fn scaling_out_survives_faults() {
    sweep_with_faults(&Sweep::new("fault-out"), &SCALE_OUT, &FAULTS);
}

#[test]
fn scaling_in_survives_faults() {
    sweep_with_faults(&Sweep::new("fault-in"), &SCALE_IN, &FAULTS);
}

#[test]
fn healing_survives_faults() {
    sweep_with_faults(&Sweep::new("fault-heal"), &HEAL, &FAULTS);
}

#[test]
fn partial_volume_is_recreated() {
    let sweep = Sweep::new("partial");
    sweep.proxy.create_partial_volume(&sweep.test.name("data"));
    let run = sweep.run_through_proxy(&["install"]).exits_with(0);
    assert!(run.stderr.contains("retrying"), "{}", run.stderr);
    sweep.expect_installed("a partial volume");
}

#[test]
fn install_and_uninstall_survive_engine_restarts() {
    let test = Test::new("restarted");
    let engine = PrivateEngine::isolated(&test);
    let sweep = Sweep::on(
        "restart",
        Path::new(engine.socket.trim_start_matches("unix://")),
    );
    sweep.proxy.set_restart(engine.restart());
    sweep_install_and_uninstall(&sweep, Fault::Restart, 2);
}

#[test]
fn commands_survive_engine_restarts() {
    let test = Test::new("restarts");
    let engine = PrivateEngine::isolated(&test);
    let sweep = Sweep::on(
        "restart-deeds",
        Path::new(engine.socket.trim_start_matches("unix://")),
    );
    sweep.proxy.set_restart(engine.restart());
    for scenario in [UPDATE, SCALE_OUT, SCALE_IN, HEAL] {
        sweep_with_faults(&sweep, &scenario, &[Fault::Restart]);
    }
}

#[test]
fn any_command_after_an_update_with_faults_leaves_working_containers() {
    let next = NextCommandSweep::new("fault-next");
    for fault in [Fault::ResetAfter, Fault::Status(500), Fault::Truncate] {
        let points = next.sweep(fault, 1);
        println!("update with {fault:?}, then any command: {points} points");
        assert!(points >= 1);
    }
}
