//! What is shown of an input: what is known to be harmless. All else stands
//! there by its kind and length.
//!
//! A person can put a credential into any place of a file, and under any name.
//! So nothing is looked for: a value is shown if its place is a declared
//! setting that holds no credential, and its text is one such as paths, images,
//! addresses and names are; a name is shown if it looks like one.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::containerd::place::Place;
use crate::containerd::setting::Kind;
use crate::value::{Exposed, Table, Value};
use crate::write;

/// The longest text of a setting that is shown, in bytes. Real paths, images and
/// addresses are shorter.
const LONGEST_TEXT: usize = 256;

/// The longest name that is shown, in bytes.
const LONGEST_NAME: usize = 100;

/// A number and what it counts.
pub(crate) fn plural(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// The beginning of a text, of so many characters at most.
pub(crate) fn shortened(text: Cow<'_, str>, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}

/// What stands for something that is not shown.
fn hidden(kind: &str, length: Option<(usize, &str)>) -> String {
    match length {
        Some((count, of)) => format!("<hidden> ({kind}, {})", plural(count, of)),
        None => format!("<hidden> ({kind})"),
    }
}

fn hidden_as(kind: &str, text: &str) -> String {
    hidden(kind, Some((text.chars().count(), "character")))
}

/// What stands for a text that is not shown.
pub(crate) fn hidden_text(text: &str) -> String {
    hidden_as("string", text)
}

/// What stands for comments.
pub(crate) fn comment<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lines = lines.into_iter().map(|line| line.chars().count());
    let (count, length) = lines.fold((0, 0), |(count, sum), line| (count + 1, sum + line));
    let kind = match count {
        0 => return None,
        1 => "comment".to_owned(),
        count => format!("comment of {count} lines"),
    };
    Some(format!("# {}", hidden(&kind, Some((length, "character")))))
}

/// Whether a character can change how what is around it is shown: a control
/// character, or one without a shape of its own that a terminal or an editor
/// acts on (a change of direction, a line separator, a joiner, a tag). Where a text
/// can have escapes, it is to be escaped.
pub(crate) fn is_disruptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The name of a file of the caller's, or another text that hides nothing,
/// without what would change the text around it.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    match text.contains(is_disruptive) {
        true => Cow::Owned(text.replace(is_disruptive, "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn is_in_path(c: char) -> bool {
    is_word(c) || matches!(c, '/' | '*' | '+')
}

/// A scheme and what is behind it.
fn without_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let rest = rest.strip_prefix("//")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (!scheme.is_empty() && scheme.chars().all(plain)).then_some((scheme, rest))
}

/// Whether a name looks like one: of a handler, a plugin, a setting, a file, or
/// of a registry host, with scheme, port and path.
fn is_name(name: &str) -> bool {
    if name.len() > LONGEST_NAME {
        return false;
    }
    // Most are nothing else.
    if name
        .bytes()
        .all(|byte| byte.is_ascii() && is_in_path(char::from(byte)))
    {
        return true;
    }
    let (_, place) = without_scheme(name).unwrap_or(("", name));
    let (host, path) = match place.split_once('/') {
        Some((host, path)) => (host, path),
        None => (place, ""),
    };
    let is_port = |port: &str| {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        port == "*" || digits && (1..=5).contains(&port.len())
    };
    let is_address = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'))
    };
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').is_some_and(|(address, port)| {
            let port = port.strip_prefix(':').map_or(port.is_empty(), is_port);
            is_address(address) && port
        }),
        None if host.matches(':').count() > 1 => is_address(host),
        None => match host.split_once(':') {
            Some((host, port)) => host.chars().all(is_in_path) && is_port(port),
            None => host.chars().all(is_in_path),
        },
    };
    is_host && path.chars().all(is_in_path)
}

/// A name as it may be shown.
pub(crate) fn name(name: &str) -> Cow<'_, str> {
    match is_name(name) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(hidden_as("name", name)),
    }
}

/// Names as they may be shown.
pub(crate) fn names<S: AsRef<str>>(names: &[S]) -> Vec<Cow<'_, str>> {
    names.iter().map(|key| name(key.as_ref())).collect()
}

/// Writes names as they may be shown.
pub(crate) fn serialize_names<S: Serializer>(path: &[String], to: S) -> Result<S::Ok, S::Error> {
    names(path).serialize(to)
}

/// A path of names as TOML writes it, as it may be shown.
pub(crate) fn path(path: &[&str]) -> String {
    write::dotted(&names(path))
}

/// The same, and all of it where that is more.
pub(crate) fn path_and_behind(path: &[&str]) -> (String, Behind) {
    let shown = names(path);
    let is_hidden = shown.iter().any(|name| matches!(name, Cow::Owned(_)));
    let behind = is_hidden.then(|| write::dotted(path));
    (write::dotted(&shown), Behind(behind))
}

/// A path of names as TOML writes it, if not all of it may be shown.
pub(crate) fn hidden_path(path: &[&str]) -> Option<String> {
    (!path.iter().all(|key| is_name(key))).then(|| write::dotted(path))
}

/// Whether a text is one such as paths, images, addresses, sizes and names are,
/// or the place of something that is to be filled in: no blanks, no quotes,
/// nothing that is set to anything, no user.
fn is_plain(mut text: &str) -> bool {
    let is_sign = |c: char| {
        matches!(
            c,
            '/' | ':'
                | '+'
                | '~'
                | '%'
                | ','
                | '*'
                | '\\'
                | '['
                | ']'
                | '<'
                | '>'
                | '{'
                | '}'
                | '$'
        )
    };
    let is_part = |c: char| is_word(c) || is_sign(c);
    loop {
        let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
        let (before, behind) = text.split_at_checked(end).unwrap_or((text, ""));
        text = match behind.chars().next() {
            None => return true,
            // The digest of an image.
            Some('@') => match behind.strip_prefix('@').and_then(behind_digest) {
                Some(rest) => rest,
                None => return false,
            },
            // `{{ .Image }}`
            Some(' ') if before.ends_with("{{") => match placeholder(behind) {
                Some(rest) => rest,
                None => return false,
            },
            Some(_) => return false,
        };
    }
}

/// What is behind the digest at the start of a text.
fn behind_digest(text: &str) -> Option<&str> {
    let algorithms = ["sha256:", "sha384:", "sha512:"];
    let digits = algorithms.iter().find_map(|name| text.strip_prefix(name))?;
    Some(digits.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
}

/// What is behind a single word and the end of a placeholder, at the start of a
/// text.
fn placeholder(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(' ').trim_start_matches(is_word);
    let rest = rest.trim_start_matches(' ');
    rest.starts_with("}}").then_some(rest)
}

/// The text of a declared setting as it may be shown: of a URL without user and
/// query, and none that may be something else than it should.
pub(crate) fn harmless(text: &str) -> Option<Cow<'_, str>> {
    // A placeholder may have a default.
    let has_default = |(at, _)| {
        let rest = text.get(at..).and_then(|rest| rest.strip_prefix("${"));
        let inside = rest.and_then(|rest| rest.split('}').next());
        inside.is_some_and(|inside| inside.contains([':', '=', '-', '+', '?']))
    };
    if text.len() > LONGEST_TEXT || text.match_indices('$').any(has_default) {
        return None;
    }
    let Some((scheme, rest)) = without_scheme(text) else {
        return is_plain(text).then_some(Cow::Borrowed(text));
    };
    let is_tail = |c| matches!(c, '?' | '#');
    let (user, rest) = match rest.rsplit_once('@') {
        // Part of an image.
        Some((image, digest)) if image.contains('/') && behind_digest(digest) == Some("") => {
            ("", rest)
        }
        // It may be a user, or part of what is not to be shown either.
        Some((user, _)) if user.contains(is_tail) => return None,
        Some((_, rest)) => ("…@", rest),
        None => ("", rest),
    };
    let (place, tail) = match rest.find(is_tail).and_then(|at| rest.split_at_checked(at)) {
        Some((place, _)) => (place, "?…"),
        None => (rest, ""),
    };
    let is_whole = user.is_empty() && tail.is_empty();
    is_plain(place).then(|| match is_whole {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("{scheme}://{user}{place}{tail}")),
    })
}

/// The text of a declared setting, or what stands for it.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    harmless(text).unwrap_or_else(|| Cow::Owned(hidden_text(text)))
}

/// The texts of a declared setting, each as it may be shown.
pub(crate) fn texts(texts: &[String]) -> Vec<Cow<'_, str>> {
    texts.iter().map(|one| text(one)).collect()
}

/// What stands for a value that is not shown. Nothing can hide in a flag, and
/// nothing is in what is empty.
fn stand_in(value: &Value) -> Option<Value> {
    let shown = match value {
        Value::Boolean(_) => return None,
        Value::String(text) if text.is_empty() => return None,
        Value::Array(items) if items.is_empty() => return None,
        Value::Table(table) => return shown_table(None, table).map(Value::Table),
        Value::String(text) => hidden_text(text),
        Value::Array(items) => hidden("list", Some((items.len(), "element"))),
        other => hidden(other.type_name(), None),
    };
    Some(Value::String(shown))
}

/// A value by its place in the config, as it may be shown.
pub(crate) fn by_place(place: Option<Place>, value: Value) -> Value {
    in_place_of(place, &value).unwrap_or(value)
}

/// The text of a duration as TOML writes it, or what stands for it.
pub(crate) fn duration(text: &str) -> String {
    let value = Value::String(text.to_owned());
    let shown = in_place_of_kind(Kind::Duration, &value).unwrap_or(value);
    shown.exposed().to_string()
}

/// A value of whatever place, as it may be shown.
pub(crate) fn value(value: &Value) -> Value {
    stand_in(value).unwrap_or_else(|| value.clone())
}

/// What is shown in place of a value; none if that is the value itself.
pub(crate) fn in_place_of(place: Option<Place>, value: &Value) -> Option<Value> {
    let Some(place) = place.filter(|place| !place.is_hidden()) else {
        return stand_in(value);
    };
    match (place.kind(), value) {
        (Kind::Section(_) | Kind::Map(_), Value::Table(table)) => {
            shown_table(Some(place), table).map(Value::Table)
        }
        (Kind::Tables(_), Value::Array(items)) => each(items, |item| match item {
            Value::Table(_) => in_place_of(place.item(), item),
            other => stand_in(other),
        }),
        (kind, value) => in_place_of_kind(kind, value),
    }
}

/// The same of a value that is no table of settings.
fn in_place_of_kind(kind: Kind, value: &Value) -> Option<Value> {
    match (kind, value) {
        (Kind::Section(_) | Kind::Map(_) | Kind::Tables(_) | Kind::Any, value) => stand_in(value),
        // Names of timeouts are anybody's, so their values are to look like one.
        (Kind::Duration, Value::String(text)) if is_like_duration(text) => in_scalar(value),
        (Kind::Duration, Value::String(_) | Value::Array(_)) => stand_in(value),
        // A list stands for the one text in it, or for none.
        (Kind::Str, Value::Array(_)) => stand_in(value),
        (_, Value::Array(items)) => each(items, |item| match item {
            Value::Array(_) | Value::Table(_) => stand_in(item),
            item => in_scalar(item),
        }),
        (_, Value::Table(_)) => stand_in(value),
        (_, value) => in_scalar(value),
    }
}

/// Whether a text looks like a duration, right or wrong: numbers, and words as long
/// as units are.
fn is_like_duration(text: &str) -> bool {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.');
    let mut words = text.split(is_number);
    let begins = text.is_empty() || text.starts_with(is_number);
    begins && text.len() <= 24 && words.all(|word| word.chars().count() <= 3)
}

/// The same of a value without parts.
fn in_scalar(value: &Value) -> Option<Value> {
    let Value::String(whole) = value else {
        return None;
    };
    match text(whole) {
        Cow::Borrowed(_) => None,
        Cow::Owned(shown) => Some(Value::String(shown)),
    }
}

/// The same of the elements of a list.
fn each(items: &[Value], shown: impl Fn(&Value) -> Option<Value>) -> Option<Value> {
    let (at, first) = items
        .iter()
        .enumerate()
        .find_map(|(at, item)| Some((at, shown(item)?)))?;
    let (before, behind) = items.split_at_checked(at)?;
    let behind = behind.iter().skip(1);
    let behind = behind.map(|item| shown(item).unwrap_or_else(|| item.clone()));
    let items = before.iter().cloned().chain([first]).chain(behind);
    Some(Value::Array(items.collect()))
}

/// What is shown in place of a table; none if that is the table itself. The
/// recursion is as deep as the table, which no parser lets grow far.
fn shown_table(place: Option<Place>, table: &Table) -> Option<Table> {
    let mut shown: Option<Table> = None;
    for (at, (key, value)) in table.iter().enumerate() {
        let child = place.and_then(|place| place.child(key));
        let in_place = in_place_of(child, value);
        let key = name(key);
        if shown.is_none() && in_place.is_none() && matches!(key, Cow::Borrowed(_)) {
            continue;
        }
        let shown = shown.get_or_insert_with(|| {
            let before = table.iter().take(at);
            before
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        });
        let value = in_place.unwrap_or_else(|| value.clone());
        shown.insert(key.into_owned(), value);
    }
    shown
}

/// A table as it may be shown.
pub(crate) fn table(place: Option<Place>, table: &Table) -> Shown {
    Shown(shown_table(place, table).unwrap_or_else(|| table.clone()))
}

/// What of a table may be shown.
pub(crate) struct Shown(Table);

impl Shown {
    pub(crate) fn into_table(self) -> Table {
        self.0
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Exposed::table(&self.0), f)
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Exposed::table(&self.0).serialize(serializer)
    }
}

/// A value that shows of itself what is known to be harmless.
///
/// Values of settings that containerd has and that hold no credentials are
/// shown, URLs among them without user and query; of everything else there is
/// `<hidden>`, its kind and its length.
#[derive(Clone, PartialEq)]
pub struct Redacted {
    value: Value,
    /// What is shown in its place.
    shown: Option<Value>,
}

impl Redacted {
    /// A value by its place in the config; none is known for what containerd
    /// does not know.
    pub(crate) fn new(place: Option<Place>, value: Value) -> Self {
        let shown = in_place_of(place, &value);
        Redacted { value, shown }
    }

    /// The value, whatever is in it.
    pub fn expose(&self) -> &Value {
        &self.value
    }

    /// Whether something of it is not shown.
    pub fn is_hidden(&self) -> bool {
        self.shown.is_some()
    }

    /// Shows all of it from now on.
    pub(crate) fn reveal(&mut self) {
        self.shown = None;
    }

    fn shown(&self) -> &Value {
        self.shown.as_ref().unwrap_or(&self.value)
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write::write_value(&mut text, self.shown());
        f.write_str(&text)
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Redacted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        with_json_form(self.shown()).exposed().serialize(serializer)
    }
}

/// A value whose parts all have a form in JSON: what has none is a text.
fn with_json_form(value: &Value) -> Value {
    match value {
        Value::Datetime(datetime) => Value::String(datetime.to_string()),
        Value::Float(number) if !number.is_finite() => Value::String(number.to_string()),
        Value::Array(items) => Value::Array(items.iter().map(with_json_form).collect()),
        Value::Table(table) => {
            let keys = table.iter();
            let keys = keys.map(|(key, value)| (key.clone(), with_json_form(value)));
            Value::Table(keys.collect())
        }
        value => value.clone(),
    }
}

/// What is behind something that is shown, if there is more to it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Behind(pub(crate) Option<String>);

impl Behind {
    /// Puts it in place of what is shown.
    pub(crate) fn reveal(&mut self, shown: &mut String) {
        if let Some(whole) = self.0.take() {
            *shown = whole;
        }
    }
}

impl fmt::Debug for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "…" } else { "nothing" })
    }
}

/// A text to write, and the one to show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) full: String,
    /// What is shown, where that is not all.
    pub(crate) redacted: Option<String>,
}

impl Text {
    pub(crate) fn shown(&self) -> &str {
        self.redacted.as_deref().unwrap_or(&self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_like_one() {
        for plain in [
            "runc",
            "docker.io",
            "*",
            "_default",
            "registry.example:5000",
            "https://index.docker.io/v1/",
            "[::1]:5000",
            "::1",
            "10.0.0.1:5000",
            "io.containerd.grpc.v1.cri",
            "/usr/bin/runc",
            "größe",
            "",
        ] {
            assert_eq!(name(plain), plain);
        }
        for other in [
            "robot:hunter2@registry.example",
            "https://robot:hunter2@registry.example",
            "robot:hunter2",
            "password=hunter2",
            "Basic aHVudGVyMg==",
            "registry.example/?token=hunter2",
            "a b",
            "a\u{202e}b",
            "a\u{2028}b",
            "line\nbreak",
            "'quoted'",
            "[::1]hunter2",
        ] {
            assert_eq!(name(other), hidden_as("name", other));
        }
        assert_eq!(name("a b"), "<hidden> (name, 3 characters)");
        assert!(matches!(name(&"k".repeat(LONGEST_NAME)), Cow::Borrowed(_)));
        assert!(matches!(name(&"k".repeat(LONGEST_NAME + 1)), Cow::Owned(_)));
    }

    #[test]
    fn texts_of_settings() {
        for plain in [
            "registry.k8s.io/pause:3.9",
            "registry.example:5000/pause@sha256:00ff",
            "/opt/cni/bin",
            "unix:///run/x.sock",
            "https://mirror.example:5000/v2/proxy",
            "https://[fd00::1]:5000",
            "10.0.0.0/8",
            "linux/amd64",
            "1h30m",
            "{{ .Image }}",
            "{{image}}:{{ tag }}",
            "<registry>/pause:3.9",
            "${REGISTRY}/pause",
            "%s/pause",
            "",
        ] {
            assert_eq!(harmless(plain).as_deref(), Some(plain));
        }
        for (url, shown) in [
            ("https://u:p@h/x", "https://…@h/x"),
            ("https://u@h", "https://…@h"),
            ("https://u:a/b@h", "https://…@h"),
            ("https://u:a b@h", "https://…@h"),
            ("https://h/x?token=p", "https://h/x?…"),
            ("https://h/x#p", "https://h/x?…"),
            ("https://u:p@h/x?a=b", "https://…@h/x?…"),
            ("https://u:p@sha256:00", "https://…@sha256:00"),
            ("https://h/x@sha256:00", "https://h/x@sha256:00"),
        ] {
            assert_eq!(harmless(url).as_deref(), Some(shown), "{url}");
        }
        for other in [
            "https://h/?a=b@c",
            "https://u:p?x@h",
            "u:p@h",
            "me@example.com",
            "PASSWORD=x",
            "--registry-auth=x",
            "docker login -p x",
            "{{ pass | default \"x\" }}",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n",
            "a\u{202e}b",
            "pause@sha256:00 x",
            "${IMAGE:-x}",
        ] {
            assert_eq!(harmless(other), None, "{other}");
        }
        assert_eq!(harmless(&"a".repeat(LONGEST_TEXT + 1)), None);
        assert_eq!(text("a=b"), "<hidden> (string, 3 characters)");
    }

    fn shown(path: &[&str], value: &str) -> String {
        let value = format!("a = {value}\n");
        let value = toml_edit::Document::parse(value.as_str()).unwrap();
        let mut table = crate::value::table_of(value.as_table());
        let value = table.remove("a").unwrap();
        Redacted::new(crate::Config::place_of(path), value).to_string()
    }

    #[test]
    fn values_by_their_place() {
        let cri = "io.containerd.grpc.v1.cri";
        let config = ["plugins", cri, "registry", "configs", "h"];
        let auth = [&config[..], &["auth"]].concat();
        let at = |key| [&auth[..], &[key]].concat();
        assert_eq!(
            shown(&at("password"), "'hunter2'"),
            "\"<hidden> (string, 7 characters)\""
        );
        assert_eq!(
            shown(&at("username"), "'me'"),
            "\"<hidden> (string, 2 characters)\""
        );
        assert_eq!(shown(&at("password"), "1234"), "\"<hidden> (integer)\"");
        assert_eq!(shown(&at("nobody"), "1234"), "\"<hidden> (integer)\"");
        assert_eq!(
            shown(&at("nobody"), "['a', 'b']"),
            "\"<hidden> (list, 2 elements)\""
        );
        assert_eq!(shown(&at("nobody"), "true"), "true");
        // A text where a table belongs.
        assert_eq!(
            shown(&auth, "'hunter2'"),
            "\"<hidden> (string, 7 characters)\""
        );
        let handler = ["plugins", cri, "containerd", "runtimes", "x"];
        let handler = |more: &[&'static str]| [&handler[..], more].concat();
        assert_eq!(
            shown(&handler(&["runtime_type"]), "'io.containerd.x.v1'"),
            "\"io.containerd.x.v1\""
        );
        assert_eq!(
            shown(&handler(&["options"]), "{ Root = '/x', Token = 'hunter2' }"),
            "{ Root = \"/x\", Token = \"<hidden> (string, 7 characters)\" }"
        );
        assert_eq!(
            shown(&handler(&["pod_annotations"]), "['a.b/*', 'x=hunter2']"),
            "[\"a.b/*\", \"<hidden> (string, 9 characters)\"]"
        );
        assert_eq!(
            shown(&["stream_processors", "s", "args"], "['-u', 'x']"),
            "\"<hidden> (list, 2 elements)\""
        );
        assert_eq!(
            shown(&["proxy_plugins", "p", "exports"], "{ a = 'x' }"),
            "{ a = \"<hidden> (string, 1 character)\" }"
        );
        // Names of timeouts are anybody's.
        for (value, text) in [
            ("'10s'", "\"10s\""),
            ("'10 s'", "\"<hidden> (string, 4 characters)\""),
            ("'7hunter2'", "\"<hidden> (string, 8 characters)\""),
            ("['x']", "\"<hidden> (list, 1 element)\""),
        ] {
            assert_eq!(shown(&["timeouts", "t"], value), text);
        }
        // Numbers of settings, and texts in their place.
        assert_eq!(shown(&["oom_score"], "-999"), "-999");
        assert_eq!(
            shown(&["oom_score"], "'a b'"),
            "\"<hidden> (string, 3 characters)\""
        );
    }

    #[test]
    fn comments_by_their_length() {
        assert_eq!(
            comment(["# a", "# b"]).as_deref(),
            Some("# <hidden> (comment of 2 lines, 6 characters)")
        );
        assert_eq!(
            comment(["# a"]).as_deref(),
            Some("# <hidden> (comment, 3 characters)")
        );
        assert_eq!(comment([]), None);
    }

    #[test]
    fn texts_that_would_change_what_is_around_them() {
        assert_eq!(
            printable("a\u{202e}b\n\u{2028}"),
            "a\u{fffd}b\u{fffd}\u{fffd}"
        );
        assert_eq!(printable("größe"), "größe");
    }
}
