//! Finding things in a list by a key, without going through it each time.

use std::{cell::OnceCell, collections::HashMap};

/// Where each key is in a list. It is made when it is first asked, and never believed: the list may
/// have changed since, and is gone through then. It is no part of what the list's owner is.
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
    /// The first item of a list that has a key. The list must be the same each time: what is not
    /// found by position is not there.
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

    /// The first item of a list that has a key.
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
    fn a_list_that_changed_is_gone_through() {
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
