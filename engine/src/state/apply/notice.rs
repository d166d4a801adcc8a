//! Who is still to be told.

use crate::event::NoticeQueued;
use crate::id::Version;
use crate::state::RunState;

impl RunState {
    pub(super) fn notice_queued(&mut self, _event: &NoticeQueued) {}

    pub(super) fn notice_finished(&mut self, _version: Version, _notice: &str) {}
}
