//! An expression over the state of a run, at any version of it.
//!
//! Law: it is read and checked before a state is; its names are those of rows of runs, and those that expressions of
//! pipelines have. Values of pipelines are as pipelines see them: a member that is null is there.

use everfold_base::failure::FailureKind;
use everfold_core::asked_state::AskedState;
use everfold_core::state::RunState;
use everfold_language::definition::{
    Definition, RUN_FIELDS, RUN_STATUSES, STEP_FIELDS, STEP_STATUSES, similar,
};
use everfold_language::expr::{Allowance, EvalError, Expr, Loaded, Scope, Type, ValueRef};

use super::row_filter::{FilterError, misspelt, without_nulls};

/// The names of rows that a state has, too, with their types.
const OWN: [(&str, Type); 26] = [
    ("now", Type::Time),
    ("updated_at", Type::Time),
    ("version", Type::Int),
    ("id", Type::Text),
    ("short_id", Type::Text),
    ("pipeline", Type::Text),
    ("number", Type::Int),
    ("title", Type::Text),
    ("status", Type::Text),
    ("labels", Type::Map),
    ("search", Type::Map),
    ("started_by", Type::Text),
    ("started_at", Type::Time),
    ("ended_at", Type::Time),
    ("elapsed", Type::Span),
    ("cost", Type::Double),
    ("usage", Type::Map),
    ("usage.input_tokens", Type::Int),
    ("usage.output_tokens", Type::Int),
    ("failure", Type::Map),
    ("failure.kind", Type::Text),
    ("failure.code", Type::Text),
    ("failure.message", Type::Text),
    ("failure.exit_code", Type::Int),
    ("failure.step", Type::Text),
    ("paused", Type::Bool),
];
/// The names of pipelines.
const OF_PIPELINES: [&str; 5] = ["run", "steps", "input", "config", "workspace"];

/// A compiled expression over states.
pub struct StateQuestion {
    expr: Expr,
}

/// A name of an expression that only some runs have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedName {
    /// A step.
    Step(String),
    /// A gate of a step.
    Gate {
        /// The step.
        step: String,
        /// The gate.
        gate: String,
    },
    /// A label.
    Label(String),
}

/// What an expression is of one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateAnswer {
    /// It is true.
    True,
    /// It is false.
    False,
    /// It is neither.
    Undecided(String),
    /// These values must be loaded first.
    Needs(Vec<ValueRef>),
}

impl StateQuestion {
    /// Reads and checks an expression. Without a definition any step may be named.
    ///
    /// # Errors
    /// [`FilterError`]: it is none, names what states do not have, or can never be true or false.
    pub fn compile(source: &str, definition: Option<&Definition>) -> Result<Self, FilterError> {
        let expr = Expr::over_record(source, &type_of)
            .map_err(|error| FilterError::new(source, error.offset, error.message).hint(error.hint))?;
        if let Some(error) = expr.bad_literal() {
            return Err(FilterError::new(source, error.offset, error.message).hint(error.hint));
        }
        for chain in expr.chains() {
            if let Some((parts, (message, hint))) = unknown(&chain.path, definition) {
                return Err(FilterError::new(source, expr.locate(&chain.path[..parts]), message).hint(hint));
            }
        }
        match expr.infer(&type_of) {
            Ok(Type::Bool | Type::Any) => {}
            Ok(other) => {
                let message = format!("a question is true or false, this is {}", other.words());
                return Err(FilterError::new(source, 0, message));
            }
            Err(problem) => return Err(FilterError::new(source, 0, problem.message).hint(problem.hint)),
        }
        let condition = expr.condition(&type_of, &NoConstants).map_err(|error| {
            FilterError::new(source, 0, format!("a value in it cannot be computed: {error}"))
        })?;
        if let Some((word, message, hint)) = misspelt(&condition, &words_of) {
            let offset = expr.locate(std::slice::from_ref(&word));
            return Err(FilterError::new(source, offset, message).hint(hint));
        }
        Ok(Self { expr })
    }

    /// The steps, gates and labels that it names.
    #[must_use]
    pub fn asked_names(&self) -> Vec<AskedName> {
        let mut names = Vec::new();
        for chain in self.expr.chains() {
            let parts: Vec<&str> = chain.path.iter().map(String::as_str).collect();
            let of_chain = match parts.as_slice() {
                ["labels", label, ..] => vec![AskedName::Label((*label).to_owned())],
                ["steps", step, "gates", gate, ..] => vec![
                    AskedName::Step((*step).to_owned()),
                    AskedName::Gate { step: (*step).to_owned(), gate: (*gate).to_owned() },
                ],
                ["steps", step, ..] => vec![AskedName::Step((*step).to_owned())],
                _every_run => Vec::new(),
            };
            names.extend(of_chain);
        }
        let mut seen: Vec<AskedName> = Vec::new();
        names.retain(|name| {
            let is_new = !seen.contains(name);
            if is_new {
                seen.push(name.clone());
            }
            is_new
        });
        names
    }

    /// Asks it of a state. `allowance` is shared by all states of one answer.
    #[must_use]
    pub fn ask(&self, state: &RunState, loaded: &Loaded, allowance: &Allowance) -> StateAnswer {
        let asked = AskedState::new(state, loaded);
        match self.expr.eval_bool_within(&QuestionScope(&asked), allowance) {
            Ok(true) => StateAnswer::True,
            Ok(false) => StateAnswer::False,
            Err(EvalError::Needs(values)) => StateAnswer::Needs(values),
            Err(EvalError::Failed { message, .. }) => StateAnswer::Undecided(message),
        }
    }
}

/// The names of rows as rows have them, where a field that is null is not there, and those of pipelines as these see them.
struct QuestionScope<'a>(&'a AskedState<'a>);

impl Scope for QuestionScope<'_> {
    fn get(&self, path: &[&str]) -> Result<Option<everfold_base::json::Value>, EvalError> {
        let value = self.0.get(path)?;
        let is_of_pipelines = path.first().is_some_and(|root| OF_PIPELINES.contains(root));
        Ok(if is_of_pipelines { value } else { value.map(without_nulls) })
    }
}

struct NoConstants;

impl Scope for NoConstants {
    fn get(&self, _path: &[&str]) -> Result<Option<everfold_base::json::Value>, EvalError> {
        Ok(None)
    }
}

fn type_of(path: &[String]) -> Type {
    let name = path.join(".");
    if let Some((_, of)) = OWN.iter().find(|(own, _)| *own == name) {
        return *of;
    }
    match path {
        [root, _] if root == "labels" => Type::Text,
        [root, _, field] if root == "steps" => match field.as_str() {
            "status" | "commit" | "stage" | "role" => Type::Text,
            "round" | "rounds" | "attempts" | "worked" => Type::Int,
            _value => Type::Any,
        },
        _value => Type::Any,
    }
}

/// The words that a field may have.
fn words_of(path: &[String]) -> Option<Vec<&'static str>> {
    match path {
        [root] if root == "status" => Some(RUN_STATUSES.to_vec()),
        [root, field] if root == "failure" && field == "kind" => {
            Some(FailureKind::ALL.iter().map(|kind| kind.as_str()).collect())
        }
        [root, _, field] if root == "steps" && field == "status" => Some(STEP_STATUSES.to_vec()),
        _any => None,
    }
}

/// Why a state has no such name, and after how many parts of the path that is known; `None` where it has, or where it lies
/// within a value of a pipeline.
fn unknown(path: &[String], definition: Option<&Definition>) -> Option<(usize, (String, String))> {
    let own = OWN.iter().map(|(name, _)| *name);
    let (root, rest) = path.split_first()?;
    match (root.as_str(), rest) {
        ("steps", [step, field, ..]) => {
            let steps = definition.map(|definition| definition.steps.iter().chain(&definition.on_finish));
            let known: Vec<&str> = steps.into_iter().flatten().map(|step| step.id.as_str()).collect();
            if definition.is_some() && !known.contains(&step.as_str()) {
                let what = format!("the run has no step “{step}”");
                return Some((2, none(what, step, known.into_iter(), "steps")));
            }
            let is_known = STEP_FIELDS.contains(&field.as_str());
            let what = format!("steps have no field “{field}”");
            (!is_known).then(|| (3, none(what, field, STEP_FIELDS.into_iter(), "fields")))
        }
        ("run", [field, ..]) if !RUN_FIELDS.contains(&field.as_str()) => {
            let what = format!("`run` has no field “{field}”");
            Some((2, none(what, field, RUN_FIELDS.into_iter(), "fields")))
        }
        ("usage" | "failure", [field, ..]) if !own.clone().any(|name| name == format!("{root}.{field}")) => {
            let part = format!("{root}.");
            let known = own.filter_map(|name| name.strip_prefix(part.as_str()));
            Some((2, none(format!("`{root}` has no field “{field}”"), field, known, "fields")))
        }
        (root, _) if own.clone().any(|name| name == root) || OF_PIPELINES.contains(&root) => None,
        (root, _) => {
            let known = own.filter(|name| !name.contains('.')).chain(OF_PIPELINES);
            Some((1, none(format!("states of runs have no name “{root}”"), root, known, "names")))
        }
    }
}

fn none<'a>(
    what: String,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    things: &str,
) -> (String, String) {
    let all = known.clone().collect::<Vec<_>>().join(", ");
    match similar(name, known) {
        Some(near) => (what, format!("did you mean `{near}`? The {things} are {all}")),
        None => (what, format!("the {things} are {all}")),
    }
}
