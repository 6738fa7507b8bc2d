//! TOML that every parser in play reads alike.

use std::ops::Range;

use toml_edit::{Item, Key, TableLike};

/// Whether a text may be handed on as it is: it has none of what go-toml 1.9,
/// with which k0s checks drop-ins, or another parser stumbles over. Dates,
/// strings of several lines, dotted keys, names with quotes or backslashes, and
/// headers with brackets in names are all counted as such; few files have any.
pub(crate) fn is_plain(table: &dyn TableLike, text: &str) -> bool {
    table.iter().all(|(name, item)| {
        let key = table.key(name);
        let in_header = !matches!(item, Item::Value(_));
        let unwritable = name.contains(['"', '\\']) || in_header && name.contains(['[', ']']);
        let named = !unwritable && key.is_none_or(is_written_plainly);
        let inside = match item {
            Item::Value(value) => is_plain_value(value, text),
            Item::Table(table) => !table.is_dotted() && is_plain(table, text),
            Item::ArrayOfTables(tables) => tables.iter().all(|table| is_plain(table, text)),
            Item::None => true,
        };
        named && inside
    })
}

fn is_written_plainly(key: &Key) -> bool {
    let raw = key.as_repr().and_then(|repr| repr.as_raw().as_str());
    raw.is_none_or(|raw| !raw.contains('\\'))
}

fn is_plain_value(value: &toml_edit::Value, text: &str) -> bool {
    let raw = value.span().and_then(|span| text.get(span)).unwrap_or("");
    match value {
        toml_edit::Value::Datetime(_) => false,
        toml_edit::Value::String(_) => !raw.starts_with("\"\"\"") && !raw.starts_with("'''"),
        toml_edit::Value::Array(array) => array.iter().all(|value| is_plain_value(value, text)),
        toml_edit::Value::InlineTable(table) => {
            let dotted = table.iter().any(|(_, value)| {
                value
                    .as_inline_table()
                    .is_some_and(toml_edit::InlineTable::is_dotted)
            });
            !dotted && !raw.contains('\n') && is_plain(table, text)
        }
        _ => true,
    }
}

/// The first piece of a text that is TOML 1.0 and that go-toml 1.9 does not
/// read, and its name. k0s reads drop-ins with it, and containerd 1.6 and 1.7 read
/// files with it.
pub(crate) fn unreadable(
    table: &dyn TableLike,
    text: &str,
) -> Option<(Range<usize>, &'static str)> {
    table.iter().find_map(|(name, item)| {
        let key = table.key(name)?;
        let at = key.span().unwrap_or_default();
        let raw = text.get(at.clone()).unwrap_or_default();
        if raw.starts_with('"') && raw.contains("\\\"") {
            return Some((at, "a quote in a name in double quotes"));
        }
        let in_header = match item {
            Item::Table(table) => !table.is_dotted(),
            Item::ArrayOfTables(_) => true,
            _ => false,
        };
        if in_header && name.contains(['[', ']']) {
            return Some((at, "a bracket in a name in a header"));
        }
        match item {
            Item::Value(value) => unreadable_value(value, text),
            Item::Table(table) => unreadable(table, text),
            Item::ArrayOfTables(tables) => tables.iter().find_map(|table| unreadable(table, text)),
            Item::None => None,
        }
    })
}

fn unreadable_value(value: &toml_edit::Value, text: &str) -> Option<(Range<usize>, &'static str)> {
    match value {
        toml_edit::Value::Array(array) => {
            return array.iter().find_map(|value| unreadable_value(value, text));
        }
        toml_edit::Value::InlineTable(table) => return unreadable(table, text),
        _ => {}
    }
    let at = value.span()?;
    let raw = text.get(at.clone())?;
    let behind = text.get(at.end..).and_then(|rest| rest.chars().next());
    let what = match value {
        toml_edit::Value::String(_) => {
            let inside = raw.get(3..raw.len().saturating_sub(3)).unwrap_or_default();
            let basic = raw.starts_with("\"\"\"") && inside.ends_with('"');
            let literal = raw.starts_with("'''") && inside.ends_with('\'');
            (basic || literal).then_some("more than three quotes at the end of a string")
        }
        toml_edit::Value::Datetime(_) if raw.contains(['t', 'z']) => {
            Some("a small letter in a date")
        }
        toml_edit::Value::Datetime(date) => match date.value().time {
            None => {
                let ends = behind.is_none_or(|next| matches!(next, ' ' | '\t'));
                (!ends).then_some("a date with nothing behind it")
            }
            Some(time) => (time.second == Some(60)).then_some("a leap second"),
        },
        _ => None,
    };
    what.map(|what| (at, what))
}

#[cfg(test)]
mod tests {
    use crate::Document;

    /// Each was given to containerd 1.7.24, whose parser is go-toml 1.9.5, by
    /// `containerd config dump`.
    #[test]
    fn tells_what_go_toml_refuses() {
        let refused = |text: &str| Document::parse("t", text.as_bytes()).unwrap().unreadable();
        for text in [
            "[timeouts]\n\"a\\\"b\" = \"1s\"\n",
            "[x.\"a]b\"]\nc = 1\n",
            "[x.\"a]b\".c]\nd = 1\n",
            "[x.\"a[b\"]\nc = 1\n",
            "[x]\na = \"\"\"\"json\"\"\"\"\n",
            "[x]\na = '''x''''\n",
            "[x]\nd = 1979-05-27\n",
            "[x]\nd = [1979-05-27]\n",
            "[x]\nd = 1979-05-27t07:32:00Z\n",
            "[x]\nd = 1979-05-27T07:32:60Z\n",
        ] {
            assert!(refused(text).is_some(), "{text}");
        }
        for text in [
            "[x]\n'a\"b' = \"\\\"\"\n\"a]b\" = 1\n",
            "[x]\na = \"\"\"x\ny\"\"\"\nb = ''''''\n",
            "[x]\nd = 1979-05-27T07:32:00Z\ne = 1979-05-27 # x\n",
            "x = { 'a]b' = { c = 1 } }\n",
        ] {
            assert_eq!(refused(text), None, "{text}");
        }
    }

    #[test]
    fn tells_what_go_toml_stumbles_over() {
        let plain = |text: &str| Document::parse("t", text.as_bytes()).unwrap().is_plain();
        assert!(plain(
            "# x\n[a.'b.c']\nd = [1, { e = 'f' }]\n[[g]]\nh = 0x1f\n\"[::1]\" = {}\n"
        ));
        for text in [
            "grpc. \"uid\" = 5\n",
            "a = \"\"\"\"json\"\"\"\"\n",
            "d = 1979-05-27\n",
            "d = [1979-05-27t07:32:00z]\n",
            "a = '''x''''\n",
            "\"a\\\"b\" = 1\n",
            "[x.\"a]b\"]\n",
            "[x.\"a[b\".c]\n",
            "a = { b.c = 1 }\n",
        ] {
            assert!(!plain(text), "{text}");
        }
    }
}
