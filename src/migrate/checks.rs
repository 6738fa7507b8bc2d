//! What there is to say about the plan as a whole, and what cannot be written.

use std::collections::{BTreeMap, BTreeSet};

use super::Target;
use super::changes::{self, Changes};
use super::running::Running;
use super::split::{self, Concern};
use super::tree::{Content, Dropped, Files, ROOT, Tree, Verdict};
use crate::Document;
use crate::config::known;
use crate::containerd::handler::BUILT_IN;
use crate::containerd::refusal;
use crate::containerd::{Import, load, plugin};
use crate::diagnostic::{Code, Finding};
use crate::k0s::{self, Regime, Whose};
use crate::shown;
use crate::value::Value;
use crate::write;

/// A legacy file without a sandbox image makes containerd fall back to its own
/// default where k0s would inject another: the known cause of nodes on which
/// no pod starts (v1.30.4+k0s.0 with an airgap bundle).
pub(super) fn sandbox_cause(
    changes: &Changes,
    running: &Running,
    sets_one: bool,
    target: &Target,
) -> Option<Finding> {
    let before = running.effective.as_ref()?;
    if !changes.has(&known::SANDBOX_IMAGE) || before.set_value(&known::SANDBOX_IMAGE).is_some() {
        return None;
    }
    let image = before.value(&known::SANDBOX_IMAGE)?;
    let image = image.as_str()?;
    let sets = match sets_one {
        true => "no sandbox image that counts is set",
        false => "the file sets no sandbox image",
    };
    let injected = target.pause_image();
    // Nothing stands where something is missing.
    let message = format!("{sets}: pods get {image}, not k0s's {injected}");
    let mut finding = Finding::new(Code::SandboxImageCause, message);
    finding.key = Some(changes::key_at(target, &known::SANDBOX_IMAGE));
    Some(finding)
}

pub(super) fn runc_appears(changes: &Changes, target: &Target) -> Option<Finding> {
    let path = known::HANDLER.of(&[BUILT_IN]);
    if !changes.has(&path) {
        return None;
    }
    let mut finding = Finding::new(
        Code::RuncAppears,
        "the file names runtime handlers without runc, so there was none; with k0s there is",
    );
    finding.key = Some(changes::key_at(target, &path));
    Some(finding)
}

pub(super) fn byte_order_mark(legacy: &Document) -> Option<Finding> {
    legacy.has_byte_order_mark().then(|| {
        let message = "the file begins with a UTF-8 byte order mark";
        Finding::new(Code::ByteOrderMark, message).about(legacy)
    })
}

/// The main file of a containerd that is not k0s's.
pub(super) const OTHER_MAIN: &str = "/etc/containerd/config.toml";

/// A file that was written for another containerd on the machine, which
/// `containerd config dump` tells: it imports its own main file, it switches
/// CRI off and says where that containerd keeps things, or it keeps them where
/// neither k0s nor a default has them. `tree` is what the file itself says, not
/// judged yet.
pub(super) fn foreign(document: &Document, tree: &Tree) -> Option<Finding> {
    let own = Import::new(document.name(), document.name());
    let imports = Import::of(document);
    let mut literal = imports.iter().filter(|import| !import.is_pattern());
    let itself = literal.clone().any(|import| *import == own);
    let other = literal.any(|import| import.path() == OTHER_MAIN);
    let kept = |id: &usize| {
        let path = tree.path(*id);
        k0s::is_place(&path).then(|| k0s::whose(&path, tree.value(*id).and_then(Value::as_str)))
    };
    // Such keys stand at the top, or in the table of a server there.
    let top = tree.children(ROOT);
    let (tables, keys): (Vec<usize>, Vec<usize>) =
        top.partition(|id| matches!(tree.node(*id).content, Content::Table(_)));
    let servers = tables
        .into_iter()
        .filter(|id| tree.node(*id).key == "grpc")
        .flat_map(|id| tree.children(id).collect::<Vec<_>>());
    let places: Vec<Whose> = keys
        .into_iter()
        .chain(servers)
        .filter_map(|id| kept(&id))
        .collect();
    let count = |whose: Whose| places.iter().filter(|place| **place == whose).count();
    let elsewhere = count(Whose::Elsewhere);
    let not_k0s = elsewhere + count(Whose::Containerd);
    let what = match () {
        () if itself => "the file imports itself, as a dump of a running containerd does",
        () if other => "the file imports the main file of another containerd",
        () if disables_cri(tree) && not_k0s > 0 => {
            "the file switches CRI off and names directories or a socket that are not k0s's"
        }
        () if elsewhere > 1 => "the file names directories and a socket that are not k0s's",
        () => return None,
    };
    let message = match document.name() {
        k0s::CONFIG_FILE => what.to_owned(),
        name => format!("{}: {what}", shown::printable(name)),
    };
    Some(Finding::new(Code::ForeignContainerd, message).about(document))
}

/// Whether a file disables CRI, by whatever name: a dump of version 2 may have
/// the short one.
fn disables_cri(tree: &Tree) -> bool {
    let top = tree.children(ROOT);
    let lists = top.filter(|id| tree.node(*id).key == "disabled_plugins");
    let values = |id: usize| [tree.value(id), tree.node(id).original.as_deref()];
    let mut ids = lists
        .flat_map(values)
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(Value::as_str);
    ids.any(|id| id == plugin::CRI || plugin::short_name(plugin::CRI) == Some(id))
}

/// Names under which the NVIDIA container toolkit writes its settings.
const TOOLKIT_FILES: [&str; 2] = ["nvidia.toml", "99-nvidia.toml"];

/// How the binaries of its runtime handlers begin.
const TOOLKIT_BINARY: &str = "nvidia-container-runtime";

/// The NVIDIA container toolkit writes its files at run time, in a version that
/// need not be the one that k0s wants (NVIDIA/nvidia-container-toolkit#1956).
pub(super) fn nvidia<'d>(
    mut documents: impl Iterator<Item = &'d Document>,
    target: &Target,
) -> Option<Finding> {
    let document = documents.find(|document| is_of_nvidia(document))?;
    let release = &target.release;
    let containerd = target.containerd();
    let may = match containerd.is_2() {
        true if refusal::refuses_version_4_behind_3(containerd) => format!(
            "it goes by the version that `containerd config dump` prints, which is 4 from containerd 2.3 on, and containerd {containerd} exits on a file of version 4 behind k0s's main file; where it goes by a file instead, some of its releases leave `runtime_type` out, and no pod of such a handler starts"
        ),
        true => "where it goes by a file in place of the running containerd's dump, some of its releases leave `runtime_type` out, and no pod of such a handler starts".to_owned(),
        false => format!(
            "from 1.18 on it has the drop-in import a file elsewhere that sets the default runtime and its own handlers only, which takes runc and k0s's sandbox image away from containerd {containerd}"
        ),
    };
    let message = format!(
        "{} looks like a file of the NVIDIA container toolkit, which writes it anew whenever it runs on a node with k0s {release}: {may}",
        shown::printable(document.name())
    );
    Some(Finding::new(Code::NvidiaToolkit, message).about(document))
}

fn is_of_nvidia(document: &Document) -> bool {
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    if TOOLKIT_FILES.contains(&base(document.name()).as_str()) {
        return true;
    }
    let table = document.to_table();
    let plugins = table.get("plugins").and_then(Value::as_table);
    let cri = [plugin::CRI, plugin::CRI_RUNTIME, "cri"];
    let sections = cri.iter().filter_map(|id| plugins?.get(*id)?.as_table());
    let runtimes = sections.filter_map(|section| {
        let containerd = section.get("containerd")?.as_table()?;
        containerd.get("runtimes")?.as_table()
    });
    let options = runtimes
        .flat_map(|runtimes| runtimes.values())
        .filter_map(|handler| handler.as_table()?.get("options")?.as_table());
    let mut binaries = options.filter_map(|options| options.get("BinaryName")?.as_str());
    binaries.any(|binary| base(binary).starts_with(TOOLKIT_BINARY))
}

/// k0s 1.36 and later read the first line of the file into a buffer of this
/// size, line end included, and exit where it does not fit.
const LONGEST_FIRST_LINE: usize = 64 * 1024;

pub(super) fn first_line(main: &Document, target: &Target) -> Option<Finding> {
    let release = &target.release;
    let start = main.text().as_bytes().get(..LONGEST_FIRST_LINE)?;
    let is_too_long = release.regime == Regime::ImportsV3 && !start.contains(&b'\n');
    is_too_long.then(|| {
        let message = format!(
            "k0s {release} exits at start as long as {} is there, whose first line is longer than 64 KiB",
            shown::printable(main.name())
        );
        Finding::new(Code::FirstLineTooLong, message).about(main)
    })
}

/// Whether an earlier k0s wrote the file, by its rules, and the target takes it
/// for the user's.
pub(super) fn marker_trap(main: &Document, target: &Target) -> Option<Finding> {
    let marker = main.marker();
    let release = &target.release;
    // 1.27 – 1.29 were content with less, but what they wrote has the line.
    let was_managed = marker.is_managed_for_k0s_1_30();
    let trapped =
        release.regime == Regime::ImportsV3 && was_managed && !marker.is_managed_for(release);
    trapped.then(|| {
        let written = match marker.is_pristine {
            true => "k0s 1.22 to 1.26 wrote it",
            false => "its marker is not the first line",
        };
        let message = format!(
            "k0s up to 1.35 takes {} for its own, and k0s {release} takes it for yours: {written}",
            shown::printable(main.name())
        );
        Finding::new(Code::MarkerNotRecognised, message).about(main)
    })
}

/// Settings in the drop-ins that containerd plans to remove, each once.
pub(super) fn removals(
    tree: &Tree,
    files: Files<'_>,
    parts: &[(Concern, usize)],
    target: &Target,
) -> Vec<Finding> {
    if !target.containerd().is_2() {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for (_, id) in parts {
        // A setting may be a map or a table, of which the leaves are kept.
        let planned = tree.upwards(*id).find_map(|at| {
            let place = tree.node(at).place()?;
            Some((at, place.removal()?))
        });
        let Some((setting, instead)) = planned.filter(|(setting, _)| seen.insert(*setting)) else {
            continue;
        };
        let message = format!(
            "{} is kept, and containerd plans to remove it: {instead}",
            tree.written(setting)
        );
        findings.push(files.finding(tree, *id, Code::RemovalPlanned, message));
    }
    findings
}

/// Says which settings go to files that drop-ins import.
pub(super) fn nested(tree: &Tree, files: Files<'_>, parts: &[(Concern, usize)]) -> Vec<Finding> {
    let mut by_concern: BTreeMap<&Concern, Vec<usize>> = BTreeMap::new();
    for (concern, id) in parts {
        if concern.importer().is_some() {
            by_concern.entry(concern).or_default().push(*id);
        }
    }
    let say = |(concern, ids): (&Concern, Vec<usize>)| {
        let keys: Vec<String> = ids.iter().map(|id| tree.shown(*id)).collect();
        let message = format!(
            "these settings cannot stay in a drop-in and go to {}, which {} imports: {}",
            shown::printable(concern.file_name().as_str()),
            shown::printable(&concern.importer().map(String::from).unwrap_or_default()),
            keys.join(", ")
        );
        let first = ids.first()?;
        Some(files.finding(tree, *first, Code::NestedImport, message))
    };
    by_concern.into_iter().filter_map(say).collect()
}

/// Takes out what k0s 1.27.1 – 1.27.4 cannot have pasted behind the text of the
/// defaults: a table that is in it already may not be opened again.
pub(super) fn pasted(tree: &mut Tree, files: Files<'_>, target: &Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    let defaults = Value::Table(load::default_cri(target.containerd()));
    // The table that a name is written in is there. A name that no header can have
    // is written inside of the table above.
    let is_there = |tables: &[&str]| {
        let in_header = |key: &&&str| write::is_portable_in_header(key);
        let mut tables = tables.iter().take_while(in_header);
        tables
            .try_fold(&defaults, |value, key| value.as_table()?.get(*key))
            .is_some()
    };
    let message = format!(
        "k0s {} writes the table of this key itself, and a drop-in cannot open it again",
        target.release
    );
    // An entry that was there for what is in it is left with nothing to say.
    let mut emptied = BTreeSet::new();
    for id in tree.walk(ROOT).into_iter().rev() {
        let is_leaf = tree.value(id).is_some();
        let is_written = match is_leaf {
            true => tree.is_kept(id),
            false => split::is_bare_entry(tree, id, target.containerd()),
        };
        let path = tree.path(id);
        let ["plugins", plugin::CRI, below @ ..] = path.as_slice() else {
            continue;
        };
        let tables = match is_leaf {
            true => below.split_last().map_or(below, |(_, tables)| tables),
            false => below,
        };
        if !is_written || !is_there(tables) {
            continue;
        }
        if !emptied.contains(&id) {
            findings.push(files.finding(tree, id, Code::NotAppendable, message.clone()));
        }
        for leaf in tree.leaves(id) {
            tree.judge(
                leaf,
                Verdict::Drop(Dropped::NotExpressible, message.clone()),
            );
        }
        if !is_leaf {
            tree.drop_table(id, Dropped::NotExpressible, message.clone());
            emptied.insert(tree.node(id).parent);
            tree.detach(id);
        }
    }
    findings.reverse();
    findings
}

/// A proxy plugin without a known type makes containerd panic, so it cannot be
/// written.
pub(super) fn proxy_plugins(tree: &mut Tree, files: Files<'_>, target: &Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(map) = tree.find(&known::PROXY_PLUGINS) else {
        return findings;
    };
    for entry in tree.children(map).collect::<Vec<_>>() {
        let kind = tree.child(entry, known::PROXY_TYPE.key());
        let kind = kind
            .and_then(|kind| tree.value(kind))
            .and_then(Value::as_str);
        let containerd = target.containerd();
        if kind.is_some_and(|kind| plugin::proxy_type(kind, containerd).is_some()) {
            continue;
        }
        let message = match kind {
            Some(_) => {
                format!("the proxy plugin has a type that containerd {containerd} does not know")
            }
            None => "the proxy plugin has no type".to_owned(),
        };
        findings.push(files.finding(tree, entry, Code::ProxyPluginType, message.clone()));
        for id in tree.leaves(entry) {
            tree.judge(id, Verdict::Drop(Dropped::NotExpressible, message.clone()));
        }
    }
    findings
}

/// Takes out what no drop-in can hold: names that go-toml 1.9 misreads, and
/// values in CRI drop-ins that k0s's merge changes or stumbles over.
pub(super) fn portable(tree: &mut Tree, files: Files<'_>, target: &Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    for id in tree.walk(ROOT) {
        let node = tree.node(id);
        let is_table = matches!(node.content, Content::Table(_));
        let bare =
            is_table && !node.is_made && node.place().is_some_and(|place| place.presence_matters());
        if !is_table && !tree.is_kept(id) {
            continue;
        }
        let is_merged =
            target.release.regime == Regime::CriMerge && tree.is_in(id, known::CRI_PLUGIN);
        let Some((code, message)) = obstacle(tree, id, is_merged) else {
            continue;
        };
        let mut kept = tree.leaves(id);
        kept.retain(|id| tree.is_kept(*id));
        if kept.is_empty() && !bare {
            continue;
        }
        // A table that was made stands nowhere; what is in it was made of what does.
        let about = match tree.node(id).sources.is_empty() {
            true => kept.clone(),
            false => vec![id],
        };
        let say = |id| files.finding(tree, id, code, message.clone());
        findings.extend(about.into_iter().map(say));
        for id in kept {
            tree.judge(id, Verdict::Drop(Dropped::NotExpressible, message.clone()));
        }
        if is_table {
            tree.detach(id);
        }
    }
    findings
}

/// The same for drop-ins that stay as they are; `merged` says which of the files
/// k0s merges, with all that is in them.
pub(super) fn portable_in_place(
    tree: &mut Tree,
    files: Files<'_>,
    merged: &[bool],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for id in tree.walk(ROOT) {
        let node = tree.node(id);
        let file = node.sources.last().map(|source| source.file);
        let is_merged = file.and_then(|file| merged.get(file)) == Some(&true);
        let Some((code, message)) = obstacle(tree, id, is_merged) else {
            continue;
        };
        // Of what merely changes, the type is judged where the value is.
        let changes = tree
            .value(id)
            .is_some_and(|value| k0s::survives(value) == Ok(false) && !holds_line_break(value));
        if changes {
            continue;
        }
        let message = match code {
            Code::NotMergeable => {
                format!("{message}; in a drop-in without CRI settings it stays as it is")
            }
            _ => message,
        };
        findings.push(files.finding(tree, id, code, message.clone()));
        tree.judge(id, Verdict::Drop(Dropped::NotExpressible, message));
    }
    findings
}

/// Whether a text holds the character that YAML takes for a line break.
fn holds_line_break(value: &Value) -> bool {
    let one = std::slice::from_ref(value);
    let texts = value.as_array().unwrap_or(one).iter();
    texts
        .filter_map(Value::as_str)
        .any(|text| text.contains('\u{85}'))
}

/// Deeper headers are not read again by every parser; no setting comes near.
pub(super) const DEEPEST: usize = 64;

/// Takes out a leaf that no drop-in of config version 3 can hold, for its name.
pub(super) fn portable_leaf(tree: &mut Tree, files: Files<'_>, id: usize) -> Option<Finding> {
    let (code, message) = obstacle(tree, id, false)?;
    let finding = files.finding(tree, id, code, message.clone());
    tree.judge(id, Verdict::Drop(Dropped::NotExpressible, message));
    Some(finding)
}

fn obstacle(tree: &Tree, id: usize, is_merged: bool) -> Option<(Code, String)> {
    let node = tree.node(id);
    let is_table = matches!(node.content, Content::Table(_));
    if !write::is_portable_key(&node.key) {
        return Some((
            Code::NotPortable,
            "the name cannot be written so that all parsers read it".to_owned(),
        ));
    }
    if is_merged && is_table && !write::is_portable_in_header(&node.key) {
        return Some((
            Code::NotPortable,
            "k0s's merge writes the name in a header, where containerd 1.7 cannot read it"
                .to_owned(),
        ));
    }
    if tree.upwards(id).count() > DEEPEST {
        return Some((
            Code::NotPortable,
            format!("nested more than {DEEPEST} levels deep"),
        ));
    }
    if !is_merged {
        return None;
    }
    let survives = match tree.value(id) {
        Some(value) => k0s::check_key(&node.key).and_then(|()| k0s::survives(value)),
        None => k0s::check_key(&node.key).map(|()| true),
    };
    match (survives, tree.value(id)) {
        (Err(error), _) => return Some((Code::NotMergeable, error.to_string())),
        (Ok(false), Some(value)) => {
            let message = format!("k0s's merge would change this {}", value.type_name());
            return Some((Code::NotMergeable, message));
        }
        _ => {}
    }
    None
}
