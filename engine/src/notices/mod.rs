//! Who is told of what happens in the whole engine, how far they were told, and what nobody could be told of: one
//! stream of the engine's own, `engine/notices`.
//!
//! Law: pure, like the core of a run: [`Notices::apply`] neither fails nor chooses. How far a subscription has come
//! is a position of the log and nothing else: the log is its outbox. What was given up stays here until somebody
//! has it sent again or drops it; the newest are kept, the stream itself has all.
//!
//! Called by the driver, which tells, and by the owner of a folder, which lists.

mod event;
mod id;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::Serialize;

pub use event::{Decision, GivenUp, NoticeEvent, Place, Told};
pub use id::{NoNoticeId, NoticeId, SUBSCRIPTION};

use crate::envelope::StreamId;
use crate::id::Position;
use crate::kept::{Kept, Noted};
use crate::time::Timestamp;

/// Letters that are kept; the oldest makes room.
pub const LETTERS_MAX: usize = 1_000;
/// Letters that are being sent again at once.
pub const AGAIN_MAX: usize = 200;
/// Notices of runs that were settled by hand and are remembered as that; those of the oldest runs make room.
const SETTLED_MAX: usize = 10_000;
/// What is kept of why somebody could not be told.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024;

/// How far a subscription has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Up to here everything that it is for was told or given up.
    pub position: Position,
    /// How many were told.
    pub told: u64,
    /// How many were given up.
    pub given_up: u64,
    /// When the last one was told.
    pub last_told_at: Option<Timestamp>,
}

/// What nobody could be told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// The notice.
    pub id: NoticeId,
    /// The type of the event that it tells of.
    pub event: String,
    /// Tries in all.
    pub tries: u32,
    /// Why the last one failed.
    pub message: String,
    /// When it was given up.
    pub at: Timestamp,
    /// It is being sent again: since when, and by whose wish.
    pub again: Option<Again>,
}

/// Somebody wanted a letter to be sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Again {
    /// When.
    pub since: Timestamp,
    /// Who.
    pub by: String,
}

/// Why a letter is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoticeRefusal {
    /// It was sent again, or dropped.
    #[error("the notice {0} was sent or dropped meanwhile")]
    Settled(NoticeId),
    /// Too many are being sent again.
    #[error("{AGAIN_MAX} notices are being sent again already; wait for them, or drop some")]
    TooMany,
}

/// Subscriptions and letters: a fold of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices {
    subscriptions: BTreeMap<String, Standing>,
    /// Oldest first.
    letters: VecDeque<Arc<Letter>>,
    settled: BTreeSet<NoticeId>,
}

impl Notices {
    /// How far a subscription has come; `None`: it never began.
    #[must_use]
    pub fn standing(&self, subscription: &str) -> Option<&Standing> {
        self.subscriptions.get(subscription)
    }

    /// What nobody could be told of, oldest first, and what is being sent again.
    pub fn letters(&self) -> impl DoubleEndedIterator<Item = &Arc<Letter>> {
        self.letters.iter()
    }

    /// A letter.
    #[must_use]
    pub fn letter(&self, id: &NoticeId) -> Option<&Arc<Letter>> {
        self.letters.iter().find(|letter| letter.id == *id)
    }

    /// Whether a notice that a run gave up was sent again since, or dropped.
    #[must_use]
    pub fn is_settled(&self, id: &NoticeId) -> bool {
        self.settled.contains(id)
    }

    /// Has a letter sent again; nothing where it is already.
    ///
    /// # Errors
    /// [`NoticeRefusal`].
    pub fn retry(&self, letter: &Letter) -> Result<Option<NoticeEvent>, NoticeRefusal> {
        if self.is_settled(&letter.id) {
            return Err(NoticeRefusal::Settled(letter.id.clone()));
        }
        if self.letter(&letter.id).is_some_and(|known| known.again.is_some()) {
            return Ok(None);
        }
        if self.letters.iter().filter(|letter| letter.again.is_some()).count() >= AGAIN_MAX {
            return Err(NoticeRefusal::TooMany);
        }
        let Letter { event, tries, message, .. } = letter.clone();
        Ok(Some(NoticeEvent::Decided {
            id: letter.id.clone(),
            decision: Decision::Retry { event, tries, message },
        }))
    }

    /// Lets a letter be; nothing where that was said before.
    #[must_use]
    pub fn drop_letter(&self, id: &NoticeId) -> Option<NoticeEvent> {
        let is_known = self.letter(id).is_some() || !id.is_of_subscription();
        (is_known && !self.is_settled(id))
            .then(|| NoticeEvent::Decided { id: id.clone(), decision: Decision::Drop })
    }

    fn reach(&mut self, place: &Place) -> &mut Standing {
        let standing = self.subscriptions.entry(place.subscription.clone()).or_default();
        standing.position = standing.position.max(place.position);
        standing
    }

    fn take(&mut self, id: &NoticeId) {
        self.letters.retain(|letter| letter.id != *id);
    }

    fn put(&mut self, letter: Letter) {
        self.take(&letter.id);
        if self.letters.len() >= LETTERS_MAX {
            // What is being sent again is not let go.
            let oldest = self.letters.iter().position(|letter| letter.again.is_none());
            self.letters.remove(oldest.unwrap_or(0));
        }
        self.letters.push_back(Arc::new(letter));
    }

    /// A notice of a run stays in the run's history as given up; that it was settled is known here alone.
    fn settle(&mut self, id: &NoticeId) {
        self.take(id);
        if id.is_of_subscription() {
            return;
        }
        self.settled.insert(id.clone());
        if self.settled.len() > SETTLED_MAX {
            self.settled.pop_first();
        }
    }
}

impl Kept for Notices {
    type Event = NoticeEvent;

    fn stream() -> StreamId {
        StreamId::engine("notices")
    }

    fn apply(&mut self, event: &NoticeEvent, noted: &Noted<'_>) {
        match event {
            NoticeEvent::Opened(place) | NoticeEvent::Reached(place) => drop(self.reach(place)),
            NoticeEvent::Told(Told { id, place, .. }) => match place {
                Some(place) => {
                    let standing = self.reach(place);
                    standing.told += 1;
                    standing.last_told_at = Some(noted.at);
                }
                None => self.settle(id),
            },
            NoticeEvent::GivenUp(GivenUp { id, place, event, tries, message }) => {
                if let Some(place) = place {
                    self.reach(place).given_up += 1;
                }
                let (event, message) = (event.clone(), message.clone());
                self.put(Letter { id: id.clone(), event, tries: *tries, message, at: noted.at, again: None });
            }
            NoticeEvent::Decided { id, decision: Decision::Retry { event, tries, message } } => {
                let at = self.letter(id).map_or(noted.at, |letter| letter.at);
                let again = Some(Again { since: noted.at, by: noted.by.to_string() });
                let (event, message) = (event.clone(), message.clone());
                self.put(Letter { id: id.clone(), event, tries: *tries, message, at, again });
            }
            NoticeEvent::Decided { id, decision: Decision::Drop } => self.settle(id),
        }
    }

    fn encode(event: &NoticeEvent) -> Result<(u16, u16, Vec<u8>), String> {
        event.encode()
    }

    fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<NoticeEvent, String> {
        NoticeEvent::decode(kind, schema, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::Actor;
    use crate::id::Version;

    fn id(version: u64, notice: &str) -> NoticeId {
        let run = "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap();
        NoticeId { run, version: Version(version), notice: notice.to_owned() }
    }

    fn place(position: u64) -> Place {
        Place { subscription: "ops".to_owned(), position: Position(position) }
    }

    fn given_up(version: u64, notice: &str, at: Option<u64>) -> NoticeEvent {
        NoticeEvent::GivenUp(GivenUp {
            id: id(version, notice),
            place: at.map(place),
            event: "RunFailed".to_owned(),
            tries: 3,
            message: "nobody there".to_owned(),
        })
    }

    fn fold(events: impl IntoIterator<Item = NoticeEvent>) -> Notices {
        let mut notices = Notices::default();
        for (n, event) in (1..).zip(events) {
            let (kind, schema, bytes) = Notices::encode(&event).unwrap();
            assert!((50..=54).contains(&kind));
            assert_eq!(Notices::decode(kind, schema, &bytes).unwrap(), event, "read back as it was written");
            assert!(Notices::decode(kind, schema + 1, &bytes).is_err());
            notices.apply(&event, &Noted { by: &Actor::User("ada".into()), at: Timestamp(n) });
        }
        notices
    }

    #[test]
    fn l32_a_subscription_goes_on_behind_what_it_told_and_gave_up() {
        let told = Told { id: id(4, "subscription:ops"), place: Some(place(17)), tries: 1 };
        let notices = fold([
            NoticeEvent::Opened(place(10)),
            NoticeEvent::Told(told),
            given_up(9, "subscription:ops", Some(30)),
            NoticeEvent::Reached(place(25)),
        ]);
        let standing = notices.standing("ops").unwrap();
        assert_eq!((standing.position, standing.told, standing.given_up), (Position(30), 1, 1));
        assert_eq!(standing.last_told_at, Some(Timestamp(2)));
        assert_eq!(notices.standing("other"), None);
        assert_eq!(notices.letters().count(), 1);
    }

    #[test]
    fn l32_a_letter_is_sent_again_once_and_gone_when_it_was_told_or_dropped() {
        let dead = given_up(9, "subscription:ops", Some(30));
        let notices = fold([dead.clone()]);
        let letter = Arc::clone(notices.letter(&id(9, "subscription:ops")).unwrap());
        let again = notices.retry(&letter).unwrap().unwrap();
        let notices = fold([dead.clone(), again.clone()]);
        assert_eq!(notices.retry(&letter), Ok(None), "the same again is no event");
        assert_eq!(notices.letter(&letter.id).unwrap().again.as_ref().unwrap().by, "user:ada");
        let notices = fold([dead.clone(), again.clone(), given_up(9, "subscription:ops", None)]);
        assert!(notices.letter(&letter.id).unwrap().again.is_none(), "it failed again");
        let told = NoticeEvent::Told(Told { id: letter.id.clone(), place: None, tries: 1 });
        assert_eq!(fold([dead.clone(), again, told]).letters().count(), 0);
        let notices = fold([dead.clone()]);
        let dropped = notices.drop_letter(&letter.id).unwrap();
        let notices = fold([dead, dropped]);
        assert_eq!((notices.letters().count(), notices.drop_letter(&letter.id)), (0, None));
    }

    #[test]
    fn l32_what_a_run_gave_up_is_settled_here_without_a_word_in_the_run() {
        let of_run = Letter {
            id: id(5, "failures"),
            event: "RunFailed".into(),
            tries: 7,
            message: "gone".into(),
            at: Timestamp(1),
            again: None,
        };
        let again = Notices::default().retry(&of_run).unwrap().unwrap();
        let told = NoticeEvent::Told(Told { id: of_run.id.clone(), place: None, tries: 1 });
        let notices = fold([again, told]);
        assert!(notices.is_settled(&of_run.id));
        assert_eq!(notices.retry(&of_run), Err(NoticeRefusal::Settled(of_run.id.clone())));
        assert_eq!(notices.drop_letter(&of_run.id), None);
    }

    #[test]
    fn letters_are_bounded_and_the_oldest_makes_room() {
        let bound = LETTERS_MAX as u64;
        let notices = fold((1..=bound + 5).map(|n| given_up(n, "subscription:ops", Some(n))));
        assert_eq!(notices.letters().count(), LETTERS_MAX);
        assert!(notices.letter(&id(5, "subscription:ops")).is_none());
        assert!(notices.letter(&id(6, "subscription:ops")).is_some());
    }
}
