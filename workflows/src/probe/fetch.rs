//! Fetches a branch before a probe looks at it.
//!
//! Law: a fetch that fails loses no evidence: what was fetched before counts, and that is recorded beside it.

use std::time::Duration;

use everfold_base::json::Value;
use everfold_ports::Workdir;
use serde_json::json;

use crate::git::Git;

/// How long a remote may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Characters of what a failed fetch said.
const PROBLEM_CHARS_MAX: usize = 300;

/// Fetches the branch that a reference like `origin/main` stands for, and says whether that worked; `None`: it is no
/// branch of a remote.
pub(super) async fn fetch(workdir: &Workdir, reference: &str) -> Option<Value> {
    fetch_within(TIME_LIMIT, workdir, reference).await
}

async fn fetch_within(limit: Duration, workdir: &Workdir, reference: &str) -> Option<Value> {
    workdir.git.as_ref()?;
    let (remote, branch) = reference.split_once('/')?;
    if remote.is_empty()
        || branch.is_empty()
        || reference.starts_with('-')
        || branch.contains([':', '*', '^'])
    {
        return None;
    }
    let git = Git::within(workdir).ok()?;
    let remotes = git.text(&["remote"]).await.ok()?;
    if !remotes.lines().any(|known| known == remote) {
        return None;
    }
    let refspec = format!("+refs/heads/{branch}:refs/remotes/{remote}/{branch}");
    let arguments = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote, refspec.as_str()];
    let problem = match tokio::time::timeout(limit, git.text(&arguments)).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_late) => Some(format!("{remote} did not answer within {} s", limit.as_secs())),
    };
    let problem = problem.map(|problem| problem.chars().take(PROBLEM_CHARS_MAX).collect::<String>());
    Some(json!({ "from": reference, "ok": problem.is_none(), "problem": problem }))
}

#[cfg(test)]
mod tests {
    use super::super::source::tests::a_worktree;
    use super::*;

    #[tokio::test]
    async fn o067_a_remote_that_does_not_answer_is_given_up_and_that_is_said() {
        let (_home, git, workdir) = a_worktree().await;
        for set in
            [["config", "remote.origin.url", "ext::sleep 600"], ["config", "protocol.ext.allow", "always"]]
        {
            git.text(&set).await.unwrap();
        }
        let fetched = fetch_within(Duration::from_secs(1), &workdir, "origin/main").await;
        let problem = "origin did not answer within 1 s";
        assert_eq!(fetched, Some(json!({ "from": "origin/main", "ok": false, "problem": problem })));
    }
}
