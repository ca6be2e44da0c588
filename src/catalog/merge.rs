//! Merges a blueprint with its imports, section by section.

use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, Span},
    syntax::{Data, Map, Value, Version},
};
use std::{collections::HashMap, sync::Arc};

/// A file to merge.
pub(super) struct Part {
    /// Its sections, with prefixed names.
    pub root: Arc<Map>,
    /// It defines the basic types: its definitions replace existing ones.
    pub basic: bool,
}

/// How to merge a section that two files have.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Rule {
    /// Names are merged; equal names are a conflict.
    Union,
    /// As `Union` since version 1.3; before, a second section is an error.
    UnionSinceV1_3,
    /// The first section wins.
    First,
    /// Each file has its own section.
    Ignored,
    /// A second section is an error.
    Single,
}

fn rule(section: &str) -> Rule {
    match section {
        "node_types" | "plugins" | "workflows" | "relationships" | "policy_types"
        | "policy_triggers" | "groups" | "data_types" => Rule::Union,
        "inputs" | "outputs" | "node_templates" | "capabilities" | "labels"
        | "blueprint_labels" | "resource_tags" => Rule::UnionSinceV1_3,
        "description" | "metadata" => Rule::First,
        "imports" | "dsl_definitions" | "tosca_definitions_version" => Rule::Ignored,
        _ => Rule::Single,
    }
}

/// Merges files in the order of loading. The main file is the first.
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
    /// Index of each name, for merged sections.
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
            Rule::Single => self.reject(&name, at, key.span, "keep it in one file"),
            Rule::UnionSinceV1_3 if self.version < Version::V1_3 => self.reject(
                &name,
                at,
                key.span,
                "this requires DSL version cloudify_dsl_1_3",
            ),
            Rule::Union | Rule::UnionSinceV1_3 => self.union(&name, at, value, basic),
        }
    }

    fn reject(&mut self, name: &str, at: usize, second: Span, why: &str) {
        let fault = second.error(
            Code::MergeSection,
            format!("`{name}` cannot be merged across imports: {why}"),
        );
        self.d
            .push(fault.related(self.sections[at].0.span, "first defined here"));
    }

    fn union(&mut self, section: &str, at: usize, more: &Value, basic: bool) {
        let first = &mut self.sections[at].1;
        let (Data::Map(map), Some(more)) = (&mut first.data, more.as_map()) else {
            // Other kinds of values are reported when they are read. An empty section is replaced.
            if first.is_null() {
                *first = more.clone();
            } else if !more.is_null() && first.as_map().is_some() {
                self.d.push(more.span.error(
                    Code::Format,
                    format!("`{section}` must be a mapping, not {}", more.kind()),
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
        // This copies only once: afterwards the mapping is not shared.
        let entries = &mut Arc::make_mut(map).entries;
        for (key, value) in &more.entries {
            let name = key.to_key();
            match names.get(&name).copied() {
                None => {
                    names.insert(name, entries.len());
                    entries.push((key.clone(), value.clone()));
                }
                Some(place) => self.d.extend(merge_definitions(
                    section,
                    &mut entries[place],
                    (key, value),
                    basic || name.starts_with("cloudify."),
                )),
            }
        }
    }
}

const ADDITION_RULE: &str = "relationships can only be added to a node template with `relationships` (an empty list is enough), and only by a template with nothing else, or to one with nothing else by a template with a `type`";

/// Merges two definitions of one name into `first`, or returns a conflict.
fn merge_definitions(
    section: &str,
    first: &mut (Value, Value),
    second: (&Value, &Value),
    second_wins: bool,
) -> Option<Diagnostic> {
    match section {
        "labels" | "blueprint_labels" | "resource_tags" => None,
        "workflows" => {
            first.1 = merge_workflows(&first.1, second.1);
            None
        }
        "node_templates" if adds_relationships(&first.1, second.1) => {
            first.1 = merge_relationships(&first.1, second.1);
            None
        }
        _ if second_wins => {
            *first = (second.0.clone(), second.1.clone());
            None
        }
        _ => {
            let what = section.trim_end_matches('s').replace('_', " ");
            let fault = first.0.span.error(
                Code::MergeConflict,
                format!("the {what} `{}` is defined twice", first.0.to_key()),
            );
            let fault = fault.related(second.0.span, "also defined here");
            let is_addition = section == "node_templates"
                && (only_relationships(&first.1) || only_relationships(second.1));
            Some(if is_addition {
                fault.hint(ADDITION_RULE)
            } else {
                fault
            })
        }
    }
}

/// Returns a workflow with missing keys taken from another one.
fn merge_workflows(first: &Value, second: &Value) -> Value {
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

/// Returns true if one of two node templates only adds relationships to the other. By Cloudify's
/// rules the first one must have relationships, and a second one with more must have a type.
fn adds_relationships(first: &Value, second: &Value) -> bool {
    let has = |template: &Value, key: &str| template.get(key).is_some();
    let is_second_whole = only_relationships(first) && has(second, "type");
    has(first, "relationships") && (only_relationships(second) || is_second_whole)
}

fn only_relationships(template: &Value) -> bool {
    template
        .as_map()
        .is_some_and(|map| map.entries.len() == 1 && map.get("relationships").is_some())
}

/// Returns a node template with the relationships of another file added.
fn merge_relationships(first: &Value, second: &Value) -> Value {
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
        .expect("its only key");
    entries.push((
        key.clone(),
        Value::new(value.span, Data::List(Arc::new(all))),
    ));
    Value::new(base.span, Data::Map(Arc::new(Map::new(entries))))
}
