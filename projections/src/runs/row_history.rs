//! What a run showed since which position: an entry for every event, with what changed.
//!
//! Law: a chunk of history stands alone; its first entry holds everything.

use everfold_base::id::{Position, StepId, Version};
use everfold_base::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::row_part::{ALL, AWAITS, COUNTS, ENDED, FAILURE, LABELS, PAUSED, SEARCH, SPENT, STATUS, STEPS};
use super::row_state::RowState;
use super::step_counts::StepCounts;
use crate::projection::FoldError;
use crate::row_codec::{self, number, read_number};

/// Bytes behind which a chunk is full.
const CHUNK_BYTES: usize = 3_500;

/// What a chunk gets at once: enough for a run of some steps.
const ROOM_BYTES: usize = 256;

/// A chunk of history.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RowHistory {
    #[serde(with = "row_codec::raw")]
    bytes: Vec<u8>,
    pub(super) first: Position,
    last: (u64, u64, i64),
}

/// An entry, read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HistoryEntry {
    pub(super) position: Position,
    pub(super) version: Version,
    pub(super) at: Timestamp,
}

impl RowHistory {
    /// Adds an entry: what is shown from this event on, of which these parts changed with it.
    pub(super) fn add(
        &mut self,
        entry: &HistoryEntry,
        changed: u16,
        now: &RowState,
    ) -> Result<(), FoldError> {
        let here = (entry.position.0, entry.version.0, entry.at.0);
        let mut mask = changed;
        if self.bytes.is_empty() {
            (self.first, self.last, mask) = (entry.position, (0, 0, 0), ALL);
            self.bytes.reserve(ROOM_BYTES);
        }
        let bytes = &mut self.bytes;
        match (here.0 - self.last.0, here.1 - self.last.1, zigzag(here.2 - self.last.2)) {
            // What nearly every entry begins with, at once.
            (place @ 0..0x80, version @ 0..0x80, at @ 0..0x80) if mask < 0x80 => {
                bytes.extend_from_slice(&[place as u8, version as u8, at as u8, mask as u8]);
            }
            (place, version, at) => {
                number(bytes, place);
                number(bytes, version);
                number(bytes, at);
                number(bytes, u64::from(mask));
            }
        }
        if mask & STATUS != 0 {
            row_codec::write(bytes, &now.status)?;
            // It moved with this event, but for the first entry of a chunk.
            signed(bytes, here.2 - now.moved_at.0);
        }
        if mask & STEPS != 0 {
            number(bytes, now.steps.len() as u64);
            for step in &now.steps {
                number(bytes, step.as_str().len() as u64);
                bytes.extend_from_slice(step.as_str().as_bytes());
            }
        }
        if mask & COUNTS != 0 {
            now.step_counts.write(bytes);
        }
        if mask & FAILURE != 0 {
            row_codec::write(bytes, &now.failure)?;
        }
        if mask & PAUSED != 0 {
            row_codec::write(bytes, &now.paused)?;
        }
        if mask & LABELS != 0 {
            row_codec::write(bytes, &now.labels)?;
        }
        if mask & AWAITS != 0 {
            row_codec::write(bytes, &now.awaits)?;
        }
        if mask & ENDED != 0 {
            row_codec::write(bytes, &now.ended_at)?;
        }
        if mask & SPENT != 0 {
            row_codec::write(bytes, &now.usage)?;
            row_codec::write(bytes, &now.progress)?;
        }
        if mask & SEARCH != 0 {
            row_codec::write(bytes, &now.search)?;
        }
        self.last = here;
        Ok(())
    }

    /// Bytes of its history.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the next entry belongs into another chunk.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }

    /// The last entry at a position or before it, with what was shown from it on.
    pub(super) fn at(&self, position: Position) -> Result<Option<(HistoryEntry, RowState)>, FoldError> {
        let mut bytes = self.bytes.as_slice();
        let (mut shown, mut found) = (RowState::default(), None);
        let (mut place, mut version, mut at) = (0, 0, 0);
        while !bytes.is_empty() {
            place += read_number(&mut bytes)?;
            if place > position.0 {
                break;
            }
            version += read_number(&mut bytes)?;
            at += read_signed(&mut bytes)?;
            let mask = u16::try_from(read_number(&mut bytes)?).map_err(|_| cut())?;
            if mask & STATUS != 0 {
                shown.status = row_codec::read(&mut bytes)?;
                shown.moved_at = Timestamp(at - read_signed(&mut bytes)?);
            }
            if mask & STEPS != 0 {
                let count = read_number(&mut bytes)?;
                shown.steps = (0..count).map(|_| read_step(&mut bytes)).collect::<Result<_, _>>()?;
            }
            if mask & COUNTS != 0 {
                shown.step_counts = StepCounts::read(&mut bytes)?;
            }
            if mask & FAILURE != 0 {
                shown.failure = row_codec::read(&mut bytes)?;
            }
            if mask & PAUSED != 0 {
                shown.paused = row_codec::read(&mut bytes)?;
            }
            if mask & LABELS != 0 {
                shown.labels = row_codec::read(&mut bytes)?;
            }
            if mask & AWAITS != 0 {
                shown.awaits = row_codec::read(&mut bytes)?;
            }
            if mask & ENDED != 0 {
                shown.ended_at = row_codec::read(&mut bytes)?;
            }
            if mask & SPENT != 0 {
                shown.usage = row_codec::read(&mut bytes)?;
                shown.progress = row_codec::read(&mut bytes)?;
            }
            if mask & SEARCH != 0 {
                shown.search = row_codec::read(&mut bytes)?;
            }
            found = Some(HistoryEntry {
                position: Position(place),
                version: Version(version),
                at: Timestamp(at),
            });
        }
        Ok(found.map(|entry| (entry, shown)))
    }
}

fn cut() -> FoldError {
    FoldError::Row("a mark ends too early".to_owned())
}

/// The smaller, whatever its sign, the shorter.
fn signed(bytes: &mut Vec<u8>, span: i64) {
    number(bytes, zigzag(span));
}

fn zigzag(span: i64) -> u64 {
    ((span << 1) ^ (span >> 63)).cast_unsigned()
}

fn read_signed(bytes: &mut &[u8]) -> Result<i64, FoldError> {
    let span = read_number(bytes)?;
    Ok((span >> 1).cast_signed() ^ -(span & 1).cast_signed())
}

fn read_step(bytes: &mut &[u8]) -> Result<StepId, FoldError> {
    let length = usize::try_from(read_number(bytes)?).map_err(|_| cut())?;
    let (name, rest) = bytes.split_at_checked(length).ok_or_else(cut)?;
    *bytes = rest;
    std::str::from_utf8(name).map(StepId::new).map_err(|error| FoldError::Row(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::super::row_state::RowProgress;
    use super::*;

    #[test]
    fn a_mark_gives_back_what_was_shown_from_it_on() {
        let mut history = RowHistory::default();
        let mut shown = RowState::default();
        let mut kept = Vec::new();
        for number in 0..40_u64 {
            let changed = match number % 6 {
                0 => {
                    shown.steps = vec![StepId::new(&format!("step-{number}"))];
                    STEPS
                }
                1 => {
                    shown.usage.cost_micros += number;
                    shown.progress = Some(RowProgress { step: "build".into(), done: number, of: 40 });
                    SPENT
                }
                2 => {
                    shown.paused = (number > 20).then(|| "a break".to_owned());
                    PAUSED
                }
                3 => {
                    shown.step_counts.open = u32::try_from(number % 2).unwrap();
                    shown.step_counts.succeeded += 100;
                    COUNTS | STATUS
                }
                4 => {
                    shown.ended_at = Some(Timestamp(number.cast_signed()));
                    ENDED | FAILURE
                }
                _ => 0,
            };
            let at = Timestamp(1_790_000_000_000 - number.cast_signed() * 7);
            let entry =
                HistoryEntry { position: Position(1_000 + number * 300), version: Version(number + 1), at };
            history.add(&entry, changed, &shown).unwrap();
            kept.push((entry, shown.clone()));
        }
        for (entry, shown) in kept {
            assert_eq!(history.at(entry.position).unwrap(), Some((entry.clone(), shown.clone())));
            assert_eq!(history.at(Position(entry.position.0 + 299)).unwrap(), Some((entry, shown)));
        }
        assert_eq!(history.at(Position(999)).unwrap(), None);
    }
}
