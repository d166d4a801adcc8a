//! The attempts of agents in all tasks: how many wait, work and ended, and which ended last.
//!
//! Law: it follows from the same facts as the rows. It answers for now alone: what is in line is of the engine that runs.

use everfold_base::id::AttemptId;

use super::parts::{AgentJobs, EndedJob, StageWork, WorkKind};
use super::stage_fact::StageFact;
use super::standing::Standing;
use crate::projection::{Fact, FoldError};
use crate::row_codec;
use crate::write_batch::WriteBatch;

/// The key of the counts.
pub(super) const JOBS: &[u8] = b"J";
/// Ended jobs that are listed.
const RECENT_MAX: usize = 10;

/// The jobs of all tasks.
#[derive(Debug, Default)]
pub(super) struct JobCounts {
    jobs: AgentJobs,
    is_changed: bool,
}

impl JobCounts {
    /// Goes on from what is stored.
    pub(super) fn open(batch: &WriteBatch) -> Result<Self, FoldError> {
        let jobs = match batch.get(JOBS)? {
            Some(bytes) => row_codec::read(&mut &*bytes)?,
            None => AgentJobs::default(),
        };
        Ok(Self { jobs, is_changed: false })
    }

    /// Takes a task's jobs away as they stand before a fact, and notes the one that it ends. What a copied history had at
    /// work was its origin's.
    pub(super) fn before(&mut self, now: &Standing, reported: &StageFact, fact: &Fact<'_>) {
        let (queued, running) = open_jobs(now);
        self.jobs.queued = self.jobs.queued.saturating_sub(queued);
        self.jobs.running = self.jobs.running.saturating_sub(running);
        let over: Vec<&StageWork> = match reported {
            StageFact::Over { id, .. } => now.work.iter().filter(|work| work.is(id)).collect(),
            _goes_on => Vec::new(),
        };
        let failed = match reported {
            StageFact::Over { failed, .. } => failed.clone(),
            _goes_on => None,
        };
        for work in over.into_iter().filter(|work| work.kind == WorkKind::Agent && !fact.is_copied()) {
            let is_lost = matches!(fact.event, everfold_core::event::RunEvent::AttemptLost(_));
            let failed = failed.clone().or_else(|| is_lost.then(|| "lost".to_owned()));
            let count = if failed.is_some() { &mut self.jobs.failed } else { &mut self.jobs.done };
            *count = count.saturating_add(1);
            let id = AttemptId { path: work.path.clone(), round: work.round, attempt: work.attempt };
            let (since, ended_at) = (work.since, fact.context.recorded_at);
            self.jobs.recent.insert(0, EndedJob { run: fact.run, id, failed, since, ended_at });
            self.jobs.recent.truncate(RECENT_MAX);
            self.is_changed = true;
        }
        self.is_changed |= queued + running > 0;
    }

    /// Adds them as they stand after it.
    pub(super) fn after(&mut self, now: &Standing) {
        let (queued, running) = open_jobs(now);
        self.jobs.queued = self.jobs.queued.saturating_add(queued);
        self.jobs.running = self.jobs.running.saturating_add(running);
        self.is_changed |= queued + running > 0;
    }

    /// Publishes them where they changed.
    pub(super) fn publish(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        if std::mem::take(&mut self.is_changed) {
            batch.put(JOBS, row_codec::encode(&self.jobs)?);
        }
        Ok(())
    }
}

/// The jobs of a task that wait, and those that are at work.
fn open_jobs(now: &Standing) -> (u64, u64) {
    let jobs = || now.work.iter().filter(|work| work.kind == WorkKind::Agent);
    let running = jobs().filter(|work| work.started_at.is_some()).count() as u64;
    (jobs().count() as u64 - running, running)
}
