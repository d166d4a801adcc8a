//! Retry: what blocks a run, or what made an ended one fail, once more.

use super::act::Act;
use super::confirmation::{Asked, Confirmation, FailureHint, Offer, Select, counted, shell_word};
use super::rerun::Rerun;
use super::restart::says_of_rerun;

/// A blocked run goes on in place, an ended one as a new run.
pub(super) fn retry(act: &Act) -> Confirmation {
    let run = &act.run;
    let blocked: Vec<&str> =
        run.awaits.iter().filter(|it| it.kind == "unblock").map(|it| it.step.as_str()).collect();
    let failed: Vec<&str> = run
        .steps
        .iter()
        .filter(|step| step.status == "failed" && !step.tolerated)
        .map(|step| step.id.as_str())
        .collect();
    let steps = if run.is_ended() { failed } else { blocked };
    let wanted = act.typed.text("step");
    let step = wanted.or_else(|| steps.first().copied());
    let mut says = Vec::new();
    let mut refused = None;
    match step {
        None if run.is_ended() => {
            refused = Some("Nothing of the run failed: restart it from a step instead.".to_owned())
        }
        None => refused = Some(format!("The run is {}: nothing blocks it.", run.status)),
        Some(step) if run.is_ended() => {
            says.push(format!("What failed at {step} is tried again in a new run; this one stays as it is."));
            says.extend(says_of_rerun(run, &Rerun::of(run, step, None)));
        }
        Some(step) => {
            says.push(format!("{step} is tried once more, in this run, with the same input."));
            let known = run.step(step.split('.').next().unwrap_or(step));
            if let Some(failure) = known.and_then(|step| step.failure.as_ref()) {
                says.push(format!("It was blocked by: {}.", failure.message));
            }
            if blocked_beside(&steps, step) > 0 {
                says.push(format!("{} blocked.", stay(blocked_beside(&steps, step))));
            }
        }
    }
    let mut asked = Vec::new();
    // A choice without the step that is asked for would send another one.
    if steps.len() > 1 && step.is_none_or(|step| steps.contains(&step)) {
        asked.push(Asked::Select(Select {
            name: "step".to_owned(),
            label: "Step".to_owned(),
            hint: String::new(),
            options: steps.iter().map(|step| Offer::new(*step, *step, "")).collect(),
            chosen: step.unwrap_or_default().to_owned(),
        }));
    }
    let option = wanted.map(|step| format!(" {}", shell_word(step))).unwrap_or_default();
    Confirmation {
        step: step.map(str::to_owned),
        title: format!("Retry {}", run.quoted()),
        says,
        hint: step.and_then(|step| FailureHint::of(run, step)),
        asked,
        button: step.map_or("Retry".to_owned(), |step| format!("Retry {step}")),
        is_dangerous: false,
        command: format!("everfold retry {}{option}", run.short_id),
        refused,
    }
}

fn blocked_beside(blocked: &[&str], step: &str) -> usize {
    blocked.iter().filter(|other| **other != step).count()
}

fn stay(steps: usize) -> String {
    format!("{} {}", counted(steps, "other step", "other steps"), if steps == 1 { "stays" } else { "stay" })
}
