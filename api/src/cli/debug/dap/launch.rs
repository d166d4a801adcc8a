//! From `initialize` to the first stop, and the end.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::{Value, json};

use super::adapter::{AttachedRun, DapAdapter};
use super::arguments::{DapConfiguration, RestartArguments};
use super::history::RunHistory;
use super::pipeline_text::PipelineText;
use super::protocol::{DapEvent, DapRefusal, DapRequest, capabilities};
use super::travel::{Arrival, Stride, Travel};
use super::variables::ReferenceTable;
use crate::cli::moments::{TypedMoment, moment};
use crate::client::encode;
use crate::text::plain;

impl DapAdapter {
    pub(super) fn initialize(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        self.client = request.read()?;
        Ok(capabilities())
    }

    /// `launch` begins at the first event, `attach` at the newest one, where the configuration says nothing else.
    pub(super) async fn attach(
        &mut self,
        request: &DapRequest,
        is_launch: bool,
    ) -> Result<Value, DapRefusal> {
        if self.run.is_some() {
            return Err(DapRefusal::new("a session is of one run: begin another one"));
        }
        let asked: DapConfiguration = request.read()?;
        let named = asked.run.clone().unwrap_or_else(|| self.origin.run.clone());
        let routes = Rc::clone(&self.origin.routes);
        let view = routes.get(format!("/api/v1/runs/{}", encode(&named))).await?;
        let history = Rc::new(RunHistory::new(routes, &view));
        // Where commands of a run work, its pipeline's file mostly lies; that of a server's run is on another machine.
        let own = view["cwd"].as_str().filter(|_| self.origin.is_here).map(PathBuf::from);
        let folders: Vec<PathBuf> = self.origin.folder.iter().cloned().chain(own).collect();
        let (text, said) = PipelineText::load(&history, &view, asked.file.as_deref(), &folders).await?;
        let entry = entry_of(&history, &asked, is_launch).await?;
        let field = |name: &str| view[name].as_str().map(plain).unwrap_or_default();
        let title = [field("short_id"), field("title")].join(" ");
        self.events.extend(said.map(|said| DapEvent::output("important", &said)));
        self.run = Some(AttachedRun {
            history,
            title: title.trim().to_owned(),
            text,
            version: entry,
            entry,
            stops_on_entry: asked.stop_on_entry.unwrap_or(true),
            frames: Vec::new(),
            references: ReferenceTable::default(),
            searched: String::new(),
        });
        // From here on breakpoints can be told from what the pipeline does not have.
        self.send("initialized", json!({}));
        Ok(Value::Null)
    }

    pub(super) fn configured(&mut self) -> Result<Value, DapRefusal> {
        let points = Rc::new(self.points.clone());
        let run = self.run()?;
        if run.stops_on_entry {
            let arrival = Arrival::at(run.entry, "entry");
            self.stop(arrival);
            return Ok(Value::Null);
        }
        let is_newest = run.entry == run.history.last();
        // The event that it begins at may be one to stop at, but for the newest: what comes is waited for.
        let from = if is_newest { run.entry } else { run.entry - 1 };
        let history = Rc::clone(&run.history);
        let reached = Rc::new(Cell::new(run.entry));
        self.set_out(Travel { history, points, from, stride: Stride::ToPoint, reached });
        Ok(Value::Null)
    }

    /// Goes to where it began; with another moment in the configuration, there.
    pub(super) async fn restart(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let RestartArguments { arguments } = request.read()?;
        let asked: DapConfiguration = serde_json::from_value(arguments).unwrap_or_default();
        self.under_way = None;
        let run = self.run()?;
        if asked.version.is_some() || asked.at.is_some() {
            run.entry = entry_of(&run.history, &asked, true).await?;
        }
        let arrival = Arrival::at(run.entry, "entry");
        self.stop(arrival);
        Ok(Value::Null)
    }

    /// The session is to end; the run goes on as it did.
    pub(super) fn terminate(&mut self) -> Result<Value, DapRefusal> {
        self.under_way = None;
        self.send("terminated", json!({}));
        Ok(Value::Null)
    }

    pub(super) fn disconnect(&mut self) -> Result<Value, DapRefusal> {
        self.under_way = None;
        self.is_over = true;
        Ok(Value::Null)
    }
}

/// The version at which it begins.
async fn entry_of(
    history: &RunHistory,
    asked: &DapConfiguration,
    is_launch: bool,
) -> Result<u64, DapRefusal> {
    let last = history.last();
    let named = match (&asked.version, &asked.at) {
        (Some(version), _) => Some(TypedMoment::Number(*version)),
        (None, Some(at)) => Some(moment("at", at)?),
        (None, None) => None,
    };
    match named {
        Some(TypedMoment::Number(version)) if version == 0 || version > last => {
            Err(DapRefusal::new(format!("the run has no version {version}: they go from 1 to {last}")))
        }
        Some(TypedMoment::Number(version)) => Ok(version),
        Some(TypedMoment::Time(at)) => Ok(history.version_at(at.to_string()).await?),
        None => Ok(if is_launch { 1 } else { last }),
    }
}
