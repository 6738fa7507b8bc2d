//! What each fuzz target asserts of its input. The targets and the tests on stable
//! run the same functions.

use std::collections::BTreeMap;

use containerd_dropins::airgap::{ImageList, ImageReference};
use containerd_dropins::containerd::Release;
use containerd_dropins::diagnostic::Code;
use containerd_dropins::k0s::{self, DropInSet, Regime, assemble, preflight};
use containerd_dropins::migrate::{
    ExistingDropIns, Fate, Options, Plan, Target, check, plan, plan_drop_ins,
};
use containerd_dropins::registry::{CertsD, HostsToml, convert};
use containerd_dropins::strategies::{
    DropInSets, LegacyFiles, certs_ds, options, registries, targets,
};
use containerd_dropins::value::{Exposed, Table, Value};
use containerd_dropins::{Config, Document};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as RunnerConfig, RngAlgorithm, TestRng, TestRunner};

/// All of them by name.
pub const ALL: &[(&str, fn(&[u8]))] = &[
    ("legacy", legacy),
    ("edits", edits),
    ("drop_ins", drop_ins),
    ("sets", sets),
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

/// A first byte that chooses the target, and a legacy file.
pub fn legacy(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else {
        return;
    };
    let Ok(document) = Document::parse(k0s::CONFIG_FILE, text) else {
        return;
    };
    let target = target(*first);
    let _ = check(&document);
    let planned = plan(&document, &[], &target, &Options::default());
    holds(&planned, &[&document], &target);
    let text = format!("{}{}", document.text(), planted(&document));
    let Ok(document) = Document::parse(k0s::CONFIG_FILE, text.as_bytes()) else {
        return;
    };
    let planned = plan(&document, &[], &target, &Options::default());
    holds(&planned, &[&document], &target);
    hides(&planned);
}

/// Numbers that choose edits over a dump, or of a sparse file.
pub fn edits(bytes: &[u8]) {
    let files = (
        LegacyFiles::new().any_text().strategy(),
        targets(),
        options(),
    );
    let Some((file, target, options)) = chosen(bytes, files) else {
        return;
    };
    let document = file.document();
    let planned = plan(&document, &[], &target, &options);
    holds(&planned, &[&document], &target);
    let again = plan(&document, &[], &target, &options);
    assert_eq!(json(&planned), json(&again));
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

/// A first byte that chooses the target, and drop-ins with a zero byte between them.
pub fn drop_ins(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else {
        return;
    };
    let texts = text.split(|byte| *byte == 0).take(4).enumerate();
    let named = texts.map(|(at, text)| (format!("{at}.toml"), text));
    let parsed =
        named.map(|(name, text)| Document::parse(format!("{}/{name}", k0s::DROP_IN_DIR), text));
    let Ok(documents) = parsed.collect::<Result<Vec<_>, _>>() else {
        return;
    };
    carried_over(&documents, &target(*first));
}

/// Numbers that choose a set of drop-ins.
pub fn sets(bytes: &[u8]) {
    let versions = prop_oneof![Just(2), Just(3)];
    let sets = versions.prop_flat_map(|version| {
        DropInSets::of_version(version)
            .with_conversions()
            .any_text()
            .strategy()
    });
    let Some((set, target)) = chosen(bytes, (sets, targets())) else {
        return;
    };
    carried_over(&set.documents(), &target);
}

fn carried_over(documents: &[Document], target: &Target) {
    let planned = of_drop_ins(documents, target);
    let all: Vec<&Document> = documents.iter().collect();
    holds(&planned, &all, target);
    assert_eq!(json(&planned), json(&of_drop_ins(documents, target)));
}

fn of_drop_ins(documents: &[Document], target: &Target) -> Plan {
    let is_nested = |document: &&Document| {
        let name = document.name().strip_prefix(k0s::DROP_IN_DIR);
        name.is_some_and(|name| name.trim_start_matches('/').contains('/'))
    };
    let (nested, drop_ins): (Vec<_>, Vec<_>) = documents.iter().partition(is_nested);
    let existing = ExistingDropIns::new(k0s::DROP_IN_DIR, drop_ins).expect("names of drop-ins");
    let existing = existing.importing(nested).expect("names of imported files");
    plan_drop_ins(&existing, target, &Options::default())
}

fn json(plan: &Plan) -> String {
    serde_json::to_string(plan).expect("a plan has a JSON form")
}

/// The laws, as far as a plan by itself tells.
fn holds(planned: &Plan, inputs: &[&Document], target: &Target) {
    let defects: Vec<_> = planned
        .findings
        .iter()
        .filter(|finding| finding.code == Code::Internal)
        .collect();
    assert!(defects.is_empty(), "{defects:?}");
    let _ = (planned.to_string(), format!("{planned:?}"));
    accounts(planned, inputs);
    for drop_in in &planned.drop_ins {
        Document::parse(drop_in.name.to_string(), drop_in.text().as_bytes())
            .expect("a drop-in parses");
    }
    if !planned.is_sound() {
        return;
    }
    let texts: Vec<(String, &str)> = planned
        .drop_ins
        .iter()
        .map(|drop_in| (drop_in.name.to_string(), drop_in.text()))
        .collect();
    let set = planned.drop_in_set().expect("each name once");
    if target.release.regime == Regime::ImportsV3 {
        let rejections = preflight(&set);
        assert!(rejections.is_empty(), "{rejections:?}");
        again(planned, &texts, target);
    }
    if target.release.regime != Regime::Monolith {
        let assembled = assemble(&target.release, target.pause_image(), &set);
        assert!(assembled.is_ok(), "{assembled:?}");
    }
}

/// Law 4: every leaf of the input has an entry, and nothing else has.
fn accounts(planned: &Plan, inputs: &[&Document]) {
    // What k0s manages is not looked into.
    if planned.k0s_managed {
        return;
    }
    let of_tables = planned
        .ledger
        .iter()
        .filter(|entry| match entry.value.expose() {
            Value::Table(table) => table.is_empty(),
            _ => false,
        });
    let leaves: usize = inputs
        .iter()
        .map(|document| leaves(&document.to_table()))
        .sum();
    let entries = planned.ledger.len() - of_tables.count();
    assert_eq!(entries, leaves, "{:?}", planned.ledger);
    for entry in &planned.ledger {
        assert!(!entry.reason.is_empty() && entry.span.line > 0, "{entry:?}");
        if let Fate::Kept { drop_in } = &entry.fate {
            let is_there = planned
                .drop_ins
                .iter()
                .any(|written| written.name == *drop_in);
            assert!(is_there || planned.drop_ins.is_empty(), "{entry:?}");
        }
    }
}

fn leaves(table: &Table) -> usize {
    let of = |value: &Value| match value {
        Value::Table(inner) => leaves(inner),
        _ => 1,
    };
    table.values().map(of).sum()
}

/// Law 6: the result is carried over as it is.
fn again(planned: &Plan, texts: &[(String, &str)], target: &Target) {
    let documents: Vec<Document> = texts
        .iter()
        .map(|(name, text)| {
            let path = format!("{}/{name}", k0s::DROP_IN_DIR);
            Document::parse(path, text.as_bytes()).expect("a drop-in parses")
        })
        .collect();
    let again = of_drop_ins(&documents, target);
    let by_name = |plan: &Plan| -> BTreeMap<String, String> {
        let files = plan.drop_ins.iter();
        files
            .map(|file| (file.name.to_string(), file.text().to_owned()))
            .collect()
    };
    assert_eq!(by_name(planned), by_name(&again), "{:?}", again.findings);
}

/// What is planted is shown nowhere, and is kept or named.
fn hides(planned: &Plan) {
    let shown = format!("{planned}{planned:?}{}", json(planned));
    assert!(!shown.contains(SECRET), "{shown}");
    let is_kept = planned
        .drop_ins
        .iter()
        .any(|drop_in| drop_in.text().contains(SECRET));
    let is_named = planned.ledger.iter().any(|entry| {
        entry.value.expose().as_str() == Some(SECRET) && entry.fate.drop_in().is_none()
    });
    assert!(is_kept || is_named || planned.k0s_managed, "{shown}");
    for drop_in in &planned.drop_ins {
        assert!(drop_in.sensitive || !drop_in.text().contains(SECRET));
    }
}

const OLD: Release = Release::new(1, 7, 20);
const NEW: Release = Release::new(2, 3, 3);

/// `hosts.toml` files with a zero byte between them: what is read and written is the
/// same once more, for releases that read it alike.
pub fn hosts(bytes: &[u8]) {
    let texts: Vec<&str> = bytes
        .split(|byte| *byte == 0)
        .take(4)
        .filter_map(|text| std::str::from_utf8(text).ok())
        .collect();
    for text in &texts {
        for release in [OLD, NEW] {
            if let Ok(file) = HostsToml::parse(text, release) {
                let _ = format!("{file:?}");
                let written = file.to_toml(release);
                let read = HostsToml::parse(&written, release).expect("a written file is read");
                assert_eq!(read, file, "{written}");
            }
        }
    }
    let paths = ["_default", "docker.io", "registry.example:5000", "[::1]"];
    let named = paths
        .iter()
        .zip(&texts)
        .map(|(host, text)| (format!("{host}/hosts.toml"), *text));
    let named: Vec<(String, &str)> = named.collect();
    let tree = CertsD::new(
        "/certs.d",
        named.iter().map(|(name, text)| (name.as_str(), *text)),
    );
    for host in ["docker.io", "registry.example:5000", "x.example", "[::1]"] {
        for release in [OLD, NEW] {
            let _ = format!("{:?}", tree.endpoints(host, release));
        }
    }
}

/// Numbers that choose registry settings, or a tree of `hosts.toml` files.
pub fn conversions(bytes: &[u8]) {
    let Some((settings, files)) = chosen(bytes, (registries(), certs_ds(NEW))) else {
        return;
    };
    if let Ok(conversion) = convert(&settings, OLD, NEW) {
        let texts: Vec<(String, String)> = conversion
            .files
            .iter()
            .map(|file| (file.path.clone(), file.file.to_toml(NEW)))
            .collect();
        let given = texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()));
        let tree = CertsD::new("/certs.d", given);
        assert_eq!(tree.errors().count(), 0, "{texts:?}");
        conversion
            .check(&tree, NEW)
            .expect("the files make the pulls of the settings");
    }
    let given = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    let tree = CertsD::new("/certs.d", given);
    assert_eq!(tree.errors().count(), 0, "{files:?}");
}

/// A first byte that chooses the release, and drop-ins with a zero byte between them.
pub fn of_k0s(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else {
        return;
    };
    let target = target(*first);
    let texts = text.split(|byte| *byte == 0).take(4);
    let texts = texts
        .filter_map(|text| std::str::from_utf8(text).ok())
        .enumerate();
    let files: Vec<(String, &str)> = texts
        .map(|(at, text)| (format!("{at}.toml"), text))
        .collect();
    let given = files.iter().map(|(name, text)| (name.as_str(), *text));
    let set = DropInSet::new(given).expect("each name once");
    let _ = preflight(&set);
    let Ok(assembled) = assemble(&target.release, target.pause_image(), &set) else {
        return;
    };
    let _ = format!("{assembled:?}");
    let effective = assembled.effective();
    let _ = format!("{effective:?}");
    // The same files are the same configuration.
    let again = assemble(&target.release, target.pause_image(), &set).expect("as before");
    assert!(again.effective().differences(&effective).is_empty());
    let _ = effective.refusals();
}

/// A config file: written in its own version it is what it was, and what another
/// version has a place for comes back from there.
pub fn config(bytes: &[u8]) {
    let Ok(document) = Document::parse("containerd.toml", bytes) else {
        return;
    };
    let own = Config::read(&document);
    let _ = format!("{own:?}");
    assert_eq!(
        Exposed::table(&own.to_table()).to_toml(),
        Exposed::table(&document.to_table()).to_toml()
    );
    for version in 1..=4 {
        let mut other = own.clone();
        other.version = Some(version);
        let text = other.to_toml();
        let read = Document::parse("containerd.toml", text.as_bytes()).expect("a written config");
        assert_eq!(
            Exposed::table(&Config::read(&read).to_table()).to_toml(),
            Exposed::table(&other.to_table()).to_toml()
        );
    }
}

/// Lines of a list of images.
pub fn images(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let list = ImageList::parse(text);
    let _ = format!("{list:?}");
    for image in list.images() {
        // The full name is a name of the same image.
        let again: ImageReference = image.to_string().parse().expect("a full name");
        assert_eq!(again, *image);
        assert!(list.contains(image));
        assert_eq!(list.nearest(image), Some(image));
    }
    for line in text.lines() {
        let _ = line.parse::<ImageReference>();
        let _ = Target::find(line);
        let _ = line.parse::<Release>();
    }
}
