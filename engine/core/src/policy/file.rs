//! Files pass when all that were asked for are there and sound.

use super::judgement::{Judgement, count, fail, pass, shortened};
use everfold_base::json::Value;

/// Judges `{exists, path, matches, files, glob, min, searched}`: `files` lists `{path, exists, problem?}`,
/// `matches` the paths that are there and have no problem.
pub(super) fn judge(evidence: &Value) -> Judgement {
    let Some(files) = evidence["files"].as_array() else {
        return fail("the evidence lists no files");
    };
    let found = evidence["matches"].as_array().map_or(0, Vec::len) as u64;
    if let Some(glob) = evidence["glob"].as_str() {
        let min = evidence["min"].as_u64().unwrap_or(1);
        let glob = shortened(glob, 120);
        if found >= min {
            return pass(format!("{} of {glob}, {min} needed", count(found, "file")));
        }
        let problem = files.iter().find_map(problem).map(|it| format!("; {it}")).unwrap_or_default();
        return fail(format!("{} of {glob}, {min} needed{problem}", count(found, "file")));
    }
    if files.is_empty() {
        return fail("no file was asked for");
    }
    let bad: Vec<String> = files.iter().filter_map(problem).collect();
    match bad.as_slice() {
        [] if files.len() == 1 => pass(format!("{} is there", name(&files[0]))),
        [] => pass(format!("all {} files are there", files.len())),
        [only] => fail(only.clone()),
        [first, rest @ ..] => fail(format!("{first}, and {} more of {} files", rest.len(), files.len())),
    }
}

fn name(file: &Value) -> String {
    shortened(file["path"].as_str().unwrap_or("a file"), 120)
}

fn problem(file: &Value) -> Option<String> {
    if file["exists"].as_bool() != Some(true) {
        let what = file["problem"].as_str().unwrap_or("does not exist");
        return Some(format!("{} {}", name(file), shortened(what, 200)));
    }
    file["problem"].as_str().map(|problem| format!("{}: {}", name(file), shortened(problem, 200)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Verdict::{Fail, Pass};

    #[test]
    fn every_file_asked_for_must_be_there_and_sound() {
        let there = |path: &str| json!({"path": path, "exists": true});
        let missing = |path: &str| json!({"path": path, "exists": false});
        let folder = json!({"path": "dd", "exists": false, "problem": "is a folder, not a file"});
        let broken = json!({"path": "c.json", "exists": true, "problem": "no JSON: line 1"});
        for (evidence, verdict, reason) in [
            (json!({"files": [there("a.md")]}), Pass, "a.md is there"),
            (json!({"files": [there("a"), there("b")]}), Pass, "all 2 files are there"),
            (json!({"files": [missing("a.md")]}), Fail, "a.md does not exist"),
            (json!({"files": [folder]}), Fail, "dd is a folder, not a file"),
            (json!({"files": [broken.clone()]}), Fail, "c.json: no JSON: line 1"),
            (
                json!({"files": [missing("a"), there("b"), broken]}),
                Fail,
                "a does not exist, and 1 more of 3 files",
            ),
            (json!({"files": []}), Fail, "no file was asked for"),
            (
                json!({"glob": "*.md", "min": 2, "files": [there("a.md")], "matches": ["a.md"]}),
                Fail,
                "1 file of *.md, 2 needed",
            ),
            (
                json!({"glob": "*.md", "files": [there("a.md")], "matches": ["a.md"]}),
                Pass,
                "1 file of *.md, 1 needed",
            ),
            (json!({}), Fail, "the evidence lists no files"),
        ] {
            assert_eq!(judge(&evidence), Judgement::new(verdict, reason), "{evidence}");
        }
    }
}
