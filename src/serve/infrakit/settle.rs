//! Requests without an outcome: those of a run that was killed, and those that lost the engine.

use super::instances::{Instances, LIVING, stored};
use crate::{
    journal::{Intent, RequestOutcome},
    plugins::ObjectFilter,
    printable::on_one_line,
    seam::{ObjectState, Target},
    serve::json_rpc::RpcError,
};

impl Instances {
    /// Settles the requests of a subtype whose outcome is unknown: those of an earlier run, and
    /// those that lost the engine.
    pub(super) async fn settle(&self, subtype: &str, target: &Target) -> Result<(), RpcError> {
        if self.state.unsettled.borrow().is_empty() {
            return Ok(());
        }
        let _turn = self.state.settling.lock().await;
        let unsettled = self.state.unsettled.borrow().clone();
        for (request, intent) in unsettled
            .iter()
            .filter(|(_, intent)| subtype_of(intent) == subtype)
        {
            let outcome = self.settle_one(request, intent, target).await?;
            tracing::info!(
                request,
                outcome = outcome_text(&outcome),
                "settled a request without an outcome"
            );
            self.finish(request, &outcome)?;
            self.state
                .unsettled
                .borrow_mut()
                .retain(|(id, _)| id != request);
        }
        Ok(())
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

    /// Settles the requests of earlier runs, and forgets labels of containers that are gone. An
    /// engine that is away now is asked again later.
    pub(crate) async fn settle_all(&self) {
        for subtype in self.subtypes.keys() {
            if let Err(error) = self.ready(subtype).await {
                tracing::warn!(subtype, error = %on_one_line(&error.message), "the engine cannot be used now");
            }
        }
        if let Err(error) = self.forget_gone().await {
            tracing::warn!(error = %on_one_line(&error.message), "cannot check which labels belong to containers that are gone");
        }
        let left = self.state.unsettled.borrow();
        for (request, intent) in left
            .iter()
            .filter(|(_, intent)| !self.subtypes.contains_key(subtype_of(intent)))
        {
            tracing::warn!(
                request,
                subtype = subtype_of(intent),
                "an earlier request cannot be settled: this server has no such subtype"
            );
        }
    }

    async fn forget_gone(&self) -> Result<(), RpcError> {
        let mut gone: Vec<String> = self.state.overlay.borrow().keys().cloned().collect();
        let filter = ObjectFilter::default();
        for target in self.subtypes.values() {
            let found = self
                .with_index(async |index| index.list(target, &filter).await)
                .await?;
            gone.retain(|id| !found.iter().any(|found| found.id == *id));
        }
        for id in gone {
            self.store.forget(&id).map_err(|error| stored(&error))?;
            self.state.overlay.borrow_mut().remove(&id);
        }
        Ok(())
    }
}

fn subtype_of(intent: &Intent) -> &str {
    match intent {
        Intent::Provision { subtype, .. } | Intent::Destroy { subtype, .. } => subtype,
    }
}

fn outcome_text(outcome: &RequestOutcome) -> &'static str {
    match outcome {
        RequestOutcome::Done(_) => "completed",
        RequestOutcome::Failed(_) => "undone",
    }
}
