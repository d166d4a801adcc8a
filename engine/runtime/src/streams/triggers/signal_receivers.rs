//! The runs that a signal of a trigger goes to, and the sending of it.
//!
//! Laws:
//! - A run that is about to end, and in which nothing hears the signal any more, is no receiver: the signal would be lost
//!   there.
//! - A signal that may wait is meant for a run that acts: one that holds back what acts outside is no receiver by itself.

use crate::error::QueryError;
use crate::streams::triggers::action::{RecordTargets, TriggerDone, TriggerSender};
use crate::streams::triggers::stopped::EngineStopped;
use crate::work::spare::is_held_from;
use everfold_base::id::RunId;
use everfold_core::state::RunStatus;
use everfold_core::triggers::{Outcome, RequestedSignal, Target};
use everfold_ports::RunQuery;

/// Runs that one signal goes to.
const RUNS_MAX: usize = 10_000;

/// The runs that a signal is for.
enum SignalReceivers {
    Runs(Vec<RunId>),
    /// No run takes it now; why, where there are runs that it might have been for.
    None(Option<String>),
    /// It cannot be sent at all.
    Done(Outcome),
}

/// How a run stands to a signal.
enum RunHearing {
    Hears,
    /// It is there, and does not get the signal: why.
    Deaf(String),
    /// It has ended, or there is none.
    Gone,
}

impl TriggerSender<'_> {
    /// Finds the runs that a signal is for, records them, and sends it.
    pub(super) async fn send(
        &self,
        signal: RequestedSignal,
        to: Target,
        record_targets: RecordTargets,
    ) -> Result<TriggerDone, EngineStopped> {
        let runs = match self.receivers(&signal, &to).await? {
            SignalReceivers::Runs(runs) => runs,
            SignalReceivers::None(Some(why)) if !signal.park => {
                return Ok(TriggerDone::Done(Outcome::Ignored { why }));
            }
            SignalReceivers::None(_) => return Ok(TriggerDone::NoTarget { signal, to }),
            SignalReceivers::Done(outcome) => return Ok(TriggerDone::Done(outcome)),
        };
        record_targets(runs.clone()).await?;
        let outcome = self.send_to_all(runs.clone(), &signal).await?;
        // They came to their ends while the signal was on its way.
        if signal.park && self.is_lost(&outcome, &runs, &signal).await? {
            return Ok(TriggerDone::NoTarget { signal, to });
        }
        Ok(TriggerDone::Done(outcome))
    }

    /// Finds the runs that a signal is for.
    async fn receivers(
        &self,
        signal: &RequestedSignal,
        to: &Target,
    ) -> Result<SignalReceivers, EngineStopped> {
        match to {
            Target::Key(key) => match self.holder(key).await? {
                Some(run) => self.one(run, signal).await,
                None => Ok(SignalReceivers::None(None)),
            },
            // A start that waits is asked of its trigger, and sends nothing by itself.
            Target::Start => Ok(SignalReceivers::None(None)),
            Target::Run(run) => match run.parse::<RunId>() {
                Err(_) => {
                    let message = format!("“{run}” is no id of a run");
                    Ok(SignalReceivers::Done(Outcome::Refused { code: "bad_run".to_owned(), message }))
                }
                Ok(run) => match self.stands(run).await? {
                    Some(lives) if lives || self.is_heard(run, &signal.name).await? => {
                        Ok(SignalReceivers::Runs(vec![run]))
                    }
                    Some(_ended) => {
                        let why = format!("run {} has ended", run.short());
                        Ok(SignalReceivers::Done(Outcome::Ignored { why }))
                    }
                    None => Ok(SignalReceivers::None(None)),
                },
            },
            Target::Labels(labels) => {
                let query = RunQuery {
                    labels: labels.clone(),
                    status: RunStatus::UNENDED.to_vec(),
                    pipeline: None,
                    started_after: None,
                    limit: RUNS_MAX,
                };
                self.labelled(query, signal).await
            }
        }
    }

    /// The one run that a signal is for.
    async fn one(&self, run: RunId, signal: &RequestedSignal) -> Result<SignalReceivers, EngineStopped> {
        Ok(match self.hearing(run, &signal.name).await? {
            RunHearing::Hears if signal.park && self.only_looks(run).await? => {
                SignalReceivers::None(Some(format!("run {} holds back what acts outside", run.short())))
            }
            RunHearing::Hears => SignalReceivers::Runs(vec![run]),
            RunHearing::Deaf(why) => SignalReceivers::None(Some(why)),
            RunHearing::Gone => SignalReceivers::None(None),
        })
    }

    /// The runs with labels. Runs that only look at what would be get the signal beside one that acts.
    async fn labelled(
        &self,
        query: RunQuery,
        signal: &RequestedSignal,
    ) -> Result<SignalReceivers, EngineStopped> {
        let Some(directory) = &self.shared.edge.directory else {
            let message = "runs cannot be looked for by their labels here".to_owned();
            return Ok(SignalReceivers::Done(Outcome::Refused { code: "no_directory".to_owned(), message }));
        };
        let found = loop {
            match directory.runs(query.clone()).await {
                Ok(found) => break found,
                Err(error) => self.wait_for_store(&error.to_string()).await?,
            }
        };
        if found.total > RUNS_MAX as u64 {
            let message = format!("{} runs have these labels; at most {RUNS_MAX} are told", found.total);
            return Ok(SignalReceivers::Done(Outcome::Refused { code: "too_many".to_owned(), message }));
        }
        let (mut runs, mut is_meant, mut reason) = (Vec::new(), false, None);
        for found in found.runs {
            match self.hearing(found.run, &signal.name).await? {
                RunHearing::Hears => {
                    is_meant |= !signal.park || !self.only_looks(found.run).await?;
                    runs.push(found.run);
                }
                RunHearing::Deaf(why) => reason = Some(why),
                RunHearing::Gone => {}
            }
        }
        Ok(if is_meant { SignalReceivers::Runs(runs) } else { SignalReceivers::None(reason) })
    }

    /// Whether runs that got a signal, and did not follow it, will never do so.
    pub(super) async fn is_lost(
        &self,
        outcome: &Outcome,
        runs: &[RunId],
        signal: &RequestedSignal,
    ) -> Result<bool, EngineStopped> {
        if !matches!(outcome, Outcome::Kept { .. } | Outcome::Ignored { .. }) {
            return Ok(false);
        }
        for run in runs {
            if matches!(self.hearing(*run, &signal.name).await?, RunHearing::Hears) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a run takes a signal: it has not ended, or records what comes behind its end (`late`).
    pub(super) async fn is_heard(&self, run: RunId, signal: &str) -> Result<bool, EngineStopped> {
        Ok(!matches!(self.hearing(run, signal).await?, RunHearing::Gone))
    }

    async fn hearing(&self, run: RunId, signal: &str) -> Result<RunHearing, EngineStopped> {
        loop {
            let name = signal.to_owned();
            let look = self.shared.with_state(run, move |state| {
                let is_gone = state.is_ended() && !state.hears_late(&name);
                (is_gone, state.is_deaf_at_its_end(&name))
            });
            match look.await {
                Ok((true, _)) | Err(QueryError::NotFound(_)) => return Ok(RunHearing::Gone),
                Ok((false, true)) => {
                    return Ok(RunHearing::Deaf(format!(
                        "run {} is about to end, and nothing in it hears “{signal}” any more",
                        run.short()
                    )));
                }
                // A quarantined run has not ended, though it takes no input.
                Ok((false, false)) | Err(QueryError::SetAside { .. }) => return Ok(RunHearing::Hears),
                Err(QueryError::ShuttingDown) => return Err(EngineStopped),
                Err(error) => self.wait_for_store(&error.to_string()).await?,
            }
        }
    }

    /// Whether it is certain how a run ends that has not ended.
    pub(super) async fn is_about_to_end(&self, run: RunId) -> Result<bool, EngineStopped> {
        loop {
            match self.shared.with_state(run, |state| state.is_ending() && !state.is_ended()).await {
                Ok(is_ending) => return Ok(is_ending),
                Err(QueryError::NotFound(_) | QueryError::SetAside { .. }) => return Ok(false),
                Err(QueryError::ShuttingDown) => return Err(EngineStopped),
                Err(error) => self.wait_for_store(&error.to_string()).await?,
            }
        }
    }

    /// Whether a run holds back what acts outside: it looks at what would be.
    async fn only_looks(&self, run: RunId) -> Result<bool, EngineStopped> {
        loop {
            match is_held_from(self.shared, Some(run)).await {
                Ok(is_held) => return Ok(is_held),
                Err(error) => self.wait_for_store(&error.to_string()).await?,
            }
        }
    }
}
