//! The fold of `stages`: rows in memory while something happens to them, in the storage with each checkpoint.
//!
//! Law: a run whose definition names no stage gets no row, and no key. The indexes say of tasks that go on that they do and in
//! which stage; what is found of a past position is looked at row by row.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_base::id::RunId;
use everfold_base::json::Hash;
use everfold_core::event::{Origin, OriginKind, RunEvent};

use super::history::{StageHistory, StageRecord};
use super::jobs::JobCounts;
use super::layout::StageLayout;
use super::query::{HEAD, continued_key, definition_key, history_key, record_key, run_key};
use super::read_event::stage_fact;
use super::terms;
use crate::columns::DefinitionColumns;
use crate::event_readers::{STAGES, is_read_by};
use crate::id_map::IdMap;
use crate::index::bitmap_index;
use crate::index::lifetimes;
use crate::projection::{Fact, FoldError, Projection};
use crate::row_codec;
use crate::write_batch::WriteBatch;

/// Rows that stay in memory though nothing happens to them.
const IDLE_MAX: usize = 2_048;
/// Definitions whose stages stay in memory.
const LAYOUTS_MAX: usize = 256;
/// The label that names the work item of a task, as `ET-018`.
const ITEM: &str = "item";

/// The read model `stages`.
#[derive(Default)]
pub struct StagesModel {
    count: u32,
    /// The log has a definition that names stages.
    is_any_staged: bool,
    cached: IdMap<RunId, Option<CachedStageRow>>,
    layouts: IdMap<Hash, Option<Arc<StageLayout>>>,
    unseen: Vec<RunId>,
    is_count_changed: bool,
    jobs: JobCounts,
}

struct CachedStageRow {
    number: u32,
    layout: Arc<StageLayout>,
    record: StageRecord,
    /// Its last form is not published.
    is_unseen: bool,
}

impl StagesModel {
    /// The stages of a definition; `None` where it names none.
    fn layout(
        &mut self,
        definition: &Hash,
        batch: &WriteBatch,
    ) -> Result<Option<Arc<StageLayout>>, FoldError> {
        if let Some(known) = self.layouts.get(definition) {
            return Ok(known.clone());
        }
        if self.layouts.len() >= LAYOUTS_MAX {
            self.layouts.clear();
        }
        let stored = batch.get(&definition_key(definition))?;
        let layout = stored.map(|bytes| row_codec::read(&mut &*bytes)).transpose()?.map(Arc::new);
        self.layouts.insert(*definition, layout.clone());
        Ok(layout)
    }

    /// Brings a run's row into memory, if it has one.
    fn load(&mut self, run: RunId, batch: &WriteBatch) -> Result<(), FoldError> {
        if self.cached.contains_key(&run) {
            return Ok(());
        }
        let number = match batch.get(&run_key(run))? {
            Some(bytes) => Some(row_codec::read(&mut &*bytes)?),
            None => None,
        };
        let Some(number) = number else {
            self.cached.insert(run, None);
            return Ok(());
        };
        let bytes = batch.get(&record_key(number))?;
        let bytes = bytes.ok_or_else(|| FoldError::Row("a task has a number and no row".to_owned()))?;
        let record: StageRecord = row_codec::read(&mut &*bytes)?;
        let layout = self.layout(&record.definition, batch)?.unwrap_or_default();
        self.cached.insert(run, Some(CachedStageRow { number, layout, record, is_unseen: false }));
        Ok(())
    }

    /// Adds the row of a run that begins, where its definition names stages.
    fn begin(&mut self, fact: &Fact<'_>, definition: &Hash, batch: &mut WriteBatch) -> Result<(), FoldError> {
        let Some(layout) = self.layout(definition, batch)? else {
            self.cached.insert(fact.run, None);
            return Ok(());
        };
        let number = self.count;
        self.count += 1;
        self.is_count_changed = true;
        lifetimes::born(batch, number, fact.position)?;
        batch.put(&run_key(fact.run), row_codec::encode(&number)?);
        bitmap_index::set(batch, &terms::open(), number, true)?;
        let record = StageRecord::new(fact.run, *definition, fact.position);
        self.cached.insert(fact.run, Some(CachedStageRow { number, layout, record, is_unseen: true }));
        self.unseen.push(fact.run);
        Ok(())
    }

    fn fold(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        match fact.event {
            RunEvent::RunStarted(event) => {
                self.begin(fact, &event.definition, batch)?;
                return self.index_item(fact, event.labels.get(ITEM), batch);
            }
            RunEvent::RunForked(event) => {
                self.begin(fact, &event.definition, batch)?;
                self.continue_origin(fact, &event.origin, batch)?;
                for copied in fact.taken_over() {
                    if let RunEvent::RunStarted(event) = copied.event {
                        self.index_item(fact, event.labels.get(ITEM), batch)?;
                    } else {
                        self.fold(&copied, batch)?;
                    }
                }
            }
            _goes_on => {}
        }
        self.load(fact.run, batch)?;
        if let Some(item) = labels(fact.event).and_then(|labels| labels.get(ITEM)) {
            self.index_item(fact, Some(item), batch)?;
        }
        self.note(fact, batch)
    }

    /// Folds what an event tells into the row.
    fn note(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        let Some(Some(task)) = self.cached.get_mut(&fact.run) else { return Ok(()) };
        let Some(reported) = stage_fact(fact, &task.layout) else { return Ok(()) };
        let (was_ended, stage) = (task.record.now.is_ended, task.record.now.stage.clone());
        self.jobs.before(&task.record.now, &reported, fact);
        if let Some(full) = task.record.add(reported, fact.position, fact.context.recorded_at) {
            store_history(task.number, &full, batch)?;
        }
        let now = &task.record.now;
        self.jobs.after(now);
        if now.is_ended && !was_ended {
            lifetimes::ended(batch, task.number, fact.position)?;
            bitmap_index::set(batch, &terms::open(), task.number, false)?;
        }
        if now.stage != stage {
            for (stage, on) in [(&stage, false), (&now.stage, true)] {
                if let Some(stage) = stage {
                    bitmap_index::set(batch, &terms::stage(stage), task.number, on)?;
                }
            }
        }
        if !std::mem::replace(&mut task.is_unseen, true) {
            self.unseen.push(fact.run);
        }
        Ok(())
    }

    /// Notes that the run goes on with the task of another one; a fork is a task of its own.
    fn continue_origin(
        &self,
        fact: &Fact<'_>,
        origin: &Origin,
        batch: &mut WriteBatch,
    ) -> Result<(), FoldError> {
        let key = continued_key(origin.run);
        if origin.how != OriginKind::Fork
            && self.cached.get(&fact.run).is_some_and(Option::is_some)
            && batch.get(&key)?.is_none()
        {
            batch.put(&key, row_codec::encode(&fact.position)?);
        }
        Ok(())
    }

    /// Finds the task by the number of its work item, whatever stands in front of it.
    fn index_item(
        &mut self,
        fact: &Fact<'_>,
        item: Option<&String>,
        batch: &mut WriteBatch,
    ) -> Result<(), FoldError> {
        let Some(Some(task)) = self.cached.get(&fact.run) else { return Ok(()) };
        if let Some(digits) = item.and_then(|item| terms::item_number(item)) {
            bitmap_index::set(batch, &terms::item(digits), task.number, true)?;
        }
        Ok(())
    }
}

/// The labels that an event gives its run.
fn labels(event: &RunEvent) -> Option<&BTreeMap<String, String>> {
    match event {
        RunEvent::StepSucceeded(event) => Some(&event.labels),
        RunEvent::AttemptSucceeded(event) => Some(&event.notes.labels),
        RunEvent::AttemptFailed(event) => Some(&event.notes.labels),
        RunEvent::AttemptAsked(event) => Some(&event.notes.labels),
        _gives_none => None,
    }
}

fn store_history(number: u32, history: &StageHistory, batch: &mut WriteBatch) -> Result<(), FoldError> {
    batch.put(&history_key(number, history.first), row_codec::encode(history)?);
    Ok(())
}

impl Projection for StagesModel {
    const NAME: &'static str = "stages";
    const SCHEMA: u32 = 4;

    fn handles(event: &RunEvent) -> bool {
        is_read_by(event, STAGES)
    }

    fn open(batch: &WriteBatch) -> Result<Self, FoldError> {
        let (count, is_any_staged) = match batch.get(HEAD)? {
            Some(bytes) => row_codec::read(&mut &*bytes)?,
            None => (0, false),
        };
        Ok(Self { count, is_any_staged, jobs: JobCounts::open(batch)?, ..Self::default() })
    }

    fn define(&mut self, defined: &DefinitionColumns, batch: &mut WriteBatch) -> Result<(), FoldError> {
        let Some((_, layout)) = &defined.stages else { return Ok(()) };
        batch.put(&definition_key(&defined.definition), row_codec::encode(layout)?);
        self.layouts.remove(&defined.definition);
        (self.is_any_staged, self.is_count_changed) = (true, true);
        Ok(())
    }

    fn apply(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        // Where no pipeline has stages, nothing is kept and nothing is looked up.
        if self.is_any_staged { self.fold(fact, batch) } else { Ok(()) }
    }

    fn publish(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        for run in std::mem::take(&mut self.unseen) {
            let Some(Some(task)) = self.cached.get_mut(&run) else { continue };
            batch.put(&record_key(task.number), row_codec::encode(&task.record)?);
            task.is_unseen = false;
        }
        self.jobs.publish(batch)?;
        if std::mem::take(&mut self.is_count_changed) {
            batch.put(HEAD, row_codec::encode(&(self.count, self.is_any_staged))?);
        }
        Ok(())
    }

    fn settle(&mut self, _batch: &mut WriteBatch) -> Result<(), FoldError> {
        Ok(())
    }

    fn unsettled(&self) -> usize {
        self.unseen.len()
    }

    fn trim(&mut self) {
        if self.cached.len() > IDLE_MAX {
            self.cached.retain(|_, task| task.as_ref().is_some_and(|task| task.is_unseen));
        }
    }
}
