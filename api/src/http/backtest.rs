//! A new policy over recorded verdicts, before it is turned on.
//!
//! Law: nothing is recorded and no run changes. The caller says how large a part is, and each part says where the next
//! begins, so that a long history is read in bounded answers.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use everfold_engine::decide::check_policy;
use everfold_engine::driver::{Outcome, Rejudged};
use everfold_engine::id::{RunId, Version};
use everfold_engine::json::Hash;
use everfold_projections::GateFilter;

use super::app::App;
use super::audit::since;
use super::extract::JsonBody;
use super::parameters::limit;
use crate::body::backtest::{BacktestAnswer, BacktestBody, BacktestVerdict, Changed};
use crate::fault::{Code, Fault, policy_place};
use crate::node::CursorOf;

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
    body: JsonBody<BacktestBody>,
) -> Result<Json<BacktestAnswer>, Fault> {
    let asked = body.value;
    if asked.gate.is_empty() {
        return Err(Fault::new(Code::Invalid, "gate is empty"));
    }
    check_policy(&asked.policy).map_err(|error| {
        let usual = "a policy gives true or false, a verdict, or {verdict, reason}: `evidence.exit == 0`";
        let hint = error.hint.clone().unwrap_or_else(|| usual.to_owned());
        Fault::new(Code::BadPolicy, format!("policy: {error}")).errors(vec![policy_place(&error)]).hint(hint)
    })?;
    let limit = limit(asked.limit)?;
    let paged = CursorOf::Gates.with(&[None, Some(&asked.gate), asked.pipeline.as_deref()]);
    let cursor = app.in_list(paged, asked.cursor.as_deref())?;
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
        next_cursor: app.list_cursor(paged, page.next),
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
                (Some(BacktestVerdict { verdict: judged.verdict, reason: judged.reason }), None)
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
            recorded: BacktestVerdict { verdict: recorded.verdict, reason: recorded.reason },
            judged,
            problem,
        });
    }
}
