//! What the README says, done word for word.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};

const README: &str = include_str!("../../README.md");

/// The fenced blocks of a kind, in order.
fn blocks(kind: &str) -> Vec<String> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for line in README.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(opened), None) => open = (opened == kind).then(String::new),
            (None, Some(block)) => *block = format!("{block}{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn the_first_pipeline_of_ones_own_runs_as_it_is_printed() {
    let scratch = tempfile::tempdir().unwrap();
    let bin = scratch.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_everfold-under-test"), bin.join("everfold")).unwrap();
    let path = std::env::join_paths(
        std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    let pipeline = &blocks("yaml")[0];
    assert!(pipeline.lines().count() <= 10);
    std::fs::write(scratch.path().join("greet.yaml"), pipeline).unwrap();
    let commands = blocks("sh").into_iter().find(|block| block.contains("greet.yaml")).unwrap();
    let mut answer = String::new();
    for command in commands.lines() {
        let done = Command::new("sh")
            .args(["-c", command])
            .current_dir(scratch.path())
            .env("PATH", &path)
            .env_remove("EVERFOLD_DIR")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let expected = if command.contains("exit code 6") { 6 } else { 0 };
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(expected), "{command}: {said}");
        answer = String::from_utf8_lossy(&done.stdout).into_owned();
    }
    assert_eq!(answer, "Hello, Ada!\n");
}

#[test]
fn every_place_that_it_points_to_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for link in README.split("](").skip(1) {
        let target = link.split(')').next().unwrap();
        assert!(root.join(target).exists(), "{target}");
    }
}
