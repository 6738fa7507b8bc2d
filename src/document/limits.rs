//! How large a text may be that is parsed.

use std::fmt;

/// How much is read. What is beyond is refused before it is parsed, so that no
/// input takes memory or time without bounds.
///
/// The defaults are far beyond any real file, the largest of which has some
/// 20 KB, and let a file with 100,000 registry hosts and a mirror or two for each
/// pass. Time and memory grow as the input does, as the table below tells. Of
/// several files that belong together, the limits are those of all of them.
///
/// What is beyond is [`ParseErrorKind::TooLarge`](crate::ParseErrorKind::TooLarge), and
/// of several files the finding
/// [`Code::InputTooLarge`](crate::diagnostic::Code::InputTooLarge); nesting beyond 80
/// levels is an error of the parser.
///
/// ```
/// use containerd_dropins::{Document, Limits, ParseErrorKind};
///
/// let text = format!("version = 2\nimports = [{}]\n", "\"a.toml\", ".repeat(1000));
/// assert!(Document::parse("a.toml", text.as_bytes()).is_ok());
///
/// let small = Limits::default().with_keys_and_values(100);
/// let error = Document::parse_within("a.toml", text.as_bytes(), small).unwrap_err();
/// assert_eq!(error.kind(), ParseErrorKind::TooLarge);
/// let exceeded = error.exceeded().unwrap();
/// assert!(exceeded.found > 1000 && exceeded.limit == 100);
/// ```
///
/// # What it takes
///
/// For 10 MB of each kind, or as much of it as the defaults let pass, on threads with
/// stacks of 512 KiB; `cargo bench -p containerd-dropins-benches --bench limits` prints
/// the table. The rows that begin with a number have so many, some of them beyond the
/// defaults. *Parsed* is what the documents take in memory, as a multiple of the text;
/// *time* is that of parse and plan, as a multiple of the parse's in the same run;
/// *memory* is the peak of both, as a multiple of the documents. A legacy file is
/// planned for k0s 1.30.4 and 1.36.3, of which the greater counts, drop-ins are for
/// 1.36.3; mirrors are converted for 1.36.3. In the second table time and memory are
/// multiples of those of the texts' parse, or for the list of images, of its reading.
///
#[doc = include_str!("limits.md")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    bytes: usize,
    keys_and_values: usize,
}

impl Default for Limits {
    /// 32 MiB, and 850,000 keys and values.
    fn default() -> Self {
        Limits {
            bytes: 32 << 20,
            keys_and_values: 850_000,
        }
    }
}

impl Limits {
    /// The limit of a text's size, in bytes.
    pub fn bytes(self) -> usize {
        self.bytes
    }

    /// The limit of keys and values, which [`Size`] counts.
    pub fn keys_and_values(self) -> usize {
        self.keys_and_values
    }

    /// Reads texts of up to so many bytes.
    #[must_use]
    pub fn with_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Reads up to so many keys and values. Parsed, each takes some 350 bytes.
    #[must_use]
    pub fn with_keys_and_values(mut self, keys_and_values: usize) -> Self {
        self.keys_and_values = keys_and_values;
        self
    }

    /// Whether a text, or several together, may be parsed.
    ///
    /// # Errors
    /// The limit that does not let it pass.
    pub fn check(self, size: Size) -> Result<(), Exceeded> {
        let exceeded = |unit, found, limit| Exceeded { unit, found, limit };
        if size.bytes > self.bytes {
            return Err(exceeded(Unit::Bytes, size.bytes, self.bytes));
        }
        if size.keys_and_values > self.keys_and_values {
            let (found, limit) = (size.keys_and_values, self.keys_and_values);
            return Err(exceeded(Unit::KeysAndValues, found, limit));
        }
        Ok(())
    }

    /// Checks a text before it is parsed.
    pub(crate) fn admit(self, text: &str) -> Result<Size, Exceeded> {
        // A text that is too long is not counted through.
        self.check(Size::of_bytes(text.len()))?;
        let size = Size::of(text);
        self.check(size).map(|()| size)
    }

    /// Checks further texts that belong to what is read already.
    pub(crate) fn admit_more(self, so_far: &mut Size, text: &str) -> Result<(), Exceeded> {
        self.check(*so_far + Size::of_bytes(text.len()))?;
        *so_far = *so_far + Size::of(text);
        self.check(*so_far)
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// The size of a text.
    Bytes,
    /// What a text defines.
    KeysAndValues,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Bytes => "bytes",
            Unit::KeysAndValues => "keys and values",
        })
    }
}

/// More than a limit lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} {unit}, and no more than {limit} are read unless the limit is raised")]
#[non_exhaustive]
pub struct Exceeded {
    /// What there is too much of.
    pub unit: Unit,
    /// How much there is.
    pub found: usize,
    /// How much is read.
    pub limit: usize,
}

/// The size of a text, or of several.
///
/// Keys and values are counted from the text, without parsing it: every key and
/// every value, tables and lists among them, and these once more, as they take
/// more memory. The count may be somewhat too high, never too low; blanks, comments
/// and line ends beyond the usual count as well, if only every twelfth.
///
/// ```
/// use containerd_dropins::Size;
///
/// // Five for the file, a key and its value, the same with a list of two, and a
/// // table.
/// let size = Size::of("version = 2\nimports = [\"a\", \"b\"]\n[grpc]\n");
/// assert_eq!(size.keys_and_values, 5 + 2 + 5 + 3);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Size {
    /// Bytes.
    pub bytes: usize,
    /// Keys and values.
    pub keys_and_values: usize,
}

impl std::ops::Add for Size {
    type Output = Size;

    fn add(self, other: Size) -> Size {
        Size {
            bytes: self.bytes.saturating_add(other.bytes),
            keys_and_values: self.keys_and_values.saturating_add(other.keys_and_values),
        }
    }
}

impl Size {
    pub(super) fn of_bytes(bytes: usize) -> Size {
        Size {
            bytes,
            keys_and_values: 0,
        }
    }

    /// That of a text with a value a line.
    pub(crate) fn of_lines(text: &str) -> Size {
        let ends = text.bytes().filter(|byte| *byte == b'\n').count();
        Size {
            bytes: text.len(),
            keys_and_values: ends + 1,
        }
    }

    /// Counts through a text, in one pass and without any memory.
    pub fn of(text: &str) -> Size {
        let mut scan = Scan::new(text);
        while scan.step() {}
        Size {
            bytes: text.len(),
            keys_and_values: scan.total(),
        }
    }
}

/// What a file takes that says nothing.
const FILE: usize = 5;

/// A key and its value.
const ENTRY: usize = 2;

/// A table or a list, once more.
const INNER: usize = 1;

/// A table with its key.
const TABLE: usize = ENTRY + INNER;

/// So many pieces of text go with each key or value.
const PIECES: usize = 3;

/// So many others take as much memory as one.
const SMALL: usize = 12;

/// Headers that the next one may go on from: files take turns between few tables.
const HEADERS: usize = 4;

/// Takes a text apart as toml_edit does, pieces that are no TOML included.
struct Scan<'t> {
    text: &'t str,
    at: usize,
    counted: usize,
    pieces: usize,
    /// Whether each bracket that is open is one of a list, the innermost in the
    /// lowest bit.
    lists: u128,
    depth: u32,
    /// Whether a value is due: brackets open a list, and dots are part of a number.
    in_value: bool,
    /// Nothing but blanks so far in the line.
    at_start: bool,
    headers: [&'t str; HEADERS],
}

impl<'t> Scan<'t> {
    fn new(text: &'t str) -> Self {
        Scan {
            text,
            at: 0,
            counted: FILE,
            pieces: 0,
            lists: 0,
            depth: 0,
            in_value: false,
            at_start: true,
            headers: [""; HEADERS],
        }
    }

    fn total(&self) -> usize {
        let usual = self.counted.saturating_mul(PIECES);
        let others = self.pieces.saturating_sub(usual);
        self.counted.saturating_add(others / SMALL)
    }

    fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Goes to the end of a piece that a byte ends, which is none of it.
    fn until(&mut self, ends: impl Fn(u8) -> bool) {
        let rest = self.rest();
        self.at += rest
            .iter()
            .position(|byte| ends(*byte))
            .unwrap_or(rest.len());
    }

    /// The next piece; `false` at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest().first().copied() else {
            return false;
        };
        self.pieces += 1;
        if self.at_start && first == b'[' && self.depth == 0 {
            self.header();
            return true;
        }
        self.at_start &= matches!(first, b' ' | b'\t' | b'\n' | b'\r');
        match first {
            b' ' | b'\t' => self.until(|byte| !matches!(byte, b' ' | b'\t')),
            b'#' => self.until(|byte| matches!(byte, b'\r' | b'\n')),
            b'"' | b'\'' => self.string(first),
            b'.' | b'=' | b',' | b'[' | b']' | b'{' | b'}' | b'\r' | b'\n' => {
                self.at += 1;
                self.sign(first);
            }
            _ => self.atom(),
        }
        true
    }

    fn sign(&mut self, sign: u8) {
        match sign {
            // Not part of a number: more of a dotted key.
            b'.' => self.counted += TABLE,
            b'=' => {
                self.counted += ENTRY;
                if self.in_value {
                    // Where no key can be, it is an error, from which the parser
                    // goes on; a dot in the key has been taken for a number's.
                    self.counted += TABLE;
                }
                self.in_value = true;
            }
            b',' => {
                self.in_value = self.is_in_list();
                self.counted += usize::from(self.in_value || self.depth == 0);
            }
            b'[' => {
                self.counted += INNER + 1;
                self.open(true);
            }
            b'{' => {
                self.counted += INNER;
                self.open(false);
            }
            b']' | b'}' => {
                self.lists >>= 1;
                self.depth = self.depth.saturating_sub(1);
                self.in_value = self.is_in_list();
            }
            _ => {
                self.at_start = true;
                self.in_value = self.is_in_list();
            }
        }
    }

    /// Deeper than any parser goes, the outermost brackets are forgotten.
    fn open(&mut self, is_list: bool) {
        self.lists = self.lists << 1 | u128::from(is_list);
        self.depth = self.depth.saturating_add(1);
        self.in_value = is_list;
    }

    fn is_in_list(&self) -> bool {
        self.depth > 0 && self.lists & 1 == 1
    }

    /// A bare key, or a number and the like, which has a dot at most.
    fn atom(&mut self) {
        let is_number = self.rest().first().is_some_and(u8::is_ascii_digit)
            || matches!(self.rest(), [b'+' | b'-', b'0'..=b'9', ..]);
        self.until(ends_atom);
        if self.in_value && is_number && matches!(self.rest(), [b'.', b'0'..=b'9', ..]) {
            self.at += 1;
            self.until(ends_atom);
        }
    }

    fn string(&mut self, quote: u8) {
        let is_long = self.rest().starts_with(&[quote; 3]);
        self.at += if is_long { 3 } else { 1 };
        loop {
            self.until(|byte| byte == quote || byte == b'\\' || byte == b'\n');
            match self.rest() {
                [] => return,
                [b'\\', b'\\' | b'"', ..] if quote == b'"' => self.at += 2,
                [b'\n', ..] if !is_long => return,
                [one, two, three, ..] if is_long && [*one, *two, *three] == [quote; 3] => {
                    self.at += 3;
                    // Two more may be the end of its text.
                    for _ in 0..2 {
                        self.at += usize::from(self.rest().first() == Some(&quote));
                    }
                    return;
                }
                [byte, ..] => {
                    self.at += 1;
                    if !is_long && *byte == quote {
                        return;
                    }
                }
            }
        }
    }

    /// A table's header counts from where it leaves those before it: that far the
    /// tables are there.
    fn header(&mut self) {
        self.at += 1;
        let is_list = self.rest().first() == Some(&b'[');
        self.at += usize::from(is_list);
        let (text, start) = (self.text, self.at);
        let is_shared = |header: &&str, at: usize| {
            let length = at - start;
            let goes_on = matches!(header.as_bytes().get(length), None | Some(b'.'));
            goes_on && header.get(..length) == text.get(start..at)
        };
        let mut fresh = 1_usize;
        loop {
            match self.rest() {
                [] | [b']' | b'\n' | b'\r' | b'#', ..] => break,
                // No header: it may be the rest of a list.
                [b'=' | b',' | b'[' | b'{' | b'}', ..] => {
                    self.open(true);
                    break;
                }
                [b'.', ..] => {
                    let at = self.at;
                    let shared = self.headers.iter().any(|header| is_shared(header, at));
                    fresh += usize::from(!shared);
                    self.at += 1;
                }
                [b' ' | b'\t', ..] => self.until(|byte| !matches!(byte, b' ' | b'\t')),
                [quote @ (b'"' | b'\''), ..] => self.string(*quote),
                _ => self.until(ends_atom),
            }
            self.pieces += 1;
        }
        self.counted += TABLE.saturating_mul(fresh);
        let header = text.get(start..self.at).unwrap_or_default();
        if is_list && !self.headers.contains(&header) {
            // The list, and the first of its tables.
            self.counted += INNER + 1;
        }
        self.headers.rotate_right(1);
        if let Some(first) = self.headers.first_mut() {
            *first = header;
        }
        self.at_start = false;
        self.in_value = self.is_in_list();
    }
}

/// What no bare key or number goes beyond.
fn ends_atom(byte: u8) -> bool {
    matches!(
        byte,
        b'.' | b'=' | b',' | b'[' | b']' | b'{' | b'}' | b' ' | b'\t' | b'#' | b'\r' | b'\n'
    )
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "proptest1")]
    use proptest::prelude::*;
    use toml_edit::{Item, TableLike, Value};

    use super::*;

    fn counted(text: &str) -> usize {
        Size::of(text).keys_and_values - FILE
    }

    /// What toml_edit makes of a text, counted in its tree.
    fn built(text: &str) -> Option<usize> {
        let parsed = toml_edit::Document::parse(text).ok()?;
        Some(in_table(parsed.as_table()))
    }

    fn in_table(table: &dyn TableLike) -> usize {
        table.iter().map(|(_, item)| ENTRY + in_item(item)).sum()
    }

    fn in_item(item: &Item) -> usize {
        match item {
            Item::None => 0,
            Item::Value(value) => in_value(value),
            Item::Table(table) => INNER + in_table(table),
            Item::ArrayOfTables(tables) => {
                let one = |table: &toml_edit::Table| 1 + INNER + in_table(table);
                INNER + tables.iter().map(one).sum::<usize>()
            }
        }
    }

    fn in_value(value: &Value) -> usize {
        match value {
            Value::Array(items) => {
                INNER + items.iter().map(|item| 1 + in_value(item)).sum::<usize>()
            }
            Value::InlineTable(table) => INNER + in_table(table),
            _ => 0,
        }
    }

    #[test]
    fn keys_and_values_are_counted_as_they_are() {
        for text in [
            "",
            "a = 1\n",
            "a = 1.5\nb = 1979-05-27T07:32:00.5Z\nc = -0.1e3\n",
            "a.b.c = 1\n",
            "[a]\n[b.c]\nd = true\n",
            "[a.b.c]\n[a.b.d]\n[a.'b'.e]\n",
            "[[a]]\nb = 1\n[[a]]\nb = 2\n",
            "[[a]]\n[a.b]\nc = 1\n",
            "a = [1, 2.5, [3], { b = 4, c.d = 5 }]\n",
            "a = { b = [1, 2], c = { d = 1 } }\n",
            "# a = 1\n'#' = 1 # b = [1, 2, 3]\n",
            "a = \"b = [1, 2, 3] # c\\\" . = \"\nd = 'e = \\'\n",
            "a = \"\"\"\nb = 1\n[c.d]\n\\\"\"\"\"\"\n",
            "a = '''\n[b]\nc.d = 1\n\\'''''\n",
            "\"a.b\".'c.d' = 1\n[\"x]y\".z]\n",
        ] {
            let built = built(text).unwrap();
            let counted = counted(text);
            // A list may have a comma behind its last element, and a header may go
            // on from one in another spelling.
            let most = built + text.matches('[').count() + 3 * text.matches('\'').count().min(1);
            assert!(
                (built..=most).contains(&counted),
                "{text:?}: {counted}, {built}"
            );
        }
    }

    /// As the lexer of toml_edit has them, and its parser goes on behind errors.
    #[test]
    fn what_is_no_toml_hides_nothing() {
        let many = "k.k = 1\n".repeat(1000);
        for text in [
            format!("# comment\r{many}"),
            format!("a = [\n{many}"),
            format!("a = \"\n{many}"),
            format!("a = '\n{many}"),
            format!("a\"\"\" = 1\n{many}"),
            format!("]]}}}}\n{many}"),
            many.replace("k.k", "1.1"),
            many.replace('\n', "\r"),
            format!("[a = {many}"),
        ] {
            let counted = counted(&text);
            assert!(counted >= 1000 * (ENTRY + TABLE), "{text:.20}: {counted}");
        }
        assert!(counted(&format!("[a'{}]\n", ".b".repeat(1000))) >= 1000 * TABLE);
        assert!(counted(&format!("a =\n[{}]\n", "1,".repeat(1000))) >= 1000);
        // Each takes memory while it is parsed.
        for piece in ["\n", "#\n", " \n", "' '\t", "]"] {
            assert!(counted(&piece.repeat(12_000)) > 990, "{piece:?}");
        }
        // These define nothing.
        for text in [format!("a = \"\"\"{many}"), format!("a = '''{many}'''\n")] {
            assert!(counted(&text) < 10);
        }
    }

    #[cfg(feature = "proptest1")]
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "a",
            "b",
            "c",
            "1",
            "-1.5",
            ".",
            ".",
            " = ",
            " = ",
            "[",
            "]",
            "[[",
            "]]",
            "{ ",
            " }",
            ", ",
            ", ",
            "\n",
            "\n",
            "\r\n",
            "# x = [\n",
            "\"",
            "\"\"\"",
            "'",
            "'''",
            "\\",
            "a = 1\n",
            "[a.b]\n",
            "[[c]]\n",
            "x.y = [1, 2]\n",
            "{ a = 1 }",
            "\"s\"",
            "'t'",
            "\t",
        ]);
        prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    #[cfg(feature = "proptest1")]
    proptest! {
        #[test]
        fn nothing_that_is_built_goes_uncounted(text in pieces()) {
            if let Some(built) = built(&text) {
                prop_assert!(counted(&text) >= built);
            }
        }
    }
}
