//! What each fuzz target asserts of its input. The targets and the tests on stable
//! run the same functions; the laws are those of the property tests.

use std::collections::BTreeMap;
use std::fmt::Debug;

use containerd_dropins::airgap::{self, ImageList, ImageReference};
use containerd_dropins::config::Registry;
use containerd_dropins::containerd::Release;
use containerd_dropins::k0s::{self, DropInSet, Regime, assemble, preflight, survives};
use containerd_dropins::migrate::{
    ExistingDropIns, Options, Plan, RegistryPolicy, SandboxImage, Target, check, plan,
    plan_drop_ins,
};
use containerd_dropins::registry::{
    CertsD, HostsToml, convert, diagnose, endpoints, hosts_named, same_pulls, unneeded_mirrors,
};
use containerd_dropins::strategies::{
    LegacyFiles, certs_ds, files_of_mixed_versions, odd_files, options, registries, targets,
};
use containerd_dropins::value::{Exposed, Table, Value};
use containerd_dropins::{Config, Document};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as RunnerConfig, RngAlgorithm, TestRng, TestRunner};

use crate::{laws, support};

/// Panics if a law does not hold.
pub type Check = fn(&[u8]);

/// All of them by name.
pub const ALL: &[(&str, Check)] = &[
    ("legacy", legacy),
    ("edits", edits),
    ("secrets", secrets),
    ("drop_ins", drop_ins),
    ("sets", sets),
    ("odd", odd),
    ("hosts", hosts),
    ("registries", conversions),
    ("k0s", of_k0s),
    ("config", config),
    ("images", images),
];

/// The k0s releases that plans are made for: one of each way of treating drop-ins,
/// and the borders between containerd releases.
const RELEASES: &[&str] = &[
    "v1.30.4+k0s.0",
    "v1.36.3+k0s.2",
    "v1.27.2+k0s.0",
    "v1.36.1+k0s.0",
    "v1.35.7+k0s.0",
    "v1.26.0+k0s.0",
    "v1.28.4+k0s.0",
];

fn target(byte: u8) -> Target {
    let release = RELEASES[usize::from(byte) % RELEASES.len()];
    Target::find(release).expect("a release")
}

/// What the same byte says besides.
fn options_of(byte: u8) -> Options {
    let byte = usize::from(byte) / RELEASES.len();
    let registry = [
        RegistryPolicy::Auto,
        RegistryPolicy::Keep,
        RegistryPolicy::Convert,
    ];
    let image = [SandboxImage::Auto, SandboxImage::Keep, SandboxImage::Drop];
    Options::default()
        .registry(registry[byte % 3])
        .sandbox_image(image[byte / 3 % 3])
}

/// Fails as a fuzz target does, and shows the input as a person wants to read it.
#[track_caller]
fn holds(law: Result<(), TestCaseError>, input: &impl Debug) {
    if let Err(why) = law {
        panic!("{why}\n{input:#?}");
    }
}

/// And whether a credential is planted.
fn is_planted(byte: u8) -> bool {
    usize::from(byte) / (RELEASES.len() * 9) % 2 == 1
}

/// What is planted.
const SECRET: &str = "hunter2hunter2";

/// A section with a credential, in the config version that a text speaks.
fn planted(document: &Document) -> String {
    let section = match document.version() {
        None | Some(1) => "cri",
        Some(2) => "io.containerd.grpc.v1.cri",
        Some(_) => "io.containerd.cri.v1.images",
    };
    let host = "planted.example";
    format!("\n[plugins.\"{section}\".registry.configs.\"{host}\".auth]\npassword = \"{SECRET}\"\n")
}

/// The documents with a credential in the first, if that is still TOML.
fn with_secret(mut documents: Vec<Document>) -> Option<Vec<Document>> {
    let first = documents.first_mut()?;
    let text = format!("{}{}", first.text(), planted(first));
    *first = Document::parse(first.name(), text.as_bytes()).ok()?;
    Some(documents)
}

/// Texts with a zero byte between them, under the first of these names, as far as
/// they parse.
fn documents(bytes: &[u8], names: &[&str]) -> Vec<Document> {
    let texts = names.iter().zip(bytes.split(|byte| *byte == 0));
    texts
        .filter_map(|(name, text)| Document::parse(*name, text).ok())
        .collect()
}

/// A first byte that chooses target, options and whether a credential is planted, a
/// legacy file, and what it may import.
pub fn legacy(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else {
        return;
    };
    of_legacy(*first, documents(text, LEGACY));
}

const LEGACY: &[&str] = &[
    k0s::CONFIG_FILE,
    "/etc/k0s/containerd.d/a.toml",
    "/etc/containerd/conf.d/b.toml",
];

fn of_legacy(first: u8, documents: Vec<Document>) {
    if documents
        .first()
        .is_none_or(|main| main.name() != LEGACY[0])
    {
        return;
    }
    let (target, options) = (target(first), options_of(first));
    let make = |documents: &[Document]| plan(&documents[0], &documents[1..], &target, &options);
    if !is_planted(first) {
        let _ = format!("{:?}", check(&documents[0]));
        let _ = of_any_text(&documents, &LEGACY[..1], &target, make);
    } else if let Some(documents) = with_secret(documents) {
        hides(&of_any_text(&documents, &LEGACY[..1], &target, make));
    }
}

/// A first byte that chooses target, options and whether a credential is planted, and
/// drop-ins, of which the last two are files that others may import.
pub fn drop_ins(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else {
        return;
    };
    of_drop_ins(*first, documents(text, DROP_INS));
}

const DROP_INS: &[&str] = &[
    "/etc/k0s/containerd.d/0.toml",
    "/etc/k0s/containerd.d/1.toml",
    "/etc/k0s/containerd.d/nested/2.toml",
    "/etc/containerd/conf.d/3.toml",
];

fn of_drop_ins(first: u8, documents: Vec<Document>) {
    let (target, options) = (target(first), options_of(first));
    let make = |documents: &[Document]| {
        let is_drop_in = |file: &&Document| DROP_INS[..2].contains(&file.name());
        let (drop_ins, imported): (Vec<_>, Vec<_>) = documents.iter().partition(is_drop_in);
        let existing = ExistingDropIns::new(k0s::DROP_IN_DIR, drop_ins).expect("drop-ins");
        let existing = existing.importing(imported).expect("each name once");
        plan_drop_ins(&existing, &target, &options)
    };
    if !is_planted(first) {
        let _ = of_any_text(&documents, &DROP_INS[..2], &target, make);
    } else if let Some(documents) = with_secret(documents) {
        hides(&of_any_text(&documents, &DROP_INS[..2], &target, make));
    }
}

/// A first byte that chooses as those of the two do, a second that chooses between
/// them, and numbers that choose settings where they do not belong.
pub fn odd(bytes: &[u8]) {
    let [first, second, numbers @ ..] = bytes else {
        return;
    };
    let texts = match second & 2 {
        0 => chosen(numbers, (odd_files(), odd_files())),
        _ => chosen(
            numbers,
            (files_of_mixed_versions(), files_of_mixed_versions()),
        ),
    };
    let Some((one, other)) = texts else {
        return;
    };
    let texts = [one, "\0".to_owned(), other].concat();
    match second & 1 {
        0 => of_legacy(*first, documents(texts.as_bytes(), &LEGACY[..1])),
        _ => of_drop_ins(*first, documents(texts.as_bytes(), DROP_INS)),
    }
}

/// The laws that hold whatever the files say, of which those by some names are always
/// read.
fn of_any_text(
    documents: &[Document],
    always: &[&str],
    target: &Target,
    make: impl Fn(&[Document]) -> Plan,
) -> Plan {
    let planned = make(documents);
    let shown = || {
        let named = |file: &Document| format!("--- {}\n{}", file.name(), file.text());
        let texts: Vec<String> = documents.iter().map(named).collect();
        Shown(format!("{}\n{}", target.release, texts.join("\n")))
    };
    let law = || {
        laws::is_no_defect(&planned)?;
        // What nothing imports is not read.
        let is_read = |file: &&Document| {
            let mut entries = planned.ledger.iter();
            always.contains(&file.name()) || entries.any(|entry| entry.span.file == file.name())
        };
        laws::accounts(documents.iter().filter(is_read), &planned)?;
        laws::is_same(&planned, &make(documents))?;
        laws::is_portable(documents, &planned)?;
        if planned.is_sound() {
            of_sound(target, &planned)?;
        }
        Ok(())
    };
    holds(law(), &shown());
    planned
}

/// What is shown of a failure as it is.
struct Shown(String);

impl Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The laws of plans that can be carried out.
fn of_sound(target: &Target, planned: &Plan) -> Result<(), TestCaseError> {
    let set = planned.drop_in_set().expect("each name once");
    let regime = target.release.regime;
    if regime == Regime::Monolith {
        prop_assert!(planned.drop_ins.is_empty(), "{:?}", planned.drop_ins);
        return Ok(());
    }
    let assembled = assemble(&target.release, target.pause_image(), &set);
    prop_assert!(assembled.is_ok(), "{assembled:?}");
    laws::says_what_is_refused(target, planned)?;
    if regime == Regime::ImportsV3 {
        let rejections = preflight(&set);
        prop_assert!(rejections.is_empty(), "{rejections:?}");
        for file in planned
            .drop_ins
            .iter()
            .filter(|file| file.name.is_drop_in())
        {
            prop_assert!(!is_of_another_k0s(&support::parse(file.text())), "{file:?}");
        }
        laws::is_done(target, planned)?;
    }
    Ok(())
}

/// Numbers that choose edits over a dump, or of a sparse file.
pub fn edits(bytes: &[u8]) {
    let Some((first, numbers)) = bytes.split_first() else {
        return;
    };
    let regime = REGIMES[usize::from(*first) % REGIMES.len()];
    let is_plain = (usize::from(*first) / REGIMES.len()).is_multiple_of(2);
    if is_plain {
        if let Some(case) = chosen(numbers, laws::plain(regime)) {
            holds(laws::all_of_plain(&case, &case.plan()), &case);
        }
    } else if let Some(case) = chosen(numbers, laws::any(regime)) {
        let planned = case.plan();
        holds(laws::all_of_any(&case, &planned), &case);
        if planned.is_sound() {
            holds(of_sound(&case.target, &planned), &case);
        }
    }
}

const REGIMES: &[Regime] = &[
    Regime::CriMerge,
    Regime::ImportsV3,
    Regime::CriAppend,
    Regime::Monolith,
];

/// Numbers that choose a file with a credential in some place.
pub fn secrets(bytes: &[u8]) {
    let files = LegacyFiles::new().any_text().with_secret(SECRET).strategy();
    let Some((file, target, options)) = chosen(bytes, (files, targets(), options())) else {
        return;
    };
    let document = file.document();
    assert!(!format!("{document:?}").contains(SECRET), "{file:?}");
    assert!(
        !format!("{:?}", check(&document)).contains(SECRET),
        "{file:?}"
    );
    let config = Config::read(&document);
    assert!(!format!("{config:?}").contains(SECRET), "{file:?}");
    let planned = plan(&document, &[], &target, &options);
    is_hidden(&planned);
    let cut = document.text().len() / 2;
    let broken = document.text().chars().take(cut).collect::<String>() + " = \u{1}";
    if let Err(error) = Document::parse("broken.toml", broken.as_bytes()) {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

/// A value that a strategy makes of the bytes, and of what follows from them where
/// they do not suffice: some ways of sampling try until they find another number.
fn chosen<S: Strategy>(bytes: &[u8], strategy: S) -> Option<S::Value> {
    let mut numbers = bytes.to_vec();
    let mut state = bytes.iter().fold(0x9e37_79b9_u32, |state, byte| {
        state.rotate_left(5) ^ u32::from(*byte)
    }) | 1;
    for _ in 0..16_384 {
        // Xorshift.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        numbers.extend(state.to_le_bytes());
    }
    let rng = TestRng::from_seed(RngAlgorithm::PassThrough, &numbers);
    let mut runner = TestRunner::new_with_rng(RunnerConfig::default(), rng);
    Some(strategy.new_tree(&mut runner).ok()?.current())
}

/// Numbers that choose a set of drop-ins.
pub fn sets(bytes: &[u8]) {
    let Some((first, numbers)) = bytes.split_first() else {
        return;
    };
    let regime = REGIMES[usize::from(*first) % 3];
    let any_settings = *first / 3 % 2 == 1;
    let Some(existing) = chosen(numbers, laws::sets(regime, any_settings)) else {
        return;
    };
    let planned = existing.plan();
    let law = match any_settings {
        true => laws::all_of_any_set(&existing, &planned),
        false => laws::all_of_plain_set(&existing, &planned),
    };
    holds(law, &existing);
    if planned.is_sound() {
        holds(of_sound(&existing.target, &planned), &existing);
    }
}

fn json(plan: &Plan) -> String {
    serde_json::to_string(plan).expect("a plan has a JSON form")
}

/// What is planted is shown nowhere, and is kept or named.
fn hides(planned: &Plan) {
    is_hidden(planned);
    let is_kept = planned
        .drop_ins
        .iter()
        .any(|drop_in| drop_in.text().contains(SECRET));
    let is_named = planned.ledger.iter().any(|entry| {
        entry.value.expose().as_str() == Some(SECRET) && entry.fate.drop_in().is_none()
    });
    // A drop-in that stays is none of the plan's.
    let stays = planned.drop_ins.is_empty();
    assert!(is_kept || is_named || stays, "{:?}", planned.ledger);
}

fn is_hidden(planned: &Plan) {
    let report = airgap::check(planned, &ImageList::default());
    let shown = format!("{planned}{planned:?}{}{report}", json(planned));
    assert!(!shown.contains(SECRET), "{shown}");
    for drop_in in &planned.drop_ins {
        assert!(drop_in.sensitive || !drop_in.text().contains(SECRET));
        assert!(!drop_in.redacted_text().contains(SECRET));
    }
    for file in &planned.hosts_files {
        assert!(file.sensitive || !file.text().contains(SECRET));
        assert!(!file.redacted_text().contains(SECRET));
    }
}

const OLD: Release = Release::new(1, 7, 20);
const NEW: Release = Release::new(2, 3, 3);

/// `hosts.toml` files with a zero byte between them: what is read and written is the
/// same once more, asks the same, and shows no credential.
pub fn hosts(bytes: &[u8]) {
    let paths = ["_default", "docker.io", "registry.example:5000", "[::1]"];
    let texts: Vec<&str> = bytes
        .split(|byte| *byte == 0)
        .take(paths.len())
        .filter_map(|text| std::str::from_utf8(text).ok())
        .collect();
    let names: Vec<String> = paths
        .iter()
        .map(|host| format!("{host}/hosts.toml"))
        .collect();
    for release in [OLD, NEW] {
        let written: Vec<Option<String>> =
            texts.iter().map(|text| written(text, release)).collect();
        let given = names.iter().zip(&texts);
        let tree = CertsD::new("/certs.d", given.map(|(name, text)| (name.as_str(), *text)));
        // A file that is not read counts for nothing, as one that says nothing.
        let given = names.iter().zip(&written);
        let given = given.map(|(name, text)| (name.as_str(), text.as_deref().unwrap_or_default()));
        let again = CertsD::new("/certs.d", given);
        for host in ["docker.io", "registry.example:5000", "x.example", "[::1]"] {
            let (before, after) = (
                tree.endpoints(host, release),
                again.endpoints(host, release),
            );
            assert!(same_pulls(&before, &after), "{host}: {before:?} {after:?}");
        }
    }
}

/// The text of a `hosts.toml` anew, if a release reads it.
fn written(text: &str, release: Release) -> Option<String> {
    let file = HostsToml::parse(text, release).ok()?;
    let written = file.to_toml(release);
    let read = HostsToml::parse(&written, release).expect("a written file is read");
    assert_eq!(read, file, "{written}");
    let header = "[host.\"https://planted.example\".header]\nauthorization";
    let planted = format!("{written}\n{header} = \"{SECRET}\"\n");
    match HostsToml::parse(&planted, release) {
        Ok(file) => {
            let tree = CertsD::new("/certs.d", [("x.example/hosts.toml", planted.as_str())]);
            let shown = format!("{file:?}{tree:?}{:?}", tree.endpoints("x.example", release));
            assert!(!shown.contains(SECRET), "{shown}");
            let written = file.to_toml(release);
            assert!(written.contains(SECRET), "{written}");
        }
        Err(error) => assert!(!format!("{error}{error:?}").contains(SECRET), "{error:?}"),
    }
    Some(written)
}

/// A first byte that chooses the release, and numbers that choose registry settings
/// and a tree of `hosts.toml` files.
pub fn conversions(bytes: &[u8]) {
    let Some((first, numbers)) = bytes.split_first() else {
        return;
    };
    let to = [NEW, OLD][usize::from(*first) % 2];
    let Some((settings, files)) = chosen(numbers, (registries(), certs_ds(NEW))) else {
        return;
    };
    converts(&settings, to);
    let given = files.iter();
    let given = given.map(|(path, text)| (path.as_str(), text.as_str()));
    let tree = CertsD::new("/certs.d", given);
    assert_eq!(tree.errors().count(), 0, "{files:?}");
    for text in files.values() {
        assert!(written(text, NEW).is_some(), "{text}");
    }
}

/// Settings that become files make the same pulls, and mirrors that are not needed are
/// not missed.
fn converts(settings: &Registry, to: Release) {
    let conversion = convert(settings, OLD, to).expect("few hosts");
    let texts: Vec<(String, String)> = conversion
        .files
        .iter()
        .map(|file| (file.path.clone(), file.file.to_toml(to)))
        .collect();
    let given = texts.iter();
    let given = given.map(|(path, text)| (path.as_str(), text.as_str()));
    let tree = CertsD::new("/certs.d", given);
    assert_eq!(tree.errors().count(), 0, "{texts:?}");
    conversion
        .check(&tree, to)
        .expect("the files make the pulls of the settings");
    for file in &conversion.files {
        let text = file.file.to_toml(to);
        let read = HostsToml::parse(&text, to);
        assert_eq!(read.as_ref(), Ok(&file.file), "{text}");
    }
    let _ = format!("{:?}", diagnose(settings));
    let mut left = settings.clone();
    for name in unneeded_mirrors(settings, OLD, to) {
        left.mirrors.remove(&name);
    }
    for host in hosts_named(settings) {
        for release in [OLD, to] {
            let before = endpoints(settings, &host, release);
            let after = endpoints(&left, &host, release);
            let same = match (&before, &after) {
                (Ok(before), Ok(after)) => same_pulls(before, after),
                (before, after) => before == after,
            };
            assert!(same, "{host}: {before:?} {after:?}");
        }
    }
}

/// A first byte that chooses the release, and drop-ins with a zero byte between them.
pub fn of_k0s(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else {
        return;
    };
    let target = target(*first);
    let release = &target.release;
    let texts = text.split(|byte| *byte == 0).take(4);
    let texts = texts.filter_map(|text| std::str::from_utf8(text).ok());
    let texts = texts.enumerate();
    let files: BTreeMap<String, String> = texts
        .map(|(at, text)| (format!("{at}.toml"), text.to_owned()))
        .collect();
    let set = support::set(&files);
    let rejections = preflight(&set);
    let assembled = assemble(release, target.pause_image(), &set);
    if release.regime == Regime::ImportsV3 {
        // The check is all that k0s makes of them.
        assert_eq!(rejections.is_empty(), assembled.is_ok(), "{assembled:?}");
        for text in files.values() {
            let document = Document::parse("x.toml", text.as_bytes());
            let is_other = document.is_ok_and(|file| is_of_another_k0s(&file.to_table()));
            assert!(!is_other || !rejections.is_empty(), "{text}");
        }
    }
    let Ok(assembled) = assembled else {
        return;
    };
    let _ = format!("{assembled:?}");
    let main = assembled.main_toml(k0s::DROP_IN_DIR, "/run/k0s/containerd-cri.toml");
    let main = Document::parse(k0s::CONFIG_FILE, main.as_bytes()).expect("a main file parses");
    assert!(main.marker().is_managed_for(release));
    assert_eq!(main.version(), Some(release.config_version()));
    if release.regime == Regime::CriMerge {
        merges(&target, &files, assembled.cri_toml());
    }
    let effective = assembled.effective();
    let _ = format!("{effective:?}{:?}", effective.refusals());
    // The same files are the same configuration.
    let again = assemble(release, target.pause_image(), &set).expect("as before");
    assert!(again.effective().differences(&effective).is_empty());
}

/// Whether k0s 1.36 exits at start because of a drop-in, by its description.
fn is_of_another_k0s(table: &Table) -> bool {
    let version = table.get("version");
    version.is_some_and(|version| *version != Value::Integer(3))
        || support::at(table, &["plugins", support::CRI]).is_some()
}

/// k0s's merge against RFC 7396 as the tests have it, but for values that the detour
/// changes.
fn merges(target: &Target, files: &BTreeMap<String, String>, merged: Option<String>) {
    let none = DropInSet::default();
    let base = assemble(&target.release, target.pause_image(), &none).expect("nothing");
    let mut expected = support::parse(&base.cri_toml().expect("CRI settings"));
    for text in files.values() {
        let Ok(document) = Document::parse("x.toml", text.as_bytes()) else {
            return;
        };
        let table = document.to_table();
        if survives(&Value::Table(table.clone())) != Ok(true) {
            return;
        }
        if support::at(&table, &["plugins", support::CRI]).is_some() {
            support::merge(&mut expected, &table);
        }
    }
    let merged = support::parse(&merged.expect("CRI settings"));
    let shown = |table: &Table| Exposed::table(table).to_toml();
    assert_eq!(shown(&merged), shown(&expected));
}

/// A config file: written in its own version it is what it was, as JSON too, and
/// written in any version it is read as what was written. Its registries are converted.
pub fn config(bytes: &[u8]) {
    let Ok(document) = Document::parse("containerd.toml", bytes) else {
        return;
    };
    let own = Config::read(&document);
    let _ = format!("{own:?}");
    let shown = |table: &Table| Exposed::table(table).to_toml();
    assert_eq!(shown(&own.to_table()), shown(&document.to_table()));
    for version in 1..=4 {
        let mut other = own.clone();
        other.version = Some(version);
        let text = other.to_toml();
        let read = Document::parse("containerd.toml", text.as_bytes()).expect("a written config");
        let read = Config::read(&read);
        assert_eq!(shown(&read.to_table()), shown(&other.to_table()));
        // From there on nothing is lost on the way to its own version and back.
        let mut back = read.clone();
        back.version = own.version;
        let mut there = back.clone();
        there.version = Some(version);
        assert_eq!(shown(&there.to_table()), shown(&read.to_table()));
    }
    for to in [OLD, NEW] {
        converts(&own.plugins.cri.registry, to);
    }
}

/// Lines of a list of images.
pub fn images(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let list = ImageList::parse(text);
    let _ = format!("{list:?}");
    let lines = text.lines().count();
    assert!(list.images().len() + list.unreadable().len() <= lines);
    let all: Vec<&ImageReference> = list.images().collect();
    assert!(all.is_sorted());
    for image in &all {
        // The full name is a name of the same image.
        let again: ImageReference = image.to_string().parse().expect("a full name");
        assert_eq!(again, **image);
        assert!(list.contains(image));
        // Another one is what is meant in its place: of its repository, if there is one.
        let others = || all.iter().filter(|other| *other != image);
        let of =
            |other: &ImageReference| (other.registry().to_owned(), other.repository().to_owned());
        match list.nearest(image) {
            Some(nearest) => {
                assert!(nearest != *image && list.contains(nearest));
                let has_its_own = others().any(|other| of(other) == of(image));
                assert_eq!(has_its_own, of(nearest) == of(image), "{image}: {nearest}");
            }
            None => assert!(others().all(|other| of(other) != of(image)), "{image}"),
        }
    }
    // The order of the lines says nothing, if no other one than the first begins with
    // what is a byte order mark there.
    let text_alone = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text_alone.contains('\u{feff}') {
        let turned: Vec<&str> = text_alone.lines().rev().collect();
        let turned = ImageList::parse(&turned.join("\n"));
        assert!(turned.images().eq(list.images()));
    }
    for line in text.lines() {
        let target = Target::find(line);
        if let Ok(target) = target {
            assert!(Target::find(&target.release.to_string()).is_ok(), "{line}");
        }
        if let Ok(release) = line.parse::<Release>() {
            assert_eq!(release.to_string().parse::<Release>(), Ok(release));
        }
        if let Ok(image) = line.parse::<ImageReference>() {
            let list = ImageList::parse(&image.to_string());
            assert!(list.contains(&image), "{line}");
        }
    }
}
