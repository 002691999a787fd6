//! Topics and the patterns that match them.

use crate::error::{Error, Result};

/// How many words a pattern may have.
const MOST_WORDS: usize = 64;
/// How many bytes the topic of a published event may have.
const LONGEST: usize = 128;
/// The first words of the topics that this library writes.
const OURS: [&str; 7] = ["task", "tasks", "agent", "role", "alert", "message", "security"];

/// What a user may publish. Errors: `input.invalid`.
pub(super) fn check_published(topic: &str) -> Result<()> {
    let fits = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    if topic.len() > LONGEST || !topic.split('.').all(fits) {
        let allowed = "words of letters, digits, _ and - with dots between them, at most 128 bytes";
        return Err(Error::invalid("topic", topic, allowed));
    }
    if is_ours(topic) {
        let prefixes: Vec<String> = OURS.iter().map(|word| format!("{word}.")).collect();
        let allowed =
            format!("one that does not begin with {}, which are the library's own", prefixes.join(" "));
        return Err(Error::invalid("topic", topic, &allowed));
    }
    Ok(())
}

/// Whether this library alone writes events of this topic.
fn is_ours(topic: &str) -> bool {
    OURS.contains(&topic.split('.').next().unwrap_or_default())
}

/// Where the events that fit a pattern stand among all topics: it says how those begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// How each begins, or the whole topic.
    pub(crate) text: String,
    pub(crate) is_whole: bool,
    /// Users publish them, this library writes none.
    pub(crate) is_published: bool,
}

impl Prefix {
    /// What comes behind every topic that begins so: no word has a `~`.
    pub(crate) fn end(&self) -> String {
        format!("{}~", self.text)
    }
}

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

    /// `None` where it may begin in any way.
    pub(crate) fn prefix(&self) -> Option<Prefix> {
        let literal = self.0.iter().take_while(|word| !word.contains('*')).count();
        if literal == 0 {
            return None;
        }
        let is_whole = literal == self.0.len();
        let mut text = self.0[..literal].join(".");
        let is_published = !is_ours(&text);
        // `deploy.**` also fits `deploy`.
        if !is_whole && self.0[literal] != "**" {
            text.push('.');
        }
        Some(Prefix { text, is_whole, is_published })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_says_how_its_topics_begin() {
        let prefix = |pattern: &str| {
            let prefix = Pattern::new(pattern).unwrap().prefix();
            prefix.map(|Prefix { text, is_whole, is_published }| (text, is_whole, is_published))
        };
        let is = |text: &str, is_whole, is_published| Some((text.to_owned(), is_whole, is_published));
        assert_eq!(prefix("deploy.done"), is("deploy.done", true, true));
        assert_eq!(prefix("deploy.*"), is("deploy.", false, true));
        assert_eq!(prefix("deploy.**"), is("deploy", false, true));
        assert_eq!(prefix("a.b.*.c"), is("a.b.", false, true));
        assert_eq!(prefix("task.**"), is("task", false, false));
        assert_eq!(prefix("alert.raised"), is("alert.raised", true, false));
        for any in ["**", "*", "*.done", "**.done"] {
            assert_eq!(prefix(any), None, "{any}");
        }
    }
}
