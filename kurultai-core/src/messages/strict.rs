//! JSON and base64url that two programs cannot read in two ways. Each refusal is a reason; the caller has the code.

use crate::json::Json;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, result::Result as StdResult};

/// The reason of a refusal.
pub(super) type Strict<T> = StdResult<T, String>;

/// More than any header or payload has; a duplicate is looked for among all.
const MOST_MEMBERS: usize = 16;

/// Without padding and white space, and with no bit set behind the last byte.
pub(super) fn base64url(text: &str) -> Strict<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).map_err(|e| format!("no strict base64url: {e}"))
}

pub(super) fn to_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Two hexadecimal digits a byte, in lower case.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

/// The first characters of what somebody else wrote.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// An object of different members, whose values are not looked into.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Strict<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| "no UTF-8".to_owned())?;
        // What serde says of a wrong value would show it, and it may be a secret.
        serde_json::from_str(text).map_err(|e| match e.classify() {
            serde_json::error::Category::Data if !text.trim_ascii_start().starts_with('{') => {
                "no JSON object".to_owned()
            }
            serde_json::error::Category::Data => e.to_string(),
            _ => format!("no JSON at line {} column {}", e.line(), e.column()),
        })
    }

    /// The first member that is none of these.
    pub(super) fn other_than(&self, names: &[&str]) -> Option<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !names.contains(name))
    }

    pub(super) fn find(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    pub(super) fn get(&self, name: &str) -> Strict<&'a RawValue> {
        self.find(name).ok_or_else(|| format!("{name} is missing"))
    }

    pub(super) fn text(&self, name: &str) -> Strict<Cow<'a, str>> {
        let text = self.get(name)?.get();
        if text.starts_with('"') { unquoted(text) } else { Err(format!("{name} is no text")) }
    }

    /// Whole seconds since 1970, in digits alone.
    pub(super) fn seconds(&self, name: &str) -> Strict<i64> {
        let text = self.get(name)?.get();
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = text.parse().ok().filter(|_| digits);
        seconds.ok_or_else(|| format!("{name} is no whole number of seconds since 1970"))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> StdResult<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> StdResult<Self::Value, A::Error> {
                let mut members: Vec<(String, &RawValue)> = Vec::with_capacity(MOST_MEMBERS);
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if members.iter().any(|(other, _)| *other == name) {
                        return Err(A::Error::custom(format!(
                            "the member {:?} is there twice",
                            shown(&name)
                        )));
                    }
                    if members.len() == MOST_MEMBERS {
                        return Err(A::Error::custom(format!("more than {MOST_MEMBERS} members")));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Each)
    }
}

/// A document that every language reads alike: no key twice in an object, no half of a surrogate pair, and what
/// [`Json`] allows of depth, size and digits. Its text is kept as it was written.
pub(super) fn document(raw: &RawValue) -> Strict<Json> {
    let json = Json::stored(raw.get());
    json.check().map_err(|e| e.about("body").message().to_owned())?;
    unambiguous(raw.get())?;
    Ok(json)
}

/// Of text that is JSON.
fn unambiguous(text: &str) -> Strict<()> {
    // Each object has a number; an array is `None`.
    let (mut open, mut objects) = (Vec::new(), 0usize);
    let mut keys: Vec<(usize, Cow<'_, str>)> = Vec::with_capacity(32);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' => {
                objects += 1;
                open.push(Some(objects));
            }
            b'[' => open.push(None),
            b'}' | b']' => drop(open.pop()),
            b'"' => {
                let end = end_of_string(bytes, at);
                let string = unquoted(&text[at..end])?;
                let next = bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace());
                if let (Some(b':'), Some(Some(object))) = (next, open.last()) {
                    keys.push((*object, string));
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    // No hash, which costs more than the rest of the walk.
    keys.sort_unstable();
    match keys.windows(2).find(|two| two[0] == two[1]) {
        Some(two) => Err(format!("the key {:?} is twice in an object", shown(&two[0].1))),
        None => Ok(()),
    }
}

/// Behind the closing quote of the string that begins at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'\\' => end += 2,
            b'"' => return end + 1,
            _ => end += 1,
        }
    }
    bytes.len()
}

fn unquoted(string: &str) -> Strict<Cow<'_, str>> {
    let inside = string.get(1..string.len().saturating_sub(1)).unwrap_or_default();
    if inside.contains('\\') {
        let read = serde_json::from_str(string).map(Cow::Owned);
        return read.map_err(|_| "a text with half of a surrogate pair".to_owned());
    }
    Ok(Cow::Borrowed(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn base64url_as_rfc_7515_and_4648_have_it() {
        // RFC 7515, appendix C and the header of appendix A.1.
        assert_eq!(to_base64url(&[3, 236, 255, 224, 193]), "A-z_4ME");
        assert_eq!(base64url("A-z_4ME").unwrap(), [3, 236, 255, 224, 193]);
        let header = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
        assert_eq!(base64url(header).unwrap(), b"{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}");
        // RFC 4648, section 10, without its padding.
        for (plain, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(to_base64url(plain.as_bytes()), text);
            assert_eq!(base64url(text).unwrap(), plain.as_bytes());
        }
    }

    #[test]
    fn base64url_has_one_spelling() {
        // Padding, white space, the other alphabet, bits behind the last byte, an impossible length, what is no ASCII.
        for text in
            ["Zg==", "Zm8=", "Zg\n", " Zg", "Z g", "A+z/4ME", "Zh", "Zm9", "Z", "Zm9vY", "Zgé", "Zm8."]
        {
            assert!(base64url(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_object_has_each_member_once() {
        let members = Members::read(br#" {"a" : "x\u00e9", "b": 12, "c": {"d": [1, 2]}} "#).unwrap();
        assert_eq!(members.text("a").unwrap(), "xé");
        assert_eq!(members.seconds("b").unwrap(), 12);
        assert_eq!(members.get("c").unwrap().get(), r#"{"d": [1, 2]}"#);
        assert_eq!(members.other_than(&["a", "c"]), Some("b"));
        assert!(members.text("b").is_err() && members.text("z").is_err() && members.seconds("a").is_err());
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"["a"]"#,
            r#""a""#,
            "null",
            "",
            "{",
            r#"{"a":1}x"#,
            r#"{"a":1,}"#,
            r#"{'a':1}"#,
            r#"{"a":01}"#,
            r#"{"a":NaN}"#,
            r#"{"a":+1}"#,
            "{\"a\":\"\u{1}\"}",
            "\u{feff}{}",
        ] {
            assert!(Members::read(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Members::read(b"{\"a\":\"\xff\"}").is_err());
        let many: Vec<String> = (0..17).map(|i| format!("\"{i}\":0")).collect();
        assert!(Members::read(format!("{{{}}}", many.join(",")).as_bytes()).is_err());
    }

    #[test]
    fn seconds_are_digits() {
        for text in ["-1", "1.0", "1e3", "\"1\"", "null", "99999999999999999999", "true"] {
            let object = format!("{{\"iat\":{text}}}");
            assert!(Members::read(object.as_bytes()).unwrap().seconds("iat").is_err(), "{text}");
        }
    }

    #[test]
    fn a_document_reads_in_one_way() {
        for text in [
            r#"{"a":{"a":1},"b":[{"a":1},{"a":2}],"c":"a"}"#,
            r#"{"a":"\"a\":1,\"a\":","b":"}\\"}"#,
            r#"["\ud83d\ude00","a","a"]"#,
            r#"{"n":[1e400,-0,1E+2,9007199254740993,0.10]}"#,
            "{\"a\"\n:1,\"b\"\t:\"a\"}",
        ] {
            assert_eq!(document(raw(text)).unwrap().as_str(), text);
        }
        for text in [
            r#"{"a":1,"b":2,"a":1}"#,
            r#"[[{"x":{"a":1,"\u0061":2}}]]"#,
            r#"{"a":[{"a":1}],"a" :2}"#,
            r#"{"":1,"":2}"#,
            r#"["\ud800"]"#,
            r#"{"\udc00":1}"#,
        ] {
            assert!(document(raw(text)).is_err(), "{text}");
        }
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(document(raw(&deep(64))).is_ok());
        assert!(document(raw(&deep(65))).is_err());
        assert!(document(raw(&deep(100_000))).is_err());
        assert!(document(raw(&"9".repeat(4300))).is_ok());
        assert!(document(raw(&"9".repeat(4301))).is_err());
    }
}
