//! How an attempt ended, ready to become an input of its run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::failures::cancelled;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::{JsonText, Value};
use everfold_base::time::Timestamp;
use everfold_core::artefact::{Artefact, Usage};
use everfold_core::event::{AttemptNotes, WorkSpared};
use everfold_ports::RecordReceipt;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EndedAttempt {
    /// The output or the failure; `Err`: the attempt is lost, and why.
    pub(crate) result: Result<Result<JsonText, Failure>, String>,
    pub(crate) commit: Option<String>,
    pub(crate) artefacts: Vec<Artefact>,
    pub(crate) usage: Vec<Usage>,
    pub(crate) ended_at: Timestamp,
    /// What the work reported beside its output.
    pub(crate) notes: AttemptNotes,
    /// What it said that its run is found by.
    pub(crate) search: BTreeMap<String, Value>,
    /// A question of the work to people.
    pub(crate) ask: Option<JsonText>,
    /// The pause that a service which the work called asks for.
    pub(crate) again_after: Option<Duration>,
    /// Its work was not done, and why.
    pub(crate) spared: Option<WorkSpared>,
    /// Is informed when this is recorded.
    pub(crate) receipt: Option<RecordReceipt>,
}

impl EndedAttempt {
    /// The end of an attempt that the engine itself fails.
    pub(crate) fn failed(failure: Failure, ended_at: Timestamp) -> Self {
        Self {
            result: Ok(Err(failure)),
            commit: None,
            artefacts: Vec::new(),
            usage: Vec::new(),
            ended_at,
            notes: AttemptNotes::default(),
            search: BTreeMap::new(),
            ask: None,
            again_after: None,
            spared: None,
            receipt: None,
        }
    }

    /// The end of an attempt whose stop was requested: a process that vanished counts as cancelled, not lost.
    pub(crate) fn after_stop(mut self) -> Self {
        if self.result.is_err() {
            self.result = Ok(Err(cancelled()));
        }
        self
    }

    /// The end of an attempt that its time limit stopped. Whether its executor noticed the limit or the stop first, the
    /// cause is the same.
    pub(crate) fn by_time_limit(mut self, failure: Failure) -> Self {
        if let Ok(Err(said)) = &mut self.result
            && matches!(said.kind, FailureKind::Cancelled | FailureKind::Timeout)
            && !said.is_no_worker()
        {
            *said = failure;
        }
        self
    }

    /// How long the services that the failed work called ask to be left alone, and their message.
    pub(crate) fn requested_pause(&self) -> Option<(Duration, &str)> {
        match &self.result {
            Ok(Err(failure)) => self.again_after.map(|span| (span, failure.message.as_str())),
            Ok(Ok(_)) | Err(_) => None,
        }
    }
}
