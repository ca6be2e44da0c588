//! Follows the imports of a blueprint, breadth first.

use super::{
    bundled::{self, Found},
    fetch::Network,
    merge::{self, Part},
    namespace::{self, DELIMITER},
};
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics, FileId, Severity, Span},
    syntax::{Data, Map, SourceError, Sources, Value, Version, ast::Ast, call, fits, parse},
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// Most files that one blueprint may import.
const FILES: usize = 1000;
/// Longest that all imports of a blueprint together wait for the network.
const NETWORK: Duration = Duration::from_mins(1);
/// Most values of files under namespaces.
const NAMESPACED: usize = 300_000;

/// How imports are found.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Files from the network.
    pub network: Network,
    /// Addresses that start with the first are tried with the second in its place, in this order, before the address itself.
    pub rules: Vec<(String, String)>,
}

/// Reads a blueprint and everything it imports, merged into one.
///
/// # Errors
///
/// If the blueprint itself cannot be read. Faults inside the files go to `diagnostics`.
pub fn load(path: &Path, options: &Options, sources: &mut Sources, diagnostics: &mut Diagnostics) -> Result<Ast, SourceError> {
    let main = sources.read(path)?;
    Ok(follow(main, options, sources, diagnostics))
}

/// Reads a blueprint that is among the sources already, and everything it imports.
#[must_use]
pub fn follow(main: FileId, options: &Options, sources: &mut Sources, diagnostics: &mut Diagnostics) -> Ast {
    let root = parse(sources, main, diagnostics).unwrap_or_else(|fault| {
        diagnostics.push(fault);
        Value::new(sources.start(main), Data::Map(Arc::default()))
    });
    let version = main_version(&root, sources.start(main), diagnostics);
    let known = version.unwrap_or(Version::LATEST);
    let mut loader = Loader {
        options,
        version: known,
        declared: root.get("tosca_definitions_version").map_or(root.span, |value| value.span),
        seen: sources.path(main).map(|path| (Location::File(real(path)), String::new())).into_iter().collect(),
        blueprints: HashMap::new(),
        queue: VecDeque::new(),
        tried: 0,
        waited: Duration::ZERO,
        missed: Vec::new(),
        namespaced: 0,
        read: HashMap::new(),
        sources,
        diagnostics,
    };
    loader.enqueue(&root, main, "");
    let mut parts = Vec::new();
    while let Some(import) = loader.queue.pop_front() {
        parts.extend(loader.part(&import));
    }
    let merged = merge::merge(&root, &parts, known, diagnostics);
    Ast::read(main, known, &merged, diagnostics)
}

/// The version that the main file declares.
fn main_version(root: &Value, start: Span, d: &mut Diagnostics) -> Option<Version> {
    // A text that could not be read, or is no mapping, has been or will be reported; that its version is missing says nothing new.
    let unreadable = d.iter().any(|fault| fault.severity == Severity::Error);
    let map = root.as_map().filter(|_| !unreadable)?;
    let Some(value) = map.get("tosca_definitions_version").filter(|value| !value.is_null()) else {
        let fault = start.error(Code::VersionMissing, "`tosca_definitions_version` is missing");
        d.push(fault.hint(format!("start the blueprint with `tosca_definitions_version: {}`", Version::V1_3)));
        return None;
    };
    read_version(value, Code::VersionUnknown, d)
}

fn read_version(value: &Value, unknown: Code, d: &mut Diagnostics) -> Option<Version> {
    let Some(name) = value.as_str() else {
        let code = if matches!(value.data, Data::Date(_) | Data::Bytes(_)) { Code::Foreign } else { Code::Format };
        d.push(value.span.error(code, format!("`tosca_definitions_version` must be a string, and this is {}", value.kind())));
        return None;
    };
    let version = Version::parse(name);
    if version.is_none() {
        let names = Version::ALL.map(Version::as_str);
        let fault = value.span.error(unknown, format!("there is no version `{name}` of the DSL"));
        d.push(fault.did_you_mean(name, names).hint(format!("known versions: {}", names.join(", "))));
    }
    version
}

/// Where a file comes from; one that is loaded already under the same namespace is not loaded again.
#[derive(Clone, Eq, Hash, PartialEq)]
enum Location {
    Bundled(bundled::Catalog),
    File(PathBuf),
    Address(String),
}

/// An import that waits to be followed.
struct Import {
    /// What is imported, without its namespace.
    name: String,
    span: Span,
    /// The namespace that it is given here.
    own: Option<String>,
    /// The namespace of the file that imports it.
    outer: String,
    /// Values for the properties of its plugins.
    properties: Option<Value>,
    from: FileId,
}

impl Import {
    fn namespace(&self) -> String {
        match (&self.own, self.outer.as_str()) {
            (Some(own), "") => own.clone(),
            (Some(own), outer) => format!("{outer}{DELIMITER}{own}"),
            (None, outer) => outer.to_owned(),
        }
    }
}

struct Loader<'a> {
    options: &'a Options,
    version: Version,
    /// Where the version is declared.
    declared: Span,
    seen: HashSet<(Location, String)>,
    /// Namespaces of imported blueprints.
    blueprints: HashMap<String, Span>,
    queue: VecDeque<Import>,
    /// Imports that were looked for, found or not.
    tried: usize,
    /// Time that the network took.
    waited: Duration,
    /// Where import rules led to nothing, for the import that is looked for.
    missed: Vec<String>,
    /// Values of all files under namespaces: each has its own.
    namespaced: usize,
    /// What files hold: one can be imported under many namespaces.
    read: HashMap<FileId, Value>,
    sources: &'a mut Sources,
    diagnostics: &'a mut Diagnostics,
}

impl Loader<'_> {
    fn fault(&mut self, fault: Diagnostic) {
        self.diagnostics.push(fault);
    }

    /// Notes what a file imports.
    fn enqueue(&mut self, root: &Value, from: FileId, outer: &str) {
        let Some(value) = root.get("imports") else { return };
        let Some(list) = value.as_list() else {
            let code = if value.is_null() { Code::WrongKind } else { Code::Format };
            let fault = value.span.error(code, format!("`imports` must be a list, and this is {}", value.kind()));
            self.fault(fault.hint("leave it out if nothing is imported"));
            return;
        };
        let mut names: HashMap<String, Span> = HashMap::new();
        for item in list {
            let Some((text, properties)) = self.item(item) else { continue };
            if let Some(first) = names.insert(text.clone(), item.span) {
                let fault = item.span.error(Code::ImportTwice, format!("`{text}` is imported twice"));
                self.fault(fault.related(first, "first imported here"));
                continue;
            }
            let (own, name) = split(&text);
            if own.as_ref().is_some_and(|own| own.contains(DELIMITER)) {
                let fault = item.span.error(Code::Namespace, format!("the namespace `{}` cannot hold `--`", own.unwrap_or_default()));
                self.fault(fault);
                continue;
            }
            if name.is_empty() {
                self.fault(item.span.error(Code::ImportNotFound, format!("the import `{text}` names no file")));
                continue;
            }
            self.queue.push_back(Import { name, span: item.span, own, outer: outer.to_owned(), properties, from });
        }
    }

    /// An entry of `imports`: a name, or since version 1.5 a name with properties.
    fn item(&mut self, item: &Value) -> Option<(String, Option<Value>)> {
        let map = match &item.data {
            Data::Str(text) => return Some((text.to_string(), None)),
            Data::Map(map) => map,
            Data::Null => {
                self.fault(item.span.error(Code::ImportProperties, "an import must be a string or a mapping, and this is null"));
                return None;
            }
            Data::Date(_) | Data::Bytes(_) => {
                self.fault(item.span.error(Code::Foreign, format!("an import must be a string, and this is {}", item.kind())));
                return None;
            }
            _ => {
                self.fault(item.span.error(Code::Format, format!("an import must be a string or a mapping, and this is {}", item.kind())));
                return None;
            }
        };
        let [(name, properties)] = &map.entries[..] else {
            self.fault(
                item.span.error(Code::ImportProperties, "an import with properties is a mapping with one key: the name of the file"),
            );
            return None;
        };
        if !matches!(properties.data, Data::Map(_) | Data::Null) {
            let fault = properties
                .span
                .error(Code::Format, format!("the properties of an import are a mapping, and this is {}", properties.kind()));
            self.fault(fault);
            return None;
        }
        if self.version < Version::V1_5 {
            let fault = item.span.error(Code::FeatureTooNew, format!("imports have properties since {}", Version::V1_5));
            self.fault(fault.hint(format!("declare `tosca_definitions_version: {}`", Version::V1_5)));
            return None;
        }
        Some((name.as_str()?.to_owned(), Some(properties.clone())))
    }

    /// Reads an imported file, if it is there and not read yet.
    fn part(&mut self, import: &Import) -> Option<Part> {
        self.tried += 1;
        if self.tried > FILES {
            self.fault(import.span.error(Code::Limit, format!("the blueprint imports more than {FILES} files")));
            self.queue.clear();
            return None;
        }
        let (location, file, stand_in) = self.resolve(import)?;
        let root = match self.read.get(&file).cloned().map_or_else(|| parse(self.sources, file, self.diagnostics), Ok) {
            Ok(root) => root,
            Err(fault) => {
                self.fault(fault.related(import.span, "imported here"));
                return None;
            }
        };
        self.read.insert(file, root.clone());
        let Some(map) = root.as_map() else {
            let fault = root.span.error(Code::Foreign, format!("an imported file must be a mapping, and this is {}", root.kind()));
            self.fault(fault.related(import.span, "imported here"));
            return None;
        };
        let basic = root.get("node_types").is_some_and(|types| types.get("cloudify.nodes.Root").is_some());
        if let (true, Some(own)) = (basic, &import.own) {
            let fault = import.span.error(Code::NamespaceUse, format!("the basic types cannot be put under the namespace `{own}`"));
            self.fault(fault.hint("import them without a namespace: their names are everyone's"));
            return None;
        }
        let namespace = if basic { String::new() } else { import.namespace() };
        if !self.seen.insert((location, namespace.clone())) {
            return None;
        }
        if !stand_in {
            self.check_version(map);
        }
        self.enqueue(&root, file, &namespace);
        let map = import.properties.as_ref().map_or_else(|| map.clone(), |properties| self.with_properties(map, properties));
        if namespace.is_empty() {
            return Some(Part { root: Arc::new(map), basic });
        }
        self.namespaced += root.count();
        if self.namespaced > NAMESPACED {
            self.fault(import.span.error(Code::Limit, format!("the files under namespaces have more than {NAMESPACED} values")));
            self.queue.clear();
            return None;
        }
        Some(Part { root: Arc::new(namespace::prefix(&map, &namespace)), basic })
    }

    fn check_version(&mut self, map: &Map) {
        let Some(value) = map.get("tosca_definitions_version").filter(|value| !value.is_null()) else { return };
        let Some(version) = read_version(value, Code::Foreign, self.diagnostics) else { return };
        if version > self.version {
            let fault = value
                .span
                .error(Code::ImportVersion, format!("this file needs `{version}`, and the blueprint declares `{}`", self.version));
            let fault = fault.related(self.declared, "declared here");
            self.fault(fault.hint(format!("declare `tosca_definitions_version: {version}` in the blueprint")));
        }
    }

    /// The file that an import names: where it is, and whether it stands in for another edition.
    fn resolve(&mut self, import: &Import) -> Option<(Location, FileId, bool)> {
        let scheme = import.name.split_once(':').map(|(scheme, _)| scheme);
        match scheme {
            Some("plugin") => self.plugin(import),
            Some("blueprint") => self.blueprint(import),
            Some("http" | "https") => self.address(&import.name, import),
            Some("ftp") => {
                self.not_found(import, "ftp is not spoken here", &["save the file beside the blueprint and import it by its path"]);
                None
            }
            _ => self.file(import),
        }
    }

    fn plugin(&mut self, import: &Import) -> Option<(Location, FileId, bool)> {
        if let Some(found) = self.by_rules(&import.name, import) {
            return Some(found);
        }
        if let Some(found) = bundled::by_plugin(&import.name["plugin:".len()..], self.version) {
            return Some(self.bundled(&found, import));
        }
        let hints = [
            "bundled: cloudify-docker-plugin, cloudify-kubernetes-plugin, cloudify-swarm-plugin, cloudify-script-plugin",
            "say where its plugin.yaml is: --import-rule plugin:NAME=PATH",
        ];
        self.not_found(import, "there is no such plugin here", &hints);
        None
    }

    fn blueprint(&mut self, import: &Import) -> Option<(Location, FileId, bool)> {
        let Some(own) = &import.own else {
            let fault = import.span.error(Code::BlueprintNamespace, format!("`{}` needs a namespace", import.name));
            self.fault(fault.hint(format!("write `ns{DELIMITER}{}`", import.name)));
            return None;
        };
        if let Some(first) = self.blueprints.insert(import.namespace(), import.span) {
            let fault = import.span.error(Code::NamespaceUse, format!("the namespace `{own}` is used for two blueprints"));
            self.fault(fault.related(first, "first used here"));
            return None;
        }
        let found = self.by_rules(&import.name, import);
        if found.is_none() {
            self.not_found(import, "there is no store of blueprints here", &["say where it is: --import-rule blueprint:ID=PATH"]);
        }
        found
    }

    /// Tries what `--import-rule` puts in the place of an address. A rule that names a file does so for every version of a plugin.
    fn by_rules(&mut self, address: &str, import: &Import) -> Option<(Location, FileId, bool)> {
        let rewrite = |(prefix, with): &(String, String)| Some(format!("{with}{}", address.strip_prefix(prefix.as_str())?));
        let rewritten: Vec<String> = self.options.rules.iter().filter_map(rewrite).collect();
        self.missed.clear();
        let found = rewritten.iter().find_map(|candidate| self.rewritten(candidate, import));
        found.or_else(|| rewritten.iter().find_map(|candidate| self.rewritten(candidate.split_once('?')?.0, import)))
    }

    fn rewritten(&mut self, candidate: &str, import: &Import) -> Option<(Location, FileId, bool)> {
        if candidate.starts_with("http://") || candidate.starts_with("https://") {
            if let Some(found) = bundled::by_address(candidate, self.version) {
                return Some(self.bundled(&found, import));
            }
            return self.fetched(candidate).map_err(|why| self.missed.push(format!("{candidate}: {why}"))).ok();
        }
        let path = PathBuf::from(candidate.strip_prefix("file://").unwrap_or(candidate));
        let file = self.sources.read(&path).map_err(|why| self.missed.push(why.to_string())).ok()?;
        Some((Location::File(real(&path)), file, false))
    }

    fn address(&mut self, address: &str, import: &Import) -> Option<(Location, FileId, bool)> {
        if let Some(found) = self.by_rules(address, import) {
            return Some(found);
        }
        if let Some(found) = bundled::by_address(address, self.version) {
            return Some(self.bundled(&found, import));
        }
        match self.fetched(address) {
            Ok(found) => Some(found),
            Err(why) => {
                let known: Vec<String> = bundled::examples().collect();
                let bundled = format!("bundled, in this and other editions: {}", known.join(", "));
                self.not_found(import, &why, &["save the file beside the blueprint and import it by its path", &bundled]);
                None
            }
        }
    }

    fn fetched(&mut self, address: &str) -> Result<(Location, FileId, bool), String> {
        let begun = Instant::now();
        let fetched = self.options.network.fetch(address, NETWORK.saturating_sub(self.waited));
        self.waited += begun.elapsed();
        let fetched = fetched?;
        let file = self.sources.add_text(address, fetched.text);
        if let Some(why) = fetched.stale {
            let warning = self.sources.start(file).warning(Code::ImportNotFound, format!("an old copy of {address} is used: {why}"));
            self.fault(warning);
        }
        Ok((Location::Address(address.to_owned()), file, false))
    }

    fn bundled(&mut self, found: &Found, import: &Import) -> (Location, FileId, bool) {
        let Found { catalog, exact } = found;
        if !exact {
            let note = format!("`{}` is not bundled; edition {} is used instead", import.name, catalog.edition);
            self.fault(import.span.warning(Code::Catalog, note));
        }
        let name = format!("<bundled {} {}>", catalog.family_name(), catalog.edition);
        // A catalog that stands in for an older edition asks for no newer version of the DSL than that did.
        (Location::Bundled(*catalog), self.sources.add_text(name, catalog.text), !exact)
    }

    /// Tries the working directory, then beside the importing file, then what a manager would serve: the order of the original.
    fn file(&mut self, import: &Import) -> Option<(Location, FileId, bool)> {
        if let Some(found) = self.by_rules(&import.name, import) {
            return Some(found);
        }
        let name = import.name.strip_prefix("file://").or_else(|| import.name.strip_prefix("file:")).unwrap_or(&import.name);
        let path = Path::new(name);
        let variant = path.extension().and_then(|end| end.to_str()).map(|end| {
            let stem = &name[..name.len() - end.len() - 1];
            PathBuf::from(format!("{stem}_{}.{end}", self.version.suffix()))
        });
        let beside = self.sources.path(import.from).and_then(Path::parent).map(|folder| folder.join(path));
        let candidates: Vec<PathBuf> = variant.into_iter().chain([path.to_owned()]).chain(beside).collect();
        if let Some(path) = candidates.iter().find(|path| path.exists()) {
            return match self.sources.read(path) {
                Ok(file) => Some((Location::File(real(path)), file, false)),
                Err(error) => {
                    self.fault(import.span.error(Code::ImportNotFound, error.to_string()));
                    None
                }
            };
        }
        if let Some(address) = self.beside_address(import.from, name) {
            return self.address(&address, import);
        }
        if let Some(found) = bundled::by_name(name, self.version) {
            return Some(self.bundled(&found, import));
        }
        self.not_found(import, "looked in the working directory and beside this file", &[]);
        None
    }

    /// The address of a name beside a file that came from the network.
    fn beside_address(&self, from: FileId, name: &str) -> Option<String> {
        beside(self.sources.name(from), name)
    }

    fn not_found(&mut self, import: &Import, why: &str, hints: &[&str]) {
        let mut fault = import.span.error(Code::ImportNotFound, format!("the import `{}` cannot be found: {why}", import.name));
        for missed in std::mem::take(&mut self.missed) {
            fault = fault.hint(format!("an import rule leads to nothing: {missed}"));
        }
        for hint in hints {
            fault = fault.hint(*hint);
        }
        self.fault(fault);
    }

    /// The file with values for the properties of every plugin in it.
    fn with_properties(&mut self, map: &Map, given: &Value) -> Map {
        let Some(given) = given.as_map() else { return map.clone() };
        for (name, value) in &given.entries {
            let fits =
                matches!(value.data, Data::Str(_) | Data::Int(_) | Data::Float(_) | Data::Bool(_) | Data::List(_)) || call(value).is_some();
            if !fits {
                let fault = value
                    .span
                    .error(Code::ImportProperties, format!("the property `{}` of an import cannot be {}", name.to_key(), value.kind()));
                self.fault(fault);
            }
        }
        let mut map = map.clone();
        if let Some((_, plugins)) = map.entries.iter_mut().find(|(key, _)| key.as_str() == Some("plugins")) {
            *plugins = self.plugins_with(plugins, given);
        }
        map
    }

    fn plugins_with(&mut self, plugins: &Value, given: &Map) -> Value {
        let Some(all) = plugins.as_map() else { return plugins.clone() };
        let entries = all.entries.iter().map(|(name, plugin)| (name.clone(), self.plugin_with(plugin, given))).collect();
        Value::new(plugins.span, Data::Map(Arc::new(Map { entries })))
    }

    fn plugin_with(&mut self, plugin: &Value, given: &Map) -> Value {
        let declared = plugin.get("properties").and_then(Value::as_map);
        let mut properties = declared.cloned().unwrap_or_default();
        for (name, value) in &given.entries {
            let key = name.to_key();
            let Some((_, schema)) = properties.entries.iter_mut().find(|(other, _)| other.to_key() == key) else {
                let fault = name.span.error(Code::ImportPropertyUnknown, format!("the plugin declares no property `{key}`"));
                let known: Vec<String> = declared.into_iter().flat_map(|map| &map.entries).map(|(name, _)| name.to_key()).collect();
                self.fault(fault.did_you_mean(&key, known.iter().map(String::as_str)));
                continue;
            };
            if let Some(declared) = schema.get("type").and_then(Value::as_str)
                && let Err((code, why)) = property_fits(value, declared)
            {
                self.fault(value.span.error(code, format!("the property `{key}` {why}, and this is {}", value.kind())));
            }
            let mut fields = schema.as_map().map(|map| map.entries.clone()).unwrap_or_default();
            fields.retain(|(key, _)| key.as_str() != Some("value"));
            fields.push((Value::text(name.span, "value"), value.clone()));
            *schema = Value::new(schema.span, Data::Map(Arc::new(Map { entries: fields })));
        }
        let mut fields = plugin.as_map().map(|map| map.entries.clone()).unwrap_or_default();
        if let Some((_, value)) = fields.iter_mut().find(|(key, _)| key.as_str() == Some("properties")) {
            *value = Value::new(value.span, Data::Map(Arc::new(properties)));
        }
        Value::new(plugin.span, Data::Map(Arc::new(Map { entries: fields })))
    }
}

/// The original's check of a value for a property of a plugin: only some types can be given with an import, and `string` takes
/// whole numbers too.
fn property_fits(value: &Value, declared: &str) -> Result<(), (Code, String)> {
    let fits = match declared {
        _ if !matches!(declared, "string" | "integer" | "float" | "boolean" | "list") => {
            return Err((Code::ImportProperties, format!("is of type {declared}, which cannot be given with an import")));
        }
        _ if call(value).is_some() => true,
        "string" => matches!(value.data, Data::Str(_) | Data::Int(_) | Data::Bool(_)),
        "integer" | "float" => matches!(value.data, Data::Bool(_)) || fits(value, declared),
        _ => fits(value, declared),
    };
    if fits { Ok(()) } else { Err((Code::ImportPropertyUnknown, format!("must be of type {declared}"))) }
}

/// The address that a relative name stands for in a file with this address.
fn beside(address: &str, name: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut steps: Vec<&str> = path.split('/').collect();
    steps.pop();
    if name.starts_with('/') {
        steps.clear();
    }
    for step in name.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    Some(format!("{scheme}://{host}/{}", steps.join("/")))
}

/// Namespace and name of an import. A `--` inside a path or address is part of it.
fn split(text: &str) -> (Option<String>, String) {
    let parts = text.match_indices(DELIMITER).map(|(at, _)| (&text[..at], &text[at + DELIMITER.len()..]));
    match parts.filter(|(namespace, _)| !namespace.contains(['/', ':'])).last() {
        Some((namespace, name)) => (Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()), name.to_owned()),
        None => (None, text.to_owned()),
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{beside, split};

    #[test]
    fn namespaces_are_told_from_paths() {
        let namespace = |text: &str| split(text).0;
        assert_eq!(namespace("ns--a.yaml").as_deref(), Some("ns"));
        assert_eq!(namespace("a--b--a.yaml").as_deref(), Some("a--b"));
        assert_eq!(namespace("some/folder--x/a.yaml"), None);
        assert_eq!(namespace("http://host/a--b.yaml"), None);
        assert_eq!(namespace("ns--http://host/a--b.yaml").as_deref(), Some("ns"));
    }

    #[test]
    fn relative_names_in_a_file_from_the_network_are_addresses() {
        let at = |name: &str| beside("https://host:8/deep/er/a.yaml?x=p/q", name).unwrap();
        assert_eq!(at("b.yaml"), "https://host:8/deep/er/b.yaml");
        assert_eq!(at("./../b.yaml"), "https://host:8/deep/b.yaml");
        assert_eq!(at("/b.yaml"), "https://host:8/b.yaml");
        assert_eq!(at("../../../../b.yaml"), "https://host:8/b.yaml");
        assert_eq!(beside("/srv/a.yaml", "b.yaml"), None);
    }
}
