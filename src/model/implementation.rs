//! Merges operations of templates and types, and finds their plugins and scripts.

use super::{
    InputType, Operation, Operations, Values,
    types::{CompletedValue, DataTypes, DeclaredOperations, FlatType, Owner, complete},
};
use crate::{
    diagnostic::{Code, Diagnostics, Span, Spanned},
    syntax::{
        Data, Map, Value,
        ast::{self, Ast, Definition, ExecutionRules, Interfaces, Named, Schema},
    },
};
use std::{
    cell::RefCell,
    collections::HashMap,
    path::{Component, Path, PathBuf},
    rc::Rc,
    sync::{Arc, LazyLock},
};

/// Operation of the script plugin that runs a script.
pub(crate) const RUN_SCRIPT: &str = "script_runner.tasks.run";
/// Operation of the script plugin that runs a script as a workflow.
const RUN_WORKFLOW: &str = "script_runner.tasks.execute_workflow";

/// Finds the plugins and scripts that implement operations.
pub(super) struct Implementations<'a> {
    ast: &'a Ast,
    data: &'a DataTypes,
    /// Directory of the blueprint, then those of its imports. Paths of scripts are relative to them.
    directories: Vec<PathBuf>,
    /// Whether a text names a script. Cached, to check the file system once per text.
    scripts: RefCell<HashMap<Arc<str>, bool>>,
    /// Operations of types, by type and side, for templates that add nothing.
    shared: HashMap<(Arc<str>, InterfaceSide), Rc<TypeOperations>>,
}

/// The set of operations of a type: of a node, or of one side of a relationship.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(super) enum InterfaceSide {
    Node,
    Source,
    Target,
}

impl InterfaceSide {
    fn interfaces(self, flat: &FlatType) -> &DeclaredOperations {
        if self == Self::Target {
            &flat.target_interfaces
        } else {
            &flat.interfaces
        }
    }

    fn unknown_code(self) -> Code {
        if self == Self::Node {
            Code::UnknownImplementation
        } else {
            Code::UnknownRelationshipImplementation
        }
    }
}

/// The operations that templates inherit from a type.
struct TypeOperations {
    operations: Arc<Operations>,
    /// Inputs without a value: operation, input, location of the declaration.
    missing: Vec<(Arc<str>, String, Span)>,
    /// Errors in operations. Reported once, and only if a template inherits the operation.
    faults: RefCell<Vec<(Arc<str>, Diagnostics)>>,
}

/// The plugin and operation that implement an operation or workflow.
#[derive(Clone)]
pub(super) struct Implementation {
    pub plugin: Arc<str>,
    pub operation: Arc<str>,
    /// Executor of the plugin; `auto` for a script.
    pub executor: Arc<str>,
    /// Input that contains the script or its path.
    pub script: Option<(&'static str, Value)>,
}

impl<'a> Implementations<'a> {
    pub(super) fn new(ast: &'a Ast, data: &'a DataTypes, directories: Vec<PathBuf>) -> Self {
        Self {
            ast,
            data,
            directories,
            scripts: RefCell::default(),
            shared: HashMap::new(),
        }
    }

    /// Returns the operations of a template, merged over those of its type.
    pub(super) fn operations(
        &mut self,
        flat: &FlatType,
        side: InterfaceSide,
        own: &Interfaces<Arc<Map>>,
        owner: &Owner<'_>,
        d: &mut Diagnostics,
    ) -> Arc<Operations> {
        let shared = self.type_operations(flat, side);
        let written = |name: &str| {
            own.iter().any(|(interface, it)| {
                name.strip_prefix(interface.as_str())
                    .and_then(|rest| rest.strip_prefix('.'))
                    .is_some_and(|name| it.body.contains_key(name))
            })
        };
        for (operation, input, declared) in shared
            .missing
            .iter()
            .filter(|(operation, ..)| !written(operation))
        {
            let fault = owner.span.error(
                Code::MissingProperty,
                format!(
                    "operation `{operation}` of {} lacks input `{input}`",
                    owner.what
                ),
            );
            d.push(fault.related(*declared, "declared here"));
        }
        let (overridden, inherited) = shared
            .faults
            .take()
            .into_iter()
            .partition(|(operation, _)| written(operation));
        shared.faults.replace(overridden);
        Vec::into_iter(inherited).for_each(|(_, faults)| d.append(faults));
        if own.values().all(|interface| interface.body.is_empty()) {
            return shared.operations.clone();
        }
        let mut all = Operations::clone(&shared.operations);
        let declared = side.interfaces(flat);
        for (interface, it) in own {
            let declared = declared.get(interface.as_str());
            for (name, operation) in &it.body {
                let declared = declared.and_then(|it| it.get(name.as_str()));
                let what = OperationName {
                    name,
                    owner: owner.what,
                };
                let place = Owner {
                    what: &what,
                    span: operation.name,
                };
                let merged = self.merge(operation, declared, side, &place, d);
                all.insert(format!("{interface}.{name}").into(), Arc::new(merged));
            }
        }
        Arc::new(all)
    }

    /// Reports the errors in operations of a type, unless they were already reported.
    pub(super) fn check_type(&mut self, flat: &FlatType, side: InterfaceSide, d: &mut Diagnostics) {
        self.type_operations(flat, side)
            .faults
            .take()
            .into_iter()
            .for_each(|(_, faults)| d.append(faults));
    }

    fn type_operations(&mut self, flat: &FlatType, side: InterfaceSide) -> Rc<TypeOperations> {
        let name = flat
            .hierarchy
            .last()
            .cloned()
            .unwrap_or_else(|| EMPTY_NAME.clone());
        if let Some(known) = self.shared.get(&(name.clone(), side)) {
            return known.clone();
        }
        let (mut operations, mut missing, mut faults) = (Operations::new(), Vec::new(), Vec::new());
        for (interface, it) in side.interfaces(flat) {
            for (operation, declared) in it.as_ref() {
                let full: Arc<str> = format!("{interface}.{operation}").into();
                let (values, typed) = with_defaults(
                    &declared.body.inputs,
                    &Map::default(),
                    self.data,
                    |input, span| {
                        missing.push((full.clone(), input.to_owned(), span));
                    },
                );
                let what = format!("operation `{operation}` of type `{name}`");
                let given = MergedOperation {
                    implementation: declared.body.implementation.as_ref(),
                    inputs: values,
                    typed,
                    rules: declared.body.policy.clone(),
                    span: declared.body.span,
                };
                let mut found = Diagnostics::default();
                operations.insert(
                    full.clone(),
                    Arc::new(self.operation(given, side, &what, &mut found)),
                );
                if !found.is_empty() {
                    faults.push((full, found));
                }
            }
        }
        let shared = Rc::new(TypeOperations {
            operations: Arc::new(operations),
            missing,
            faults: RefCell::new(faults),
        });
        self.shared.insert((name, side), shared.clone());
        shared
    }

    /// Merges an operation of a template over that of its type.
    fn merge(
        &self,
        own: &Definition<ast::Operation<Arc<Map>>>,
        declared: Option<&Definition<Arc<ast::Operation<Named<Schema>>>>>,
        side: InterfaceSide,
        owner: &Owner<'_>,
        d: &mut Diagnostics,
    ) -> Operation {
        let body = &own.body;
        let declared = declared.map(|declared| &declared.body).filter(|declared| {
            let same = |own: &Spanned<Arc<str>>| {
                declared
                    .implementation
                    .as_ref()
                    .is_some_and(|it| it.node == own.node)
            };
            declared.implementation.is_some()
                && !body.is_empty()
                && body.implementation.as_ref().is_none_or(same)
        });
        let given = if let Some(declared) = declared {
            let (inputs, typed) =
                with_defaults(&declared.inputs, &body.inputs, self.data, |input, span| {
                    let fault = owner.span.error(
                        Code::MissingProperty,
                        format!("{} lacks input `{input}`", owner.what),
                    );
                    d.push(fault.related(span, "declared here"));
                });
            let rules = body.policy.or(&declared.policy);
            MergedOperation {
                implementation: declared.implementation.as_ref(),
                inputs,
                typed,
                rules,
                span: body.span,
            }
        } else {
            let inputs = body
                .inputs
                .entries
                .iter()
                .map(|(key, value)| (key_text(key), value.clone()))
                .collect();
            MergedOperation {
                implementation: body.implementation.as_ref(),
                inputs,
                typed: Vec::new(),
                rules: body.policy.clone(),
                span: body.span,
            }
        };
        self.operation(given, side, owner.what, d)
    }

    fn operation(
        &self,
        given: MergedOperation<'_>,
        side: InterfaceSide,
        what: &dyn std::fmt::Display,
        d: &mut Diagnostics,
    ) -> Operation {
        let Some(text) = given.implementation else {
            return empty_operation(given.span);
        };
        let mut inputs = given.inputs;
        let input_types = input_types(&inputs, &given.typed);
        if self.is_script(&text.node) {
            check_script_inputs(&inputs, text.span, what, d);
        }
        let Some(found) = self.find(text, RUN_SCRIPT, side.unknown_code(), what, d) else {
            // Keep the inputs: they are checked later.
            return Operation {
                inputs,
                ..empty_operation(given.span)
            };
        };
        inputs.extend(found.script.map(|(name, value)| (name.into(), value)));
        let executor = given.rules.executor.clone().unwrap_or(found.executor);
        let rules = ExecutionRules {
            executor: Some(executor),
            ..given.rules
        };
        Operation {
            plugin: found.plugin,
            operation: found.operation,
            inputs,
            input_types,
            rules,
            span: given.span,
        }
    }

    /// Returns the plugin and operation of a workflow, and the parameter that a script adds.
    pub(super) fn workflow(
        &self,
        text: &Spanned<Arc<str>>,
        name: &str,
        d: &mut Diagnostics,
    ) -> Option<Implementation> {
        self.find(
            text,
            RUN_WORKFLOW,
            Code::UnknownWorkflow,
            &format!("workflow `{name}`"),
            d,
        )
    }

    fn find(
        &self,
        text: &Spanned<Arc<str>>,
        run: &str,
        unknown: Code,
        what: &dyn std::fmt::Display,
        d: &mut Diagnostics,
    ) -> Option<Implementation> {
        let input = if is_inline(&text.node) {
            "script_source"
        } else {
            "script_path"
        };
        if !self.is_script(&text.node) {
            return self.plugin(text, unknown, what, d);
        }
        let Some(plugin) = self
            .ast
            .plugins
            .keys()
            .find(|name| name.ends_with("script"))
        else {
            let fault = text.span.error(
                Code::NoScriptPlugin,
                format!("{what} is a script, but no script plugin is declared"),
            );
            d.push(fault.hint("import the basic types, which declare a script plugin"));
            return None;
        };
        let script = Some((input, Value::new(text.span, Data::Str(text.node.clone()))));
        Some(Implementation {
            plugin: plugin.as_str().into(),
            operation: run.into(),
            executor: "auto".into(),
            script,
        })
    }

    /// Returns the directory of the blueprint.
    fn directory(&self) -> &Path {
        self.directories
            .first()
            .map_or(Path::new(""), PathBuf::as_path)
    }

    pub(super) fn is_script(&self, text: &Arc<str>) -> bool {
        if let Some(known) = self.scripts.borrow().get(text) {
            return *known;
        }
        let is_script = self.looks_like_script(text);
        self.scripts.borrow_mut().insert(text.clone(), is_script);
        is_script
    }

    fn looks_like_script(&self, text: &str) -> bool {
        let path = text
            .rsplit_once(crate::catalog::NAMESPACE_DELIMITER)
            .map_or(text, |(_, path)| path);
        // A path that leads out of the directories cannot be kept with the deployment.
        let is_inner = |path: &str| {
            let mut components = Path::new(path).components();
            components.all(|it| matches!(it, Component::Normal(_) | Component::CurDir))
        };
        let is_file = |path: &str| {
            let mut directories = self.directories.iter();
            !path.is_empty()
                && is_inner(path)
                && directories.any(|directory| directory.join(path).is_file())
        };
        text.contains("://") || is_inline(text) || is_file(text) || is_file(path)
    }

    fn plugin(
        &self,
        text: &Spanned<Arc<str>>,
        unknown: Code,
        what: &dyn std::fmt::Display,
        d: &mut Diagnostics,
    ) -> Option<Implementation> {
        let plugins = &self.ast.plugins;
        let fitting = |name: &&String| {
            text.node
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        };
        let candidates: Vec<&String> = plugins.keys().filter(fitting).collect();
        match candidates[..] {
            [plugin] => {
                let operation = text.node[plugin.len() + 1..].into();
                let executor = plugins[plugin].body.executor.as_str().into();
                return Some(Implementation {
                    plugin: plugin.as_str().into(),
                    operation,
                    executor,
                    script: None,
                });
            }
            [] => {
                let fault = text.span.error(
                    unknown,
                    format!(
                        "{what}: `{}` is neither a declared plugin nor an existing script",
                        text.node
                    ),
                );
                let names: Vec<&str> = plugins.keys().map(String::as_str).collect();
                let first = text.node.split('.').next().unwrap_or_default();
                d.push(if text.node.contains('/') {
                    fault.hint(format!(
                        "create {}, or correct the path",
                        self.directory().join(&*text.node).display()
                    ))
                } else {
                    fault
                        .did_you_mean(first, names.iter().copied())
                        .list_hint("declared plugins", names.iter().copied())
                });
            }
            _ => {
                let names: Vec<&str> = candidates.iter().map(|name| name.as_str()).collect();
                let message = format!(
                    "{what}: `{}` matches several plugins: {}",
                    text.node,
                    names.join(", ")
                );
                d.push(text.span.error(Code::AmbiguousImplementation, message));
            }
        }
        None
    }
}

/// Formats as "operation `x` of node `y`", only if a message needs it.
struct OperationName<'a> {
    name: &'a str,
    owner: &'a dyn std::fmt::Display,
}

impl std::fmt::Display for OperationName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "operation `{}` of {}", self.name, self.owner)
    }
}

/// A merged operation, before its plugin is looked up.
struct MergedOperation<'a> {
    implementation: Option<&'a Spanned<Arc<str>>>,
    inputs: Values,
    /// Inputs whose declared type was added to their mapping.
    typed: Vec<Arc<str>>,
    rules: ExecutionRules,
    span: Span,
}

static EMPTY_NAME: LazyLock<Arc<str>> = LazyLock::new(|| "".into());

fn empty_operation(span: Span) -> Operation {
    Operation {
        plugin: EMPTY_NAME.clone(),
        operation: EMPTY_NAME.clone(),
        inputs: Values::new(),
        input_types: Vec::new(),
        rules: ExecutionRules::default(),
        span,
    }
}

pub(super) fn key_text(key: &Value) -> Arc<str> {
    match &key.data {
        Data::Str(text) => text.clone(),
        _ => key.to_key().into(),
    }
}

/// Returns the types in the mappings among the inputs.
fn input_types(inputs: &Values, typed: &[Arc<str>]) -> Vec<InputType> {
    let of = |(input, value): (&Arc<str>, &Value)| {
        Some(InputType {
            input: input.clone(),
            type_name: value.as_map()?.get("type")?.clone(),
            is_declared: typed.contains(input),
        })
    };
    inputs.iter().filter_map(of).collect()
}

/// Merges given inputs over declared defaults. Undeclared inputs are kept. Also returns the inputs
/// whose declared type was added.
fn with_defaults(
    declared: &Named<Schema>,
    given: &Map,
    data: &DataTypes,
    mut missing: impl FnMut(&str, Span),
) -> (Values, Vec<Arc<str>>) {
    let (mut values, mut typed) = (
        Values::with_capacity(declared.len() + given.entries.len()),
        Vec::new(),
    );
    for (name, schema) in declared {
        // Errors in a default are reported with the type.
        let default = |default| {
            complete(
                default,
                &schema.body,
                &CompletedValue {
                    what: &name,
                    reports_missing: false,
                },
                data,
                &mut Diagnostics::default(),
            )
        };
        match given
            .get(name)
            .cloned()
            .or_else(|| schema.body.default.as_ref().map(default))
        {
            Some(value) => {
                let name: Arc<str> = name.as_str().into();
                let mapping = schema.body.type_of().filter(|_| value.as_map().is_some());
                let value =
                    mapping.map_or_else(|| value.clone(), |type_name| with_type(&value, type_name));
                typed.extend(mapping.map(|_| name.clone()));
                values.insert(name, value);
            }
            // `required: false` has no effect here, as in Cloudify.
            None => missing(name, schema.name),
        }
    }
    for (key, value) in given
        .entries
        .iter()
        .filter(|(key, _)| key.as_str().is_none_or(|name| !declared.contains_key(name)))
    {
        values.insert(key_text(key), value.clone());
    }
    (values, typed)
}

/// Adds the declared type of an input to its value, if that is a mapping, as Cloudify does.
fn with_type(value: &Value, type_name: &str) -> Value {
    let mut map = value.as_map().cloned().unwrap_or_default();
    map.entries.retain(|(key, _)| key.as_str() != Some("type"));
    map.entries.push((
        Value::text(value.span, "type"),
        Value::text(value.span, type_name),
    ));
    Value::new(value.span, Data::Map(Arc::new(map)))
}

/// Reports inputs that the script itself sets.
fn check_script_inputs(
    inputs: &Values,
    script: Span,
    what: &dyn std::fmt::Display,
    d: &mut Diagnostics,
) {
    for taken in ["script_path", "script_source"] {
        if let Some(given) = inputs.get(taken) {
            let fault = given.span.error(
                Code::ScriptInput,
                format!("{what} is a script and must not set the input `{taken}`"),
            );
            d.push(fault.related(script, "the script"));
        }
    }
}

/// Returns true for the text of a script. Blanks around it do not count.
fn is_inline(text: &str) -> bool {
    text.trim().contains('\n')
}
