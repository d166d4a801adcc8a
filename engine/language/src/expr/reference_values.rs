//! The values that an expression asks its scope for, as variables of CEL.
//!
//! Law: an expression sees of each value what it uses, and answers as if it saw all of it.

use std::collections::BTreeMap;

use cel::Context;
use cel::common::types::CelMapKey;
use cel::common::value::Val;
use serde_json::Value;

use super::compiled::{CompiledExpr, Reference};
use super::json_value::{MapField, map_of};
use super::value_use::ValueUses;
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

    /// Gives the context what an expression uses of the value of a reference: a setting is mostly one of many in a large document.
    pub(super) fn bind<'v>(
        &'v self,
        reference: &Reference,
        of: &'v CompiledExpr,
        context: &mut Context<'_, 'v>,
    ) {
        match reference {
            // The run stands in one map as well, whole or not.
            Reference::Run { .. } => {
                if context.get_variable("run").is_none() {
                    context.add_variable_as_val("run", self.run(of));
                }
            }
            Reference::Name(name) if name == "run" => {
                context.add_variable_as_val("run", self.run(of));
            }
            Reference::Name(name) => {
                if let (Some(Some(value)), Some(of_it)) = (self.0.get(reference), of.uses.at(&[name])) {
                    context.add_variable_as_val(name.as_str(), of_it.taken_from(value));
                }
            }
            // All steps stand in one map, which is bound with the first of them.
            Reference::Step { .. } => {
                if context.get_variable("steps").is_none() {
                    context.add_variable_as_val("steps", self.steps(&of.uses));
                }
            }
        }
    }

    fn run<'v>(&'v self, of: &'v CompiledExpr) -> Box<dyn Val + 'v> {
        let CompiledExpr { uses, references, .. } = of;
        let mut fields = BTreeMap::new();
        let run = Reference::Name("run".to_owned());
        // Named as a value, the run may be used by whatever name it has then.
        let is_named = references.contains(&run);
        if let Some(Some(Value::Object(whole))) = self.0.get(&run).filter(|_| is_named) {
            fields.extend(whole.iter().map(|(name, value)| (name.as_str(), value)));
        }
        fields.extend(references.iter().filter_map(|reference| match (reference, self.0.get(reference)) {
            (Reference::Run { field }, Some(Some(value))) => Some((field.as_str(), value)),
            _other => None,
        }));
        let used = |(name, value): (&'v str, &'v Value)| {
            Some((CelMapKey::from(name), uses.at(&["run", name])?.taken_from(value)))
        };
        map_of(fields.into_iter().filter_map(used))
    }

    fn steps<'v>(&'v self, uses: &ValueUses) -> Box<dyn Val + 'v> {
        let mut steps: BTreeMap<&'v str, Vec<MapField<'v>>> = BTreeMap::new();
        for (reference, value) in &self.0 {
            if let (Reference::Step { step, field }, Some(of_it)) = (reference, uses.at(&reference.path())) {
                let fields = steps.entry(step).or_default();
                fields.extend(
                    value.iter().map(|value| (CelMapKey::from(field.as_str()), of_it.taken_from(value))),
                );
            }
        }
        map_of(steps.into_iter().map(|(step, fields)| (CelMapKey::from(step), map_of(fields.into_iter()))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
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
    fn an_expression_answers_from_what_it_uses_as_from_the_whole() {
        let part = json!({ "a": { "b": { "c": 1, "d": "text" }, "list": [{ "x": 1 }, { "x": 2 }], "none": null }, "e": 5,
            "items": [{ "id": "a", "n": 1, "deep": { "x": 1, "y": 2 } }, { "id": "b", "n": 2, "deep": { "x": 3, "y": 4 } }] });
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
        // Named as a value, it has its fields under every name.
        for text in [
            "[run].map(r, r.title)[0]",
            "[run].map(r, r.?title.orValue('none'))[0]",
            "[run][0]['title']",
            "{'r': run}.r.title",
            "has({'r': run}.r.title) ? 't' : ''",
            "(true ? run : input).title",
            "run.filter(k, k == 'title').map(k, run[k])[0]",
            "'title' in run && run.labels.k == 'v' ? 't' : ''",
        ] {
            assert_eq!(run(text), Ok(json!("t")), "{text}");
        }
    }

    /// Draws expressions over `input.items` that have a value as a rule, from bytes; with none left the simplest ones.
    struct DrawnExpression<'a> {
        bytes: std::slice::Iter<'a, u8>,
        /// How many loops are around what is drawn: their variables are `v0`, `v1`, ….
        loops: usize,
    }

    impl DrawnExpression<'_> {
        fn next(&mut self, of: usize) -> usize {
            self.bytes.next().map_or(0, |byte| usize::from(*byte) % of)
        }

        fn in_loop(&mut self, text: fn(&mut Self) -> String) -> String {
            self.loops += 1;
            let body = text(self);
            self.loops -= 1;
            format!("v{}, {body}", self.loops)
        }

        fn list(&mut self) -> String {
            match self.next(10) {
                0..2 => "input.items".to_owned(),
                2 => "run.items".to_owned(),
                9 => "[run].map(r, r.items)[0]".to_owned(),
                3 => format!("{}.filter({})", self.list(), self.in_loop(Self::flag)),
                4 => format!("{}.map({})", self.list(), self.in_loop(Self::map)),
                5 => format!("({} ? {} : {})", self.flag(), self.list(), self.list()),
                6 => format!("({} + {})", self.list(), self.list()),
                7 => format!("[{}]", self.map()),
                _ => format!("[{}].map({})[0]", self.list(), self.in_loop(|it| format!("v{}", it.loops - 1))),
            }
        }

        fn map(&mut self) -> String {
            match self.next(8) {
                0..3 if self.loops > 0 => format!("v{}", self.next(self.loops)),
                0..3 => format!("{}[0]", self.list()),
                3 => "run".to_owned(),
                4 => format!("{}.deep", self.map()),
                5 => format!("{}[?{}].orValue({})", self.list(), self.next(3), self.map()),
                6 => format!("{{'id': {}, 'n': {}, 'deep': {}}}", self.part(), self.part(), self.map()),
                _ => format!("({} ? {} : {})", self.flag(), self.map(), self.map()),
            }
        }

        fn part(&mut self) -> String {
            match self.next(8) {
                0 => "1".to_owned(),
                1 => format!("{}.id", self.map()),
                2 => format!("{}['n']", self.map()),
                3 => format!("{}.?n.orValue(7)", self.map()),
                4 => format!("{}.?deep.?x.orValue({})", self.map(), self.part()),
                5 => format!("size({})", self.list()),
                6 => format!("{}.map({})[?0].orValue(3)", self.list(), self.in_loop(Self::part)),
                _ => format!("{}[['n', 'id'][{}]]", self.map(), self.next(2)),
            }
        }

        fn flag(&mut self) -> String {
            match self.next(9) {
                0 => "true".to_owned(),
                1 => format!("{} == {}", self.part(), self.part()),
                2 => format!("{} != {}", self.map(), self.map()),
                3 => format!("{} == []", self.list()),
                4 => format!("{} == {}", self.list(), self.list()),
                5 => format!("{}.exists({})", self.list(), self.in_loop(Self::flag)),
                6 => format!("has({}.n)", self.map()),
                7 => format!("'deep' in {}", self.map()),
                _ => format!("{}.?deep.hasValue() && {}", self.map(), self.flag()),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_expression_answers_from_what_it_uses_as_from_the_whole(
            kind in 0_usize..4,
            bytes in proptest::collection::vec(any::<u8>(), 1..40),
        ) {
            let item = |id: &str, n: i64| json!({ "id": id, "n": n, "deep": { "id": id, "x": n, "deep": { "n": 0 } } });
            let scope = JsonScope(json!({
                "input": { "items": [item("a", 1), item("b", 2), { "id": "c" }] },
                "run": { "id": "r", "n": 3, "deep": item("d", 4), "items": [item("e", 5)] },
            }));
            let mut drawn = DrawnExpression { bytes: bytes.iter(), loops: 0 };
            let text = [DrawnExpression::list, DrawnExpression::map, DrawnExpression::part, DrawnExpression::flag][kind](&mut drawn);
            let answer = |text: &str| Some(match Expr::parse(text).ok()?.eval(&scope) {
                Ok(value) => Ok(value),
                Err(EvalError::Failed { message, .. }) => Err(message),
                Err(error) => panic!("{error}"),
            });
            // An expression is too long, or too deep with the list around it.
            if let (Some(one), Some(from_all)) = (answer(&text), answer(&format!("[input, run, {text}][2]"))) {
                prop_assert_eq!(one, from_all, "{}", text);
            }
        }
    }

    const EXPRESSIONS: [&str; 72] = [
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
        // Loops over lists of maps: each item as far as it is used.
        "$.items.filter(s, s.id == 'b')",
        "$.items.filter(s, s.id == 'b')[0]",
        "$.items.filter(s, s.id == 'b')[0].n",
        "$.items.filter(s, s.id == 'b').map(s, s.n)",
        "$.items.filter(s, s.id == 'b').map(s, s.deep.x)[0]",
        "$.items.filter(s, s.id == 'b') == []",
        "$.items.filter(s, s.id == 'z') == []",
        "$.items.filter(s, s.id != 'b') == [{ 'id': 'a', 'n': 1, 'deep': { 'x': 1, 'y': 2 } }]",
        "$.items.filter(s, s.id == 'z')[?0].?n.orValue(-1)",
        "$.items.filter(s, s.id == 'b')[?0].?deep.orValue({})",
        "$.items.filter(s, s.id == 'b')[?0].or($.items[?0]).orValue({'n': 9}).n",
        "$.items.exists(s, s.n > 1)",
        "$.items.all(s, s.deep.x > 0)",
        "$.items.exists_one(s, s.n == 2)",
        "$.items.exists(s, s == $.items[0])",
        "$.items.exists(s, has(s.none))",
        "$.items.exists(s, has(s.deep.y))",
        "$.items.exists(s, s.missing == 1)",
        "$.items.map(s, s)",
        "$.items.map(s, s.deep)",
        "$.items.map(s, s.n > 1, s.id)",
        "$.items.map(s, [s.id, s.n])",
        "$.items.map(s, {'id': s.id, 'rest': s.deep})",
        "$.items.map(s, {'id': s.id, 'rest': s.deep}).map(p, p.rest.x)",
        "$.items.map(s, {s.id: s}).map(p, p.?b.?n.orValue(0))",
        "$.items.map(s, s.deep).map(d, d.x + d.y)",
        "$.items.map(s, $.items.filter(t, t.n >= s.n).map(t, t.id))",
        "$.items.map(s, $.items.filter(s, s.n > 1).map(t, t.id))",
        "$.items.map(s, 7)",
        "$.items.filter(s, true)",
        "$.items.filter(s, true).size()",
        "size($.items.map(s, s.deep)) + $.items[1].n",
        "($.items + [{'id': 'c', 'n': 3}]).map(s, s.n)",
        "($.e == 5 ? $.items : []).map(s, s.id)",
        "[$.items[0], $.items[1]].map(s, s.n)",
        "[$.items].map(l, l[0].id + l[1].deep.y.format_as)",
        "[$.items].map(l, l.map(s, s.n))[0]",
        "$.items.sortBy(s, -s.n).map(s, s.id)",
        "$.items.map(s, s['deep']['x'])",
        "$.items.map(s, s[['id'][0]])",
        "$.items.map(s, type(s) == map)",
        "$.items.map(s, s.deep == {'x': 1, 'y': 2})",
        "$.items.map(s, s.id in ['a'])",
        "$.items.map(s, 'deep' in s)",
        "$.a.filter(k, k == 'list').map(k, $.a[k][0].x)",
        "{'one': $.items[0], 'two': $.items}.two.map(s, s.id)",
    ];
}
