//! One sealed value: XChaCha20-Poly1305 with a nonce of its own.
//!
//! Law: where a value belongs, its data folder, its run, its name and the time at which it was brought, is authenticated
//! with it. A file that is moved, renamed or changed in any byte does not open.
//!
//! `EVFC`, the version, the time in milliseconds (8 bytes), the nonce (24 bytes), the sealed value with its tag.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use everfold_system::clock::draw_u128;

/// How a sealed file begins: what it is, and the version of its form.
const BEGIN: &[u8; 5] = b"EVFC\x01";
const TIME_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const HEAD_BYTES: usize = BEGIN.len() + TIME_BYTES + NONCE_BYTES;
/// The bytes that sealing adds: head and tag.
pub(super) const ADDED_BYTES: usize = HEAD_BYTES + 16;

/// A key of 256 bits. Never shown.
#[derive(Clone)]
pub(super) struct SealKey(pub(super) [u8; 32]);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(***)")
    }
}

/// Where a value belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SealPlace<'a> {
    /// The data folder; no copy shares it.
    pub(super) folder: &'a str,
    pub(super) run: RunId,
    pub(super) name: &'a str,
}

/// Why bytes do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsealable {
    #[error("it is no sealed credential, or one of a later version")]
    Form,
    #[error("it was sealed with another key, for another run, name or data folder, or was changed")]
    Seal,
}

impl SealPlace<'_> {
    /// What is authenticated with a value.
    fn bound(&self, at: Timestamp) -> Vec<u8> {
        let Self { folder, run, name } = self;
        format!("everfold credential\n{folder}\n{run}\n{name}\n{}", at.0).into_bytes()
    }

    /// Seals a value that was brought at a time.
    pub(super) fn seal(&self, key: &SealKey, value: &str, at: Timestamp) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        nonce[..16].copy_from_slice(&draw_u128().to_be_bytes());
        nonce[16..].copy_from_slice(&draw_u128().to_be_bytes()[..8]);
        let bound = self.bound(at);
        let payload = Payload { msg: value.as_bytes(), aad: &bound };
        let sealed = XChaCha20Poly1305::new(&key.0.into())
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a value is far shorter than the cipher's limit of 256 GiB");
        let mut bytes = Vec::with_capacity(HEAD_BYTES + sealed.len());
        bytes.extend_from_slice(BEGIN);
        bytes.extend_from_slice(&at.0.to_be_bytes());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        bytes
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`Unsealable`]
    pub(super) fn open(&self, key: &SealKey, bytes: &[u8]) -> Result<String, Unsealable> {
        let at = sealed_at(bytes).ok_or(Unsealable::Form)?;
        let (nonce, sealed) = bytes[BEGIN.len() + TIME_BYTES..].split_at(NONCE_BYTES);
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| Unsealable::Form)?;
        let bound = self.bound(at);
        let opened = XChaCha20Poly1305::new(&key.0.into())
            .decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: &bound })
            .map_err(|_| Unsealable::Seal)?;
        String::from_utf8(opened).map_err(|_| Unsealable::Form)
    }
}

/// When the value was brought, as its file says; `None`: it is no sealed value.
pub(super) fn sealed_at(bytes: &[u8]) -> Option<Timestamp> {
    if bytes.len() < ADDED_BYTES {
        return None;
    }
    let time = bytes.strip_prefix(BEGIN)?.get(..TIME_BYTES)?;
    Some(Timestamp(i64::from_be_bytes(time.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: SealKey = SealKey([7; 32]);
    const AT: Timestamp = Timestamp(1_790_000_000_000);

    fn run(last: u8) -> RunId {
        format!("0198c1f0-0000-7000-8000-0000deadbe{last:02x}").parse().unwrap()
    }

    fn place() -> SealPlace<'static> {
        SealPlace { folder: "00ff", run: run(1), name: "claude" }
    }

    #[test]
    fn a_value_opens_for_its_own_place_alone() {
        let sealed = place().seal(&KEY, "sk-tést", AT);
        assert_eq!(place().open(&KEY, &sealed).as_deref(), Ok("sk-tést"));
        assert_eq!(sealed_at(&sealed), Some(AT));
        let others = [
            SealPlace { run: run(2), ..place() },
            SealPlace { name: "claud", ..place() },
            SealPlace { folder: "00fe", ..place() },
        ];
        for other in others {
            assert_eq!(other.open(&KEY, &sealed), Err(Unsealable::Seal), "{other:?}");
        }
        assert_eq!(place().open(&SealKey([8; 32]), &sealed), Err(Unsealable::Seal), "another machine's key");
    }

    #[test]
    fn the_same_value_is_never_sealed_to_the_same_bytes() {
        let [one, other] = [place().seal(&KEY, "same value", AT), place().seal(&KEY, "same value", AT)];
        assert_ne!(one, other);
        assert_eq!(one.len(), "same value".len() + ADDED_BYTES);
        assert_eq!(format!("{KEY:?}"), "SealKey(***)");
    }

    proptest! {
        #[test]
        fn a_file_that_is_changed_or_cut_does_not_open(value in "\\PC{4,200}", at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let sealed = place().seal(&KEY, &value, AT);
            prop_assert!(!sealed.windows(value.len()).any(|part| part == value.as_bytes()));
            let mut flipped = sealed.clone();
            flipped[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(place().open(&KEY, &flipped).is_err());
            prop_assert!(place().open(&KEY, &sealed[..at.index(sealed.len())]).is_err());
            prop_assert_eq!(place().open(&KEY, &sealed), Ok(value));
        }
    }
}
