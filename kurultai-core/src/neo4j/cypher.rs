//! What statements have in common.

/// The lock, and the clock read once it is held: the statement's own start may lie long before.
macro_rules! locked {
    () => {
        "
MATCH (ns:Namespace {namespace: $ns, made: $made}) SET ns._lock = 0
WITH ns, datetime.realtime() AS c
WITH ns, coalesce($now, c.epochSeconds * 1000000 + c.microsecond) AS now
WITH ns, now, datetime({epochSeconds: now / 1000000, nanosecond: now % 1000000 * 1000}) AS at
"
    };
}
macro_rules! lock {
    () => {
        concat!("CYPHER 5", $crate::neo4j::cypher::locked!())
    };
}
/// For statements that never stop. They ask for seeks in the indexes of tasks, so the counts of nodes do not matter to
/// them; but the server would plan them anew every ten seconds while those grow, and a plan takes half a second.
macro_rules! hot_lock {
    () => {
        concat!("CYPHER 5 replan=skip", $crate::neo4j::cypher::locked!())
    };
}
/// For statements that lock nothing.
macro_rules! clock {
    () => {
        "CYPHER 5
WITH datetime.realtime() AS c
WITH coalesce($now, c.epochSeconds * 1000000 + c.microsecond) AS now
"
    };
}
pub(in crate::neo4j) use {clock, hot_lock, lock, locked};

#[cfg(test)]
mod tests {
    use crate::tasks::{
        Status,
        contract::ANSWER_BYTES,
        order::{LIGHTEST, RANK},
    };
    use std::{fs, path::Path};

    /// Every `.cypher` file below a folder.
    fn read_all(folder: &Path, texts: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read_all(&path, texts);
            } else if path.extension().is_some_and(|end| end == "cypher") {
                texts.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }

    #[test]
    fn statements_say_the_same_as_the_rules() {
        let mut texts = vec![];
        read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/neo4j"), &mut texts);
        let numbers = [RANK.to_string(), LIGHTEST.to_string(), ANSWER_BYTES.to_string()];
        let finished = |status: &&Status| status.is_finished();
        let finished: Vec<String> =
            Status::ALL.iter().filter(finished).map(|status| format!("'{status}'")).collect();
        let (mut counted, mut listed) = (0, 0);
        for (path, text) in &texts {
            // A microsecond's share of a second has seven digits.
            for number in text.split(|c: char| !c.is_ascii_digit()).filter(|digits| digits.len() > 7) {
                assert!(numbers.iter().any(|known| known == number), "{number} in {path}");
                counted += 1;
            }
            for list in text.split("['completed'").skip(1) {
                let rest = list.split(']').next().unwrap_or_default();
                let mut words: Vec<&str> = rest.split(',').map(str::trim).collect();
                words[0] = "'completed'";
                words.sort_unstable();
                let mut expected = finished.clone();
                expected.sort_unstable();
                assert_eq!(words, expected, "{path}");
                listed += 1;
            }
        }
        assert!(counted > 5 && listed > 5, "{counted} numbers and {listed} lists in {} files", texts.len());
    }
}
