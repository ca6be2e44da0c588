//! Follows the imports of a blueprint, breadth first.

use super::{
    fetch::Network,
    locate::{Located, Location},
    merge::{self, Part},
    namespace::{self, DELIMITER},
    properties::{check_properties, with_properties},
};
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, FileId, Severity, SourceError, Sources, Span},
    front::{self, Document},
    syntax::{Data, Map, SECTIONS, Value, Version, ast::Ast, parse},
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::Path,
    sync::Arc,
    time::Duration,
};

/// Maximum number of files that one blueprint may import.
const MAX_FILES: usize = 1000;
/// Maximum number of values in files under namespaces.
const MAX_NAMESPACED_VALUES: usize = 300_000;

/// Settings for finding imports.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Access to the network.
    pub network: Network,
    /// Import rules: pairs of a prefix and its replacement. They are tried in this order, before
    /// the address itself.
    pub import_rules: Vec<(String, String)>,
    /// How documents of other kinds are read.
    pub documents: front::Options,
}

/// Reads a blueprint and all its imports, and merges them.
///
/// # Errors
///
/// If the blueprint itself cannot be read. Errors in the content of files go to `diagnostics`.
pub fn load(
    path: &Path,
    options: &Options,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Result<Ast, SourceError> {
    let main = sources.read(path)?;
    Ok(load_source(main, options, sources, diagnostics))
}

/// Reads a blueprint that is already in `sources`, and all its imports.
#[must_use]
pub fn load_source(
    main: FileId,
    options: &Options,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Ast {
    let (root, document) = main_values(main, options, sources, diagnostics);
    let version = main_version(&root, sources.start(main), diagnostics);
    let known = version.unwrap_or(Version::LATEST);
    let mut loader = Loader {
        options,
        version: known,
        declared: root
            .get("tosca_definitions_version")
            .map_or(root.span, |value| value.span),
        loaded: sources
            .path(main)
            .map(|path| (Location::of(path), String::new()))
            .into_iter()
            .collect(),
        blueprints: HashMap::new(),
        queue: VecDeque::new(),
        import_count: 0,
        network_time: Duration::ZERO,
        rule_errors: Vec::new(),
        namespaced: 0,
        too_new: HashSet::new(),
        parsed: HashMap::new(),
        sources,
        diagnostics,
    };
    loader.enqueue(&root, main, "");
    let mut parts = Vec::new();
    while let Some(import) = loader.queue.pop_front() {
        parts.extend(loader.part(&import));
    }
    let too_new = loader.too_new;
    let merged = merge::merge(&root, &parts, known, diagnostics);
    let ast = Ast {
        document,
        ..Ast::read(main, known, &merged, diagnostics)
    };
    diagnostics
        .retain(|fault| fault.code != Code::FeatureTooNew || !too_new.contains(&fault.span.file));
    ast
}

/// Returns the values of the main file. A document of another kind is turned into a blueprint.
fn main_values(
    main: FileId,
    options: &Options,
    sources: &Sources,
    d: &mut Diagnostics,
) -> (Value, Option<Document>) {
    let directory = sources.path(main).and_then(Path::parent);
    let of_kind = |kind, d: &mut Diagnostics| {
        let place = (main, directory.map(Path::to_owned));
        let read = front::read(kind, place, sources, &options.documents, d);
        read.map(|translated| (translated.blueprint, translated.document))
    };
    let known = options.documents.kind;
    let read = match known.or_else(|| front::kind_of(sources.text(main))) {
        Some(kind) => of_kind(kind, d),
        None => parse(sources, main, d).map(|root| (root, None)),
    };
    read.unwrap_or_else(|fault| {
        d.push(fault);
        let empty = Value::new(sources.start(main), Data::Map(Arc::default()));
        (empty, None)
    })
}

/// Returns the version that the main file declares.
fn main_version(root: &Value, start: Span, d: &mut Diagnostics) -> Option<Version> {
    // A text that is unreadable or not a mapping is reported elsewhere. Reporting the missing
    // version as well would not help.
    let unreadable = d.iter().any(|fault| fault.severity == Severity::Error);
    let map = root.as_map().filter(|_| !unreadable)?;
    let Some(value) = map
        .get("tosca_definitions_version")
        .filter(|value| !value.is_null())
    else {
        let fault = start.error(
            Code::VersionMissing,
            "`tosca_definitions_version` is missing",
        );
        d.push(fault.hint(format!(
            "start the blueprint with `tosca_definitions_version: {}`",
            Version::V1_3
        )));
        return None;
    };
    read_version(value, Code::VersionUnknown, d)
}

fn read_version(value: &Value, unknown: Code, d: &mut Diagnostics) -> Option<Version> {
    let Some(name) = value.as_str() else {
        let code = if matches!(value.data, Data::Date(_) | Data::Bytes(_)) {
            Code::ValueNotAllowed
        } else {
            Code::Format
        };
        d.push(value.span.error(
            code,
            format!(
                "`tosca_definitions_version` must be a string, not {}",
                value.kind()
            ),
        ));
        return None;
    };
    let version = Version::parse(name);
    if version.is_none() {
        let names = Version::ALL.map(Version::as_str);
        let fault = value
            .span
            .error(unknown, format!("there is no version `{name}` of the DSL"));
        d.push(
            fault
                .did_you_mean(name, names)
                .hint(format!("known versions: {}", names.join(", "))),
        );
    }
    version
}

/// An import that is not followed yet.
pub(super) struct Import {
    /// Name of the imported file, without the namespace.
    pub name: String,
    pub span: Span,
    /// Namespace in this import.
    pub own_namespace: Option<String>,
    /// Namespace of the importing file.
    outer_namespace: String,
    /// Values for the properties of its plugins.
    properties: Option<Value>,
    pub from: FileId,
}

impl Import {
    pub(super) fn namespace(&self) -> String {
        match (&self.own_namespace, self.outer_namespace.as_str()) {
            (Some(own), "") => own.clone(),
            (Some(own), outer) => format!("{outer}{DELIMITER}{own}"),
            (None, outer) => outer.to_owned(),
        }
    }
}

pub(super) struct Loader<'a> {
    pub options: &'a Options,
    pub version: Version,
    /// Place of the declared version.
    declared: Span,
    loaded: HashSet<(Location, String)>,
    /// Namespaces of imported blueprints.
    pub blueprints: HashMap<String, Span>,
    queue: VecDeque<Import>,
    /// Number of imports tried, found or not.
    import_count: usize,
    /// Time spent on the network.
    pub network_time: Duration,
    /// Errors of import rules for the current import.
    pub rule_errors: Vec<String>,
    /// Number of values in files under namespaces. These files share no values.
    namespaced: usize,
    /// Files that need a newer version of the DSL.
    too_new: HashSet<FileId>,
    /// Content of files. One file can be imported under many namespaces.
    parsed: HashMap<FileId, Value>,
    pub sources: &'a mut Sources,
    diagnostics: &'a mut Diagnostics,
}

impl Loader<'_> {
    pub(super) fn fault(&mut self, fault: Diagnostic) {
        self.diagnostics.push(fault);
    }

    /// Queues the imports of a file.
    fn enqueue(&mut self, root: &Value, from: FileId, outer: &str) {
        let Some(value) = root.get("imports") else {
            return;
        };
        let Some(list) = value.as_list() else {
            let code = if value.is_null() {
                Code::WrongType
            } else {
                Code::Format
            };
            let fault = value.span.error(
                code,
                format!("`imports` must be a list, not {}", value.kind()),
            );
            self.fault(fault.hint("remove it if nothing is imported"));
            return;
        };
        let mut names: HashMap<String, Span> = HashMap::new();
        for item in list {
            let Some((text, properties)) = self.item(item) else {
                continue;
            };
            if let Some(first) = names.insert(text.clone(), item.span) {
                let fault = item
                    .span
                    .error(Code::ImportTwice, format!("`{text}` is imported twice"));
                self.fault(fault.related(first, "first imported here"));
                continue;
            }
            let (own, name) = split(&text);
            if own.as_ref().is_some_and(|own| own.contains(DELIMITER)) {
                let fault = item.span.error(
                    Code::Namespace,
                    format!(
                        "the namespace `{}` cannot contain `--`",
                        own.unwrap_or_default()
                    ),
                );
                self.fault(fault);
                continue;
            }
            if name.is_empty() {
                self.fault(item.span.error(
                    Code::ImportNotFound,
                    format!("the import `{text}` does not name a file"),
                ));
                continue;
            }
            self.queue.push_back(Import {
                name,
                span: item.span,
                own_namespace: own,
                outer_namespace: outer.to_owned(),
                properties,
                from,
            });
        }
    }

    /// Reads an entry of `imports`: a name, or since version 1.5 a name with properties.
    fn item(&mut self, item: &Value) -> Option<(String, Option<Value>)> {
        let map = match &item.data {
            Data::Str(text) => return Some((text.to_string(), None)),
            Data::Map(map) => map,
            Data::Null => {
                self.fault(item.span.error(
                    Code::ImportProperties,
                    "an import must be a string or a mapping, not null",
                ));
                return None;
            }
            Data::Date(_) | Data::Bytes(_) => {
                self.fault(item.span.error(
                    Code::ValueNotAllowed,
                    format!("an import must be a string, not {}", item.kind()),
                ));
                return None;
            }
            _ => {
                self.fault(item.span.error(
                    Code::Format,
                    format!(
                        "an import must be a string or a mapping, not {}",
                        item.kind()
                    ),
                ));
                return None;
            }
        };
        let [(name, properties)] = &map.entries[..] else {
            self.fault(item.span.error(
                Code::ImportProperties,
                "an import with properties must be a mapping with one key, the name of the file",
            ));
            return None;
        };
        if !matches!(properties.data, Data::Map(_) | Data::Null) {
            let fault = properties.span.error(
                Code::Format,
                format!(
                    "the properties of an import must be a mapping, not {}",
                    properties.kind()
                ),
            );
            self.fault(fault);
            return None;
        }
        if self.version < Version::V1_5 {
            let fault = item.span.error(
                Code::FeatureTooNew,
                format!("properties of imports require {}", Version::V1_5),
            );
            self.fault(fault.hint(format!(
                "declare `tosca_definitions_version: {}`",
                Version::V1_5
            )));
            return None;
        }
        check_properties(properties, self.diagnostics);
        Some((name.as_str()?.to_owned(), Some(properties.clone())))
    }

    /// Reads an imported file, unless it is missing or already loaded.
    fn part(&mut self, import: &Import) -> Option<Part> {
        self.import_count += 1;
        if self.import_count > MAX_FILES {
            let message = format!("the blueprint imports more than {MAX_FILES} files");
            return self.limit_exceeded(import, message);
        }
        let Located {
            location,
            file,
            is_substitute: stands_in,
        } = self.locate(import)?;
        let root = self.parse_file(file, import)?;
        let map = self.root_mapping(&root, import)?;
        let basic = root
            .get("node_types")
            .is_some_and(|types| types.get("cloudify.nodes.Root").is_some());
        let namespace = self.namespace_of(import, basic)?;
        if !self.loaded.insert((location, namespace.clone())) {
            return None;
        }
        if !stands_in {
            self.check_version(map, import);
        }
        self.enqueue(&root, file, &namespace);
        let map = import.properties.as_ref().map_or_else(
            || map.clone(),
            |properties| with_properties(map, properties, self.diagnostics),
        );
        let root = self.with_namespace(&namespace, map, &root, import)?;
        Some(Part { root, basic })
    }

    /// Reports an exceeded limit and cancels all remaining imports.
    fn limit_exceeded<T>(&mut self, import: &Import, message: String) -> Option<T> {
        self.fault(import.span.error(Code::Limit, message));
        self.queue.clear();
        None
    }

    /// Returns the content of a file. Each file is parsed once.
    fn parse_file(&mut self, file: FileId, import: &Import) -> Option<Value> {
        if !starts_with_section(self.sources.text(file)) {
            self.fault(not_a_dsl_file(import));
            return None;
        }
        let read = match self.parsed.get(&file) {
            Some(root) => Ok(root.clone()),
            None => parse(self.sources, file, self.diagnostics),
        };
        let report = |fault: Diagnostic| self.fault(fault.related(import.span, "imported here"));
        let root = read.map_err(report).ok()?;
        self.parsed.insert(file, root.clone());
        self.sources.set_import(file, import.span);
        Some(root)
    }

    fn root_mapping<'v>(&mut self, root: &'v Value, import: &Import) -> Option<&'v Map> {
        if let Some(map) = root.as_map() {
            return Some(map);
        }
        let kind = root.kind();
        let message = format!("an imported file must be a mapping, not {kind}");
        let fault = root.span.error(Code::ValueNotAllowed, message);
        self.fault(fault.related(import.span, "imported here"));
        None
    }

    /// Returns the namespace of the names in a file. The basic types have none.
    fn namespace_of(&mut self, import: &Import, basic: bool) -> Option<String> {
        let Some(own) = import.own_namespace.as_ref().filter(|_| basic) else {
            return Some(if basic {
                String::new()
            } else {
                import.namespace()
            });
        };
        let message = format!("the basic types cannot be imported under the namespace `{own}`");
        let fault = import.span.error(Code::NamespaceUse, message);
        self.fault(fault.hint("import them without a namespace"));
        None
    }

    /// Returns the mapping with its names under a namespace.
    fn with_namespace(
        &mut self,
        namespace: &str,
        map: Map,
        root: &Value,
        import: &Import,
    ) -> Option<Arc<Map>> {
        if namespace.is_empty() {
            return Some(Arc::new(map));
        }
        self.namespaced += root.count();
        if self.namespaced > MAX_NAMESPACED_VALUES {
            let message =
                format!("the files under namespaces have more than {MAX_NAMESPACED_VALUES} values");
            return self.limit_exceeded(import, message);
        }
        Some(Arc::new(namespace::with_prefix(&map, namespace)))
    }

    /// Reports a file that needs a newer version than declared. Its newer features are then not
    /// reported one by one.
    fn check_version(&mut self, map: &Map, import: &Import) {
        let Some(value) = map
            .get("tosca_definitions_version")
            .filter(|value| !value.is_null())
        else {
            return;
        };
        let Some(version) = read_version(value, Code::ValueNotAllowed, self.diagnostics) else {
            return;
        };
        if version > self.version {
            let message = format!(
                "`{}` requires `{version}`, but the blueprint declares `{}`",
                import.name, self.version
            );
            let fault = import
                .span
                .error(Code::ImportVersion, message)
                .related(value.span, "required here")
                .related(self.declared, "declared here");
            self.fault(fault.hint(format!(
                "declare `tosca_definitions_version: {version}` in the blueprint"
            )));
            self.too_new.insert(value.span.file);
        }
    }
}

fn not_a_dsl_file(import: &Import) -> Diagnostic {
    let name = &import.name;
    let message = format!("`{name}` is not a DSL file: its first key is not a section");
    let sections = SECTIONS.join(", ");
    let fault = import.span.error(Code::ValueNotAllowed, message);
    fault.hint(format!(
        "start it with one of {sections}; its content is not shown"
    ))
}

/// Returns true if the first key of a text is a section, or if the text has no content.
///
/// Only then is the file meant for import, and diagnostics may quote it. A blueprint could name any
/// file that the user may read but the author of the blueprint may not.
fn starts_with_section(text: &str) -> bool {
    let lines = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_start);
    let is_content =
        |line: &&str| !line.is_empty() && !line.starts_with(['#', '%']) && !line.starts_with("---");
    let mut lines = lines
        .filter(is_content)
        .map(|line| line.trim_matches(['{', '}', ' ', '\t']))
        .filter(|line| !line.is_empty());
    let Some(first) = lines.next() else {
        return true;
    };
    let key = first
        .split_once(':')
        .map_or(first, |(key, _)| key)
        .trim()
        .trim_matches(['"', '\'']);
    SECTIONS.contains(&key)
}

/// Splits an import into namespace and name. A `--` inside a path or address does not separate.
fn split(text: &str) -> (Option<String>, String) {
    let parts = text
        .match_indices(DELIMITER)
        .map(|(at, _)| (&text[..at], &text[at + DELIMITER.len()..]));
    match parts
        .filter(|(namespace, _)| !namespace.contains(['/', ':']))
        .last()
    {
        Some((namespace, name)) => (
            Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()),
            name.to_owned(),
        ),
        None => (None, text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{split, starts_with_section};

    #[test]
    fn dsl_files_start_with_a_section() {
        for text in [
            "",
            "# nothing\n",
            "---\nnode_types: {}\n",
            "\u{feff}# x\n%YAML 1.2\n---\n\n\"inputs\": {}",
            "{\n  'imports': []}",
            "plugins :\n  a: b",
        ] {
            assert!(starts_with_section(text), "{text}");
        }
        for text in [
            "root:x:0:0:root:/root:/bin/bash\n",
            "password: hunter2\n",
            "- a\n",
            "just text",
            "inputs\u{1b}: x",
            "[inputs]",
        ] {
            assert!(!starts_with_section(text), "{text}");
        }
    }

    #[test]
    fn namespaces_are_distinguished_from_paths() {
        let namespace = |text: &str| split(text).0;
        assert_eq!(namespace("ns--a.yaml").as_deref(), Some("ns"));
        assert_eq!(namespace("a--b--a.yaml").as_deref(), Some("a--b"));
        assert_eq!(namespace("some/directory--x/a.yaml"), None);
        assert_eq!(namespace("http://host/a--b.yaml"), None);
        assert_eq!(
            namespace("ns--http://host/a--b.yaml").as_deref(),
            Some("ns")
        );
    }
}
