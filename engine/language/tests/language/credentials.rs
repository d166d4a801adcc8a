//! Credentials of a request: where a pipeline names them.

use everfold_language::builder::{Gate, Pipeline, Secret, Step};
use everfold_language::definition::{Definition, NoFiles, Probe, SecretSource, parse};
use serde_json::json;

const FILE: &str = r#"
name: personal
input: { type: object, properties: { vendors: { type: array, default: [] } } }
secrets:
  TOKEN: { credential: claude }
admit:
  secrets: [TOKEN]
  gates:
    - { id: login, credentials: [claude] }
    - { id: others, credentials: "${input.vendors}" }
    - { id: password, command: ./check }
steps:
  - { id: a, command: ./work, secrets: TOKEN }
"#;

#[test]
fn a_file_and_the_builder_say_the_same_and_the_stored_document_gives_it_back() {
    let file = parse(FILE, "personal.yaml", &NoFiles).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(file.warnings.is_empty(), "{:?}", file.warnings);
    let built = Pipeline::new("personal")
        .input(json!({"type": "object", "properties": {"vendors": {"type": "array", "default": []}}}))
        .secret("TOKEN", Secret::credential("claude"))
        .admit(Gate::credentials("login", ["claude"]))
        .admit(Gate::credentials_of("others", "${input.vendors}"))
        .admit(Gate::command("password", "./check"))
        .admit_secrets(["TOKEN"])
        .step(Step::command("a", "./work").secrets("TOKEN"))
        .build()
        .unwrap();
    assert_eq!(built, file.definition);
    let stored: Definition = serde_json::from_str(&built.document()).unwrap();
    assert_eq!((stored.hash(), &stored), (built.hash(), &built));
    assert_eq!(built.secrets["TOKEN"], SecretSource::Credential("claude".to_owned()));
    assert_eq!(built.admit.secrets, ["TOKEN"]);
    let kinds = built.admit.gates.iter().map(|gate| match &gate.probe {
        Probe::Task(task) => task.kind.as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["credentials", "credentials", "command"]);
}

#[test]
fn a_pipeline_that_names_none_keeps_its_hash() {
    let plain = "name: x\nadmit: [{ id: a, expression: 'true' }]\nsteps: [{ id: a, command: x }]\n";
    let document = parse(plain, "x", &NoFiles).unwrap().definition.document();
    assert!(!document.contains("secrets"), "{document}");
}
