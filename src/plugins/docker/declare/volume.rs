//! What a volume is made from.

use crate::{diagnostic::Fault, plugins::docker::declare::network::texts, seam::Outputs};
use serde_json::{Value as Json, json};

/// A request to create a volume, from the properties of its node.
///
/// # Errors
///
/// The first property that cannot be used.
pub(crate) fn request(properties: &Json) -> Result<Json, Fault> {
    let mapping = |name: &str| {
        texts(&properties[name])
            .ok_or_else(|| Fault::new("this must be a mapping to texts").within(&[name.to_owned()]))
    };
    let mut body = json!({ "DriverOpts": mapping("driver_opts")?, "Labels": mapping("labels")? });
    if let Some(driver) = properties["driver"]
        .as_str()
        .filter(|driver| !driver.is_empty())
    {
        body["Driver"] = driver.into();
    }
    Ok(body)
}

/// What is remembered of a volume.
pub(crate) fn known(volume: &Json) -> Outputs {
    let set = [
        ("volume_name", volume["Name"].clone()),
        ("mountpoint", volume["Mountpoint"].clone()),
    ];
    Outputs {
        set: set
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        unset: Vec::new(),
        ..Outputs::default()
    }
}
