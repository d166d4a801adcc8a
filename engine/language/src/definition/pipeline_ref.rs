//! How a pipeline is named: by a saved name and version.

use std::fmt;
use std::str::FromStr;

/// The longest name of a pipeline, in bytes: it is part of a stream's id.
pub const NAME_BYTES_MAX: usize = 200;

/// Which of the saved versions of a name is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionSelector {
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
    pub which: VersionSelector,
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
            None => (text, VersionSelector::Newest),
            Some((name, version)) => match version.parse::<u32>() {
                Ok(n) if n > 0 => (name, VersionSelector::Nth(n)),
                _hash => {
                    let is_hex = version.bytes().all(|byte| byte.is_ascii_hexdigit());
                    if version.len() < HASH_DIGITS_MIN || !is_hex {
                        return Err(bad());
                    }
                    (name, VersionSelector::Hash(version.to_ascii_lowercase()))
                }
            },
        };
        if is_name(name) { Ok(Self { name: name.to_owned(), which }) } else { Err(bad()) }
    }
}

impl fmt::Display for PipelineRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            VersionSelector::Newest => f.write_str(&self.name),
            VersionSelector::Nth(n) => write!(f, "{}@{n}", self.name),
            VersionSelector::Hash(hash) => write!(f, "{}@{hash}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_names_and_paths_are_distinguished() {
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
