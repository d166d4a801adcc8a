//! Why a run is where it is: the causes of its state, what its engine knows besides, and the runs that it waits for.
//!
//! Law: the causes are those of [`everfold_engine::why`]. Added is only what no state of the run knows: who holds a slot,
//! what an attempt waits for in line, why another run waits. How many runs are followed, and how deep, is bounded; a run
//! that is explained already is not explained again.

mod budget;
mod budget_sentence;

use std::collections::BTreeSet;

use everfold_engine::driver::{Reason, Waiting};
use everfold_engine::envelope::StreamId;
use everfold_engine::event;
use everfold_engine::id::{Position, RunId, StepId, StepPath, Version};
use everfold_engine::state::{RunState, StepStatus};
use everfold_engine::why::{
    CauseKind, CauseNode, CauseSubject, Trail, TrailPlace, of_condition, of_run, of_step,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::handle::Node;
use crate::body::why::RunWhy;
use crate::fault::{Code, Fault};

/// The newest events of a run that causes are shown by.
const TRAIL_MAX: u64 = 20_000;
/// Events that are read at once.
const CHUNK: usize = 1_000;
/// Runs that one answer explains.
const RUNS_MAX: usize = 20;
/// How far a chain of runs is followed.
const DEPTH_MAX: usize = 6;
/// Holders of one slot that are named.
const HOLDERS_MAX: usize = 3;
/// Attempts in line that are looked at.
const IN_LINE_MAX: usize = 100;
/// Conditions of one answer whose values are looked up in the state of then.
const CONDITIONS_MAX: usize = 8;

impl Node {
    /// Why a run, or a step of it, is where it is, or was after an event.
    ///
    /// # Errors
    /// There is no such run or step, or it has not come that far.
    pub(crate) async fn why(
        &self,
        run: RunId,
        step: Option<&StepId>,
        at: Option<Version>,
    ) -> Result<RunWhy, Fault> {
        if at == Some(Version::ZERO) {
            return Err(
                Fault::new(Code::NotYet, "versions count from 1").hint("`everfold events RUN` shows them")
            );
        }
        let state = self.state_then(run, at).await?;
        let position = match at {
            Some(version) => self.position_of(run, version).await?,
            None => None,
        };
        let mut chain = Chain { node: self, at: position, seen: BTreeSet::from([run]), conditions: 0 };
        let causes = chain.causes(run, &state, step, 0).await?;
        let step_status = step.and_then(|step| state.step_status(step)).map(|status| status.to_string());
        let pipeline = state.pipeline().to_owned();
        Ok(RunWhy {
            run,
            short_id: run.short(),
            pipeline,
            title: state.title().map(|title| everfold_engine::text::one_line(title).into_owned()),
            status: state.status(),
            step: step.map(ToString::to_string),
            step_status,
            version: state.version(),
            at: state.last_at(),
            causes,
        })
    }

    /// The state of a run now, or after an event.
    pub(super) async fn state_then(&self, run: RunId, at: Option<Version>) -> Result<RunState, Fault> {
        let state = match at {
            Some(version) => self.engine.state_at(run, version).await?,
            None => self.engine.state(run).await?,
        };
        match state.run() {
            Some(_) => Ok(state),
            None => Err(Fault::new(Code::NoRun, format!("there is no run {run}"))),
        }
    }

    /// Where an event of a run stands in the log.
    async fn position_of(&self, run: RunId, version: Version) -> Result<Option<Position>, Fault> {
        let events = self.store.read(&StreamId::run(run), version, 1).await?;
        Ok(events.first().map(|event| event.position))
    }

    /// The newest events of a run up to a version, by what they are about.
    pub(super) async fn trail(&self, run: RunId, to: Version) -> Result<Trail, Fault> {
        let (stream, mut trail) = (StreamId::run(run), Trail::default());
        let mut next = Version(to.get().saturating_sub(TRAIL_MAX)).next();
        while next <= to {
            let left = usize::try_from(to.get() - next.get() + 1).unwrap_or(CHUNK);
            let events = self.store.read(&stream, next, left.min(CHUNK)).await?;
            let Some(last) = events.last() else { break };
            next = last.header.version.next();
            for envelope in &events {
                let header = &envelope.header;
                let event = event::decode(header.kind, header.schema, &envelope.payload)
                    .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
                let place = TrailPlace {
                    version: header.version,
                    position: envelope.position,
                    at: header.recorded_at,
                    actor: header.actor.clone(),
                };
                trail.note(&place, &event);
            }
        }
        Ok(trail)
    }
}

/// An answer that follows causes from run to run.
struct Chain<'a> {
    node: &'a Node,
    /// The moment of the past that is asked about.
    at: Option<Position>,
    seen: BTreeSet<RunId>,
    conditions: usize,
}

impl Chain<'_> {
    /// The causes of a run, or of a step of it.
    async fn causes(
        &mut self,
        run: RunId,
        state: &RunState,
        step: Option<&StepId>,
        depth: usize,
    ) -> Result<Vec<CauseNode>, Fault> {
        let trail = self.node.trail(run, state.version()).await?;
        let mut causes = match step {
            None => of_run(state, &trail),
            Some(step) => {
                let of_step = of_step(state, &trail, step).ok_or_else(|| no_step(state, step))?;
                with_pauses(state, &trail, step, of_step)
            }
        };
        let line = if self.at.is_none() && !state.is_ended() {
            let (line, _total) = self.node.engine.waiting(run, IN_LINE_MAX);
            for cause in self.of_engine(run, state).await {
                causes.insert(0, cause);
            }
            line
        } else {
            Vec::new()
        };
        for cause in &mut causes {
            self.complete(run, state, &line, cause, depth).await?;
        }
        leave_out_free_slots(&mut causes);
        Ok(causes)
    }

    /// What keeps the engine itself from going on with a run.
    async fn of_engine(&self, run: RunId, state: &RunState) -> Vec<CauseNode> {
        let node = self.node;
        let mut causes = Vec::new();
        if let Some(why) = node.why_set_aside(run) {
            let sentence = format!("the run is set aside, because its engine could not go on with it: {why}");
            causes.push(CauseNode::new(CauseKind::SetAside, CauseSubject::default(), sentence));
        }
        if state.note().busy && !node.drives(run).await {
            let sentence = "no engine goes on with the run; `everfold resume` or `everfold serve` does";
            causes.push(CauseNode::new(CauseKind::Owner, CauseSubject::default(), sentence));
        }
        if let Some(shortage) = node.disk_shortage().await {
            let sentence = shortage.sentence("the run goes on");
            causes.push(CauseNode::new(CauseKind::Disk, CauseSubject::default(), sentence));
        }
        causes
    }

    /// Adds what the state of the run does not know to a cause, and to those below it.
    fn complete<'b>(
        &'b mut self,
        run: RunId,
        state: &'b RunState,
        line: &'b [Waiting],
        cause: &'b mut CauseNode,
        depth: usize,
    ) -> BoxFuture<'b, Result<(), Fault>> {
        async move {
            if depth > 0
                && let Some(evidence) = &mut cause.evidence
            {
                evidence.run = Some(run);
            }
            for below in &mut cause.because {
                self.complete(run, state, line, below, depth).await?;
            }
            if matches!(cause.kind, CauseKind::Start | CauseKind::Work) && self.at.is_none() {
                self.preflight(run, cause);
            }
            match cause.kind {
                CauseKind::Start | CauseKind::Probe => {
                    let found: Vec<CauseNode> = self.in_line(line, cause).collect();
                    cause.because.extend(found);
                    if cause.because.is_empty() && cause.kind == CauseKind::Start {
                        cause.because.extend(self.of_worker(cause));
                    }
                }
                CauseKind::Slot => self.holders(run, state, cause, depth).await?,
                CauseKind::Child => {
                    if let Some(child) = cause.subject.run {
                        cause.because = self.below(child, depth).await?;
                    }
                }
                CauseKind::Condition => self.condition(run, cause).await?,
                CauseKind::Budget if cause.subject.step.is_none() => budget_sentence::say_times(state, cause),
                // What waits for money, and not the budget that it waits for.
                CauseKind::Budget if cause.subject.step.is_some() && self.at.is_none() => {
                    self.reservations(run, state, cause, depth).await?;
                }
                _known => {}
            }
            Ok(())
        }
        .boxed()
    }

    /// Why another run waits.
    async fn below(&mut self, run: RunId, depth: usize) -> Result<Vec<CauseNode>, Fault> {
        if !self.seen.insert(run) {
            let sentence = format!("the run {} is explained above", run.short());
            return Ok(vec![CauseNode::new(CauseKind::More, CauseSubject::run(run), sentence)]);
        }
        if depth >= DEPTH_MAX || self.seen.len() > RUNS_MAX {
            let sentence = format!("`everfold why {}` goes on from here", run.short());
            return Ok(vec![CauseNode::new(CauseKind::More, CauseSubject::run(run), sentence)]);
        }
        let version = match self.at {
            Some(position) => match self.node.version_before(run, position).await {
                Ok(version) => Some(version),
                // It was ordered, and had not begun then.
                Err(fault) if fault.code == Code::NotYet => return Ok(Vec::new()),
                Err(fault) => return Err(fault),
            },
            None => None,
        };
        match self.node.state_then(run, version).await {
            Ok(state) => self.causes(run, &state, None, depth + 1).await,
            Err(fault) if fault.code == Code::NoRun => Ok(Vec::new()),
            Err(fault) => Err(fault),
        }
    }

    /// Who holds the slot that a run waits for, and why each goes on.
    async fn holders(
        &mut self,
        run: RunId,
        state: &RunState,
        cause: &mut CauseNode,
        depth: usize,
    ) -> Result<(), Fault> {
        let Some(slot) = state.slots().iter().find(|slot| Some(&slot.key) == cause.subject.name.as_ref())
        else {
            return Ok(());
        };
        let awaited = self.node.awaited_at(run, slot, self.at).await?.unwrap_or_default();
        let more = awaited.len().saturating_sub(HOLDERS_MAX);
        if awaited.is_empty() {
            // Free for it: the others of its slots are not.
            cause.sentence.push_str(", which is free");
        }
        for holder in awaited.into_iter().take(HOLDERS_MAX) {
            let other = holder.run;
            let what = self.name_of(other).await?;
            let sentence = match holder.since {
                Some(_) => format!("the run {} holds it{what}", other.short()),
                None => format!("the run {} waits for it, too, and comes first{what}", other.short()),
            };
            let why = self.below(other, depth).await?;
            let subject = CauseSubject::run(other).named(&slot.key);
            cause
                .because
                .push(CauseNode::new(CauseKind::Slot, subject, sentence).since(holder.since).because(why));
        }
        if more > 0 {
            let sentence = format!("{more} further runs hold it, or come first");
            cause.because.push(CauseNode::new(CauseKind::More, CauseSubject::name(&slot.key), sentence));
        }
        Ok(())
    }

    /// The pipeline of a run and its title, for a sentence.
    async fn name_of(&self, run: RunId) -> Result<String, Fault> {
        let row = self.node.runs(None, move |runs| runs.get(run, None)).await?;
        let Some(row) = row else { return Ok(String::new()) };
        let title = row.title.map(|title| format!(", {}", crate::text::cut(&title, 80))).unwrap_or_default();
        Ok(format!(" ({}{title})", row.pipeline))
    }

    /// What the attempt or probe of a cause waits for in line.
    fn in_line<'b>(
        &self,
        line: &'b [Waiting],
        cause: &CauseNode,
    ) -> impl Iterator<Item = CauseNode> + use<'b> {
        let step = cause.subject.step.clone();
        let gate = (cause.kind == CauseKind::Probe).then(|| cause.subject.name.clone()).flatten();
        let is_it =
            move |waiting: &&Waiting| Some(waiting.attempt.path.to_string()) == step && waiting.gate == gate;
        line.iter()
            .filter(is_it)
            .flat_map(|waiting| waiting.reasons.iter().map(|reason| of_reason(reason, waiting)))
    }

    /// Whether something is missing that the agent of an attempt needs, so that it does not begin.
    fn preflight(&self, run: RunId, cause: &mut CauseNode) {
        let waits = self.node.preflights().waits_of(run);
        let Some((id, wait)) =
            waits.into_iter().find(|(id, _)| Some(id.attempt.path.to_string()) == cause.subject.step)
        else {
            return;
        };
        cause.sentence = format!("{} does not begin", id.attempt.path);
        let sentence = format!("it waits for {}: {}; {}", wait.awaits, wait.reason, wait.hint);
        let missing = CauseNode::new(CauseKind::Preflight, CauseSubject::name(&wait.profile), sentence);
        cause.because.push(missing.since(wait.since));
    }

    /// Whether a worker is missing for the function that an attempt calls.
    fn of_worker(&self, cause: &CauseNode) -> Option<CauseNode> {
        let name = cause.subject.name.as_deref()?;
        if self.at.is_some() || !self.node.functions().is_remote(name) {
            return None;
        }
        let function = self.node.book().function(name, "");
        let sentence = match function.polls {
            0 => format!("no worker offers the function {name} now"),
            _some => format!("no worker has taken it yet; the function {name} is offered"),
        };
        Some(CauseNode::new(CauseKind::Worker, CauseSubject::name(name), sentence))
    }

    /// The values that a condition looked at, from the state of then.
    async fn condition(&mut self, run: RunId, cause: &mut CauseNode) -> Result<(), Fault> {
        let (Some(evidence), Some(step)) = (&cause.evidence, &cause.subject.step) else { return Ok(()) };
        let before = evidence.version.get() - 1;
        if before == 0 || self.conditions == CONDITIONS_MAX {
            return Ok(());
        }
        self.conditions += 1;
        let Ok(path) = step.parse::<StepPath>() else { return Ok(()) };
        // A copied part of a history may not fold by the definition of now: then the values of now stand.
        if let Ok(state) = self.node.engine.state_at(run, Version(before)).await {
            let then = of_condition(&state, &path.step);
            (cause.sentence, cause.values) = (then.sentence, then.values);
        }
        Ok(())
    }
}

/// Leaves out the slots and the key of a run that are free: these hold it up only as long as nothing else does, neither another
/// of its slots nor a pause, at whose end it gets them.
fn leave_out_free_slots(causes: &mut Vec<CauseNode>) {
    causes.iter_mut().for_each(|cause| leave_out_free_slots(&mut cause.because));
    // What names a run is about who holds one.
    let is_own = |cause: &CauseNode| cause.kind == CauseKind::Slot && cause.subject.run.is_none();
    let is_free = |cause: &CauseNode| is_own(cause) && cause.because.is_empty();
    let holds_up = |cause: &CauseNode| cause.kind == CauseKind::Paused || (is_own(cause) && !is_free(cause));
    if causes.iter().any(holds_up) {
        causes.retain(|cause| !is_free(cause));
    }
}

/// The causes of a step with the pauses of its run: what the step waits for comes, and a paused run does not go on with it.
fn with_pauses(state: &RunState, trail: &Trail, step: &StepId, of_step: Vec<CauseNode>) -> Vec<CauseNode> {
    use StepStatus::{Cancelled, Failed, Skipped, Succeeded};
    let has_ended = matches!(state.step_status(step), Some(Succeeded | Failed | Skipped | Cancelled));
    if state.is_ended() || has_ended {
        return of_step;
    }
    // A step that the pause alone holds up names it below.
    let pauses = of_run(state, trail)
        .into_iter()
        .filter(|cause| cause.kind == CauseKind::Paused && cause.because.is_empty())
        .filter(|pause| !of_step.iter().any(|cause| tells(cause, pause)));
    let pauses: Vec<CauseNode> = pauses.collect();
    pauses.into_iter().chain(of_step).collect()
}

/// Whether a cause, or one below it, says the same as another one.
fn tells(cause: &CauseNode, other: &CauseNode) -> bool {
    cause.sentence == other.sentence || cause.because.iter().any(|below| tells(below, other))
}

fn no_step(state: &RunState, step: &StepId) -> Fault {
    let known: Vec<&str> = state.definition().steps.iter().map(|step| step.id.as_str()).collect();
    let fault = Fault::new(Code::NoStep, format!("the run has no step “{step}”"));
    match everfold_engine::definition::similar(step.as_str(), known.iter().copied()) {
        Some(near) => fault.hint(format!("did you mean {near}?")),
        None => fault.hint(format!("its steps are {}", known.join(", "))),
    }
}

/// What a request in line waits for.
pub(super) fn of_reason(reason: &Reason, waiting: &Waiting) -> CauseNode {
    let (kind, name, until) = match reason {
        Reason::Resource { name, .. } | Reason::Unknown { name } | Reason::Withheld { name, .. } => {
            (CauseKind::Resource, name, None)
        }
        Reason::Place { name, .. } => (CauseKind::Place, name, None),
        Reason::Rate { service, next, .. } => (CauseKind::Rate, service, Some(*next)),
        Reason::Breaker { service, next, .. } => (CauseKind::Breaker, service, Some(*next)),
    };
    CauseNode::new(kind, CauseSubject::name(name), format!("it waits for {reason}"))
        .since(waiting.since)
        .until(until)
}
