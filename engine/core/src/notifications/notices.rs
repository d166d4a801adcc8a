//! Subscriptions and undelivered notices: the fold of the stream `engine/notices`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use super::event::{Decision, GivenUp, NoticeDecided, NoticeDelivered, NoticeEvent, Place};
use super::id::NoticeId;
use crate::aggregate::{Aggregate, EventStamp};
use everfold_base::envelope::StreamId;
use everfold_base::id::Position;
use everfold_base::time::Timestamp;

/// Undelivered notices that are kept; the oldest makes room.
pub const UNDELIVERED_MAX: usize = 1_000;
/// Undelivered notices that are being sent again at once.
pub const AGAIN_MAX: usize = 200;
/// Notices of runs that were settled, and that are remembered as settled; the one settled first makes room.
const SETTLED_MAX: usize = 10_000;
/// What is kept of why a notice was not delivered.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024;

/// How far a subscription has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SubscriptionProgress {
    /// Up to here every notice that it is for was delivered or given up.
    pub position: Position,
    /// How many were delivered.
    #[serde(rename = "told")]
    pub delivered: u64,
    /// How many were given up.
    pub given_up: u64,
    /// When the last one was delivered.
    #[serde(rename = "last_told_at")]
    pub last_delivered_at: Option<Timestamp>,
}

/// What could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UndeliveredNotice {
    /// The notice.
    pub id: NoticeId,
    /// The type of the event that it reports.
    pub event: String,
    /// Tries in all.
    pub tries: u32,
    /// Why the last one failed.
    pub message: String,
    /// When it was given up.
    pub at: Timestamp,
    /// It is being sent again: since when, and by the order of which person.
    pub again: Option<Again>,
}

/// A person ordered a notice to be sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Again {
    /// When.
    pub since: Timestamp,
    /// The person.
    pub by: String,
}

/// Why a notice is left as it is.
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

/// Subscriptions and undelivered notices: a fold of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices {
    subscriptions: BTreeMap<String, SubscriptionProgress>,
    /// Oldest first.
    undelivered: VecDeque<Arc<UndeliveredNotice>>,
    settled: BTreeSet<NoticeId>,
    /// The same in the order in which they were settled.
    settled_in_order: VecDeque<NoticeId>,
}

impl Notices {
    /// How far a subscription has come; `None`: it never began.
    #[must_use]
    pub fn standing(&self, subscription: &str) -> Option<&SubscriptionProgress> {
        self.subscriptions.get(subscription)
    }

    /// What could not be delivered, oldest first, and what is being sent again.
    pub fn undelivered(&self) -> impl DoubleEndedIterator<Item = &Arc<UndeliveredNotice>> {
        self.undelivered.iter()
    }

    /// A notice.
    #[must_use]
    pub fn find(&self, id: &NoticeId) -> Option<&Arc<UndeliveredNotice>> {
        self.undelivered.iter().find(|notice| notice.id == *id)
    }

    /// Whether a notice that a run gave up was sent again since, or dropped.
    #[must_use]
    pub fn is_settled(&self, id: &NoticeId) -> bool {
        self.settled.contains(id)
    }

    /// Orders a notice to be sent again; nothing where that is in progress already.
    ///
    /// # Errors
    /// [`NoticeRefusal`].
    pub fn retry(&self, notice: &UndeliveredNotice) -> Result<Option<NoticeEvent>, NoticeRefusal> {
        if self.is_settled(&notice.id) {
            return Err(NoticeRefusal::Settled(notice.id.clone()));
        }
        if self.find(&notice.id).is_some_and(|known| known.again.is_some()) {
            return Ok(None);
        }
        if self.undelivered.iter().filter(|notice| notice.again.is_some()).count() >= AGAIN_MAX {
            return Err(NoticeRefusal::TooMany);
        }
        let UndeliveredNotice { event, tries, message, .. } = notice.clone();
        Ok(Some(NoticeEvent::Decided(NoticeDecided {
            id: notice.id.clone(),
            decision: Decision::Retry { event, tries, message },
        })))
    }

    /// Drops a notice; nothing where it was dropped or sent before.
    #[must_use]
    pub fn drop_notice(&self, id: &NoticeId) -> Option<NoticeEvent> {
        let is_known = self.find(id).is_some() || !id.is_of_subscription();
        (is_known && !self.is_settled(id))
            .then(|| NoticeEvent::Decided(NoticeDecided { id: id.clone(), decision: Decision::Drop }))
    }

    fn reach(&mut self, place: &Place) -> &mut SubscriptionProgress {
        let standing = self.subscriptions.entry(place.subscription.clone()).or_default();
        standing.position = standing.position.max(place.position);
        standing
    }

    fn take(&mut self, id: &NoticeId) {
        self.undelivered.retain(|notice| notice.id != *id);
    }

    fn put(&mut self, notice: UndeliveredNotice) {
        self.take(&notice.id);
        if self.undelivered.len() >= UNDELIVERED_MAX {
            // A notice that is being sent again is kept.
            let oldest = self.undelivered.iter().position(|notice| notice.again.is_none());
            self.undelivered.remove(oldest.unwrap_or(0));
        }
        self.undelivered.push_back(Arc::new(notice));
    }

    /// A notice of a run stays in the run's history as given up; that it was settled is known here alone.
    fn settle(&mut self, id: &NoticeId) {
        self.take(id);
        if id.is_of_subscription() {
            return;
        }
        if !self.settled.insert(id.clone()) {
            return;
        }
        self.settled_in_order.push_back(id.clone());
        if self.settled_in_order.len() > SETTLED_MAX
            && let Some(oldest) = self.settled_in_order.pop_front()
        {
            self.settled.remove(&oldest);
        }
    }
}

impl Aggregate for Notices {
    type Event = NoticeEvent;

    fn stream() -> StreamId {
        StreamId::engine("notices")
    }

    fn apply(&mut self, event: &NoticeEvent, stamp: &EventStamp<'_>) {
        match event {
            NoticeEvent::Opened(place) | NoticeEvent::Reached(place) => drop(self.reach(place)),
            NoticeEvent::Told(NoticeDelivered { id, place, .. }) => match place {
                Some(place) => {
                    let standing = self.reach(place);
                    standing.delivered += 1;
                    standing.last_delivered_at = Some(stamp.at);
                }
                None => self.settle(id),
            },
            NoticeEvent::GivenUp(GivenUp { id, place, event, tries, message }) => {
                if let Some(place) = place {
                    self.reach(place).given_up += 1;
                }
                let (event, message) = (event.clone(), message.clone());
                self.put(UndeliveredNotice {
                    id: id.clone(),
                    event,
                    tries: *tries,
                    message,
                    at: stamp.at,
                    again: None,
                });
            }
            NoticeEvent::Decided(NoticeDecided {
                id,
                decision: Decision::Retry { event, tries, message },
            }) => {
                let at = self.find(id).map_or(stamp.at, |notice| notice.at);
                let again = Some(Again { since: stamp.at, by: stamp.by.to_string() });
                let (event, message) = (event.clone(), message.clone());
                self.put(UndeliveredNotice { id: id.clone(), event, tries: *tries, message, at, again });
            }
            NoticeEvent::Decided(NoticeDecided { id, decision: Decision::Drop }) => self.settle(id),
        }
    }

    fn encode(event: &NoticeEvent) -> Result<(u16, u16, Vec<u8>), String> {
        event.encode().map_err(|error| error.to_string())
    }

    fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<NoticeEvent, String> {
        NoticeEvent::decode(kind, schema, bytes).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::stored_text;
    use everfold_base::actor::Actor;
    use everfold_base::id::Version;

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
            notices.apply(&event, &EventStamp { by: &Actor::User("ada".into()), at: Timestamp(n) });
        }
        notices
    }

    #[test]
    fn l32_a_subscription_goes_on_behind_what_it_sent_and_gave_up() {
        let delivered = NoticeDelivered { id: id(4, "subscription:ops"), place: Some(place(17)), tries: 1 };
        let notices = fold([
            NoticeEvent::Opened(place(10)),
            NoticeEvent::Told(delivered),
            given_up(9, "subscription:ops", Some(30)),
            NoticeEvent::Reached(place(25)),
        ]);
        let standing = notices.standing("ops").unwrap();
        assert_eq!((standing.position, standing.delivered, standing.given_up), (Position(30), 1, 1));
        assert_eq!(standing.last_delivered_at, Some(Timestamp(2)));
        assert_eq!(notices.standing("other"), None);
        assert_eq!(notices.undelivered().count(), 1);
    }

    #[test]
    fn l32_an_undelivered_notice_is_sent_again_once_and_gone_when_it_was_sent_or_dropped() {
        let dead = given_up(9, "subscription:ops", Some(30));
        let notices = fold([dead.clone()]);
        let notice = Arc::clone(notices.find(&id(9, "subscription:ops")).unwrap());
        let again = notices.retry(&notice).unwrap().unwrap();
        let notices = fold([dead.clone(), again.clone()]);
        assert_eq!(notices.retry(&notice), Ok(None), "the same again is no event");
        assert_eq!(notices.find(&notice.id).unwrap().again.as_ref().unwrap().by, "user:ada");
        let notices = fold([dead.clone(), again.clone(), given_up(9, "subscription:ops", None)]);
        assert!(notices.find(&notice.id).unwrap().again.is_none(), "it failed again");
        let delivered = NoticeEvent::Told(NoticeDelivered { id: notice.id.clone(), place: None, tries: 1 });
        assert_eq!(fold([dead.clone(), again, delivered]).undelivered().count(), 0);
        let notices = fold([dead.clone()]);
        let dropped = notices.drop_notice(&notice.id).unwrap();
        let notices = fold([dead, dropped]);
        assert_eq!((notices.undelivered().count(), notices.drop_notice(&notice.id)), (0, None));
    }

    #[test]
    fn l32_what_a_run_gave_up_is_settled_here_without_a_word_in_the_run() {
        let of_run = UndeliveredNotice {
            id: id(5, "failures"),
            event: "RunFailed".into(),
            tries: 7,
            message: "gone".into(),
            at: Timestamp(1),
            again: None,
        };
        let again = Notices::default().retry(&of_run).unwrap().unwrap();
        let delivered = NoticeEvent::Told(NoticeDelivered { id: of_run.id.clone(), place: None, tries: 1 });
        let notices = fold([again, delivered]);
        assert!(notices.is_settled(&of_run.id));
        assert_eq!(notices.retry(&of_run), Err(NoticeRefusal::Settled(of_run.id.clone())));
        assert_eq!(notices.drop_notice(&of_run.id), None);
    }

    #[test]
    fn letters_are_bounded_and_the_oldest_makes_room() {
        let bound = UNDELIVERED_MAX as u64;
        let notices = fold((1..=bound + 5).map(|n| given_up(n, "subscription:ops", Some(n))));
        assert_eq!(notices.undelivered().count(), UNDELIVERED_MAX);
        assert!(notices.find(&id(5, "subscription:ops")).is_none());
        assert!(notices.find(&id(6, "subscription:ops")).is_some());
    }

    #[test]
    fn the_notice_that_was_settled_first_makes_room_for_another_settled_one() {
        let settled = |version: u64| {
            let id = id(version, "failures");
            NoticeEvent::Told(NoticeDelivered { id, place: None, tries: 1 })
        };
        // The versions fall: by its id each one comes before all former ones.
        let bound = SETTLED_MAX as u64;
        let notices = fold((1..=bound + 5).rev().map(settled));
        assert!(notices.is_settled(&id(1, "failures")), "the newest");
        assert!(!notices.is_settled(&id(bound + 5, "failures")), "the oldest");
        assert_eq!(notices.settled.len(), SETTLED_MAX);
    }

    #[test]
    fn the_stored_bytes_stay() {
        let delivered = NoticeDelivered { id: id(4, "subscription:ops"), place: Some(place(17)), tries: 1 };
        let retry = Decision::Retry { event: "RunFailed".into(), tries: 3, message: "gone".into() };
        let retry = NoticeEvent::Decided(NoticeDecided { id: id(4, "failures"), decision: retry });
        let dropped = NoticeEvent::Decided(NoticeDecided { id: id(4, "failures"), decision: Decision::Drop });
        let stored = [
            stored_text::<Notices>(&NoticeEvent::Opened(place(10))),
            stored_text::<Notices>(&NoticeEvent::Reached(place(11))),
            stored_text::<Notices>(&NoticeEvent::Told(delivered)),
            stored_text::<Notices>(&given_up(9, "failures", None)),
            stored_text::<Notices>(&retry),
            stored_text::<Notices>(&dropped),
        ];
        assert_eq!(
            stored,
            [
                "50/1/03000000000000006f70730a00000000000000",
                "51/1/03000000000000006f70730b00000000000000",
                "52/1/10000000000000000198c1f00000700080000000deadbeef04000000000000001000000000000000737562736372697074696f6e3a6f70730103000000000000006f7073110000000000000001000000",
                "53/1/10000000000000000198c1f00000700080000000deadbeef090000000000000008000000000000006661696c7572657300090000000000000052756e4661696c6564030000000c000000000000006e6f626f6479207468657265",
                "54/1/10000000000000000198c1f00000700080000000deadbeef040000000000000008000000000000006661696c7572657300000000090000000000000052756e4661696c6564030000000400000000000000676f6e65",
                "54/1/10000000000000000198c1f00000700080000000deadbeef040000000000000008000000000000006661696c7572657301000000",
            ]
        );
    }
}
