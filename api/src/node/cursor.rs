//! Cursors of lists and ids of streams: `EPOCH-NUMBER`.
//!
//! Law: a cursor of another copy of the store is refused, since the copies may hold different events from some position
//! on; and so is the cursor of another list, or of another order of it, whose numbers mean something else.

use crate::fault::{Code, Fault};

/// What the number of a list's cursor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CursorOf {
    /// Runs, those that began last first.
    RunsNewest = 1,
    /// Runs, those that began first first.
    RunsOldest = 2,
    /// Runs, those that ended last first.
    RunsEndedLast = 3,
    /// Runs, those that ended first first.
    RunsEndedFirst = 4,
    /// Open tasks.
    Inbox = 5,
    /// Verdicts of gates.
    Gates = 6,
    /// Deliveries of webhooks.
    Deliveries = 7,
}

impl CursorOf {
    /// The lists that a cursor's number has room for.
    const ROOM: u64 = 16;

    /// The cursor of an item's number.
    pub(super) fn text(self, epoch: &str, number: u64) -> String {
        cursor_text(epoch, number * Self::ROOM + self as u64)
    }

    /// Reads a cursor of this list back.
    pub(super) fn number(self, epoch: &str, text: &str) -> Result<u64, Fault> {
        let number = cursor(epoch, text)?;
        if number % Self::ROOM != self as u64 {
            let what = format!("“{text}” is a cursor of another list, or of another order of this one");
            return Err(Fault::new(Code::Invalid, what).hint("begin again without it"));
        }
        Ok(number / Self::ROOM)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_counts_in_the_list_and_the_order_that_gave_it() {
        let epoch = "0123456789abcdef";
        let text = CursorOf::RunsNewest.text(epoch, 7_000_000);
        assert_eq!(CursorOf::RunsNewest.number(epoch, &text).unwrap(), 7_000_000);
        for other in [CursorOf::RunsOldest, CursorOf::Inbox, CursorOf::Gates, CursorOf::Deliveries] {
            assert_eq!(other.number(epoch, &text).unwrap_err().code, Code::Invalid);
        }
        let copy = CursorOf::RunsNewest.number("fedcba9876543210", &text).unwrap_err();
        assert_eq!(copy.code, Code::OtherCopy);
    }
}
