//! The values that an expression asks its scope for, as variables of CEL.
//!
//! Law: an expression sees of each value what its chains lead to, and answers as if it saw all of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cel::Context;
use cel::common::types::{CelMap, CelMapKey};
use cel::common::value::Val;
use serde_json::Value;

use super::compiled::{FieldChain, Reference};
use super::json_value::from_json;
use super::values::{EvalError, Scope};

/// The values of the references of an expression, or of all expressions of a template; `None` where the scope has no such name.
pub(super) struct ReferenceValues(BTreeMap<Reference, Option<Value>>);

impl ReferenceValues {
    /// Asks the scope for everything at once, so that one answer names all that must be loaded.
    pub(super) fn gather<'a>(
        references: impl IntoIterator<Item = &'a Reference>,
        expression: &str,
        scope: &dyn Scope,
    ) -> Result<Self, EvalError> {
        let mut values = BTreeMap::new();
        let mut needs = Vec::new();
        let mut failed = None;
        for reference in references {
            match scope.get(&reference.path()) {
                Ok(value) => {
                    values.insert(reference.clone(), value);
                }
                Err(EvalError::Needs(more)) => needs.extend(more),
                Err(EvalError::Failed { message, code, .. }) => {
                    failed.get_or_insert(EvalError::Failed {
                        expression: expression.to_owned(),
                        message,
                        code,
                    });
                }
            }
        }
        if !needs.is_empty() {
            needs.sort();
            needs.dedup();
            return Err(EvalError::Needs(needs));
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(Self(values)),
        }
    }

    /// Gives the context the value of a reference, as far as chains of the expression lead into it.
    pub(super) fn bind(&self, reference: &Reference, chains: &[FieldChain], context: &mut Context<'_, '_>) {
        match reference {
            // The run stands in one map as well, whole or not.
            Reference::Run { .. } => {
                if context.get_variable("run").is_none() {
                    context.add_variable_as_val("run", self.run(chains));
                }
            }
            Reference::Name(name) if name == "run" => {
                context.add_variable_as_val("run", self.run(chains));
            }
            Reference::Name(name) => {
                if let Some(Some(value)) = self.0.get(reference) {
                    context.add_variable_as_val(name.as_str(), followed(value, &below(reference, chains)));
                }
            }
            // All steps stand in one map, which is bound with the first of them.
            Reference::Step { .. } => {
                if context.get_variable("steps").is_none() {
                    context.add_variable_as_val("steps", self.steps(chains));
                }
            }
        }
    }

    fn run(&self, chains: &[FieldChain]) -> Box<dyn Val> {
        let mut fields = HashMap::new();
        let run = Reference::Name("run".to_owned());
        let is_whole = below(&run, chains).iter().any(|path| path.is_empty());
        if let Some(Some(Value::Object(whole))) = self.0.get(&run).filter(|_| is_whole) {
            let named = whole.iter().map(|(name, value)| (CelMapKey::from(name.clone()), from_json(value)));
            fields.extend(named);
        }
        for (reference, value) in &self.0 {
            let paths = below(reference, chains);
            if let (Reference::Run { field }, Some(value), false) = (reference, value, paths.is_empty()) {
                let value = if is_whole { from_json(value) } else { followed(value, &paths) };
                fields.insert(CelMapKey::from(field.clone()), value);
            }
        }
        Box::new(CelMap::from(fields))
    }

    fn steps(&self, chains: &[FieldChain]) -> Box<dyn Val> {
        let mut steps: BTreeMap<&str, HashMap<CelMapKey<'static>, Box<dyn Val>>> = BTreeMap::new();
        for (reference, value) in &self.0 {
            let paths = below(reference, chains);
            if let (Reference::Step { step, field }, false) = (reference, paths.is_empty()) {
                let fields = steps.entry(step).or_default();
                if let Some(value) = value {
                    fields.insert(CelMapKey::from(field.clone()), followed(value, &paths));
                }
            }
        }
        let steps: HashMap<CelMapKey<'static>, Box<dyn Val>> = steps
            .into_iter()
            .map(|(step, fields)| {
                (CelMapKey::from(step.to_owned()), Box::new(CelMap::from(fields)) as Box<dyn Val>)
            })
            .collect();
        Box::new(CelMap::from(steps))
    }
}

/// What chains follow from the value of a reference on.
fn below<'a>(reference: &Reference, chains: &'a [FieldChain]) -> Vec<&'a [String]> {
    let path = reference.path();
    let begins = |chain: &&FieldChain| {
        chain.path.len() >= path.len() && chain.path.iter().zip(&path).all(|(one, other)| one == other)
    };
    chains.iter().filter(begins).map(|chain| &chain.path[path.len()..]).collect()
}

/// A value as CEL sees it, as far as these paths lead into it: a setting is mostly one of many in a large document, and an
/// expression asks for nothing beside its chains. Where none leads on, and where there are no fields, the whole value.
fn followed(value: &Value, paths: &[&[String]]) -> Box<dyn Val> {
    let Value::Object(fields) = value else { return from_json(value) };
    let Some(names) = paths.iter().map(|path| path.first()).collect::<Option<BTreeSet<_>>>() else {
        return from_json(value);
    };
    if names.is_empty() {
        return from_json(value);
    }
    let below = |name: &String| -> Vec<&[String]> {
        paths.iter().filter(|path| path.first() == Some(name)).map(|path| &path[1..]).collect()
    };
    let found = names
        .into_iter()
        .filter_map(|name| Some((CelMapKey::from(name.clone()), followed(fields.get(name)?, &below(name)))));
    Box::new(CelMap::from(found.collect::<HashMap<CelMapKey<'static>, Box<dyn Val>>>()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::compiled::Expr;
    use super::*;

    struct JsonScope(Value);

    impl Scope for JsonScope {
        fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
            Ok(path.iter().try_fold(&self.0, |value, name| value.get(name)).cloned())
        }
    }

    #[test]
    fn an_expression_answers_from_what_its_chains_lead_to_as_from_the_whole() {
        let part = json!({ "a": { "b": { "c": 1, "d": "text" }, "list": [{ "x": 1 }, { "x": 2 }], "none": null }, "e": 5 });
        let steps = json!({ "one": { "output": part, "status": "succeeded" } });
        let scope = JsonScope(
            json!({ "input": part, "steps": steps, "run": { "title": "t", "labels": { "k": "v", "other": "w" } } }),
        );
        for (whole, expressions) in
            [("input", "input"), ("steps.one.output", "steps.one.output")].map(|(whole, root)| {
                let of = |text: &str| text.replace("$", root);
                (whole, EXPRESSIONS.map(of))
            })
        {
            for expression in expressions {
                let answer = |text: &str| match Expr::parse(text).unwrap().eval(&scope) {
                    Ok(value) => Ok(value),
                    Err(EvalError::Failed { message, .. }) => Err(message),
                    Err(error) => panic!("{error}"),
                };
                let from_all = answer(&format!("[{whole}, {expression}][1]"));
                assert_eq!(answer(&expression), from_all, "{expression}");
            }
        }
        let run = |text: &str| Expr::parse(text).unwrap().eval(&scope);
        assert_eq!(run("run.labels.k + run.title + run.labels.?none.orValue('')"), Ok(json!("vt")));
        // The whole run has its own copy of what stands beside it.
        let labels = json!({ "k": "v", "other": "w" });
        assert_eq!(run("[run.labels.k, run][1].labels"), Ok(labels.clone()));
        assert_eq!(run("[run, run.labels.?none][0].labels"), Ok(labels));
        assert_eq!(run("run[['labels'][0]].other + run.labels.k"), Ok(json!("wv")));
    }

    const EXPRESSIONS: [&str; 26] = [
        "$.a.b.c",
        "$.a.b.c + $.e",
        "$['a']['b'].d",
        "$.a.b",
        "$.a.b.c == 1 && $.a.b == {'c': 1, 'd': 'text'}",
        "$.a.b.missing",
        "$.a.missing.c",
        "$.missing",
        "$.e.c",
        "$.a.none.c",
        "$.a.list.c",
        "$.a.list[1].x",
        "$.a.list.map(i, i.x)",
        "$.a.list.filter(i, i.x > 1).size() + $.e",
        "$.a.?b.?c.orValue(7)",
        "$.a.?none.?c.orValue(7)",
        "$.?missing.?c.orValue(7)",
        "$.?e.?c.orValue(7)",
        "has($.a.b.c)",
        "has($.a.b.missing)",
        "has($.a.none.c)",
        "has($.e.c)",
        "'b' in $.a",
        "'missing' in $.a && $.a.b.c == 1",
        "size($.a.b) + $.a.b.c",
        "$.a.map(k, k)",
    ];
}
