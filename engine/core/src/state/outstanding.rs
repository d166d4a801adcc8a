//! The notices that are outstanding, and the effects of their channels.

use super::outbox::Outstanding;
use super::run_state::RunState;
use crate::effect::Effect;

impl RunState {
    /// How many notices are not delivered yet.
    #[must_use]
    pub fn notices_outstanding(&self) -> usize {
        self.facts.outbox.len()
    }

    /// The notices that are not delivered yet, by channel, in the order in which they go there.
    pub fn outstanding_notices(&self) -> impl Iterator<Item = (&str, &Outstanding)> {
        self.facts.outbox.all().map(|(channel, one)| (channel.as_str(), one))
    }

    /// The notice that stands first in a channel.
    #[must_use]
    pub fn first_notice(&self, channel: &str) -> Option<&Outstanding> {
        self.facts.outbox.first(channel)
    }

    /// Channels with something outstanding.
    pub fn active_channels(&self) -> impl Iterator<Item = String> {
        self.facts.outbox.channels().cloned()
    }

    /// A channel is to be looked at again.
    pub fn touch_channel(&mut self, channel: String) {
        self.touched.push(crate::effect::Touched::Channel(channel));
    }

    /// Whether any part waits to be looked at.
    pub fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The effect of a channel: its first notice.
    pub(crate) fn channel_effects(&self, channel: &str) -> Vec<Effect> {
        let first = self.facts.outbox.first(channel).map(|first| Effect::Notice {
            channel: channel.to_owned(),
            version: first.version,
            notice: first.notice.clone(),
        });
        first.into_iter().collect()
    }
}
