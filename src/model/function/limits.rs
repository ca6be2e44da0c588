//! Limits for the evaluation of functions: cycles, nesting depth, and total cost.

use super::MAX_DEPTH;
use crate::{
    diagnostic::{Code, Diagnostic, Span},
    syntax::Call,
};
use std::{cell::Cell, collections::BTreeSet};

type Checked = Result<(), Box<Diagnostic>>;

/// The lookups that led to the value that is being evaluated.
#[derive(Default)]
pub(super) struct LookupPath {
    /// Inputs and properties that are being looked up.
    steps: Vec<String>,
    /// Number of lists, mappings and calls around the value.
    depth: usize,
    /// The cycle that was found, its members sorted by name.
    pub(super) cycle: Option<Vec<String>>,
}

/// Maximum length of a chain of lookups. Cloudify has no limit here, but the stack is limited.
const MAX_CHAIN: usize = 200;

impl LookupPath {
    pub(super) fn is_nested(&self) -> bool {
        self.depth > 0
    }

    /// Returns the last lookup, if any.
    pub(super) fn last(&self) -> Option<&str> {
        self.steps.last().map(String::as_str)
    }

    /// Evaluates a part of the value, one level deeper.
    pub(super) fn nested<T>(&mut self, part: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let result = part(self);
        self.depth -= 1;
        result
    }

    /// Follows a call to the input or property that it reads. Fails on a cycle or a chain that is
    /// too long.
    pub(super) fn follow<T>(
        &mut self,
        step: String,
        call: Call<'_>,
        lookup: impl FnOnce(&mut Self) -> Result<T, Box<Diagnostic>>,
    ) -> Result<T, Box<Diagnostic>> {
        if self.steps.contains(&step) {
            let cycle: Vec<&str> = self
                .steps
                .iter()
                .skip_while(|other| **other != step)
                .chain([&step])
                .map(String::as_str)
                .collect();
            let message = format!(
                "functions refer to each other in a cycle: {}",
                cycle.join(" → ")
            );
            let members: BTreeSet<&str> = cycle.into_iter().collect();
            self.cycle = Some(members.into_iter().map(str::to_owned).collect());
            return Err(Box::new(call.span.error(Code::FunctionCycle, message)));
        }
        if self.steps.len() == MAX_CHAIN {
            let message = format!(
                "the chain of lookups from `{}` to `{step}` is longer than {MAX_CHAIN}",
                self.steps[0]
            );
            return Err(Box::new(call.span.error(Code::Limit, message)));
        }
        self.steps.push(step);
        let result = lookup(self);
        self.steps.pop();
        result
    }

    /// # Errors
    ///
    /// If the value is nested too deeply.
    pub(super) fn check_depth(&self, span: Span) -> Checked {
        if self.depth < MAX_DEPTH {
            return Ok(());
        }
        Err(Box::new(too_deep_error(span)))
    }
}

fn too_deep_error(span: Span) -> Diagnostic {
    let message = format!("a value with functions is nested more than {MAX_DEPTH} levels deep");
    let fault = span.error(Code::FunctionCycle, message);
    fault.hint("lists, mappings and calls all count, including those in results of functions")
}

/// Total cost of all functions of a blueprint. A small blueprint can require more memory or time
/// than any machine has.
#[derive(Default)]
pub(super) struct Cost {
    /// Number of values visited inside functions.
    visits: Cell<usize>,
    /// Number of values created.
    made: Cell<usize>,
    /// Length of all strings created, in bytes.
    text: Cell<usize>,
    /// True if an exceeded limit has been reported.
    pub(super) is_reported: Cell<bool>,
}

/// Limits for one blueprint.
const MAX_VISITS: usize = 5_000_000;
/// Cost of a call, in visits.
const CALL_COST: usize = 10;
const MAX_VALUES: usize = 500_000;
const MAX_TEXT_BYTES: usize = 32 << 20;

impl Cost {
    pub(super) fn add_visit(&self, span: Span) -> Checked {
        Self::add(&self.visits, 1, MAX_VISITS, span)
    }

    pub(super) fn add_call(&self, span: Span) -> Checked {
        Self::add(&self.visits, CALL_COST, MAX_VISITS, span)
    }

    pub(super) fn add_values(&self, values: usize, span: Span) -> Checked {
        Self::add(&self.made, values, MAX_VALUES, span)
    }

    pub(super) fn add_text(&self, bytes: usize, span: Span) -> Checked {
        Self::add(&self.text, bytes, MAX_TEXT_BYTES, span)
    }

    fn add(cell: &Cell<usize>, more: usize, limit: usize, span: Span) -> Checked {
        cell.set(cell.get().saturating_add(more));
        if cell.get() <= limit {
            return Ok(());
        }
        Err(Box::new(limit_error(span)))
    }
}

fn limit_error(span: Span) -> Diagnostic {
    let message = "the functions of this blueprint exceed the evaluation limits";
    let fault = span.error(Code::Limit, message);
    fault.hint("use fewer repeated references: each one multiplies the size of a value")
}
