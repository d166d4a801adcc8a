//! Going through the history: to an event on either side, or as far as a breakpoint.
//!
//! Law: it can be dropped at any moment; [`Travel::reached`] says where it was by then.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use super::attempt_output::PassedAttempts;
use super::breakpoints::{BreakpointTable, PointHit, PointPlace};
use super::history::RunHistory;
use super::protocol::DapEvent;
use crate::fault::Fault;
use crate::view::ShownEvent;

/// Events of the first part that is looked through, and of those that follow.
const FIRST_PART: u64 = 100;
const PART: u64 = 1_000;

/// How far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stride {
    /// The next event.
    Event,
    /// The next event of the same step, or what follows the step's last one.
    OfStep,
    /// The next event that is of another step or of the run itself.
    OutOfStep,
    /// The event before.
    Back,
    /// To a breakpoint or the newest event; from there on it waits for more.
    ToPoint,
    /// Back to a breakpoint or the first event.
    BackToPoint,
}

/// A way through the history.
pub(super) struct Travel {
    pub(super) history: Rc<RunHistory>,
    pub(super) points: Rc<BreakpointTable>,
    pub(super) from: u64,
    pub(super) stride: Stride,
    /// The last version that was looked at.
    pub(super) reached: Rc<Cell<u64>>,
}

/// Where it came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arrival {
    pub(super) version: u64,
    /// As the protocol names it.
    pub(super) reason: &'static str,
    /// In words, where there is more to say.
    pub(super) description: Option<String>,
    pub(super) ids: Vec<u64>,
    /// What was printed on the way.
    pub(super) output: Vec<DapEvent>,
}

impl Arrival {
    pub(super) fn at(version: u64, reason: &'static str) -> Self {
        Self { version, reason, description: None, ids: Vec::new(), output: Vec::new() }
    }

    pub(super) fn described(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    fn hit(version: u64, hit: PointHit) -> Self {
        let PointHit { reason, text, ids } = hit;
        Self { ids, ..Self::at(version, reason) }.described(text)
    }
}

impl Travel {
    /// Goes.
    ///
    /// # Errors
    /// A route refused a part of the history.
    pub(super) async fn go(self) -> Result<Arrival, Fault> {
        match self.stride {
            Stride::Back => self.back().await,
            Stride::BackToPoint => self.back_to_point().await,
            Stride::Event | Stride::OfStep | Stride::OutOfStep | Stride::ToPoint => self.forward().await,
        }
    }

    async fn forward(self) -> Result<Arrival, Fault> {
        let step = match self.from {
            0 => None,
            from => PointPlace::of(&*self.history.event(from).await?).map(|place| place.step),
        };
        let mut passed = PassedAttempts::default();
        let (mut at, mut left, mut waits) = (self.from, None, false);
        let mut size = if self.stride == Stride::Event { 1 } else { FIRST_PART };
        let mut arrival = 'way: loop {
            let items = self.next_part(at, size).await?;
            size = PART;
            if items.is_empty() {
                self.history.refresh().await?;
                if self.history.last() > at {
                    continue;
                }
                // Who goes on from the newest event waits, until it stops somewhere or the run ends.
                waits |= self.stride == Stride::ToPoint && at == self.from;
                if !waits || self.history.is_ended() {
                    break self.at_end(at, left);
                }
                self.history.more().await?;
                continue;
            }
            for event in items {
                let version = ShownEvent(&event).version();
                let place = PointPlace::of(&event).map(|place| place.step);
                passed.pass(&event);
                at = version;
                self.reached.set(version);
                let is_there = match self.stride {
                    Stride::OfStep => step.is_none() || place == step,
                    Stride::OutOfStep => place.is_none() || place != step,
                    Stride::ToPoint => false,
                    _event => true,
                };
                if self.stride == Stride::OfStep && left.is_none() && !is_there {
                    left = Some(version);
                }
                match self.points.hit(&event) {
                    Some(hit) if self.stride != Stride::Event => break 'way Arrival::hit(version, hit),
                    _none if is_there => break 'way Arrival::at(version, "step"),
                    _none => {}
                }
            }
            // Whoever pauses is heard, also where all of it is at hand.
            tokio::task::yield_now().await;
        };
        arrival.output = passed.output(&self.history, arrival.version).await;
        Ok(arrival)
    }

    /// The events behind a version: the very next one from what is at hand.
    async fn next_part(&self, at: u64, size: u64) -> Result<Vec<Arc<Value>>, Fault> {
        if size == 1 && at < self.history.last() {
            return Ok(vec![self.history.event(at + 1).await?]);
        }
        if at >= self.history.last() && self.history.is_ended() {
            return Ok(Vec::new());
        }
        self.history.part(at + 1, size).await
    }

    /// There are no more events.
    fn at_end(&self, at: u64, left: Option<u64>) -> Arrival {
        // The step has no more events: what came behind it is the next thing.
        if let Some(version) = left {
            return Arrival::at(version, "step").described("the step has no more events");
        }
        let words = match self.history.is_ended() {
            true => "the last event: the run has ended",
            false => "the newest event; the run goes on",
        };
        Arrival::at(at, "pause").described(words)
    }

    async fn back(self) -> Result<Arrival, Fault> {
        Ok(match self.from {
            0 | 1 => Arrival::at(1, "entry").described("the first event"),
            from => Arrival::at(from - 1, "step"),
        })
    }

    async fn back_to_point(self) -> Result<Arrival, Fault> {
        let (mut before, mut size) = (self.from, FIRST_PART);
        while before > 1 {
            let first = before.saturating_sub(size).max(1);
            let items = self.history.range(first, before - 1).await?;
            for event in items.iter().rev() {
                let version = ShownEvent(event).version();
                self.reached.set(version);
                if let Some(hit) = self.points.hit(event) {
                    return Ok(Arrival::hit(version, hit));
                }
            }
            (before, size) = (first, PART);
            tokio::task::yield_now().await;
        }
        Ok(Arrival::at(1, "entry").described("the first event"))
    }
}
