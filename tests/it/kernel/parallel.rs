//! The limit on concurrent calls, including retries.

use crate::{
    kernel::run::{begin_install, deployment, with_runtime},
    simulated::{RequestOutcome, SimulatedEngine, drivers},
};
use dockctl::{
    event::Outcome,
    executor::{Executor, Policy, StopRequests},
    plugins::{Driver, DriverFuture, ObjectPlaces, ObserveContext, StepContext, StepShell},
    record::Record,
    report::Quiet,
    seam::{Call, Observed, Outputs, Settled},
    secrets::Secrets,
};
use std::{cell::Cell, time::Duration};

/// A simulated engine with slow requests that counts the concurrent ones.
#[derive(Default)]
struct SlowEngine {
    world: SimulatedEngine,
    current: Cell<usize>,
    maximum: Cell<usize>,
}

impl Driver for SlowEngine {
    fn perform<'a>(&'a self, call: &'a Call, tools: StepContext<'a>) -> DriverFuture<'a, Outputs> {
        Box::pin(async move {
            self.current.set(self.current.get() + 1);
            self.maximum.set(self.maximum.get().max(self.current.get()));
            tokio::time::sleep(Duration::from_secs(10)).await;
            let outputs = self.world.perform(call, tools).await;
            self.current.set(self.current.get() - 1);
            outputs
        })
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

/// Returns the largest number of concurrent requests during an install of six nodes with retries.
fn max_concurrency(parallel: usize) -> usize {
    let names = ["a", "b", "c", "d", "e", "f"];
    let deployment = deployment(&names.map(|name| (name, &[][..])));
    let slow = SlowEngine::default();
    (0..12).for_each(|n| slow.world.set_outcome(n * 2, RequestOutcome::RefusedOnce));
    let (mut journal, mut quiet) = (Vec::new(), Quiet);
    with_runtime(async {
        let mut executor = Executor {
            record: &mut Record::default(),
            drivers: &drivers(&slow),
            journal: &mut journal,
            reporter: &mut quiet,
            secrets: &Secrets::default(),
            policy: Policy {
                parallel,
                retries: 9.0,
                retry_interval: 1.0,
                ..Policy::default()
            },
        };
        let stage = begin_install(&mut executor, &deployment);
        executor
            .run_stage(stage, &StopRequests::default())
            .await
            .unwrap();
        assert_eq!(executor.finish().unwrap(), Outcome::Terminated);
    });
    slow.maximum.get()
}

#[test]
fn retries_count_towards_the_parallel_limit() {
    for parallel in [1, 2, 4] {
        assert_eq!(max_concurrency(parallel), parallel);
    }
}
