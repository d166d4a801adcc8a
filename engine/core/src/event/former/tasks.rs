//! Structs of former schemas: what people are asked. Frozen for ever.

use serde::{Deserialize, Serialize};

use crate::event::parts::{ApprovalTerms, Comment};
use everfold_base::id::AttemptId;
use everfold_base::json::Payload;
use everfold_language::definition::Vote;

/// [`crate::event::ApprovalRequested`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalRequested1 {
    pub(crate) id: AttemptId,
    pub(crate) title: String,
    pub(crate) show: Payload,
    pub(crate) terms: ApprovalTerms1,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ApprovalTerms1 {
    pub(crate) roles: Vec<String>,
    pub(crate) quorum: u32,
    pub(crate) veto: bool,
    pub(crate) self_approval: bool,
    pub(crate) comment: Vec<Vote>,
}

/// [`crate::event::VoteCast`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VoteCast1 {
    pub(crate) id: AttemptId,
    pub(crate) vote: Vote,
    pub(crate) comment: Option<String>,
    pub(crate) roles: Vec<String>,
}

/// [`crate::event::ApprovalRequested`], schema 2: what was shown is not recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalRequested2 {
    pub(crate) id: AttemptId,
    pub(crate) title: String,
    pub(crate) show: Payload,
    pub(crate) terms: ApprovalTerms,
    pub(crate) edit: Option<Payload>,
}

/// [`crate::event::ApprovalDecided`], schema 1: what was shown is not recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalDecided1 {
    pub(crate) id: AttemptId,
    pub(crate) decision: Vote,
    pub(crate) by: Vec<String>,
    pub(crate) comment: Option<String>,
}

/// [`crate::event::VoteCast`], schema 2: it names nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VoteCast2 {
    pub(crate) id: AttemptId,
    pub(crate) vote: Vote,
    pub(crate) comment: Option<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) edited: Option<Payload>,
}
