//! Requests that create volumes.

use crate::{
    diagnostic::Fault,
    plugins::docker::declare::network::{property_texts, remembered, set_driver},
    seam::Outputs,
};
use serde_json::{Value as Json, json};

/// Returns the request that creates a volume from the properties of its node.
///
/// # Errors
///
/// The first invalid property.
pub(crate) fn request(properties: &Json) -> Result<Json, Fault> {
    let options = property_texts(properties, "driver_opts")?;
    let labels = property_texts(properties, "labels")?;
    let mut body = json!({ "DriverOpts": options, "Labels": labels });
    set_driver(&mut body, properties);
    Ok(body)
}

/// Returns the runtime properties of a volume.
pub(crate) fn known(volume: &Json) -> Outputs {
    remembered([
        ("volume_name", volume["Name"].clone()),
        ("mountpoint", volume["Mountpoint"].clone()),
    ])
}
