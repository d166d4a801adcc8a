//! The first event of a run, and the first run of a list, of which an expression is true.
//!
//! Law: every version of a run is looked at in order, because what is asked for may become false again; so the answer is
//! that of asking each state by itself. How many events, runs and bytes of values one answer goes over is bounded.

use std::collections::BTreeMap;

use everfold_engine::definition::Definition;
use everfold_engine::driver::{HistoryFold, LoadError};
use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::expr::{Allowance, Loaded, ValueRef};
use everfold_engine::id::{RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::state::RunState;
use everfold_projections::{FilterError, RunFilter, RunOrder, RunPage, RunRow, StateAnswer, StateQuestion};
use serde_json::Value;

use super::answer::{DefinitionChange, FoundEvent, NamedRun, RunBisect, RunsBisect};
use super::names::BisectNames;
use crate::body::filter::UndecidedRows;
use crate::compare::differences;
use crate::fault::{Code, Fault};
use crate::node::cursor::CursorOf;
use crate::node::handle::Node;
use crate::node::run_diff::brief;

/// Events of a run that one answer looks at.
const EVENTS_MAX: u64 = 100_000;
/// Runs that one answer looks at.
const RUNS_MAX: u64 = 1_000;
/// Runs of a page of the list.
const PAGE: usize = 100;
/// Bytes of values kept apart that one answer loads.
const VALUES_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Differences of two definitions that are listed.
const CHANGES_MAX: usize = 50;

/// A question to the runs of a list.
pub(crate) struct RunsQuestion {
    /// Which runs.
    pub(crate) filter: RunFilter,
    /// What is asked of each.
    pub(crate) source: String,
    /// The expression of the filter, as it was written.
    pub(crate) filter_source: Option<String>,
    /// Where an answer before ended.
    pub(crate) cursor: Option<String>,
    /// Runs that are looked at, [`RUNS_MAX`] at most.
    pub(crate) limit: u64,
}

impl Node {
    /// The first event of a run after which an expression is true, and whether it became false again.
    ///
    /// # Errors
    /// There is no such run; it has not come to `from`; the expression cannot be asked.
    pub(crate) async fn bisect(
        &self,
        run: RunId,
        source: &str,
        from: Version,
        limit: u64,
    ) -> Result<RunBisect, Fault> {
        let definition = self.definition(run).await?;
        let question = StateQuestion::compile(source, Some(&definition)).map_err(refused)?;
        let mut scan = BisectScan::new(self);
        let mut names = BisectNames::new(question.asked_names());
        let mut history: HistoryFold = self.engine().history(run);
        let mut found = RunBisect {
            run,
            short_id: run.short(),
            expression: source.to_owned(),
            first: None,
            cause: None,
            changed: None,
            false_again: None,
            last: None,
            looked_at: 0,
            more: false,
            next: None,
            unknown: Vec::new(),
            undecided: None,
        };
        while let Some(envelope) = history.next().await? {
            let version = envelope.header.version;
            if version < from {
                continue;
            }
            if found.looked_at == limit.min(EVENTS_MAX) || scan.is_over() {
                (found.more, found.next) = (true, Some(version));
                break;
            }
            let Some(state) = history.state() else { break };
            let answer = scan.ask(run, &question, state).await?;
            found.looked_at += 1;
            match (answer, &found.first) {
                (Some(true), None) => {
                    found.cause = self.cause_of(run, &envelope).await?;
                    found.first = Some(found_event(&envelope));
                }
                (Some(true), Some(_)) => {}
                (_not_true, Some(_)) if found.false_again.is_none() => {
                    found.false_again = Some(found_event(&envelope));
                }
                (_not_true, _) => {}
            }
            found.last = answer;
        }
        if found.looked_at == 0
            && !found.more
            && let Some(state) = history.state()
        {
            return Err(LoadError::NotYet { run, wanted: from, last: state.version() }.into());
        }
        found.undecided = scan.undecided;
        if found.first.is_none()
            && let Some(state) = history.state()
        {
            names.look(state);
            found.unknown = names.unknown();
        }
        let version =
            found.first.as_ref().map(|found| found.event.version).filter(|version| *version > Version::FIRST);
        if let Some(version) = version {
            let before = Version(version.get() - 1);
            found.changed = Some(self.compared(run, before, Some(version)).await?);
        }
        Ok(found)
    }

    /// The first event of the input that recorded an event, where that is another one.
    async fn cause_of(&self, run: RunId, envelope: &Envelope) -> Result<Option<FoundEvent>, Fault> {
        let first = envelope.header.cause.because.next();
        if first >= envelope.header.version {
            return Ok(None);
        }
        let events = self.store.read(&StreamId::run(run), first, 1).await?;
        let same = |event: &&Envelope| event.header.cause.input == envelope.header.cause.input;
        Ok(events.first().filter(same).map(found_event))
    }

    /// The first run of a list, by start, of which an expression is true.
    ///
    /// # Errors
    /// The expression cannot be asked; a run cannot be read.
    pub(crate) async fn bisect_runs(&self, asked: RunsQuestion) -> Result<RunsBisect, Fault> {
        let RunsQuestion { filter, source, filter_source, cursor: from, limit } = asked;
        let source = source.as_str();
        let question = StateQuestion::compile(source, None).map_err(refused)?;
        let mut names = BisectNames::new(question.asked_names());
        let paged = CursorOf::RunsOldest.with(&[
            Some("bisect"),
            Some(source),
            filter_source.as_deref(),
            filter.pipeline.first().map(String::as_str),
        ]);
        let from = self.in_list(paged, from.as_deref())?;
        let mut scan = BisectScan::new(self);
        let mut before: BTreeMap<String, RunRow> = BTreeMap::new();
        let (mut looked_at, mut cursor, mut first) = (0_u64, from, None);
        'pages: loop {
            let left = limit.min(RUNS_MAX).saturating_sub(looked_at);
            if left == 0 || scan.is_over() {
                break;
            }
            let size = PAGE.min(usize::try_from(left).unwrap_or(PAGE));
            let page = self.oldest(&filter, cursor, size).await?;
            for (at, row) in page.items.into_iter().enumerate() {
                if scan.is_over() {
                    cursor = if at == 0 { cursor } else { self.oldest(&filter, cursor, at).await?.next };
                    break 'pages;
                }
                let state = self.engine().state(row.id).await?;
                names.look(&state);
                looked_at += 1;
                let answer = match StateQuestion::compile(source, Some(state.definition())) {
                    Ok(question) => scan.ask(row.id, &question, &state).await?,
                    // It names a step that this run's definition does not have.
                    Err(error) => scan.leave_out(error.to_string()),
                };
                if answer == Some(true) {
                    first = Some((row, state.definition_hash()));
                    break 'pages;
                }
                before.insert(row.pipeline.clone(), row);
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let next = cursor.filter(|_| first.is_none());
        let mut found = RunsBisect {
            expression: source.to_owned(),
            first: None,
            before: None,
            definition: None,
            looked_at,
            more: next.is_some(),
            next_cursor: self.list_cursor(paged, next),
            unknown: if first.is_none() { names.unknown() } else { Vec::new() },
            undecided: scan.undecided,
        };
        let Some((row, Some(hash))) = first else { return Ok(found) };
        let former = match before.remove(&row.pipeline) {
            None if from.is_some() => self.former(&filter, &row).await?,
            known => known,
        };
        if let Some(former) = former {
            let then = self.definition(former.id).await?;
            if then.hash() != hash {
                found.definition = Some(self.change(&row.pipeline, &then, hash).await?);
            }
            found.before = Some(self.found_run(&former, then.hash()).await?);
        }
        found.first = Some(self.found_run(&row, hash).await?);
        Ok(found)
    }

    /// A part of the list, the oldest first.
    async fn oldest(&self, filter: &RunFilter, cursor: Option<u64>, size: usize) -> Result<RunPage, Fault> {
        let filter = filter.clone();
        self.runs(None, move |runs| runs.list(&filter, RunOrder::Oldest, cursor, size, None)).await
    }

    /// The run of the same pipeline before a run, which an earlier part of the answer looked at.
    async fn former(&self, filter: &RunFilter, run: &RunRow) -> Result<Option<RunRow>, Fault> {
        let of_pipeline = RunFilter { pipeline: vec![run.pipeline.clone()], ..filter.clone() };
        let (mut cursor, mut former) = (None, None);
        loop {
            let page = self.oldest(&of_pipeline, cursor, PAGE).await?;
            for row in page.items {
                if row.id == run.id {
                    return Ok(former);
                }
                former = Some(row);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(None);
            }
        }
    }

    async fn found_run(&self, row: &RunRow, definition: Hash) -> Result<NamedRun, Fault> {
        let saved = self.saved_versions(&row.pipeline).await?;
        let version = saved.iter().rfind(|(event, _)| event.hash == definition).map(|(event, _)| event.n);
        Ok(NamedRun {
            run: row.id,
            short_id: row.short_id.clone(),
            pipeline: row.pipeline.clone(),
            title: row.title.clone(),
            status: row.shown.status,
            started_at: row.started_at,
            definition,
            saved: version,
        })
    }

    /// What is different between two definitions of a pipeline.
    async fn change(&self, pipeline: &str, from: &Definition, to: Hash) -> Result<DefinitionChange, Fault> {
        let later = self
            .engine()
            .definition(to)
            .await
            .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
        let document = |definition: &Definition| -> Result<Value, Fault> {
            serde_json::from_str(&definition.document())
                .map_err(|error| Fault::new(Code::Internal, error.to_string()))
        };
        let mut changes = differences(&document(from)?, &document(&later)?);
        changes.truncate(CHANGES_MAX);
        let saved = self.saved_versions(pipeline).await?;
        let saved = saved.into_iter().rfind(|(event, _)| event.hash == to);
        Ok(DefinitionChange {
            from: from.hash(),
            to,
            saved_at: saved.as_ref().map(|(_, envelope)| envelope.header.recorded_at),
            saved_by: saved.map(|(_, envelope)| envelope.header.actor.to_string()),
            changes,
        })
    }
}

/// An expression on its way through states.
struct BisectScan<'a> {
    node: &'a Node,
    allowance: Allowance,
    loaded: Loaded,
    bytes: u64,
    undecided: Option<UndecidedRows>,
}

impl<'a> BisectScan<'a> {
    fn new(node: &'a Node) -> Self {
        Self { node, allowance: Allowance::of_rows(), loaded: Loaded::default(), bytes: 0, undecided: None }
    }

    /// Whether nothing is left of what all evaluations may go over together.
    fn is_over(&self) -> bool {
        self.allowance.is_spent()
    }

    /// Asks a state, with the values that it keeps apart; `None`: neither true nor false.
    async fn ask(
        &mut self,
        run: RunId,
        question: &StateQuestion,
        state: &RunState,
    ) -> Result<Option<bool>, Fault> {
        loop {
            match question.ask(state, &self.loaded, &self.allowance) {
                StateAnswer::True => return Ok(Some(true)),
                StateAnswer::False => return Ok(Some(false)),
                StateAnswer::Undecided(why) => return Ok(self.leave_out(why)),
                StateAnswer::Needs(values) => {
                    let size: u64 = values.iter().map(|value| value.size_bytes).sum();
                    let is_known = |value: &ValueRef| self.loaded.get(value).is_some();
                    if self.bytes + size > VALUES_BYTES_MAX || values.iter().all(is_known) {
                        let why =
                            format!("values of more than {VALUES_BYTES_MAX} bytes would have to be read");
                        return Ok(self.leave_out(why));
                    }
                    for value in values {
                        let text = self.node.engine().value(run, value).await?;
                        self.loaded.insert(&value, text);
                    }
                    self.bytes += size;
                }
            }
        }
    }

    fn leave_out(&mut self, why: String) -> Option<bool> {
        let undecided = self.undecided.get_or_insert(UndecidedRows { rows: 0, why });
        undecided.rows += 1;
        None
    }
}

fn refused(error: FilterError) -> Fault {
    let FilterError { message, line, column, hint } = &error;
    let place = serde_json::json!({ "line": line, "column": column, "message": message });
    Fault::new(Code::BadFilter, format!("expression: {error}")).errors(vec![place]).hinted(hint.clone())
}

fn found_event(envelope: &Envelope) -> FoundEvent {
    FoundEvent { event: brief(envelope), position: envelope.position }
}
