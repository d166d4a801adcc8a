//! Cursors of lists and ids of streams: `EPOCH-NUMBER`.
//!
//! Law: a cursor of another copy of the store is refused, since the copies may hold different events from some position
//! on.

use crate::fault::{Code, Fault};

/// A number of a cursor or an event id with the store's epoch: `EPOCH-NUMBER`.
pub(crate) fn cursor_text(epoch: &str, number: u64) -> String {
    format!("{epoch}-{number}")
}

/// Reads a cursor back; one of another store is refused.
pub(crate) fn cursor(epoch: &str, text: &str) -> Result<u64, Fault> {
    let bad = |why: &str| Fault::new(Code::Invalid, format!("“{text}” is no cursor of this store: {why}"));
    let (of, number) = text.rsplit_once('-').ok_or_else(|| bad("it is written EPOCH-NUMBER"))?;
    let is_epoch =
        of.len() == EPOCH_DIGITS && of.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_number = number.len() <= NUMBER_DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<u64>().ok().filter(|_| is_number && is_epoch);
    let number = number.ok_or_else(|| bad("it does not end in a number that it could have"))?;
    if of != epoch {
        let what = format!("“{text}” is of another copy of the store");
        return Err(Fault::new(Code::OtherCopy, what).hint("begin again without it"));
    }
    Ok(number)
}

/// Hexadecimal digits of an epoch.
const EPOCH_DIGITS: usize = 16;
/// The largest number of a cursor: no log grows so long, and its successor does not overflow.
const NUMBER_DIGITS: usize = 18;
