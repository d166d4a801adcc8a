//! What workers report of the attempts that they hold: that they go on, and how they ended.
//!
//! Law: only the holder of a lease may report, and an end that was reported once stays. An attempt that this engine has
//! not entered yet is judged by its folder and by whether its run still wants it; what its worker says is taken only
//! when it is entered: the values of secrets, which are masked in all that is kept, are known from then on.

use std::sync::Arc;

use everfold_base::json::Hash;
use everfold_system::clock;
use tokio::time::Instant;

use super::attempt::{Held, OfferStage};
use super::lease_table::{LeaseTable, blocking, write_end};
use super::protocol::{Heartbeat, HeartbeatReply, LeaseClaim, WorkerRefusal, WorkerReport};
use super::record::{self, EndResult, Lease, RecordedEnd, Reporter};

impl LeaseTable {
    /// Takes the heartbeat of a worker; the reply says whether the work must stop.
    ///
    /// `lives` gives, for an attempt that was not entered, whether its run still wants it, or why that is not known
    /// yet: right after a start of the engine.
    ///
    /// # Errors
    /// It does not hold the attempt, or no longer.
    pub async fn heartbeat(
        &self,
        claim: LeaseClaim,
        beat: Heartbeat,
        lives: impl Future<Output = Result<bool, String>>,
    ) -> Result<HeartbeatReply, WorkerRefusal> {
        self.noticed(&claim.worker);
        let span = self.inner.lease;
        let goes_on = || HeartbeatReply { lease_until: clock::now().plus(span), cancel: false, reason: None };
        let Some(attempt) = self.entered(&claim.id.0) else {
            let _door = self.inner.door.lock().await;
            return match self.judged_by_folder(&claim, lives).await? {
                None if beat.log.is_empty() => Ok(goes_on()),
                None => Err(not_entered()),
                Some(end) => Err(WorkerRefusal::Over(end.explained())),
            };
        };
        let mut stage = attempt.stage.lock().await;
        let held = holder(&mut stage, &claim)?;
        held.extend(span);
        let stopping = held.stopping.as_ref().map(|stopping| stopping.why.message.clone());
        let answer =
            HeartbeatReply { lease_until: held.until_at, cancel: stopping.is_some(), reason: stopping };
        drop(stage);
        attempt.changed.notify_one();
        let kept = Arc::clone(&attempt);
        blocking(move || kept.keep_lines(&beat.log)).await;
        if let Some(line) = beat.progress {
            attempt.offer.observer.line(&attempt.offer.observer.shown(&line));
        }
        Ok(answer)
    }

    /// Takes a worker's report of how the attempt ended. A repeated report does no harm: `true`.
    ///
    /// # Errors
    /// It does not hold the attempt, or no longer, or said something else before.
    pub async fn report(
        &self,
        claim: LeaseClaim,
        report: WorkerReport,
        lives: impl Future<Output = Result<bool, String>>,
    ) -> Result<bool, WorkerRefusal> {
        self.noticed(&claim.worker);
        let hash = Hash::of(&serde_json::to_vec(&report).unwrap_or_default()).to_string();
        let by = Reporter { lease: claim.lease.clone(), worker: claim.worker.clone(), hash };
        let WorkerReport { result, usage, log } = report;
        let Some(attempt) = self.entered(&claim.id.0) else {
            let _door = self.inner.door.lock().await;
            return match self.judged_by_folder(&claim, lives).await? {
                Some(former) => repeated(&former, &by),
                None => Err(not_entered()),
            };
        };
        let mut stage = attempt.stage.lock().await;
        if let OfferStage::Ended(former) = &*stage {
            return repeated(former, &by);
        }
        let held = holder(&mut stage, &claim)?;
        // What comes after a cancel ends it, and does not count.
        let result = match &held.stopping {
            Some(stopping) => EndResult::Failed(stopping.why.clone()),
            None => attempt.masked(result.into()),
        };
        let kept = Arc::clone(&attempt);
        blocking(move || kept.keep_lines(&log)).await;
        let end = RecordedEnd { by: Some(by), result, usage, at: clock::now() };
        let written = write_end(&attempt, &end).await;
        written.map_err(|error| WorkerRefusal::NotKept(error.to_string()))?;
        *stage = OfferStage::Ended(Box::new(end));
        drop(stage);
        attempt.changed.notify_one();
        Ok(false)
    }

    /// Judges a claim on an attempt that was not entered by its folder; `None`: the worker holds it.
    async fn judged_by_folder(
        &self,
        claim: &LeaseClaim,
        lives: impl Future<Output = Result<bool, String>>,
    ) -> Result<Option<RecordedEnd>, WorkerRefusal> {
        let folder = self.inner.layout.attempt(&claim.id.0);
        let read = blocking(move || record::read(&folder)).await;
        let (lease, end) = read.map_err(|error| WorkerRefusal::NotKept(error.to_string()))?;
        let lease = lease.ok_or(WorkerRefusal::Unknown)?;
        is_its(&lease, claim)?;
        match end {
            Some(end) => Ok(Some(end)),
            None => match lives.await {
                Ok(true) => Ok(None),
                Ok(false) => Err(WorkerRefusal::Over("its run goes on without it, or has ended".to_owned())),
                Err(why) => Err(WorkerRefusal::NotKept(why)),
            },
        }
    }
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
            is_its(&held.lease, claim)?;
            if held.until <= Instant::now() {
                return Err(WorkerRefusal::Over("its lease has ended".to_owned()));
            }
            Ok(held)
        }
    }
}

/// A lease is a worker's by its text and by who it was given to. Another process that learnt the text, from a file or
/// a queue that both read, reports on the other's work by mistake.
fn is_its(lease: &Lease, claim: &LeaseClaim) -> Result<(), WorkerRefusal> {
    match &lease.worker {
        own if *own == claim.worker && lease.lease == claim.lease => Ok(()),
        own if *own == claim.worker => Err(WorkerRefusal::OtherLease(own.clone())),
        own if own.actor == claim.worker.actor && own.instance != claim.worker.instance => {
            Err(WorkerRefusal::OtherInstance(own.clone()))
        }
        own => Err(WorkerRefusal::Foreign(own.clone())),
    }
}

/// What an ended attempt answers to a report: that it was said before, or that it comes too late.
fn repeated(end: &RecordedEnd, by: &Reporter) -> Result<bool, WorkerRefusal> {
    match &end.by {
        Some(former) if former == by => Ok(true),
        Some(former) if former.lease == by.lease && former.worker == by.worker => {
            Err(WorkerRefusal::Over(format!("{}, and this is another report", end.explained())))
        }
        _other => Err(WorkerRefusal::Over(end.explained())),
    }
}
