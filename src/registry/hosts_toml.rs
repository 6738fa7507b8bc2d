//! `hosts.toml`: what containerd is told about one registry host.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::endpoint::{Capability, ClientCertificate};
use crate::config::Secret;
use crate::containerd::{Release, duration};
use crate::shown;
use crate::value::{Exposed, Table, Value, value_of};
use crate::write::{self, Writer};
use crate::{Exceeded, Limits};

/// The first release that reads `dial_timeout`.
pub(crate) const DIAL_TIMEOUT: Release = Release::new(2, 0, 7);

/// The table with the hosts to try.
const HOST: &str = "host";

/// The key with the registry itself.
const SERVER: &str = "server";

/// A `hosts.toml` file, as a containerd release reads it.
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
/// let containerd = "1.7.24".parse()?;
/// let mut file = HostsToml::parse(text, containerd)?;
/// assert_eq!(file.hosts[0].url, "https://mirror.example/proxy");
///
/// file.hosts[0].settings.ca = vec!["/etc/ssl/mirror.pem".to_owned()];
/// let again = HostsToml::parse(&file.to_toml(containerd), containerd)?;
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
            .field("server", &self.server.as_deref().map(shown::text))
            .field("settings", &self.settings)
            .field("hosts", &self.hosts)
            .finish()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("url", &shown::text(&self.url))
            .field("settings", &self.settings)
            .finish()
    }
}

impl fmt::Debug for HostSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Exposed::table(&self.shown().to_table()), f)
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
    /// There is no table `host`, and containerd 1.x reads no file without one.
    #[error("there is no table `host`, without which containerd 1.x reads nothing")]
    NoHostTable,
    /// The name of a table has brackets in it, which IPv6 addresses have and
    /// containerd 1.x takes for the header's own.
    #[error("{0:?} is the name of a table, and containerd 1.x reads no brackets there")]
    Brackets(String),
    /// A length of time that Go does not read.
    #[error("dial_timeout is no duration")]
    DialTimeout,
}

impl HostsToml {
    /// Reads the text of a file as a containerd release does.
    ///
    /// containerd 2.x sees the hosts that the header of some table names,
    /// `[host."URL"]` or `[host."URL".header]`; a host that is written with
    /// dotted keys or as an inline table only is none there. 1.x sees all of
    /// them (`remotes/docker/config`, `getSortedHosts`).
    ///
    /// ```
    /// use containerd_dropins::registry::HostsToml;
    ///
    /// let text = "[host]\n\"https://mirror.example\".capabilities = [\"pull\"]\n";
    /// assert_eq!(HostsToml::parse(text, "1.7.24".parse()?)?.hosts.len(), 1);
    /// assert_eq!(HostsToml::parse(text, "2.1.9".parse()?)?.hosts.len(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the release ignores the file, for all that it holds, or if it is more than
    /// the default [`Limits`] let pass. Whether its URLs are any is not looked at.
    pub fn parse(text: &str, release: Release) -> Result<HostsToml, HostsTomlError> {
        Self::parse_within(text, release, Limits::default())
    }

    /// The same with other limits of how much is read.
    ///
    /// # Errors
    /// As [`HostsToml::parse`] returns them.
    pub fn parse_within(
        text: &str,
        release: Release,
        limits: Limits,
    ) -> Result<HostsToml, HostsTomlError> {
        limits.admit(text).map_err(HostsTomlError::TooLarge)?;
        let mut read = read(text)?;
        read.is_readable(release)?;
        if release.is_2() {
            // Each once, however often the file comes back to it.
            let mut order: BTreeMap<usize, usize> = BTreeMap::new();
            for (place, at) in read.headed.iter().enumerate() {
                order.entry(*at).or_insert(place);
            }
            let hosts = std::mem::take(&mut read.file.hosts);
            let hosts = hosts.into_iter().enumerate();
            let mut hosts: Vec<(usize, Host)> = hosts
                .filter_map(|(at, host)| Some((*order.get(&at)?, host)))
                .collect();
            hosts.sort_by_key(|(place, _)| *place);
            read.file.hosts = hosts.into_iter().map(|(_, host)| host).collect();
        }
        Ok(read.file)
    }

    /// What of it may be shown: URLs without users, no headers, and nothing that
    /// containerd does not know.
    pub(crate) fn shown(&self) -> HostsToml {
        let text = |text: &String| shown::text(text).into_owned();
        let host = |host: &Host| Host {
            url: text(&host.url),
            settings: host.settings.shown(),
        };
        HostsToml {
            server: self.server.as_ref().map(text),
            settings: self.settings.shown(),
            hosts: self.hosts.iter().map(host).collect(),
        }
    }

    /// The text of a file that a containerd release reads as this one, as far as it
    /// can: [`parse`](HostsToml::parse) for the same release gives back what
    /// [`for_release`](HostsToml::for_release) does, which is this file unless there
    /// is in it what would make the release ignore all of it.
    ///
    /// containerd 1.x ignores a file without a table `host`, and does not
    /// understand brackets in the name of a table, which IPv6 addresses have: of
    /// such hosts every key is written on its own, as it keeps no order of inline
    /// tables (seen in 1.7.24). 2.x sees a host only where it has a table of its
    /// own. What a release does not look at (`override_path` before 1.6,
    /// `dial_timeout` before 2.0.7) is written: it counts after an upgrade.
    pub fn to_toml(&self, release: Release) -> String {
        self.for_release(release).written(release)
    }

    /// The file without what would make a containerd release ignore it as a whole,
    /// so that what is left counts.
    ///
    /// - A capability that the release does not know (`referrers` before 2.2) goes.
    ///   A host of which nothing is left would be asked for everything if it had no
    ///   capabilities, so it goes, too. The server stays and is left with `push`,
    ///   which CRI never does; without `server` its capabilities are not looked at.
    /// - So does a `dial_timeout` that is no Go duration, from 2.0.7 on.
    /// - Of hosts with the same URL the first stays: TOML has each table once.
    /// - In [`other`](HostSettings::other) keys that are no other ones go; a key file
    ///   without a name is none.
    ///
    /// By `parseHostConfig` in `remotes/docker/config` of containerd 1.5 to 2.3.
    ///
    /// ```
    /// use containerd_dropins::registry::HostsToml;
    ///
    /// let text = r#"
    /// [host."https://mirror.example"]
    /// capabilities = ["pull", "referrers"]
    /// [host."https://index.example"]
    /// capabilities = ["referrers"]
    /// "#;
    /// let (old, new) = ("2.1.9".parse()?, "2.3.3".parse()?);
    /// let file = HostsToml::parse(text, new)?;
    /// assert!(HostsToml::parse(text, old).is_err());
    /// assert_eq!(file.to_toml(old), "[host.\"https://mirror.example\"]\ncapabilities = [\"pull\"]\n");
    /// assert_eq!(HostsToml::parse(&file.to_toml(old), old)?, file.for_release(old));
    /// assert_eq!(file.for_release(new), file);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn for_release(&self, release: Release) -> HostsToml {
        let mut urls = BTreeSet::new();
        let host = |host: &Host| {
            let (settings, is_asked) = host.settings.for_release(release);
            let host = Host {
                url: host.url.clone(),
                settings,
            };
            is_asked.then_some(host)
        };
        let hosts = self.hosts.iter();
        let hosts = hosts.filter(|host| urls.insert(&host.url)).filter_map(host);
        let hosts = hosts.collect();
        let (mut settings, is_asked) = self.settings.for_release(release);
        if !is_asked {
            settings.capabilities = vec![Capability::Push];
        }
        settings.other.retain(|key, _| key != HOST && key != SERVER);
        HostsToml {
            server: self.server.clone(),
            settings,
            hosts,
        }
    }

    /// The text, if the release reads all of it.
    fn written(&self, release: Release) -> String {
        let mut writer = Writer::default();
        if let Some(server) = &self.server {
            writer.key(SERVER, &Value::String(server.clone()), &[]);
        }
        put_settings(&mut writer, &[], &self.settings);
        let in_headers = self
            .hosts
            .iter()
            .all(|host| write::is_portable_in_header(&host.url));
        if !release.is_2() && (self.hosts.is_empty() || !in_headers) {
            writer.open(&[HOST], &[]);
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
            let path = [HOST, &host.url];
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
    /// With all hosts, in the order in which they first occur.
    file: HostsToml,
    /// The hosts that headers name, as places in that list, in the order of the
    /// headers: what containerd 2.x tries. It comes back to a host whose tables
    /// do not stand together.
    headed: Vec<usize>,
    /// Names of tables that go-toml 1.9 does not read.
    brackets: Option<String>,
    /// Whether there is a table `host`: without, containerd 1.x reads nothing.
    has_table: bool,
}

impl Read {
    /// # Errors
    /// Why a release ignores the file as a whole.
    pub(super) fn is_readable(&self, release: Release) -> Result<(), HostsTomlError> {
        if !release.is_2() {
            if !self.has_table {
                return Err(HostsTomlError::NoHostTable);
            }
            if let Some(name) = &self.brackets {
                return Err(HostsTomlError::Brackets(name.clone()));
            }
        }
        self.file.settings.is_readable(release)?;
        let mut hosts = self.hosts(release);
        hosts.try_for_each(|host| host.settings.is_readable(release))
    }

    /// The hosts that a release tries before the server, in its order.
    pub(super) fn hosts(&self, release: Release) -> impl Iterator<Item = &Host> {
        let all = &self.file.hosts;
        let places = match release.is_2() {
            true => Places::Headed(self.headed.iter()),
            false => Places::All(0..all.len()),
        };
        places.filter_map(|at| all.get(at))
    }

    pub(super) fn server(&self) -> Option<&str> {
        self.file.server.as_deref()
    }

    /// What holds for the server.
    pub(super) fn settings(&self) -> &HostSettings {
        &self.file.settings
    }
}

enum Places<'a> {
    All(std::ops::Range<usize>),
    Headed(std::slice::Iter<'a, usize>),
}

impl Iterator for Places<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match self {
            Places::All(all) => all.next(),
            Places::Headed(headed) => headed.next().copied(),
        }
    }
}

pub(super) fn read(text: &str) -> Result<Read, HostsTomlError> {
    let parsed = toml_edit::Document::parse(text)
        .map_err(|error| HostsTomlError::Syntax(error.message().to_owned()))?;
    let mut file = HostsToml::default();
    let mut brackets = None;
    let mut own = Table::new();
    let mut placed = Vec::new();
    for (key, item) in parsed.as_table() {
        if key != HOST {
            own.extend(value_of(item).map(|value| (key.to_owned(), value)));
            continue;
        }
        let hosts = item.as_table_like().ok_or_else(|| wrong(HOST, "a table"))?;
        for (url, item) in hosts.iter() {
            let Some(Value::Table(settings)) = value_of(item) else {
                return Err(wrong(HOST, "a table of tables"));
            };
            let settings = HostSettings::read(settings)?;
            let mut headers = Vec::new();
            if let Some(table) = item.as_table() {
                let mut named = !write::is_portable_in_header(url);
                collect_headers(table, &mut named, &mut headers);
                if named && !headers.is_empty() {
                    brackets.get_or_insert_with(|| shown::text(url).into_owned());
                }
            }
            let host = Host {
                url: url.to_owned(),
                settings,
            };
            placed.push((place(item), host, headers));
        }
    }
    let has_table = parsed.contains_key(HOST);
    // It is much larger than what follows.
    drop(parsed);
    placed.sort_by_key(|(place, ..)| *place);
    let mut tables: Vec<(usize, usize)> = placed
        .iter_mut()
        .enumerate()
        .flat_map(|(at, (.., headers))| headers.drain(..).map(move |header| (header, at)))
        .collect();
    tables.sort_unstable();
    let mut headed: Vec<usize> = tables.into_iter().map(|(_, at)| at).collect();
    headed.dedup();
    file.hosts = placed.into_iter().map(|(_, host, _)| host).collect();
    file.server = take(&mut own, SERVER, "a string", text_of)?;
    file.settings = HostSettings::read(own)?;
    Ok(Read {
        file,
        headed,
        brackets,
        has_table,
    })
}

/// Where the headers of a host's tables stand, its own and those of tables inside
/// of it. `brackets` tells whether the names in one of them have some.
///
/// The recursion is as deep as the tables, which the parser bounds.
fn collect_headers(table: &toml_edit::Table, brackets: &mut bool, places: &mut Vec<usize>) {
    if !table.is_dotted() && !table.is_implicit() {
        places.extend(table.span().map(|span| span.start));
    }
    for (key, item) in table {
        if let Some(inner) = item.as_table() {
            let before = places.len();
            collect_headers(inner, brackets, places);
            *brackets |= places.len() > before && !write::is_portable_in_header(key);
        }
    }
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

/// Whether a key is one that a `hosts.toml` has for a host.
pub(crate) fn is_host_setting(key: &str) -> bool {
    let alone = Table::from([(key.to_owned(), Value::Boolean(true))]);
    // Another type than that of the setting is wrong, another key is not.
    HostSettings::read(alone).map_or(true, |settings| settings.other.is_empty())
}

impl HostSettings {
    /// What of it may be shown.
    fn shown(&self) -> HostSettings {
        let text = |text: &String| shown::text(text).into_owned();
        let client = |client: &ClientCertificate| {
            ClientCertificate::new(text(&client.certificate), client.key.as_ref().map(text))
        };
        let header = self.header.iter().map(|(name, values)| {
            let values = values
                .iter()
                .map(|value| shown::hidden_text(value.expose()));
            let name = shown::name(name).into_owned();
            (name, values.map(Secret::new).collect())
        });
        HostSettings {
            capabilities: self.capabilities.clone(),
            ca: self.ca.iter().map(text).collect(),
            client: self.client.iter().map(client).collect(),
            skip_verify: self.skip_verify,
            override_path: self.override_path,
            header: header.collect(),
            dial_timeout: self.dial_timeout.as_ref().map(text),
            other: shown::table(None, &self.other).into_table(),
        }
    }

    /// # Errors
    /// What a release does not understand of what is said of a host.
    fn is_readable(&self, release: Release) -> Result<(), HostsTomlError> {
        let is_unknown = |one: &&Capability| !one.known_in(release);
        if let Some(one) = self.capabilities.iter().find(is_unknown) {
            return Err(HostsTomlError::Capability(one.as_str().to_owned()));
        }
        match self.waits(release) {
            true => Ok(()),
            false => Err(HostsTomlError::DialTimeout),
        }
    }

    /// Whether a release makes something of how long to wait, or does not look at it.
    fn waits(&self, release: Release) -> bool {
        let timeout = self.dial_timeout.as_deref();
        let mut timeout = timeout.filter(|text| !text.is_empty() && release >= DIAL_TIMEOUT);
        timeout
            .take_if(|text| duration::parse(text).is_none())
            .is_none()
    }

    /// Without what a release does not understand, and whether the host is still
    /// asked for anything.
    fn for_release(&self, release: Release) -> (HostSettings, bool) {
        let mut settings = self.clone();
        settings.capabilities.retain(|one| one.known_in(release));
        let is_asked = self.capabilities.is_empty() || !settings.capabilities.is_empty();
        if !self.waits(release) {
            settings.dial_timeout = None;
        }
        for client in &mut settings.client {
            client.key = client.key.take().filter(|key| !key.is_empty());
        }
        settings.other.retain(|key, _| !is_host_setting(key));
        (settings, is_asked)
    }

    fn read(mut table: Table) -> Result<HostSettings, HostsTomlError> {
        let table = &mut table;
        let words = take(table, "capabilities", "a list of strings", texts_of)?;
        let capability = |word: &String| {
            let known = |one: &Capability| one.as_str().eq_ignore_ascii_case(word);
            let known = Capability::ALL.into_iter().find(known);
            known.ok_or_else(|| HostsTomlError::Capability(shown::text(word).into_owned()))
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
            // An empty one may still hold memory.
            other: Some(std::mem::take(table))
                .filter(|other| !other.is_empty())
                .unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Release = Release::new(1, 7, 24);
    const NEW: Release = Release::new(2, 1, 9);

    #[track_caller]
    fn written(text: &str, release: Release) -> String {
        HostsToml::parse(text, release).unwrap().to_toml(release)
    }

    /// `getSortedHosts` of containerd 2.x looks at headers only.
    #[test]
    fn a_host_without_a_header_stays_unseen() {
        let text = "[host]\nm.capabilities = [\"pull\"]\n";
        assert_eq!(written(text, NEW), "");
        assert_eq!(written(text, OLD), "[host.m]\ncapabilities = [\"pull\"]\n");
        // A header of a table inside of it names it too.
        let more = format!("{text}[host.m.header]\nx = \"y\"\n");
        let both = "[host.m]\ncapabilities = [\"pull\"]\n\n[host.m.header]\nx = \"y\"\n";
        assert_eq!(written(&more, NEW), both);
        assert_eq!(written("host = { m = {} }\n", NEW), "");
        assert_eq!(written("host.m.ca = \"a\"\n", NEW), "");
    }

    #[test]
    fn what_a_release_ignores_does_not_come_alive() {
        let parse = HostsToml::parse;
        let without = "server = \"https://up\"\n";
        assert_eq!(parse(without, OLD), Err(HostsTomlError::NoHostTable));
        assert_eq!(written(without, NEW), without);
        let six = "[host.\"[::1]\".header]\nx = \"y\"\n";
        assert_eq!(
            parse(six, OLD),
            Err(HostsTomlError::Brackets("[::1]".to_owned()))
        );
        assert_eq!(parse(six, NEW).unwrap().hosts.len(), 1);
        let dotted = "[host]\n\"[::1]\".ca = \"a\"\n";
        assert_eq!(written(dotted, OLD), dotted);
        let soon = "[host.m]\ndial_timeout = \"soon\"\n";
        assert_eq!(parse(soon, NEW), Err(HostsTomlError::DialTimeout));
        assert!(parse(soon, OLD).is_ok());
    }

    /// `parseHostConfig` returns an error for a word it does not know, and for no
    /// words at all has the host do everything.
    #[test]
    fn what_would_break_the_file_is_not_written() {
        let capable = |capabilities: &[Capability]| HostSettings {
            capabilities: capabilities.to_vec(),
            ..HostSettings::default()
        };
        let host = |url: &str, settings| Host {
            url: url.to_owned(),
            settings,
        };
        let index = capable(&[Capability::Referrers]);
        let file = HostsToml {
            server: Some("https://up".to_owned()),
            settings: index.clone(),
            hosts: vec![
                host("a", capable(&[Capability::Referrers, Capability::Pull])),
                host("b", index),
                host("a", HostSettings::default()),
            ],
        };
        let old = "server = \"https://up\"\ncapabilities = [\"push\"]\n\n[host.a]\ncapabilities = [\"pull\"]\n";
        assert_eq!(file.to_toml(NEW), old);
        let first = Release::new(2, 2, 0);
        assert!(
            file.to_toml(first)
                .contains("[host.b]\ncapabilities = [\"referrers\"]\n")
        );
        assert_eq!(file.for_release(first).hosts, file.hosts[..2]);

        // From 2.0.7 on the timeout is read.
        let mut soon = HostsToml::default();
        soon.settings.dial_timeout = Some("soon".to_owned());
        let text = "dial_timeout = \"soon\"\n";
        assert_eq!(soon.to_toml(Release::new(2, 0, 6)), text);
        assert_eq!(soon.to_toml(DIAL_TIMEOUT), "");

        // What stands among other keys is no other setting.
        let mut odd = HostsToml::default();
        for key in ["ca", "host", "server", "odd"] {
            odd.settings.other.insert(key.to_owned(), Value::Integer(1));
        }
        assert_eq!(odd.to_toml(NEW), "odd = 1\n");
        let mut pair = HostsToml::default();
        pair.settings.client = vec![ClientCertificate::new("c", Some(String::new()))];
        let read = HostsToml::parse(&pair.to_toml(NEW), NEW).unwrap();
        assert_eq!(read.settings.client, [ClientCertificate::new("c", None)]);
    }

    /// 2.x goes by the first header, 1.x by the first key.
    #[test]
    fn the_order_is_that_of_the_release() {
        let text = "[host]\nb.ca = \"b\"\n[host.a]\n[host.b.header]\nx = \"y\"\n[host.a.header]\n";
        let urls = |release| {
            let file = HostsToml::parse(text, release).unwrap();
            file.hosts
                .into_iter()
                .map(|host| host.url)
                .collect::<Vec<_>>()
        };
        assert_eq!(urls(OLD), ["b", "a"]);
        assert_eq!(urls(NEW), ["a", "b"]);
    }
}
