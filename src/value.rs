//! Plain TOML values, free of the formatting that a [`Document`](crate::Document) keeps.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{shown, write};

/// A TOML table: keys in byte order, as k0s and containerd print them.
pub type Table = BTreeMap<String, Value>;

/// A TOML value.
///
/// A value does not know its place, and any may be a credential: `Debug` shows
/// flags and what is empty, and of all else the kind and the length.
/// [`Value::exposed`] shows everything.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// A string of any of the four TOML notations.
    String(String),
    /// An integer; TOML's range is that of `i64`.
    Integer(i64),
    /// A float, `nan` and `inf` included.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// One of the four TOML date-times.
    Datetime(Datetime),
    /// An array, an array of tables included.
    Array(Vec<Value>),
    /// A table of any notation.
    Table(Table),
}

/// A TOML date-time in its normal form (`T` between date and time).
#[derive(Clone, Debug, PartialEq)]
pub struct Datetime(toml_edit::Datetime);

impl fmt::Display for Datetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Datetime {
    /// Whether this is a date without a time, which go-toml 1.9 reads only
    /// when a blank or the end of the file follows.
    pub(crate) fn is_local_date(&self) -> bool {
        self.0.time.is_none()
    }

    /// What Go's JSON has of what go-toml 1.9.5 reads: a fraction in nine digits
    /// where there is no offset, else in as few as do, and no offset as `Z`.
    pub(crate) fn in_json(&self) -> String {
        let mut whole = self.0;
        let fraction = whole.time.as_mut().and_then(|time| time.nanosecond.take());
        let offset = whole.offset.take();
        let mut text = whole.to_string();
        if let Some(fraction) = fraction.filter(|fraction| *fraction > 0) {
            let digits = format!("{fraction:09}");
            text.push('.');
            text.push_str(match offset {
                Some(_) => digits.trim_end_matches('0'),
                None => &digits,
            });
        }
        if let Some(offset) = offset {
            let offset = match offset {
                toml_edit::Offset::Custom { minutes: 0 } => toml_edit::Offset::Z,
                offset => offset,
            };
            text.push_str(&offset.to_string());
        }
        text
    }
}

impl Value {
    /// The table behind this value, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match self {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The text of this value, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of this value, if it is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// TOML's name for the type of this value.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::String(_) => "string",
            Value::Integer(_) => "integer",
            Value::Float(_) => "float",
            Value::Boolean(_) => "boolean",
            Value::Datetime(_) => "date-time",
            Value::Array(_) => "array",
            Value::Table(_) => "table",
        }
    }

    /// Whether this is the zero value of its type in Go: what a struct field
    /// holds when nothing sets it.
    pub fn is_zero(&self) -> bool {
        match self {
            Value::String(text) => text.is_empty(),
            Value::Integer(number) => *number == 0,
            Value::Float(number) => *number == 0.0,
            Value::Boolean(flag) => !flag,
            Value::Datetime(_) => false,
            Value::Array(items) => items.is_empty(),
            Value::Table(table) => table.values().all(Value::is_zero),
        }
    }
}

impl From<&toml_edit::Value> for Value {
    fn from(value: &toml_edit::Value) -> Self {
        match value {
            toml_edit::Value::String(v) => Value::String(v.value().clone()),
            toml_edit::Value::Integer(v) => Value::Integer(*v.value()),
            toml_edit::Value::Float(v) => Value::Float(*v.value()),
            toml_edit::Value::Boolean(v) => Value::Boolean(*v.value()),
            toml_edit::Value::Datetime(v) => Value::Datetime(Datetime(*v.value())),
            toml_edit::Value::Array(v) => Value::Array(v.iter().map(Value::from).collect()),
            toml_edit::Value::InlineTable(v) => Value::Table(
                v.iter()
                    .map(|(key, value)| (key.to_owned(), Value::from(value)))
                    .collect(),
            ),
        }
    }
}

/// The plain value of a table of a parsed document.
pub(crate) fn table_of(table: &toml_edit::Table) -> Table {
    table
        .iter()
        .filter_map(|(key, item)| Some((key.to_owned(), value_of(item)?)))
        .collect()
}

/// The plain value of an item of a parsed document.
pub(crate) fn value_of(item: &toml_edit::Item) -> Option<Value> {
    match item {
        toml_edit::Item::None => None,
        toml_edit::Item::Value(value) => Some(Value::from(value)),
        toml_edit::Item::Table(table) => Some(Value::Table(table_of(table))),
        toml_edit::Item::ArrayOfTables(tables) => Some(Value::Array(
            tables
                .iter()
                .map(|table| Value::Table(table_of(table)))
                .collect(),
        )),
    }
}

/// Takes out tables that stand deeper than `levels` tables.
pub(crate) fn cut(table: &mut Table, levels: usize) {
    table.retain(|_, value| match value {
        Value::Table(inner) if levels == 0 => inner.is_empty(),
        Value::Table(inner) => {
            cut(inner, levels - 1);
            true
        }
        _ => true,
    });
}

/// Puts a value into a table; a table goes into the one that is there.
pub(crate) fn put(table: &mut Table, key: &str, value: Value) {
    match (table.get_mut(key), value) {
        (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
        (_, value) => drop(table.insert(key.to_owned(), value)),
    }
}

/// Adds the keys of a table to another, in tables that both have too; what is
/// no table replaces.
pub(crate) fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        put(into, &key, value);
    }
}

/// Puts a value at a path, whose tables are made where they are not there.
pub(crate) fn put_at(table: &mut Table, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => put(table, key, value),
        [key, rest @ ..] => {
            let mut inner = Table::new();
            put_at(&mut inner, rest, value);
            put(table, key, Value::Table(inner));
        }
    }
}

/// The key under which the toml crates hand a date-time through serde.
const DATETIME_FIELD: &str = "$__toml_private_datetime";

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&shown::value(self).exposed(), f)
    }
}

/// A value or a table with all that is in it, for whoever asks for that:
/// `Display` and `Debug` write it as TOML, serde as it is, a date-time in the way
/// of the toml crates. [`Value`] reads it back.
///
/// ```
/// use containerd_dropins::{Config, Document, Exposed, Value};
///
/// let value = Value::String("hunter2".to_owned());
/// assert_eq!(format!("{value:?}"), "\"<hidden> (string, 7 characters)\"");
/// assert_eq!(value.exposed().to_string(), "\"hunter2\"");
/// let file = Document::parse("containerd.toml", b"root = \"/x\"\n")?;
/// let table = Config::read(&file).to_table();
/// assert_eq!(Exposed::table(&table).to_string(), "{ root = \"/x\" }");
/// # Ok::<(), containerd_dropins::ParseError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Exposed<'a>(Part<'a>);

#[derive(Clone, Copy)]
enum Part<'a> {
    Value(&'a Value),
    Table(&'a Table),
}

impl Value {
    /// The value with all that is in it.
    pub fn exposed(&self) -> Exposed<'_> {
        Exposed(match self {
            Value::Table(table) => Part::Table(table),
            value => Part::Value(value),
        })
    }
}

impl<'a> Exposed<'a> {
    /// A table with all that is in it.
    pub fn table(table: &'a Table) -> Self {
        Exposed(Part::Table(table))
    }

    /// The text of a TOML file with the keys of the table, which is read alike by
    /// the parsers of containerd 1.x, of 2.x and of k0s; of another value what
    /// `Display` writes.
    ///
    /// ```
    /// use containerd_dropins::{Config, Document, Exposed};
    ///
    /// let file = Document::parse("containerd.toml", b"[debug]\nlevel = 'info'\n")?;
    /// let table = Config::read(&file).to_table();
    /// assert_eq!(Exposed::table(&table).to_toml(), "[debug]\nlevel = \"info\"\n");
    /// # Ok::<(), containerd_dropins::ParseError>(())
    /// ```
    pub fn to_toml(&self) -> String {
        match self.0 {
            Part::Table(table) => write::document(table),
            Part::Value(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Exposed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        match self.0 {
            Part::Value(value) => write::write_value(&mut text, value),
            Part::Table(table) => write::write_table(&mut text, table),
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Exposed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Exposed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Part::Table(table) => {
                serializer.collect_map(table.iter().map(|(key, value)| (key, value.exposed())))
            }
            Part::Value(value) => match value {
                Value::String(v) => serializer.serialize_str(v),
                Value::Integer(v) => serializer.serialize_i64(*v),
                Value::Float(v) => serializer.serialize_f64(*v),
                Value::Boolean(v) => serializer.serialize_bool(*v),
                Value::Datetime(v) => v.0.serialize(serializer),
                Value::Array(v) => serializer.collect_seq(v.iter().map(Value::exposed)),
                Value::Table(v) => Exposed::table(v).serialize(serializer),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a TOML value")
            }

            fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
                Ok(Value::Boolean(v))
            }

            fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
                Ok(Value::Integer(v))
            }

            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Value, E> {
                i64::try_from(v)
                    .map(Value::Integer)
                    .map_err(|_| E::custom("an integer beyond TOML's range"))
            }

            fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
                Ok(Value::Float(v))
            }

            fn visit_str<E>(self, v: &str) -> Result<Value, E> {
                Ok(Value::String(v.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Value::Array(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut table = Table::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if key == DATETIME_FIELD
                        && let Value::String(text) = &value
                        && let Ok(datetime) = text.parse()
                    {
                        return Ok(Value::Datetime(Datetime(datetime)));
                    }
                    table.insert(key, value);
                }
                Ok(Value::Table(table))
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}
