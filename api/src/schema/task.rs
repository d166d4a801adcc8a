//! What people are asked, and what they say.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::id::{RunIdSchema, TimeSchema};
use super::run::BlockReasonSchema;
use crate::view::SeenView;

/// How a blocked step goes on.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = Unblocking)]
pub(crate) enum UnblockingSchema {
    Retry,
    Recheck,
    Proceed,
    Skip,
    Fail,
}

/// What is said to an approval.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = Voting)]
pub(crate) enum VotingSchema {
    Approve,
    Reject,
    Changes,
}

/// What a part of an approval is.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = SeenKind)]
pub(crate) enum SeenKindSchema {
    Title,
    Text,
    Value,
    File,
    Commit,
}

/// A remark on a place of what was shown.
#[derive(ToSchema, Serialize)]
#[schema(as = Remark)]
pub(crate) struct RemarkSchema {
    /// Who; of tasks.
    by: Option<String>,
    on: Option<String>,
    shown: Option<String>,
    line: Option<u32>,
    quote: Option<String>,
    text: String,
}

/// One thing that a person is to do.
#[derive(ToSchema, Serialize)]
#[schema(as = Task)]
pub(crate) struct TaskSchema {
    /// Names it; safe in a URL.
    #[schema(example = "5e2f8a10:review:1")]
    id: String,
    run: RunIdSchema,
    short_id: String,
    pipeline: String,
    run_title: Option<String>,
    /// The step, or an item of it.
    step: String,
    round: u32,
    attempt: u32,
    #[serde(flatten)]
    kind: TaskKindSchema,
    since: TimeSchema,
    expires_at: Option<TimeSchema>,
    /// How often people were reminded.
    reminded: u32,
    /// When they are reminded next; null: no more.
    remind_at: Option<TimeSchema>,
    /// The place of the event that asked; the order of the list.
    position: u64,
}

/// What a person is to do.
#[derive(ToSchema, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = TaskKind)]
pub(crate) enum TaskKindSchema {
    /// Vote.
    Approval {
        title: String,
        /// What is shown.
        show: Value,
        /// BLAKE3 of kept files that are shown, by path.
        shown: BTreeMap<String, String>,
        /// The hashes of all that is shown; null: it was asked before Everfold recorded that.
        seen: Option<SeenView>,
        /// The value that may be replaced, as it stands.
        value: Option<Value>,
        /// Who may vote, and what decides.
        #[schema(value_type = Object)]
        terms: Value,
        votes: BTreeMap<String, String>,
        comments: Vec<RemarkSchema>,
    },
    /// Answer.
    Question {
        title: String,
        text: Option<Value>,
        /// Who asks, what an answer may be, and who may give it.
        #[schema(value_type = Object)]
        terms: Value,
        draft: Option<Value>,
        saved_by: Option<String>,
    },
    /// Decide on a blocked step.
    Blocked { message: String, reason: BlockReasonSchema },
    /// Raise a budget that is used up, or let it be.
    Budget { budget: String, message: String, until: Option<TimeSchema> },
}
