//! The parts of a token (RFC 7515, compact) and its header.

use super::{
    signer::{Algorithm, MessageSigner},
    strict::{self, Members, Strict, shown},
};
use crate::{
    check,
    error::{Error, Kind, Result},
};
use serde::Serialize;

pub(super) const TYPE: &str = "kurultai-msg+jwt";

/// What other programs take from a header to decide how it is verified, and with which key.
const REFUSED: [&str; 8] = ["crit", "b64", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"];

pub(super) fn malformed(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Denied, "sig.malformed", format!("the token is malformed: {why}"))
}

/// A token whose parts were decoded and not understood.
pub(super) struct Jws<'a> {
    /// The bytes that were signed, as they came.
    pub(super) signed: &'a [u8],
    pub(super) header: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    pub(super) fn read(text: &'a str, most: usize) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::new(
                Kind::Denied,
                "sig.missing",
                "the message is not signed: its token is empty",
            ));
        }
        if text.len() > most {
            return Err(malformed(format!("{} bytes; at most {most} are allowed", text.len())));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("it has not three parts with a dot between them"));
        };
        let signed = &text.as_bytes()[..header.len() + 1 + payload.len()];
        let part = |name: &str, text: &str| {
            strict::base64url(text).map_err(|why| malformed(format!("the {name} is {why}")))
        };
        Ok(Jws {
            signed,
            header: part("header", header)?,
            payload: part("payload", payload)?,
            signature: part("signature", signature)?,
        })
    }

    /// The key id, from the only header there is: `{"alg":"EdDSA","kid":K,"typ":"kurultai-msg+jwt"}`.
    pub(super) fn key_id(&self) -> Result<String> {
        let header = |why: String| malformed(format!("the header: {why}"));
        let members = Members::read(&self.header).map_err(header)?;
        if let Some(name) = REFUSED.iter().find(|name| members.find(name).is_some()) {
            return Err(malformed(format!("the header has {name}, which is refused")));
        }
        if let Some(name) = members.other_than(&["alg", "kid", "typ"]) {
            let why = format!("the header has {:?}; alg, kid and typ are all that is allowed", shown(name));
            return Err(malformed(why));
        }
        let texts =
            || -> Strict<_> { Ok((members.text("alg")?, members.text("kid")?, members.text("typ")?)) };
        let (algorithm, key_id, of_type) = texts().map_err(header)?;
        check::text("kid", &key_id, 128).map_err(|e| header(e.message().to_owned()))?;
        if of_type != TYPE {
            return Err(malformed(format!("typ is {:?}; allowed: {TYPE}", shown(&of_type))));
        }
        if algorithm != Algorithm::EdDsa.as_str() {
            return Err(wrong_algorithm(format!(
                "the token's alg is {:?}; allowed: EdDSA",
                shown(&algorithm)
            )));
        }
        Ok(key_id.into_owned())
    }
}

pub(super) fn wrong_algorithm(message: impl Into<String>) -> Error {
    Error::new(Kind::Denied, "sig.algorithm", message)
}

/// The header of a token that this key signs.
pub(super) fn header(key_id: &str) -> Result<String> {
    #[derive(Serialize)]
    struct Header<'a> {
        alg: Algorithm,
        kid: &'a str,
        typ: &'a str,
    }
    check::text("key id", key_id, 128)?;
    let header = Header { alg: Algorithm::EdDsa, kid: key_id, typ: TYPE };
    serde_json::to_string(&header).map_err(|e| Error::internal(format!("the header cannot be written: {e}")))
}

/// Signed bytes and signature in one text.
pub(super) fn compact(header: &str, payload: &str, signer: &dyn MessageSigner) -> Result<String> {
    let mut text = strict::to_base64url(header.as_bytes());
    // Four characters for three bytes, the dots, and a signature of 64 bytes.
    text.reserve(payload.len().div_ceil(3) * 4 + 88);
    text.push('.');
    text.push_str(&strict::to_base64url(payload.as_bytes()));
    let signature = signer.sign(text.as_bytes())?;
    let length = signature.as_bytes().len();
    if length != 64 {
        let id = signer.key_id();
        return Err(malformed(format!("the signer of key {id:?} answered {length} bytes; Ed25519 has 64")));
    }
    text.push('.');
    text.push_str(&strict::to_base64url(signature.as_bytes()));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{Ed25519Key, PublicKey};

    /// RFC 8037, appendices A.1, A.2, A.4 and A.5.
    #[test]
    fn signs_and_verifies_as_rfc_8037_does() {
        let key = Ed25519Key::from_text("rfc", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        assert_eq!(key.public_key().to_string(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let token = compact(r#"{"alg":"EdDSA"}"#, "Example of Ed25519 signing", &key).unwrap();
        let expected = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIb\
            QR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(token, expected);
        let jws = Jws::read(&token, 1_000).unwrap();
        assert_eq!(jws.header, br#"{"alg":"EdDSA"}"#);
        assert_eq!(jws.payload, b"Example of Ed25519 signing");
        let public = PublicKey::from_text("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        public.verify(jws.signed, &jws.signature).unwrap();
        // It is no token of ours, whose header names key and type.
        assert_eq!(jws.key_id().unwrap_err().code(), "sig.malformed");
    }

    #[test]
    fn a_token_has_three_parts_of_strict_base64url() {
        let code = |text: &str| Jws::read(text, 20).err().map(|e| e.code());
        assert_eq!(code(""), Some("sig.missing"));
        for text in [
            ".",
            "YQ",
            "YQ.YQ",
            "YQ.YQ.YQ.YQ",
            "YQ.YQ.YQ.",
            "YQ==.YQ.YQ",
            "YQ.YR.YQ",
            "YQ.YQ.YQ\n",
            " YQ.YQ.YQ",
        ] {
            assert_eq!(code(text), Some("sig.malformed"), "{text:?}");
        }
        assert_eq!(code("YQ.YQ.YQ"), None);
        assert_eq!(code(&format!("YQ.YQ.{}", "YWFh".repeat(4))), Some("sig.malformed"));
    }
}
