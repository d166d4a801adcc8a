//! Why it came to an event, as a stack: the event on top, below it what it followed from, down to what came by itself;
//! then why the run stood there.

use everfold_engine::why::CauseNode;
use everfold_pages::followed_from;
use serde_json::Value;

use super::breakpoints::PointPlace;
use super::history::RunHistory;
use crate::cli::debug::window::EventLine;
use crate::fault::Fault;
use crate::text::{cut, plain};
use crate::view::ShownEvent;

/// Events of a chain, and causes behind it.
const CHAIN_MAX: usize = 50;
const CAUSES_MAX: usize = 40;
/// The longest name of a frame.
const NAME_MAX: usize = 160;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StackEntry {
    pub(super) name: String,
    /// The version whose state it shows; none: it is a line between.
    pub(super) version: Option<u64>,
    pub(super) step: Option<String>,
    pub(super) gate: Option<String>,
}

/// The frames of a version, of which there is one at least.
///
/// # Errors
/// The event of the version cannot be had.
pub(super) async fn stack_of(history: &RunHistory, version: u64) -> Result<Vec<StackEntry>, Fault> {
    let mut entries = Vec::new();
    let mut next = Some(version);
    while let Some(at) = next.filter(|_| entries.len() < CHAIN_MAX) {
        let event = history.event(at).await?;
        entries.push(entry_of(&event));
        let before = history.up_to(at).await?;
        let before: Vec<&Value> = before.iter().map(|event| &**event).collect();
        next = followed_from(&event, &before).filter(|from| *from < at);
    }
    // What a route cannot say does not take the stack away.
    let why = history.routes.get(history.path(&format!("/why?version={version}"))).await;
    let causes = why.ok().and_then(|mut why| serde_json::from_value(why["causes"].take()).ok());
    let causes: Vec<CauseNode> = causes.unwrap_or_default();
    if !causes.is_empty() {
        entries.push(StackEntry {
            name: format!("── why the run stood there after v{version}"),
            version: None,
            step: None,
            gate: None,
        });
        let most = entries.len() + CAUSES_MAX;
        causes.iter().for_each(|cause| push_cause(cause, 0, most, &mut entries));
    }
    Ok(entries)
}

fn entry_of(event: &Value) -> StackEntry {
    let line = EventLine::of(event.clone());
    let place = PointPlace::of(event);
    let texts = [format!("v{}", line.version), line.kind, line.place, line.detail];
    let words: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    StackEntry {
        name: cut(&words.join(" "), NAME_MAX),
        version: Some(ShownEvent(event).version()),
        gate: place.as_ref().and_then(|place| place.gate.clone()),
        step: place.map(|place| place.step),
    }
}

fn push_cause(cause: &CauseNode, depth: usize, most: usize, entries: &mut Vec<StackEntry>) {
    if entries.len() >= most {
        return;
    }
    let before = if depth > 0 { "because " } else { "" };
    let name = format!("{}{before}{}", "  ".repeat(depth), plain(&cause.sentence));
    // A cause in another run is shown there by an event of that run.
    let is_own = cause.subject.run.is_none();
    let evidence = cause.evidence.as_ref().filter(|evidence| is_own && evidence.run.is_none());
    let step = cause.subject.step.as_ref().filter(|_| is_own);
    entries.push(StackEntry {
        name: cut(&name, NAME_MAX),
        version: evidence.map(|evidence| evidence.version.get()),
        step: step.map(|step| step.split('.').next().unwrap_or_default().to_owned()),
        gate: None,
    });
    cause.because.iter().for_each(|cause| push_cause(cause, depth + 1, most, entries));
}
