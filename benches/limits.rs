//! What large inputs of every kind take: time and memory, in units of the parse
//! and of the parsed document, and how the time grows.
//!
//! `cargo bench -p containerd-dropins-benches --bench limits` prints the table that
//! the documentation of `Limits` has; `… -- of FILTER` prints its rows of the kinds
//! with FILTER in their names; `… -- grow N FILTER ROUTE` how time and memory grow
//! from N to 4 N, on each route or on one; `… -- once NAME N ROUTE` does one thing
//! once, for callgrind and the like.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout
)]

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use allocation_counter::AllocationInfo;
use containerd_dropins::airgap::ImageList;
use containerd_dropins::diagnostic::Code;
use containerd_dropins::k0s::{DropInSet, Release, assemble_within};
use containerd_dropins::migrate::{Options, Plan, RegistryPolicy};
use containerd_dropins::registry::{CertsD, HostsToml};
use containerd_dropins::{Document, Limits, Size};
use containerd_dropins_benches::shapes::{self, SHAPES, Shape};
use containerd_dropins_benches::work::{self, DIRECTORY, Front};

/// The ways through the library: `-` in front of a release stands for existing
/// drop-ins, and `+` behind it for mirrors that are converted in any case.
const ROUTES: [&str; 7] = [
    "1.27.2", "1.30.4", "1.36.3", "1.36.3+", "-1.30.4", "-1.36.3", "-1.36.3+",
];
/// Those of the table, for either front: each of the others does part of what they do.
const LEGACY: [&str; 2] = ["1.30.4", "1.36.3+"];
const DROP_INS: [&str; 1] = ["-1.36.3+"];

/// As much as the table has of each kind, unless the default limits let pass less.
const TEXT: usize = 10_000_000;

/// The stack of a thread that does any of this.
const STACK: usize = 512 << 10;

/// For the kinds of which the default limits let pass less than is measured.
fn no_limits() -> Limits {
    Limits::default()
        .with_bytes(usize::MAX)
        .with_keys_and_values(usize::MAX)
}

fn parse(texts: &[String]) -> Vec<Document> {
    work::parse(texts, no_limits())
}

fn migrated(documents: &[Document], route: &str) -> Plan {
    let options = Options::default().limits(no_limits());
    let (options, route) = match route.strip_suffix('+') {
        Some(route) => (options.registry(RegistryPolicy::Convert), route),
        None => (options, route),
    };
    match route.strip_prefix('-') {
        None => work::migrated(documents, Front::Legacy, route, &options),
        Some(release) => work::migrated(documents, Front::DropIns, release, &options),
    }
}

fn migrate(texts: &[String], route: &str) {
    let plan = black_box(migrated(&parse(texts), route));
    // What ends early is not measured by this.
    let ended = |code| matches!(code, Code::Internal | Code::InputTooLarge);
    assert!(!plan.findings.iter().any(|finding| ended(finding.code)));
}

/// The time that this thread had of a processor, where Linux tells it.
fn now() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|text| text.parse().ok());
    nanoseconds.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn timed(work: impl FnOnce()) -> Duration {
    let start = now();
    work();
    now().saturating_sub(start)
}

/// Does it on a thread with the stack that embedders may have.
fn on_small_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        thread.spawn_scoped(scope, work).unwrap().join().unwrap()
    })
}

fn size(texts: &[String]) -> Size {
    texts
        .iter()
        .map(|text| Size::of(text))
        .fold(Size::default(), |sum, one| sum + one)
}

/// What it takes to read something, and to read it and do the work.
struct Measured {
    read: Duration,
    all: Duration,
    /// What was read.
    kept: AllocationInfo,
    work: AllocationInfo,
}

impl Measured {
    fn of<T>(read: impl Fn() -> T + Sync, work: impl Fn() + Sync) -> Measured {
        on_small_stack(|| {
            let mut kept = None;
            let mut all = Duration::ZERO;
            let mut first = Duration::ZERO;
            let document = allocation_counter::measure(|| first = timed(|| kept = Some(read())));
            drop(kept);
            let taken = allocation_counter::measure(|| all = timed(&work));
            let last = timed(|| drop(black_box(read())));
            Measured {
                read: (first + last) / 2,
                all,
                kept: document,
                work: taken,
            }
        })
    }

    fn migration(texts: &[String], route: &str) -> Measured {
        Measured::of(|| parse(texts), || migrate(texts, route))
    }

    fn time(&self) -> f64 {
        self.all.as_secs_f64() / self.read.as_secs_f64()
    }

    fn memory(&self) -> f64 {
        self.work.bytes_max as f64 / self.kept.bytes_current as f64
    }
}

/// The most of a shape that is to be measured.
fn most(shape: &Shape) -> usize {
    let limits = Limits::default().with_bytes(TEXT);
    let fits = |count: usize| limits.check(size(&(shape.make)(count))).is_ok();
    let mut count = 1_000;
    while fits(2 * count) {
        count *= 2;
    }
    let mut step = count / 2;
    while step > count / 64 {
        if fits(count + step) {
            count += step;
        }
        step /= 2;
    }
    count
}

/// The worst of some routes: time by the parse, memory by the document, the peak.
fn worst(texts: &[String], routes: &[&str]) -> [f64; 3] {
    let mut worst = [0.0_f64; 3];
    for route in routes {
        let one = Measured::migration(texts, route);
        let one = [one.time(), one.memory(), one.work.bytes_max as f64];
        for (worst, one) in worst.iter_mut().zip(one) {
            *worst = worst.max(one);
        }
    }
    worst
}

const HEAD: &str = "\
| many of | MB | keys and values | parsed | legacy file: time | memory | drop-ins: time | memory | peak, MB |
|---|--:|--:|--:|--:|--:|--:|--:|--:|";

/// A row: what is read, what of it is kept, and what the fronts take.
fn row(name: &str, size: Size, kept: f64, fronts: [Option<[f64; 3]>; 2]) {
    let cell = |front: Option<[f64; 3]>| {
        front.map_or_else(
            || "– | –".to_owned(),
            |[time, memory, _]| format!("{time:.1} | {memory:.1}"),
        )
    };
    let peak = fronts
        .iter()
        .flatten()
        .map(|front| front[2])
        .fold(0.0, f64::max);
    println!(
        "| {name} | {:.1} | {} | {:.1} | {} | {} | {:.0} |",
        size.bytes as f64 / 1e6,
        size.keys_and_values,
        kept / size.bytes as f64,
        cell(fronts[0]),
        cell(fronts[1]),
        peak / 1e6,
    );
}

fn kind(name: &str, texts: &[String]) {
    let kept = on_small_stack(|| {
        let mut kept = Vec::new();
        let kept_of = allocation_counter::measure(|| kept = parse(texts));
        drop(kept);
        kept_of.bytes_current as f64
    });
    // A legacy file does not import the files of a set.
    let legacy = (texts.len() <= 2).then(|| worst(texts, &LEGACY));
    row(
        name,
        size(texts),
        kept,
        [legacy, Some(worst(texts, &DROP_INS))],
    );
}

/// A key in CRI's section that holds `depth` levels of something, between two texts.
fn nested(at: usize, depth: usize, [open, inner, close]: [&str; 3]) -> String {
    let (open, close) = (open.repeat(depth), close.repeat(depth));
    format!("k{at} = {open}{inner}{close}\n")
}

/// So many keys, each nested as deep as a text may be.
fn as_deep_as_is_parsed(count: usize, key: impl Fn(usize, usize) -> String) -> Vec<String> {
    let file =
        |keys: String| format!("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n{keys}");
    let is_parsed = |depth: &usize| Document::parse("t", file(key(0, *depth)).as_bytes()).is_ok();
    let depth = (1..1_000).take_while(is_parsed).last().unwrap();
    vec![file((0..count).map(|at| key(at, depth)).collect())]
}

/// Nesting at the parser's limit.
const DEEPEST: [Shape; 3] = [
    Shape {
        name: "keys as deep as is parsed",
        make: |count| {
            as_deep_as_is_parsed(count, |at, depth| {
                format!("k{at}{} = 1\n", ".a".repeat(depth))
            })
        },
    },
    Shape {
        name: "inline tables as deep as is parsed",
        make: |count| {
            as_deep_as_is_parsed(count, |at, depth| nested(at, depth, ["{ a = ", "1", " }"]))
        },
    },
    Shape {
        name: "lists as deep as is parsed",
        make: |count| as_deep_as_is_parsed(count, |at, depth| nested(at, depth, ["[", "1", "]"])),
    },
];

/// The rows for so many of something, whatever the default limits let pass.
fn counted() -> Vec<(String, Vec<String>)> {
    let rows = [
        (100_000, "mirrors", "registry hosts, two mirrors each"),
        (40_000, "handlers", "handlers"),
        (40_000, "handlers with options", "handlers with options"),
        (500_000, "imports", "pairs of imports"),
    ];
    let row = |(count, shape, name): (usize, &str, &str)| {
        let shape = SHAPES.iter().find(|one| one.name == shape).unwrap();
        (format!("{count} {name}"), (shape.make)(count))
    };
    rows.into_iter().map(row).collect()
}

/// Texts of other kinds: time by a bare parse, memory by the parsed document.
fn others(filter: &str) {
    let release = "2.1.9".parse().unwrap();
    let hosts = shapes::hosts_toml(100_000);
    let images = shapes::images(100_000);
    let (k0s, _) = Release::find("1.30.4").unwrap();
    let shape = SHAPES
        .iter()
        .find(|shape| shape.name == "drop-ins")
        .unwrap();
    let texts = (shape.make)(40_000);
    let names: Vec<String> = (0..texts.len())
        .map(|at| shapes::drop_in_name(DIRECTORY, at))
        .collect();
    let set = || {
        let files = names
            .iter()
            .map(String::as_str)
            .zip(texts.iter().map(String::as_str));
        DropInSet::new(files).unwrap()
    };
    let tree: Vec<(String, String)> = (0..40_000)
        .map(|at| (format!("h{at}.example/hosts.toml"), shapes::hosts_toml(1)))
        .collect();
    let tree_texts: Vec<String> = tree.iter().map(|(_, text)| text.clone()).collect();
    let certs_d = || {
        let files = tree
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()));
        let certs_d = CertsD::within("/certs.d", files, no_limits());
        assert_eq!(certs_d.errors().count(), 0);
    };
    let one = std::slice::from_ref::<String>;
    type Row<'a> = (&'a str, &'a [String], &'a (dyn Fn() + Sync));
    let rows: [Row; 4] = [
        ("100000 hosts of a hosts.toml", one(&hosts), &|| {
            drop(black_box(
                HostsToml::parse_within(&hosts, release, no_limits()).unwrap(),
            ));
        }),
        ("40000 hosts.toml files", &tree_texts, &certs_d),
        (
            "40000 drop-ins, put together as k0s 1.30 does",
            &texts,
            &|| {
                drop(black_box(
                    assemble_within(&k0s, &k0s.pause_image, &set(), no_limits()).unwrap(),
                ));
            },
        ),
        ("100000 images of an airgap bundle", one(&images), &|| {
            drop(black_box(
                ImageList::parse_within(&images, no_limits()).unwrap(),
            ));
        }),
    ];
    println!(
        "\n| many of | MB | keys and values | time | memory | peak, MB |\n|---|--:|--:|--:|--:|--:|"
    );
    for (name, texts, work) in rows.iter().filter(|row| row.0.contains(filter)) {
        // A list of images is no TOML: its unit is the list.
        let measured = match name.contains("images") {
            true => Measured::of(
                || ImageList::parse_within(&texts[0], no_limits()).unwrap(),
                work,
            ),
            false => Measured::of(|| parse(texts), work),
        };
        println!(
            "| {name} | {:.1} | {} | {:.1} | {:.1} | {:.0} |",
            size(texts).bytes as f64 / 1e6,
            size(texts).keys_and_values,
            measured.time(),
            measured.memory(),
            measured.work.bytes_max as f64 / 1e6,
        );
    }
}

fn table(filter: &str) {
    println!("{HEAD}");
    let shapes = SHAPES.iter().chain(&DEEPEST);
    for shape in shapes.filter(|shape| shape.name.contains(filter)) {
        kind(shape.name, &(shape.make)(most(shape)));
    }
    for (name, texts) in counted().iter().filter(|row| row.0.contains(filter)) {
        kind(name, texts);
    }
    others(filter);
}

/// How a shape grows from `count` to four times as many.
fn growth(shape: &Shape, route: &str, count: usize) {
    let texts = [count, 4 * count].map(shape.make);
    let [small, large] = [0, 1].map(|at| Measured::migration(&texts[at], route));
    let exponent = |small: f64, large: f64| (large / small).log(4.0);
    println!(
        "{:34}{route:>8}{:>8.1}{:>7.2}{:>7.2}{:>9.1}MB{:>7.2}",
        shape.name,
        large.time(),
        exponent(small.all.as_secs_f64(), large.all.as_secs_f64()),
        exponent(small.work.bytes_total as f64, large.work.bytes_total as f64),
        large.work.bytes_max as f64 / 1e6,
        large.memory(),
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    // What is made once for all.
    ROUTES
        .iter()
        .for_each(|route| migrate(&(SHAPES[0].make)(1), route));
    match arguments.as_slice() {
        [] => table(""),
        ["of", filter] => table(filter),
        ["once", name, count, route] => {
            let shape = SHAPES.iter().find(|shape| shape.name == *name).unwrap();
            let texts = (shape.make)(count.parse().unwrap());
            on_small_stack(|| match *route {
                "parse" => drop(parse(&texts)),
                route => migrate(&texts, route),
            });
        }
        ["grow", count, rest @ ..] => {
            let filter = rest.first().copied().unwrap_or("");
            let routes = match rest.get(1) {
                Some(route) => vec![*route],
                None => ROUTES.to_vec(),
            };
            println!(
                "{:34}{:>8}{:>8}{:>7}{:>7}{:>11}{:>7}",
                "4 n of", "route", "/parse", "exp", "exp B", "peak", "/doc"
            );
            for shape in SHAPES.iter().filter(|shape| shape.name.contains(filter)) {
                for route in &routes {
                    growth(shape, route, count.parse().unwrap());
                }
            }
        }
        other => println!("not understood: {other:?}"),
    }
}
