//! Saved pipelines: numbered versions of a name.
//!
//! Law: the stream `engine/pipeline-NAME` holds one [`PipelineSaved`] per version, numbered from 1
//! without gaps; what a version is never changes. Folding and deciding are pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::envelope::StreamId;
use crate::json::Hash;

/// The longest name of a pipeline, in bytes: it is part of a stream's id.
pub const NAME_BYTES_MAX: usize = 200;

/// A version of a name is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineSaved {
    /// The version, 1-based.
    pub n: u32,
    /// The pipeline's name.
    pub name: String,
    /// The definition; its own stream holds it.
    pub hash: Hash,
    /// The file's text as its author wrote it, for readers.
    pub text: Option<String>,
}

/// One version of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedVersion {
    /// The version, 1-based.
    pub n: u32,
    /// The definition.
    pub hash: Hash,
}

/// The versions of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedPipeline {
    versions: Vec<SavedVersion>,
}

impl SavedPipeline {
    /// The stream of a name.
    #[must_use]
    pub fn stream(name: &str) -> StreamId {
        StreamId::engine(format!("pipeline-{name}"))
    }

    /// Folds a fact.
    pub fn apply(&mut self, event: &PipelineSaved) {
        self.versions.push(SavedVersion { n: event.n, hash: event.hash });
    }

    /// What saving a definition adds; nothing where it is the newest version already.
    #[must_use]
    pub fn save(&self, name: &str, hash: Hash, text: Option<String>) -> Option<PipelineSaved> {
        if self.newest().is_some_and(|newest| newest.hash == hash) {
            return None;
        }
        let n = u32::try_from(self.versions.len()).unwrap_or(u32::MAX).saturating_add(1);
        Some(PipelineSaved { n, name: name.to_owned(), hash, text })
    }

    /// The newest version.
    #[must_use]
    pub fn newest(&self) -> Option<SavedVersion> {
        self.versions.last().copied()
    }

    /// All versions, oldest first.
    #[must_use]
    pub fn versions(&self) -> &[SavedVersion] {
        &self.versions
    }

    /// The version that is meant; of several with the hash the newest.
    #[must_use]
    pub fn find(&self, which: &Which) -> Option<SavedVersion> {
        match which {
            Which::Newest => self.newest(),
            Which::Nth(n) => self.versions.iter().find(|version| version.n == *n).copied(),
            Which::Hash(start) => {
                let fits = |version: &&SavedVersion| version.hash.to_string().starts_with(start.as_str());
                self.versions.iter().rev().find(fits).copied()
            }
        }
    }
}

/// Which version of a name is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Newest,
    /// The Nth saved one.
    Nth(u32),
    /// The one whose hash begins so.
    Hash(String),
}

/// A pipeline as people name it: `NAME`, `NAME@N`, `NAME@HASH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineRef {
    /// The name.
    pub name: String,
    /// Which version.
    pub which: Which,
}

/// A text that names no pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "“{0}” names no pipeline: it is NAME, NAME@N for the Nth saved version, or NAME@HASH with at least 6 digits"
)]
pub struct BadPipelineRef(pub String);

/// So many digits of a hash are wanted; fewer, if all are decimal, are a number.
const HASH_DIGITS_MIN: usize = 6;

impl PipelineRef {
    /// Whether a text names a file rather than a pipeline.
    #[must_use]
    pub fn is_path(text: &str) -> bool {
        let file = [".yaml", ".yml", ".json"].iter().any(|end| text.ends_with(end));
        file || text.starts_with("./") || text.starts_with("../") || text.starts_with('/')
    }
}

impl FromStr for PipelineRef {
    type Err = BadPipelineRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadPipelineRef(text.to_owned());
        let is_name = |name: &str| {
            let part = |part: &str| {
                part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && part
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
            };
            !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.split('/').all(part)
        };
        let (name, which) = match text.split_once('@') {
            None => (text, Which::Newest),
            Some((name, version)) => match version.parse::<u32>() {
                Ok(n) if n > 0 => (name, Which::Nth(n)),
                _hash => {
                    let is_hex = version.bytes().all(|byte| byte.is_ascii_hexdigit());
                    if version.len() < HASH_DIGITS_MIN || !is_hex {
                        return Err(bad());
                    }
                    (name, Which::Hash(version.to_ascii_lowercase()))
                }
            },
        };
        if is_name(name) { Ok(Self { name: name.to_owned(), which }) } else { Err(bad()) }
    }
}

impl fmt::Display for PipelineRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Newest => f.write_str(&self.name),
            Which::Nth(n) => write!(f, "{}@{n}", self.name),
            Which::Hash(hash) => write!(f, "{}@{hash}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_a_name_a_number_and_the_start_of_a_hash_name_versions() {
        let mut saved = SavedPipeline::default();
        let (one, two) = (Hash::of(b"one"), Hash::of(b"two"));
        for hash in [one, two, two, one] {
            if let Some(event) = saved.save("deploy", hash, None) {
                saved.apply(&event);
            }
        }
        let find = |text: &str| {
            let reference: PipelineRef = text.parse().unwrap();
            saved.find(&reference.which).map(|version| (version.n, version.hash))
        };
        assert_eq!(saved.versions().len(), 3, "the same again is no new version");
        assert_eq!(find("deploy"), Some((3, one)));
        assert_eq!(find("deploy@2"), Some((2, two)));
        assert_eq!(find(&format!("deploy@{}", &two.to_string()[..8])), Some((2, two)));
        assert_eq!(find("deploy@9"), None);
    }

    #[test]
    fn l1_names_and_paths_are_told_apart() {
        for text in ["deploy", "team/deploy", "deploy@3", "a@abcdef", "team/deploy@12"] {
            assert_eq!(text.parse::<PipelineRef>().unwrap().to_string(), text);
            assert!(!PipelineRef::is_path(text), "{text}");
        }
        for text in ["", "Deploy", "deploy@", "deploy@0", "deploy@abc", "deploy@xyzxyz", "a//b", "/a"] {
            assert!(text.parse::<PipelineRef>().is_err(), "{text}");
        }
        for text in ["./deploy", "deploy.yaml", "sub/deploy.yml", "../x.yaml", "/x"] {
            assert!(PipelineRef::is_path(text), "{text}");
        }
    }
}
