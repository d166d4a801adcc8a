//! Secrets with a source per role (`of`, `else`), and `as`, which chooses among them.

use everfold_language::builder::{Agent, Defaults, Gate, Notice, Pipeline, Probe, Secret, Step};
use everfold_language::definition::{Code, RoleSources, SecretSource};
use serde_json::json;

use super::fixtures::{check, codes, read};

const HEAD: &str = "name: x\nsecrets:\n  BOT: { of: { analyst: { env: BOT_ANALYST }, stream: { file: bot } } }\n  ANY: { of: { analyst: { env: A } }, else: { env: SHARED } }\nsteps:\n";

#[test]
fn a_secret_has_a_source_per_role_and_one_for_the_rest() {
    let definition = read(&format!("{HEAD}  - {{ id: a, as: analyst, secrets: [BOT, ANY], command: x }}\n"));
    let roles = [
        ("analyst".to_owned(), SecretSource::Env("BOT_ANALYST".to_owned())),
        ("stream".to_owned(), SecretSource::File("bot".to_owned())),
    ];
    let bot = SecretSource::Of(RoleSources { roles: roles.into(), otherwise: None });
    assert_eq!(definition.secrets["BOT"], bot);
    let SecretSource::Of(any) = &definition.secrets["ANY"] else { panic!("{definition:?}") };
    assert_eq!(any.otherwise.as_deref(), Some(&SecretSource::Env("SHARED".to_owned())));
    assert_eq!(definition.secrets["ANY"].places().len(), 2);
    assert_eq!(definition.steps[0].acts_as.as_ref().unwrap().source(), "analyst");
    let again = serde_json::from_str(&definition.document()).unwrap();
    assert_eq!(definition, again, "its document says the same");
}

#[test]
fn the_builder_writes_the_same() {
    let bot = Secret::of([("analyst", Secret::env("BOT_ANALYST")), ("stream", Secret::file("bot"))]);
    let built = Pipeline::new("x")
        .secret("BOT", bot.or(Secret::env("SHARED")))
        .defaults(Defaults::new().acts_as("stream"))
        .notify(
            Notice::new("n", "notify.log")
                .events("*")
                .sender("stream")
                .with(json!({ "t": "${secrets.BOT}" })),
        )
        .step(
            Step::function("a", "everfold.echo")
                .acts_as("analyst")
                .with(json!({ "t": "${secrets.BOT}" }))
                .gate(Gate::new("g", Probe::function("agent.ready")).acts_as("stream")),
        )
        .step(Step::agent("b", Agent::prompted("x").role("analyst")))
        .build()
        .unwrap();
    let text = "name: x\nsecrets: { BOT: { of: { analyst: { env: BOT_ANALYST }, stream: { file: bot } }, else: { env: SHARED } } }\n\
        defaults: { as: stream }\n\
        notify: [{ id: n, events: '*', function: notify.log, as: stream, with: { t: '${secrets.BOT}' } }]\n\
        steps:\n  - { id: a, as: analyst, function: everfold.echo, with: { t: '${secrets.BOT}' }, \
        gates: [{ id: g, as: stream, function: agent.ready }] }\n\
        \x20 - { id: b, agent: { role: analyst, prompt: x } }\n";
    let read = read(text);
    assert_eq!(built, read);
    let roles = |at: usize| read.steps[at].acts_as.as_ref().map(|role| role.source().clone());
    assert_eq!(roles(0), Some(json!("analyst")));
    assert_eq!(roles(1), None, "the role of the agent comes before that of `defaults`");
}

#[test]
fn a_step_without_a_role_has_that_of_defaults() {
    let text = format!("{HEAD}  - {{ id: a, command: x, secrets: BOT }}\n").replacen(
        "steps:",
        "defaults: { as: '${input.role}' }\nsteps:",
        1,
    );
    assert_eq!(read(&text).steps[0].acts_as.as_ref().unwrap().source(), "${input.role}");
    assert_eq!(codes(&text), []);
}

#[test]
fn check_says_where_no_source_can_be_chosen() {
    for (step, expected) in [
        // Neither `as` nor a role of an agent.
        ("{ id: a, command: x, secrets: BOT }", &[Code::MissingKey][..]),
        ("{ id: a, command: x, env: { T: '${secrets.BOT}' } }", &[Code::MissingKey]),
        ("{ id: a, function: everfold.echo, with: { t: '${secrets.BOT}' } }", &[Code::MissingKey]),
        (
            "{ id: a, gates: [{ http: { url: 'https://x', headers: { t: '${secrets.BOT}' } } }] }",
            &[Code::MissingKey],
        ),
        // `else` says it.
        ("{ id: a, command: x, secrets: ANY }", &[]),
        // A role that the secret does not list.
        ("{ id: a, as: stream, command: x, secrets: [ANY, BOT] }", &[]),
        ("{ id: a, agent: { role: analyst, prompt: x, with: { t: '${secrets.BOT}' } } }", &[]),
        (
            "{ id: a, agent: { role: writer, prompt: x, with: { t: '${secrets.BOT}' } } }",
            &[Code::UnknownName],
        ),
        ("{ id: a, agent: { role: writer, prompt: x, with: { t: '${secrets.ANY}' } } }", &[]),
        ("{ id: a, agent: { role: writer, prompt: x, with: { t: '${secrets.BOT}' } }, as: stream }", &[]),
        // No secret lists it: a warning.
        ("{ id: a, as: steam, command: x, secrets: ANY }", &[Code::NoEffect]),
        ("{ id: a, as: stream, wait: { for: 1s } }", &[Code::NoEffect]),
        // It is computed.
        ("{ id: a, as: '${input.role}', command: x, secrets: BOT }", &[]),
        // A gate has a role of its own, else that of its step.
        ("{ id: a, as: stream, gates: [{ function: agent.ready, with: { t: '${secrets.BOT}' } }] }", &[]),
        ("{ id: a, gates: [{ as: stream, function: agent.ready, with: { t: '${secrets.BOT}' } }] }", &[]),
        // A role is a name: no path, no text around an expression.
        ("{ id: a, as: ../bots/x, command: x, secrets: ANY }", &[Code::Value]),
        ("{ id: a, as: 'bot-${input.role}', command: x, secrets: ANY }", &[Code::Value]),
    ] {
        let text = format!("{HEAD}  - {step}\n");
        assert_eq!(codes(&text), expected, "{step}");
        for problem in check(&text).map_or_else(|problems| problems.0, |checked| checked.warnings) {
            assert!(problem.hint.is_some(), "{problem:?}");
        }
    }
    let near = check(&format!("{HEAD}  - {{ id: a, as: steam, command: x, secrets: BOT }}\n")).unwrap_err();
    assert!(near.to_string().contains("did you mean `stream`?"), "{near}");
}

#[test]
fn notices_and_admissions_have_roles_too() {
    let with = |role: &str, admit: &str| {
        HEAD.replacen(
            "steps:",
            &format!(
                "notify: [{{ id: n, events: '*', function: notify.log, with: {{ t: '${{secrets.BOT}}' }}{role} }}]\n{admit}steps:"
            ),
            1,
        ) + "  - { id: a, command: x }\n"
    };
    assert_eq!(codes(&with("", "")), [Code::MissingKey]);
    assert_eq!(codes(&with(", as: stream", "")), []);
    assert_eq!(codes(&with(", as: tester", "")), [Code::UnknownName]);
    assert_eq!(codes(&with(", as: '${input.role}'", "")), []);
    let gate = |role: &str| {
        format!("admit: [{{ id: g, function: agent.ready, with: {{ t: '${{secrets.BOT}}' }}{role} }}]\n")
    };
    assert_eq!(codes(&with(", as: stream", &gate(""))), [Code::MissingKey]);
    assert_eq!(codes(&with(", as: stream", &gate(", as: stream"))), []);
    // Secrets of all gates: each has a role of its own.
    let given = "admit: { secrets: [BOT], gates: [{ id: g, command: ./check.sh, as: stream }] }\n";
    assert_eq!(codes(&with(", as: stream", given)), []);
}

#[test]
fn sources_of_roles_are_plain_and_bounded() {
    let secret =
        |text: &str| format!("name: x\nsecrets: {{ BOT: {text} }}\nsteps: [{{ id: a, command: x }}]\n");
    let many: String = (0..33).map(|n| format!("r{n}: {{ env: R }}, ")).collect();
    for (text, code) in [
        ("{ of: {} }", Code::Value),
        (&format!("{{ of: {{ {many} }} }}"), Code::Value),
        ("{ of: [a] }", Code::Type),
        ("{ else: { env: A } }", Code::Combination),
        ("{ of: { a: { env: A } }, env: B }", Code::Combination),
        ("{ of: { a: { of: { b: { env: B } } } } }", Code::Combination),
        ("{ of: { a: { env: A } }, else: { of: { b: { env: B } } } }", Code::Combination),
        ("{ of: { a: A } }", Code::Type),
        ("{ of: { 'a/b': { env: A } } }", Code::Value),
    ] {
        assert_eq!(codes(&secret(text)), [code], "{text}");
    }
}
