//! Notices that were given up, and subscriptions to events of all runs.
//!
//! Law: one list from two sources. The read models know the notices that runs gave up; the engine's own stream knows
//! those that subscriptions gave up, and which of either were sent again or dropped since.

use std::cmp::Reverse;
use std::sync::Arc;

use everfold_engine::driver::{By, NoticeSubscription};
use everfold_engine::envelope::StreamId;
use everfold_engine::event::RunEvent;
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::notifications::{NoticeId, Notices, UndeliveredNotice};
use everfold_engine::time::Timestamp;
use everfold_projections::FailedNotice;

use super::handle::Node;
use super::write_receipt::WriteReceipt;
use crate::body::notice::{NoticeStatus, NoticeView, SubscriptionView};
use crate::fault::{Code, Fault};

/// Given-up notices of runs that are read at most for one answer.
const LOST_MAX: usize = 10_000;
/// Given-up notices that the view of one run shows at most.
const GIVEN_UP_MAX: usize = 20;

fn delivery(lost: FailedNotice, event: String) -> UndeliveredNotice {
    let FailedNotice { run, version, notice, tries, message, at, .. } = lost;
    UndeliveredNotice { id: NoticeId { run, version, notice }, event, tries, message, at, again: None }
}

impl Node {
    /// Starts the delivery of notices to subscriptions and the sending of traces, once: when this process begins to
    /// drive runs. Services that asked a former engine for a pause are left alone from then on.
    pub(super) async fn attend_notices(&self) {
        self.engine.leave_services_alone().await;
        self.traces.begin(&self.store, &self.layout);
        self.telling.get_or_init(|| self.engine.tell(self.subscriptions.clone())).await;
    }

    /// The given-up notices, newest first, behind `after`.
    ///
    /// # Errors
    /// The store or the read models cannot be read.
    pub async fn lost_notices(
        &self,
        after: Option<(Timestamp, String)>,
        limit: usize,
    ) -> Result<(Vec<NoticeView>, bool), Fault> {
        let notices = self.engine().notices().await?;
        let of_runs = self.views.failed_notices(None, |lost| lost.newest(None, LOST_MAX)).await?.value;
        let resends = self.engine().resends();
        let view =
            |delivery: &Arc<UndeliveredNotice>| NoticeView::of(delivery).resent(resends.get(&delivery.id));
        let mut views: Vec<NoticeView> = notices.undelivered().map(view).collect();
        views.extend(of_runs.into_iter().filter_map(|lost| unsettled(&notices, lost)));
        let place = |view: &NoticeView| (Reverse(view.at), view.id.clone());
        views.sort_by_key(place);
        if let Some((at, id)) = after {
            let place_of_last = (Reverse(at), id);
            views.retain(|view| place(view) > place_of_last);
        }
        let has_more = views.len() > limit;
        views.truncate(limit);
        for view in views.iter_mut().filter(|view| view.event.is_none()) {
            view.event = self.type_of(view.run, view.version).await?;
        }
        Ok((views, has_more))
    }

    /// The given-up notices of a run that were neither sent again nor dropped since, as far as the read models have
    /// folded.
    pub(super) async fn given_up(&self, run: RunId) -> Result<Vec<NoticeView>, Fault> {
        let at_once = Some(Position::ZERO);
        let lost =
            self.views.failed_notices(at_once, move |lost| lost.of_run(run, GIVEN_UP_MAX)).await?.value;
        if lost.is_empty() {
            return Ok(Vec::new());
        }
        let notices = self.engine().notices().await?;
        let resends = self.engine().resends();
        let mut views = Vec::new();
        for lost in lost {
            let delivery = delivery(lost, String::new());
            if notices.is_settled(&delivery.id) {
                continue;
            }
            // One that is sent again, or was in vain, is lost until it arrives.
            let mut view = match notices.find(&delivery.id) {
                Some(again) => NoticeView::of(again).resent(resends.get(&again.id)),
                None => NoticeView::of(&delivery),
            };
            if view.event.is_none() {
                view.event = self.type_of(view.run, view.version).await?;
            }
            views.push(view);
        }
        Ok(views)
    }

    /// How many notices were given up and neither sent again nor dropped since; those that are being resent count, too.
    ///
    /// # Errors
    /// The store or the read models cannot be read.
    pub(super) async fn lost_count(&self) -> Result<u64, Fault> {
        let notices = self.engine().notices().await?;
        let of_runs =
            self.views.failed_notices(Some(Position::ZERO), |lost| lost.newest(None, LOST_MAX)).await?.value;
        let unsettled = of_runs.into_iter().filter_map(|lost| unsettled(&notices, lost)).count();
        Ok((notices.undelivered().count() + unsettled) as u64)
    }

    async fn type_of(&self, run: RunId, version: Version) -> Result<Option<String>, Fault> {
        let events = self.store.read(&StreamId::run(run), version, 1).await?;
        let kind = events.first().and_then(|envelope| RunEvent::name_of(envelope.header.kind));
        Ok(kind.map(str::to_owned))
    }

    async fn failed_notice(&self, text: &str) -> Result<UndeliveredNotice, Fault> {
        let unknown = |hint: &str| {
            Fault::new(Code::NoNotice, format!("there is no lost notice “{text}”")).hint(hint.to_owned())
        };
        let (run, version, notice) = NoticeId::parts(text).map_err(|error| unknown(&error.to_string()))?;
        let run = self.resolve(run).await?;
        let id = NoticeId { run, version, notice: notice.to_owned() };
        let notices = self.engine().notices().await?;
        if let Some(delivery) = notices.find(&id) {
            return Ok(UndeliveredNotice::clone(delivery));
        }
        let name = id.notice.clone();
        let found = self.views.failed_notices(None, move |lost| lost.find(run, version, &name)).await?.value;
        let lost = found.ok_or_else(|| unknown("`everfold notices` lists them"))?;
        let event = self.type_of(run, version).await?;
        Ok(delivery(lost, event.unwrap_or_default()))
    }

    /// Orders that a given-up notice is sent again; resolves when the order is durable, before the notice is sent.
    ///
    /// # Errors
    /// No given-up notice has the id, it was sent again or dropped since, or the store takes no writes.
    pub async fn retry_notice(&self, id: &str, by: By) -> Result<(WriteReceipt, NoticeView), Fault> {
        self.may_write()?;
        let delivery = self.failed_notice(id).await?;
        self.attend_notices().await;
        let retry = self.engine().retry_notice(&delivery, by.actor, by.dedup).await?;
        if let Some(newer) = retry.superseded_by {
            let message = format!("a newer one of its channel took its place, of event {newer}");
            let view = NoticeView { status: NoticeStatus::Superseded, message, ..NoticeView::of(&delivery) };
            return Ok((retry.change.into(), view));
        }
        let notices = self.engine().notices().await?;
        // It may have arrived already: then the answer shows it as it was when the order came.
        let view = notices
            .find(&delivery.id)
            .map_or_else(|| NoticeView::of(&delivery), |delivery| NoticeView::of(delivery));
        Ok((retry.change.into(), NoticeView { status: NoticeStatus::Retrying, ..view }))
    }

    /// Drops a given-up notice.
    ///
    /// # Errors
    /// No given-up notice has the id, or the store takes no writes.
    pub async fn drop_notice(&self, id: &str, by: By) -> Result<(WriteReceipt, NoticeView), Fault> {
        self.may_write()?;
        let delivery = self.failed_notice(id).await?;
        let change = self.engine().drop_notice(&delivery.id, by.actor, by.dedup).await?;
        Ok((change.into(), NoticeView { status: NoticeStatus::Dropped, ..NoticeView::of(&delivery) }))
    }

    /// The subscriptions of the settings.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn subscription_views(&self) -> Result<Vec<SubscriptionView>, Fault> {
        let notices = self.engine().notices().await?;
        let stands = self.engine().subscriptions();
        let head = self.store.last_position();
        let view = |subscription: &NoticeSubscription| {
            let name = subscription.name.clone();
            let (standing, stand) = (notices.standing(&name), stands.get(&name));
            let position = stand.map(|stand| stand.position).max(standing.map(|standing| standing.position));
            let stand = stand.cloned();
            let state = match &stand {
                None => "idle",
                Some(stand) if stand.failing.is_some() => "failing",
                Some(stand) if stand.telling.is_some() => "telling",
                Some(_) => "waiting",
            };
            let stand = stand.unwrap_or_default();
            SubscriptionView {
                name,
                function: subscription.function.clone(),
                events: subscription.events.clone(),
                state: state.to_owned(),
                lag: position.map_or(0, |position| head.0.saturating_sub(position.0)),
                position,
                delivered: standing.map_or(0, |standing| standing.delivered),
                given_up: standing.map_or(0, |standing| standing.given_up),
                last_delivered_at: standing.and_then(|standing| standing.last_delivered_at),
                telling: stand.telling,
                tries: stand.tries,
                next_try_at: stand.next,
                failing: stand.failing,
            }
        };
        Ok(self.subscriptions.iter().map(view).collect())
    }

    /// Sends a test notice to a subscription, once.
    ///
    /// # Errors
    /// There is no such subscription, or the notice did not arrive.
    pub async fn test_subscription(&self, name: &str) -> Result<(), Fault> {
        let Some(subscription) = self.subscriptions.iter().find(|known| known.name == name) else {
            let names = self.subscriptions.iter().map(|known| known.name.as_str());
            let near = everfold_engine::definition::similar(name, names);
            return Err(Fault::new(
                Code::NoSubscription,
                format!("the settings have no subscription “{name}”"),
            )
            .hint("[[subscriptions]] in everfold.toml; a process that serves reads them when it starts")
            .hinted(near.map(|near| format!("did you mean “{near}”?"))));
        };
        let sent = self.engine().test_subscription(subscription).await;
        sent.map_err(|failure| {
            Fault::new(Code::NoticeFailed, format!("{}: {}", subscription.function, failure.message))
        })
    }
}

/// The view of a run's notice; `None` where it was sent again or dropped since.
fn unsettled(notices: &Notices, lost: FailedNotice) -> Option<NoticeView> {
    let delivery = delivery(lost, String::new());
    let is_known = notices.is_settled(&delivery.id) || notices.find(&delivery.id).is_some();
    (!is_known).then(|| NoticeView::of(&delivery))
}
