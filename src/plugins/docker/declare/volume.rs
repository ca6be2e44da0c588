//! Requests that create volumes.

use crate::{
    diagnostic::Fault,
    plugins::docker::declare::network::{property_outputs, set_driver, string_map_property},
    seam::Outputs,
};
use serde_json::{Value as Json, json};

/// Returns the request that creates a volume from the properties of its node.
///
/// # Errors
///
/// The first invalid property.
pub(crate) fn request(properties: &Json) -> Result<Json, Fault> {
    let options = string_map_property(properties, "driver_opts")?;
    let labels = string_map_property(properties, "labels")?;
    let mut body = json!({ "DriverOpts": options, "Labels": labels });
    set_driver(&mut body, properties);
    Ok(body)
}

/// Returns the runtime properties of a volume.
pub(crate) fn runtime_properties(volume: &Json) -> Outputs {
    property_outputs([
        ("volume_name", volume["Name"].clone()),
        ("mountpoint", volume["Mountpoint"].clone()),
    ])
}
