//! The drivers of a run together.

use super::{
    Adoptable, Driver, Guard, GuardHolder, Guarding, Guards, Happenings, Inside, Notes, Places,
    Plugins, Scene, Shell, Tools, Unguarded, table::places_of,
};
use crate::{
    record::Record,
    seam::{Call, Failure, Observed, Outputs, Reached, Settled, Step, Target},
    told::Told,
};
use futures_util::{StreamExt as _, stream};
use std::collections::BTreeMap;

/// The drivers of a run, by the ids of their plugins.
pub struct Drivers<'d> {
    /// The plugins that plan what the drivers carry out.
    pub plugins: Plugins,
    all: Vec<(&'static str, &'d dyn Driver)>,
}

impl<'d> Drivers<'d> {
    /// Takes the driver of each plugin.
    #[must_use]
    pub fn new(plugins: Plugins, all: Vec<(&'static str, &'d dyn Driver)>) -> Self {
        Self { plugins, all }
    }

    /// Carries out one step.
    ///
    /// # Errors
    ///
    /// As of [`Driver::perform`], or if nothing here has the plugin.
    pub async fn perform<'a>(
        &'a self,
        call: &'a Call,
        notes: Notes<'a>,
    ) -> Result<Outputs, Failure> {
        let inside = self.inside(call)?;
        let tools = Tools { notes, inside };
        self.of(&call.step.plugin)?.perform(call, tools).await
    }

    /// Looks whether a step is done whose outcome was lost. What the kernel does itself is.
    ///
    /// # Errors
    ///
    /// As of [`Driver::settle`], or if nothing here has the plugin.
    pub async fn settle(&self, call: &Call, since: u64) -> Result<Settled, Failure> {
        if call.step.is_nothing() {
            return Ok(Settled::Done(Outputs::default()));
        }
        let inside = self.inside(call)?;
        self.of(&call.step.plugin)?
            .settle(call, since, inside)
            .await
    }

    /// Says what exists of a deployment, and what stands where it wants to be. Changes nothing.
    ///
    /// # Errors
    ///
    /// If a system does not answer, or it cannot be told where an object is.
    pub async fn look(&self, scene: Scene<'_>) -> Result<Observed, Failure> {
        let places = self.plugins.places(scene).map_err(Failure::fatal)?;
        let mut observed = Observed::default();
        for (id, driver) in &self.all {
            let mine = places_of(id, &places);
            observed.add(driver.observe(scene, &mine).await?);
        }
        Ok(observed)
    }

    /// For each of these steps, what of it its system is too old for.
    ///
    /// # Errors
    ///
    /// If a system does not answer.
    pub async fn refusals(&self, steps: &[&Step]) -> Result<Vec<Vec<String>>, Failure> {
        let mut refusals = vec![Vec::new(); steps.len()];
        for (id, driver) in &self.all {
            let mine: Vec<usize> = (0..steps.len())
                .filter(|at| steps[*at].plugin == *id)
                .collect();
            let asked: Vec<&Step> = mine.iter().map(|at| steps[*at]).collect();
            for (at, refusal) in mine.into_iter().zip(driver.refusals(&asked).await?) {
                refusals[at] = refusal;
            }
        }
        Ok(refusals)
    }

    /// As of [`Driver::reach`], with every driver.
    ///
    /// # Errors
    ///
    /// Of the first system that cannot be used.
    pub async fn reach(&self, places: &Places) -> Result<(), Failure> {
        for (id, driver) in &self.all {
            let mine = places_of(id, places);
            driver.reach(&mine).await?;
        }
        Ok(())
    }

    /// As of [`Driver::trust`], with every driver.
    pub fn trust(&self, record: &Record) {
        self.all.iter().for_each(|(_, driver)| driver.trust(record));
    }

    /// What objects on the default systems tell of the deployments of a name.
    ///
    /// # Errors
    ///
    /// If a system does not say.
    pub async fn told(&self, deployment: &str) -> Result<Told, Failure> {
        let mut told = Told::of_name(deployment);
        for (_, driver) in &self.all {
            driver.tell(&mut told).await?;
        }
        Ok(told)
    }

    /// Names of the deployments that something on the default systems carries, each with the number
    /// of such objects.
    ///
    /// # Errors
    ///
    /// If a system does not say.
    pub async fn deployments(&self) -> Result<BTreeMap<String, usize>, Failure> {
        let mut all = BTreeMap::new();
        for (_, driver) in &self.all {
            for (name, count) in driver.deployments().await? {
                *all.entry(name).or_insert(0) += count;
            }
        }
        Ok(all)
    }

    /// Whether a connection was lost since this was last asked.
    #[must_use]
    pub fn was_cut(&self) -> bool {
        // Each is asked: asking resets the answer.
        let cut = self.all.iter().filter(|(_, driver)| driver.was_cut());
        cut.count() > 0
    }

    /// What reaches the object of an instance.
    ///
    /// # Errors
    ///
    /// If nothing can be run in it.
    pub fn shell(&self, place: &Reached) -> Result<&'d dyn Shell, Failure> {
        self.of(&place.plugin)?.as_shell().ok_or_else(|| {
            let plugin = &place.plugin;
            Failure::fatal(format!("nothing can be run in objects of `{plugin}`"))
        })
    }

    /// What happens to objects at these places from now on. It ends when a connection does.
    ///
    /// # Errors
    ///
    /// If a system does not tell.
    pub async fn happenings(
        &self,
        deployment: &str,
        places: &Places,
    ) -> Result<Happenings, Failure> {
        let mut all = Vec::new();
        for (id, driver) in &self.all {
            let targets = targets(&places_of(id, places));
            if let Some(watch) = driver.as_watch().filter(|_| !targets.is_empty()) {
                all.push(watch.happenings(deployment, &targets).await?);
            }
        }
        Ok(until_one_ends(all))
    }

    /// As of [`super::Watch::accepts`]; true of what is not watched.
    pub async fn accepts(&self, place: &Reached) -> bool {
        let driver = self.of(&place.plugin).ok();
        match driver.and_then(Driver::as_watch) {
            Some(watch) => watch.accepts(&place.target).await,
            None => true,
        }
    }

    /// Guards a deployment on every system that is known by now; on the default ones if none is.
    ///
    /// # Errors
    ///
    /// If somebody else does, or a system cannot be used.
    pub async fn guard(
        &self,
        deployment: &str,
        places: &Places,
        me: &GuardHolder,
    ) -> Result<Guards, Unguarded> {
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
            match guard.take(deployment, &targets, me).await {
                Ok(held) => guards.add(held),
                Err(unguarded) => {
                    guards.release().await;
                    return Err(unguarded);
                }
            }
        }
        Ok(guards)
    }

    /// Guards of a deployment on the default systems.
    ///
    /// # Errors
    ///
    /// If a system does not say.
    pub async fn guarding(
        &self,
        deployment: &str,
        me: &GuardHolder,
    ) -> Result<Vec<Guarding>, Failure> {
        let mut all = Vec::new();
        for guard in self.guards() {
            all.extend(guard.standing(deployment, me).await?);
        }
        Ok(all)
    }

    /// Removes them.
    ///
    /// # Errors
    ///
    /// If a system refuses.
    pub async fn remove_guards(&self, deployment: &str) -> Result<(), Failure> {
        for guard in self.guards() {
            guard.remove(deployment).await?;
        }
        Ok(())
    }

    fn guards(&self) -> impl Iterator<Item = &'d dyn Guard> {
        self.all.iter().filter_map(|(_, driver)| driver.as_guard())
    }

    /// Describes what exists, as the first plugin sees it that can.
    ///
    /// # Errors
    ///
    /// If nothing can, or the system does not say.
    pub async fn adoptable(
        &self,
        names: &[String],
        filters: Option<&[(String, String)]>,
    ) -> Result<Adoptable, Failure> {
        let adopter = self.all.iter().find_map(|(_, it)| it.as_adopter());
        let adopter = adopter.ok_or_else(|| Failure::fatal("nothing here can be adopted"))?;
        adopter.describe(names, filters).await
    }

    /// What reaches the object that a step is carried out in.
    fn inside<'c>(&'c self, call: &'c Call) -> Result<Option<Inside<'c>>, Failure> {
        let Some(place) = &call.inside else {
            return Ok(None);
        };
        let shell = self.shell(place)?;
        Ok(Some(Inside { shell, place }))
    }

    fn of(&self, plugin: &str) -> Result<&'d dyn Driver, Failure> {
        let found = self.all.iter().find(|(id, _)| *id == plugin);
        found.map(|(_, driver)| *driver).ok_or_else(|| {
            Failure::fatal(format!("this dockctl has no plugin `{plugin}`"))
                .hint("use the dockctl that planned it, or a newer one")
        })
    }
}

/// What comes from all of them. One that ends shows that all have to be asked again.
pub(super) fn until_one_ends(all: Vec<Happenings>) -> Happenings {
    let ending = |one: Happenings| one.map(Some).chain(stream::iter([None])).boxed_local();
    stream::select_all(all.into_iter().map(ending))
        .take_while(|happening| std::future::ready(happening.is_some()))
        .filter_map(std::future::ready)
        .boxed_local()
}

/// The systems that places are on, each once.
fn targets(places: &Places) -> Vec<Target> {
    let mut all: Vec<Target> = Vec::new();
    for place in places.values() {
        if !all.contains(&place.target) {
            all.push(place.target.clone());
        }
    }
    all
}
