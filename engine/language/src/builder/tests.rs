//! Nothing of the language is missing here.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::definition::shapes;

#[test]
fn every_key_of_the_language_has_a_method() {
    let built: &[(&str, &[&str])] = &[
        ("", Pipeline::KEYS),
        ("/properties/defaults", Defaults::KEYS),
        ("/$defs/key/oneOf/1", Key::KEYS),
        ("/$defs/numbering/oneOf/1", &["key"]),
        ("/$defs/concurrency", Concurrency::KEYS),
        ("/$defs/budget", Budget::KEYS),
        ("/$defs/secret", Secret::KEYS),
        ("/$defs/trigger", Trigger::KEYS),
        ("/$defs/schedule", Schedule::KEYS),
        ("/$defs/notice", Notice::KEYS),
        ("/$defs/git", Workspace::KEYS),
        ("/$defs/step", Step::KEYS),
        ("/$defs/needs/oneOf/1", &["done", "succeeded", "any"]),
        ("/$defs/api", Api::KEYS),
        ("/$defs/retry", Retry::KEYS),
        ("/$defs/ask", Ask::KEYS),
        ("/$defs/foreach", Foreach::KEYS),
        ("/$defs/gate", Gate::KEYS),
        ("/$defs/member", Probe::KEYS),
        ("/$defs/probes/file/oneOf/1", FileProbe::KEYS),
        ("/$defs/probes/frontmatter", Frontmatter::KEYS),
        ("/$defs/probes/tests/oneOf/2", &["files"]),
        ("/$defs/probes/diff", Diff::KEYS),
        ("/$defs/probes/ci", Ci::KEYS),
        ("/$defs/probes/mergeable", Mergeable::KEYS),
        ("/$defs/probes/runs", RunsProbe::KEYS),
        ("/$defs/probes/config/oneOf/1", &["path"]),
        ("/$defs/probes/at_least", &["n", "of"]),
        ("/$defs/poll", Poll::KEYS),
        ("/$defs/wakeSignal/oneOf/1", &["signal", "when"]), // `Gate::wake_when`
        ("/$defs/searchAttribute", &["type", "value"]),
        ("/$defs/routeMap", Route::KEYS),
        ("/$defs/http/oneOf/1", Http::KEYS),
        ("/$defs/run/oneOf/1", ChildRun::KEYS),
        ("/$defs/signalWork", SignalWork::KEYS),
        ("/$defs/approval", Approval::KEYS),
        ("/$defs/question", Question::KEYS),
        ("/$defs/agent/oneOf/1", Agent::KEYS),
        ("/$defs/wait", Wait::KEYS),
        ("/$defs/remind/oneOf/1", Remind::KEYS),
        ("/$defs/fixedRemind/oneOf/1", Remind::KEYS),
    ];
    // What is short enough to have no place of its own in the schema.
    assert_eq!(TriggerStart::KEYS, ["input", "title", "park"]);
    let sorted = |keys: &[&'static str]| keys.iter().copied().collect::<BTreeSet<_>>();
    for (place, read) in shapes() {
        let (_, written) = built.iter().find(|(other, _)| *other == place).expect(place);
        assert_eq!(sorted(written), sorted(read.keys), "{place}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_as_it_was_written(text in any::<String>()) {
        let pipeline = Pipeline::new("x").description(&text).step(Step::command("a", "true"));
        let built = pipeline.build().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(built.description, text);
    }
}

#[test]
fn characters_that_yaml_refuses_are_escaped() {
    let odd = "a\u{0}\u{7f}\u{85}\u{a0}\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}\u{1f600}\r\n\t\"\\";
    let built = Pipeline::new("x").description(odd).step(Step::command("a", "true")).build().unwrap();
    assert_eq!(built.description, odd);
}
