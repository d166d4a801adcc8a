//! Runs that continue from the history of another run: retry, restart, fork.

use everfold_engine::actor::Actor;
use everfold_engine::decide::Refusal;
use everfold_engine::definition::similar;
use everfold_engine::driver::{ForkRequest, StartError, SubmitError};
use everfold_engine::event::{OriginKind, UnblockDecision};
use everfold_engine::execution::BroughtCredentials;
use everfold_engine::id::{RunId, StepId, StepPath, Version};
use everfold_engine::input::InputKind;
use everfold_engine::state::Awaited;
use everfold_engine::time::Timestamp;
use serde_json::Value;

use super::handle::Node;
use super::idempotency::Idempotency;
use super::start_run::{PipelineSource, StartedRun};
use crate::fault::{Code, Fault};

/// How a new run continues from a run's history.
#[derive(Debug, Clone)]
pub(crate) struct Rerun {
    /// Retry, restart or fork.
    pub(crate) how: OriginKind,
    /// The last version that is copied; `None`: the newest.
    pub(crate) at: Option<Version>,
    /// The time that was asked for, which may be later than that version.
    pub(crate) moment: Option<Timestamp>,
    /// The step that begins anew.
    pub(crate) from_step: Option<String>,
    /// Fields that replace those of the input.
    pub(crate) input: Option<Value>,
    /// Settings documents that replace those of the origin, by name.
    pub(crate) config: Option<Value>,
    /// Another definition for the new run.
    pub(crate) source: Option<PipelineSource>,
    /// The title of the new run.
    pub(crate) title: Option<String>,
    /// The run pauses before this step.
    pub(crate) until_step: Option<String>,
    /// A fork may act outside.
    pub(crate) live: bool,
    /// A fork ends work as its origin did, where it is given the same.
    pub(crate) replay_effects: bool,
    /// No command waits for the new run.
    pub(crate) detach: bool,
    /// What the request brings for the new run.
    pub(crate) credentials: BroughtCredentials,
}

impl Rerun {
    /// Continues from the whole history, with nothing changed.
    pub(crate) fn new(how: OriginKind, detach: bool) -> Self {
        let (at, moment, from_step, until_step) = (None, None, None, None);
        let (input, config, source, title) = (None, None, None, None);
        let credentials = BroughtCredentials::default();
        let (live, replay_effects) = (false, false);
        Self {
            how,
            at,
            moment,
            from_step,
            input,
            config,
            source,
            title,
            until_step,
            live,
            replay_effects,
            detach,
            credentials,
        }
    }
}

impl Node {
    /// Makes a run that continues from the history of another run.
    ///
    /// # Errors
    /// There is no such run or step, or the run refuses it.
    pub(crate) async fn again(
        &self,
        origin: RunId,
        asked: Rerun,
        actor: Actor,
        once: Idempotency,
    ) -> Result<StartedRun, Fault> {
        self.may_write()?;
        if let Some(wanted) = asked.at {
            let last = self.engine().with_state(origin, |state| state.version()).await?;
            if last < wanted {
                let what = format!("run {} is at version {last}, not yet at {wanted}", origin.short());
                return Err(Fault::new(Code::NotYet, what)
                    .hint(format!("`everfold events {}` shows them", origin.short())));
            }
        }
        let definition = match &asked.source {
            Some(source) => Some(self.definition_of(source).await?),
            None => None,
        };
        let is_fork = asked.how == OriginKind::Fork;
        let request = ForkRequest {
            origin,
            how: asked.how,
            at: asked.at,
            moment: asked.moment,
            from_step: asked.from_step.as_deref().map(StepId::new),
            input: asked.input,
            config: asked.config,
            definition,
            title: asked.title,
            live: asked.live,
            replay_effects: asked.replay_effects,
            until_step: asked.until_step.as_deref().map(StepId::new),
            actor,
            dedup: once.dedup,
            credentials: asked.credentials,
        };
        let started = match self.engine().fork(request).await {
            Ok(started) => started,
            Err(
                StartError::Refused(Refusal::UnknownStep(path))
                | StartError::Submit(SubmitError::Refused(Refusal::UnknownStep(path))),
            ) => return Err(self.no_step(origin, path).await),
            Err(StartError::Refused(refusal @ Refusal::Ended(_))) if is_fork => {
                return Err(Fault::from(refusal).hint(
                    "it had ended by that moment: an earlier one can be forked (`everfold events RUN` lists them); `everfold restart RUN --from STEP` begins a step anew",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        self.drive(started.run, asked.detach).await?;
        Ok(StartedRun { run: started.run, went: started.into(), held: started.held })
    }

    /// The fault of a step that a run does not have, with the one that was probably meant.
    pub(super) async fn no_step(&self, run: RunId, path: StepPath) -> Fault {
        let fault = Fault::from(Refusal::UnknownStep(path.clone()));
        let near = self.engine().with_state(run, move |state| {
            // Of a step that there is, the item is what there is none of.
            if state.steps().any(|(step, _)| step.id == path.step) {
                return None;
            }
            let steps: Vec<StepId> = state.steps().map(|(step, _)| step.id.clone()).collect();
            similar(path.step.as_str(), steps.iter().map(StepId::as_str)).map(str::to_owned)
        });
        let near = near.await.ok().flatten();
        fault.hinted(near.map(|near| format!("did you mean “{near}”?")))
    }

    /// Retries a run: a blocked one in place, an ended one as a new run.
    ///
    /// # Errors
    /// There is no such run or step, nothing of the run can be retried, or the run refuses it.
    pub(crate) async fn retry(
        &self,
        run: RunId,
        asked: Rerun,
        actor: Actor,
        once: Idempotency,
    ) -> Result<StartedRun, Fault> {
        if self.engine().with_state(run, |state| state.is_ended()).await? {
            return self.again(run, asked, actor, once).await;
        }
        let path: Option<StepPath> =
            asked.from_step.as_deref().map(str::parse).transpose().map_err(
                |error: everfold_engine::id::BadStepPath| Fault::new(Code::NoStep, error.to_string()),
            )?;
        // Before it goes on: its next attempt needs them. What is going to be refused replaces none.
        if !asked.credentials.is_empty() && self.is_blocked_at(run, path.clone()).await? {
            self.may_write()?;
            self.engine().bring(run, asked.credentials).await?;
        }
        let kind = InputKind::Unblock {
            path,
            decision: UnblockDecision::Retry,
            output: None,
            reason: None,
            policies: Default::default(),
            keeps_items: true,
        };
        let went = self.submit(run, kind, actor, once).await?;
        Ok(StartedRun { run, went, held: false })
    }

    /// Whether a decision on a path, or on none, finds the one thing that it decides on.
    async fn is_blocked_at(&self, run: RunId, wanted: Option<StepPath>) -> Result<bool, Fault> {
        let is_wanted = move |path: &StepPath| match &wanted {
            Some(wanted) if wanted.item.is_some() => wanted == path,
            Some(wanted) => wanted.step == path.step,
            None => true,
        };
        let blocked = self.engine().with_state(run, move |state| {
            let awaited = state.awaited();
            awaited.iter().filter(|it| matches!(it, Awaited::Unblock { path, .. } if is_wanted(path))).count()
        });
        Ok(blocked.await? == 1)
    }
}
