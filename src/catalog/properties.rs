//! Properties that an import sets for the plugins of its file.

use crate::{
    diagnostic::{Code, Diagnostics},
    syntax::{Data, Map, Value, call, matches_type},
};
use std::sync::Arc;

/// Reports properties that no import can set. This needs no plugin.
pub(super) fn check_properties(given: &Value, d: &mut Diagnostics) {
    for (name, value) in given.as_map().into_iter().flat_map(|map| &map.entries) {
        let fits = matches!(
            value.data,
            Data::Str(_) | Data::Int(_) | Data::Float(_) | Data::Bool(_) | Data::List(_)
        ) || call(value).is_some();
        if !fits {
            let fault = value.span.error(
                Code::ImportProperties,
                format!(
                    "the property `{}` of an import cannot be {}",
                    name.to_key(),
                    value.kind()
                ),
            );
            d.push(fault);
        }
    }
}

/// Returns the file with the properties set in each of its plugins.
pub(super) fn with_properties(map: &Map, given: &Value, d: &mut Diagnostics) -> Map {
    let Some(given) = given.as_map() else {
        return map.clone();
    };
    let mut map = map.clone();
    if let Some((_, plugins)) = map
        .entries
        .iter_mut()
        .find(|(key, _)| key.as_str() == Some("plugins"))
    {
        *plugins = plugins_with(plugins, given, d);
    }
    map
}

fn plugins_with(plugins: &Value, given: &Map, d: &mut Diagnostics) -> Value {
    let Some(all) = plugins.as_map() else {
        return plugins.clone();
    };
    let entries = all
        .entries
        .iter()
        .map(|(name, plugin)| (name.clone(), plugin_with(plugin, given, d)))
        .collect();
    Value::new(plugins.span, Data::Map(Arc::new(Map::new(entries))))
}

fn plugin_with(plugin: &Value, given: &Map, d: &mut Diagnostics) -> Value {
    let declared = plugin.get("properties").and_then(Value::as_map);
    let mut properties = declared.cloned().unwrap_or_default();
    for (name, value) in &given.entries {
        let key = name.to_key();
        let Some((_, schema)) = properties
            .entries
            .iter_mut()
            .find(|(other, _)| other.to_key() == key)
        else {
            let fault = name.span.error(
                Code::ImportPropertyUnknown,
                format!("the plugin does not declare a property `{key}`"),
            );
            let known: Vec<String> = declared
                .into_iter()
                .flat_map(|map| &map.entries)
                .map(|(name, _)| name.to_key())
                .collect();
            d.push(fault.did_you_mean(&key, known.iter().map(String::as_str)));
            continue;
        };
        if let Some(declared) = schema.get("type").and_then(Value::as_str)
            && let Err((code, why)) = check_property(value, declared)
        {
            d.push(value.span.error(
                code,
                format!("the property `{key}` {why}; the value is {}", value.kind()),
            ));
        }
        let mut fields = schema
            .as_map()
            .map(|map| map.entries.clone())
            .unwrap_or_default();
        fields.retain(|(key, _)| key.as_str() != Some("value"));
        fields.push((Value::text(name.span, "value"), value.clone()));
        *schema = Value::new(schema.span, Data::Map(Arc::new(Map::new(fields))));
    }
    let mut fields = plugin
        .as_map()
        .map(|map| map.entries.clone())
        .unwrap_or_default();
    if let Some((_, value)) = fields
        .iter_mut()
        .find(|(key, _)| key.as_str() == Some("properties"))
    {
        *value = Value::new(value.span, Data::Map(Arc::new(properties)));
    }
    Value::new(plugin.span, Data::Map(Arc::new(Map::new(fields))))
}

/// Checks a value for a property of a plugin by Cloudify's rules: an import can only set properties
/// of some types, and `string` also accepts integers and booleans.
fn check_property(value: &Value, declared: &str) -> Result<(), (Code, String)> {
    let fits = match declared {
        _ if !matches!(
            declared,
            "string" | "integer" | "float" | "boolean" | "list"
        ) =>
        {
            return Err((
                Code::ImportProperties,
                format!("is of type {declared}, which an import cannot set"),
            ));
        }
        _ if call(value).is_some() => true,
        "string" => matches!(value.data, Data::Str(_) | Data::Int(_) | Data::Bool(_)),
        "integer" | "float" => matches!(value.data, Data::Bool(_)) || matches_type(value, declared),
        _ => matches_type(value, declared),
    };
    if fits {
        Ok(())
    } else {
        Err((
            Code::ImportPropertyUnknown,
            format!("must be of type {declared}"),
        ))
    }
}
