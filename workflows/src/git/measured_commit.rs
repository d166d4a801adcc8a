//! Measures the commit of a worktree, and all that lies in it beside.
//!
//! Law: what the repository's own index and configuration are told to overlook is looked at all the same, other
//! repositories that lie in the worktree included. What git ignores (`.gitignore`, `info/exclude`) is not, and filters
//! stand between a file and its hash.

use std::path::PathBuf;

use everfold_ports::Workdir;

use super::call::Git;
use super::error::GitError;

/// Repositories in a worktree that are looked into; with more the look fails.
const NESTED_MAX: usize = 256;

/// The mode of an entry that is another repository's commit.
const LINK: &str = "160000";

/// What a repository may say otherwise, to have files overlooked.
const SETTINGS: [&str; 12] = [
    "-c",
    "core.fileMode=true",
    "-c",
    "core.symlinks=true",
    "-c",
    "core.ignoreCase=false",
    "-c",
    "core.sparseCheckout=false",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "sparse.expectFilesOutsideOfPatterns=false",
];

/// What one repository holds.
struct Measured {
    /// Of its head.
    commit: String,
    /// Of all that lies in its worktree.
    tree: String,
    /// The tree is that of the head.
    is_clean: bool,
    /// Other repositories in it: path, and the commit that stands in the tree.
    links: Vec<(String, String)>,
}

/// The commit of a run's worktree, and behind it `+` and a hash of all that it holds where that is more than the
/// commit. `None`: it is no worktree of the run, or has no commit.
pub(crate) async fn measured_commit(workdir: &Workdir) -> Result<Option<String>, GitError> {
    if workdir.git.is_none() {
        return Ok(None);
    }
    // An object that another one stands for would be read in its place.
    let git = Git::within(workdir)?.with_env("GIT_NO_REPLACE_OBJECTS", "1");
    let Some(top) = measured(&git).await? else { return Ok(None) };
    let mut nested = String::new();
    let mut open: Vec<(Git, String, String)> = links_of(&git, "", &top);
    let mut looked = 0;
    while let Some((inside, path, commit)) = open.pop() {
        looked += 1;
        if looked > NESTED_MAX {
            return Err(GitError::TooMuch { command: format!("of {NESTED_MAX} nested repositories") });
        }
        if !inside.folder.join(".git").exists() {
            if let Some(tree) = tree_without_repository(&git, &inside).await? {
                nested += &format!("{path}\0{tree}\n");
            }
            continue;
        }
        match measured(&inside).await? {
            Some(found) => {
                if !found.is_clean || found.commit != commit {
                    nested += &format!("{path}\0{}\0{}\n", found.commit, found.tree);
                }
                open.extend(links_of(&inside, &format!("{path}/"), &found));
            }
            None => nested += &format!("{path}\0no commit\n"),
        }
    }
    Ok(Some(match (top.is_clean, nested.is_empty()) {
        (true, true) => top.commit,
        (false, true) => format!("{}+{}", top.commit, top.tree),
        (_, false) => {
            let all = blake3::hash(format!("{}\n{nested}", top.tree).as_bytes()).to_hex();
            format!("{}+{all}", top.commit)
        }
    }))
}

/// The repositories that lie in another one: where, under which path of the worktree, and at which commit.
fn links_of(git: &Git, around: &str, found: &Measured) -> Vec<(Git, String, String)> {
    let inside = |path: &str| {
        let below = git.below(path);
        let folder = below.folder.display().to_string();
        // Its configuration may name another folder.
        below.with_env("GIT_WORK_TREE", &folder).with_env("GIT_NO_REPLACE_OBJECTS", "1")
    };
    found
        .links
        .iter()
        .map(|(path, commit)| (inside(path), format!("{around}{path}"), commit.clone()))
        .collect()
}

/// What a repository holds; `None`: it has no commit.
async fn measured(git: &Git) -> Result<Option<Measured>, GitError> {
    let commit = match git.text(&["rev-parse", "--verify", "HEAD^{commit}"]).await {
        Ok(commit) => commit,
        Err(GitError::Failed { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let kinds = ["--untracked-files=all", "--ignore-submodules=none"];
    let status = [&SETTINGS[..], &["--no-optional-locks", "status", "--porcelain", "-z"], &kinds].concat();
    let (changes, _) = git.beginning(&status, 1).await?;
    // The worktree's own index may be told to overlook files; this one is of all of them.
    let (tree, links) = tree_of(git, "HEAD").await?;
    let is_clean = changes.is_empty() && tree == git.text(&["rev-parse", "--verify", "HEAD^{tree}"]).await?;
    Ok(Some(Measured { commit, tree, is_clean, links }))
}

/// The tree of what lies where another repository should be and is none; `None`: nothing does.
async fn tree_without_repository(git: &Git, inside: &Git) -> Result<Option<String>, GitError> {
    if std::fs::read_dir(&inside.folder).is_ok_and(|mut entries| entries.next().is_none()) {
        return Ok(None);
    }
    let within = git.clone().with_env("GIT_WORK_TREE", &inside.folder.display().to_string());
    Ok(Some(tree_of(&within, "--empty").await?.0))
}

/// The tree that a commit of everything would have, and the repositories in it; made beside the worktree's own index.
async fn tree_of(git: &Git, from: &str) -> Result<(String, Vec<(String, String)>), GitError> {
    let name = format!("everfold-look-{}", everfold_system::clock::draw_u64());
    let place = git.text(&["rev-parse", "--git-path", &name]).await?;
    let index = IndexFile(git.folder.join(place));
    let git = git.clone().with_env("GIT_INDEX_FILE", &index.0.display().to_string());
    git.text(&["read-tree", from]).await?;
    git.text(&[&SETTINGS[..], &["add", "--all", "--", ":/"]].concat()).await?;
    let tree = git.text(&["write-tree"]).await?;
    let listed = git.bytes(&["ls-tree", "-r", "-z", &tree]).await?;
    Ok((tree, links(&String::from_utf8_lossy(&listed))))
}

/// The paths and commits of other repositories in a list of `ls-tree -z`: `MODE commit HASH<tab>PATH<0>`.
fn links(listed: &str) -> Vec<(String, String)> {
    let entry = |line: &str| {
        let (about, path) = line.split_once('\t')?;
        let commit = about.strip_prefix(LINK)?.rsplit(' ').next()?;
        Some((path.to_owned(), commit.to_owned()))
    };
    listed.split('\0').filter_map(entry).collect()
}

/// An index that is gone with its look.
struct IndexFile(PathBuf);

impl Drop for IndexFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
        let lock = self.0.with_extension("lock");
        drop(std::fs::remove_file(lock));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repositories_of_a_tree_are_those_with_the_mode_of_a_commit() {
        let listed = "100644 blob aa\tx.sh\x00160000 commit bb\ta folder/sub\x00120000 blob cc\tlink\0";
        assert_eq!(links(listed), [("a folder/sub".to_owned(), "bb".to_owned())]);
        assert_eq!(links(""), []);
    }
}
