//! The canonical document and the hash.

use everfold_language::definition::{Code, Definition, parse};

use super::fixtures::{files, folder, read};

#[test]
fn good_files_are_read_and_their_documents_read_back() {
    for path in folder("good") {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let checked = match parse(&text, &name, &files()) {
            Ok(checked) => checked,
            Err(problems) => panic!("{problems}"),
        };
        let codes: Vec<Code> = checked.warnings.iter().map(|problem| problem.code).collect();
        let expected: &[Code] = match name.as_str() {
            "everything.yaml" => &[Code::RelativeSettings],
            "delivery.yaml" => &[Code::Shared],
            _other => &[],
        };
        assert_eq!(codes, expected, "{name}");
        let document = checked.definition.document();
        let again = Definition::from_document(&document).unwrap();
        assert_eq!(again, checked.definition);
        assert_eq!(again.document(), document);
    }
}

#[test]
fn the_canonical_document_is_what_it_was() {
    for name in ["delivery", "everything"] {
        let file = folder("good").into_iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
        let definition = read(&std::fs::read_to_string(file.unwrap()).unwrap());
        let pretty: serde_json::Value = serde_json::from_str(&definition.document()).unwrap();
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("canonical_{name}"), format!("{}\n{pretty:#}", definition.hash()));
        });
    }
}

#[test]
fn how_a_file_is_written_does_not_change_its_hash() {
    let flow = read("{steps: [{command: 'echo  x', id: a, timeout: 60s}], name: x}");
    let block = read(
        "# a comment\nname: x\nsteps:\n  - id: a\n    command: \"echo  x\"\n    timeout: 1m\n    needs: []\n",
    );
    assert_eq!(flow.hash(), block.hash());
}

/// A key that holds its default is left out, so pipelines keep their hashes when the language grows.
#[test]
fn what_a_pipeline_does_not_use_is_not_in_its_hash() {
    let plain = read("{name: x, steps: [{id: a, command: x, gates: [{command: y}]}]}");
    let spelled = read(
        "{name: x, config: {}, admit: [], concurrency: [], budget: [], secrets: {}, triggers: [], on_signal: {}, notify: [], \
         steps: [{id: a, command: x, needs: {done: []}, on_signal: {}, secrets: [], resources: [], budget_exempt: false, ask: {max: 10}, \
         clean: false, workspace: run, gates: [{command: y, wake: [], fresh: false}]}]}",
    );
    assert_eq!(spelled.hash(), plain.hash());
}
