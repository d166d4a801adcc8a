//! Locals: what a pipeline becomes, and what is refused.

use everfold_language::builder::{Pipeline, Step};
use everfold_language::definition::{Code, Definition, Problem, parse};
use everfold_language::expr::{EvalError, Scope, Template};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixtures::{check, codes, files, read};

/// A pipeline with locals is the pipeline that they write out: the same document, the same hash.
#[track_caller]
fn assert_same(short: &str, long: &str) {
    assert_eq!(read(short).document(), read(long).document());
    assert_eq!(check(short).unwrap().warnings, [], "{short}");
}

#[test]
fn locals_are_written_out_wherever_an_expression_or_a_text_stands() {
    assert_same(
        "name: x
locals:
  doc: docs/${run.labels.item}
  project: '${config.orch.projects[input.project]}'
  repo: '${local.project.repo}'
  tries: 3
  files: [a.md, '${local.doc}/b.md']
config: { orch: [/etc/orch.yaml] }
labels: { repo: '${local.repo}' }
policies: { whole: 'evidence.files.size() >= local.tries' }
templates: { t: { timeout: '${local.project.timeout}', gates: [{ id: f, file: { glob: '${local.doc}/*' }, policy: whole }] } }
triggers: [{ hook: h, when: 'local.tries > 2', start: true }]
notify: [{ id: n, events: '*', when: local.tries == 1, function: notify.log, with: { a: '${local.files}', b: 'x ${local.tries}' } }]
steps:
  - { id: a, like: t, when: 'local.doc != \"\"', max_rounds: '${local.tries}', command: 'cat ${local.doc}/x | tr a ${local.repo}' }
  - { id: b, foreach: { in: '${local.files}' }, command: [cat, '${local.doc}/${item}', '${local.files[0]}'] }
output: { doc: '${local.doc}', text: 'in ${local.doc}: ${size(local.files)}' }
",
        r#"name: x
config: { orch: [/etc/orch.yaml] }
labels: { repo: '${(config.orch.projects[input.project]).repo}' }
triggers: [{ hook: h, when: '3 > 2', start: true }]
notify: [{ id: n, events: '*', when: 3 == 1, function: notify.log,
    with: { a: [a.md, 'docs/${run.labels.item}/b.md'], b: 'x ${3}' } }]
steps:
  - id: a
    when: "['docs/', run.labels.item].join('') != \"\""
    timeout: '${(config.orch.projects[input.project]).timeout}'
    gates: [{ id: f, file: { glob: 'docs/${run.labels.item}/*' }, policy: 'evidence.files.size() >= 3' }]
    max_rounds: 3
    command: "cat ${['docs/', run.labels.item].join('')}/x | tr a ${((config.orch.projects[input.project]).repo)}"
  - id: b
    foreach: { in: [a.md, 'docs/${run.labels.item}/b.md'] }
    command: [cat, 'docs/${run.labels.item}/${item}', "${['a.md', ['docs/', run.labels.item, '/b.md'].join('')][0]}"]
output: { doc: 'docs/${run.labels.item}', text: "in docs/${run.labels.item}: ${size(['a.md', ['docs/', run.labels.item, '/b.md'].join('')])}" }
"#,
    );
}

#[test]
fn every_key_that_takes_an_expression_takes_a_local_in_it() {
    assert_same(
        "name: x
locals: { yes: '${input.go}', n: 3 }
admit: [{ id: g, expression: local.yes }]
concurrency: { key: k, limit: '${local.n}', when: local.yes }
triggers: [{ hook: h, when: 'local.n > 1', park_when: 'local.n > 2', start: true }]
on_signal: { with: { when: local.yes, finish: succeeded } }
steps:
  - { id: a, wait: { signal: s, match: local.yes } }
  - { id: b, question: { title: q, options: [a, b], accept: local.yes } }
  - { id: c, command: x, budget_exempt: local.yes, on_fail: [{ when: local.yes, block: true }, continue],
      outputs: { env: { file: '${local.n}.txt' } }, gates: [{ id: p, when: local.yes, command: y, policy: 'evidence.exit < local.n' }] }
  - { id: d, run: { pipeline: child, input: { when: local.yes, n: '${local.n}' } } }
",
        "name: x
admit: [{ id: g, expression: (input.go) }]
concurrency: { key: k, limit: 3, when: (input.go) }
triggers: [{ hook: h, when: '3 > 1', park_when: '3 > 2', start: true }]
on_signal: { with: { when: (input.go), finish: succeeded } }
steps:
  - { id: a, wait: { signal: s, match: (input.go) } }
  - { id: b, question: { title: q, options: [a, b], accept: (input.go) } }
  - { id: c, command: x, budget_exempt: (input.go), on_fail: [{ when: (input.go), block: true }, continue],
      outputs: { env: { file: '${3}.txt' } }, gates: [{ id: p, when: (input.go), command: y, policy: 'evidence.exit < 3' }] }
  - { id: d, run: { pipeline: child, input: { when: local.yes, n: 3 } } }
",
    );
}

#[test]
fn a_secret_and_texts_that_look_like_expressions_stay_what_they_are() {
    assert_same(
        "name: x
locals: { auth: '${secrets.T}', price: 5$, literal: 'a $${b}', version: '1.10' }
secrets: { T: { env: T } }
steps:
  - { id: a, function: everfold.echo, with: { a: '${local.auth}', b: 'Bearer ${local.auth}', c: '${local.price}{x}', d: '${local.literal}!',
      e: \"${'%' + local.literal}\", f: 'v${local.version}', g: '${local.version}' } }
",
        "name: x
secrets: { T: { env: T } }
steps:
  - { id: a, function: everfold.echo, with: { a: '${secrets.T}', b: 'Bearer ${secrets.T}', c: \"${'5$'}{x}\", d: 'a $${b}!',
      e: \"${'%' + 'a ${b}'}\", f: 'v1.10', g: '1.10' } }
",
    );
}

#[test]
fn prompts_and_roles_in_files_have_the_locals_too() {
    let files = |path: &str| -> Result<Option<String>, String> {
        Ok(match path {
            "prompts/p.md" => Some("See ${local.doc} and ${size(local.doc)}.\n".to_owned()),
            "roles/r.md" => Some("---\nmodel: '${local.model}'\n---\nYou read ${local.doc}.\n".to_owned()),
            _other => None,
        })
    };
    let text = "name: x
locals: { doc: 'docs/${input.a}', model: small }
steps:
  - { id: a, agent: { profile: script, prompt: prompts/p.md } }
  - { id: b, agent: { profile: script, role: r } }
  - id: c
    foreach: { in: [1], steps: [{ id: d, agent: { profile: script, prompt: prompts/p.md } }] }
";
    let checked = parse(text, "x.yaml", &files).unwrap();
    assert_eq!(checked.warnings, []);
    let definition = checked.definition;
    let spec = |definition: &Definition, at: usize| match &definition.steps[at].work {
        Some(everfold_language::definition::Work::Task(task)) => task.spec.source().clone(),
        other => panic!("{other:?}"),
    };
    let prompt = "See docs/${input.a} and ${size(['docs/', input.a].join(''))}.\n";
    assert_eq!(spec(&definition, 0)["prompt"], prompt);
    assert_eq!(spec(&definition, 1)["prompt"], "You read docs/${input.a}.\n");
    assert_eq!(spec(&definition, 1)["model"], "small");
    // The file is pinned as it is, and the pipeline within the step reads it so.
    assert!(definition.files["prompts/p.md"].contains("${local.doc}"));
    let inner = everfold_language::definition::child(&definition, "#c").unwrap().definition;
    assert_eq!(spec(&inner, 0)["prompt"], prompt);
}

/// The problems of a pipeline, each with its line and what stands at its place.
fn found(text: &str) -> Vec<(Code, usize, String)> {
    let problems = check(text).map_or_else(|problems| problems.0, |checked| checked.warnings);
    problems.iter().map(|problem| (problem.code, problem.line, shown(text, problem))).collect()
}

fn shown(text: &str, problem: &Problem) -> String {
    assert_eq!(problem.file, "pipeline.yaml");
    text[problem.span.clone()].to_owned()
}

#[test]
fn a_mistake_in_a_local_is_reported_once_and_in_the_local() {
    let text = "name: x
locals:
  bad: '${input.a +}'
  name: 'a ${inptu.b}'
steps:
  - { id: a, command: 'echo ${local.bad} ${local.name}' }
  - { id: b, when: local.name == local.bad, command: x }
  - { id: c, when: local.name == 'a', command: 'echo ${local.name}' }
";
    let expected = [(Code::Expression, 3, "}".to_owned()), (Code::UnknownName, 4, "inptu".to_owned())];
    assert_eq!(found(text), expected);
}

#[test]
fn a_name_that_may_not_stand_at_a_place_is_reported_where_the_local_is_named() {
    let text = "name: x
locals: { out: '${steps.a.output}', token: '${secrets.T}' }
secrets: { T: { env: T } }
labels: { a: 'x ${local.out}' }
steps:
  - { id: a, command: 'echo ${local.token}' }
  - { id: b, needs: [], command: 'echo ${local.out}' }
  - { id: c, needs: [a], command: 'echo ${local.out}' }
";
    let expected = [
        (Code::UnknownName, 4, "local.out".to_owned()),
        (Code::Secret, 6, "local.token".to_owned()),
        (Code::NotUpstream, 7, "local.out".to_owned()),
    ];
    assert_eq!(found(text), expected);
    let said = check(text).unwrap_err().0[0].message.clone();
    assert_eq!(said, "there is no “steps” at this place; `local.out` asks for it");
}

#[test]
fn a_local_that_is_none_is_refused_and_one_that_nothing_uses_pointed_out() {
    let text = "name: x
locals: { doc: a, a b: c, unused: '${input.x}', asked: '${input.y}', in: x }
steps:
  - { id: a, command: 'echo ${local.dok}' }
  - { id: b, command: 'echo ${[1].map(local, local)}' }
  - { id: c, command: 'echo ${local.?doc}' }
  - { id: d, when: 'local.doc.map(input, local.asked == input)', command: x }
";
    let found = found(text);
    let short: Vec<(Code, usize, &str)> =
        found.iter().map(|(code, line, shown)| (*code, *line, shown.as_str())).collect();
    assert_eq!(
        short,
        [
            (Code::Value, 2, "a b"),
            (Code::Unused, 2, "unused"),
            (Code::Value, 2, "in"),
            (Code::Template, 4, "local.dok"),
            (Code::Expression, 5, "local"),
            (Code::Expression, 6, "local"),
            (Code::Expression, 7, "local.asked"),
        ]
    );
    assert_eq!(codes("name: x\nsteps: [{id: a, command: 'echo ${local.a}'}]"), [Code::UnknownName]);
    assert_eq!(codes("name: x\nlocals: 3\nsteps: [{id: a, command: x}]"), [Code::Type]);
}

#[test]
fn locals_that_lead_back_to_themselves_or_far_away_are_refused() {
    let text = "name: x
locals: { a: '${local.b}', b: 'x ${local.c}', c: '${local.a}' }
steps: [{ id: a, command: 'echo ${local.a} ${local.b}' }]
";
    let problems = check(text).unwrap_err().0;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].message.contains("leads back to itself"), "{problems:?}");
    let chain: String = (0..17).map(|n| format!("  l{n}: '${{local.l{}}}'\n", n + 1)).collect();
    let text =
        format!("name: x\nlocals:\n{chain}  l17: a\nsteps: [{{id: a, command: 'echo ${{local.l0}}'}}]");
    let problems = check(&text).unwrap_err().to_string();
    assert!(problems.contains("more than 16 locals stand in a row"), "{problems}");
}

/// Only a chain whose first local also had the first name was counted to its end.
#[test]
fn a_chain_of_locals_is_as_long_whatever_their_names_are() {
    let chain = |count: usize, name: &dyn Fn(usize) -> String| {
        let links: String =
            (1..count).map(|n| format!("  {}: '${{local.{}}}'\n", name(n - 1), name(n))).collect();
        format!(
            "name: x\nlocals:\n{links}  {}: a\nsteps: [{{id: a, command: 'echo ${{local.{}}}'}}]",
            name(count - 1),
            name(0)
        )
    };
    let names: [&dyn Fn(usize) -> String; 2] = [&|n| format!("l{:03}", 900 - n), &|n| format!("l{n:03}")];
    for name in names {
        assert!(check(&chain(16, name)).is_ok(), "{}", chain(16, name));
        // Behind the one that is refused the next row begins.
        for (count, refused) in [(17, 1), (40, 2)] {
            let mut problems = check(&chain(count, name)).unwrap_err().0;
            problems.retain(|problem| problem.code != Code::Unused);
            assert_eq!(problems.len(), refused, "{problems:?}");
            let is_told = |problem: &Problem| problem.message.contains("more than 16 locals stand in a row");
            assert!(problems.iter().all(is_told), "{problems:?}");
        }
    }
}

#[test]
fn locals_cannot_make_a_small_file_a_large_pipeline() {
    let long = "x".repeat(300_000);
    let steps: String =
        (0..20).map(|n| format!("  - {{id: s{n}, command: [a, 'x ${{local.a}}']}}\n")).collect();
    let text = format!("name: x\nlocals: {{a: {long}}}\nsteps:\n{steps}");
    let problems = check(&text).unwrap_err().0;
    let said: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(said, ["with the local “a” written out, the pipeline is too large"]);
    // Texts that double.
    let doubled: String =
        (0..15).map(|n| format!("  l{n}: 'a ${{local.l{0}}} ${{local.l{0}}}'\n", n + 1)).collect();
    let text = format!(
        "name: x\nlocals:\n{doubled}  l15: {}\nsteps: [{{id: a, command: [a, '${{local.l0}}']}}]",
        "x".repeat(1000)
    );
    assert!(codes(&text).contains(&Code::Limit), "{:?}", codes(&text));
    // An expression that grows over its bound names the local, and where it stands.
    let text = format!(
        "name: x\nlocals: {{ a: 'a ${{input.b}} {}' }}\nsteps: [{{ id: a, when: size(local.a) > 1, command: x }}]",
        "x".repeat(5000)
    );
    let problems = check(&text).unwrap_err().0;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].message.starts_with("with the local “a” written out, this expression has 50"));
    assert_eq!(&text[problems[0].span.clone()], "local.a");
}

#[test]
fn the_builder_writes_locals() {
    let built = Pipeline::new("x")
        .local("doc", "docs/${input.a}")
        .local("tries", 3)
        .step(Step::command("a", "make").when("local.doc != 'x'").max_rounds("${local.tries}"))
        .build()
        .unwrap();
    let written = read(
        "name: x\nsteps: [{ id: a, command: make, when: \"['docs/', input.a].join('') != 'x'\", max_rounds: 3 }]",
    );
    assert_eq!(built.document(), written.document());
}

/// Values for `input`.
struct Inputs(Value);

impl Scope for Inputs {
    fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
        Ok((path == ["input"]).then(|| self.0.clone()))
    }
}

/// What a value of a pipeline's output gives.
fn rendered(text: &str, input: &Value) -> Value {
    let output: Template = read(text).output.unwrap();
    output.render(&Inputs(input.clone())).unwrap()
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~é\\n]{0,12}".prop_map(Value::from),
        Just(json!([1, "a", null])),
        Just(json!({"k": "v"})),
    ]
}

proptest! {
    /// A local gives in a text, alone and in an expression what its value gives there.
    #[test]
    fn a_local_gives_what_its_value_gives(
        pieces in proptest::collection::vec(("[a-z'\\\\{} $é\"]{0,6}", any::<bool>()), 1..4),
        input in leaf(),
    ) {
        let mut local = String::new();
        for (literal, computed) in &pieces {
            local.push_str(&literal.replace("${", "$ {").replace('$', "€"));
            local.push_str(if *computed { "${input.a}" } else { "" });
        }
        let input = json!({ "a": input });
        let local = json!(local).to_string();
        let own = format!("name: x\nlocals: {{ l: {local} }}\nsteps: [{{ id: a, command: x }}]\noutput: ");
        let plain = rendered(&format!("name: x\nsteps: [{{ id: a, command: x }}]\noutput: {local}"), &input);
        prop_assert_eq!(&rendered(&format!("{own}'${{local.l}}'"), &input), &plain);
        prop_assert_eq!(&rendered(&format!("{own}'${{[local.l][0]}}'"), &input), &plain);
        let text = rendered(&format!("name: x\nsteps: [{{ id: a, command: x }}]\noutput: {}", {
            let inner = &local[1..local.len() - 1];
            format!("\"<{inner}>\"")
        }), &input);
        prop_assert_eq!(&rendered(&format!("{own}'<${{local.l}}>'"), &input), &text);
    }

    /// Whatever locals hold, reading ends with a pipeline or with problems, each at a place of the file.
    #[test]
    fn no_locals_break_the_reader(
        values in proptest::collection::vec("[a-c${}.lo'\" +\\[\\]]{0,20}", 1..4),
        used in "(\\$\\{local\\.[a-d]\\}|local\\.[a-d]|[ +'$x]){0,6}",
    ) {
        let locals: String = values.iter().enumerate()
            .map(|(at, value)| format!("{}: {}, ", char::from(b'a' + u8::try_from(at).unwrap()), json!(value.replace("lo", "${local.a}"))))
            .collect();
        let used = json!(used).to_string();
        let text = format!("name: x\nlocals: {{ {locals} }}\nsteps: [{{ id: a, when: {used}, command: {used}, env: {{ A: {used} }} }}]");
        if let Err(problems) = parse(&text, "p", &files()) {
            for problem in problems.0 {
                prop_assert!(problem.span.end <= text.len() && problem.line >= 1);
            }
        }
    }
}
