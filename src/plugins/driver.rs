//! What carries the steps of a system out, and says what is there: a plugin with its connections.

use super::{Places, Plugins};
use crate::{
    model::Deployment,
    record::Record,
    seam::{Call, Command, Failure, Note, Observed, Outputs, Reached, Settled, Step, Streams},
    secrets::Secrets,
};
use std::{future::Future, pin::Pin};

/// What a driver answers, sooner or later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + 'a>>;

/// Takes what a step has to say while it runs. What it changed is in the journal once the answer is
/// there.
pub type Notes<'a> = &'a dyn Fn(Note) -> Heard;

/// Comes once a note was heard.
pub type Heard = Pin<Box<dyn Future<Output = ()>>>;

/// What observing looks from.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// What is declared.
    pub deployment: &'a Deployment,
    /// What is known.
    pub record: &'a Record,
    /// What late values may need.
    pub secrets: &'a Secrets,
}

/// Runs commands in the objects of a plugin.
pub trait Shell {
    /// Runs one to its end; gives its exit code.
    fn run<'a>(
        &'a self,
        place: &'a Reached,
        command: &'a Command,
        streams: &'a mut dyn Streams,
    ) -> Answer<'a, i64>;
}

/// The object that a step is carried out in, and what reaches it.
#[derive(Clone, Copy)]
pub struct Inside<'a> {
    /// Of the driver that the object belongs to.
    pub shell: &'a dyn Shell,
    /// The object.
    pub place: &'a Reached,
}

/// What a driver is handed for a step.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// Takes what the step has to say.
    pub notes: Notes<'a>,
    /// What it is carried out in, if its step names that.
    pub inside: Option<Inside<'a>>,
}

/// One family of operations with its connections. One is made for a run.
pub trait Driver {
    /// Carries out one step. What was done already counts as done: after a crash a step can be
    /// asked for twice.
    fn perform<'a>(&'a self, call: &'a Call, tools: Tools<'a>) -> Answer<'a, Outputs>;

    /// Looks whether a step is done whose outcome was lost. Changes nothing. Of the call's step
    /// only the target is bound. `since` is when it was asked for, in milliseconds since 1970 UTC.
    fn settle<'a>(
        &'a self,
        _call: &'a Call,
        _since: u64,
        _inside: Option<Inside<'a>>,
    ) -> Answer<'a, Settled> {
        Box::pin(async { Ok(Settled::NotDone) })
    }

    /// Says what exists of a deployment at these places, and what stands where it wants to be.
    /// Changes nothing.
    fn observe<'a>(&'a self, _scene: Scene<'a>, _places: &'a Places) -> Answer<'a, Observed> {
        Box::pin(async { Ok(Observed::default()) })
    }

    /// For each of these steps, what of it its system is too old for. Changes nothing.
    fn refusals<'a>(&'a self, steps: &'a [&'a Step]) -> Answer<'a, Vec<Vec<String>>> {
        Box::pin(async { Ok(vec![Vec::new(); steps.len()]) })
    }

    /// What runs commands in its objects, if anything can.
    fn as_shell(&self) -> Option<&dyn Shell> {
        None
    }
}

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
            let mine = self.plugins.places_of(id, scene.deployment, &places);
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

    /// What reaches the object that a step is carried out in.
    fn inside<'c>(&'c self, call: &'c Call) -> Result<Option<Inside<'c>>, Failure> {
        let Some(place) = &call.inside else {
            return Ok(None);
        };
        let shell = self.of(&place.plugin)?.as_shell().ok_or_else(|| {
            let plugin = &place.plugin;
            Failure::fatal(format!("nothing can be run in objects of `{plugin}`"))
        })?;
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
