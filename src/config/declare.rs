//! How a table of the config is declared: one line a setting, from which both
//! the Rust field and the [`Setting`] come.
//!
//! ```text
//! sections! {
//!     /// What the table is.
//!     pub struct Example: Plain {
//!         /// What the key is.
//!         pub field ["key in TOML"]: Option<String> = [V1_2 => Str("default")], .owned("somebody");
//!     }
//! }
//! ```
//!
//! The key in brackets is left out where it is the field's own name. The
//! entries behind `=` are the setting's [`History`]; what follows the comma
//! are builder calls of [`Setting`].
//!
//! [`History`]: crate::containerd::setting::History
//! [`Setting`]: crate::containerd::setting::Setting

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};

use super::table::Row;
use crate::containerd::place::Place;
use crate::containerd::setting::{Kind, Section};
use crate::shown;
use crate::value::{Table, Value};

/// A Rust type that can stand for a TOML value of a declared kind.
pub(crate) trait Typed: Sized {
    /// The declared kind.
    const KIND: Kind;

    /// Whether the value may be or hold a credential, so that it is not shown.
    const IS_HIDDEN: bool = false;

    /// Reads a value; one of another type is handed back.
    fn read(value: Value) -> Result<Self, Value>;

    /// The value to write, or `None` where there is nothing to write.
    fn write(&self) -> Option<Value>;
}

/// A table with declared keys, as a Rust struct.
pub(crate) trait Declared: Sized {
    const SECTION: &'static Section;

    /// The first row of the table that is the section's.
    const ROW: Row;

    fn from_table(table: Table) -> Self;

    fn to_table(&self) -> Table;
}

/// What of a table may be shown.
pub(crate) fn shown<T: Declared>(declared: &T) -> shown::Shown {
    shown::table(Some(Place::of(T::ROW)), &declared.to_table())
}

macro_rules! scalar {
    ($type:ty, $kind:ident, $variant:ident) => {
        impl Typed for $type {
            const KIND: Kind = Kind::$kind;

            fn read(value: Value) -> Result<Self, Value> {
                match value {
                    Value::$variant(value) => Ok(value),
                    other => Err(other),
                }
            }

            fn write(&self) -> Option<Value> {
                Some(Value::$variant(self.clone()))
            }
        }
    };
}

scalar!(bool, Bool, Boolean);
scalar!(i64, Int, Integer);
scalar!(f64, Float, Float);
scalar!(String, Str, String);

impl<T: Typed> Typed for Option<T> {
    const KIND: Kind = T::KIND;
    const IS_HIDDEN: bool = T::IS_HIDDEN;

    fn read(value: Value) -> Result<Self, Value> {
        T::read(value).map(Some)
    }

    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(T::write)
    }
}

/// Reads every element, or hands the whole list back.
fn read_all<T>(value: Value, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, Value> {
    let all = value
        .as_array()
        .and_then(|items| items.iter().map(read).collect());
    all.ok_or(value)
}

impl Typed for Vec<String> {
    const KIND: Kind = Kind::Strs;

    fn read(value: Value) -> Result<Self, Value> {
        read_all(value, |item| item.as_str().map(str::to_owned))
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Array(
            self.iter().cloned().map(Value::String).collect(),
        ))
    }
}

impl Typed for Vec<Secret> {
    const KIND: Kind = Kind::Strs;
    const IS_HIDDEN: bool = true;

    fn read(value: Value) -> Result<Self, Value> {
        read_all(value, |item| item.as_str().map(Secret::new))
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Array(
            self.iter().filter_map(Secret::write).collect(),
        ))
    }
}

impl Typed for Vec<u8> {
    const KIND: Kind = Kind::Bytes;

    fn read(value: Value) -> Result<Self, Value> {
        read_all(value, |item| match item {
            Value::Integer(byte) => u8::try_from(*byte).ok(),
            _ => None,
        })
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Array(
            self.iter()
                .map(|byte| Value::Integer(i64::from(*byte)))
                .collect(),
        ))
    }
}

impl<T: Declared> Typed for Vec<T> {
    const KIND: Kind = Kind::Tables(T::SECTION);

    fn read(value: Value) -> Result<Self, Value> {
        read_all(value, |item| item.as_table().cloned().map(T::from_table))
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Array(
            self.iter()
                .map(|item| Value::Table(item.to_table()))
                .collect(),
        ))
    }
}

/// A length of time in Go's notation, for instance `"1m30s"`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub String);

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = shown::duration(&self.0);
        f.debug_tuple("Duration")
            .field(&format_args!("{shown}"))
            .finish()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Typed for Duration {
    const KIND: Kind = Kind::Duration;

    fn read(value: Value) -> Result<Self, Value> {
        String::read(value).map(Duration)
    }

    fn write(&self) -> Option<Value> {
        self.0.write()
    }
}

/// A credential, or what may hold one: arguments, variables of an environment,
/// headers. `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The credential itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&shown::hidden_text(&self.0), f)
    }
}

impl Typed for Secret {
    const KIND: Kind = Kind::Str;
    const IS_HIDDEN: bool = true;

    fn read(value: Value) -> Result<Self, Value> {
        String::read(value).map(Secret)
    }

    fn write(&self) -> Option<Value> {
        self.0.write()
    }
}

/// A table whose keys are names, for instance `runtimes` or `mirrors`.
///
/// It reads like the [`BTreeMap`] inside. A map that stood in the file is
/// written back even if it is empty.
#[derive(Clone, PartialEq)]
pub struct Map<T> {
    entries: BTreeMap<String, T>,
    declared: bool,
    /// Entries of another type than the declared one.
    other: Table,
}

impl<T: fmt::Debug> fmt::Debug for Map<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.iter();
        let entries = entries.map(|(key, entry)| (shown::name(key), entry));
        let other = self.other.iter();
        let other = other.map(|(key, entry)| (shown::name(key), entry));
        f.debug_map().entries(entries).entries(other).finish()
    }
}

impl<T> Default for Map<T> {
    fn default() -> Self {
        Map {
            entries: BTreeMap::new(),
            declared: false,
            other: Table::new(),
        }
    }
}

impl<T> Deref for Map<T> {
    type Target = BTreeMap<String, T>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl<T> DerefMut for Map<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.entries
    }
}

impl<T> FromIterator<(String, T)> for Map<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(entries: I) -> Self {
        Map {
            entries: entries.into_iter().collect(),
            ..Map::default()
        }
    }
}

impl<T: Typed> Typed for Map<T> {
    const KIND: Kind = Kind::Map(&T::KIND);
    const IS_HIDDEN: bool = T::IS_HIDDEN;

    fn read(value: Value) -> Result<Self, Value> {
        let Value::Table(table) = value else {
            return Err(value);
        };
        let mut map = Map {
            declared: true,
            ..Map::default()
        };
        for (key, value) in table {
            match T::read(value) {
                Ok(entry) => drop(map.entries.insert(key, entry)),
                Err(value) => drop(map.other.insert(key, value)),
            }
        }
        Ok(map)
    }

    fn write(&self) -> Option<Value> {
        let mut table = self.other.clone();
        for (key, entry) in &self.entries {
            let empty = || Value::Table(Table::new());
            table.insert(key.clone(), entry.write().unwrap_or_else(empty));
        }
        (self.declared || !table.is_empty()).then_some(Value::Table(table))
    }
}

/// Takes the value of `key` out of `table`; one of the wrong type stays.
pub(crate) fn take<T: Typed + Default>(table: &mut Table, key: &str) -> T {
    let Some(value) = table.remove(key) else {
        return T::default();
    };
    T::read(value).unwrap_or_else(|value| {
        table.insert(key.to_owned(), value);
        T::default()
    })
}

/// Puts the value of a field into `table`.
pub(crate) fn put<T: Typed>(table: &mut Table, key: &str, field: &T) {
    if let Some(value) = field.write() {
        table.insert(key.to_owned(), value);
    }
}

/// Adds what is not there yet, inside of tables too.
pub(crate) fn add(table: &mut Table, other: &Table) {
    for (key, value) in other {
        match (table.get_mut(key), value) {
            (Some(Value::Table(table)), Value::Table(other)) => add(table, other),
            (Some(_), _) => {}
            (None, value) => drop(table.insert(key.clone(), value.clone())),
        }
    }
}

macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:expr) => {
        $key
    };
}
pub(crate) use key;

macro_rules! sections {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident: $presence:ident {
            $(
                $(#[$field_meta:meta])*
                pub $field:ident $([$key:expr])?: $type:ty
                    = [$($from:expr => $state:expr),+ $(,)?] $(, $(. $call:ident ($($arg:expr),*))+)?;
            )*
        }
    )+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Default, PartialEq)]
            #[non_exhaustive]
            pub struct $name {
                $($(#[$field_meta])* pub $field: $type,)*
                /// Keys that are not declared, and declared ones whose value
                /// has another type: kept and written back as they are.
                pub other: $crate::value::Table,
                /// Whether the table stood in the file, be it empty.
                pub(crate) declared: bool,
            }

            impl $crate::config::declare::Declared for $name {
                const ROW: $crate::config::table::Row =
                    $crate::config::table::Row::of_section(stringify!($name));

                const SECTION: &'static $crate::containerd::setting::Section =
                    &$crate::containerd::setting::Section {
                        name: stringify!($name),
                        settings: &[$({
                            const HISTORY: $crate::containerd::setting::History =
                                &[$(($from, $state)),+];
                            $crate::containerd::setting::Setting::new(
                                $crate::config::declare::key!($field $($key)?),
                                <$type as $crate::config::declare::Typed>::KIND,
                                HISTORY,
                            ).hidden(<$type as $crate::config::declare::Typed>::IS_HIDDEN)$($(.$call($($arg),*))+)?
                        }),*],
                        presence: $crate::containerd::setting::Presence::$presence,
                    };

                fn from_table(mut table: $crate::value::Table) -> Self {
                    $crate::config::address::enter(Self::SECTION, &mut table);
                    $(let $field = $crate::config::declare::take(
                        &mut table,
                        $crate::config::declare::key!($field $($key)?),
                    );)*
                    $name { $($field,)* other: table, declared: true }
                }

                fn to_table(&self) -> $crate::value::Table {
                    let mut table = $crate::value::Table::new();
                    $($crate::config::declare::put(
                        &mut table,
                        $crate::config::declare::key!($field $($key)?),
                        &self.$field,
                    );)*
                    $crate::config::declare::add(&mut table, &self.other);
                    $crate::config::address::leave(Self::SECTION, &mut table);
                    table
                }
            }

            impl $crate::config::declare::Typed for $name {
                const KIND: $crate::containerd::setting::Kind =
                    $crate::containerd::setting::Kind::Section(
                        <$name as $crate::config::declare::Declared>::SECTION,
                    );

                fn read(value: $crate::value::Value) -> Result<Self, $crate::value::Value> {
                    match value {
                        $crate::value::Value::Table(table) => {
                            Ok($crate::config::declare::Declared::from_table(table))
                        }
                        other => Err(other),
                    }
                }

                fn write(&self) -> Option<$crate::value::Value> {
                    let table = $crate::config::declare::Declared::to_table(self);
                    (self.declared || !table.is_empty())
                        .then_some($crate::value::Value::Table(table))
                }
            }

            /// What may be shown.
            impl std::fmt::Debug for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    let shown = $crate::config::declare::shown(self);
                    f.debug_tuple(stringify!($name)).field(&shown).finish()
                }
            }

            /// What may be shown.
            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    $crate::config::declare::shown(self).serialize(serializer)
                }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    $crate::value::Table::deserialize(deserializer)
                        .map($crate::config::declare::Declared::from_table)
                }
            }
        )+
    };
}
pub(crate) use sections;
