//! Reads: runs by any of their names, their states and views, the read models.

mod concurrency;
mod disk_shortage;
mod driving;

use std::sync::Arc;
use std::time::Duration;

use everfold_engine::budgets::Counter;
use everfold_engine::definition::Definition;
use everfold_engine::driver::{LiveRun, LookError};
use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::event::{self, BudgetTerms, RunEvent, SeenPart};
use everfold_engine::expr::ValueRef;
use everfold_engine::failure::FailureKind;
use everfold_engine::id::{AttemptId, EffectId, Position, RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::slots::in_order;
use everfold_engine::state::{Awaited, RunState, RunStatus, StoredValue, Unit};
use everfold_engine::store::Writability;
use everfold_engine::time::Timestamp;
use everfold_projections::{FoldError, InboxView, ReadSide, RunFilter, RunOrder, RunsView, Task};
use everfold_workflows::process::{Suspended, suspended};
use serde_json::Value;
use tokio::sync::watch;

use super::cursor::{PagedList, SortedPlace, cursor, cursor_text};
use super::handle::Node;
use crate::body::spend::CounterView;
use crate::fault::{Code, Fault};
use crate::text::cut;
use crate::view::{AmountsView, AwaitView, FailureView, RunView, agent_in_flight, model_of, usd};

/// Runs that a fault names where a short id fits several.
const NAMED_MAX: usize = 5;
/// Characters of a name that a fault gives back.
const NAME_SHOWN_MAX: usize = 80;
/// The last events of an ended run among which the removal of its workspace is looked for: little is recorded after it.
const LAST_EVENTS: u64 = 64;
/// The label that names the work item of a run.
const ITEM: &str = "item";
/// Runs of one work item that are looked at.
const OF_ITEM_MAX: usize = 50;
/// Events of a history that are read at once.
const CHUNK: usize = 1_000;
/// The largest stored value that a view loads in place of its reference.
const SHOWN_BYTES_MAX: u64 = 256 * 1024;
/// Agents at work whose models a view loads where their tasks are too large to be at hand.
const AGENTS_MAX: usize = 50;
/// Queued attempts that a view shows one by one.
const IN_LINE_MAX: usize = 20;

/// How long the answer to a raised budget waits for the attempts that it lets start.
const COUNTERS_WAIT: Duration = Duration::from_secs(2);

impl Node {
    /// The run of an id, a short id, a unique start of one (≥ 4 digits), `@`, `@1`, …, or of a work item: `ET-005`.
    ///
    /// # Errors
    /// [`Code::NoRun`], [`Code::AmbiguousRun`].
    pub async fn resolve(&self, name: &str) -> Result<RunId, Fault> {
        let unknown = || {
            let name = cut(name, NAME_SHOWN_MAX);
            Fault::new(Code::NoRun, format!("there is no run “{name}”")).hint("`everfold runs` lists them")
        };
        if name.len() > 8
            && let Ok(run) = name.parse::<RunId>()
        {
            let head = self.store.head(&StreamId::run(run)).await?;
            return head.map(|_| run).ok_or_else(unknown);
        }
        if let Some(back) = name.strip_prefix('@') {
            let back: usize = if back.is_empty() { 0 } else { back.parse().map_err(|_| unknown())? };
            return self.runs(None, move |runs| runs.nth_newest(back)).await?.ok_or_else(unknown);
        }
        if is_item(name) {
            return self.of_item(name).await?.ok_or_else(unknown);
        }
        let start = name.to_ascii_lowercase();
        if !(4..=8).contains(&start.len()) || !start.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(unknown()
                .hint("a run is named by its id, at least 4 digits of its short id, @, @1, its label item"));
        }
        let fitting = self.runs(None, move |runs| runs.with_short(&start, NAMED_MAX)).await?;
        let Some((first, others)) = fitting.split_first() else { return Err(unknown()) };
        if others.is_empty() {
            return Ok(*first);
        }
        let others: Vec<String> = others.iter().map(RunId::short).collect();
        Err(Fault::new(Code::AmbiguousRun, format!("several runs begin with “{name}”")).hint(format!(
            "type more digits: {}, {}",
            first.short(),
            others.join(", ")
        )))
    }

    /// The run whose label `item` names this work item: the one that goes on, else the newest.
    async fn of_item(&self, name: &str) -> Result<Option<RunId>, Fault> {
        let labels = vec![(ITEM.to_owned(), Some(name.to_owned()))];
        let filter = RunFilter { labels, ..RunFilter::default() };
        let newest = self
            .runs(None, move |runs| runs.list(&filter, RunOrder::Newest, None, OF_ITEM_MAX, None))
            .await?;
        let mut open = newest.items.iter().filter(|run| !run.shown.status.is_ended());
        let found = open.next().or(newest.items.first()).map(|run| run.id);
        let others: Vec<String> = open.map(|run| run.id.short()).take(NAMED_MAX).collect();
        match found {
            Some(first) if !others.is_empty() => {
                let message = format!("several runs of the work item {name} go on");
                let hint = format!("name the one that is meant: {}, {}", first.short(), others.join(", "));
                Err(Fault::new(Code::AmbiguousRun, message).hint(hint))
            }
            found => Ok(found),
        }
    }

    /// The read models.
    #[must_use]
    pub fn views(&self) -> &ReadSide {
        &self.views
    }

    /// Asks the read model of runs, once it has folded what was durable at the call.
    ///
    /// # Errors
    /// It has stopped, cannot be read, or is not at `min` in time.
    pub async fn runs<T: Send + 'static>(
        &self,
        min: Option<Position>,
        ask: impl FnOnce(&RunsView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<T, Fault> {
        Ok(self.views.runs(min, ask).await?.value)
    }

    /// Asks the read model of the inbox.
    ///
    /// # Errors
    /// It has stopped, cannot be read, or is not at `min` in time.
    pub async fn inbox<T: Send + 'static>(
        &self,
        min: Option<Position>,
        ask: impl FnOnce(&InboxView<'_>) -> Result<T, FoldError> + Send + 'static,
    ) -> Result<T, Fault> {
        Ok(self.views.inbox(min, ask).await?.value)
    }

    /// Everything that happened to a run.
    ///
    /// # Errors
    /// The history cannot be read.
    pub async fn history(&self, run: RunId) -> Result<Vec<Envelope>, Fault> {
        self.history_until(run, None).await
    }

    /// The events of a run up to a position; `None`: all of them.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn history_until(&self, run: RunId, until: Option<Position>) -> Result<Vec<Envelope>, Fault> {
        let (stream, mut history) = (StreamId::run(run), Vec::new());
        loop {
            let next = Version(history.len() as u64).next();
            let events = self.store.read(&stream, next, CHUNK).await?;
            let is_last = events.last().is_none_or(|last| until.is_some_and(|until| last.position > until));
            history.extend(
                events.into_iter().take_while(|event| until.is_none_or(|until| event.position <= until)),
            );
            if is_last {
                return Ok(history);
            }
        }
    }

    /// The last position that was durable at a time, by bisection: commit times never decrease along the positions.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn position_at(&self, at: Timestamp) -> Result<Position, Fault> {
        let (mut from, mut to) = (0, self.store.last_position().0);
        while from < to {
            // Rounded up, so that the upper half is never empty.
            let middle = to - (to - from) / 2;
            let event = self.store.read_all(Position(middle), 1).await?;
            if event.first().is_some_and(|event| event.committed_at <= at) {
                from = middle;
            } else {
                to = middle - 1;
            }
        }
        Ok(Position(from))
    }

    /// When a position became durable; `None`: the log does not have it.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn committed_at(&self, position: Position) -> Result<Option<Timestamp>, Fault> {
        let event = self.store.read_all(position, 1).await?.into_iter().next();
        Ok(event.filter(|event| event.position == position).map(|event| event.committed_at))
    }

    /// The pipeline of a run.
    ///
    /// # Errors
    /// The read model of runs cannot be read.
    pub async fn pipeline_of(&self, run: RunId) -> Result<Option<String>, Fault> {
        Ok(self.runs(None, move |runs| runs.get(run, None)).await?.map(|row| row.pipeline))
    }

    /// The counters of budgets that runs share.
    pub(crate) async fn counters(&self) -> Result<Vec<CounterView>, Fault> {
        let counters = self.engine.budget_counters().await?;
        let view = |(stream, counter): (StreamId, Counter)| {
            let used = counter.used();
            CounterView {
                counter: stream.id.to_string(),
                spent: AmountsView::of(used.spent),
                reserved_usd: usd(used.reserved_micros),
                raised: AmountsView::of(used.raised),
                until: counter.period().map(|(_, until)| until),
                running: counter.reserved().count(),
            }
        };
        Ok(counters.into_iter().map(view).collect())
    }

    /// The live output of the run's attempts.
    #[must_use]
    pub fn live(&self, run: RunId) -> watch::Receiver<LiveRun> {
        self.engine.live(run)
    }

    /// A run as answers show it.
    ///
    /// # Errors
    /// There is no such run, or it cannot be folded.
    pub async fn view(&self, run: RunId) -> Result<RunView, Fault> {
        let known = self.driven().contains(&run);
        let drives = known || self.drives(run).await;
        let live = drives.then(|| self.engine.live(run).borrow().clone());
        let seen = self
            .engine
            .with_state(run, move |state| {
                let shared: Vec<BudgetTerms> = state.shared_budgets().cloned().collect();
                let tells = !state.definition().notify.is_empty();
                let driven = known || (drives && !state.is_ended());
                ((RunView::of(state, live.as_ref(), driven), referenced_values(state)), shared, tells)
            })
            .await?;
        let (seen, shared, tells) = seen;
        let mut view = self.shown(run, seen).await?;
        if tells {
            view.tells(self.engine.notice_stands(run));
            view.notices_given_up = self.given_up(run).await?;
        }
        view.workspace_removed = self.is_workspace_removed(&view).await?;
        let is_open = !view.status.is_ended();
        let asks = is_open && !shared.is_empty() && {
            let waits = self.engine.waiting_for_funds().await;
            waits.iter().any(|wait| wait.attempt.run == run)
        };
        // Of a run that failed for want of room, what follows depends on whether there is room now.
        let is_without_room = |failure: &FailureView| failure.kind == FailureKind::Budget;
        if is_open || view.failure.as_ref().is_some_and(is_without_room) {
            for terms in &shared {
                match self.engine.shared_budget(terms).await {
                    Ok(now) => now.iter().for_each(|now| view.shares(now, asks)),
                    // Shows the run all the same, with the counter's last known state.
                    Err(error) => tracing::warn!(%run, budget = terms.id, %error, "a counter cannot be read"),
                }
            }
        }
        if is_open {
            view.stands_in_line(self.engine.waiting(run, IN_LINE_MAX));
            view.stands_still(self.suspended(run, view.processes()).await);
            view.disk_full = *self.store.writability().borrow() == Writability::Full;
        }
        Ok(view)
    }

    /// Waits until the shared budget counters of a run have seen what was recorded up to `position` and have answered
    /// the run's requests; for [`COUNTERS_WAIT`] at most, and only where this node drives the run.
    pub(crate) async fn counters_have_answered(&self, run: RunId, position: Position) {
        if !self.driven().contains(&run) {
            return;
        }
        let mut events = self.store.subscribe(position);
        let answered = async {
            while self.engine.with_state(run, |state| state.is_asking_counters()).await.unwrap_or(false) {
                if events.next().await.is_err() {
                    return; // What follows is seen later.
                }
            }
        };
        let _later = tokio::time::timeout(COUNTERS_WAIT, answered).await;
    }

    /// A run as it was after an event.
    ///
    /// # Errors
    /// There is no such run, or it has not come that far.
    pub async fn view_at(&self, run: RunId, version: Version) -> Result<RunView, Fault> {
        let state = self.engine.state_at(run, version).await?;
        let mut view = self.shown(run, (RunView::of(&state, None, false), referenced_values(&state))).await?;
        view.workspace_removed = self.is_workspace_removed(&view).await?;
        Ok(view)
    }

    /// Where in the log a run came to a version; `None`: it is its newest.
    async fn passed_at(&self, run: RunId, version: Version) -> Result<Option<Position>, Fault> {
        let events = self.store.read(&StreamId::run(run), version, 2).await?;
        Ok((events.len() == 2).then(|| events[0].position))
    }

    /// Whether the folder of the workspace that a run had is recorded as removed, at the version of its view.
    async fn is_workspace_removed(&self, view: &RunView) -> Result<bool, Fault> {
        if !view.status.is_ended() || view.workspace.is_none() {
            return Ok(false);
        }
        let from = Version(view.version.get().saturating_sub(LAST_EVENTS)).next();
        let length = usize::try_from(view.version.get() - from.get() + 1).unwrap_or(CHUNK);
        let last = self.store.read(&StreamId::run(view.id), from, length).await?;
        Ok(last.iter().any(|envelope| {
            let header = &envelope.header;
            let event = event::decode(header.kind, header.schema, &envelope.payload);
            matches!(event, Ok(RunEvent::WorkspaceRemoved(_)))
        }))
    }

    /// Which of these attempts do not go on because a signal stopped their process.
    async fn suspended(&self, run: RunId, attempts: Vec<AttemptId>) -> Vec<(AttemptId, Suspended)> {
        if attempts.is_empty() {
            return Vec::new();
        }
        let layout = self.layout.clone();
        let look = move |attempt: AttemptId| {
            let folder = layout.attempt(&EffectId { run, attempt: attempt.clone() });
            suspended(&folder).map(|what| (attempt, what))
        };
        let looked = tokio::task::spawn_blocking(move || attempts.into_iter().filter_map(look).collect());
        // It is shown beside what is recorded, and may be missing.
        looked.await.unwrap_or_default()
    }

    /// Completes a view with the values that the state holds by reference.
    async fn shown(
        &self,
        run: RunId,
        (view, referenced): (Option<RunView>, ReferencedValues),
    ) -> Result<RunView, Fault> {
        let unknown = || Fault::new(Code::NoRun, format!("there is no run {run}"));
        let mut view = view.ok_or_else(unknown)?;
        if view.waits_for_slots {
            let at = self.passed_at(run, view.version).await?;
            for (_, slot) in in_order(&view.slots) {
                let Some(awaited) = self.awaited_at(run, &slot, at).await? else { continue };
                // One that no run holds keeps a paused run waiting no longer than its pause.
                let is_held = awaited.iter().any(|awaited| awaited.since.is_some());
                if !is_held && view.status == RunStatus::Paused {
                    continue;
                }
                let holders = awaited.into_iter().map(|awaited| awaited.run).collect();
                view.awaits.push(AwaitView::Slot { key: slot.key, holders });
            }
        }
        if let Some(value) = self.loaded(run, referenced.input).await? {
            view.input = value;
        }
        if let Some(value) = self.loaded(run, referenced.output).await? {
            view.output = value;
        }
        for (step, reference) in referenced.agents {
            let Some(loaded) = self.loaded(run, Some(reference)).await? else { continue };
            if let Some(shown) = view.steps.iter_mut().find(|shown| shown.id == step) {
                shown.model = model_of(&loaded);
            }
        }
        for (task, part, reference) in referenced.asked {
            let Some(loaded) = self.loaded(run, Some(reference)).await? else { continue };
            for awaited in &mut view.awaits {
                match (awaited, part) {
                    (AwaitView::Approval { task: own, show, .. }, TaskPart::Show) if *own == task => {
                        show.clone_from(&loaded);
                    }
                    (AwaitView::Approval { task: own, value, .. }, TaskPart::Value) if *own == task => {
                        value.clone_from(&loaded);
                    }
                    (AwaitView::Question { task: own, text, .. }, TaskPart::Text) if *own == task => {
                        text.clone_from(&loaded);
                    }
                    (AwaitView::Question { task: own, draft, .. }, TaskPart::Draft) if *own == task => {
                        draft.clone_from(&loaded);
                    }
                    _another => {}
                }
            }
        }
        Ok(view)
    }

    pub(super) async fn loaded(
        &self,
        run: RunId,
        reference: Option<ValueRef>,
    ) -> Result<Option<Value>, Fault> {
        match reference {
            Some(reference) if reference.size_bytes <= SHOWN_BYTES_MAX => {
                Ok(Some(self.engine.value(run, reference).await?.value()))
            }
            _none_or_too_large => Ok(None),
        }
    }

    /// The definition that a run is pinned to.
    ///
    /// # Errors
    /// There is no such run, or its definition cannot be read.
    pub async fn definition(&self, run: RunId) -> Result<Arc<Definition>, Fault> {
        Ok(self.engine.with_state(run, |state| Arc::clone(state.definition())).await?)
    }

    /// What an open approval shows of its run's workspace, as it lies there now; `None`: nothing of it.
    pub(crate) async fn look(&self, run: RunId, id: &AttemptId) -> Result<Option<Vec<SeenPart>>, Fault> {
        self.engine.look(run, id).await.map_err(|error| match error {
            LookError::Run(error) => error.into(),
            LookError::Workspace(failure) => Fault::new(
                Code::Refused,
                format!("what “{}” shows cannot be looked at: {}", id.path, failure.message),
            )
            .hint("put it back and vote again; a rejection is taken in any case"),
            other => Fault::new(Code::Internal, other.to_string()),
        })
    }

    /// The digest of what an approval shows.
    pub(crate) async fn seen_digest(&self, run: RunId, id: &AttemptId) -> Result<Option<Hash>, Fault> {
        let id = id.clone();
        Ok(self.engine.with_state(run, move |state| state.seen(&id).map(|seen| seen.digest)).await?)
    }

    /// The roles that may answer an approval or a question.
    pub(crate) async fn roles_asked(&self, run: RunId, id: &AttemptId) -> Result<Vec<String>, Fault> {
        let id = id.clone();
        let roles = self.engine.with_state(run, move |state| {
            let unit = state.asking_unit(&id);
            let of_question = unit.and_then(Unit::question).map(|question| &question.terms.roles);
            let of_approval = unit.and_then(Unit::approval).map(|approval| &approval.terms.roles);
            of_question.or(of_approval).cloned().unwrap_or_default()
        });
        Ok(roles.await?)
    }

    /// A number as a cursor of this store.
    pub(crate) fn cursor_text(&self, number: u64) -> String {
        cursor_text(&self.epoch, number)
    }

    /// Where the next part of a list begins, as a cursor of this store.
    pub(crate) fn list_cursor(&self, list: PagedList, next: Option<u64>) -> Option<String> {
        next.map(|number| list.text(&self.epoch, number))
    }

    /// Reads a list's cursor back.
    pub(crate) fn in_list(&self, list: PagedList, cursor: Option<&str>) -> Result<Option<u64>, Fault> {
        cursor.map(|text| list.number(&self.epoch, text)).transpose()
    }

    /// Where the next part of a list in the order of a field begins, as a cursor of this store.
    pub(crate) fn sorted_cursor(&self, list: PagedList, next: &SortedPlace) -> String {
        list.sorted_text(&self.epoch, next)
    }

    /// Reads the cursor of a list in the order of a field back.
    pub(crate) fn in_sorted_list(
        &self,
        list: PagedList,
        cursor: Option<&str>,
    ) -> Result<Option<SortedPlace>, Fault> {
        cursor.map(|text| list.sorted_place(&self.epoch, text)).transpose()
    }

    /// Reads a cursor back.
    pub(crate) fn cursor(&self, text: &str) -> Result<u64, Fault> {
        cursor(&self.epoch, text)
    }
}

/// References to values of a state that a view has to load.
struct ReferencedValues {
    input: Option<ValueRef>,
    output: Option<ValueRef>,
    /// What agents are to do, by their steps.
    agents: Vec<(String, ValueRef)>,
    asked: Vec<(String, TaskPart, ValueRef)>,
}

/// The parts of a task that may be held by reference.
#[derive(Debug, Clone, Copy)]
enum TaskPart {
    Show,
    Value,
    Text,
    Draft,
}

fn referenced_values(state: &RunState) -> ReferencedValues {
    let mut asked = Vec::new();
    for awaited in state.awaited() {
        let (Awaited::Approval { id, .. } | Awaited::Question { id, .. }) = awaited else { continue };
        let (Some(run), Some(unit)) = (state.run(), state.asking_unit(&id)) else { continue };
        let mut add = |part: TaskPart, kept: &StoredValue| {
            let reference = kept.reference();
            asked.extend(reference.map(|reference| (Task::id_of(run, &id, false), part, reference)));
        };
        if let Some(approval) = unit.approval() {
            add(TaskPart::Show, &approval.show);
            add(TaskPart::Value, approval.value());
        }
        if let Some(question) = unit.question() {
            add(TaskPart::Text, &question.text);
            add(TaskPart::Draft, &question.draft);
        }
    }
    let agents = state.definition().steps.iter().filter_map(|step| {
        let task = agent_in_flight(step, state.step(&step.id)?.1)?;
        Some((step.id.to_string(), task.reference()?))
    });
    ReferencedValues {
        input: state.input().reference(),
        output: state.output().reference(),
        agents: agents.take(AGENTS_MAX).collect(),
        asked,
    }
}

/// Whether a name is that of a work item: `PREFIX-N`. No id of a run is.
fn is_item(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.rsplit_once('-').is_some_and(|(prefix, number)| !prefix.is_empty() && is_number(number))
}
