//! The credentials that a request brings: headers `Everfold-Credential-NAME`.
//!
//! Law: what is wrong with a value is said without it.

use axum::http::HeaderMap;
use everfold_engine::definition::{CREDENTIALS_MAX, is_credential_name};
use everfold_engine::execution::BroughtCredentials;

use crate::credential_header::CREDENTIAL_HEADER;
use crate::fault::{Code, Fault};

/// A shorter value could not be masked.
const VALUE_BYTES_MIN: usize = 4;
/// The longest value of one header.
const VALUE_BYTES_MAX: usize = 8 * 1024;

/// What the headers of a request bring.
///
/// # Errors
/// [`Code::Invalid`]: a name or a value is none, one stands there twice, or there are too many.
pub(super) fn credentials(headers: &HeaderMap) -> Result<BroughtCredentials, Fault> {
    let mut brought = BroughtCredentials::default();
    let prefix = CREDENTIAL_HEADER.to_ascii_lowercase();
    for (header, value) in headers {
        let Some(name) = header.as_str().strip_prefix(&prefix) else { continue };
        let wrong =
            |what: &str| Fault::new(Code::Invalid, format!("the header {CREDENTIAL_HEADER}{name} {what}"));
        if !is_credential_name(name) {
            return Err(wrong("names no credential")
                .hint("a name has 1 to 64 letters, digits and `-`, a letter or digit first"));
        }
        let value = std::str::from_utf8(value.as_bytes()).map_err(|_| wrong("is no UTF-8 text"))?;
        match value.len() {
            0..VALUE_BYTES_MIN => {
                return Err(wrong("has less than 4 bytes, so it could not be masked")
                    .hint("what is so short is no secret: give it as input"));
            }
            VALUE_BYTES_MIN..=VALUE_BYTES_MAX => {}
            _longer => return Err(wrong("has more than 8 KiB").hint("bring what it is exchanged for")),
        }
        if !brought.add(name, value) {
            return Err(wrong("stands there twice").hint("bring each credential once"));
        }
        if brought.len() > CREDENTIALS_MAX {
            let what = format!("a request brings at most {CREDENTIALS_MAX} credentials");
            return Err(Fault::new(Code::Invalid, what).hint("put several values into one, as JSON"));
        }
    }
    Ok(brought)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(given: &[(&str, &[u8])]) -> HeaderMap {
        let one = |(name, value): &(&str, &[u8])| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        given.iter().map(one).for_each(|(name, value)| _ = headers.append(name, value));
        headers
    }

    #[test]
    fn names_compare_without_case_and_other_headers_are_none() {
        let given = headers(&[
            ("EVERFOLD-Credential-Claude", b"sk-1234"),
            ("everfold-credential-git-hub", "päss".as_bytes()),
            ("everfold-other", b"x"),
        ]);
        let brought = credentials(&given).unwrap();
        let mut all: Vec<_> = brought.reveal().collect();
        all.sort_unstable();
        assert_eq!(all, [("claude", "sk-1234"), ("git-hub", "päss")]);
        assert!(!format!("{brought:?}").contains("1234"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        type Given<'a> = (&'a str, &'a [u8]);
        let long = vec![b'x'; VALUE_BYTES_MAX + 1];
        let many: Vec<(String, &[u8])> =
            (0..=CREDENTIALS_MAX).map(|at| (format!("everfold-credential-n{at}"), &b"value"[..])).collect();
        let many: Vec<Given<'_>> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let cases: [(&[Given<'_>], &str); 6] = [
            (&[("everfold-credential-", b"secret value")], "names no credential"),
            (&[("everfold-credential-a_b", b"secret value")], "names no credential"),
            (&[("everfold-credential-a", b"abc")], "less than 4 bytes"),
            (&[("everfold-credential-a", &long)], "more than 8 KiB"),
            (
                &[("everfold-credential-a", b"secret value"), ("Everfold-Credential-A", b"secret value")],
                "twice",
            ),
            (&many, "at most 16"),
        ];
        for (given, part) in cases {
            let fault = credentials(&headers(given)).unwrap_err();
            assert_eq!((fault.code, fault.message.contains(part)), (Code::Invalid, true), "{fault}");
            assert!(!format!("{fault:?}").contains("secret value"));
        }
        let raw = credentials(&headers(&[("everfold-credential-a", b"\xff\xfe\xfd\xfc")])).unwrap_err();
        assert!(raw.message.contains("no UTF-8"), "{raw}");
    }
}
