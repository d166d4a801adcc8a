//! Repositories inside of a worktree. Git commits of such a one its head alone, not what stands in it.
//!
//! Law: nothing that exists in the worktree only is called saved. A repository that is no submodule is refused,
//! and so is a submodule's commit that no remote of it holds: both would go with the worktree.

use everfold_base::failure::{Failure, FailureKind};

use super::call::Git;
use super::error::GitError;
use super::save_error::SaveError;

/// Of the list of what changed: some hundreds of thousands of files.
const LIST_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The mode of an entry that is another repository's commit.
const LINK: &str = "160000";

/// What git did not add: a repository that has no commit yet is none that it could name.
pub(super) fn of_add(error: GitError) -> SaveError {
    match &error {
        GitError::Failed { message, .. } if message.contains("does not have a commit checked out") => {
            refused(
                "NESTED_REPOSITORY",
                format!(
                    "a repository of its own, of which a commit would keep nothing, is in the worktree: {message}"
                ),
                "take it out of the worktree, name it in .gitignore, or make it a submodule, in the step itself",
            )
        }
        _other => error.into(),
    }
}

/// Looks at the other repositories that the index names anew.
pub(super) async fn checked(git: &Git) -> Result<(), SaveError> {
    let asked = ["diff", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff"];
    let kinds = ["--ignore-submodules=dirty", "--diff-filter=AMT"];
    let (listed, is_all) = git.beginning(&[&asked[..], &kinds[..]].concat(), LIST_BYTES_MAX).await?;
    if !is_all {
        return Err(GitError::TooMuch { command: "diff --cached --raw".to_owned() }.into());
    }
    let links = links(&String::from_utf8_lossy(&listed));
    for (path, commit) in links {
        let declared = "submodule\\..*\\.path";
        let is_declared = git.folder.join(".gitmodules").is_file()
            && git.text(&["config", "--file", ".gitmodules", "--get-regexp", declared]).await.is_ok_and(
                |list| list.lines().any(|line| line.split_once(' ').is_some_and(|(_, at)| at == path)),
            );
        if !is_declared {
            // Else the next attempt would find it as if it were meant.
            git.text(&["--literal-pathspecs", "reset", "--quiet", "--", &path]).await?;
            return Err(refused(
                "NESTED_REPOSITORY",
                format!("{path} is a repository of its own, of which a commit would keep nothing"),
                "take it out of the worktree, name it in .gitignore, or make it a submodule, in the step itself",
            ));
        }
        let inside = git.below(&path);
        let asked =
            ["for-each-ref", "--count=1", "--contains", &commit, "--format=%(refname)", "refs/remotes"];
        match inside.text(&asked).await {
            Ok(holder) if !holder.is_empty() => {}
            // One that is not there was not worked in: its commit came from elsewhere.
            _ if !git.folder.join(&path).join(".git").exists() => {}
            Ok(_) | Err(GitError::Failed { .. }) => {
                return Err(refused(
                    "SUBMODULE_UNPUSHED",
                    format!("the commit {commit} of the submodule {path} is in no branch of its remotes"),
                    "push it in the step itself; it would be gone with the worktree",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The paths and commits of other repositories in a list of `--raw -z`:
/// `:OLDMODE NEWMODE OLDHASH NEWHASH STATUS<0>PATH<0>`.
fn links(listed: &str) -> Vec<(String, String)> {
    let mut parts = listed.split('\0');
    let mut links = Vec::new();
    while let (Some(about), Some(path)) = (parts.next(), parts.next()) {
        let mut fields = about.trim_start_matches(':').split(' ');
        if let (Some(mode), Some(commit)) = (fields.nth(1), fields.nth(1))
            && mode == LINK
        {
            links.push((path.to_owned(), commit.to_owned()));
        }
    }
    links
}

fn refused(code: &str, message: String, hint: &str) -> SaveError {
    let mut failure = Failure::new(FailureKind::Error, message).with_hint(hint);
    failure.code = Some(code.to_owned());
    SaveError::Refused(Box::new(failure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_repositories_are_found_in_the_list() {
        let listed =
            ":000000 100644 000 abc A\0a b\0:000000 160000 000 def A\0lib\0:160000 160000 1 2 M\0x/y\0";
        let expected = [("lib", "def"), ("x/y", "2")].map(|(path, sha)| (path.to_owned(), sha.to_owned()));
        assert_eq!(links(listed), expected);
        assert_eq!(links(""), []);
    }
}
