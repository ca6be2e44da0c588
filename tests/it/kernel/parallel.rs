//! The limit on concurrent calls, including retries.

use crate::{
    kernel::run::{begun, deployment, with_runtime},
    simulated::{Fate, Simulated, drivers},
};
use dockctl::{
    event::Outcome,
    executor::{Executor, Policy, StopRequests},
    plugins::{Answer, Driver, Inside, Places, Scene, Tools},
    record::Record,
    report::Quiet,
    seam::{Call, Observed, Outputs, Settled},
    secrets::Secrets,
};
use std::{cell::Cell, time::Duration};

/// A simulated engine with slow requests that counts the concurrent ones.
#[derive(Default)]
struct Slow {
    world: Simulated,
    now: Cell<usize>,
    most: Cell<usize>,
}

impl Driver for Slow {
    fn perform<'a>(&'a self, call: &'a Call, tools: Tools<'a>) -> Answer<'a, Outputs> {
        Box::pin(async move {
            self.now.set(self.now.get() + 1);
            self.most.set(self.most.get().max(self.now.get()));
            tokio::time::sleep(Duration::from_secs(10)).await;
            let outputs = self.world.perform(call, tools).await;
            self.now.set(self.now.get() - 1);
            outputs
        })
    }

    fn settle<'a>(
        &'a self,
        call: &'a Call,
        since: u64,
        inside: Option<Inside<'a>>,
    ) -> Answer<'a, Settled> {
        self.world.settle(call, since, inside)
    }

    fn observe<'a>(&'a self, scene: Scene<'a>, places: &'a Places) -> Answer<'a, Observed> {
        self.world.observe(scene, places)
    }
}

/// Returns the largest number of concurrent requests during an install of six nodes with retries.
fn most(parallel: usize) -> usize {
    let names = ["a", "b", "c", "d", "e", "f"];
    let deployment = deployment(&names.map(|name| (name, &[][..])));
    let slow = Slow::default();
    (0..12).for_each(|n| slow.world.doom(n * 2, Fate::RefusedOnce));
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
                interval: 1.0,
                ..Policy::default()
            },
        };
        let stage = begun(&mut executor, &deployment);
        executor.run(stage, &StopRequests::default()).await.unwrap();
        assert_eq!(executor.finish().unwrap(), Outcome::Terminated);
    });
    slow.most.get()
}

#[test]
fn what_is_tried_again_counts_like_everything_else() {
    for parallel in [1, 2, 4] {
        assert_eq!(most(parallel), parallel);
    }
}
