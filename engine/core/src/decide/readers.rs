//! The readers of a step's output: whether the step may be skipped.
//!
//! Law: named is only what would fail for certain once it begins. An expression that asks first (`.?`, `has`, the
//! step's status, its whole output) is none of them.

use crate::state::RunState;
use everfold_language::definition::{Join, Shown, Step, Work};
use everfold_language::expr::{Expr, FieldChain, Template, step_path};

/// A place of the pipeline that takes the output of a step for granted.
pub(super) struct OutputReader {
    /// Whose it is: “build”, or the run's `output`.
    pub(super) of: String,
    /// What it reads: `steps.plan.output.files`.
    pub(super) chain: String,
}

/// The first that cannot go on without the output of a step.
pub(super) fn first_reader(state: &RunState, at: usize) -> Option<OutputReader> {
    if state.graph.step(at).otherwise.is_some() {
        return None;
    }
    let id = state.step_id(at);
    let later = state.graph.downstream(at).into_iter().filter(|step| *step != at);
    let of_step = later.into_iter().find_map(|step| {
        let step = state.graph.step(step);
        // It is skipped itself.
        if step.join == Join::Succeeded && step.needs.contains(&id) {
            return None;
        }
        let asked: Vec<&Expr> = step.when.iter().collect();
        let chain = beginning(step).into_iter().find_map(|expr| taken(expr, &asked, id.as_str()));
        let chain = chain.or_else(|| list_of(step, id.as_str()));
        chain.map(|chain| OutputReader { of: format!("“{}”", step.id), chain })
    });
    of_step.or_else(|| {
        let output = state.definition().output.as_ref()?;
        let chain = output.expressions().into_iter().find_map(|expr| taken(expr, &[], id.as_str()))?;
        Some(OutputReader { of: "the run's `output`".to_owned(), chain })
    })
}

/// The expressions without whose values a round of the step cannot begin.
fn beginning(step: &Step) -> Vec<&Expr> {
    let mut templates: Vec<&Template> = Vec::new();
    templates.extend(step.foreach.iter().map(|foreach| &foreach.items));
    templates.extend(step.env.values());
    templates.extend(step.outputs.files.values().map(|file| &file.file));
    match &step.work {
        Some(Work::Task(task)) => templates.push(&task.spec),
        Some(Work::Approval(approval)) => {
            templates.push(&approval.title);
            templates.extend(approval.show.iter().map(Shown::template).chain(&approval.edit));
        }
        Some(Work::Question(question)) => {
            templates.push(&question.title);
            templates.extend(question.text.iter().chain(&question.options).chain(&question.items));
        }
        Some(Work::Wait(wait)) => templates.extend(wait.until.iter().chain(&wait.zone)),
        None => {}
    }
    let of_templates = templates.into_iter().flat_map(Template::expressions);
    step.when.iter().chain(of_templates).collect()
}

/// What an expression takes for granted of the step's output.
fn taken(expr: &Expr, when: &[&Expr], step: &str) -> Option<String> {
    let is_of = |chain: &FieldChain| matches!(chain.path.as_slice(), [root, name, ..] if root == "steps" && name == step);
    let field = |chain: &FieldChain| chain.path.get(2).map(String::as_str).unwrap_or_default().to_owned();
    let asks = |chain: &FieldChain| {
        let is_whole = chain.path.len() == 3 && field(chain) == "output";
        let is_tested = chain.tested || chain.guarded_from.is_some();
        is_of(chain) && (field(chain) == "status" || is_whole || (field(chain) == "output" && is_tested))
    };
    if expr.chains().iter().chain(when.iter().flat_map(|when| when.chains())).any(asks) {
        return None;
    }
    let granted = |chain: &&FieldChain| {
        is_of(chain)
            && field(chain) == "output"
            && chain.path.len() > 3
            && !chain.tested
            && chain.guarded_from.is_none_or(|guarded| guarded > 3)
    };
    let chain = expr.chains().iter().find(granted)?;
    Some(format!("{}.{}", step_path(step), chain.path[2..].join(".")))
}

/// The list of a `foreach`, where it is the step's whole output: nothing is no list.
fn list_of(step: &Step, other: &str) -> Option<String> {
    let whole = format!("{}.output", step_path(other));
    let items = step.foreach.as_ref()?.items.source().as_str()?;
    let inner = items.strip_prefix("${")?.strip_suffix('}')?.trim();
    (inner == whole).then_some(whole)
}
