//! A config file as it was read: source text, parse tree, and the place of
//! every key and value.

mod comments;
mod error;
mod limits;
mod plain;
mod toml_1_1;

pub(crate) use comments::Comments;
pub use error::{ParseError, ParseErrorKind};
pub use limits::{Exceeded, Limits, Size, Unit};
pub(crate) use toml_1_1::find as toml_1_1;

use std::fmt;
use std::ops::Range;

use crate::containerd::plugin;
use crate::diagnostic::Span;
use crate::k0s::Marker;
use crate::value::{self, Table};

/// The highest config version that this crate reads.
pub const MAX_CONFIG_VERSION: i64 = 4;

/// Bytes between two counts of characters.
const STRIDE: usize = 1024;

/// Characters that begin in a piece of UTF-8.
fn count_characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// A parsed containerd config file.
///
/// ```
/// use containerd_dropins::Document;
///
/// let document = Document::parse("containerd.toml", b"version = 2\noom_score = -999\n")?;
/// assert_eq!(document.version(), Some(2));
/// assert!(!document.marker().is_managed_for_k0s_1_30());
/// # Ok::<(), containerd_dropins::ParseError>(())
/// ```
pub struct Document {
    name: String,
    tree: toml_edit::Document<String>,
    line_starts: Vec<usize>,
    /// Characters in front of every [`STRIDE`]th byte, so that a column is
    /// found without counting through an endless line.
    characters: Vec<usize>,
    version: Option<i64>,
    marker: Marker,
    byte_order_mark: bool,
    size: Size,
}

/// Without the text: it may hold credentials.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("marker", &self.marker)
            .finish_non_exhaustive()
    }
}

impl Document {
    /// Parses a config file. `name` is what findings call it, usually its path.
    ///
    /// A UTF-8 byte order mark is skipped, as containerd 1.5 – 1.7 do.
    ///
    /// # Errors
    /// Returns the place and the nature of whatever keeps the text from being
    /// a containerd config of a version that this crate reads: bad encoding,
    /// bad TOML, nesting beyond 80 levels, more than the default [`Limits`] let
    /// pass, a `version` that is not an integer or not a known one.
    pub fn parse(name: impl Into<String>, bytes: &[u8]) -> Result<Self, ParseError> {
        Self::parse_within(name, bytes, Limits::default())
    }

    /// The same with other limits. What is to be migrated must also pass those of
    /// [`Options::limits`](crate::migrate::Options::limits).
    ///
    /// # Errors
    /// As [`Document::parse`] returns them.
    pub fn parse_within(
        name: impl Into<String>,
        bytes: &[u8],
        limits: Limits,
    ) -> Result<Self, ParseError> {
        let name = name.into();
        limits
            .check(Size::of_bytes(bytes.len()))
            .map_err(|exceeded| ParseError::too_large(&name, exceeded))?;
        let source = error::decode(&name, bytes)?;
        let size = limits
            .admit(source)
            .map_err(|exceeded| ParseError::too_large(&name, exceeded))?;
        let marker = Marker::of(source);
        let text = source.strip_prefix('\u{feff}').unwrap_or(source);
        let byte_order_mark = text.len() != source.len();
        let tree = toml_edit::Document::parse(text.to_owned())
            .map_err(|error| error::explain(&name, text, &error))?;
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let strides = text.as_bytes().chunks(STRIDE).scan(0, |sum, chunk| {
            let before = *sum;
            *sum += count_characters(chunk);
            Some(before)
        });
        let characters = strides.collect();
        let mut document = Document {
            name,
            tree,
            line_starts,
            characters,
            version: None,
            marker,
            byte_order_mark,
            size,
        };
        document.version = document.read_version()?;
        Ok(document)
    }

    /// The name given to [`Document::parse`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size, as [`Limits`] count it.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The text that was parsed, without a byte order mark.
    pub fn text(&self) -> &str {
        self.tree.raw()
    }

    /// The config version the file states. `0` counts as none, as it does in
    /// containerd.
    pub fn version(&self) -> Option<i64> {
        self.version
    }

    /// What k0s would see in the file when it asks whether it may rewrite it.
    pub fn marker(&self) -> Marker {
        self.marker
    }

    /// Whether the file began with a UTF-8 byte order mark, which containerd
    /// 1.4 and 2.x refuse.
    pub fn has_byte_order_mark(&self) -> bool {
        self.byte_order_mark
    }

    /// The plain values of the file.
    pub fn to_table(&self) -> Table {
        value::table_of(self.tree.as_table())
    }

    /// The place of the key or value that `path` names, for instance
    /// `["grpc", "address"]`: first that of the key, then that of the value.
    pub fn span_of(&self, path: &[&str]) -> Option<(Span, Span)> {
        let (last, parents) = path.split_last()?;
        let mut table: &dyn toml_edit::TableLike = self.tree.as_table();
        for key in parents {
            table = table.get(key)?.as_table_like()?;
        }
        let (key, item) = table.get_key_value(last)?;
        let key_span = key.span().unwrap_or_default();
        let value_span = item.span().unwrap_or_else(|| key_span.clone());
        Some((self.span(key_span), self.span(value_span)))
    }

    /// The values of a top-level key that names files, in file order.
    pub fn imports(&self) -> Vec<String> {
        let Some(item) = self.tree.get("imports") else {
            return Vec::new();
        };
        let strings = item.as_array().into_iter().flatten();
        strings
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect()
    }

    /// The first piece of TOML 1.1 in the file, which containerd 1.5 – 1.7
    /// refuse, and its name.
    pub fn toml_1_1(&self) -> Option<(Span, &'static str)> {
        let (at, what) = toml_1_1::find(self.root(), self.text())?;
        Some((self.span(at), what))
    }

    pub(crate) fn root(&self) -> &toml_edit::Table {
        self.tree.as_table()
    }

    /// Line and column of a byte range.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        let line = self
            .line_starts
            .partition_point(|start| *start <= range.start);
        let line_start = self
            .line_starts
            .get(line.wrapping_sub(1))
            .copied()
            .unwrap_or(0);
        let column = self.characters_between(line_start, range.start);
        Span {
            file: self.name.clone(),
            line,
            column: column + 1,
            start: range.start,
            end: range.end,
        }
    }

    /// How many characters begin in a piece of the text.
    fn characters_between(&self, from: usize, to: usize) -> usize {
        match self.text().as_bytes().get(from..to) {
            Some(piece) if piece.len() <= STRIDE => count_characters(piece),
            _ => self.characters_before(to) - self.characters_before(from),
        }
    }

    /// How many characters begin in front of a byte.
    fn characters_before(&self, at: usize) -> usize {
        let stride = at / STRIDE;
        let counted = self.characters.get(stride).copied().unwrap_or(0);
        let rest = self.text().as_bytes().get(stride * STRIDE..at);
        counted + rest.map_or(0, count_characters)
    }

    /// `version`, or `VERSION` where there is none: go-toml 1.9 tries a key
    /// in lower, then in upper case. In any other spelling it is one to
    /// containerd 2.x only, whose versions are 3 and up.
    fn read_version(&self) -> Result<Option<i64>, ParseError> {
        let root = self.tree.as_table();
        let Some(key) = ["version", "VERSION"]
            .into_iter()
            .find(|key| root.contains_key(key))
        else {
            let mut any_case = root
                .iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case("version"));
            let version = any_case.find_map(|(_, item)| item.as_integer());
            return Ok(version.filter(|version| (3..=MAX_CONFIG_VERSION).contains(version)));
        };
        let span = self.span_of(&[key]).map(|(_, value)| value);
        let item = root.get(key);
        let Some(version) = item.and_then(toml_edit::Item::as_integer) else {
            let found = item.map_or("nothing", toml_edit::Item::type_name);
            return Err(ParseError::version_type(&self.name, span, found));
        };
        match version {
            0 => Ok(None),
            1..=MAX_CONFIG_VERSION => Ok(Some(version)),
            _ => Err(ParseError::version_unsupported(&self.name, span, version)),
        }
    }

    /// Whether every parser in play reads the text alike.
    pub(crate) fn is_plain(&self) -> bool {
        let text = self.text();
        let plain = !self.byte_order_mark && !text.contains('\r') && self.toml_1_1().is_none();
        plain && plain::is_plain(self.root(), text)
    }

    /// The first piece of the file that go-toml 1.9 does not read although it is
    /// TOML 1.0, and its name.
    pub(crate) fn unreadable(&self) -> Option<(Span, &'static str)> {
        let (at, what) = plain::unreadable(self.root(), self.text())?;
        Some((self.span(at), what))
    }

    /// Whether no other keys than these stand at the top of the file.
    pub(crate) fn holds_only(&self, keys: &[&str]) -> bool {
        self.root().iter().all(|(key, _)| keys.contains(&key))
    }

    /// The comment lines about the file as a whole: those at its top that are
    /// not about the first key, those about `version`, and those at its end.
    pub(crate) fn comments_of_file(&self) -> [Vec<&str>; 2] {
        let text = self.text();
        let first = self.root().iter().next();
        let at_version = first.is_none_or(|(key, _)| key == "version");
        let top = comments::top(text);
        let own = comments::last_block(top);
        let top = match at_version {
            true => top,
            false => top.strip_suffix(own).unwrap_or(top),
        };
        let end = self.tree.trailing().span();
        let end = end
            .filter(|_| first.is_some())
            .and_then(|end| text.get(end));
        // What is said about a version that is rewritten.
        let version = self
            .root()
            .get("version")
            .and_then(toml_edit::Item::as_value);
        let behind = version.and_then(|value| value.decor().suffix()?.span());
        let behind = behind.and_then(|behind| text.get(behind));
        let mut lines = comments::lines(top);
        lines.extend(comments::lines(behind.unwrap_or("")));
        [lines, comments::lines(end.unwrap_or(""))]
    }

    /// The plugin ids that the file names, in sections and in lists.
    pub(crate) fn plugin_ids(&self) -> impl Iterator<Item = &str> {
        let root = self.root();
        let sections = root.get("plugins").and_then(toml_edit::Item::as_table_like);
        let lists = plugin::LISTS.into_iter();
        let listed = lists
            .filter_map(|key| root.get(key)?.as_array())
            .flat_map(|list| list.iter().filter_map(|id| id.as_str()));
        sections
            .into_iter()
            .flat_map(|table| table.iter().map(|(id, _)| id))
            .chain(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Document {
        Document::parse("t.toml", text.as_bytes()).unwrap()
    }

    #[test]
    fn zero_counts_as_no_version() {
        assert_eq!(parse("version = 0\n").version(), None);
        assert_eq!(parse("").version(), None);
        assert_eq!(parse("version = 0x2\n").version(), Some(2));
        assert_eq!(parse("\"version\" = 2\n").version(), Some(2));
    }

    /// go-toml 1.9 (containerd 1.5 – 1.7): `VERSION` is read, `Version` is not.
    #[test]
    fn version_in_upper_case_counts_and_in_title_case_does_not() {
        assert_eq!(parse("VERSION = 2\n").version(), Some(2));
        assert_eq!(parse("Version = 2\n").version(), None);
        // go-toml 2 reads it, and only containerd 2.x has version 3.
        assert_eq!(parse("Version = 3\n").version(), Some(3));
        assert_eq!(parse("VERSION = 2\nversion = 1\n").version(), Some(1));
    }

    #[test]
    fn a_version_inside_a_string_is_none() {
        assert_eq!(
            parse("root = \"\"\"\nversion = 2\n\"\"\"\n").version(),
            None
        );
    }

    #[test]
    fn spans_count_lines_and_characters_from_one() {
        let document = parse("# é\n[grpc]\n  \"ü\" = 1\n  uid = 7 # x\n");
        let (key, value) = document.span_of(&["grpc", "uid"]).unwrap();
        assert_eq!((key.line, key.column), (4, 3));
        assert_eq!((value.line, value.column), (4, 9));
        assert_eq!(document.text().get(value.start..value.end), Some("7"));
        let (_, value) = document.span_of(&["grpc", "ü"]).unwrap();
        assert_eq!((value.line, value.column), (3, 9));
    }

    #[test]
    fn columns_in_a_long_line() {
        let text = format!(
            "# é\na = {{ {}\"ü\" = 1, b = 2 }}\n",
            "\"é\" = { x = \"ö\" }, ".replace('é', &"é".repeat(3000))
        );
        let document = parse(&text);
        let (key, _) = document.span_of(&["a", "b"]).unwrap();
        assert_eq!((key.line, key.column), (2, 7 + 3000 + 2 + 16 + 9));
    }

    #[test]
    fn a_byte_order_mark_does_not_shift_places() {
        let document = parse("\u{feff}version = 2\r\nroot = \"/x\"\r\n");
        assert!(document.has_byte_order_mark());
        let (key, _) = document.span_of(&["version"]).unwrap();
        assert_eq!((key.line, key.column), (1, 1));
    }
}
