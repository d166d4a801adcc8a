//! The runs above a step's process: its own, and those whose steps had it started, by whatever way; and who may not decide
//! what is for people.
//!
//! Law: what is for people to decide of a run, no step of it decides, and no step of a run below it: whether one of its
//! steps started that run, triggered or made the schedule that did, or saved the version of the pipeline that a moment or a
//! delivery started. Nor does a person by another way whom its approval excludes, or under a name that they made up.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use crate::error::{QueryError, SubmitError};
use crate::runtime::Runtime;
use crate::streams::schedules::schedule_stream::{ScheduleStream, decoded};
use crate::streams::schedules::tick::about;
use crate::streams::triggers::action::run_of;
use everfold_base::actor::Actor;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{RunId, Version};
use everfold_base::json::Hash;
use everfold_core::decide::{Refusal, is_for_people, is_own_decision};
use everfold_core::input::InputKind;
use everfold_core::pipeline_versions::{SavedPipeline, saved_pipeline};
use everfold_core::schedules::{ScheduleEvent, stream};
use everfold_core::state::RunState;

/// Runs above one that are looked at.
const RUNS_MAX: usize = 64;
/// Newest events of a schedule or a pipeline that are read for one of them.
const EVENTS_MAX: u64 = 10_000;
/// Events that are read at once.
const PAGE: u64 = 500;

/// The runs above an actor: none, where it is no step's process and no run's step.
#[derive(Debug, Clone, Default)]
pub struct RunsAbove {
    runs: Vec<RunId>,
    is_cut: bool,
}

impl RunsAbove {
    /// The runs that were found, the nearest first.
    #[must_use]
    pub fn found(&self) -> &[RunId] {
        &self.runs
    }

    /// There may be more than were found: each other run counts as one of them.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether the run is one of them.
    #[must_use]
    pub fn holds(&self, run: RunId) -> bool {
        self.is_cut || self.runs.contains(&run)
    }
}

/// Who would decide something.
#[derive(Clone, Copy)]
pub(crate) struct Decider<'a> {
    pub(crate) actor: &'a Actor,
    /// The step's process that made what sends it.
    pub(crate) made_by: Option<&'a Actor>,
    /// The person behind it, where the actor does not say who that is.
    pub(crate) behind: Option<&'a Actor>,
}

impl Runtime {
    /// The runs above an actor.
    ///
    /// # Errors
    /// One of them, or what started it, cannot be read.
    pub(crate) async fn runs_above(&self, actor: &Actor) -> Result<RunsAbove, QueryError> {
        let mut above = RunsAbove::default();
        let mut next: VecDeque<RunId> = run_of_step(actor).into_iter().collect();
        while let Some(run) = next.pop_front() {
            if above.runs.contains(&run) {
                continue;
            }
            if above.runs.len() == RUNS_MAX {
                above.is_cut = true;
                break;
            }
            above.runs.push(run);
            let look = |state: &RunState| {
                let definition = state.definition();
                let saved = (definition.name.clone(), definition.hash());
                (state.parent().map(|parent| parent.run), state.started().map(|(by, _)| by.clone()), saved)
            };
            let (parent, by, (pipeline, definition)) = match self.with_state(run, look).await {
                Ok(found) => found,
                Err(QueryError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            next.extend(parent);
            match &by {
                Some(Actor::Schedule(name)) => {
                    let (actors, is_known) = self.behind_moment(name, run).await?;
                    above.is_cut |= !is_known;
                    next.extend(actors.iter().filter_map(run_of_step));
                }
                Some(by) => next.extend(run_of_step(by)),
                None => {}
            }
            if matches!(by, Some(Actor::Schedule(_) | Actor::Hook(_))) {
                next.extend(self.saved_by(&pipeline, definition).await?.as_ref().and_then(run_of_step));
            }
        }
        Ok(above)
    }

    /// Refuses what is for people to decide of a run: from a step of it or of a run below it, or from what that step made; from
    /// a delivery that a token's holder made up or had handled again; and from who started the run, by another run, a schedule
    /// or a delivery, where its approval excludes them.
    pub(crate) async fn refuse_decision(
        &self,
        run: RunId,
        kind: &InputKind,
        by: Decider<'_>,
    ) -> Result<(), SubmitError> {
        let is_asked = matches!(
            kind,
            InputKind::Vote(_)
                | InputKind::MeasuredVote { .. }
                | InputKind::Unblock { .. }
                | InputKind::Signal(_)
        );
        if !is_asked {
            return Ok(());
        }
        let step = by.made_by.unwrap_or(by.actor);
        let own = run_of_step(step);
        let made_up =
            by.behind.filter(|behind| matches!((by.actor, behind), (Actor::Hook(_), Actor::Token(_))));
        if own.is_some() || made_up.is_some() {
            let (asked, is_own) = (kind.clone(), own == Some(run) && by.made_by.is_none());
            if self.decides(run, move |state| is_for_people(state, &asked, is_own)).await? {
                if let Some(by) = made_up {
                    return Err(Refusal::ByHand { run, by: by.clone() }.into());
                }
                if self.runs_above(step).await.map_err(SubmitError::from)?.holds(run) {
                    return Err(Refusal::FromBelow(run).into());
                }
            }
        }
        // What its own steps send is not counted by itself.
        if run_of_step(by.actor) == Some(run) {
            return Ok(());
        }
        let behind = match by.behind {
            Some(behind) => {
                let person = self.initiator_of(behind).await.map_err(SubmitError::from)?;
                person.or_else(|| Some(behind.clone()))
            }
            None => self.initiator_of(by.actor).await.map_err(SubmitError::from)?,
        };
        let Some(person) = behind else { return Ok(()) };
        let (asked, named) = (kind.clone(), person.clone());
        if self.decides(run, move |state| is_own_decision(state, &asked, &named)).await? {
            return Err(Refusal::OwnDecision { run, by: person }.into());
        }
        Ok(())
    }

    /// What a run's state says; that there is no such run, the run itself answers.
    async fn decides(
        &self,
        run: RunId,
        look: impl FnOnce(&RunState) -> bool + Send + 'static,
    ) -> Result<bool, SubmitError> {
        match self.with_state(run, look).await {
            Ok(decides) => Ok(decides),
            Err(QueryError::NotFound(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Who triggered the moment that started a run, by hand, and who had made its schedule what it was; false: the moment is
    /// not among the newest of the schedule.
    async fn behind_moment(&self, name: &str, run: RunId) -> Result<(Vec<Actor>, bool), QueryError> {
        let (mut actors, mut is_found, mut is_set) = (Vec::new(), false, false);
        let look = |event: &Envelope| {
            let header = &event.header;
            match decoded(event) {
                Ok(ScheduleEvent::TickDue(tick)) if !is_found => {
                    is_found = run_of(&about(name, header.version, event.hash)) == run;
                    if is_found && tick.by_hand {
                        actors.push(header.actor.clone());
                    }
                }
                Ok(ScheduleEvent::ScheduleSet(_)) if is_found => {
                    actors.push(header.actor.clone());
                    is_set = true;
                    return ControlFlow::Break(());
                }
                _others => {}
            }
            ControlFlow::Continue(())
        };
        self.newest_first(&stream(name), look).await?;
        if is_found && !is_set {
            let schedule = ScheduleStream::load(self, name).await;
            let schedule = schedule.map_err(|error| QueryError::Store(error.to_string()))?;
            actors.extend(schedule.state.set_by().cloned());
        }
        Ok((actors, is_found))
    }

    /// Who saved the newest version of a pipeline that has this definition.
    pub(crate) async fn saved_by(
        &self,
        pipeline: &str,
        definition: Hash,
    ) -> Result<Option<Actor>, QueryError> {
        let mut found = None;
        let look = |event: &Envelope| match saved_pipeline(event) {
            Ok(saved) if saved.hash == definition => {
                found = Some(event.header.actor.clone());
                ControlFlow::Break(())
            }
            _others => ControlFlow::Continue(()),
        };
        self.newest_first(&SavedPipeline::stream(pipeline), look).await?;
        Ok(found)
    }

    /// Shows the newest events of a stream, the newest first.
    async fn newest_first(
        &self,
        stream: &StreamId,
        mut look: impl FnMut(&Envelope) -> ControlFlow<()>,
    ) -> Result<(), QueryError> {
        let unread = |error: everfold_store::ReadError| QueryError::Store(error.to_string());
        let Some(head) = self.store.head(stream).await.map_err(unread)? else { return Ok(()) };
        let mut until = head.version.get();
        let least = until.saturating_sub(EVENTS_MAX);
        while until > least {
            let before = until.saturating_sub(PAGE).max(least);
            let count = usize::try_from(until - before).unwrap_or(usize::MAX);
            let events = self.store.read(stream, Version(before).next(), count).await.map_err(unread)?;
            for event in events.iter().rev() {
                if look(event).is_break() {
                    return Ok(());
                }
            }
            until = before;
        }
        Ok(())
    }
}

/// The run of an actor that is a step's process or a run's step.
fn run_of_step(actor: &Actor) -> Option<RunId> {
    match actor {
        Actor::Run(name) => name.split('/').next()?.parse().ok(),
        _other => None,
    }
}
