//! What the command line prints for programs: byte for byte what was answered.
//!
//! Escape sequences and control characters in values got lost on the way into a pipe.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// What a command prints into a pipe.
fn printed(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everfold"));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", folder).env("EVERFOLD_DIR", folder.join("data")).current_dir(folder);
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

#[test]
fn what_programs_read_is_printed_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), "name: a\nsteps: [{ id: a, command: 'true' }]\n").unwrap();
    printed(folder.path(), &["run", "a.yaml"]);
    let sql =
        "select 'a' || char(27) || '[31mred' || char(27) || '[0m' || char(0, 1, 7, 8, 127, 155) || '→' as x";
    let value = "a\u{1b}[31mred\u{1b}[0m\0\u{1}\u{7}\u{8}\u{7f}\u{9b}→";
    let csv = printed(folder.path(), &["sql", sql, "--format", "csv"]);
    assert_eq!(String::from_utf8(csv).unwrap(), format!("x\r\n{value}\r\n"));
    let line = printed(folder.path(), &["sql", sql, "--format", "ndjson"]);
    assert_eq!(serde_json::from_slice::<Value>(&line).unwrap(), json!({ "x": value }));
    let answer = printed(folder.path(), &["sql", sql, "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap()["rows"], json!([[value]]));
}
