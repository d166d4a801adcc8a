//! `notices`: notices that could not be delivered, the subscriptions, and sending again.

use std::time::Duration;

use everfold_engine::clock;
use serde_json::json;

use super::args::{NoticeSelection, NoticesArgs, NoticesVerb};
use super::context::{CommandContext, items};
use super::list_pages::ListedItems;
use super::output::note;
use crate::body::notice::TestAnswer;
use crate::client::{encode, query};
use crate::fault::Fault;
use crate::node::{NoticeStatus, NoticeView, SubscriptionView};
use crate::text::{count, cut, instant, span, table};

/// How long `retry` waits for what comes of it.
const RESENT_WITHIN: Duration = Duration::from_secs(6);
const RESENT_LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) async fn list(
    context: &CommandContext,
    filter: Option<String>,
    limit: usize,
) -> Result<u8, Fault> {
    let is_filtered = filter.is_some();
    let path = format!("/api/v1/notices{}", query([("filter", filter)]));
    let listed = ListedItems::read(context, &path, None, limit).await?;
    if context.json {
        context.out.json(&listed.json())?;
        return Ok(0);
    }
    listed.say_undecided("notices");
    let subscriptions = items(&context.client.get("/api/v1/subscriptions").await?)?;
    let (lost, now) = (items::<NoticeView>(&listed.json())?, clock::now());
    if !subscriptions.is_empty() {
        context.out.line(table(
            ["SUBSCRIPTION", "FUNCTION", "STATE", "TOLD", "LOST", "LAST TOLD", "NOW"],
            subscriptions.iter().map(|one: &SubscriptionView| {
                let last = one.last_delivered_at.map(|at| format!("{} ago", span(now.since(at))));
                let next = one.next_try_at.map(|at| format!(", next try at {}", instant(at)));
                let failing =
                    one.failing.as_ref().map(|why| format!("{}{}", cut(why, 60), next.unwrap_or_default()));
                let doing = failing.or_else(|| one.telling.clone());
                let (delivered, given_up) = (one.delivered.to_string(), one.given_up.to_string());
                [
                    one.name.clone(),
                    one.function.clone(),
                    one.state.clone(),
                    delivered,
                    given_up,
                    last.unwrap_or_default(),
                    doing.unwrap_or_default(),
                ]
            }),
        ));
    }
    if lost.is_empty() {
        note(if is_filtered { "no notice fits" } else { "every notice arrived, or is on its way" });
        return Ok(0);
    }
    let rows = lost.iter().map(|one| {
        [
            one.id.clone(),
            one.event.clone().unwrap_or_default(),
            format!("{} ago", span(now.since(one.at))),
            one.tries.to_string(),
            one.status.to_string(),
            cut(&one.message, 80),
        ]
    });
    context.out.line(table(["LOST", "EVENT", "GIVEN UP", "TRIES", "STATUS", "WHY"], rows));
    if let Some(dead) = lost.iter().find(|one| one.status == NoticeStatus::Dead) {
        context.out.line(format!("  {} notices retry {}   (or --all)", context.program, dead.id));
        context.out.line(format!("  {} notices drop {}", context.program, dead.id));
    }
    Ok(0)
}

pub(crate) async fn one(context: &CommandContext, args: NoticesArgs) -> Result<u8, Fault> {
    match args.verb {
        None => list(context, args.filter, args.limit).await,
        Some(NoticesVerb::List) => list(context, args.filter, args.limit).await,
        Some(NoticesVerb::Retry(letters)) => decide(context, letters, "retry").await,
        Some(NoticesVerb::Drop(letters)) => decide(context, letters, "drop").await,
        Some(NoticesVerb::Test { name }) => {
            let path = format!("/api/v1/subscriptions/{}/test", encode(&name));
            let answer: TestAnswer = context.client.post(&path, &json!({})).await?;
            if context.json {
                context.out.json(&answer)?;
            } else {
                context.out.line(format!("{name} took the test: look whether it arrived"));
            }
            Ok(0)
        }
    }
}

/// What became of notices that were ordered to be sent again.
#[derive(Default)]
struct ResendOutcome {
    sent: usize,
    /// They were given up anew: id and reason.
    failed: Vec<(String, String)>,
    /// They are tried on.
    open: usize,
}

impl ResendOutcome {
    /// As far as it is known after what the read models show of those that were ordered.
    fn of(ordered: &[NoticeView], shown: &[NoticeView]) -> Self {
        let mut outcome = Self::default();
        for one in ordered {
            match shown.iter().find(|shown| shown.id == one.id) {
                None => outcome.sent += 1,
                Some(shown) if shown.status == NoticeStatus::Dead => {
                    outcome.failed.push((one.id.clone(), shown.message.clone()));
                }
                Some(_tried_on) => outcome.open += 1,
            }
        }
        outcome
    }

    fn line(&self, superseded: usize) -> String {
        let parts = [
            (self.sent, "sent again"),
            (self.failed.len(), "given up again"),
            (self.open, "tried on, for a day if need be"),
            (superseded, "dropped: newer ones took their place"),
        ];
        let said = parts.iter().filter(|(number, _)| *number > 0);
        said.map(|(number, what)| format!("{} {what}", count(*number as u64, "notice")))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// Waits a little for what comes of notices that were ordered to be sent again.
async fn resent(context: &CommandContext, ordered: &[NoticeView]) -> Result<ResendOutcome, Fault> {
    let until = tokio::time::Instant::now() + RESENT_WITHIN;
    loop {
        let shown: Vec<NoticeView> = items(&context.client.get("/api/v1/notices?limit=1000").await?)?;
        let outcome = ResendOutcome::of(ordered, &shown);
        if outcome.open == 0 || tokio::time::Instant::now() >= until {
            return Ok(outcome);
        }
        tokio::time::sleep(RESENT_LOOK_EVERY).await;
    }
}

/// Retries or drops; with `all` whatever is dead.
async fn decide(context: &CommandContext, letters: NoticeSelection, verb: &str) -> Result<u8, Fault> {
    let ids = if letters.all {
        let lost: Vec<NoticeView> = items(&context.client.get("/api/v1/notices?limit=1000").await?)?;
        let mut lost: Vec<_> = lost.into_iter().filter(|one| one.status == NoticeStatus::Dead).collect();
        // In the order in which they would have arrived.
        lost.sort_by_key(|one| (one.at, one.run, one.version));
        lost.into_iter().map(|one| one.id).collect()
    } else {
        letters.ids
    };
    let mut views: Vec<NoticeView> = Vec::new();
    for id in &ids {
        views.push(context.client.post(&format!("/api/v1/notices/{}/{verb}", encode(id)), &json!({})).await?);
    }
    if context.json {
        context.out.json(&json!({ "items": views }))?;
        return Ok(0);
    }
    let number = count(views.len() as u64, "notice");
    match verb {
        "retry" if views.is_empty() => note("there is nothing to send again"),
        "retry" => {
            let (superseded, ordered): (Vec<_>, Vec<_>) =
                views.into_iter().partition(|view| view.status == NoticeStatus::Superseded);
            let outcome = resent(context, &ordered).await?;
            context.out.line(outcome.line(superseded.len()));
            for (id, why) in &outcome.failed {
                context.out.line(format!("  {id}: {why}"));
            }
            context.out.line(format!("  {} notices", context.program));
            return Ok(u8::from(!outcome.failed.is_empty()));
        }
        _drop => context.out.line(format!("{number} dropped")),
    }
    Ok(0)
}
