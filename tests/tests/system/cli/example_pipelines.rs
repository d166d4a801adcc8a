//! The whole pipelines of `docs/examples`: they have neither errors nor warnings, their cases pass, and they stay short.

use std::path::PathBuf;

use super::fixtures::Scratch;

/// How many lines a pipeline may have, and how many characters a line.
const LENGTHS: [(&str, usize); 1] = [("fullstack", 250)];
const WIDTH: usize = 140;

/// Each pipeline beside its cases.
fn pipelines() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut pipelines: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter(|path| !path.to_string_lossy().ends_with(".test.yaml"))
        .collect();
    pipelines.sort();
    pipelines
}

#[test]
fn the_whole_pipelines_have_no_faults_and_their_cases_pass() {
    let scratch = Scratch::new();
    let pipelines = pipelines();
    assert!(pipelines.len() >= LENGTHS.len(), "{pipelines:?}");
    for path in pipelines {
        let path = path.to_str().unwrap();
        let checked = scratch.run(&["pipeline", "check", path]);
        let clean = checked.out.trim_end().ends_with(" test cases, no errors") && checked.err.is_empty();
        assert!(checked.code == 0 && clean, "{checked:?}");
        let played = scratch.run(&["pipeline", "test", path, "--json"]);
        assert_eq!((played.code, played.json()["failed"].as_u64()), (0, Some(0)), "{played:?}");
        let coverage = played.json()["coverage"]["steps"].clone();
        let begun = coverage.as_object().unwrap().values().all(|times| times.as_u64() > Some(0));
        assert!(begun, "each step is begun in some case: {coverage}");
    }
}

#[test]
fn the_whole_pipelines_are_as_short_as_promised() {
    let pipelines = pipelines();
    assert_eq!(pipelines.len(), LENGTHS.len(), "{pipelines:?}");
    for (name, most) in LENGTHS {
        let path = pipelines.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name)).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.lines().count() <= most, "{name}: {} lines", text.lines().count());
        let wide = text.lines().find(|line| line.chars().count() > WIDTH);
        assert!(wide.is_none(), "{name}: {wide:?}");
    }
}
