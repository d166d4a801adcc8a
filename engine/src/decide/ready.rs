//! A step's needs are satisfied: its round begins, or it is passed over.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::draft::{Draft, Interrupt, settled};
use super::scope::RunScope;
use crate::definition::{Approval, Setting, Span, Step, Task, Work};
use crate::event::{
    ApprovalRequested, ApprovalTerms, ItemsExpanded, ScheduledTask, ScheduledWork, SkipReason, StepFailed,
    StepScheduled, StepSkipped, TimerId, TimerKind, TimerSet,
};
use crate::expr::{EvalError, Template};
use crate::failure::{Failure, FailureKind};
use crate::id::{Attempt, AttemptId, Round, StepPath};
use crate::json::{Payload, Value};
use crate::state::Key;

/// The most items of one `foreach`, and the most bytes of its list: it is recorded in one append.
const ITEMS_MAX: usize = 100_000;
const ITEMS_BYTES_MAX: usize = 2 * 1024 * 1024;

pub(super) fn begin(draft: &mut Draft<'_>, at: usize) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let step = graph.step(at);
    let state = &draft.state.facts.steps[at];
    let path = StepPath::step(&step.id);
    let former = state.round;
    if step.standby && !state.named {
        draft.record(StepSkipped { path, round: former, reason: SkipReason::Standby });
        return Ok(());
    }
    let round = former.next();
    let scope = RunScope::of(draft.state, draft.loaded, Key::step(at));
    if let Some(when) = &step.when {
        match settled(when.eval_bool(&scope))? {
            Ok(true) => {}
            Ok(false) => {
                draft.record(StepSkipped { path, round: former, reason: SkipReason::When });
                return Ok(());
            }
            Err(failure) => return fail(draft, path, former, failure),
        }
    }
    match settled(prepare(step, &scope))? {
        Ok(prepared) => record(draft, step, round, prepared),
        Err(failure) => fail(draft, path, round, failure),
    }
}

/// A step whose own expressions fail never began: no route of it applies.
fn fail(draft: &mut Draft<'_>, path: StepPath, round: Round, failure: Failure) -> Result<(), Interrupt> {
    let tolerated = draft.state.key(&path).is_some_and(|key| draft.state.graph.is_finish(key.step));
    draft.record(StepFailed { path, round, failure, tolerated, finish: None });
    Ok(())
}

/// What a round begins with, rendered and not yet recorded.
enum Prepared {
    Task(PreparedTask),
    Items { items: Vec<Value>, max_in_flight: Option<u32> },
    Approval { title: String, show: Value, terms: ApprovalTerms },
    Wait(Duration),
    Gates,
    Refused(Failure),
}

struct PreparedTask {
    kind: String,
    document: Value,
    timeout: Option<Duration>,
    grace: Duration,
}

fn prepare(step: &Step, scope: &RunScope<'_>) -> Result<Prepared, EvalError> {
    Ok(match (&step.foreach, &step.work) {
        (Some(foreach), _) => match foreach.items.render(scope)? {
            Value::Array(items) => {
                let max_in_flight =
                    foreach.max_in_flight.as_ref().map(|max| max.resolve(scope)).transpose()?;
                check_items(items, max_in_flight)
            }
            other => Prepared::Refused(Failure::new(
                FailureKind::Validation,
                format!("foreach needs a list, and `in` gave {}", type_name(&other)),
            )),
        },
        (None, Some(Work::Task(task))) => Prepared::Task(prepare_task(step, task, scope)?),
        (None, Some(Work::Approval(approval))) => prepare_approval(approval, scope)?,
        (None, Some(Work::Wait(wait))) => match &wait.span {
            Some(span) => Prepared::Wait(span.resolve(scope)?.0),
            None => Prepared::Refused(not_yet("`wait` for anything but a span")),
        },
        (None, Some(Work::Question(_))) => Prepared::Refused(not_yet("`question`")),
        (None, None) => Prepared::Gates,
    })
}

fn not_yet(what: &str) -> Failure {
    Failure::new(FailureKind::Validation, format!("{what} does not work yet"))
}

fn check_items(items: Vec<Value>, max_in_flight: Option<u32>) -> Prepared {
    let bytes: usize = items.iter().map(|item| crate::json::canonical(item).len()).sum();
    if items.len() > ITEMS_MAX || bytes > ITEMS_BYTES_MAX {
        let message = format!(
            "foreach over {} items of {bytes} bytes is over the limit of {ITEMS_MAX} items and {ITEMS_BYTES_MAX} bytes",
            items.len()
        );
        let hint = "put the data into files and go over their names, or over ranges of them";
        return Prepared::Refused(Failure::new(FailureKind::Validation, message).with_hint(hint));
    }
    Prepared::Items { items, max_in_flight }
}

/// Renders an executor's work: the document `{spec, env, outputs}` and its limits.
fn prepare_task(step: &Step, task: &Task, scope: &RunScope<'_>) -> Result<PreparedTask, EvalError> {
    let spec = task.spec.render(scope)?;
    let env = render_texts(&step.env, scope)?;
    let mut files = serde_json::Map::new();
    for (name, file) in &step.outputs.files {
        let path = file.file.render_text(scope)?;
        files.insert(name.clone(), json!({"path": path, "optional": file.optional, "fresh": file.fresh}));
    }
    let json_source = match &step.outputs.json {
        None => Value::Null,
        Some(crate::definition::OutputJson::Stdout) => json!("stdout"),
        Some(crate::definition::OutputJson::Lenient) => json!("lenient"),
        Some(crate::definition::OutputJson::File(path)) => json!({"file": path.render_text(scope)?}),
    };
    let outputs = json!({"files": files, "json": json_source, "matches": step.outputs.matches});
    Ok(PreparedTask {
        kind: task.kind.clone(),
        document: json!({"spec": spec, "env": env, "outputs": outputs}),
        timeout: resolve_span(step.timeout.as_ref(), scope)?,
        grace: step.grace.resolve(scope)?.0,
    })
}

fn resolve_span(
    setting: Option<&Setting<Span>>,
    scope: &RunScope<'_>,
) -> Result<Option<Duration>, EvalError> {
    setting.map(|setting| setting.resolve(scope).map(|span| span.0)).transpose()
}

pub(super) fn render_texts(
    templates: &BTreeMap<String, Template>,
    scope: &RunScope<'_>,
) -> Result<BTreeMap<String, String>, EvalError> {
    templates.iter().map(|(name, template)| Ok((name.clone(), template.render_text(scope)?))).collect()
}

fn prepare_approval(approval: &Approval, scope: &RunScope<'_>) -> Result<Prepared, EvalError> {
    let show: Vec<Value> = approval.show.iter().map(|shown| shown.render(scope)).collect::<Result<_, _>>()?;
    Ok(Prepared::Approval {
        title: approval.title.render_text(scope)?,
        show: Value::Array(show),
        terms: ApprovalTerms {
            roles: approval.roles.clone(),
            quorum: approval.quorum.resolve(scope)?.max(1),
            veto: approval.veto,
            self_approval: approval.self_approval,
            comment: approval.comment.clone(),
            changes: !approval.on_changes.is_empty(),
            remind_ms: None,
        },
    })
}

fn record(draft: &mut Draft<'_>, step: &Step, round: Round, prepared: Prepared) -> Result<(), Interrupt> {
    let id = AttemptId { path: StepPath::step(&step.id), round, attempt: Attempt::FIRST };
    match prepared {
        Prepared::Task(task) => {
            let work = ScheduledWork::Task(scheduled(draft, task));
            draft.record(StepScheduled { id, work });
        }
        Prepared::Items { items, max_in_flight } => {
            draft.record(StepScheduled { id, work: ScheduledWork::Items });
            let items: Vec<Payload> = items.iter().map(|item| draft.payload_of(item)).collect();
            draft.record(ItemsExpanded { step: step.id.clone(), round, items, max_in_flight });
        }
        Prepared::Approval { title, show, terms } => {
            draft.record(StepScheduled { id: id.clone(), work: ScheduledWork::Approval });
            let show = draft.payload_of(&show);
            draft.record(ApprovalRequested { id, title, show, terms, edit: None });
        }
        Prepared::Wait(span) => {
            draft.record(StepScheduled { id: id.clone(), work: ScheduledWork::Wait });
            let timer = TimerId { id, kind: TimerKind::Wait, name: String::new() };
            draft.record(TimerSet { timer, at: draft.meta.at.plus(span) });
        }
        Prepared::Gates => draft.record(StepScheduled { id, work: ScheduledWork::Gates }),
        Prepared::Refused(failure) => return fail(draft, id.path, round, failure),
    }
    Ok(())
}

fn scheduled(draft: &mut Draft<'_>, task: PreparedTask) -> ScheduledTask {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
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
    let (Some(items), Some(Work::Task(task))) = (&state.items, &step.work) else { return Ok(()) };
    let item = u32::try_from(items.units.len()).unwrap_or(u32::MAX);
    let round = state.round;
    let path = StepPath::item(&step.id, item);
    let id = AttemptId { path: path.clone(), round, attempt: Attempt::FIRST };
    let scope = RunScope::of(draft.state, draft.loaded, Key { step: at, item: Some(item) });
    match settled(prepare_task(step, task, &scope))? {
        Ok(task) => {
            let work = ScheduledWork::Task(scheduled(draft, task));
            draft.record(StepScheduled { id, work });
        }
        Err(failure) => {
            draft.record(StepScheduled { id, work: ScheduledWork::Items });
            draft.record(StepFailed { path, round, failure, tolerated: false, finish: None });
        }
    }
    Ok(())
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
