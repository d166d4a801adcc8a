//! What today's definition would decide on the recorded inputs of a run.

use serde::Deserialize;
use serde_json::Value;

use super::event::{EventInput, PastEvent};
use super::tree::Tree;
use crate::problem::Problem;
use crate::rest::CallerRest;

/// The answer of `GET /runs/{run}/replay?definition=current`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TodayAnswer {
    pub(crate) inputs: u64,
    pub(crate) events: u64,
    pub(crate) definition: TodayDefinition,
    pub(crate) differences: Vec<TodayDifference>,
    #[serde(default)]
    pub(crate) decision: Option<TodayDecision>,
}

/// The definition, and how often it differs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TodayDefinition {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) version: Option<u64>,
    /// What was asked about was decided with this very definition.
    pub(crate) pinned: bool,
    pub(crate) otherwise: u64,
    pub(crate) unfit: u64,
}

/// An input that would be decided otherwise, or where the definition does not fit.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TodayDifference {
    pub(crate) version: u64,
    #[serde(default)]
    pub(crate) until: u64,
    pub(crate) fact: String,
    recorded: Value,
    decided: Value,
    #[serde(default)]
    misfits: Vec<Value>,
    pub(crate) message: String,
}

/// One decision in full.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TodayDecision {
    recorded: Vec<Value>,
    ahead: Vec<Value>,
    decided: Vec<Value>,
}

impl TodayAnswer {
    /// Decides all inputs of a run, or the one that recorded a version.
    pub(crate) async fn load(rest: &CallerRest, run: &str, version: Option<u64>) -> Result<Self, Problem> {
        let version = version.map(|version| format!("&version={version}")).unwrap_or_default();
        rest.get(&format!("/runs/{run}/replay?definition=current{version}")).await
    }

    /// The definition as people name it: `delivery@3`.
    pub(crate) fn name(&self) -> String {
        match self.definition.version {
            Some(version) => format!("{}@{version}", self.definition.name),
            None => self.definition.name.clone(),
        }
    }

    /// The first input that is not alike.
    pub(crate) fn first(&self) -> Option<&TodayDifference> {
        self.differences.first()
    }
}

impl TodayDifference {
    /// Nothing is decided: what has begun is not in the definition, or is something else there.
    pub(crate) fn is_unfit(&self) -> bool {
        !self.misfits.is_empty()
    }

    /// Whether several inputs in a row do not fit for this reason.
    pub(crate) fn is_span(&self) -> bool {
        self.is_unfit() && self.until > self.version
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree::of(&self.recorded, &self.decided, &["type", "verdict"])
    }
}

impl TodayDecision {
    pub(crate) fn recorded(&self) -> Vec<PastEvent> {
        events(&self.recorded)
    }

    /// What going over to the definition leads to by itself.
    pub(crate) fn ahead(&self) -> Vec<PastEvent> {
        events(&self.ahead)
    }

    pub(crate) fn decided(&self) -> Vec<PastEvent> {
        events(&self.decided)
    }
}

/// Events that were not recorded, so that they have neither version nor time.
fn events(values: &[Value]) -> Vec<PastEvent> {
    let event = |value: &Value| PastEvent {
        version: 0,
        recorded_at: String::new(),
        actor: String::new(),
        cause: EventInput::default(),
        position: 0,
        hash: String::new(),
        event: value.clone(),
    };
    values.iter().map(event).collect()
}
