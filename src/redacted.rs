//! What is shown in place of credentials.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::containerd::place::Place;
use crate::containerd::setting::Kind;
use crate::secret::{is_secret_name, is_secret_value, without_user};
use crate::value::{Table, Value};
use crate::write;

/// What stands for a credential.
pub(crate) const REDACTED: &str = "<redacted>";

/// A value that does not show itself if it is a credential.
#[derive(Clone, PartialEq)]
pub struct Redacted {
    value: Value,
    secret: bool,
}

impl Redacted {
    /// A value that is no credential unless it tells so itself.
    pub(crate) fn plain(value: Value) -> Self {
        Redacted::new(value, false)
    }

    /// A value that is a credential by its place, or tells so itself.
    pub(crate) fn new(value: Value, secret: bool) -> Self {
        let secret = secret || is_secret_value(&value);
        Redacted { value, secret }
    }

    /// The value, credential or not.
    pub fn expose(&self) -> &Value {
        &self.value
    }

    /// Whether it is a credential.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    fn shown(&self) -> Value {
        match self.secret {
            true => Value::String(REDACTED.to_owned()),
            false => self.value.clone(),
        }
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write::write_value(&mut text, &self.shown());
        f.write_str(&text)
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What JSON has no form for, as text.
fn plain(value: Value) -> Value {
    match value {
        Value::Datetime(datetime) => Value::String(datetime.to_string()),
        Value::Float(number) if !number.is_finite() => Value::String(number.to_string()),
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        Value::Table(table) => Value::Table(
            table
                .into_iter()
                .map(|(key, value)| (key, plain(value)))
                .collect(),
        ),
        value => value,
    }
}

impl Serialize for Redacted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        plain(self.shown()).serialize(serializer)
    }
}

/// A table without the credentials in it, as far as its place or they themselves
/// tell them.
pub(crate) fn redacted(place: Option<Place>, table: &Table) -> Table {
    let shown = |(key, value): (&String, &Value)| {
        let child = place.and_then(|place| place.child(key));
        let declared = match child {
            Some(child) => child.is_secret(value),
            None => place.is_some_and(|place| place.hides_unknown_keys()),
        };
        let is_secret = declared || is_secret_name(key);
        let is_map =
            child.is_some_and(|child| matches!(child.kind, Kind::Map(_) | Kind::Section(_)));
        let value = match value {
            Value::Table(inner) if !is_secret || is_map => Value::Table(redacted(child, inner)),
            value if is_secret || is_secret_value(value) => Value::String(REDACTED.to_owned()),
            value => value.clone(),
        };
        (without_user(key), value)
    };
    table.iter().map(shown).collect()
}

/// A text to write, which may hold credentials, and the one to show.
#[derive(Clone)]
pub(crate) struct Text {
    pub(crate) full: String,
    /// Without credentials, where there are any.
    pub(crate) redacted: Option<String>,
}

impl Text {
    pub(crate) fn shown(&self) -> &str {
        self.redacted.as_deref().unwrap_or(&self.full)
    }
}
