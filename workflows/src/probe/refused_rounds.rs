//! What a step changed since its gates last passed: also in rounds that were refused, where it still stands.
//!
//! Law: a path is held against the step only where it is as the step left it. What another step or a person changed since,
//! and what is again as the step found it, is not.

use std::collections::{BTreeMap, BTreeSet};

use everfold_base::id::RunId;
use serde::Deserialize;

use crate::git::{Git, GitError, own_base};

/// What a round that was refused changed: from the commit at which it began to the one that it left.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RefusedRound(String, String);

/// What differs from how the step found it.
#[derive(Debug, Default)]
pub(super) struct StillChanged {
    /// The paths, each with the commit at which the step found it.
    found_at: BTreeMap<String, String>,
    /// What the newest round changed.
    newest: BTreeSet<String>,
}

impl StillChanged {
    /// The paths by the commit at which they were found.
    pub(super) fn by_commit(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, commit) in &self.found_at {
            found.entry(commit.clone()).or_default().insert(path.clone());
        }
        found
    }

    /// Those that rounds which were refused left, and the newest one did not touch.
    pub(super) fn left(&self) -> Vec<String> {
        self.found_at.keys().filter(|path| !self.newest.contains(*path)).cloned().collect()
    }

    /// Leaves out what differs between the end of one round and the beginning of the next: that is the work of others.
    async fn leave_to_others(&mut self, git: &Git, left: &str, began: &str) -> Result<(), GitError> {
        if !self.found_at.is_empty() {
            let by_others = changed(git, left, Some(began)).await?;
            self.found_at.retain(|path, _| !by_others.contains(path));
        }
        Ok(())
    }

    /// Adds what a round changed; leaves out what it made again as it was found.
    async fn add(
        &mut self,
        git: &Git,
        began: &str,
        left: Option<&str>,
        untracked: &[String],
    ) -> Result<(), GitError> {
        let mut own = changed(git, began, left).await?;
        own.extend(untracked.iter().cloned());
        let mut differs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for path in &own {
            match self.found_at.get(path).cloned() {
                None => drop(self.found_at.insert(path.clone(), began.to_owned())),
                Some(found_at) => {
                    if !differs.contains_key(&found_at) {
                        let mut now = changed(git, &found_at, left).await?;
                        now.extend(untracked.iter().cloned());
                        differs.insert(found_at.clone(), now);
                    }
                    if !differs[&found_at].contains(path) {
                        self.found_at.remove(path);
                    }
                }
            }
        }
        self.newest = own;
        Ok(())
    }
}

/// What differs in the worktree from how the step found it, over its refused rounds and the one that began at `base`.
pub(super) async fn still_changed(
    git: &Git,
    run: RunId,
    refused: &[RefusedRound],
    base: &str,
    untracked: &[String],
) -> Result<StillChanged, GitError> {
    let mut found = StillChanged::default();
    let mut before: Option<&str> = None;
    for RefusedRound(from, to) in refused {
        // A history that was written anew may lack them.
        if !is_there(git, from).await? || !is_there(git, to).await? {
            continue;
        }
        let began = own_base(git, run, from, to).await?;
        if let Some(before) = before {
            found.leave_to_others(git, before, &began).await?;
        }
        found.add(git, &began, Some(to), &[]).await?;
        before = Some(to);
    }
    if let Some(before) = before {
        found.leave_to_others(git, before, base).await?;
    }
    found.add(git, base, None, untracked).await?;
    Ok(found)
}

/// Whether the repository has a commit. A git that cannot be run does not say so.
async fn is_there(git: &Git, commit: &str) -> Result<bool, GitError> {
    let named = format!("{commit}^{{commit}}");
    match git.text(&["rev-parse", "--verify", "--quiet", &named]).await {
        Ok(_) => Ok(true),
        Err(GitError::Failed { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The paths that differ between a commit and another one, or the worktree.
async fn changed(git: &Git, from: &str, to: Option<&str>) -> Result<BTreeSet<String>, GitError> {
    let mut arguments =
        vec!["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", from];
    arguments.extend(to);
    arguments.push("--");
    let listed = git.bytes(&arguments).await?;
    let paths = listed.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
}
