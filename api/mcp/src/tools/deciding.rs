//! Tools of the inbox: what people are asked, and what is said to it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::runs::LIMIT;
use crate::answer::ToolAnswer;
use crate::call::ToolCall;
use crate::inbox_item::InboxItem;
use crate::problem::RestProblem;
use crate::rest::{encoded, with_query};
use crate::run_outline::outline;
use crate::tool::{RunTool, ToolEffect, ToolRole};

/// Tools of the inbox.
pub(crate) fn tools() -> Vec<RunTool> {
    vec![
        RunTool::new(
            (
                "list_inbox",
                "List the inbox",
                "What people are asked and is open: approvals, questions, blocked steps, used-up budgets, oldest first. Each has the `task` and the `version` that decide needs.",
            ),
            ToolRole::Viewer,
            ToolEffect::Reads,
            inbox,
        ),
        RunTool::new(
            (
                "decide",
                "Decide in the inbox",
                "Approves, rejects or wants changes of an approval, or answers a question. Needs the item's `version` as you saw it, so that nothing is decided that nobody looked at. It is recorded under your name and cannot be taken back: decide only what you were asked to decide.",
            ),
            ToolRole::Approver,
            ToolEffect::Decides,
            decide,
        ),
    ]
}

/// The arguments of `list_inbox`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InboxInput {
    /// Only of this run.
    run: Option<String>,
    /// Only what this approval role is asked.
    role: Option<String>,
    /// Only items of which this expression (CEL) is true: `kind == 'approval' && since < now - duration('1d')`.
    filter: Option<String>,
    /// How many at most; 10 unless given.
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// `next_cursor` of the part before.
    cursor: Option<String>,
    /// true: whole texts of what is shown.
    full: Option<bool>,
}

/// Lists what people are asked.
pub(crate) async fn inbox(call: ToolCall, input: InboxInput) -> Result<ToolAnswer, RestProblem> {
    let params = [
        ("run", input.run),
        ("role", input.role),
        ("filter", input.filter),
        ("limit", Some(input.limit.unwrap_or(LIMIT).to_string())),
        ("cursor", input.cursor),
    ];
    let page = call.rest.get(&with_query("/inbox", &params)).await?;
    let outlined = json!({
        "items": page["items"].as_array().into_iter().flatten().filter_map(InboxItem::listed)
            .map(|item| item.outline()).collect::<Vec<_>>(),
        "next_cursor": page["next_cursor"],
        "filter": page["filter"],
    });
    Ok(ToolAnswer::list(&outlined, input.full.unwrap_or(false), Value::clone))
}

/// What is said to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SaidToItem {
    /// Yes to an approval.
    Approve,
    /// No to an approval.
    Reject,
    /// What must change before an approval; where it offers that.
    Changes,
    /// The answer to a question.
    Answer,
}

impl SaidToItem {
    fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Changes => "changes",
            Self::Answer => "answer",
        }
    }
}

/// The arguments of `decide`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecideInput {
    /// The item: `task` of list_inbox or show_run.
    task: String,
    /// `version` of the item as you saw it. Where the item is another one by now, the decision is refused and the item as it
    /// is now is in the error.
    version: String,
    /// What to say: approve, reject or changes to an approval, answer to a question.
    decision: SaidToItem,
    /// Why; some decisions need it. Of an answer: its text.
    message: Option<String>,
    /// Of an answer: the chosen option.
    choice: Option<String>,
    /// Of an answer to a question with items: the answer to each, by its id.
    items: Option<BTreeMap<String, Value>>,
    /// Of an approve: what takes the place of `value` of the item, where it shows one.
    value: Option<Value>,
    /// The same key again decides nothing more. Once the decision closed the item, the answer says that nothing is asked there any more.
    idempotency_key: Option<String>,
}

/// Decides on an item.
pub(crate) async fn decide(call: ToolCall, input: DecideInput) -> Result<ToolAnswer, RestProblem> {
    let path = format!("/inbox/{}", encoded(&input.task));
    let body = match decision(&call, &input).await {
        Ok(body) => body,
        // A caller who may not decide is refused for that first. The route judges it before it reads the body, and takes no
        // empty one.
        Err(problem) => {
            return Err(match call.rest.post(&path, &json!({}), None).await {
                Err(refused) if refused.is_of_rights() => refused,
                _others => problem,
            });
        }
    };
    let view = call.rest.post(&path, &body, input.idempotency_key.as_deref()).await?;
    Ok(ToolAnswer::short(outline(&view)))
}

/// What is sent to decide on the item that the caller saw.
async fn decision(call: &ToolCall, input: &DecideInput) -> Result<Value, RestProblem> {
    let item = found(call, &input.task).await?;
    if item.version() != input.version {
        let now = item.outline();
        return Err(RestProblem::stale(format!(
            "{} is another one than version {}",
            item.id(),
            input.version
        ))
        .hint(format!("look at it as it is now, and decide on that: {now}")));
    }
    match (input.decision, item.kind()) {
        (SaidToItem::Answer, "question") => Ok(answers(input)),
        (SaidToItem::Approve | SaidToItem::Reject | SaidToItem::Changes, "approval") => {
            if input.choice.is_some() || input.items.is_some() {
                return Err(RestProblem::invalid("`choice` and `items` belong to an answer"));
            }
            Ok(item.vote(input.decision.word(), input.message.as_deref(), input.value.as_ref()))
        }
        (said, kind) => Err(RestProblem::invalid(format!("{} is no decision on a {kind}", said.word()))
            .hint(
                "approve, reject, changes: an approval; answer: a question; a blocked step: `unblock_step`",
            )),
    }
}

/// The open item of this name.
async fn found(call: &ToolCall, task: &str) -> Result<InboxItem, RestProblem> {
    let Some((run, _)) = task.split_once(':') else {
        return Err(RestProblem::invalid(format!("“{task}” names no item"))
            .hint("`task` of list_inbox: RUN:STEP:ROUND"));
    };
    let params = |cursor: Option<String>| {
        [("run", Some(run.to_owned())), ("limit", Some("1000".to_owned())), ("cursor", cursor)]
    };
    let mut cursor = None;
    loop {
        let page = call.rest.get(&with_query("/inbox", &params(cursor))).await?;
        let items = page["items"].as_array().into_iter().flatten().filter_map(InboxItem::listed);
        if let Some(item) = items.into_iter().find(|item| item.id() == task) {
            return Ok(item);
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Err(RestProblem::stale(format!("nothing is asked by the name {task} any more"))
                .hint("list_inbox has what is open; where this was sent before, show_run says whether it was decided"));
        }
    }
}

fn answers(input: &DecideInput) -> Value {
    let mut answers = Map::new();
    for (name, value) in [
        ("choice", input.choice.as_ref().map(|choice| json!(choice))),
        ("text", input.message.as_ref().map(|text| json!(text))),
        ("items", input.items.as_ref().map(|items| json!(items))),
    ] {
        if let Some(value) = value {
            answers.insert(name.to_owned(), value);
        }
    }
    json!({ "answers": answers })
}
