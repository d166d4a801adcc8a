//! What a user sees whose input the program cannot use: files that are no text, inputs
//! beyond every bound, and work that does not keep to its instructions.

use std::path::Path;

use serde_json::Value;

use super::fixtures::{Scratch, fixed};

/// One line of what was seen; long ones are cut.
fn output_of(scratch: &Scratch, args: &[&str]) -> String {
    let done = scratch.run(args);
    let mut text = format!("$ everfold {}\nexit {}\n", args.join(" "), done.code);
    for line in done.err.lines().chain(done.out.lines()) {
        text.extend(line.chars().take(300).chain(['\n']));
    }
    fixed(&text, scratch, &[])
}

fn write_bytes(scratch: &Scratch, name: &str, bytes: &[u8]) {
    std::fs::write(scratch.path(name), bytes).unwrap();
}

const OK: &str = "name: ok\nsteps:\n  - id: a\n    command: echo hi\n";

/// The fields of the role were a part of its prompt, and the mark was one of each.
#[test]
fn a_mark_of_the_byte_order_is_no_part_of_roles_and_prompts() {
    let scratch = Scratch::new();
    for folder in ["roles", "prompts"] {
        std::fs::create_dir(scratch.path(folder)).unwrap();
    }
    scratch.write("roles/dev.md", "\u{feff}---\nmodel: large\n---\nYou build.\n");
    scratch.write("prompts/plan.md", "\u{feff}Plan it.\n");
    scratch.write("more.yaml", "\u{feff}config: { size: 3 }\n");
    let steps = "steps:\n  - { id: a, agent: dev }\n  - { id: b, agent: { prompt: prompts/plan.md } }\n";
    scratch.write("marked.yaml", &format!("\u{feff}name: marked\ninclude: more.yaml\n{steps}"));
    assert_eq!(scratch.run(&["pipeline", "save", "marked.yaml"]).code, 0);
    let saved = scratch.run(&["pipeline", "show", "marked", "--json"]).json();
    let document = saved["document"].to_string();
    for part in ["\"model\":\"large\"", "\"prompt\":\"You build.", "\"prompt\":\"Plan it."] {
        assert!(document.contains(part), "{part}: {document}");
    }
}

#[test]
fn files_that_are_no_pipelines_are_refused_with_the_place() {
    let scratch = Scratch::new();
    let with = |text: &str| OK.replace("name: ok\n", &format!("name: ok\n{text}"));
    scratch.write("crlf.yaml", &OK.replace('\n', "\r\n"));
    scratch.write("mark.yaml", &format!("\u{feff}{OK}"));
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(OK.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    write_bytes(&scratch, "utf16.yaml", &wide);
    write_bytes(&scratch, "latin.yaml", &[&b"name: ok\ndescription: caf"[..], &[0xe9], b" noir\n"].concat());
    write_bytes(&scratch, "binary.yaml", &(0..=255).collect::<Vec<u8>>());
    scratch.write("zero.yaml", &with("description: \"a\0b\"\n"));
    scratch.write("empty.yaml", "");
    scratch.write("large.yaml", &with(&format!("description: {}\n", "x".repeat(5_000_000))));
    scratch.write("lists.yaml", &with(&format!("input: {}{}\n", "[".repeat(5_000), "]".repeat(5_000))));
    let maps: String = (1..600).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    scratch.write("maps.yaml", &with(&format!("input:\n{maps}")));
    let many: String = (0..30_000).map(|at| format!("  k{at}: [1, 2, 3]\n")).collect();
    scratch.write("many.yaml", &with(&format!("input:\n{many}")));
    let bomb: String = ('b'..='c')
        .zip('a'..)
        .map(|(name, former)| format!("{name}: &{name} [*{former}, *{former}, *{former}]\n"))
        .collect();
    scratch.write("bomb.yaml", &format!("a: &a [x, x, x]\n{bomb}{OK}"));
    scratch.write(
        "names.yaml",
        "name: ok\nsteps:\n  - { id: \"a😀\", command: x }\n  - { id: \"аbc\", command: x }\n  - { id: \"a\u{200b}b\", command: x }\n  - { id: \"\", command: x }\n",
    );
    std::fs::create_dir(scratch.path("folder.yaml")).unwrap();
    let names = [
        "crlf", "mark", "utf16", "latin", "binary", "zero", "empty", "large", "lists", "maps", "many",
        "bomb", "names", "folder",
    ];
    let seen: Vec<String> = names
        .iter()
        .map(|name| output_of(&scratch, &["pipeline", "check", &format!("./{name}.yaml")]))
        .collect();
    insta::assert_snapshot!(seen.join("\n"));
}

#[test]
fn a_pipeline_of_ten_thousand_steps_is_read_and_one_that_is_larger_is_refused() {
    let scratch = Scratch::new();
    let steps = |count: usize| -> String {
        (0..count).map(|at| format!("  - {{ id: s{at}, function: everfold.noop }}\n")).collect()
    };
    scratch.write("many.yaml", &format!("name: many\nsteps:\n{}", steps(10_000)));
    let checked = scratch.run(&["pipeline", "check", "./many.yaml"]);
    assert_eq!((checked.code, checked.out.as_str()), (0, "./many.yaml: 10000 steps, no errors\n"));
    scratch.write("more.yaml", &format!("name: more\nsteps:\n{}", steps(25_000)));
    let refused = scratch.run(&["pipeline", "check", "./more.yaml"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("EF0104"), "{}", refused.err);
}

#[test]
fn inputs_that_cannot_be_used_are_refused_before_anything_is_stored() {
    let scratch = Scratch::new();
    scratch.write("any.yaml", OK);
    scratch.write("typed.yaml", &OK.replace("name: ok\n", "name: ok\ninput: { type: object, required: [n], properties: { n: { type: integer, minimum: 1 } }, additionalProperties: false }\n"));
    scratch.write("deep.json", &format!("{}1{}", "{\"x\":".repeat(200), "}".repeat(200)));
    scratch.write("half.json", "{\"n\": 1");
    scratch.write("large.json", &format!("{{\"x\": \"{}\"}}", "x".repeat(5_000_000)));
    write_bytes(&scratch, "latin.json", b"{\"n\": \"\xe9\"}");
    let commands: &[&[&str]] = &[
        &["run", "./any.yaml", "--input-file", "deep.json"],
        &["run", "./any.yaml", "--input-file", "half.json"],
        &["run", "./any.yaml", "--input-file", "large.json"],
        &["run", "./any.yaml", "--input-file", "latin.json"],
        &["run", "./any.yaml", "--input-file", "."],
        &["run", "./typed.yaml", "-i", "n=0"],
        &["run", "./typed.yaml", "-i", "n=x", "-i", "m=1"],
        &["run", "./typed.yaml"],
        &["signal", "@", "go", "{}"],
    ];
    let seen: Vec<String> = commands.iter().map(|args| output_of(&scratch, args)).collect();
    insta::assert_snapshot!(seen.join("\n"));
    assert_eq!(scratch.run(&["runs", "--json"]).json()["items"], serde_json::json!([]));
}

/// Memory was filled by a device, and a pipe was waited for.
#[test]
fn what_is_no_file_is_refused_wherever_a_file_is_named() {
    let scratch = Scratch::new();
    scratch.write("ok.yaml", OK);
    let made = std::process::Command::new("mkfifo").arg(scratch.path("pipe")).status().unwrap();
    assert!(made.success());
    for name in ["./pipe", "/dev/zero"] {
        let credential = format!("claude=@{name}");
        for args in [
            &["run", name][..],
            &["pipeline", "check", name],
            &["pipeline", "save", name],
            &["pipeline", "test", name],
            &["run", "./ok.yaml", "--input-file", name],
            &["run", "./ok.yaml", "--config", name],
            &["run", "./ok.yaml", "--credential", &credential],
            &["orch", "import", "none.sqlite", "--projects", name],
        ] {
            let refused = scratch.run(args);
            assert_eq!(refused.code, 2, "{args:?}: {refused:?}");
            assert!(refused.err.contains("it is no regular file"), "{args:?}: {refused:?}");
        }
    }
    // What the shell has opened is read, as far as the limit.
    let piped = |pipeline: &str, from: &str| {
        let program = scratch.command(&[]).get_program().to_owned();
        let mut command = scratch.command(&[]);
        let script = format!("{from} | \"$0\" pipeline check {pipeline}");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).arg(program).current_dir(command.get_current_dir().unwrap());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command = shell;
        super::fixtures::Done::from(command.output().unwrap())
    };
    for pipeline in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let checked = piped(pipeline, "cat ok.yaml");
        assert!(checked.code == 0 && checked.out.contains("no errors"), "{pipeline}: {checked:?}");
        let refused = piped(pipeline, "cat /dev/zero");
        assert!(refused.code == 2 && refused.err.contains("is larger than 8 MiB"), "{pipeline}: {refused:?}");
    }
}

/// Runs a pipeline of one step to where it stands and tells the words of its failure, or why it is blocked.
fn failed(scratch: &Scratch, name: &str, step: &str, given: &[&str]) -> String {
    scratch.write(&format!("{name}.yaml"), &format!("name: {name}\nsteps:\n  - id: a\n{step}"));
    let file = format!("./{name}.yaml");
    let mut args = vec!["run", &file, "--no-wait"];
    given.iter().for_each(|pair| args.extend(["-i", pair]));
    let done = scratch.run(&args);
    if done.code == 2 {
        return fixed(&format!("{name}: exit 2\n{}", done.err), scratch, &[]);
    }
    let view = scratch.run(&["show", "@", "--json"]).json();
    let failure = match &view["failure"] {
        Value::Null => &view["steps"][0]["failure"],
        failure => failure,
    };
    let mut text = format!("{name}: exit {}\n", done.code);
    match failure {
        Value::Null => {
            text += &format!("  blocked: {}\n", view["awaits"][0]["message"].as_str().unwrap_or_default())
        }
        failure => {
            let word = |field: &str| failure[field].as_str().unwrap_or_default().to_owned();
            text += &format!("  {}: {}\n", word("kind"), word("message"));
            if !word("detail").is_empty() {
                text += &format!("  | {}\n", word("detail").lines().next().unwrap_or_default());
            }
            text += &format!("  hint: {}\n", word("hint"));
        }
    }
    let run = (view["id"].as_str().unwrap(), "RUN");
    fixed(&text, scratch, &[run, (view["short_id"].as_str().unwrap(), "SHORT")])
}

#[test]
fn work_that_does_not_keep_to_what_it_was_told_fails_and_says_how() {
    let scratch = Scratch::new();
    let result = |script: &str| format!("    command: |\n      {script} > $EVERFOLD_OUTPUT\n");
    let awk = |what: &str| format!("awk 'BEGIN {{ {what} }}'");
    let nested = |depth: u32| {
        awk(&format!(
            "for (i = 0; i < {depth}; i++) printf \"[\"; for (i = 0; i < {depth}; i++) printf \"]\""
        ))
    };
    let numbers = |count: u32| {
        awk(&format!("printf \"[0\"; for (i = 1; i < {count}; i++) printf \",1\"; printf \"]\""))
    };
    let mut seen = vec![
        failed(&scratch, "result-too-large", &result(&numbers(1_000_000)), &[]),
        failed(&scratch, "result-no-json", &result("echo '{no'"), &[]),
        failed(&scratch, "result-too-deep", &result(&nested(300)), &[]),
        failed(&scratch, "result-very-deep", &result(&nested(100_000)), &[]),
        failed(&scratch, "result-no-utf8", &result("printf '\"\\377\"'"), &[]),
        failed(&scratch, "result-two-values", &result("echo '1 2'"), &[]),
        failed(&scratch, "result-reserved", &result("echo '{\"everfold\": {\"aks\": 1}}'"), &[]),
        failed(&scratch, "stdout-no-json", "    command: echo hi\n    outputs: { json: stdout }\n", &[]),
        failed(
            &scratch,
            "nothing-matches",
            "    command: echo hi\n    outputs: { match: { n: 'ho(.)' } }\n",
            &[],
        ),
        failed(&scratch, "file-missing", "    command: 'true'\n    outputs: { f: none.txt }\n", &[]),
        failed(
            &scratch,
            "file-outside",
            "    command: 'true'\n    outputs: { f: \"${'../../etc/passwd'}\" }\n",
            &[],
        ),
        failed(
            &scratch,
            "file-absolute",
            "    command: 'true'\n    outputs: { f: '${input.f}' }\n",
            &["f=/etc/passwd"],
        ),
        failed(&scratch, "link-outside", "    command: ln -s /etc/passwd l\n    outputs: { f: l }\n", &[]),
        failed(&scratch, "folder-link", "    command: ln -s /etc d\n    outputs: { f: d/passwd }\n", &[]),
        failed(
            &scratch,
            "gate-outside",
            "    command: ln -s /etc/passwd g\n    gates: [{ id: g, file: { exists: g } }]\n",
            &[],
        ),
        failed(&scratch, "zero-byte", "    command: [echo, \"a\\0b\"]\n", &[]),
        failed(&scratch, "zero-byte-in-a-variable", "    command: echo\n    env: { X: \"a\\0b\" }\n", &[]),
        failed(&scratch, "no-program", "    command: [no-such-program]\n", &[]),
        failed(&scratch, "no-program-but-a-file", "    command: [/etc/passwd]\n", &[]),
        failed(
            &scratch,
            "ignores-the-end",
            "    command: trap '' TERM; while :; do sleep 0.1; done\n    timeout: 300ms\n    grace: 200ms\n",
            &[],
        ),
        failed(
            &scratch,
            "policy-throws",
            "    command: echo\n    gates: [{ id: g, command: 'true', policy: 'int(evidence.output) > 1' }]\n",
            &[],
        ),
        failed(
            &scratch,
            "policy-of-nonsense",
            "    command: echo\n    gates: [{ id: g, command: 'true', policy: '[evidence.exit]' }]\n",
            &[],
        ),
        failed(
            &scratch,
            "policy-of-nothing",
            "    command: echo\n    gates: [{ id: g, command: 'true', policy: 'evidence.code == 0' }]\n",
            &[],
        ),
        failed(&scratch, "no-duration", "    command: echo\n    timeout: '${input.t}'\n", &["t=soon"]),
        failed(&scratch, "no-list", "    command: echo\n    foreach: { in: '${input.n}' }\n", &["n=7"]),
        failed(&scratch, "no-truth", "    command: echo\n    when: input.n\n", &["n=7"]),
        failed(&scratch, "not-there", "    command: echo ${input.n.x}\n", &[]),
    ];
    let list = format!(
        "{}  - id: b\n    foreach: {{ in: '${{steps.a.output}}' }}\n    command: echo\n",
        result(&numbers(150_000))
    );
    seen.push(failed(&scratch, "items-beyond-the-limit", &list, &[]));
    insta::assert_snapshot!(seen.join("\n"));
    assert!(Path::new("/etc/passwd").is_file());
}

#[test]
fn a_huge_log_is_bounded_and_says_so() {
    let scratch = Scratch::new();
    let step = "    command: yes everfold | head -c 60000000; echo the end\n";
    scratch.write("loud.yaml", &format!("name: loud\nsteps:\n  - id: a\n{step}"));
    assert_eq!(scratch.run(&["run", "./loud.yaml"]).code, 0);
    // 60 MB of short lines are more than 64 MiB with their times: the middle is left out, the end is there.
    let last = scratch.run(&["logs", "@", "--tail", "60000"]);
    assert!(last.out.ends_with("the end\n"), "{:?}", last.out.lines().last());
    assert!(last.out.contains("bytes are left out here"), "it says so in its place");
    let kept: u64 = walk(&scratch.data().join("attempts"));
    // 64 MiB of the log, and 8 bytes a line of its index.
    assert!(kept < 95_000_000, "{kept} bytes are kept");
    let one = "    command: head -c 20000000 /dev/zero | tr '\\0' a\n";
    scratch.write("line.yaml", &format!("name: line\nsteps:\n  - id: a\n{one}"));
    assert_eq!(scratch.run(&["run", "./line.yaml", "--json"]).code, 0);
}

fn walk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            meta if meta.is_dir() => walk(&entry.path()),
            meta => meta.len(),
        })
        .sum()
}

#[test]
fn a_process_that_leaves_its_parent_holds_nothing_up() {
    let scratch = Scratch::new();
    let step = "    command: 'sleep 600 >/dev/null 2>&1 & echo $! > pid'\n    outputs: { pid: pid }\n";
    scratch.write("leaves.yaml", &format!("name: leaves\nsteps:\n  - id: a\n{step}"));
    assert_eq!(scratch.run(&["run", "./leaves.yaml"]).code, 0);
    let pid = std::fs::read_to_string(scratch.path("pid")).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    let is_over = stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "));
    assert!(is_over, "what the step started ends with it");
}

#[test]
fn l24_a_foreach_over_a_million_items_fails_its_step_and_says_how_many_there_may_be() {
    let scratch = Scratch::new();
    // As many as an input can ask for.
    scratch.write("million.json", &format!("{{\"text\": \"{}\"}}", ",".repeat(999_999)));
    let step = "  - id: a\n    foreach: { in: '${input.text.split(\",\")}' }\n    function: everfold.noop\n";
    scratch.write("wide.yaml", &format!("name: wide\nsteps:\n{step}"));
    let done = scratch.run(&["run", "./wide.yaml", "--input-file", "million.json"]);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("1000000 items") && done.err.contains("100000 items"), "{}", done.err);
    assert!(done.err.lines().count() < 40, "and no more than that is printed");
    assert_eq!(scratch.run(&["replay", "@"]).code, 0);
}

#[test]
fn l28_a_payload_of_5_mb_is_refused_with_its_size_and_leaves_nothing() {
    let scratch = Scratch::new();
    scratch.write("small.json", "{}");
    assert_eq!(scratch.run(&["hook", "deliver", "tracker", "small.json", "--id", "1"]).code, 0);
    scratch.write("large.json", &format!("{{\"text\": \"{}\"}}", "x".repeat(5_000_000)));
    let refused = scratch.run(&["hook", "deliver", "tracker", "large.json", "--id", "2"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("EF0209"), "{}", refused.err);
    let known = scratch.run(&["hooks", "tracker", "--json"]);
    assert!(known.out.contains("\"1\"") && !known.out.contains("\"2\""), "{}", known.out);
}
