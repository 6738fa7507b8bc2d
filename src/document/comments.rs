//! The comments that belong to a key.

use std::ops::Range;

use toml_edit::RawString;

/// The comments of a key or table header, as ranges of the text: whole lines
/// above it, and the one behind its value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comments {
    above: Range<usize>,
    behind: Range<usize>,
}

impl Comments {
    pub(crate) fn new(above: Option<&RawString>, behind: Option<&RawString>) -> Self {
        let range = |raw: Option<&RawString>| raw.and_then(RawString::span).unwrap_or_default();
        Comments {
            above: range(above),
            behind: range(behind),
        }
    }

    /// The comment lines, each from its `#` on, without their line ends.
    ///
    /// At the top of a file (`is_first`) only the block right above the key
    /// belongs to it; what an empty line parts from it is about the file.
    pub(crate) fn lines<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let above = text.get(self.above.clone()).unwrap_or("");
        let above = if self.above.start == 0 {
            last_block(above)
        } else {
            above
        };
        let behind = text.get(self.behind.clone()).unwrap_or("");
        let lines = above.lines().chain(behind.lines()).map(str::trim);
        lines.filter(|line| line.starts_with('#')).collect()
    }
}

/// What follows the last empty line.
fn last_block(text: &str) -> &str {
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
