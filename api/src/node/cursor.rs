//! Cursors of lists and ids of streams: `EPOCH-NUMBER`; of lists in the order of a field
//! `EPOCH-NUMBER-POSITION-MILLISECONDS`, since later parts of these are of the position and the moment of the first.
//!
//! Law: a cursor of another copy of the store is refused, since the copies may hold different events from some position
//! on; and so is the cursor of another list, of another order of it or with other filters, whose numbers mean something
//! else. Times are no part of that: a caller may count them from the moment of each request.

use everfold_engine::id::Position;
use everfold_engine::json::Hash;
use everfold_engine::time::Timestamp;

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
    /// Events of one run.
    RunEvents = 8,
    /// Files that the steps of one run gave.
    Artefacts = 9,
    /// Decisions of all runs.
    Decisions = 10,
    /// Tasks that go along stages.
    StagedTasks = 11,
    /// Reviews of such tasks.
    TaskReviews = 12,
    /// Runs in the order of a field; [`SortedPlace`] holds what else its cursors say.
    RunsSorted = 13,
    /// Attempts of all runs: the run's place, and how many of its attempts stand before.
    Attempts = 14,
}

/// A list whose parts are asked for one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PagedList {
    of: CursorOf,
    /// What tells its filters from others.
    mark: u16,
}

/// Where a part of a list in the order of a field begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SortedPlace {
    /// Items before it.
    pub(crate) skipped: u64,
    /// The position that the list is of.
    pub(crate) position: Position,
    /// The moment of its first part.
    pub(crate) now: Timestamp,
}

impl CursorOf {
    /// The lists that a cursor's number has room for.
    const ROOM: u64 = 16;

    /// The list with these filters; each has a place of its own.
    pub(crate) fn with(self, filters: &[Option<&str>]) -> PagedList {
        let part =
            |filter: &Option<&str>| filter.map_or("-".to_owned(), |text| format!("{}:{text}", text.len()));
        let filters: String = filters.iter().map(part).collect();
        let [first, second, ..] = Hash::of(filters.as_bytes()).0;
        PagedList { of: self, mark: u16::from_be_bytes([first, second]) }
    }
}

impl PagedList {
    /// The marks that a cursor's number has room for.
    const MARKS: u64 = 1 << 16;

    /// The cursor of an item's number.
    pub(super) fn text(self, epoch: &str, number: u64) -> String {
        let marked = number.saturating_mul(Self::MARKS).saturating_add(self.mark.into());
        cursor_text(epoch, marked.saturating_mul(CursorOf::ROOM).saturating_add(self.of as u64))
    }

    /// The cursor of a part of a list in the order of a field.
    pub(super) fn sorted_text(self, epoch: &str, place: &SortedPlace) -> String {
        let SortedPlace { skipped, position, now } = place;
        format!("{}-{position}-{}", self.text(epoch, *skipped), now.0)
    }

    /// Reads a cursor of this list in the order of a field back.
    pub(super) fn sorted_place(self, epoch: &str, text: &str) -> Result<SortedPlace, Fault> {
        let (start, rest) = sorted_parts(text).map_or((text, None), |(start, rest)| (start, Some(rest)));
        let skipped = self.number(epoch, start)?;
        let digits = |text: &str| {
            let is_number = text.len() <= NUMBER_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u64>().ok().filter(|_| is_number)
        };
        let rest = rest.and_then(|rest| rest.split_once('-'));
        let rest = rest.and_then(|(position, now)| Some((digits(position)?, digits(now)?)));
        let Some((position, now)) = rest else {
            let what = format!("“{text}” is no cursor of a list in the order of a field");
            return Err(Fault::new(Code::Invalid, what).hint("begin again without it"));
        };
        Ok(SortedPlace { skipped, position: Position(position), now: Timestamp(now.cast_signed()) })
    }

    /// Reads a cursor of this list back.
    pub(super) fn number(self, epoch: &str, text: &str) -> Result<u64, Fault> {
        let other = |what: &str| {
            let what = format!("“{text}” is a cursor of {what}");
            Err(Fault::new(Code::Invalid, what).hint("begin again without it"))
        };
        let sorted = sorted_parts(text).map(|(start, _)| start);
        let number = cursor(epoch, sorted.unwrap_or(text))?;
        if sorted.is_some() || number % CursorOf::ROOM != self.of as u64 {
            return other("another list, or of another order of this one");
        }
        let marked = number / CursorOf::ROOM;
        if marked % Self::MARKS != u64::from(self.mark) {
            return other(match self.of {
                CursorOf::RunEvents => "the events of another run",
                CursorOf::Artefacts => "the artefacts of another run",
                CursorOf::RunsSorted => "this list with other filters, or of another moment (`at`)",
                _filtered => "this list with other filters",
            });
        }
        Ok(marked / Self::MARKS)
    }
}

/// A cursor of a list in the order of a field: what every cursor has, and the rest.
fn sorted_parts(text: &str) -> Option<(&str, &str)> {
    let second = text.match_indices('-').nth(1)?.0;
    Some((&text[..second], &text[second + 1..]))
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
        let newest = CursorOf::RunsNewest.with(&[None]);
        let text = newest.text(epoch, 7_000_000);
        assert_eq!(newest.number(epoch, &text).unwrap(), 7_000_000);
        for other in [CursorOf::RunsOldest, CursorOf::Inbox, CursorOf::Gates, CursorOf::Deliveries] {
            assert_eq!(other.with(&[None]).number(epoch, &text).unwrap_err().code, Code::Invalid);
        }
        let copy = newest.number("fedcba9876543210", &text).unwrap_err();
        assert_eq!(copy.code, Code::OtherCopy);
    }

    #[test]
    fn a_cursor_in_the_order_of_a_field_holds_the_position_and_the_moment_of_its_list() {
        let epoch = "0123456789abcdef";
        let by_cost = CursorOf::RunsSorted.with(&[None, Some("-cost")]);
        let place = SortedPlace {
            skipped: 100,
            position: Position(40_000_000_000),
            now: Timestamp(1_790_000_000_000),
        };
        let text = by_cost.sorted_text(epoch, &place);
        assert_eq!(by_cost.sorted_place(epoch, &text).unwrap(), place);
        let other = CursorOf::RunsSorted.with(&[None, Some("cost")]);
        assert_eq!(other.sorted_place(epoch, &text).unwrap_err().code, Code::Invalid);
        let newest = CursorOf::RunsNewest.with(&[None]);
        assert_eq!(newest.number(epoch, &text).unwrap_err().code, Code::Invalid);
        assert_eq!(by_cost.sorted_place(epoch, &newest.text(epoch, 7)).unwrap_err().code, Code::Invalid);
        let copy = by_cost.sorted_place("fedcba9876543210", &text).unwrap_err();
        assert_eq!(copy.code, Code::OtherCopy);
        let start = by_cost.text(epoch, 100);
        for broken in ["", "-", "-7", "-7-", "-x-7", "-7--7", "-7-7-7", "-99999999999999999999-7"] {
            let fault = by_cost.sorted_place(epoch, &format!("{start}{broken}")).unwrap_err();
            assert_eq!(fault.code, Code::Invalid, "{broken}");
        }
    }

    #[test]
    fn a_cursor_counts_with_the_filters_that_gave_it() {
        let epoch = "0123456789abcdef";
        let of = |filters: &[Option<&str>]| CursorOf::RunsNewest.with(filters);
        let text = of(&[Some("a"), None]).text(epoch, 40_000_000_000);
        assert_eq!(of(&[Some("a"), None]).number(epoch, &text).unwrap(), 40_000_000_000);
        for filters in [[Some("b"), None], [None, Some("a")], [None, None], [Some("a"), Some("")]] {
            let fault = of(&filters).number(epoch, &text).unwrap_err();
            assert_eq!(fault.code, Code::Invalid);
            assert!(fault.message.ends_with("of this list with other filters"), "{}", fault.message);
        }
    }
}
