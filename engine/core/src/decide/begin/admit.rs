//! The gates of `admit`: the evidence that they need, and their judgement on it.

use serde_json::json;

use super::super::acts_as;
use super::super::gate;
use super::super::multi_probe;
use super::super::refusal::Refusal;
use super::super::scope::RunScope;
use super::beginning::Beginning;
use crate::event::AdmissionEvidence;
use crate::policy::{Judgement, Verdict};
use everfold_base::json::Value;
use everfold_language::definition::{Gate, OnRefused, Probe, SecretSource};
use everfold_language::expr::EvalError;
use everfold_language::expr::Expr;
use everfold_language::expr::Loaded;

/// Evidence of an admission is kept in the run's first event.
pub const EVIDENCE_BYTES_MAX: usize = 32 * 1024;

/// How far the admission of a run has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// The next gate needs this evidence.
    Probe(AdmissionProbe),
    /// Every gate passed or does not apply.
    Admitted(Vec<AdmissionJudgement>),
    /// A gate failed; those before it, and it, last.
    Refused(Vec<AdmissionJudgement>),
}

/// Evidence that a gate of `admit` needs.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmissionProbe {
    /// The gate.
    pub gate: String,
    /// The prober.
    pub kind: String,
    /// Its parameters, rendered.
    pub spec: Value,
    /// The role in whose name it asks, where a secret of its parameters has a source per role.
    pub role: Option<String>,
}

/// What a gate of `admit` says.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmissionJudgement {
    /// The gate.
    pub gate: String,
    /// The gate's own code.
    pub code: Option<String>,
    /// The evidence; `None`: there was none, and that is the reason.
    pub evidence: Option<Value>,
    /// The policy: a CEL text, or `default:KIND`.
    pub policy: String,
    /// The verdict and its reason.
    pub judgement: Judgement,
    /// How long the probe took.
    pub took_ms: u64,
}

impl Beginning {
    /// Judges the gates of `admit` on the evidence collected so far.
    #[must_use]
    pub fn admission(&self, evidence: &[AdmissionEvidence]) -> Admission {
        let mut judged = Vec::new();
        for gate in &self.definition().admit.gates {
            let found = evidence.iter().find(|found| found.gate == gate.id);
            let one = match self.judge(gate, found) {
                Ok(GateInspection::Wants(probe)) => return Admission::Probe(probe),
                Ok(GateInspection::Judged(one)) => one,
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
        let Admission::Refused(judged) = self.admission(evidence) else { return None };
        let last = judged.last()?;
        let gate = last.gate.clone();
        // Whatever `on_refused` says: the request can be sent again with what is missing.
        let missing = self.missing(last);
        if !missing.is_empty() {
            return Some(Refusal::CredentialRequired { gate, missing });
        }
        let (code, reason) = (last.code.clone(), last.judgement.reason.clone());
        let names = self.credentials_given(&gate);
        let is_judged = last.evidence.is_some() && last.judgement.verdict == Verdict::Fail;
        if is_judged && !names.is_empty() {
            return Some(Refusal::CredentialRefused { gate, names, code, reason });
        }
        match self.definition().admit.on_refused {
            OnRefused::Fail => None,
            OnRefused::Refuse => Some(Refusal::NotAdmitted { gate, code, reason }),
        }
    }

    /// The refusal of a start that is tried again later instead of being recorded as failed: its last gate has no verdict
    /// yet. `is_unread`: its evidence could not be had, and that may pass.
    #[must_use]
    pub fn undecided(&self, evidence: &[AdmissionEvidence], is_unread: bool) -> Option<Refusal> {
        let Admission::Refused(judged) = self.admission(evidence) else { return None };
        let last = judged.into_iter().next_back()?;
        let is_open = last.judgement.verdict == Verdict::Pending || last.evidence.is_none() && is_unread;
        is_open.then_some(Refusal::NotAdmitted {
            gate: last.gate,
            code: last.code,
            reason: last.judgement.reason,
        })
    }

    /// The credentials that the evidence of a gate of the kind `credentials` says are missing.
    fn missing(&self, judged: &AdmissionJudgement) -> Vec<String> {
        let gate = self.definition().admit.gates.iter().find(|gate| gate.id == judged.gate);
        let asks = gate.is_some_and(|gate| multi_probe::kind_of(&gate.probe) == multi_probe::CREDENTIALS);
        let missing = judged.evidence.as_ref().filter(|_| asks).and_then(|it| it["missing"].as_array());
        let names = missing.into_iter().flatten().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
    }

    /// The names of the credentials that a gate of `admit` is given: as variables, or in its parameters.
    #[must_use]
    pub fn credentials_given(&self, gate: &str) -> Vec<String> {
        let admit = &self.definition().admit;
        let Some(gate) = admit.gates.iter().find(|it| it.id == gate) else { return Vec::new() };
        let mut used: Vec<String> = Vec::new();
        let mut tasks = Vec::new();
        multi_probe::tasks(&gate.probe, &mut tasks);
        for task in tasks {
            if task.kind == "command" {
                used.extend(admit.secrets.iter().cloned());
            }
            used.extend(task.spec.expressions().into_iter().filter_map(Expr::secret));
        }
        let loaded = Loaded::default();
        let role =
            acts_as::of_admission(gate, &self.scope(&loaded).with("gate", gate_value())).ok().flatten();
        let named = used.iter().filter_map(|secret| {
            let source = match self.secrets().get(secret)? {
                SecretSource::Of(of) => {
                    let own = role.as_ref().and_then(|role| of.roles.get(role));
                    own.or(of.otherwise.as_deref())?
                }
                plain => plain,
            };
            if let SecretSource::Credential(name) = source { Some(name.clone()) } else { None }
        });
        named.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// Judges evidence of a gate again, by this policy: a CEL text, or `default:KIND`. `None`: there is no
    /// such gate.
    ///
    /// # Errors
    /// [`EvalError::Failed`]: the policy cannot be read, or gives no verdict on this evidence.
    pub(in crate::decide) fn rejudge(
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

    fn judge(&self, gate: &Gate, found: Option<&AdmissionEvidence>) -> Result<GateInspection, EvalError> {
        let loaded = Loaded::default();
        let scope = self.scope(&loaded).with("gate", gate_value());
        if let Some(reason) = multi_probe::passed_over(gate.when.as_ref(), gate.otherwise.as_ref(), &scope)? {
            return Ok(GateInspection::Judged(AdmissionJudgement {
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
                return judged(gate, &scope, evidence, 0).map(GateInspection::Judged);
            }
            Probe::Task(task) => (task.kind.clone(), multi_probe::task_spec(task, &scope)?),
            Probe::All(_) | Probe::Any(_) | Probe::Not(_) | Probe::AtLeast { .. } => {
                let (spec, asks) = multi_probe::prepare(&gate.probe, &scope)?;
                if !asks {
                    return judged(gate, &scope, spec, 0).map(GateInspection::Judged);
                }
                (multi_probe::KIND.to_owned(), spec)
            }
        };
        let Some(found) = found else {
            let role = acts_as::of_admission(gate, &scope)?;
            return Ok(GateInspection::Wants(AdmissionProbe { gate: gate.id.clone(), kind, spec, role }));
        };
        match &found.evidence {
            Some(evidence) => {
                judged(gate, &scope, evidence.value(), found.took_ms).map(GateInspection::Judged)
            }
            None => {
                let why = found.message.clone().unwrap_or_else(|| "no evidence".to_owned());
                Ok(GateInspection::Judged(no_evidence(gate, why, found.took_ms)))
            }
        }
    }
}

/// The name `gate` of a policy, for a gate that is judged once.
fn gate_value() -> Value {
    json!({"round": 1, "probe_no": 1, "used": 0, "elapsed": 0, "previous": null})
}

/// What policy and evidence say.
fn judged(
    gate: &Gate,
    scope: &RunScope<'_>,
    evidence: Value,
    took_ms: u64,
) -> Result<AdmissionJudgement, EvalError> {
    let (judgement, with_members) = gate::judge_by(gate.policy.as_ref(), gate, scope, &evidence)?;
    let own = gate.policy.as_ref().map(|policy| policy.source().to_owned());
    Ok(AdmissionJudgement {
        gate: gate.id.clone(),
        code: gate.code.clone(),
        evidence: Some(with_members.unwrap_or(evidence)),
        policy: own.unwrap_or_else(|| multi_probe::default_name(&gate.probe)),
        judgement,
        took_ms,
    })
}

/// What comes of looking at a gate.
enum GateInspection {
    Wants(AdmissionProbe),
    Judged(AdmissionJudgement),
}

fn no_evidence(gate: &Gate, why: String, took_ms: u64) -> AdmissionJudgement {
    AdmissionJudgement {
        gate: gate.id.clone(),
        code: gate.code.clone(),
        evidence: None,
        policy: String::new(),
        judgement: Judgement::new(Verdict::Fail, why),
        took_ms,
    }
}
