//! Laws over any text.

use everfold_language::definition::{Definition, parse};
use proptest::prelude::*;

use super::fixtures::{files, folder};

fn examples() -> Vec<String> {
    folder("good")
        .into_iter()
        .chain(folder("bad"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

/// Reading never panics, and what passes reads back.
fn law(text: &str) {
    match parse(text, "fuzz.yaml", &files()) {
        Ok(checked) => {
            let document = checked.definition.document();
            assert_eq!(Definition::from_document(&document).unwrap().document(), document);
        }
        Err(problems) => {
            assert!(!problems.0.is_empty());
            let shown = problems.to_string();
            assert!(shown.contains("error"), "{shown}");
            for problem in &problems.0 {
                assert!(problem.line >= 1 && problem.column >= 1);
            }
        }
    }
}

/// The texts that a generated step may have for each of its keys.
const PIECES: [&[&str]; 17] = [
    &["", "    when: run.title == 'x'\n", "    when: attempts_made < 3\n"],
    &["", "    timeout: 5m\n", "    timeout: \"${input.?t.orValue('1m')}\"\n"],
    &["", "    retry: { attempts: 3, backoff: 1s..9s, only: [lost, BUSY], except: [gate] }\n"],
    &[
        "",
        "    on_fail: block\n",
        "    on_fail: continue\n",
        "    on_fail: [{ when: failure.kind == 'exit', fail: { code: X } }, block]\n",
    ],
    &["", "    max_rounds: 4\n"],
    &["", "    outputs: { a: out.txt, b: { file: \"${run.id}.log\", optional: true }, json: stdout }\n"],
    &["", "    stage: S\n"],
    &["", "    env: { A: \"${run.id}\", B: 1.10 }\n"],
    &["", "    foreach: { in: [1, 2, x], as: it, max_in_flight: 2 }\n"],
    &["", "    deadline: 5h\n", "    deadline: \"${config.team.deadline}\"\n"],
    &["", "    workspace: own\n", "    workspace: none\n"],
    &["", "    resources: [gpu]\n    priority: -3\n", "    budget_exempt: true\n"],
    &[
        "",
        "    on_signal: { stop: { finish: failed }, more: [{ when: signal.x > 1, rework: SELF, hold: true, max: unlimited }, ignore] }\n",
        "    on_signal: { go: { unblock: retry, busy: ignore }, no: { fail: { message: \"${signal}\" } } }\n",
    ],
    &["", "    labels: { a: \"${output}\" }\n"],
    &["", "    else: { n: 0, why: \"${failure == null ? 'skipped' : failure.kind}\" }\n", "    else: null\n"],
    &["", "    remind: 1h\n", "    remind: { first: 10m, every: 1h, max: 3 }\n"],
    &["", "    as: tester\n"],
];

const WORKS: [&str; 14] = [
    "    command: echo ${run.id} \"$HOME\"\n",
    "    command: [make, \"${input}\"]\n",
    "    agent: { prompt: \"Do ${run.id}\", schema: { const: \"${x}\" } }\n",
    "    agent: fixer\n",
    "    agent: { prompt: again, with: { key: \"${secrets.KEY}\" } }\n    secrets: [KEY]\n    ask: { max: 2 }\n    clean: true\n",
    "    function: notify.file\n    with: { n: [1, \"${run.id}\"] }\n",
    "    http: \"https://example.org/${run.id}\"\n",
    "    http: { url: https://example.org, method: put, body: { a: 1 }, headers: { b: \"${secrets.KEY}\" }, expect: [200, 3xx], json: true }\n",
    "    run: { pipeline: child, input: \"${input}\", labels: { a: b }, wait: false }\n",
    "    approval: { title: ok, edit: \"${input}\", comment: changes, timeout: 1h, on_timeout: continue, remind: 10m, on_changes: { rework: SELF } }\n",
    "    question: { title: which, options: [a, b], items: \"${input}\", accept: answer.choice == 'a', timeout: 5m }\n",
    "    wait: { signal: go, match: signal == 1, timeout: 1h, on_timeout: continue }\n",
    "    wait: { until: \"2031-01-01T00:00:00Z\" }\n",
    "    signal: { name: merged, to: { labels: { a: \"${run.id}\" } }, payload: { n: 1 } }\n",
];

const GATES: [&str; 9] = [
    "",
    "    gates: [{ command: make test, on_fail: { rework: SELF, max: 2, then: next } }]\n",
    "    gates: [{ expression: 'true' }, { diff: { max_files: 3 }, code: BIG }]\n",
    "    gates: [{ frontmatter: { file: a.md, fields: [s], pass: [READY, \"${\"] } }]\n",
    "    gates: [{ id: P, command: x, poll: { every: 1s, max: 3 }, policy: evidence.exit < 2 }]\n",
    "    gates: [{ ci: { provider: x, sha: y }, wake: ci, on_fail: { rework: SELF, if_unchanged: block } }, { http: \"https://x\", poll: { max: 2 } }]\n",
    "    gates: [{ tests: \"*.xml\", fresh: true }, { runs: { status: failed } }, { config: team.on, policy: evidence.value }]\n",
    "    gates: [{ any: [{ file: x }, { not: { command: y } }, { at_least: { n: 1, of: [{ id: Z, expression: 'true' }] } }] }]\n",
    "    gates: [{ function: git.ready, with: { pr: 1 }, poll: { every: \"${config.team.every}\", timeout: 5m } }]\n",
];

/// What stands before the steps of generated pipelines.
const HEADS: [&str; 5] = [
    "",
    "key: \"${input.x}\"\nadmit: [{ expression: config.team.on }]\n",
    "budget: { cost: 5 USD, per: week, zone: Europe/Berlin }\nconcurrency: { key: a, limit: 2 }\n",
    "triggers: [{ hook: a, start: { input: \"${event.body}\" } }, { schedule: 5m, signal: s, to: { labels: { a: b } } }]\n",
    "notify: [{ id: n, events: '*', function: notify.file, with: { a: \"${steps.s0.status}\" } }]\non_signal: { s: { finish: cancelled } }\n",
];

/// Which pieces, which work, which gates, and which step it needs.
type GeneratedStep =
    (Vec<prop::sample::Index>, prop::sample::Index, prop::sample::Index, Option<prop::sample::Index>);

fn step() -> impl Strategy<Value = GeneratedStep> {
    (
        proptest::collection::vec(any::<prop::sample::Index>(), PIECES.len()),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        proptest::option::of(any::<prop::sample::Index>()),
    )
}

#[test]
fn hostile_files_are_refused_without_exhausting_anything() {
    let inside = 1024 * 1024 - 200;
    let words = |word: &str| word.repeat(inside / word.len());
    for text in [
        format!("name: x\nsteps: [{}]", words("{zebra: 1},")),
        format!("name: x\nlabels: {{a: \"{}\"}}", words("${")),
        format!("name: x\nlabels: {{a: \"{}\"}}", words("${x} ")),
        format!("name: x\nsteps:\n{}", words("  - {id: a}\n")),
        words("["),
        words("{a: "),
        words("- "),
        words("? "),
        words("&a "),
        words("x\n"),
        words("'"),
        words("a: b: "),
        format!("name: x\ninput: {{properties: {{{}}}}}", words("a: {}, ")),
        format!("name: x\nsteps: [{{id: a, command: \"{}\"}}]", words("$( ")),
        format!("name: x\nsteps: [{{id: a, command: \"{}\"}}]", words("<<a ")),
        format!("name: x\nsteps: [{{id: a, needs: [{}], command: x}}]", words("b,")),
        words("x") + &words("y"),
    ] {
        law(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        law(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn mutated_examples_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..12, any::<u8>()), 1..6),
    ) {
        let examples = examples();
        let mut bytes = which.get(&examples).clone().into_bytes();
        for (at, kind, byte) in edits {
            if bytes.is_empty() { break; }
            let at = at.index(bytes.len());
            match kind {
                0..=2 => bytes[at] = byte,
                3..=4 => { bytes.remove(at); }
                5 => bytes.truncate(at),
                6..=7 => bytes.insert(at, byte),
                8 => bytes.splice(at..at, *b"${").for_each(drop),
                9 => bytes.splice(at..at, *b"\n  - ").for_each(drop),
                10 => bytes.splice(at..at, *b"'").for_each(drop),
                _ => { let tail = bytes[at..].to_vec(); bytes.extend(tail); }
            }
        }
        law(&String::from_utf8_lossy(&bytes));
    }

    /// What is read from a generated file has a document that reads back, and one hash; whatever of its steps stands in
    /// templates instead.
    #[test]
    fn generated_pipelines_read_back_with_and_without_templates(
        steps in proptest::collection::vec(step(), 1..7),
        head in any::<prop::sample::Index>(),
        in_templates in any::<[u32; 7]>(),
    ) {
        let mut head = format!("{HEAD}{}", HEADS[head.index(HEADS.len())]);
        let written: Vec<Vec<String>> = steps.iter().enumerate().map(|(at, step)| parts(at, step)).collect();
        let id = |at: usize| format!("  - id: s{at}\n");
        let whole = |(at, parts): (usize, &Vec<String>)| format!("{}{}", id(at), parts.concat());
        let plain = format!("{head}steps:\n{}", written.iter().enumerate().map(whole).collect::<String>());
        head.push_str("templates:\n  unlike: { timeout: 1s }\n");
        let mut short = String::new();
        for ((at, parts), bits) in written.iter().enumerate().zip(in_templates) {
            let is_moved = |part: &usize| bits & (1 << (part % 32)) != 0;
            let (moved, own): (Vec<usize>, Vec<usize>) = (0..parts.len()).partition(is_moved);
            let text = |chosen: Vec<usize>| chosen.into_iter().map(|part| parts[part].as_str()).collect::<String>();
            short.push_str(&id(at));
            if !moved.is_empty() {
                head.push_str(&format!("  t{at}:\n{}", text(moved)));
                short.push_str(&format!("    like: t{at}\n"));
            }
            short.push_str(&text(own));
        }
        let read = |text: &str| match parse(text, "generated.yaml", &files()) {
            Ok(checked) => checked.definition,
            Err(problems) => panic!("{problems}\n{text}"),
        };
        let definition = read(&plain);
        let document = definition.document();
        let again = Definition::from_document(&document).unwrap();
        prop_assert_eq!(&again, &definition);
        prop_assert_eq!(again.hash(), definition.hash());
        prop_assert_eq!(again.document(), document.clone());
        prop_assert_eq!(read(&format!("{head}steps:\n{short}")).document(), document);
    }
}

const HEAD: &str = "name: generated\nworkspace: { git: . }\nconfig: { team: [team.yaml, { on: true }] }\nsecrets: { KEY: { env: K } }\n";

/// What a generated step says, but for its id: some lines each.
fn parts(at: usize, (pieces, work, gates, need): &GeneratedStep) -> Vec<String> {
    let mut parts = Vec::new();
    let own = format!("s{at}");
    let work = WORKS[work.index(WORKS.len())].replace("SELF", &own);
    let process = work.contains("command") || work.contains("agent");
    let executed = process || ["function", "http", "run:"].iter().any(|kind| work.contains(kind));
    for (choices, choice) in PIECES.iter().zip(pieces) {
        let piece = choice.get(choices);
        // What only processes have has no place beside other work.
        let is_child_run = work.contains("run:");
        let is_of = |keys: &[&str]| keys.iter().any(|key| piece.starts_with(&format!("    {key}:")));
        if (is_of(&["env"]) && !process)
            || (is_of(&["timeout"]) && !executed)
            || (is_of(&["resources"]) && !executed)
            || (piece.contains("workspace: own") && is_child_run)
            || (piece.contains("workspace:") && work.contains("clean:"))
        {
            continue;
        }
        // A child run has a workspace of its own, or its parent's.
        if piece.contains("workspace:") && work.contains("run:") {
            continue;
        }
        parts.push(piece.replace("attempts_made", &format!("steps.{own}.rounds")).replace("SELF", &own));
    }
    parts.push(work);
    parts.push(GATES[gates.index(GATES.len())].replace("SELF", &own));
    if let (Some(need), true) = (need, at > 0) {
        let need = need.index(at);
        parts.push(match (at + need) % 4 {
            0 => format!("    needs: {{ any: [s{need}] }}\n"),
            1 => format!("    needs: {{ succeeded: [s{need}] }}\n"),
            2 => format!("    needs: {{ done: [s{need}] }}\n"),
            _ => format!("    needs: [s{need}]\n"),
        });
    }
    parts.retain(|part| !part.is_empty());
    parts
}
