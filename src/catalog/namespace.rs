//! Puts a file under a namespace: adds a prefix to every name that it defines and to every
//! reference to such a name.
//!
//! Names that start with `cloudify.` and the primitive types are global and stay unchanged.

use crate::syntax::{Call, Data, LITERAL, Map, PRIMITIVES, Value, call};
use std::sync::Arc;

/// Separator between a namespace and a name.
pub(crate) const DELIMITER: &str = "--";

/// Returns the sections of a file under a namespace.
pub(super) fn with_prefix(root: &Map, namespace: &str) -> Map {
    let prefixer = Prefixer {
        prefix: format!("{namespace}{DELIMITER}"),
    };
    Map {
        entries: root
            .entries
            .iter()
            .map(|(key, value)| {
                (
                    key.clone(),
                    prefixer.section(key.as_str().unwrap_or_default(), value),
                )
            })
            .collect(),
        literal: root.literal,
    }
}

struct Prefixer {
    prefix: String,
}

impl Prefixer {
    fn section(&self, name: &str, value: &Value) -> Value {
        match name {
            "inputs" => self.names(value, |schema| self.schema(schema)),
            "data_types" => self.names(value, |one| {
                fields(one, |key, value| {
                    if key == "properties" {
                        self.schemas(value)
                    } else {
                        value.clone()
                    }
                })
            }),
            "node_types" => self.names(value, |one| {
                self.derived(one, &["properties", "runtime_properties"], &["interfaces"])
            }),
            "relationships" => self.names(value, |one| {
                self.derived(
                    one,
                    &["properties"],
                    &["source_interfaces", "target_interfaces"],
                )
            }),
            "node_templates" => self.names(value, |one| self.template(one)),
            "groups" => self.names(value, |one| self.group(one)),
            "policies" => self.names(value, |one| {
                fields(one, |key, value| {
                    if key == "targets" {
                        self.texts(value)
                    } else {
                        self.values(value)
                    }
                })
            }),
            "policy_types" => self.names(value, |one| self.derived(one, &["properties"], &[])),
            "policy_triggers" => self.names(value, |one| self.derived(one, &["parameters"], &[])),
            "workflows" => self.names(value, |one| self.workflow(one)),
            "outputs" | "capabilities" => self.names(value, |one| self.values(one)),
            // As in Cloudify, functions in labels get no prefix.
            "resource_tags" => self.names(value, |tag| self.name(tag)),
            "labels" | "blueprint_labels" | "plugins" | "metadata" | "deployment_settings" => {
                self.names(value, Value::clone)
            }
            _ => value.clone(),
        }
    }

    fn name(&self, value: &Value) -> Value {
        match value.as_str() {
            Some(name) if !name.starts_with("cloudify.") && !name.is_empty() => {
                Value::text(value.span, &format!("{}{name}", self.prefix))
            }
            _ => value.clone(),
        }
    }

    fn type_name(&self, value: &Value) -> Value {
        if value
            .as_str()
            .is_some_and(|name| PRIMITIVES.contains(&name) || name == LITERAL)
        {
            value.clone()
        } else {
            self.name(value)
        }
    }

    /// Changes a mapping with names as keys.
    fn names(&self, value: &Value, body: impl Fn(&Value) -> Value) -> Value {
        mapped(value, |key, value| (self.name(key), body(value)))
    }

    fn texts(&self, value: &Value) -> Value {
        match &value.data {
            Data::List(list) => Value::new(
                value.span,
                Data::List(Arc::new(list.iter().map(|item| self.name(item)).collect())),
            ),
            _ => value.clone(),
        }
    }

    fn schema(&self, value: &Value) -> Value {
        fields(value, |key, value| match key {
            "type" | "item_type" => self.type_name(value),
            _ => self.values(value),
        })
    }

    fn schemas(&self, value: &Value) -> Value {
        fields(value, |_, schema| self.schema(schema))
    }

    fn derived(&self, value: &Value, schemas: &[&str], interfaces: &[&str]) -> Value {
        fields(value, |key, value| match key {
            "derived_from" => self.name(value),
            _ if schemas.contains(&key) => self.schemas(value),
            _ if interfaces.contains(&key) => self.interfaces(value, true),
            _ => value.clone(),
        })
    }

    fn interfaces(&self, value: &Value, declared: bool) -> Value {
        let operation = |operation: &Value| match &operation.data {
            Data::Str(_) => self.name(operation),
            _ => fields(operation, |key, value| match key {
                "implementation" => self.name(value),
                "inputs" if declared => self.schemas(value),
                "inputs" => self.values(value),
                _ => value.clone(),
            }),
        };
        fields(value, |_, interface| {
            fields(interface, |_, it| operation(it))
        })
    }

    fn template(&self, value: &Value) -> Value {
        fields(value, |key, value| match key {
            "type" => self.name(value),
            "interfaces" => self.interfaces(value, false),
            "relationships" => match &value.data {
                Data::List(list) => Value::new(
                    value.span,
                    Data::List(Arc::new(
                        list.iter().map(|item| self.relationship(item)).collect(),
                    )),
                ),
                _ => value.clone(),
            },
            _ => self.values(value),
        })
    }

    fn relationship(&self, value: &Value) -> Value {
        fields(value, |key, value| match key {
            "type" | "target" => self.name(value),
            "source_interfaces" | "target_interfaces" => self.interfaces(value, false),
            _ => self.values(value),
        })
    }

    fn group(&self, value: &Value) -> Value {
        let trigger = |value: &Value| {
            fields(value, |key, value| {
                if key == "type" {
                    self.name(value)
                } else {
                    self.values(value)
                }
            })
        };
        let policy = |value: &Value| {
            fields(value, |key, value| match key {
                "type" => self.name(value),
                "triggers" => self.names(value, trigger),
                _ => self.values(value),
            })
        };
        fields(value, |key, value| match key {
            "members" => self.texts(value),
            "policies" => self.names(value, policy),
            _ => value.clone(),
        })
    }

    fn workflow(&self, value: &Value) -> Value {
        match &value.data {
            Data::Str(_) => self.name(value),
            _ => fields(value, |key, value| match key {
                "mapping" => self.name(value),
                "parameters" => self.schemas(value),
                _ => value.clone(),
            }),
        }
    }

    /// Changes free-form values: only names in function calls get the prefix.
    fn values(&self, value: &Value) -> Value {
        match (&value.data, call(value)) {
            (_, Some(call)) => self.call(value, call),
            (Data::List(list), None) => Value::new(
                value.span,
                Data::List(Arc::new(
                    list.iter().map(|item| self.values(item)).collect(),
                )),
            ),
            (Data::Map(_), None) => mapped(value, |key, value| (key.clone(), self.values(value))),
            _ => value.clone(),
        }
    }

    fn call(&self, value: &Value, call: Call<'_>) -> Value {
        let named = |first: &Value| match first.as_str() {
            Some("SELF" | "SOURCE" | "TARGET") => first.clone(),
            Some(_) => self.name(first),
            None => self.values(first),
        };
        let of_name = matches!(call.name, "get_input" | "get_property" | "get_attribute");
        let arguments = match &call.arguments.data {
            Data::List(list) if of_name => {
                let items = list.iter().enumerate().map(|(at, item)| {
                    if at == 0 {
                        named(item)
                    } else {
                        self.values(item)
                    }
                });
                Value::new(call.arguments.span, Data::List(Arc::new(items.collect())))
            }
            _ if of_name => named(call.arguments),
            _ => self.values(call.arguments),
        };
        mapped(value, |key, value| {
            (
                key.clone(),
                if key.as_str() == Some(call.name) {
                    arguments.clone()
                } else {
                    value.clone()
                },
            )
        })
    }
}

/// Changes the values of a mapping with known keys.
fn fields(value: &Value, body: impl Fn(&str, &Value) -> Value) -> Value {
    mapped(value, |key, value| {
        (key.clone(), body(key.as_str().unwrap_or_default(), value))
    })
}

fn mapped(value: &Value, entry: impl Fn(&Value, &Value) -> (Value, Value)) -> Value {
    match &value.data {
        Data::Map(map) => {
            let entries = map
                .entries
                .iter()
                .map(|(key, value)| entry(key, value))
                .collect();
            Value::new(
                value.span,
                Data::Map(Arc::new(Map {
                    entries,
                    literal: map.literal,
                })),
            )
        }
        _ => value.clone(),
    }
}
