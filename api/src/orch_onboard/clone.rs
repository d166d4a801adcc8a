//! The clone that worktrees are made of.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::checklist::{Checklist, SetupFinding, SetupItem};
use super::request::OnboardRequest;

/// How long git may take with what is here, and with what is elsewhere.
const HERE: Duration = Duration::from_secs(15);
const ELSEWHERE: Duration = Duration::from_secs(600);
/// What git is asked whether there is the branch that tasks begin at.
const BASE: [&str; 4] = ["rev-parse", "--verify", "--quiet", "refs/remotes/origin/main"];
/// Of what git says of an error.
const SAID_CHARS_MAX: usize = 200;

/// The clone, and that its origin is the repository.
pub(super) async fn item(checklist: Checklist, request: &OnboardRequest, token: &str) -> SetupItem {
    let folder = request.repos.join(&request.repo);
    let url = format!("{}/{}/{}.git", request.gitea_url.trim_end_matches('/'), request.owner, request.repo);
    let look = async || match std::fs::symlink_metadata(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            SetupFinding::Missing(format!("no clone in {}", folder.display()))
        }
        Err(error) => SetupFinding::Out(format!("{}: {error}", folder.display())),
        Ok(_) => match git(Some(&folder), &["remote", "get-url", "origin"], None, HERE).await {
            Ok(origin) if is_same(&origin, request) => match git(Some(&folder), &BASE, None, HERE).await {
                Ok(_) => SetupFinding::There(folder.display().to_string()),
                Err(_) => SetupFinding::Out(format!(
                    "{} has no origin/main, where each task begins: make the branch main in Gitea, then `git fetch origin` there",
                    folder.display()
                )),
            },
            Ok(origin) => {
                SetupFinding::Out(format!("{} is a clone of {}", folder.display(), without_user(&origin)))
            }
            Err(why) => SetupFinding::Out(format!("{} is no clone: {why}", folder.display())),
        },
    };
    let make = async || {
        std::fs::create_dir_all(&request.repos)
            .map_err(|error| format!("{}: {error}", request.repos.display()))?;
        let into = folder.display().to_string();
        git(None, &["clone", "--quiet", "--", &url, &into], Some(token), ELSEWHERE).await.map(drop)
    };
    let to_do = format!("git clone {url} {}", folder.display());
    checklist.item("here", "clone", to_do, look, make).await
}

/// Whether an origin names the repository, whatever way leads there.
fn is_same(origin: &str, request: &OnboardRequest) -> bool {
    let path = origin.trim().trim_end_matches('/').trim_end_matches(".git").replace(':', "/");
    let mut parts = path.rsplit('/');
    let same = |part: Option<&str>, wanted: &str| part.is_some_and(|part| part.eq_ignore_ascii_case(wanted));
    same(parts.next(), &request.repo) && same(parts.next(), &request.owner)
}

fn without_user(origin: &str) -> String {
    match origin.trim().split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            format!("{scheme}://{host}")
        }
        None => origin.trim().to_owned(),
    }
}

/// Runs git without asking anybody; the token goes into a header by the environment, which no list of processes shows.
async fn git(
    folder: Option<&PathBuf>,
    arguments: &[&str],
    token: Option<&str>,
    limit: Duration,
) -> Result<String, String> {
    let mut command = Command::new("git");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).env("GIT_TERMINAL_PROMPT", "0");
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("GIT_") && variable != "GIT_TERMINAL_PROMPT" {
            command.env_remove(&variable);
        }
    }
    if let Some(token) = token {
        command
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", format!("Authorization: token {token}"));
    }
    command.current_dir(folder.map_or(Path::new("."), PathBuf::as_path));
    let ran = tokio::time::timeout(limit, command.output()).await;
    let output = ran
        .map_err(|_| format!("git took longer than {} s", limit.as_secs()))?
        .map_err(|error| format!("git does not run: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().lines().next_back().unwrap_or_default();
            Err(without_user(&said.chars().take(SAID_CHARS_MAX).collect::<String>()))
        }
    }
}
