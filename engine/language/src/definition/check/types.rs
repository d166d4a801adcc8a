//! The types of expressions, as far as the pipeline declares them.

use serde_json::Value;

use super::super::SearchType;
use super::super::codes::Code;
use super::super::input::local_reference;
use super::super::read::{ExprPlace, ExprUse, PipelineReader, Wants};
use super::name_check::NameCheck;
use crate::expr::{EvalError, Scope, Type};

/// What an expression is given that asks for nothing.
struct NoNames;

impl Scope for NoNames {
    fn get(&self, _path: &[&str]) -> Result<Option<Value>, EvalError> {
        Ok(None)
    }
}

impl NameCheck<'_> {
    /// Reports an expression whose parts never go together, or that has another type than its field.
    pub(super) fn types(&self, reader: &mut PipelineReader<'_>, used: &ExprUse) {
        let lookup = |path: &[String]| self.type_of(used, path);
        let is_gate = used.place == ExprPlace::Gate;
        let problem = match used.expr.infer(&lookup) {
            Err(problem) => Some((problem.message, problem.hint)),
            Ok(found) => match (used.wants, found) {
                (Wants::Bool, Type::Any | Type::Bool)
                | (Wants::List, Type::Any | Type::List)
                | (Wants::Any, _) => None,
                (Wants::Attribute(kind), found) => attribute_misfit(kind, found),
                (Wants::Bool, found) => {
                    let hint = (found == Type::Text).then(|| "names stand bare, texts in quotes".to_owned());
                    Some((format!("a condition is true or false, this is {}", found.words()), hint))
                }
                (Wants::List, found) => {
                    let what = if is_gate {
                        "`credentials` is a list of names"
                    } else {
                        "`foreach` goes over a list"
                    };
                    Some((format!("{what}, this is {}", found.words()), None))
                }
            },
        };
        let placed = |code, message| match used.source_map.local_use(0) {
            Some(local) => local.problem(code, message),
            None => used.source_map.problem(code, 0..used.expr.source().len(), message),
        };
        if let Some((message, hint)) = problem {
            let code =
                if used.wants == Wants::List && !is_gate { Code::ForeachList } else { Code::ExpressionType };
            reader.problems.push(placed(code, message).hinted(hint));
        } else if used.expr.references().is_empty()
            && let Err(EvalError::Failed { message, .. }) = used.expr.eval(&NoNames)
        {
            let message = format!("this gives no value in any run: {message}");
            let hint = "it asks for nothing of the run, so it stays so: correct it, or let it ask for what it depends on";
            reader.problems.push(placed(Code::NoValue, message).hint(hint));
        }
    }

    fn type_of(&self, used: &ExprUse, path: &[String]) -> Type {
        match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["input", rest @ ..] => self.input_type(rest),
            ["run", "id" | "short_id" | "root" | "top" | "pipeline" | "status"] => Type::Text,
            [
                "run" | "config" | "steps" | "step" | "workspace" | "rework" | "evidence" | "gate"
                | "failure" | "event" | "answer",
            ] => Type::Map,
            ["answers"] => Type::List,
            ["secrets", _] => Type::Text,
            ["steps", _, "status" | "stage"] => Type::Text,
            ["steps", _, "round" | "rounds"] => Type::Int,
            ["steps", _, "outputs" | "usage"] | ["run", "usage" | "signals" | "search"] => Type::Map,
            ["run", "steps" | "routes" | "waiting" | "gates" | "warnings"] => Type::List,
            ["steps", _, "usage", "input" | "output" | "cached"]
            | ["run", "usage", "input" | "output" | "cached"] => Type::Int,
            ["steps", _, "outputs", _] | ["workspace", "path" | "branch" | "base"] => Type::Text,
            ["failure", "kind" | "message"] => Type::Text,
            ["index"] | ["run", "number"] => Type::Int,
            ["gate", "round" | "probe_no"] => Type::Int,
            ["evidence", "exit"] if used.place == ExprPlace::Policy("command") => Type::Int,
            ["evidence", "exists"] => Type::Bool,
            _ => Type::Any,
        }
    }

    fn input_type(&self, path: &[&str]) -> Type {
        let Some(root) = self.input else { return Type::Any };
        let mut schema = root;
        for name in path {
            schema = local_reference(root, schema).unwrap_or(schema);
            match schema.get("properties").and_then(|properties| properties.get(name)) {
                Some(property) => schema = property,
                None => return Type::Any,
            }
        }
        schema = local_reference(root, schema).unwrap_or(schema);
        match schema.get("type").and_then(Value::as_str) {
            Some("string") => Type::Text,
            Some("boolean") => Type::Bool,
            Some("integer") => Type::Int,
            Some("array") => Type::List,
            Some("object") => Type::Map,
            // A JSON number may be whole or not.
            _ => Type::Any,
        }
    }
}

/// What is wrong with an expression that a search attribute of this type is to hold the value of.
fn attribute_misfit(kind: Option<SearchType>, found: Type) -> Option<(String, Option<String>)> {
    let is_fit = match (kind, found) {
        (_, Type::Any | Type::Null) => true,
        (None, Type::Map | Type::Kind | Type::Span) => false,
        (None, _) | (Some(SearchType::Number), Type::Int | Type::Double) => true,
        (Some(SearchType::Text), Type::Text | Type::Int | Type::Double | Type::Bool) => true,
        (Some(SearchType::Time), Type::Time | Type::Text) => true,
        (Some(SearchType::Bool), Type::Bool) | (Some(SearchType::List), Type::List) => true,
        _otherwise => false,
    };
    if is_fit {
        return None;
    }
    let wanted = kind.map_or("a text, a number, a time, a bool or a list of texts", SearchType::words);
    Some((format!("a search attribute is {wanted}, this is {}", found.words()), None))
}
