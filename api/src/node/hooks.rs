//! Deliveries of webhooks: received, submitted by hand, handled again, listed.

use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::definition::similar;
use everfold_engine::driver::{By, DeliveryRecord, Receipt};
use everfold_engine::hooks::{DeliveryReceived, TriggerOutcome, is_source};
use everfold_engine::id::{Position, RunId};
use everfold_engine::time::Timestamp;
use everfold_engine::triggers::Outcome;
use everfold_workflows::hook::{self, DeliveryReadError, Headers, HookSettings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::handle::Node;
use super::write_receipt::WriteReceipt;
use crate::fault::{Code, Fault};
use crate::schema;

/// How long an answer waits for the outcome of a delivery. The delivery is durable before; a late outcome is only
/// missing from the answer.
const OUTCOME: Duration = Duration::from_secs(30);

/// A delivery as answers show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeliveryView {
    /// What its sender calls it.
    pub id: String,
    /// Its source.
    pub source: String,
    /// What kind of event it tells of.
    pub name: Option<String>,
    /// Who is behind it.
    pub sender: Option<String>,
    /// When it came.
    #[schema(value_type = schema::TimeSchema)]
    pub received_at: Timestamp,
    /// It had come before; nothing was recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// What it led to, each time that it was handled; empty: it is not handled yet.
    pub handled: Vec<HandlingView>,
    /// What triggers see of it; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
}

/// What a delivery led to, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HandlingView {
    /// Which time, from 1.
    pub nth: u32,
    /// When.
    #[schema(value_type = schema::TimeSchema)]
    pub at: Timestamp,
    /// Who submitted it by hand, or asked for it again.
    pub by: Option<String>,
    /// By trigger; empty: no saved pipeline listens to the source.
    pub outcomes: Vec<OutcomeView>,
}

/// The word for what a trigger made of a delivery or a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeWord {
    /// A run was started.
    Started,
    /// A run has the key already.
    Held,
    /// Runs got the signal.
    Signalled,
    /// Runs got the signal, and follow it when the work that executes has ended.
    Deferred,
    /// Runs got the signal, and keep it for a step to come.
    Kept,
    /// It is for no run.
    Ignored,
    /// It was refused.
    Refused,
    /// It waits for a run.
    Parked,
}

impl OutcomeWord {
    /// All of them, as the API's document lists them.
    pub const ALL: [Self; 8] = [
        Self::Started,
        Self::Held,
        Self::Signalled,
        Self::Deferred,
        Self::Kept,
        Self::Ignored,
        Self::Refused,
        Self::Parked,
    ];
}

impl From<&Outcome> for OutcomeWord {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Started { .. } => Self::Started,
            Outcome::Held { .. } => Self::Held,
            Outcome::Signalled { .. } => Self::Signalled,
            Outcome::Deferred { .. } => Self::Deferred,
            Outcome::Kept { .. } => Self::Kept,
            Outcome::Ignored { .. } => Self::Ignored,
            Outcome::Refused { .. } => Self::Refused,
            Outcome::Parked { .. } | Outcome::StartParked { .. } => Self::Parked,
        }
    }
}

impl std::fmt::Display for OutcomeWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// What a trigger made of a delivery or a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OutcomeView {
    /// The pipeline; null where it is known already.
    pub pipeline: Option<String>,
    /// Which of its triggers, from 1.
    pub trigger: Option<u32>,
    /// `started`, `held`, `signalled`, `deferred`, `kept`, `ignored`, `refused`, `parked`.
    #[schema(value_type = String)]
    pub outcome: OutcomeWord,
    /// The runs that it reached.
    #[schema(value_type = Vec<schema::RunIdSchema>)]
    pub runs: Vec<RunId>,
    /// The signal.
    pub signal: Option<String>,
    /// A stable word for programs, where it was refused.
    pub code: Option<String>,
    /// Why, or the run that it waits for.
    pub reason: Option<String>,
}

impl OutcomeView {
    /// The view of an outcome.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        let view = Self {
            pipeline: None,
            trigger: None,
            outcome: outcome.into(),
            runs: outcome.runs(),
            signal: None,
            code: None,
            reason: None,
        };
        match outcome.clone() {
            Outcome::Started { .. } => view,
            Outcome::Held { .. } => {
                Self { reason: Some("it has the key already; nothing was started".to_owned()), ..view }
            }
            Outcome::Signalled { signal, .. } => Self { signal: Some(signal), ..view },
            Outcome::Deferred { signal, .. } => {
                let reason = Some("it is followed when the work that executes has ended".to_owned());
                Self { signal: Some(signal), reason, ..view }
            }
            Outcome::Kept { signal, .. } => {
                let reason = Some("it is kept for a step that waits for it and has not begun".to_owned());
                Self { signal: Some(signal), reason, ..view }
            }
            Outcome::Ignored { why } => Self { reason: Some(why), ..view },
            Outcome::Refused { code, message } => Self { code: Some(code), reason: Some(message), ..view },
            Outcome::StartParked { why } => {
                Self { reason: Some(format!("{why}; the trigger is asked again")), ..view }
            }
            Outcome::Parked { signal, to } => {
                let reason = Some(format!("it waits for an unended run with {to}"));
                Self { signal: Some(signal), reason, ..view }
            }
        }
    }

    fn of_trigger(one: &TriggerOutcome) -> Self {
        let (pipeline, trigger) = (Some(one.pipeline.clone()), Some(one.trigger + 1));
        Self { pipeline, trigger, ..Self::of(&one.outcome) }
    }
}

impl DeliveryView {
    fn of(record: &DeliveryRecord) -> Self {
        let handled = record.handled.iter().map(|handling| HandlingView {
            nth: handling.nth,
            at: handling.at,
            by: handling.by.as_ref().map(ToString::to_string),
            outcomes: handling.outcomes.iter().map(OutcomeView::of_trigger).collect(),
        });
        Self {
            id: record.id.clone(),
            source: record.source.clone(),
            name: record.name.clone(),
            sender: record.sender.clone(),
            received_at: record.received_at,
            repeated: false,
            handled: handled.collect(),
            event: None,
        }
    }
}

pub(super) fn read(
    settings: &HookSettings,
    headers: &Headers,
    raw: &[u8],
    id: Option<&str>,
) -> Result<DeliveryReceived, Fault> {
    hook::read(settings, headers, raw, id).map_err(|error| match &error {
        DeliveryReadError::TooLarge { .. } | DeliveryReadError::TooLargeCut(_) => {
            Fault::new(Code::TooLarge, error.to_string())
                .hint("a delivery may have 1 MiB, a signed one 4 MiB; have the source send less")
        }
        DeliveryReadError::Foreign { .. } => Fault::new(Code::Unreadable, error.to_string())
            .hint("`reader` of `[hooks.SOURCE]` in the settings says what its deliveries look like"),
        _unreadable => Fault::new(Code::Unreadable, error.to_string())
            .hint("a delivery's body is JSON; set the content type of the webhook to application/json"),
    })
}

impl Node {
    /// Records a delivery that an operator submits; resolves when it is durable and, within half a minute, so is its
    /// outcome. `id` names it in place of the id that its headers hold.
    ///
    /// # Errors
    /// It cannot be read, or the store takes nothing.
    pub async fn deliver(
        &self,
        source: &str,
        headers: &Headers,
        raw: &[u8],
        id: Option<&str>,
        by: Actor,
    ) -> Result<(WriteReceipt, DeliveryView), Fault> {
        self.may_write()?;
        if let Some(id) = id.filter(|id| !hook::is_id(id)) {
            let what = format!("`id`: “{}” is no id of a delivery", everfold_engine::text::one_line(id));
            let hint = "1 to 160 bytes without control characters; without it the delivery is named by what it holds";
            return Err(Fault::new(Code::Invalid, what).hint(hint));
        }
        let settings = self.hooks.get(source).cloned().unwrap_or_default();
        // The request itself was readable: it is the delivery in it that cannot be read.
        let delivery = read(&settings, headers, raw, id).map_err(|fault| match fault.code {
            Code::Unreadable => Fault { code: Code::BadDelivery, ..fault },
            _other => fault,
        })?;
        let id = delivery.id.clone();
        let receipt = self.engine().deliver_by(source, delivery, by).await?;
        self.await_outcome(source, &id, receipt).await
    }

    /// Handles a delivery once more.
    ///
    /// # Errors
    /// There is none, or the store takes nothing.
    pub async fn redeliver(
        &self,
        source: Option<&str>,
        id: &str,
        by: By,
    ) -> Result<(WriteReceipt, DeliveryView), Fault> {
        self.may_write()?;
        let (record, _) = self.engine().delivery(source, id).await?;
        let receipt = self.engine().redeliver(&record, by).await?;
        let (went, view) = self.await_outcome(&record.source, &record.id, receipt).await?;
        // The repeated write is this order, not the delivery.
        Ok((went, DeliveryView { repeated: false, ..view }))
    }

    async fn await_outcome(
        &self,
        source: &str,
        id: &str,
        receipt: Receipt,
    ) -> Result<(WriteReceipt, DeliveryView), Fault> {
        let Receipt { position, repeated, outcome, .. } = receipt;
        if let Ok(Ok(outcomes)) = tokio::time::timeout(OUTCOME, outcome).await {
            for run in outcomes.iter().flat_map(|one| one.outcome.runs()) {
                if repeated {
                    // A former owner of the folder may have started the run.
                    self.drive(run, true).await?;
                } else {
                    self.note_driven(run, true);
                }
            }
        }
        let (record, _) = self.engine().delivery(Some(source), id).await?;
        Ok((
            WriteReceipt { position, replayed: repeated },
            DeliveryView { repeated, ..DeliveryView::of(&record) },
        ))
    }

    /// Refuses the name of a source that the settings do not have, and of which nothing was delivered by hand either.
    ///
    /// # Errors
    /// There is no such source, or the store cannot be read.
    pub(crate) async fn refuse_unknown_source(&self, source: &str) -> Result<(), Fault> {
        // What is no name of a source is refused as that.
        if self.hooks.contains_key(source) || !is_source(source) {
            return Ok(());
        }
        let delivered = self.engine().hook_sources().await?;
        if delivered.iter().any(|known| known == source) {
            return Ok(());
        }
        let known = self.hooks.keys().chain(&delivered).map(String::as_str);
        let near = similar(source, known).map(|near| format!("did you mean “{near}”?"));
        self.source(source).map(drop).map_err(|fault| fault.hinted(near))
    }

    /// Deliveries of a source, or of all, the newest first, and where to go on behind them.
    ///
    /// # Errors
    /// That is no name of a source, or the store cannot be read.
    pub async fn deliveries(
        &self,
        source: Option<&str>,
        before: Option<Position>,
        limit: usize,
    ) -> Result<(Vec<DeliveryView>, Option<Position>), Fault> {
        let sources = match source {
            Some(source) if !is_source(source) => {
                return Err(Fault::new(Code::Invalid, format!("“{source}” is no name of a source")));
            }
            Some(source) => vec![source.to_owned()],
            None => self.engine().hook_sources().await?,
        };
        let mut found = Vec::new();
        for source in sources {
            found.extend(self.engine().deliveries(&source, before, limit + 1).await?);
        }
        found.sort_by_key(|record| std::cmp::Reverse(record.position));
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more).map(|record| record.position);
        Ok((found.iter().map(DeliveryView::of).collect(), next))
    }

    /// One delivery, with what triggers see of it.
    ///
    /// # Errors
    /// There is none, or the store cannot be read.
    pub async fn delivery(&self, source: Option<&str>, id: &str) -> Result<DeliveryView, Fault> {
        let (record, event): (DeliveryRecord, DeliveryReceived) = self.engine().delivery(source, id).await?;
        let occasion = event.trigger_event(&record.source, record.received_at);
        Ok(DeliveryView { event: Some(occasion.event), ..DeliveryView::of(&record) })
    }
}
