//! Replacing containers on the simulated engine: however a run ends between the stop of the old
//! container and the proof of the new one, the next command leaves a working container.

use crate::kernel::run::{deployment_of, replay, with_runtime};
use crate::simulated::{RequestOutcome, SimulatedEngine, drivers};
use dockctl::{
    event::{Entry, Event, Outcome, StopReason},
    executor::{Executor, Policy, Run, StopRequests},
    model::Deployment,
    plan::{self, PlanInput, restore::must_come_first, restored::restored},
    plugins::{
        Driver, DriverFuture, ObjectPlaces, ObserveContext, Plugins, StepContext, StepShell,
    },
    record::Record,
    report::Quiet,
    seam::{Call, ObjectState, Observed, Outputs, Settled},
    secrets::Secrets,
    stage::{Parameters, Stage, Workflow},
};
use proptest::prelude::*;
use std::time::Duration;

/// Time after which a run counts as hung and is killed.
const HANG: Duration = Duration::from_mins(30);

/// Step between the points that CI tries. It has no common factor with the numbers of disturbances
/// and workflows, to combine each with each.
pub(crate) const SAMPLE: usize = 23;
/// A disturbance at one request: a fault, or a user who stops the run (once: `Stop`, twice:
/// `Abort`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Disturbance {
    Fate(RequestOutcome),
    Stop,
    Abort,
}

const DISTURBANCES: [Disturbance; 6] = [
    Disturbance::Fate(RequestOutcome::Refused),
    Disturbance::Fate(RequestOutcome::IgnoredForever),
    Disturbance::Fate(RequestOutcome::DoneWithoutResponse),
    Disturbance::Fate(RequestOutcome::DisconnectedAfter),
    Disturbance::Stop,
    Disturbance::Abort,
];
/// Workflows to run after the disturbance.
const NEXT_WORKFLOWS: [Workflow; 4] = [
    Workflow::Install,
    Workflow::Update,
    Workflow::Heal,
    Workflow::Restart,
];

/// These workflows, and none: the corrected definition follows at once.
fn next_workflows() -> impl Iterator<Item = Option<Workflow>> {
    NEXT_WORKFLOWS.into_iter().map(Some).chain([None])
}

fn is_long() -> bool {
    std::env::var("DOCKCTL_SWEEP").is_ok_and(|value| value == "all")
}

/// The simulated engine with a user who stops the run at a request.
struct EngineWithUser<'a> {
    world: &'a SimulatedEngine,
    stop_at: Option<(usize, Disturbance)>,
    signals: &'a StopRequests,
}

impl Driver for EngineWithUser<'_> {
    fn perform<'a>(&'a self, call: &'a Call, tools: StepContext<'a>) -> DriverFuture<'a, Outputs> {
        match self.stop_at {
            Some((at, trouble)) if at == self.world.requests.borrow().len() => match trouble {
                Disturbance::Abort => self.signals.abort(StopReason::Asked),
                _ => self.signals.stop(StopReason::Asked),
            },
            _ => {}
        }
        self.world.perform(call, tools)
    }

    fn settle<'a>(
        &'a self,
        call: &'a Call,
        since: u64,
        inside: Option<StepShell<'a>>,
    ) -> DriverFuture<'a, Settled> {
        self.world.settle(call, since, inside)
    }

    fn observe<'a>(
        &'a self,
        scene: ObserveContext<'a>,
        places: &'a ObjectPlaces,
    ) -> DriverFuture<'a, Observed> {
        self.world.observe(scene, places)
    }
}

/// One deployment across several definitions and processes.
pub(crate) struct TestDeployment {
    pub(crate) world: SimulatedEngine,
    journal: Vec<Entry>,
    pub(crate) policy: Policy,
    /// Number of the request at which the user stops the run, and how.
    stop_at: Option<(usize, Disturbance)>,
}

impl TestDeployment {
    pub(crate) fn new() -> Self {
        let policy = Policy {
            parallel: 3,
            retries: 2.0,
            retry_interval: 1.0,
            ..Policy::default()
        };
        Self {
            world: SimulatedEngine::default(),
            journal: Vec::new(),
            policy,
            stop_at: None,
        }
    }

    /// Runs one process. Returns its outcome, or `None` if it hung and was killed.
    pub(crate) fn run(&mut self, deployment: &Deployment, workflow: Workflow) -> Option<Outcome> {
        self.run_with(deployment, &workflow.into())
    }

    pub(crate) fn run_with(
        &mut self,
        deployment: &Deployment,
        parameters: &Parameters,
    ) -> Option<Outcome> {
        with_runtime(async {
            let (mut record, mut quiet, secrets, signals) = (
                replay(&self.journal),
                Quiet,
                Secrets::default(),
                StopRequests::default(),
            );
            let engine = EngineWithUser {
                world: &self.world,
                stop_at: self.stop_at,
                signals: &signals,
            };
            let mut executor = Executor {
                record: &mut record,
                drivers: &drivers(&engine),
                journal: &mut self.journal,
                reporter: &mut quiet,
                secrets: &secrets,
                policy: self.policy,
            };
            executor.settle().await.unwrap();
            if executor.record.deployment.as_ref() != Some(deployment) {
                executor
                    .emit(Event::Defined {
                        deployment: Box::new(deployment.clone()),
                    })
                    .unwrap();
            }
            let places = Plugins::default()
                .places(ObserveContext {
                    deployment,
                    record: executor.record,
                    secrets: &secrets,
                })
                .unwrap();
            let observed = self.world.observed(deployment, &places);
            let known = PlanInput::new(deployment, executor.record, &observed);
            let stage = plan::first(parameters, &known).stage;
            let id = format!("x{}", executor.record.execution_count);
            let run = Run {
                id: &id,
                parameters,
                previous: None,
                replan: None,
            };
            tokio::time::timeout(HANG, executor.execute(run, stage, &signals))
                .await
                .ok()?
                .unwrap();
            Some(executor.finish().unwrap())
        })
    }

    /// Disturbs a later request, counted from 0.
    fn disturb(&mut self, n: usize, trouble: Disturbance) {
        let at = self.requests() + n;
        match trouble {
            Disturbance::Fate(fate) => self.world.set_outcome(at, fate),
            stop => self.stop_at = Some((at, stop)),
        }
    }

    fn clear_disturbances(&mut self) {
        self.world.clear_faults();
        self.stop_at = None;
    }

    /// Aborts the next run at a request, counted from 0.
    pub(crate) fn abort_at(&mut self, n: usize) {
        self.disturb(n, Disturbance::Abort);
    }

    /// Returns the first stage of a plan, after what comes first is restored.
    pub(crate) fn plan(&self, deployment: &Deployment, workflow: Workflow) -> Stage {
        with_runtime(async {
            let mut record = replay(&self.journal);
            record
                .apply(&Entry::now(Event::Defined {
                    deployment: Box::new(deployment.clone()),
                }))
                .unwrap();
            let places = Plugins::default()
                .places(ObserveContext {
                    deployment,
                    record: &record,
                    secrets: &Secrets::default(),
                })
                .unwrap();
            let mut observed = self.world.observed(deployment, &places);
            let parameters = workflow.into();
            if must_come_first(&record, Plugins::default(), &parameters) {
                (record, observed) = restored(&record, &observed, Plugins::default());
            }
            let known = PlanInput::new(deployment, &record, &observed);
            plan::first(&parameters, &known).stage
        })
    }

    pub(crate) fn record(&self) -> Record {
        replay(&self.journal)
    }

    /// Returns the names and states of all containers, sorted.
    pub(crate) fn container_states(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .world
            .containers
            .borrow()
            .iter()
            .map(|object| format!("{} {}", object.name, object.state.as_str()))
            .collect();
        all.sort();
        all
    }

    pub(crate) fn id(&self, name: &str) -> Option<String> {
        self.world
            .containers
            .borrow()
            .iter()
            .find(|it| it.name == name && it.state == ObjectState::Running)
            .map(|it| it.id.clone())
    }

    pub(crate) fn requests(&self) -> usize {
        self.world.requests.borrow().len()
    }
}

/// Returns a blueprint of containers: name, parameters of `create`, more properties, relationships.
pub(crate) fn blueprint(containers: &[(&str, &str, &str, &str)]) -> String {
    let mut text = "tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml, 'plugin:cloudify-docker-plugin?version=1.3.2', 'plugin:dockctl']
node_templates:
"
    .to_owned();
    for (name, params, properties, relationships) in containers {
        text += &format!(
            "  {name}:
    type: cloudify.docker.Container
    properties: {{name: {name}, image: {{repository: i}}{properties}}}
    interfaces: {{cloudify.interfaces.lifecycle: {{create: {{inputs: {{params: {{{params}}}}}}}}}}}
    relationships: [{relationships}]
"
        );
    }
    text
}

fn one_container(params: &str) -> String {
    blueprint(&[("a", params, "", "")])
}

/// An update with each disturbance at each request, followed by each of the next workflows. Tries a
/// sample of the points, or all with `DOCKCTL_SWEEP=all` (`scripts/sweep`).
pub(crate) struct Sweep {
    /// Containers that exist before the deployment.
    pub(crate) foreign: &'static [&'static str],
    pub(crate) before: String,
    pub(crate) after: String,
    /// Definition of a later update, which works.
    pub(crate) corrected: String,
    /// Names for which a working container must exist after any workflow.
    pub(crate) always_working: &'static [&'static str],
    /// Step between the points that CI tries.
    pub(crate) sample: usize,
}

impl Sweep {
    fn install(&self, before: &Deployment) -> TestDeployment {
        let mut life = TestDeployment::new();
        self.foreign
            .iter()
            .for_each(|name| life.world.add_foreign(name));
        assert_eq!(
            life.run(before, Workflow::Install),
            Some(Outcome::Terminated)
        );
        life
    }

    fn expect_working(&self, life: &TestDeployment, point: &str) {
        for name in self.always_working {
            let record = life.record();
            let failed = record
                .executions
                .iter()
                .flat_map(|it| &it.failed)
                .map(|it| (&it.instance, &it.operation, &it.failure.message));
            let failed = failed.collect::<Vec<_>>();
            assert!(
                life.id(name).is_some(),
                "{point}: no working container `{name}`: {:?} {failed:?}",
                life.container_states()
            );
        }
    }

    /// Tries the points and returns their number.
    pub(crate) fn run(&self) -> usize {
        let before = deployment_of(&self.before, None);
        let after = deployment_of(&self.after, Some(&before));
        let corrected = deployment_of(&self.corrected, Some(&after));
        let mut points = 0;
        for fail_fast in [false, true] {
            let mut life = self.install(&before);
            let first = life.requests();
            life.policy.fail_fast = fail_fast;
            let undisturbed = life.run(&after, Workflow::Update);
            let requests = life.requests() - first;
            self.expect_working(&life, "without a disturbance");
            self.expect_clean_end(life, &corrected, "without a disturbance");
            let all = (0..=requests).flat_map(|n| DISTURBANCES.map(|trouble| (n, trouble)));
            let all =
                all.flat_map(|(n, trouble)| next_workflows().map(move |next| (n, trouble, next)));
            for (n, trouble, next) in
                all.skip(usize::from(fail_fast))
                    .step_by(if is_long() { 1 } else { self.sample })
            {
                let point = format!(
                    "{trouble:?} at {n} of {requests}, fail_fast {fail_fast}, then {next:?}"
                );
                let mut life = self.install(&before);
                life.policy.fail_fast = fail_fast;
                life.disturb(n, trouble);
                let ended = life.run(&after, Workflow::Update);
                // A refusal or an abort can also prevent the restore.
                if ended.is_some()
                    && !matches!(
                        trouble,
                        Disturbance::Fate(RequestOutcome::Refused) | Disturbance::Abort
                    )
                {
                    self.expect_working(&life, &format!("{point}, after the update"));
                }
                life.clear_disturbances();
                if let Some(next) = next {
                    life.run(&after, next);
                    self.expect_working(&life, &point);
                }
                if next == Some(Workflow::Update) && undisturbed == Some(Outcome::Terminated) {
                    assert!(
                        life.record().is_deployment_complete() && !life.record().has_outdated(),
                        "{point}: {:?}",
                        life.container_states()
                    );
                }
                self.expect_clean_end(life, &corrected, &point);
                points += 1;
            }
        }
        println!("{points} points");
        points
    }

    /// Asserts that a later update completes and leaves no predecessors or successors, and that an
    /// uninstall leaves only the foreign containers.
    fn expect_clean_end(&self, mut life: TestDeployment, corrected: &Deployment, point: &str) {
        let outcome = life.run(corrected, Workflow::Update);
        assert_eq!(
            outcome,
            Some(Outcome::Terminated),
            "{point}: {:?} {:?}",
            life.container_states(),
            life.record().executions.last()
        );
        self.expect_working(&life, point);
        assert_eq!(life.world.stale_sharers(), [""; 0], "{point}");
        let left = |name: &&String| name.contains(".dockctl-");
        assert_eq!(
            life.container_states()
                .iter()
                .filter(left)
                .collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "{point}"
        );
        assert_eq!(
            life.run(corrected, Workflow::Uninstall),
            Some(Outcome::Terminated),
            "{point}"
        );
        let names: Vec<String> = life
            .world
            .containers
            .borrow()
            .iter()
            .map(|it| it.name.replace(".before-dockctl", ""))
            .collect();
        assert_eq!(
            names,
            self.foreign,
            "{point}: {:?}",
            life.container_states()
        );
    }
}

const ADOPTED: &str = ", use_external_resource: true";

#[test]
fn predecessor_is_restored_if_the_successor_exits() {
    let sweep = Sweep {
        foreign: &[],
        before: one_container("command: sleep 1"),
        after: one_container("command: exit"),
        corrected: one_container("command: sleep 2"),
        always_working: &["a"],
        sample: SAMPLE,
    };
    assert!(sweep.run() >= 15);
}

#[test]
fn working_container_is_replaced_by_a_working_one() {
    let sweep = Sweep {
        foreign: &[],
        before: one_container("command: sleep 1"),
        after: one_container("command: sleep 2"),
        corrected: one_container("command: sleep 1"),
        always_working: &["a"],
        sample: SAMPLE,
    };
    assert!(sweep.run() >= 15);
}

#[test]
fn adopted_container_is_restored_if_its_replacement_does_not_start() {
    let sweep = Sweep {
        foreign: &["a"],
        before: blueprint(&[("a", "", ADOPTED, "")]),
        after: one_container("command: missing"),
        corrected: blueprint(&[("a", "", ADOPTED, "")]),
        always_working: &["a"],
        sample: SAMPLE,
    };
    assert!(sweep.run() >= 15);
}

#[test]
fn adopted_container_is_replaced_by_a_working_one() {
    let sweep = Sweep {
        foreign: &["a"],
        before: blueprint(&[("a", "", ADOPTED, "")]),
        after: one_container("command: sleep 1"),
        corrected: one_container("command: sleep 2"),
        always_working: &["a"],
        sample: SAMPLE,
    };
    assert!(sweep.run() >= 15);
}

/// Returns a sweep of a container with `auto_remove`, and the steps of its update to `failing`.
fn auto_removed(host_config: &str, failing: &str) -> (Sweep, String) {
    let params = |command: &str| {
        one_container(&format!(
            "command: {command}, host_config: {{{host_config}}}"
        ))
    };
    let sweep = Sweep {
        foreign: &[],
        before: params("sleep 1"),
        after: params(failing),
        corrected: params("sleep 2"),
        always_working: &["a"],
        sample: SAMPLE,
    };
    let before = deployment_of(&sweep.before, None);
    let life = sweep.install(&before);
    let after = deployment_of(&sweep.after, Some(&before));
    let steps = life.plan(&after, Workflow::Update).to_string();
    (sweep, steps)
}

#[test]
fn auto_removed_container_is_replaced_without_stopping_it_first() {
    let (sweep, steps) = auto_removed("auto_remove: true", "missing");
    assert!(!steps.contains("stop container"), "{steps}");
    assert!(sweep.run() >= 15);
}

#[test]
fn auto_removed_container_is_recreated_if_both_need_the_same_port() {
    let (sweep, steps) = auto_removed("auto_remove: true, port_bindings: {80: 8080}", "exit");
    assert!(steps.contains("stop container"), "{steps}");
    assert!(sweep.run() >= 15);
}

#[test]
fn container_that_shares_a_namespace_works_after_both_are_replaced() {
    for shared in [
        "network_mode: 'container:a'",
        "pid_mode: 'container:a'",
        "ipc_mode: 'container:a'",
        "links: {a: a}",
    ] {
        let both = |owner: &str, sharer: &str| {
            blueprint(&[
                ("a", owner, "", ""),
                (
                    "b",
                    &format!("command: {sharer}, host_config: {{{shared}}}"),
                    "",
                    "{type: cloudify.relationships.connected_to, target: a}",
                ),
            ])
        };
        let sweep = Sweep {
            foreign: &[],
            before: both("command: sleep 1", "sleep 1"),
            after: both("command: sleep 2", "exit"),
            corrected: both("command: sleep 3", "sleep 3"),
            always_working: &["a", "b"],
            sample: SAMPLE,
        };
        assert!(sweep.run() >= 15);
    }
}

#[test]
fn unneeded_successors_are_removed() {
    let three = |command: &str| {
        one_container(&format!("command: {command}")).replace(
            "    properties: {name: a,",
            "    instances: {deploy: 3}\n    properties: {name: a,",
        )
    };
    let mut life = TestDeployment::new();
    let before = deployment_of(&three("sleep 1"), None);
    life.run(&before, Workflow::Install);
    let ids: Vec<_> = ["a", "a-1", "a-2"].map(|name| life.id(name)).into();
    life.policy.fail_fast = true;
    assert_eq!(
        life.run(
            &deployment_of(&three("exit"), Some(&before)),
            Workflow::Update
        ),
        Some(Outcome::Failed)
    );
    assert_eq!(
        life.run(&before, Workflow::Update),
        Some(Outcome::Terminated)
    );
    assert_eq!(
        life.container_states(),
        ["a running", "a-1 running", "a-2 running"]
    );
    assert_eq!(
        ["a", "a-1", "a-2"].map(|name| life.id(name)).to_vec(),
        ids,
        "the old containers were kept"
    );
}

#[test]
fn missing_container_is_created_from_its_last_working_definition() {
    let mut life = TestDeployment::new();
    let before = deployment_of(&one_container("command: sleep 1"), None);
    life.run(&before, Workflow::Install);
    let after = deployment_of(&one_container("command: missing"), Some(&before));
    assert_eq!(life.run(&after, Workflow::Update), Some(Outcome::Failed));
    life.world.containers.borrow_mut().clear();
    assert_eq!(life.run(&after, Workflow::Heal), Some(Outcome::Terminated));
    assert_eq!(life.container_states(), ["a running"]);
    assert!(life.record().has_outdated(), "the update is still pending");
}

const THREE: [&str; 3] = ["a", "b", "c"];

/// Returns a blueprint of three containers, each with its own image. `b` depends on `a`. The number
/// distinguishes definitions.
fn three_images(number: u8) -> String {
    let relationship = "{type: cloudify.relationships.connected_to, target: a}";
    let command = format!("command: sleep {number}");
    let text = blueprint(&[
        ("a", &command, "", ""),
        ("b", &command, "", relationship),
        ("c", &command, "", ""),
    ]);
    let image = |text: String, name: &str| {
        text.replace(
            &format!("{name}, image: {{repository: i"),
            &format!("{name}, image: {{repository: {name}{number}"),
        )
    };
    THREE.into_iter().fold(text, image)
}

/// Installs a deployment and clears the log of requests.
pub(crate) fn install(deployment: &Deployment) -> TestDeployment {
    let mut life = TestDeployment::new();
    life.run(deployment, Workflow::Install);
    life.world.requests.borrow_mut().clear();
    life
}

fn three_ids(life: &TestDeployment) -> [Option<String>; 3] {
    THREE.map(|name| life.id(name))
}

fn expect_images_pulled_before_the_first_stop(life: &TestDeployment) {
    let requests = life.world.requests.borrow();
    let last = requests
        .iter()
        .take_while(|(_, step)| !step.contains("stop"))
        .filter(|(_, step)| step.contains("pull"))
        .count();
    assert_eq!(
        last, 3,
        "every image is pulled before the first stop: {requests:?}"
    );
}

#[test]
fn failed_pull_leaves_working_containers_running() {
    let before = deployment_of(&three_images(1), None);
    // Reinstall, with each image failing in turn.
    for failing in THREE {
        let mut life = install(&before);
        let old = three_ids(&life);
        life.world.refuse(&format!("{failing}_"), "pull image");
        assert_eq!(
            life.run(&before, Workflow::Reinstall),
            Some(Outcome::Failed)
        );
        let now = three_ids(&life);
        assert!(
            now.iter().all(Option::is_some),
            "{failing}: {:?}",
            life.container_states()
        );
        // `b` depends on `a`: if one of them is kept, so is the other.
        let kept: Vec<bool> = old.iter().zip(&now).map(|(old, now)| old == now).collect();
        assert_eq!(
            kept,
            if failing == "c" {
                [false, false, true]
            } else {
                [true, true, false]
            },
            "{failing}"
        );
        expect_images_pulled_before_the_first_stop(&life);
    }
    // Update: only the container with the failing image is unchanged.
    for (at, failing) in THREE.into_iter().enumerate() {
        let mut life = install(&before);
        let old = three_ids(&life);
        life.world.refuse(&format!("{failing}_"), "pull image");
        assert_eq!(
            life.run(
                &deployment_of(&three_images(2), Some(&before)),
                Workflow::Update
            ),
            Some(Outcome::Failed)
        );
        let now = three_ids(&life);
        assert!(
            now.iter().all(Option::is_some) && now[at] == old[at],
            "{failing}: {:?}",
            life.container_states()
        );
        assert!(
            now[2] != old[2] || failing == "c",
            "{failing}: `c` is updated"
        );
    }
}

/// The declaration of a node in one of several definitions.
#[derive(Clone, Debug)]
struct NodeChoice {
    command: &'static str,
    auto_remove: bool,
    /// 1: uses the network of the first node, 2: reads its container ID, 3: has a fixed port.
    extra: usize,
}

fn node_choice() -> impl Strategy<Value = NodeChoice> {
    (
        prop::sample::select(vec!["sleep", "sleep", "exit", "missing"]),
        any::<bool>(),
        0_usize..4,
    )
        .prop_map(|(command, auto_remove, extra)| NodeChoice {
            command,
            auto_remove: auto_remove && extra != 1,
            extra,
        })
}

/// Returns a blueprint of three nodes. With `works`, no container fails.
fn blueprint_of(choices: &[NodeChoice], round: usize, works: bool) -> String {
    let params = |at: usize, choice: &NodeChoice| {
        let command = if works { "sleep" } else { choice.command };
        let (shared, env, port) = match choice.extra {
            1 if at > 0 => (
                ", network_mode: 'container:a'".to_owned(),
                String::new(),
                String::new(),
            ),
            2 if at > 0 => (
                String::new(),
                ", environment: {A: {get_attribute: [a, container_id]}}".to_owned(),
                String::new(),
            ),
            3 => (
                String::new(),
                String::new(),
                format!(", port_bindings: {{80: {}}}", 8000 + at),
            ),
            _ => Default::default(),
        };
        format!(
            "command: {command} {round}{env}, host_config: {{auto_remove: {}{shared}{port}}}",
            choice.auto_remove
        )
    };
    let all: Vec<String> = choices
        .iter()
        .enumerate()
        .map(|(at, choice)| params(at, choice))
        .collect();
    let nodes: Vec<(&str, &str, &str, &str)> = ["a", "b", "c"]
        .into_iter()
        .zip(&all)
        .map(|(name, params)| (name, params.as_str(), "", ""))
        .collect();
    blueprint(&nodes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if is_long() { 1000 } else { 24 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_updates_with_faults_never_lose_a_working_container(
        rounds in prop::collection::vec((prop::collection::vec(node_choice(), 3), any::<bool>(), any::<bool>(), 0_usize..40, 0_usize..6, 0_usize..4), 1..6)
    ) {
        let plain = NodeChoice { command: "sleep", auto_remove: false, extra: 0 };
        let mut deployment = deployment_of(&blueprint_of(&[plain.clone(), plain.clone(), plain], 0, true), None);
        let mut life = TestDeployment::new();
        prop_assert_eq!(life.run(&deployment, Workflow::Install), Some(Outcome::Terminated));
        for (round, (choices, works, fail_fast, at, fate, next)) in rounds.into_iter().enumerate() {
            let point = format!("round {round}: {choices:?} works {works} fail_fast {fail_fast} {:?} at {at}, then {}", DISTURBANCES[fate], NEXT_WORKFLOWS[next]);
            deployment = deployment_of(&blueprint_of(&choices, round + 1, works), Some(&deployment));
            life.policy.fail_fast = fail_fast;
            life.disturb(at, DISTURBANCES[fate]);
            life.run(&deployment, Workflow::Update);
            life.clear_disturbances();
            life.run(&deployment, NEXT_WORKFLOWS[next]);
            for name in ["a", "b", "c"] {
                prop_assert!(life.id(name).is_some(), "{}: no working container {}: {:?}", point, name, life.container_states());
            }
            deployment = deployment_of(&blueprint_of(&choices, round + 100, true), Some(&deployment));
            prop_assert_eq!(life.run(&deployment, Workflow::Update), Some(Outcome::Terminated), "{}: {:?} {:?}", point, life.container_states(), life.record().executions.last());
            prop_assert_eq!(life.container_states().len(), 3, "{}: {:?}", point, life.container_states());
            prop_assert!(life.record().is_deployment_complete() && !life.record().has_outdated(), "{}", point);
        }
        prop_assert_eq!(life.run(&deployment, Workflow::Uninstall), Some(Outcome::Terminated));
        prop_assert_eq!(life.container_states().len(), 0);
    }
}

#[test]
fn container_lost_in_an_aborted_update_is_recreated_from_its_working_definition() {
    let plain = |extra: usize, auto_remove: bool, command: &'static str| NodeChoice {
        command,
        auto_remove,
        extra,
    };
    let sleep = plain(0, false, "sleep");
    let first = deployment_of(
        &blueprint_of(&[sleep.clone(), sleep.clone(), sleep.clone()], 0, true),
        None,
    );
    let lost = [sleep.clone(), plain(3, true, "sleep"), sleep.clone()];
    let broken = [sleep, plain(3, false, "missing"), plain(3, false, "sleep")];
    for at in 0..16 {
        let mut life = TestDeployment::new();
        life.run(&first, Workflow::Install);
        let before = deployment_of(&blueprint_of(&lost, 100, true), Some(&first));
        assert_eq!(
            life.run(&before, Workflow::Update),
            Some(Outcome::Terminated)
        );
        let after = deployment_of(&blueprint_of(&broken, 2, false), Some(&before));
        life.disturb(at, Disturbance::Abort);
        life.run(&after, Workflow::Update);
        life.clear_disturbances();
        life.run(&after, Workflow::Install);
        for name in ["a", "b", "c"] {
            assert!(
                life.id(name).is_some(),
                "at {at}: {name}: {:?}",
                life.container_states()
            );
        }
    }
}
