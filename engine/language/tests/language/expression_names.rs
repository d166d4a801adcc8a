//! The names that an expression may use at its place, and the values that it must test before it uses them.

use everfold_language::definition::Code;

use super::fixtures::{check, codes, steps};

/// Messages of what is wrong with a pipeline.
fn problems(text: &str) -> Vec<String> {
    let found = check(text).map_or_else(|problems| problems.0, |checked| checked.warnings);
    found.into_iter().map(|problem| problem.message).collect()
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
fn what_a_run_knows_of_itself_is_named_and_may_be_absent_where_it_is() {
    let wait = "  - {id: w, wait: {signal: go}}\n";
    for (expr, code) in [
        ("run.usage.cost > 1.0", None),
        ("run.usage.input > 1", None),
        ("run.usage.tokens > 1", Some(Code::UnknownField)),
        ("steps.w.usage.model == 'm'", None),
        ("steps.w.usage.spent == 1", Some(Code::UnknownField)),
        ("steps.w.started_at != null", None),
        ("run.signals.go > 1", None),
        ("run.signals.nudge > 1", Some(Code::Unguarded)),
        ("run.signals.?nudge.orValue(0) > 1", None),
        ("run.routes.exists(r, r.used > 0)", None),
        ("run.waiting.exists(w, w.kind == 'approval')", None),
        ("run.steps.exists(s, s.status == 'failed')", None),
        ("run.gates.exists(g, g.verdict == 'fail')", None),
        ("size(run.warnings) == 0", None),
        ("run.cancelled.by == 'user:ada'", Some(Code::Unguarded)),
        ("run.cancelled != null && run.cancelled.by == 'user:ada'", None),
        ("run.cancelled.?who == optional.of('x')", Some(Code::UnknownField)),
        ("run.signal.go > 1", Some(Code::UnknownField)),
        ("run.usage > 1", Some(Code::ExpressionType)),
    ] {
        let line = format!("{wait}  - {{id: a, command: x, when: \"{expr}\"}}");
        let expected: Vec<Code> = code.into_iter().collect();
        assert_eq!(codes(&steps(&line)), expected, "{expr}");
    }
}
