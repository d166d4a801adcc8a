//! Waiting for a time or a signal.

use super::construct::{Construct as _, construct};
use super::remind::Remind;
use super::route::Routes;
use super::value::{Pause, Text};

construct! {
    /// Time passes, or a signal is awaited.
    Wait
    set {
        /// The time zone of a local time.
        zone "zone": Text;
        /// Which of the signals counts, over `signal`.
        matching "match": Text;
        /// How long the signal is waited for.
        timeout "timeout": Pause;
        /// What follows when it did not come.
        on_timeout "on_timeout": Routes;
        /// When people are reminded of the signal.
        remind "remind": Remind;
    }
    also ["for", "until", "signal"]
}

impl Wait {
    /// So long.
    pub fn span(span: impl Into<Pause>) -> Self {
        let span: Pause = span.into();
        Self::empty().with_key("for", span)
    }

    /// Until then: RFC 3339, or a local time of `zone`.
    pub fn until(moment: impl Into<Text>) -> Self {
        let moment: Text = moment.into();
        Self::empty().with_key("until", moment)
    }

    /// For a signal of this name.
    pub fn signal(name: impl Into<Text>) -> Self {
        let name: Text = name.into();
        Self::empty().with_key("signal", name)
    }
}
