//! Notices that are still to be delivered.
//!
//! Law (L32): notices of one channel go one after the other, in the order in which they were queued;
//! only the first of each channel is an effect. Outstanding notices are bounded, and nothing
//! else of the run depends on them.
//!
//! Called by the fold; the runtime sends what stands first.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::stored_value::StoredValue;
use everfold_base::id::Version;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// Most notices that one run has outstanding.
pub const NOTICES_MAX: usize = 1_000;
/// Channels whose last notice is remembered; the one with the oldest makes room. At worst the same notice is sent
/// there twice.
const CHANNELS_MAX: usize = 200;

/// The notices of a run that are not delivered yet, and what is remembered of those that were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outbox {
    channels: BTreeMap<String, VecDeque<Outstanding>>,
    /// The last notice that was sent, by channel; only where the pipeline has notices with `changes_only`.
    said: BTreeMap<String, Spoken>,
}

/// The last notice that was sent in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Spoken {
    /// The function that delivered it.
    function: String,
    /// BLAKE3 of its parameters.
    content: Hash,
    /// When, in the order of the run's facts.
    at: Version,
}

/// A notice that is not delivered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outstanding {
    /// The version of the event that it reports.
    pub version: Version,
    /// The notice.
    pub notice: String,
    /// The function that delivers it.
    pub function: String,
    /// Its parameters: `{with, as}`.
    pub with: StoredValue,
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

    /// Remembers the last notice that was sent in a channel.
    pub(crate) fn remember(&mut self, channel: &str, said: Outstanding, at: Version) {
        let said = Spoken { function: said.function, content: said.content, at };
        self.said.insert(channel.to_owned(), said);
        if self.said.len() > CHANNELS_MAX {
            let oldest = self.said.iter().min_by_key(|(_, said)| said.at).map(|(channel, _)| channel.clone());
            if let Some(oldest) = oldest {
                self.said.remove(&oldest);
            }
        }
    }

    /// Takes out what a newer one of the same notice takes the place of. One of them may be on its way: the last
    /// notice of the channel is not known any more.
    pub(crate) fn replace(&mut self, channel: &str, notice: &str) {
        let Some(queue) = self.channels.get_mut(channel) else { return };
        let before = queue.len();
        queue.retain(|one| one.notice != notice);
        if queue.len() == before {
            return;
        }
        if queue.is_empty() {
            self.channels.remove(channel);
        }
        self.said.remove(channel);
    }

    /// Forgets what is outstanding, and what was sent: a copied history sends no notices, and sent none.
    pub(crate) fn forget(&mut self) -> Vec<String> {
        self.said.clear();
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

    /// How many of a notice stand unsent in a channel.
    pub(crate) fn count_of(&self, channel: &str, notice: &str) -> usize {
        let queue = self.channels.get(channel).into_iter().flatten();
        queue.filter(|one| one.notice == notice).count()
    }

    /// The function and the content hash of a channel's last notice: the newest outstanding one, whichever notice it is
    /// of, else the last one that was sent.
    pub(crate) fn said_last(&self, channel: &str) -> Option<(&str, Hash)> {
        let newest = self.channels.get(channel).and_then(VecDeque::back);
        let newest = newest.map(|one| (one.function.as_str(), one.content));
        newest.or_else(|| self.said.get(channel).map(|said| (said.function.as_str(), said.content)))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &Outstanding)> {
        self.channels.iter().flat_map(|(channel, queue)| queue.iter().map(move |one| (channel, one)))
    }
}
