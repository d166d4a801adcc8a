//! What a run may take and use: its identity, slots, budgets, settings, secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gate::Gate;
use super::money::Money;
use super::reminders::Reminders;
use super::setting::{Setting, Span};
use crate::expr::{Expr, Template};
use crate::words::{OnLimit, OnOver, OnTaken, Period, Release};
use everfold_base::json::Value;

/// The name under which settings list the records of documents that were left out.
pub const SKIPPED: &str = "skipped";

/// One part of a settings document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSource {
    /// A YAML or JSON file; a missing one is skipped.
    File(Template),
    /// Written in the pipeline.
    Values(Value),
}

/// The run's identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunKey {
    /// Rendered at start; null is no key, an empty text refuses the start.
    pub value: Template,
    /// When it is free again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub release: Release,
    /// What a start does that finds it taken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_taken: OnTaken,
}

/// The count that numbers the pipeline's runs from 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbering {
    /// Runs of one key are counted together, in the whole store; rendered at start. `None`: the pipeline's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Template>,
}

/// What is judged before a run begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Admit {
    /// In order; the first failure decides.
    pub gates: Vec<Gate>,
    /// What a failure means at the start; on leaving a queue the run always fails.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_refused: OnRefused,
    /// Secrets of the pipeline that the commands of its gates get as variables, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

impl Admit {
    /// Whether nothing is judged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gates.is_empty()
    }
}

/// What a failed admission means at the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRefused {
    /// Nothing is stored.
    #[default]
    Refuse,
    /// A failed run is recorded.
    Fail,
}

/// A slot that a run holds from its admission to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    /// Of which key; rendered at start.
    pub key: Template,
    /// How many runs hold one at once.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub limit: Setting<u32>,
    /// What a start does that finds none free.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_limit: OnLimit,
    /// Whether it is needed at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
}

/// What a run, or all runs of a scope, may use up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Its name.
    pub id: String,
    /// Whose use is counted together; `None`: this run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Template>,
    /// Over which time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub per: Period,
    /// The time zone in which periods begin; `None`: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Setting<Money>>,
    /// Tokens, read and written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Setting<u64>>,
    /// Time, pauses left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall: Option<Setting<Span>>,
    /// Kept free for each piece of paid work that starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<Setting<Money>>,
    /// What follows when it is used up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_over: OnOver,
    /// A copy of the run begins with what the run had used up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub carry: bool,
    /// When people are reminded while it holds the run; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind: Option<Reminders<Span>>,
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// A variable of the engine's environment.
    Env(String),
    /// A file.
    File(String),
    /// What a program prints.
    Command(Vec<String>),
    /// A value that the request brings which starts the run, by this name.
    Credential(String),
    /// One source of several, by the role in whose name the work acts.
    Of(RoleSources),
}

/// The sources of a secret by role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSources {
    /// One per role.
    pub roles: BTreeMap<String, SecretSource>,
    /// For a role that has none, for work without a role, and where the variable of a role is not set.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "else")]
    pub otherwise: Option<Box<SecretSource>>,
}

impl SecretSource {
    /// The sources that a value may come from: this one, or those of all roles and the one for the rest.
    #[must_use]
    pub fn places(&self) -> Vec<&Self> {
        match self {
            Self::Of(sources) => {
                let all = sources.roles.values().chain(sources.otherwise.as_deref());
                all.flat_map(Self::places).collect()
            }
            Self::Env(_) | Self::File(_) | Self::Command(_) | Self::Credential(_) => vec![self],
        }
    }
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> Setting<u32> {
    Setting::Fixed(1)
}

fn is_one(setting: &Setting<u32>) -> bool {
    *setting == one()
}
