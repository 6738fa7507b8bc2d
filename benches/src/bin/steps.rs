//! Does the steps of one case, for callgrind to count: `steps CASE`. Each is done
//! [`Case::rounds`] times, but for the first plan.
//!
//! Each part of the work begins with a call of [`begin_counted_part`], at which
//! callgrind puts down what it has counted so far. At the end the names of the parts
//! are printed, in their order.

use std::hint::black_box;
use std::process::ExitCode;

use containerd_dropins_benches::cases::{
    Case, Counted, DOCUMENT, FIRST, JSON, PARSE, PLAN, TEXT, VERIFIED, cases,
};

/// The name of what is not counted.
const APART: &str = "";

/// From here on, what is done is a part of that name.
#[inline(never)]
fn begin_counted_part(parts: &mut Vec<&'static str>, name: &'static str) {
    parts.push(black_box(name));
}

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(case) = cases().into_iter().find(|case| case.to_string() == name) else {
        eprintln!("no such case: {name:?}");
        return ExitCode::from(2);
    };
    for part in steps(&case) {
        println!("{part}");
    }
    ExitCode::SUCCESS
}

fn steps(case: &Case) -> Vec<&'static str> {
    let texts = case.texts();
    let warm_up = case.warm_up();
    let mut parts = Vec::with_capacity(100);
    let parts = &mut parts;

    begin_counted_part(
        parts,
        match case.tells_of_first() {
            true => FIRST,
            false => APART,
        },
    );
    drop(black_box(case.verified(&case.parse(&warm_up))));

    begin_counted_part(parts, APART);
    warm_up.iter().for_each(|text| bare_parse(text));
    drop(black_box(case.plan(&case.parse(&warm_up))));

    let rounds = case.rounds();
    begin_counted_part(parts, PARSE);
    for _ in 0..rounds {
        texts.iter().for_each(|text| bare_parse(text));
    }

    if case.counted == Counted::Steps {
        begin_counted_part(parts, DOCUMENT);
        for _ in 0..rounds {
            drop(black_box(case.parse(&texts)));
        }

        begin_counted_part(parts, PLAN);
        for _ in 0..rounds {
            drop(black_box(case.plan(&case.parse(&texts))));
        }
    }

    begin_counted_part(parts, VERIFIED);
    for _ in 1..rounds {
        drop(black_box(case.verified(&case.parse(&texts))));
    }
    let documents = case.parse(&texts);
    let plan = black_box(case.verified(&documents));

    if case.counted == Counted::Steps {
        // The first one sorts what the plan has left of the heap.
        begin_counted_part(parts, APART);
        drop(black_box(serde_json::to_string_pretty(&plan)));

        begin_counted_part(parts, JSON);
        for _ in 0..rounds {
            drop(black_box(serde_json::to_string_pretty(&plan)));
        }

        begin_counted_part(parts, TEXT);
        for _ in 0..rounds {
            drop(black_box(plan.to_string()));
        }
    }

    // To drop it is a part of making it, as it is of the other steps.
    begin_counted_part(parts, VERIFIED);
    drop(plan);
    drop(documents);

    begin_counted_part(parts, APART);
    std::mem::take(parts)
}

fn bare_parse(text: &str) {
    let _ = black_box(toml_edit::Document::parse(text));
}
