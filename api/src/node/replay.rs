//! A run's recorded inputs, decided again: by the definition that they were recorded with, or by another one.
//!
//! Law: nothing is recorded, and no work begins.

use std::sync::Arc;

use everfold_engine::definition::Definition;
use everfold_engine::driver::{OtherDecision, PipelineError, Redecided, ReplayError, WholeDecision};
use everfold_engine::event::RunEvent;
use everfold_engine::id::{RunId, Version};
use everfold_engine::json::Hash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::handle::Node;
use super::start_run::PipelineSource;
use crate::fault::{Code, Fault, chain};
use crate::schema;

/// Which definition decides.
#[derive(Debug, Clone)]
pub(crate) enum DecidedBy {
    /// The newest saved one of the run's pipeline.
    Current,
    /// The one that the version which is asked about was recorded with.
    Pinned,
    /// `NAME`, `NAME@N`, `NAME@HASH`, or the hash of one that any run began with.
    Named(String),
    /// One that the caller brings or names.
    Source(PipelineSource),
}

/// What deciding again on a run's recorded facts gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Replay {
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub run: RunId,
    /// By which definition, where one was named; without one each input is decided by the one that it was recorded with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub definition: Option<ReplayDefinition>,
    /// How many inputs were decided again.
    pub inputs: u64,
    /// How many events were compared.
    pub events: u64,
    /// How many verdicts of gates were given again on their evidence.
    #[serde(default)]
    pub verdicts: u64,
    /// Where the decisions differ; empty: they are equal. At most 100.
    pub differences: Vec<ReplayDifference>,
    /// The decision in full, where a `version` was named and the definition fits there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub decision: Option<ReplayDecision>,
    /// The runs that it started, and those below them, decided by what their steps start in the definition; where one was
    /// named and no `version`, and there are such runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub below: Option<ReplayBelow>,
}

/// The definition that decided, and how often it differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplayDefinition {
    /// The pipeline.
    pub name: String,
    /// The number of the saved version, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub version: Option<u32>,
    /// Its hash.
    #[schema(value_type = schema::HashSchema)]
    pub hash: Hash,
    /// Every input that was asked about was recorded with this very definition.
    pub pinned: bool,
    /// All inputs that it would decide otherwise, listed or not.
    pub otherwise: u64,
    /// All inputs on whose state it does not fit, listed or not.
    pub unfit: u64,
}

/// An input that would lead to something else now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplayDifference {
    /// The first event of the recorded batch.
    #[schema(value_type = u64)]
    pub version: Version,
    /// With a definition: the last event of the batch, or of the last input in a row that does not fit for the same reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64)]
    pub until: Option<Version>,
    /// Its name.
    pub fact: String,
    /// What the history has.
    pub recorded: Value,
    /// What would be there now.
    pub decided: Value,
    /// What of the run's state does not fit the definition, so that nothing is decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misfits: Vec<ReplayMisfit>,
    /// What happened, in one line.
    pub message: String,
}

/// A step that has begun, or a gate that was judged, and that the definition lacks or declares otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplayMisfit {
    /// The step.
    pub step: String,
    /// The gate, where it is one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub gate: Option<String>,
    /// What is different there.
    pub why: String,
}

/// One decision in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplayDecision {
    /// The first event of the recorded batch.
    #[schema(value_type = u64)]
    pub version: Version,
    /// The events that are recorded.
    #[schema(value_type = Vec<Object>)]
    pub recorded: Vec<Value>,
    /// What the definition leads to by itself before the input: steps begin that wait for nothing there.
    #[schema(value_type = Vec<Object>)]
    pub ahead: Vec<Value>,
    /// The events that would follow.
    #[schema(value_type = Vec<Object>)]
    pub decided: Vec<Value>,
}

/// What came of deciding the runs below.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplayBelow {
    /// The runs, each behind the one that started it; at most 100.
    pub items: Vec<ReplayedRun>,
    /// There are more, which were not decided.
    pub more: bool,
    /// Runs in which an input would be decided otherwise.
    pub otherwise: u64,
    /// Runs in which the definition does not fit, or that have none any more.
    pub unfit: u64,
}

/// A run below.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplayedRun {
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub run: RunId,
    /// The last 8 digits of its id.
    pub short_id: String,
    /// Its pipeline's name.
    pub pipeline: String,
    /// The run that started it.
    #[schema(value_type = schema::RunIdSchema)]
    pub parent: RunId,
    /// The step of that, or an item of it.
    pub step: String,
    /// By which definition it was decided; none: by none, as `why` says.
    pub definition: Option<ReplayDefinition>,
    /// How many inputs were decided.
    pub inputs: u64,
    /// The first input that is not alike.
    pub first: Option<ReplayDifference>,
    /// Why it was not decided.
    pub why: Option<String>,
}

impl ReplayBelow {
    /// Whether all that was decided is alike.
    #[must_use]
    pub fn is_alike(&self) -> bool {
        self.otherwise == 0 && self.unfit == 0
    }

    pub(super) fn add(&mut self, replayed: ReplayedRun) {
        match &replayed.definition {
            None => self.unfit += 1,
            Some(by) if by.unfit > 0 => self.unfit += 1,
            Some(by) if by.otherwise > 0 => self.otherwise += 1,
            Some(_alike) => {}
        }
        self.items.push(replayed);
    }
}

impl Node {
    /// Decides every recorded input of a run again and compares the events.
    ///
    /// # Errors
    /// The history cannot be read.
    pub async fn replay(&self, run: RunId) -> Result<Replay, Fault> {
        let replayed = self.engine().replay(run).await;
        let replayed = replayed.map_err(|error| Fault::new(Code::SetAside, chain(&error)))?;
        let differences = replayed.differences.into_iter().map(|difference| ReplayDifference {
            version: difference.version,
            until: None,
            fact: difference.fact.to_owned(),
            recorded: shown(&difference.recorded),
            decided: shown(&difference.decided),
            misfits: Vec::new(),
            message: difference.message,
        });
        let differences = differences.collect();
        let (inputs, events, verdicts) = (replayed.inputs, replayed.events, replayed.verdicts);
        Ok(Replay {
            run,
            definition: None,
            inputs,
            events,
            verdicts,
            differences,
            decision: None,
            below: None,
        })
    }

    /// Decides the recorded inputs of a run by a definition: all of them, or the one that recorded a version.
    ///
    /// # Errors
    /// There is no such pipeline or version, it is another one than the run's, or the history cannot be read.
    pub(crate) async fn decide_by(
        &self,
        run: RunId,
        by: &DecidedBy,
        version: Option<Version>,
    ) -> Result<Replay, Fault> {
        let definition = self.deciding(run, by, version).await?;
        // The definition decides what it costs.
        let _turn = self.backtest_turn().await;
        let mut replay = self.decided_by(run, Arc::clone(&definition), version).await?;
        if version.is_none() {
            replay.below = self.decide_below(run, definition).await?;
        }
        Ok(replay)
    }

    /// Decides the recorded inputs of one run.
    pub(super) async fn decided_by(
        &self,
        run: RunId,
        definition: Arc<Definition>,
        version: Option<Version>,
    ) -> Result<Replay, Fault> {
        let name = definition.name.clone();
        let found = self.engine().decide_by(run, definition, version).await.map_err(|error| match error {
            ReplayError::Load(error) => error.into(),
            ReplayError::Refused(refusal) => refusal.into(),
            other => Fault::new(Code::SetAside, chain(&other)),
        })?;
        let Redecided { definition, is_recorded, inputs, events, otherwise, unfit, differences, decision } =
            found;
        let saved = self.saved_versions(&name).await?;
        let saved = saved.iter().rev().find(|(saved, _)| saved.hash == definition).map(|(saved, _)| saved.n);
        let definition = ReplayDefinition {
            name,
            version: saved,
            hash: definition,
            pinned: is_recorded,
            otherwise,
            unfit,
        };
        Ok(Replay {
            run,
            definition: Some(definition),
            inputs,
            events,
            verdicts: 0,
            differences: differences.into_iter().map(ReplayDifference::from).collect(),
            decision: decision.map(ReplayDecision::from),
            below: None,
        })
    }

    async fn deciding(
        &self,
        run: RunId,
        by: &DecidedBy,
        version: Option<Version>,
    ) -> Result<Arc<Definition>, Fault> {
        match by {
            DecidedBy::Current => {
                let name = self.definition(run).await?.name.clone();
                self.pipeline(&name).await.map_err(|fault| match fault.code {
                    Code::NoPipeline => {
                        let what = format!("no pipeline “{name}” is saved: the run was started from a file");
                        Fault::new(Code::NoPipeline, what)
                            .hint("`everfold pipeline save FILE` saves it; `everfold replay RUN --definition FILE` takes a file")
                    }
                    _other => fault,
                })
            }
            DecidedBy::Pinned => match version {
                Some(version) => Ok(Arc::clone(self.engine().state_at(run, version).await?.definition())),
                None => self.definition(run).await,
            },
            DecidedBy::Named(name) => match name.parse::<Hash>() {
                Ok(hash) => {
                    let found = self.engine().definition(hash).await;
                    found.map_err(|error| match error {
                        everfold_engine::driver::DefinitionError::NotFound(_) => {
                            Fault::new(Code::NoPipeline, error.to_string())
                        }
                        other => PipelineError::Definition(other).into(),
                    })
                }
                Err(_) => self.pipeline(name).await,
            },
            DecidedBy::Source(source) => self.definition_of(source).await,
        }
    }
}

impl From<OtherDecision> for ReplayDifference {
    fn from(other: OtherDecision) -> Self {
        let misfits = other.misfits.into_iter().map(|misfit| ReplayMisfit {
            step: misfit.step.to_string(),
            gate: misfit.gate,
            why: misfit.why,
        });
        Self {
            version: other.version,
            until: Some(other.until),
            fact: other.fact.to_owned(),
            recorded: shown(&other.recorded),
            decided: shown(&other.decided),
            misfits: misfits.collect(),
            message: other.message,
        }
    }
}

impl From<WholeDecision> for ReplayDecision {
    fn from(whole: WholeDecision) -> Self {
        let all = |events: Vec<RunEvent>| events.into_iter().map(|event| shown(&Some(event))).collect();
        let WholeDecision { version, recorded, ahead, decided } = whole;
        Self { version, recorded: all(recorded), ahead: all(ahead), decided: all(decided) }
    }
}

fn shown(event: &Option<RunEvent>) -> Value {
    serde_json::to_value(event).unwrap_or(Value::Null)
}
