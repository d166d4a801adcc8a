//! How an attempt of a worker ended, from the moment that this is known until its run has recorded it.
//!
//! Law: a report is answered when the end that it led to is durable, and a repeated one waits for the same.

use std::time::Duration;

use everfold_base::failure::Failure;
use everfold_base::json::{Hash, Value};
use everfold_base::time::Timestamp;
use everfold_ports::{AttemptEnd, AttemptNotes, AttemptResult, HoldEnd, RecordReceipt, Recorded, Usage};

use super::protocol::{LeaseClaim, Reported, WorkerRefusal, WorkerReport};

/// How long a worker waits until a lease or a report of it is durable, before it is asked to try again.
pub(super) const RECORDED_WITHIN: Duration = Duration::from_secs(20);

/// How an attempt ended.
#[derive(Debug)]
pub(super) struct End {
    /// The report that ended it; `None`: time or a cancel did.
    pub(super) report: Option<Report>,
    pub(super) result: EndResult,
    pub(super) usage: Vec<Usage>,
    pub(super) at: Timestamp,
}

/// A report that ended an attempt.
#[derive(Debug)]
pub(super) struct Report {
    /// Of the report, its worker and its lease.
    pub(super) hash: Hash,
    /// Goes with the end to the run.
    receipt: Option<RecordReceipt>,
    /// Resolves when the end is durable.
    pub(super) recorded: Recorded,
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub(super) enum EndResult {
    Succeeded(Value),
    Failed(Failure),
    Lost(String),
}

impl From<Reported> for EndResult {
    fn from(reported: Reported) -> Self {
        match reported {
            Reported::Output(output) => Self::Succeeded(output),
            Reported::Failure(failure) => Self::Failed(failure),
        }
    }
}

impl Report {
    pub(super) fn new(hash: Hash) -> Self {
        let (receipt, recorded) = RecordReceipt::new();
        Self { hash, receipt: Some(receipt), recorded }
    }

    /// By what a worker's report is recognised. With the lease in it, nothing of a report can be guessed from its hash.
    pub(super) fn hash_of(claim: &LeaseClaim, report: &WorkerReport) -> Hash {
        let said = (&claim.lease, &claim.worker, report);
        Hash::of(&serde_json::to_vec(&said).unwrap_or_default())
    }
}

impl End {
    /// An end that no worker reported.
    pub(super) fn own(result: EndResult, at: Timestamp) -> Self {
        Self { report: None, result, usage: Vec::new(), at }
    }

    /// The end for the run. What waits for its record goes with it, once.
    pub(super) fn hand_over(&mut self) -> AttemptEnd {
        let result = match self.result.clone() {
            EndResult::Succeeded(output) => AttemptResult::Succeeded(output),
            EndResult::Failed(failure) => AttemptResult::Failed(failure),
            EndResult::Lost(reason) => AttemptResult::Lost { reason },
        };
        AttemptEnd {
            usage: self.usage.clone(),
            notes: AttemptNotes {
                report: self.report.as_ref().map(|report| report.hash),
                ..AttemptNotes::default()
            },
            receipt: self.report.as_mut().and_then(|report| report.receipt.take()),
            ..AttemptEnd::new(result, self.at)
        }
    }

    /// In a few words, for a worker that reports too late.
    pub(super) fn explained(&self) -> String {
        match &self.result {
            // What its step made of it, its schema or a limit, is not known here.
            EndResult::Succeeded(_) => "its worker has reported an output".to_owned(),
            EndResult::Failed(failure) => format!("it has ended: {}", failure.message),
            EndResult::Lost(reason) => format!("it counts as lost: {reason}"),
        }
    }

    /// Whether a report is the one that ended the attempt: then what it waits for.
    pub(super) fn repeated_by(&self, hash: Hash) -> Result<Recorded, WorkerRefusal> {
        match &self.report {
            Some(report) if report.hash == hash => Ok(report.recorded.clone()),
            Some(_another) => Err(another_report(&self.explained())),
            None => Err(WorkerRefusal::Over(self.explained())),
        }
    }
}

/// Whether a report is the one by which an attempt ended that the run has recorded.
pub(super) fn is_repeated(end: HoldEnd, hash: Hash) -> Result<(), WorkerRefusal> {
    match end {
        HoldEnd::Reported(reported) if reported == hash => Ok(()),
        HoldEnd::Reported(_another) => Err(another_report(explained(end))),
        HoldEnd::Lost | HoldEnd::Unreported => Err(WorkerRefusal::Over(explained(end).to_owned())),
    }
}

/// A recorded end in a few words.
pub(super) fn explained(end: HoldEnd) -> &'static str {
    match end {
        HoldEnd::Reported(_) => "its worker has reported how it ended",
        HoldEnd::Lost => "it counts as lost",
        HoldEnd::Unreported => "it was ended before its worker reported",
    }
}

fn another_report(explained: &str) -> WorkerRefusal {
    WorkerRefusal::Over(format!("{explained}, and this is another report"))
}

/// Waits until something of a worker is durable.
pub(super) async fn durable(recorded: Recorded) -> Result<(), WorkerRefusal> {
    match tokio::time::timeout(RECORDED_WITHIN, recorded).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(WorkerRefusal::NotKept("the run did not record it".to_owned())),
        Err(_elapsed) => Err(WorkerRefusal::NotKept("it is not durable yet".to_owned())),
    }
}
