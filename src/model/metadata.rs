//! Settings in `metadata.dockctl`. They are not part of the DSL, and other executors ignore them.

use crate::{
    diagnostic::{Code, Diagnostics},
    syntax::Value,
};

/// Settings in `metadata.dockctl`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DockctlMetadata {
    /// Nodes that are protected from accidental deletion.
    pub protect: Vec<String>,
    /// Inputs whose values are not shown or stored.
    pub sensitive: Vec<String>,
    /// Nodes whose parameters describe the adopted container, for a later takeover. Written by
    /// `dockctl adopt`.
    pub adopted: Vec<String>,
}

impl DockctlMetadata {
    /// Reads the settings. An unknown name is an error, because it would leave something
    /// unprotected or visible.
    pub(super) fn read(
        metadata: Option<&Value>,
        nodes: &[&str],
        inputs: &[&str],
        d: &mut Diagnostics,
    ) -> Self {
        let mut read = Self::default();
        let Some(all) = metadata.and_then(|metadata| metadata.get("dockctl")) else {
            return read;
        };
        let Some(map) = all.as_map() else {
            d.push(
                all.span
                    .error(
                        Code::InvalidMetadata,
                        "`metadata.dockctl` must be a mapping",
                    )
                    .label("not a mapping"),
            );
            return read;
        };
        for (word, value) in &map.entries {
            let key = word.to_key();
            let (into, what, known) = match key.as_str() {
                "protect" => (&mut read.protect, "node", nodes),
                "sensitive" => (&mut read.sensitive, "input", inputs),
                "adopted" => (&mut read.adopted, "node", nodes),
                other => {
                    let fault = word.span.error(
                        Code::InvalidMetadata,
                        format!("`metadata.dockctl` has no key `{other}`"),
                    );
                    d.push(fault.did_you_mean(other, ["protect", "sensitive", "adopted"]));
                    continue;
                }
            };
            *into = names(&key, value, (what, known), d);
        }
        read
    }
}

fn names(
    key: &str,
    value: &Value,
    (what, known): (&str, &[&str]),
    d: &mut Diagnostics,
) -> Vec<String> {
    let Some(items) = value.as_list() else {
        d.push(
            value
                .span
                .error(
                    Code::InvalidMetadata,
                    format!("`metadata.dockctl.{key}` must be a list of names"),
                )
                .label("not a list"),
        );
        return Vec::new();
    };
    let mut names = Vec::new();
    for item in items {
        let name = item.to_key();
        if !known.contains(&name.as_str()) {
            let fault = item
                .span
                .error(
                    Code::InvalidMetadata,
                    format!("there is no {what} `{name}`"),
                )
                .label("not defined");
            d.push(fault.did_you_mean(&name, known.iter().copied()));
        }
        names.push(name);
    }
    names
}
