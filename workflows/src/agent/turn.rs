//! When an agent is called once more within its attempt: its answer could not be used, or the session
//! that it was to continue is not there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answer::{self, Unusable};
use super::call::{ARGUMENT_BYTES_MAX, AgentCall};
use super::profile;
use super::settings::PromptBy;
use crate::process::{Former, Next, Turn, TurnKind};

/// So much of a former answer is shown to a program that does not remember it.
const ANSWER_CHARS_MAX: usize = 32 * 1024;

/// Decides it for one call; `None` where there is never another.
pub(super) fn next(call: AgentCall, prompt: String, session: Option<String>) -> Option<Next> {
    let repairs = usize::try_from(call.spec.repair.unwrap_or(0)).unwrap_or(usize::MAX);
    if repairs == 0 && session.is_none() {
        return None;
    }
    Some(Arc::new(move |former| {
        if let Some(session) = session.as_deref().filter(|_| former.kinds.is_empty())
            && let Some(said) = answer::lost_session(call.profile.output, former)
        {
            let remark = format!("the session {session} could not be continued: {said}; a new one begins");
            return Some(turn(&call, former, TurnKind::Session, remark, &prompt, None));
        }
        let used = former.kinds.iter().filter(|kind| **kind == TurnKind::Repair).count();
        if used >= repairs {
            return None;
        }
        let schema = call.spec.schema.as_ref();
        let unusable = answer::unusable(call.profile.output, schema, former)?;
        let remark = format!(
            "the answer cannot be used: {}; it is given back ({} of {repairs})",
            unusable.failure.message,
            used + 1
        );
        let session = unusable.session.clone().filter(|_| profile::can_continue(&call.profile));
        let asked = repair_prompt(&call, &prompt, &unusable, session.is_some());
        if call.profile.prompt == PromptBy::Argument && asked.len() > ARGUMENT_BYTES_MAX {
            return None;
        }
        Some(turn(&call, former, TurnKind::Repair, remark, &asked, session.as_deref()))
    }))
}

fn turn(
    call: &AgentCall,
    former: &Former<'_>,
    kind: TurnKind,
    remark: String,
    prompt: &str,
    session: Option<&str>,
) -> Turn {
    let file = format!("prompt-{}.md", former.kinds.len() + 2);
    let made = call.make(&file, prompt, session);
    let env: BTreeMap<String, String> = made.env;
    let files = vec![(file, prompt.to_owned())];
    Turn { kind, remark, argv: made.argv, env, stdin: made.stdin, files }
}

/// What is wrong with the answer, and what is wanted. A program that does not remember its task gets
/// the task again, too.
fn repair_prompt(call: &AgentCall, prompt: &str, unusable: &Unusable, remembers: bool) -> String {
    let Unusable { failure, text, .. } = unusable;
    let mut asked = String::new();
    if !remembers {
        let text: String = text.chars().take(ANSWER_CHARS_MAX).collect();
        asked.push_str(&format!("{}\n\nYour former answer was:\n\n{text}\n\n", prompt.trim_end()));
    }
    asked.push_str(&format!("That answer cannot be used: {}\n", failure.message));
    if let Some(detail) = failure.detail.as_ref().filter(|detail| !failure.message.contains(*detail)) {
        asked.push_str(&format!("{detail}\n"));
    }
    match &call.json_file {
        Some(path) => asked.push_str(&format!("\nWrite {path} again, with nothing but JSON")),
        None => asked.push_str("\nAnswer again, with nothing but JSON"),
    }
    match &call.spec.schema {
        Some(schema) => asked.push_str(&format!(" that fits this JSON Schema:\n\n{schema:#}\n")),
        None => asked.push_str(".\n"),
    }
    asked
}
