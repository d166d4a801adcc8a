//! Laws over any text.

use everfold_engine::definition::{Definition, parse};
use proptest::prelude::*;

use super::support::{files, folder};

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
const PIECES: [&[&str]; 9] = [
    &["", "    when: run.title == 'x'\n", "    when: attempts_made < 3\n"],
    &["", "    timeout: 5m\n", "    timeout: \"${input.?t.orValue('1m')}\"\n"],
    &["", "    retry: { attempts: 3, backoff: 1s..9s, only: [lost] }\n"],
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
];

const WORKS: [&str; 4] = [
    "    command: echo ${run.id} \"$HOME\"\n",
    "    command: [make, \"${input}\"]\n",
    "    agent: { prompt: \"Do ${run.id}\", schema: { const: \"${x}\" } }\n",
    "    agent: fixer\n",
];

const GATES: [&str; 5] = [
    "",
    "    gates: [{ command: make test, on_fail: { rework: SELF, max: 2, then: continue } }]\n",
    "    gates: [{ expression: 'true' }, { diff: { max_files: 3 }, code: BIG }]\n",
    "    gates: [{ frontmatter: { file: a.md, fields: [s], pass: [READY, \"${\"] } }]\n",
    "    gates: [{ id: P, command: x, poll: { every: 1s, max: 3 }, policy: evidence.exit < 2 }]\n",
];

fn step() -> impl Strategy<
    Value = (Vec<prop::sample::Index>, prop::sample::Index, prop::sample::Index, Option<prop::sample::Index>),
> {
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

    /// What is read from a generated file has a document that reads back, and one hash.
    #[test]
    fn generated_pipelines_read_back(steps in proptest::collection::vec(step(), 1..7)) {
        let mut text = String::from("name: generated\nsteps:\n");
        for (at, (pieces, work, gates, need)) in steps.iter().enumerate() {
            text.push_str(&format!("  - id: s{at}\n"));
            for (choices, choice) in PIECES.iter().zip(pieces) {
                let piece = choice.get(choices);
                text.push_str(&piece.replace("attempts_made", &format!("steps.s{at}.rounds")));
            }
            text.push_str(WORKS[work.index(WORKS.len())]);
            text.push_str(&GATES[gates.index(GATES.len())].replace("SELF", &format!("s{at}")));
            if let (Some(need), true) = (need, at > 0) {
                text.push_str(&format!("    needs: [s{}]\n", need.index(at)));
            }
        }
        let checked = match parse(&text, "generated.yaml", &files()) {
            Ok(checked) => checked,
            Err(problems) => panic!("{problems}\n{text}"),
        };
        let document = checked.definition.document();
        let again = Definition::from_document(&document).unwrap();
        prop_assert_eq!(&again, &checked.definition);
        prop_assert_eq!(again.hash(), checked.definition.hash());
        prop_assert_eq!(again.document(), document);
    }
}
