//! Topics and the patterns that match them.

use crate::error::{Error, Result};

/// How many words a pattern may have.
const MOST_WORDS: usize = 64;

/// A pattern whose words were told apart once: `*` is one word, `**` any number.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<String>);

impl Pattern {
    /// Errors: `input.invalid` where it has more than 64 words.
    pub(crate) fn new(pattern: &str) -> Result<Self> {
        let words: Vec<&str> = pattern.split('.').take(MOST_WORDS + 1).collect();
        if words.len() > MOST_WORDS {
            return Err(Error::invalid("topic", pattern, "at most 64 words with dots between them"));
        }
        Ok(Pattern(words.into_iter().map(str::to_owned).collect()))
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        matches_words(&self.0, &topic.split('.').collect::<Vec<_>>())
    }
}

/// Whether a topic fits a pattern: words between dots, `*` for one word, `**` for any number of words.
pub fn matches(pattern: &str, topic: &str) -> bool {
    matches_words(&pattern.split('.').collect::<Vec<_>>(), &topic.split('.').collect::<Vec<_>>())
}

/// Only the last `**` is ever tried anew, one word longer: what fits an earlier one in some way fits in its shortest.
fn matches_words<P: AsRef<str>>(pattern: &[P], topic: &[&str]) -> bool {
    let (mut at, mut word) = (0, 0);
    let mut retry = None;
    loop {
        match pattern.get(at).map(AsRef::as_ref) {
            Some("**") => {
                at += 1;
                retry = Some((at, word));
            }
            Some(expected) if topic.get(word).is_some_and(|word| expected == "*" || expected == *word) => {
                at += 1;
                word += 1;
            }
            None if word == topic.len() => return true,
            _ => match retry {
                Some((after, start)) if start < topic.len() => {
                    (at, word) = (after, start + 1);
                    retry = Some((after, start + 1));
                }
                _ => return false,
            },
        }
    }
}
