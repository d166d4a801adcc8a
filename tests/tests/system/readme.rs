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

/// A path on which `everfold` is the program under test.
fn with_the_program(scratch: &Path) -> std::ffi::OsString {
    let bin = scratch.join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_everfold-under-test"), bin.join("everfold")).unwrap();
    let others = std::env::var_os("PATH").unwrap();
    std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&others))).unwrap()
}

#[test]
fn the_first_pipeline_of_ones_own_runs_as_printed() {
    let scratch = tempfile::tempdir().unwrap();
    let path = with_the_program(scratch.path());
    let pipeline = &blocks("yaml")[0];
    assert!(pipeline.lines().count() <= 10);
    std::fs::write(scratch.path().join("greet.yaml"), pipeline).unwrap();
    let blocks = blocks("sh");
    let first = blocks.iter().find(|block| block.contains("greet.yaml")).unwrap();
    assert_eq!(run_lines(first, scratch.path(), &path), "Hello, Ada!\n");
}

#[test]
fn the_four_uses_are_one_script_over_the_folder_of_the_demo() {
    let scratch = tempfile::tempdir().unwrap();
    let path = with_the_program(scratch.path());
    let script = blocks("sh").into_iter().find(|block| block.contains("everfold demo --folder")).unwrap();
    for part in ["# Resume", "# Audit", "# Queries", "# Time travel"] {
        assert!(script.contains(part), "{part}");
    }
    // The same story in a folder of the test's own, in shorter pieces.
    let folder = scratch.path().join("demo").display().to_string();
    let script =
        script.replace("/tmp/everfold-demo", &folder).replace("everfold demo", "everfold demo --pace 0.2");
    let line = |line: &str| match line.contains("exit code 6") {
        true => format!("{} || [ $? = 6 ]\n", line.split(" #").next().unwrap_or(line)),
        false => format!("{line}\n"),
    };
    let script: String = script.lines().map(line).collect();
    let done = Command::new("sh")
        .args(["-e", "-x", "-c", &script])
        .current_dir(scratch.path())
        .env("PATH", path)
        .env_remove("EVERFOLD_DIR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [said, err] = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(done.status.success(), "{said}\n{err}");
    for wanted in ["gate tests: ", "\"status\": \"succeeded\"", "approve: ", "Write every number"] {
        assert!(said.contains(wanted), "{wanted}: {said}\n{err}");
    }
}

#[test]
fn every_place_that_it_points_to_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for link in README.split("](").skip(1) {
        let target = link.split(')').next().unwrap();
        assert!(root.join(target).exists(), "{target}");
    }
}

/// Decision 67: otherwise each start, and so each attempt, writes all addresses of the program into its memory first.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn the_program_is_linked_at_a_fixed_address() {
    /// `e_type` of the header of an ELF file, and its value of a program at a fixed address (System V ABI).
    const TYPE_AT: usize = 16;
    const ET_EXEC: u8 = 2;
    let program = std::fs::read(env!("CARGO_BIN_EXE_everfold-under-test")).unwrap();
    assert_eq!(&program[..4], b"\x7fELF");
    assert_eq!(program[TYPE_AT], ET_EXEC);
}
