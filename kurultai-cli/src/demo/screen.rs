//! Lines that stay, and below them on a terminal a block that is drawn anew: the bar and who does what.

use super::story::Story;
use crate::{
    output::{Done, WIDTH, say, write},
    text::{short, span, width},
};
use kurultai_core::clock::monotonic;
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

const BAR: usize = 40;
/// Where there is no terminal, the progress is told at most so often.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Screen {
    silent: bool,
    live: bool,
    drawn: usize,
    start: Instant,
    told: Instant,
}

impl Screen {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        let silent = json || quiet;
        let live = !silent && std::io::stdout().is_terminal();
        Screen { silent, live, drawn: 0, start: monotonic(), told: monotonic() }
    }

    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// A line about the demo itself.
    pub(super) fn note(&mut self, line: impl AsRef<str>) -> Done {
        if self.silent { Ok(()) } else { say(line) }
    }

    /// A line that stays.
    pub(super) fn tell(&mut self, line: &str) -> Done {
        if self.silent {
            return Ok(());
        }
        let clear = self.clear();
        write(&format!("{clear}{line}\n"))
    }

    pub(super) fn draw(&mut self, story: &Story) -> Done {
        if self.silent {
            return Ok(());
        }
        let (done, all) = story.progress();
        let spent = span(self.start.elapsed().as_secs_f64());
        if !self.live {
            if self.told.elapsed() < PAUSE {
                return Ok(());
            }
            self.told = monotonic();
            return say(story.now(format!("{done} of {all} tasks are done")));
        }
        let filled = BAR * done / all.max(1);
        let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR - filled));
        let digits = all.to_string().len();
        let mut block = vec![String::new(), format!("{bar}  {done:>digits$}/{all}  {spent}")];
        let names = story.doings().map(|(name, _)| width(name)).max().unwrap_or(0);
        for (name, doing) in story.doings() {
            let pad = " ".repeat(names - width(name));
            block.push(short(&format!("  {name}{pad}  {doing}"), WIDTH));
        }
        let clear = self.clear();
        self.drawn = block.len();
        // Without wrapping, so that each line takes one row on a narrow terminal too.
        write(&format!("{clear}\x1b[?7l{}\n\x1b[?7h", block.join("\n")))
    }

    fn clear(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            rows => format!("\x1b[{rows}A\r\x1b[J"),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let clear = self.clear();
        drop(write(&clear));
    }
}
