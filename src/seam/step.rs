//! One operation of one system, as data that the kernel understands without the plugin.

use super::Target;
use crate::model::function::{
    self, Surroundings, holds_late_call, reads_attributes, secret_names, withheld_digests,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::fmt;

/// One operation of one system. A journal that holds it can be read by a dockctl that does not have
/// its plugin.
///
/// Two steps are equal if plugin, target and payload are: what is said of a step for people and for
/// the fold is no part of what it does.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Step {
    /// The plugin that carries it out; empty for what the kernel does itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plugin: String,
    /// Where; may hold functions until the step is bound.
    #[serde(default, skip_serializing_if = "Target::is_default")]
    pub target: Target,
    /// Id of the instance whose object it is carried out in, through the plugin of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
    /// What the kernel knows of it.
    pub traits: Traits,
    /// What the plugin knows of it, tagged with a version of its own; may hold functions until the
    /// step is bound.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub payload: Json,
    /// What goes into labels. It is never bound: its functions may ask for secrets, and anyone can
    /// read labels.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub kept: Json,
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        (&self.plugin, &self.target, &self.inside, &self.payload)
            == (&other.plugin, &other.target, &other.inside, &other.payload)
    }
}

/// What the kernel knows of a step, decided when its operation is lowered.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Traits {
    /// What plans and progress show.
    pub title: String,
    /// What it does to the object of its instance.
    #[serde(default, skip_serializing_if = "Effect::is_nothing")]
    pub effect: Effect,
    /// What is done with it when its outcome was lost.
    #[serde(default, skip_serializing_if = "Settling::is_by_looking")]
    pub settling: Settling,
    /// It deletes an object for good; a late value counts as true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletes: bool,
    /// What it says of the declaration that the object is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declares: Option<Declares>,
    /// Of a replacement: it makes the object that takes the place of another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub makes_successor: bool,
    /// Its failure is noted, and what needs it goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// What it does about the material that objects are made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub material: Option<Material>,
    /// The property of the node that it is about: where a person mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// The name that a new object is to have, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<String>,
    /// Of steps with equal keys one waits for the other, and finds the work done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
}

/// What a step does to the object of its instance.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Effect {
    #[default]
    Nothing,
    Starts,
    Stops,
    Adjusts,
    Creates,
    Adopts,
    Removes,
    Replaces,
    Refuses,
}

impl Effect {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

/// How a step is settled whose outcome was lost.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Settling {
    /// The system shows whether it is done.
    #[default]
    ByLooking,
    /// Nothing shows whether it is done: it is carried out again.
    AtLeastOnce,
    /// Nothing shows whether it is done, and doing it twice does harm: a person is asked.
    Ask,
}

impl Settling {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_by_looking(&self) -> bool {
        *self == Self::ByLooking
    }
}

/// What a step says of the declaration that an object is made from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Declares {
    /// The object is new: its labels say it.
    Anew,
    /// The object was changed to this one; its labels still say what it was before.
    Adjusted(String),
}

/// What a step does about the material that objects are made from, such as an image.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Material {
    /// It brings it from somewhere else.
    Brings,
    /// It makes it.
    Makes,
    /// It removes it.
    Removes,
}

impl Step {
    /// Nothing happens outside the record: the instance only changes its state.
    #[must_use]
    pub fn nothing() -> Self {
        Self::own("nothing to do".to_owned(), Effect::Nothing, Json::Null)
    }

    /// It cannot be done: it fails with these words.
    #[must_use]
    pub fn refused(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::own(
            format!("refuse: {why}"),
            Effect::Refuses,
            json!({ "refused": why }),
        )
    }

    fn own(title: String, effect: Effect, payload: Json) -> Self {
        Self {
            traits: Traits {
                title,
                effect,
                ..Traits::default()
            },
            payload,
            ..Self::default()
        }
    }

    /// Whether nothing happens outside the record.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.plugin.is_empty() && self.payload.is_null()
    }

    /// Why it cannot be done, if it cannot.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let is_own = self.plugin.is_empty();
        self.payload["refused"].as_str().filter(|_| is_own)
    }

    /// What it does to the object of its instance.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.traits.effect
    }

    /// Whether it ends something that works.
    #[must_use]
    pub fn halts(&self) -> bool {
        matches!(self.effect(), Effect::Stops | Effect::Removes)
    }

    /// Whether it brings or makes material, which can fail before anything is touched that works.
    #[must_use]
    pub fn prepares(&self) -> bool {
        matches!(
            self.traits.material,
            Some(Material::Brings | Material::Makes)
        )
    }

    /// Whether it brings material.
    #[must_use]
    pub fn brings(&self) -> bool {
        self.traits.material == Some(Material::Brings)
    }

    /// Whether it makes a new object.
    #[must_use]
    pub fn declares_anew(&self) -> bool {
        self.traits.declares == Some(Declares::Anew)
    }

    /// Names of the secrets that it asks for.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.bound_later().flat_map(secret_names).collect()
    }

    /// Digests of what was withheld from it.
    #[must_use]
    pub fn withheld(&self) -> Vec<String> {
        self.bound_later().flat_map(withheld_digests).collect()
    }

    /// Whether it reads attributes, which other steps may still set.
    #[must_use]
    pub fn reads_attributes(&self) -> bool {
        self.bound_later().any(reads_attributes)
    }

    /// Whether it holds a function that is evaluated only when it is carried out.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.bound_later().any(holds_late_call)
    }

    fn bound_later(&self) -> impl Iterator<Item = &Json> {
        self.target.arguments().into_iter().chain([&self.payload])
    }

    /// Evaluates the functions in it.
    ///
    /// # Errors
    ///
    /// If one of them cannot be evaluated, or it is not known where the step is carried out.
    pub fn bind(&self, around: &dyn Surroundings) -> Result<Self, String> {
        Ok(Self {
            payload: function::bind(&self.payload, around)?,
            ..self.bind_target(around)?
        })
    }

    /// Evaluates only where the step is carried out: the rest of a step whose outcome was lost may
    /// not be known any more.
    ///
    /// # Errors
    ///
    /// If that cannot be evaluated.
    pub fn bind_target(&self, around: &dyn Surroundings) -> Result<Self, String> {
        Ok(Self {
            target: self.target.bind(around)?,
            ..self.clone()
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.traits.title)
    }
}
