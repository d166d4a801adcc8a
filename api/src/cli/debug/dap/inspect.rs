//! Requests that look at where it stands: frames, values, texts.

use serde_json::{Value, json};

use super::adapter::{AttachedRun, DapAdapter, THREAD};
use super::arguments::{FrameArguments, SourceArguments, StackArguments, VariablesArguments};
use super::attempt_output::failure_text;
use super::protocol::{DapRefusal, DapRequest};
use super::stack::stack_of;
use super::variables::{DapReference, ValuePart};
use crate::cli::debug::window::EventLine;

impl AttachedRun {
    /// The version of a frame; without one that at which it stands.
    pub(super) fn frame_version(&self, frame: Option<i64>) -> Result<u64, DapRefusal> {
        let Some(frame) = frame else { return Ok(self.version) };
        let at = usize::try_from(frame).ok().and_then(|frame| frame.checked_sub(1));
        let entry = at.and_then(|at| self.frames.get(at));
        match entry {
            Some(entry) => Ok(entry.version.unwrap_or(self.version)),
            None => {
                Err(DapRefusal::new(format!("there is no frame {frame} any more: ask for the stack again")))
            }
        }
    }
}

impl DapAdapter {
    pub(super) async fn stack_trace(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let StackArguments { start_frame, levels } = request.read()?;
        let client = self.client;
        let run = self.run()?;
        if run.frames.is_empty() {
            run.frames = stack_of(&run.history, run.version).await?;
        }
        let levels = if levels == 0 { usize::MAX } else { levels };
        let shown = run.frames.iter().enumerate().skip(start_frame).take(levels).map(|(at, entry)| {
            let mut frame = json!({ "id": at + 1, "name": entry.name, "line": 0, "column": 0,
                "canRestart": entry.version.is_some() });
            if entry.version.is_some() || entry.step.is_some() {
                let line = run.text.line_of(entry.step.as_deref(), entry.gate.as_deref());
                run.text.locate(&mut frame, line, client);
            } else {
                frame["presentationHint"] = json!("label");
            }
            frame
        });
        let frames: Vec<Value> = shown.collect();
        Ok(json!({ "stackFrames": frames, "totalFrames": run.frames.len() }))
    }

    pub(super) fn scopes(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let FrameArguments { frame_id } = request.read()?;
        let run = self.run()?;
        let version = run.frame_version(Some(frame_id))?;
        let mut scope = |name: String, hint: &str, reference| {
            let reference = run.references.give(reference);
            json!({ "name": name, "presentationHint": hint, "variablesReference": reference, "expensive": false })
        };
        let scopes = [
            scope(format!("Changed by v{version}"), "arguments", DapReference::Changed(version)),
            scope(format!("State at v{version}"), "locals", DapReference::State(version)),
            scope(format!("Event v{version}"), "registers", DapReference::Event(version)),
        ];
        Ok(json!({ "scopes": scopes }))
    }

    pub(super) async fn variables(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let VariablesArguments { variables_reference, filter, start, count } = request.read()?;
        let run = self.run()?;
        let reference = run.references.get(variables_reference);
        let reference = reference
            .ok_or_else(|| DapRefusal::new("the value is of another event: it has gone on since then"))?;
        let part = match reference {
            DapReference::Part(part) => part,
            DapReference::State(version) => ValuePart::state(run.history.state(version).await?),
            DapReference::Event(version) => ValuePart::event(run.history.event(version).await?),
            DapReference::Changed(version) => {
                let before = run.history.state(version.saturating_sub(1)).await?;
                let after = run.history.state(version).await?;
                return Ok(json!({ "variables": run.references.changes(version, before, after) }));
            }
        };
        let is_other = match filter.as_deref() {
            Some("indexed") => !part.is_indexed(),
            Some("named") => part.is_indexed(),
            _both => false,
        };
        let children = if is_other { Vec::new() } else { run.references.children(&part, start, count) };
        Ok(json!({ "variables": children }))
    }

    pub(super) fn source(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let asked: SourceArguments = request.read()?;
        let run = self.run()?;
        let mut source = asked.source.unwrap_or_default();
        source.source_reference = source.source_reference.or(asked.source_reference);
        if !run.text.is_meant(&source) {
            return Err(DapRefusal::new("there is no such text: a run has that of its pipeline"));
        }
        Ok(json!({ "content": run.text.text, "mimeType": "text/x-yaml" }))
    }

    pub(super) fn loaded_sources(&self) -> Value {
        let sources: Vec<Value> = self.run.iter().map(|run| run.text.source()).collect();
        json!({ "sources": sources })
    }

    /// What failed at the event at which it stopped.
    pub(super) async fn exception_info(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let thread = request.arguments["threadId"].as_i64();
        if thread.is_some_and(|thread| thread != THREAD) {
            return Err(DapRefusal::new("there is one thread, number 1"));
        }
        let run = self.run()?;
        let event = run.history.event(run.version).await?;
        let line = EventLine::of((*event).clone());
        let words = [line.kind.clone(), line.place.clone(), line.detail.clone()];
        let said = words.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(" ");
        let mut info = json!({ "exceptionId": line.kind, "description": said, "breakMode": "always" });
        if let Some(text) = failure_text(&event) {
            info["details"] = json!({ "message": text, "typeName": line.kind });
        }
        Ok(info)
    }
}
