//! What the targets share: inputs that are changed at random, and kept where the parser says something new of them.

use crate::clock::monotonic;
use fastrand::Rng;
use std::{
    collections::HashSet,
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

/// So long in a bare `cargo test`; `cargo xtask test` and `cargo xtask fuzz` give each target a minute.
const BRIEFLY: Duration = Duration::from_secs(3);
/// Longer inputs say nothing that shorter ones do not.
const MOST_BYTES: usize = 4096;
const MOST_KEPT: usize = 5_000;

/// Of JSON, tokens, times and numbers, with a space between two.
const WORDS: &str = "{ } [ ] : , \" \\ \\u0061 \\ud83d\\ude00 \\ud800 \\\" null true false 0 -0 -0.0 1e400 1e-07 1E+16 0.1 \
    9007199254740993 99999999999999999999 00 NaN . - _ = + T Z +08:00 :60 / 4294967295 \u{2028} ü \u{1f40e} \u{0} \n \
    \"a\":1 \"_sig_ts\": AAAA";

/// Gives `target` inputs until its time is over; each must answer what it says of the input in general, without the
/// input itself: by that the inputs are chosen which are changed further. A panic is shown with its input.
pub(in crate::messages) fn fuzz<S: AsRef<[u8]>>(seeds: &[S], target: impl Fn(&[u8]) -> String) {
    let seconds = env::var("KURULTAI_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = seconds.map_or(BRIEFLY, Duration::from_secs_f64);
    let (start, mut rng, mut tried) = (monotonic(), Rng::new(), 0_u64);
    let mut kept: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_ref().to_vec()).collect();
    let mut heard = HashSet::new();
    let words: Vec<&str> = WORDS.split(' ').collect();
    let say = |input: &[u8]| match catch_unwind(AssertUnwindSafe(|| target(input))) {
        Ok(said) => said.chars().filter(|c| !c.is_ascii_digit()).collect::<String>(),
        Err(panic) => {
            eprintln!("the input was b\"{}\"", input.escape_ascii());
            resume_unwind(panic)
        }
    };
    for seed in &kept {
        heard.insert(say(seed));
    }
    while start.elapsed() < time {
        for _ in 0..50 {
            let mut input = kept[rng.usize(..kept.len())].clone();
            for _ in 0..=rng.usize(..4) {
                change(&mut rng, &mut input, &words, &kept);
            }
            input.truncate(MOST_BYTES);
            tried += 1;
            if heard.insert(say(&input)) && kept.len() < MOST_KEPT {
                kept.push(input);
            }
        }
    }
    assert!(
        tried >= 100 && heard.len() > 1,
        "{tried} inputs and {} answers: nothing was tested",
        heard.len()
    );
    eprintln!("{tried} inputs, {} answers", heard.len());
}

fn change(rng: &mut Rng, input: &mut Vec<u8>, words: &[&str], others: &[Vec<u8>]) {
    let at = rng.usize(..=input.len());
    let end = (at + rng.usize(..16)).min(input.len());
    match rng.u8(..9) {
        0 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
        1 if at < input.len() => input[at] = rng.u8(..),
        2 => drop(input.drain(at..end)),
        3 => insert(input, at, words[rng.usize(..words.len())].as_bytes()),
        4 => {
            let part = input[at..end].to_vec();
            insert(input, rng.usize(..=input.len()), &part);
        }
        5 => {
            let other = &others[rng.usize(..others.len())];
            let from = rng.usize(..=other.len());
            input.truncate(at);
            input.extend(&other[from..]);
        }
        6 => {
            // The same again and again: depth, and length.
            let part = input[at..(at + rng.usize(1..4)).min(input.len())].to_vec();
            insert(input, at, &part.repeat(rng.usize(..200)));
        }
        7 if at < input.len() => input[at] = b'0' + rng.u8(..10),
        _ => insert(input, at, &[rng.u8(b' '..=b'~')]),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, part: &[u8]) {
    let rest = input.split_off(at);
    input.extend(part);
    input.extend(rest);
}
