//! Subscriptions to what happens in the whole engine, how far they have come, and what could not be delivered: one
//! stream of the engine's own, `engine/notices`.
//!
//! Law: pure, like the core of a run: applying an event neither fails nor chooses. How far a subscription has come
//! is a position of the log and nothing else: the log is its outbox. What was given up stays here until a person
//! has it sent again or drops it; the newest are kept, the stream itself has all.
//!
//! Called by the runtime, which delivers notices, and by the node, which lists them.

mod event;
mod id;
mod notices;

pub use event::{Decision, GivenUp, NoticeDecided, NoticeDelivered, NoticeEvent, Place};
pub use id::{NoNoticeId, NoticeId, SUBSCRIPTION};
pub use notices::{
    AGAIN_MAX, Again, MESSAGE_BYTES_MAX, NoticeRefusal, Notices, SubscriptionProgress, UNDELIVERED_MAX,
    UndeliveredNotice,
};
