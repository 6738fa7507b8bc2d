//! The whole plan, text to drop-ins, with and without verification, beside the
//! parse of the same bytes by `toml_edit::Document`.
//!
//! `cargo bench -p containerd-dropins-benches --bench plan` times each by itself;
//! with `-- ratios` behind it takes turns between the three and prints the ratios
//! of their medians, which a noisy machine disturbs less.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use containerd_dropins::Document;
use containerd_dropins::migrate::{Options, Target, plan};
use criterion::Criterion;

const DUMP: &str = include_str!("../examples/dump-1.6-ten-edits.toml");
const SPARSE: &str = include_str!("../examples/airgap-v1.30.4.toml");

fn registry(hosts: usize) -> String {
    let mut text = "version = 2\n".to_owned();
    for host in 0..hosts {
        let _ = write!(
            text,
            "[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"registry-{host}.example:5000\"]\n  \
             endpoint = [\"https://mirror-{host}.example\", \"https://other-{host}.example/v2\"]\n"
        );
    }
    text
}

fn inputs() -> Vec<(&'static str, String)> {
    vec![
        ("dump with ten edits", DUMP.to_owned()),
        ("sparse file", SPARSE.to_owned()),
        ("200 registry hosts", registry(200)),
        ("20,000 registry hosts", registry(20_000)),
    ]
}

fn parse(text: &str) {
    black_box(toml_edit::Document::parse(text).unwrap());
}

fn whole(text: &str, target: &Target, options: &Options) {
    let document = Document::parse("containerd.toml", text.as_bytes()).unwrap();
    let _ = black_box(plan(&document, &[], target, options));
}

fn main() {
    let target = Target::find("v1.30.4+k0s.0").unwrap();
    let verified = Options::default();
    let bare = Options::default().without_verification();
    if std::env::args().any(|argument| argument == "ratios") {
        for target in [target, Target::find("v1.36.3+k0s.2").unwrap()] {
            ratios(&target, &bare, &verified);
        }
        return;
    }
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    for (name, text) in inputs() {
        let mut group = criterion.benchmark_group(name);
        group.bench_function("parse", |b| b.iter(|| parse(&text)));
        group.bench_function("plan", |b| b.iter(|| whole(&text, &target, &bare)));
        group.bench_function("plan and verify", |b| {
            b.iter(|| whole(&text, &target, &verified))
        });
        group.finish();
    }
    criterion.final_summary();
}

fn ratios(target: &Target, bare: &Options, verified: &Options) {
    println!(
        "{:24}{:>8}{:>16}{:>12}",
        target.requested, "plan", "plan + verify", "ns/byte"
    );
    for (name, text) in inputs() {
        let rounds = (4_000_000 / text.len()).clamp(9, 401);
        let mut times: [Vec<Duration>; 3] = Default::default();
        for _ in 0..rounds {
            let [parsed, planned, proven] = &mut times;
            parsed.push(time(|| parse(&text)));
            planned.push(time(|| whole(&text, target, bare)));
            proven.push(time(|| whole(&text, target, verified)));
        }
        let [parsed, planned, proven] = times.map(median);
        println!(
            "{name:24}{:>8.2}{:>16.2}{:>12.1}",
            planned / parsed,
            proven / parsed,
            proven * 1e9 / text.len() as f64,
        );
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times
        .get(times.len() / 2)
        .map_or(0.0, Duration::as_secs_f64)
}
