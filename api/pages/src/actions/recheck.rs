//! Have the gates of a step judged again.

use super::act::Act;
use super::confirmation::{
    Asked, Confirmation, Offer, Select, counted, listed, message_option, reason, shell_word,
};
use super::policies::{ask_policies, policy_options};

/// All gates of a step are judged again on the same artefacts.
pub(super) fn confirm(act: &Act) -> Confirmation {
    let run = &act.run;
    let asking = run.awaiting("approval");
    let is_open = |id: &str| {
        let over = ["pending", "succeeded", "failed", "skipped", "cancelled"];
        run.step(id).is_some_and(|step| !over.contains(&step.status.as_str()))
    };
    let judged = |id: &str| !run.definition.gates(id).is_empty() || asking.contains(&id);
    let steps: Vec<&str> = run.definition.steps().filter(|id| judged(id) && is_open(id)).collect();
    let step = act.typed.text("step").or(steps.first().copied()).unwrap_or_default();
    // An item is judged with its step.
    let name = step.split('.').next().unwrap_or(step);
    let mut asked = Vec::new();
    // A choice without the item that is asked for would send its step.
    if steps.len() > 1 && steps.contains(&step) {
        let options = steps.iter().map(|id| {
            let status = run.step(id).map_or("pending", |step| step.status.as_str());
            Offer::new(*id, format!("{id} · {status}"), "")
        });
        asked.push(Asked::Select(Select {
            name: "step".to_owned(),
            label: "Step".to_owned(),
            hint: String::new(),
            options: options.collect(),
            chosen: step.to_owned(),
        }));
    }
    asked.extend(ask_policies(act, step, false));
    asked.push(reason(&act.typed));
    Confirmation {
        step: Some(step.to_owned()).filter(|step| !step.is_empty()),
        title: format!(
            "Recheck {}",
            if step.is_empty() { run.quoted() } else { format!("{step} of {}", run.quoted()) }
        ),
        says: says_of(act, step, asking.contains(&step)),
        asked,
        button: format!("Judge {step} again"),
        is_dangerous: false,
        command: format!(
            "everfold recheck {} {}{}{}",
            run.short_id,
            shell_word(step),
            policy_options(act),
            message_option(&act.typed)
        ),
        refused: run.ended_refusal().or_else(|| match run.step(name) {
            _ if steps.contains(&name) => None,
            Some(step) => Some(format!(
                "{} is {}: it has no open gates that could be judged again.",
                step.id, step.status
            )),
            None if step.is_empty() => {
                Some("No step of the run has open gates, and none asks for an approval.".to_owned())
            }
            None => Some(format!("The run has no step “{step}”.")),
        }),
        ..Confirmation::default()
    }
}

fn says_of(act: &Act, step: &str, is_asking: bool) -> Vec<String> {
    let gates: Vec<&str> = act.run.definition.gates(step).into_iter().map(|(gate, _)| gate).collect();
    let mut says = Vec::new();
    if is_asking {
        says.push(format!(
            "{step} asks for its approval anew, with what lies there now; votes so far do not count."
        ));
    }
    if !gates.is_empty() {
        let what = counted(gates.len(), "gate", "gates");
        let verb = if gates.len() == 1 { "is" } else { "are" };
        says.push(format!(
            "{what} of {step} {verb} judged again on the same artefacts: {}. No work runs again.",
            listed(&gates)
        ));
    }
    says
}
