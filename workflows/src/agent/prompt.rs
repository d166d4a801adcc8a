//! What an agent is said: its task, and after an interruption what the person who resumed the run says.

use everfold_ports::Resumption;

/// What is said to a session that goes on where the person says nothing.
const GO_ON: &str = "Continue from where you left off.";

/// The prompt of a program that does not remember its task.
pub(super) fn with_resumption(task: String, resumption: Option<&Resumption>) -> String {
    let Some(resumption) = resumption else { return task };
    let said = resumption.prompt.as_deref().map(|said| format!("\n\n{said}")).unwrap_or_default();
    format!(
        "{}\n\nThis work was interrupted. What was done until then is there: look at it, and go on.{said}\n",
        task.trim_end()
    )
}

/// The prompt of the first call; a session that goes on after an interruption knows its task.
pub(super) fn to_session(prompt: &str, goes_on: Option<&Resumption>) -> String {
    match goes_on {
        Some(resumption) => resumption.prompt.clone().unwrap_or_else(|| GO_ON.to_owned()),
        None => prompt.to_owned(),
    }
}
