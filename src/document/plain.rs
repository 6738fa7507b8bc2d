//! TOML that every parser in play reads alike.

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

#[cfg(test)]
mod tests {
    use crate::Document;

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
