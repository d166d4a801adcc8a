//! Git, as the scratch projects use it: without what the user's environment says of other repositories.

use std::io;
use std::path::Path;
use std::process::Command;

/// Runs git in a folder.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> io::Result<()> {
    git_says(folder, arguments).map(drop)
}

/// Runs git in a folder; gives what it wrote.
pub(super) fn git_says(folder: &Path, arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new("git");
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("GIT_") {
            command.env_remove(&variable);
        }
    }
    let output = command
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("the demo needs git: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("git {} failed: {said}", arguments.join(" "))))
}
