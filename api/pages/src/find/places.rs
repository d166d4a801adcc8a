//! The pages and actions that are always there to be found.

/// A place that is always there: its name, its address, and other words for it.
pub(crate) type KnownPlace = (&'static str, &'static str, &'static str);

/// The pages.
pub(crate) const PLACES: [KnownPlace; 14] = [
    ("Board", "/", "home columns status now"),
    ("Board by stage", "/?by=stage", "columns steps"),
    ("Tasks by stage", "/orch", "orch work items delivery columns"),
    ("Runs as a table", "/runs", "list csv export"),
    ("Failed runs", "/runs?status=failed", "errors red"),
    ("Blocked runs", "/runs?status=blocked", "stuck"),
    ("Inbox", "/inbox", "tasks approve approvals questions decide waiting"),
    ("Pipelines", "/pipelines", "definitions versions"),
    ("Schedules", "/schedules", "cron times triggers"),
    ("Hooks", "/hooks", "deliveries webhooks triggers"),
    ("Audit", "/audit", "gates verdicts decisions evidence policy"),
    ("Insights", "/insights", "flaky gates reworks time cost history improve"),
    ("Spend", "/spend", "cost budget tokens money usage"),
    ("System", "/system", "workers limits breakers tokens store health notices projections"),
];

/// What can be done, likewise.
pub(crate) const ACTIONS: [KnownPlace; 4] = [
    ("Decide what waits for you", "/inbox", "approve reject answer tasks"),
    ("Try another policy on recorded verdicts", "/audit/backtest", "backtest gates what if"),
    ("Compare two moments of the board", "/compare", "difference diff"),
    ("Check every hash of the log", "/audit/verify", "verify chain store"),
];

/// What an operator can do beside starting runs.
pub(crate) const ACTIONS_OF_OPERATORS: [KnownPlace; 3] = [
    ("Add a pipeline", "/pipelines/new", "new create definition yaml"),
    ("Add a schedule", "/schedules/new", "new create cron times"),
    ("Pause or resume the engine", "/system", "stop go on"),
];

/// What an administrator can do beside these.
pub(crate) const ACTIONS_OF_ADMINS: [KnownPlace; 1] =
    [("Make a token", "/system/make-token", "new create access login user")];

/// What an open run can be told: the name, the action in its address, whether of an ended run, and other words for it.
pub(crate) const ACTIONS_OF_RUN: [(&str, &str, OfRun, &str); 8] = [
    ("Cancel", "cancel", OfRun::Open, "stop end abort"),
    ("Pause", "pause", OfRun::Unpaused, "hold stop"),
    ("Resume", "resume", OfRun::Paused, "go on continue"),
    ("Retry", "retry", OfRun::Any, "try again failed"),
    ("Restart", "restart", OfRun::Ended, "again new run"),
    ("Fork", "fork", OfRun::Any, "copy branch"),
    ("Signal", "signal", OfRun::Open, "send"),
    ("Write a note on", "note", OfRun::Open, "comment remark"),
];

/// Of which runs an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfRun {
    Any,
    Open,
    Paused,
    Unpaused,
    Ended,
}

impl OfRun {
    /// Whether a run of a status can be told it.
    pub(crate) fn fits(self, status: &str) -> bool {
        let is_ended = matches!(status, "succeeded" | "failed" | "cancelled");
        match self {
            Self::Any => true,
            Self::Open => !is_ended,
            Self::Paused => status == "paused",
            Self::Unpaused => !is_ended && status != "paused",
            Self::Ended => is_ended,
        }
    }
}
