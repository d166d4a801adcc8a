//! The fields at the head of a document pass or fail by tokens.

use super::judgement::{Judgement, Verdict, fail, pass, shortened, texts};
use everfold_base::json::Value;
use serde_json::json;

/// Judges `{file, from, value, fields, problem, pass, fail, match}`.
///
/// Values and tokens are trimmed and upper-cased; the keys of `fields` are as written. `match` says
/// how a token is found in a value: `exact` (default), as a `word` of it, or as a `substring`. A
/// `fail` token in any field beats every `pass` token. No place that has the file, no block at its
/// head, bad YAML or no token: fail. Without `pass` tokens a value that does not fail passes.
///
/// Where the evidence holds the file's text, the findings of a failure are that text with the reason.
pub(super) fn judge(evidence: &Value) -> Judgement {
    let judgement = judge_fields(evidence);
    match (judgement.verdict, evidence["text"].as_str()) {
        (Verdict::Fail, Some(text)) => {
            let findings = json!({ "reason": judgement.reason, "file": evidence["file"], "text": text });
            Judgement { findings: Some(findings), ..judgement }
        }
        _passes_or_no_text => judgement,
    }
}

fn judge_fields(evidence: &Value) -> Judgement {
    let file = shortened(evidence["file"].as_str().unwrap_or("the file"), 120);
    if let Some(problem) = evidence["problem"].as_str() {
        return fail(format!("{file}: {}", shortened(problem, 200)));
    }
    let Some(fields) = evidence["fields"].as_object() else {
        return fail(format!("{file}: the evidence has no fields"));
    };
    // In the order of the names that were asked for, so that the reason names the first.
    let order = texts(&evidence["order"]);
    let mut values: Vec<(&str, String)> = fields
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), text(value)?)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    values.sort_by_key(|(name, _)| (order.iter().position(|it| it == name).unwrap_or(usize::MAX), *name));
    if values.is_empty() {
        let asked = order.clone();
        let mut names = if order.is_empty() { fields.keys().map(String::as_str).collect() } else { order };
        names.sort_unstable_by_key(|name| (asked.iter().position(|it| it == name), *name));
        return fail(format!("{file}: no {} at its head", shortened(&names.join(", "), 120)));
    }
    let found = |tokens: &Value| {
        let tokens: Vec<String> = texts(tokens).into_iter().map(normal).collect();
        values.iter().find_map(|(name, value)| {
            let token = tokens.iter().find(|token| holds(&evidence["match"], value, token))?;
            Some((*name, value.clone(), token.clone()))
        })
    };
    let said = |name: &str, value: &str, token: &str| {
        let value = shortened(value, 80);
        if value == token {
            format!("{name} is {value}")
        } else {
            format!("{name} is {value}, with {token} in it")
        }
    };
    if let Some((name, value, token)) = found(&evidence["fail"]) {
        return fail(said(name, &value, &token));
    }
    let wanted = texts(&evidence["pass"]);
    match found(&evidence["pass"]) {
        Some((name, value, token)) => pass(said(name, &value, &token)),
        None => {
            let said: Vec<String> =
                values.iter().map(|(name, value)| format!("{name} is {}", shortened(value, 80))).collect();
            let said = said.join(", ");
            if wanted.is_empty() && !texts(&evidence["fail"]).is_empty() {
                return pass(said);
            }
            let wanted: Vec<String> = wanted.into_iter().map(normal).collect();
            fail(format!("{said}, not {}", shortened(&wanted.join(" or "), 120)))
        }
    }
}

fn normal(text: &str) -> String {
    text.trim().to_uppercase()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(normal(text)),
        Value::Bool(_) | Value::Number(_) => Some(normal(&value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn holds(how: &Value, value: &str, token: &str) -> bool {
    if token.is_empty() {
        return false;
    }
    match how.as_str().unwrap_or("exact") {
        "substring" => value.contains(token),
        "word" => {
            let in_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            value.match_indices(token).any(|(at, _)| {
                !value[..at].chars().next_back().is_some_and(in_word)
                    && !value[at + token.len()..].chars().next().is_some_and(in_word)
            })
        }
        _ => value == token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Verdict::{Fail, Pass};

    fn evidence(fields: Value, how: &str) -> Value {
        json!({"file": "r.md", "fields": fields, "order": ["verdict", "status"], "match": how,
               "pass": ["READY", "pass"], "fail": ["FAIL", "BLOCKED"]})
    }

    #[test]
    fn findings_of_a_failure_hold_the_text_that_the_evidence_holds() {
        let mut seen = evidence(json!({"status": "FAIL"}), "exact");
        assert_eq!(judge(&seen).findings, None);
        seen["text"] = json!("---\nstatus: FAIL\n---\nThe parser drops the last line.");
        let findings = judge(&seen).findings.unwrap();
        assert!(findings["text"].as_str().unwrap().contains("drops the last line"));
        assert_eq!(findings["reason"], json!("status is FAIL"));
        seen["fields"] = json!({"status": "READY"});
        assert_eq!(judge(&seen).findings, None, "a pass has none");
    }

    #[test]
    fn tokens_decide_as_the_row_of_the_reference_says() {
        for (fields, how, verdict, reason) in [
            (json!({"status": " ready "}), "exact", Pass, "status is READY"),
            (json!({"status": "DRAFT"}), "exact", Fail, "status is DRAFT, not READY or PASS"),
            (json!({"status": "not ready"}), "exact", Fail, "status is NOT READY, not READY or PASS"),
            (json!({"status": "READY", "verdict": "fail"}), "exact", Fail, "verdict is FAIL"),
            (json!({"status": "passed"}), "word", Fail, "status is PASSED, not READY or PASS"),
            (json!({"status": "all pass!"}), "word", Pass, "status is ALL PASS!, with PASS in it"),
            (
                json!({"status": "ready-to-deploy"}),
                "word",
                Fail,
                "status is READY-TO-DEPLOY, not READY or PASS",
            ),
            (json!({"status": "passed"}), "substring", Pass, "status is PASSED, with PASS in it"),
            (
                json!({"status": "passed, 1 failed"}),
                "substring",
                Fail,
                "status is PASSED, 1 FAILED, with FAIL in it",
            ),
            (json!({"status": null, "verdict": ""}), "exact", Fail, "r.md: no verdict, status at its head"),
            (
                json!({"status": "A", "verdict": "B"}),
                "exact",
                Fail,
                "verdict is B, status is A, not READY or PASS",
            ),
            (json!({"Status": "READY"}), "exact", Pass, "Status is READY"),
            (json!({"status": true}), "exact", Fail, "status is TRUE, not READY or PASS"),
            (json!({"status": ["READY"]}), "exact", Fail, "r.md: no verdict, status at its head"),
        ] {
            assert_eq!(
                judge(&evidence(fields.clone(), how)),
                Judgement::new(verdict, reason),
                "{fields} {how}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_fails() {
        for problem in ["does not exist", "has no front matter", "its front matter is no YAML: line 2"] {
            let judgement = judge(
                &json!({"file": "r.md", "problem": problem, "fields": {"status": "READY"}, "pass": ["READY"]}),
            );
            assert_eq!(judgement, Judgement::new(Fail, format!("r.md: {problem}")));
        }
        assert_eq!(judge(&json!({})).verdict, Fail);
    }

    #[test]
    fn with_fail_tokens_only_everything_else_passes() {
        let evidence = json!({"file": "r.md", "fields": {"status": "fine"}, "fail": ["FAILED"]});
        assert_eq!(judge(&evidence), Judgement::new(Pass, "status is FINE"));
    }
}
