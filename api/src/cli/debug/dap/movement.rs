//! Requests that go to another event.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::{Value, json};

use super::adapter::{DapAdapter, THREAD};
use super::arguments::{FrameArguments, GotoArguments, LinesArguments, MoveArguments};
use super::breakpoints::PointPlace;
use super::protocol::{DapRefusal, DapRequest};
use super::travel::{Arrival, Stride, Travel};
use crate::cli::debug::window::EventLine;
use crate::view::ShownEvent;

/// Events of a line that can be gone to, and those that are looked at for them.
const TARGETS_MAX: usize = 100;
const LOOKED_MAX: u64 = 20_000;
const PART: u64 = 1_000;

impl DapAdapter {
    /// Sets out from where it stands.
    pub(super) fn go(&mut self, request: &DapRequest, stride: Stride) -> Result<Value, DapRefusal> {
        let asked: MoveArguments = request.read()?;
        let is_finest = asked.granularity.as_deref() == Some("instruction");
        let stride = if is_finest && stride == Stride::OfStep { Stride::Event } else { stride };
        if self.under_way.is_some() {
            return Err(DapRefusal::new("it is on its way already: pause stops it"));
        }
        let points = Rc::new(self.points.clone());
        let run = self.run()?;
        let travel = Travel {
            history: Rc::clone(&run.history),
            points,
            from: run.version,
            stride,
            reached: Rc::new(Cell::new(run.version)),
        };
        self.set_out(travel);
        Ok(match stride {
            Stride::ToPoint | Stride::BackToPoint => json!({ "allThreadsContinued": true }),
            _step => Value::Null,
        })
    }

    /// `pause`: stops a movement that is under way; without one, changes nothing.
    pub(super) fn pause(&mut self) -> Result<Value, DapRefusal> {
        self.run()?;
        if let Some(under_way) = self.under_way.take() {
            self.stop(Arrival::at(under_way.reached.get().max(1), "pause"));
        }
        Ok(Value::Null)
    }

    /// Goes to a version at once.
    pub(super) async fn jump(&mut self, version: u64) -> Result<(), DapRefusal> {
        let history = Rc::clone(&self.run()?.history);
        if version > history.last() {
            history.refresh().await?;
        }
        let last = history.last();
        if version == 0 || version > last {
            return Err(DapRefusal::new(format!(
                "the run has no version {version}: they go from 1 to {last}"
            )));
        }
        self.under_way = None;
        self.stop(Arrival::at(version, "goto"));
        Ok(())
    }

    /// The events of what stands in a line; a target is a version.
    pub(super) async fn goto_targets(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let asked: LinesArguments = request.read()?;
        let client = self.client;
        let run = self.run()?;
        let line = client.line_in(asked.line);
        let place = run.text.at_line(line).filter(|_| run.text.is_meant(&asked.source));
        let Some(place) = place else { return Ok(json!({ "targets": [] })) };
        let (mut targets, mut at) = (Vec::new(), 0);
        while at < LOOKED_MAX && targets.len() < TARGETS_MAX {
            let items = run.history.part(at + 1, PART).await?;
            let Some(last) = items.last().map(|event| ShownEvent(event).version()) else { break };
            for event in &items {
                let is_there = PointPlace::of(event).is_some_and(|about| {
                    about.step == place.step
                        && place.gate.is_none_or(|gate| about.gate.as_deref() == Some(gate))
                });
                if is_there && targets.len() < TARGETS_MAX {
                    let shown = EventLine::of((**event).clone());
                    targets.push(json!({ "id": shown.version, "line": client.line_out(place.line),
                        "label": format!("v{} {} {}", shown.version, shown.kind, shown.place) }));
                }
            }
            at = last;
        }
        Ok(json!({ "targets": targets }))
    }

    pub(super) async fn goto(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let GotoArguments { target_id } = request.read()?;
        self.jump(target_id).await?;
        Ok(Value::Null)
    }

    /// Goes to the event of a frame.
    pub(super) async fn restart_frame(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let FrameArguments { frame_id } = request.read()?;
        let version = self.run()?.frame_version(Some(frame_id))?;
        self.jump(version).await?;
        Ok(Value::Null)
    }

    pub(super) fn threads(&self) -> Value {
        let threads =
            self.run.iter().map(|run| json!({ "id": THREAD, "name": format!("run {}", run.title) }));
        json!({ "threads": threads.collect::<Vec<_>>() })
    }
}
