//! Rows of medians, as a table of at most 100 columns or as lines of JSON.

use crate::{Result, runner::Measured};
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

    pub(crate) fn row(&self, row: &Row) -> Result<()> {
        let rate = row.median(|m| m.per_second);
        let (p50, p99) = (row.median(|m| m.p50_ms), row.median(|m| m.p99_ms));
        let yardstick = median(row.yardstick.iter().copied());
        let ratio = yardstick.map(|limit| rate / limit);
        let Row { store, durability, what, callers, batch, .. } = row;
        if self.json {
            let rounded = |value: f64, digits: i32| (value * 10f64.powi(digits)).round() / 10f64.powi(digits);
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
}
