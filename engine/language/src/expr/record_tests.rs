//! Expressions over the fields of a record, and what they say to indexes.

use serde_json::{Value, json};

use super::allowance::Allowance;
use super::compiled::Expr;
use super::condition::{Comparison, FieldCondition};
use super::types::Type;
use super::values::{EvalError, Scope};

struct JsonRecord(Value);

impl Scope for JsonRecord {
    fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
        Ok(self.0.get(path[0]).cloned())
    }
}

fn types(path: &[String]) -> Type {
    match path.join(".").as_str() {
        "at" | "end" | "now" => Type::Time,
        "took" => Type::Span,
        "status" => Type::Text,
        "labels" => Type::Map,
        _other => Type::Any,
    }
}

fn record() -> JsonRecord {
    JsonRecord(json!({
        "status": "failed", "at": "2026-11-20T08:00:00.250Z", "end": null, "took": "90000ms", "failure": { "code": "X" },
        "none": null, "labels": { "team": "blue" }, "now": "2026-11-21T08:00:00Z", "items": [{ "kind": "a", "roles": ["r"] }, {}],
    }))
}

fn says(text: &str) -> Result<bool, String> {
    let expr = Expr::over_record(text, &types).map_err(|error| error.message)?;
    expr.eval_bool_within(&record(), &Allowance::of_rows()).map_err(|error| error.to_string())
}

#[test]
fn a_field_that_a_record_does_not_have_is_null() {
    for yes in [
        "failure.code == 'X'",
        "none.code == null && none.deep.er == null",
        "labels.team == 'blue' && labels['nothing'] == null && labels.nothing != 'x'",
        "!(none.code == 'X')",
        "!has(none.code) && !has(labels.nothing) && has(labels.team)",
        "items.exists(item, item.kind == 'a') && items.exists(item, item.kind == null)",
        "items[0].kind == 'a'",
        "labels.?team.orValue('') == 'blue'",
    ] {
        assert_eq!(says(yes), Ok(true), "{yes}");
    }
    assert!(says("status.code == 'X'").unwrap_err().contains("has no fields"));
    assert!(says("none.code > 3").is_err(), "null has no order");
    assert_eq!(says("none.code > 3 || status == 'failed'"), Ok(true));
}

#[test]
fn texts_of_times_and_spans_are_times_and_durations() {
    for yes in [
        "at > now - duration('7d') && at < now",
        "now - at == duration('23h59m59s750ms')",
        "took == duration('90s') && took > duration('1m')",
        "end == null && !(end != null)",
        "at.getFullYear() == 2026",
        "[1].all(n, at < now)",
    ] {
        assert_eq!(says(yes), Ok(true), "{yes}");
    }
    assert!(says("end < now").is_err());
}

#[test]
fn times_and_durations_are_types() {
    let infer = |text: &str| Expr::parse(text).unwrap().infer(&types).map_err(|problem| problem.message);
    for (text, of) in [
        ("at - now", Type::Span),
        ("at - duration('1h')", Type::Time),
        ("duration('1h') + at", Type::Time),
        ("took + duration('1h') < duration('2h')", Type::Bool),
        ("x - duration('1h')", Type::Any),
        ("duration('1h') + x", Type::Any),
        ("type(x) == string", Type::Bool),
        ("at == null", Type::Bool),
        // Names of maps are texts; those of a literal may be numbers, and what is not known may be anything.
        ("labels.exists(k, k == 'team')", Type::Bool),
        ("{1: 'a'}.exists(k, k == 1)", Type::Bool),
        ("x.exists(k, k == 5)", Type::Bool),
    ] {
        assert_eq!(infer(text), Ok(of), "{text}");
    }
    for text in [
        "at > '2026'",
        "at + at",
        "took > 3",
        "duration > took",
        "at - 5",
        "took + 'x'",
        "labels.all(k, k != 5)",
    ] {
        assert!(infer(text).is_err(), "{text}");
    }
}

#[test]
fn days_are_durations() {
    assert_eq!(Expr::parse("duration('7d') == duration('168h')").unwrap().eval_bool(&record()), Ok(true));
}

fn path(text: &str) -> Vec<String> {
    text.split('.').map(str::to_owned).collect()
}

#[test]
fn an_expression_says_to_indexes_what_its_comparisons_with_constants_say() {
    let now = JsonRecord(json!({ "now": "2026-11-21T08:00:00Z" }));
    let condition = |text: &str| Expr::over_record(text, &types).unwrap().condition(&types, &now);
    let compare = |field: &str, how, with: Value| FieldCondition::Compare { path: path(field), how, with };
    let equal = |field: &str, with: &str| compare(field, Comparison::Equal, json!(with));
    for (text, wanted) in [
        ("status == 'a'", equal("status", "a")),
        ("'a' + 'b' == labels.team", equal("labels.team", "ab")),
        ("3 < count", compare("count", Comparison::Greater, json!(3))),
        (
            "at >= now - duration('1d') && !(status != 'a')",
            FieldCondition::All(vec![
                compare("at", Comparison::GreaterOrEqual, json!("2026-11-20T08:00:00+00:00")),
                FieldCondition::Not(Box::new(compare("status", Comparison::Unequal, json!("a")))),
            ]),
        ),
        (
            "status in ['a'] || 'x' in labels",
            FieldCondition::Any(vec![
                FieldCondition::OneOf { path: path("status"), values: vec![json!("a")] },
                FieldCondition::Holds { path: path("labels"), value: json!("x") },
            ]),
        ),
        ("has(labels.y)", FieldCondition::Has { path: path("labels.y") }),
        ("has(labels.y) == true", FieldCondition::Other),
        ("has(labels.y) in [true]", FieldCondition::Other),
        ("'x' in [has(labels.y)]", FieldCondition::Other),
        (
            "items.exists(item, 'r' in item.roles && item.kind == 'a')",
            FieldCondition::OfItem(Box::new(FieldCondition::All(vec![
                FieldCondition::Holds { path: path("items.[].roles"), value: json!("r") },
                equal("items.[].kind", "a"),
            ]))),
        ),
        ("status == other", FieldCondition::Other),
        ("size(items) == 2", FieldCondition::Other),
        ("items.exists(item, item.kind == status)", FieldCondition::OfItem(Box::new(FieldCondition::Other))),
        ("items.all(item, item.kind == 'a')", FieldCondition::Other),
        ("labels.exists(key, key == 'team')", FieldCondition::OfItem(Box::new(FieldCondition::Other))),
        ("items.exists(a, items.exists(b, a.kind == 'x'))", {
            let inner = equal("items.[].kind", "x");
            FieldCondition::OfItem(Box::new(FieldCondition::OfItem(Box::new(inner))))
        }),
    ] {
        assert_eq!(condition(text), Ok(wanted), "{text}");
    }
    assert!(condition("at > timestamp('never')").is_err());
    let chains =
        Expr::parse("items.exists(item, item.kind == 'a' || items.exists(b, b.x == item.y))").unwrap();
    let found: Vec<_> = chains.item_chains().into_iter().map(|chain| (chain.path, chain.written)).collect();
    let wanted = [("items.[].kind", "item.kind"), ("items.[].x", "b.x"), ("items.[].y", "item.y")];
    assert_eq!(found, wanted.map(|(item, written)| (path(item), path(written))));
}

#[test]
fn evaluations_that_share_an_allowance_are_bounded_together() {
    let expr = Expr::over_record("items.all(item, long.matches('x+'))", &types).unwrap();
    let JsonRecord(mut row) = record();
    row["long"] = "x".repeat(64 * 100).into();
    let (row, allowance) = (JsonRecord(row), Allowance::of_rows());
    let done = (0..100_000).take_while(|_| expr.eval_bool_within(&row, &allowance).is_ok()).count();
    assert!(allowance.is_spent());
    // A pattern that each evaluation compiled would end this after a thousand of them.
    assert!((2_000..20_000).contains(&done), "{done}");
}
