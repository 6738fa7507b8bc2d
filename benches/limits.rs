//! What large inputs of every kind take: time and memory, in units of the parse
//! and of the parsed document, and how both grow from n to 4 n.
//!
//! `cargo bench --bench limits` prints a table of all kinds;
//! `cargo bench --bench limits -- N FILTER` one for inputs of N and 4 N of the
//! kinds with FILTER in their names; `… -- once NAME N ROUTE` does one thing once,
//! for callgrind and the like.
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
use containerd_dropins::Document;
use containerd_dropins::migrate::{ExistingDropIns, Options, Target, plan, plan_drop_ins};

#[path = "../tests/it/shapes.rs"]
#[allow(dead_code)]
mod shapes;

use shapes::{SHAPES, Shape};

/// The ways through the library: `-` in front of a release stands for existing
/// drop-ins.
const ROUTES: [&str; 5] = ["1.27.2", "1.30.4", "1.36.3", "-1.30.4", "-1.36.3"];
const DIRECTORY: &str = "/etc/k0s/containerd.d";

fn parse(texts: &[String]) -> Vec<Document> {
    let parse = |(at, text): (usize, &String)| {
        Document::parse(shapes::drop_in_name(DIRECTORY, at), text.as_bytes()).unwrap()
    };
    texts.iter().enumerate().map(parse).collect()
}

fn migrate(texts: &[String], route: &str) {
    let options = Options::default();
    let documents = parse(texts);
    let plan = match route.strip_prefix('-') {
        None => {
            let (legacy, imported) = documents.split_first().unwrap();
            plan(legacy, imported, &Target::find(route).unwrap(), &options)
        }
        Some(release) => {
            let existing = ExistingDropIns::new(DIRECTORY, &documents).unwrap();
            plan_drop_ins(&existing, &Target::find(release).unwrap(), &options)
        }
    };
    let _ = black_box(plan);
}

/// The time that this thread had of a processor, where Linux tells it.
fn now() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|text| text.parse().ok());
    nanoseconds.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

struct Measured {
    parse: Duration,
    all: Duration,
    document: AllocationInfo,
    plan: AllocationInfo,
    /// Keys and values.
    counted: usize,
}

fn measure(texts: &[String], route: &str) -> Measured {
    let time = |work: &mut dyn FnMut()| {
        let start = now();
        work();
        now().saturating_sub(start)
    };
    let mut kept = Vec::new();
    let document = allocation_counter::measure(|| kept = parse(texts));
    let counted = kept.iter().map(|one| one.size().keys_and_values).sum();
    drop(kept);
    let mut all = Duration::ZERO;
    let plan = allocation_counter::measure(|| all = time(&mut || migrate(texts, route)));
    Measured {
        parse: time(&mut || drop(parse(texts))),
        all,
        document,
        plan,
        counted,
    }
}

fn row(shape: &Shape, route: &str, count: usize) {
    let [small, large] = [count, 4 * count].map(|count| measure(&(shape.make)(count), route));
    let exponent = |small: f64, large: f64| (large / small).log(4.0);
    let seconds = |duration: Duration| duration.as_secs_f64();
    println!(
        "{:34}{route:>8}{:>8.2}s{:>8.1}{:>7.2}{:>7.2}{:>9.1}MB{:>7.2}{:>7.0}",
        shape.name,
        seconds(large.all),
        seconds(large.all) / seconds(large.parse),
        exponent(seconds(small.all), seconds(large.all)),
        exponent(small.plan.bytes_total as f64, large.plan.bytes_total as f64),
        large.plan.bytes_max as f64 / 1e6,
        large.plan.bytes_max as f64 / large.document.bytes_current as f64,
        large.plan.bytes_max as f64 / large.counted as f64,
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if let ["once", name, count, route] = arguments.as_slice() {
        let shape = SHAPES.iter().find(|shape| shape.name == *name).unwrap();
        let texts = (shape.make)(count.parse().unwrap());
        match *route {
            "parse" => drop(parse(&texts)),
            route => migrate(&texts, route),
        }
        return;
    }
    let count = arguments.first().and_then(|count| count.parse().ok());
    let filter = arguments.get(1).copied().unwrap_or("");
    let routes: Vec<&str> = match arguments.get(2) {
        Some(route) => vec![route],
        None => ROUTES.to_vec(),
    };
    println!(
        "{:34}{:>8}{:>9}{:>8}{:>7}{:>7}{:>11}{:>7}{:>7}",
        "4 n of", "route", "time", "/parse", "exp", "exp B", "peak", "/doc", "B/kv"
    );
    for shape in SHAPES.iter().filter(|shape| shape.name.contains(filter)) {
        for route in &routes {
            row(shape, route, count.unwrap_or(2_000));
        }
    }
}
