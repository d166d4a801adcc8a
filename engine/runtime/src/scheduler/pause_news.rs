//! What the scheduler hears of the pauses that services ask for, on its way to their stream.
//!
//! Law: the scheduler never waits for the record. Where more is heard than can be recorded, it is dropped: a restarted
//! engine then asks that service once too early.

use std::time::Duration;

use crate::scheduler::breaker::LEFT_ALONE_MAX;
use crate::streams::mailbox::{Mailbox, MailboxReceiver};
use everfold_ports::Service;

/// News that wait to be recorded.
const WAITING_MAX: usize = 1_000;
/// A shorter pause is over before a restarted engine asks again.
const RECORDED_MIN: Duration = Duration::from_secs(2);

/// What became known of the pause of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PauseNews {
    /// The service asks to be left alone for so long.
    Asked { service: Service, span: Duration },
    /// A person ended its pause.
    Lifted(Service),
}

/// The news that are not recorded yet.
pub(crate) struct PauseNewsBox(Mailbox<PauseNews>);

impl Default for PauseNewsBox {
    fn default() -> Self {
        Self(Mailbox::bounded(WAITING_MAX))
    }
}

impl PauseNewsBox {
    /// Adds what is worth a record.
    pub(crate) fn put(&self, news: PauseNews) {
        let news = match news {
            PauseNews::Asked { span, .. } if span < RECORDED_MIN => return,
            PauseNews::Asked { service, span } => {
                PauseNews::Asked { service, span: span.min(LEFT_ALONE_MAX) }
            }
            lifted => lifted,
        };
        let _full_or_closed = self.0.try_put(news);
    }

    /// The receiving end; `None`: it was taken before.
    pub(crate) fn take(&self) -> Option<MailboxReceiver<PauseNews>> {
        self.0.take()
    }
}
