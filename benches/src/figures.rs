//! The figures: what was measured in units that hold on other machines, beside the
//! goals and the figures that were committed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use toml_edit::DocumentMut;

use crate::cases::{Case, Counted, DOCUMENT, FIRST, JSON, PARSE, PLAN, TEXT, VERIFIED};

/// What a plan takes of the heap at its most, the documents included.
pub const HEAP: &str = "peak heap";

/// How much worse than what was committed a figure may be.
const ALLOWED: f64 = 0.1;

/// What was measured of a case.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The case.
    pub case: Case,
    /// The instructions of each step, in all its rounds.
    pub instructions: BTreeMap<String, u64>,
    /// The heap, where it is measured.
    pub heap: Option<Heap>,
}

/// Bytes on the heap.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    /// What the parsed documents take.
    pub kept: u64,
    /// The peak while the documents are parsed and planned.
    pub peak: u64,
}

/// What a figure is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The bare parse of the same bytes, in instructions.
    Parses,
    /// The parsed documents, in bytes.
    Documents,
    /// Millions of bytes.
    Megabytes,
    /// The same figure of the smaller input.
    Smaller,
    /// The exponent of the growth to four times as many.
    Exponent,
}

/// What a row takes, without any unit of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Instructions.
    Instructions(u64),
    /// Bytes.
    Bytes(u64),
    /// The row is made of others.
    Nothing,
}

/// What a row is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At most this figure.
    Figure(f64),
    /// At most so many instructions.
    Instructions(u64),
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The input and its target.
    pub of: String,
    /// The step.
    pub step: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// The same in the unit.
    pub figure: f64,
    /// The unit.
    pub unit: Unit,
    /// What is to be reached.
    pub goal: Option<Goal>,
    /// A figure that was smaller than this is taken for this, when it is told how
    /// much is allowed: of what is nearly nothing, a tenth is less than the noise.
    pub least: f64,
}

/// The figures that were committed, by row.
pub type Committed = BTreeMap<String, BTreeMap<String, f64>>;

/// The rows of what was measured.
///
/// # Errors
///
/// A step was not counted.
pub fn rows(measured: &[Measured]) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for one in measured {
        if one.case.counted != Counted::Nothing {
            rows.extend(one.steps()?);
        }
        rows.extend(one.heap.map(|heap| one.of_heap(heap)));
    }
    for small in measured {
        let large = measured.iter().find(|large| {
            (large.case.k0s == small.case.k0s) && grown(small.case.input, large.case.input)
        });
        if let Some(large) = large {
            rows.extend(growth(small, large)?);
        }
    }
    Ok(rows)
}

/// Whether the second input is more of the first.
fn grown(small: &str, large: &str) -> bool {
    let pair = |few, many| {
        let kind = small.strip_prefix(few);
        kind.is_some() && kind == large.strip_prefix(many)
    };
    pair("200 ", "20,000 ") || pair("500 ", "2,000 ")
}

fn growth(small: &Measured, large: &Measured) -> Result<Vec<Row>, String> {
    let step = |step, unit| {
        let figure = match unit {
            Unit::Exponent => (large.of(step)? as f64 / small.of(step)? as f64).log(4.0),
            _ => large.parses(step)? / small.parses(step)?,
        };
        Ok(Row {
            of: format!("{}, from {}", large.case, small.case.input),
            step,
            takes: Takes::Nothing,
            figure,
            unit,
            goal: Some(Goal::Figure(match unit {
                Unit::Exponent => 1.05,
                _ => 1.1,
            })),
            least: 0.0,
        })
    };
    match small.case.counted {
        Counted::Steps => vec![step(PLAN, Unit::Smaller), step(VERIFIED, Unit::Smaller)],
        _ => vec![step(VERIFIED, Unit::Exponent)],
    }
    .into_iter()
    .collect()
}

impl Measured {
    fn of(&self, step: &str) -> Result<u64, String> {
        let rounds = match step {
            FIRST => 1,
            _ => self.case.rounds(),
        };
        let found = self.instructions.get(step).map(|all| all / rounds);
        found.ok_or_else(|| format!("{}: nothing was counted of: {step}", self.case))
    }

    fn parses(&self, step: &str) -> Result<f64, String> {
        Ok(self.of(step)? as f64 / self.of(PARSE)? as f64)
    }

    fn row(&self, step: &'static str, takes: Takes, figure: f64, unit: Unit) -> Row {
        Row {
            of: self.case.to_string(),
            step,
            takes,
            figure,
            unit,
            goal: goal(&self.case, step),
            least: 0.0,
        }
    }

    fn steps(&self) -> Result<Vec<Row>, String> {
        let steps: &[&'static str] = match self.case.counted {
            Counted::Steps => &[PARSE, DOCUMENT, PLAN, VERIFIED, JSON, TEXT],
            _ => &[PARSE, VERIFIED],
        };
        let mut rows = Vec::new();
        for step in steps {
            let takes = Takes::Instructions(self.of(step)?);
            rows.push(self.row(step, takes, self.parses(step)?, Unit::Parses));
        }
        if self.case.tells_of_first() {
            let over = self.of(FIRST)?.saturating_sub(self.of(VERIFIED)?);
            let parses = over as f64 / self.of(PARSE)? as f64;
            let takes = Takes::Instructions(over);
            rows.push(Row {
                least: 0.5,
                ..self.row(FIRST, takes, parses, Unit::Parses)
            });
        }
        Ok(rows)
    }

    fn of_heap(&self, heap: Heap) -> Row {
        let takes = Takes::Bytes(heap.peak);
        let peak = heap.peak as f64;
        match self.case.counted {
            Counted::Nothing => self.row(HEAP, takes, peak / 1e6, Unit::Megabytes),
            _ => self.row(HEAP, takes, peak / heap.kept as f64, Unit::Documents),
        }
    }
}

/// What is to be reached.
fn goal(case: &Case, step: &str) -> Option<Goal> {
    Some(match (case.input, step) {
        (_, FIRST) => Goal::Instructions(1_000_000),
        ("100,000 hosts", HEAP) => Goal::Figure(400.0),
        (_, HEAP) => Goal::Figure(2.5),
        ("dump", PLAN) => Goal::Figure(2.2),
        ("dump", VERIFIED) => Goal::Figure(2.6),
        ("200 hosts" | "20,000 hosts", PLAN) => Goal::Figure(1.9),
        ("200 hosts" | "20,000 hosts", VERIFIED) => Goal::Figure(3.0),
        ("sparse file", VERIFIED) => Goal::Instructions(500_000),
        ("2,000 TLS endpoints of *", VERIFIED) => Goal::Figure(10.0),
        _ => return None,
    })
}

impl Row {
    fn committed(&self, committed: &Committed) -> Option<f64> {
        committed.get(&self.of)?.get(self.step).copied()
    }

    /// What counts of a figure: of a growth it is how much more there is.
    fn weight(&self, figure: f64) -> f64 {
        match self.unit {
            Unit::Exponent => 4.0_f64.powf(figure),
            _ => figure,
        }
    }

    /// By how much, in parts of the committed figure, this one is worse. Less than
    /// nothing is better.
    fn worse_by(&self, committed: f64) -> f64 {
        let was = self.weight(committed);
        (self.weight(self.figure) - was) / was.max(self.least)
    }

    /// Whether the goal is reached, if there is one.
    fn reached(&self) -> Option<bool> {
        self.goal.map(|goal| match (goal, self.takes) {
            (Goal::Figure(most), _) => self.figure <= most,
            (Goal::Instructions(most), Takes::Instructions(taken)) => taken <= most,
            (Goal::Instructions(_), _) => false,
        })
    }

    fn shown(&self, figure: f64) -> String {
        match self.unit {
            Unit::Parses => format!("{figure:.2} × parse"),
            Unit::Documents => format!("{figure:.2} × document"),
            Unit::Megabytes => format!("{figure:.0} MB"),
            Unit::Smaller => format!("{figure:.2} × smaller"),
            Unit::Exponent => format!("exponent {figure:.3}"),
        }
    }

    fn shown_goal(&self) -> String {
        let Some((goal, reached)) = self.goal.zip(self.reached()) else {
            return String::new();
        };
        let most = match goal {
            Goal::Figure(figure) => format!("{figure}"),
            Goal::Instructions(most) => Takes::Instructions(most).shown(),
        };
        let reached = if reached { "reached" } else { "missed" };
        format!("≤ {most}: {reached}")
    }
}

impl Takes {
    fn shown(self) -> String {
        let short = |number: u64, unit: &str| match number {
            0..1_000_000 => format!("{:.0} k{unit}", number as f64 / 1e3),
            _ => format!("{:.2} M{unit}", number as f64 / 1e6),
        };
        match self {
            Takes::Instructions(number) => short(number, ""),
            Takes::Bytes(number) => short(number, "B"),
            Takes::Nothing => String::new(),
        }
    }
}

/// The table.
pub fn table(rows: &[Row], committed: &Committed) -> String {
    const HEAD: [&str; 6] = [
        "input and target",
        "step",
        "takes",
        "figure",
        "committed",
        "goal",
    ];
    let cells = rows.iter().map(|row| {
        let committed = row.committed(committed);
        [
            row.of.clone(),
            row.step.to_owned(),
            row.takes.shown(),
            row.shown(row.figure),
            committed.map_or_else(String::new, |figure| row.shown(figure)),
            row.shown_goal(),
        ]
    });
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(cells);
    let width = |at: usize| {
        let widths = lines.iter().map(|cells| cells[at].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths = [0, 1, 2, 3, 4, 5].map(width);
    lines.insert(1, widths.map(|width| "-".repeat(width)));
    let mut table = String::new();
    for cells in &lines {
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(table, "| {cell:width$} ");
        }
        table.push_str("|\n");
    }
    table
}

/// What is worse than committed by more than is allowed, or has no fellow there: a
/// line each.
pub fn failures(rows: &[Row], committed: &Committed) -> Vec<String> {
    let mut failures = Vec::new();
    for row in rows {
        match row.committed(committed) {
            None => failures.push(format!("{}, {}: not committed", row.of, row.step)),
            Some(figure) if row.worse_by(figure) <= ALLOWED => {}
            Some(figure) => failures.push(format!(
                "{}, {}: {} was committed, and it is {}, worse by {:.0} %",
                row.of,
                row.step,
                row.shown(figure),
                row.shown(row.figure),
                row.worse_by(figure) * 100.0
            )),
        }
    }
    for (of, steps) in committed {
        let gone = |step: &&String| !rows.iter().any(|row| row.of == *of && row.step == **step);
        let gone = steps.keys().filter(gone);
        failures.extend(gone.map(|step| format!("{of}, {step}: committed, and not measured")));
    }
    failures
}

/// What is better than committed by more than is allowed: a line each.
pub fn gains(rows: &[Row], committed: &Committed) -> Vec<String> {
    let gain = |row: &Row| {
        let figure = row.committed(committed)?;
        let better = row.worse_by(figure) < -ALLOWED;
        better.then(|| {
            let (was, is) = (row.shown(figure), row.shown(row.figure));
            format!("{}, {}: from {was} to {is}", row.of, row.step)
        })
    };
    rows.iter().filter_map(gain).collect()
}

/// The text of the file of committed figures.
pub fn written(rows: &[Row], made_by: &str) -> String {
    let mut text = format!(
        "# What `cargo bench -p containerd-dropins-benches --bench cost -- record` measured:\n\
         # multiples of the parse, of the document or of the smaller input, exponents, MB.\n\
         # By {made_by}.\n"
    );
    let mut of = "";
    for row in rows {
        if row.of != of {
            of = &row.of;
            let _ = write!(text, "\n[{of:?}]\n");
        }
        let _ = writeln!(text, "{:?} = {:.5}", row.step, row.figure);
    }
    text
}

/// Reads the file of committed figures.
///
/// # Errors
///
/// It is no TOML, or has something else than tables of numbers.
pub fn read(text: &str) -> Result<Committed, String> {
    let document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| error.to_string())?;
    let mut committed = Committed::new();
    for (of, steps) in document.iter() {
        let steps = steps
            .as_table()
            .ok_or_else(|| format!("{of:?} is no table"))?;
        for (step, figure) in steps.iter() {
            let figure = figure
                .as_float()
                .ok_or_else(|| format!("{of:?}: {step:?} is no number with a point"))?;
            let steps = committed.entry(of.to_owned()).or_default();
            steps.insert(step.to_owned(), figure);
        }
    }
    Ok(committed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::cases;

    /// As if each step took so many instructions more than the one before it, a round.
    fn made_up() -> Vec<Measured> {
        let steps = [PARSE, DOCUMENT, PLAN, VERIFIED, JSON, TEXT, FIRST];
        let instructions: BTreeMap<String, u64> = steps
            .iter()
            .zip(1..)
            .map(|(step, at)| ((*step).to_owned(), at * 1_000_000))
            .collect();
        let in_all = |case: Case| {
            let mut instructions = instructions.clone();
            for (step, count) in &mut instructions {
                *count *= if step == FIRST { 1 } else { case.rounds() };
            }
            instructions
        };
        let measured = |case: Case| Measured {
            instructions: match case.counted {
                Counted::Nothing => BTreeMap::new(),
                _ => in_all(case),
            },
            heap: case.heap.then_some(Heap {
                kept: 1_000_000,
                peak: 3_000_000,
            }),
            case,
        };
        cases().into_iter().map(measured).collect()
    }

    fn find<'r>(rows: &'r mut [Row], of: &str, step: &str) -> &'r mut Row {
        rows.iter_mut()
            .find(|row| row.of == of && row.step == step)
            .unwrap()
    }

    const DUMP: &str = "dump, k0s v1.30.4+k0s.0";

    #[test]
    fn figures_are_in_units_of_the_same_run() {
        let mut rows = rows(&made_up()).unwrap();
        let parse = find(&mut rows, DUMP, PARSE);
        assert_eq!(parse.takes, Takes::Instructions(1_000_000));
        assert_eq!(find(&mut rows, DUMP, VERIFIED).figure, 4.0);
        // The first plan is told of by what it takes more than a warm one.
        let first = find(&mut rows, DUMP, FIRST);
        assert_eq!(first.takes, Takes::Instructions(3_000_000));
        assert_eq!(first.figure, 3.0);
        assert_eq!(find(&mut rows, DUMP, HEAP).figure, 3.0);
        let most = find(&mut rows, "100,000 hosts, k0s v1.36.3+k0s.2", HEAP);
        assert_eq!((most.figure, most.unit), (3.0, Unit::Megabytes));
    }

    #[test]
    fn growth_is_told_of_each_pair_of_inputs() {
        let mut measured = made_up();
        for one in &mut measured {
            if one.case.input.starts_with("2,000 ") {
                let verified = one.instructions.get_mut(VERIFIED).unwrap();
                *verified *= 16;
            }
            if one.case.input.starts_with("20,000 ") {
                *one.instructions.get_mut(VERIFIED).unwrap() *= 3;
            }
        }
        let rows = rows(&measured).unwrap();
        let of_unit = |unit| rows.iter().filter(move |row| row.unit == unit);
        let exponents: Vec<f64> = of_unit(Unit::Exponent).map(|row| row.figure).collect();
        assert_eq!(exponents, [2.0, 2.0, 2.0]);
        let ratios: Vec<f64> = of_unit(Unit::Smaller).map(|row| row.figure).collect();
        assert_eq!(ratios, [1.0, 3.0, 1.0, 3.0]);
    }

    #[test]
    fn what_was_written_is_read_and_has_neither_worse_nor_better_than_itself() {
        let rows = rows(&made_up()).unwrap();
        let committed = read(&written(&rows, "a test")).unwrap();
        assert_eq!(failures(&rows, &committed), [""; 0]);
        assert_eq!(gains(&rows, &committed), [""; 0]);
    }

    /// One figure is planted; each is worse, or better, by more than a tenth or by less.
    #[test]
    fn a_figure_that_is_worse_by_more_than_a_tenth_fails() {
        let good = rows(&made_up()).unwrap();
        let committed = read(&written(&good, "a test")).unwrap();
        for (at, planted) in good.iter().enumerate() {
            let with = |factor: f64| {
                let mut rows = good.clone();
                let row = &mut rows[at];
                row.figure = match row.unit {
                    Unit::Exponent => row.figure + factor.log(4.0),
                    _ => row.figure * factor,
                };
                (failures(&rows, &committed), gains(&rows, &committed))
            };
            let (failed, gained) = with(1.12);
            assert_eq!((failed.len(), gained.len()), (1, 0), "{planted:?}");
            assert!(failed[0].starts_with(&format!("{}, {}: ", planted.of, planted.step)));
            assert!(failed[0].ends_with("worse by 12 %"), "{failed:?}");
            assert_eq!(with(1.08), (vec![], vec![]), "{planted:?}");
            let (failed, gained) = with(0.88);
            assert_eq!((failed.len(), gained.len()), (0, 1), "{planted:?}");
        }
    }

    #[test]
    fn of_nearly_nothing_more_than_a_tenth_is_allowed() {
        let mut rows = rows(&made_up()).unwrap();
        let first = find(&mut rows, DUMP, FIRST);
        first.figure = 0.14;
        assert!(first.worse_by(0.1) <= ALLOWED);
        first.figure = 0.16;
        assert!(first.worse_by(0.1) > ALLOWED);
    }

    #[test]
    fn a_row_on_one_side_only_fails() {
        let rows = rows(&made_up()).unwrap();
        let committed = read(&written(&rows, "a test")).unwrap();
        let (first, rest) = rows.split_first().unwrap();
        assert_eq!(
            failures(rest, &committed),
            [format!(
                "{}, {}: committed, and not measured",
                first.of, first.step
            )]
        );
        assert_eq!(
            failures(&rows, &Committed::new()).len(),
            rows.len(),
            "nothing is committed"
        );
    }

    #[test]
    fn a_step_that_was_not_counted_is_an_error() {
        let mut measured = made_up();
        measured[0].instructions.remove(VERIFIED);
        let error = rows(&measured).unwrap_err();
        assert_eq!(error, format!("{DUMP}: nothing was counted of: {VERIFIED}"));
    }

    #[test]
    fn goals_are_compared_in_their_own_unit() {
        let mut rows = rows(&made_up()).unwrap();
        let verified = find(&mut rows, DUMP, VERIFIED);
        assert_eq!(verified.shown_goal(), "≤ 2.6: missed");
        verified.figure = 2.6;
        assert_eq!(verified.shown_goal(), "≤ 2.6: reached");
        let sparse = find(&mut rows, "sparse file, k0s v1.30.4+k0s.0", VERIFIED);
        sparse.figure = 0.1;
        assert_eq!(sparse.shown_goal(), "≤ 500 k: missed");
        sparse.takes = Takes::Instructions(500_000);
        assert_eq!(sparse.shown_goal(), "≤ 500 k: reached");
    }

    #[test]
    fn the_table_has_what_was_committed_beside_each_figure() {
        let rows = rows(&made_up()).unwrap();
        let committed = read(&format!("[{DUMP:?}]\n{VERIFIED:?} = 3.5\n")).unwrap();
        let table = table(&rows, &committed);
        let line = table
            .lines()
            .find(|line| line.contains(DUMP) && line.contains("| plan + verify "))
            .unwrap();
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(
            cells[3..7],
            ["4.00 M", "4.00 × parse", "3.50 × parse", "≤ 2.6: missed"]
        );
    }

    #[test]
    fn the_committed_file_has_the_rows_that_are_measured() {
        let committed = read(include_str!("../cost.toml")).unwrap();
        let keys = |committed: &Committed| -> Vec<(String, Vec<String>)> {
            let tables = committed.iter();
            let table = |(of, steps): (&String, &BTreeMap<String, f64>)| {
                (of.clone(), steps.keys().cloned().collect())
            };
            tables.map(table).collect()
        };
        let rows = rows(&made_up()).unwrap();
        let made_up = read(&written(&rows, "a test")).unwrap();
        assert_eq!(keys(&committed), keys(&made_up));
    }
}
