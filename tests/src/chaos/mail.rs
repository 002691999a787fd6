//! G7: an inbox whose readers are killed with SIGKILL at random moments: every message is acknowledged, none is lost,
//! and none is given to anybody while another has it.

use super::{
    Arena, Error, Result,
    staff::{Ledger, Member, Staff},
};
use kurultai_core::{
    Kurultai,
    messages::{AgentMessage, MAX_DELIVERIES, MessageFilter, MessageStatus, NewMessage},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    path::Path,
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};

const READERS: usize = 4;
/// How long nobody else is given what a reader has.
pub(super) const VISIBLE: Duration = Duration::from_millis(800);
const READER: &str = "jochi";

/// What readers said of a message: which delivery, and the microseconds between which it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Given {
    pub delivery: u32,
    pub after: i64,
    pub before: i64,
}

/// What the processes of a run said about messages.
#[derive(Debug, Default)]
pub struct Mail {
    pub given: HashMap<String, Vec<Given>>,
    /// Which deliveries the store has acknowledged.
    pub acked: HashMap<String, BTreeSet<u32>>,
    /// Acknowledgements that came too late and were refused.
    pub late: usize,
    /// How often each text was admitted, and with which codes it was refused.
    pub presented: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Mail {
    /// Whether the line is about messages.
    pub(super) fn hear(&mut self, words: &[&str]) -> bool {
        let number = |text: &str| text.parse::<i64>().unwrap_or(-1);
        let delivery = |text: &str| text.parse::<u32>().unwrap_or(0);
        match words {
            ["given", id, times, after, before] => {
                let given = Given { delivery: delivery(times), after: number(after), before: number(before) };
                self.given.entry((*id).to_owned()).or_default().push(given);
            }
            ["acked", id, times] => {
                self.acked.entry((*id).to_owned()).or_default().insert(delivery(times));
            }
            ["late", ..] => self.late += 1,
            ["presented", text, answer] => {
                let answers = self.presented.entry((*text).to_owned()).or_default();
                *answers.entry((*answer).to_owned()).or_default() += 1;
            }
            _ => return false,
        }
        true
    }

    /// Deliveries that came while another reader had the message, as far as the readers' clocks prove it, and those that
    /// two have.
    fn overlaps(&self) -> (usize, usize) {
        let (mut early, mut twice) = (0, 0);
        let visible = VISIBLE.as_micros() as i64;
        for given in self.given.values() {
            let mut given = given.clone();
            given.sort_unstable();
            for pair in given.windows(2) {
                let between = i64::from(pair[1].delivery - pair[0].delivery);
                twice += usize::from(between == 0);
                early += usize::from(pair[1].before < pair[0].after + between * visible);
            }
        }
        (early, twice)
    }
}

/// What a run has left behind.
#[derive(Debug, Default)]
pub struct Report {
    pub store: &'static str,
    pub kills: usize,
    pub sent: usize,
    pub acknowledged: usize,
    /// Given as often as a message is, each time to one that was killed or slow: its sender was told.
    pub spent: usize,
    /// Neither, or not there at all.
    pub lost: usize,
    /// Given while another had it.
    pub early: usize,
    /// One delivery that two have.
    pub twice: usize,
    /// Given after it was acknowledged, or acknowledged to a reader and not in the store.
    pub false_acknowledgements: usize,
    pub redelivered: usize,
    /// Acknowledgements that came too late and were refused.
    pub late: usize,
}

/// Kills `kills` readers, spread over the time that `messages` messages take.
pub async fn run(program: &Path, arena: &Arena, kills: usize, messages: usize) -> Result<Report> {
    let kurultai = arena.open().await?;
    let key = kurultai.keys().rotate("kublai").await?;
    let sender = arena.open_as(key).await?;
    let mut staff = Staff::new(program, arena);
    let mut readers = (0..READERS).map(|_| staff.reader(READER)).collect::<Result<Vec<_>>>()?;
    let sending = send(sender.clone(), messages);
    for kill in 1..=kills {
        comes_to(&staff, &readers, messages.saturating_sub(kills) * kill / (kills + 1)).await?;
        let victim = readers.swap_remove(fastrand::usize(..readers.len()));
        readers.push(staff.reader(READER)?);
        victim.kill().await?;
        staff.check()?;
    }
    let sent = sending.await??;
    let (mut last, mut quiet) = (0, 0);
    loop {
        staff.check()?;
        // Whoever sends hears of what nobody has acknowledged.
        kurultai.maintain().await?;
        let left = kurultai.messages().unread(Some(READER)).await?.count;
        if left == 0 {
            break;
        }
        quiet = if left == last { quiet + 1 } else { 0 };
        last = left;
        if quiet > 600 {
            return Err(format!("{left} messages wait, and nothing moves any more").into());
        }
        sleep(Duration::from_millis(50)).await;
    }
    for reader in readers {
        reader.dismiss().await?;
    }
    staff.check()?;
    let report = Report::of(&kurultai, &sent, &staff.all_heard()).await;
    sender.close().await;
    kurultai.close().await;
    arena.check_integrity()?;
    Ok(Report { kills, ..report? })
}

/// Sends them in units, about as fast as they are read.
fn send(from: Kurultai, messages: usize) -> JoinHandle<Result<Vec<String>, Error>> {
    tokio::spawn(async move {
        let mut ids = Vec::with_capacity(messages);
        while ids.len() < messages {
            let count = fastrand::usize(1..=20).min(messages - ids.len());
            let message = |n: usize| NewMessage {
                urgent: fastrand::u8(..4) == 0,
                ..NewMessage::new(READER, "storm", serde_json::json!(n))
            };
            let unit = (0..count).map(|n| message(ids.len() + n)).collect();
            ids.extend(from.messages().send_many(unit).await?.into_iter().map(|sent| sent.id));
            sleep(Duration::from_millis(fastrand::u64(..20))).await;
        }
        Ok(ids)
    })
}

/// A random moment after so many acknowledgements.
async fn comes_to(staff: &Staff, readers: &[Member], share: usize) -> Result {
    // Somebody must be there to take over.
    let at_work = |ledger: &Ledger| readers.iter().filter(|one| ledger.ready.contains(&one.name)).count();
    let so_far = |ledger: &Ledger| ledger.mail.acked.len() >= share && at_work(ledger) > READERS / 2;
    staff.until("acknowledgements", so_far).await?;
    sleep(Duration::from_millis(10).mul_f64(fastrand::f64())).await;
    Ok(())
}

impl Report {
    async fn of(kurultai: &Kurultai, sent: &[String], ledger: &Ledger) -> Result<Self> {
        let mail = &ledger.mail;
        let (early, twice) = mail.overlaps();
        let stored = every_message(kurultai).await?;
        let mut report = Report {
            store: kurultai.store_name(),
            sent: sent.len(),
            early,
            twice,
            late: mail.late,
            redelivered: mail.given.values().flatten().filter(|given| given.delivery > 1).count(),
            ..Report::default()
        };
        for id in sent {
            let stands =
                stored.get(id).map(|message| (message.status, message.delivery, message.code.as_deref()));
            match stands {
                Some((MessageStatus::Acknowledged, delivery, None)) => {
                    report.acknowledged += 1;
                    let said = mail.acked.get(id).is_none_or(|acked| acked.iter().eq([&delivery]));
                    let given =
                        mail.given.get(id).is_none_or(|all| all.iter().all(|one| one.delivery <= delivery));
                    report.false_acknowledgements += usize::from(!(said && given));
                }
                Some((MessageStatus::Failed, MAX_DELIVERIES, Some("message.undeliverable"))) => {
                    report.spent += 1;
                    report.false_acknowledgements += usize::from(mail.acked.contains_key(id));
                }
                _ => report.lost += 1,
            }
        }
        // What nobody has sent.
        report.lost += stored.len() - (report.acknowledged + report.spent).min(stored.len());
        Ok(report)
    }

    /// Fails unless every message was acknowledged, and never given to two at once.
    pub fn check(&self) -> Result {
        let wrong = self.lost + self.early + self.twice + self.false_acknowledgements;
        // Nobody is killed five times in a row with the same message but by a rare accident.
        let spent = self.spent * 1_000 > self.sent;
        if wrong == 0 && !spent { Ok(()) } else { Err(format!("{self}").into()) }
    }
}

async fn every_message(kurultai: &Kurultai) -> Result<HashMap<String, AgentMessage>> {
    let mut all = HashMap::new();
    let mut filter = MessageFilter { limit: 1_000, ..MessageFilter::default() };
    loop {
        let page = kurultai.messages().list(filter.clone()).await?;
        all.extend(page.messages.into_iter().map(|message| (message.id.clone(), message)));
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => return Ok(all),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { store, kills, sent, acknowledged, spent, lost, early, twice, .. } = self;
        let Report { false_acknowledgements, redelivered, late, .. } = self;
        write!(
            f,
            "mail {store}: {kills} readers killed, {sent} sent, {acknowledged} acknowledged, {spent} given {MAX_DELIVERIES} \
             times, {lost} lost; {redelivered} given again, of them {early} too early; {twice} given to two; {late} \
             acknowledged too late; {false_acknowledgements} false acknowledgements"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn early_and_twice(given: &[(u32, i64, i64)]) -> (usize, usize) {
        let mut mail = Mail::default();
        for (delivery, after, before) in given {
            let line = format!("given m {delivery} {after} {before}");
            assert!(mail.hear(&line.split(' ').collect::<Vec<_>>()));
        }
        mail.overlaps()
    }

    #[test]
    fn what_two_have_at_once_is_found() {
        let span = VISIBLE.as_micros() as i64;
        assert_eq!(early_and_twice(&[(1, 0, 10), (2, span, span + 10), (3, 2 * span, 2 * span + 9)]), (0, 0));
        assert_eq!(early_and_twice(&[(2, 0, span + 1), (1, 0, 10)]), (0, 0), "it may have been just in time");
        assert_eq!(early_and_twice(&[(1, 0, 10), (2, 0, span - 1)]), (1, 0));
        assert_eq!(early_and_twice(&[(1, 0, 10), (3, 0, 2 * span - 1)]), (1, 0), "one was not heard");
        assert_eq!(early_and_twice(&[(1, 0, 10), (1, 5, 20)]), (0, 1));
    }
}
