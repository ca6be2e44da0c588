//! Reads inputs from arguments, files and environment variables.

use super::error::Error;
use crate::{
    diagnostic::{Diagnostics, FileId, Sources, Span},
    model::inputs::GivenInput,
    syntax::{
        Data, PRIMITIVES, Value,
        ast::{Named, Schema},
        parse,
    },
};
use indexmap::IndexMap;
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// Values of input variables, by full variable name.
pub(crate) type Variables = BTreeMap<String, OsString>;

/// Prefix of input variables.
pub(crate) const VARIABLE_PREFIX: &str = "DOCKCTL_INPUT_";

/// Inputs with values that must not appear in diagnostics.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HiddenInputs<'a> {
    /// The inputs with these names. If there are any, no value is shown at all, because a name can
    /// be mistyped.
    Named(&'a [String]),
    /// All inputs, because the declarations of the blueprint are unknown.
    All,
}

impl HiddenInputs<'_> {
    fn hides(self, name: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|it| it == name),
            Self::All => true,
        }
    }

    fn is_not_empty(self) -> bool {
        match self {
            Self::Named(names) => !names.is_empty(),
            Self::All => true,
        }
    }
}

/// Reads `-i` arguments in order; later ones override earlier ones.
///
/// `KEY=TEXT` is text, `KEY:=YAML` is YAML. `@FILE`, or an argument without `=`, is a file, a
/// directory of files, or a pattern.
pub(crate) fn read(
    arguments: &[String],
    hidden: HiddenInputs<'_>,
    sources: &mut Sources,
    d: &mut Diagnostics,
) -> Result<IndexMap<String, GivenInput>, Error> {
    let mut all = IndexMap::new();
    for argument in arguments {
        match argument.split_once('=') {
            Some((raw_key, text)) if !argument.starts_with('@') => {
                let key = raw_key.strip_suffix(':').unwrap_or(raw_key);
                let shown = if hidden.is_not_empty() {
                    format!("-i {raw_key}=VALUE")
                } else {
                    format!("-i {argument}")
                };
                let input_text = InputText {
                    source: "<command line>",
                    shown: &shown,
                    is_hidden: hidden.hides(key),
                };
                let value = if raw_key == key {
                    text_value(&input_text, text, sources)
                } else {
                    yaml_value(&input_text, text, sources, d)
                };
                all.insert(
                    key.to_owned(),
                    GivenInput {
                        value,
                        bare: raw_key == key,
                    },
                );
            }
            _ => {
                for path in matching_files(argument.strip_prefix('@').unwrap_or(argument))? {
                    read_file(&path, hidden, sources, d, &mut all)?;
                }
            }
        }
    }
    Ok(all)
}

/// Adds inputs from variables, except inputs that arguments already set. Values are text, or YAML
/// if the declared type is a list or a mapping.
pub(crate) fn add_variables(
    given: &mut IndexMap<String, GivenInput>,
    (declared, variables): (&Named<Schema>, &Variables),
    hidden: HiddenInputs<'_>,
    (sources, d): (&mut Sources, &mut Diagnostics),
) -> Result<(), Error> {
    for (name, input) in declared {
        if given.contains_key(name) {
            continue;
        }
        let Some((variable, text)) = find_variable(name, variables)? else {
            continue;
        };
        let input_text = InputText {
            source: "<environment>",
            shown: &format!("{variable}=VALUE"),
            is_hidden: hidden.hides(name),
        };
        let is_bare = !is_structured(&input.body);
        let value = if is_bare {
            text_value(&input_text, &text, sources)
        } else {
            yaml_value(&input_text, &text, sources, d)
        };
        let bare = is_bare;
        given.insert(name.to_owned(), GivenInput { value, bare });
    }
    Ok(())
}

/// Returns true if a value is a list, a mapping, or of a data type that the blueprint declares.
fn is_structured(schema: &Schema) -> bool {
    let is_plain = |name| PRIMITIVES.contains(&name) && !matches!(name, "list" | "dict");
    schema.type_of().is_some_and(|name| !is_plain(name))
}

/// Returns the values of all input variables, for commands without a blueprint.
/// Each value appears as text, and also as YAML if it is a list or a mapping.
pub(crate) fn variable_values(
    variables: &Variables,
    sources: &mut Sources,
) -> Result<Vec<GivenInput>, Error> {
    let input_text = InputText {
        source: "<environment>",
        shown: "DOCKCTL_INPUT_<NAME>=VALUE",
        is_hidden: true,
    };
    let mut all = Vec::new();
    for (name, value) in variables {
        let text = utf8(name, value)?;
        all.push(GivenInput {
            value: text_value(&input_text, &text, sources),
            bare: true,
        });
        let nested = yaml_value(&input_text, &text, sources, &mut Diagnostics::default());
        all.extend(
            matches!(nested.data, Data::List(_) | Data::Map(_)).then_some(GivenInput {
                value: nested,
                bare: false,
            }),
        );
    }
    Ok(all)
}

/// Returns the variable of an input and its value. The variable has the exact name of the input, or
/// its name in capitals, with `_` in place of characters that variable names cannot contain.
fn find_variable(name: &str, variables: &Variables) -> Result<Option<(String, String)>, Error> {
    let names = [
        format!("{VARIABLE_PREFIX}{name}"),
        capitalized_variable(name),
    ];
    let mut set = names
        .into_iter()
        .filter_map(|name| variables.get_key_value(&name));
    let found = set.next();
    found
        .map(|(name, value)| Ok((name.clone(), utf8(name, value)?)))
        .transpose()
}

fn utf8(name: &str, value: &OsStr) -> Result<String, Error> {
    let text = value.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        Error::usage(format!(
            "cannot read the variable {name}: it is not valid UTF-8"
        ))
    })
}

fn capitalized_variable(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let clean: String = name.chars().map(plain).collect();
    format!("{VARIABLE_PREFIX}{clean}")
}

/// Returns the arguments for a command to repeat. Values may be secret: only their names are shown.
pub(crate) fn redacted_args(arguments: &[String]) -> Vec<String> {
    let shown = |argument: &String| match argument.split_once('=') {
        Some((name, _)) if !argument.starts_with('@') => {
            format!("{}=VALUE", name.trim_end_matches(':'))
        }
        _ => argument.clone(),
    };
    arguments
        .iter()
        .flat_map(|argument| ["-i".to_owned(), shown(argument)])
        .collect()
}

/// The source of a value, the text to show for it, and whether to withhold it.
struct InputText<'w> {
    source: &'static str,
    shown: &'w str,
    is_hidden: bool,
}

fn text_value(input_text: &InputText<'_>, text: &str, sources: &mut Sources) -> Value {
    let file = sources.add_text(input_text.source, input_text.shown.to_owned());
    if input_text.is_hidden {
        withhold(file, sources);
    }
    Value::text(sources.start(file), text)
}

fn yaml_value(
    input_text: &InputText<'_>,
    text: &str,
    sources: &mut Sources,
    d: &mut Diagnostics,
) -> Value {
    let place = sources.add_text(input_text.source, input_text.shown.to_owned());
    // Wrap the text in a list: a bare scalar is not a valid document.
    let source = input_text.source.trim_matches(['<', '>']);
    let name = format!("<{source}: {}>", input_text.shown.trim_start_matches("-i "));
    let indented = text.replace('\n', "\n  ");
    let parsed = sources.add_text(name, format!("- {indented}"));
    if input_text.shown.ends_with("=VALUE") {
        sources.never_quote(parsed);
    }
    if input_text.is_hidden {
        withhold(place, sources);
        withhold(parsed, sources);
    }
    match parse(sources, parsed, d) {
        Ok(list) => match list.as_list() {
            Some([value]) => value.at(sources.start(place)),
            _ => text_value(input_text, text, sources),
        },
        Err(fault) => {
            d.push(fault);
            text_value(input_text, text, sources)
        }
    }
}

fn withhold(file: FileId, sources: &mut Sources) {
    sources.withhold(Span {
        start: 0,
        end: usize::MAX,
        ..sources.start(file)
    });
}

/// Returns the files that an argument refers to.
fn matching_files(argument: &str) -> Result<Vec<PathBuf>, Error> {
    let path = Path::new(argument);
    let pattern = if path.is_dir() {
        format!("{argument}/*")
    } else {
        argument.to_owned()
    };
    if path.exists() && !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let found = glob::glob(&pattern).map_err(|error| {
        Error::usage(format!(
            "the input pattern `{argument}` is not valid: {error}"
        ))
    })?;
    let is_input = |path: &PathBuf| {
        path.is_file()
            && path
                .extension()
                .is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known))
    };
    let found: Vec<PathBuf> = found.flatten().filter(is_input).collect();
    if found.is_empty() {
        // The argument may be a mistyped secret: show only its start.
        let start = argument.split([':', ' ']).next().unwrap_or_default();
        let shown = if start == argument {
            format!("`{argument}`")
        } else {
            format!("starting with `{start}`")
        };
        let what = "is not KEY=VALUE, a file, or a directory with YAML or JSON files";
        return Err(Error::usage(format!("the input {shown} {what}")));
    }
    Ok(found)
}

fn read_file(
    path: &Path,
    hidden: HiddenInputs<'_>,
    sources: &mut Sources,
    d: &mut Diagnostics,
    all: &mut IndexMap<String, GivenInput>,
) -> Result<(), Error> {
    let file = sources
        .read(path)
        .map_err(|error| Error::usage(error.to_string()))?;
    if hidden.is_not_empty() {
        sources.never_quote(file);
    }
    let root = match parse(sources, file, d) {
        Ok(root) => root,
        Err(fault) => {
            // The broken value may be secret.
            if hidden.is_not_empty() {
                withhold(file, sources);
            }
            d.push(fault);
            return Ok(());
        }
    };
    match root.as_map() {
        Some(map) => {
            let values = map
                .entries
                .iter()
                .filter(|(key, _)| hidden.hides(&key.to_key()));
            values.for_each(|(_, value)| sources.withhold(value.span));
            all.extend(map.entries.iter().map(|(key, value)| {
                (
                    key.to_key(),
                    GivenInput {
                        value: value.clone(),
                        bare: false,
                    },
                )
            }));
        }
        None => {
            return Err(Error::usage(format!(
                "the input file {} must contain a mapping of names to values",
                path.display()
            )));
        }
    }
    Ok(())
}
