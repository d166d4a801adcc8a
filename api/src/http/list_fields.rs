//! The fields that expressions over lists ask for, but for those of runs.
//!
//! Law: a field has the name and the value that the row's JSON has; each row is looked at.

use everfold_engine::state::RunStatus;
use everfold_projections::FieldType::{Flag, Items, Number, Text, TextMap, Texts, Time, Whole, Word};
use everfold_projections::{DecisionType, Field, FieldType, RowFields};

const fn of(name: &'static str, of: FieldType) -> Field {
    Field { name, of, index: None }
}

/// Of open tasks: `GET /inbox`.
pub(super) const TASK_FIELDS: RowFields = RowFields {
    list: "the inbox",
    known: &[
        of("id", Text),
        of("run", Text),
        of("short_id", Text),
        of("pipeline", Text),
        of("run_title", Text),
        of("step", Text),
        of("round", Whole),
        of("attempt", Whole),
        of("kind", Word(|| vec!["approval", "question", "blocked", "budget"])),
        of("title", Text),
        of("terms.roles", Texts),
        of("votes", TextMap),
        of("saved_by", Text),
        of("message", Text),
        of("budget", Text),
        of("until", Time),
        of("since", Time),
        of("expires_at", Time),
        of("reminded", Whole),
        of("remind_at", Time),
        of("position", Whole),
    ],
    absent: &[
        ("roles", "ask for `terms.roles`"),
        ("labels", "rows of the inbox hold no labels: `GET /runs` asks for them"),
    ],
};

/// Of decisions: `GET /audit/decisions`.
pub(super) const DECISION_FIELDS: RowFields = RowFields {
    list: "decisions",
    known: &[
        of("run", Text),
        of("short_id", Text),
        of("pipeline", Text),
        of("title", Text),
        of("version", Whole),
        of("position", Whole),
        of("at", Time),
        of("actor", Text),
        of("step", Text),
        of("round", Whole),
        of("attempt", Whole),
        of("kind", Word(decisions)),
        of("gate", Text),
        of("verdict", Word(verdicts)),
        of("reason", Text),
        of("policy", Text),
        of("probe_no", Whole),
        of("tolerated", Flag),
        of("vote", Text),
        of("comment", Text),
        of("decision", Text),
        of("policies", TextMap),
        of("bypassed", Texts),
        of("signal", Text),
        of("due", Time),
        of("route", Text),
        of("used", Whole),
        of("max", Whole),
        of("permanent", Flag),
        of("asked.actor", Text),
        of("asked.at", Time),
        of("displaced.actor", Text),
        of("displaced.at", Time),
        of("displaced.gate", Text),
    ],
    absent: &[],
};

/// Of verdicts of gates: `GET /audit/gates`.
pub(super) const GATE_FIELDS: RowFields = RowFields {
    list: "verdicts",
    known: &[
        of("run", Text),
        of("short_id", Text),
        of("version", Whole),
        of("position", Whole),
        of("at", Time),
        of("actor", Text),
        of("step", Text),
        of("round", Whole),
        of("attempt", Whole),
        of("gate", Text),
        of("verdict", Word(verdicts)),
        of("reason", Text),
        of("policy", Text),
        of("probe_no", Whole),
        of("tolerated", Flag),
    ],
    absent: &[
        ("pipeline", "the parameter `pipeline` asks for it"),
        ("title", "`GET /audit/decisions` has titles of runs"),
    ],
};

/// Of attempts of all runs: `GET /attempts`.
pub(super) const ATTEMPT_FIELDS: RowFields = RowFields {
    list: "attempts",
    known: &[
        of("run", Text),
        of("short_id", Text),
        of("pipeline", Text),
        of("step", Text),
        of("round", Whole),
        of("attempt", Whole),
        of("kind", Text),
        of("scheduled_at", Time),
        of("started_at", Time),
        of("end.at", Time),
        of("end.failure.kind", Word(failure_kinds)),
        of("end.failure.code", Text),
        of("end.failure.message", Text),
        of("end.failure.hint", Text),
        of("end.failure.exit_code", Whole),
        of("end.commit", Text),
        of("spared.why", Text),
        of("spared.would", Text),
        of("spared.version", Whole),
        of("waited_ms", Whole),
        of("worked_ms", Whole),
    ],
    absent: &[
        ("ended_at", "ask for `end.at`"),
        ("failure", "ask for `end.failure`, as in `end.failure.kind == 'timeout'`"),
        ("status", "ask for `end == null` (it goes on) or `end.failure != null` (it failed)"),
        ("labels", "`GET /runs` asks for labels of runs"),
    ],
};

/// Of deliveries of webhooks: `GET /hooks`.
pub(super) const DELIVERY_FIELDS: RowFields = RowFields {
    list: "deliveries",
    known: &[
        of("id", Text),
        of("source", Text),
        of("name", Text),
        of("sender", Text),
        of("received_at", Time),
        of("handled", Items),
        of("handled[].nth", Whole),
        of("handled[].by", Text),
        of("handled[].outcomes", Items),
        of("handled[].outcomes[].pipeline", Text),
        of("handled[].outcomes[].trigger", Whole),
        of("handled[].outcomes[].outcome", Word(outcomes)),
        of("handled[].outcomes[].runs", Texts),
        of("handled[].outcomes[].signal", Text),
        of("handled[].outcomes[].code", Text),
        of("handled[].outcomes[].reason", Text),
    ],
    absent: &[("event", "lists hold no bodies: `GET /hooks/{source}/deliveries/{id}` shows one")],
};

/// Of notices that were given up: `GET /notices`.
pub(super) const NOTICE_FIELDS: RowFields = RowFields {
    list: "notices",
    known: &[
        of("id", Text),
        of("run", Text),
        of("version", Whole),
        of("notice", Text),
        of("subscription", Text),
        of("event", Text),
        of("status", Word(|| vec!["dead", "retrying"])),
        of("tries", Whole),
        of("message", Text),
        of("at", Time),
        of("again_by", Text),
    ],
    absent: &[],
};

/// Of tasks that go along stages: `GET /orch/tasks`.
pub(super) const STAGED_TASK_FIELDS: RowFields = RowFields {
    list: "tasks",
    known: &[
        of("run", Text),
        of("short_id", Text),
        of("pipeline", Text),
        of("item", Text),
        of("title", Text),
        of("project", Text),
        of("repo", Text),
        of("branch", Text),
        of("status", Word(statuses)),
        of("stage", Text),
        of("stage_since", Time),
        of("tracker", Text),
        of("work", Items),
        of("work[].step", Text),
        of("work[].agent", Flag),
        of("work[].round", Whole),
        of("work[].attempt", Whole),
        of("waits", Items),
        of("waits[].kind", Text),
        of("waits[].step", Text),
        of("waits[].roles", Texts),
        of("pauses", Items),
        of("pauses[].step", Text),
        of("pauses[].kind", Text),
        of("pauses[].why", Text),
        of("next_at", Time),
        of("rounds", Items),
        of("rounds[].step", Text),
        of("rounds[].used", Whole),
        of("rounds[].max", Whole),
        of("sent_back.cause", Text),
        of("sent_back.reason", Text),
        of("sent_back.to", Text),
        of("cost", Number),
        of("input_tokens", Whole),
        of("output_tokens", Whole),
        of("in_production", Flag),
        of("stuck", Flag),
        of("set_aside", Text),
        of("note", Text),
        of("started_at", Time),
        of("ended_at", Time),
        of("updated_at", Time),
        of("version", Whole),
    ],
    absent: &[("cost_usd", "ask for `cost`: US dollars, a number")],
};

fn decisions() -> Vec<&'static str> {
    DecisionType::ALL.iter().map(|kind| kind.as_str()).collect()
}

fn outcomes() -> Vec<&'static str> {
    vec!["started", "held", "signalled", "deferred", "kept", "ignored", "refused", "parked"]
}

fn failure_kinds() -> Vec<&'static str> {
    everfold_engine::failure::FailureKind::ALL.iter().map(|kind| kind.as_str()).collect()
}

fn verdicts() -> Vec<&'static str> {
    vec!["pass", "fail", "pending", "skipped"]
}

fn statuses() -> Vec<&'static str> {
    everfold_projections::RUN_STATUSES.iter().map(|status: &RunStatus| status.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference has, in the row of each list, the fields that the program asks by.
    #[test]
    fn the_reference_lists_every_field_with_its_type() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/read-models.md");
        let page = std::fs::read_to_string(page).unwrap();
        for (route, fields) in [
            ("/inbox", TASK_FIELDS),
            ("/audit/decisions", DECISION_FIELDS),
            ("/audit/gates", GATE_FIELDS),
            ("/attempts", ATTEMPT_FIELDS),
            ("/hooks", DELIVERY_FIELDS),
            ("/notices", NOTICE_FIELDS),
            ("/orch/tasks", STAGED_TASK_FIELDS),
        ] {
            let mut by_type: Vec<(&str, Vec<&str>)> = Vec::new();
            for field in fields.known {
                let word = field.of.word();
                match by_type.iter_mut().find(|(of, _)| *of == word) {
                    Some((_, names)) => names.push(field.name),
                    None => by_type.push((word, vec![field.name])),
                }
            }
            let types: Vec<String> =
                by_type.iter().map(|(of, names)| format!("{of}: `{}`", names.join(" "))).collect();
            let row = format!("| `{route}` | {} |", types.join("; "));
            assert!(page.contains(&row), "read-models.md has not:\n{row}");
        }
    }
}
