//! Cancel a run or a step of it, and give up a run that is set aside.

use super::act::Act;
use super::acting_run::ActingRun;
use super::confirmation::{Confirmation, counted, listed, message_option, reason, shell_word};

/// The run, or one step of it.
pub(super) fn cancel(act: &Act) -> Confirmation {
    match act.typed.text("step") {
        Some(step) => cancel_step(act, step),
        None => cancel_run(act),
    }
}

fn cancel_run(act: &Act) -> Confirmation {
    let run = &act.run;
    let mut says = Vec::new();
    let ends = ends_of(run);
    says.push(match ends.is_empty() {
        true => "Nothing executes at the moment; the run ends.".to_owned(),
        false => format!("Cancels {}.", listed(&ends)),
    });
    let pending = run.pending();
    if pending > 0 {
        says.push(format!("{} not begin any more.", does(pending)));
    }
    let finishing = run.definition.finishing();
    if run.cancelled.is_some() {
        says =
            vec!["It is being cancelled already. Once more cuts short what runs at its end, too.".to_owned()];
    } else if !finishing.is_empty() {
        let verb = if finishing.len() == 1 { "runs" } else { "run" };
        says.push(format!("Then {} {verb}, as at every end.", listed(&finishing)));
    }
    says.push(match &run.workspace {
        Some(_) => "What was committed stays on its branch, and what is merged stays merged.".to_owned(),
        None => "What was done stays done.".to_owned(),
    });
    Confirmation {
        title: format!("Cancel {}", run.quoted()),
        says,
        asked: vec![reason(&act.typed)],
        button: "Cancel the run".to_owned(),
        is_dangerous: true,
        command: format!("everfold cancel {}{}", run.short_id, message_option(&act.typed)),
        refused: run.ended_refusal(),
        ..Confirmation::default()
    }
}

/// What a cancel ends, in parts of a sentence.
pub(super) fn ends_of(run: &ActingRun) -> Vec<String> {
    let mut ends = Vec::new();
    let executing = run.executing();
    let attempts: usize = executing.iter().map(|(_, attempts)| attempts).sum();
    if attempts > 0 {
        let steps: Vec<&str> = executing.iter().map(|(step, _)| *step).collect();
        ends.push(format!(
            "{} ({})",
            counted(attempts, "running attempt", "running attempts"),
            listed(&steps)
        ));
    }
    let children = run.live_children();
    if children > 0 {
        ends.push(counted(children, "child run", "child runs"));
    }
    let kinds = [
        ("approval", "open approval", "open approvals"),
        ("question", "open question", "open questions"),
        ("unblock", "blocked step", "blocked steps"),
        ("timer", "wait", "waits"),
        ("signal", "wait for a signal", "waits for signals"),
        ("slot", "wait for a slot", "waits for slots"),
    ];
    for (kind, one, many) in kinds {
        let steps = run.awaiting(kind);
        let counts = counted(steps.len(), one, many);
        match steps.as_slice() {
            [] => {}
            // The wait for a slot is of no step.
            ["", ..] => ends.push(counts),
            steps => ends.push(format!("{counts} ({})", listed(steps))),
        }
    }
    ends
}

fn does(steps: usize) -> String {
    if steps == 1 { "1 step does".to_owned() } else { format!("{steps} steps do") }
}

fn cancel_step(act: &Act, step: &str) -> Confirmation {
    let run = &act.run;
    let name = step.split('.').next().unwrap_or(step);
    let known = run.step(name);
    let executing =
        run.executing().into_iter().find(|(id, _)| *id == name).map_or(0, |(_, attempts)| attempts);
    let is_item = step.contains('.');
    let mut says = vec![match executing {
        0 => format!("Ends {step}: it fails as cancelled."),
        _ if is_item => format!("Ends {step}: its attempt stops, and it fails as cancelled."),
        attempts => format!(
            "Ends {step}: {} stops, and it fails as cancelled.",
            counted(attempts, "running attempt", "running attempts")
        ),
    }];
    says.push(
        "It is not tried again; what follows is what its pipeline says of its failure. The run goes on."
            .to_owned(),
    );
    let refused = run.ended_refusal().or_else(|| match known {
        None => Some(format!("The run has no step “{step}”.")),
        Some(step)
            if matches!(
                step.status.as_str(),
                "pending" | "succeeded" | "failed" | "skipped" | "cancelled"
            ) =>
        {
            Some(format!("{} is {}: there is nothing to cancel.", step.id, step.status))
        }
        Some(_) => None,
    });
    Confirmation {
        title: format!("Cancel {step} of {}", run.quoted()),
        says,
        asked: vec![reason(&act.typed)],
        button: format!("Cancel {step}"),
        is_dangerous: true,
        command: format!(
            "everfold cancel {} {}{}",
            run.short_id,
            shell_word(step),
            message_option(&act.typed)
        ),
        refused,
        ..Confirmation::default()
    }
}

/// A run that is set aside ends where it stands.
pub(super) fn abandon(act: &Act) -> Confirmation {
    let run = &act.run;
    let refused = match &run.is_set_aside {
        Some(_) => None,
        None => {
            run.ended_refusal().or_else(|| Some("The run is not set aside: cancel it instead.".to_owned()))
        }
    };
    let mut says = vec![
        "The run ends where it stands. Nothing of it is followed up, and no step that runs at its end begins.".to_owned(),
        "Its key and its slots go to others. Its history stays as it is.".to_owned(),
    ];
    says.extend(run.is_set_aside.iter().map(|why| format!("It is set aside because {why}.")));
    Confirmation {
        title: format!("Give up {}", run.quoted()),
        says,
        asked: vec![reason(&act.typed)],
        button: "Give up the run".to_owned(),
        is_dangerous: true,
        command: format!("everfold cancel {} --force{}", run.short_id, message_option(&act.typed)),
        refused,
        ..Confirmation::default()
    }
}
