//! Events of notices: what is sent to people and systems outside.

use super::super::declare::event_payloads;
use super::super::former;
use everfold_base::id::Version;
use everfold_base::json::Payload;

event_payloads! {
    /// A notice of an event is to be sent.
    ///
    /// Then: the notifier sends it; `NoticeSent` or `NoticeFailed`.
    NoticeQueued [former::NoticeQueued1, unless replaces_none]
        then [former::NoticeQueued2, unless has_no_fallback] then [former::NoticeQueued3, unless takes_no_place] {
        /// The event's version.
        version: Version,
        /// The notice.
        notice: String,
        /// The function that sends it.
        function: String,
        /// Notices of one channel go one after the other.
        channel: String,
        /// Its parameters, rendered: `{with, as}`.
        with: Payload,
        /// Those of the same notice that stand unsent in its channel are not sent: this one takes their place.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replaces: bool,
        /// Which parameters the notice's fallback gave, and why they could not be computed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fallback: Option<String>,
    }
    /// The notice was sent. Fact of `notice finished`.
    ///
    /// Then: nothing.
    NoticeSent [former::NoticeSent1, unless gives_no_reason] {
        /// The event's version.
        version: Version,
        /// The notice.
        notice: String,
        /// Tries, this one included.
        tries: u32,
        /// Why the function left something alone, in its own words; at most 500 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
    /// The notice was not sent: it failed for good, or a newer notice took its place. Fact of `notice finished`.
    ///
    /// Then: the notice is listed for a person, who may send it again.
    NoticeFailed {
        /// The event's version.
        version: Version,
        /// The notice.
        notice: String,
        /// Tries in all.
        tries: u32,
        /// Why.
        message: String,
    }
}
