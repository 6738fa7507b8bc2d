//! TOML 1.1: toml_edit reads it, containerd 1.x does not.

use std::ops::Range;

use toml_edit::{Item, TableLike};

/// The first piece of TOML 1.1 in a table, and its name.
pub(crate) fn find(root: &dyn TableLike, text: &str) -> Option<(Range<usize>, &'static str)> {
    // Cheaper than a walk, and true of most files.
    if !text.contains(['\\', '{']) {
        return None;
    }
    find_in_table(root, text)
}

fn find_in_table(table: &dyn TableLike, text: &str) -> Option<(Range<usize>, &'static str)> {
    table.iter().find_map(|(_, item)| match item {
        Item::Value(value) => find_in_value(value, text),
        Item::Table(table) => find_in_table(table, text),
        Item::ArrayOfTables(tables) => tables.iter().find_map(|table| find_in_table(table, text)),
        Item::None => None,
    })
}

fn find_in_value(value: &toml_edit::Value, text: &str) -> Option<(Range<usize>, &'static str)> {
    match value {
        toml_edit::Value::String(string) => {
            let span = string.span()?;
            let raw = text.get(span.clone())?;
            let escaped = raw.starts_with('"') && has_new_escape(raw);
            escaped.then_some((span, "an escape `\\e` or `\\x`"))
        }
        toml_edit::Value::Array(array) => array.iter().find_map(|value| find_in_value(value, text)),
        toml_edit::Value::InlineTable(table) => {
            let span = table.span()?;
            if table.trailing_comma() {
                return Some((span, "a trailing comma in an inline table"));
            }
            table
                .iter()
                .find_map(|(_, value)| find_in_value(value, text))
        }
        _ => None,
    }
}

fn has_new_escape(raw: &str) -> bool {
    let mut escaped = false;
    raw.bytes().any(|byte| {
        let new = escaped && matches!(byte, b'e' | b'x');
        escaped = byte == b'\\' && !escaped;
        new
    })
}

#[cfg(test)]
mod tests {
    use crate::Document;

    #[test]
    fn tells_what_containerd_1_x_cannot_read() {
        let found = |text: &str| Document::parse("t", text.as_bytes()).unwrap().toml_1_1();
        assert!(found("a = { b = 1, }\n").is_some());
        assert!(found("[a]\nb = [\"\\x41\"]\n").is_some());
        let (span, _) = found("x = 1\na = \"\\e\"\n").unwrap();
        assert_eq!((span.line, span.column), (2, 5));
        assert_eq!(found("a = { b = \"\\\\e\" }\nc = '\\x'\n"), None);
    }
}
