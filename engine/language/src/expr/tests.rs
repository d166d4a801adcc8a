//! What expressions and templates give, and what they refuse.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::compiled::{Expr, Reference};
use super::template::Template;
use super::values::{EvalError, Scope, ValueRef};
use crate::definition::{Setting, Span};
use everfold_base::id::Version;
use everfold_base::json::Hash;

/// A scope over fixed values, by path joined with dots.
struct Fixed(BTreeMap<String, Result<Value, ValueRef>>);

impl Scope for Fixed {
    fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
        match self.0.get(&path.join(".")) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value.clone())),
            Some(Err(reference)) => Err(EvalError::Needs(vec![*reference])),
        }
    }
}

fn scope() -> Fixed {
    let values = json!({
        "input": {"n": 3, "name": "Ada", "list": [1, 2, 3], "map": {"b": 2, "a": 1}, "half": 0.5, "none": null},
        "steps.build.output": {"ok": true, "items": [{"id": 1}, {"id": 2}]},
        "steps.build.status": "succeeded",
        "steps.fix-ci.output": "fixed",
        "item": "x y",
    });
    let Value::Object(values) = values else { unreachable!("an object") };
    Fixed(values.into_iter().map(|(path, value)| (path, Ok(value))).collect())
}

fn eval(source: &str) -> Result<Value, String> {
    let expr = Expr::parse(source).map_err(|error| format!("{error}@{}", error.offset))?;
    expr.eval(&scope()).map_err(|error| error.to_string())
}

#[test]
fn expressions_give_values() {
    for (source, expected) in [
        ("input.n + 1", json!(4)),
        ("input.half >= 0.3", json!(true)),
        ("double(input.n) * 0.5", json!(1.5)),
        ("input.name + '!'", json!("Ada!")),
        ("steps.build.output.ok && steps.build.status == 'succeeded'", json!(true)),
        ("steps['fix-ci'].output", json!("fixed")),
        ("steps.build.output.items.map(i, i.id)", json!([1, 2])),
        ("steps.build.output.items.exists(i, i.id == 2)", json!(true)),
        ("input.map.map(k, k)", json!(["a", "b"])),
        ("has(input.nope)", json!(false)),
        ("has(input.nope) ? input.nope : 'd'", json!("d")),
        ("input.?nope.orValue('d')", json!("d")),
        ("input?.nope.orValue('d')", json!("d")),
        ("input.?name", json!("Ada")),
        ("input.?nope", json!(null)),
        ("has(steps.build.failure)", json!(false)),
        ("steps.gone.?output.orValue(1)", json!(1)),
        ("'a' in input.map", json!(true)),
        ("2 in input.list", json!(true)),
        ("' x '.trim()", json!("x")),
        ("trim(' x ')", json!("x")),
        ("'A-B'.split('-').map(p, p.lowerAscii()).join('/')", json!("a/b")),
        ("'abc'.replace('b', 'x').upperAscii()", json!("AXC")),
        ("'héllo'.substring(1, 3)", json!("él")),
        ("'héy'.split('', 2)", json!(["h", "éy"])),
        ("'héy'.split('')", json!(["h", "é", "y"])),
        ("''.split('')", json!([])),
        ("'a,b,c'.split(',', -1)", json!(["a", "b", "c"])),
        ("'a,b,c'.replace(',', '-', -1)", json!("a-b-c")),
        ("'v1.2'.matches('^v[0-9.]+$')", json!(true)),
        ("min(input.list) + max(4, 9, 2)", json!(10)),
        ("slug('Ünter den Linden: no. 7', 20)", json!("unter-den-linden-no")),
        ("slug('') + slug('  ')", json!("")),
        ("slug('日本語') == slug(' 日本語 ') && slug('日本語') != slug('東京')", json!(true)),
        ("slug('日本語').matches('^[0-9a-f]{12}$') && size(slug('Привет', 5)) == 5", json!(true)),
        ("slug('!?') != ''", json!(true)),
        ("pad(7, 3)", json!("007")),
        ("hash('a') == hash('a') && size(hash(input.map)) == 64", json!(true)),
        ("json('{\"a\": [1]}').a[0]", json!(1)),
        ("toJson(input.map)", json!(r#"{"a":1,"b":2}"#)),
        ("lines('a\\nb\\n')", json!(["a", "b"])),
        ("basename('/x/y.txt')", json!("y.txt")),
        ("{'b': 1, 'a': input.n}", json!({"a": 3, "b": 1})),
        ("type(input.name) == string", json!(true)),
        ("duration('90s') > duration('1m')", json!(true)),
        ("optional.of(3).value()", json!(3)),
        ("input.none == null", json!(true)),
        ("9223372036854775807 - 1", json!(9_223_372_036_854_775_806_i64)),
    ] {
        assert_eq!(eval(source), Ok(expected), "{source}");
    }
}

/// Two ids that differ in their last digit gave one key.
#[test]
fn a_whole_number_beyond_an_int_keeps_its_digits() {
    for id in [u64::MAX - 1, u64::MAX - 5] {
        let scope = Fixed(BTreeMap::from([("input".to_owned(), Ok(json!({"id": id, "n": 3})))]));
        let eval =
            |source: &str| Expr::parse(source).unwrap().eval(&scope).map_err(|error| error.to_string());
        let template = Template::parse(&json!("task-${input.id}")).unwrap();
        assert_eq!(template.render(&scope).unwrap(), json!(format!("task-{id}")));
        assert_eq!(eval("input.id"), Ok(json!(id)));
        assert_eq!(eval("string(input.id)"), Ok(json!(id.to_string())));
        assert_eq!(
            eval("input.id > input.n && input.id != input.n && input.id == input.id"),
            Ok(json!(true))
        );
        assert!(eval("input.id + input.n").is_err(), "it fits into no number of one kind");
    }
}

#[test]
fn failures_say_what_to_write_instead() {
    for (source, expected) in [
        ("input.nope", "there is no “nope”"),
        ("input.n * 0.5", "double(n)"),
        ("input.name + 1", "string(x)"),
        ("input.n / 0", "division by zero"),
        ("input.list[7]", "outside the list"),
        ("substring('abc', 5)", "substring: 5..3 lies outside"),
        ("'x'.matches('(')", "matches: pattern"),
        ("rework.findings", "“rework” has no value here"),
        ("b'abc'", "no JSON form"),
        ("1.0 / 0.0", "no JSON number"),
    ] {
        let error = eval(source).unwrap_err();
        assert!(error.contains(expected), "{source}: {error}");
    }
    let error = Expr::parse("input.n").unwrap().eval_bool(&scope()).unwrap_err();
    assert!(error.to_string().contains("true or false is needed, this is a number"), "{error}");
}

#[test]
fn texts_that_are_no_expressions_name_the_place() {
    for (source, offset, expected) in [
        ("input.n +", 9, "breaks off"),
        ("a = b", 2, "`==` compares"),
        ("input.name | upper", 11, "filters"),
        ("1 == 1 and true", 7, "&&"),
        ("x.trimm()", 2, "did you mean `trim`?"),
        ("trim('a', 'b')", 0, "it is text.trim()"),
        ("1 + steps[input.n].output", 4, "steps.NAME.FIELD"),
        ("steps.build == null", 6, "steps.build.output"),
        ("Foo{a: 1}", 0, "{'key': value}"),
        ("", 0, "empty"),
    ] {
        let error = Expr::parse(source).unwrap_err();
        let text = format!("{error} {}", error.hint.clone().unwrap_or_default());
        assert!(text.contains(expected), "{source}: {text}");
        assert_eq!(error.offset, offset, "{source}: {text}");
    }
}

#[test]
fn expressions_are_bounded() {
    let deep = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let wide = vec!["1"; 3_000].join("+");
    let nested = "[".repeat(121);
    let minus = "-".repeat(4_000);
    let not = format!("{}true", "!".repeat(4_000));
    let ternary = format!("{}1", "true ? 1 : ".repeat(300));
    let select = format!("a{}", ".b".repeat(2_000));
    for source in [&deep, &wide, &nested, &minus, &not, &ternary, &select] {
        let _refused_or_small = Expr::parse(source).map(|expr| expr.eval(&scope()));
    }
    for source in [&deep, &wide, &nested, &select] {
        assert!(Expr::parse(source).is_err());
    }
    let chain = vec!["true"; 200].join(" && ");
    assert_eq!(eval(&chain), Ok(json!(true)));

    let big: Vec<i64> = (0..2_000).collect();
    let mut scope = scope();
    scope.0.insert("input".into(), Ok(json!({"list": big, "text": "x".repeat(1_000)})));
    let run = |source: &str| Expr::parse(source).unwrap().eval(&scope).map_err(|error| error.to_string());
    assert_eq!(run("input.list.map(x, x + 1).size()"), Ok(json!(2_000)));
    let thrice = run("input.list.map(x, input.list.map(y, input.list.map(z, x + y + z)))");
    assert!(thrice.unwrap_err().contains("too many values"));
    let doubled = format!("[input.text]{}", ".map(x, x + x)".repeat(9));
    assert!(run(&doubled).is_ok());
    for source in [
        format!("[input.text]{}", ".map(x, x + x)".repeat(26)),
        format!("[bytes(input.text)]{}.size()", ".map(x, x + x)".repeat(26)),
        format!("[1]{}", ".map(x, [x, x])".repeat(26)),
        format!("[1]{}", ".map(x, {'a': x, 'b': [x]})".repeat(26)),
        "input.list.map(x, input.list)".to_owned(),
        "input.list.map(x, optional.of(input.list).value())".to_owned(),
        "input.list.all(x, input.list == input.list)".to_owned(),
        "input.list.all(x, x in input.list)".to_owned(),
        format!("[{}]", vec!["input.list"; 350].join(", ")).replace("input.list", "input.list + input.list"),
    ] {
        let bounded = Expr::parse(&source).map_err(|error| error.to_string());
        let failed =
            bounded.and_then(|expr| expr.eval(&scope).map_err(|error| error.to_string())).unwrap_err();
        assert!(failed.contains("too many values") || failed.contains("at most"), "{source}: {failed}");
    }
    let squared = "input.text.replace('x', input.text).replace('x', input.text)";
    assert!(run(squared).unwrap_err().contains("longer than"));
}

/// The deepest expressions that are accepted are evaluated on half of a usual thread's stack.
#[test]
fn the_deepest_expressions_fit_the_stack() {
    let nest =
        |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let shapes: [fn(usize) -> String; 5] = [
        |depth| vec!["1"; depth].join(" + "),
        |depth| {
            let open: String = (0..depth).map(|at| format!("[1].map(v{at}, ")).collect();
            format!("{open}1{}", ")".repeat(depth))
        },
        |depth| format!("a{}", ".b".repeat(depth)),
        |depth| format!("{}1{}", "trim(".repeat(depth), ")".repeat(depth)),
        |depth| format!("{}1{}", "{'a': ".repeat(depth), "}".repeat(depth)),
    ];
    assert!(Expr::parse(&nest("[", "]", 40)).is_err());
    for shape in shapes {
        let deepest = (1..64).rev().find_map(|depth| Expr::parse(&shape(depth)).ok()).unwrap();
        std::thread::Builder::new()
            .stack_size(1024 * 1024)
            .spawn(move || drop(deepest.eval(&scope())))
            .unwrap()
            .join()
            .unwrap();
    }
}

#[test]
fn an_expression_asks_only_for_what_it_names() {
    let expr =
        Expr::parse("steps.build.output.x + input.y + [1].map(input2, input2)[0] + (has(item.z) ? 1 : 0)")
            .unwrap();
    let step = |step: &str, field: &str| Reference::Step { step: step.into(), field: field.into() };
    assert_eq!(
        expr.references(),
        [Reference::Name("input".into()), Reference::Name("item".into()), step("build", "output")]
    );
    let shadowed = Expr::parse("[1].all(input, input > 0)").unwrap();
    assert!(shadowed.references().is_empty());
    assert_eq!(shadowed.eval(&scope()), Ok(json!(true)));
}

#[test]
fn everything_that_must_be_loaded_is_named_at_once() {
    let reference = |version| ValueRef { version: Version(version), hash: Hash::ZERO, size_bytes: 2_000 };
    let mut scope = scope();
    scope.0.insert("steps.a.output".into(), Err(reference(4)));
    scope.0.insert("steps.b.output".into(), Err(reference(9)));
    let template =
        Template::parse(&json!({"x": "${steps.a.output}", "y": ["${steps.b.output} ${input.n}"]})).unwrap();
    assert_eq!(template.render(&scope), Err(EvalError::Needs(vec![reference(4), reference(9)])));
    let expr = Expr::parse("false && steps.a.output == steps.b.output").unwrap();
    assert_eq!(expr.eval(&scope), Err(EvalError::Needs(vec![reference(4), reference(9)])));
}

#[test]
fn templates_keep_types_where_one_expression_is_the_whole() {
    for (source, expected) in [
        (json!("${input.n}"), json!(3)),
        (json!("n=${input.n}"), json!("n=3")),
        (json!("${input.list}"), json!([1, 2, 3])),
        (json!("l=${input.map} ${input.none}."), json!(r#"l={"a":1,"b":2} ."#)),
        (json!("$${input.n} costs 5$ or $$"), json!("${input.n} costs 5$ or $$")),
        (json!("${'}' + \"{\"}"), json!("}{")),
        (json!("${ {'a': {'b': 1}}.a }"), json!({"b": 1})),
        (json!({"a": ["${item}", 1, null], "b": "plain"}), json!({"a": ["x y", 1, null], "b": "plain"})),
        (json!("${input.name}${input.n}"), json!("Ada3")),
    ] {
        let template = Template::parse(&source).unwrap();
        assert_eq!(template.render(&scope()), Ok(expected), "{source}");
        let text = serde_json::to_string(&template).unwrap();
        assert_eq!(serde_json::from_str::<Template>(&text).unwrap(), template);
    }
    assert!(Template::text("plain $${x} $5").unwrap().is_constant());
    assert_eq!(Template::text("${input.none}").unwrap().render_text(&scope()), Ok(String::new()));
    let literal = json!({"a": "${x}"});
    assert_eq!(Template::constant(&literal).render(&scope()), Ok(literal));
}

#[test]
fn templates_name_the_place_of_a_mistake() {
    for (source, offset, expected) in [
        ("ab ${input.n", 3, "not closed"),
        ("ab ${1 +} c", 8, "breaks off"),
        ("ab ${nope(1)}", 5, "no function"),
        ("ab ${'x} c", 3, "not closed"),
        ("ab ${}", 5, "empty"),
    ] {
        let error = Template::text(source).unwrap_err();
        assert!(error.message.contains(expected), "{source}: {error}");
        assert_eq!(error.offset, offset, "{source}: {error}");
    }
}

#[test]
fn settings_are_fixed_or_computed() {
    let number: Setting<u32> = serde_json::from_value(json!("${input.n + 1}")).unwrap();
    assert_eq!(number.resolve(&scope()), Ok(4));
    let fixed: Setting<u32> = serde_json::from_value(json!(7)).unwrap();
    assert_eq!(fixed.resolve(&scope()), Ok(7));
    let span: Setting<Span> = serde_json::from_value(json!("${input.n}m")).unwrap();
    assert_eq!(span.resolve(&scope()).map(|span| span.0.as_secs()), Ok(180));
    let bad: Setting<Span> = serde_json::from_value(json!("${input.name}")).unwrap();
    assert!(bad.resolve(&scope()).unwrap_err().to_string().contains("a duration like 30s"));
}

#[test]
fn what_becomes_of_a_map_does_not_hang_on_the_order_in_which_it_lies_in_memory() {
    for _ in 0..50 {
        let doubled = eval("{1: 'number', '1': 'text'}").unwrap_err();
        assert!(doubled.contains("the key “1” as a text"), "{doubled}");
        let first = eval("{'c': -1.0 / 0.0, 'a': 0.0 / 0.0, 'b': 1.0 / 0.0}").unwrap_err();
        assert!(first.contains("NaN is no JSON number"), "{first}");
    }
    assert_eq!(eval("{2: 'b', true: 'c', '1': 'a'}"), Ok(json!({"1": "a", "2": "b", "true": "c"})));
}

#[test]
fn a_whole_number_of_a_json_text_that_would_lose_digits_is_refused() {
    assert_eq!(eval("json('[9223372036854775807, -9223372036854775808, 1e30]')[0]"), Ok(json!(i64::MAX)));
    for number in ["9223372036854775808", "99999999999999999999", "-9223372036854775809"] {
        let refused = eval(&format!("json('{{\"n\": [{number}]}}')")).unwrap_err();
        assert!(refused.contains(&format!("the number {number} would lose digits")), "{refused}");
    }
    assert_eq!(eval("json('\"99999999999999999999\"')"), Ok(json!("99999999999999999999")));
}

#[test]
fn maps_are_gone_through_in_the_order_of_their_keys() {
    let first = eval("input.map.map(k, k + '!').join()").unwrap();
    for _ in 0..50 {
        assert_eq!(eval("input.map.map(k, k + '!').join()").unwrap(), first);
        assert_eq!(eval("([] + input.map).map(k, k + '!').join()").unwrap(), first);
    }
}

#[test]
fn row_49_what_does_not_compile_is_said_in_this_projects_words() {
    let cases = [
        ("input.a ==", "the expression breaks off: a value is missing at its end"),
        ("size(input.a", "the expression breaks off: “)” is missing"),
        ("input.a = 1", "“=” does not belong here: the expression is complete before it"),
        ("input.a & input.b", "one `&` means nothing: `&&` is “and”"),
        ("input.a | trim", "one `|` means nothing: `||` is “or”"),
        ("for + 1", "“for” is a word of CEL, and no name"),
        ("1 + * 2", "this does not belong here"),
        ("99999999999999999999 > 1", "this number is too large"),
    ];
    for (source, expected) in cases {
        let error = Expr::parse(source).map(|_| ()).expect_err(source);
        assert!(error.message.starts_with(expected), "{source}: {error}");
        for word in ["expecting", "mismatched", "EOF", "identifier", "literal", "token"] {
            assert!(!error.message.contains(word), "{source}: {error}");
        }
    }
}

#[test]
fn row_50_a_value_is_made_up_to_the_depth_that_one_may_enter_with() {
    use everfold_base::json::{DEPTH_MAX, STORED_DEPTH_MAX, depth};
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let mut scope = scope();
    let mut eval = |levels: usize, source: &str| {
        scope.0.insert("input".into(), Ok(nested(levels)));
        let whole = Template::parse(&json!({ "deep": source })).unwrap();
        whole.render(&scope).map_err(|error| error.to_string())
    };
    assert_eq!(depth(&eval(DEPTH_MAX - 2, "${[input]}").unwrap()), DEPTH_MAX);
    for (levels, source) in [
        (DEPTH_MAX - 1, "${[input]}"),
        (DEPTH_MAX, "${[input]}"),
        (DEPTH_MAX, "${input}"),
        (DEPTH_MAX - 1, "${{'a': input}}"),
        (STORED_DEPTH_MAX, "${input}"),
    ] {
        let error = eval(levels, source).unwrap_err();
        assert!(error.contains("nested deeper than 100 levels"), "{source}: {error}");
    }
    // What is there already can still be worked with.
    assert_eq!(eval(STORED_DEPTH_MAX, "${size(input)}").unwrap(), json!({"deep": 1}));
    let text = eval(STORED_DEPTH_MAX, "${toJson(input)}").unwrap();
    assert_eq!(text["deep"].as_str().map(str::len), Some(2 * STORED_DEPTH_MAX + 1));
}

#[test]
fn o157_values_are_written_for_readers() {
    for (source, expected) in [
        (
            "tokens(0.0 / 0.0) + money(0.0 / 0.0) + span(0.0 / 0.0) + tokens(1.0 / 0.0) + money(-1.0 / 0.0)",
            "0$0.000$0.00",
        ),
        ("tokens(0) + ' ' + tokens(999) + ' ' + tokens(1000) + ' ' + tokens(1234)", "0 999 1.0k 1.2k"),
        ("tokens(999949) + ' ' + tokens(999950) + ' ' + tokens(2500000)", "999.9k 1.0M 2.5M"),
        (
            "tokens(-3) + ' ' + tokens('junk') + ' ' + tokens(input.none) + ' ' + tokens(1e300).take(2)",
            "0 0 0 10",
        ),
        (
            "money(0.214) + ' ' + money(0.215) + ' ' + money(5) + ' ' + money(-0.5)",
            "$0.21 $0.22 $5.00 -$0.50",
        ),
        (
            "money('$1.5') + ' ' + money('2.00 USD') + ' ' + money('junk') + ' ' + money(-0.001)",
            "$1.50 $2.00 $0.00 $0.00",
        ),
        ("[0, 59, 60, 252, 3599].map(s, span(s)).join(', ')", "0s, 59s, 1m 00s, 4m 12s, 59m 59s"),
        ("[3600, 3780, 10020, 360000].map(s, span(s)).join(', ')", "1h 00m, 1h 03m, 2h 47m, 100h 00m"),
        ("span(12.9) + span(-1) + span('abc') + span('') + span(input.none) + span(1e300)", "12s"),
        ("span('90s') + ' ' + span(duration('1h3m'))", "1m 30s 1h 03m"),
        (
            "model('tokenator/claude-opus-4-8') + ' ' + model('a/b/gpt-5') + model(input.none) + model('')",
            "opus-4-8 gpt-5",
        ),
        (
            "html('<a href=\"x\">R&D\\'s</a>') + html(3)",
            "&lt;a href=&quot;x&quot;&gt;R&amp;D&#39;s&lt;/a&gt;3",
        ),
        ("url('a b/ü?&=~x') + url(12)", "a%20b%2F%C3%BC%3F%26%3D~x12"),
        ("stripHtml('<p>One &amp; two</p>\\n<p class=\"a>b\">three<br/>four</p>')", "One & two three four"),
        (
            "stripHtml('a < b &lt;c&gt; <!-- <p>no</p> --> d&nbsp;e &#x41;&#66; &unknown; & <')",
            "a < b <c> d e AB &unknown; & <",
        ),
        ("stripHtml('x<SCRIPT>if (a < b) { \"</p>\" }</Script >y<style>p {}</style><p')", "x y"),
        ("stripHtml('<scripted>kept</scripted> 2 <3 </>')", "kept 2 <3 </>"),
        ("'v1.2, v3.4'.replaceRegex('v([0-9]+)[.]([0-9]+)', '$2.$1')", "2.1, 4.3"),
        ("replaceRegex('a  b', ' +', ' ') + 'aa'.replaceRegex('', '-')", "a b-a-a-"),
    ] {
        assert_eq!(eval(source), Ok(json!(expected)), "{source}");
    }
}

#[test]
fn lists_are_sorted_by_a_key_and_cut() {
    for (source, expected) in [
        ("[3, 1, 2].sortBy(x, x)", json!([1, 2, 3])),
        ("['b', 'C', 'a'].sortBy(x, x.lowerAscii())", json!(["a", "b", "C"])),
        (
            "[{'n': 2, 'k': 'a'}, {'n': 1, 'k': 'b'}, {'n': 1, 'k': 'c'}].sortBy(x, x.n).map(x, x.k)",
            json!(["b", "c", "a"]),
        ),
        ("[[2, 1], [3]].map(l, l.sortBy(x, x)).sortBy(l, size(l))", json!([[3], [1, 2]])),
        ("input.list.sortBy(x, -x).take(2)", json!([3, 2])),
        ("input.map.sortBy(k, input.map[k])", json!(["a", "b"])),
        ("[].sortBy(x, x) + [].take(3)", json!([])),
        ("[1.5, 1, 0.5].sortBy(x, x)", json!([0.5, 1, 1.5])),
        ("'héllo'.take(2) + take('x', 9) + 'x'.take(0)", json!("héx")),
        ("[round(2.5), round(-2.5), round(2.4), round(7)]", json!([3, -3, 2, 7])),
        ("[round(2.345, 2), round(2.0, 1), round(1e300, 2)]", json!([2.35, 2.0, 1e300])),
    ] {
        assert_eq!(eval(source), Ok(expected), "{source}");
    }
    for (source, message) in [
        ("[1, 'a'].sortBy(x, x)", "cannot be compared"),
        (
            "[9, 'b', 3, 'a', 7, 1, 'c', 2, 'd', 8, 4, 'e', 6, 5, 'f', 0, 'g', 11, 'h', 12, 'i', 13, 'j', 14].sortBy(x, x)",
            "cannot be compared",
        ),
        ("[[1], [2]].sortBy(x, x)", "cannot be compared"),
        ("[1].sortBy(x)", "a name for its items"),
        ("[1].sortBy(1, 2)", "a name for its items"),
        ("sortBy([1], x, x)", "a name for its items"),
        ("3.take(1)", "a list or a text is needed"),
        ("[1].take(-1)", "below 0"),
        ("round('x')", "a number is needed"),
        ("round(1.0, 10)", "at most 9"),
        ("round(1e19)", "too large"),
        ("'x'.replaceRegex('(', '')", "pattern"),
        ("'x'.replaceRegex('x')", "is called with 2 values"),
    ] {
        let error = eval(source).expect_err(source);
        assert!(error.contains(message), "{source}: {error}");
    }
    assert_eq!(
        Expr::parse("'a'.replaceRegex('[0-9', 'x')").unwrap().patterns(),
        ["[0-9"],
        "`check` compiles the patterns that stand in a text"
    );
    assert_eq!(
        Expr::parse("input.list.sortBy(x, x.n + input.n)").unwrap().references(),
        [Reference::Name("input".into())],
        "the item's name is no name of the scope"
    );
}

#[test]
fn a_pattern_in_a_loop_is_compiled_once_and_many_patterns_are_too_many() {
    let numbers: Vec<u32> = (0..8_000).collect();
    let scope = Fixed(BTreeMap::from([("input".to_owned(), Ok(json!({"n": numbers})))]));
    let eval = |source: &str| Expr::parse(source).unwrap().eval(&scope).map_err(|error| error.to_string());
    // Compiled anew for each item, these would cost eight times what an evaluation may.
    let same = "input.n.filter(x, string(x).matches('^\\\\w{5}$') || string(x).replaceRegex('\\\\d{4}', '') == '').size()";
    assert_eq!(eval(same), Ok(json!(7_000)));
    let few = "input.n.filter(x, string(x).matches('^' + string(x % 7))).size() > 0";
    assert_eq!(eval(few), Ok(json!(true)));
    let many = eval("input.n.map(x, 'a'.matches('\\\\w{5}' + string(x))).size()");
    assert!(many.clone().unwrap_err().contains("goes over too many values"), "{many:?}");
    assert!(eval("['a'].map(x, x.matches('('))").unwrap_err().contains("pattern"));
}

#[test]
fn a_joined_text_is_bounded_while_it_is_made() {
    let input = json!({"items": (0..60_000).collect::<Vec<_>>(), "separator": "a".repeat(600_000)});
    let scope = Fixed(BTreeMap::from([("input".to_owned(), Ok(input))]));
    // 36 GB, were it made.
    let expr = Expr::parse("input.items.join(input.separator)").unwrap();
    let error = expr.eval(&scope).unwrap_err().to_string();
    assert!(error.contains("longer than 1048576 bytes"), "{error}");
    assert_eq!(eval("['a', 1, true, null].join('-')").unwrap(), json!("a-1-true-"));
    assert_eq!(eval("[].join('-') + ['a'].join('-')").unwrap(), json!("a"));
}

#[test]
fn what_a_template_repeats_is_bounded_as_a_whole() {
    let input = json!({"long": "x".repeat(700_000)});
    let scope = Fixed(BTreeMap::from([("input".to_owned(), Ok(input))]));
    let times = |what: &str, times: usize| Template::parse(&json!({"v": vec![what; times]})).unwrap();
    for what in ["${input.long}", "a ${input.long}"] {
        // 14 GB, were they made.
        let error = times(what, 20_000).render(&scope).unwrap_err().to_string();
        assert!(error.contains("longer than 67108864 bytes together"), "{error}");
        let error = times(what, 20_000).render_hiding(&scope).unwrap_err().to_string();
        assert!(error.contains("longer than 67108864 bytes together"), "{error}");
        assert_eq!(times(what, 90).render(&scope).unwrap()["v"].as_array().unwrap().len(), 90);
    }
}

#[test]
fn a_replacement_is_bounded_before_it_is_made() {
    let long = "x".repeat(100_000);
    let scope =
        Fixed(BTreeMap::from([("input".to_owned(), Ok(json!({"long": long, "with": "$0".repeat(50_000)})))]));
    let expr = Expr::parse("input.long.replaceRegex('x+', input.with)").unwrap();
    let error = expr.eval(&scope).unwrap_err().to_string();
    assert!(error.contains("longer than 1048576 bytes"), "{error}");
    let expr = Expr::parse("input.long.replaceRegex('x', 'yyyyyyyyyyyyyyyyyyyy')").unwrap();
    let error = expr.eval(&scope).unwrap_err().to_string();
    assert!(error.contains("longer than 1048576 bytes"), "{error}");
}

#[test]
fn the_reference_names_every_function() {
    const PAGE: &str = include_str!("../../../../docs/reference/pipeline/values.md");
    let (_, table) = PAGE.split_once("| function | gives |").unwrap();
    let table = table.split_once("\n\n").unwrap().0;
    let words: Vec<&str> = table.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let missing: Vec<_> =
        super::functions::usages().into_keys().filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
