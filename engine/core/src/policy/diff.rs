//! A diff passes inside its bounds.

use super::glob::Glob;
use super::judgement::{Judgement, count, fail, pass, shortened, texts};
use everfold_base::json::Value;

/// Judges `{files, lines, names, min_files?, max_files?, max_lines?, allow?, deny?}`.
///
/// `allow` and `deny` are globs ([`Glob`]). One denied path fails; with `allow`, so does one that it
/// does not name. `left` are those that rounds left which were refused.
pub(super) fn judge(evidence: &Value) -> Judgement {
    let (Some(files), Some(lines)) = (evidence["files"].as_u64(), evidence["lines"].as_u64()) else {
        return fail("the evidence counts no files and lines");
    };
    let names = texts(&evidence["names"]);
    let (allow, deny) = (texts(&evidence["allow"]), texts(&evidence["deny"]));
    let left = texts(&evidence["left"]);
    let is = |name: &str| match left.contains(&name) {
        true => format!("{} is still as a refused round left it", shortened(name, 120)),
        false => format!("{} is changed", shortened(name, 120)),
    };
    let denied: Vec<Glob> = deny.iter().map(|glob| Glob::new(glob)).collect();
    for name in &names {
        if let Some(at) = denied.iter().position(|glob| glob.matches(name)) {
            let glob = shortened(deny[at], 120);
            return fail(format!("{}, which {glob} denies", is(name)));
        }
    }
    let allowed: Vec<Glob> = allow.iter().map(|glob| Glob::new(glob)).collect();
    if !allow.is_empty()
        && let Some(name) = names.iter().find(|name| !allowed.iter().any(|glob| glob.matches(name)))
    {
        let allowed = shortened(&allow.join(", "), 200);
        return fail(match left.contains(name) {
            true => format!("{}: only {allowed} may be changed", is(name)),
            false => format!("{}, which only {allowed} may be", is(name)),
        });
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Verdict::{Fail, Pass};

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
