mod flips;
mod fuzz;
mod holes;
mod hostile;
mod python;
mod random;
mod vectors;

use super::*;
use chrono::{DateTime, TimeDelta, Utc};

const SECRET: &str = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

fn kublai() -> LegacyKey {
    LegacyKey::new("Kublai", "kublai-001", SECRET)
}

fn noon() -> DateTime<Utc> {
    "2026-02-09T12:00:00.123456Z".parse().unwrap()
}

fn seconds_later(seconds: i64) -> DateTime<Utc> {
    noon() + TimeDelta::seconds(seconds)
}

fn anyone(now: DateTime<Utc>) -> Expect {
    Expect { audiences: vec![], now }
}

fn verified(text: &str) -> crate::Result<LegacyVerified> {
    verify(text, &vec![kublai()], &anyone(noon()))
}

fn code(answer: crate::Result<LegacyVerified>) -> &'static str {
    answer.err().map_or("accepted", |error| error.code())
}
