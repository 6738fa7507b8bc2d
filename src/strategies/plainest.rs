//! Choices that shrink to the plainest that will do.

use proptest::prelude::*;
use proptest::strategy::{NewTree, ValueTree};
use proptest::test_runner::TestRunner;

/// Numbers below `len`, the plainest first. A number shrinks to the first that shows
/// the same, of those below `tries`.
///
/// proptest's own numbers shrink by halves, as if whatever holds for one held for
/// all above. Which setting, value or name a number stands for has no such order.
pub(super) fn below(len: usize, tries: usize) -> Plainest {
    Plainest { len, tries }
}

/// The first of them that will do.
pub(super) fn one_of<T: Clone + std::fmt::Debug>(all: Vec<T>) -> impl Strategy<Value = T> {
    below(all.len(), all.len()).prop_filter_map("there is one", move |at| all.get(at).cloned())
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Plainest {
    len: usize,
    tries: usize,
}

impl Strategy for Plainest {
    type Tree = Tree;
    type Value = usize;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let number = (0..self.len.max(1)).new_tree(runner)?.current();
        Ok(Tree {
            current: number,
            known: number,
            next: 0,
            end: number.min(self.tries),
        })
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    current: usize,
    /// The one that shows it.
    known: usize,
    /// The next to try, and where to stop.
    next: usize,
    end: usize,
}

impl Tree {
    fn try_next(&mut self) -> bool {
        let is_there = self.next < self.end;
        self.current = if is_there { self.next } else { self.known };
        self.next += usize::from(is_there);
        is_there
    }
}

impl ValueTree for Tree {
    type Value = usize;

    fn current(&self) -> usize {
        self.current
    }

    fn simplify(&mut self) -> bool {
        // All before one that was tried and shows it were tried, too.
        if self.current != self.known {
            self.known = self.current;
            self.end = self.next;
        }
        self.try_next()
    }

    fn complicate(&mut self) -> bool {
        if self.current == self.known {
            return false;
        }
        self.try_next();
        true
    }
}
