//! The route of reports: how several attempts of workers ended, in one message, each with an answer of its own.
//!
//! Law: a report that is refused, or cannot be kept now, changes nothing for the others; all are answered when what was
//! kept of them is durable.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use everfold_workflows::remote::{Instance, Reported, ReportedFailure, WorkerReport};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::written;
use super::app::App;
use super::extract::JsonBody;
use super::workers::{UsageBody, lease_claim, take, used};
use crate::access::Caller;
use crate::fault::{Code, Fault, ProblemDocument};
use crate::node::WriteReceipt;
use crate::schema;

/// The most reports of one message.
const REPORTS_MAX: usize = 100;

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportsBody {
    /// The process, as it named itself to `poll`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    instance: Option<Instance>,
    /// One for each attempt that ended.
    #[schema(min_items = 1, max_items = 100)]
    reports: Vec<ReportBody>,
}

/// How one attempt ended: with an output, or with a failure.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportBody {
    /// The attempt, as `poll` gave it.
    #[schema(value_type = schema::AttemptNameSchema)]
    id: String,
    /// As `poll` gave it.
    lease: String,
    /// What the step gives, at most 1 MiB.
    #[serde(default)]
    output: Value,
    /// Why it failed; null: it succeeded.
    #[serde(default)]
    #[schema(value_type = Option<schema::ReportedFailureSchema>)]
    failure: Option<ReportedFailure>,
    /// What it used up.
    #[serde(default)]
    #[schema(max_items = 1000)]
    usage: Vec<UsageBody>,
    /// Lines for the log of the attempt.
    #[serde(default)]
    #[schema(max_items = 1000)]
    log: Vec<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ReportsAnswer {
    /// In the order of the reports.
    reports: Vec<ReportOutcome>,
}

/// What came of one report.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ReportOutcome {
    /// The attempt, as the report names it.
    id: String,
    /// It is kept, and whether it had been said before; null: it is not.
    repeated: Option<bool>,
    /// Why it is not kept; with a `status` of 429 or 5xx it is to be sent again.
    problem: Option<ProblemDocument>,
}

/// `POST /workers/reports`: how attempts ended, each by itself. A repeat is recognised by its lease.
#[utoipa::path(
    post,
    path = "/workers/reports",
    tag = "workers",
    request_body = ReportsBody,
    responses((status = 200, description = "What came of each report.", body = ReportsAnswer))
)]
pub(crate) async fn reports(
    State(app): State<App>,
    caller: Caller,
    body: JsonBody<ReportsBody>,
) -> Result<Response, Fault> {
    let ReportsBody { instance, reports } = body.value;
    if reports.is_empty() || reports.len() > REPORTS_MAX {
        return Err(Fault::new(Code::Invalid, format!("`reports` has 1 to {REPORTS_MAX} of them")));
    }
    let reported = join_all(reports.into_iter().map(|report| one(&app, &caller, instance.clone(), report)));
    let reports = reported.await;
    let replayed = reports.iter().all(|report| report.repeated == Some(true));
    let went = WriteReceipt { position: app.store().last_position(), replayed };
    Ok(written(StatusCode::OK, went, ReportsAnswer { reports }))
}

async fn one(app: &App, caller: &Caller, instance: Option<Instance>, report: ReportBody) -> ReportOutcome {
    let ReportBody { id, lease, output, failure, usage, log } = report;
    let taken = async {
        let result = match failure {
            Some(_) if !output.is_null() => {
                let message = "a report has an `output` or a `failure`, and this one has both";
                return Err(Fault::new(Code::Invalid, message));
            }
            Some(failure) => Reported::Failure(failure.into()),
            None => Reported::Output(output),
        };
        let claim = lease_claim(caller, &id, lease, instance)?;
        take(app, claim, WorkerReport { result, usage: used(usage), log }).await
    };
    match taken.await {
        Ok(repeated) => ReportOutcome { id, repeated: Some(repeated), problem: None },
        Err(fault) => ReportOutcome { id, repeated: None, problem: Some(fault.problem()) },
    }
}
