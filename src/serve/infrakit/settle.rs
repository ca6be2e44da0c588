//! Requests without an outcome: those of a run that was killed, and those that lost the engine.

use super::instances::{Engine, Instances, LIVING};
use crate::{
    journal::{Intent, RequestOutcome},
    printable::on_one_line,
    seam::{ObjectState, Target},
    serve::json_rpc::RpcError,
};
use std::time::Duration;
use tokio::{sync::MutexGuard, time::Instant};

/// Shortest time between two attempts to settle the same requests.
const PAUSE: Duration = Duration::from_secs(10);

impl Instances {
    /// Settles the requests of an engine whose outcome is unknown: those of an earlier run, and
    /// those that lost the engine. The first call of a subtype waits for that. A request that
    /// cannot be settled does not stop other calls: it is tried again later.
    pub(super) async fn settle(&self, subtype: &str, engine: &Engine) {
        let Some(_turn) = self.turn_to_settle(subtype).await else {
            return;
        };
        let unsettled = self.state.unsettled.borrow().clone();
        for (request, intent) in unsettled.iter().filter(|(_, intent)| is_of(intent, engine)) {
            match self.settle_one(request, intent, &engine.target).await {
                Ok(outcome) => self.settled(request, &outcome),
                Err(error) => {
                    let error = on_one_line(&error.message);
                    tracing::warn!(request, %error, "cannot settle an earlier request now");
                }
            }
        }
        let mut settled = self.state.settled.borrow_mut();
        settled.insert(subtype.to_owned(), Instant::now());
    }

    /// Returns none if there is nothing to settle, or it is too early to try again.
    async fn turn_to_settle(&self, subtype: &str) -> Option<MutexGuard<'_, ()>> {
        if self.state.unsettled.borrow().is_empty() {
            return None;
        }
        let last = || self.state.settled.borrow().get(subtype).copied();
        if let Some(last) = last() {
            let turn = self.state.settling.try_lock().ok();
            return turn.filter(|_| last.elapsed() > PAUSE);
        }
        let turn = self.state.settling.lock().await;
        last().is_none().then_some(turn)
    }

    fn settled(&self, request: &str, outcome: &RequestOutcome) {
        tracing::info!(
            request,
            outcome = outcome_text(outcome),
            "settled a request without an outcome"
        );
        match self.finish(request, outcome) {
            Ok(()) => self
                .state
                .unsettled
                .borrow_mut()
                .retain(|(id, _)| id != request),
            Err(error) => {
                tracing::error!(request, error = %on_one_line(&error.message), "cannot store its outcome")
            }
        }
    }

    async fn settle_one(
        &self,
        request: &str,
        intent: &Intent,
        target: &Target,
    ) -> Result<RequestOutcome, RpcError> {
        let has_init = match intent {
            Intent::Provision { has_init, .. } => *has_init,
            Intent::Destroy { container, .. } => {
                self.remove(container, target).await?;
                return Ok(RequestOutcome::Done(container.clone()));
            }
        };
        for found in self.created_for(request, target).await? {
            if !has_init && found.state != ObjectState::Created && LIVING.contains(&found.state) {
                return Ok(RequestOutcome::Done(found.id));
            }
            self.remove(&found.id, target).await?;
        }
        Ok(RequestOutcome::Failed("it was interrupted".to_owned()))
    }

    /// Settles the requests of earlier runs. An engine that is away now is asked again later.
    pub(crate) async fn settle_all(&self) {
        for subtype in self.subtypes.keys() {
            match self.ready(subtype).await {
                Ok(_) => tracing::info!(subtype, "the engine can be used"),
                Err(error) => {
                    let error = on_one_line(&error.message);
                    tracing::warn!(subtype, %error, "the engine cannot be used now");
                }
            }
        }
        let left = self.state.unsettled.borrow();
        let is_known = |intent: &Intent| self.subtypes.values().any(|engine| is_of(intent, engine));
        for (request, intent) in left.iter().filter(|(_, intent)| !is_known(intent)) {
            tracing::warn!(
                request,
                engine = engine_of(intent),
                "an earlier request cannot be settled: this server does not use its engine"
            );
        }
    }
}

fn engine_of(intent: &Intent) -> &str {
    match intent {
        Intent::Provision { engine, .. } | Intent::Destroy { engine, .. } => engine,
    }
}

fn is_of(intent: &Intent, engine: &Engine) -> bool {
    engine_of(intent) == engine.address
}

fn outcome_text(outcome: &RequestOutcome) -> &'static str {
    match outcome {
        RequestOutcome::Done(_) => "completed",
        RequestOutcome::Failed(_) => "undone",
    }
}
