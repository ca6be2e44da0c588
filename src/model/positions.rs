//! Index of a list by key.

use std::{cell::OnceCell, collections::HashMap};

/// Position of each key in a list. It is built on first use and never trusted: if the list has
/// changed since, the list is searched. Copies start empty, and all indexes are equal, because an
/// index is not part of the value of its owner.
#[derive(Debug, Default)]
pub struct Positions(OnceCell<HashMap<String, usize>>);

impl Clone for Positions {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Positions {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Positions {
    /// Returns the first item with a key. The list must be the same in each call, because it is
    /// never searched.
    pub fn first<'l, T>(
        &self,
        list: &'l [T],
        key: &str,
        key_of: impl Fn(&T) -> Option<String>,
    ) -> Option<&'l T> {
        let made = || {
            let mut positions = HashMap::with_capacity(list.len());
            for (at, item) in list.iter().enumerate() {
                if let Some(key) = key_of(item) {
                    positions.entry(key).or_insert(at);
                }
            }
            positions
        };
        list.get(*self.0.get_or_init(made).get(key)?)
    }

    /// Returns the first item with a key.
    pub fn find<'l, T>(
        &self,
        list: &'l [T],
        key: &str,
        key_of: impl Fn(&T) -> Option<&str>,
    ) -> Option<&'l T> {
        let made = || {
            let mut positions = HashMap::with_capacity(list.len());
            for (at, item) in list.iter().enumerate() {
                if let Some(key) = key_of(item) {
                    positions.entry(key.to_owned()).or_insert(at);
                }
            }
            positions
        };
        let is_it = |item: &&T| key_of(item) == Some(key);
        let known = self.0.get_or_init(made).get(key);
        let there = known.and_then(|at| list.get(*at)).filter(is_it);
        there.or_else(|| list.iter().find(is_it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_list_is_searched() {
        let positions = Positions::default();
        let find = |list: &[&str], key: &str| positions.find(list, key, |it| Some(it)).is_some();
        assert!(find(&["a", "b"], "b"));
        assert!(find(&["b", "c"], "b") && find(&["b", "c"], "c"));
        assert!(!find(&["b", "c"], "a") && !find(&[], "b"));
        let (list, positions) = ([("k", 1), ("k", 2)], Positions::default());
        let found = positions.find(&list, "k", |(key, _)| Some(key));
        assert_eq!(found, Some(&list[0]));
    }
}
