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
    /// YAML's limit for simple keys.
    #[error("a key of over 1024 characters stops k0s")]
    LongKey,
}

/// The longest key that passes.
const LONGEST_KEY: usize = 1024;

/// 2^64: integral floats below it come out as integers.
const INTEGERS_END: f64 = 18_446_744_073_709_551_616.0;

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
        Value::Datetime(datetime) => Value::String(datetime.to_string()),
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
/// which containerd 1.7 refuses for a float setting.
fn passed_float(number: f64) -> Result<Value, MergeError> {
    if !number.is_finite() {
        return Err(MergeError::NotFinite);
    }
    if number.fract() == 0.0 && number.abs() < INTEGERS_END {
        // Saturates beyond i64, where TOML has no integers to show it with.
        return Ok(Value::Integer(number as i64));
    }
    Ok(Value::Float(number))
}

/// A line break to YAML: what follows it is folded.
const FOLDED: char = '\u{85}';

fn passed_text(text: String) -> Result<String, MergeError> {
    check_text(&text)?;
    Ok(match text.contains(FOLDED) {
        true => text.replace(FOLDED, " "),
        false => text,
    })
}

fn check_text(text: &str) -> Result<(), MergeError> {
    match text.chars().find(|c| stops_yaml(*c)) {
        Some(c) => Err(MergeError::Control(u32::from(c))),
        None => Ok(()),
    }
}

/// Whether a key passes.
pub(crate) fn check_key(key: &str) -> Result<(), MergeError> {
    if key.chars().count() > LONGEST_KEY {
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

    #[test]
    fn json_changes_numbers_and_dates() {
        check(
            "",
            "a = 1.0\nb = 0.5\nc = -0.0\n",
            "a = 1\nb = 0.5\nc = 0\n",
        );
        check(
            "",
            "a = 1979-05-27T07:32:00Z\n",
            "a = \"1979-05-27T07:32:00Z\"\n",
        );
        check("", "a = 1e20\n", "a = 1e20\n");
    }

    #[test]
    fn some_values_stop_k0s() {
        let stops = |patch: &str| merge(&mut Table::new(), read(patch)).unwrap_err();
        assert_eq!(stops("a = nan\n"), MergeError::NotFinite);
        assert_eq!(stops("a = [\"\\u007f\"]\n"), MergeError::Control(0x7f));
        assert_eq!(stops("\"\\u0090\" = 1\n"), MergeError::Control(0x90));
        assert_eq!(
            stops(&format!("{} = 1\n", "k".repeat(1025))),
            MergeError::LongKey
        );
        assert_eq!(survives(&Value::String("a\u{85}b".to_owned())), Ok(false));
        assert_eq!(survives(&Value::String("a\tb\u{1}".to_owned())), Ok(true));
    }
}
