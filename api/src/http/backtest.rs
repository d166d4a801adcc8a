//! A new policy over recorded verdicts, before it is turned on.
//!
//! Law: nothing is recorded and no run is touched. A part is as large as the caller says, and each says where the
//! next begins, so that a long history is gone through in bounded answers.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use everfold_engine::decide::check_policy;
use everfold_engine::driver::{Outcome, Rejudged};
use everfold_engine::id::{RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::policy::Verdict;
use everfold_engine::time::Timestamp;
use everfold_projections::GateFilter;
use serde::{Deserialize, Serialize};

use super::App;
use super::audit::since;
use super::extract::Body;
use super::runs::limit;
use super::values::whole_if;
use crate::fault::{Code, Fault};
use crate::shape;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"gate": "tests", "policy": "evidence.exit == 0", "since": "2026-11-01T00:00:00Z"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct BacktestBody {
    /// The gate, by its id.
    #[schema(min_length = 1)]
    gate: String,
    /// A CEL text over `evidence`, as `policy` of a gate; or `default:KIND`.
    #[schema(min_length = 1)]
    policy: String,
    /// A time: verdicts from then on.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// Only runs of this pipeline.
    pipeline: Option<String>,
    /// So many verdicts in one answer.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "whole_if")]
    limit: Option<usize>,
    /// Where to go on: `next_cursor` of the answer before.
    cursor: Option<String>,
}

/// What came of the verdicts of one part, newest first.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct BacktestAnswer {
    pub(crate) gate: String,
    pub(crate) policy: String,
    /// BLAKE3 of the policy's text.
    #[schema(value_type = shape::Hash)]
    pub(crate) policy_hash: Hash,
    /// Verdicts that were given again.
    pub(crate) verdicts: u64,
    /// Those that stay what they are.
    pub(crate) equal: u64,
    /// Those that would be others.
    pub(crate) changed: u64,
    /// Those on whose evidence the policy gives no verdict.
    pub(crate) failed: u64,
    /// Those that came of no evidence, so that no policy judges them: polling was over, or nothing applied.
    pub(crate) not_judged: u64,
    /// How many would become what: `fail → pass`.
    pub(crate) becomes: BTreeMap<String, u64>,
    /// Each that would be another, and each without a verdict.
    pub(crate) items: Vec<Changed>,
    /// When the oldest verdict of this part was given.
    #[schema(value_type = Option<shape::Time>)]
    pub(crate) back_to: Option<Timestamp>,
    pub(crate) next_cursor: Option<String>,
}

/// A verdict that would be another.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Changed {
    #[schema(value_type = shape::RunId)]
    pub(crate) run: RunId,
    pub(crate) short_id: String,
    #[schema(value_type = u64)]
    pub(crate) version: Version,
    #[schema(value_type = shape::Time)]
    pub(crate) at: Timestamp,
    /// The step, or an item of it.
    pub(crate) step: String,
    pub(crate) round: u32,
    pub(crate) probe_no: u32,
    /// What was decided.
    pub(crate) recorded: Said,
    /// What the policy says; null where it gives no verdict.
    pub(crate) judged: Option<Said>,
    /// Why it gives none.
    pub(crate) problem: Option<String>,
}

/// A verdict and its reason.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Said {
    #[schema(value_type = shape::Verdict)]
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
}

/// `POST /audit/backtest`: gives recorded verdicts of a gate again by another policy, on the evidence of then, and
/// tells which would be others. Nothing is recorded.
#[utoipa::path(
    post,
    path = "/audit/backtest",
    tag = "history",
    request_body = BacktestBody,
    responses((status = 200, description = "One part, the newest verdicts first.", body = BacktestAnswer))
)]
pub(crate) async fn backtest(
    State(app): State<App>,
    body: Body<BacktestBody>,
) -> Result<Json<BacktestAnswer>, Fault> {
    let asked = body.value;
    if asked.gate.is_empty() {
        return Err(Fault::new(Code::Invalid, "gate is empty"));
    }
    check_policy(&asked.policy).map_err(|what| {
        Fault::new(Code::BadPolicy, format!("policy: {what}"))
            .hint("a policy gives true or false, a verdict, or {verdict, reason}: `evidence.exit == 0`")
    })?;
    let limit = limit(asked.limit)?;
    let cursor = asked.cursor.as_deref().map(|text| app.cursor(text)).transpose()?;
    let filter = GateFilter {
        gate: Some(asked.gate.clone()),
        pipeline: asked.pipeline,
        since: since(&app, asked.since.as_deref()).await?,
        ..GateFilter::default()
    };
    let page = app.views().audit(None, move |audit| audit.gates(&filter, cursor, limit)).await?.value;
    let mut of_runs: BTreeMap<RunId, Vec<Version>> = BTreeMap::new();
    for place in &page.items {
        of_runs.entry(place.run).or_default().push(place.version);
    }
    let mut answer = BacktestAnswer {
        policy_hash: Hash::of(asked.policy.as_bytes()),
        gate: asked.gate,
        policy: asked.policy,
        verdicts: 0,
        equal: 0,
        changed: 0,
        failed: 0,
        not_judged: 0,
        becomes: BTreeMap::new(),
        items: Vec::new(),
        back_to: None,
        next_cursor: page.next.map(|next| app.cursor_text(next)),
    };
    let _turn = app.backtest_turn().await;
    for (run, mut versions) in of_runs {
        versions.sort_unstable();
        for rejudged in app.engine().rejudged(run, &versions, &answer.policy).await? {
            answer.count(run, rejudged);
        }
    }
    answer.items.sort_by_key(|verdict| std::cmp::Reverse((verdict.at, verdict.run, verdict.version)));
    Ok(Json(answer))
}

impl BacktestAnswer {
    fn count(&mut self, run: RunId, rejudged: Rejudged) {
        let Rejudged { version, at, recorded, outcome } = rejudged;
        self.verdicts += 1;
        self.back_to = Some(self.back_to.map_or(at, |oldest| oldest.min(at)));
        let (judged, problem) = match outcome {
            Outcome::NotJudged => {
                self.not_judged += 1;
                return;
            }
            Outcome::Judged(judged) if judged.verdict == recorded.verdict => {
                self.equal += 1;
                return;
            }
            Outcome::Judged(judged) => {
                self.changed += 1;
                *self.becomes.entry(format!("{} → {}", recorded.verdict, judged.verdict)).or_default() += 1;
                (Some(Said { verdict: judged.verdict, reason: judged.reason }), None)
            }
            Outcome::Failed(problem) => {
                self.failed += 1;
                (None, Some(problem))
            }
        };
        self.items.push(Changed {
            run,
            short_id: run.short(),
            version,
            at,
            step: recorded.id.path.to_string(),
            round: recorded.id.round.0,
            probe_no: recorded.probe_no,
            recorded: Said { verdict: recorded.verdict, reason: recorded.reason },
            judged,
            problem,
        });
    }

    /// Takes the next, older part in.
    pub(crate) fn and(&mut self, older: Self) {
        self.verdicts += older.verdicts;
        self.equal += older.equal;
        self.changed += older.changed;
        self.failed += older.failed;
        self.not_judged += older.not_judged;
        for (what, count) in older.becomes {
            *self.becomes.entry(what).or_default() += count;
        }
        self.items.extend(older.items);
        self.back_to = older.back_to.or(self.back_to);
        self.next_cursor = older.next_cursor;
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body as HttpBody;
    use axum::http::Request;
    use everfold_engine::layout::Layout;
    use futures::FutureExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::http::Caller;
    use crate::owner::{Held, imagine};

    const JUDGED: &str = "\
name: judged
steps:
  - id: a
    function: everfold.echo
    with: { n: 1 }
    gates: [{ id: small, expression: output.n, policy: evidence.value < 3 }]
";

    /// A run with one verdict, that the read models know.
    async fn judged(held: &Held) {
        let body = serde_json::json!({ "definition": JUDGED }).to_string();
        let request =
            Request::post("/api/v1/runs").extension(Caller::local("ada")).body(HttpBody::from(body));
        assert_eq!(held.routes().oneshot(request.unwrap()).await.unwrap().status(), 201);
        while asked(held).await.verdicts == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn asked(held: &Held) -> BacktestAnswer {
        let (gate, policy) = ("small".to_owned(), "evidence.value < 2".to_owned());
        let value = BacktestBody { gate, policy, since: None, pipeline: None, limit: None, cursor: None };
        let app = State(held.owner().clone());
        backtest(app, Body { value, bytes: axum::body::Bytes::new() }).await.ok().unwrap().0
    }

    #[tokio::test]
    async fn backtests_are_worked_out_one_after_the_other_and_one_that_is_dropped_gives_its_turn_back() {
        let folder = tempfile::tempdir().unwrap();
        let held = imagine(Layout::new(folder.path().join("data"))).ok().unwrap();
        judged(&held).await;
        let is_free = || held.owner().backtest_turn().now_or_never().is_some();
        assert!(is_free());
        // It is in the midst of its verdicts, and goes on no further.
        let mut first = Box::pin(asked(&held));
        while is_free() {
            assert!(futures::poll!(&mut first).is_pending(), "it waits before each verdict");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let mut second = Box::pin(asked(&held));
        let wait = std::time::Duration::from_millis(200);
        assert!(tokio::time::timeout(wait, &mut second).await.is_err(), "it is the first one's turn");
        assert_eq!(first.await.verdicts, 1);
        assert_eq!(second.await.verdicts, 1, "its turn comes when the first has been answered");
        assert!(is_free());
        // Of two, who asked first goes away in the midst of it, and who waited behind it as well.
        let (mut gone, mut waits) = (Box::pin(asked(&held)), Box::pin(asked(&held)));
        while is_free() {
            assert!(futures::poll!(&mut gone).is_pending());
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert!(tokio::time::timeout(wait, &mut waits).await.is_err());
        let mut last = Box::pin(asked(&held));
        assert!(tokio::time::timeout(wait, &mut last).await.is_err());
        drop(waits);
        drop(gone);
        let answer = tokio::time::timeout(std::time::Duration::from_secs(30), last).await;
        assert_eq!(answer.expect("the turn was given back").verdicts, 1);
        assert!(is_free());
    }
}
