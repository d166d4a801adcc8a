//! Pause, interrupt and resume a run.

use super::act::Act;
use super::confirmation::{Asked, Confirmation, Line, counted, listed, message_option, reason, shell_word};

/// Nothing new is started.
pub(super) fn pause(act: &Act) -> Confirmation {
    let run = &act.run;
    let executing = run.executing();
    let attempts: usize = executing.iter().map(|(_, attempts)| attempts).sum();
    let steps: Vec<&str> = executing.iter().map(|(step, _)| *step).collect();
    let mut says = vec!["Starts nothing more of the run until it is resumed.".to_owned()];
    if attempts > 0 {
        let verb = if attempts == 1 { "goes on to its end" } else { "go on to their end" };
        says.push(format!(
            "{} ({}) {verb}.",
            counted(attempts, "running attempt", "running attempts"),
            listed(&steps)
        ));
    }
    says.push(
        "People can decide meanwhile; what their decisions and timers lead to begins with the resume."
            .to_owned(),
    );
    let is_paused = run.paused.iter().any(|pause| !pause.shared);
    Confirmation {
        title: format!("Pause {}", run.quoted()),
        says,
        asked: vec![reason(&act.typed)],
        button: "Pause the run".to_owned(),
        is_dangerous: false,
        command: format!("everfold pause {}{}", run.short_id, message_option(&act.typed)),
        refused: run.ended_refusal().or_else(|| is_paused.then(|| "The run is paused already.".to_owned())),
        ..Confirmation::default()
    }
}

/// Nothing new is started, and what runs is stopped.
pub(super) fn interrupt(act: &Act) -> Confirmation {
    let run = &act.run;
    let executing: Vec<(&str, usize)> = run.executing();
    let attempts: usize = executing.iter().map(|(_, attempts)| attempts).sum();
    let steps: Vec<&str> = executing.iter().map(|(step, _)| *step).collect();
    let mut says = vec![match attempts {
        0 => "Nothing executes at the moment, so this pauses the run.".to_owned(),
        _ => format!(
            "Stops {} ({}) and starts nothing more until the run is resumed.",
            counted(attempts, "running attempt", "running attempts"),
            listed(&steps)
        ),
    }];
    if attempts > 0 {
        says.push("Their rounds stay open and no try is used up: when the run is resumed they go on, agents in the same session.".to_owned());
    }
    let children = run.live_children();
    if children > 0 {
        says.push(format!("{} not interrupted: each has an interrupt of its own.", are(children)));
    }
    Confirmation {
        title: format!("Interrupt {}", run.quoted()),
        says,
        asked: vec![reason(&act.typed)],
        button: if attempts > 0 { "Stop what runs".to_owned() } else { "Pause the run".to_owned() },
        is_dangerous: attempts > 0,
        command: format!("everfold interrupt {}{}", run.short_id, message_option(&act.typed)),
        refused: run.ended_refusal(),
        ..Confirmation::default()
    }
}

fn are(children: usize) -> String {
    if children == 1 { "1 child run is".to_owned() } else { format!("{children} child runs are") }
}

/// It goes on; agents that were interrupted may be told something.
pub(super) fn resume(act: &Act) -> Confirmation {
    let run = &act.run;
    let own = run.paused.iter().find(|pause| !pause.shared);
    let shared = run.paused.iter().find(|pause| pause.shared);
    let interrupted: Vec<&String> = own.iter().flat_map(|pause| &pause.interrupted).collect();
    let mut says = Vec::new();
    if let Some(why) = &run.is_set_aside {
        says.push(format!("It is set aside because {why}."));
        says.push(
            "The run is read again. It goes on where that is over, and else stays set aside.".to_owned(),
        );
    }
    if let Some(pause) = own {
        let why = pause.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        says.push(format!("Lifts the pause by {}{why}.", crate::words::actor(&pause.by)));
    }
    if !interrupted.is_empty() {
        let verb = if interrupted.len() == 1 {
            "goes on where it was interrupted"
        } else {
            "go on where they were interrupted"
        };
        says.push(format!("{} {verb}.", listed(&interrupted)));
    }
    if !run.next_steps.is_empty() {
        let verb = if run.next_steps.len() == 1 { "begins" } else { "begin" };
        says.push(format!("{} {verb} next.", listed(&run.next_steps)));
    }
    if let Some(pause) = shared {
        says.push(format!("It stands still all the same, with {}.", pause.by));
    }
    let is_left = !run.driven && run.paused.is_empty();
    if is_left && run.is_set_aside.is_none() {
        says.push("No engine goes on with it: this one takes it up.".to_owned());
    }
    let mut asked = Vec::new();
    if !interrupted.is_empty() {
        asked.push(Asked::Area(Line {
            name: "prompt".to_owned(),
            label: "Say to the interrupted agents".to_owned(),
            hint: "Without a text they are told to go on.".to_owned(),
            text: act.typed.text("prompt").unwrap_or_default().to_owned(),
            ..Line::default()
        }));
    }
    asked.push(reason(&act.typed));
    let prompt = act.typed.text("prompt").map(|text| format!(" -p {}", shell_word(text))).unwrap_or_default();
    let refused = run.ended_refusal().or_else(|| match (own, shared) {
        (Some(_), _) => None,
        (None, Some(pause)) => Some(match &pause.pipeline {
            Some(name) => {
                format!("All runs of {name} are paused: everfold resume --pipeline {name} lifts that.")
            }
            None => "The whole engine is paused: everfold resume --all lifts that.".to_owned(),
        }),
        (None, None) if is_left => None,
        (None, None) => Some(format!("The run is not paused: it is {}.", run.status)),
    });
    Confirmation {
        title: format!("Resume {}", run.quoted()),
        says,
        asked,
        button: "Resume the run".to_owned(),
        is_dangerous: false,
        command: format!("everfold resume {}{prompt}", run.short_id),
        refused,
        ..Confirmation::default()
    }
}
