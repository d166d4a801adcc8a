//! What stands in the file and can never work is found before a run begins.

use everfold_language::definition::Code;

use super::fixtures::{check, steps};

fn problems(text: &str) -> Vec<(Code, String)> {
    let found = check(text).map_or_else(|problems| problems.0, |checked| checked.warnings);
    for problem in found.iter().filter(|problem| problem.code == Code::Value) {
        assert!(problem.hint.is_some(), "{problem:?}");
    }
    found.into_iter().map(|problem| (problem.code, problem.message)).collect()
}

/// What is said of a step with this work or gate; nothing where it is fine.
#[track_caller]
fn says(line: &str, code: Code, message: &str) {
    assert_eq!(problems(&steps(&format!("  - {{id: a, {line}}}"))), [(code, message.to_owned())], "{line}");
}

#[track_caller]
fn is_fine(line: &str) {
    assert_eq!(problems(&steps(&format!("  - {{id: a, {line}}}"))), [], "{line}");
}

fn gate(probe: &str) -> String {
    format!("gates: [{{id: g, {probe}}}]")
}

#[test]
fn parts_of_a_question_have_ids_of_their_own_also_those_that_have_a_number() {
    let items = |items: &str| format!("question: {{title: x, items: [{items}]}}");
    says(&items("p, {id: '1', text: q}"), Code::DuplicateId, "there is a part “1” already");
    says(&items("{id: 2, text: q}, p"), Code::DuplicateId, "there is a part “2” already");
    says(&items("5"), Code::Type, "a part of a question is a text, this is a number");
    says(&items("{id: a, text: 5}"), Code::Type, "`text` of a part is a text, this is a number");
    for fine in ["p, q", "p, {id: a, text: q}", "{id: '2', text: q}, '${input.p}'", "'5'"] {
        is_fine(&items(fine));
    }
}

#[test]
fn an_option_is_a_text_that_differs_from_the_others() {
    let options = |options: &str| format!("question: {{title: x, options: [{options}]}}");
    let of_part =
        |options: &str| format!("question: {{title: x, items: [{{id: a, text: q, options: [{options}]}}]}}");
    says(&options("''"), Code::Value, "an option is empty");
    says(&of_part("' '"), Code::Value, "an option is empty");
    says(&of_part("1, '1'"), Code::Value, "“1” stands there twice");
    says(&of_part("[a]"), Code::Type, "an option is a text, this is a list");
    for fine in ["yes, no", "1, 2", "'${input.a}', '${input.b}'"] {
        is_fine(&options(fine));
        is_fine(&of_part(fine));
    }
}

#[test]
fn the_schema_of_an_answer_takes_objects() {
    let schema = |schema: &str| format!("question: {{title: x, schema: {schema}}}");
    for none in ["{type: integer}", "{type: [string, 'null']}", "false"] {
        says(&schema(none), Code::Schema, "`schema`: an answer is an object, so none would fit");
    }
    let unknown = "{type: object, required: [text, n]}";
    says(&schema(unknown), Code::Schema, "`schema`: no answer has “n”, so none would fit");
    for fine in ["{type: object}", "{type: [object, 'null']}", "{required: [text]}", "true"] {
        is_fine(&schema(fine));
    }
}

#[test]
fn a_command_names_its_program() {
    says("command: ['', x]", Code::Value, "the command names no program");
    says(&gate("command: ['']"), Code::Value, "the command names no program");
    is_fine("command: ['${input.program}', '']");
}

#[test]
fn a_child_run_names_a_pipeline_or_a_path() {
    for name in ["t@xyz", "t@0", "", "Not A Name"] {
        let message = format!(
            "“{name}” names no pipeline: it is NAME, NAME@N for the Nth saved version, or NAME@HASH with at least 6 digits"
        );
        says(&format!("run: '{name}'"), Code::Value, &message);
        says(&format!("run: {{pipeline: '{name}'}}"), Code::Value, &message);
    }
    for fine in ["t", "team/t@3", "t@0123abc", "'${input.child}'", "'t@${input.version}'"] {
        is_fine(&format!("run: {fine}"));
    }
}

#[test]
fn a_path_of_a_gate_or_an_output_stays_in_the_workspace() {
    let out = |path: &str| format!("“{path}” leads out of the workspace");
    says(&gate("file: ../x"), Code::Value, &out("../x"));
    says(&gate("file: {exists: ../x}"), Code::Value, &out("../x"));
    says(&gate("file: {all: [a, ../../etc/x]}"), Code::Value, &out("../../etc/x"));
    says(&gate("file: {glob: '*', in: ..}"), Code::Value, &out(".."));
    says(&gate("frontmatter: {file: ../x, fields: [a], pass: [b]}"), Code::Value, &out("../x"));
    says(&gate("file: ''"), Code::Value, "`file` is empty");
    says("command: x, outputs: {o: ../x}", Code::Value, &out("../x"));
    says("command: x, outputs: {o: {file: ../x, optional: true}}", Code::Value, &out("../x"));
    says("command: x, outputs: {json: ../x}", Code::Value, &out("../x"));
    for fine in ["a/../b", "/abs/x", "'${input.path}'", "'../${input.path}'", "../own/x", "link/../../x"] {
        is_fine(&gate(&format!("file: {fine}")));
    }
    is_fine(&gate("file: {exists: ../x, in: sub}"));
    is_fine(&gate("frontmatter: {file: x, fields: [], pass: [A]}"));
    // The folder of a worktree has a name that no file can know: nothing comes back into it.
    let worktree = |line: &str| {
        problems(&format!(
            "name: x\nworkspace: {{git: .}}\nsteps: [{{id: a, {line}, gates: [{{file: ../own/x}}]}}]"
        ))
    };
    assert_eq!(worktree("command: x"), [(Code::Value, out("../own/x"))]);
    assert_eq!(worktree("command: x, workspace: {dir: /srv/own}"), []);
}

#[test]
fn a_gate_asks_for_files_that_can_be_there() {
    says(&gate("file: {all: []}"), Code::Value, "`all` of `file` has at least one path");
    says(&gate("file: {glob: ''}"), Code::Value, "the glob “” fits no file");
    says(&gate("file: {glob: ../*.xml}"), Code::Value, "the glob “../*.xml” fits no file");
    // Every character but `*` and `?` is itself: a file may have that name.
    for fine in ["file: {glob: '['}", "diff: {allow: ['[']}", "file: {glob: ../*, min: 0}"] {
        is_fine(&gate(fine));
    }
    is_fine(&gate("file: {glob: ../*}, policy: 'evidence.files.size() == 0'"));
}

#[test]
fn headers_have_names_and_values_that_can_be_sent() {
    let http = |headers: &str| format!("http: {{url: 'https://example.org', headers: {{{headers}}}}}");
    for line in [http("'a b': x"), gate(&http("'a b': x"))] {
        says(&line, Code::Value, "“a b” is no name of a header");
    }
    says(&http("'': x"), Code::Value, "“” is no name of a header");
    says(&http("X-A: \"a\\n\""), Code::Value, "the value of header X-A holds a line break or the like");
    is_fine(&http("X-Team: '${input.team}', accept: text/plain, x_y.z: ''"));
}

#[test]
fn a_gate_that_a_step_does_not_have_is_said_with_the_one_that_was_meant() {
    let of = |expr: &str| {
        let a = "  - {id: a, command: x, gates: [{id: lint, expression: 'true'}]}";
        let found = check(&steps(&format!("{a}\n  - {{id: b, command: 'echo ${{{expr}}}'}}")));
        found
            .err()
            .map(|problems| (problems.0[0].code, problems.0[0].message.clone(), problems.0[0].hint.clone()))
    };
    let hint = |text: &str| Some(text.to_owned());
    for (expr, message, meant) in [
        ("steps.a.gates.lnit.verdict", "“a” has no gate “lnit”", "did you mean `lint`?"),
        ("steps.a.gates.other.verdict", "“a” has no gate “other”", "its gates are: lint"),
        ("steps.a.gates.lint.verdikt", "a gate of a step has no “verdikt”", "did you mean `verdict`?"),
        ("steps.a.gates.lint.x", "a gate of a step has no “x”", "it has: verdict, reason, evidence"),
    ] {
        assert_eq!(of(expr), Some((Code::UnknownField, message.to_owned(), hint(meant))), "{expr}");
    }
    for fine in [
        "steps.a.gates.lint.verdict",
        "steps.a.gates.lint.evidence.value",
        "steps.a.gates.?other.?verdict.orValue(0)",
        "has(steps.a.gates.other) ? steps.a.gates.other.verdict : 0",
        "steps.a.gates.map(name, name)",
    ] {
        assert_eq!(of(fine), None, "{fine}");
    }
    let unread = "  - {id: a, command: x, gates: [{id: lint, expresion: 'true'}]}\n  - {id: b, command: 'echo ${steps.a.gates.lint.verdict}'}";
    assert!(problems(&steps(unread)).iter().all(|(code, _)| *code != Code::UnknownField), "said once");
}

#[test]
fn a_number_that_is_too_large_is_said_as_one_that_is_too_small() {
    says("approval: {title: x, quorum: -1}", Code::TooSmall, "`quorum` cannot be -1");
    says("approval: {title: x, quorum: 4294967296}", Code::TooLarge, "`quorum` cannot be 4294967296");
    says(
        "approval: {title: x, quorum: 1.5}",
        Code::Type,
        "`quorum` is a whole number or a text with `${…}`, this is a number",
    );
}

#[test]
fn a_command_holds_no_zero_byte() {
    let message = "the command holds a zero byte, which no argument can";
    says(r#"command: "echo a\0b""#, Code::Value, message);
    says(r#"command: [echo, "a\0b"]"#, Code::Value, message);
    is_fine(r#"command: "printf 'a\\0b'""#);
}

#[test]
fn a_duration_of_work_is_more_than_nothing() {
    for key in ["timeout", "deadline"] {
        says(&format!("command: x, {key}: 0s"), Code::TooSmall, &format!("`{key}` is more than nothing"));
    }
    let poll = "gates: [{expression: output != null, poll: {every: 1s, timeout: 0s}}]";
    says(poll, Code::TooSmall, "`timeout` is more than nothing");
    is_fine("command: x, timeout: 1ms, grace: 0s");
    let defaults = "name: x\ndefaults: {timeout: 0s}\nsteps: [{id: a, command: x}]\n";
    assert_eq!(problems(defaults), [(Code::TooSmall, "`timeout` is more than nothing".to_owned())]);
}

#[test]
fn a_refusal_without_a_reason_is_reported() {
    for empty in ["''", "'  '"] {
        let text =
            format!("name: x\non_signal: {{go: {{refuse: {empty}}}}}\nsteps: [{{id: a, command: x}}]\n");
        assert_eq!(problems(&text), [(Code::Value, "`refuse` says why, and here is nothing".to_owned())]);
    }
}

#[test]
fn an_empty_text_by_which_a_run_would_be_known_is_reported() {
    for (terms, what) in [
        ("number: {key: ''}", "`key` of `number`"),
        ("key: ' '", "`key`"),
        ("key: {value: ''}", "`value` of `key`"),
        ("budget: {cost: 1 USD, scope: ''}", "`scope` of a budget"),
    ] {
        let text = format!("name: x\n{terms}\nsteps: [{{id: a, command: x}}]\n");
        let message = format!("{what} is empty: every start would be refused");
        assert_eq!(problems(&text), [(Code::Value, message)], "{terms}");
    }
}

#[test]
fn settings_at_a_relative_path_are_pointed_out_where_triggers_start_runs() {
    let text = |config: &str, trigger: &str| {
        format!(
            "name: x\nconfig: {{team: [{config}]}}\ntriggers: [{{hook: forge, {trigger}}}]\nsteps: [{{id: a, command: x}}]\n"
        )
    };
    let start = "start: {}";
    let message = "a run that a trigger starts has no folder, so it cannot read `config.team` here";
    let relative = [(Code::RelativeSettings, message.to_owned())];
    for path in ["team.yaml", "./a/team.yaml", "'teams/${input.name}.yaml', {a: 1}"] {
        assert_eq!(problems(&text(path, start)), relative, "{path}");
    }
    for path in ["/etc/team.yaml", "~/team.yaml", "'${input.folder}/team.yaml'", "{a: 1}"] {
        assert_eq!(problems(&text(path, start)), [], "{path}");
    }
    // A trigger that only sends a signal starts nothing.
    assert_eq!(problems(&text("team.yaml", "signal: go, to: {labels: {a: b}}")), []);
}

#[test]
fn what_is_wrong_with_the_steps_of_a_foreach_is_said_once() {
    let message = "`input` is a map, this is a text";
    says("foreach: {in: [1], input: x, steps: [{id: b, command: x}]}", Code::Type, message);
    let read_later = "\n  - {id: c, command: 'echo ${steps.a.output}'}";
    for (foreach, message) in [
        ("{in: [1], input: x, steps: [{id: b, command: x}]}", message),
        ("{in: [1], steps: x}", "`steps` is a list, this is a text"),
        ("{in: [1], steps: []}", "a pipeline has at least one step"),
        ("{in: [1], steps: [x]}", "a step is a map, this is a text"),
    ] {
        let found = problems(&steps(&format!("  - {{id: a, foreach: {foreach}}}{read_later}")));
        let messages: Vec<&str> = found.iter().map(|(_, message)| message.as_str()).collect();
        assert_eq!(messages, [message], "{foreach}");
    }
    let without = problems(&steps("  - {id: a, foreach: {in: [1], input: {b: 1}}}"));
    let codes: Vec<Code> = without.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [Code::Empty, Code::Combination], "it has no gates to speak of: {without:?}");
}

/// Every expression with that name had the name of the type, and nothing said so.
#[test]
fn an_item_that_is_called_like_a_type_is_warned_of_where_it_gets_the_name() {
    let each = |name: &str| format!("foreach: {{in: [1, 2], as: {name}}}, command: 'echo ${{item}}'");
    for name in ["string", "int", "bool", "list", "map", "type", "duration", "null_type"] {
        let message = format!("`{name}` in an expression is the type of that name, not the item");
        says(&each(name), Code::TypeName, &message);
    }
    is_fine(&each("part"));
    is_fine(&each("strings"));
}
