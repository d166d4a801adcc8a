//! What is looked up, rendered and judged before a run's first event.
//!
//! Pure: the driver reads documents and collects evidence in between, and `decide` goes over all of it
//! once more when the run starts, so that what stands in the history follows from its first event.
//!
//! Order (L2): input, config, key, admit, concurrency.

use std::collections::BTreeMap;

use serde_json::json;

use super::gate;
use super::multi_probe;
use super::refusal::Refusal;
use super::scope::RunScope;
use crate::event::{AdmissionEvidence, BudgetTerms, SlotKind, WantedSlot};
use crate::policy::{Judgement, Verdict};
use crate::state::RunState;
use everfold_base::id::RunId;
use everfold_base::json::{Value, canonical};
use everfold_language::definition::{
    Budget, ConfigSource, Definition, Gate, OnRefused, Probe, SecretSource, input,
};
use everfold_language::expr::EvalError;
use everfold_language::expr::Loaded;
use everfold_language::expr::functions::to_text;

/// Settings are kept whole in the run's history.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;
/// Evidence of an admission is kept in the run's first event.
pub const EVIDENCE_BYTES_MAX: usize = 32 * 1024;
/// A key is part of messages and lists.
pub const KEY_BYTES_MAX: usize = 1024;

/// One part of a settings document, rendered.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// A YAML or JSON file; a missing one is skipped.
    File(String),
    /// A value that stands in the pipeline.
    Values(Value),
}

/// What is to be looked at next before a run may begin.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// This evidence is wanted.
    Probe(AdmissionProbe),
    /// Every gate passed or does not apply.
    Admitted(Vec<Judged>),
    /// A gate failed; those before it, and it, last.
    Refused(Vec<Judged>),
}

/// Evidence that a gate of `admit` wants.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmissionProbe {
    /// The gate.
    pub gate: String,
    /// The prober.
    pub kind: String,
    /// Its parameters, rendered.
    pub spec: Value,
}

/// What a gate of `admit` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The gate.
    pub gate: String,
    /// The gate's own code.
    pub code: Option<String>,
    /// On what; `None`: there was no evidence, and that is the reason.
    pub evidence: Option<Value>,
    /// By what: a CEL text, or `default:KIND`.
    pub policy: String,
    /// What it says.
    pub judgement: Judgement,
    /// How long the probe took.
    pub took_ms: u64,
}

/// An input with its defaults filled in.
///
/// # Errors
/// [`Refusal::InvalidInput`]
pub fn checked(definition: &Definition, given: &Value) -> Result<Value, Refusal> {
    match &definition.input {
        None => Ok(given.clone()),
        Some(schema) => input::check(schema, given)
            .map_err(|problems| Refusal::InvalidInput(problems.iter().map(ToString::to_string).collect())),
    }
}

/// A run that is about to begin.
#[derive(Debug, Clone)]
pub struct Beginning {
    state: RunState,
    input: Value,
    config: Value,
    run: Value,
}

impl Beginning {
    /// Where the pipeline's secrets come from.
    #[must_use]
    pub fn secrets(&self) -> &BTreeMap<String, SecretSource> {
        &self.state.definition().secrets
    }

    /// A run with this input; its defaults are filled in.
    ///
    /// # Errors
    /// [`Refusal::InvalidInput`]
    pub fn new(state: RunState, run: RunId, title: Option<&str>, given: &Value) -> Result<Self, Refusal> {
        let input = checked(state.definition(), given)?;
        let run = json!({
            "id": run.to_string(), "short_id": run.short(), "root": run.short(), "title": title,
            "pipeline": state.pipeline(), "labels": {}, "status": "queued", "origin": null, "started_at": null,
            "outcome": null, "failure": null,
        });
        Ok(Self { state, input, config: json!({}), run })
    }

    /// The same in a working folder.
    #[must_use]
    pub fn in_folder(mut self, cwd: Option<&str>) -> Self {
        self.state.set_folder(cwd);
        self
    }

    /// The same of a run that goes on from another one's history: which began with `root`.
    #[must_use]
    pub fn rooted(mut self, root: Option<RunId>) -> Self {
        if let Some(root) = root {
            self.run["root"] = json!(root.short());
        }
        self
    }

    /// The same with its settings.
    #[must_use]
    pub fn with_config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// The same with its labels.
    #[must_use]
    pub fn with_labels(mut self, labels: &BTreeMap<String, String>) -> Self {
        self.run["labels"] = json!(labels);
        self
    }

    /// The checked input.
    #[must_use]
    pub fn input(&self) -> &Value {
        &self.input
    }

    fn definition(&self) -> &Definition {
        self.state.definition()
    }

    fn scope<'a>(&'a self, loaded: &'a Loaded) -> RunScope<'a> {
        RunScope::run(&self.state, loaded)
            .with("input", self.input.clone())
            .with("config", self.config.clone())
            .with("run", self.run.clone())
    }

    /// The parts of each settings document, by name, the one that wins first.
    ///
    /// # Errors
    /// [`Refusal::Start`]: an expression failed.
    pub fn documents(&self) -> Result<BTreeMap<String, Vec<Document>>, Refusal> {
        let loaded = Loaded::default();
        let scope = self.scope(&loaded);
        let render = |name: &str, source: &ConfigSource| match source {
            ConfigSource::Values(values) => Ok(Document::Values(values.clone())),
            ConfigSource::File(path) => {
                path.render_text(&scope).map(Document::File).map_err(|error| failed("config", name, &error))
            }
        };
        self.definition()
            .config
            .iter()
            .map(|(name, sources)| {
                let sources: Result<Vec<_>, _> = sources.iter().map(|source| render(name, source)).collect();
                Ok((name.clone(), sources?))
            })
            .collect()
    }

    /// The run's labels, as the pipeline has them.
    ///
    /// # Errors
    /// [`Refusal::Start`]: an expression failed.
    pub fn labels(&self) -> Result<BTreeMap<String, String>, Refusal> {
        let loaded = Loaded::default();
        let scope = self.scope(&loaded);
        let labels = self.definition().labels.iter();
        labels
            .map(|(name, template)| match template.render_text(&scope) {
                Ok(text) => Ok((name.clone(), text)),
                Err(error) => Err(failed("label", name, &error)),
            })
            .collect()
    }

    /// The run's identity, where it has one.
    ///
    /// # Errors
    /// [`Refusal::Start`]: the expression failed, or gave an empty text; [`Refusal::TooLarge`].
    pub fn identity(&self) -> Result<Option<WantedSlot>, Refusal> {
        let Some(key) = &self.definition().key else { return Ok(None) };
        let loaded = Loaded::default();
        let value = key.value.render(&self.scope(&loaded));
        let value = value.map_err(|error| failed("key", "value", &error))?;
        if value.is_null() {
            return Ok(None);
        }
        let value = to_text(&value);
        if value.trim().is_empty() {
            return Err(Refusal::Start(
                "`key` renders to an empty text, and a run without its key would run beside others; give it an input \
                 that makes one, or let the pipeline say that there is none with null: `${has(input.id) ? input.id : null}`"
                    .to_owned(),
            ));
        }
        let kind = SlotKind::Identity { release: key.release, on_taken: key.on_taken };
        wanted(value, kind).map(Some)
    }

    /// The slots that the run holds from its admission to its end, in the order of the file. Two on one
    /// key are one, with the smaller limit.
    ///
    /// # Errors
    /// [`Refusal::Start`]: an expression failed or a limit is 0; [`Refusal::TooLarge`].
    pub fn slots(&self) -> Result<Vec<WantedSlot>, Refusal> {
        let loaded = Loaded::default();
        let scope = self.scope(&loaded);
        let mut slots: Vec<WantedSlot> = Vec::new();
        for concurrency in &self.definition().concurrency {
            let applies = concurrency.when.as_ref().map_or(Ok(true), |when| when.eval_bool(&scope));
            if !applies.map_err(|error| failed("concurrency", "when", &error))? {
                continue;
            }
            let key = concurrency.key.render_text(&scope);
            let key = key.map_err(|error| failed("concurrency", "key", &error))?;
            if key.trim().is_empty() {
                continue;
            }
            let limit = concurrency.limit.resolve_within("`limit`", 1..=u32::MAX, &scope);
            let limit = limit.map_err(|error| failed("concurrency", "limit", &error))?;
            if limit == 0 {
                let code = everfold_language::definition::Code::TooSmall;
                return Err(Refusal::Start(format!(
                    "the concurrency limit of “{key}” is 0, and it is at least 1 ({code})"
                )));
            }
            let kind = SlotKind::Concurrency { limit, on_limit: concurrency.on_limit };
            let slot = wanted(key, kind)?;
            match slots.iter_mut().find(|known| known.key == slot.key) {
                None => slots.push(slot),
                Some(known) => {
                    if let SlotKind::Concurrency { limit: known, .. } = &mut known.kind {
                        *known = limit.min(*known);
                    }
                }
            }
        }
        Ok(slots)
    }

    /// The run's budgets, in the order of the file.
    ///
    /// # Errors
    /// [`Refusal::Start`]: an expression failed, or a scope is empty; [`Refusal::TooLarge`].
    pub fn budgets(&self) -> Result<Vec<BudgetTerms>, Refusal> {
        let loaded = Loaded::default();
        let scope = self.scope(&loaded);
        let render = |budget: &Budget| {
            let failed = |error: EvalError| failed("budget", &budget.id, &error);
            let of = budget.scope.as_ref().map(|of| of.render_text(&scope)).transpose().map_err(failed)?;
            match of.as_deref().map(str::trim) {
                Some("") => {
                    return Err(Refusal::Start(format!("the scope of budget “{}” is empty", budget.id)));
                }
                Some(of) if of.len() > KEY_BYTES_MAX => {
                    return Err(Refusal::TooLarge { what: "the scope of a budget", max: KEY_BYTES_MAX });
                }
                _fine => {}
            }
            let cost = budget.cost.as_ref().map(|it| it.resolve(&scope)).transpose().map_err(failed)?;
            let tokens = budget.tokens.as_ref().map(|it| it.resolve(&scope)).transpose().map_err(failed)?;
            let wall = budget.wall.as_ref().map(|it| it.resolve(&scope)).transpose().map_err(failed)?;
            let reserve = budget.reserve.as_ref().map(|it| it.resolve(&scope)).transpose().map_err(failed)?;
            Ok(BudgetTerms {
                id: budget.id.clone(),
                scope: of.map(|of| of.trim().to_owned()),
                per: budget.per,
                zone: budget.zone.clone(),
                cost_micros: cost.map(|money| money.0),
                tokens,
                wall_ms: wall.map(|span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)),
                reserve_micros: reserve.map_or(0, |money| money.0),
                on_over: budget.on_over,
            })
        };
        self.definition().budgets.iter().map(render).collect()
    }

    /// Judges the gates of `admit` on the evidence that is there.
    #[must_use]
    pub fn admission(&self, evidence: &[AdmissionEvidence]) -> Admission {
        let mut judged = Vec::new();
        for gate in &self.definition().admit.gates {
            let found = evidence.iter().find(|found| found.gate == gate.id);
            let one = match self.judge(gate, found) {
                Ok(Step::Wants(probe)) => return Admission::Probe(probe),
                Ok(Step::Judged(one)) => one,
                Err(error) => no_evidence(gate, error.to_string(), 0),
            };
            let is_over = !matches!(one.judgement.verdict, Verdict::Pass | Verdict::Skipped);
            judged.push(one);
            if is_over {
                return Admission::Refused(judged);
            }
        }
        Admission::Admitted(judged)
    }

    /// Why a start with this evidence is refused, if it is.
    #[must_use]
    pub fn refusal(&self, evidence: &[AdmissionEvidence]) -> Option<Refusal> {
        match self.admission(evidence) {
            Admission::Refused(judged) if self.definition().admit.on_refused == OnRefused::Refuse => {
                let last = judged.last()?;
                Some(Refusal::NotAdmitted {
                    gate: last.gate.clone(),
                    code: last.code.clone(),
                    reason: last.judgement.reason.clone(),
                })
            }
            Admission::Refused(_) | Admission::Admitted(_) | Admission::Probe(_) => None,
        }
    }

    /// Judges evidence of a gate again, by this policy: a CEL text, or `default:KIND`. `None`: there is no
    /// such gate.
    ///
    /// # Errors
    /// [`EvalError::Failed`]: the policy cannot be read, or gives no verdict on this evidence.
    pub(super) fn rejudge(
        &self,
        gate: &str,
        evidence: &Value,
        policy: &str,
    ) -> Result<Option<Judgement>, EvalError> {
        let Some(gate) = self.definition().admit.gates.iter().find(|it| it.id == gate) else {
            return Ok(None);
        };
        let loaded = Loaded::default();
        let scope = self.scope(&loaded).with("gate", gate_value());
        if let Some(reason) = multi_probe::passed_over(gate.when.as_ref(), gate.otherwise.as_ref(), &scope)? {
            return Ok(Some(Judgement::new(Verdict::Skipped, reason)));
        }
        let own = if policy.starts_with("default:") { None } else { Some(gate::parse(policy)?) };
        gate::judge_by(own.as_ref(), gate, &scope, evidence)
            .map(|(judgement, _)| Some(judgement))
            .map_err(EvalError::from)
    }

    fn judge(&self, gate: &Gate, found: Option<&AdmissionEvidence>) -> Result<Step, EvalError> {
        let loaded = Loaded::default();
        let scope = self.scope(&loaded).with("gate", gate_value());
        if let Some(reason) = multi_probe::passed_over(gate.when.as_ref(), gate.otherwise.as_ref(), &scope)? {
            return Ok(Step::Judged(Judged {
                gate: gate.id.clone(),
                code: gate.code.clone(),
                evidence: Some(Value::Null),
                policy: gate.when.as_ref().map(|when| when.source().to_owned()).unwrap_or_default(),
                judgement: Judgement::new(Verdict::Skipped, reason),
                took_ms: 0,
            }));
        }
        let (kind, spec) = match &gate.probe {
            Probe::Expression(expression) => {
                let evidence = multi_probe::expression(expression, &scope)?;
                return judged(gate, &scope, evidence, 0).map(Step::Judged);
            }
            Probe::Task(task) => (task.kind.clone(), multi_probe::task_spec(task, &scope)?),
            Probe::All(_) | Probe::Any(_) | Probe::Not(_) | Probe::AtLeast { .. } => {
                let (spec, asks) = multi_probe::prepare(&gate.probe, &scope)?;
                if !asks {
                    return judged(gate, &scope, spec, 0).map(Step::Judged);
                }
                (multi_probe::KIND.to_owned(), spec)
            }
        };
        let Some(found) = found else {
            return Ok(Step::Wants(AdmissionProbe { gate: gate.id.clone(), kind, spec }));
        };
        match &found.evidence {
            Some(evidence) => judged(gate, &scope, evidence.value(), found.took_ms).map(Step::Judged),
            None => {
                let why = found.message.clone().unwrap_or_else(|| "no evidence".to_owned());
                Ok(Step::Judged(no_evidence(gate, why, found.took_ms)))
            }
        }
    }
}

/// What a policy is told of a gate that is judged once.
fn gate_value() -> Value {
    json!({"round": 1, "probe_no": 1, "used": 0, "elapsed": 0, "previous": null})
}

/// What policy and evidence say.
fn judged(gate: &Gate, scope: &RunScope<'_>, evidence: Value, took_ms: u64) -> Result<Judged, EvalError> {
    let (judgement, with_members) = gate::judge_by(gate.policy.as_ref(), gate, scope, &evidence)?;
    let own = gate.policy.as_ref().map(|policy| policy.source().to_owned());
    Ok(Judged {
        gate: gate.id.clone(),
        code: gate.code.clone(),
        evidence: Some(with_members.unwrap_or(evidence)),
        policy: own.unwrap_or_else(|| multi_probe::default_name(&gate.probe)),
        judgement,
        took_ms,
    })
}

/// What comes of looking at a gate.
enum Step {
    Wants(AdmissionProbe),
    Judged(Judged),
}

fn no_evidence(gate: &Gate, why: String, took_ms: u64) -> Judged {
    Judged {
        gate: gate.id.clone(),
        code: gate.code.clone(),
        evidence: None,
        policy: String::new(),
        judgement: Judgement::new(Verdict::Fail, why),
        took_ms,
    }
}

fn wanted(key: String, kind: SlotKind) -> Result<WantedSlot, Refusal> {
    if key.len() > KEY_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "a key", max: KEY_BYTES_MAX });
    }
    Ok(WantedSlot { key, kind })
}

fn failed(what: &str, name: &str, error: &EvalError) -> Refusal {
    let code = match error {
        EvalError::Failed { code: Some(code), .. } => format!(" ({code})"),
        EvalError::Failed { code: None, .. } | EvalError::Needs(_) => String::new(),
    };
    Refusal::Start(format!("{what} “{name}”: {error}{code}"))
}

/// Puts settings documents together: earlier ones win, maps are merged, everything else is taken whole.
/// `None`: there is none.
#[must_use]
pub fn merge(documents: impl IntoIterator<Item = Value>) -> Option<Value> {
    documents.into_iter().reduce(over)
}

fn over(winner: Value, under: Value) -> Value {
    match (winner, under) {
        (Value::Object(mut winner), Value::Object(under)) => {
            for (name, value) in under {
                let merged = match winner.remove(&name) {
                    Some(own) => over(own, value),
                    None => value,
                };
                winner.insert(name, merged);
            }
            Value::Object(winner)
        }
        (winner, _) => winner,
    }
}

/// Whether settings fit into a run's history.
///
/// # Errors
/// [`Refusal::TooLarge`]
pub fn check_config(config: &Value) -> Result<(), Refusal> {
    if canonical(config).len() > CONFIG_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the config", max: CONFIG_BYTES_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l3_documents_are_merged_deeply_and_earlier_ones_win() {
        let merged = merge([
            json!({"a": {"x": 1}, "list": [1]}),
            json!({"a": {"x": 2, "y": null}, "list": [2, 3], "b": 1}),
            json!({"a": 7, "c": 1}),
        ]);
        assert_eq!(merged, Some(json!({"a": {"x": 1, "y": null}, "list": [1], "b": 1, "c": 1})));
        assert_eq!(merge([]), None);
    }
}
