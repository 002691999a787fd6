//! G7: a message that is presented 50 times by threads of several processes is admitted once.

use super::{Arena, Result, now, staff::Staff};
use kurultai_core::messages::{
    Inbox,
    token::{self, Draft},
};
use std::{collections::BTreeMap, fs, path::Path};

const PROCESSES: usize = 4;
/// How often each message is presented.
pub const TIMES: usize = 50;

/// Each of `messages` messages presented 50 times. Returns how often each answer was given, and how many messages the
/// recipient got.
pub async fn run(program: &Path, arena: &Arena, messages: usize) -> Result<(BTreeMap<String, usize>, usize)> {
    let kurultai = arena.open().await?;
    let key = kurultai.keys().rotate("kublai").await?;
    let mut tokens = String::new();
    for n in 0..messages {
        let draft = Draft::new("kublai", "jochi", "storm", now());
        let draft = draft.namespace(&arena.namespace).body(serde_json::json!(n));
        tokens += &token::sign(&draft, &key)?;
        tokens.push('\n');
    }
    let folder = tempfile::tempdir()?;
    let (file, made) = (folder.path().join("tokens"), folder.path().join("made"));
    let mut staff = Staff::new(program, arena);
    let times = (0..PROCESSES).map(|process| TIMES / PROCESSES + usize::from(process < TIMES % PROCESSES));
    let members = times.map(|times| staff.presenter(&file, times)).collect::<Result<Vec<_>>>()?;
    staff.until("those who present", |ledger| ledger.ready.len() == PROCESSES).await?;
    fs::write(&made, tokens)?;
    // Whole at once.
    fs::rename(&made, &file)?;
    for member in members {
        member.end().await?;
    }
    staff.check()?;
    let presented = staff.all_heard().mail.presented;
    let mut answers = BTreeMap::new();
    for of_one in presented.values() {
        let admitted = of_one.get("admitted").copied().unwrap_or(0);
        if admitted != 1 || of_one.values().sum::<usize>() != TIMES {
            return Err(format!("one message was answered {of_one:?}").into());
        }
        for (answer, count) in of_one {
            *answers.entry(answer.clone()).or_default() += count;
        }
    }
    let all = Inbox { agent: Some("jochi".to_owned()), max: 1_000, ..Inbox::default() };
    let got = kurultai.messages().inbox(all).await?.len();
    kurultai.close().await;
    arena.check_integrity()?;
    Ok((answers, got))
}
