//! Secrets of tokens, sessions and login links.
//!
//! Law: 256 bits from the operating system's generator, so nothing can be guessed and a fast keyed
//! hash is enough to keep them by (a slow one such as Argon2 is for what people think up). The
//! prefix is for programs that look for leaked secrets.

use std::fmt;

use everfold_engine::clock::draw_u128;
use everfold_engine::json::Hash;

/// How every token begins.
const PREFIX: &str = "evf_";
/// Separates these hashes from all others (BLAKE3's key derivation mode).
const CONTEXT: &str = "everfold 2026-11-20 access tokens, sessions and login links";

/// A secret text that authenticates its holder; shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

impl Credential {
    /// A new one.
    #[must_use]
    pub fn draw() -> Self {
        Self(format!("{PREFIX}{:032x}{:032x}", draw_u128(), draw_u128()))
    }

    /// The secret in a caller's text; `None` where the text has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let is_hex = digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| Self(text.to_owned()))
    }

    /// The hash by which it is recognised.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash(blake3::derive_key(CONTEXT, self.0.as_bytes()))
    }

    /// A text that only a holder of this secret can know, for one purpose: proves that a form was
    /// made for this session.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> String {
        Hash(blake3::derive_key(CONTEXT, format!("{purpose}\n{}", self.0).as_bytes())).to_string()
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_back_by_its_text_and_never_shown_by_accident() {
        let secret = Credential::draw();
        let read = Credential::parse(secret.reveal()).unwrap();
        assert_eq!(read.hash(), secret.hash());
        assert_ne!(Credential::draw().hash(), secret.hash());
        assert_ne!(secret.derived("csrf"), secret.hash().to_string());
        assert!(!format!("{secret:?}").contains(&secret.reveal()[4..]));
        for text in ["", "evf_", "evf_12", &secret.reveal().to_uppercase(), &format!("{}0", secret.reveal())]
        {
            assert_eq!(Credential::parse(text), None, "{text}");
        }
    }
}
