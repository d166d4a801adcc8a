//! One hash over the hashes of all events: who kept it elsewhere sees that nothing was altered, left out or put in since.
//!
//! Law: the digest at a position is BLAKE3 of the digest before it and the hash of its event, 32 bytes each; before the first
//! event it is 32 zero bytes. The hashes of events have no key: who may write the folder can compute all of them anew, but not
//! what was kept outside of it.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use everfold_engine::envelope::Envelope;
use everfold_engine::id::Position;
use everfold_engine::json::Hash;

/// The digest of the log up to a position: `POSITION:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogDigest {
    position: Position,
    hash: Hash,
}

impl LogDigest {
    const EMPTY: Self = Self { position: Position::ZERO, hash: Hash::ZERO };

    fn with(self, event: &Envelope) -> Self {
        let mut both = [0; 64];
        both[..32].copy_from_slice(&self.hash.0);
        both[32..].copy_from_slice(&event.hash.0);
        Self { position: event.position, hash: Hash::of(&both) }
    }
}

impl fmt::Display for LogDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.hash)
    }
}

/// A text that is no digest of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no digest: it is POSITION:HASH, as a verification answers it")]
pub struct BadLogDigest(String);

impl FromStr for LogDigest {
    type Err = BadLogDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadLogDigest(text.chars().take(100).collect());
        let (position, hash) = text.trim().split_once(':').ok_or_else(bad)?;
        let position = position.parse().map(Position).map_err(|_| bad())?;
        if position == Position::ZERO {
            return Err(bad());
        }
        Ok(Self { position, hash: hash.parse().map_err(|_| bad())? })
    }
}

/// The digest of a log that is gone through, compared with one that was kept.
#[derive(Clone)]
pub(super) struct DigestedLog(Arc<Mutex<DigestProgress>>);

/// How far the digest is.
struct DigestProgress {
    digest: LogDigest,
    /// What was kept, until its position is reached.
    kept: Option<LogDigest>,
    /// Whether the log has what was kept; `None`: it is not known yet, or nothing was kept.
    has_kept: Option<bool>,
}

impl DigestedLog {
    pub(super) fn against(kept: Option<LogDigest>) -> Self {
        Self(Arc::new(Mutex::new(DigestProgress { digest: LogDigest::EMPTY, kept, has_kept: None })))
    }

    /// The next event, in the order of their positions.
    ///
    /// # Errors
    /// The log up to here is not the one whose digest was kept.
    pub(super) fn event(&self, event: &Envelope) -> Result<(), String> {
        let mut state = self.state();
        state.digest = state.digest.with(event);
        let Some(kept) = state.kept.filter(|kept| event.position >= kept.position) else { return Ok(()) };
        state.kept = None;
        state.has_kept = Some(kept == state.digest);
        if kept == state.digest {
            return Ok(());
        }
        Err(format!(
            "the log up to here is not the one whose digest was kept: its digest is {}, not {}",
            state.digest, kept
        ))
    }

    /// The digest of all events.
    pub(super) fn digest(&self) -> LogDigest {
        self.state().digest
    }

    /// Whether the whole log has what was kept; `None`: nothing was.
    pub(super) fn has_kept(&self) -> Option<bool> {
        let state = self.state();
        if state.kept.is_some() { Some(false) } else { state.has_kept }
    }

    /// What is wrong where the log ends before the position of the digest that was kept.
    pub(super) fn missing(&self) -> Option<String> {
        let state = self.state();
        let kept = state.kept?;
        Some(format!(
            "the log ends at position {}, and the digest that was kept is of position {}: events are missing at its end",
            state.digest.position, kept.position
        ))
    }

    fn state(&self) -> MutexGuard<'_, DigestProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_as_written_and_other_texts_are_none() {
        let digest = LogDigest { position: Position(7), hash: Hash::of(b"log") };
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in ["", "7", "7:", ":ab", "0:00", "x:00", "7:zz", &format!("0:{}", Hash::ZERO)] {
            assert_eq!(bad.parse::<LogDigest>(), Err(BadLogDigest(bad.to_owned())), "{bad}");
        }
    }
}
