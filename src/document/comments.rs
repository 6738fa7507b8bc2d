//! The comments that belong to a key.

use std::ops::Range;

use toml_edit::{Item, Key, RawString};

/// The comments of a key or table header, as ranges of the text: whole lines
/// above it, those inside of its value, and the one behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comments {
    above: Range<usize>,
    /// In the order of the text.
    further: Vec<Range<usize>>,
}

impl Comments {
    /// The comments of a key and its value.
    pub(crate) fn of(key: &Key, item: &Item, text: &str) -> Self {
        let mut comments = Comments::default();
        match item {
            Item::Table(table) if !table.is_dotted() => {
                comments.above = range(table.decor().prefix());
                comments.add(table.decor().suffix());
            }
            Item::Value(value) => {
                comments.above = range(key.leaf_decor().prefix());
                comments.add_inside(value, text);
                comments.add(value.decor().suffix());
            }
            Item::ArrayOfTables(tables) => {
                comments.above = range(tables.get(0).and_then(|table| table.decor().prefix()));
                for (at, table) in tables.iter().enumerate() {
                    if at > 0 {
                        comments.add(table.decor().prefix());
                    }
                    comments.add(table.decor().suffix());
                    for (key, item) in table.iter() {
                        comments.add(table.key(key).and_then(|key| key.leaf_decor().prefix()));
                        comments.add(item.as_value().and_then(|value| value.decor().suffix()));
                    }
                }
            }
            _ => {}
        }
        comments
    }

    /// Whether there are any, and not blanks only.
    pub(crate) fn say_anything(&self, text: &str) -> bool {
        let mut ranges = std::iter::once(&self.above).chain(&self.further);
        ranges.any(|range| {
            text.get(range.clone())
                .is_some_and(|text| text.contains('#'))
        })
    }

    /// The comments between the elements of an array.
    fn add_inside(&mut self, value: &toml_edit::Value, text: &str) {
        let raw = value.span().and_then(|span| text.get(span)).unwrap_or("");
        let Some(array) = value.as_array().filter(|_| raw.contains('#')) else {
            return;
        };
        for item in array {
            self.add(item.decor().prefix());
            self.add(item.decor().suffix());
        }
        self.add(Some(array.trailing()));
    }

    fn add(&mut self, raw: Option<&RawString>) {
        let range = range(raw);
        if !range.is_empty() {
            self.further.push(range);
        }
    }

    /// The comment lines, each from its `#` on, without their line ends.
    ///
    /// At the top of a file only the block right above the key belongs to it;
    /// what an empty line parts from it is about the file.
    pub(crate) fn lines<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let above = text.get(self.above.clone()).unwrap_or("");
        let above = if self.above.start == 0 {
            last_block(above)
        } else {
            above
        };
        let further = self
            .further
            .iter()
            .filter_map(|range| text.get(range.clone()));
        let texts = std::iter::once(above).chain(further);
        texts.flat_map(lines).collect()
    }
}

fn range(raw: Option<&RawString>) -> Range<usize> {
    raw.and_then(RawString::span).unwrap_or_default()
}

/// What stands above the first key or header of a file.
pub(super) fn top(text: &str) -> &str {
    let is_comment = |line: &&str| matches!(line.trim().chars().next(), None | Some('#'));
    let lines = text.split_inclusive('\n').take_while(is_comment);
    text.get(..lines.map(str::len).sum()).unwrap_or("")
}

/// The comments of a piece of text.
pub(super) fn lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| line.starts_with('#')).collect()
}

/// What follows the last empty line.
pub(super) fn last_block(text: &str) -> &str {
    let mut start = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if line.trim().is_empty() {
            start = at;
        }
    }
    text.get(start..).unwrap_or("")
}
