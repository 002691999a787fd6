//! Python's `json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))` without a tree in between: one walk
//! over the text, which writes as it reads.

use super::{number, text};
use crate::{
    error::{Error, Result},
    json::MAX_DEPTH,
};
use std::{fmt, ops::Range};

/// The text that Python's `json.dumps(x, sort_keys=True, separators=(",", ":"))` writes of a JSON document: ASCII
/// without white space, keys by code points, integers digit for digit, other numbers as `repr` writes a double.
///
/// Two documents have the same canonical text exactly where Python reads the same from them. Fails with `input.payload`
/// where the text is no JSON, has a key twice, goes deeper than 64 levels, or has a number that Python does not read.
pub fn canonical_text(text: &str) -> Result<String> {
    let mut walk = Walk { text, at: 0, depth: 0, out: String::with_capacity(text.len()) };
    let document = walk.value().and_then(|()| walk.end());
    document.map(|()| walk.out).map_err(|flaw| Error::payload("$", flaw))
}

/// Why a text is refused, and where.
#[derive(Debug)]
pub(super) struct Flaw {
    at: usize,
    why: &'static str,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.why, self.at)
    }
}

/// An object's members, sorted, each as it is written.
#[derive(Debug)]
pub(super) struct Object {
    text: String,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    /// Without the quotes around it.
    key: Range<usize>,
    end: usize,
}

impl Object {
    pub(super) fn read(text: &str) -> Result<Self, Flaw> {
        let mut walk = Walk { text, at: 0, depth: 0, out: String::with_capacity(text.len()) };
        walk.space();
        if walk.peek() != Some(b'{') {
            return walk.flaw("no object");
        }
        walk.depth = 1;
        let (members, _) = walk.members()?;
        walk.end()?;
        Ok(Object { text: walk.out, members })
    }

    /// `(key, value, both with the colon between them)`.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.members.iter().map(|member| {
            let both = member.key.start - 1..member.end;
            let value = member.key.end + 2..member.end;
            (&self.text[member.key.clone()], &self.text[value], &self.text[both])
        })
    }
}

/// Stands at the first byte that it has not read.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// Of brackets that are open; no deeper than 64, so the functions below may call each other.
    depth: usize,
    out: String,
}

impl Walk<'_> {
    fn value(&mut self) -> Result<(), Flaw> {
        self.space();
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.deeper(Self::object),
            Some(b'[') => self.deeper(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let rest = &self.text[self.at..];
                let word = ["null", "true", "false"].into_iter().find(|word| rest.starts_with(word));
                let Some(word) = word else { return self.flaw("no JSON value") };
                self.at += word.len();
                self.out.push_str(word);
                Ok(())
            }
        }
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Flaw>) -> Result<(), Flaw> {
        if self.depth == MAX_DEPTH {
            return self.flaw("more than 64 levels");
        }
        self.depth += 1;
        read(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self) -> Result<(), Flaw> {
        self.take();
        self.space();
        if self.skips(b']') {
            self.out.push(']');
            return Ok(());
        }
        loop {
            self.value()?;
            self.space();
            if self.skips(b']') {
                self.out.push(']');
                return Ok(());
            }
            self.expect(b',', "no comma or bracket")?;
        }
    }

    fn object(&mut self) -> Result<(), Flaw> {
        let begin = self.out.len();
        let (members, sorted) = self.members()?;
        if !sorted {
            let entry = |member: &Member| &self.out[member.key.start - 1..member.end];
            let entries: Vec<&str> = members.iter().map(entry).collect();
            let entries = entries.join(",");
            self.out.truncate(begin + 1);
            self.out.push_str(&entries);
            self.out.push('}');
        }
        Ok(())
    }

    /// An object's members in order, and whether they were written in it.
    fn members(&mut self) -> Result<(Vec<Member>, bool), Flaw> {
        let opened = self.at;
        let mut members = Vec::new();
        self.take();
        self.space();
        if self.skips(b'}') {
            self.out.push('}');
            return Ok((members, true));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return self.flaw("no key");
            }
            let start = self.out.len() + 1;
            self.string()?;
            let key = start..self.out.len() - 1;
            self.space();
            self.expect(b':', "no colon")?;
            self.value()?;
            members.push(Member { key, end: self.out.len() });
            self.space();
            if self.skips(b'}') {
                self.out.push('}');
                break;
            }
            self.expect(b',', "no comma or brace")?;
        }
        let out = self.out.as_str();
        let order = |a: &Member, b: &Member| text::compare(&out[a.key.clone()], &out[b.key.clone()]);
        let sorted = members.is_sorted_by(|a, b| order(a, b).is_lt());
        if !sorted {
            members.sort_by(order);
            if members.windows(2).any(|pair| order(&pair[0], &pair[1]).is_eq()) {
                return Err(Flaw { at: opened, why: "an object with a key twice" });
            }
        }
        Ok((members, sorted))
    }

    fn string(&mut self) -> Result<(), Flaw> {
        self.take();
        loop {
            let rest = &self.text[self.at..];
            let plain = text::plain_run(rest.as_bytes());
            self.out.push_str(&rest[..plain]);
            self.at += plain;
            match rest[plain..].chars().next() {
                None => return self.flaw("a string without end"),
                Some('"') => {
                    self.take();
                    return Ok(());
                }
                Some('\\') => self.escape()?,
                Some(c) if c < ' ' => return self.flaw("a control character in a string"),
                Some(c) => {
                    self.at += c.len_utf8();
                    text::write_char(c, &mut self.out);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let unit = match rest.first() {
            Some(b'u') => {
                let digits = rest.get(1..5).unwrap_or_default();
                let unit = digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | text::hex(*digit)?));
                unit.filter(|_| digits.len() == 4).map(|unit| (unit, 6))
            }
            Some(escaped) => text::short(*escaped).map(|unit| (unit, 2)),
            None => None,
        };
        let Some((unit, length)) = unit else { return self.flaw("an unknown escape") };
        self.at += length;
        text::write_unit(unit, &mut self.out);
        Ok(())
    }

    fn number(&mut self) -> Result<(), Flaw> {
        let from = self.at;
        self.skips(b'-');
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.skips(b'.') {
            self.digits()?;
        }
        if self.skips(b'e') || self.skips(b'E') {
            let _sign = self.skips(b'+') || self.skips(b'-');
            self.digits()?;
        }
        let token = &self.text[from..self.at];
        number::write(token, &mut self.out).map_err(|why| Flaw { at: from, why })
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == from { self.flaw("no digit") } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), Flaw> {
        self.space();
        if self.at < self.text.len() { self.flaw("something after the document") } else { Ok(()) }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skips(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// The ASCII byte that is next, as it is.
    fn take(&mut self) {
        if let Some(byte) = self.peek() {
            self.at += 1;
            self.out.push(char::from(byte));
        }
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), Flaw> {
        if !self.skips(byte) {
            return self.flaw(why);
        }
        self.out.push(char::from(byte));
        Ok(())
    }

    fn flaw<T>(&self, why: &'static str) -> Result<T, Flaw> {
        Err(Flaw { at: self.at, why })
    }
}
