//! The steps before which a run pauses.

use super::act::Act;
use super::confirmation::{Asked, Boxes, Confirmation, Offer, counted, listed, shell_word};

/// The steps that are ticked: those that were typed, else those that have a breakpoint, with the one that the address
/// names.
pub(super) fn chosen(act: &Act) -> Vec<String> {
    let typed: Vec<String> = act.typed.all("step").map(str::to_owned).collect();
    if act.typed.is_set("typed") {
        return typed;
    }
    let mut chosen = act.run.breakpoints.clone();
    chosen.extend(typed.into_iter().filter(|step| !act.run.breakpoints.contains(step)));
    chosen
}

pub(super) fn confirm(act: &Act) -> Confirmation {
    let run = &act.run;
    let chosen = chosen(act);
    let mut says = vec![match chosen.as_slice() {
        [] => "The run pauses before no step.".to_owned(),
        steps => {
            format!("The run pauses before {}: {}.", counted(steps.len(), "step", "steps"), listed(steps))
        }
    }];
    let gone: Vec<&String> = run.breakpoints.iter().filter(|step| !chosen.contains(step)).collect();
    if !gone.is_empty() {
        let verb = if gone.len() == 1 { "loses its breakpoint" } else { "lose their breakpoints" };
        says.push(format!("{} {verb}.", listed(&gone)));
    }
    says.push("A step with a breakpoint that would begin pauses the run; resuming begins it.".to_owned());
    let options = run.definition.steps().map(|id| {
        let status = run.step(id).map_or("pending", |step| step.status.as_str());
        let hint = match status {
            "succeeded" | "failed" | "skipped" => format!("{status}: only another round of it would pause"),
            status => status.to_owned(),
        };
        Offer::new(id, id, hint)
    });
    let words: String = chosen.iter().map(|step| format!(" {}", shell_word(step))).collect();
    Confirmation {
        title: format!("Breakpoints of {}", run.quoted()),
        says,
        asked: vec![Asked::Boxes(Boxes {
            name: "step".to_owned(),
            label: "Pause before".to_owned(),
            options: options.collect(),
            chosen: chosen.clone(),
        })],
        button: match chosen.len() {
            0 if run.breakpoints.is_empty() => "Leave it without breakpoints".to_owned(),
            0 => "Take all breakpoints away".to_owned(),
            number => format!("Pause before {}", counted(number, "step", "steps")),
        },
        is_dangerous: false,
        command: match words.as_str() {
            "" => format!("everfold breakpoints {} --clear", run.short_id),
            words => format!("everfold breakpoints {}{words}", run.short_id),
        },
        refused: run.ended_refusal(),
        ..Confirmation::default()
    }
}
