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
    let mut walk = Walk::of(text);
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
    /// Whether there are escapes in it.
    escaped: bool,
    end: usize,
}

impl Object {
    pub(super) fn read(text: &str) -> Result<Self, Flaw> {
        let mut walk = Walk::of(text);
        walk.space();
        if walk.peek() != Some(b'{') {
            return walk.flaw("no object");
        }
        walk.depth = 1;
        walk.members()?;
        walk.end()?;
        Ok(Object { text: walk.out, members: walk.members })
    }

    /// How long it is with its members in braces.
    pub(super) fn len(&self) -> usize {
        self.text.len()
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

/// Stands at the first byte that it has not read. What is canonical as it stands is not written byte by byte, but as one
/// run, once something follows that is not.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// Where the run begins that is not in `out` yet.
    run: usize,
    out: String,
    /// Of brackets that are open; no deeper than 64, so the functions below may call each other.
    depth: usize,
    /// Of the objects that are open, those of the innermost last.
    members: Vec<Member>,
}

impl<'a> Walk<'a> {
    fn of(text: &'a str) -> Self {
        let (out, members) = (String::with_capacity(text.len()), Vec::with_capacity(16));
        Walk { text, at: 0, run: 0, out, depth: 0, members }
    }

    /// How much is written, with the run.
    fn written(&self) -> usize {
        self.out.len() + (self.at - self.run)
    }

    /// Ends the run.
    fn flush(&mut self) {
        self.out.push_str(&self.text[self.run..self.at]);
        self.run = self.at;
    }

    /// Goes on behind what is not written as it stands.
    fn pass(&mut self, bytes: usize) {
        self.at += bytes;
        self.run = self.at;
    }

    fn value(&mut self) -> Result<(), Flaw> {
        self.space();
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.deeper(Self::object),
            Some(b'[') => self.deeper(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let rest = &self.text[self.at..];
                let word = ["null", "true", "false"].into_iter().find(|word| rest.starts_with(word));
                let Some(word) = word else { return self.flaw("no JSON value") };
                self.at += word.len();
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
        self.at += 1;
        self.space();
        if self.skips(b']') {
            return Ok(());
        }
        loop {
            self.value()?;
            self.space();
            if self.skips(b']') {
                return Ok(());
            }
            self.expect(b',', "no comma or bracket")?;
        }
    }

    fn object(&mut self) -> Result<(), Flaw> {
        let (begin, first) = (self.written(), self.members.len());
        if !self.members()? {
            let mut sorted = String::with_capacity(self.out.len() - begin);
            for member in &self.members[first..] {
                sorted.push(if sorted.is_empty() { '{' } else { ',' });
                sorted.push_str(&self.out[member.key.start - 1..member.end]);
            }
            sorted.push('}');
            self.out.truncate(begin);
            self.out.push_str(&sorted);
        }
        self.members.truncate(first);
        Ok(())
    }

    /// Leaves an object's members in order behind the others, and ends the run. Whether they were written in that order.
    fn members(&mut self) -> Result<bool, Flaw> {
        let (opened, first) = (self.at, self.members.len());
        self.at += 1;
        self.space();
        if !self.skips(b'}') {
            loop {
                self.space();
                if self.peek() != Some(b'"') {
                    return self.flaw("no key");
                }
                let start = self.written() + 1;
                let escaped = self.string()?;
                let key = start..self.written() - 1;
                self.space();
                self.expect(b':', "no colon")?;
                self.value()?;
                self.members.push(Member { key, escaped, end: self.written() });
                self.space();
                if self.skips(b'}') {
                    break;
                }
                self.expect(b',', "no comma or brace")?;
            }
        }
        self.flush();
        let (out, members) = (self.out.as_str(), &mut self.members[first..]);
        let order = |a: &Member, b: &Member| {
            if a.escaped || b.escaped {
                return text::compare(&out[a.key.clone()], &out[b.key.clone()]);
            }
            out.as_bytes()[a.key.clone()].cmp(&out.as_bytes()[b.key.clone()])
        };
        let sorted = members.is_sorted_by(|a, b| order(a, b).is_lt());
        if !sorted {
            members.sort_by(order);
            if members.windows(2).any(|pair| order(&pair[0], &pair[1]).is_eq()) {
                return Err(Flaw { at: opened, why: "an object with a key twice" });
            }
        }
        Ok(sorted)
    }

    /// Whether escapes were written.
    fn string(&mut self) -> Result<bool, Flaw> {
        self.at += 1;
        let mut escaped = false;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let plain = text::plain_run(rest);
            self.at += plain;
            match rest.get(plain) {
                None => return self.flaw("a string without end"),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(..b' ') => return self.flaw("a control character in a string"),
                Some(_) => {
                    escaped = true;
                    self.flush();
                    for c in self.text[self.at..].chars().take_while(|c| *c > '~') {
                        self.pass(c.len_utf8());
                        text::write_char(c, &mut self.out);
                    }
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
        self.flush();
        self.pass(length);
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
        let whole = self.at;
        if self.skips(b'.') {
            self.digits()?;
        }
        if self.skips(b'e') || self.skips(b'E') {
            let _sign = self.skips(b'+') || self.skips(b'-');
            self.digits()?;
        }
        let token = &self.text[from..self.at];
        let is_kept = whole == self.at && number::is_kept(token);
        if is_kept {
            return Ok(());
        }
        let end = std::mem::replace(&mut self.at, from);
        self.flush();
        self.pass(end - from);
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
        self.flush();
        self.space();
        if self.at < self.text.len() { self.flaw("something after the document") } else { Ok(()) }
    }

    fn space(&mut self) {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            self.blank();
        }
    }

    fn blank(&mut self) {
        self.flush();
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.pass(1);
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

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), Flaw> {
        if self.skips(byte) { Ok(()) } else { self.flaw(why) }
    }

    fn flaw<T>(&self, why: &'static str) -> Result<T, Flaw> {
        Err(Flaw { at: self.at, why })
    }
}
