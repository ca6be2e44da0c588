//! An order of names.

use std::collections::{BTreeSet, HashMap, HashSet};

/// An order of names that grows by one rule after another, and never holds a circle by
/// [`prefer`](Self::prefer).
#[derive(Clone, Debug, Default)]
pub struct Precedence<'a> {
    /// For each name those that come directly before it.
    before: HashMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Precedence<'a> {
    /// `earlier` comes before `later`.
    pub fn require(&mut self, later: &'a str, earlier: &'a str) {
        if later != earlier {
            self.before.entry(later).or_default().insert(earlier);
        }
    }

    /// `earlier` comes before `later`, unless that would close a circle. Returns whether it does.
    pub fn prefer(&mut self, later: &'a str, earlier: &'a str) -> bool {
        let fits = later == earlier || !self.comes_after(earlier, later);
        if fits {
            self.require(later, earlier);
        }
        fits
    }

    /// Whether one name comes after another one, directly or not.
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
    fn what_would_close_a_circle_is_left_out() {
        let mut order = Precedence::default();
        order.require("c", "b");
        order.require("b", "a");
        assert!(
            order.comes_after("c", "a")
                && !order.comes_after("a", "c")
                && !order.comes_after("a", "a")
        );
        assert!(!order.prefer("a", "c"), "c comes after a already");
        assert!(order.prefer("d", "c") && order.prefer("d", "d") && !order.prefer("a", "d"));
        order.require("x", "x");
        assert!(!order.comes_after("x", "x"));
    }
}
