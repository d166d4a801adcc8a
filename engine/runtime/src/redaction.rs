//! Masks credentials in what people and other systems say, before anything of it is decided on or recorded.
//!
//! Law: work masks what it says itself; all else that brings texts into a stream passes through here once, on its way
//! in. So a state is folded from what was masked, and steps, notices and read models never see more. A name by which
//! something is found later is not masked but refused.

use std::collections::BTreeMap;

use everfold_base::json::{JsonText, Payload, Value};
use everfold_core::decide::Refusal;
use everfold_core::event::{SpareReason, WorkSpared};
use everfold_core::hooks::DeliveryReceived;
use everfold_core::input::{Fork, InputKind, Start, StartOptions};
use everfold_core::progress::WorkProgress;
use everfold_ports::Redactor;

/// Refuses an input in which a name looks like a credential.
pub(crate) fn refuse_credentials(redactor: &dyn Redactor, kind: &InputKind) -> Result<(), Refusal> {
    match kind {
        InputKind::Start(start) => refuse_label_names(redactor, &start.options),
        InputKind::Signal(signal) => {
            refuse_credential(redactor, "the name of the signal", &signal.name)?;
            let mut delivery = signal.delivery.iter();
            delivery.try_for_each(|id| refuse_credential(redactor, "the id of the delivery", id))
        }
        _without_names => Ok(()),
    }
}

/// Refuses a start one of whose labels has a name that looks like a credential.
pub(crate) fn refuse_label_names(redactor: &dyn Redactor, options: &StartOptions) -> Result<(), Refusal> {
    options.labels.keys().try_for_each(|name| refuse_credential(redactor, "the name of a label", name))
}

fn refuse_credential(redactor: &dyn Redactor, what: &'static str, name: &str) -> Result<(), Refusal> {
    match redactor.find(name) {
        Some((pattern, _)) => Err(Refusal::Credential { what, pattern }),
        None => Ok(()),
    }
}

/// Masks what an input says.
pub(crate) fn redact_input(redactor: &dyn Redactor, kind: &mut InputKind) {
    match kind {
        InputKind::Start(Start { options, config, .. }) => {
            redact_options(redactor, options);
            config.iter_mut().for_each(|config| redact_json(redactor, config));
        }
        InputKind::Fork(fork) => {
            let Fork { input, config, title, .. } = &mut **fork;
            redact_json(redactor, input);
            config.iter_mut().for_each(|config| redact_json(redactor, config));
            redact_option(redactor, title);
        }
        InputKind::Vote(vote) | InputKind::MeasuredVote { vote, .. } => {
            redact_option(redactor, &mut vote.comment);
            for comment in &mut vote.comments {
                redact_text(redactor, &mut comment.text);
                redact_option(redactor, &mut comment.quote);
            }
            vote.edited.iter_mut().for_each(|edited| redact_payload(redactor, edited));
        }
        InputKind::SaveAnswer(saved) => redact_payload(redactor, &mut saved.answer),
        InputKind::Answer(answered) => redact_payload(redactor, &mut answered.answer),
        InputKind::Signal(signal) => redact_payload(redactor, &mut signal.payload),
        InputKind::Unblock { output, reason, .. } => {
            output.iter_mut().for_each(|output| redact_json(redactor, output));
            redact_option(redactor, reason);
        }
        InputKind::Progress(reported) => redact_progress(redactor, &mut reported.progress),
        InputKind::Spare(WorkSpared { reason: SpareReason::Held { would, .. }, .. }) => {
            redact_text(redactor, would);
        }
        InputKind::Note(note) => redact_text(redactor, &mut note.text),
        InputKind::Recheck(recheck) => redact_option(redactor, &mut recheck.reason),
        InputKind::CancelStep(cancel) => redact_option(redactor, &mut cancel.reason),
        InputKind::Cancel(cancel) => redact_option(redactor, &mut cancel.reason),
        InputKind::Pause(pause) => redact_option(redactor, &mut pause.reason),
        InputKind::Resume(resumed) => {
            redact_option(redactor, &mut resumed.reason);
            resumed.prompt.iter_mut().for_each(|prompt| redact_payload(redactor, prompt));
        }
        InputKind::Halt(halt) => redact_option(redactor, &mut halt.reason),
        InputKind::Abandon(abandon) => redact_option(redactor, &mut abandon.reason),
        InputKind::RaiseBudget { reason, .. } => redact_option(redactor, reason),
        InputKind::WorkspacePrepared(Err(failure)) => {
            redact_text(redactor, &mut failure.message);
            redact_option(redactor, &mut failure.detail);
            redact_option(redactor, &mut failure.hint);
        }
        // What work, probes and notices say, their executors have masked; the rest holds no free text.
        InputKind::AttemptStarted(_)
        | InputKind::AttemptFinished { .. }
        | InputKind::AttemptLost { .. }
        | InputKind::SetSearch(_)
        | InputKind::Spare(_)
        | InputKind::Usage(_)
        | InputKind::UsageSoFar { .. }
        | InputKind::WorkspacePrepared(Ok(_))
        | InputKind::WorkspaceShared(_)
        | InputKind::WorkspaceRemoved(_)
        | InputKind::ProbeFinished { .. }
        | InputKind::ProbeFailed(_)
        | InputKind::TimerFired(_)
        | InputKind::Breakpoints(_)
        | InputKind::Admitted(_)
        | InputKind::NoticeSent(_)
        | InputKind::NoticeFailed(_)
        | InputKind::Release(_)
        | InputKind::FundsWanted(_)
        | InputKind::FundsAnswered(_)
        | InputKind::SpendReported(_)
        | InputKind::Advance
        | InputKind::ClockRead(_) => {}
    }
}

/// Masks what the caller of a start says.
pub(crate) fn redact_options(redactor: &dyn Redactor, options: &mut StartOptions) {
    redact_json(redactor, &mut options.input);
    redact_option(redactor, &mut options.title);
    redact_fields(redactor, &mut options.labels);
}

/// Masks what a system delivers.
pub(crate) fn redact_delivery(redactor: &dyn Redactor, delivery: &mut DeliveryReceived) {
    redact_option(redactor, &mut delivery.name);
    redact_option(redactor, &mut delivery.sender);
    redact_fields(redactor, &mut delivery.headers);
    redact_json(redactor, &mut delivery.body);
    redact_json(redactor, &mut delivery.about);
}

/// Masks what work says of how far it is.
pub(crate) fn redact_progress(redactor: &dyn Redactor, progress: &mut WorkProgress) {
    redact_option(redactor, &mut progress.note);
    progress.items.iter_mut().for_each(|item| redact_text(redactor, &mut item.text));
}

/// Masks a text.
pub(crate) fn redact_option(redactor: &dyn Redactor, text: &mut Option<String>) {
    text.iter_mut().for_each(|text| redact_text(redactor, text));
}

/// Masks a value; one in which nothing is masked keeps its spelling.
pub(crate) fn redact_json(redactor: &dyn Redactor, text: &mut JsonText) {
    let before = text.value();
    let mut value = before.clone();
    redactor.value(&mut value);
    if value != before {
        *text = JsonText::new(&value);
    }
}

fn redact_text(redactor: &dyn Redactor, text: &mut String) {
    if let std::borrow::Cow::Owned(masked) = redactor.text(text) {
        *text = masked;
    }
}

fn redact_payload(redactor: &dyn Redactor, payload: &mut Payload) {
    if let Payload::Inline(text) = payload {
        redact_json(redactor, text);
    }
}

/// Masks texts by name, and all of those whose names say that they are secret.
fn redact_fields(redactor: &dyn Redactor, fields: &mut BTreeMap<String, String>) {
    for (name, text) in fields {
        let mut field =
            Value::Object([(name.clone(), Value::String(std::mem::take(text)))].into_iter().collect());
        redactor.value(&mut field);
        if let Value::Object(field) = field
            && let Some(Value::String(masked)) = field.into_iter().map(|(_, masked)| masked).next()
        {
            *text = masked;
        }
    }
}
