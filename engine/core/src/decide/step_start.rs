//! A step's needs are satisfied: its round begins, or it is passed over.

use std::time::Duration;

use serde_json::json;

use super::acts_as;
use super::approval_start::{self, PreparedApproval};
use super::draft::{Draft, Interrupt, settled};
use super::multi_probe;
use super::otherwise;
use super::people_timers::set_limits;
use super::question::{self, PreparedQuestion};
use super::render::{millis, render_env, resolve_pause, type_name};
use super::scope::{RunScope, all};
use super::seen;
use super::wait::{self, Awaiting};
use crate::event::{
    BlockReason, BreakpointHit, ItemsExpanded, KeptWork, QuestionAsked, RetryScheduled, ScheduledTask,
    ScheduledWork, SkipReason, StepBlocked, StepFailed, StepScheduled, TimerId, TimerKind, TimerSet,
};
use crate::seen::LookSpec;
use crate::state::{Key, StoredValue};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{Attempt, AttemptId, Round, StepId, StepPath};
use everfold_base::json::{Payload, Value};
use everfold_language::definition::{ExecutorTask, Join, Setting, Step, Work};
use everfold_language::expr::{EvalError, Template};

/// The most items of one `foreach`, and the most bytes of its list: it is recorded in one append.
const ITEMS_MAX: usize = 100_000;
const ITEMS_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The limit of a round of an `on_finish` step that has none of its own.
const FINISH_DEADLINE: Duration = Duration::from_secs(10 * 60);

pub(super) fn begin(draft: &mut Draft<'_>, at: usize) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(at);
    let state = &draft.state.facts.steps[at];
    let path = StepPath::step(&step.id);
    let former = state.round;
    let is_finish = graph.is_finish(at);
    if step.standby && !state.named {
        return otherwise::skip(draft, path, former, SkipReason::Standby);
    }
    let succeeded = state.order.met as usize;
    let is_passed_over = match step.join {
        Join::Done => false,
        Join::Any => !step.needs.is_empty() && succeeded == 0,
        Join::Succeeded => succeeded < step.needs.len(),
    };
    if is_passed_over {
        return otherwise::skip(draft, path, former, SkipReason::Join);
    }
    if state.order.hold {
        let message = "the new round waits for a person".to_owned();
        draft.record(StepBlocked { path, round: former, reason: BlockReason::Held, message });
        return Ok(());
    }
    let round = former.next();
    let scope = RunScope::of(draft.state, draft.loaded, Key::step(at)).beginning(round);
    if let Some(when) = &step.when {
        match settled(when.eval_bool(&scope))? {
            Ok(true) => {}
            Ok(false) => {
                return otherwise::skip(draft, path, former, SkipReason::When);
            }
            Err(failure) => return fail(draft, path, former, failure),
        }
    }
    let order = &draft.state.facts.order;
    if order.breakpoints.contains(&at) && !order.passed.contains(&at) && draft.state.facts.outcome.is_none() {
        draft.record(BreakpointHit { path });
        return Ok(());
    }
    let prepared =
        prepare(step, &scope).and_then(|prepared| Ok((prepared, deadline(step, is_finish, &scope)?)));
    match settled(prepared)? {
        Ok((prepared, deadline)) => {
            let id = AttemptId { path, round, attempt: Attempt::FIRST };
            let began = !matches!(prepared, PreparedRound::Refused(_));
            record(draft, id.clone(), prepared)?;
            if let Some(deadline) = deadline.filter(|_| began) {
                let timer = TimerId { id, kind: TimerKind::Deadline, name: String::new() };
                draft.record(TimerSet { timer, at: draft.now().plus(deadline) });
            }
            Ok(())
        }
        Err(failure) => fail(draft, path, round, failure),
    }
}

/// A step whose own expressions fail never began: no route of it applies.
fn fail(draft: &mut Draft<'_>, path: StepPath, round: Round, failure: Failure) -> Result<(), Interrupt> {
    otherwise::fail(draft, path, round, failure)
}

/// What a round begins with, rendered and not yet recorded.
enum PreparedRound {
    Task(PreparedTask),
    Items { items: Vec<Value>, max_in_flight: Option<u32> },
    Approval(Box<PreparedApproval>),
    Question(Box<PreparedQuestion>),
    Wait(Awaiting),
    Gates,
    Refused(Failure),
}

struct PreparedTask {
    kind: String,
    document: Value,
    timeout: Option<Duration>,
    grace: Duration,
}

fn prepare(step: &Step, scope: &RunScope<'_>) -> Result<PreparedRound, EvalError> {
    Ok(match (&step.foreach, &step.work) {
        (Some(foreach), _) => match foreach.items.render(scope)? {
            Value::Array(items) => {
                let least = |max: &Setting<u32>| max.resolve_within("`max_in_flight`", 1..=u32::MAX, scope);
                let max_in_flight = foreach.max_in_flight.as_ref().map(least).transpose()?;
                check_items(items, max_in_flight)
            }
            other => PreparedRound::Refused(Failure::new(
                FailureKind::Validation,
                format!("foreach needs a list, and `in` gave {}", type_name(&other)),
            )),
        },
        (None, Some(work)) => prepare_work(step, work, scope)?,
        (None, None) if step.approved.is_empty() => PreparedRound::Gates,
        // Nothing is judged of what was not approved.
        (None, None) => PreparedRound::Task(look_of(&LookSpec::default(), approved(scope, step)?)),
    })
}

/// Prepares the work of a step without items, or of one item.
fn prepare_work(step: &Step, work: &Work, scope: &RunScope<'_>) -> Result<PreparedRound, EvalError> {
    Ok(match work {
        Work::Task(task) => PreparedRound::Task(prepare_task(step, task, scope)?),
        Work::Approval(approval) => {
            let prepared = approval_start::prepare(approval, scope)?;
            match prepared.look(approval) {
                Err(failure) => PreparedRound::Refused(failure),
                Ok(look) if look.is_empty() => PreparedRound::Approval(Box::new(prepared)),
                // People are asked when it is known what they are shown.
                Ok(look) => PreparedRound::Task(look_of(&look, Value::Null)),
            }
        }
        Work::Question(question) => match question::prepare(question, scope)? {
            Ok(prepared) => PreparedRound::Question(Box::new(prepared)),
            Err(failure) => PreparedRound::Refused(failure),
        },
        Work::Wait(wait) => match wait::prepare(wait, scope)? {
            Awaiting::Refused(failure) => PreparedRound::Refused(failure),
            awaiting => PreparedRound::Wait(awaiting),
        },
    })
}

fn check_items(items: Vec<Value>, max_in_flight: Option<u32>) -> PreparedRound {
    let bytes: usize = items.iter().map(|item| everfold_base::json::canonical(item).len()).sum();
    if items.len() > ITEMS_MAX || bytes > ITEMS_BYTES_MAX {
        let message = format!(
            "foreach over {} items of {bytes} bytes is over the limit of {ITEMS_MAX} items and {ITEMS_BYTES_MAX} bytes",
            items.len()
        );
        let hint = "put the data into files and go over their names, or over ranges of them";
        return PreparedRound::Refused(Failure::new(FailureKind::Validation, message).with_hint(hint));
    }
    PreparedRound::Items { items, max_in_flight }
}

/// A look at the workspace, as the work of an attempt.
fn look_of(look: &LookSpec, approved: Value) -> PreparedTask {
    let document = seen::look_document(look, approved);
    PreparedTask { kind: ExecutorTask::LOOK.to_owned(), document, timeout: None, grace: Duration::ZERO }
}

/// Renders an executor's work: the document `{spec, env, outputs}` and its limits.
fn prepare_task(step: &Step, task: &ExecutorTask, scope: &RunScope<'_>) -> Result<PreparedTask, EvalError> {
    let (mut spec, hidden) = task.spec.render_hiding(scope)?;
    multi_probe::hide(&mut spec, &hidden);
    let (env, hidden) = render_env(&step.env, scope)?;
    let mut files = serde_json::Map::new();
    for (name, file) in &step.outputs.files {
        let path = file.file.render_text(scope)?;
        files.insert(name.clone(), json!({"path": path, "optional": file.optional, "fresh": file.fresh}));
    }
    let json_source = match &step.outputs.json {
        None => Value::Null,
        Some(everfold_language::definition::OutputJson::Stdout) => json!("stdout"),
        Some(everfold_language::definition::OutputJson::Lenient) => json!("lenient"),
        Some(everfold_language::definition::OutputJson::File(path)) => {
            json!({"file": path.render_text(scope)?})
        }
    };
    let outputs = json!({"files": files, "json": json_source, "matches": step.outputs.matches});
    let mut document = json!({"spec": spec, "env": env, "outputs": outputs});
    multi_probe::hide(&mut document, &hidden);
    if !step.approved.is_empty() {
        document["approved"] = approved(scope, step)?;
    }
    acts_as::note(&mut document, acts_as::of_work(step, task, scope)?);
    Ok(PreparedTask {
        kind: task.kind.clone(),
        document,
        timeout: resolve_pause(step.timeout.as_ref(), "`timeout`", scope)?,
        grace: step.grace.resolve(scope)?.0,
    })
}

/// What the approvals that a step names let pass.
fn approved(scope: &RunScope<'_>, step: &Step) -> Result<Value, EvalError> {
    seen::approved(scope, step, approval_start::shown_otherwise)
}

/// The limit of the whole round; a step of `on_finish` has one in any case, so that every run ends.
fn deadline(step: &Step, is_finish: bool, scope: &RunScope<'_>) -> Result<Option<Duration>, EvalError> {
    Ok(resolve_pause(step.deadline.as_ref(), "`deadline`", scope)?.or(is_finish.then_some(FINISH_DEADLINE)))
}

/// Records what a round of a step, or of an item of one, begins with.
fn record(draft: &mut Draft<'_>, id: AttemptId, prepared: PreparedRound) -> Result<(), Interrupt> {
    let work = match &prepared {
        // Only the first attempt is scheduled with its task in the same event.
        PreparedRound::Task(_) => None,
        PreparedRound::Items { .. } => Some(ScheduledWork::Items),
        PreparedRound::Approval(_) => Some(ScheduledWork::Approval),
        PreparedRound::Question(_) => Some(ScheduledWork::Question),
        PreparedRound::Wait(_) => Some(ScheduledWork::Wait),
        PreparedRound::Gates => Some(ScheduledWork::Gates),
        PreparedRound::Refused(_) => None,
    };
    if let Some(work) = work {
        draft.record(StepScheduled { id: id.clone(), work });
    }
    match prepared {
        PreparedRound::Task(task) => {
            let work = ScheduledWork::Task(scheduled(draft, task));
            draft.record(StepScheduled { id, work });
        }
        PreparedRound::Items { items, max_in_flight } => {
            let items: Vec<Payload> = items.iter().map(|item| draft.payload_of(item)).collect();
            draft.record(ItemsExpanded { step: id.path.step, round: id.round, items, max_in_flight });
        }
        PreparedRound::Gates => {}
        PreparedRound::Refused(failure) => return refused(draft, id, failure),
        asking => ask(draft, id, asking),
    }
    Ok(())
}

/// Records what people are asked, or that time is to pass: what an attempt without an executor is.
fn ask(draft: &mut Draft<'_>, id: AttemptId, prepared: PreparedRound) {
    match prepared {
        PreparedRound::Approval(approval) => approval_start::ask(draft, id, *approval, &[]),
        PreparedRound::Question(question) => {
            let PreparedQuestion { title, text, terms, timeout, first_reminder } = *question;
            let text = text.map(|text| draft.payload_of(&text));
            draft.record(QuestionAsked { id: id.clone(), title, text, terms });
            set_limits(draft, &id, timeout, first_reminder);
        }
        PreparedRound::Wait(awaiting) => wait::begin(draft, id, awaiting),
        PreparedRound::Task(_)
        | PreparedRound::Items { .. }
        | PreparedRound::Gates
        | PreparedRound::Refused(_) => {}
    }
}

/// The work cannot begin: its own values are invalid.
fn refused(draft: &mut Draft<'_>, id: AttemptId, failure: Failure) -> Result<(), Interrupt> {
    if id.path.item.is_none() {
        return fail(draft, id.path, id.round, failure);
    }
    draft.record(StepScheduled { id: id.clone(), work: ScheduledWork::Items });
    let AttemptId { path, round, .. } = id;
    draft.record(StepFailed { path, round, failure, tolerated: false, finish: None, output: None });
    Ok(())
}

/// The next attempt of a unit without an executor: people are asked again at once, and a look is made again after the
/// pause.
pub(super) fn again(draft: &mut Draft<'_>, key: Key, pause: Duration) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(key.step);
    let prepared = {
        let scope = RunScope::of(draft.state, draft.loaded, key);
        settled(match &step.work {
            Some(work) => prepare_work(step, work, &scope),
            None => prepare(step, &scope),
        })?
    };
    let id = draft.state.attempt_id(key);
    let id = AttemptId { attempt: id.attempt.next(), ..id };
    let has_looked = draft.state.unit_at(key).is_some_and(|unit| !unit.kind.is_empty());
    let prepared = prepared.map(|prepared| match prepared {
        // It looks again, also where nothing is left to be looked at: its attempts are of one kind.
        PreparedRound::Approval(_) if has_looked => {
            PreparedRound::Task(look_of(&LookSpec::default(), Value::Null))
        }
        prepared => prepared,
    });
    match prepared {
        Ok(PreparedRound::Task(look)) => {
            let task = Some(scheduled(draft, look));
            draft.record(RetryScheduled { id, at: draft.now().plus(pause), task });
        }
        Err(failure) | Ok(PreparedRound::Refused(failure)) => {
            let AttemptId { path, round, .. } = id;
            draft.record(StepFailed { path, round, failure, tolerated: false, finish: None, output: None });
        }
        Ok(prepared) => {
            draft.record(RetryScheduled { id: id.clone(), at: draft.now(), task: None });
            ask(draft, id, prepared);
        }
    }
    Ok(())
}

/// The next attempt of work whose question was answered: it gets the answers, also in its own parameters.
pub(super) fn answered(draft: &mut Draft<'_>, key: Key) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(key.step);
    let id = draft.state.attempt_id(key);
    let id = AttemptId { attempt: id.attempt.next(), ..id };
    let at = draft.now();
    let mentions = |template: &Template| {
        template.references().iter().any(|reference| reference.path().first() == Some(&"answers"))
    };
    let task = match &step.work {
        Some(Work::Task(task)) if mentions(&task.spec) || step.env.values().any(mentions) => {
            let scope = RunScope::of(draft.state, draft.loaded, key);
            match settled(prepare_task(step, task, &scope))? {
                Ok(task) => Some(task),
                Err(failure) => {
                    let AttemptId { path, round, .. } = id;
                    draft.record(StepFailed {
                        path,
                        round,
                        failure,
                        tolerated: false,
                        finish: None,
                        output: None,
                    });
                    return Ok(());
                }
            }
        }
        _as_it_was => None,
    };
    let task = task.map(|task| scheduled(draft, task));
    draft.record(RetryScheduled { id, at, task });
    Ok(())
}

fn scheduled(draft: &mut Draft<'_>, task: PreparedTask) -> ScheduledTask {
    ScheduledTask {
        kind: task.kind,
        task: draft.payload_of(&task.document),
        timeout_ms: task.timeout.map(millis),
        grace_ms: millis(task.grace),
    }
}

/// Schedules the next item of a `foreach`.
pub(super) fn next_item(draft: &mut Draft<'_>, at: usize) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(at);
    let state = &draft.state.facts.steps[at];
    let (Some(items), Some(work)) = (&state.items, &step.work) else { return Ok(()) };
    let item = u32::try_from(items.units.len()).unwrap_or(u32::MAX);
    let id = AttemptId { path: StepPath::item(&step.id, item), round: state.round, attempt: Attempt::FIRST };
    if let Some(work) = kept(draft, &step.id, item, items.list.get(item as usize))? {
        draft.record(StepScheduled { id, work: ScheduledWork::Kept(work) });
        return Ok(());
    }
    let prepared = {
        let scope = RunScope::of(draft.state, draft.loaded, Key { step: at, item: Some(item) });
        settled(prepare_work(step, work, &scope))?
    };
    match prepared {
        Ok(prepared) => record(draft, id, prepared),
        Err(failure) => refused(draft, id, failure),
    }
}

/// Which attempt did an item that is kept, where it is the same one in this round.
fn kept(
    draft: &Draft<'_>,
    step: &StepId,
    item: u32,
    value: Option<&StoredValue>,
) -> Result<Option<KeptWork>, Interrupt> {
    let Some((kept, value)) = draft.state.facts.kept.of(step, item).zip(value) else { return Ok(None) };
    let values = all([&kept.value, value].into_iter().map(|value| value.value(draft.loaded)));
    let is_same = settled(values)?.is_ok_and(|values| values.windows(2).all(|pair| pair[0] == pair[1]));
    Ok(is_same.then(|| kept.work.clone()))
}
