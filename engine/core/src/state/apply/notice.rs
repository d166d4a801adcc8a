//! Notices that are queued, sent or given up.

use crate::effect::Touched;
use crate::event::NoticeQueued;
use crate::state::RunState;
use crate::state::outbox::Outstanding;
use crate::state::stored_value::StoredValue;
use everfold_base::id::Version;
use everfold_base::time::Timestamp;

impl RunState {
    pub(super) fn notice_queued(&mut self, event: &NoticeQueued, at: Timestamp) {
        let outstanding = Outstanding {
            version: event.version,
            notice: event.notice.clone(),
            function: event.function.clone(),
            with: StoredValue::of(&event.with, self.facts.version),
            at,
            content: event.with.hash(),
        };
        if event.replaces {
            self.facts.outbox.replace(&event.channel, &event.notice);
        }
        self.facts.outbox.queue(&event.channel, outstanding);
        self.touched.push(Touched::Channel(event.channel.clone()));
    }

    pub(super) fn notice_finished(&mut self, version: Version, notice: &str, is_sent: bool) {
        let Some((channel, taken)) = self.facts.outbox.take(version, notice) else { return };
        let is_asked_for = self.graph.definition.notify.iter().any(|known| known.changes_only);
        if is_sent && is_asked_for {
            self.facts.outbox.remember(&channel, taken, self.facts.version);
        }
        self.touched.push(Touched::Channel(channel));
    }

    /// The origin delivers what a copied history has outstanding; the fork does not.
    pub(super) fn forget_notices(&mut self) {
        let channels = self.facts.outbox.forget();
        self.touched.extend(channels.into_iter().map(Touched::Channel));
    }
}
