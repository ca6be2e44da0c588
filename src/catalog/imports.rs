//! Follows the imports of a blueprint, breadth first.

use super::{addresses, bundled, merge};
use crate::{
    diagnostic::{Code, Diagnostic, FileId, Spanned},
    syntax::{SourceError, Sources, ast::Ast, parse},
};
use std::{
    collections::{HashSet, VecDeque},
    path::{Path, PathBuf},
};

/// Reads a blueprint and everything it imports, merged into one.
///
/// # Errors
///
/// If the blueprint itself cannot be read. Faults inside the files go to `diagnostics`.
pub fn load(path: &Path, sources: &mut Sources, diagnostics: &mut Vec<Diagnostic>) -> Result<Ast, SourceError> {
    let main = sources.read(path)?;
    let mut loader = Loader {
        sources,
        seen: HashSet::from([Location::File(real(path))]),
        queue: VecDeque::new(),
        stand_ins: HashSet::new(),
        diagnostics,
    };
    let main = loader.read(main);
    let mut files = vec![main];
    while let Some((import, from)) = loader.queue.pop_front() {
        if let Some(file) = loader.resolve(&import, from) {
            let ast = loader.read(file);
            // A catalog that stands in for an older edition asks for no newer version than that did.
            let version = ast.version.clone().filter(|_| !loader.stand_ins.contains(&file));
            files.push(Ast { version, ..ast });
        }
    }
    Ok(merge::merge(files, sources, diagnostics))
}

/// Where a file comes from; one that is loaded already is not loaded again.
#[derive(Eq, Hash, PartialEq)]
enum Location {
    Bundled(&'static str),
    File(PathBuf),
}

struct Loader<'a> {
    sources: &'a mut Sources,
    seen: HashSet<Location>,
    queue: VecDeque<(Spanned<String>, FileId)>,
    /// Bundled catalogs of another edition than was asked for.
    stand_ins: HashSet<FileId>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Loader<'_> {
    fn read(&mut self, file: FileId) -> Ast {
        let root = parse(self.sources, file, self.diagnostics).unwrap_or_else(|fault| {
            self.diagnostics.push(fault);
            crate::syntax::Value::new(self.sources.start(file), crate::syntax::Data::Map(std::sync::Arc::default()))
        });
        let ast = Ast::read(file, &root, self.diagnostics);
        self.queue.extend(ast.imports.iter().cloned().map(|import| (import, file)));
        ast
    }

    /// The file that an import names, if it is there and not loaded yet.
    fn resolve(&mut self, import: &Spanned<String>, from: FileId) -> Option<FileId> {
        match import.node.split_once(':').map(|(scheme, _)| scheme) {
            Some("http" | "https") => self.bundled(import),
            Some("plugin" | "blueprint" | "ftp") => {
                self.fault(
                    import
                        .span
                        .error(Code::NotYet, format!("the import `{}` needs a catalogue that this version does not have", import.node)),
                );
                None
            }
            _ if import.node.contains("--") => {
                self.fault(
                    import.span.error(Code::NotYet, format!("namespaces, as in `{}`, are not carried out by this version", import.node)),
                );
                None
            }
            _ => self.file(import, from),
        }
    }

    fn bundled(&mut self, import: &Spanned<String>) -> Option<FileId> {
        let Some(catalog) = bundled(&import.node) else {
            let fault = import.span.error(Code::ImportNotFound, format!("`{}` is not bundled with dockctl", import.node));
            let known: Vec<String> = addresses().collect();
            self.fault(
                fault.hint(format!("bundled: {}", known.join(", "))).hint("save the file beside the blueprint and import it by its path"),
            );
            return None;
        };
        if !catalog.exact {
            let note = format!("`{}` is not bundled; edition {} is used instead", import.node, catalog.edition);
            self.fault(import.span.warning(Code::ImportNotFound, note));
        }
        let name = format!("<bundled {} {}>", catalog.name, catalog.edition);
        if !self.seen.insert(Location::Bundled(catalog.text)) {
            return None;
        }
        let file = self.sources.add_text(name, catalog.text);
        self.stand_ins.extend((!catalog.exact).then_some(file));
        Some(file)
    }

    /// Tries the working directory, then beside the importing file: the order of the original.
    fn file(&mut self, import: &Spanned<String>, from: FileId) -> Option<FileId> {
        let name = Path::new(import.node.strip_prefix("file://").unwrap_or(&import.node));
        let beside = self.sources.path(from).and_then(Path::parent).map(|folder| folder.join(name));
        let candidates = std::iter::once(name.to_owned()).chain(beside);
        let Some(path) = candidates.into_iter().find(|path| path.exists()) else {
            let fault = import.span.error(Code::ImportNotFound, format!("the import `{}` cannot be found", import.node));
            self.fault(fault.hint("looked in the working directory and beside this file"));
            return None;
        };
        if !self.seen.insert(Location::File(real(&path))) {
            return None;
        }
        let read = self.sources.read(&path);
        read.map_err(|error| self.fault(import.span.error(Code::ImportNotFound, error.to_string()))).ok()
    }

    fn fault(&mut self, fault: Diagnostic) {
        self.diagnostics.push(fault);
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
