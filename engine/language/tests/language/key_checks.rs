//! Keys and literal values that a check refuses: without effect where they stand, out of bounds, or of no use to any run.

use everfold_language::definition::Code;
use serde_json::json;

use super::fixtures::{check, codes, spec, steps};

#[test]
fn a_schema_may_hold_what_looks_like_an_expression() {
    let text = steps("  - {id: a, agent: {prompt: do it, schema: {pattern: '^\\${x}$'}}}");
    assert_eq!(codes(&text), [Code::Schema], "a repetition of nothing");
    let spec = spec(&steps("  - {id: a, agent: {prompt: do it, schema: {const: '${x}'}}}"));
    assert_eq!(spec["schema"], json!({"const": "$${x}"}));
}

/// A key that the work would never look at was taken and ignored.
#[test]
fn a_key_without_a_meaning_for_the_work_is_reported() {
    for work in ["approval: {title: t}", "question: {title: t}", "wait: {for: 1s}", "gates: [{file: x}]"] {
        for key in
            ["grace: 1s", "retry: {attempts: 2}", "idempotent: true", "on_lost: retry", "outputs: {o: f}"]
        {
            let found = codes(&steps(&format!("  - {{id: a, {work}, {key}}}")));
            assert_eq!(found, [Code::NoEffect], "{work} {key}");
        }
        for key in ["ask: {max: 1}", "resources: gpu"] {
            let found = codes(&steps(&format!("  - {{id: a, {work}, {key}}}")));
            assert_eq!(found, [Code::Combination], "{work} {key}");
        }
        assert_eq!(codes(&steps(&format!("  - {{id: a, {work}, deadline: 1h, priority: 1}}"))), [], "{work}");
    }
    for (work, fine) in
        [("function: f", false), ("http: 'https://x'", false), ("run: c", false), ("agent: fixer", true)]
    {
        let expected: &[Code] = if fine { &[] } else { &[Code::NoEffect] };
        assert_eq!(codes(&steps(&format!("  - {{id: a, {work}, outputs: {{o: f}}}}"))), expected, "{work}");
    }
    assert_eq!(codes(&steps("  - {id: a, gates: []}")), [Code::Empty]);
    assert_eq!(codes(&steps("  - {id: a, gates: [{file: {all: [x, y], min: 1}}]}")), [Code::NoEffect]);
    assert_eq!(codes(&steps("  - {id: a, gates: [{file: {exists: x, min: 1}}]}")), [Code::Combination]);
}

/// It compared a commit with itself, so that whatever the step had changed passed `allow`.
#[test]
fn a_diff_since_the_step_of_its_own_gate_is_refused() {
    let gated = |gate: &str| {
        let text =
            steps(&format!("  - {{id: plan, command: x}}\n  - {{id: build, command: x, gates: [{gate}]}}"));
        codes(&format!("workspace: {{git: .}}\n{text}"))
    };
    for since in ["plan", "round"] {
        assert_eq!(gated(&format!("{{id: g, diff: {{since: {since}, allow: 'src/**'}}}}")), [], "{since}");
    }
    let own = "diff: {since: build, allow: 'src/**'}";
    assert_eq!(gated(&format!("{{id: g, {own}}}")), [Code::Combination]);
    assert_eq!(gated(&format!("{{id: g, all: [{{not: {{{own}}}}}, {{file: x}}]}}")), [Code::Combination]);
}

#[test]
fn l26_a_signal_that_decides_may_say_its_comment_and_no_other_route_but_a_rework() {
    let asks = |route: &str| {
        let ask = "{id: a, approval: {title: t, on_changes: {rework: a}}, on_signal: {s: ROUTE}}";
        codes(&steps(&format!("  - {}", ask.replace("ROUTE", route))))
    };
    for route in ["approve", "reject", "changes"] {
        assert_eq!(asks(&format!("{{{route}: true, findings: '${{signal.why}}'}}")), []);
        assert_eq!(asks(&format!("{{{route}: true, hold: true}}")), [Code::Combination]);
    }
    assert_eq!(asks("{ignore: true, findings: x}"), [Code::Combination]);
    assert_eq!(asks("{fail: {code: X}, findings: x}"), [Code::Combination]);
}

#[test]
fn a_pipeline_has_at_most_fifty_notices() {
    let notices = |count: usize| -> String {
        let notices = (0..count).map(|n| format!("  - {{id: n{n}, events: '*', function: notify.log}}\n"));
        format!("name: x\nnotify:\n{}steps: [{{id: a, command: x}}]\n", notices.collect::<String>())
    };
    assert_eq!(codes(&notices(50)), []);
    assert_eq!(codes(&notices(55)), [Code::Value], "said once");
}

#[test]
fn row_41_a_signal_decides_no_item_of_a_foreach() {
    let each = "foreach: {in: [1, 2]}, approval: {title: t, on_changes: {rework: a}}";
    for (route, fine) in
        [("approve", false), ("reject", false), ("changes", false), ("{rework: a}", true), ("ignore", true)]
    {
        let line = format!("  - {{id: a, {each}, on_signal: {{s: {route}}}}}");
        let expected: &[Code] = if fine { &[] } else { &[Code::SignalRoute] };
        assert_eq!(codes(&steps(&line)), expected, "{line}");
    }
    let question = "  - {id: a, foreach: {in: [1, 2]}, question: {title: t}, on_signal: {s: {answer: x}}}";
    assert_eq!(codes(&steps(question)), [Code::SignalRoute]);
}

#[test]
fn row_48_a_check_finds_zones_patterns_and_defaults_that_no_run_could_use() {
    let wait = |zone: &str| {
        codes(&steps(&format!("  - {{id: a, wait: {{until: 2026-12-24T08:00, zone: {zone}}}}}")))
    };
    assert_eq!((wait("Europe/Berlin"), wait("UTC")), (vec![], vec![]));
    assert_eq!(wait("Europe/Berlim"), [Code::Value]);
    assert_eq!(wait("Mars/Base"), [Code::Value]);

    let when = |pattern: &str| {
        codes(&steps(&format!("  - {{id: a, command: x, when: 'string(input).matches(\"{pattern}\")'}}")))
    };
    assert_eq!((when("^a+$"), when("[a")), (vec![], vec![Code::Pattern]));
    let text = steps("  - {id: a, command: [echo, '${string(input).matches(\"(\") ? 1 : 2}']}");
    assert_eq!(codes(&text), [Code::Pattern]);

    let input = |properties: &str| {
        codes(&format!(
            "name: x\ninput: {{type: object, required: [other], additionalProperties: false, properties: {{other: {{}}, {properties}}}}}\nsteps: [{{id: a, command: x}}]"
        ))
    };
    for (properties, fine) in [
        ("n: {type: integer, default: 3}", true),
        ("n: {type: integer, default: three}", false),
        ("n: {enum: [a, b], default: c}", false),
        ("n: {type: object, properties: {deep: {type: string, maxLength: 2, default: abc}}}", false),
        ("n: {type: object, required: [deep], properties: {deep: {type: string, default: abc}}}", true),
        ("n: {type: [integer, 'null'], default: null}", true),
    ] {
        let expected: &[Code] = if fine { &[] } else { &[Code::Schema] };
        assert_eq!(input(properties), expected, "{properties}");
    }
}

#[test]
fn row_48_retry_only_takes_kinds_and_codes() {
    let only = |names: &str| {
        codes(&steps(&format!("  - {{id: a, command: x, retry: {{attempts: 2, only: [{names}]}}}}")))
    };
    assert_eq!(only("timeout, BUSY, E429"), []);
    for (name, code) in [
        ("timeot", Code::Value),
        ("network", Code::Value),
        ("'exit code 3'", Code::Value),
        ("http-404", Code::Value),
        ("E4.1", Code::Value),
        ("TIMEOUT", Code::UnusedKind),
    ] {
        assert_eq!(only(name), [code], "{name}");
        let except = format!("  - {{id: a, command: x, retry: {{attempts: 2, except: [exit, {name}]}}}}");
        assert_eq!(codes(&steps(&except)), [code], "{name}");
    }
}

#[test]
fn codes_of_a_pipeline_are_upper_case() {
    let long = format!("A{}", "B".repeat(64));
    for (code, hint) in [
        ("READY_2", None),
        ("not-ready", Some("write NOT_READY")),
        ("notReady", Some("write NOT_READY")),
        ("http.404", Some("write HTTP_404")),
        ("404", Some("write NOT_READY")),
        (long.as_str(), Some("write NOT_READY")),
    ] {
        for line in [
            format!("command: x, on_fail: {{fail: {{code: {code}}}}}"),
            format!("gates: [{{command: x, code: {code}}}]"),
            format!("command: x, on_signal: {{s: {{fail: {{code: {code}}}}}}}"),
        ] {
            let found = check(&steps(&format!("  - {{id: a, {line}}}")))
                .map_or_else(|found| found.0, |checked| checked.warnings);
            let hints: Vec<_> = found.iter().map(|problem| problem.hint.as_deref()).collect();
            assert_eq!(hints, hint.map(Some).into_iter().collect::<Vec<_>>(), "{line}: {found:?}");
        }
    }
}

/// Of two steps it was said, and of the items of one step it was not.
#[test]
fn items_that_may_work_in_one_worktree_at_once_are_warned_of() {
    let says = |workspace: &str, foreach: &str, work: &str| {
        let step = steps(&format!("  - {{id: a, foreach: {{{foreach}}}{work}}}"));
        codes(&format!("workspace: {workspace}\n{step}"))
    };
    let inner = |steps: &str| format!("in: [1, 2], steps: [{steps}]");
    for (foreach, work) in [
        ("in: [1, 2]", ", command: x"),
        ("in: '${input.l}', max_in_flight: 2", ", agent: {prompt: do it}"),
        ("in: [1, 2], max_in_flight: '${input.n}'", ", command: x"),
        ("in: [1, 2]", ", command: x, clean: true"),
        (inner("{id: b, command: x}").as_str(), ""),
        (inner("{id: b, function: f}, {id: c, agent: {prompt: do it}}").as_str(), ""),
    ] {
        assert_eq!(says("{git: .}", foreach, work), [Code::Shared], "{foreach}{work}");
        assert_eq!(says("parent", foreach, work), [Code::Shared], "{foreach}{work}");
    }
    for (workspace, foreach, work) in [
        ("{git: .}", "in: [1, 2], max_in_flight: 1", ", command: x"),
        ("{git: .}", "in: [1]", ", command: x"),
        ("{git: .}", "in: [1, 2]", ", command: x, workspace: own"),
        ("{git: .}", "in: [1, 2]", ", command: x, workspace: none"),
        ("{git: .}", "in: [1, 2]", ", function: f"),
        ("{dir: /x}", "in: [1, 2]", ", command: x"),
        ("{git: .}", &format!("max_in_flight: 1, {}", inner("{id: b, command: x}")), ""),
        ("{git: .}", &format!("workspace: {{git: .}}, {}", inner("{id: b, command: x}")), ""),
        ("{git: .}", &inner("{id: b, command: x, workspace: none}"), ""),
        ("{git: .}", &inner("{id: b, function: f}"), ""),
    ] {
        assert_eq!(says(workspace, foreach, work), [], "{workspace} {foreach}{work}");
    }
}
