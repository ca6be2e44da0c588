//! A partial order of names.

use std::collections::{BTreeSet, HashMap, HashSet};

/// A partial order of names, built rule by rule. [`prefer`](Self::prefer) never creates a cycle.
#[derive(Clone, Debug, Default)]
pub struct Precedence<'a> {
    /// Direct predecessors of each name.
    before: HashMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Precedence<'a> {
    /// Adds the rule that `earlier` comes before `later`.
    pub fn require(&mut self, later: &'a str, earlier: &'a str) {
        if later != earlier {
            self.before.entry(later).or_default().insert(earlier);
        }
    }

    /// Adds the rule that `earlier` comes before `later`. Returns false, and adds nothing, if it
    /// would close a cycle.
    pub fn prefer(&mut self, later: &'a str, earlier: &'a str) -> bool {
        let fits = later == earlier || !self.comes_after(earlier, later);
        if fits {
            self.require(later, earlier);
        }
        fits
    }

    /// Returns true if `later` comes after `earlier`, directly or indirectly.
    #[must_use]
    pub fn comes_after(&self, later: &str, earlier: &str) -> bool {
        let (mut open, mut seen) = (vec![later], HashSet::from([later]));
        while let Some(name) = open.pop() {
            for next in self.before.get(name).into_iter().flatten().copied() {
                if next == earlier {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_that_would_close_a_cycle_is_rejected() {
        let mut order = Precedence::default();
        order.require("c", "b");
        order.require("b", "a");
        assert!(
            order.comes_after("c", "a")
                && !order.comes_after("a", "c")
                && !order.comes_after("a", "a")
        );
        assert!(!order.prefer("a", "c"), "c already comes after a");
        assert!(order.prefer("d", "c") && order.prefer("d", "d") && !order.prefer("a", "d"));
        order.require("x", "x");
        assert!(!order.comes_after("x", "x"));
    }
}
