//! How much is read, and what work and memory grow by.

use allocation_counter::{AllocationInfo, measure};
use containerd_dropins::airgap::ImageList;
use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::k0s::{
    AssembleError, DropInSet, RejectionReason, Release, assemble, assemble_within, preflight,
};
use containerd_dropins::migrate::{ExistingDropIns, Options, Step, Target, plan, plan_drop_ins};
use containerd_dropins::registry::{CertsD, HostsToml, HostsTomlError};
use containerd_dropins::{Document, Limits, ParseErrorKind, Size, Unit};

use crate::laws::is_long;
use crate::shapes::{self, SHAPES};

const DIRECTORY: &str = "/etc/k0s/containerd.d";

fn documents(texts: &[String]) -> Vec<Document> {
    let texts = texts.iter().enumerate();
    let parse = |(at, text): (usize, &String)| {
        Document::parse(shapes::drop_in_name(DIRECTORY, at), text.as_bytes()).unwrap()
    };
    texts.map(parse).collect()
}

fn shape(name: &str, count: usize) -> Vec<String> {
    let shape = SHAPES.iter().find(|shape| shape.name == name);
    (shape.unwrap().make)(count)
}

#[test]
fn what_people_have_passes() {
    let limits = Limits::default();
    for (name, count) in [("mirrors", 100_000), ("mirrors, tls, auth", 20_000)] {
        let size = Size::of(&shape(name, count)[0]);
        assert_eq!(limits.check(size), Ok(()), "{name}: {size:?}");
    }
}

/// 10 MB of dotted keys, at two bytes each, would take many GB; 10 MB of numbers 2.
#[test]
fn what_is_too_large_is_not_parsed() {
    let limits = Limits::default();
    for (text, unit) in [
        (
            format!("{}a = 1\n", "a.".repeat(5_000_000)),
            Unit::KeysAndValues,
        ),
        (
            format!("a = [{}]\n", "1,".repeat(5_000_000)),
            Unit::KeysAndValues,
        ),
        ("[a]\n".repeat(2_500_000), Unit::KeysAndValues),
        ("\n".repeat(20_000_000), Unit::KeysAndValues),
        ("not TOML ".repeat(4_000_000), Unit::Bytes),
    ] {
        let mut refused = None;
        let memory = measure(|| refused = Document::parse("t.toml", text.as_bytes()).err());
        let error = refused.unwrap();
        assert_eq!(error.kind(), ParseErrorKind::TooLarge);
        let exceeded = error.exceeded().unwrap();
        assert_eq!(exceeded.unit, unit);
        let limit = match unit {
            Unit::Bytes => limits.bytes(),
            _ => limits.keys_and_values(),
        };
        assert_eq!(exceeded.limit, limit);
        assert!(exceeded.found > limit);
        assert!(error.to_string().contains(&exceeded.found.to_string()));
        assert!(error.to_string().contains("limit is raised"));
        assert!(memory.bytes_max < 4096, "{memory:?}");
    }
}

/// Twenty files of ten settings each, all together more than a limit that lets
/// each of them pass.
#[test]
fn the_limits_are_those_of_all_files_together() {
    let settings: String = (0..10).map(|at| format!("k{at} = {at}\n")).collect();
    let texts: Vec<String> = (0..20)
        .map(|at| format!("version = 3\n[plugins.\"io.containerd.x.v1.p{at}\"]\n{settings}"))
        .collect();
    let limits = Limits::default().with_keys_and_values(200);
    let sizes: Vec<Size> = texts.iter().map(|text| Size::of(text)).collect();
    assert!(sizes.iter().all(|size| limits.check(*size).is_ok()));

    let documents = documents(&texts);
    let options = Options::default().limits(limits);
    let target = Target::find("1.36.3").unwrap();
    let existing = ExistingDropIns::new(DIRECTORY, &documents).unwrap();
    let (legacy, imported) = documents.split_first().unwrap();
    for plan in [
        plan_drop_ins(&existing, &target, &options),
        plan(legacy, imported, &target, &options),
    ] {
        let found: Vec<Code> = plan.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(found, [Code::InputTooLarge]);
        assert_eq!(plan.severity(), Some(Severity::Error));
        assert!(!plan.is_sound() && plan.drop_ins.is_empty() && plan.removed.is_empty());
        assert_eq!(plan.steps, [Step::Settle]);
    }
    let allowed = plan_drop_ins(&existing, &target, &Options::default());
    assert!(
        allowed
            .findings
            .iter()
            .all(|finding| finding.code != Code::InputTooLarge)
    );
    assert!(allowed.verified);

    let (release, _) = Release::find("1.36.3").unwrap();
    let named = documents.iter().map(|file| (file.name(), file.text()));
    let set = DropInSet::new(named).unwrap();
    let image = release.pause_image.clone();
    let within = assemble_within(&release, &image, &set, limits);
    assert!(matches!(within, Err(AssembleError::TooLarge(exceeded)) if exceeded.limit == 200));
    assert!(assemble(&release, &image, &set).is_ok());

    let files: Vec<(String, String)> = (0..20)
        .map(|at| (format!("h{at}/hosts.toml"), shapes::hosts_toml(10)))
        .collect();
    let files = || {
        files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    };
    let limits = Limits::default().with_bytes(5_000);
    assert!(files().all(|(_, text)| text.len() < 5_000));
    let certs_d = CertsD::within("/certs.d", files(), limits);
    assert!(certs_d.errors().next().is_some());
    assert!(
        certs_d
            .errors()
            .all(|(_, error)| matches!(error, HostsTomlError::TooLarge(_)))
    );
    assert_eq!(CertsD::new("/certs.d", files()).errors().count(), 0);
}

#[test]
fn other_texts_have_the_same_bounds() {
    let limits = Limits::default().with_keys_and_values(100);
    let release = "2.1.9".parse().unwrap();
    let hosts = shapes::hosts_toml(50);
    let refused = HostsToml::parse_within(&hosts, release, limits);
    assert!(matches!(refused, Err(HostsTomlError::TooLarge(exceeded)) if exceeded.limit == 100));
    assert_eq!(HostsToml::parse(&hosts, release).unwrap().hosts.len(), 50);

    let images = shapes::images(100);
    let refused = ImageList::parse_within(&images, limits).unwrap_err();
    assert_eq!((refused.unit, refused.found), (Unit::KeysAndValues, 101));
    let limits = limits.with_keys_and_values(101);
    assert_eq!(
        ImageList::parse_within(&images, limits)
            .unwrap()
            .images()
            .len(),
        100
    );

    let text = format!("x = [{}]\n", "1,".repeat(1_000_000));
    let set = DropInSet::new([("/etc/k0s/containerd.d/a.toml", text.as_str())]).unwrap();
    let rejections = preflight(&set);
    assert!(matches!(rejections[0].reason, RejectionReason::TooLarge(_)));
}

fn taken(texts: &[String], route: &str) -> AllocationInfo {
    let options = Options::default();
    measure(|| {
        let documents = documents(texts);
        let release = route.trim_start_matches('-');
        let target = Target::find(release).unwrap();
        let plan = match route.starts_with('-') {
            true => {
                let existing = ExistingDropIns::new(DIRECTORY, &documents).unwrap();
                plan_drop_ins(&existing, &target, &options)
            }
            false => plan(&documents[0], &documents[1..], &target, &options),
        };
        assert!(
            plan.findings
                .iter()
                .all(|finding| finding.code != Code::Internal)
        );
    })
}

/// The work, counted by what is allocated for it, which is the same in every run:
/// from n to 2 n it grows by half as much as from 2 n to 4 n. The bench `limits`
/// measures time.
#[test]
fn work_and_memory_grow_as_the_input_does() {
    const N: usize = 120;
    // The tables that are made once.
    for route in ["1.27.2", "1.30.4", "1.36.3", "-1.30.4", "-1.36.3"] {
        let _ = taken(&shape("mirrors", 1), route);
    }
    let mut faults = Vec::new();
    for (at, shape) in SHAPES.iter().enumerate() {
        let texts = [N, 2 * N, 4 * N].map(shape.make);
        let size = |texts: &[String]| -> usize {
            texts
                .iter()
                .map(|text| Size::of(text).keys_and_values)
                .sum()
        };
        let counted = size(&texts[2]) - size(&texts[0]);
        let few = texts[2].len() == 1;
        // A legacy file does not import the files of a set.
        let routes = match few {
            true => &["1.27.2", "1.30.4", "1.36.3", "-1.36.3"][..],
            false => &["-1.30.4", "-1.36.3"],
        };
        // Of the ways of a legacy file, each kind goes one if few cases do; the next
        // kind another.
        let legacy = ["1.27.2", "1.30.4", "1.36.3"][at % 3];
        let is_due = |route: &str| is_long() || route.starts_with('-') || route == legacy;
        for route in routes.iter().filter(|route| is_due(route)) {
            let [a, b, c] = [0, 1, 2].map(|at| taken(&texts[at], route));
            let exponent = |a: u64, b: u64, c: u64| {
                (c.saturating_sub(b) as f64 / b.saturating_sub(a).max(1) as f64).log2()
            };
            let bytes = exponent(a.bytes_total, b.bytes_total, c.bytes_total);
            let pieces = exponent(a.count_total, b.count_total, c.count_total);
            // What is sorted grows with an exponent of 1.15 here.
            if bytes > 1.16 || pieces > 1.16 {
                faults.push(format!("{} {route}: {bytes:.2} {pieces:.2}", shape.name));
            }
            // Long strings are no more values than short ones.
            let is_text = shape.name.contains("string") || shape.name.contains("comments");
            let each = c.bytes_max.saturating_sub(a.bytes_max) / counted.max(1) as u64;
            if each > 2_200 && !is_text {
                faults.push(format!(
                    "{} {route}: {each} bytes a key or value",
                    shape.name
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The table of the docs is the bench's, whose rows are these kinds.
#[test]
fn the_table_of_the_docs_has_every_kind() {
    let table = include_str!("../../src/document/limits.md");
    let rows = table.lines().filter_map(|line| line.split('|').nth(1));
    let rows: Vec<&str> = rows.map(str::trim).skip(2).collect();
    let kinds: Vec<&str> = SHAPES.iter().map(|shape| shape.name).collect();
    assert_eq!(rows.get(..kinds.len()), Some(kinds.as_slice()));
}
