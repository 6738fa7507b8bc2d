//! Why a text is no containerd config, said so that the reader can mend it.

use std::fmt;

use super::Exceeded;
use crate::diagnostic::Span;

/// What kind of accident kept a file from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A file in UTF-16.
    Utf16,
    /// Log lines amid the TOML, as `containerd config dump 2>&1` leaves them.
    LogLine,
    /// A template that was not rendered.
    Template,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// The INI format, in which texts have no quotes.
    Ini,
    /// A string without its closing quote.
    UnterminatedString,
    /// A key or table that is defined twice.
    Duplicate,
    /// Nesting beyond the parser's limit of 80 levels.
    TooDeep,
    /// More than the [`Limits`](crate::Limits) let pass.
    TooLarge,
    /// A `version` that is not an integer.
    VersionType,
    /// A config version that this crate does not read.
    VersionUnsupported,
    /// Any other violation of TOML.
    Syntax,
}

impl ParseErrorKind {
    /// The stable code, `kebab-case`.
    pub fn as_str(self) -> &'static str {
        match self {
            ParseErrorKind::NotUtf8 => "not-utf8",
            ParseErrorKind::Utf16 => "utf16",
            ParseErrorKind::LogLine => "log-line",
            ParseErrorKind::Template => "template",
            ParseErrorKind::Json => "json",
            ParseErrorKind::Yaml => "yaml",
            ParseErrorKind::Ini => "ini",
            ParseErrorKind::UnterminatedString => "unterminated-string",
            ParseErrorKind::Duplicate => "duplicate",
            ParseErrorKind::TooDeep => "too-deep",
            ParseErrorKind::TooLarge => "too-large",
            ParseErrorKind::VersionType => "version-type",
            ParseErrorKind::VersionUnsupported => "version-unsupported",
            ParseErrorKind::Syntax => "syntax",
        }
    }
}

/// Why and where a file could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct ParseError {
    kind: ParseErrorKind,
    message: String,
    span: Box<Span>,
    exceeded: Option<Exceeded>,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.span, self.message)
    }
}

impl ParseError {
    /// What kind of accident it is.
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// What happened, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it happened.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The limit that does not let the file pass, where that is the accident.
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self.kind {
            ParseErrorKind::NotUtf8 => {
                "TOML is UTF-8. Find the byte and replace it; an editor may have saved the file in a legacy encoding."
            }
            ParseErrorKind::Utf16 => {
                "Save the file as UTF-8, for instance with `iconv -f UTF-16 -t UTF-8`."
            }
            ParseErrorKind::LogLine => {
                "Remove the log lines; `containerd config dump 2>/dev/null` prints none."
            }
            ParseErrorKind::Template => {
                "Render the template first and migrate what comes out of it."
            }
            ParseErrorKind::Json | ParseErrorKind::Yaml => {
                "containerd's configuration is TOML. Hand in the file that containerd reads, such as /etc/k0s/containerd.toml."
            }
            ParseErrorKind::Ini => {
                "containerd's configuration is TOML: texts are in quotes, comments begin with #."
            }
            ParseErrorKind::UnterminatedString => {
                "Close the string on the same line, with the quote that opened it."
            }
            ParseErrorKind::Duplicate => {
                "TOML allows each key and each table once. Merge the two, or remove the one that is not wanted; containerd does not start on such a file."
            }
            ParseErrorKind::TooDeep => {
                "No containerd setting is nested nearly as deep; the file is not a containerd config."
            }
            ParseErrorKind::TooLarge => {
                "No containerd config that people write is nearly as large. If this one is meant, raise the limit."
            }
            ParseErrorKind::VersionType => "Write the version as a bare integer: version = 2.",
            ParseErrorKind::VersionUnsupported => "Config versions 1 to 4 can be migrated.",
            ParseErrorKind::Syntax => {
                "Correct the line; containerd does not start on such a file either."
            }
        }
    }

    fn new(kind: ParseErrorKind, message: String, span: Span) -> Self {
        ParseError {
            kind,
            message,
            span: Box::new(span),
            exceeded: None,
        }
    }

    pub(super) fn too_large(name: &str, exceeded: Exceeded) -> Self {
        let message = format!("the file has {exceeded}");
        let mut error = Self::new(ParseErrorKind::TooLarge, message, or_start(name, None));
        error.exceeded = Some(exceeded);
        error
    }

    pub(super) fn version_type(name: &str, span: Option<Span>, found: &str) -> Self {
        let message = format!("`version` is {found}, not an integer");
        Self::new(ParseErrorKind::VersionType, message, or_start(name, span))
    }

    pub(super) fn version_unsupported(name: &str, span: Option<Span>, version: i64) -> Self {
        let message = match version {
            i64::MIN..0 => format!("config version {version}: a version cannot be negative"),
            _ => format!("config version {version}: no known containerd release reads it"),
        };
        Self::new(
            ParseErrorKind::VersionUnsupported,
            message,
            or_start(name, span),
        )
    }
}

fn or_start(name: &str, span: Option<Span>) -> Span {
    span.unwrap_or_else(|| place(name, b"", 0))
}

/// Line and column of a byte offset in a text that need not be UTF-8.
fn place(name: &str, bytes: &[u8], at: usize) -> Span {
    let before = bytes.get(..at).unwrap_or(bytes);
    let line_start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |p| p + 1);
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = String::from_utf8_lossy(before.get(line_start..).unwrap_or_default());
    Span {
        file: name.to_owned(),
        line,
        column: column.chars().count() + 1,
        start: at,
        end: at,
    }
}

/// The text behind `bytes`, a byte order mark included.
pub(super) fn decode<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, ParseError> {
    let utf16 = matches!(
        bytes,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, _, 0, ..]
    );
    if utf16 {
        let message = "the file is in UTF-16".to_owned();
        return Err(ParseError::new(
            ParseErrorKind::Utf16,
            message,
            place(name, bytes, 0),
        ));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let byte = bytes.get(at).copied().unwrap_or_default();
        let message = format!("the byte 0x{byte:02x} is not UTF-8");
        ParseError::new(ParseErrorKind::NotUtf8, message, place(name, bytes, at))
    })
}

/// Says what a TOML error is about.
pub(super) fn explain(name: &str, text: &str, error: &toml_edit::TomlError) -> ParseError {
    let message = error.message();
    if message.contains("recurs") {
        let at = error
            .span()
            .map_or_else(|| deepest_line(text), |span| span.start);
        let message = "nested more than 80 levels deep".to_owned();
        return ParseError::new(
            ParseErrorKind::TooDeep,
            message,
            place(name, text.as_bytes(), at),
        );
    }
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let line = line_around(text, at);
    let (kind, message) = if line.contains("{{") {
        (
            ParseErrorKind::Template,
            "a template is left in the file".to_owned(),
        )
    } else if is_log_line(line) {
        (
            ParseErrorKind::LogLine,
            "this is a log line, not TOML".to_owned(),
        )
    } else if let Some((kind, name)) = other_format(text) {
        (kind, format!("this is {name}, not TOML"))
    } else if message.contains("duplicate key") {
        (
            ParseErrorKind::Duplicate,
            "the same key or table is defined twice".to_owned(),
        )
    } else if message.contains("string") && has_odd_quotes(line) {
        (
            ParseErrorKind::UnterminatedString,
            "the string has no closing quote".to_owned(),
        )
    } else {
        (ParseErrorKind::Syntax, format!("not valid TOML: {message}"))
    };
    let mut span = place(name, text.as_bytes(), at);
    span.end = error.span().map_or(at, |span| span.end);
    ParseError::new(kind, message, span)
}

/// The format of a text that is no TOML, if it is plain which one.
fn other_format(text: &str) -> Option<(ParseErrorKind, &'static str)> {
    let start = text.trim_start();
    let is_list = |rest: &str| rest.trim_start().starts_with('{');
    // No table of TOML begins so.
    if start.starts_with('{') || start.strip_prefix('[').is_some_and(is_list) {
        return Some((ParseErrorKind::Json, "JSON"));
    }
    let is_comment = |line: &&str| line.trim_start().starts_with('#');
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let lines = lines.filter(|line| !is_comment(line));
    // What is indented may be a text inside of YAML.
    let mut outer = lines.clone().filter(|line| !line.starts_with([' ', '\t']));
    let first = outer.clone().next()?;
    let is_yaml = first.starts_with("---") || is_yaml_key(first) || first.starts_with("- ");
    if is_yaml && outer.all(|line| is_yaml_key(line) || line.starts_with(['-', '.', ']', '}'])) {
        return Some((ParseErrorKind::Yaml, "YAML"));
    }
    let mut texts = 0;
    for line in lines {
        let line = line.trim();
        let value = line.split_once('=').map(|(_, value)| value.trim());
        match value {
            _ if line.starts_with(';') || line.starts_with('[') && line.ends_with(']') => {}
            Some(value) if is_bare_text(value) => texts += 1,
            // Both have numbers and flags.
            Some(value)
                if value
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-') => {}
            _ => return None,
        }
    }
    (texts > 1).then_some((ParseErrorKind::Ini, "an INI file"))
}

/// `key:`, alone or with a value behind a blank.
fn is_yaml_key(line: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || "_-./\"'".contains(c);
    let key = line.split_once(':');
    key.is_some_and(|(key, rest)| {
        let is_end = rest.is_empty() || rest.starts_with([' ', '\t']);
        is_end && !key.is_empty() && key.chars().all(is_name)
    })
}

/// A text without quotes.
fn is_bare_text(value: &str) -> bool {
    let is_flag = matches!(value, "true" | "false");
    let first = value.chars().next();
    first.is_some_and(|c| c.is_alphabetic() || matches!(c, '/' | '.' | '~')) && !is_flag
}

fn line_around(text: &str, at: usize) -> &str {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    // An unterminated string is reported at the line end it ran into.
    let start = before
        .strip_suffix('\n')
        .unwrap_or(before)
        .rfind('\n')
        .map_or(0, |p| p + 1);
    let end = after.find('\n').map_or(text.len(), |p| at + p);
    text.get(start..end).unwrap_or("").trim()
}

/// logrus in its two forms (`time="…" level=…`, `INFO[0000] …`) and journald's.
fn is_log_line(line: &str) -> bool {
    let bytes = line.as_bytes();
    let logfmt = line.starts_with("time=\"") || line.starts_with("level=");
    let terminal = ["TRAC[", "DEBU[", "INFO[", "WARN[", "ERRO[", "FATA["]
        .iter()
        .any(|level| line.starts_with(level));
    let journal = line.contains(" containerd[") || line.contains(" k0s[");
    let date = bytes.len() > 11
        && bytes
            .get(..4)
            .is_some_and(|year| year.iter().all(u8::is_ascii_digit))
        && bytes.get(4).is_some_and(|b| matches!(b, b'-' | b'/'));
    logfmt || terminal || journal || date
}

fn has_odd_quotes(line: &str) -> bool {
    let count = |quote: char| line.matches(quote).count() % 2 == 1;
    count('"') || count('\'')
}

/// The start of the first line that nests deepest by its dots.
fn deepest_line(text: &str) -> usize {
    let mut at = 0;
    let mut deepest = (0, 0);
    for line in text.split_inclusive('\n') {
        let dots = line.bytes().filter(|b| *b == b'.').count();
        if dots > deepest.0 {
            deepest = (dots, at);
        }
        at += line.len();
    }
    deepest.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    #[track_caller]
    fn check(bytes: &[u8], kind: ParseErrorKind, display: &str) {
        let error = Document::parse("c.toml", bytes).unwrap_err();
        assert_eq!(error.to_string(), display);
        assert_eq!(error.kind(), kind);
        assert!(error.help().ends_with('.'));
    }

    #[test]
    fn common_accidents_are_named() {
        check(
            b"time=\"2024-05-01T10:00:00Z\" level=info msg=\"x\"\nversion = 2\n",
            ParseErrorKind::LogLine,
            "c.toml:1:29: this is a log line, not TOML",
        );
        check(
            b"version = 2\n{{ template \"base\" . }}\n",
            ParseErrorKind::Template,
            "c.toml:2:1: a template is left in the file",
        );
        check(
            b"version = 2\nroot = \"/var\n[grpc]\n",
            ParseErrorKind::UnterminatedString,
            "c.toml:2:13: the string has no closing quote",
        );
        check(
            b"[grpc]\nuid = 1\n[debug]\n[grpc]\ngid = 1\n",
            ParseErrorKind::Duplicate,
            "c.toml:4:2: the same key or table is defined twice",
        );
        check(
            b"\xff\xfev\0e\0",
            ParseErrorKind::Utf16,
            "c.toml:1:1: the file is in UTF-16",
        );
        check(
            b"version = 2\n# caf\xe9\n",
            ParseErrorKind::NotUtf8,
            "c.toml:2:6: the byte 0xe9 is not UTF-8",
        );
    }

    #[test]
    fn other_formats_are_called_by_their_names() {
        let json = "this is JSON, not TOML";
        let yaml = "this is YAML, not TOML";
        for (text, kind, line, message) in [
            ("{\"version\": 2}\n", ParseErrorKind::Json, 1, json),
            (
                "\n  {\n  \"root\": \"/x\"\n}\n",
                ParseErrorKind::Json,
                2,
                json,
            ),
            ("[\n  {\"a\": 1}\n]\n", ParseErrorKind::Json, 2, json),
            ("version: 2\n", ParseErrorKind::Yaml, 1, yaml),
            (
                "# k0s\napiVersion: k0s.k0sproject.io/v1beta1\nkind: ClusterConfig\nspec:\n  images:\n    pause: {}\n",
                ParseErrorKind::Yaml,
                2,
                yaml,
            ),
            (
                "---\nplugins:\n- a\n- b: |\n    [grpc]\n    uid = 1\n",
                ParseErrorKind::Yaml,
                1,
                yaml,
            ),
            (
                "; by hand\n[main]\nroot = /var/lib/x\nlevel = debug\nuid = 0\n",
                ParseErrorKind::Ini,
                1,
                "this is an INI file, not TOML",
            ),
        ] {
            let error = Document::parse("c", text.as_bytes()).unwrap_err();
            let found = (error.kind(), error.span().line, error.message());
            assert_eq!(found, (kind, line, message), "{text}");
            assert!(error.help().contains("TOML"));
        }
    }

    /// TOML with something wrong in it.
    #[test]
    fn a_slip_in_toml_makes_no_other_format_of_it() {
        for text in [
            "version = 2\nroot: \"/x\"\n",
            "version: 2\n[grpc]\nuid = 1\n",
            "version = 2\nroot = /var/lib/x\nstate = \"/run\"\n",
            "root = /var/lib/x\n",
            "[\"a\"]\nb = \n",
            "[grpc]\nuid = 1\n}\n",
            "[[a]\nb = 1\n",
            "version = 2\n- a\n",
            "time: x\nversion = 2\n",
            "; comment\nversion = 2\nroot = \"/x\"\n",
        ] {
            let error = Document::parse("c", text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ParseErrorKind::Syntax, "{text}: {error}");
        }
        let template = Document::parse("c", b"{{ if .x }}\nversion = 2\n").unwrap_err();
        assert_eq!(template.kind(), ParseErrorKind::Template);
    }

    #[test]
    fn versions_are_refused_by_name() {
        check(
            b"version = \"2\"\n",
            ParseErrorKind::VersionType,
            "c.toml:1:11: `version` is string, not an integer",
        );
        check(
            b"\nversion = 5\n",
            ParseErrorKind::VersionUnsupported,
            "c.toml:2:11: config version 5: no known containerd release reads it",
        );
        check(
            b"version = -1\n",
            ParseErrorKind::VersionUnsupported,
            "c.toml:1:11: config version -1: a version cannot be negative",
        );
    }

    #[test]
    fn deep_nesting_is_an_error_with_a_place() {
        let header = format!("version = 2\n[{}a]\n", "a.".repeat(100_000));
        check(
            header.as_bytes(),
            ParseErrorKind::TooDeep,
            "c.toml:2:1: nested more than 80 levels deep",
        );
        let array = format!("a = {}\n", "[".repeat(100_000));
        check(
            array.as_bytes(),
            ParseErrorKind::TooDeep,
            "c.toml:1:85: nested more than 80 levels deep",
        );
    }
}
