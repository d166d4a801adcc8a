//! Decide on a blocked step.

use super::act::Act;
use super::acting_run::AwaitNow;
use super::confirmation::{
    Asked, Confirmation, FailureHint, Line, Offer, Select, message_option, reason, shell_word,
};
use super::policies::{ask_policies, policy_options};

/// The word of a decision, its name, and what it means.
type DecisionText = (&'static str, &'static str, &'static str);

/// The decisions in their order, each with what it means.
const DECISIONS: [DecisionText; 5] = [
    ("retry", "Retry", "The work, or the route that was used up, once more."),
    ("recheck", "Recheck", "Its gates are judged again on the same artefacts."),
    (
        "proceed",
        "Proceed",
        "On as if it had succeeded, with an output that you give. Recorded as an override, which needs a reason.",
    ),
    ("skip", "Skip", "On without it. Refused where a later step relies on its output."),
    ("fail", "Fail", "The step fails, and with it the run."),
];

pub(super) fn confirm(act: &Act) -> Confirmation {
    let run = &act.run;
    let blocked: Vec<&AwaitNow> = run.awaits.iter().filter(|it| it.kind == "unblock").collect();
    let typed = act.typed.text("step");
    let step = typed.or_else(|| blocked.first().map(|it| it.step.as_str())).unwrap_or_default();
    let offered = decisions(!run.definition.gates(step).is_empty());
    let decision = act.typed.text("decision").unwrap_or("retry");
    let decision = if offered.iter().any(|(word, _, _)| *word == decision) { decision } else { "retry" };
    let mut says = vec![says_of(act, step, decision)];
    if let Some(why) = blocked.iter().find(|it| it.step == step) {
        let failure = run.step(step.split('.').next().unwrap_or(step)).and_then(|step| step.failure.as_ref());
        let failure = failure.map(|failure| format!(" ({})", failure.message)).unwrap_or_default();
        says.push(format!("It is blocked because {}{failure}.", why.message));
    }
    let mut asked = Vec::new();
    if blocked.len() > 1 {
        asked.push(ask_step(&blocked, step));
    }
    asked.extend(ask_decision(act, step, decision, &offered));
    let output_option = act.typed.text("output").map(|output| format!(" --output {}", shell_word(output)));
    let output_option = output_option.unwrap_or_default();
    asked.extend(ask_policies(act, step, decision == "recheck"));
    asked.push(reason(&act.typed));
    let option = if blocked.len() > 1 { format!(" {}", shell_word(step)) } else { String::new() };
    let refused = run.ended_refusal().or_else(|| match blocked.as_slice() {
        [] => Some(format!("The run is {}: none of its steps is blocked.", run.status)),
        blocked if !is_blocked(blocked, step) => Some(format!("{step} is not blocked.")),
        _blocked => None,
    });
    Confirmation {
        step: Some(step.to_owned()).filter(|step| !step.is_empty()),
        title: format!(
            "Decide on {}",
            if step.is_empty() { run.quoted() } else { format!("{step} of {}", run.quoted()) }
        ),
        says,
        hint: FailureHint::of(run, step),
        asked,
        button: button(decision, step),
        is_dangerous: matches!(decision, "fail"),
        command: format!(
            "everfold unblock {}{option} --decision {decision}{}{}{}",
            run.short_id,
            output_option,
            policy_options(act),
            message_option(&act.typed)
        ),
        refused,
    }
}

/// The decisions on a step; without gates there is nothing to judge again.
fn decisions(has_gates: bool) -> Vec<DecisionText> {
    DECISIONS.into_iter().filter(|(word, _, _)| has_gates || *word != "recheck").collect()
}

/// Whether a step is blocked, or an item of it.
fn is_blocked(blocked: &[&AwaitNow], step: &str) -> bool {
    blocked
        .iter()
        .any(|it| it.step == step || it.step.strip_prefix(step).is_some_and(|rest| rest.starts_with('.')))
}

fn button(decision: &str, step: &str) -> String {
    match decision {
        "recheck" => format!("Judge {step} again"),
        "proceed" => format!("Proceed past {step}"),
        "skip" => format!("Skip {step}"),
        "fail" => format!("Fail {step}"),
        _retry => format!("Retry {step}"),
    }
}

fn says_of(act: &Act, step: &str, decision: &str) -> String {
    let behind = match act.run.pending() {
        0 => "nothing is left behind it".to_owned(),
        1 => "1 step has not begun".to_owned(),
        steps => format!("{steps} steps have not begun"),
    };
    match decision {
        "recheck" => {
            format!("The gates of {step} are judged again on the same artefacts; no work runs again.")
        }
        "proceed" => format!(
            "{step} counts as succeeded with the output you give, which is recorded as an override; {behind}."
        ),
        "skip" => format!("The run goes on without {step}; {behind}."),
        "fail" => format!("{step} fails, and with it the run; {behind} and will not."),
        _retry => format!("The work of {step} is done once more, in this run; {behind}."),
    }
}

fn ask_step(blocked: &[&AwaitNow], step: &str) -> Asked {
    let option = |it: &&AwaitNow| Offer::new(it.step.as_str(), format!("{} · {}", it.step, it.message), "");
    Asked::Select(Select {
        name: "step".to_owned(),
        label: "Step".to_owned(),
        hint: String::new(),
        options: blocked.iter().map(option).collect(),
        chosen: step.to_owned(),
    })
}

/// The decision, and the output of a step that is gone past.
fn ask_decision(act: &Act, step: &str, decision: &str, offered: &[DecisionText]) -> [Asked; 4] {
    let output = act.typed.text("output").unwrap_or_default();
    [
        Asked::Radios(Select {
            name: "decision".to_owned(),
            label: "Decision".to_owned(),
            hint: String::new(),
            options: offered.iter().map(|(word, label, means)| Offer::new(*word, *label, *means)).collect(),
            chosen: decision.to_owned(),
        }),
        Asked::Open {
            label: "Output for proceed".to_owned(),
            is_open: decision == "proceed" || !output.is_empty(),
        },
        Asked::Area(Line {
            name: "output".to_owned(),
            label: format!("Output of {step}"),
            hint: "JSON. Steps behind it read it as its output.".to_owned(),
            text: output.to_owned(),
            is_code: true,
            ..Line::default()
        }),
        Asked::Close,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_without_gates_cannot_be_judged_again() {
        let words = |has_gates| decisions(has_gates).into_iter().map(|(word, _, _)| word).collect::<Vec<_>>();
        assert_eq!(words(false), ["retry", "proceed", "skip", "fail"]);
        assert!(words(true).contains(&"recheck"));
    }
}
