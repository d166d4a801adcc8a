//! The role in whose name work, a gate or a notice acts.
//!
//! Law: a role is rendered with what it belongs to, stands beside it in what is recorded, and only where a secret that it
//! is given has a source per role. Which source that is, is decided where values are looked up.

use super::scope::RunScope;
use everfold_base::json::Value;
use everfold_language::definition::{
    Definition, ExecutorTask, Gate, Member, Probe, SecretSource, Step, Work,
};
use everfold_language::expr::functions::to_text;
use everfold_language::expr::{EvalError, Template};

/// The key of a document of work that holds its role.
pub(super) const ROLE: &str = "as";

/// Notes the role in a document of work.
pub(super) fn note(document: &mut Value, role: Option<String>) {
    if let Some(role) = role {
        document[ROLE] = role.into();
    }
}

/// The role of a step's work.
pub(super) fn of_work(
    step: &Step,
    task: &ExecutorTask,
    scope: &RunScope<'_>,
) -> Result<Option<String>, EvalError> {
    let definition = scope.state().definition();
    if !has_choice(definition)
        || !(is_given(definition, &task.spec) || is_given_to_processes(definition, step))
    {
        return Ok(None);
    }
    of_step(step, scope)
}

/// The role of a gate of a step: its own, else that of the step.
pub(super) fn of_gate(step: &Step, gate: &Gate, scope: &RunScope<'_>) -> Result<Option<String>, EvalError> {
    let definition = scope.state().definition();
    if !has_choice(definition)
        || !(asks_with_secrets(definition, &gate.probe) || is_given_to_processes(definition, step))
    {
        return Ok(None);
    }
    match rendered(gate.acts_as.as_ref(), scope)? {
        Some(own) => Ok(Some(own)),
        None => of_step(step, scope),
    }
}

/// The role of a gate that admits a run.
pub(super) fn of_admission(gate: &Gate, scope: &RunScope<'_>) -> Result<Option<String>, EvalError> {
    let definition = scope.state().definition();
    let is_given_any = definition.admit.secrets.iter().any(|name| is_choice(definition, name));
    match has_choice(definition) && (is_given_any || asks_with_secrets(definition, &gate.probe)) {
        true => rendered(gate.acts_as.as_ref(), scope),
        false => Ok(None),
    }
}

/// What `as` of a step gives; where it gives nothing, the role of its agent.
fn of_step(step: &Step, scope: &RunScope<'_>) -> Result<Option<String>, EvalError> {
    let agent = match &step.work {
        Some(Work::Task(task)) if task.kind == ExecutorTask::AGENT => task.spec.source()["role"].as_str(),
        _other => None,
    };
    Ok(rendered(step.acts_as.as_ref(), scope)?.or_else(|| agent.map(ToOwned::to_owned)))
}

/// What an `as` gives; null and an empty text are no role.
fn rendered(acts_as: Option<&Template>, scope: &RunScope<'_>) -> Result<Option<String>, EvalError> {
    let Some(acts_as) = acts_as else { return Ok(None) };
    let role = to_text(&acts_as.render(scope)?);
    Ok((!role.is_empty()).then_some(role))
}

fn is_choice(definition: &Definition, name: &str) -> bool {
    matches!(definition.secrets.get(name), Some(SecretSource::Of(_)))
}

fn has_choice(definition: &Definition) -> bool {
    definition.secrets.values().any(|source| matches!(source, SecretSource::Of(_)))
}

/// Whether a text of these parameters holds a secret with a source per role.
fn is_given(definition: &Definition, parameters: &Template) -> bool {
    let names = parameters.expressions().into_iter().filter_map(|expr| expr.secret());
    names.into_iter().any(|name| is_choice(definition, &name))
}

/// Whether the processes of a step are given such a secret.
fn is_given_to_processes(definition: &Definition, step: &Step) -> bool {
    step.secrets.iter().any(|name| is_choice(definition, name))
        || step.env.values().any(|text| is_given(definition, text))
}

fn asks_with_secrets(definition: &Definition, probe: &Probe) -> bool {
    let of = |members: &[Member]| members.iter().any(|member| asks_with_secrets(definition, &member.probe));
    match probe {
        Probe::Expression(_) => false,
        Probe::Task(task) => is_given(definition, &task.spec),
        Probe::All(members) | Probe::Any(members) | Probe::AtLeast { of: members, .. } => of(members),
        Probe::Not(member) => asks_with_secrets(definition, &member.probe),
    }
}
