//! Patterns over paths.

use regex::Regex;

/// A pattern over paths with `/`: `*` and `?` stop at `/`, `**` does not, every other character is
/// itself. A pattern without `/` is about the last part of a path alone.
#[derive(Debug, Clone)]
pub struct Glob {
    pattern: Option<Regex>,
    last_part_only: bool,
}

impl Glob {
    /// Reads a pattern; one that is too long to compile matches nothing.
    #[must_use]
    pub fn new(glob: &str) -> Self {
        let mut pattern = String::from(r"(?s)\A");
        let mut rest = glob.trim_start_matches("./").trim_start_matches('/').chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '*' if rest.next_if_eq(&'*').is_some() => {
                    let within = rest.next_if_eq(&'/').is_some();
                    pattern.push_str(if within { "(?:.*/)?" } else { ".*" });
                }
                '*' => pattern.push_str("[^/]*"),
                '?' => pattern.push_str("[^/]"),
                c => pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        pattern.push_str(r"\z");
        Self { pattern: Regex::new(&pattern).ok(), last_part_only: !glob.contains('/') }
    }

    /// Whether the path fits.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let subject = if self.last_part_only { path.rsplit('/').next().unwrap_or(path) } else { path };
        self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_stop_at_slashes_unless_doubled() {
        for (glob, path, matches) in [
            ("*.lock", "deep/Cargo.lock", true),
            ("src/*.rs", "src/a.rs", true),
            ("src/*.rs", "src/b/a.rs", false),
            ("./src/**", "src/b/a.rs", true),
            ("**/secret/*", "secret/x", true),
            ("**/secret/*", "a/b/secret/x", true),
            ("docs/?.md", "docs/a.md", true),
            ("a+b", "aab", false),
            ("/readme", "readme", true),
        ] {
            assert_eq!(Glob::new(glob).matches(path), matches, "{glob} {path}");
        }
    }
}
