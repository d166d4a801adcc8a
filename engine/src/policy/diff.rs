//! A diff passes inside its bounds.

use regex::Regex;

use super::{Judgement, count, fail, pass, shortened, texts};
use crate::json::Value;

/// Judges `{files, lines, names, min_files?, max_files?, max_lines?, allow?, deny?}`.
///
/// `allow` and `deny` are globs over the whole path: `*` and `?` stop at `/`, `**` does not, and a
/// pattern without `/` is about the last part alone. One denied path fails; with `allow`, so does
/// one that it does not name.
pub(super) fn judge(evidence: &Value) -> Judgement {
    let (Some(files), Some(lines)) = (evidence["files"].as_u64(), evidence["lines"].as_u64()) else {
        return fail("the evidence counts no files and lines");
    };
    let names = texts(&evidence["names"]);
    let (allow, deny) = (texts(&evidence["allow"]), texts(&evidence["deny"]));
    for name in &names {
        if let Some(glob) = deny.iter().find(|glob| glob_matches(glob, name)) {
            return fail(format!("{} is changed, which {glob} denies", shortened(name, 120)));
        }
    }
    if !allow.is_empty()
        && let Some(name) = names.iter().find(|name| !allow.iter().any(|glob| glob_matches(glob, name)))
    {
        return fail(format!(
            "{} is changed, which only {} may be",
            shortened(name, 120),
            shortened(&allow.join(", "), 200)
        ));
    }
    // A list that was cut proves nothing about the names that are missing.
    if (names.len() as u64) < files && !(allow.is_empty() && deny.is_empty()) {
        return fail(format!("{files} files are changed, too many to compare them with allow and deny"));
    }
    let bound = |key: &str| evidence[key].as_u64();
    if let Some(min) = bound("min_files").filter(|min| files < *min) {
        return fail(format!("{} changed, at least {min} needed", count(files, "file")));
    }
    if let Some(max) = bound("max_files").filter(|max| files > *max) {
        return fail(format!("{} changed, at most {max} allowed", count(files, "file")));
    }
    if let Some(max) = bound("max_lines").filter(|max| lines > *max) {
        return fail(format!("{} changed, at most {max} allowed", count(lines, "line")));
    }
    pass(format!("{} and {} changed", count(files, "file"), count(lines, "line")))
}

fn glob_matches(glob: &str, path: &str) -> bool {
    let subject = if glob.contains('/') { path } else { path.rsplit('/').next().unwrap_or(path) };
    let mut pattern = String::from(r"\A");
    let mut rest = glob.trim_start_matches('/').chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.peek() == Some(&'*') => {
                rest.next();
                if rest.peek() == Some(&'/') {
                    rest.next();
                    pattern.push_str("(?:.*/)?");
                } else {
                    pattern.push_str(".*");
                }
            }
            '*' => pattern.push_str("[^/]*"),
            '?' => pattern.push_str("[^/]"),
            c => pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    pattern.push_str(r"\z");
    Regex::new(&format!("(?s){pattern}")).is_ok_and(|regex| regex.is_match(subject))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Verdict::{Fail, Pass};

    #[test]
    fn globs_stop_at_slashes_unless_doubled() {
        for (glob, path, matches) in [
            ("*.lock", "deep/Cargo.lock", true),
            ("src/*.rs", "src/a.rs", true),
            ("src/*.rs", "src/b/a.rs", false),
            ("src/**", "src/b/a.rs", true),
            ("**/secret/*", "secret/x", true),
            ("**/secret/*", "a/b/secret/x", true),
            ("docs/?.md", "docs/a.md", true),
            ("a+b", "aab", false),
        ] {
            assert_eq!(glob_matches(glob, path), matches, "{glob} {path}");
        }
    }

    #[test]
    fn each_bound_is_kept_and_named() {
        let names = json!(["src/a.rs", "docs/b.md"]);
        let with = |bounds: Value| {
            let mut evidence = json!({"files": 2, "lines": 12, "names": names});
            evidence.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
            evidence
        };
        for (bounds, verdict, reason) in [
            (json!({}), Pass, "2 files and 12 lines changed"),
            (json!({"min_files": 3}), Fail, "2 files changed, at least 3 needed"),
            (json!({"max_files": 1}), Fail, "2 files changed, at most 1 allowed"),
            (json!({"max_lines": 11}), Fail, "12 lines changed, at most 11 allowed"),
            (json!({"deny": ["*.md"]}), Fail, "docs/b.md is changed, which *.md denies"),
            (json!({"allow": ["src/**"]}), Fail, "docs/b.md is changed, which only src/** may be"),
            (json!({"allow": ["src/**", "docs/**"], "max_lines": 12}), Pass, "2 files and 12 lines changed"),
            (
                json!({"files": 900, "deny": ["*.lock"]}),
                Fail,
                "900 files are changed, too many to compare them with allow and deny",
            ),
        ] {
            assert_eq!(judge(&with(bounds.clone())), Judgement::new(verdict, reason), "{bounds}");
        }
    }
}
