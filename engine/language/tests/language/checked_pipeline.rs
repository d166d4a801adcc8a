//! What a checked pipeline says: defaults, needs, routes, commands.

use everfold_language::definition::{Code, Probe, Route, RouteMax, RouteTo, Setting, Step, Work};
use serde_json::{Value, json};

use super::fixtures::{check, read, steps};

fn needs(text: &str) -> Vec<(String, Vec<String>)> {
    read(text)
        .steps
        .iter()
        .map(|step| (step.id.to_string(), step.needs.iter().map(ToString::to_string).collect()))
        .collect()
}

fn spec(text: &str) -> Value {
    match &read(text).steps[0].work {
        Some(Work::Task(task)) => task.spec.source().clone(),
        other => panic!("{other:?}"),
    }
}

fn codes(text: &str) -> Vec<Code> {
    let found = check(text).map_or_else(|problems| problems.0, |checked| checked.warnings);
    found.iter().map(|problem| problem.code).collect()
}

#[test]
fn a_step_without_needs_follows_the_one_above_that_is_no_standby() {
    let text = steps(
        "  - {id: a, command: x}\n  - {id: fix, standby: true, command: x}\n  - {id: b, command: x}\n  - id: c\n    \
         needs: [b, fix]\n    gates: [{command: x, on_fail: {rework: fix}}]\n  - {id: d, needs: [], command: x}",
    );
    let expected: Vec<(String, Vec<String>)> =
        [("a", vec![]), ("fix", vec!["a"]), ("b", vec!["a"]), ("c", vec!["b", "fix"]), ("d", vec![])]
            .into_iter()
            .map(|(step, needs)| (step.to_owned(), needs.into_iter().map(str::to_owned).collect()))
            .collect();
    assert_eq!(needs(&text), expected);
}

#[test]
fn defaults_are_folded_into_the_steps() {
    let definition = read(
        "name: x\ndefaults: {timeout: 5m, env: {A: '1', B: '2'}, on_fail: block, on_lost: fail, grace: 3s}\nsteps:\n  \
         - {id: a, command: x, env: {B: '3'}}\n  - {id: b, wait: {for: 1s}, on_fail: fail}\n  - {id: c, command: x, timeout: 1h}",
    );
    let finishing = read(
        "name: x\ndefaults: {timeout: 5m, on_fail: block, retry: {attempts: 3, backoff: 2s..4s}}\nsteps: [{id: a, run: c}]\non_finish: [{id: b, command: x}]",
    );
    assert_eq!(
        serde_json::to_value(&finishing.steps[0].retry).unwrap(),
        json!({"attempts": 3, "backoff_min": "2s", "backoff_max": "4s"})
    );
    assert_eq!(serde_json::to_value(&finishing.on_finish[0].timeout).unwrap(), json!("5m"));
    assert!(finishing.on_finish[0].on_fail.is_empty(), "nobody is there to decide");
    let [a, b, c] = definition.steps.as_slice() else { panic!("three steps") };
    assert_eq!(serde_json::to_value(&a.timeout).unwrap(), json!("5m"));
    assert_eq!(serde_json::to_value(&a.env).unwrap(), json!({"A": "1", "B": "3"}));
    assert_eq!(a.on_fail.0[0].to, RouteTo::Block);
    assert!(a.on_lost.is_some());
    assert_eq!(serde_json::to_value(&a.grace).unwrap(), json!("3s"));
    assert!(b.timeout.is_none() && b.env.is_empty() && b.on_lost.is_none());
    assert_eq!(b.on_fail.0[0].to, RouteTo::Fail { code: None, message: None, hint: None });
    assert_eq!(serde_json::to_value(&c.timeout).unwrap(), json!("1h"));
    let plain = read(&steps("  - {id: a, command: x}\n  - {id: b, wait: {for: 1s}}"));
    assert_eq!(serde_json::to_value(&plain.steps[0].timeout).unwrap(), json!("30m"));
    assert!(plain.steps[1].timeout.is_none());
}

#[test]
fn a_stage_lasts_until_the_next_one() {
    let definition =
        read(&steps("  - {id: a, command: x}\n  - {id: b, stage: B, command: x}\n  - {id: c, command: x}"));
    let stages: Vec<Option<&str>> = definition.steps.iter().map(|step| step.stage.as_deref()).collect();
    assert_eq!(stages, [None, Some("B"), Some("B")]);
}

#[test]
fn l12_a_rework_has_three_uses_unless_a_person_causes_it() {
    let definition = read(&steps(
        "  - {id: a, command: x, on_fail: {rework: a, then: {fail: {code: C}}}}\n  - id: b\n    approval: {title: t, on_reject: {rework: a}}",
    ));
    let route = &definition.steps[0].on_fail.0[0];
    assert_eq!(route.max, Some(RouteMax::Times(Setting::Fixed(3))));
    assert!(
        matches!(route.then.as_deref(), Some(Route { to: RouteTo::Fail { code: Some(code), .. }, .. }) if code == "C")
    );
    let Some(Work::Approval(approval)) = &definition.steps[1].work else { panic!("an approval") };
    assert_eq!(approval.on_reject.0[0].max, Some(RouteMax::Unlimited));
    // Who causes these is known when they are used.
    let definition = read(&steps(
        "  - {id: a, approval: {title: t}, on_fail: {rework: a}, on_signal: {s: {rework: a}, t: {rework: a, max: 2}}}",
    ));
    let ask = &definition.steps[0];
    assert_eq!((&ask.on_fail.0[0].max, &ask.on_signal["s"].0[0].max), (&None, &None));
    assert_eq!(ask.on_signal["t"].0[0].max, Some(RouteMax::Times(Setting::Fixed(2))));
    let definition = read(
        "name: x\ndefaults: {on_fail: {rework: a, then: {rework: a}}}\nsteps:\n  - {id: a, command: x}\n  - {id: b, approval: {title: t}}",
    );
    let three = Some(RouteMax::Times(Setting::Fixed(3)));
    for (step, max) in definition.steps.iter().zip([three, None]) {
        let route = &step.on_fail.0[0];
        let then = route.then.as_deref().and_then(|then| then.max.as_ref());
        assert_eq!((route.max.as_ref(), then), (max.as_ref(), max.as_ref()), "{}", step.id);
    }
}

#[test]
fn l12_an_unlimited_rework_needs_a_person_or_a_limit_of_rounds() {
    let bounded = "  - {id: a, max_rounds: 5, command: x}\n  - {id: b, command: x, on_fail: {rework: a, max: unlimited}}";
    let person = "  - {id: a, command: x}\n  - {id: p, approval: {title: t}}\n  - {id: b, command: x, on_fail: {rework: a, max: unlimited}}";
    let aside = "  - {id: a, command: x}\n  - {id: p, approval: {title: t}}\n  - {id: b, needs: [a], command: x, on_fail: {rework: a, max: unlimited}}";
    assert_eq!(codes(&steps(bounded)), []);
    assert_eq!(codes(&steps(person)), []);
    assert_eq!(codes(&steps(aside)), [Code::Unbounded]);
}

#[test]
fn values_of_a_shell_string_are_variables() {
    let spec = spec(&steps("  - {id: a, command: 'echo ${run.id} \"x ${run.id}\" $${HOME} $HOME'}"));
    assert_eq!(
        spec,
        json!({
            "shell": "echo \"$${EVERFOLD_VAR_1}\" \"x $${EVERFOLD_VAR_1}\" $${HOME} $HOME",
            "vars": {"EVERFOLD_VAR_1": "${run.id}"}
        })
    );
}

#[test]
fn a_command_may_be_a_list_of_words() {
    let spec = spec(&steps("  - {id: a, command: [echo, 1.10, \"${run.id}\", true]}"));
    assert_eq!(spec, json!({"argv": ["echo", "1.10", "${run.id}", "true"]}));
}

#[test]
fn an_agent_takes_over_what_its_role_file_says() {
    let fixer = spec(&steps("  - {id: a, agent: fixer}"));
    assert_eq!(
        fixer,
        json!({
            "role": "fixer", "profile": "script", "model": "small", "effort": null,
            "prompt": "You fix CI. ${rework.?findings}\n", "session": "new", "on_invalid": "fail"
        })
    );
    let own = spec(&steps("  - {id: a, agent: {role: fixer, model: big, prompt: \"Do ${run.id}\"}}"));
    assert_eq!(own["model"], "big");
    assert_eq!(own["prompt"], "Do ${run.id}");
}

#[test]
fn a_prompt_file_is_pinned_by_its_text() {
    let definition = read("name: x\nsteps: [{id: a, agent: {prompt: prompts/analyst.md}}]");
    assert_eq!(definition.files["prompts/analyst.md"], "Write the BRD for: ${input.task}\n");
    let Some(Work::Task(task)) = &definition.steps[0].work else { panic!("a task") };
    assert_eq!(task.spec.source()["prompt"], "Write the BRD for: ${input.task}\n");
}

#[test]
fn a_schema_may_hold_what_looks_like_an_expression() {
    let text = steps("  - {id: a, agent: {prompt: do it, schema: {pattern: '^\\${x}$'}}}");
    assert_eq!(codes(&text), [Code::Schema], "a repetition of nothing");
    let spec = spec(&steps("  - {id: a, agent: {prompt: do it, schema: {const: '${x}'}}}"));
    assert_eq!(spec["schema"], json!({"const": "$${x}"}));
}

#[test]
fn conditions_guard_values_that_may_be_absent() {
    let head =
        "name: x\ninput: {properties: {note: {type: string}, n: {type: integer, default: 1}}}\nsteps:\n";
    for (line, fine) in [
        ("  - {id: a, command: 'echo ${input.note}'}", false),
        ("  - {id: a, command: 'echo ${input.?note} ${input.n}'}", true),
        ("  - {id: a, command: 'echo ${has(input.note) ? input.note : 1}'}", true),
        ("  - {id: a, when: has(input.note), command: 'echo ${input.note}'}", true),
        ("  - {id: a, command: 'echo ${input.other}'}", true),
        ("  - {id: a, when: '\"note\" in input', command: 'echo ${input.note}'}", true),
    ] {
        let expected: &[Code] = if fine { &[] } else { &[Code::Unguarded] };
        assert_eq!(codes(&format!("{head}{line}")), expected, "{line}");
    }
    let tolerated = "  - {id: a, command: x, on_fail: continue, outputs: {o: {file: f, optional: true}}}\n";
    for (line, fine) in [
        ("  - {id: b, command: 'echo ${steps.a.output.x}'}", false),
        ("  - {id: b, command: 'echo ${steps.a.output.?x} ${steps.a.output}'}", true),
        ("  - {id: b, command: 'echo ${has(steps.a.output.x) ? steps.a.output.x : 1}'}", true),
        ("  - {id: b, when: steps.a.status == 'succeeded', command: 'echo ${steps.a.output.x}'}", true),
        ("  - {id: b, command: 'echo ${steps.a.outputs.o}'}", false),
        ("  - {id: b, command: 'echo ${steps.a.outputs.?o}'}", true),
    ] {
        let expected: &[Code] = if fine { &[] } else { &[Code::Unguarded] };
        assert_eq!(codes(&steps(&format!("{tolerated}{line}"))), expected, "{line}");
    }
}

#[test]
fn names_depend_on_the_place() {
    for (line, fine) in [
        ("  - {id: a, foreach: {in: [1, 2], as: it}, command: 'echo ${it} ${item} ${index}'}", true),
        ("  - {id: a, command: 'echo ${item}'}", false),
        ("  - {id: a, command: 'echo ${rework == null ? \"\" : rework.findings} ${attempt}'}", true),
        ("  - {id: a, command: x, gates: [{command: y, policy: evidence.exit == 0}]}", true),
        ("  - {id: a, command: x, gates: [{command: y, when: evidence.exit == 0}]}", false),
        ("  - {id: a, command: x, gates: [{expression: output.ok}]}", true),
        ("  - {id: a, command: x, on_fail: [{when: failure.kind == 'exit', block: }, fail]}", true),
        ("  - {id: a, command: x, when: failure.kind == 'exit'}", false),
        (
            "  - {id: a, command: x, on_success: [{when: failure.kind == 'exit', finish: failed}, continue]}",
            false,
        ),
        (
            "  - {id: a, command: x, on_success: [{when: output.ok && size(answers) == 0, finish: failed}, continue]}",
            true,
        ),
        ("  - {id: a, command: x, when: \"steps.a.round > 1\"}", true),
    ] {
        let expected: &[Code] = if fine { &[] } else { &[Code::UnknownName] };
        assert_eq!(codes(&steps(line)), expected, "{line}");
    }
}

#[test]
fn json_is_read_like_yaml() {
    let definition = read(r#"{"name": "x", "steps": [{"id": "a", "gates": [{"expression": "true"}]}]}"#);
    assert!(matches!(definition.steps[0].gates[0].probe, Probe::Expression(_)));
    assert_eq!(definition.steps[0].gates[0].id, "expression");
}

#[test]
fn large_pipelines_are_checked_fast_enough_to_be_linear() {
    let many: String =
        (0..3_000).map(|n| format!("  - {{id: s{n}, command: 'echo ${{run.id}}'}}\n")).collect();
    assert_eq!(read(&steps(&many)).steps.len(), 3_000);
}

fn gate(text: &str) -> Value {
    let definition = read(&steps(&format!("  - {{id: a, command: x, gates: [{text}]}}")));
    serde_json::to_value(&definition.steps[0].gates[0]).unwrap()
}

#[test]
fn l16_services_are_asked_every_30s_for_60m_and_the_file_says_so_from_then_on() {
    let outside = json!({"every": "30s", "for": "1h"});
    for text in [
        "{ci: {provider: p, sha: x}}",
        "{mergeable: {provider: p, pr: 1}}",
        "{http: 'https://example.org'}",
        "{all: [{command: x}, {not: {http: 'https://example.org'}}]}",
        "{ci: {provider: p, sha: x}, poll: {every: 30s}}",
    ] {
        assert_eq!(gate(text)["poll"], outside, "{text}");
    }
    assert_eq!(
        gate("{http: 'https://example.org', poll: {max: 3}}")["poll"],
        json!({"every": "30s", "max": 3})
    );
    assert_eq!(gate("{file: x}").get("poll"), None);
}

#[test]
fn short_forms_are_the_long_ones() {
    for (short, long) in [
        ("{file: a}", "{file: {exists: a}}"),
        ("{tests: '*.xml'}", "{tests: {files: ['*.xml']}}"),
        ("{config: a.b, policy: 'true'}", "{config: {path: a.b}, policy: 'true'}"),
        ("{http: 'https://x'}", "{http: {url: 'https://x', method: get, expect: 2xx}}"),
        ("{command: x, wake: a}", "{command: x, wake: [a]}"),
        ("{runs: {status: failed}}", "{runs: {status: [failed]}}"),
    ] {
        assert_eq!(gate(short), gate(long));
    }
    let run = |text: &str| spec(&steps(&format!("  - {{id: a, run: {text}}}")));
    assert_eq!(run("child"), run("{pipeline: child, wait: true, on_parent_cancel: cancel}"));
    let whole = |text: &str| read(&format!("{{name: x, {text}, steps: [{{id: a, command: x}}]}}")).document();
    for (short, long) in [
        ("key: k", "key: {value: k, release: ended, on_taken: return}"),
        ("budget: {cost: 5}", "budget: [{id: budget, per: total, cost: 5.00 USD, on_over: pause}]"),
        ("concurrency: {key: k}", "concurrency: [{key: k, limit: 1, on_limit: queue}]"),
        ("admit: [{command: x}]", "admit: {gates: [{command: x}], on_refused: refuse}"),
        ("config: {a: b}", "config: {a: [b]}"),
        ("triggers: [{schedule: 5m, start: true}]", "triggers: [{schedule: {every: 5m}, start: {}}]"),
        (
            "triggers: [{schedule: '* * * * *', start: {}}]",
            "triggers: [{schedule: {cron: '* * * * *'}, start: {}}]",
        ),
    ] {
        assert_eq!(whole(short), whole(long));
    }
}

#[test]
fn limits_of_time_follow_the_kind_of_work() {
    let limit = |work: &str| {
        let step = &read(&format!("name: x\ndefaults: {{timeout: 5m}}\nsteps: [{{id: a, {work}}}]")).steps[0];
        serde_json::to_value(&step.timeout).unwrap()
    };
    assert_eq!(limit("http: 'https://x'"), json!("5m"));
    assert_eq!(limit("run: child"), Value::Null);
    assert_eq!(limit("question: {title: t}"), Value::Null);
    assert_eq!(limit("gates: [{file: x}]"), Value::Null);
    for (work, first, finishing) in [
        ("command: x", json!("30m"), json!("10m")),
        ("agent: {prompt: do it}", json!("30m"), json!("10m")),
        ("function: f", json!("30m"), json!("10m")),
        ("http: 'https://x'", json!("30m"), json!("10m")),
        ("run: child", Value::Null, json!("10m")),
        ("wait: {for: 1s}", Value::Null, Value::Null),
    ] {
        let text = format!("name: x\nsteps: [{{id: a, {work}}}]\non_finish: [{{id: b, {work}}}]");
        let plain = read(&text);
        let of = |step: &Step| serde_json::to_value(&step.timeout).unwrap();
        assert_eq!((of(&plain.steps[0]), of(&plain.on_finish[0])), (first, finishing), "{work}");
        assert_eq!(serde_json::to_value(&plain.steps[0].grace).unwrap(), json!("10s"), "{work}");
        assert_eq!(plain.steps[0].deadline, None, "{work}");
    }
}

/// A key that the work would never look at was taken and ignored.
#[test]
fn a_key_without_a_meaning_for_the_work_is_told() {
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

/// People and waits have one attempt in a round.
#[test]
fn the_time_limit_of_what_is_not_executed_is_that_of_its_round() {
    for work in ["approval: {title: t}", "question: {title: t}", "wait: {for: 1s}", "gates: [{file: x}]"] {
        for (keys, limit) in [
            ("timeout: 1h", json!("1h")),
            ("deadline: 1h", json!("1h")),
            ("timeout: 1h, deadline: 2h", json!("1h")),
            ("timeout: 2h, deadline: 1h", json!("1h")),
        ] {
            let step = &read(&steps(&format!("  - {{id: a, {work}, {keys}}}"))).steps[0];
            let found = serde_json::to_value((&step.timeout, &step.deadline)).unwrap();
            assert_eq!(found, json!([null, limit]), "{work} {keys}");
        }
    }
}

#[test]
fn l34_secrets_stand_only_where_they_are_not_recorded() {
    let head = "name: x\nsecrets: {T: {env: T}}\nsteps:\n";
    for (line, fine) in [
        ("  - {id: a, command: x, secrets: T, env: {A: 'x ${secrets.T}'}}", true),
        ("  - {id: a, agent: {prompt: do it, with: {a: '${secrets.T}'}}}", true),
        ("  - {id: a, function: git.ready, with: {a: ['${secrets.T}']}}", true),
        ("  - {id: a, http: {url: 'https://x', headers: {a: '${secrets.T}'}}}", true),
        ("  - {id: a, gates: [{function: git.ready, with: {a: '${secrets.T}'}}]}", true),
        ("  - {id: a, command: x, env: {A: '${\"x \" + secrets.T}'}}", false),
        ("  - {id: a, command: x, env: {A: '${hash(secrets.T)}'}}", false),
        ("  - {id: a, gates: [{command: 'x ${secrets.T}'}]}", false),
        ("  - {id: a, command: [x, '${secrets.T}']}", false),
        ("  - {id: a, run: {pipeline: p, input: '${secrets.T}'}}", false),
        ("  - {id: a, command: x, when: secrets.T == 'x'}", false),
        ("  - {id: a, command: x, labels: {a: '${secrets.T}'}}", false),
    ] {
        let expected: &[Code] = if fine { &[] } else { &[Code::Secret] };
        assert_eq!(codes(&format!("{head}{line}")), expected, "{line}");
    }
}

#[test]
fn a_held_rework_and_a_question_bound_a_loop() {
    for (line, fine) in [
        ("  - {id: a, command: x, on_fail: {rework: a, max: unlimited, hold: true}}", true),
        (
            "  - {id: a, question: {title: t}}\n  - {id: b, command: x, on_fail: {rework: a, max: unlimited}}",
            true,
        ),
        ("  - {id: a, command: x, on_signal: {s: {rework: a, max: unlimited}}}", false),
        ("  - {id: a, approval: {title: t, on_changes: {rework: a, max: unlimited}}}", true),
        ("  - {id: a, approval: {title: t, expires: 1h, on_expire: {rework: a, max: unlimited}}}", false),
        (
            "  - {id: a, command: x, gates: [{command: y, poll: {every: 1s, max: 2, on_timeout: {rework: a, max: unlimited}}}]}",
            false,
        ),
    ] {
        let expected: &[Code] = if fine { &[] } else { &[Code::Unbounded] };
        assert_eq!(codes(&steps(line)), expected, "{line}");
    }
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
fn a_pipeline_has_at_most_twenty_notices() {
    let notices = |count: usize| -> String {
        let notices = (0..count).map(|n| format!("  - {{id: n{n}, events: '*', function: notify.log}}\n"));
        format!("name: x\nnotify:\n{}steps: [{{id: a, command: x}}]\n", notices.collect::<String>())
    };
    assert_eq!(codes(&notices(20)), []);
    assert_eq!(codes(&notices(25)), [Code::Value], "said once");
}

/// Messages of what is wrong with a pipeline.
fn problems(text: &str) -> Vec<String> {
    let found = check(text).map_or_else(|problems| problems.0, |checked| checked.warnings);
    found.into_iter().map(|problem| problem.message).collect()
}

#[test]
fn row_30_the_when_of_a_notice_guards_what_it_says() {
    let notice = |when: &str| {
        format!(
            "name: x\nnotify:\n  - id: n\n    events: [StepFailed]\n{when}    function: notify.log\n    as: \"${{steps.a.output.who}}\"\n    \
             channel: \"${{steps.a.output.who}}\"\n    with: {{ text: \"${{steps.a.failure.message}}\" }}\nsteps: [{{id: a, command: x}}]\n"
        )
    };
    assert_eq!(codes(&notice("")), [Code::Unguarded; 3]);
    assert_eq!(codes(&notice("    when: steps.a.status == 'failed'\n")), []);
    // Another step's state says nothing of this one.
    let other = notice("    when: run.status == 'failed'\n");
    assert_eq!(codes(&other), [Code::Unguarded; 3]);
}

#[test]
fn row_37_a_text_that_asks_for_the_workspace_before_it_is_made_is_said() {
    let pipeline = |steps: &str| format!("name: x\nworkspace: {{git: .}}\nsteps:\n{steps}");
    let tell = "  - {id: tell, http: {url: \"https://example.org/${workspace.branch}\"}}\n";
    let found = problems(&pipeline(tell));
    assert!(found.len() == 1 && found[0].starts_with("workspace.branch may be absent"), "{found:?}");
    // A step that works in it lies before.
    let build = "  - {id: build, command: make}\n";
    assert_eq!(problems(&pipeline(&format!("{build}{tell}"))), Vec::<String>::new());
    // One that may be passed over, one that works elsewhere, and a request make none.
    for before in [
        "  - {id: build, when: input.x == 1, command: make}\n",
        "  - {id: build, workspace: none, command: make}\n",
        "  - {id: build, http: \"https://example.org\"}\n",
    ] {
        assert_eq!(problems(&pipeline(&format!("{before}{tell}"))).len(), 1, "{before}");
    }
    // The work of the first step is rendered before; its gates are not.
    let own = "  - {id: build, command: \"git switch ${workspace.branch}\"}\n";
    assert_eq!(problems(&pipeline(own)).len(), 1);
    let gated = "  - {id: build, command: make, gates: [{id: g, expression: \"workspace.branch == 'b'\"}]}\n";
    assert_eq!(problems(&pipeline(gated)), Vec::<String>::new());
    let asked = "  - {id: tell, http: {url: \"https://example.org/${workspace.?branch.orValue('')}\"}}\n";
    assert_eq!(problems(&pipeline(asked)), Vec::<String>::new());
}

#[test]
fn row_40_a_person_bounds_a_loop_only_where_every_way_round_leads_through_one_who_must_act() {
    let round = "on_fail: {rework: a, max: unlimited}";
    let between = |person: &str| {
        format!("  - {{id: a, command: x}}\n  - {{id: p, {person}}}\n  - {{id: z, command: x, {round}}}")
    };
    let beside = |person: &str, join: &str| {
        format!(
            "  - {{id: a, command: x}}\n  - {{id: p, needs: [a], {person}}}\n  - {{id: q, needs: [a], command: x}}\n  \
             - {{id: z, needs: [p, q], join: {join}, command: x, {round}}}"
        )
    };
    let lists = "needs: [a], foreach: {in: LIST}, approval: {title: t}";
    for (lines, fine) in [
        (between("approval: {title: t}"), true),
        // One that ends the round when nobody comes, and one that lets it go on.
        (between("approval: {title: t, expires: 1h}"), true),
        (between("approval: {title: t, expires: 1h, on_expire: block}"), true),
        (between("approval: {title: t, expires: 1h, on_expire: {rework: a}}"), true),
        (between("approval: {title: t, expires: 1h, on_expire: {rework: a, then: continue}}"), false),
        (between("approval: {title: t, expires: 1h, on_expire: continue}"), false),
        (between("approval: {title: t, expires: 1h}, on_fail: continue"), false),
        (between("approval: {title: t}, deadline: 1h, on_fail: continue"), false),
        (between("question: {title: t, expires: 1h, on_expire: [{when: input == 1, continue: }, block]}"), false),
        // Who may be passed over.
        (between("approval: {title: t}, when: input == 1"), false),
        (beside("approval: {title: t}", "all"), true),
        (beside("approval: {title: t}", "any"), false),
        (between(&lists.replace("LIST", "[1, 2]")), true),
        (between(&lists.replace("LIST", "[]")), false),
        (between(&lists.replace("LIST", "'${input}'")), false),
        // A standby one is there in the round that named it.
        (
            "  - {id: a, standby: true, approval: {title: t}}\n  - {id: z, needs: [a], command: x, on_fail: {rework: a, max: unlimited}}"
                .to_owned(),
            true,
        ),
        (
            "  - {id: a, command: x}\n  - {id: p, standby: true, approval: {title: t}}\n  - {id: z, needs: [a, p], command: x, \
             on_fail: [{when: input == 1, rework: p}, {rework: a, max: unlimited}]}"
                .to_owned(),
            false,
        ),
        // Its own expiry is the loop.
        ("  - {id: a, question: {title: t, expires: 1s, on_expire: {rework: a, max: unlimited}}}".to_owned(), false),
        ("  - {id: a, approval: {title: t, expires: 1s}, on_fail: {rework: a, max: unlimited}}".to_owned(), false),
        ("  - {id: a, approval: {title: t}, on_fail: {rework: a, max: unlimited}}".to_owned(), true),
    ] {
        let expected: &[Code] = if fine { &[] } else { &[Code::Unbounded] };
        assert_eq!(codes(&steps(&lines)), expected, "{lines}");
    }
}

#[test]
fn row_40_rounds_of_a_run_are_bounded_and_what_is_the_default_leaves_the_hash_alone() {
    let of = |line: &str| format!("name: x\n{line}steps: [{{id: a, command: x}}]");
    assert_eq!(read(&of("rounds: 7\n")).rounds, Some(7));
    assert_eq!(read(&of("rounds: 1000\n")).hash(), read(&of("")).hash());
    assert_ne!(read(&of("rounds: 7\n")).hash(), read(&of("")).hash());
    assert!(!read(&of("")).document().contains("rounds"));
    for (line, code) in [
        ("rounds: 0\n", Code::TooSmall),
        ("rounds: 1000001\n", Code::TooLarge),
        ("rounds: many\n", Code::Type),
    ] {
        assert_eq!(codes(&of(line)), [code], "{line}");
    }
    let retry =
        |attempts: u32| codes(&steps(&format!("  - {{id: a, command: x, retry: {{attempts: {attempts}}}}}")));
    assert_eq!((retry(100), retry(101)), (vec![], vec![Code::TooLarge]));
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
fn row_44_on_finish_asks_for_the_outcome_and_not_for_a_status_that_is_always_the_same() {
    let of = |line: &str| {
        codes(&format!(
            "name: x\nsteps: [{{id: a, command: x}}]\non_finish:\n  - {{id: b, command: x, {line}}}"
        ))
    };
    assert_eq!(of("when: run.outcome == 'failed'"), []);
    assert_eq!(of("when: \"run.outcome == 'failed' && run.failure.code == 'X'\""), []);
    assert_eq!(of("env: {A: '${run.failure.?message}'}"), []);
    assert_eq!(of("when: run.status == 'failed'"), [Code::OnFinish]);
    assert_eq!(of("env: {A: '${run.status}'}"), [Code::OnFinish]);
    assert_eq!(of("env: {A: '${run.failure.message}'}"), [Code::Unguarded]);
    assert_eq!(of("env: {A: '${run.failure.?mesage}'}"), [Code::UnknownField]);
    let step = |line: &str| codes(&steps(&format!("  - {{id: a, command: x, {line}}}")));
    assert_eq!(step("when: run.status == 'running'"), [], "elsewhere it says something");
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
    assert_eq!(only("timeot"), [Code::UnusedKind]);
    assert_eq!(only("network"), [Code::UnusedKind], "a code has capitals; this is taken for one, and said");
    assert_eq!(only("'exit code 3'"), [Code::Value]);
}
