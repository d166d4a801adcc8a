//! Probes that one gate judges together, and single ones: what is asked, and what the answers say.
//!
//! A gate of several members schedules one probe. Its parameters name every member with what is to be
//! asked, or with what is known already: the value of an expression, the reason why it does not apply.
//! The evidence is the same list with the answers in it; judged, each member also has `policy`,
//! `verdict` and `reason`:
//!
//! `{n?, members: [{id, kind, spec | evidence | message, permanent?, policy?, verdict?, reason?, findings?}]}`
//!
//! A member that is itself made of members has such a list as its `spec` and as its `evidence`.

use std::path::Path;

use serde_json::json;

use super::scope::RunScope;
use crate::policy::{self, Combination, Judgement, Verdict, combine};
use everfold_base::json::{Value, canonical};
use everfold_language::definition::{ConfigSource, ExecutorTask, Member, Probe, is_since_passed};
use everfold_language::expr::{EvalError, Expr, Hidden, Template};

/// The kind of a probe that collects the evidence of several.
pub const KIND: &str = "members";

/// The key of parameters that lists which of their texts hold secrets; no parameter has this name.
pub const HIDDEN: &str = "$secrets";

/// Findings are cut here: they go into a prompt.
const FINDINGS_CHARS_MAX: usize = 16 * 1024;

/// The members of a probe, and the word for how they count; `None`: it is a single one.
fn members_of(probe: &Probe) -> Option<(&'static str, &[Member])> {
    match probe {
        Probe::All(members) => Some(("all", members)),
        Probe::Any(members) => Some(("any", members)),
        Probe::Not(member) => Some(("not", std::slice::from_ref(member))),
        Probe::AtLeast { of, .. } => Some(("at_least", of)),
        Probe::Expression(_) | Probe::Task(_) => None,
    }
}

/// How the members of a probe count; how many are needed stands beside their answers.
fn combination(probe: &Probe, evidence: &Value) -> Option<Combination> {
    Some(match probe {
        Probe::All(_) => Combination::All,
        Probe::Any(_) => Combination::Any,
        Probe::Not(_) => Combination::Not,
        Probe::AtLeast { .. } => Combination::AtLeast(u32::try_from(evidence["n"].as_u64()?).ok()?),
        Probe::Expression(_) | Probe::Task(_) => return None,
    })
}

/// The name under which a verdict without an own policy is recorded.
pub(super) fn default_name(probe: &Probe) -> String {
    format!("default:{}", kind_of(probe))
}

/// The kind of probe that asks for credentials of the request.
pub(super) const CREDENTIALS: &str = "credentials";

/// Every task of a probe: its own, or those of its members.
pub(super) fn tasks<'a>(probe: &'a Probe, found: &mut Vec<&'a ExecutorTask>) {
    if let Probe::Task(task) = probe {
        found.push(task);
    }
    for member in members_of(probe).map(|(_, members)| members).unwrap_or_default() {
        tasks(&member.probe, found);
    }
}

/// The word by which a probe is known.
pub(super) fn kind_of(probe: &Probe) -> &str {
    match (probe, members_of(probe)) {
        (_, Some((word, _))) => word,
        (Probe::Task(task), None) => &task.kind,
        (_, None) => "expression",
    }
}

/// Every expression that judging the probe may evaluate, those of its members included.
pub(super) fn expressions(probe: &Probe) -> Vec<&Expr> {
    match (probe, members_of(probe)) {
        (Probe::Expression(expression), _) => vec![expression],
        (_, None) => Vec::new(),
        (_, Some((_, members))) => members
            .iter()
            .flat_map(|member| {
                member.when.iter().chain(&member.policy).chain(expressions(&member.probe)).collect::<Vec<_>>()
            })
            .collect(),
    }
}

/// Whether some probe of it is of one of these kinds.
pub(super) fn has_kind(probe: &Probe, kinds: &[&str]) -> bool {
    match members_of(probe) {
        None => kinds.contains(&kind_of(probe)),
        Some((_, members)) => members.iter().any(|member| has_kind(&member.probe, kinds)),
    }
}

/// The names of members: their own, else their kind; a repeated one gets a number.
fn names(members: &[Member]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(members.len());
    for member in members {
        let own = member.id.clone().unwrap_or_else(|| kind_of(&member.probe).to_owned());
        let mut name = own.clone();
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{own}-{number}");
            number += 1;
        }
        names.push(name);
    }
    names
}

/// The evidence of an expression.
pub(super) fn expression(expression: &Expr, scope: &RunScope<'_>) -> Result<Value, EvalError> {
    let value = expression.eval(scope)?;
    Ok(json!({"value": value, "source": {"expression": expression.source()}}))
}

/// The reason why a gate or member does not apply, if it does not.
pub(super) fn passed_over(
    when: Option<&Expr>,
    otherwise: Option<&Template>,
    scope: &RunScope<'_>,
) -> Result<Option<String>, EvalError> {
    match when {
        Some(when) if !when.eval_bool(scope)? => match otherwise {
            None => Ok(Some(format!("does not apply: `{}` is false", when.source()))),
            Some(otherwise) => otherwise.render_text(scope).map(Some),
        },
        _applies => Ok(None),
    }
}

/// The parameters of a single probe. Those of `config` name where its document is read from.
pub(super) fn task_spec(task: &ExecutorTask, scope: &RunScope<'_>) -> Result<Value, EvalError> {
    let (mut spec, hidden) = task.spec.render_hiding(scope)?;
    hide(&mut spec, &hidden);
    if task.kind == "diff" && spec["since"] == "round" {
        spec["base"] = json!(scope.round_began_at());
    }
    if is_since_passed(task) {
        spec["base"] = json!(scope.round_began_at());
        spec["refused"] = json!(scope.refused_rounds());
    }
    if task.kind == "config" {
        let path = spec["path"].as_str().unwrap_or_default();
        let name = path.split('.').next().unwrap_or_default();
        let state = scope.state();
        let sources = state.definition().config.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut documents = Vec::new();
        for source in sources {
            documents.push(match source {
                ConfigSource::Values(values) => json!({ "values": values }),
                ConfigSource::File(file) => {
                    let file = file.render_text(scope)?;
                    // As at the start: relative to where the run was started, or below a user's home.
                    match file.starts_with("~/") {
                        true => json!({ "file": file }),
                        false => json!({ "file": Path::new(state.cwd().unwrap_or_default()).join(file) }),
                    }
                }
            });
        }
        spec["documents"] = Value::Array(documents);
        let records = &state.definition().config_records;
        if !records.is_empty() {
            spec["records"] = json!(records);
        }
    }
    Ok(spec)
}

/// Notes beside parameters which of their texts hold secrets.
pub(super) fn hide(spec: &mut Value, hidden: &[Hidden]) {
    if !hidden.is_empty() {
        spec[HIDDEN] = json!(hidden);
    }
}

/// What the prober asks of each member, and whether it has to ask at all.
pub(super) fn prepare(probe: &Probe, scope: &RunScope<'_>) -> Result<(Value, bool), EvalError> {
    let members = members_of(probe).map(|(_, members)| members).unwrap_or_default();
    let (mut listed, mut asks) = (Vec::new(), false);
    for (member, name) in members.iter().zip(names(members)) {
        let mut one = json!({"id": name, "kind": kind_of(&member.probe)});
        if let Some(reason) = passed_over(member.when.as_ref(), member.otherwise.as_ref(), scope)? {
            one["skipped"] = reason.into();
        } else {
            match &member.probe {
                Probe::Expression(known) => one["evidence"] = expression(known, scope)?,
                Probe::Task(task) => {
                    one["spec"] = task_spec(task, scope)?;
                    asks = true;
                }
                several => {
                    let (spec, asks_more) = prepare(several, scope)?;
                    one[if asks_more { "spec" } else { "evidence" }] = spec;
                    asks |= asks_more;
                }
            }
        }
        listed.push(one);
    }
    let mut list = json!({ "members": listed });
    if let Probe::AtLeast { n, .. } = probe {
        list["n"] = n.resolve_within("`n` of `at_least`", 1..=u32::MAX, scope)?.into();
    }
    Ok((list, asks))
}

/// Judges the evidence of one probe by this policy, else by the kind's own.
pub(super) fn judge_one(
    own: Option<&Expr>,
    probe: &Probe,
    scope: &RunScope<'_>,
    evidence: &Value,
) -> Result<Judgement, EvalError> {
    match (own, probe) {
        (Some(own), _) => {
            if let Some(message) = unseen(own, probe, evidence) {
                return Err(EvalError::Failed { expression: own.source().to_owned(), message, code: None });
            }
            let value = own.eval(&scope.clone().with("evidence", evidence.clone()))?;
            read_policy(own.source(), &value)
        }
        (None, Probe::Expression(expression)) => {
            read_policy(expression.source(), &evidence.get("value").cloned().unwrap_or_default())
        }
        (None, probe) => {
            let kind = kind_of(probe);
            policy::judge_default(kind, evidence).ok_or_else(|| EvalError::Failed {
                expression: format!("default:{kind}"),
                message: "this kind of probe has no default policy; give it a `policy`".into(),
                code: None,
            })
        }
    }
}

/// Why a policy that looks at the runs by name gives no verdict: some of them are not named, and the policy does not depend on them.
fn unseen(own: &Expr, probe: &Probe, evidence: &Value) -> Option<String> {
    let unnamed = evidence["unnamed"].as_u64().filter(|unnamed| *unnamed > 0 && kind_of(probe) == "runs")?;
    let looks_at = |field: &str| {
        let is_it =
            |path: &[String]| matches!(path, [root, first, ..] if root == "evidence" && first == field);
        own.chains().iter().any(|chain| is_it(&chain.path))
    };
    (looks_at("runs") && !looks_at("unnamed")).then(|| {
        let total = evidence["total"].as_u64().unwrap_or(unnamed);
        format!(
            "{unnamed} of {total} runs are not named in evidence.runs; ask for fewer by labels or status, look at \
             evidence.labels, which counts the runs of each value, or at evidence.unnamed"
        )
    })
}

fn read_policy(source: &str, value: &Value) -> Result<Judgement, EvalError> {
    let mut judgement = policy::judge_value(value).map_err(|message| EvalError::Failed {
        expression: source.to_owned(),
        message,
        code: None,
    })?;
    if value.is_boolean() {
        judgement.reason = format!("`{source}` is {value}");
    }
    Ok(judgement)
}

/// Why evidence that is there gives no verdict.
pub(super) enum NoVerdict {
    /// A policy or another expression of the gate failed, or needs values first.
    Eval(EvalError),
    /// What is waited for will never answer.
    Hopeless(EvalError),
}

impl From<EvalError> for NoVerdict {
    fn from(error: EvalError) -> Self {
        Self::Eval(error)
    }
}

impl From<NoVerdict> for EvalError {
    fn from(why: NoVerdict) -> Self {
        match why {
            NoVerdict::Eval(error) | NoVerdict::Hopeless(error) => error,
        }
    }
}

/// Judges every member of a probe and combines what they say; `None`: it has no members.
///
/// The value is the evidence with what each of them says.
pub(super) fn judge(
    probe: &Probe,
    fresh: bool,
    scope: &RunScope<'_>,
    evidence: &Value,
) -> Result<Option<(Judgement, Value)>, NoVerdict> {
    let Some((word, members)) = members_of(probe) else { return Ok(None) };
    let names = names(members);
    let answers = evidence["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let same = answers.len() == members.len()
        && answers.iter().zip(&names).all(|(answer, name)| answer["id"].as_str() == Some(name));
    let Some(how) = combination(probe, evidence).filter(|_| same) else {
        let judgement = Judgement::new(Verdict::Fail, "the evidence is not that of the gate's members");
        return Ok(Some((judgement, evidence.clone())));
    };
    let mut judged = Vec::with_capacity(answers.len());
    let mut judgements = Vec::with_capacity(answers.len());
    for (member, answer) in members.iter().zip(answers) {
        let mut answer = answer.clone();
        let judgement = judge_member(member, fresh, scope, &mut answer)?;
        answer["verdict"] = judgement.verdict.as_str().into();
        answer["reason"] = judgement.reason.clone().into();
        if let Some(findings) = &judgement.findings {
            answer["findings"] = findings.clone();
        }
        judged.push(answer);
        judgements.push(judgement);
    }
    let named: Vec<(&str, &Judgement)> = names.iter().map(String::as_str).zip(&judgements).collect();
    let combined = combine(how, &named);
    if combined.verdict == Verdict::Pending && is_hopeless(&judged) {
        // No pending member will ever answer.
        let message = format!("no evidence, and asking again cannot help: {}", combined.reason);
        let failed = EvalError::Failed { expression: word.to_owned(), message, code: None };
        return Err(NoVerdict::Hopeless(failed));
    }
    let mut evidence = evidence.clone();
    evidence["members"] = Value::Array(judged);
    Ok(Some((combined, evidence)))
}

fn judge_member(
    member: &Member,
    fresh: bool,
    scope: &RunScope<'_>,
    answer: &mut Value,
) -> Result<Judgement, NoVerdict> {
    if let Some(reason) = answer["skipped"].as_str() {
        return Ok(Judgement::new(Verdict::Skipped, reason));
    }
    let Some(evidence) = answer.get("evidence").cloned() else {
        let message = answer["message"].as_str().unwrap_or("nobody answered");
        return Ok(Judgement::new(Verdict::Pending, format!("no evidence: {message}")));
    };
    let policy = match &member.policy {
        Some(own) => own.source().to_owned(),
        None => default_name(&member.probe),
    };
    answer["policy"] = policy.into();
    if fresh && let Some(stale) = policy::judge_fresh(&evidence) {
        return Ok(stale);
    }
    let Some((combined, judged)) = judge(&member.probe, fresh, scope, &evidence)? else {
        return Ok(judge_one(member.policy.as_ref(), &member.probe, scope, &evidence)?);
    };
    let judgement = match &member.policy {
        None => combined,
        Some(own) => judge_one(Some(own), &member.probe, scope, &judged)?,
    };
    answer["evidence"] = judged;
    Ok(judgement)
}

/// Whether every member that is pending is so because its evidence can never be had.
fn is_hopeless(judged: &[Value]) -> bool {
    let mut pending = judged.iter().filter(|member| member["verdict"] == "pending").peekable();
    pending.peek().is_some() && pending.all(|member| member["permanent"] == true)
}

/// Reason and evidence as text: the findings for the next round. Of several members, those that failed; where one alone
/// did, and has findings that are a map, these.
pub(super) fn default_findings(message: &str, evidence: &Value) -> Value {
    let mut failed = Vec::new();
    failed_members(evidence, "", &mut failed);
    if let [FailedMember { member, .. }] = failed.as_slice()
        && member["findings"].is_object()
    {
        return member["findings"].clone();
    }
    let parts: Vec<String> = failed.iter().map(FailedMember::text).collect();
    let shown = if parts.is_empty() { shown(evidence) } else { parts.join("\n\n") };
    let skipped = shown.chars().count().saturating_sub(FINDINGS_CHARS_MAX);
    let tail: String = shown.chars().skip(skipped).collect();
    json!(format!("{message}\n{tail}"))
}

/// A member that failed, with the names of those around it.
struct FailedMember<'a> {
    name: String,
    member: &'a Value,
}

impl FailedMember<'_> {
    fn text(&self) -> String {
        let reason = self.member["reason"].as_str().unwrap_or_default();
        let findings = &self.member["findings"];
        let text = match (findings, findings["text"].as_str()) {
            (Value::Null, _) => shown(&self.member["evidence"]),
            (Value::String(findings), _) => findings.clone(),
            // The reason stands before it already.
            (Value::Object(_), Some(text)) if findings["reason"] == reason => {
                let file = findings["file"].as_str().map(|file| format!("{file}:\n"));
                format!("{}{text}", file.unwrap_or_default())
            }
            (findings, _) => canonical(findings),
        };
        format!("{}: {reason}\n{text}", self.name)
    }
}

fn failed_members<'a>(evidence: &'a Value, of: &str, failed: &mut Vec<FailedMember<'a>>) {
    for member in evidence["members"].as_array().into_iter().flatten() {
        if member["verdict"] != "fail" {
            continue;
        }
        let name = format!("{of}{}", member["id"].as_str().unwrap_or_default());
        let before = failed.len();
        if member["findings"].is_null() {
            failed_members(&member["evidence"], &format!("{name}/"), failed);
        }
        if failed.len() == before {
            failed.push(FailedMember { name, member });
        }
    }
}

fn shown(evidence: &Value) -> String {
    match evidence.get("output").and_then(Value::as_str) {
        Some(output) => output.trim_end().to_owned(),
        None => {
            let mut evidence = evidence.clone();
            if let Some(fields) = evidence.as_object_mut() {
                fields.remove("source");
            }
            canonical(&evidence)
        }
    }
}
