//! toml-merge 0.2.0, by which k0s 1.27.5 – 1.35 lay CRI drop-ins over the
//! generated defaults: TOML to JSON, an RFC 7396 merge patch, JSON by way of
//! YAML back to TOML. The detour changes some values and chokes on others.

use crate::value::{Table, Value};

/// A value that stops k0s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// JSON has neither.
    #[error("a float that is nan or infinite stops k0s")]
    NotFinite,
    /// YAML allows none of them.
    #[error("the control character U+{0:04X} stops k0s")]
    Control(u32),
    /// go-toml 1.9 does not undo the escape that the result is written with.
    #[error("containerd cannot read a name with {0:?} in it as k0s's merge writes it")]
    Escaped(char),
    /// YAML's limit for simple keys, which counts a key as JSON writes it.
    #[error("a key of over 1022 characters stops k0s; `<`, `>` and `&` count six times")]
    LongKey,
}

/// The longest key that passes, in characters of JSON, its quotes included.
const LONGEST_KEY: usize = 1024;

/// Whether a value comes out of the merge as it went in.
///
/// # Errors
/// If it would stop k0s.
pub fn survives(value: &Value) -> Result<bool, MergeError> {
    match value {
        Value::Float(number) => Ok(passed_float(*number)? == *value),
        Value::String(text) => check_text(text).map(|()| !text.contains(FOLDED)),
        Value::Datetime(_) => Ok(false),
        Value::Array(items) => all(items.iter().map(survives)),
        Value::Table(table) => all(table.iter().map(|(key, value)| {
            check_key(key)?;
            survives(value)
        })),
        Value::Integer(_) | Value::Boolean(_) => Ok(true),
    }
}

fn all(mut each: impl Iterator<Item = Result<bool, MergeError>>) -> Result<bool, MergeError> {
    each.try_fold(true, |all, one| Ok(all & one?))
}

/// Lays `patch` over `base`: tables merge, everything else replaces.
pub(super) fn merge(base: &mut Table, patch: Table) -> Result<(), MergeError> {
    for (key, value) in patch {
        check_key(&key)?;
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(patch)) => merge(base, patch)?,
            (_, value) => drop(base.insert(key, passed(value)?)),
        }
    }
    Ok(())
}

/// What becomes of a value on its way through the merge.
pub(crate) fn passed(value: Value) -> Result<Value, MergeError> {
    Ok(match value {
        Value::Float(number) => passed_float(number)?,
        Value::String(text) => Value::String(passed_text(text)?),
        Value::Datetime(datetime) => Value::String(datetime.in_json()),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(passed).collect::<Result<_, _>>()?)
        }
        Value::Table(table) => {
            let mut merged = Table::new();
            merge(&mut merged, table)?;
            Value::Table(merged)
        }
        value @ (Value::Integer(_) | Value::Boolean(_)) => value,
    })
}

/// JSON does not tell `1.0` from `1`, so an integral float becomes an integer,
/// which containerd 1.7 refuses for a float setting. JSON has the shortest
/// digits that tell a float from its neighbours, and zeros behind them.
fn passed_float(number: f64) -> Result<Value, MergeError> {
    if !number.is_finite() {
        return Err(MergeError::NotFinite);
    }
    let json = number.to_string();
    let integer = json.parse::<i64>().ok();
    // YAML has unsigned integers too, TOML has none to show them with.
    let unsigned = || json.parse::<u64>().ok().map(|_| i64::MAX);
    Ok(match integer.or_else(unsigned) {
        Some(integer) => Value::Integer(integer),
        None => Value::Float(number),
    })
}

/// A line break to YAML, which folds lines.
const FOLDED: char = '\u{85}';

fn passed_text(text: String) -> Result<String, MergeError> {
    check_text(&text)?;
    Ok(match text.contains(FOLDED) {
        true => folded(&text),
        false => text,
    })
}

/// What YAML makes of line breaks: blanks around them go, one is a blank, and of
/// several all but the first stay. What JSON escapes is no blank.
fn folded(text: &str) -> String {
    let mut lines = text.split(FOLDED).peekable();
    let mut folded = String::new();
    let mut breaks: usize = 0;
    while let Some(line) = lines.next() {
        let line = match breaks {
            0 => line,
            _ => line.trim_start_matches(' '),
        };
        let is_last = lines.peek().is_none();
        let line = match is_last {
            true => line,
            false => line.trim_end_matches(' '),
        };
        if !line.is_empty() || is_last {
            match breaks {
                0 => {}
                1 => folded.push(' '),
                _ => folded.extend(std::iter::repeat_n('\n', breaks - 1)),
            }
            breaks = 0;
        }
        folded.push_str(line);
        breaks += 1;
    }
    folded
}

fn check_text(text: &str) -> Result<(), MergeError> {
    match text.chars().find(|c| stops_yaml(*c)) {
        Some(c) => Err(MergeError::Control(u32::from(c))),
        None => Ok(()),
    }
}

/// Whether a key passes.
pub(crate) fn check_key(key: &str) -> Result<(), MergeError> {
    if key.chars().map(length_in_json).sum::<usize>() + 2 > LONGEST_KEY {
        return Err(MergeError::LongKey);
    }
    if let Some(c) = key.chars().find(|c| stops_yaml(*c) || *c == FOLDED) {
        return Err(MergeError::Control(u32::from(c)));
    }
    // k0s writes the merged file, and containerd reads it.
    if let Some(c) = key
        .chars()
        .find(|c| matches!(c, '"' | '\\') || c.is_control())
    {
        return Err(MergeError::Escaped(c));
    }
    Ok(())
}

/// How many characters Go's JSON writes for one that may stand in a key.
fn length_in_json(c: char) -> usize {
    match c {
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => r"\u003c".len(),
        _ => 1,
    }
}

fn stops_yaml(c: char) -> bool {
    matches!(c, '\u{7f}' | '\u{80}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::table_of;

    fn read(text: &str) -> Table {
        table_of(toml_edit::Document::parse(text).unwrap().as_table())
    }

    #[track_caller]
    fn check(base: &str, patch: &str, merged: &str) {
        let mut table = read(base);
        merge(&mut table, read(patch)).unwrap();
        assert_eq!(table, read(merged));
    }

    #[test]
    fn tables_merge_and_the_rest_replaces() {
        check(
            "[t]\na = 1\nb = [1, 2]\n",
            "[t]\nb = [3]\n[t.u]\n",
            "[t]\na = 1\nb = [3]\n[t.u]\n",
        );
        check("a = 1\n", "[a]\nb = 1\n", "[a]\nb = 1\n");
        check("[a]\nb = 1\n", "a = []\n", "a = []\n");
        check(
            "[[a]]\nb = 1\n[[a]]\nb = 2\n",
            "[[a]]\nc = 3\n",
            "[[a]]\nc = 3\n",
        );
        check(
            "Version = 2\n",
            "version = 1\n",
            "Version = 2\nversion = 1\n",
        );
    }

    /// Wherever a value stands: in a table that merges, in one that is new, and in
    /// the tables and lists of lists.
    #[test]
    fn every_value_takes_the_detour() {
        for (before, after) in [
            ("1.0", "1"),
            ("1979-05-27", "\"1979-05-27\""),
            ("[[1.0, 0.5], [\"a\\u0085b\"]]", "[[1, 0.5], [\"a b\"]]"),
            (
                "[{ a = 2.0, b = [{ c = 3.0 }] }]",
                "[{ a = 2, b = [{ c = 3 }] }]",
            ),
        ] {
            check(
                "k = 5\n",
                &format!("k = {before}\n"),
                &format!("k = {after}\n"),
            );
            for base in ["", "[t.u]\nk = 5\n", "[t]\nu = 5\n"] {
                check(
                    base,
                    &format!("[t.u]\nk = {before}\n"),
                    &format!("[t.u]\nk = {after}\n"),
                );
            }
            check(
                "[[t]]\nk = 5\n[[t]]\n",
                &format!("[[t]]\n[[t.u]]\nk = {before}\n"),
                &format!("[[t]]\n[[t.u]]\nk = {after}\n"),
            );
        }
        // What the patch does not have is not on its way.
        check("[t]\na = 1.0\n", "[t]\nb = 1\n", "[t]\na = 1.0\nb = 1\n");
    }

    #[test]
    fn dates_and_times_become_text() {
        for (date, text) in [
            ("1979-05-27T07:32:00Z", "1979-05-27T07:32:00Z"),
            ("1979-05-27 07:32:00+00:00", "1979-05-27T07:32:00Z"),
            ("1979-05-27T07:32:00.500Z", "1979-05-27T07:32:00.5Z"),
            ("1979-05-27T07:32:00.000Z", "1979-05-27T07:32:00Z"),
            (
                "1979-05-27T00:32:00.999999-07:00",
                "1979-05-27T00:32:00.999999-07:00",
            ),
            ("1979-05-27 07:32:00", "1979-05-27T07:32:00"),
            ("1979-05-27T07:32:00.5", "1979-05-27T07:32:00.500000000"),
            ("1979-05-27", "1979-05-27"),
            ("07:32:00", "07:32:00"),
            ("07:32:00.000001", "07:32:00.000001000"),
        ] {
            check("", &format!("a = {date}\n"), &format!("a = \"{text}\"\n"));
        }
    }

    /// As encoding/json of Go writes them and yaml.v3 3.0.1 reads them.
    #[test]
    fn json_changes_numbers() {
        for (before, after) in [
            ("1.0", "1"),
            ("-1.0", "-1"),
            ("-0.0", "0"),
            ("1e6", "1000000"),
            ("3.14e2", "314"),
            ("0.5", "0.5"),
            ("-0.5", "-0.5"),
            ("1e-7", "1e-7"),
            ("123456789012345678.0", "123456789012345680"),
            // 2^60: the shortest digits, not the exact ones.
            ("1152921504606846976.0", "1152921504606847000"),
            ("9223372036854774784.0", "9223372036854775000"),
            ("-9223372036854774784.0", "-9223372036854775000"),
            // -2^63 is no integer any more in its shortest digits.
            ("-9223372036854775808.0", "-9223372036854775808.0"),
            ("-1e19", "-1e19"),
            // 2^64 and more.
            ("18446744073709551616.0", "18446744073709551616.0"),
            ("1e20", "1e20"),
            ("1e21", "1e21"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
        ] {
            check("", &format!("a = {before}\n"), &format!("a = {after}\n"));
        }
        // From 2^63 on they are integers that TOML does not have.
        for number in ["9223372036854775808.0", "1e19", "18446744073709549568.0"] {
            let mut table = Table::new();
            merge(&mut table, read(&format!("a = {number}\n"))).unwrap();
            assert!(matches!(table["a"], Value::Integer(_)), "{number}");
        }
    }

    /// As yaml.v3 3.0.1 reads the JSON string.
    #[test]
    fn next_line_is_folded() {
        for (before, after) in [
            ("\u{85}x", " x"),
            ("a\u{85}b", "a b"),
            ("a\u{85}", "a "),
            ("\u{85}", " "),
            ("a\u{85}\u{85}b", "a\nb"),
            ("\u{85}\u{85}\u{85}", "\n\n"),
            ("a \u{85}  b", "a b"),
            (" \u{85} ", " "),
            ("  a\u{85}b", "  a b"),
            ("a\u{85} \u{85}b", "a\nb"),
            ("a\u{85}\u{85} \u{85} b", "a\n\nb"),
            // JSON escapes tabs and line feeds.
            ("a\n\u{85}\tb", "a\n \tb"),
            ("a \u{85}\t\u{85}b", "a \t b"),
            ("a\u{85}b\u{85}\u{85} c ", "a b\nc "),
        ] {
            let value = Value::String(before.to_owned());
            assert_eq!(survives(&value), Ok(false), "{before:?}");
            assert_eq!(
                passed(value),
                Ok(Value::String(after.to_owned())),
                "{before:?}"
            );
        }
    }

    fn key(key: String) -> Value {
        Value::Table(Table::from([(key, Value::Boolean(true))]))
    }

    /// As yaml.v3 3.0.1 takes them: not DEL, not U+0080 to U+009F, not U+FFFE and
    /// U+FFFF; and U+0085 breaks the line in a key.
    #[test]
    fn control_characters() {
        for c in [
            '\u{7f}', '\u{80}', '\u{84}', '\u{86}', '\u{9f}', '\u{fffe}', '\u{ffff}',
        ] {
            let stops = Err(MergeError::Control(u32::from(c)));
            let text = Value::String(format!("a{c}b"));
            assert_eq!(survives(&text), stops, "{c:?}");
            assert_eq!(passed(text).map(|_| true), stops, "{c:?}");
            assert_eq!(survives(&key(format!("a{c}b"))), stops, "{c:?}");
        }
        assert_eq!(
            survives(&key("a\u{85}b".to_owned())),
            Err(MergeError::Control(0x85))
        );
        for c in [
            '\0',
            '\u{1}',
            '\t',
            '\n',
            '\r',
            '\u{1f}',
            ' ',
            '~',
            '"',
            '\\',
            '\u{a0}',
            '\u{d7ff}',
            '\u{e000}',
            '\u{feff}',
            '\u{fffd}',
            '\u{10000}',
            '\u{1fffe}',
            '\u{10ffff}',
            '\u{2028}',
        ] {
            let text = Value::String(format!("a{c}b"));
            assert_eq!(survives(&text), Ok(true), "{c:?}");
            assert_eq!(passed(text.clone()), Ok(text), "{c:?}");
        }
        for c in [
            ' ',
            '~',
            '\u{a0}',
            '\u{feff}',
            '\u{fffd}',
            '\u{10000}',
            '\u{2028}',
            '.',
            ']',
        ] {
            assert_eq!(survives(&key(format!("a{c}b"))), Ok(true), "{c:?}");
        }
        // Written with an escape, which go-toml 1.9.5 does not undo in a key.
        for c in ['"', '\\', '\0', '\t', '\n', '\u{1f}'] {
            let stops = Err(MergeError::Escaped(c));
            assert_eq!(survives(&key(format!("a{c}b"))), stops, "{c:?}");
        }
    }

    /// yaml.v3 3.0.1 takes a key of 1,022 plain characters, whatever their length in
    /// bytes, and none of 1,023: JSON's quotes count. It counts `<` as `\u003c`.
    #[test]
    fn long_keys() {
        for (character, longest) in [("k", 1022), ("é", 1022), ("😀", 1022), ("<", 170)] {
            let longest = character.repeat(longest);
            assert_eq!(check_key(&longest), Ok(()), "{character}");
            let longer = format!("{longest}{character}");
            assert_eq!(check_key(&longer), Err(MergeError::LongKey), "{character}");
        }
        for c in ['<', '>', '&', '\u{2028}', '\u{2029}'] {
            let rest = "k".repeat(1016);
            assert_eq!(check_key(&format!("{rest}{c}")), Ok(()), "{c:?}");
            assert_eq!(
                check_key(&format!("k{rest}{c}")),
                Err(MergeError::LongKey),
                "{c:?}"
            );
        }
        assert_eq!(survives(&Value::String("k".repeat(100_000))), Ok(true));
    }

    #[test]
    fn some_values_stop_k0s() {
        let stops = |patch: &str| merge(&mut Table::new(), read(patch)).unwrap_err();
        for number in ["nan", "inf", "-inf"] {
            assert_eq!(stops(&format!("a = {number}\n")), MergeError::NotFinite);
        }
        assert_eq!(stops("a = [\"\\u007f\"]\n"), MergeError::Control(0x7f));
    }

    /// Keys and values are looked at wherever they stand, be the table there in the
    /// base or not.
    #[test]
    fn what_stops_k0s_stops_it_anywhere() {
        for (patch, error) in [
            ("\"\\u0090\" = 1\n", MergeError::Control(0x90)),
            ("[\"\\u0090\"]\n", MergeError::Control(0x90)),
            ("k = nan\n", MergeError::NotFinite),
            ("k = \"\\uFFFE\"\n", MergeError::Control(0xfffe)),
            ("'a\"b' = 1\n", MergeError::Escaped('"')),
        ] {
            for base in ["", "[t.u]\nk = 1\n", "[[t]]\n"] {
                for place in ["", "[t.u]\n", "[[t]]\n[[t]]\n"] {
                    let patch = read(&format!("{place}{patch}"));
                    let found = merge(&mut read(base), patch.clone()).unwrap_err();
                    assert_eq!(found, error, "{base:?} {place:?}");
                    assert_eq!(
                        survives(&Value::Table(patch)),
                        Err(error.clone()),
                        "{place:?}"
                    );
                }
            }
        }
    }

    /// What survives is what passes unchanged.
    #[test]
    fn survivors_are_what_passes_unchanged() {
        for (text, survives_it) in [
            ("a = 1\nb = true\nc = 0.5\nd = \"x\"\ne = []\n[f]\n", true),
            ("a = 1.0\n", false),
            ("a = 1979-05-27\n", false),
            ("a = [1.0]\n", false),
            ("a = [1, 0.5, [2.0]]\n", false),
            ("[a]\nb = [{ c = 1.0 }, { c = 0.5 }]\n", false),
            // The last one alone does not decide.
            ("a = [1.0, 0.5]\nb = 0.5\n", false),
        ] {
            let value = Value::Table(read(text));
            assert_eq!(survives(&value), Ok(survives_it), "{text}");
            assert_eq!(
                passed(value.clone()).unwrap() == value,
                survives_it,
                "{text}"
            );
        }
    }
}
