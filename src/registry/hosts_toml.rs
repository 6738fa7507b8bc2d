//! `hosts.toml`: what containerd is told about one registry host.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::endpoint::{Capability, ClientCertificate};
use crate::config::Secret;
use crate::containerd::Release;
use crate::redacted::{REDACTED, redacted};
use crate::secret::without_user;
use crate::value::{Table, Value, value_of};
use crate::{Exceeded, Limits};
use crate::write::{self, Writer};

/// A `hosts.toml` file.
///
/// ```
/// use containerd_dropins::registry::HostsToml;
///
/// let text = r#"
/// server = "https://registry.example"
/// [host."https://mirror.example/proxy"]
///   capabilities = ["pull", "resolve"]
///   override_path = true
/// "#;
/// let mut file = HostsToml::parse(text)?;
/// assert_eq!(file.hosts[0].url, "https://mirror.example/proxy");
///
/// file.hosts[0].settings.ca = vec!["/etc/ssl/mirror.pem".to_owned()];
/// let again = HostsToml::parse(&file.to_toml("1.7.24".parse()?))?;
/// assert_eq!(again, file);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct HostsToml {
    /// URL of the registry itself, which is tried last; where there is none,
    /// what the name of the registry host leads to.
    pub server: Option<String>,
    /// What holds for the registry itself. Without `server`, capabilities and
    /// path are not looked at.
    pub settings: HostSettings,
    /// The hosts to try before it, in order.
    pub hosts: Vec<Host>,
}

/// A host to try, `[host."URL"]`.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Host {
    /// Its URL. Without `http` in front, containerd puts `https://` there.
    pub url: String,
    /// What holds for it.
    pub settings: HostSettings,
}

impl Host {
    /// A host without settings.
    pub fn new(url: impl Into<String>) -> Self {
        Host {
            url: url.into(),
            settings: HostSettings::default(),
        }
    }
}

/// What holds for one host.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct HostSettings {
    /// What it is asked for; empty is everything.
    pub capabilities: Vec<Capability>,
    /// Files with CA certificates. Relative paths start from the directory of
    /// the `hosts.toml`, as those of `client` do.
    pub ca: Vec<String>,
    /// Client certificates.
    pub client: Vec<ClientCertificate>,
    /// Do not check the server's certificate.
    pub skip_verify: Option<bool>,
    /// Take the URL's path as it is, without `/v2` (containerd 1.6 and later).
    pub override_path: bool,
    /// Headers to send along.
    pub header: BTreeMap<String, Vec<Secret>>,
    /// How long to wait for a connection, as a Go duration (containerd 2.0.7
    /// and later).
    pub dial_timeout: Option<String>,
    /// Keys that no containerd release reads.
    pub other: Table,
}

impl fmt::Debug for HostsToml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostsToml")
            .field("server", &self.server.as_deref().map(without_user))
            .field("settings", &self.settings)
            .field("hosts", &self.hosts)
            .finish()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("url", &without_user(&self.url))
            .field("settings", &self.settings)
            .finish()
    }
}

impl fmt::Debug for HostSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = self.to_table();
        if let Some(Value::Table(header)) = table.get_mut("header") {
            let values = header.values_mut();
            values.for_each(|value| *value = Value::String(REDACTED.to_owned()));
        }
        redacted(None, &table).fmt(f)
    }
}

/// Why containerd ignores a `hosts.toml`: it then looks for `*.crt`, `*.cert`
/// and `*.key` files beside it, and asks the registry itself only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostsTomlError {
    /// The text is more than is read.
    #[error("{0}")]
    TooLarge(Exceeded),
    /// The text is no TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// A value has the wrong type.
    #[error("{key} is not {expected}")]
    Type {
        /// The key.
        key: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A word among the capabilities that containerd does not know.
    #[error("{0:?} is no capability")]
    Capability(String),
}

impl HostsToml {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// If containerd could not read it. What only some releases cannot read is
    /// no error here: [`CertsD::endpoints`](super::CertsD::endpoints) knows.
    pub fn parse(text: &str) -> Result<HostsToml, HostsTomlError> {
        Self::parse_within(text, Limits::default())
    }

    /// The same with other limits of how much is read than the default.
    ///
    /// # Errors
    /// As [`HostsToml::parse`] returns them.
    pub fn parse_within(text: &str, limits: Limits) -> Result<HostsToml, HostsTomlError> {
        limits.admit(text).map_err(HostsTomlError::TooLarge)?;
        read(text).map(|read| read.file)
    }

    /// The text of a file that a containerd release reads as this one.
    ///
    /// containerd 1.x ignores a file without a table `host`, and does not
    /// understand brackets in the name of a table, which IPv6 addresses have: of
    /// such hosts every key is written on its own, as it keeps no order of inline
    /// tables (seen in 1.7.24). 2.x sees a host only where it has a table of its
    /// own.
    pub fn to_toml(&self, release: Release) -> String {
        let mut writer = Writer::default();
        if let Some(server) = &self.server {
            writer.key("server", &Value::String(server.clone()), &[]);
        }
        put_settings(&mut writer, &[], &self.settings);
        let in_headers = self
            .hosts
            .iter()
            .all(|host| write::is_portable_in_header(&host.url));
        if !release.is_2() && (self.hosts.is_empty() || !in_headers) {
            writer.open(&["host"], &[]);
            for host in &self.hosts {
                let mut table = host.settings.to_table();
                if table.is_empty() {
                    // All of them.
                    table.insert("capabilities".to_owned(), Value::Array(Vec::new()));
                }
                for (key, value) in &table {
                    writer.key_inside(&host.url, key, value);
                }
            }
            return writer.finish();
        }
        for host in &self.hosts {
            let path = ["host", &host.url];
            writer.open(&path, &[]);
            put_settings(&mut writer, &path, &host.settings);
        }
        writer.finish()
    }
}

/// The settings in the table that is open, whose path is given; its subtable
/// comes behind its keys.
fn put_settings(writer: &mut Writer, path: &[&str], settings: &HostSettings) {
    let mut table = settings.to_table();
    let header = table.remove("header");
    for (key, value) in &table {
        writer.key(key, value, &[]);
    }
    if let Some(Value::Table(header)) = header {
        writer.open(&[path, &["header"]].concat(), &[]);
        for (name, value) in &header {
            writer.key(name, value, &[]);
        }
    }
}

/// A file, and how it is written.
#[derive(Clone)]
pub(super) struct Read {
    pub(super) file: HostsToml,
    /// The hosts with a table of their own: those that containerd 2.x sees.
    pub(super) headed: BTreeSet<String>,
    /// Whether there is a table `host`: without, containerd 1.x reads nothing.
    pub(super) has_table: bool,
}

pub(super) fn read(text: &str) -> Result<Read, HostsTomlError> {
    let parsed = toml_edit::Document::parse(text)
        .map_err(|error| HostsTomlError::Syntax(error.message().to_owned()))?;
    let mut file = HostsToml::default();
    let mut headed = BTreeSet::new();
    let mut own = Table::new();
    for (key, item) in parsed.as_table() {
        if key != "host" {
            own.extend(value_of(item).map(|value| (key.to_owned(), value)));
            continue;
        }
        let hosts = item
            .as_table_like()
            .ok_or_else(|| wrong("host", "a table"))?;
        let mut placed = Vec::new();
        for (url, item) in hosts.iter() {
            let Some(Value::Table(settings)) = value_of(item) else {
                return Err(wrong("host", "a table of tables"));
            };
            let settings = HostSettings::read(settings)?;
            if item.as_table().is_some_and(|table| !table.is_dotted()) {
                headed.insert(url.to_owned());
            }
            let host = Host {
                url: url.to_owned(),
                settings,
            };
            placed.push((place(item), host));
        }
        placed.sort_by_key(|(place, _)| *place);
        file.hosts = placed.into_iter().map(|(_, host)| host).collect();
    }
    file.server = take(&mut own, "server", "a string", text_of)?;
    file.settings = HostSettings::read(own)?;
    let has_table = parsed.contains_key("host");
    Ok(Read {
        file,
        headed,
        has_table,
    })
}

/// Where a host first occurs.
fn place(item: &toml_edit::Item) -> usize {
    let own = item.span().map(|span| span.start);
    let inner = item
        .as_table_like()
        .into_iter()
        .flat_map(|table| table.iter());
    let inner = inner
        .filter_map(|(_, item)| item.span())
        .map(|span| span.start);
    inner.chain(own).min().unwrap_or(usize::MAX)
}

fn wrong(key: &str, expected: &'static str) -> HostsTomlError {
    HostsTomlError::Type {
        key: key.to_owned(),
        expected,
    }
}

/// Takes a key out of a table, if it is there.
fn take<T>(
    table: &mut Table,
    key: &str,
    expected: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, HostsTomlError> {
    let value = table.remove(key);
    let read = value.map(|value| read(&value).ok_or_else(|| wrong(key, expected)));
    read.transpose()
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn texts_of(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(text_of).collect()
}

fn text_or_texts(value: &Value) -> Option<Vec<String>> {
    text_of(value)
        .map(|text| vec![text])
        .or_else(|| texts_of(value))
}

fn flag_of(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(flag) => Some(*flag),
        _ => None,
    }
}

/// One file, several, or pairs of them.
fn clients_of(value: &Value) -> Option<Vec<ClientCertificate>> {
    let one = |value: &Value| match value {
        Value::String(file) => Some(ClientCertificate::new(file, None)),
        value => match texts_of(value)?.as_slice() {
            [certificate, key] => {
                let key = Some(key.clone()).filter(|key| !key.is_empty());
                Some(ClientCertificate::new(certificate, key))
            }
            _ => None,
        },
    };
    match value {
        Value::Array(items) => items.iter().map(one).collect(),
        value => Some(vec![one(value)?]),
    }
}

fn headers_of(value: &Value) -> Option<BTreeMap<String, Vec<Secret>>> {
    let one = |(name, value): (&String, &Value)| {
        let texts = text_or_texts(value)?;
        Some((name.clone(), texts.into_iter().map(Secret::new).collect()))
    };
    value.as_table()?.iter().map(one).collect()
}

impl HostSettings {
    fn read(mut table: Table) -> Result<HostSettings, HostsTomlError> {
        let table = &mut table;
        let words = take(table, "capabilities", "a list of strings", texts_of)?;
        let capability = |word: &String| {
            let known = |one: &Capability| one.as_str().eq_ignore_ascii_case(word);
            let known = Capability::ALL.into_iter().find(known);
            known.ok_or_else(|| HostsTomlError::Capability(word.clone()))
        };
        Ok(HostSettings {
            capabilities: words
                .iter()
                .flatten()
                .map(capability)
                .collect::<Result<_, _>>()?,
            ca: take(table, "ca", "a string or a list of strings", text_or_texts)?
                .unwrap_or_default(),
            client: take(
                table,
                "client",
                "a file, a list of files, or a list of pairs",
                clients_of,
            )?
            .unwrap_or_default(),
            skip_verify: take(table, "skip_verify", "a boolean", flag_of)?,
            override_path: take(table, "override_path", "a boolean", flag_of)? == Some(true),
            header: take(table, "header", "a table of strings", headers_of)?.unwrap_or_default(),
            dial_timeout: take(table, "dial_timeout", "a string", text_of)?,
            other: std::mem::take(table),
        })
    }

    fn to_table(&self) -> Table {
        let text = |text: &String| Value::String(text.clone());
        let one_or_all = |texts: &[String]| match texts {
            [one] => text(one),
            all => Value::Array(all.iter().map(text).collect()),
        };
        let mut table = self.other.clone();
        let mut put = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
        if !self.capabilities.is_empty() {
            let words = self
                .capabilities
                .iter()
                .map(|one| Value::String(one.as_str().to_owned()));
            put("capabilities", Value::Array(words.collect()));
        }
        if !self.ca.is_empty() {
            put("ca", one_or_all(&self.ca));
        }
        if !self.client.is_empty() {
            let pair = |client: &ClientCertificate| match &client.key {
                Some(key) => Value::Array(vec![text(&client.certificate), text(key)]),
                None => text(&client.certificate),
            };
            put(
                "client",
                Value::Array(self.client.iter().map(pair).collect()),
            );
        }
        if let Some(skip) = self.skip_verify {
            put("skip_verify", Value::Boolean(skip));
        }
        if self.override_path {
            put("override_path", Value::Boolean(true));
        }
        if let Some(timeout) = &self.dial_timeout {
            put("dial_timeout", text(timeout));
        }
        if !self.header.is_empty() {
            let lines = self.header.iter().map(|(name, values)| {
                let values: Vec<String> = values
                    .iter()
                    .map(|value| value.expose().to_owned())
                    .collect();
                (name.clone(), one_or_all(&values))
            });
            put("header", Value::Table(lines.collect()));
        }
        table
    }
}
