//! Structs of former schemas: notices. Frozen for ever.

use serde::{Deserialize, Serialize};

use everfold_base::id::Version;
use everfold_base::json::Payload;

/// [`crate::event::NoticeQueued`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoticeQueued1 {
    pub(crate) version: Version,
    pub(crate) notice: String,
    pub(crate) function: String,
    pub(crate) channel: String,
    pub(crate) with: Payload,
}

/// [`crate::event::NoticeQueued`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoticeQueued2 {
    pub(crate) version: Version,
    pub(crate) notice: String,
    pub(crate) function: String,
    pub(crate) channel: String,
    pub(crate) with: Payload,
    pub(crate) replaces: bool,
}

/// [`crate::event::NoticeQueued`], schema 3.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoticeQueued3 {
    pub(crate) version: Version,
    pub(crate) notice: String,
    pub(crate) function: String,
    pub(crate) channel: String,
    pub(crate) with: Payload,
    pub(crate) fallback: Option<String>,
}

/// [`crate::event::NoticeSent`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoticeSent1 {
    pub(crate) version: Version,
    pub(crate) notice: String,
    pub(crate) tries: u32,
}
