//! Evidence of stubs: given, or made up so that the probe's own policy says a word.
//!
//! Law: what is made up is judged by the real policy here; what does not say the word is not used.

use everfold_engine::json::Value;
use everfold_engine::policy::{Verdict, judge_default};
use serde_json::{Map, json};

/// How many paths are made up at most.
const NAMES_MAX: u64 = 1_000;

/// The evidence of a stub beside the parameters of the probe, which its policy may need.
pub(super) fn beside(spec: &Value, given: Value) -> Value {
    match (spec, given) {
        (Value::Object(parameters), Value::Object(given)) => {
            let mut all = parameters.clone();
            all.insert("source".to_owned(), json!({"stub": true}));
            all.extend(given);
            Value::Object(all)
        }
        (_, given) => given,
    }
}

/// Evidence on which the probe's own policy says `word`; `None` where none can be made up.
pub(super) fn that_says(word: Verdict, kind: &str, spec: &Value) -> Option<Value> {
    let (pass, fail) = (word == Verdict::Pass, word == Verdict::Fail);
    let state = if pass {
        "pass"
    } else if fail {
        "fail"
    } else {
        "pending"
    };
    let given = match kind {
        "command" => json!({"exit": i32::from(!pass), "output": if pass { "" } else { "the stub fails" }}),
        "file" => files(pass, spec),
        "frontmatter" => frontmatter(pass, spec),
        "tests" if pass => {
            json!({"tests": 1, "failed": 0, "skipped": 0, "failures": [], "files": ["stub.xml"]})
        }
        "tests" => json!({
            "tests": 1, "failed": 1, "skipped": 0, "files": ["stub.xml"], "failures": [{"name": "stub", "message": "the stub fails"}]
        }),
        "diff" => diff(pass, spec),
        "http" => json!({"status": status(word, spec)?, "headers": {}, "body": null}),
        "ci" => json!({
            "found": true, "total": 1, "failed": u8::from(fail), "pending": u8::from(!pass && !fail),
            "checks": [{"name": "stub", "state": state, "status": state, "url": ""}]
        }),
        "mergeable" => {
            json!({"found": true, "state": "open", "mergeable": (pass || fail).then_some(pass), "number": 1})
        }
        "runs" => json!({"total": u8::from(pass), "runs": [], "unnamed": u8::from(pass)}),
        "function" => json!({"ok": pass, "output": null}),
        "credentials" => {
            let (none, all) = (json!([]), spec["names"].clone());
            if pass {
                json!({"present": all, "missing": none})
            } else {
                json!({"present": none, "missing": all})
            }
        }
        _no_policy => return None,
    };
    let evidence = beside(spec, given);
    judge_default(kind, &evidence).filter(|judged| judged.verdict == word).map(|_| evidence)
}

/// Evidence of a probe whose kind has no policy of its own: what most of them find where all is well.
pub(super) fn plausible() -> Value {
    json!({"exit": 0, "output": "", "ok": true, "exists": true, "value": true, "status": 200, "body": {}})
}

fn files(is_there: bool, spec: &Value) -> Value {
    let named = |value: &Value| value.as_str().map(str::to_owned);
    let mut paths: Vec<String> = match (&spec["exists"], &spec["all"]) {
        (Value::String(path), _) => vec![path.clone()],
        (_, Value::Array(paths)) => paths.iter().filter_map(named).collect(),
        _pattern => Vec::new(),
    };
    if paths.is_empty() {
        let count = spec["min"].as_u64().unwrap_or(1).min(1_000);
        paths = (1..=count).map(|number| format!("stub-{number}")).collect();
    }
    let listed: Vec<Value> = paths.iter().map(|path| json!({"path": path, "exists": is_there})).collect();
    let matches = if is_there { paths } else { Vec::new() };
    json!({"exists": is_there, "path": matches.first(), "matches": matches, "files": listed})
}

fn frontmatter(pass: bool, spec: &Value) -> Value {
    let first = |value: &Value| match value {
        Value::Array(words) => words.first().cloned(),
        Value::Null => None,
        one => Some(one.clone()),
    };
    let name = first(&spec["fields"])
        .and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_else(|| "status".to_owned());
    let word = if pass {
        first(&spec["pass"]).unwrap_or_else(|| json!("STUB"))
    } else {
        first(&spec["fail"]).unwrap_or_else(|| json!("STUB"))
    };
    let fields: Map<String, Value> = [(name.clone(), word.clone())].into_iter().collect();
    json!({"fields": fields, "order": [name], "value": word})
}

/// As many files as are needed, or one too few, or one too many.
fn diff(pass: bool, spec: &Value) -> Value {
    let min = spec["min_files"].as_u64().unwrap_or(0);
    let files = match (pass, min, spec["max_files"].as_u64()) {
        (true, min, _) => min,
        (false, 1.., _) => min - 1,
        (false, 0, Some(max)) => max + 1,
        (false, 0, None) => 0,
    };
    let lines = match (pass, spec["max_lines"].as_u64()) {
        (false, Some(max)) => max + 1,
        _within => files,
    };
    let names = if pass { allowed_names(files, spec) } else { Vec::new() };
    json!({"files": files, "lines": lines, "names": names, "added": lines, "deleted": 0})
}

/// So many paths, or fewer where its globs have no more, that `allow` and `deny` of a diff let through.
fn allowed_names(count: u64, spec: &Value) -> Vec<String> {
    let (allow, deny) = (&spec["allow"], &spec["deny"]);
    if allow.is_null() && deny.is_null() {
        return Vec::new();
    }
    let is_fine = |name: &String| {
        let one = json!({"files": 1, "lines": 1, "names": [name], "allow": allow, "deny": deny});
        judge_default("diff", &one).is_some_and(|judged| judged.verdict == Verdict::Pass)
    };
    let globs: Vec<&str> = match allow.as_array() {
        Some(globs) => globs.iter().filter_map(Value::as_str).collect(),
        None => vec!["stub/*"],
    };
    // Some more than are needed: a few may be denied.
    let numbers = 1..=(count + 16).min(NAMES_MAX);
    let names = numbers.flat_map(|number| globs.iter().map(move |glob| named(glob, number)));
    let mut found: Vec<String> = Vec::new();
    for name in names.filter(is_fine) {
        if found.len() as u64 == count {
            break;
        }
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// A path that a glob matches: another one for each number, if the glob has a place for it.
fn named(glob: &str, number: u64) -> String {
    glob.trim_start_matches("./")
        .replace("**/", "")
        .replace("**", "*")
        .replace('*', &format!("stub-{number}"))
        .replace('?', "x")
}

fn status(word: Verdict, spec: &Value) -> Option<u64> {
    let expected = match &spec["expect"] {
        Value::Array(statuses) => statuses.first().cloned().unwrap_or(Value::Null),
        one => one.clone(),
    };
    let digits = |text: &str| text.get(..3)?.replace(['x', 'X'], "0").parse().ok();
    let first = match &expected {
        Value::Null => Some(200),
        Value::String(text) => digits(text),
        number => number.as_u64(),
    };
    match word {
        Verdict::Pass => first,
        Verdict::Fail => Some(if first == Some(404) { 403 } else { 404 }),
        _pending => Some(503),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_says_its_word_by_the_real_policy() {
        let specs = [
            ("command", json!({"argv": ["make", "test"]})),
            ("file", json!({"exists": "a.md"})),
            ("file", json!({"all": ["a.md", "b.md"]})),
            ("file", json!({"glob": "*.md", "min": 3})),
            (
                "frontmatter",
                json!({"file": "a.md", "fields": ["status"], "pass": ["READY"], "fail": ["BLOCKED"]}),
            ),
            ("frontmatter", json!({"file": "a.md", "pass": ["READY"]})),
            ("tests", json!({"files": ["*.xml"]})),
            ("diff", json!({"min_files": 3})),
            ("diff", json!({"max_files": 5})),
            ("diff", json!({"min_files": 3, "allow": ["src/**", "**/*.md", "Cargo.toml"]})),
            ("diff", json!({"min_files": 2, "deny": ["*.lock"]})),
            ("diff", json!({"min_files": 2, "allow": ["./docs/?/*.md"], "deny": ["docs/x/stub-1.md"]})),
            ("http", json!({"url": "https://example.org", "expect": ["2xx"]})),
            ("http", json!({"url": "https://example.org", "expect": [404]})),
            ("ci", json!({"provider": "gitea"})),
            ("mergeable", json!({"pr": 7})),
            ("runs", json!({"labels": {}})),
            ("function", json!({"name": "git.ready"})),
            ("credentials", json!({"names": ["claude"]})),
        ];
        for (kind, spec) in specs {
            for word in [Verdict::Pass, Verdict::Fail] {
                let evidence = that_says(word, kind, &spec);
                let judged = evidence.and_then(|evidence| judge_default(kind, &evidence));
                assert_eq!(judged.map(|judged| judged.verdict), Some(word), "{kind} {spec}");
            }
        }
        for kind in ["http", "ci", "mergeable"] {
            assert!(that_says(Verdict::Pending, kind, &json!({})).is_some(), "{kind}");
        }
        assert_eq!(that_says(Verdict::Pending, "command", &json!({})), None);
        assert_eq!(that_says(Verdict::Pass, "config", &json!({})), None, "it has no policy of its own");
    }
}
