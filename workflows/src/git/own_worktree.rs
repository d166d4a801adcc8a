//! Where a call of git acts: in the worktree that was made for a run, or not at all.
//!
//! Law: git is never left to look for a repository from a run's folder upwards. The data folder mostly lies
//! inside of a repository, and a worktree that has lost its `.git` would be a folder of the checkout around it:
//! the people's own. So each call for a run names the git folder and the worktree, and both are compared with
//! what was made: a real folder, whose git folder points back at it and belongs to the run's repository.

use std::io;
use std::path::{Path, PathBuf};

use super::error::GitError;
use everfold_system::regular;

/// A worktree that is what was made for the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnWorktree {
    /// The folder, without links.
    pub(super) folder: PathBuf,
    /// Its git folder: `COMMON/worktrees/NAME`.
    pub(super) git_dir: PathBuf,
    /// The repository's git folder, which all worktrees share.
    pub(super) common_dir: PathBuf,
}

/// Looks whether a folder still is a worktree of the repository.
///
/// # Errors
/// [`GitError::Gone`], with what is wrong with it; [`GitError::Io`]: it cannot be looked at now.
pub(super) fn own(folder: &Path, repository: &Path) -> Result<OwnWorktree, GitError> {
    let gone = |reason: String| GitError::Gone {
        worktree: folder.to_owned(),
        repository: repository.to_owned(),
        reason,
    };
    let looked = |what: &str, error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::NotADirectory => {
            gone(format!("{what} cannot be read: {error}"))
        }
        // The system's, not the worktree's: nothing is known of it.
        _other => GitError::Io(error),
    };
    let about = folder.symlink_metadata().map_err(|error| looked("the folder", error))?;
    if !about.is_dir() {
        return Err(gone("it is no folder, but a file or a link".to_owned()));
    }
    let real = folder.canonicalize().map_err(|error| looked("the folder", error))?;
    let dot = real.join(".git");
    let about = match dot.symlink_metadata() {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(gone("its file .git is missing".to_owned()));
        }
        Err(error) => return Err(looked("its file .git", error)),
    };
    let git_dir = if about.is_dir() {
        dot
    } else if about.is_file() {
        let git_dir = led_to(&dot).map_err(|error| looked("its file .git", error))?;
        let back = pointed_at(&git_dir).map_err(|error| looked("the record of the worktree", error))?;
        if back != dot {
            return Err(gone(format!("its file .git leads to the record of {}", back.display())));
        }
        git_dir
    } else {
        return Err(gone("its .git is a link".to_owned()));
    };
    let common_dir = common_of(&git_dir).map_err(|error| looked("its repository", error))?;
    let expected = common_dir_of(repository).map_err(|error| looked("the run's repository", error))?;
    if common_dir != expected {
        return Err(gone(format!("it belongs to the repository {}", common_dir.display())));
    }
    Ok(OwnWorktree { folder: real, git_dir, common_dir })
}

/// The git folder that all worktrees of a repository share, found without git.
pub(super) fn common_dir_of(repository: &Path) -> io::Result<PathBuf> {
    let dot = repository.join(".git");
    match std::fs::metadata(&dot) {
        Ok(about) if about.is_dir() => common_of(&dot.canonicalize()?),
        Ok(_) => common_of(&led_to(&dot)?),
        // One without a checkout is its own git folder.
        Err(_) if repository.join("HEAD").is_file() && repository.join("objects").is_dir() => {
            common_of(&repository.canonicalize()?)
        }
        Err(error) => Err(error),
    }
}

/// Where a file `.git` leads to.
fn led_to(dot: &Path) -> io::Result<PathBuf> {
    let text = read_short(dot)?;
    let place = text.strip_prefix("gitdir:").ok_or_else(|| invalid("it does not begin with `gitdir:`"))?;
    dot.parent().unwrap_or(dot).join(place.trim()).canonicalize()
}

/// The file `.git` that a worktree's record points at. It may be gone; its folder may not.
pub(super) fn pointed_at(git_dir: &Path) -> io::Result<PathBuf> {
    let text = read_short(&git_dir.join("gitdir"))?;
    let place = git_dir.join(text.trim());
    let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else {
        return Err(invalid("it points nowhere"));
    };
    Ok(folder.canonicalize()?.join(name))
}

fn common_of(git_dir: &Path) -> io::Result<PathBuf> {
    match read_short(&git_dir.join("commondir")) {
        Ok(place) => git_dir.join(place.trim()).canonicalize(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(git_dir.to_owned()),
        Err(error) => Err(error),
    }
}

/// Files of git that hold one path.
fn read_short(file: &Path) -> io::Result<String> {
    use std::io::Read as _;
    const PATH_BYTES_MAX: u64 = 16 * 1024;
    let mut text = String::new();
    regular::open(file)?.take(PATH_BYTES_MAX).read_to_string(&mut text)?;
    match text.trim() {
        "" => Err(invalid("it is empty")),
        _ => Ok(text),
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
