//! Schedules: who looks at the clock, and what comes of it.
//!
//! Law: one task is the only writer of the schedules' streams. Nothing follows from a moment before its
//! fact is durable. Moments come only while somebody has the clock looked at ([`Engine::look_at_clock`]):
//! a process that owns a store for a moment starts nothing by itself.

mod desk;
mod known;
mod then;
mod tick;
mod trouble;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

pub(super) use desk::ScheduleDesk;

use super::engine::Engine;
use super::triggers::By;
use crate::definition::Schedule;
use crate::id::{Position, RunId, Version};
use crate::ledger::Change;
use crate::schedules::{BadSchedule, ScheduleOrigin, Settled, Timetable, is_name};
use crate::time::Timestamp;
use crate::triggers::Outcome;

/// Orders that wait for the desk; those who bring more wait, too.
const WAITING_MAX: usize = 64;

/// Why something was not done to a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The name is none.
    #[error("“{0}” is no name of a schedule: lower-case letters, digits, - and _, at most 64")]
    BadName(String),
    /// It has no moments.
    #[error(transparent)]
    Bad(#[from] BadSchedule),
    /// There is no such schedule.
    #[error("there is no schedule “{0}”")]
    NotFound(String),
    /// There is one of this name, and it is another one.
    #[error("there is a schedule “{0}” already")]
    Exists(String),
    /// It belongs to a pipeline.
    #[error("“{name}” is a trigger of the pipeline {pipeline}")]
    OfPipeline {
        /// The schedule.
        name: String,
        /// The pipeline.
        pipeline: String,
    },
    /// It is so already.
    #[error("{0}")]
    AlreadySo(String),
    /// The idempotency key was used for another order.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The store cannot be read, or takes nothing.
    #[error("{0}")]
    Store(String),
    /// The engine ends.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

/// A schedule that somebody adds.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSchedule {
    /// Its name.
    pub name: String,
    /// Its moments.
    pub schedule: Schedule,
    /// What it does.
    pub origin: ScheduleOrigin,
}

/// A schedule as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleRecord {
    /// Its name.
    pub name: String,
    /// Its moments; `None`: they cannot be read.
    pub schedule: Option<Schedule>,
    /// Where it comes from, and what it does.
    pub origin: ScheduleOrigin,
    /// Since when, and why, it stands still.
    pub paused: Option<(Timestamp, Option<String>)>,
    /// When the next moment is due.
    pub next: Option<Timestamp>,
    /// Moments that have come and wait.
    pub waiting: usize,
    /// The last moments that led to something, the newest last.
    pub settled: Vec<Settled>,
    /// How many moments were passed over, by reason.
    pub passed: BTreeMap<String, u64>,
}

/// A moment that somebody asked for.
#[derive(Debug)]
pub struct Ticked {
    /// The place of its fact in the store.
    pub position: Position,
    /// It was asked for before, under the same key: what it led to stands with the schedule.
    pub repeated: bool,
    /// Resolves with what it led to; never where the engine ends before.
    pub outcome: oneshot::Receiver<Outcome>,
}

type Answer<T> = oneshot::Sender<Result<T, ScheduleError>>;

/// What the desk is told.
enum Ask {
    /// Another version of a pipeline is saved.
    Sync(oneshot::Sender<()>),
    /// It is to look at the clock.
    Look(oneshot::Sender<()>),
    /// A schedule is to be there.
    Add(Box<NewSchedule>, By, Answer<Change>),
    /// A schedule is to be no more.
    Remove(String, By, Option<String>, Answer<Change>),
    /// A schedule is to stand still, or to go on.
    Pause(String, bool, By, Option<String>, Answer<Change>),
    /// What a moment would do is to be done now.
    Trigger(String, By, Answer<Ticked>),
    /// Runs are about to be told.
    Mean(String, Version, Vec<RunId>, oneshot::Sender<()>),
    /// All schedules.
    List(Answer<Vec<ScheduleRecord>>),
}

/// The way to the desk.
pub(super) struct SchedulePost {
    asks: mpsc::Sender<Ask>,
    desk: Mutex<Option<mpsc::Receiver<Ask>>>,
}

impl Default for SchedulePost {
    fn default() -> Self {
        let (asks, desk) = mpsc::channel(WAITING_MAX);
        Self { asks, desk: Mutex::new(Some(desk)) }
    }
}

impl SchedulePost {
    /// The receiving end, once.
    fn take(&self) -> Option<mpsc::Receiver<Ask>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Resolves when the schedules are those of the newest saved pipelines.
    pub(super) async fn sync(&self) {
        let (answer, done) = oneshot::channel();
        if self.asks.send(Ask::Sync(answer)).await.is_ok() {
            // A desk that is gone leaves it to the next engine.
            let _gone = done.await;
        }
    }

    async fn ask<T>(&self, ask: impl FnOnce(Answer<T>) -> Ask) -> Result<T, ScheduleError> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(ask(answer)).await.map_err(|_| ScheduleError::ShuttingDown)?;
        answered.await.unwrap_or(Err(ScheduleError::ShuttingDown))
    }
}

impl Engine {
    /// Looks at the clock: records the moments of schedules that have come, and has follow what they lead
    /// to; gives up what waited for too long. To be called every second; resolves when the facts are durable.
    pub async fn look_at_clock(&self) {
        let shared = &self.inner.shared;
        shared.hooks.tick();
        let (answer, done) = oneshot::channel();
        if shared.schedules.asks.send(Ask::Look(answer)).await.is_ok() {
            let _gone = done.await;
        }
    }

    /// Adds a schedule; its moments count from here on.
    ///
    /// # Errors
    /// [`ScheduleError`]
    pub async fn add_schedule(&self, new: NewSchedule, by: impl Into<By>) -> Result<Change, ScheduleError> {
        if !is_name(&new.name) {
            return Err(ScheduleError::BadName(new.name.chars().take(64).collect()));
        }
        Timetable::new(&new.schedule)?;
        let by = by.into();
        self.inner.shared.schedules.ask(|answer| Ask::Add(Box::new(new), by, answer)).await
    }

    /// Removes a schedule that somebody added.
    ///
    /// # Errors
    /// [`ScheduleError`]
    pub async fn remove_schedule(
        &self,
        name: &str,
        reason: Option<String>,
        by: impl Into<By>,
    ) -> Result<Change, ScheduleError> {
        let (name, by) = (name.to_owned(), by.into());
        self.inner.shared.schedules.ask(|answer| Ask::Remove(name, by, reason, answer)).await
    }

    /// Has a schedule stand still, or go on.
    ///
    /// # Errors
    /// [`ScheduleError`]
    pub async fn pause_schedule(
        &self,
        name: &str,
        pauses: bool,
        reason: Option<String>,
        by: impl Into<By>,
    ) -> Result<Change, ScheduleError> {
        let (name, by) = (name.to_owned(), by.into());
        self.inner.shared.schedules.ask(|answer| Ask::Pause(name, pauses, by, reason, answer)).await
    }

    /// Does now what a moment of a schedule would do, whatever else it does.
    ///
    /// # Errors
    /// [`ScheduleError`]
    pub async fn trigger_schedule(&self, name: &str, by: impl Into<By>) -> Result<Ticked, ScheduleError> {
        let (name, by) = (name.to_owned(), by.into());
        self.inner.shared.schedules.ask(|answer| Ask::Trigger(name, by, answer)).await
    }

    /// All schedules, in the order of their names.
    ///
    /// # Errors
    /// [`ScheduleError::Store`]
    pub async fn schedules(&self) -> Result<Vec<ScheduleRecord>, ScheduleError> {
        self.inner.shared.schedules.ask(Ask::List).await
    }
}
