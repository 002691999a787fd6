//! Rows of medians, as a table of at most 100 columns or as lines of JSON.

use crate::{
    Result,
    runner::{Measured, Run, Shape},
    yardstick::Rates,
};
use serde_json::json;

#[derive(Debug)]
pub(crate) struct Row {
    store: &'static str,
    durability: Option<&'static str>,
    what: String,
    callers: usize,
    batch: usize,
    runs: Vec<Measured>,
    yardstick: Vec<f64>,
}

impl Row {
    pub(crate) fn new(
        store: &'static str,
        durability: Option<&'static str>,
        what: String,
        callers: usize,
        batch: usize,
    ) -> Self {
        Row { store, durability, what, callers, batch, runs: vec![], yardstick: vec![] }
    }

    pub(crate) fn add(&mut self, ours: Measured, yardstick: Option<f64>) {
        self.runs.push(ours);
        self.yardstick.extend(yardstick);
    }

    fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(self.runs.iter().map(of)).unwrap_or_default()
    }
}

/// The two rows of one shape.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) shape: Shape,
    cycle: Row,
    enqueue: Row,
}

impl Work {
    pub(crate) fn new(store: &'static str, durability: Option<&'static str>, shape: Shape) -> Self {
        let row = |what: &str| Row::new(store, durability, what.into(), shape.callers, shape.batch);
        Work { shape, cycle: row("cycle"), enqueue: row("enqueue") }
    }

    pub(crate) fn add(&mut self, ours: Run, limit: Option<Rates>) {
        self.cycle.add(ours.cycle, limit.map(|l| l.cycle_per_s));
        self.enqueue.add(ours.enqueue, limit.map(|l| l.enqueue_per_s));
    }
}

/// A row of another language, beside ours of the same run.
#[derive(Debug)]
pub(crate) struct Across {
    pub(crate) language: &'static str,
    what: &'static str,
    callers: usize,
    batch: usize,
    theirs: Vec<f64>,
    rust: Vec<f64>,
}

impl Across {
    pub(crate) fn new(language: &'static str, what: &'static str, callers: usize, batch: usize) -> Self {
        Across { language, what, callers, batch, theirs: vec![], rust: vec![] }
    }

    pub(crate) fn add(&mut self, theirs: f64, rust: f64) {
        self.theirs.push(theirs);
        self.rust.push(rust);
    }
}

/// A row of another library, beside ours through the same language; its shape may be another than ours.
#[derive(Debug)]
pub(crate) struct Beside {
    peer: String,
    what: String,
    shape: (usize, usize),
    durability: String,
    ours_shape: (usize, usize),
    theirs: Vec<f64>,
    ours: Vec<f64>,
}

impl Beside {
    pub(crate) fn new(
        peer: String,
        what: String,
        shape: (usize, usize),
        durability: String,
        ours_shape: (usize, usize),
    ) -> Self {
        Beside { peer, what, shape, durability, ours_shape, theirs: vec![], ours: vec![] }
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        (&self.peer, &self.what, self.shape, self.ours_shape)
            == (&other.peer, &other.what, other.shape, other.ours_shape)
    }

    pub(crate) fn add(&mut self, theirs: f64, ours: f64) {
        self.theirs.push(theirs);
        self.ours.push(ours);
    }
}

/// How soon a handler of a library starts.
#[derive(Debug)]
pub(crate) struct Latency {
    language: &'static str,
    library: &'static str,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
}

impl Latency {
    pub(crate) fn new(language: &'static str, library: &'static str) -> Self {
        Latency { language, library, p50_ms: vec![], p99_ms: vec![] }
    }

    pub(crate) fn add(&mut self, p50_ms: f64, p99_ms: f64) {
        self.p50_ms.push(p50_ms);
        self.p99_ms.push(p99_ms);
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    (value * 10f64.powi(digits)).round() / 10f64.powi(digits)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Of what was measured in the same minute each, because the machine's speed changes.
fn ratio(ours: impl Iterator<Item = f64>, theirs: &[f64]) -> Option<f64> {
    median(ours.zip(theirs).map(|(ours, theirs)| ours / theirs))
}

#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    yardstick: bool,
}

impl Report {
    pub(crate) fn new(json: bool, yardstick: bool) -> Self {
        Report { json, yardstick }
    }

    /// The machine and the versions; beside the lines of JSON, not among them.
    pub(crate) fn head(&self, lines: &[String]) {
        lines.iter().for_each(|line| self.note(line));
        if self.json {
            return;
        }
        let columns = format!(
            "{:<6} {:<10} {:<22} {:>7} {:>5} {:>10} {:>8} {:>8}",
            "store", "durability", "what", "callers", "batch", "per_second", "p50_ms", "p99_ms"
        );
        let compared = if self.yardstick { "  yardstick ratio" } else { "" };
        println!("\n{columns}{compared}");
    }

    pub(crate) fn note(&self, text: &str) {
        if self.json { eprintln!("{text}") } else { println!("{text}") }
    }

    pub(crate) fn work(&self, work: &Work) -> Result<()> {
        self.row(&work.cycle)?;
        self.row(&work.enqueue)
    }

    pub(crate) fn row(&self, row: &Row) -> Result<()> {
        let rate = row.median(|m| m.per_second);
        let (p50, p99) = (row.median(|m| m.p50_ms), row.median(|m| m.p99_ms));
        let yardstick = median(row.yardstick.iter().copied());
        let ratio = ratio(row.runs.iter().map(|m| m.per_second), &row.yardstick);
        let Row { store, durability, what, callers, batch, .. } = row;
        if self.json {
            let mut line = json!({
                "store": store, "durability": durability, "what": what, "callers": callers, "batch": batch,
                "per_second": rounded(rate, 0), "p50_ms": rounded(p50, 3), "p99_ms": rounded(p99, 3),
            });
            if self.yardstick {
                line["yardstick"] = json!(yardstick.map(|limit| rounded(limit, 0)));
                line["ratio"] = json!(ratio.map(|ratio| rounded(ratio, 2)));
            }
            println!("{}", serde_json::to_string(&line)?);
            return Ok(());
        }
        let durability = durability.unwrap_or("-");
        let compared = match (yardstick, ratio) {
            (Some(limit), Some(ratio)) => format!(" {limit:>10.0} {ratio:>5.2}"),
            _ => String::new(),
        };
        println!(
            "{store:<6} {durability:<10} {what:<22} {callers:>7} {batch:>5} {rate:>10.0} {p50:>8.2} {p99:>8.2}{compared}"
        );
        Ok(())
    }

    pub(crate) fn across_head(&self) {
        if !self.json {
            println!(
                "\n{:<8} {:<10} {:>7} {:>5} {:>10} {:>10} {:>5}",
                "language", "what", "callers", "batch", "per_second", "rust", "ratio"
            );
        }
    }

    pub(crate) fn across(&self, row: &Across) -> Result<()> {
        let Across { language, what, callers, batch, theirs, rust } = row;
        let ratio = ratio(theirs.iter().copied(), rust).unwrap_or_default();
        let rate = median(theirs.iter().copied()).unwrap_or_default();
        let rust = median(rust.iter().copied()).unwrap_or_default();
        if self.json {
            let line = json!({
                "language": language, "store": "sqlite", "durability": "process", "what": what,
                "callers": callers, "batch": batch, "per_second": rounded(rate, 0), "rust": rounded(rust, 0),
                "ratio": rounded(ratio, 2),
            });
            println!("{}", serde_json::to_string(&line)?);
        } else {
            println!(
                "{language:<8} {what:<10} {callers:>7} {batch:>5} {rate:>10.0} {rust:>10.0} {ratio:>5.2}"
            );
        }
        Ok(())
    }

    pub(crate) fn beside_head(&self) {
        if !self.json {
            println!(
                "\n{:<24} {:<8} {:<10} {:>7} {:>5} {:>10} {:>8} {:>10} {:>5}",
                "peer", "what", "durability", "callers", "batch", "per_second", "beside", "ours", "ratio"
            );
        }
    }

    /// No ratio where they promise more than ours did: nobody may compare the two.
    pub(crate) fn beside(&self, row: &Beside) -> Result<()> {
        let Beside { peer, what, shape: (callers, batch), durability, ours_shape, theirs, ours } = row;
        let beside = format!("{} x {}", ours_shape.0, ours_shape.1);
        let rate = median(theirs.iter().copied()).unwrap_or_default();
        let ratio = ratio(ours.iter().copied(), theirs).filter(|_| durability == "process");
        let ours = median(ours.iter().copied()).unwrap_or_default();
        if self.json {
            let line = json!({
                "peer": peer, "what": what, "durability": durability, "callers": callers, "batch": batch,
                "per_second": rounded(rate, 0), "beside": beside, "ours": rounded(ours, 0),
                "ratio": ratio.map(|ratio| rounded(ratio, 2)),
            });
            println!("{}", serde_json::to_string(&line)?);
        } else {
            let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            println!(
                "{peer:<24} {what:<8} {durability:<10} {callers:>7} {batch:>5} {rate:>10.0} {beside:>8} {ours:>10.0} {ratio:>5}"
            );
        }
        Ok(())
    }

    pub(crate) fn latency_head(&self) {
        if !self.json {
            println!("\n{:<8} {:<24} {:>8} {:>8}", "language", "enqueue to handler", "p50_ms", "p99_ms");
        }
    }

    pub(crate) fn latency(&self, row: &Latency) -> Result<()> {
        let Latency { language, library, p50_ms, p99_ms } = row;
        let (Some(p50), Some(p99)) = (median(p50_ms.iter().copied()), median(p99_ms.iter().copied())) else {
            return Ok(());
        };
        if self.json {
            let line = json!({
                "language": language, "latency": library, "p50_ms": rounded(p50, 3), "p99_ms": rounded(p99, 3),
            });
            println!("{}", serde_json::to_string(&line)?);
        } else {
            println!("{language:<8} {library:<24} {p50:>8.2} {p99:>8.2}");
        }
        Ok(())
    }

    pub(crate) fn calls_head(&self) {
        if !self.json {
            println!("\n{:<8} {:<42} {:>8}", "language", "call", "us");
        }
    }

    pub(crate) fn call(&self, language: &str, what: &str, us: f64) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(&json!({"language": language, "what": what, "us": us}))?);
        } else {
            println!("{language:<8} {what:<42} {us:>8.2}");
        }
        Ok(())
    }
}
