//! The names of operations: `listRuns`, `startRun`. Clients that are generated from the document call their functions
//! so.
//!
//! Law: a name never changes and never goes to another operation.

use axum::http::Method;

/// Every operation: its method, its path, its name.
#[rustfmt::skip]
const NAMES: [(&str, &str, &str); 119] = [
    ("GET", "/api/v1/runs", "listRuns"),
    ("POST", "/api/v1/runs", "startRun"),
    ("POST", "/api/v1/runs:bulk", "orderRuns"),
    ("GET", "/api/v1/runs/{run}", "getRun"),
    ("POST", "/api/v1/runs/{run}/drive", "driveRun"),
    ("POST", "/api/v1/runs/{run}/cancel", "cancelRun"),
    ("POST", "/api/v1/runs/{run}/abandon", "abandonRun"),
    ("POST", "/api/v1/runs/{run}/pause", "pauseRun"),
    ("POST", "/api/v1/runs/{run}/interrupt", "interruptRun"),
    ("POST", "/api/v1/runs/{run}/resume", "resumeRun"),
    ("POST", "/api/v1/runs/{run}/unblock", "unblockRun"),
    ("POST", "/api/v1/runs/{run}/recheck", "recheckStep"),
    ("POST", "/api/v1/runs/{run}/retry", "retryRun"),
    ("POST", "/api/v1/runs/{run}/restart", "restartRun"),
    ("POST", "/api/v1/runs/{run}/fork", "forkRun"),
    ("POST", "/api/v1/runs/{run}/notes", "addNote"),
    ("POST", "/api/v1/runs/{run}/signals/{name}", "signalRun"),
    ("PUT", "/api/v1/runs/{run}/breakpoints", "setBreakpoints"),
    ("GET", "/api/v1/runs/{run}/budget", "getBudgets"),
    ("POST", "/api/v1/runs/{run}/budget", "raiseBudget"),
    ("GET", "/api/v1/spend", "getSpend"),
    ("GET", "/api/v1/spend/runs", "listLimitedRuns"),
    ("POST", "/api/v1/signals/{name}", "signalRuns"),
    ("GET", "/api/v1/engine", "getEngine"),
    ("POST", "/api/v1/engine/pause", "pauseEngine"),
    ("POST", "/api/v1/engine/resume", "resumeEngine"),
    ("GET", "/api/v1/engine/limits", "getLimits"),
    ("POST", "/api/v1/engine/breakers/{name}/reset", "resetBreaker"),
    ("GET", "/api/v1/runs/{run}/events", "listRunEvents"),
    ("GET", "/api/v1/events", "exportEvents"),
    ("GET", "/api/v1/runs/{run}/events/stream", "streamRunEvents"),
    ("GET", "/api/v1/runs/{run}/state", "getRunState"),
    ("GET", "/api/v1/runs/{run}/diff", "compareRun"),
    ("GET", "/api/v1/runs/{run}/diff/{other}", "compareRuns"),
    ("GET", "/api/v1/runs/{run}/lineage", "getLineage"),
    ("GET", "/api/v1/runs/{run}/why", "explainRun"),
    ("GET", "/api/v1/why", "explainFolder"),
    ("GET", "/api/v1/query", "describeTables"),
    ("POST", "/api/v1/query", "queryTables"),
    ("GET", "/api/v1/insights", "getInsights"),
    ("GET", "/api/v1/runs/{run}/bisect", "bisectRun"),
    ("GET", "/api/v1/bisect", "bisectRuns"),
    ("GET", "/api/v1/runs/{run}/definition", "getRunDefinition"),
    ("GET", "/api/v1/runs/{run}/graph", "getRunGraph"),
    ("GET", "/api/v1/runs/{run}/timeline", "getTimeline"),
    ("GET", "/api/v1/attempts", "listAttempts"),
    ("GET", "/api/v1/runs/{run}/audit", "listDecisions"),
    ("GET", "/api/v1/runs/{run}/replay", "replayRun"),
    ("POST", "/api/v1/runs/{run}/replay", "replayRunBy"),
    ("GET", "/api/v1/runs/{run}/attempts/{step}/{round}/{attempt}/log", "readLog"),
    ("GET", "/api/v1/runs/{run}/artefacts", "listArtefacts"),
    ("GET", "/api/v1/runs/{run}/artefacts/{hash}", "readArtefact"),
    ("GET", "/api/v1/stream", "streamEvents"),
    ("GET", "/api/v1/audit/decisions", "listAllDecisions"),
    ("GET", "/api/v1/audit/gates", "listVerdicts"),
    ("POST", "/api/v1/audit/backtest", "backtestGate"),
    ("GET", "/api/v1/board", "getBoard"),
    ("GET", "/api/v1/stats", "getStats"),
    ("GET", "/api/v1/moment", "getMoment"),
    ("GET", "/api/v1/orch/tasks", "listStagedTasks"),
    ("GET", "/api/v1/orch/tasks/{item}", "getStagedTask"),
    ("GET", "/api/v1/orch/queue", "getAgentQueue"),
    ("GET", "/api/v1/orch/review", "listTaskReviews"),
    ("GET", "/api/v1/orch/costs", "getTaskCosts"),
    ("GET", "/api/v1/projections", "listProjections"),
    ("POST", "/api/v1/projections/{name}/rebuild", "rebuildProjection"),
    ("GET", "/api/v1/inbox", "listTasks"),
    ("POST", "/api/v1/inbox/{task}", "decideTask"),
    ("GET", "/api/v1/pipelines", "listPipelines"),
    ("POST", "/api/v1/pipelines/check", "checkPipeline"),
    ("GET", "/api/v1/pipelines/{name}", "getPipeline"),
    ("PUT", "/api/v1/pipelines/{name}", "savePipeline"),
    ("GET", "/api/v1/pipelines/{name}/graph", "getPipelineGraph"),
    ("GET", "/api/v1/pipelines/{name}/versions", "listPipelineVersions"),
    ("GET", "/api/v1/pipelines/{name}/stats", "getPipelineStats"),
    ("GET", "/api/v1/hooks", "listDeliveries"),
    ("POST", "/api/v1/hooks/{source}", "receiveDelivery"),
    ("GET", "/api/v1/hooks/{source}/deliveries", "listSourceDeliveries"),
    ("POST", "/api/v1/hooks/{source}/deliveries", "deliver"),
    ("GET", "/api/v1/hooks/{source}/deliveries/{id}", "getDelivery"),
    ("POST", "/api/v1/hooks/{source}/deliveries/{id}/redeliver", "redeliver"),
    ("GET", "/api/v1/notices", "listNotices"),
    ("POST", "/api/v1/notices/{notice}/retry", "retryNotice"),
    ("POST", "/api/v1/notices/{notice}/drop", "dropNotice"),
    ("GET", "/api/v1/subscriptions", "listSubscriptions"),
    ("POST", "/api/v1/subscriptions/{name}/test", "testSubscription"),
    ("GET", "/api/v1/budgets", "listSharedBudgets"),
    ("PUT", "/api/v1/budgets/{scope}", "limitSharedBudget"),
    ("DELETE", "/api/v1/budgets/{scope}", "unlimitSharedBudget"),
    ("GET", "/api/v1/schedules", "listSchedules"),
    ("POST", "/api/v1/schedules", "addSchedule"),
    ("GET", "/api/v1/schedules/{name}", "getSchedule"),
    ("PATCH", "/api/v1/schedules/{name}", "updateSchedule"),
    ("DELETE", "/api/v1/schedules/{name}", "removeSchedule"),
    ("POST", "/api/v1/schedules/{name}/pause", "pauseSchedule"),
    ("POST", "/api/v1/schedules/{name}/resume", "resumeSchedule"),
    ("POST", "/api/v1/schedules/{name}/trigger", "triggerSchedule"),
    ("GET", "/api/v1/store", "getStore"),
    ("GET", "/api/v1/store/verify", "verifyStore"),
    ("POST", "/api/v1/store/adopt", "adoptStore"),
    ("GET", "/api/v1/workers", "listWorkers"),
    ("POST", "/api/v1/workers/poll", "pollWork"),
    ("POST", "/api/v1/workers/attempts/{id}/heartbeat", "extendLease"),
    ("POST", "/api/v1/workers/attempts/{id}/complete", "completeAttempt"),
    ("POST", "/api/v1/workers/attempts/{id}/fail", "failAttempt"),
    ("POST", "/api/v1/workers/reports", "reportAttempts"),
    ("GET", "/api/v1/tokens", "listTokens"),
    ("POST", "/api/v1/tokens", "createToken"),
    ("DELETE", "/api/v1/tokens/{name}", "revokeToken"),
    ("GET", "/api/v1/session", "getSession"),
    ("POST", "/api/v1/session", "openSession"),
    ("DELETE", "/api/v1/session", "closeSession"),
    ("POST", "/api/v1/session/links", "createLoginLink"),
    ("GET", "/healthz", "getHealth"),
    ("GET", "/readyz", "getReadiness"),
    ("GET", "/metrics", "getMetrics"),
    ("GET", "/api", "showReference"),
    ("GET", "/api/{file}", "getReferenceFile"),
    ("GET", "/api/openapi.json", "getDocument"),
];

/// The name of an operation.
pub(super) fn of(path: &str, method: &Method) -> Option<&'static str> {
    NAMES.iter().find(|(verb, place, _)| *verb == method.as_str() && *place == path).map(|(_, _, name)| *name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn row_59_no_two_operations_have_one_name() {
        let names: BTreeSet<&str> = NAMES.iter().map(|(_, _, name)| *name).collect();
        assert_eq!(names.len(), NAMES.len());
        let is_word = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphabetic());
        assert!(names.iter().all(is_word), "{names:?}");
    }
}
