//! The value of a policy expression.

use super::judgement::{Judgement, Verdict};
use everfold_base::json::{Value, canonical};

/// Reads what a policy gave: a bool, a verdict's word, or `{verdict, reason?, findings?}`.
///
/// # Errors
/// A sentence for anything else.
pub fn judge_value(value: &Value) -> Result<Judgement, String> {
    match value {
        Value::Bool(_) | Value::String(_) => {
            let verdict = verdict(value)?;
            Ok(Judgement::new(verdict, format!("the policy says {verdict}")))
        }
        Value::Object(fields) => {
            if let Some(unknown) =
                fields.keys().filter(|key| !["verdict", "reason", "findings"].contains(&&***key)).min()
            {
                return Err(format!("a policy gives verdict, reason and findings, not “{unknown}”"));
            }
            let verdict = verdict(fields.get("verdict").ok_or("the policy gave no verdict")?)?;
            let reason = match fields.get("reason") {
                None | Some(Value::Null) => format!("the policy says {verdict}"),
                Some(Value::String(reason)) => super::judgement::shortened(reason, 1_000),
                Some(other) => return Err(format!("a policy's reason is text, not {}", canonical(other))),
            };
            let findings = fields.get("findings").filter(|findings| !findings.is_null()).cloned();
            Ok(Judgement { verdict, reason, findings })
        }
        other => Err(format!(
            "a policy gives true, false, a verdict or {{verdict, reason, findings}}, not {}",
            super::judgement::shortened(&canonical(other), 80)
        )),
    }
}

fn verdict(value: &Value) -> Result<Verdict, String> {
    match value {
        Value::Bool(true) => return Ok(Verdict::Pass),
        Value::Bool(false) => return Ok(Verdict::Fail),
        Value::String(word) => {
            let known = [Verdict::Pass, Verdict::Fail, Verdict::Pending, Verdict::Skipped];
            if let Some(verdict) = known.into_iter().find(|verdict| verdict.as_str() == word) {
                return Ok(verdict);
            }
        }
        _ => {}
    }
    let shown = super::judgement::shortened(&canonical(value), 80);
    Err(format!("a verdict is pass, fail, pending, skipped, true or false, not {shown}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_gives_a_bool_a_verdict_or_all_three() {
        for (value, verdict, reason) in [
            (json!(true), Verdict::Pass, "the policy says pass"),
            (json!(false), Verdict::Fail, "the policy says fail"),
            (json!("pending"), Verdict::Pending, "the policy says pending"),
            (json!({"verdict": "skipped"}), Verdict::Skipped, "the policy says skipped"),
            (json!({"verdict": false, "reason": "3 > 2"}), Verdict::Fail, "3 > 2"),
        ] {
            assert_eq!(judge_value(&value), Ok(Judgement::new(verdict, reason)), "{value}");
        }
        let all = judge_value(&json!({"verdict": "fail", "reason": "r", "findings": ["a"]})).unwrap();
        assert_eq!(all.findings, Some(json!(["a"])));
    }

    #[test]
    fn anything_else_is_an_error_and_never_a_pass() {
        for value in [
            json!(null),
            json!(1),
            json!("PASS"),
            json!([true]),
            json!({}),
            json!({"verdict": 1}),
            json!({"verdict": "pass", "reason": 1}),
            json!({"verdict": "pass", "reasons": "x"}),
        ] {
            assert!(judge_value(&value).is_err(), "{value}");
        }
    }
}
