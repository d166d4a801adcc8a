//! Reports of a worker on their way to the engine: those that come while others are under way share the next message.
//!
//! Law: each report has an answer of its own, and who gave it sends it again until it has one. A message that is refused
//! as a whole says nothing of its reports: each is sent by itself then, as to an engine that knows no messages of several.

use std::sync::Arc;

use everfold_base::json::Value;
use everfold_ports::Usage;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::engine_connection::{EngineConnection, NoAnswer};
use super::name::Instance;
use super::protocol::{Job, ReportedFailure};

/// The most reports of one message.
const REPORTS_MAX: usize = 100;
/// No more is put into a message that has so many bytes.
const BYTES_MAX: usize = 1024 * 1024;
/// Messages that may be under way at once: while one waits for the disk of the engine, the next is read there.
const MESSAGES_MAX: usize = 2;

/// How an attempt ended.
#[derive(Debug, Serialize)]
pub(super) struct OutgoingReport {
    id: String,
    lease: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    output: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<ReportedFailure>,
    usage: Vec<Usage>,
    log: Vec<String>,
    #[serde(skip)]
    bytes: usize,
}

/// A report, and who waits for the answer.
pub(super) struct PendingReport {
    report: Arc<OutgoingReport>,
    answer: oneshot::Sender<Result<(), NoAnswer>>,
}

/// Gives reports to the task that sends them.
#[derive(Clone)]
pub(super) struct ReportSender(mpsc::Sender<PendingReport>);

#[derive(Deserialize)]
struct ReportsReply {
    reports: Vec<ReportReply>,
}

#[derive(Deserialize)]
struct ReportReply {
    repeated: Option<bool>,
    #[serde(default)]
    problem: Value,
}

#[derive(Serialize)]
struct OutgoingMessage<'a> {
    instance: &'a Instance,
    reports: Vec<&'a OutgoingReport>,
}

impl OutgoingReport {
    pub(super) fn new(
        job: &Job,
        result: Result<Value, ReportedFailure>,
        usage: Vec<Usage>,
        log: Vec<String>,
    ) -> Self {
        let (output, failure) = match result {
            Ok(output) => (output, None),
            Err(failure) => (Value::Null, Some(failure)),
        };
        let bytes = output.to_string().len() + log.iter().map(String::len).sum::<usize>();
        Self { id: job.id.to_string(), lease: job.lease.clone(), output, failure, usage, log, bytes }
    }
}

impl ReportSender {
    pub(super) fn new() -> (Self, mpsc::Receiver<PendingReport>) {
        let (sender, receiver) = mpsc::channel(REPORTS_MAX);
        (Self(sender), receiver)
    }

    /// Resolves when the engine has answered the report.
    pub(super) async fn send(&self, report: &Arc<OutgoingReport>) -> Result<(), NoAnswer> {
        let gone = || NoAnswer::Passing("the task that sends reports has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        let pending = PendingReport { report: Arc::clone(report), answer };
        self.0.send(pending).await.map_err(|_ended| gone())?;
        answered.await.unwrap_or_else(|_ended| Err(gone()))
    }
}

/// Sends what is given, until it is aborted.
pub(super) async fn send_reports(engine: Arc<EngineConnection>, mut pending: mpsc::Receiver<PendingReport>) {
    let messages = Arc::new(Semaphore::new(MESSAGES_MAX));
    while let Some(first) = pending.recv().await {
        let Ok(under_way) = Arc::clone(&messages).acquire_owned().await else { return };
        let (mut bytes, mut taken) = (first.report.bytes, vec![first]);
        while taken.len() < REPORTS_MAX
            && bytes < BYTES_MAX
            && let Ok(next) = pending.try_recv()
        {
            bytes += next.report.bytes;
            taken.push(next);
        }
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            send(&engine, taken).await;
            drop(under_way);
        });
    }
}

async fn send(engine: &EngineConnection, taken: Vec<PendingReport>) {
    let reports = taken.iter().map(|pending| &*pending.report).collect();
    let message = OutgoingMessage { instance: &engine.instance, reports };
    let answers = match engine.post::<ReportsReply>("reports", &message).await {
        Ok(reply) if reply.reports.len() == taken.len() => reply.reports.into_iter().map(answer).collect(),
        Ok(_other) => vec![Err(NoAnswer::Passing("not each report was answered".to_owned())); taken.len()],
        Err(NoAnswer::WorkerRefusal(_)) => {
            join_all(taken.iter().map(|pending| send_alone(engine, &pending.report))).await
        }
        Err(passing) => vec![Err(passing); taken.len()],
    };
    for (pending, answer) in taken.into_iter().zip(answers) {
        let _dropped = pending.answer.send(answer);
    }
}

fn answer(reply: ReportReply) -> Result<(), NoAnswer> {
    if reply.repeated.is_some() {
        return Ok(());
    }
    let status =
        reply.problem["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(500);
    Err(NoAnswer::of(status, &reply.problem))
}

/// By the route of the attempt.
async fn send_alone(engine: &EngineConnection, report: &OutgoingReport) -> Result<(), NoAnswer> {
    let OutgoingReport { id, lease, output, failure, usage, log, .. } = report;
    let mut body = json!({ "lease": lease, "instance": engine.instance, "usage": usage, "log": log });
    let verb = match failure {
        None => {
            body["output"] = output.clone();
            "complete"
        }
        Some(failure) => {
            body["failure"] = json!(failure);
            "fail"
        }
    };
    engine.post::<Value>(&format!("attempts/{id}/{verb}"), &body).await.map(drop)
}
