//! Finds the file that an import names: by import rules, in the bundled catalogs, at an address, or
//! on disk.

use super::{
    bundled::{self, Found},
    imports::{Import, Loader},
    namespace::DELIMITER,
};
use crate::diagnostic::{Code, FileId};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The source of a file. A file is loaded only once under the same namespace.
#[derive(Clone, Eq, Hash, PartialEq)]
pub(super) enum Location {
    Bundled(bundled::Catalog),
    File(PathBuf),
    Address(String),
}

impl Location {
    /// Returns the location of a file on disk, independent of the spelling of its path.
    pub(super) fn of(path: &Path) -> Self {
        Self::File(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
    }
}

/// The file that an import names.
pub(super) struct Located {
    pub location: Location,
    pub file: FileId,
    /// It replaces an edition that is not bundled.
    pub is_substitute: bool,
}

/// Maximum time that all imports of a blueprint together may wait for the network.
const MAX_NETWORK_TIME: Duration = Duration::from_mins(1);

impl Loader<'_> {
    /// Finds the file that an import names.
    pub(super) fn locate(&mut self, import: &Import) -> Option<Located> {
        let scheme = import.name.split_once(':').map(|(scheme, _)| scheme);
        match scheme {
            Some("plugin") => self.plugin(import),
            Some("blueprint") => self.blueprint(import),
            Some("http" | "https") => self.address(&import.name, import),
            Some("ftp") => {
                self.not_found(
                    import,
                    "FTP is not supported",
                    &["save the file next to the blueprint and import it by its path"],
                );
                None
            }
            _ => self.file(import),
        }
    }

    fn plugin(&mut self, import: &Import) -> Option<Located> {
        if let Some(found) = self.by_rules(&import.name, import) {
            return Some(found);
        }
        if let Some(found) = bundled::by_plugin(&import.name["plugin:".len()..], self.version) {
            return Some(self.bundled(&found, import));
        }
        let hints = [
            "bundled plugins: cloudify-docker-plugin, cloudify-kubernetes-plugin, cloudify-swarm-plugin, cloudify-script-plugin",
            "pass the path of its plugin.yaml: --import-rule plugin:NAME=PATH",
        ];
        self.not_found(import, "no such plugin is bundled", &hints);
        None
    }

    fn blueprint(&mut self, import: &Import) -> Option<Located> {
        let Some(own) = &import.own_namespace else {
            let fault = import.span.error(
                Code::BlueprintNamespace,
                format!("`{}` requires a namespace", import.name),
            );
            self.fault(fault.hint(format!("write `ns{DELIMITER}{}`", import.name)));
            return None;
        };
        if let Some(first) = self.blueprints.insert(import.namespace(), import.span) {
            let fault = import.span.error(
                Code::NamespaceUse,
                format!("the namespace `{own}` is used for two blueprints"),
            );
            self.fault(fault.related(first, "first used here"));
            return None;
        }
        let found = self.by_rules(&import.name, import);
        if found.is_none() {
            self.not_found(
                import,
                "dockctl has no blueprint store",
                &["pass its path: --import-rule blueprint:ID=PATH"],
            );
        }
        found
    }

    /// Tries the replacements of an address by `--import-rule`. A rule that names a file applies to
    /// every version of a plugin.
    fn by_rules(&mut self, address: &str, import: &Import) -> Option<Located> {
        let rewrite = |(prefix, with): &(String, String)| {
            Some(format!("{with}{}", address.strip_prefix(prefix.as_str())?))
        };
        let rewritten: Vec<String> = self
            .options
            .import_rules
            .iter()
            .filter_map(rewrite)
            .collect();
        self.rule_errors.clear();
        let found = rewritten
            .iter()
            .find_map(|candidate| self.try_rewritten(candidate, import));
        found.or_else(|| {
            rewritten
                .iter()
                .find_map(|candidate| self.try_rewritten(candidate.split_once('?')?.0, import))
        })
    }

    fn try_rewritten(&mut self, candidate: &str, import: &Import) -> Option<Located> {
        if candidate.starts_with("http://") || candidate.starts_with("https://") {
            if let Some(found) = bundled::by_address(candidate, self.version) {
                return Some(self.bundled(&found, import));
            }
            return self
                .fetch_import(candidate, import)
                .map_err(|why| self.rule_errors.push(format!("{candidate}: {why}")))
                .ok();
        }
        let path = PathBuf::from(candidate.strip_prefix("file://").unwrap_or(candidate));
        let file = self
            .sources
            .read(&path)
            .map_err(|why| self.rule_errors.push(why.to_string()))
            .ok()?;
        Some(Located {
            location: Location::of(&path),
            file,
            is_substitute: false,
        })
    }

    fn address(&mut self, address: &str, import: &Import) -> Option<Located> {
        if let Some(found) = self.by_rules(address, import) {
            return Some(found);
        }
        if let Some(found) = bundled::by_address(address, self.version) {
            return Some(self.bundled(&found, import));
        }
        match self.fetch_import(address, import) {
            Ok(found) => Some(found),
            Err(why) => {
                let known: Vec<String> = bundled::examples().collect();
                let bundled = format!("bundled, in these and other editions: {}", known.join(", "));
                self.not_found(
                    import,
                    &why,
                    &[
                        "save the file next to the blueprint and import it by its path",
                        &bundled,
                    ],
                );
                None
            }
        }
    }

    fn fetch_import(&mut self, address: &str, import: &Import) -> Result<Located, String> {
        let started = Instant::now();
        let fetched = self
            .options
            .network
            .fetch(address, MAX_NETWORK_TIME.saturating_sub(self.network_time));
        self.network_time += started.elapsed();
        let fetched = fetched?;
        let file = self.sources.add_text(address, fetched.text);
        if let Some(why) = fetched.stale {
            self.fault(import.span.warning(
                Code::ImportNotFound,
                format!("using an old copy of {address}: {why}"),
            ));
        }
        Ok(Located {
            location: Location::Address(address.to_owned()),
            file,
            is_substitute: false,
        })
    }

    fn bundled(&mut self, found: &Found, import: &Import) -> Located {
        let Found {
            catalog,
            is_exact: exact,
        } = found;
        if !exact {
            let note = format!(
                "`{}` is not bundled; edition {} is used instead",
                import.name, catalog.edition
            );
            self.fault(import.span.warning(Code::OtherEdition, note));
        }
        let name = format!("<bundled {} {}>", catalog.family_name(), catalog.edition);
        // A catalog that replaces an older edition must not require a newer DSL version than that
        // edition did.
        Located {
            location: Location::Bundled(*catalog),
            file: self.sources.add_text(name, catalog.text),
            is_substitute: !exact,
        }
    }

    /// Tries the working directory, then the directory of the importing file, then the files that a
    /// Cloudify Manager would serve. This is Cloudify's order.
    fn file(&mut self, import: &Import) -> Option<Located> {
        if let Some(found) = self.by_rules(&import.name, import) {
            return Some(found);
        }
        let name = import
            .name
            .strip_prefix("file://")
            .or_else(|| import.name.strip_prefix("file:"))
            .unwrap_or(&import.name);
        let path = Path::new(name);
        let variant = path.extension().and_then(|end| end.to_str()).map(|end| {
            let stem = &name[..name.len() - end.len() - 1];
            PathBuf::from(format!("{stem}_{}.{end}", self.version.suffix()))
        });
        let relative = self
            .sources
            .path(import.from)
            .and_then(Path::parent)
            .map(|directory| directory.join(path));
        let candidates: Vec<PathBuf> = variant
            .into_iter()
            .chain([path.to_owned()])
            .chain(relative)
            .collect();
        if let Some(path) = candidates.iter().find(|path| path.exists()) {
            return match self.sources.read(path) {
                Ok(file) => Some(Located {
                    location: Location::of(path),
                    file,
                    is_substitute: false,
                }),
                Err(error) => {
                    self.fault(import.span.error(Code::ImportNotFound, error.to_string()));
                    None
                }
            };
        }
        if let Some(address) = resolve_relative(self.sources.name(import.from), name) {
            return self.address(&address, import);
        }
        if let Some(found) = bundled::by_name(name, self.version) {
            return Some(self.bundled(&found, import));
        }
        self.not_found(
            import,
            "looked in the working directory and next to this file",
            &[],
        );
        None
    }

    fn not_found(&mut self, import: &Import, why: &str, hints: &[&str]) {
        let mut fault = import.span.error(
            Code::ImportNotFound,
            format!("the import `{}` cannot be found: {why}", import.name),
        );
        for missed in std::mem::take(&mut self.rule_errors) {
            fault = fault.hint(format!("an import rule failed: {missed}"));
        }
        for hint in hints {
            fault = fault.hint(*hint);
        }
        self.fault(fault);
    }
}

/// Resolves a relative name in a file that has an address.
fn resolve_relative(address: &str, name: &str) -> Option<String> {
    let (scheme, rest) = address
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
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

#[cfg(test)]
mod tests {
    use super::resolve_relative;

    #[test]
    fn relative_names_in_downloaded_files_are_addresses() {
        let at =
            |name: &str| resolve_relative("https://host:8/deep/er/a.yaml?x=p/q", name).unwrap();
        assert_eq!(at("b.yaml"), "https://host:8/deep/er/b.yaml");
        assert_eq!(at("./../b.yaml"), "https://host:8/deep/b.yaml");
        assert_eq!(at("/b.yaml"), "https://host:8/b.yaml");
        assert_eq!(at("../../../../b.yaml"), "https://host:8/b.yaml");
        assert_eq!(resolve_relative("/srv/a.yaml", "b.yaml"), None);
    }
}
