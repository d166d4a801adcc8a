//! Outputs that may be null: found wherever an expression would fail on it, and nowhere else.

use everfold_language::definition::Code;

use super::fixtures::{check, steps};

/// What is said of an expression after these steps.
fn said(before: &str, more: &str, expr: &str) -> Option<String> {
    let text = steps(&format!("{before}\n  - {{id: z, {more}command: x, env: {{A: \"${{{expr}}}\"}}}}"));
    match check(&text) {
        Ok(_) => None,
        Err(problems) => {
            let [problem] = problems.0.as_slice() else { panic!("{problems}\n{text}") };
            assert_eq!(problem.code, Code::Unguarded, "{problems}");
            assert!(problem.hint.is_some(), "{problems}");
            Some(problem.message.clone())
        }
    }
}

const TOLERATED: &str = "  - {id: a, foreach: {in: [1]}, command: x, on_fail: continue}";

#[test]
fn an_output_that_may_be_null_is_found_wherever_the_whole_of_it_is_taken() {
    let why = Some("steps.a.output may be null: its failure may be tolerated".to_owned());
    for expr in [
        "steps.a.output.n",
        "steps.a.output[0]",
        "steps.a.output[0].status",
        "steps.a.output.map(x, x.status)",
        "steps.a.output.filter(x, x.status == 'failed')",
        "steps.a.output.all(x, x.status == 'failed')",
        "steps.a.output.exists(x, x.status == 'failed')",
        "size(steps.a.output)",
        "steps.a.output.size()",
        "steps.a.output + [1]",
        "[1] + steps.a.output",
        "1 in steps.a.output",
        "'x' in steps.a.output",
        "run.id == '' ? 0 : size(steps.a.output)",
    ] {
        assert_eq!(said(TOLERATED, "", expr), why, "{expr}");
    }
}

#[test]
fn who_asks_first_may_take_an_output_that_may_be_null() {
    for expr in [
        "steps.a.output",
        "steps.a.output == null",
        "steps.a.output == null ? 0 : size(steps.a.output)",
        "steps.a.output != null && steps.a.output.exists(x, x.status == 'failed')",
        "steps.a.status == 'succeeded' ? steps.a.output[0] : null",
        "has(steps.a.output.n) ? size(steps.a.output) : 0",
        "steps.a.?output.?n.orValue(1)",
        "steps.a.output.?n.orValue(1)",
        "[steps.a.output].map(it, it == null)",
        "steps.a.output in [null]",
    ] {
        assert_eq!(said(TOLERATED, "", expr), None, "{expr}");
    }
    assert_eq!(said(TOLERATED, "when: \"steps.a.status == 'succeeded'\", ", "steps.a.output[0]"), None);
    assert_eq!(said(TOLERATED, "when: steps.a.output != null, ", "size(steps.a.output)"), None);
    assert_eq!(said(TOLERATED, "needs: {any: [a]}, ", "size(steps.a.output)"), None, "it succeeded");
}

#[test]
fn a_step_has_no_output_where_the_end_of_its_time_or_a_person_s_no_is_tolerated() {
    let late = "what it waits for may not come in time, and the run goes on";
    let refused = "people may decide against it, and the run goes on";
    for (work, why) in [
        ("wait: {signal: s, timeout: 1s, on_timeout: continue}", late),
        ("approval: {title: x, timeout: 1s, on_timeout: continue}", late),
        ("question: {title: x, options: [u], timeout: 1s, on_timeout: continue}", late),
        ("command: x, ask: {timeout: 1s, on_timeout: continue}", late),
        ("approval: {title: x, on_reject: continue}", refused),
        ("approval: {title: x, on_reject: {rework: a, max: 1, then: continue}}", refused),
    ] {
        let before = format!("  - {{id: a, {work}}}");
        let message = format!("steps.a.output may be null: {why}");
        assert_eq!(said(&before, "", "steps.a.output.value"), Some(message), "{work}");
        assert_eq!(said(&before, "", "steps.a.output.?value.orValue(1)"), None, "{work}");
    }
    for work in ["wait: {signal: s, timeout: 1s, on_timeout: block}", "approval: {title: x, on_reject: fail}"]
    {
        assert_eq!(said(&format!("  - {{id: a, {work}}}"), "", "steps.a.output.value"), None, "{work}");
    }
}

#[test]
fn a_join_any_has_no_output_where_all_that_it_needs_may_end_without_success() {
    let join = |one: &str, other: &str| {
        format!(
            "  - {{id: a, needs: [], command: x{one}}}\n  - {{id: b, needs: [], command: x{other}}}\n  - {{id: c, needs: {{any: [a, b]}}, command: x}}"
        )
    };
    let (soft, when, unless) = (", on_fail: continue", ", when: input.x", ", when: '!input.x'");
    let why =
        Some("steps.c.output may be null: it is skipped where nothing that it needs succeeded".to_owned());
    for (one, other) in [(soft, soft), (soft, when), (when, when)] {
        assert_eq!(said(&join(one, other), "", "steps.c.output.exit_code"), why, "{one}{other}");
        assert_eq!(
            said(&join(one, other), "", "steps.c.status == 'skipped' ? 0 : steps.c.output.exit_code"),
            None
        );
        assert_eq!(
            said(&join(one, other), "when: \"steps.a.status == 'succeeded'\", ", "steps.c.output.exit_code"),
            None
        );
    }
    // One of two alternatives runs, and a step without a way out fails the run.
    for (one, other) in [(when, unless), (soft, ""), ("", "")] {
        assert_eq!(said(&join(one, other), "", "steps.c.output.exit_code"), None, "{one}{other}");
    }
    let all = join(soft, soft).replace("{any: [a, b]}", "[a, b]");
    assert_eq!(said(&all, "", "steps.c.output.exit_code"), None, "it begins all the same");
    let behind = format!("{}\n  - {{id: d, needs: {{any: [c]}}, command: x}}", join(soft, soft));
    assert_eq!(
        said(&behind, "", "steps.d.output.exit_code"),
        why.map(|why| why.replace("steps.c", "steps.d"))
    );
}

#[test]
fn the_output_of_a_step_with_an_else_is_always_there() {
    let otherwise = |line: &str| format!("  - {{id: a, {line}, else: {{n: 0}}}}");
    for line in [
        "when: input.x == 1, command: x",
        "standby: true, command: x",
        "command: x, on_fail: continue",
        "approval: {title: t, timeout: 1h, on_timeout: continue}",
    ] {
        let before =
            format!("{}\n  - {{id: g, needs: [a], command: x, on_fail: {{rework: a}}}}", otherwise(line));
        assert_eq!(said(&before, "needs: [a], ", "steps.a.output.n"), None, "{line}");
    }
    // What it has not reached yet is another matter.
    let late = "steps.a.output may be null: with `needs: {any: …}` it may not have ended";
    let joined =
        format!("{}\n  - {{id: c, needs: [], command: x}}", otherwise("command: x, on_fail: continue"));
    let found = said(&joined, "needs: {any: [a, c]}, ", "steps.a.output.n");
    assert_eq!(found.as_deref(), Some(late));
}

#[test]
fn an_else_cannot_lean_on_the_when_that_may_be_false() {
    let head = "name: x\ninput: {properties: {extra: {type: string}}}\nsteps:\n";
    let codes_of = |line: &str| match check(&format!("{head}{line}")) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(|problem| problem.code).collect::<Vec<_>>(),
    };
    for (otherwise, fine) in [
        ("${input.extra}", false),
        ("${input.?extra.orValue('none')}", true),
        ("${failure.message}", false),
        ("${failure == null ? 'skipped' : failure.message}", true),
        ("${steps.a.output.n}", false),
    ] {
        let line = format!(
            "  - {{id: a, when: has(input.extra), command: 'echo ${{input.extra}}', else: \"{otherwise}\"}}"
        );
        let expected: &[Code] = if fine { &[] } else { &[Code::Unguarded] };
        assert_eq!(codes_of(&line), expected, "{otherwise}");
    }
}

#[test]
fn what_must_have_succeeded_has_an_output_and_what_is_skipped_without_it_may_have_none() {
    let granted = "size(steps.a.output)";
    assert_eq!(said(TOLERATED, "needs: {succeeded: [a]}, ", granted), None);
    assert!(said(TOLERATED, "needs: {done: [a]}, ", granted).is_some());
    let behind = |first: &str| format!("{first}\n  - {{id: c, needs: {{succeeded: [a]}}, command: x}}");
    assert_eq!(
        said(&behind(TOLERATED), "", "steps.c.output.exit_code").as_deref(),
        Some("steps.c.output may be null: it is skipped where something that it needs does not succeed")
    );
    for first in ["  - {id: a, when: input.x, command: x}", "  - {id: a, command: x, on_fail: block}"] {
        let may_be_skipped = first.contains("when");
        let found = said(&behind(first), "", "steps.c.output.exit_code");
        assert_eq!(found.is_some(), may_be_skipped, "{first}: {found:?}");
    }
}
