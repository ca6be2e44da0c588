//! The DSL: validation and meaning of blueprints.

pub(crate) mod hostile;
pub(crate) mod imports;
pub(crate) mod literals;
pub(crate) mod properties;
pub(crate) mod reference;
pub(crate) mod rules;
pub(crate) mod validate;
