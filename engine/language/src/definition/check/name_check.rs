//! What the checks of names know: the steps, and what the pipeline declares.

use std::collections::BTreeMap;

use serde_json::Value;

use super::upstream::Upstream;
use crate::definition::model::Definition;
use crate::definition::read::{ExprUse, StepDraft};

/// The names that expressions of one pipeline may use.
pub(super) struct NameCheck<'a> {
    pub(super) drafts: &'a [StepDraft],
    /// Where each step stands in `drafts`.
    pub(super) steps: BTreeMap<&'a str, usize>,
    /// What the pipeline declares besides its steps.
    pub(super) declared: &'a Definition,
    pub(super) input: Option<&'a Value>,
    pub(super) upstream: Option<&'a Upstream>,
}

impl<'a> NameCheck<'a> {
    pub(super) fn draft(&self, used: &ExprUse) -> Option<&'a StepDraft> {
        used.step.and_then(|step| self.drafts.get(step))
    }

    /// Where a step stands among the drafts.
    pub(super) fn position(&self, step: &str) -> Option<usize> {
        self.steps.get(step).copied()
    }
}
