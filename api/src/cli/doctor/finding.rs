//! What a look at the machine or the folder found.

use serde::Serialize;

/// What one look gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Health {
    Good,
    /// Worth knowing; nothing is missing.
    Notable,
    /// Something is missing.
    Lacking,
    /// Nothing will work.
    Bad,
}

#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) health: Health,
    pub(super) found: String,
    pub(super) hint: Option<String>,
    /// What is printed in place of a long `found`, but with `--settings`.
    #[serde(skip)]
    pub(super) brief: Option<String>,
}

impl Finding {
    pub(super) fn new(what: &str, health: Health, found: impl Into<String>) -> Self {
        Self { what: what.to_owned(), health, found: found.into(), hint: None, brief: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
