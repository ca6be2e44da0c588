//! Merges a blueprint with what it imports.

use crate::{
    diagnostic::{Code, Diagnostic, Severity, Spanned},
    syntax::{
        Sources,
        ast::{Ast, Named},
    },
};

/// Versions of the DSL, oldest first.
const VERSIONS: [&str; 6] =
    ["cloudify_dsl_1_0", "cloudify_dsl_1_1", "cloudify_dsl_1_2", "cloudify_dsl_1_3", "cloudify_dsl_1_4", "cloudify_dsl_1_5"];
/// Since this version inputs, outputs, node templates and capabilities may stand in imported files.
const MERGES_TEMPLATES: usize = 3;

/// Merges in the order of loading; the main file is the first.
pub(super) fn merge(files: Vec<Ast>, sources: &Sources, d: &mut Vec<Diagnostic>) -> Ast {
    let mut files = files.into_iter();
    let mut main = files.next().expect("there is a main file");
    // A file without even a readable text has been reported; that its version is missing says nothing new.
    let readable =
        !d.iter().any(|fault| matches!(fault.code, Code::Syntax | Code::Yaml | Code::Limit) && fault.severity == Severity::Error);
    let version = check_version(&main, sources, readable, d);
    for file in files {
        check_import_version(&file, &main, version, d);
        union(&mut main.plugins, file.plugins, "plugin", d);
        union(&mut main.data_types, file.data_types, "data type", d);
        union(&mut main.node_types, file.node_types, "node type", d);
        union(&mut main.relationships, file.relationships, "relationship type", d);
        let templates = version.is_none_or(|version| version >= MERGES_TEMPLATES);
        extend(&mut main.inputs, file.inputs, "inputs", templates, d);
        extend(&mut main.outputs, file.outputs, "outputs", templates, d);
        extend(&mut main.capabilities, file.capabilities, "capabilities", templates, d);
        extend(&mut main.node_templates, file.node_templates, "node_templates", templates, d);
    }
    main
}

fn check_version(main: &Ast, sources: &Sources, readable: bool, d: &mut Vec<Diagnostic>) -> Option<usize> {
    let Some(Spanned { node, span }) = &main.version else {
        if readable {
            let fault = sources.start(main.file).error(Code::VersionMissing, "`tosca_definitions_version` is missing");
            d.push(fault.hint(format!("start the blueprint with `tosca_definitions_version: {}`", VERSIONS[3])));
        }
        return None;
    };
    let version = VERSIONS.iter().position(|known| known == node);
    if version.is_none() {
        let fault = span.error(Code::VersionUnknown, format!("there is no version `{node}` of the DSL"));
        d.push(fault.did_you_mean(node, VERSIONS).hint(format!("known versions: {}", VERSIONS.join(", "))));
    }
    version
}

fn check_import_version(file: &Ast, main: &Ast, declared: Option<usize>, d: &mut Vec<Diagnostic>) {
    let Some(Spanned { node, span }) = &file.version else { return };
    let (Some(declared), Some(wanted)) = (declared, &main.version) else { return };
    match VERSIONS.iter().position(|known| known == node) {
        Some(version) if version > declared => {
            let fault =
                span.error(Code::ImportVersion, format!("this file needs `{node}`, and the blueprint declares `{}`", VERSIONS[declared]));
            let fault = fault.related(wanted.span, "declared here");
            d.push(fault.hint(format!("declare `tosca_definitions_version: {node}` in the blueprint")));
        }
        Some(_) => {}
        None => d.push(span.error(Code::VersionUnknown, format!("there is no version `{node}` of the DSL"))),
    }
}

/// Names may not repeat, except those of the basic types: there the imported one wins, as in the original.
fn union<T>(main: &mut Named<T>, more: Named<T>, what: &str, d: &mut Vec<Diagnostic>) {
    for (name, definition) in more {
        match main.get(&name) {
            Some(first) if !name.starts_with("cloudify.") => {
                let fault = first.name.error(Code::MergeConflict, format!("the {what} `{name}` is defined twice"));
                d.push(fault.related(definition.name, "also defined here"));
            }
            _ => {
                main.insert(name, definition);
            }
        }
    }
}

fn extend<T>(main: &mut Named<T>, more: Named<T>, section: &str, allowed: bool, d: &mut Vec<Diagnostic>) {
    match more.values().next() {
        Some(first) if !allowed && !main.is_empty() => {
            let fault = first.name.error(Code::MergeSection, format!("`{section}` cannot be merged before cloudify_dsl_1_3"));
            d.push(fault.hint("declare `tosca_definitions_version: cloudify_dsl_1_3` in the blueprint, or move these definitions there"));
        }
        _ => union(main, more, section.trim_end_matches('s'), d),
    }
}
