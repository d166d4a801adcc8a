//! Who is still to be told of what happened.
//!
//! Law (L32): notices of one channel go one after the other, in the order in which they were queued;
//! only the first of each channel is an effect. What is outstanding is bounded, and whatever becomes
//! of it, nothing else of the run depends on it.
//!
//! Called by the fold; the driver sends what stands first.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Kept, RunState};
use crate::effect::Effect;
use crate::id::Version;
use crate::json::Hash;
use crate::time::Timestamp;

/// Most notices that one run has outstanding.
pub const NOTICES_MAX: usize = 1_000;

/// The notices of a run that nobody was told yet, and what is remembered of those that went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outbox {
    channels: BTreeMap<String, VecDeque<Outstanding>>,
    /// What the last one that went said, by notice; only of those that go on changes.
    sent: BTreeMap<String, Hash>,
}

/// A notice that nobody was told yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outstanding {
    /// The version of the event that it tells of.
    pub version: Version,
    /// The notice.
    pub notice: String,
    /// The function that tells.
    pub function: String,
    /// Its parameters: `{with, as}`.
    pub with: Kept,
    /// When it was queued.
    pub at: Timestamp,
    /// BLAKE3 of the parameters.
    pub content: Hash,
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.channels.values().map(VecDeque::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    pub(crate) fn queue(&mut self, channel: &str, outstanding: Outstanding) {
        self.channels.entry(channel.to_owned()).or_default().push_back(outstanding);
    }

    /// Takes a notice out; gives its channel too.
    pub(crate) fn take(&mut self, version: Version, notice: &str) -> Option<(String, Outstanding)> {
        let is_it = |one: &Outstanding| one.version == version && one.notice == notice;
        let (channel, at) = self
            .channels
            .iter()
            .find_map(|(channel, queue)| Some((channel.clone(), queue.iter().position(is_it)?)))?;
        let queue = self.channels.get_mut(&channel)?;
        let taken = queue.remove(at)?;
        if queue.is_empty() {
            self.channels.remove(&channel);
        }
        Some((channel, taken))
    }

    pub(crate) fn remember(&mut self, notice: &str, content: Hash) {
        self.sent.insert(notice.to_owned(), content);
    }

    /// Forgets what is outstanding: a copied history tells nobody.
    pub(crate) fn forget(&mut self) -> Vec<String> {
        std::mem::take(&mut self.channels).into_keys().collect()
    }

    pub(crate) fn channels(&self) -> impl Iterator<Item = &String> {
        self.channels.keys()
    }

    pub(crate) fn first(&self, channel: &str) -> Option<&Outstanding> {
        self.channels.get(channel)?.front()
    }

    pub(crate) fn holds(&self, version: Version, notice: &str) -> bool {
        self.all().any(|(_, one)| one.version == version && one.notice == notice)
    }

    /// The outstanding ones of a notice, oldest first.
    pub(crate) fn of<'a>(&'a self, notice: &'a str) -> Vec<Version> {
        let mut versions: Vec<Version> =
            self.all().filter(|(_, one)| one.notice == notice).map(|(_, one)| one.version).collect();
        versions.sort_unstable();
        versions
    }

    /// What the notice said last: the newest outstanding one, else the last one that went.
    pub(crate) fn said_last(&self, notice: &str) -> Option<Hash> {
        let newest = self.all().filter(|(_, one)| one.notice == notice).max_by_key(|(_, one)| one.version);
        newest.map(|(_, one)| one.content).or_else(|| self.sent.get(notice).copied())
    }

    fn all(&self) -> impl Iterator<Item = (&String, &Outstanding)> {
        self.channels.iter().flat_map(|(channel, queue)| queue.iter().map(move |one| (channel, one)))
    }
}

impl RunState {
    /// How many notices nobody was told yet.
    #[must_use]
    pub fn notices_outstanding(&self) -> usize {
        self.facts.outbox.len()
    }

    /// The notice that stands first in a channel.
    #[must_use]
    pub fn first_notice(&self, channel: &str) -> Option<&Outstanding> {
        self.facts.outbox.first(channel)
    }

    /// Channels with something outstanding.
    #[cfg(feature = "runtime")]
    pub(crate) fn active_channels(&self) -> impl Iterator<Item = String> {
        self.facts.outbox.channels().cloned()
    }

    /// A channel is to be looked at again.
    #[cfg(feature = "runtime")]
    pub(crate) fn touch_channel(&mut self, channel: String) {
        self.touched.push(crate::effect::Touched::Channel(channel));
    }

    /// Whether any part waits to be looked at.
    #[cfg(feature = "runtime")]
    pub(crate) fn is_touched(&self) -> bool {
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
