//! People are asked for answers: by a step, or by work in the middle of it.
//!
//! Law: an answer is judged whole, on what was saved and what is given now, and is recorded as it
//! counts: so the recorded answer, given again, gives itself.

use std::time::Duration;

use serde_json::{Map, json};

use super::approval::{self, TaskLookup};
use super::attempt_report::{self, ReportedEnd};
use super::draft::{Draft, Interrupt, settled};
use super::people_timers::set_limits;
use super::refusal::Refusal;
use super::render::{millis, resolve_pause};
use super::scope::RunScope;
use crate::event::{
    AnswerSaved, AskedBy, AttemptAsked, BlockReason, QuestionAnswered, QuestionAsked, QuestionTerms,
    StepBlocked,
};
use crate::state::{Key, QuestionState, StoredValue, Unit};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, StepPath};
use everfold_base::json::{JsonText, Payload, Value};
use everfold_base::text;
use everfold_language::definition::{Ask, Question, Work};
use everfold_language::expr::EvalError;

/// An answer, a draft of one, or a question of the work.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Parts of a question, and options of one.
const ITEMS_MAX: usize = 200;
/// A question in one line.
const TITLE_CHARS_MAX: usize = 200;

/// A question, rendered and not yet recorded.
pub(super) struct PreparedQuestion {
    pub(super) title: String,
    pub(super) text: Option<Value>,
    pub(super) terms: QuestionTerms,
    pub(super) timeout: Option<Duration>,
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
    let remind_ms = resolve_pause(question.remind.as_ref(), "`remind`", scope)?.map(millis);
    let parts = read_options(options.as_ref()).and_then(|options| Ok((options, read_items(items.as_ref())?)));
    Ok(match parts {
        Err(message) => Err(Failure::new(FailureKind::Validation, format!("the question: {message}"))),
        Ok((options, items)) => {
            let roles = question.roles.clone();
            let terms = QuestionTerms { by: AskedBy::Step, options, items, roles, remind_ms };
            let text = text.filter(|text| !text.is_empty()).map(Value::String);
            Ok(PreparedQuestion { title, text, terms, timeout })
        }
    })
}

fn read_options(options: Option<&Value>) -> Result<Vec<String>, String> {
    let list = match options {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err("`options` is no list".into()),
    };
    if list.len() > ITEMS_MAX {
        return Err(format!("there are more than {ITEMS_MAX} options"));
    }
    let mut options: Vec<String> = Vec::new();
    for option in list {
        let text = match option {
            Value::String(text) if !text.trim().is_empty() => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return Err("an option is no text".into()),
        };
        if options.contains(&text) {
            return Err(format!("the option “{text}” stands there twice"));
        }
        options.push(text);
    }
    Ok(options)
}

/// The parts of a question, each `{id, text, options}`; numbered from 1 where they have no id.
fn read_items(items: Option<&Value>) -> Result<Option<JsonText>, String> {
    let list = match items {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) if list.is_empty() => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(_) => return Err("`items` is no list".into()),
    };
    if list.len() > ITEMS_MAX {
        return Err(format!("there are more than {ITEMS_MAX} items"));
    }
    let mut read: Vec<Value> = Vec::new();
    for (at, item) in list.iter().enumerate() {
        let number = (at + 1).to_string();
        let (id, text, options) = match item {
            Value::String(text) => (number, text.clone(), Vec::new()),
            Value::Object(fields) => {
                let id = match fields.get("id") {
                    None | Some(Value::Null) => number,
                    Some(Value::String(id)) if !id.is_empty() => id.clone(),
                    Some(Value::Number(id)) => id.to_string(),
                    Some(_) => return Err(format!("the id of item {} is no text", at + 1)),
                };
                let text = fields.get("text").or(fields.get("title")).and_then(Value::as_str);
                let text = text.ok_or_else(|| format!("item {} has no `text`", at + 1))?;
                (id, text.to_owned(), read_options(fields.get("options"))?)
            }
            _ => return Err(format!("item {} is neither a text nor a map with `text`", at + 1)),
        };
        if read.iter().any(|other| other["id"] == id.as_str()) {
            return Err(format!("two items have the id “{id}”"));
        }
        read.push(json!({"id": id, "text": text, "options": options}));
    }
    Ok(Some(Value::Array(read).into()))
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
    let (ask, max, timeout) = match settled(prepared)? {
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
    let terms = QuestionTerms { by: AskedBy::Work, options, items, roles, remind_ms: None };
    draft.record(QuestionAsked { id: id.clone(), title, text, terms });
    set_limits(draft, &id, timeout, None);
    Ok(())
}

fn prepare_asked(
    draft: &Draft<'_>,
    key: Key,
    of_step: &Ask,
) -> Result<(AskedInWork, u32, Option<Duration>), EvalError> {
    let scope = RunScope::of(draft.state, draft.loaded, key);
    let people = draft.state.unit_at(key).and_then(|unit| unit.people.as_ref());
    let ask = people.map_or(Ok(Value::Null), |people| people.ask.value(draft.loaded))?;
    let ask = read_ask(&ask).map_err(|message| EvalError::Failed {
        expression: "everfold.ask".into(),
        message,
        code: None,
    })?;
    let max = of_step.max.resolve_within("`max` of `ask`", 0..=u32::MAX, &scope)?;
    Ok((ask, max, resolve_pause(of_step.timeout.as_ref(), "`timeout`", &scope)?))
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
    let text = answer_text(&id.path, &answer.answer)?;
    let key = match approval::find(draft.state, id)? {
        TaskLookup::Open(key) => key,
        TaskLookup::Closed(key) => return answered_before(draft, id, key, text),
    };
    let question = question_of(draft, id, key)?;
    approval::check_roles(&id.path, &question.terms.roles, &answer.roles)?;
    let given = read_answer(&id.path, &question.terms, text)?;
    let saved = match settled(question.draft.value(draft.loaded)) {
        Err(interrupt) => return Ok(Err(interrupt)),
        Ok(saved) => saved.unwrap_or_default(),
    };
    let whole = match judge(draft, id, key, question, &merge(&saved, &given))? {
        Err(interrupt) => return Ok(Err(interrupt)),
        Ok(whole) => whole,
    };
    let whole = draft.payload_of(&whole);
    draft.record(QuestionAnswered { answer: whole, ..answer.clone() });
    Ok(Ok(()))
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
            former.get(name) == Some(value)
                || (name == "text" && former["text"].is_null() && former["choice"] == *value)
        };
        !given.is_empty() && given.iter().all(|(name, value)| is_kept(name, value))
    });
    if is_same { Ok(Ok(())) } else { Err(Refusal::Answered(path.clone())) }
}

fn question_of<'a>(draft: &'a Draft<'_>, id: &AttemptId, key: Key) -> Result<&'a QuestionState, Refusal> {
    let question = draft.state.unit_at(key).and_then(Unit::question);
    question.ok_or_else(|| Refusal::WrongKind { path: id.path.clone(), wants: "a decision" })
}

fn refuse(path: &StepPath, problems: Vec<String>) -> Refusal {
    Refusal::InvalidAnswer { path: path.clone(), problems }
}

/// The text of an answer: inline, whatever its size.
fn answer_text<'a>(path: &StepPath, answer: &'a Payload) -> Result<&'a JsonText, Refusal> {
    answer.text().ok_or_else(|| refuse(path, vec!["an answer brings the value itself".into()]))
}

/// Reads `{choice?, text?, items?}` and checks what can be checked in a part.
fn read_answer(
    path: &StepPath,
    terms: &QuestionTerms,
    answer: &JsonText,
) -> Result<Map<String, Value>, Refusal> {
    if answer.as_str().len() > ANSWER_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the answer", max: ANSWER_BYTES_MAX });
    }
    let Value::Object(mut given) = answer.value() else {
        return Err(refuse(path, vec!["it is no map of `choice`, `text` and `items`".into()]));
    };
    given.remove("by"); // The actor of the input is the author of the answer.
    let mut problems = Vec::new();
    for (name, value) in &given {
        match (name.as_str(), value) {
            ("choice" | "text" | "items", Value::Null) => {}
            ("choice", Value::String(choice)) => problems.extend(check_choice(&terms.options, choice)),
            ("text", Value::String(_)) => {}
            ("items", Value::Object(items)) => problems.extend(check_items(terms, items)),
            ("choice" | "text", _) => problems.push(format!("`{name}` is no text")),
            ("items", _) => problems.push("`items` is no map of answers by item".into()),
            _ => problems.push(format!("there is no `{name}`; an answer has `choice`, `text` and `items`")),
        }
    }
    if !problems.is_empty() {
        return Err(refuse(path, problems));
    }
    // A text that is one of the options chooses it: so an answer can be typed as it was read.
    if given.get("choice").is_none_or(Value::is_null)
        && let Some(Value::String(text)) = given.get("text")
        && terms.options.contains(text)
    {
        let choice = given.insert("text".into(), Value::Null).unwrap_or_default();
        given.insert("choice".into(), choice);
    }
    Ok(given)
}

fn check_choice(options: &[String], choice: &str) -> Option<String> {
    match options {
        [] => Some("it offers no options to choose from; answer with a text".into()),
        options if options.iter().any(|option| option == choice) => None,
        options => Some(format!("“{choice}” is none of the options: {}", options.join(", "))),
    }
}

fn items_of(terms: &QuestionTerms) -> Vec<Value> {
    let items = terms.items.as_ref().map(JsonText::value);
    items.and_then(|items| items.as_array().cloned()).unwrap_or_default()
}

fn check_items(terms: &QuestionTerms, given: &Map<String, Value>) -> Vec<String> {
    let items = items_of(terms);
    let mut problems = Vec::new();
    for (id, value) in given {
        let Some(item) = items.iter().find(|item| item["id"] == id.as_str()) else {
            let ids: Vec<&str> = items.iter().filter_map(|item| item["id"].as_str()).collect();
            problems.push(match ids.is_empty() {
                true => format!("there is no item “{id}”; it has none"),
                false => format!("there is no item “{id}”; it has {}", ids.join(", ")),
            });
            continue;
        };
        let options = read_options(Some(&item["options"])).unwrap_or_default();
        match value {
            Value::Null => {}
            Value::String(choice) if options.contains(choice) => {}
            Value::Array(_) | Value::Object(_) => {
                problems.push(format!("the answer to item “{id}” is neither text, number nor boolean"));
            }
            _ if options.is_empty() => {}
            other => {
                let shown = everfold_base::json::canonical(other);
                problems.push(format!("item “{id}”: {shown} is none of the options: {}", options.join(", ")));
            }
        }
    }
    problems
}

/// What is given wins over what was saved; items one by one. Null takes a part back.
fn merge(saved: &Value, given: &Map<String, Value>) -> Value {
    let mut merged = saved.as_object().cloned().unwrap_or_default();
    for (name, value) in given {
        match (merged.get_mut(name), value) {
            (Some(Value::Object(items)), Value::Object(more)) => items.extend(more.clone()),
            (_, value) => drop(merged.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(merged)
}

/// Checks the whole answer; returns it as it is recorded: `{choice, text, items, by}`.
fn judge(
    draft: &Draft<'_>,
    id: &AttemptId,
    key: Key,
    question: &QuestionState,
    merged: &Value,
) -> Result<Result<Value, Interrupt>, Refusal> {
    let given: Map<String, Value> = merged
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let of_step = match &draft.state.graph.step(key.step).work {
        Some(Work::Question(of_step)) if question.terms.by == AskedBy::Step => Some(of_step),
        _asked_by_work => None,
    };
    let schema = of_step.and_then(|of_step| of_step.schema.as_ref());
    let mut problems = missing(&question.terms, &given, schema.is_some());
    let mut answer = Value::Object(given);
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

/// The required parts that an answer leaves out.
fn missing(terms: &QuestionTerms, given: &Map<String, Value>, has_schema: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if !terms.options.is_empty() && !given.contains_key("choice") {
        problems.push(format!("choose one of: {}", terms.options.join(", ")));
    }
    let items = items_of(terms);
    let answers = given.get("items").and_then(Value::as_object);
    let left_out: Vec<&str> = items
        .iter()
        .filter_map(|item| item["id"].as_str())
        .filter(|id| answers.and_then(|answers| answers.get(*id)).is_none_or(Value::is_null))
        .collect();
    if !left_out.is_empty() {
        problems.push(format!("items without an answer: {}", left_out.join(", ")));
    }
    let text = given.get("text").and_then(Value::as_str).unwrap_or_default();
    if terms.options.is_empty() && items.is_empty() && !has_schema && text.trim().is_empty() {
        problems.push("it wants a text".into());
    }
    problems
}
