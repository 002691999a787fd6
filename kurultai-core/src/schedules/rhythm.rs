//! When a schedule is due. Pure.
//!
//! What `every` means are moments in time: `start`, one span later, and so on, whatever clocks show.
//!
//! What `cron` means are times that a wall clock shows, and each is due once: **at the first moment at which the clock of the zone
//! shows that time or a later one**. So a time that the clock leaves out when it is put forward is due at the moment when it
//! is put forward, together with whatever else is due then; and a time that it shows twice, since it is put back, is due the
//! first time. The search in croner therefore runs on the wall clock's times alone, and knows of no zone.

use crate::{
    check,
    clock::{Micros, time},
    error::{Error, Result},
    ids,
};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// The fields of a pattern, and what each may be.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("weekday", "0 to 7, or SUN to SAT; 0 and 7 are Sunday"),
];
const NICKNAMES: [&str; 5] = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly"];

/// As it is stored: by a span or by a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rhythm {
    pub(crate) every: Option<Micros>,
    pub(crate) cron: Option<String>,
    pub(crate) timezone: String,
    /// There is always one with `every`.
    pub(crate) start: Option<Micros>,
}

/// Read and ready to be asked.
#[derive(Debug)]
pub(super) enum Times {
    Every { every: Micros, start: Micros },
    Cron { cron: Box<Cron>, zone: Tz, start: Micros },
}

impl Rhythm {
    /// Errors: `input.invalid`.
    pub(super) fn times(&self) -> Result<Times> {
        let start = self.start.unwrap_or(0);
        match (self.every, &self.cron) {
            (Some(every), _) => Ok(Times::Every { every: every.max(1), start }),
            (None, cron) => {
                let cron = Box::new(pattern(cron.as_deref().unwrap_or_default())?);
                Ok(Times::Cron { cron, zone: zone(&self.timezone)?, start })
            }
        }
    }
}

impl Times {
    /// The first due time after this one. `None` where none comes any more.
    pub(super) fn next_after(&self, after: Micros) -> Option<Micros> {
        let next = match self {
            Times::Every { start, .. } if after < *start => *start,
            Times::Every { every, start } => {
                start.checked_add(((after - start) / every + 1).checked_mul(*every)?)?
            }
            Times::Cron { cron, zone, start } => next_shown(cron, *zone, after.max(start - 1))?,
        };
        (next / 1_000_000 < check::LAST_START).then_some(next)
    }

    /// The last due time from `first`, which is one, up to `until`.
    pub(super) fn last_until(&self, first: Micros, until: Micros) -> Micros {
        // Looks back ever further: not through all that a year of downtime has missed.
        let mut span: Micros = 60_000_000;
        while until - span > first {
            if let Some(found) = self.next_after(until - span).filter(|found| *found <= until) {
                return self.walk(found, until);
            }
            span *= 2;
        }
        self.walk(first, until)
    }

    fn walk(&self, mut here: Micros, until: Micros) -> Micros {
        while let Some(next) = self.next_after(here).filter(|next| *next <= until) {
            here = next;
        }
        here
    }
}

fn next_shown(cron: &Cron, zone: Tz, after: Micros) -> Option<Micros> {
    let mut shown = zone.from_utc_datetime(&time(after).naive_utc()).naive_local();
    loop {
        shown = cron.find_next_occurrence(&shown.and_utc(), false).ok()?.naive_utc();
        // What the clock shows for the second time was due the first time.
        let due = first_moment(zone, shown).timestamp_micros();
        if due > after {
            return Some(due);
        }
    }
}

/// The first moment at which the zone's wall clock shows this time or a later one.
fn first_moment(zone: Tz, shown: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&shown) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => at.to_utc(),
        MappedLocalTime::None => {
            // No zone is further from UTC, and no gap longer, than a day.
            let (mut before, mut after) = (-48 * 3_600, 48 * 3_600);
            let moment = |seconds| (shown + TimeDelta::seconds(seconds)).and_utc();
            while after - before > 1 {
                let middle = (before + after) / 2;
                let shows = zone.from_utc_datetime(&moment(middle).naive_utc()).naive_local();
                *(if shows < shown { &mut before } else { &mut after }) = middle;
            }
            moment(after)
        }
    }
}

fn zone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| {
        let known = TZ_VARIANTS.iter().map(|zone| (zone.name(), zone.name()));
        let nearest = ids::nearest(name, known);
        let hint = nearest.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        Error::invalid("timezone", name, &format!("an IANA time zone, such as \"Europe/Berlin\"{hint}"))
    })
}

fn pattern(text: &str) -> Result<Cron> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if let [nickname] = fields[..]
        && NICKNAMES.contains(&nickname)
    {
        return parse(nickname).ok_or_else(|| Error::internal("a nickname of cron is none"));
    }
    if fields.len() != FIELDS.len() || text.contains('@') {
        let five = "five fields, minute hour day month weekday, as in \"0 9 * * MON\"";
        return Err(Error::invalid("cron", text, &format!("{five}; or {}", NICKNAMES.join(", "))));
    }
    if let Some(cron) = parse(text) {
        return Ok(cron);
    }
    let alone = |place: usize| {
        let mut all = ["*"; 5];
        all[place] = fields[place];
        all.join(" ")
    };
    let wrong = (0..fields.len()).find(|place| parse(&alone(*place)).is_none()).unwrap_or_default();
    let ((name, range), field) = (FIELDS[wrong], fields[wrong]);
    let allowed =
        format!("as its {name}, which is {field:?}: {range}; *; and lists, ranges and steps of them");
    Err(Error::invalid("cron", text, &allowed))
}

fn parse(text: &str) -> Option<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).ok()
}

#[cfg(test)]
mod tests;
