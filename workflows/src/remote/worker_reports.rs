//! What workers report of the attempts that they hold: that they go on, and how they ended.
//!
//! Law: only the holder of a lease may report, and an end that was reported once stays. An attempt that is not in the table
//! is judged by what its run recorded; what its worker says is taken only when it is entered: the values of secrets, which
//! are masked in all that is kept, are known from then on.

use std::sync::Arc;
use std::time::Duration;

use everfold_base::id::EffectId;
use everfold_base::json::Hash;
use everfold_system::clock;

use super::attempt::{Held, OfferStage};
use super::end::{End, Report, durable, explained, is_repeated};
use super::former_record;
use super::lease::Lease;
use super::lease_table::{LeaseTable, blocking};
use super::protocol::{AttemptFacts, Heartbeat, HeartbeatReply, LeaseClaim, WorkerRefusal, WorkerReport};
use crate::process::sane;

impl LeaseTable {
    /// Takes the heartbeat of a worker; the reply says whether the work must stop.
    ///
    /// `facts` gives, for an attempt that is not in the table, what its run says of it, or why that is not known yet: right
    /// after a start of the engine.
    ///
    /// # Errors
    /// It does not hold the attempt, or no longer.
    pub async fn heartbeat(
        &self,
        claim: LeaseClaim,
        beat: Heartbeat,
        facts: impl Future<Output = Result<AttemptFacts, String>>,
    ) -> Result<HeartbeatReply, WorkerRefusal> {
        self.noticed(&claim.worker);
        let span = self.inner.lease;
        let goes_on = || HeartbeatReply { lease_until: clock::now().plus(span), cancel: false, reason: None };
        let Some(attempt) = self.entered(&claim.id.0) else {
            return match self.judged(&claim, None, facts).await? {
                JudgedReport::Held if beat.log.is_empty() => Ok(goes_on()),
                JudgedReport::Held | JudgedReport::Repeated => Err(not_entered()),
            };
        };
        let mut stage = attempt.stage.lock().await;
        let held = holder(&mut stage, &claim)?;
        held.extend(span);
        let stopping = held.stopping.as_ref().map(|stopping| stopping.reason().to_owned());
        let answer =
            HeartbeatReply { lease_until: held.until_at, cancel: stopping.is_some(), reason: stopping };
        drop(stage);
        attempt.changed.notify_one();
        if !beat.log.is_empty() {
            let kept = Arc::clone(&attempt);
            blocking(move || kept.keep_lines(&beat.log)).await;
        }
        if let Some(line) = beat.progress {
            attempt.offer.observer.line(&attempt.offer.observer.shown(&line));
        }
        Ok(answer)
    }

    /// Waits until an attempt is to stop or is over, `wait` at most, and no longer than its lease allows; not at all where it
    /// is not in the table. Whether it is one of the two.
    pub async fn stop_requested(&self, id: &EffectId, wait: Duration) -> bool {
        let tokens = self.entered(id).map(|attempt| (attempt.stopping.clone(), attempt.ended.clone()));
        let Some((stopping, ended)) = tokens else { return false };
        // The lease goes on meanwhile.
        let wait = wait.min(self.inner.lease / 2);
        let either = async {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = ended.cancelled() => {}
            }
        };
        let _late = tokio::time::timeout(wait, either).await;
        stopping.is_cancelled()
    }

    /// Takes a worker's report of how the attempt ended. A repeated report does no harm: `true`.
    ///
    /// # Errors
    /// It does not hold the attempt, or no longer, or said something else before.
    pub async fn report(
        &self,
        claim: LeaseClaim,
        report: WorkerReport,
        facts: impl Future<Output = Result<AttemptFacts, String>>,
    ) -> Result<bool, WorkerRefusal> {
        self.noticed(&claim.worker);
        let hash = Report::hash_of(&claim, &report);
        let Some(attempt) = self.entered(&claim.id.0) else {
            return match self.judged(&claim, Some((hash, &report)), facts).await? {
                JudgedReport::Repeated => Ok(true),
                JudgedReport::Held => Err(not_entered()),
            };
        };
        let mut stage = attempt.stage.lock().await;
        if let OfferStage::Ended(former) = &*stage {
            let recorded = former.repeated_by(hash)?;
            drop(stage);
            drop(attempt);
            return durable(recorded).await.map(|()| true);
        }
        let held = holder(&mut stage, &claim)?;
        let WorkerReport { result, usage, log } = report;
        let result = attempt.masked(result.into());
        let result = match &held.stopping {
            Some(stopping) => stopping.reported(result),
            None => result,
        };
        if !log.is_empty() {
            let kept = Arc::clone(&attempt);
            blocking(move || kept.keep_lines(&log)).await;
        }
        let usage = usage.into_iter().map(sane).collect();
        let report = Report::new(hash);
        let recorded = report.recorded.clone();
        *stage = OfferStage::Ended(Box::new(End { report: Some(report), result, usage, at: clock::now() }));
        drop(stage);
        attempt.changed.notify_one();
        // Where its future is dropped, nothing is recorded: the receipt goes with the attempt.
        drop(attempt);
        durable(recorded).await.map(|()| false)
    }

    /// Judges a claim on an attempt that is not in the table by what its run says, and what a former version left.
    async fn judged(
        &self,
        claim: &LeaseClaim,
        report: Option<(Hash, &WorkerReport)>,
        facts: impl Future<Output = Result<AttemptFacts, String>>,
    ) -> Result<JudgedReport, WorkerRefusal> {
        let AttemptFacts { hold, is_in_progress, is_behind } = facts.await.map_err(WorkerRefusal::NotKept)?;
        match hold {
            Some(hold) => {
                Lease::from(&hold).check(claim)?;
                match (hold.end, report) {
                    (None, _) => {}
                    (Some(end), Some((hash, _))) => {
                        return is_repeated(end, hash).map(|()| JudgedReport::Repeated);
                    }
                    (Some(end), None) => return Err(WorkerRefusal::Over(explained(end).to_owned())),
                }
            }
            None => {
                let folder = self.inner.layout.attempt(&claim.id.0);
                let read = blocking(move || former_record::read(&folder)).await;
                let former = read.map_err(|error| WorkerRefusal::NotKept(error.to_string()))?;
                let unknown = || match is_behind {
                    true => {
                        WorkerRefusal::Over("it ended long ago, how and by whom is not kept here".to_owned())
                    }
                    false => WorkerRefusal::Unknown,
                };
                former.lease.ok_or_else(unknown)?.check(claim)?;
                match former.end {
                    None => {}
                    Some(end) if report.is_some_and(|(_, report)| end.is_by(report)) => {
                        return Ok(JudgedReport::Repeated);
                    }
                    Some(end) => return Err(WorkerRefusal::Over(End::from(end).explained())),
                }
            }
        }
        match is_in_progress {
            true => Ok(JudgedReport::Held),
            false => Err(WorkerRefusal::Over("its run goes on without it, or has ended".to_owned())),
        }
    }
}

/// What is known of a claim on an attempt that is not in the table.
enum JudgedReport {
    /// The worker holds it.
    Held,
    /// It ended by this report.
    Repeated,
}

/// Its worker says it again, and loses nothing by that.
fn not_entered() -> WorkerRefusal {
    WorkerRefusal::NotKept("the engine has not taken the attempt up yet".to_owned())
}

/// The lease of the attempt, where the caller holds it; else why not.
fn holder<'a>(stage: &'a mut OfferStage, claim: &LeaseClaim) -> Result<&'a mut Held, WorkerRefusal> {
    match stage {
        OfferStage::Offered => Err(WorkerRefusal::Unknown),
        OfferStage::Ended(end) => Err(WorkerRefusal::Over(end.explained())),
        OfferStage::Held(held) => {
            held.lease.check(claim)?;
            Ok(held)
        }
    }
}
