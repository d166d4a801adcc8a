//! Loops of expressions: the names that they give to items, and what they are charged for.

use everfold_language::expr::{Allowance, EvalError, Expr, Scope, Type};
use serde_json::{Value, json};

/// A record with these fields.
struct Fields(Value);

impl Scope for Fields {
    fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
        Ok(self.0.get(path[0]).cloned())
    }
}

/// A loop gives its name to its items, also where a type has that name, or a function.
#[test]
fn a_loop_may_call_its_items_like_a_type() {
    let nothing = Fields(json!({}));
    for (source, value) in [
        ("[1, 2].map(string, string)", json!([1, 2])),
        ("[1, 2].filter(int, int > 1)", json!([2])),
        ("[1, 2].map(string, string(string))", json!(["1", "2"])),
        ("[{'a': 1}].map(map, map.a)", json!([1])),
        ("[{'a': 1}].map(list, list.?a.orValue(0))", json!([1])),
        ("[2, 1].sortBy(type, type)", json!([1, 2])),
        ("[true].all(bool, bool) && [[1]].exists(list, list[0] == 1)", json!(true)),
        ("[1].map(string, [2].map(int, string + int))", json!([[3]])),
        ("['a'].map(string, type(string) == type('b'))", json!([true])),
        ("[1].map(int, int)[0] == 1 && type(1) == int", json!(true)),
    ] {
        assert_eq!(Expr::parse(source).unwrap().eval(&nothing), Ok(value), "{source}");
    }
}

/// A key that stood there, or a name, was charged; one that is computed was not: each turn copied the whole map.
#[test]
fn a_computed_key_of_a_loop_over_a_record_is_charged_as_one_that_stands_there() {
    let numbers: Vec<u32> = (0..20_000).collect();
    let map: serde_json::Map<String, Value> = numbers.iter().map(|n| (n.to_string(), json!(n))).collect();
    let rows = json!({ "map": map, "1": "one", "x": { "1": 1 } });
    let record = Fields(json!({ "n": numbers, "few": [1, 2], "rows": rows }));
    let ask = |text: &str| {
        let expr = Expr::over_record(text, &|_| Type::Any).unwrap();
        expr.eval_bool_within(&record, &Allowance::of_rows()).map_err(|error| error.to_string())
    };
    for key in ["'map'", "'ma' + 'p'", "['map'][0]"] {
        let text = format!("n.all(k, rows[?{key}].orValue({{}}).size() > 0)");
        let text = text.as_str();
        assert!(ask(text).unwrap_err().contains("too many values"), "{text}");
    }
    for text in [
        "n.exists(k, rows.map[?string(k + 1)].orValue(0) == 7)",
        "few.exists(k, rows[?string(k)].orValue('') == 'one')",
        "few.exists(k, rows[?rows[?string(k)].orValue('') + ''].hasValue()) == false",
        "few.all(k, n[?k + 1].orValue(0) == k + 1)",
        "few.all(k, !few[?k + 9].hasValue() && rows.?none[?string(k)].orValue('no') == 'no')",
        "few.exists(k, rows.x[?string(few.filter(i, i == k)[0])].orValue(0) == 1)",
    ] {
        assert_eq!(ask(text), Ok(true), "{text}");
    }
}
