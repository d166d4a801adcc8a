//! People are asked for answers: by a step, or by work in the middle of it.
//!
//! Law: an answer is judged whole, on what was saved and what is given now, and is recorded as it
//! counts: so the recorded answer, given again, gives itself.

use std::time::Duration;

use serde_json::json;

use super::answer::{
    ANSWER_BYTES_MAX, answer_text, merge, missing, read_answer, refuse, states, without_nulls,
};
use super::approval::{self, TaskLookup};
use super::attempt_report::{self, ReportedEnd};
use super::draft::{Draft, Interrupt, settled};
use super::people_timers::set_limits;
use super::question_parts::{read_items, read_options};
use super::refusal::Refusal;
use super::render::{ReminderSpans, millis, resolve_pause, resolve_reminders};
use super::scope::RunScope;
use crate::event::{
    AnswerSaved, AskedBy, AttemptAsked, BlockReason, QuestionAnswered, QuestionAsked, QuestionTerms,
    StepBlocked,
};
use crate::state::{Key, QuestionState, StoredValue, Unit};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::AttemptId;
use everfold_base::json::{JsonText, Value};
use everfold_base::text;
use everfold_language::definition::{Ask, Question, Work};
use everfold_language::expr::EvalError;

/// A question in one line.
const TITLE_CHARS_MAX: usize = 200;

/// A question, rendered and not yet recorded.
pub(super) struct PreparedQuestion {
    pub(super) title: String,
    pub(super) text: Option<Value>,
    pub(super) terms: QuestionTerms,
    pub(super) timeout: Option<Duration>,
    pub(super) first_reminder: Option<Duration>,
}

/// Renders the question of a step.
pub(super) fn prepare(
    question: &Question,
    scope: &RunScope<'_>,
) -> Result<Result<PreparedQuestion, Failure>, EvalError> {
    let render = |template: &Option<everfold_language::expr::Template>| {
        template.as_ref().map(|template| template.render(scope)).transpose()
    };
    let (options, items) = (render(&question.options)?, render(&question.items)?);
    let text = question.text.as_ref().map(|text| text.render_text(scope)).transpose()?;
    let title = text::one_line(&question.title.render_text(scope)?).into_owned();
    let timeout = resolve_pause(question.timeout.as_ref(), "`timeout`", scope)?;
    let remind = resolve_reminders(question.remind.as_ref(), scope)?;
    let parts = read_options(options.as_ref()).and_then(|options| Ok((options, read_items(items.as_ref())?)));
    Ok(match parts {
        Err(message) => Err(Failure::new(FailureKind::Validation, format!("the question: {message}"))),
        Ok((options, items)) => {
            let roles = question.roles.clone();
            let remind_ms = remind.every.map(millis);
            let terms = QuestionTerms { by: AskedBy::Step, options, items, roles, remind_ms };
            let text = text.filter(|text| !text.is_empty()).map(Value::String);
            Ok(PreparedQuestion { title, text, terms, timeout, first_reminder: remind.first })
        }
    })
}

/// A question of the work, `{text, options?, items?}`.
struct AskedInWork {
    text: String,
    options: Vec<String>,
    items: Option<JsonText>,
}

fn read_ask(ask: &Value) -> Result<AskedInWork, String> {
    let Value::Object(fields) = ask else { return Err("it is no map with `text`".into()) };
    if let Some(unknown) = fields.keys().find(|key| !["text", "options", "items"].contains(&key.as_str())) {
        return Err(format!("there is no key `{unknown}`; `text`, `options` and `items` are known"));
    }
    let text = fields.get("text").and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let text = text.ok_or("it has no `text`")?.to_owned();
    let options = read_options(fields.get("options"))?;
    Ok(AskedInWork { text, options, items: read_items(fields.get("items"))? })
}

/// Work ended with a question. One that cannot be asked is a failure of the work.
pub(super) fn asked_by_work(draft: &mut Draft<'_>, id: &AttemptId, ask: &JsonText, end: ReportedEnd<'_>) {
    if !attempt_report::is_awaited(draft.state, id) {
        return;
    }
    let is_finish = draft.state.key(&id.path).is_some_and(|key| draft.state.graph.is_finish(key.step));
    let problem = match read_ask(&ask.value()) {
        _ if is_finish => Some("a step of `on_finish` cannot wait for people".to_owned()),
        _ if ask.as_str().len() > ANSWER_BYTES_MAX => {
            Some(format!("it is larger than {ANSWER_BYTES_MAX} bytes"))
        }
        _ if attempt_report::labels_too_large(draft.state, &end.notes.labels) => {
            Some("its labels are too large".to_owned())
        }
        Ok(_) => None,
        Err(problem) => Some(problem),
    };
    if let Some(problem) = problem {
        let message = format!("the work asked with `everfold.ask`, and {problem}");
        let result = Err(Failure::new(FailureKind::Validation, message));
        return attempt_report::finished(draft, id, ReportedEnd { result: &result, ..end });
    }
    let ask = draft.payload(ask.clone());
    let (id, commit, notes) = (id.clone(), end.commit.cloned(), end.notes.clone());
    draft.record(AttemptAsked { id, ask, commit, ended_at: end.ended_at, notes });
}

/// Opens a task for the question of the work, or blocks where it asks too often.
pub(super) fn raise(draft: &mut Draft<'_>, key: Key) -> Result<(), Interrupt> {
    let graph = draft.state.graph.clone();
    let of_step = graph.step(key.step).ask.clone().unwrap_or_default();
    let id = draft.state.attempt_id(key);
    let prepared = prepare_asked(draft, key, &of_step);
    let (ask, max, timeout, remind) = match settled(prepared)? {
        Ok(prepared) => prepared,
        Err(failure) => {
            let AttemptId { path, round, .. } = id;
            draft.record(crate::event::StepFailed {
                path,
                round,
                failure,
                tolerated: false,
                finish: None,
                output: None,
            });
            return Ok(());
        }
    };
    let asks = draft.state.unit_at(key).map_or(0, Unit::asks);
    let title = one_line(&ask.text);
    if asks > max {
        let message =
            format!("it asked {asks} times in this round, and `ask.max` is {max}; it asks: {title}");
        let AttemptId { path, round, .. } = id;
        draft.record(StepBlocked { path, round, reason: BlockReason::Asked, message });
        return Ok(());
    }
    let text = (title != ask.text).then(|| draft.payload_of(&Value::String(ask.text)));
    let (options, items, roles) = (ask.options, ask.items, of_step.roles);
    let terms =
        QuestionTerms { by: AskedBy::Work, options, items, roles, remind_ms: remind.every.map(millis) };
    draft.record(QuestionAsked { id: id.clone(), title, text, terms });
    set_limits(draft, &id, timeout, remind.first);
    Ok(())
}

fn prepare_asked(
    draft: &Draft<'_>,
    key: Key,
    of_step: &Ask,
) -> Result<(AskedInWork, u32, Option<Duration>, ReminderSpans), EvalError> {
    let scope = RunScope::of(draft.state, draft.loaded, key);
    let people = draft.state.unit_at(key).and_then(|unit| unit.people.as_ref());
    let ask = people.map_or(Ok(Value::Null), |people| people.ask.value(draft.loaded))?;
    let ask = read_ask(&ask).map_err(|message| EvalError::Failed {
        expression: "everfold.ask".into(),
        message,
        code: None,
    })?;
    let max = of_step.max.resolve_within("`max` of `ask`", 0..=u32::MAX, &scope)?;
    let remind = resolve_reminders(of_step.remind.as_ref(), &scope)?;
    Ok((ask, max, resolve_pause(of_step.timeout.as_ref(), "`timeout`", &scope)?, remind))
}

/// The first line of a text, cut where it is long.
fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = text::one_line(line);
    match line.char_indices().nth(TITLE_CHARS_MAX) {
        None => line.into_owned(),
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

/// A person saves a part of an answer: it adds to what was saved before.
pub(super) fn save(draft: &mut Draft<'_>, part: &AnswerSaved) -> Result<Result<(), Interrupt>, Refusal> {
    let id = &part.id;
    let key = match approval::find(draft.state, id)? {
        TaskLookup::Open(key) => key,
        TaskLookup::Closed(_) => return Err(Refusal::Answered(id.path.clone())),
    };
    let question = question_of(draft, id, key)?;
    approval::check_roles(&id.path, &question.terms.roles, &part.roles)?;
    let given = read_answer(&id.path, &question.terms, answer_text(&id.path, &part.answer)?)?;
    let saved = match settled(question.draft.value(draft.loaded)) {
        Err(interrupt) => return Ok(Err(interrupt)),
        Ok(saved) => saved.unwrap_or_default(),
    };
    let merged = merge(&saved, &given);
    if merged == saved {
        return Ok(Ok(())); // The same again changes nothing.
    }
    let answer = draft.payload_of(&merged);
    draft.record(AnswerSaved { answer, ..part.clone() });
    Ok(Ok(()))
}

/// A person answers, with what was saved and what is given now.
pub(super) fn answer(
    draft: &mut Draft<'_>,
    answer: &QuestionAnswered,
) -> Result<Result<(), Interrupt>, Refusal> {
    let id = &answer.id;
    let key = match approval::find(draft.state, id)? {
        TaskLookup::Open(key) => key,
        TaskLookup::Closed(key) => {
            return answered_before(draft, id, key, answer_text(&id.path, &answer.answer)?);
        }
    };
    let whole = match whole(draft, answer, key)? {
        Err(interrupt) => return Ok(Err(interrupt)),
        Ok(whole) => whole,
    };
    let whole = draft.payload_of(&whole);
    draft.record(QuestionAnswered { answer: whole, ..answer.clone() });
    Ok(Ok(()))
}

/// Why an open question does not take an answer, as far as that is known without loading anything.
pub(super) fn refusal(draft: &Draft<'_>, answer: &QuestionAnswered) -> Option<Refusal> {
    let open = approval::find(draft.state, &answer.id).map(|found| match found {
        TaskLookup::Open(key) => Some(key),
        TaskLookup::Closed(_) => None,
    });
    match open {
        Ok(Some(key)) => whole(draft, answer, key).err(),
        Ok(None) => Some(Refusal::Answered(answer.id.path.clone())),
        Err(refusal) => Some(refusal),
    }
}

/// The answer as it is recorded: with what was saved before.
fn whole(
    draft: &Draft<'_>,
    answer: &QuestionAnswered,
    key: Key,
) -> Result<Result<Value, Interrupt>, Refusal> {
    let id = &answer.id;
    let text = answer_text(&id.path, &answer.answer)?;
    let question = question_of(draft, id, key)?;
    approval::check_roles(&id.path, &question.terms.roles, &answer.roles)?;
    let given = read_answer(&id.path, &question.terms, text)?;
    match settled(question.draft.value(draft.loaded)) {
        Err(interrupt) => Ok(Err(interrupt)),
        Ok(saved) => judge(draft, id, key, question, &merge(&saved.unwrap_or_default(), &given)),
    }
}

/// An answer to what was answered before: the same again changes nothing.
fn answered_before(
    draft: &Draft<'_>,
    id: &AttemptId,
    key: Key,
    answer: &JsonText,
) -> Result<Result<(), Interrupt>, Refusal> {
    let path = &id.path;
    let Some(unit) = draft.state.unit_at(key) else { return Err(Refusal::NotAsking(path.clone())) };
    if unit.approval().is_some() {
        return Err(Refusal::WrongKind { path: path.clone(), wants: "a decision" });
    }
    let former = unit.answers().iter().find(|answered| answered.attempt == id.attempt);
    let former = former.map(|answered| &answered.answer);
    let former = former.or_else(|| unit.question()?.answer.as_ref()).unwrap_or(&StoredValue::Null);
    let former = match settled(former.value(draft.loaded)) {
        Err(interrupt) => return Ok(Err(interrupt)),
        Ok(former) => former.unwrap_or_default(),
    };
    let given = answer.value();
    let is_same = given.as_object().is_some_and(|given| {
        let is_kept = |name: &str, value: &Value| {
            // Parts that were saved before stand in the former answer, too.
            let mut parts = value.as_object().into_iter().flatten();
            former.get(name) == Some(value)
                || (matches!(name, "items" | "states")
                    && value.is_object()
                    && parts.all(|(id, part)| former[name].get(id).unwrap_or(&Value::Null) == part))
                || (name == "text" && former["text"].is_null() && former["choice"] == *value)
        };
        match given.is_empty() {
            // What was saved was the whole answer.
            true => former["by"] == draft.meta.actor.to_string(),
            false => given.iter().all(|(name, value)| is_kept(name, value)),
        }
    });
    if is_same { Ok(Ok(())) } else { Err(Refusal::Answered(path.clone())) }
}

fn question_of<'a>(draft: &'a Draft<'_>, id: &AttemptId, key: Key) -> Result<&'a QuestionState, Refusal> {
    let question = draft.state.unit_at(key).and_then(Unit::question);
    question.ok_or_else(|| Refusal::WrongKind { path: id.path.clone(), wants: "a decision" })
}

/// Checks the whole answer; returns it as it is recorded: `{choice, text, items, by}`.
fn judge(
    draft: &Draft<'_>,
    id: &AttemptId,
    key: Key,
    question: &QuestionState,
    merged: &Value,
) -> Result<Result<Value, Interrupt>, Refusal> {
    let given = without_nulls(merged);
    let of_step = match &draft.state.graph.step(key.step).work {
        Some(Work::Question(of_step)) if question.terms.by == AskedBy::Step => Some(of_step),
        _asked_by_work => None,
    };
    let schema = of_step.and_then(|of_step| of_step.schema.as_ref());
    let mut problems = missing(&question.terms, &given, schema.is_some());
    let states = states(&question.terms, &given);
    let mut answer = Value::Object(given);
    if let Value::Object(given) = &mut answer {
        given.remove("states"); // They are no part of what a schema says.
    }
    if let Some(schema) = schema {
        match everfold_language::definition::input::check(schema, &answer) {
            Ok(filled) => answer = filled,
            Err(found) => problems.extend(found.into_iter().map(|problem| {
                let place = problem.path.strip_prefix("input").unwrap_or(&problem.path);
                format!("answer{place}: {}", problem.message)
            })),
        }
    }
    if !problems.is_empty() {
        return Err(refuse(&id.path, problems));
    }
    let mut whole = json!({"choice": null, "text": null, "items": null});
    for name in ["choice", "text", "items"] {
        whole[name] = answer.get(name).cloned().unwrap_or_default();
    }
    if whole["items"].is_null() && question.terms.items.is_some() {
        // Each was resolved or dismissed: none has an answer.
        whole["items"] = json!({});
    }
    if !states.is_empty() {
        whole["states"] = Value::Object(states.clone());
        answer["states"] = Value::Object(states);
    }
    if let Some(accept) = of_step.and_then(|of_step| of_step.accept.as_ref()) {
        // What was left out is absent here, so that `has` is false.
        let scope = RunScope::of(draft.state, draft.loaded, key).with("answer", answer);
        let refusal = match settled(accept.eval(&scope)) {
            Err(interrupt) => return Ok(Err(interrupt)),
            Ok(Ok(Value::Bool(true))) => None,
            Ok(Ok(Value::Bool(false))) => Some(format!("`{}` does not hold", accept.source())),
            Ok(Ok(Value::String(reason))) if reason.is_empty() => None,
            Ok(Ok(Value::String(reason))) => Some(reason),
            Ok(Ok(_)) => Some(format!("`{}` gives neither a boolean nor a reason", accept.source())),
            Ok(Err(failure)) => Some(failure.message),
        };
        if let Some(reason) = refusal {
            return Err(refuse(&id.path, vec![reason]));
        }
    }
    whole["by"] = json!(draft.meta.actor.to_string());
    Ok(Ok(whole))
}
