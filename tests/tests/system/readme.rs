//! What the README says, done word for word.

use std::path::Path;
use std::process::{Command, Stdio};

const README: &str = include_str!("../../../README.md");

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

/// Runs each line of a block in the shell; a line that names an exit code ends with it. The last line's output.
fn run_lines(block: &str, folder: &Path, path: &std::ffi::OsStr) -> String {
    let mut answer = String::new();
    for command in block.lines() {
        let done = Command::new("sh")
            .args(["-c", command])
            .current_dir(folder)
            .env("PATH", path)
            .env_remove("EVERFOLD_DIR")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let expected = if command.contains("exit code 6") { 6 } else { 0 };
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(expected), "{command}: {stderr}");
        answer = String::from_utf8_lossy(&done.stdout).into_owned();
    }
    answer
}

#[test]
fn the_first_pipeline_of_ones_own_and_all_that_follows_run_as_printed() {
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
    let blocks = blocks("sh");
    let first = blocks.iter().position(|block| block.contains("greet.yaml")).unwrap();
    assert_eq!(run_lines(&blocks[first], scratch.path(), &path), "Hello, Ada!\n");
    // What follows works on that run.
    for block in &blocks[first + 1..] {
        run_lines(block, scratch.path(), &path);
    }
    assert!(blocks.len() > first + 4, "{}", blocks.len());
}

#[test]
fn every_place_that_it_points_to_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for link in README.split("](").skip(1) {
        let target = link.split(')').next().unwrap();
        assert!(root.join(target).exists(), "{target}");
    }
}
