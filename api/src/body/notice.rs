//! Bodies of `/notices` and `/subscriptions`.

use everfold_engine::driver::ResendStand;
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::notifications::UndeliveredNotice;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::schema;

/// How a notice stands that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeStatus {
    /// It is not sent any more.
    Dead,
    /// It is being sent again.
    Retrying,
    /// It was dropped by this request.
    Dropped,
    /// It was to be sent again, and dropped: a newer one of its channel took its place.
    Superseded,
}

impl NoticeStatus {
    /// All of them, as the API's document lists them.
    pub const ALL: [Self; 4] = [Self::Dead, Self::Retrying, Self::Dropped, Self::Superseded];
}

impl std::fmt::Display for NoticeStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// A notice that did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NoticeView {
    /// What `retry` and `drop` take: `RUN:VERSION:NOTICE`.
    pub id: String,
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub run: RunId,
    /// The version of the event that it tells of.
    #[schema(value_type = u64)]
    pub version: Version,
    /// The notice of the run's pipeline, or `subscription:NAME`.
    pub notice: String,
    /// The subscription that it belongs to; null: it is of the run's pipeline.
    pub subscription: Option<String>,
    /// The type of the event; null where it cannot be read.
    pub event: Option<String>,
    /// `dead`; `retrying` where it is being sent again; `dropped` in the answer to `drop`;
    /// `superseded` in the answer to `retry` where a newer one of its channel took its place, so it was dropped.
    #[schema(value_type = String)]
    pub status: NoticeStatus,
    /// Tries in all.
    pub tries: u32,
    /// Why the last one failed.
    pub message: String,
    /// When it was given up.
    #[schema(value_type = schema::TimeSchema)]
    pub at: Timestamp,
    /// Who wants it to be sent again.
    pub again_by: Option<String>,
}

/// A subscription, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SubscriptionView {
    /// Its name in the settings.
    pub name: String,
    /// The function that tells.
    pub function: String,
    /// The types of events that it is for.
    pub events: Vec<String>,
    /// `waiting`: everything was told. `telling`: there is something. `failing`: the last try came to nothing.
    /// `idle`: this process does not go on with runs, so it sends nothing.
    pub state: String,
    /// It has looked at everything up to here; null: it has never begun.
    #[schema(value_type = Option<u64>)]
    pub position: Option<Position>,
    /// Events that it has not looked at.
    pub lag: u64,
    /// How many were told.
    #[serde(rename = "told")]
    pub delivered: u64,
    /// How many were given up.
    pub given_up: u64,
    /// When the last one was told.
    #[schema(value_type = Option<schema::TimeSchema>)]
    #[serde(rename = "last_told_at")]
    pub last_delivered_at: Option<Timestamp>,
    /// What it tells of, or tries to.
    pub telling: Option<String>,
    /// Tries of that so far.
    pub tries: u32,
    /// When it is tried again.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub next_try_at: Option<Timestamp>,
    /// Why the last try failed.
    pub failing: Option<String>,
}

impl NoticeView {
    pub(crate) fn of(delivery: &UndeliveredNotice) -> Self {
        Self {
            id: delivery.id.to_string(),
            run: delivery.id.run,
            version: delivery.id.version,
            notice: delivery.id.notice.clone(),
            subscription: delivery.id.subscription().map(str::to_owned),
            event: Some(delivery.event.clone()).filter(|event| !event.is_empty()),
            status: if delivery.again.is_some() { NoticeStatus::Retrying } else { NoticeStatus::Dead },
            tries: delivery.tries,
            message: delivery.message.clone(),
            at: delivery.at,
            again_by: delivery.again.as_ref().map(|again| again.by.clone()),
        }
    }
}

impl NoticeView {
    /// With the tries of the resend that is in progress, and why the last of them failed.
    pub(crate) fn resent(mut self, stand: Option<&ResendStand>) -> Self {
        if let Some(stand) = stand.filter(|_| self.status == NoticeStatus::Retrying) {
            self.tries = stand.tries;
            self.message.clone_from(&stand.message);
        }
        self
    }
}

/// A test that arrived.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct TestAnswer {
    /// The subscription.
    pub(crate) subscription: String,
    /// The function took it.
    #[serde(rename = "told")]
    pub(crate) delivered: bool,
}
