//! What k0s generates from a directory of drop-ins, release by release.

use std::collections::BTreeMap;
use std::fmt;

use super::merge_patch::{self, MergeError};
use super::preflight::{Rejection, judge};
use super::{DropInSet, FileName, MARKER, Regime, Release};
use crate::config::Config;
use crate::containerd::Import;
use crate::containerd::import::load_order;
use crate::containerd::load::{self, Effective};
use crate::containerd::plugin;
use crate::shown::{self, printable};
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
    #[error("{} does not parse: {message}", printable(file.as_str()))]
    Unparsable {
        /// The drop-in.
        file: FileName,
        /// What the parser says.
        message: String,
    },
    /// k0s's merge cannot carry a value (1.27.5 – 1.35).
    #[error("{}: {source}", printable(file.as_str()))]
    Merge {
        /// The drop-in.
        file: FileName,
        /// What is wrong with it.
        source: MergeError,
    },
    /// Pasted behind the generated defaults, a drop-in makes a file that
    /// containerd cannot parse (1.27.1 – 1.27.4).
    #[error(
        "{}, pasted behind the generated CRI settings, does not parse: {message}",
        printable(file.as_str())
    )]
    Append {
        /// The drop-in.
        file: FileName,
        /// What the parser says.
        message: String,
    },
    /// The files are together more than is read.
    #[error("the files have {0}")]
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
    imported: Named,
    /// The merged CRI settings of k0s 1.27 – 1.35.
    cri: Option<Table>,
    /// What those two import, which containerd loads after them.
    further: Named,
    /// Files that no drop-in imports.
    unused: Vec<FileName>,
    release: &'a Release,
}

impl fmt::Debug for Assembled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |table: &Table| shown::table(Some(Config::place()), table);
        let named = |files: &Named| -> Vec<_> {
            let files = files.iter();
            let files = files.map(|(name, table)| (name.clone(), shown(table)));
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

/// Puts drop-ins together as k0s does on Linux. What is no drop-in is loaded if
/// one imports it; [`Assembled::unused`] tells what none does. An import of what
/// is not in the set leads nowhere here; containerd 1.5 and later exit on it,
/// unless it is a pattern.
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
/// ```
/// use containerd_dropins::k0s::{DropInSet, Release, assemble};
/// use containerd_dropins::value::Value;
///
/// let (release, _) = Release::find("v1.36.3+k0s.2")?;
/// let set = DropInSet::new([("/etc/k0s/containerd.d/oom.toml", "oom_score = -5\n")])?;
/// let effective = assemble(&release, &release.pause_image, &set)?.effective();
/// assert_eq!(effective.get(&["oom_score"]), Some(Value::Integer(-5)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`preflight`]: super::preflight()
///
/// # Errors
/// If k0s or containerd would not start, or if there is more than the default
/// [`Limits`] let pass.
pub fn assemble<'a>(
    release: &'a Release,
    pause_image: &str,
    set: &DropInSet<'_>,
) -> Result<Assembled<'a>, AssembleError> {
    assemble_within(release, pause_image, set, Limits::default())
}

/// The same with other limits of how much is read, of all files together.
///
/// # Errors
/// As [`assemble`] returns them.
pub fn assemble_within<'a>(
    release: &'a Release,
    pause_image: &str,
    set: &DropInSet<'_>,
    limits: Limits,
) -> Result<Assembled<'a>, AssembleError> {
    let mut size = Size::default();
    for (_, text) in set.iter() {
        let fits = limits.admit_more(&mut size, text);
        fits.map_err(AssembleError::TooLarge)?;
    }
    assemble_all(release, pause_image, set)
}

/// The same for files of whatever size: what they were made of has been let in.
pub(crate) fn assemble_all<'a>(
    release: &'a Release,
    pause_image: &str,
    set: &DropInSet<'_>,
) -> Result<Assembled<'a>, AssembleError> {
    // What does not parse is told before what does not fit.
    let parsed: Result<Vec<_>, _> = parse_all(set).collect();
    put_together(release, pause_image, parsed?.into_iter().map(Ok))
}

/// A file that was parsed. The parse tree, many times as large, is gone.
pub(crate) struct Parsed<'a> {
    text: &'a str,
    /// Its plain values.
    pub(crate) table: Table,
    /// What the pre-flight check of k0s 1.36 and later says.
    rejection: Option<Rejection>,
}

/// Plain values by name.
type Tables<'a> = BTreeMap<&'a FileName, Table>;

/// Parses drop-ins and what they import, in the order of their names and one after
/// the other.
pub(crate) fn parse_all<'a>(
    set: &'a DropInSet<'_>,
) -> impl Iterator<Item = Result<(&'a FileName, Parsed<'a>), AssembleError>> {
    set.iter().map(|(name, text)| {
        let parsed = toml_edit::Document::parse(text);
        let parsed = parsed.map_err(|error| AssembleError::Unparsable {
            file: name.clone(),
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
fn put_together<'a, 'n>(
    release: &'a Release,
    pause_image: &str,
    parsed: impl Iterator<Item = Result<(&'n FileName, Parsed<'n>), AssembleError>>,
) -> Result<Assembled<'a>, AssembleError> {
    match release.regime {
        Regime::Monolith => Err(AssembleError::NoDropIns(release.to_string())),
        Regime::ImportsV3 => {
            let mut parsed: Vec<(&FileName, Parsed<'_>)> = parsed.collect::<Result<_, _>>()?;
            let mut rejections = parsed.iter_mut();
            if let Some(rejection) = rejections.find_map(|(_, parsed)| parsed.rejection.take()) {
                return Err(rejection.into());
            }
            let (imported, unused) = reached(tables_of(parsed));
            Ok(Assembled {
                main: main_of_version_3(pause_image),
                imported,
                cri: None,
                further: Vec::new(),
                unused,
                release,
            })
        }
        Regime::CriMerge => {
            let mut cri = generated_cri(release, pause_image);
            let (mut others, mut rest) = (Named::new(), Named::new());
            // One at a time: merged, it is needed no more.
            for parsed in parsed {
                let (name, Parsed { table, .. }) = parsed?;
                let name = name.clone();
                match name.is_drop_in() {
                    false => rest.push((name, table)),
                    true if !has_cri(&table) => others.push((name, table)),
                    true => {
                        let merged = merge_patch::merge(&mut cri, table);
                        merged.map_err(|source| AssembleError::Merge { file: name, source })?;
                    }
                }
            }
            let (further, unused) = further(&others, &cri, rest);
            Ok(Assembled {
                main: main_of_version_2(),
                further,
                imported: others,
                cri: Some(cri),
                unused,
                release,
            })
        }
        Regime::CriAppend => {
            let parsed: Vec<(&FileName, Parsed<'_>)> = parsed.collect::<Result<_, _>>()?;
            let texts = parsed.iter().map(|(name, parsed)| (*name, parsed.text));
            let texts: BTreeMap<&FileName, &str> = texts.collect();
            let (with_cri, others, rest) = classify(tables_of(parsed));
            let pasted = with_cri.into_iter().map(|(name, _)| name);
            let pasted: Vec<(FileName, &str)> = pasted
                .filter_map(|name| {
                    let text = texts.get(&name).copied()?;
                    Some((name, text))
                })
                .collect();
            let generated = generated_cri(release, pause_image);
            let cri = match pasted.last() {
                None => generated,
                Some((last, _)) => append(&generated, &pasted, last)?,
            };
            let (further, unused) = further(&others, &cri, rest);
            Ok(Assembled {
                main: main_of_version_2(),
                further,
                imported: others,
                cri: Some(cri),
                unused,
                release,
            })
        }
    }
}

/// What containerd makes of drop-ins that are parsed already: what
/// [`Assembled::effective`] gives, with one of them in memory at a time.
pub(crate) fn effective<'n>(
    release: &Release,
    pause_image: &str,
    parsed: impl Iterator<Item = Result<(&'n FileName, Parsed<'n>), AssembleError>>,
) -> Result<Effective, AssembleError> {
    if release.regime != Regime::ImportsV3 {
        return Ok(put_together(release, pause_image, parsed)?.effective());
    }
    let mut loading = load::Loading::new(release.containerd);
    loading.add(main_of_version_3(pause_image));
    // Drop-ins are loaded by name, and what they import after all of them.
    let mut imports: Vec<(String, Vec<Import>)> = Vec::new();
    let mut rest: Vec<Option<Table>> = Vec::new();
    for parsed in parsed {
        let (name, parsed) = parsed?;
        if let Some(rejection) = parsed.rejection {
            return Err(rejection.into());
        }
        let path = name.path();
        let of_this = imports_of(&path, &parsed.table);
        imports.push((path, of_this));
        rest.push(match name.is_drop_in() {
            true => {
                loading.add(parsed.table);
                None
            }
            false => Some(parsed.table),
        });
    }
    let paths: Vec<&str> = imports.iter().map(|(path, _)| path.as_str()).collect();
    let first = (0..rest.len()).filter(|at| rest.get(*at).is_some_and(Option::is_none));
    let of = |at: usize| imports.get(at).map(|(_, own)| own.clone());
    let order = load_order(&paths, first, |at| of(at).unwrap_or_default(), |_, _, _| {});
    for at in order {
        let file = rest.get_mut(at).and_then(Option::take);
        file.into_iter().for_each(|table| loading.add(table));
    }
    Ok(loading.finish())
}

/// The plain values of parsed files.
fn tables_of<'a>(parsed: Vec<(&'a FileName, Parsed<'_>)>) -> Tables<'a> {
    let parsed = parsed.into_iter();
    parsed.map(|(name, parsed)| (name, parsed.table)).collect()
}

/// The text of drop-ins, each of which parses, behind that of the generated CRI
/// settings. It is parsed once: the first that does not fit is the one that the
/// parser stumbles in.
fn append(
    generated: &Table,
    pasted: &[(FileName, &str)],
    last: &FileName,
) -> Result<Table, AssembleError> {
    let mut text = write::document(generated);
    let mut ends = Vec::new();
    for (name, own) in pasted {
        text.push_str(&format!("# appended from {name}\n"));
        text.push_str(own);
        ends.push(text.len());
    }
    let appended = toml_edit::Document::parse(text.as_str());
    let appended = appended.map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        let first = ends.partition_point(|end| *end <= at);
        AssembleError::Append {
            file: pasted.get(first).map_or(last, |(name, _)| name).clone(),
            message: error.message().to_owned(),
        }
    })?;
    Ok(table_of(appended.as_table()))
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

/// Files by name.
type Named = Vec<(FileName, Table)>;

/// The drop-ins with CRI settings, the others, and what is no drop-in.
fn classify(tables: Tables<'_>) -> (Named, Named, Named) {
    let tables = tables.into_iter();
    let tables = tables.map(|(name, table)| (name.clone(), table));
    let (in_directory, rest): (Named, Named) = tables.partition(|(name, _)| name.is_drop_in());
    let (with_cri, others) = in_directory
        .into_iter()
        .partition(|(_, table)| has_cri(table));
    (with_cri, others, rest)
}

/// What drop-ins and the merged CRI settings import, and what that imports in
/// turn, in the order in which containerd loads it: after all of them. Then what
/// none of them imports.
fn further(others: &Named, cri: &Table, rest: Named) -> (Named, Vec<FileName>) {
    let first = others.iter().map(|(name, table)| (name.path(), table));
    let first = first.chain(std::iter::once((super::cri_path(), cri)));
    let behind = rest.iter().map(|(name, table)| (name.path(), table));
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
    take_in_order(rest, reached)
}

/// Those of the files at these places, in this order, and the names of the others.
fn take_in_order(files: Named, order: Vec<usize>) -> (Named, Vec<FileName>) {
    let mut files: Vec<Option<(FileName, Table)>> = files.into_iter().map(Some).collect();
    let mut take = |at: usize| files.get_mut(at).and_then(Option::take);
    let taken = order.into_iter().filter_map(&mut take).collect();
    let left = files.into_iter().flatten().map(|(name, _)| name);
    (taken, left.collect())
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

/// The drop-ins that containerd loads and what they import, in its order, and
/// what none of them does.
fn reached(tables: Tables<'_>) -> (Named, Vec<FileName>) {
    let files = tables.into_iter();
    let files: Named = files.map(|(name, table)| (name.clone(), table)).collect();
    let paths: Vec<String> = files.iter().map(|(name, _)| name.path()).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let is_first = |at: &usize| files.get(*at).is_some_and(|(name, _)| name.is_drop_in());
    let first = (0..files.len()).filter(is_first);
    let imports = |at: usize| {
        let path = paths.get(at).copied().unwrap_or_default();
        let file = files.get(at);
        file.map(|(_, table)| imports_of(path, table))
            .unwrap_or_default()
    };
    let order = load_order(&paths, first, imports, |_, _, _| {});
    take_in_order(files, order)
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

    /// The files of the set that are no drop-ins and that none imports: they have
    /// no effect.
    pub fn unused(&self) -> &[FileName] {
        &self.unused
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What no drop-in imports is told of, in every regime that has drop-ins.
    #[test]
    fn what_is_not_used_is_told() {
        for k0s in ["1.27.2", "1.30.4", "1.36.3"] {
            let (release, _) = Release::find(k0s).unwrap();
            let importer = "imports = [\"nested/*.toml\", \"/x/b.toml\"]\n";
            let set = DropInSet::new([("/etc/k0s/containerd.d/a.toml", importer)]).unwrap();
            let files = [
                ("nested/a.toml", "oom_score = -5\n"),
                ("nested/a.TOML", "oom_score = -6\n"),
                ("/x/b.toml", "temp = \"/t\"\n"),
                ("/x/c.toml", "temp = \"/u\"\n"),
            ];
            let set = set.importing(files).unwrap();
            let assembled = assemble(&release, "pause", &set).unwrap();
            assert_eq!(assembled.unused(), ["/x/c.toml", "nested/a.TOML"]);
            let effective = assembled.effective();
            assert_eq!(effective.get(&["oom_score"]), Some(Value::Integer(-5)));
            assert_eq!(
                effective.get(&["temp"]),
                Some(Value::String("/t".to_owned()))
            );
        }
    }
}
