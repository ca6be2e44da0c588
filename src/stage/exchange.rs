//! Exchanges: instances that hand something on to each other, such as a host port.

use serde::{Deserialize, Serialize};

/// Instances that hand something on to each other in one stage. All holders stop before anyone
/// takes. If one of the takers fails, all holders are restored.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Exchange {
    /// IDs of the instances that are stopped and kept until all takers work.
    pub holders: Vec<String>,
    /// IDs of the instances that take something, or that are replaced at the same time.
    pub takers: Vec<String>,
    /// The resources that are handed on.
    pub handed_on: Vec<HandedOn>,
}

/// A resource that one instance hands on to another.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HandedOn {
    /// Name of the resource in output.
    pub resource: String,
    /// ID of the instance that has it.
    pub from: String,
    /// ID of the instance that gets it.
    pub to: String,
    /// It is the name of the object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_name: bool,
}

impl Exchange {
    /// Returns true if an instance takes part.
    #[must_use]
    pub fn contains(&self, instance: &str) -> bool {
        let mut all = self.holders.iter().chain(&self.takers);
        all.any(|id| id == instance)
    }

    /// Returns true if an instance gets the name of another one.
    #[must_use]
    pub fn hands_name_to(&self, instance: &str) -> bool {
        let mut all = self.handed_on.iter();
        all.any(|it| it.to == instance && it.is_name)
    }

    /// Returns the part of an instance.
    #[must_use]
    pub fn part_of(&self, instance: &str) -> ExchangePart {
        ExchangePart {
            takers: self.takers.clone(),
            is_holder: self.holders.iter().any(|id| id == instance),
        }
    }
}

/// The part of an instance in an exchange, as the record shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ExchangePart {
    /// IDs of the instances that must work before the exchange is complete.
    pub takers: Vec<String>,
    /// The object of the instance was stopped for the exchange.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_holder: bool,
}
