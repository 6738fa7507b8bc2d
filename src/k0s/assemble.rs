//! What k0s generates from a directory of drop-ins, release by release.

use std::collections::BTreeMap;
use std::fmt;

use super::merge_patch::{self, MergeError};
use super::preflight::{Rejection, judge};
use super::{MARKER, Regime, Release, is_drop_in, path_of};
use crate::config::Config;
use crate::containerd::Import;
use crate::containerd::import::load_order;
use crate::containerd::load::{self, Effective};
use crate::containerd::plugin;
use crate::redacted::redacted;
use crate::value::{Table, Value, table_of};
use crate::write;
use crate::{Exceeded, Limits, Size};

/// Why k0s would not start containerd, or containerd would not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// Up to k0s 1.26 there are no drop-ins.
    #[error("k0s {0} reads no drop-ins")]
    NoDropIns(String),
    /// A drop-in is not TOML.
    #[error("{file} does not parse: {message}")]
    Unparsable {
        /// The drop-in.
        file: String,
        /// What the parser says.
        message: String,
    },
    /// k0s's merge cannot carry a value (1.27.5 – 1.35).
    #[error("{file}: {source}")]
    Merge {
        /// The drop-in.
        file: String,
        /// What is wrong with it.
        source: MergeError,
    },
    /// Pasted behind the generated defaults, a drop-in makes a file that
    /// containerd cannot parse (1.27.1 – 1.27.4).
    #[error("{file}, pasted behind the generated CRI settings, does not parse: {message}")]
    Append {
        /// The drop-in.
        file: String,
        /// What the parser says.
        message: String,
    },
    /// The drop-ins are together more than is read.
    #[error("the drop-ins have {0}")]
    TooLarge(Exceeded),
    /// The pre-flight check rejects a drop-in (1.36 and later).
    #[error("{0}")]
    Rejected(#[from] Rejection),
}

/// The files that containerd loads, in the order in which it does.
#[derive(Clone)]
pub struct Assembled<'a> {
    main: Table,
    /// Drop-ins that containerd imports, by name.
    imported: Vec<(&'a str, Table)>,
    /// The merged CRI settings of k0s 1.27 – 1.35.
    cri: Option<Table>,
    /// What those two import, which containerd loads after them.
    further: Vec<(&'a str, Table)>,
    release: &'a Release,
}

impl fmt::Debug for Assembled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |table: &Table| redacted(Some(Config::place()), table);
        let named = |files: &Named<'_>| -> Vec<_> {
            let files = files.iter();
            let files = files.map(|(name, table)| ((*name).to_owned(), shown(table)));
            files.collect()
        };
        f.debug_struct("Assembled")
            .field("main", &shown(&self.main))
            .field("imported", &named(&self.imported))
            .field("cri", &self.cri.as_ref().map(shown))
            .field("further", &named(&self.further))
            .field("release", &self.release)
            .finish()
    }
}

/// Puts drop-ins together, given by name and text, as k0s does on Linux. A
/// name is a path below the directory of drop-ins, or the absolute path of a file
/// elsewhere on the node: the latter, and what stands in a folder, is no drop-in,
/// and is loaded if a drop-in imports it. An import of what is not given leads
/// nowhere here; containerd 1.5 and later exit on it, unless it is a pattern.
///
/// - k0s 1.27.1 – 1.27.4 paste drop-ins with a
///   `plugins."io.containerd.grpc.v1.cri"` behind the text of containerd's
///   defaults and import the others.
/// - k0s 1.27.5 – 1.35 lay those with CRI settings over the defaults, in the
///   order of the names, and import the others.
/// - k0s 1.36 and later check the drop-ins, see [`preflight`], and have
///   containerd import them all.
///
/// `pause_image` is what k0s injects as sandbox image.
///
/// [`preflight`]: super::preflight()
///
/// # Errors
/// If k0s or containerd would not start, or if there is more than the default
/// [`Limits`] let pass.
pub fn assemble<'a>(
    release: &'a Release,
    pause_image: &str,
    drop_ins: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Assembled<'a>, AssembleError> {
    assemble_within(release, pause_image, drop_ins, Limits::default())
}

/// The same with other limits of how much is read, of all drop-ins together.
///
/// # Errors
/// As [`assemble`] returns them.
pub fn assemble_within<'a>(
    release: &'a Release,
    pause_image: &str,
    drop_ins: impl IntoIterator<Item = (&'a str, &'a str)>,
    limits: Limits,
) -> Result<Assembled<'a>, AssembleError> {
    let mut size = Size::default();
    let mut admitted = Vec::new();
    for (name, text) in drop_ins {
        let fits = limits.admit_more(&mut size, text);
        fits.map_err(AssembleError::TooLarge)?;
        admitted.push((name, text));
    }
    assemble_all(release, pause_image, admitted)
}

/// The same for texts of whatever size: what is to be parsed has been let in.
pub(crate) fn assemble_all<'a>(
    release: &'a Release,
    pause_image: &str,
    drop_ins: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Assembled<'a>, AssembleError> {
    // What does not parse is told before what does not fit.
    let parsed: Result<Vec<_>, _> = parse_all(drop_ins).collect();
    put_together(release, pause_image, parsed?.into_iter().map(Ok))
}

/// A drop-in that was parsed. The parse tree, many times as large, is gone.
pub(crate) struct Parsed<'a> {
    text: &'a str,
    /// Its plain values.
    pub(crate) table: Table,
    /// What the pre-flight check of k0s 1.36 and later says.
    rejection: Option<Rejection>,
}

/// Parses drop-ins, given by name and text, in the order of their names, and one
/// after the other; of one name the last counts.
pub(crate) fn parse_all<'a>(
    drop_ins: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> impl Iterator<Item = Result<(&'a str, Parsed<'a>), AssembleError>> {
    let by_name: BTreeMap<&str, &str> = drop_ins.into_iter().collect();
    by_name.into_iter().map(|(name, text)| {
        let parsed = toml_edit::Document::parse(text);
        let parsed = parsed.map_err(|error| AssembleError::Unparsable {
            file: name.to_owned(),
            message: error.message().to_owned(),
        })?;
        let of_one = Parsed {
            text,
            table: table_of(parsed.as_table()),
            rejection: judge(name, &parsed).next(),
        };
        Ok((name, of_one))
    })
}

/// The same as [`assemble`] for drop-ins that are parsed already.
pub(crate) fn put_together<'a>(
    release: &'a Release,
    pause_image: &str,
    parsed: impl Iterator<Item = Result<(&'a str, Parsed<'a>), AssembleError>>,
) -> Result<Assembled<'a>, AssembleError> {
    match release.regime {
        Regime::Monolith => Err(AssembleError::NoDropIns(release.to_string())),
        Regime::ImportsV3 => {
            let parsed: BTreeMap<&str, Parsed<'_>> = parsed.collect::<Result<_, _>>()?;
            let mut rejections = parsed.values().filter_map(|one| one.rejection.as_ref());
            if let Some(rejection) = rejections.next() {
                return Err(rejection.clone().into());
            }
            Ok(Assembled {
                main: main_of_version_3(pause_image),
                imported: reached(tables_of(parsed)),
                cri: None,
                further: Vec::new(),
                release,
            })
        }
        Regime::CriMerge => {
            let mut cri = generated_cri(release, pause_image);
            let (mut others, mut rest) = (Vec::new(), Vec::new());
            // One at a time: merged, it is needed no more.
            for parsed in parsed {
                let (name, Parsed { table, .. }) = parsed?;
                match is_drop_in(name) {
                    false => rest.push((name, table)),
                    true if !has_cri(&table) => others.push((name, table)),
                    true => merge_patch::merge(&mut cri, table).map_err(|source| {
                        let file = name.to_owned();
                        AssembleError::Merge { file, source }
                    })?,
                }
            }
            Ok(Assembled {
                main: main_of_version_2(),
                further: further(&others, &cri, rest),
                imported: others,
                cri: Some(cri),
                release,
            })
        }
        Regime::CriAppend => {
            let parsed: BTreeMap<&str, Parsed<'_>> = parsed.collect::<Result<_, _>>()?;
            let texts: BTreeMap<&str, &str> = parsed
                .iter()
                .map(|(name, parsed)| (*name, parsed.text))
                .collect();
            let (with_cri, others, rest) = classify(tables_of(parsed));
            let pasted = with_cri.into_iter().map(|(name, _)| name);
            let pasted: Vec<&str> = pasted.collect();
            let generated = generated_cri(release, pause_image);
            let cri = match pasted.is_empty() {
                true => generated,
                false => append(&generated, &pasted, &texts)?,
            };
            Ok(Assembled {
                main: main_of_version_2(),
                further: further(&others, &cri, rest),
                imported: others,
                cri: Some(cri),
                release,
            })
        }
    }
}

/// The text of drop-ins, each of which parses, behind that of the generated CRI
/// settings. It is parsed once: the first that does not fit is the one that the
/// parser stumbles in.
fn append(
    generated: &Table,
    names: &[&str],
    texts: &BTreeMap<&str, &str>,
) -> Result<Table, AssembleError> {
    let mut text = write::document(generated);
    let mut ends = Vec::new();
    for name in names {
        text.push_str(&format!("# appended from {name}\n"));
        text.push_str(texts.get(name).copied().unwrap_or_default());
        ends.push((text.len(), *name));
    }
    let appended = toml_edit::Document::parse(text.as_str()).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        let first = ends.partition_point(|(end, _)| *end <= at);
        let file = ends.get(first).or(ends.last());
        AssembleError::Append {
            file: file.map_or("", |(_, name)| name).to_owned(),
            message: error.message().to_owned(),
        }
    })?;
    Ok(table_of(appended.as_table()))
}

fn tables_of<'a>(parsed: BTreeMap<&'a str, Parsed<'a>>) -> BTreeMap<&'a str, Table> {
    let parsed = parsed.into_iter();
    parsed.map(|(name, parsed)| (name, parsed.table)).collect()
}

fn main_of_version_2() -> Table {
    Table::from([("version".to_owned(), Value::Integer(2))])
}

/// What k0s 1.36 and later write on Linux, but for the imports.
fn main_of_version_3(pause_image: &str) -> Table {
    let table = |key: &str, value: Value| Value::Table(Table::from([(key.to_owned(), value)]));
    let images = table(
        "pinned_images",
        table("sandbox", Value::String(pause_image.to_owned())),
    );
    let plugins = Table::from([
        (plugin::CRI_IMAGES.to_owned(), images),
        (plugin::CRI_RUNTIME.to_owned(), Value::Table(Table::new())),
    ]);
    Table::from([
        ("version".to_owned(), Value::Integer(3)),
        ("plugins".to_owned(), Value::Table(plugins)),
    ])
}

/// containerd's defaults with the sandbox image that k0s 1.27 – 1.35 inject.
fn generated_cri(release: &Release, pause_image: &str) -> Table {
    let mut section = load::default_cri(release.containerd);
    section.insert(
        "sandbox_image".to_owned(),
        Value::String(pause_image.to_owned()),
    );
    let plugins = Table::from([(plugin::CRI.to_owned(), Value::Table(section))]);
    Table::from([
        ("version".to_owned(), Value::Integer(2)),
        ("plugins".to_owned(), Value::Table(plugins)),
    ])
}

/// Drop-ins by name.
type Named<'a> = Vec<(&'a str, Table)>;

/// The drop-ins with CRI settings, the others, and what is no drop-in.
fn classify(tables: BTreeMap<&str, Table>) -> (Named<'_>, Named<'_>, Named<'_>) {
    let (in_directory, rest): (Named<'_>, Named<'_>) =
        tables.into_iter().partition(|(name, _)| is_drop_in(name));
    let (with_cri, others) = in_directory
        .into_iter()
        .partition(|(_, table)| has_cri(table));
    (with_cri, others, rest)
}

/// What drop-ins and the merged CRI settings import, and what that imports in
/// turn, in the order in which containerd loads it: after all of them.
fn further<'a>(others: &[(&str, Table)], cri: &Table, rest: Named<'a>) -> Named<'a> {
    let first = others.iter().map(|(name, table)| (path_of(name), table));
    let first = first.chain(std::iter::once((super::cri_path(), cri)));
    let behind = rest.iter().map(|(name, table)| (path_of(name), table));
    let files: Vec<(String, &Table)> = first.chain(behind).collect();
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let imports = |at: usize| {
        let file = files.get(at);
        file.map(|(path, table)| imports_of(path, table))
            .unwrap_or_default()
    };
    let order = load_order(&paths, 0..=others.len(), imports, |_, _, _| {});
    let reached: Vec<usize> = order
        .into_iter()
        .filter_map(|at| at.checked_sub(others.len() + 1))
        .collect();
    let mut rest: Vec<Option<(&str, Table)>> = rest.into_iter().map(Some).collect();
    let mut take = |at: usize| rest.get_mut(at).and_then(Option::take);
    reached.into_iter().filter_map(&mut take).collect()
}

/// The imports of a file at a path.
fn imports_of(path: &str, table: &Table) -> Vec<Import> {
    let entries = table.get("imports").and_then(Value::as_array);
    let entries = entries.unwrap_or_default().iter().filter_map(Value::as_str);
    entries.map(|entry| Import::new(path, entry)).collect()
}

/// k0s's test for a CRI drop-in: the path exists.
fn has_cri(table: &Table) -> bool {
    let plugins = table.get("plugins").and_then(Value::as_table);
    plugins.is_some_and(|plugins| plugins.contains_key(plugin::CRI))
}

/// The drop-ins that containerd loads, in its order.
fn reached(tables: BTreeMap<&str, Table>) -> Named<'_> {
    let mut files: Vec<Option<(&str, Table)>> = tables.into_iter().map(Some).collect();
    let names = || files.iter().flatten().map(|(name, _)| *name);
    let paths: Vec<String> = names().map(path_of).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let first = names()
        .enumerate()
        .filter(|(_, name)| is_drop_in(name))
        .map(|(at, _)| at);
    let imports = |at: usize| {
        let file = files.get(at).and_then(Option::as_ref);
        let path = paths.get(at).copied().unwrap_or_default();
        file.map(|(_, table)| imports_of(path, table))
            .unwrap_or_default()
    };
    let order = load_order(&paths, first, imports, |_, _, _| {});
    let mut take = |at| files.get_mut(at).and_then(Option::take);
    order.into_iter().filter_map(&mut take).collect()
}

impl Assembled<'_> {
    /// What containerd makes of it: the main file, the imported drop-ins, the
    /// merged CRI settings, and last what those import.
    pub fn effective(self) -> Effective {
        let files = std::iter::once(self.main)
            .chain(self.imported.into_iter().map(|(_, table)| table))
            .chain(self.cri)
            .chain(self.further.into_iter().map(|(_, table)| table));
        Effective::load(self.release.containerd, files)
    }

    /// The text of the merged CRI settings, `containerd-cri.toml`, which k0s
    /// 1.27 – 1.35 write.
    pub fn cri_toml(&self) -> Option<String> {
        self.cri.as_ref().map(write::document)
    }

    /// The text of the main file, with the drop-ins under `drop_in_dir` and
    /// the CRI settings, if there are any, at `cri_path`.
    pub fn main_toml(&self, drop_in_dir: &str, cri_path: &str) -> String {
        let imports: Vec<String> = match self.cri {
            None => vec![format!("{drop_in_dir}/*.toml")],
            Some(_) => {
                let names = self.imported.iter().map(|(name, _)| name);
                let paths = names.map(|name| format!("{drop_in_dir}/{name}"));
                paths.chain(std::iter::once(cri_path.to_owned())).collect()
            }
        };
        let mut table = self.main.clone();
        let imports = imports.into_iter().map(Value::String).collect();
        table.insert("imports".to_owned(), Value::Array(imports));
        let above = "\n".repeat(self.release.marker_line() - 1);
        format!("{above}{MARKER}\n{}", write::document(&table))
    }
}
