//! Steps: actions on a system, as data that the kernel understands without the plugin.

use super::{Target, TypedInput};
use crate::model::function::{
    self, EvaluationContext, contains_late_call, reads_attributes, secret_names, withheld_digests,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::fmt;

/// An action on a system. A dockctl without the step's plugin can still read it from a journal.
///
/// Two steps are equal if plugin, target, `inside` and payload are equal. Traits and labels do not
/// change the action.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Step {
    /// ID of the plugin that runs it; empty for steps of the kernel itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plugin: String,
    /// The system that it runs on. Can contain functions until the step is bound.
    #[serde(default, skip_serializing_if = "Target::is_default")]
    pub target: Target,
    /// ID of the instance whose object it runs in, through that object's plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
    /// The part that the kernel understands.
    pub traits: Traits,
    /// The part that the plugin understands, with the plugin's own version number. Can contain
    /// functions until the step is bound.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub payload: Json,
    /// The declaration for labels. It is never bound, because its functions may read secrets and
    /// everyone can read labels.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    #[serde(rename = "kept")]
    pub label_declaration: Json,
    /// Inputs of its operation whose values must have a type. Checked when the step is bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub typed_inputs: Vec<TypedInput>,
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        (&self.plugin, &self.target, &self.inside, &self.payload)
            == (&other.plugin, &other.target, &other.inside, &other.payload)
    }
}

/// The kernel's view of a step, determined when its operation is lowered.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the stored form")]
pub struct Traits {
    /// Title in plans and progress.
    pub title: String,
    /// Its effect on the object of its instance.
    #[serde(default, skip_serializing_if = "Effect::is_nothing")]
    pub effect: Effect,
    /// The way to settle it when its outcome was lost.
    #[serde(default, skip_serializing_if = "Settling::is_by_observing")]
    pub settling: Settling,
    /// It deletes an object permanently. A late value counts as true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletes: bool,
    /// Its effect on the declaration that the object was created from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declares: Option<Declares>,
    /// In a replacement: it creates the successor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub makes_successor: bool,
    /// If it fails, dependent tasks still run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Its effect on material that objects are created from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub material: Option<Material>,
    /// The node property that it implements: the place to fix if it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// Name of the new object, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "creates")]
    pub new_name: Option<String>,
    /// It may create secrets that later steps read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub creates_secrets: bool,
    /// Of several steps with the same key, one runs first; the others wait and find the work done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
}

/// The effect of a step on the object of its instance.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are self-explanatory")]
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
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "required by serde")]
    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

/// The way to settle a step whose outcome was lost.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Settling {
    /// The system shows whether it took effect.
    #[default]
    #[serde(rename = "by_looking")]
    ByObserving,
    /// The system does not show whether it took effect; it runs again.
    AtLeastOnce,
    /// The system does not show whether it took effect, and running it twice does harm; the user
    /// decides.
    #[serde(rename = "ask")]
    AskUser,
}

impl Settling {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "required by serde")]
    fn is_by_observing(&self) -> bool {
        *self == Self::ByObserving
    }
}

/// The effect of a step on the declaration that an object was created from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Declares {
    /// The object is new; its labels contain the declaration.
    #[serde(rename = "anew")]
    New,
    /// The object was updated to this declaration; its labels still contain the former one.
    Adjusted(String),
}

/// The effect of a step on material that objects are created from, such as an image.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Material {
    /// Obtains it from outside, such as by a pull.
    #[serde(rename = "brings")]
    Provides,
    /// Builds it.
    #[serde(rename = "makes")]
    Builds,
    /// Removes it.
    Removes,
}

impl Step {
    /// Returns a step without an action: only the state of the instance changes.
    #[must_use]
    pub fn no_action() -> Self {
        Self::own("nothing to do".to_owned(), Effect::Nothing, Json::Null)
    }

    /// Returns a step that cannot run and fails with this reason.
    #[must_use]
    pub fn refused(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::own(
            format!("not possible: {why}"),
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

    /// Returns true if the step has no action.
    #[must_use]
    pub fn has_no_action(&self) -> bool {
        self.plugin.is_empty() && self.payload.is_null()
    }

    /// Returns the reason why the step cannot run, if it cannot.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let is_own = self.plugin.is_empty();
        self.payload["refused"].as_str().filter(|_| is_own)
    }

    /// Returns the effect on the object of the instance.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.traits.effect
    }

    /// Returns true if the step stops or removes the object.
    #[must_use]
    pub fn stops_object(&self) -> bool {
        matches!(self.effect(), Effect::Stops | Effect::Removes)
    }

    /// Returns true if the step obtains or builds material. Such a step can fail before any running
    /// object is touched.
    #[must_use]
    pub fn provides_material(&self) -> bool {
        matches!(
            self.traits.material,
            Some(Material::Provides | Material::Builds)
        )
    }

    /// Returns true if the step obtains material.
    #[must_use]
    pub fn obtains_material(&self) -> bool {
        self.traits.material == Some(Material::Provides)
    }

    /// Returns true if the step creates a new object.
    #[must_use]
    pub fn creates_object(&self) -> bool {
        self.traits.declares == Some(Declares::New)
    }

    /// Returns the names of the secrets that it reads.
    #[must_use]
    pub fn secret_names(&self) -> Vec<String> {
        self.late_parts().flat_map(secret_names).collect()
    }

    /// Returns the digests of the values withheld from it.
    #[must_use]
    pub fn withheld_digests(&self) -> Vec<String> {
        self.late_parts().flat_map(withheld_digests).collect()
    }

    /// Returns true if it reads attributes, which other steps may still set.
    #[must_use]
    pub fn reads_attributes(&self) -> bool {
        self.late_parts().any(reads_attributes)
    }

    /// Returns true if it contains a function that is evaluated only when it runs.
    #[must_use]
    pub fn has_late_values(&self) -> bool {
        self.late_parts().any(contains_late_call)
    }

    fn late_parts(&self) -> impl Iterator<Item = &Json> {
        self.target.arguments().into_iter().chain([&self.payload])
    }

    /// Evaluates the functions in the step.
    ///
    /// # Errors
    ///
    /// If a function cannot be evaluated, an input does not have its type, or the target is unknown.
    pub fn bind(&self, around: &dyn EvaluationContext) -> Result<Self, String> {
        self.typed_inputs
            .iter()
            .try_for_each(|input| input.check(around))?;
        Ok(Self {
            payload: function::bind(&self.payload, around)?,
            ..self.bind_target(around)?
        })
    }

    /// Evaluates only the functions in the target. The other functions of a step whose outcome was
    /// lost may no longer have a value.
    ///
    /// # Errors
    ///
    /// If a function in the target cannot be evaluated.
    pub fn bind_target(&self, around: &dyn EvaluationContext) -> Result<Self, String> {
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
