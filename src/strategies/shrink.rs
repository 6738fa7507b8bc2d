//! Shrinking by whole values.

use std::fmt;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::{NewTree, ValueTree};
use proptest::test_runner::TestRunner;

/// The values of a strategy, which shrink towards what `simpler` says of them, the
/// plainest first, until nothing of that shows the same.
///
/// proptest's own collections and tuples shrink each part once, in their order. What
/// goes of one part often depends on another: a key that a file needs to start goes
/// once the key goes that needs it. Each value must be simpler than the one before,
/// so that there is an end.
pub(super) fn shrinking<S, F>(source: S, simpler: F) -> Shrinking<S, F> {
    let simpler = Arc::new(simpler);
    Shrinking { source, simpler }
}

pub(super) struct Shrinking<S, F> {
    source: S,
    simpler: Arc<F>,
}

impl<S: fmt::Debug, F> fmt::Debug for Shrinking<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl<S, F> Strategy for Shrinking<S, F>
where
    S: Strategy,
    S::Value: Clone,
    F: Fn(&S::Value) -> Vec<S::Value>,
{
    type Tree = Tree<S::Value, F>;
    type Value = S::Value;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        Ok(Tree {
            known: self.source.new_tree(runner)?.current(),
            tried: None,
            simpler: Arc::clone(&self.simpler),
            ways: None,
            next: 0,
        })
    }
}

pub(super) struct Tree<V, F> {
    /// The simplest that shows it.
    known: V,
    /// What is tried instead.
    tried: Option<V>,
    simpler: Arc<F>,
    /// What may be tried, if anybody asked.
    ways: Option<Vec<V>>,
    next: usize,
}

impl<V: fmt::Debug, F> fmt::Debug for Tree<V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tree { known, tried, .. } = self;
        f.debug_struct("Tree")
            .field("known", known)
            .field("tried", tried)
            .finish_non_exhaustive()
    }
}

impl<V: Clone, F: Fn(&V) -> Vec<V>> Tree<V, F> {
    fn try_next(&mut self) -> bool {
        let ways = self.ways.get_or_insert_with(|| (self.simpler)(&self.known));
        self.tried = ways.get(self.next).cloned();
        self.next += 1;
        self.tried.is_some()
    }
}

impl<V, F> ValueTree for Tree<V, F>
where
    V: Clone + fmt::Debug,
    F: Fn(&V) -> Vec<V>,
{
    type Value = V;

    fn current(&self) -> V {
        self.tried.as_ref().unwrap_or(&self.known).clone()
    }

    fn simplify(&mut self) -> bool {
        if let Some(tried) = self.tried.take() {
            self.known = tried;
            self.ways = None;
            // What comes first in the list is tried first again: it matters most.
            self.next = 0;
        }
        self.try_next()
    }

    fn complicate(&mut self) -> bool {
        let was_tried = self.tried.is_some();
        was_tried && {
            self.try_next();
            true
        }
    }
}

/// A list with parts left out: all, halves, quarters, and at last each item.
pub(super) fn without<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
    let mut lists = Vec::new();
    let mut size = all.len();
    while size > 0 {
        for (at, _) in all.iter().enumerate().step_by(size) {
            let left = all.iter().take(at).chain(all.iter().skip(at + size));
            lists.push(left.cloned().collect());
        }
        size /= 2;
    }
    lists
}

/// A list with one item simpler.
pub(super) fn each<T: Clone>(all: &[T], simpler: impl Fn(&T) -> Vec<T>) -> Vec<Vec<T>> {
    let mut lists = Vec::new();
    for (at, item) in all.iter().enumerate() {
        for item in simpler(item) {
            let mut list = all.to_vec();
            if let Some(place) = list.get_mut(at) {
                *place = item;
            }
            lists.push(list);
        }
    }
    lists
}

/// Smaller numbers: the first few, and ever closer ones, so that what holds from some
/// number on ends there.
pub(super) fn smaller(number: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..number.min(FEW)).collect();
    let mut step = number / 2;
    while step > 0 {
        numbers.extend(Some(number - step).filter(|number| *number >= FEW));
        step /= 2;
    }
    numbers
}

const FEW: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a value when whatever `shows` says is sought.
    fn least<V: Clone + fmt::Debug + 'static>(
        value: V,
        simpler: impl Fn(&V) -> Vec<V>,
        shows: impl Fn(&V) -> bool,
    ) -> V {
        let strategy = shrinking(Just(value), simpler);
        let mut tree = strategy.new_tree(&mut TestRunner::deterministic()).unwrap();
        let mut goes_on = tree.simplify();
        while goes_on {
            goes_on = match shows(&tree.current()) {
                true => tree.simplify(),
                false => tree.complicate(),
            };
        }
        tree.current()
    }

    #[test]
    fn numbers_end_where_it_begins() {
        for least_bad in [0, 1, 3, 4, 5, 101, 127, 128, 999] {
            let left = least(
                999,
                |number| smaller(*number),
                |number| *number >= least_bad,
            );
            assert_eq!(left, least_bad);
        }
    }

    #[test]
    fn lists_keep_what_is_needed() {
        let all: Vec<usize> = (0..100).collect();
        let simpler = |list: &Vec<usize>| {
            let mut all = without(list);
            all.extend(each(list, |number| smaller(*number)));
            all
        };
        let shows = |list: &Vec<usize>| list.iter().filter(|number| **number > 40).count() > 1;
        assert_eq!(least(all.clone(), simpler, shows), [41, 41]);
        // One that goes only when another has gone.
        let shows = |list: &Vec<usize>| {
            let has = |number| list.contains(&number);
            has(70) && (has(3) || !has(90))
        };
        assert_eq!(least(all, |list| without(list), shows), [70]);
    }
}
