//! What a run waits for.

use std::collections::BTreeMap;

use everfold_engine::definition::Vote;
use everfold_engine::event::BlockReason;
use everfold_engine::id::{AttemptId, RunId};
use everfold_engine::json::JsonText;
use everfold_engine::state::{Awaited, RunState, Unit};
use everfold_engine::text::one_line;
use everfold_engine::time::Timestamp;
use everfold_engine::why::block_message;
use everfold_projections::Task;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::budget::budget_summary;
use super::seen::SeenView;
use super::stored_value::small;
use crate::schema;

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AwaitView {
    /// Votes.
    Approval {
        /// The task's id.
        task: String,
        /// The step.
        step: String,
        /// What is asked.
        title: String,
        /// What is shown.
        show: Value,
        /// The hashes of all that is shown; null: it was asked before Everfold recorded that.
        #[serde(default)]
        seen: Option<SeenView>,
        /// Who may vote; empty: anyone.
        roles: Vec<String>,
        /// Approvals needed.
        quorum: u32,
        /// Changes may be asked for.
        changes: bool,
        /// The value that may be replaced, as it stands; null where there is none.
        value: Value,
        /// Who said what.
        votes: BTreeMap<String, String>,
        /// Since when.
        #[serde(default)]
        #[schema(value_type = Option<schema::TimeSchema>)]
        since: Option<Timestamp>,
        /// Until when; `None`: for ever.
        #[schema(value_type = Option<schema::TimeSchema>)]
        expires_at: Option<Timestamp>,
        /// How often people were reminded.
        #[serde(default)]
        reminded: u32,
        /// When they are reminded next; `None`: no more.
        #[serde(default)]
        #[schema(value_type = Option<schema::TimeSchema>)]
        remind_at: Option<Timestamp>,
    },
    /// An answer.
    Question {
        /// The task's id.
        task: String,
        /// The step.
        step: String,
        /// What is asked, in one line.
        title: String,
        /// What is asked, in full.
        text: Value,
        /// What may be chosen.
        options: Vec<String>,
        /// Parts that are answered one by one: `[{id, text, options}]`.
        items: Value,
        /// Who may answer; empty: anyone.
        roles: Vec<String>,
        /// The parts of an answer that were saved.
        draft: Value,
        /// Who saved the newest of them.
        saved_by: Option<String>,
        /// Since when.
        #[serde(default)]
        #[schema(value_type = Option<schema::TimeSchema>)]
        since: Option<Timestamp>,
        /// Until when; `None`: for ever.
        #[schema(value_type = Option<schema::TimeSchema>)]
        expires_at: Option<Timestamp>,
        /// How often people were reminded.
        #[serde(default)]
        reminded: u32,
        /// When they are reminded next; `None`: no more.
        #[serde(default)]
        #[schema(value_type = Option<schema::TimeSchema>)]
        remind_at: Option<Timestamp>,
    },
    /// A decision on a blocked step.
    Unblock {
        /// The step, or an item of it.
        step: String,
        /// Why.
        #[schema(value_type = schema::BlockReasonSchema)]
        reason: BlockReason,
        /// Why, in words.
        message: String,
        /// Who may; empty: anyone whose role lets them steer runs.
        #[serde(default)]
        roles: Vec<String>,
        /// Since when.
        #[serde(default)]
        #[schema(value_type = Option<schema::TimeSchema>)]
        since: Option<Timestamp>,
        /// How often people were reminded.
        #[serde(default)]
        reminded: u32,
        /// When they are reminded next; `None`: no more.
        #[serde(default)]
        #[schema(value_type = Option<schema::TimeSchema>)]
        remind_at: Option<Timestamp>,
    },
    /// A moment.
    Timer {
        /// What it belongs to.
        step: String,
        /// When it is due.
        #[schema(value_type = schema::TimeSchema)]
        at: Timestamp,
        /// It bounds something else that is awaited.
        #[serde(default)]
        limit: bool,
    },
    /// A signal.
    Signal {
        /// The step that waits for it.
        step: String,
        /// Its name.
        name: String,
        /// Since when.
        #[serde(default)]
        #[schema(value_type = Option<schema::TimeSchema>)]
        since: Option<Timestamp>,
        /// How often people were reminded.
        #[serde(default)]
        reminded: u32,
        /// When they are reminded next; `None`: no more.
        #[serde(default)]
        #[schema(value_type = Option<schema::TimeSchema>)]
        remind_at: Option<Timestamp>,
    },
    /// The end of a pause.
    Resume,
    /// Room in a budget.
    Budget {
        /// Which.
        budget: String,
        /// How full it is, in words.
        message: String,
        /// When its next period begins; `None`: never.
        #[schema(value_type = Option<schema::TimeSchema>)]
        until: Option<Timestamp>,
        /// How often people were reminded.
        #[serde(default)]
        reminded: u32,
        /// When they are reminded next; `None`: no more.
        #[serde(default)]
        #[schema(value_type = Option<schema::TimeSchema>)]
        remind_at: Option<Timestamp>,
    },
    /// A slot or key that others hold.
    Slot {
        /// Which.
        key: String,
        /// The runs that hold it.
        #[schema(value_type = Vec<schema::RunIdSchema>)]
        holders: Vec<RunId>,
    },
}

impl AwaitView {
    /// How often people were reminded of it, and when they are next.
    #[must_use]
    pub fn reminders(&self) -> (u32, Option<Timestamp>) {
        match self {
            Self::Approval { reminded, remind_at, .. }
            | Self::Question { reminded, remind_at, .. }
            | Self::Unblock { reminded, remind_at, .. }
            | Self::Signal { reminded, remind_at, .. }
            | Self::Budget { reminded, remind_at, .. } => (*reminded, *remind_at),
            Self::Timer { .. } | Self::Resume | Self::Slot { .. } => (0, None),
        }
    }
}

pub(super) fn await_view(run: RunId, state: &RunState, awaited: &Awaited) -> AwaitView {
    let known = state.reminded(awaited);
    let (reminded, remind_at) = known.map_or((0, None), |known| (known.count, known.next));
    match awaited {
        Awaited::Approval { id, roles } => approval_view(run, state, id, roles, (reminded, remind_at)),
        Awaited::Question { id, roles } => question_view(run, state, id, roles, (reminded, remind_at)),
        Awaited::Unblock { path, reason } => AwaitView::Unblock {
            step: path.to_string(),
            reason: reason.clone(),
            message: block_message(reason, state.said_of_gate(&path.step)),
            roles: Vec::new(),
            since: state.blocked_since(path),
            reminded,
            remind_at,
        },
        Awaited::Timer { path, at, is_limit } => {
            AwaitView::Timer { step: path.to_string(), at: *at, limit: *is_limit }
        }
        Awaited::Signal { path, name } => AwaitView::Signal {
            step: path.to_string(),
            name: name.clone(),
            since: state.waits_since(path),
            reminded,
            remind_at,
        },
        Awaited::Resume => AwaitView::Resume,
        Awaited::Budget { budget, until } => {
            let view = state.budgets(state.last_at()).find(|view| view.terms.id == *budget);
            let message = view.map(|view| budget_summary(&view)).unwrap_or_default();
            AwaitView::Budget { budget: budget.clone(), message, until: *until, reminded, remind_at }
        }
    }
}

fn approval_view(
    run: RunId,
    state: &RunState,
    id: &AttemptId,
    roles: &[String],
    (reminded, remind_at): (u32, Option<Timestamp>),
) -> AwaitView {
    let approval = state.asking_unit(id).and_then(Unit::approval);
    let vote = |vote: &Vote| {
        serde_json::to_value(vote).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    };
    AwaitView::Approval {
        task: Task::id_of(run, id, false),
        step: id.path.to_string(),
        since: state.waits_since(&id.path),
        expires_at: state.expires_at(id),
        reminded,
        remind_at,
        changes: approval.is_some_and(|approval| approval.terms.changes),
        value: approval.map_or(Value::Null, |approval| small(approval.value())),
        title: approval.map(|approval| one_line(&approval.title).into_owned()).unwrap_or_default(),
        show: approval.map_or(Value::Null, |approval| small(&approval.show)),
        seen: state.seen(id).map(SeenView::of),
        roles: roles.to_vec(),
        quorum: approval.map_or(1, |approval| approval.terms.quorum),
        votes: approval
            .map(|approval| {
                approval.standing_votes().map(|(by, cast)| (by.clone(), vote(&cast.vote))).collect()
            })
            .unwrap_or_default(),
    }
}

fn question_view(
    run: RunId,
    state: &RunState,
    id: &AttemptId,
    roles: &[String],
    (reminded, remind_at): (u32, Option<Timestamp>),
) -> AwaitView {
    let question = state.asking_unit(id).and_then(Unit::question);
    let terms = question.map(|question| &question.terms);
    let items = terms.and_then(|terms| terms.items.as_ref());
    AwaitView::Question {
        task: Task::id_of(run, id, false),
        step: id.path.to_string(),
        title: question.map(|question| one_line(&question.title).into_owned()).unwrap_or_default(),
        text: question.map_or(Value::Null, |question| small(&question.text)),
        options: terms.map(|terms| terms.options.clone()).unwrap_or_default(),
        items: items.map_or(Value::Null, JsonText::value),
        roles: roles.to_vec(),
        draft: question.map_or(Value::Null, |question| small(&question.draft)),
        saved_by: question.and_then(|question| question.saved.as_ref()).map(|(by, _)| by.clone()),
        since: state.waits_since(&id.path),
        expires_at: state.expires_at(id),
        reminded,
        remind_at,
    }
}
