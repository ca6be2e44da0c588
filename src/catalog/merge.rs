//! Merges a blueprint with what it imports, section by section.

use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Span},
    syntax::{Data, Map, Value, Version},
};
use std::{collections::HashMap, sync::Arc};

/// A file to be merged.
pub(super) struct Part {
    /// Its sections, names prefixed already.
    pub root: Arc<Map>,
    /// It defines the basic types: what it defines wins over what is there.
    pub basic: bool,
}

/// What happens when two files have the same section.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Rule {
    /// Names are put together; equal ones are a conflict.
    Union,
    /// As `Union`, since version 1.3; before, a second section is a fault.
    UnionSince1_3,
    /// The first one holds.
    First,
    /// Each file has its own.
    Ignored,
    /// A second section is a fault.
    Single,
}

fn rule(section: &str) -> Rule {
    match section {
        "node_types" | "plugins" | "workflows" | "relationships" | "policy_types"
        | "policy_triggers" | "groups" | "data_types" => Rule::Union,
        "inputs" | "outputs" | "node_templates" | "capabilities" | "labels"
        | "blueprint_labels" | "resource_tags" => Rule::UnionSince1_3,
        "description" | "metadata" => Rule::First,
        "imports" | "dsl_definitions" | "tosca_definitions_version" => Rule::Ignored,
        _ => Rule::Single,
    }
}

/// Merges in the order of loading; the main file is the first.
pub(super) fn merge(main: &Value, parts: &[Part], version: Version, d: &mut Diagnostics) -> Value {
    let Some(map) = main.as_map().filter(|_| !parts.is_empty()) else {
        return main.clone();
    };
    let mut merger = Merger {
        sections: map.entries.clone(),
        names: HashMap::new(),
        version,
        d,
    };
    for part in parts {
        for (key, section) in &part.root.entries {
            merger.section(key, section, part.basic);
        }
    }
    Value::new(main.span, Data::Map(Arc::new(Map::new(merger.sections))))
}

struct Merger<'d> {
    sections: Vec<(Value, Value)>,
    /// Where each name is, for sections that were merged.
    names: HashMap<String, HashMap<String, usize>>,
    version: Version,
    d: &'d mut Diagnostics,
}

impl Merger<'_> {
    fn section(&mut self, key: &Value, value: &Value, basic: bool) {
        let name = key.to_key();
        let rule = rule(&name);
        if rule == Rule::Ignored {
            return;
        }
        let Some(at) = self
            .sections
            .iter()
            .position(|(other, _)| other.as_str() == Some(&name))
        else {
            self.sections.push((key.clone(), value.clone()));
            return;
        };
        match rule {
            Rule::First | Rule::Ignored => {}
            Rule::Single => self.refuse(&name, at, key.span, "it must stand in one file"),
            Rule::UnionSince1_3 if self.version < Version::V1_3 => self.refuse(
                &name,
                at,
                key.span,
                "that is possible since cloudify_dsl_1_3",
            ),
            Rule::Union | Rule::UnionSince1_3 => self.union(&name, at, value, basic),
        }
    }

    fn refuse(&mut self, name: &str, at: usize, second: Span, why: &str) {
        let fault = second.error(
            Code::MergeSection,
            format!("`{name}` cannot be merged across imports: {why}"),
        );
        self.d
            .push(fault.related(self.sections[at].0.span, "first given here"));
    }

    fn union(&mut self, section: &str, at: usize, more: &Value, basic: bool) {
        let first = &mut self.sections[at].1;
        let (Data::Map(map), Some(more)) = (&mut first.data, more.as_map()) else {
            // What is no mapping is reported when it is read; an empty one gives way.
            if first.is_null() {
                *first = more.clone();
            } else if !more.is_null() && first.as_map().is_some() {
                self.d.push(more.span.error(
                    Code::Format,
                    format!("`{section}` must be a mapping, and this is {}", more.kind()),
                ));
            }
            return;
        };
        let index = |map: &Map| {
            map.entries
                .iter()
                .enumerate()
                .map(|(at, (key, _))| (key.to_key(), at))
                .collect()
        };
        let names = self
            .names
            .entry(section.to_owned())
            .or_insert_with(|| index(map));
        // Copied the first time only: from then on, nobody else has it.
        let entries = &mut Arc::make_mut(map).entries;
        for (key, value) in &more.entries {
            let name = key.to_key();
            match names.get(&name).copied() {
                None => {
                    names.insert(name, entries.len());
                    entries.push((key.clone(), value.clone()));
                }
                Some(place) => self.d.extend(both(
                    section,
                    &mut entries[place],
                    (key, value),
                    basic || name.starts_with("cloudify."),
                )),
            }
        }
    }
}

/// What holds of two definitions of one name.
fn both(
    section: &str,
    first: &mut (Value, Value),
    second: (&Value, &Value),
    later_wins: bool,
) -> Option<Diagnostic> {
    match section {
        "labels" | "blueprint_labels" | "resource_tags" => None,
        "workflows" => {
            first.1 = filled(&first.1, second.1);
            None
        }
        "node_templates" if only_relationships(&first.1) || only_relationships(second.1) => {
            first.1 = extended(&first.1, second.1);
            None
        }
        _ if later_wins => {
            *first = (second.0.clone(), second.1.clone());
            None
        }
        _ => {
            let what = section.trim_end_matches('s').replace('_', " ");
            let fault = first.0.span.error(
                Code::MergeConflict,
                format!("the {what} `{}` is defined twice", first.0.to_key()),
            );
            Some(fault.related(second.0.span, "also defined here"))
        }
    }
}

/// A workflow, and what it does not say from another.
fn filled(first: &Value, second: &Value) -> Value {
    let mapped = |value: &Value| match &value.data {
        Data::Str(_) => vec![(Value::text(value.span, "mapping"), value.clone())],
        Data::Map(map) => map.entries.clone(),
        _ => Vec::new(),
    };
    let mut entries = mapped(first);
    for (key, value) in mapped(second) {
        if !entries
            .iter()
            .any(|(other, _)| other.as_str() == key.as_str())
        {
            entries.push((key, value));
        }
    }
    Value::new(first.span, Data::Map(Arc::new(Map::new(entries))))
}

fn only_relationships(template: &Value) -> bool {
    template
        .as_map()
        .is_some_and(|map| map.entries.len() == 1 && map.get("relationships").is_some())
}

/// A node template, and the relationships that another file gives it.
fn extended(first: &Value, second: &Value) -> Value {
    let (base, more) = if only_relationships(second) {
        (first, second)
    } else {
        (second, first)
    };
    let list = |value: &Value| {
        value
            .get("relationships")
            .and_then(Value::as_list)
            .unwrap_or_default()
            .to_vec()
    };
    let all = [list(first), list(second)].concat();
    let mut entries = base
        .as_map()
        .map(|map| map.entries.clone())
        .unwrap_or_default();
    entries.retain(|(key, _)| key.as_str() != Some("relationships"));
    let (key, value) = more
        .as_map()
        .and_then(|map| map.entry("relationships"))
        .expect("it holds nothing else");
    entries.push((
        key.clone(),
        Value::new(value.span, Data::List(Arc::new(all))),
    ));
    Value::new(base.span, Data::Map(Arc::new(Map::new(entries))))
}
