//! The history of a run, asked for as it is needed.
//!
//! Law: however long it is, a bounded part of it is kept.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use everfold_engine::state::RunStatus;
use lru::LruCache;
use serde::Deserialize as _;
use serde_json::Value;

use super::routes::RunRoutes;
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::view::ShownEvent;

/// Events that are kept.
const EVENTS_KEPT: NonZeroUsize = NonZeroUsize::new(600).expect("not zero");
/// States that are kept: stepping shows one of them again as the state before.
const STATES_KEPT: NonZeroUsize = NonZeroUsize::new(12).expect("not zero");
/// Events that are asked for on each side of one.
const BEFORE: u64 = 120;
const BEHIND: u64 = 80;

/// The history of a run.
pub(super) struct RunHistory {
    pub(super) routes: Rc<dyn RunRoutes>,
    /// The whole id of the run.
    pub(super) run: String,
    last: Cell<u64>,
    is_ended: Cell<bool>,
    events: RefCell<LruCache<u64, Arc<Value>>>,
    states: RefCell<LruCache<u64, Arc<Value>>>,
}

impl RunHistory {
    /// Of a run, by its view.
    pub(super) fn new(routes: Rc<dyn RunRoutes>, view: &Value) -> Self {
        let history = Self {
            routes,
            run: view["id"].as_str().unwrap_or_default().to_owned(),
            last: Cell::new(0),
            is_ended: Cell::new(false),
            events: RefCell::new(LruCache::new(EVENTS_KEPT)),
            states: RefCell::new(LruCache::new(STATES_KEPT)),
        };
        history.take(view);
        history
    }

    fn take(&self, view: &Value) {
        self.last.set(view["version"].as_u64().unwrap_or_default().max(self.last.get()));
        self.is_ended.set(RunStatus::deserialize(&view["status"]).is_ok_and(RunStatus::is_ended));
    }

    /// The last version that is known.
    pub(super) fn last(&self) -> u64 {
        self.last.get()
    }

    /// Whether there is none behind it for ever.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended.get()
    }

    /// A route of the run.
    pub(super) fn path(&self, below: &str) -> String {
        format!("/api/v1/runs/{}{below}", encode(&self.run))
    }

    /// Looks how far the run is by now.
    pub(super) async fn refresh(&self) -> Result<(), Fault> {
        let view = self.routes.get(self.path("")).await?;
        self.take(&view);
        Ok(())
    }

    /// Waits until the run has recorded more than what is known, or has ended.
    pub(super) async fn more(&self) -> Result<(), Fault> {
        self.routes.recorded(self.run.clone(), self.last() + 1).await;
        self.refresh().await
    }

    /// A part of the history; it ends early where events are large.
    pub(super) async fn part(&self, from: u64, limit: u64) -> Result<Vec<Arc<Value>>, Fault> {
        let path = self.path(&format!("/events?from={from}&limit={limit}"));
        let mut page = self.routes.get(path).await?;
        match page["items"].take() {
            Value::Array(items) => {
                let last = items.last().map(|event| ShownEvent(event).version());
                self.last.set(self.last().max(last.unwrap_or_default()));
                Ok(items.into_iter().map(Arc::new).collect())
            }
            _other => Err(Fault::new(Code::Internal, "the owner's answer lists no events")),
        }
    }

    /// All events of a range.
    pub(super) async fn range(&self, first: u64, last: u64) -> Result<Vec<Arc<Value>>, Fault> {
        let (mut all, mut from) = (Vec::new(), first);
        while from <= last {
            let items = self.part(from, last - from + 1).await?;
            let Some(end) = items.last().map(|event| ShownEvent(event).version()) else { break };
            all.extend(items);
            from = end + 1;
        }
        Ok(all)
    }

    /// The event of a version.
    pub(super) async fn event(&self, version: u64) -> Result<Arc<Value>, Fault> {
        if let Some(known) = self.events.borrow_mut().get(&version) {
            return Ok(Arc::clone(known));
        }
        self.keep_around(version).await?;
        let known = self.events.borrow_mut().get(&version).cloned();
        known.ok_or_else(|| {
            Fault::new(Code::NotYet, format!("the run has no version {version}"))
                .hint(format!("they go from 1 to {}", self.last()))
        })
    }

    async fn keep_around(&self, version: u64) -> Result<(), Fault> {
        let from = version.saturating_sub(BEFORE).max(1);
        let items = self.range(from, (version + BEHIND).min(self.last().max(version))).await?;
        let mut events = self.events.borrow_mut();
        for event in items {
            events.put(ShownEvent(&event).version(), event);
        }
        Ok(())
    }

    /// The events before one and itself, in order: those among which what ordered it is looked for.
    pub(super) async fn up_to(&self, version: u64) -> Result<Vec<Arc<Value>>, Fault> {
        let first = version.saturating_sub(BEFORE).max(1);
        let kept = || -> Option<Vec<Arc<Value>>> {
            let mut events = self.events.borrow_mut();
            (first..=version).map(|version| events.get(&version).cloned()).collect()
        };
        if let Some(all) = kept() {
            return Ok(all);
        }
        self.keep_around(version).await?;
        match kept() {
            Some(all) => Ok(all),
            None => self.range(first, version).await,
        }
    }

    /// The state at a version; before the first one there is none.
    pub(super) async fn state(&self, version: u64) -> Result<Arc<Value>, Fault> {
        if version == 0 {
            return Ok(Arc::new(Value::Null));
        }
        if let Some(known) = self.states.borrow_mut().get(&version) {
            return Ok(Arc::clone(known));
        }
        let state = Arc::new(self.routes.get(self.path(&format!("/state?version={version}"))).await?);
        self.states.borrow_mut().put(version, Arc::clone(&state));
        Ok(state)
    }

    /// The version that the run had at a time; the first one where it had not begun.
    pub(super) async fn version_at(&self, at: String) -> Result<u64, Fault> {
        let then = self.routes.get(self.path(&format!("/state{}", query([("at", Some(at))])))).await;
        match then {
            Ok(then) => Ok(then["version"].as_u64().unwrap_or(1)),
            Err(fault) if fault.code == Code::NotYet => Ok(1),
            Err(fault) => Err(fault),
        }
    }
}
