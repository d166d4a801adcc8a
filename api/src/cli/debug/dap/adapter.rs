//! What is known of a session: the run, the version at which it stands, where it stops, and what was given out.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use serde_json::json;

use super::arguments::DapClientSettings;
use super::breakpoints::BreakpointTable;
use super::history::RunHistory;
use super::pipeline_text::PipelineText;
use super::protocol::{DapEvent, DapRefusal};
use super::routes::RunRoutes;
use super::stack::StackEntry;
use super::travel::{Arrival, Travel};
use super::variables::ReferenceTable;
use crate::fault::Fault;

/// The one thread.
pub(super) const THREAD: i64 = 1;

/// Where the run comes from that is asked for.
pub(super) struct DapOrigin {
    pub(super) routes: Rc<dyn RunRoutes>,
    /// The run of the command line.
    pub(super) run: String,
    /// The folder in which the pipeline's file may lie.
    pub(super) folder: Option<PathBuf>,
    /// The run is of this machine: its own folder is one of those, too.
    pub(super) is_here: bool,
}

/// The run that is stepped through.
pub(super) struct AttachedRun {
    pub(super) history: Rc<RunHistory>,
    pub(super) title: String,
    pub(super) text: PipelineText,
    /// The version at which it stands.
    pub(super) version: u64,
    /// That at which it began.
    pub(super) entry: u64,
    pub(super) stops_on_entry: bool,
    /// The frames of the version, once they were asked for.
    pub(super) frames: Vec<StackEntry>,
    pub(super) references: ReferenceTable,
    /// What was searched for last.
    pub(super) searched: String,
}

/// A way that is gone at the moment.
pub(super) struct TravelUnderWay {
    pub(super) reached: Rc<Cell<u64>>,
    pub(super) arrival: LocalBoxFuture<'static, Result<Arrival, Fault>>,
}

/// The session.
pub(super) struct DapAdapter {
    pub(super) origin: DapOrigin,
    pub(super) client: DapClientSettings,
    pub(super) run: Option<AttachedRun>,
    pub(super) points: BreakpointTable,
    pub(super) last_point: u64,
    pub(super) under_way: Option<TravelUnderWay>,
    /// Events that go out behind the answer.
    pub(super) events: Vec<DapEvent>,
    pub(super) is_over: bool,
}

impl DapAdapter {
    pub(super) fn new(origin: DapOrigin) -> Self {
        Self {
            origin,
            client: DapClientSettings::default(),
            run: None,
            points: BreakpointTable::default(),
            last_point: 0,
            under_way: None,
            events: Vec::new(),
            is_over: false,
        }
    }

    /// The run.
    pub(super) fn run(&mut self) -> Result<&mut AttachedRun, DapRefusal> {
        self.run.as_mut().ok_or_else(|| DapRefusal::new("there is no run yet: attach or launch names one"))
    }

    /// Sends an event behind the answer.
    pub(super) fn send(&mut self, event: &'static str, body: serde_json::Value) {
        self.events.push(DapEvent { event, body });
    }

    /// Sets out on a way.
    pub(super) fn set_out(&mut self, travel: Travel) {
        let reached = Rc::clone(&travel.reached);
        self.under_way = Some(TravelUnderWay { reached, arrival: Box::pin(travel.go()) });
    }

    /// Takes in where a way ended.
    pub(super) fn arrived(&mut self, arrival: Result<Arrival, Fault>) {
        let Some(under_way) = self.under_way.take() else { return };
        let arrival = match arrival {
            Ok(arrival) => arrival,
            Err(fault) => {
                let refusal = DapRefusal::from(fault).to_string();
                self.events.push(DapEvent::output("stderr", &refusal));
                Arrival::at(under_way.reached.get().max(1), "pause").described(refusal)
            }
        };
        self.stop(arrival);
    }

    /// Stands still at a version, and says so.
    pub(super) fn stop(&mut self, arrival: Arrival) {
        let Some(run) = &mut self.run else { return };
        let Arrival { version, reason, description, ids, output } = arrival;
        run.version = version;
        run.frames.clear();
        run.references.clear();
        self.events.extend(output);
        let mut body = json!({ "reason": reason, "threadId": THREAD, "allThreadsStopped": true });
        if let Some(description) = description {
            body["text"] = json!(description);
            // Clients show the description in the place of the reason.
            body["description"] = json!(match reason {
                "exception" | "breakpoint" | "function breakpoint" => format!("v{version}: {description}"),
                _other => description,
            });
        }
        if !ids.is_empty() {
            body["hitBreakpointIds"] = json!(ids);
        }
        self.send("stopped", body);
    }
}
