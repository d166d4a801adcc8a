//! What the definition of a checked pipeline holds: needs, defaults, commands, prompts, time limits.

use everfold_language::definition::{Code, Definition, Join, Probe, RouteTo, Step, Work};
use serde_json::{Value, json};

use super::fixtures::{codes, read, spec, steps};

fn needs(text: &str) -> Vec<(String, Vec<String>)> {
    read(text)
        .steps
        .iter()
        .map(|step| (step.id.to_string(), step.needs.iter().map(ToString::to_string).collect()))
        .collect()
}

fn gate(text: &str) -> Value {
    let definition = read(&steps(&format!("  - {{id: a, command: x, gates: [{text}]}}")));
    serde_json::to_value(&definition.steps[0].gates[0]).unwrap()
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
    assert!(finishing.on_finish[0].on_fail.is_empty(), "no person can decide in `on_finish`");
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

#[test]
fn l16_services_are_asked_every_30s_for_60m_and_the_file_says_so_from_then_on() {
    let outside = json!({"every": "30s", "timeout": "1h"});
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

/// People and waits have no attempts that could be limited one by one.
#[test]
fn what_is_not_executed_has_a_deadline_and_no_timeout_of_the_step() {
    for work in ["approval: {title: t}", "question: {title: t}", "wait: {for: 1s}", "gates: [{file: x}]"] {
        let step = |keys: &str| steps(&format!("  - {{id: a, {work}, {keys}}}"));
        let limited = &read(&step("deadline: 1h")).steps[0];
        let found = serde_json::to_value((&limited.timeout, &limited.deadline)).unwrap();
        assert_eq!(found, json!([null, "1h"]), "{work}");
        assert_eq!(codes(&step("timeout: 1h")), [Code::Combination], "{work}");
    }
    for work in [
        "approval: {title: t, timeout: 1h, on_timeout: block}",
        "question: {title: t, timeout: 1h, on_timeout: continue}",
        "wait: {signal: s, timeout: 1h, on_timeout: block}",
        "command: x, ask: {timeout: 1h, on_timeout: block}",
        "gates: [{command: x, poll: {every: 1s, timeout: 1h, on_timeout: next}}]",
    ] {
        assert_eq!(codes(&steps(&format!("  - {{id: a, {work}}}"))), [], "{work}");
    }
}

#[test]
fn needs_say_how_their_steps_must_end() {
    let of = |needs: &str| {
        let text = format!(
            "  - {{id: a, command: x}}\n  - {{id: b, needs: [], command: x}}\n  - {{id: c, {needs} command: x}}"
        );
        let step = read(&steps(&text)).steps[2].clone();
        (step.needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), step.join)
    };
    for (needs, expected) in [
        ("", ("b", Join::Done)),
        ("needs: [],", ("", Join::Done)),
        ("needs: [a, b],", ("a b", Join::Done)),
        ("needs: {done: [a, b]},", ("a b", Join::Done)),
        ("needs: {succeeded: [a, b]},", ("a b", Join::Succeeded)),
        ("needs: {any: [b]},", ("b", Join::Any)),
    ] {
        assert_eq!(of(needs), (expected.0.to_owned(), expected.1), "{needs}");
    }
    let found = |needs: &str| {
        codes(&steps(&format!("  - {{id: a, command: x}}\n  - {{id: b, needs: {needs}, command: x}}")))
    };
    for (needs, code) in [
        ("{}", Code::MissingKey),
        ("{any: [a], done: [a]}", Code::Combination),
        ("{any: []}", Code::Value),
        ("{succeeded: []}", Code::Value),
        ("{any: a}", Code::Type),
        ("a", Code::Type),
        ("{any: [x]}", Code::UnknownStep),
        ("{any: [b]}", Code::Cycle),
    ] {
        assert_eq!(found(needs), [code], "{needs}");
    }
}

/// A definition that was stored with a word of before is refused: to read past it would mean something else.
#[test]
fn a_stored_definition_with_an_old_word_is_refused() {
    let people = "timeout: 1h, on_timeout: block";
    let text = steps(&format!(
        "  - {{id: a, approval: {{title: t, {people}}}}}\n  - {{id: b, question: {{title: t, {people}}}}}\n  - {{id: c, command: x, \
         ask: {{{people}}}, foreach: {{in: [1], fail_fast: false}}, gates: [{{command: x, poll: {{every: 1s, timeout: 1h}}}}]}}"
    ));
    let document = read(&text).document();
    assert!(Definition::from_document(&document).is_ok());
    for (word, old) in [
        ("\"timeout\":\"1h\"", "\"expires\":\"1h\""),
        ("\"on_timeout\"", "\"on_expire\""),
        ("\"fail_fast\":false", "\"on_failure\":\"continue\""),
    ] {
        let places: Vec<usize> = document.match_indices(word).map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "{word} in {document}");
        for at in places {
            let stored = format!("{}{old}{}", &document[..at], &document[at + word.len()..]);
            let refused = Definition::from_document(&stored).unwrap_err().to_string();
            assert!(refused.contains("unknown field"), "{stored}: {refused}");
        }
    }
}
