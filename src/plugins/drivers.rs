//! All drivers of a run.

use super::{
    Adoptable, Driver, FoundGuard, Guard, GuardError, GuardHolder, Guards, NoteSink, ObjectEvents,
    ObjectIndex, ObjectPlaces, ObserveContext, Plugins, Shell, StepContext, StepShell,
    registry::places_of,
};
use crate::{
    discovery::Discovery,
    record::Record,
    seam::{Call, Failure, ForeignSharers, ObjectRef, Observed, Outputs, Settled, Step, Target},
    secrets::Secrets,
};
use futures_util::{StreamExt as _, stream};
use std::collections::{BTreeMap, BTreeSet};

/// The drivers of a run, with the IDs of their plugins.
pub struct Drivers<'d> {
    /// The plugins of these drivers.
    pub plugins: Plugins,
    all: Vec<(&'static str, &'d dyn Driver)>,
}

impl<'d> Drivers<'d> {
    /// Combines the drivers of all plugins.
    #[must_use]
    pub fn new(plugins: Plugins, all: Vec<(&'static str, &'d dyn Driver)>) -> Self {
        Self { plugins, all }
    }

    /// Runs one step.
    ///
    /// # Errors
    ///
    /// Same as [`Driver::perform`], or if the plugin is missing.
    pub async fn perform<'a>(
        &'a self,
        call: &'a Call,
        notes: NoteSink<'a>,
        secrets: &'a Secrets,
    ) -> Result<Outputs, Failure> {
        let inside = self.inside(call)?;
        let tools = StepContext {
            notes,
            inside,
            secrets,
        };
        self.by_plugin(&call.step.plugin)?
            .perform(call, tools)
            .await
    }

    /// Settles a step whose outcome was lost. A step without an action always took effect.
    ///
    /// # Errors
    ///
    /// Same as [`Driver::settle`], or if the plugin is missing.
    pub async fn settle(&self, call: &Call, since: u64) -> Result<Settled, Failure> {
        if call.step.has_no_action() {
            return Ok(Settled::Done(Outputs::default()));
        }
        let inside = self.inside(call)?;
        self.by_plugin(&call.step.plugin)?
            .settle(call, since, inside)
            .await
    }

    /// Calls [`Driver::abandon`] of the driver of a call.
    ///
    /// # Errors
    ///
    /// If the outcome cannot be found out.
    pub async fn abandon(&self, call: &Call) -> Result<Settled, Failure> {
        let inside = self.inside(call)?;
        let driver = self.by_plugin(&call.step.plugin)?;
        driver.abandon(call, inside).await
    }

    /// Calls [`Driver::clean_up`] of every driver.
    pub fn clean_up(&self, deployment: &str) {
        let drivers = self.all.iter();
        drivers.for_each(|(_, driver)| driver.clean_up(deployment));
    }

    /// Calls [`Driver::outcome_recorded`] of the driver of a call.
    pub async fn outcome_recorded(&self, call: &Call) {
        if let (Ok(driver), Ok(inside)) = (self.by_plugin(&call.step.plugin), self.inside(call)) {
            driver.outcome_recorded(call, inside).await;
        }
    }

    /// Observes the objects of a deployment, and foreign objects that have names it uses. Changes
    /// nothing. A system that does not respond is [`Observed::unseen`].
    ///
    /// # Errors
    ///
    /// If no system responds, or the location of an object is unknown.
    pub async fn observe(&self, scene: ObserveContext<'_>) -> Result<Observed, Failure> {
        let places = self.plugins.places(scene).map_err(Failure::fatal)?;
        let mut observed = Observed::default();
        for (id, driver) in &self.all {
            let mine = places_of(id, &places);
            observed.add(driver.observe(scene, &mine).await?);
        }
        if places.keys().all(|id| observed.is_unseen(id)) {
            return observed.complete();
        }
        Ok(observed)
    }

    /// Adds the references that name something else now ([`Observed::moved`]) to an observation.
    ///
    /// # Errors
    ///
    /// If a system does not respond.
    pub async fn add_moved(
        &self,
        scene: ObserveContext<'_>,
        observed: &mut Observed,
    ) -> Result<(), Failure> {
        let places = self.plugins.places(scene).map_err(Failure::fatal)?;
        for (id, driver) in &self.all {
            let mine = places_of(id, &places);
            let moved = driver.moved(scene, &mine, observed).await?;
            observed.moved.extend(moved);
        }
        Ok(())
    }

    /// Returns the objects outside the deployment that share namespaces of these instances.
    ///
    /// # Errors
    ///
    /// If a system does not respond.
    pub async fn foreign_sharers(
        &self,
        scene: ObserveContext<'_>,
        instances: &BTreeSet<String>,
    ) -> Result<Vec<ForeignSharers>, Failure> {
        let mut sharers = Vec::new();
        if instances.is_empty() {
            return Ok(sharers);
        }
        let places = self.plugins.places(scene).map_err(Failure::fatal)?;
        for (id, driver) in &self.all {
            let mine = places_of(id, &places);
            sharers.extend(driver.foreign_sharers(scene, &mine, instances).await?);
        }
        Ok(sharers)
    }

    /// Returns, for each of these steps, the features that its system does not support.
    ///
    /// # Errors
    ///
    /// If a system does not respond.
    pub async fn unsupported_features(&self, steps: &[&Step]) -> Result<Vec<Vec<String>>, Failure> {
        let mut refusals = vec![Vec::new(); steps.len()];
        for (id, driver) in &self.all {
            let mine: Vec<usize> = (0..steps.len())
                .filter(|at| steps[*at].plugin == *id)
                .collect();
            let own_steps: Vec<&Step> = mine.iter().map(|at| steps[*at]).collect();
            for (at, refusal) in mine
                .into_iter()
                .zip(driver.unsupported_features(&own_steps).await?)
            {
                refusals[at] = refusal;
            }
        }
        Ok(refusals)
    }

    /// Calls [`Driver::version_warnings`] of every driver.
    #[must_use]
    pub fn version_warnings(&self) -> BTreeSet<String> {
        let all = self.all.iter();
        all.flat_map(|(_, driver)| driver.version_warnings())
            .collect()
    }

    /// Calls [`Driver::trust_taken_over`] of every driver.
    pub fn trust_taken_over(&self, record: &Record) {
        self.all
            .iter()
            .for_each(|(_, driver)| driver.trust_taken_over(record));
    }

    /// Returns the claims of objects on the default systems about deployments with this name.
    ///
    /// # Errors
    ///
    /// If a system cannot be queried.
    pub async fn claims(&self, deployment: &str) -> Result<Discovery, Failure> {
        let mut discovery = Discovery::of_name(deployment);
        for (_, driver) in &self.all {
            driver.add_claims(&mut discovery).await?;
        }
        Ok(discovery)
    }

    /// Returns the names of all deployments that have objects on the default systems, with each
    /// with its number of objects.
    ///
    /// # Errors
    ///
    /// If a system cannot be queried.
    pub async fn deployments(&self) -> Result<BTreeMap<String, usize>, Failure> {
        let mut all = BTreeMap::new();
        for (_, driver) in &self.all {
            for (name, count) in driver.deployments().await? {
                *all.entry(name).or_insert(0) += count;
            }
        }
        Ok(all)
    }

    /// Returns true if a connection was lost since the last call.
    #[must_use]
    pub fn lost_connection(&self) -> bool {
        // Call every driver: the call resets its flag.
        let cut = self
            .all
            .iter()
            .filter(|(_, driver)| driver.lost_connection());
        cut.count() > 0
    }

    /// Returns the shell for an object.
    ///
    /// # Errors
    ///
    /// If commands cannot run in the objects of its plugin.
    pub fn shell(&self, place: &ObjectRef) -> Result<&'d dyn Shell, Failure> {
        self.by_plugin(&place.plugin)?.as_shell().ok_or_else(|| {
            let plugin = &place.plugin;
            Failure::fatal(format!(
                "plugin `{plugin}` cannot run commands in its objects"
            ))
        })
    }

    /// Streams the events of objects at these places from now on. The stream ends when a connection
    /// is lost.
    ///
    /// # Errors
    ///
    /// If a system cannot be watched.
    pub async fn events(
        &self,
        deployment: &str,
        places: &ObjectPlaces,
    ) -> Result<ObjectEvents, Failure> {
        let mut all = Vec::new();
        for (id, driver) in &self.all {
            let targets = targets(&places_of(id, places));
            if let Some(watch) = driver.as_watch().filter(|_| !targets.is_empty()) {
                all.push(watch.events(deployment, &targets).await?);
            }
        }
        Ok(merge_until_one_ends(all))
    }

    /// Same as [`super::Watch::accepts_connections`]; true for plugins without a watch.
    pub async fn accepts_connections(&self, place: &ObjectRef) -> bool {
        let driver = self.by_plugin(&place.plugin).ok();
        match driver.and_then(Driver::as_watch) {
            Some(watch) => watch.accepts_connections(&place.target).await,
            None => true,
        }
    }

    /// Guards a deployment on every system that is known by now and responds, or on the default
    /// ones if none is known. The others count as not responding from now on.
    ///
    /// # Errors
    ///
    /// If another run holds a guard, or no system of a plugin responds.
    pub async fn guard(
        &self,
        deployment: &str,
        places: &ObjectPlaces,
        me: &GuardHolder,
    ) -> Result<Guards, GuardError> {
        let mut guards = Guards::default();
        for (id, driver) in &self.all {
            let targets = if places.is_empty() {
                vec![Target::Default]
            } else {
                targets(&places_of(id, places))
            };
            let Some(guard) = driver.as_guard().filter(|_| !targets.is_empty()) else {
                continue;
            };
            match guard.acquire(deployment, &targets, me).await {
                Ok(held) => guards.add(held),
                Err(unguarded) => {
                    guards.release().await;
                    return Err(unguarded);
                }
            }
        }
        Ok(guards)
    }

    /// Returns the guards of a deployment on the default systems.
    ///
    /// # Errors
    ///
    /// If a system cannot be queried.
    pub async fn list_guards(
        &self,
        deployment: &str,
        me: &GuardHolder,
    ) -> Result<Vec<FoundGuard>, Failure> {
        let mut all = Vec::new();
        for guard in self.guards() {
            all.extend(guard.list(deployment, me).await?);
        }
        Ok(all)
    }

    /// Removes the guards of a deployment on the default systems.
    ///
    /// # Errors
    ///
    /// If a system returns an error.
    pub async fn remove_guards(&self, deployment: &str) -> Result<(), Failure> {
        for guard in self.guards() {
            guard.remove(deployment).await?;
        }
        Ok(())
    }

    fn guards(&self) -> impl Iterator<Item = &'d dyn Guard> {
        self.all.iter().filter_map(|(_, driver)| driver.as_guard())
    }

    /// Returns the index of the first plugin that has one.
    ///
    /// # Errors
    ///
    /// If no plugin has one.
    pub fn index(&self) -> Result<&dyn ObjectIndex, Failure> {
        let index = self.all.iter().find_map(|(_, it)| it.as_index());
        index.ok_or_else(|| Failure::fatal("no plugin can list objects by their labels"))
    }

    /// Describes existing objects with the first driver that supports adoption.
    ///
    /// # Errors
    ///
    /// If no driver supports it, or the system cannot be queried.
    pub async fn adoptable(
        &self,
        names: &[String],
        filters: Option<&[(String, String)]>,
    ) -> Result<Adoptable, Failure> {
        let adopter = self.all.iter().find_map(|(_, it)| it.as_adopter());
        let adopter = adopter.ok_or_else(|| Failure::fatal("no plugin supports adoption"))?;
        adopter.describe(names, filters).await
    }

    /// Returns the shell for the object that a step runs in.
    fn inside<'c>(&'c self, call: &'c Call) -> Result<Option<StepShell<'c>>, Failure> {
        let Some(place) = &call.inside else {
            return Ok(None);
        };
        let shell = self.shell(place)?;
        Ok(Some(StepShell { shell, place }))
    }

    fn by_plugin(&self, plugin: &str) -> Result<&'d dyn Driver, Failure> {
        let found = self.all.iter().find(|(id, _)| *id == plugin);
        found.map(|(_, driver)| *driver).ok_or_else(|| {
            Failure::fatal(format!("this dockctl does not have the plugin `{plugin}`"))
                .hint("use the dockctl version that planned the step, or a newer one")
        })
    }
}

/// Merges several streams. The result ends when the first of them ends, because all must be
/// subscribed to again.
pub(super) fn merge_until_one_ends(all: Vec<ObjectEvents>) -> ObjectEvents {
    let ending = |one: ObjectEvents| one.map(Some).chain(stream::iter([None])).boxed_local();
    stream::select_all(all.into_iter().map(ending))
        .take_while(|event| std::future::ready(event.is_some()))
        .filter_map(std::future::ready)
        .boxed_local()
}

/// Returns the distinct systems of these places.
fn targets(places: &ObjectPlaces) -> Vec<Target> {
    let mut all: Vec<Target> = Vec::new();
    for place in places.values() {
        if !all.contains(&place.target) {
            all.push(place.target.clone());
        }
    }
    all
}
