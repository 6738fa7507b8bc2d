//! Writes TOML that BurntSushi 0.3, go-toml 1.9 and go-toml 2 read alike:
//! plain headers, one key a line, basic strings, LF.
//!
//! toml_edit's own writer chooses literal and multi-line strings, writes
//! dates where go-toml 1.9 stumbles over them, and knows nothing of keys that
//! go-toml 1.9 misreads in headers; hence this small one.

use std::borrow::Cow;

use crate::shown::is_disruptive;
use crate::value::{Table, Value};

/// A growing TOML text.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    text: String,
    /// The header of the table that the next key goes to.
    table: String,
}

impl Writer {
    pub(crate) fn comment(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    pub(crate) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Opens a table, unless it is open.
    pub(crate) fn open(&mut self, path: &[impl AsRef<str>], comments: &[Cow<'_, str>]) {
        let header = dotted(path);
        if self.table == header && comments.is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        comments.iter().for_each(|line| self.comment(line));
        self.text.push('[');
        self.text.push_str(&header);
        self.text.push_str("]\n");
        self.table = header;
    }

    /// Writes a key into the open table.
    pub(crate) fn key(&mut self, key: &str, value: &Value, comments: &[Cow<'_, str>]) {
        comments.iter().for_each(|line| self.comment(line));
        write_key(&mut self.text, key);
        self.text.push_str(" = ");
        write_value(&mut self.text, value);
        self.text.push('\n');
    }

    /// Writes a key into a table inside of the open one. Where such a key may
    /// stand, its reader must be known.
    pub(crate) fn key_inside(&mut self, table: &str, key: &str, value: &Value) {
        write_path(&mut self.text, &[table, key]);
        self.text.push_str(" = ");
        write_value(&mut self.text, value);
        self.text.push('\n');
    }

    /// Writes all of `table`, whose path is `path`: its own keys, then the
    /// tables inside. The recursion is as deep as the value, which no parser
    /// in use lets grow beyond 80 levels a notation.
    fn table(&mut self, path: &mut Vec<String>, table: &Table) {
        let (tables, keys): (Vec<_>, Vec<_>) = table
            .iter()
            .partition(|(_, value)| matches!(value, Value::Table(_)));
        if !path.is_empty() && (!keys.is_empty() || tables.is_empty()) {
            self.open(path, &[]);
        }
        for (key, value) in keys {
            self.key(key, value, &[]);
        }
        for (key, value) in tables {
            if let Value::Table(inner) = value {
                path.push(key.clone());
                self.table(path, inner);
                path.pop();
            }
        }
    }

    /// The text. It may be kept for long: without room to grow.
    pub(crate) fn finish(mut self) -> String {
        self.text.shrink_to_fit();
        self.text
    }
}

/// The text of a whole file.
pub(crate) fn document(table: &Table) -> String {
    let mut writer = Writer::default();
    writer.table(&mut Vec::new(), table);
    writer.finish()
}

/// A path as TOML writes it.
pub(crate) fn dotted(path: &[impl AsRef<str>]) -> String {
    // With the dots, and quotes around each.
    let length = path.iter().map(|key| key.as_ref().len() + 3).sum();
    let mut text = String::with_capacity(length);
    write_path(&mut text, path);
    text
}

fn write_path(out: &mut String, path: &[impl AsRef<str>]) {
    for (at, key) in path.iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        write_key(out, key.as_ref());
    }
}

/// Whether a key can be written so that all parsers in play read it alike.
///
/// go-toml 1.9 does not undo escapes in headers and refuses `\"` in keys, so
/// single quotes must do where an escape would be needed.
pub(crate) fn is_portable_key(key: &str) -> bool {
    let quotes = key.contains('"') && key.contains('\'');
    let escapes = key.contains('\\') && key.contains('\'');
    !quotes && !escapes && !key.chars().any(char::is_control)
}

/// Whether a key can stand in a header: go-toml 1.9 takes brackets in quotes
/// for the header's own.
pub(crate) fn is_portable_in_header(key: &str) -> bool {
    !key.contains(['[', ']'])
}

fn write_key(out: &mut String, key: &str) {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let escaped = |b: u8| b == b'"' || b == b'\\';
    if !key.is_empty() && key.bytes().all(bare) {
        out.push_str(key);
    } else if key.bytes().any(escaped) && !key.contains('\'') && !key.chars().any(char::is_control)
    {
        out.push('\'');
        out.push_str(key);
        out.push('\'');
    } else {
        write_string(out, key);
    }
}

pub(crate) fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => write_string(out, text),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::Float(number) => write_float(out, *number),
        Value::Boolean(flag) => out.push_str(&flag.to_string()),
        Value::Datetime(datetime) if datetime.is_local_date() => {
            // go-toml 1.9 reads a local date only in front of a blank.
            out.push_str(&format!("{datetime} "));
        }
        Value::Datetime(datetime) => out.push_str(&datetime.to_string()),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Table(table) => write_table(out, table),
    }
}

/// A table on one line.
pub(crate) fn write_table(out: &mut String, table: &Table) {
    if table.is_empty() {
        return out.push_str("{}");
    }
    out.push_str("{ ");
    for (at, (key, value)) in table.iter().enumerate() {
        out.push_str(if at > 0 { ", " } else { "" });
        write_key(out, key);
        out.push_str(" = ");
        write_value(out, value);
    }
    out.push_str(" }");
}

fn write_float(out: &mut String, number: f64) {
    if number.is_nan() {
        out.push_str("nan");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 { "inf" } else { "-inf" });
    } else if number.abs() < 1e15 {
        out.push_str(&format!("{number:?}"));
    } else {
        out.push_str(&format!("{number:.1}"));
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push_str(text);
        out.push('"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_disruptive(c) => match u32::from(c) {
                code @ ..=0xffff => out.push_str(&format!("\\u{code:04X}")),
                code => out.push_str(&format!("\\U{code:08X}")),
            },
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::table_of;

    fn read(text: &str) -> Table {
        table_of(toml_edit::Document::parse(text).unwrap().as_table())
    }

    #[test]
    fn writes_what_it_reads() {
        let text = concat!(
            "a = \"q\\\"\\\\\\u0001é\"\n",
            "b = [1, 2.5, [true], { x = \"y\" }]\n",
            "c = 1e20\n",
            "d = 1979-05-27 \n",
            "e = 0.02\n",
            "f = -inf\n\n",
            "[g]\n\n",
            "[h.\"i.j\".k]\nl = 1\n\n",
            "[h.'m\"n']\n",
        );
        let table = read(text);
        assert_eq!(read(&document(&table)), table);
        assert_eq!(document(&read(&document(&table))), document(&table));
        assert!(document(&table).contains("c = 100000000000000000000.0\n"));
        assert!(document(&table).contains("d = 1979-05-27 \n"));
        assert!(document(&table).contains("[h.'m\"n']\n"));
    }

    #[test]
    fn knows_the_keys_that_go_toml_misreads() {
        for key in ["docker.io", "*", "", "a b", "a\"b", "a\\b", "é", "[::1]"] {
            assert!(is_portable_key(key), "{key:?}");
        }
        for key in ["a\"b'", "a\nb", "a\\'"] {
            assert!(!is_portable_key(key), "{key:?}");
        }
        assert!(!is_portable_in_header("[::1]:5000"));
        assert!(!is_portable_in_header("a[b"));
    }
}
