use serde_json::{Value, json};

use super::field::{FieldKind, SchemaField, SchemaPart};
use super::form::SchemaForm;
use super::pattern;
use crate::form::Fields;
use crate::problem::Problem;

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["repo", "effort", "target"],
        "properties": {
            "repo": { "type": "string", "pattern": "^[a-z-]+$", "title": "Repository", "description": "Where" },
            "effort": { "type": "integer", "minimum": 1, "exclusiveMaximum": 6 },
            "share": { "type": "number" },
            "loud": { "type": "boolean", "default": true },
            "sure": { "type": "boolean" },
            "tone": { "enum": ["warm", "plain", 3] },
            "kind": { "const": "task" },
            "off": { "type": "array", "items": { "type": "string" }, "default": ["docs"] },
            "target": { "$ref": "#/$defs/target" },
            "extra": { "anyOf": [{ "type": "string" }, { "type": "object" }] },
            "text": { "type": "string" },
        },
        "$defs": { "target": {
            "type": "object", "required": ["host"],
            "properties": { "host": { "type": "string", "minLength": 1 }, "port": { "type": "integer", "default": 22 } },
        } },
    })
}

fn field<'a>(form: &'a SchemaForm, name: &str) -> &'a SchemaField {
    let named = form.parts().into_iter().find_map(|part| match part {
        SchemaPart::Field(field) | SchemaPart::Open(field) if field.name == name => Some(field),
        _other => None,
    });
    named.expect("the form has the field")
}

fn typed(pairs: &[(&str, &str)]) -> Fields {
    let mut body = form_urlencoded::Serializer::new(String::new());
    pairs.iter().for_each(|(name, value)| {
        body.append_pair(name, value);
    });
    Fields::read(body.finish().as_bytes())
}

#[test]
fn a_form_has_at_most_200_fields_and_takes_the_others_as_json() {
    let properties: serde_json::Map<String, Value> =
        (0..250).map(|at| (format!("f{at:03}"), json!({"type": "integer"}))).collect();
    let schema = json!({"type": "object", "required": ["f249"], "properties": properties});
    let begun = json!({"f000": 1, "f240": 2});
    let form = SchemaForm::new(&schema, Some(&begun));
    assert_eq!(form.parts().len(), 201, "and one for the others");
    assert!(field(&form, "input/f249").is_required, "what is needed comes first");
    assert_eq!(field(&form, "input/~").text, "{\n  \"f240\": 2\n}");
    let sent = typed(&[("input/f249", "7"), ("input/f000", "1"), ("input/~", "{\"f240\": 3}")]);
    let (_, input) = SchemaForm::sent(&schema, Some(&begun), &sent);
    assert_eq!(input, Some(json!({"f249": 7, "f000": 1, "f240": 3})));
}

#[test]
fn a_schema_that_names_itself_makes_no_more_fields_than_a_form_has() {
    let inner: serde_json::Map<String, Value> =
        (0..30).map(|at| (format!("f{at}"), json!({"$ref": "#"}))).collect();
    let form = SchemaForm::new(&json!({"type": "object", "properties": inner}), None);
    let fields = form.parts().iter().filter(|part| !matches!(part, SchemaPart::Close)).count();
    assert!((30..=260).contains(&fields), "{fields}");
}

#[test]
fn what_is_given_twice_in_further_fields_is_refused_there() {
    let schema = json!({
        "type": "object", "additionalProperties": true, "properties": { "repo": { "type": "string" } },
    });
    for (others, why) in [
        ("{\"x\": 1, \"x\": 2}", "“x” is given twice"),
        ("{\"repo\": \"other\"}", "“repo” has a field of its own"),
    ] {
        let (form, input) =
            SchemaForm::sent(&schema, None, &typed(&[("input/repo", "shop"), ("input/~", others)]));
        assert_eq!(input, None, "{others}");
        let errors = &field(&form, "input/~").errors;
        assert!(errors.len() == 1 && errors[0].contains(why), "{errors:?}");
    }
}

#[test]
fn all_faults_are_said_beside_a_field_that_cannot_be_read() {
    let schema = json!({
        "type": "object", "required": ["name", "free"],
        "properties": {
            "name": { "type": "string", "minLength": 1 }, "free": {}, "size": { "type": "number", "maximum": 3 },
            "mail": { "type": "string", "format": "email" }, "day": { "type": "string", "format": "date" },
        },
    });
    let sent = typed(&[
        ("input/free", "{bad"),
        ("input/size", "4"),
        ("input/mail", "ada"),
        ("input/day", "2026-02-30"),
    ]);
    let (form, input) = SchemaForm::sent(&schema, None, &sent);
    assert!(input.is_none());
    for name in ["input/name", "input/free", "input/size", "input/mail", "input/day"] {
        assert_eq!(field(&form, name).errors.len(), 1, "{name}");
    }
}

#[test]
fn strict_bounds_and_single_lines_are_said_as_they_are() {
    let schema = json!({
        "type": "object",
        "properties": {
            "share": { "type": "number", "exclusiveMinimum": 0, "maximum": 10 },
            "names": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        },
    });
    let form = SchemaForm::new(&schema, None);
    assert_eq!(field(&form, "input/share").limits.as_deref(), Some("above 0, at most 10"));
    assert_eq!(field(&form, "input/names").limits.as_deref(), Some("one a line, at least 1 line"));
}

#[test]
fn each_kind_of_schema_gets_its_field() {
    let form = SchemaForm::new(&schema(), None);
    let kinds =
        ["repo", "effort", "loud", "sure", "off", "target", "extra", "text"].map(|key| {
            match &field(&form, &format!("input/{key}")).kind {
                FieldKind::Line { .. } => "line",
                FieldKind::Text { .. } => "text",
                FieldKind::Number { .. } => "number",
                FieldKind::Flag => "flag",
                FieldKind::Choice(_) => "choice",
                FieldKind::Lines(_) => "lines",
                FieldKind::Group(_) => "group",
                _other => "json",
            }
        });
    assert_eq!(kinds, ["line", "number", "flag", "choice", "lines", "group", "json", "text"]);
    let bounds = FieldKind::Number { is_whole: true, min: Some("1".into()), max: Some("5".into()) };
    assert_eq!(field(&form, "input/effort").kind, bounds);
    assert_eq!(field(&form, "input/off").text, "docs");
    assert_eq!(field(&form, "input/target/port").default.as_deref(), Some("22"));
}

#[test]
fn what_is_typed_becomes_the_input() {
    let fields = typed(&[
        ("input/repo", "alpha-beta"),
        ("input/effort", "3"),
        ("input/share", "0.5"),
        ("input/tone", "3"),
        ("input/off", "docs\r\n\r\nlint\r\n"),
        ("input/target/host", "example.org"),
        ("input/target/port", ""),
        ("input/extra", "{\"a\": [1]}"),
        ("input/text", "two\r\nlines"),
    ]);
    let (_, input) = SchemaForm::sent(&schema(), None, &fields);
    let expected = json!({
        "repo": "alpha-beta", "effort": 3, "share": 0.5, "loud": false, "tone": 3, "off": ["docs", "lint"],
        "target": { "host": "example.org" }, "extra": { "a": [1] }, "text": "two\nlines",
    });
    assert_eq!(input, Some(expected));
}

#[test]
fn what_cannot_be_read_is_said_at_its_field_and_stays_typed() {
    let fields = typed(&[("input/effort", "3.5"), ("input/extra", "{"), ("input/tone", "\"loud\"")]);
    let (form, input) = SchemaForm::sent(&schema(), None, &fields);
    assert_eq!(input, None);
    assert_eq!(field(&form, "input/effort").errors, ["“3.5” is no whole number"]);
    assert_eq!(field(&form, "input/effort").text, "3.5");
    assert!(field(&form, "input/extra").errors[0].starts_with("this is no JSON"));
    assert!(!field(&form, "input/tone").errors.is_empty());
}

#[test]
fn the_values_of_a_run_come_back_as_they_were() {
    let input = json!({
        "repo": "alpha", "effort": 2, "loud": false, "sure": true, "tone": "warm", "kind": "task",
        "off": [], "target": { "host": "a", "port": 1 }, "extra": "a text", "text": "", "unknown": [1, 2],
    });
    let form = SchemaForm::new(&schema(), Some(&input));
    let pairs: Vec<(String, String)> = form
        .parts()
        .into_iter()
        .filter_map(|part| match part {
            SchemaPart::Field(field) if field.kind == FieldKind::Flag && field.text.is_empty() => None,
            SchemaPart::Field(field) => Some((field.name.clone(), field.text.clone())),
            _other => None,
        })
        .collect();
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (_, again) = SchemaForm::sent(&schema(), Some(&input), &typed(&pairs));
    assert_eq!(again.as_ref(), Some(&input));
    assert!(SchemaForm::changed(&input, &input).is_empty());
}

#[test]
fn errors_of_rest_are_shown_where_they_belong() {
    let mut form = SchemaForm::new(&schema(), None);
    let mut problem = Problem::invalid("the input does not fit");
    problem.errors = vec![
        json!({ "path": "input", "message": "“repo” is missing", "hint": "give it with -i repo=…" }),
        json!({ "path": "input.target.port", "message": "7 is too small" }),
        json!({ "path": "input.off[1]", "message": "3 is not of type string" }),
        json!({ "path": "input", "message": "there is no “colour”" }),
        json!({ "message": "input.effort: 9 is greater than the maximum of 5" }),
        json!({ "path": "elsewhere", "message": "of something else" }),
    ];
    form.take_errors(&mut problem);
    assert_eq!(problem.errors.len(), 1);
    assert_eq!(field(&form, "input/repo").errors, ["“repo” is missing"]);
    assert_eq!(field(&form, "input/target/port").errors, ["7 is too small"]);
    assert_eq!(field(&form, "input/effort").errors, ["9 is greater than the maximum of 5"]);
    assert_eq!(field(&form, "input/off").errors, ["3 is not of type string"]);
    assert_eq!(form.errors(), ["there is no “colour”"]);
}

#[test]
fn an_optional_group_that_nobody_touched_is_left_out() {
    let schema = json!({ "properties": { "where": {
        "type": "object", "required": ["host"],
        "properties": { "host": { "type": "string" }, "safe": { "type": "boolean", "default": true } },
    } } });
    let (form, input) =
        SchemaForm::sent(&schema, None, &typed(&[("input/where/safe", "true"), ("input/where/host", "")]));
    assert_eq!(input, Some(json!({})));
    assert!(!field(&form, "input/where/host").must_be_filled);
    let (_, input) =
        SchemaForm::sent(&schema, None, &typed(&[("input/where/safe", "true"), ("input/where/host", "a")]));
    assert_eq!(input, Some(json!({ "where": { "host": "a", "safe": true } })));
}

#[test]
fn without_a_schema_the_input_is_json() {
    let (form, input) = SchemaForm::sent(&Value::Null, None, &typed(&[("input", "[1]")]));
    assert_eq!(input, Some(json!([1])));
    assert!(matches!(form.parts()[..], [SchemaPart::Field(SchemaField { kind: FieldKind::Json, .. })]));
    assert_eq!(SchemaForm::sent(&Value::Bool(true), None, &typed(&[])).1, Some(json!({})));
}

#[test]
fn a_schema_that_names_itself_ends() {
    let schema = json!({ "$ref": "#/$defs/node", "$defs": { "node": {
        "type": "object", "properties": { "next": { "$ref": "#/$defs/node" } },
    } } });
    assert!(SchemaForm::new(&schema, None).parts().len() < 20);
    let schema = json!({ "$ref": "#" });
    assert_eq!(SchemaForm::new(&schema, None).parts().len(), 1);
}

#[test]
fn patterns_are_written_for_browsers() {
    let inside = |pattern: &str| pattern::html(pattern).map(|html| html.replace("[\\s\\S]*", ""));
    assert_eq!(inside("^[a-z-]+$").as_deref(), Some("(?:^[a-z\\-]+$)"));
    assert_eq!(inside("[/|(]x{2}").as_deref(), Some("(?:[\\/\\|\\(]x{2})"));
    assert_eq!(inside("(?i)abc"), None);
    assert_eq!(inside("[a-"), None);
}

#[derive(askama::Template)]
#[template(
    source = "{% import \"pipelines/schema_form.html\" as schema %}{% call schema::fields(form) %}{% endcall %}",
    ext = "html"
)]
struct Drawn {
    form: SchemaForm,
}

#[test]
fn hostile_schemas_and_values_are_drawn_as_text() {
    use askama::Template as _;

    let schema = json!({ "properties": {
        "a\"b": { "type": "string", "title": "<script>alert(1)</script>", "default": "</textarea><script>" },
        "x": { "enum": ["\"><b>"], "description": "<i>" },
        "y": { "type": "object", "title": "</fieldset>", "properties": { "z": { "const": "<u>" } }, "required": ["z"] },
    } });
    let text = Drawn { form: SchemaForm::new(&schema, None) }.render().unwrap();
    for tag in ["<script", "<b>", "<i>", "<u>", "</fieldset><"] {
        assert!(!text.contains(tag), "{tag} in {text}");
    }
    assert!(text.contains("name=\"input/a&#34;b\""), "{text}");
}

#[test]
fn marks_of_direction_in_a_schema_turn_nothing_round() {
    use askama::Template as _;

    let schema = json!({ "required": ["what"], "properties": {
        "what": { "type": "string", "title": "live \u{202e}tahw", "description": "a \u{1b}[2Kred\u{202d}" },
        "when": { "enum": ["later\u{2066}"] },
    } });
    let text = Drawn { form: SchemaForm::new(&schema, None) }.render().unwrap();
    assert!(text.contains("live ⟨U+202E⟩tahw") && text.contains("␛[2Kred⟨U+202D⟩"), "{text}");
    assert!(!text.contains(['\u{202e}', '\u{202d}', '\u{1b}']), "{text}");
}
