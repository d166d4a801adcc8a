//! Triggers and notices.

use serde_json::{Map, Value, json};

use super::construct::{Construct as _, construct};
use super::value::{Data, Flag, Pause, Text, Texts, Word};
use crate::definition::{Anchor, CatchUp, Overlap, OverlapBy};

construct! {
    /// What starts or signals runs by itself.
    Trigger
    set {
        /// Whether it applies, over `event`, `actor` and `config`.
        when "when": Text;
        /// The reason given where it does not apply.
        otherwise "otherwise": Text;
        /// Whether it is asked again later where it does not apply.
        park_when "park_when": Text;
        /// Starts a run.
        start "start": TriggerStart;
        /// Sends a signal of this name.
        signal "signal": Text;
        /// The receivers of the signal; without it the holder of the key that the start would have.
        to "to": Target;
        /// What the signal says; without it the event.
        payload "payload": Data;
        /// A signal that no run takes is kept and offered again.
        park "park": Flag;
    }
    also ["hook", "schedule"]
}

impl Trigger {
    /// Listens to deliveries of a source.
    pub fn hook(source: impl Into<String>) -> Self {
        Self::empty().with_key("hook", source.into())
    }

    /// Listens to moments.
    pub fn schedule(schedule: Schedule) -> Self {
        Self::empty().with_key("schedule", schedule)
    }
}

construct! {
    /// A run that a trigger starts.
    TriggerStart
    set {
        /// Its input; without it the event.
        input "input": Data;
        /// For readers.
        title "title": Text;
        /// A start that is refused for now is tried again.
        park "park": Flag;
    }
}

impl TriggerStart {
    /// A run whose input is the event.
    #[expect(clippy::new_without_default, reason = "all builders begin with a word of their own")]
    pub fn new() -> Self {
        Self::empty()
    }
}

/// The receivers of a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Target(Value);

impl Target {
    /// The holder of a run key.
    #[must_use]
    pub fn key(key: impl Into<String>) -> Self {
        Self(json!({ "key": key.into() }))
    }

    /// A run, by its id.
    #[must_use]
    pub fn run(id: impl Into<String>) -> Self {
        Self(json!({ "run": id.into() }))
    }

    /// All unended runs that have all these labels.
    #[must_use]
    pub fn labels<K: Into<String>, V: Into<String>>(labels: impl IntoIterator<Item = (K, V)>) -> Self {
        let labels: Map<String, Value> =
            labels.into_iter().map(|(name, value)| (name.into(), Value::String(value.into()))).collect();
        Self(json!({ "labels": labels }))
    }
}

impl From<Target> for Value {
    fn from(target: Target) -> Self {
        target.0
    }
}

construct! {
    /// The work of a step that sends a signal.
    SignalWork
    set {
        /// What the signal says; without it null.
        payload "payload": Data;
    }
    also ["name", "to"]
}

impl SignalWork {
    /// A signal of this name to these receivers.
    pub fn new(name: impl Into<Text>, to: Target) -> Self {
        let name: Text = name.into();
        Self::empty().with_key("name", name).with_key("to", to)
    }
}

construct! {
    /// Moments that come again.
    Schedule
    set {
        /// Only on these days, `mon` to `sun`.
        weekdays "weekdays": Texts;
        /// The time zone; without it UTC.
        zone "zone": Text;
        /// Each moment is put off by at most so much.
        jitter "jitter": Pause;
        /// What becomes of moments that passed while nothing ran.
        catch_up "catch_up": Word<CatchUp>;
        /// What becomes of a moment while a run of the last one has not ended.
        overlap "overlap": Word<Overlap>;
        /// Which run that has not ended counts for that.
        overlap_by "overlap_by": Word<OverlapBy>;
    }
    also ["cron", "every", "anchor", "hours"]
}

impl Schedule {
    /// A cron pattern of five fields, or six that begin with seconds.
    pub fn cron(pattern: impl Into<String>) -> Self {
        Self::empty().with_key("cron", pattern.into())
    }

    /// A span between two moments.
    pub fn every(span: impl Into<Pause>) -> Self {
        let span: Pause = span.into();
        Self::empty().with_key("every", span)
    }

    /// What the span is counted from; a moment outside of the days and hours is put forward into them.
    pub fn anchor(self, anchor: Anchor) -> Self {
        self.with_key("anchor", anchor.to_string())
    }

    /// Only from this hour until before that one.
    pub fn hours(self, from: u8, until: u8) -> Self {
        self.with_key("hours", format!("{from}..{until}"))
    }
}

construct! {
    /// Sends notices of what happens to the run.
    Notice
    set {
        /// Types of events; `*` stands for all.
        events "events": Texts;
        /// Whether it applies, over `event` and `actor`.
        when "when": Text;
        /// The parameters of its function.
        with "with": Data;
        /// Stand in for those of its parameters that cannot be computed.
        fallback "fallback": Data;
        /// The template whose keys it has where it says nothing itself.
        like "like": Text;
        /// In whose name.
        sender "as": Text;
        /// Notices of one channel go one after the other.
        channel "channel": Text;
        /// Of several that were not sent yet only the newest goes.
        collapse "collapse": Flag;
        /// One that was given up is moot as soon as there is a newer one in its channel.
        supersedes "supersedes": Flag;
        /// It does not go where it says what the last one sent said.
        changes_only "changes_only": Flag;
    }
    also ["id", "function"]
}

impl Notice {
    /// A notice of this name with the function of a template.
    pub fn from_template(id: impl Into<String>, template: impl Into<String>) -> Self {
        Self::empty().with_key("id", id.into()).with_key("like", template.into())
    }

    /// Keys of a notice, for [`Pipeline::notice_template`](super::Pipeline::notice_template).
    pub fn part(function: impl Into<String>) -> Self {
        Self::empty().with_key("function", function.into())
    }

    /// A notice of this name, sent by this function.
    pub fn new(id: impl Into<String>, function: impl Into<String>) -> Self {
        Self::empty().with_key("id", id.into()).with_key("function", function.into())
    }
}
