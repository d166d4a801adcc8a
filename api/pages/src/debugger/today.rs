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
    #[serde(default)]
    pub(crate) below: TodayBelow,
}

/// The runs below, decided by what their steps start in the definition.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TodayBelow {
    pub(crate) items: Vec<TodayRun>,
    pub(crate) more: bool,
    pub(crate) otherwise: u64,
    pub(crate) unfit: u64,
}

/// A run below.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TodayRun {
    pub(crate) short_id: String,
    pub(crate) pipeline: String,
    pub(crate) step: String,
    pub(crate) definition: Option<TodayDefinition>,
    pub(crate) first: Option<TodayDifference>,
    pub(crate) why: Option<String>,
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

    /// The definition as people name it.
    pub(crate) fn name(&self) -> String {
        self.definition.title()
    }

    /// The first input that is not alike.
    pub(crate) fn first(&self) -> Option<&TodayDifference> {
        self.differences.first()
    }
}

impl TodayDefinition {
    /// As people name it: `delivery@3`.
    fn title(&self) -> String {
        match self.version {
            Some(version) => format!("{}@{version}", self.name),
            None => self.name.clone(),
        }
    }
}

impl TodayBelow {
    /// The runs that would not go as they did: the others are counted.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &TodayRun> {
        self.items.iter().filter(|run| run.first.is_some() || run.why.is_some())
    }

    /// Whether every run below would go as it did.
    pub(crate) fn is_alike(&self) -> bool {
        self.otherwise == 0 && self.unfit == 0
    }
}

impl TodayRun {
    /// The definition that decided, as people name it.
    pub(crate) fn by(&self) -> String {
        self.definition.as_ref().map(TodayDefinition::title).unwrap_or_default()
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
