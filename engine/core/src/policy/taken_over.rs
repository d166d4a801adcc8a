//! Evidence that a fork took over from its origin. It names the event that it stands in, as `recorded`.

use everfold_base::json::Value;

/// Takes out the event that evidence was taken over from: what was found is the same as there.
pub fn forget_place(evidence: &mut Value) {
    let Some(fields) = evidence.as_object_mut() else { return };
    if fields.get("recorded").is_some_and(|place| place["run"].is_string() && place["version"].is_u64()) {
        fields.remove("recorded");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_event_that_evidence_was_taken_over_from_is_taken_out() {
        let forgotten = |mut evidence: Value| {
            forget_place(&mut evidence);
            evidence
        };
        let found = json!({ "exists": true, "matches": false });
        let mut taken = found.clone();
        taken["recorded"] = json!({ "run": "00000000-0000-0000-0000-000000000007", "version": 7 });
        assert_eq!(forgotten(taken), found);
        let own = json!({ "recorded": true, "exists": true });
        assert_eq!(forgotten(own.clone()), own, "a file of a person may have such a field");
        assert_eq!(forgotten(json!([1])), json!([1]));
    }
}
