//! The runs above a step's process: its own, and those whose steps had it started, by whatever way.
//!
//! Law: what is for people to decide of a run, no step of it decides, and no step of a run below it: whether one of its
//! steps started that run, triggered or made the schedule that did, or saved the version of the pipeline that a moment or a
//! delivery started.

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
use everfold_core::decide::{Refusal, is_for_people};
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

    /// Refuses what is for people to decide of a run, from a step of it or of a run below it, or from what that step made
    /// (`made_by`).
    pub(crate) async fn refuse_from_below(
        &self,
        run: RunId,
        kind: &InputKind,
        actor: &Actor,
        made_by: Option<&Actor>,
    ) -> Result<(), SubmitError> {
        let is_asked = matches!(
            kind,
            InputKind::Vote(_)
                | InputKind::MeasuredVote { .. }
                | InputKind::Unblock { .. }
                | InputKind::Signal(_)
        );
        let step = made_by.unwrap_or(actor);
        let Some(own) = run_of_step(step).filter(|_| is_asked) else { return Ok(()) };
        let (asked, is_own) = (kind.clone(), own == run && made_by.is_none());
        let is_for_people = self.with_state(run, move |state| is_for_people(state, &asked, is_own)).await;
        let is_refused = match is_for_people {
            Ok(true) => self.runs_above(step).await.map_err(SubmitError::from)?.holds(run),
            // The run itself answers that there is none.
            Ok(false) | Err(QueryError::NotFound(_)) => false,
            Err(error) => return Err(error.into()),
        };
        if is_refused { Err(Refusal::FromBelow(run).into()) } else { Ok(()) }
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
