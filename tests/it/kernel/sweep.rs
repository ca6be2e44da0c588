//! Crash sweep on the simulated engine: cuts the journal at every byte, with and without the effect
//! of the steps that were running, and injects a fault at one request of the run that resumes. Uses
//! no real engine and no real clock.

use crate::kernel::run::{deployment, diamond, replay, replay_on_engine, with_runtime};
use crate::simulated::{Change, RequestOutcome, SimulatedEngine, drivers};
use dockctl::{
    event::{Entry, Event, Outcome, StopReason},
    executor::{Executor, Policy, StopRequests},
    journal::{Journal, JournalError},
    model::Deployment,
    plan::{install, uninstall},
    plugins::{Driver, DriverFuture, ObjectPlaces, ObserveContext, StepContext, StepShell},
    record::{Execution, Record},
    report::Quiet,
    seam::{Call, ObjectState, Observed, Outputs, Settled},
    secrets::Secrets,
    stage::{Stage, TaskId, Workflow},
};
use proptest::prelude::*;
use std::{collections::HashSet, time::Duration};

/// Time after which a run counts as hung; longer than all its pauses together.
const HANG: Duration = Duration::from_mins(30);

/// A deliberate error that the checks of the sweep must detect.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Mutation {
    #[default]
    None,
    /// The engine is not observed.
    NoObservation,
    /// Outcomes are not journaled.
    LostOutcomes,
    /// Tasks do not wait for their dependencies.
    Unordered,
    /// Stop requests are not journaled.
    LostStopRequests,
}

/// The simulated engine with a mutation and a stop request.
struct MutatedEngine<'a> {
    world: &'a SimulatedEngine,
    mutation: Mutation,
    /// Number of the request at which the user stops the run.
    stop_at: Option<usize>,
    signals: &'a StopRequests,
}

impl Driver for MutatedEngine<'_> {
    fn perform<'a>(&'a self, call: &'a Call, tools: StepContext<'a>) -> DriverFuture<'a, Outputs> {
        if self.stop_at == Some(self.world.requests.borrow().len()) {
            self.signals.stop(StopReason::Asked);
        }
        self.world.perform(call, tools)
    }

    fn settle<'a>(
        &'a self,
        call: &'a Call,
        since: u64,
        inside: Option<StepShell<'a>>,
    ) -> DriverFuture<'a, Settled> {
        if self.mutation == Mutation::NoObservation {
            Box::pin(async { Ok(Settled::NotDone) })
        } else {
            self.world.settle(call, since, inside)
        }
    }

    fn observe<'a>(
        &'a self,
        scene: ObserveContext<'a>,
        places: &'a ObjectPlaces,
    ) -> DriverFuture<'a, Observed> {
        Box::pin(async move { Ok(self.observed(scene.deployment, places)) })
    }
}

impl MutatedEngine<'_> {
    fn observed(&self, deployment: &Deployment, places: &ObjectPlaces) -> Observed {
        if self.mutation == Mutation::NoObservation {
            Observed::default()
        } else {
            self.world.observed(deployment, places)
        }
    }
}

/// An in-memory journal with a mutation.
struct MutatedJournal<'a> {
    entries: &'a mut Vec<Entry>,
    mutation: Mutation,
}

impl Journal for MutatedJournal<'_> {
    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let dropped = match self.mutation {
            Mutation::LostOutcomes => matches!(entry.event, Event::TaskSucceeded { .. }),
            Mutation::LostStopRequests => matches!(entry.event, Event::CancelRequested { .. }),
            _ => false,
        };
        if dropped {
            Ok(())
        } else {
            Journal::append(self.entries, entry)
        }
    }
}

/// One deployment on one engine, across several processes.
struct TestDeployment<'a> {
    deployment: &'a Deployment,
    world: SimulatedEngine,
    journal: Vec<Entry>,
    policy: Policy,
    mutation: Mutation,
    /// Number of the request at which the user stops the run.
    stop_at: Option<usize>,
}

impl<'a> TestDeployment<'a> {
    fn new(deployment: &'a Deployment) -> Self {
        let policy = Policy {
            parallel: 3,
            retries: 1.0,
            retry_interval: 1.0,
            ..Policy::default()
        };
        Self {
            deployment,
            world: SimulatedEngine::default(),
            journal: Vec::new(),
            policy,
            mutation: Mutation::None,
            stop_at: None,
        }
    }

    /// Runs one process until it ends, or hangs and is abandoned. Returns its record.
    async fn process(&mut self, workflow: Workflow) -> Record {
        let (mut reporter, secrets, signals) = (Quiet, Secrets::default(), StopRequests::default());
        let engine = MutatedEngine {
            world: &self.world,
            mutation: self.mutation,
            stop_at: self.stop_at,
            signals: &signals,
        };
        let mut record = replay(&self.journal);
        let mut journal = MutatedJournal {
            entries: &mut self.journal,
            mutation: self.mutation,
        };
        let mut executor = Executor {
            record: &mut record,
            drivers: &drivers(&engine),
            journal: &mut journal,
            reporter: &mut reporter,
            secrets: &secrets,
            policy: self.policy,
        };
        executor.settle().await.unwrap();
        if executor.record.deployment.is_none() {
            executor
                .emit(Event::Defined {
                    deployment: Box::new(self.deployment.clone()),
                })
                .unwrap();
        }
        let observed = engine.observed(self.deployment, &ObjectPlaces::new());
        let stage = match workflow {
            Workflow::Install => install::next(self.deployment, executor.record, &observed).stage,
            _ => uninstall::next(self.deployment, executor.record, &observed).stage,
        };
        executor
            .start_execution("x", &workflow.into(), None)
            .unwrap();
        let stage = if self.mutation == Mutation::Unordered {
            without_dependencies(&stage)
        } else {
            stage
        };
        let ran = tokio::time::timeout(HANG, executor.run_stage(stage, &signals))
            .await
            .is_ok();
        if ran {
            executor.finish().unwrap();
        }
        record
    }
}

fn without_dependencies(stage: &Stage) -> Stage {
    let mut free = Stage::default();
    for task in stage.tasks() {
        free.push(dockctl::stage::Task {
            needs: Vec::new(),
            ..task.clone()
        });
    }
    free
}

/// Checks that nothing is repeated: an install creates and starts each container once, an uninstall
/// stops and removes it once, and no completed step is requested again.
fn check_no_repetition(before: &[Entry], life: &TestDeployment<'_>) -> Result<(), String> {
    let changes = life.world.changes.borrow();
    let mut seen = HashSet::new();
    if let Some((instance, change)) = changes
        .iter()
        .find(|(instance, change)| !seen.insert((instance.clone(), format!("{change:?}"))))
    {
        return Err(format!("{instance} was {change:?} twice: {changes:?}"));
    }
    let mut record = Record::default();
    let mut done = HashSet::new();
    for entry in before {
        record.apply(entry).map_err(|error| error.to_string())?;
        if let Event::TaskSucceeded { task, .. } = &entry.event {
            let task = record.stage().task(*task);
            // Each run checks whether the image exists.
            if !task.step.obtains_material() {
                done.insert((task.instance.clone(), task.step.to_string()));
            }
        }
    }
    let requests = life.world.requests.borrow();
    match requests.iter().find(|request| done.contains(*request)) {
        Some(request) => Err(format!("{request:?} was done and is requested again")),
        None => Ok(()),
    }
}

/// Checks that the replayed journal equals the record of the process.
fn check_replay(journal: &[Entry], known: &Record) -> Result<(), String> {
    let mut replayed = Record::default();
    for entry in journal {
        replayed.apply(entry).map_err(|error| error.to_string())?;
    }
    if replayed == *known {
        Ok(())
    } else {
        Err("the journal does not match the record".to_owned())
    }
}

/// Checks that no step starts before the relationships of the blueprint permit it, and that no step
/// starts after a stop or, with `fail_fast`, after a failure.
fn check_starts(life: &TestDeployment<'_>) -> Result<(), String> {
    let mut record = Record::default();
    let mut stopped = false;
    for entry in &life.journal {
        match &entry.event {
            Event::ExecutionStarted { .. } => stopped = false,
            Event::CancelRequested { .. } => stopped = true,
            Event::TaskFailed { retry_in: None, .. } if life.policy.fail_fast => stopped = true,
            Event::TaskStarted { task, .. } if stopped => {
                return Err(format!("#{} starts after a stop", task.0));
            }
            Event::TaskStarted { task, .. } => check_may_start(life.deployment, &record, *task)?,
            _ => {}
        }
        record.apply(entry).map_err(|error| error.to_string())?;
    }
    let request_count = life
        .stop_at
        .is_some_and(|at| life.world.requests.borrow().len() > at + life.policy.parallel);
    if request_count {
        Err("new requests were made after the stop".to_owned())
    } else {
        Ok(())
    }
}

fn check_may_start(deployment: &Deployment, record: &Record, task: TaskId) -> Result<(), String> {
    let workflow = record
        .running()
        .map_or(Workflow::Install, Execution::workflow);
    let task = record.stage().task(task);
    if task.step.obtains_material() {
        return Ok(());
    }
    let (mine, others) = (
        deployment.instance(&task.instance).unwrap(),
        &deployment.instances,
    );
    let before: Vec<&str> = match workflow {
        Workflow::Install => mine
            .relationships
            .iter()
            .map(|relationship| relationship.target.as_str())
            .collect(),
        _ => others
            .iter()
            .filter(|other| {
                other
                    .relationships
                    .iter()
                    .any(|relationship| relationship.target == mine.id)
            })
            .map(|other| other.id.as_str())
            .collect(),
    };
    let is_ready = |id: &str| match workflow {
        Workflow::Install => record.state(id) == dockctl::model::InstanceState::Started,
        _ => record.state(id).is_gone(),
    };
    match before.iter().find(|id| !is_ready(id)) {
        Some(id) => Err(format!(
            "{} {} starts before {id} is ready",
            task.instance, task.step
        )),
        None => Ok(()),
    }
}

/// Returns the journal as bytes, with one entry per line, and the end offset of each entry.
fn encode(journal: &[Entry]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for entry in journal {
        bytes.extend_from_slice(serde_json::to_string(entry).unwrap().as_bytes());
        bytes.push(b'\n');
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// Returns the complete entries before the cut.
fn complete_entries(bytes: &[u8], cut: usize) -> Vec<Entry> {
    let whole = bytes[..cut]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&bytes[..whole]).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Returns the deployment after a crash: completed steps took effect, and running steps did if
/// `happened` is set.
async fn state_after_crash<'a>(
    deployment: &'a Deployment,
    journal: &[Entry],
    happened: bool,
) -> TestDeployment<'a> {
    let mut life = TestDeployment::new(deployment);
    replay_on_engine(&life.world, journal, happened).await;
    life.world.requests.borrow_mut().clear();
    life.journal = journal.to_vec();
    life
}

/// Checks the final state of a run without faults.
fn check_final_state(
    life: &TestDeployment<'_>,
    record: &Record,
    workflow: Workflow,
) -> Result<(), String> {
    let containers = life.world.containers.borrow();
    let good = match workflow {
        Workflow::Install => {
            let running = containers
                .iter()
                .filter(|object| object.state == ObjectState::Running)
                .count();
            record.is_deployment_complete()
                && running == life.deployment.instances.len()
                && containers.len() == running
        }
        _ => containers.is_empty() && !record.is_installed(),
    };
    if good {
        Ok(())
    } else {
        Err(format!("wrong final state: {containers:?}"))
    }
}

/// Tries one point: resumes with a fault at a request, then once more without. Returns the number
/// of requests of the first run.
async fn resume(
    mut life: TestDeployment<'_>,
    workflow: Workflow,
    fault: Option<(usize, RequestOutcome)>,
) -> Result<usize, String> {
    let before = life.journal.clone();
    // Keep the changes before the cut, to detect repetitions of them.
    life.world = fault
        .into_iter()
        .fold(std::mem::take(&mut life.world), |world, (at, fate)| {
            world.with_outcome(at, fate)
        });
    let known = life.process(workflow).await;
    let request_count = life.world.requests.borrow().len();
    check_replay(&life.journal, &known)?;
    check_starts(&life)?;
    check_no_repetition(&before, &life)?;
    life.world.clear_faults();
    life.stop_at = None;
    let known = life.process(workflow).await;
    check_replay(&life.journal, &known)?;
    check_no_repetition(&before, &life)?;
    check_final_state(&life, &known, workflow)?;
    Ok(request_count)
}

/// Returns the journal of a run without faults, and the index of the workflow's first entry.
async fn run_without_faults(deployment: &Deployment, workflow: Workflow) -> (Vec<Entry>, usize) {
    let mut life = TestDeployment::new(deployment);
    life.process(Workflow::Install).await;
    let begin = if workflow == Workflow::Install {
        0
    } else {
        life.journal.len()
    };
    if workflow == Workflow::Uninstall {
        // The changes of the install do not count.
        life.world.changes.borrow_mut().clear();
        life.process(Workflow::Uninstall).await;
    }
    (life.journal, begin)
}

/// Returns true if all points are tried instead of a sample (`scripts/sweep`).
fn is_long() -> bool {
    std::env::var("DOCKCTL_SWEEP").is_ok_and(|value| value == "all")
}

/// Tries the points of one deployment. Returns the number of cuts and the number of runs with a
/// fault.
async fn sweep(
    deployment: &Deployment,
    workflow: Workflow,
    faults: &[RequestOutcome],
    change: &dyn Fn(&mut TestDeployment<'_>),
) -> Result<(usize, usize), String> {
    let (journal, begin) = run_without_faults(deployment, workflow).await;
    let (bytes, ends) = encode(&journal);
    let (mut cuts, mut runs) = (0, 0);
    let mut tried = HashSet::new();
    for cut in ends.get(begin.wrapping_sub(1)).copied().unwrap_or(0)..=bytes.len() {
        let survives = ends.partition_point(|end| *end <= cut);
        cuts += 1;
        // Cuts with the same surviving entries have the same result.
        if !tried.insert(survives) {
            continue;
        }
        let entries = complete_entries(&bytes, cut);
        assert_eq!(entries.len(), survives);
        for happened in [false, true] {
            let fresh = || async {
                let mut life = state_after_crash(deployment, &entries, happened).await;
                if workflow == Workflow::Uninstall {
                    life.world
                        .changes
                        .borrow_mut()
                        .retain(|(_, change)| matches!(change, Change::Stopped | Change::Removed));
                }
                change(&mut life);
                life
            };
            let at = |what: String, error: String| {
                format!("cut after {survives} entries, happened: {happened}, {what}: {error}")
            };
            let request_count = resume(fresh().await, workflow, None)
                .await
                .map_err(|error| at("no fault".to_owned(), error))?;
            let all = (0..request_count)
                .flat_map(|request| faults.iter().map(move |fate| (request, *fate)));
            // A sample tries a different fault for each request and cut.
            let chosen = |(n, _): &(usize, (usize, RequestOutcome))| {
                is_long() || (n + survives).is_multiple_of(faults.len())
            };
            for (request, fate) in all.enumerate().filter(chosen).map(|(_, point)| point) {
                resume(fresh().await, workflow, Some((request, fate)))
                    .await
                    .map_err(|error| at(format!("{fate:?} at {request}"), error))?;
                runs += 1;
            }
        }
    }
    Ok((cuts, runs))
}

#[test]
fn journal_cut_at_every_byte_is_resumed_despite_faults() {
    let deployment = diamond();
    for workflow in [Workflow::Install, Workflow::Uninstall] {
        let (bytes, runs) = with_runtime(sweep(
            &deployment,
            workflow,
            &RequestOutcome::FAULTS,
            &|_| (),
        ))
        .unwrap();
        println!("{workflow}: cut at {bytes} bytes, {runs} runs");
        assert!(
            bytes > 3000 && runs > 150,
            "{workflow}: cut at {bytes} bytes, {runs} runs"
        );
    }
}

#[test]
fn fail_fast_starts_no_step_after_a_failure() {
    let deployment = diamond();
    let fail_fast = |life: &mut TestDeployment<'_>| life.policy.fail_fast = true;
    for workflow in [Workflow::Install, Workflow::Uninstall] {
        with_runtime(sweep(
            &deployment,
            workflow,
            &[RequestOutcome::Refused, RequestOutcome::DisconnectedAfter],
            &fail_fast,
        ))
        .unwrap();
    }
}

#[test]
fn no_step_starts_after_a_stop() {
    let deployment = diamond();
    let all: Vec<usize> = if is_long() {
        (1..12).collect()
    } else {
        vec![1, 5, 9]
    };
    for at in all {
        let stops = |life: &mut TestDeployment<'_>| life.stop_at = Some(at);
        with_runtime(sweep(
            &deployment,
            Workflow::Install,
            &[RequestOutcome::DisconnectedAfter],
            &stops,
        ))
        .unwrap();
    }
}

/// A partial line never parses as an entry.
#[test]
fn partial_entry_does_not_parse() {
    let deployment = deployment(&[("one", &[])]);
    let (journal, _) = with_runtime(run_without_faults(&deployment, Workflow::Install));
    for entry in &journal {
        let line = serde_json::to_string(entry).unwrap();
        let step = (line.len() / 500).max(1);
        for cut in (1..line.len()).step_by(step) {
            assert!(
                serde_json::from_str::<Entry>(&line[..cut]).is_err(),
                "{}",
                &line[..cut]
            );
        }
    }
}

/// Each check of the sweep detects its error.
#[test]
fn every_mutation_is_detected() {
    let deployment = diamond();
    let wrong = |mutation: Mutation, faults: &[RequestOutcome], stop_at: Option<usize>| {
        let change = move |life: &mut TestDeployment<'_>| {
            life.mutation = mutation;
            life.stop_at = stop_at;
        };
        with_runtime(sweep(&deployment, Workflow::Install, faults, &change))
            .expect_err("the mutation is not detected")
    };
    let blind = wrong(Mutation::NoObservation, &[], None);
    assert!(blind.contains("is requested again"), "{blind}");
    let forgetful = wrong(Mutation::LostOutcomes, &[], None);
    assert!(
        forgetful.contains("does not match") || forgetful.contains("is not valid"),
        "{forgetful}"
    );
    let unordered = wrong(Mutation::Unordered, &[], None);
    assert!(unordered.contains("is ready"), "{unordered}");
    let deaf = wrong(Mutation::LostStopRequests, &[], Some(2));
    assert!(deaf.contains("does not match"), "{deaf}");
    // No mutation causes a start after a stop or a repeated change, so edit the journal instead.
    let mut life = TestDeployment::new(&deployment);
    with_runtime(life.process(Workflow::Install));
    let first = life
        .journal
        .iter()
        .position(|entry| matches!(entry.event, Event::TaskStarted { .. }))
        .unwrap();
    life.journal.insert(
        first,
        Entry::now(Event::CancelRequested {
            why: StopReason::Asked,
        }),
    );
    assert!(check_starts(&life).unwrap_err().contains("after a stop"));
    let twice = life.world.changes.borrow()[0].clone();
    life.world.changes.borrow_mut().push(twice);
    assert!(
        check_no_repetition(&[], &life)
            .unwrap_err()
            .contains("twice")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Random graphs, each with a random crash followed by a random fault.
    #[test]
    fn any_graph_survives_a_crash_and_a_fault(
        edges in proptest::collection::vec(proptest::collection::vec(any::<prop::sample::Index>(), 0..3), 1..8),
        (cut, request) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        fate in proptest::sample::select(RequestOutcome::FAULTS.to_vec()),
        (happened, fail_fast, down) in any::<(bool, bool, bool)>(),
    ) {
        let names: Vec<String> = (0..edges.len()).map(|n| format!("n{n}")).collect();
        let needs: Vec<Vec<&str>> = edges.iter().enumerate().map(|(n, needs)| {
            let chosen = needs.iter().filter(|_| n > 0).map(|need| names[need.index(n.max(1))].as_str());
            chosen.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        }).collect();
        let nodes: Vec<(&str, &[&str])> = names.iter().map(String::as_str).zip(needs.iter().map(Vec::as_slice)).collect();
        let deployment = deployment(&nodes);
        let workflow = if down { Workflow::Uninstall } else { Workflow::Install };
        let result = with_runtime(async {
            let (journal, begin) = run_without_faults(&deployment, workflow).await;
            let survives = begin + cut.index(journal.len() - begin + 1);
            let mut life = state_after_crash(&deployment, &journal[..survives], happened).await;
            if down {
                life.world.changes.borrow_mut().retain(|(_, change)| matches!(change, Change::Stopped | Change::Removed));
            }
            life.policy.fail_fast = fail_fast;
            resume(life, workflow, Some((request.index(nodes.len() * 3), fate))).await
        });
        prop_assert!(result.is_ok(), "{:?}", result);
    }
}

/// A step that never ends delays the end of a run by at most a grace period after its deadline.
#[test]
fn run_past_its_deadline_drops_hanging_steps() {
    let deployment = diamond();
    with_runtime(async {
        let mut life = TestDeployment::new(&deployment);
        life.world = SimulatedEngine::default().with_outcome(0, RequestOutcome::IgnoredForever);
        let begin = tokio::time::Instant::now();
        life.policy.deadline = Some(begin + Duration::from_secs(5));
        let known = life.process(Workflow::Install).await;
        assert_eq!(
            (known.executions[0].outcome, known.stop_reason()),
            (Some(Outcome::Failed), Some(StopReason::Timeout))
        );
        let took = begin.elapsed();
        assert!(
            (Duration::from_secs(15)..Duration::from_secs(16)).contains(&took),
            "{took:?}"
        );
        check_starts(&life).unwrap();
        life.policy.deadline = None;
        life.world.clear_faults();
        let known = life.process(Workflow::Install).await;
        check_final_state(&life, &known, Workflow::Install).unwrap();
    });
}

/// A refused request fails the run, a stop cancels it, and a broken connection is retried.
#[test]
fn refusal_fails_a_run_and_stop_cancels_it() {
    let deployment = diamond();
    let outcome = |fate: Option<RequestOutcome>, stop_at: Option<usize>| {
        let mut life = TestDeployment::new(&deployment);
        life.world = fate
            .into_iter()
            .fold(SimulatedEngine::default(), |world, fate| {
                world.with_outcome(4, fate)
            });
        life.stop_at = stop_at;
        with_runtime(life.process(Workflow::Install)).executions[0].outcome
    };
    assert_eq!(
        outcome(Some(RequestOutcome::Refused), None),
        Some(Outcome::Failed)
    );
    assert_eq!(outcome(None, Some(2)), Some(Outcome::Cancelled));
    assert_eq!(
        outcome(Some(RequestOutcome::DisconnectedAfter), None),
        Some(Outcome::Terminated)
    );
}
