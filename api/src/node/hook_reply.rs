//! What a person is told who pressed a button of a message: what the delivery led to, in one line.

use everfold_engine::hooks::TriggerOutcome;
use everfold_engine::triggers::{Outcome, WHEN_FAILED};

use super::hooks::OutcomeView;

/// What is shown, and whether what was wanted did not happen.
pub(super) struct ButtonReply {
    pub(super) text: String,
    pub(super) is_alert: bool,
}

impl ButtonReply {
    /// Of several outcomes that which says most: what happened goes before what is put off, and both before why nothing
    /// did. `None`: it is not handled yet.
    pub(super) fn of(outcomes: Option<&[TriggerOutcome]>) -> Self {
        let Some(outcomes) = outcomes else {
            return Self { text: "received; what it leads to is not known yet".to_owned(), is_alert: false };
        };
        match outcomes.iter().map(|one| &one.outcome).min_by_key(|outcome| rank(outcome)) {
            None => Self { text: "no pipeline listens to this button".to_owned(), is_alert: true },
            Some(outcome) => Self { text: text(outcome), is_alert: rank(outcome) >= FIRST_REFUSAL },
        }
    }
}

/// From here on nothing happened.
const FIRST_REFUSAL: u8 = 3;

fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Signalled { .. } => 0,
        Outcome::Started { .. } => 1,
        Outcome::Deferred { .. } | Outcome::Kept { .. } => 2,
        Outcome::Refused { .. } => FIRST_REFUSAL,
        Outcome::Held { .. } | Outcome::Parked { .. } | Outcome::StartParked { .. } => 4,
        // A trigger for other buttons says only that it does not apply.
        Outcome::Ignored { why } if why == WHEN_FAILED => 6,
        Outcome::Ignored { .. } => 5,
    }
}

fn text(outcome: &Outcome) -> String {
    let view = OutcomeView::of(outcome);
    let what = view.signal.unwrap_or_else(|| view.outcome.to_string());
    match view.reason {
        None => format!("✓ {what}"),
        Some(reason) if rank(outcome) < FIRST_REFUSAL => format!("✓ {what}: {reason}"),
        Some(reason) => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(outcomes: &[Outcome]) -> (String, bool) {
        let of_trigger = |outcome: &Outcome| TriggerOutcome {
            pipeline: "orch".to_owned(),
            trigger: 0,
            outcome: outcome.clone(),
        };
        let outcomes: Vec<TriggerOutcome> = outcomes.iter().map(of_trigger).collect();
        let reply = ButtonReply::of(Some(&outcomes));
        (reply.text, reply.is_alert)
    }

    #[test]
    fn ov14_what_happened_is_said_before_why_other_triggers_did_nothing() {
        let ignored = |why: &str| Outcome::Ignored { why: why.to_owned() };
        let signalled = Outcome::Signalled {
            runs: vec!["0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap()],
            signal: "approved".to_owned(),
        };
        assert_eq!(
            said(&[ignored(WHEN_FAILED), ignored("other"), signalled]),
            ("✓ approved".to_owned(), false)
        );
        assert_eq!(
            said(&[ignored(WHEN_FAILED), ignored("only Ada decides")]),
            ("only Ada decides".to_owned(), true)
        );
        assert_eq!(said(&[]), ("no pipeline listens to this button".to_owned(), true));
        assert!(!ButtonReply::of(None).is_alert);
    }
}
