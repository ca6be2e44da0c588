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

use sweep::{
    CONTAINERS, HEAL, SCALE_IN, SCALE_OUT, Scenario, Sweep, UPDATE, next_command::NextCommandSweep,
    proxy::Fault,
};

/// Runs a command that is killed at a request, and runs it again. Returns whether the first run was
/// killed, and the number of containers that both runs created.
fn run_killed(sweep: &Sweep, command: &str, at: usize, fault: Fault) -> (bool, usize) {
    sweep.proxy.arm(Some((at, fault)));
    let first = sweep.run_through_proxy(&[command]);
    sweep.proxy.disarm();
    if first.code != 0 {
        let again = sweep.run_through_proxy(&[command]);
        assert_eq!(
            again.code, 0,
            "second {command} after {fault:?} at request {at}:\n{}\n{}",
            first.stderr, again.stderr
        );
    }
    // Count late: the engine may respond to the killed run's request during the second run.
    (first.code != 0, sweep.created_containers())
}

fn sweep(sweep: &Sweep, fault: Fault) {
    let (mut installs, mut uninstalls) = (0, 0);
    for at in Sweep::points(sweep.install, 6, fault) {
        let point = format!("{fault:?} at request {at} of the install");
        let (hit, created) = run_killed(sweep, "install", at, fault);
        assert_eq!(
            created, CONTAINERS,
            "{point}: each container is created once"
        );
        sweep.expect_installed(&point);
        let point = format!("{fault:?} at request {at} of the uninstall");
        let (uninstalled, created) = run_killed(sweep, "uninstall", at, fault);
        assert_eq!(created, 0, "{point}");
        sweep.expect_uninstalled(&point);
        installs += usize::from(hit);
        uninstalls += usize::from(uninstalled);
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
fn install_and_uninstall_killed_before_any_request_are_resumed() {
    sweep(&Sweep::new("crash-before"), Fault::KillBefore);
}

#[test]
fn install_and_uninstall_killed_after_any_request_are_resumed() {
    // Only a real engine continues to work if a response is not read.
    sweep(&Sweep::on_machine("crash-after"), Fault::KillAfter);
}

/// Kills commands on an installed deployment before and after requests.
fn sweep_commands(name: &str, deeds: &[Scenario]) {
    let sweep = Sweep::new(name);
    sweep.run_directly(&["install"]).exits_with(0);
    for scenario in deeds {
        let measured = sweep.measure(scenario);
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let (mut points, mut hits) = (0, 0);
            for at in Sweep::points(measured.requests, 3, fault) {
                let (hit, created) = sweep.run_with_fault(scenario, &measured, at, fault);
                assert_eq!(
                    created, measured.created,
                    "{:?}, {fault:?} at request {at}: each container is created once",
                    scenario.command
                );
                points += 1;
                hits += usize::from(hit);
            }
            println!(
                "{:?} of {} requests, {fault:?}: killed at {hits} of {points} points",
                scenario.command, measured.requests
            );
            assert!(hits >= 1, "{:?}", scenario.command);
        }
    }
    sweep.run_directly(&["uninstall"]).exits_with(0);
    sweep.expect_uninstalled("final uninstall");
}

#[test]
fn killed_update_is_resumed() {
    sweep_commands("crash-update", &[UPDATE]);
}

#[test]
fn killed_scaling_and_healing_are_resumed() {
    sweep_commands("crash-scale", &[SCALE_OUT, SCALE_IN, HEAL]);
}

#[test]
fn any_command_after_a_killed_update_leaves_working_containers() {
    let next = NextCommandSweep::new("crash-next");
    for fault in [Fault::KillBefore, Fault::KillAfter] {
        let points = next.sweep(fault, 2);
        println!("update with {fault:?}, then any command: {points} points");
        assert!(points >= 2);
    }
}
