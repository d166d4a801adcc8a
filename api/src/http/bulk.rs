//! One order to the runs of which an expression is true.
//!
//! Law: an order that names the position of a dry run goes to the runs that this showed, and to no other: those of which
//! the expression was true there, as long as it still is. Each run records it under a key of its own, which comes of
//! the request's, so that a repeat of a part changes nothing where the order arrived and gives it where it did not.

mod shared_raise;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use everfold_engine::event::{NoteAdded, RunPaused};
use everfold_engine::id::{Position, RunId};
use everfold_engine::input::InputKind;
use everfold_engine::json::JsonText;
use everfold_engine::store::DedupKeep;
use everfold_projections::{FoldError, Judged, RunFilter, RunOrder, RunRow, RunsView};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;

use super::answer::written;
use super::app::App;
use super::control::{cancelling, loaded_again, rechecking, refuse_override, resuming, unblocking};
use super::extract::{JsonBody, once};
use super::filter::moment_of;
use super::parameters::{limit, moment};
use super::rerun::{restarting, retrying};
use super::runs::expression;
use super::spend::raising;
use crate::access::Caller;
use crate::body::bulk::{BulkAnswer, BulkBody, BulkOrder, BulkOutcome, BulkProblem, BulkRun, NamedSignal};
use crate::body::filter::FilterAnswer;
use crate::body::steering::{ReasonBody, ResumeBody};
use crate::fault::{Code, Fault};
use crate::node::{CursorOf, Idempotency, Rerun, Signal, WriteReceipt};
use shared_raise::add_shared_raises;

/// How many runs of a part get their order side by side: their appends share flushes.
const SIDE_BY_SIDE: usize = 16;

/// `POST /runs:bulk`: gives one order to the runs of which an expression is true, part by part.
///
/// A dry run says which they are, and the position (`at`) that names them from then on; an order without one goes to the
/// runs of the present, and has no `Idempotency-Key`: a repeat would go to other runs. A run gets the order as long as
/// the expression is still true of it, and as its own route would give it. Parts of one order, and repeats of a part,
/// have one `Idempotency-Key`: a run that has recorded the order answers so again.
#[utoipa::path(
    post,
    path = "/runs:bulk",
    tag = "steering",
    request_body = BulkBody,
    responses((status = 200, description = "What became of the order in each run of this part.", body = BulkAnswer))
)]
pub(crate) async fn order(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: JsonBody<BulkBody>,
) -> Result<Response, Fault> {
    let asked = body.value;
    // Before a run is looked at: an order that no run could take is refused as a whole.
    let ordered = Ordered::of(&app, &asked.order)?;
    // The parts of an order differ in their places alone, and have one key.
    let same = json!([asked.order, asked.filter]).to_string();
    let once = once(&headers, &caller, "POST /runs:bulk", same.as_bytes(), DedupKeep::Week)?;
    if once.dedup.is_some() && asked.at.is_none() && !asked.dry_run {
        return Err(without_moment());
    }
    let at_text = asked.at.map(|at| at.to_string());
    let at = moment(&app, at_text.as_deref()).await?.unwrap_or_else(|| app.store().last_position());
    let part = MeantRuns::find(&app, &asked, at).await?;
    let given: Vec<(BulkRun, bool)> = if asked.dry_run {
        part.rows.into_iter().map(|(row, _)| (of_row(row, BulkOutcome::Fits), false)).collect()
    } else {
        let give =
            |(row, fits): (RunRow, bool)| give(&app, (&asked, &caller), once.of_run(row.id), row, fits);
        futures::stream::iter(part.rows).map(give).buffered(SIDE_BY_SIDE).try_collect().await?
    };
    let of = |outcome| given.iter().filter(move |(run, _)| run.outcome == outcome);
    let is_ordered = of(BulkOutcome::Ordered).next().is_some();
    let replayed = is_ordered && of(BulkOutcome::Ordered).all(|(_, had_it)| *had_it);
    let went = WriteReceipt { position: app.store().last_position(), replayed };
    let mut items: Vec<BulkRun> = given.into_iter().map(|(run, _)| run).collect();
    if let Ordered::Budget(InputKind::RaiseBudget { budget, add, .. }) = &ordered {
        add_shared_raises(&app, &mut items, budget.as_deref(), *add).await;
    }
    let answer = BulkAnswer { items, next_cursor: part.next_cursor, at: at.get(), filter: part.filter };
    Ok(written(StatusCode::OK, went, answer))
}

/// The fault of an order that could be repeated, and would go to other runs then.
fn without_moment() -> Fault {
    let message = "an order with an Idempotency-Key names the runs that it is for by `at`: a repeat would go to those of its own moment";
    Fault::new(Code::Refused, message).hint("the answer of the same body with `\"dry_run\": true` has `at`")
}

/// The runs of one part.
struct MeantRuns {
    /// As they were at the position, and whether the expression is still true.
    rows: Vec<(RunRow, bool)>,
    next_cursor: Option<String>,
    filter: Option<FilterAnswer>,
}

impl MeantRuns {
    async fn find(app: &App, asked: &BulkBody, at: Position) -> Result<Self, Fault> {
        let at_text = at.to_string();
        let now = moment_of(app, Some(&at_text), Some(at)).await?;
        let still = expression(app, &asked.filter, now)?;
        let filter = RunFilter { asked: Some(still.clone()), ..RunFilter::default() };
        let paged = CursorOf::RunsNewest.with(&[Some(&asked.filter), Some(&at_text)]);
        let cursor = app.in_list(paged, asked.cursor.as_deref())?;
        let limit = limit(asked.limit)?;
        let look = move |runs: &RunsView<'_>| -> Result<_, FoldError> {
            let mut found = runs.list(&filter, RunOrder::Newest, cursor, limit, Some(at))?;
            let mut rows = Vec::with_capacity(found.items.len());
            for row in std::mem::take(&mut found.items) {
                let is = runs.get(row.id, None)?.is_some_and(|now| still.judge(&now) == Judged::Fits);
                rows.push((row, is));
            }
            Ok((rows, found.next, found.scan))
        };
        let (rows, next, scan) = app.views().runs(Some(at), look).await?.value;
        let next_cursor = app.list_cursor(paged, next);
        Ok(Self { rows, next_cursor, filter: scan.map(FilterAnswer::from) })
    }
}

/// Gives one run its order, and says whether the run had recorded it before.
async fn give(
    app: &App,
    (asked, caller): (&BulkBody, &Caller),
    once: Idempotency,
    row: RunRow,
    fits: bool,
) -> Result<(BulkRun, bool), Fault> {
    // What has recorded the order may no longer fit, and got it all the same.
    let has_it = match &once.dedup {
        Some(dedup) => app.store().first_write(dedup.key).await?.is_some(),
        None => false,
    };
    if !fits && !has_it {
        return Ok((of_row(row, BulkOutcome::Changed), false));
    }
    let given = match Ordered::of(app, &asked.order) {
        Ok(ordered) => ordered.give(app, row.id, caller, once).await,
        Err(fault) => Err(fault),
    };
    match given {
        Ok(new) => {
            let new_run = new.filter(|new| *new != row.id);
            Ok((BulkRun { new_run, ..of_row(row, BulkOutcome::Ordered) }, has_it))
        }
        // They are of the engine or of the request, not of the run.
        Err(fault) if fault.code.status() >= 500 || fault.code == Code::KeyReused => Err(fault),
        Err(fault) if fault.retry_after.is_some() => Err(fault),
        Err(fault) => {
            let problem = BulkProblem { code: fault.code.as_str().to_owned(), message: fault.message };
            Ok((BulkRun { problem: Some(problem), ..of_row(row, BulkOutcome::Refused) }, false))
        }
    }
}

fn of_row(row: RunRow, outcome: BulkOutcome) -> BulkRun {
    let RunRow { id, short_id, pipeline, title, shown, .. } = row;
    let status = shown.status;
    BulkRun { id, short_id, pipeline, title, status, outcome, new_run: None, problem: None, shared: None }
}

/// What one run is asked for.
enum Ordered {
    Input(InputKind),
    Resume(ResumeBody),
    Retry(Rerun),
    Restart(Box<Rerun>),
    Signal(Signal),
    Budget(InputKind),
}

impl Ordered {
    fn of(app: &App, order: &BulkOrder) -> Result<Self, Fault> {
        let paused = |body: ReasonBody, interrupt| {
            Self::Input(InputKind::Pause(RunPaused { reason: body.reason, interrupt }))
        };
        Ok(match order.clone() {
            BulkOrder::Cancel(body) => Self::Input(cancelling(body)?),
            BulkOrder::Pause(body) => paused(body, false),
            BulkOrder::Interrupt(body) => paused(body, true),
            BulkOrder::Resume(body) => Self::Resume(body),
            BulkOrder::Unblock(body) => Self::Input(unblocking(body)?),
            BulkOrder::Recheck(body) => Self::Input(rechecking(body)?),
            // No caller waits for each of the runs.
            BulkOrder::Retry(body) => Self::Retry(Rerun { detach: true, ..retrying(body) }),
            BulkOrder::Restart(body) => Self::Restart(Box::new(Rerun { detach: true, ..restarting(body)? })),
            BulkOrder::Signal(NamedSignal { name, payload, delivery }) => {
                Self::Signal(Signal { name, payload: JsonText::new(&payload), delivery })
            }
            BulkOrder::Note(body) => Self::Input(InputKind::Note(NoteAdded { text: body.text })),
            BulkOrder::Budget(body) => Self::Budget(raising(app, body)?),
        })
    }

    /// The run that goes on by it: another one where it is retried or restarted.
    async fn give(
        self,
        app: &App,
        run: RunId,
        caller: &Caller,
        once: Idempotency,
    ) -> Result<Option<RunId>, Fault> {
        let actor = caller.actor.clone();
        match self {
            Self::Input(kind) => {
                refuse_override(app, run, caller, &kind).await?;
                app.submit(run, kind, actor, once).await.map(|_| None)
            }
            Self::Resume(body) => {
                if loaded_again(app, run).await? {
                    return Ok(None);
                }
                app.submit(run, resuming(body), actor, once).await.map(|_| None)
            }
            Self::Retry(again) => app.retry(run, again, actor, once).await.map(|begun| Some(begun.run)),
            Self::Restart(again) => app.again(run, *again, actor, once).await.map(|begun| Some(begun.run)),
            Self::Signal(signal) => app.signal(run, &signal, actor, once).await.map(|_| None),
            Self::Budget(kind) => {
                app.refuse_own_budgets(&actor, run).await?;
                app.submit(run, kind, actor, once).await.map(|_| None)
            }
        }
    }
}
