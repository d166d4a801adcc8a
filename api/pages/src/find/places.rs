//! The pages and actions that are always there to be found.

/// A place that is always there: its name, its address, and other words for it.
pub(crate) type KnownPlace = (&'static str, &'static str, &'static str);

/// The pages.
pub(crate) const PLACES: [KnownPlace; 12] = [
    ("Board", "/", "home columns status now"),
    ("Board by stage", "/?by=stage", "columns steps"),
    ("Runs as a table", "/runs", "list csv export"),
    ("Failed runs", "/runs?status=failed", "errors red"),
    ("Blocked runs", "/runs?status=blocked", "stuck"),
    ("Inbox", "/inbox", "tasks approve approvals questions decide waiting"),
    ("Pipelines", "/pipelines", "definitions versions"),
    ("Schedules", "/schedules", "cron times triggers"),
    ("Hooks", "/hooks", "deliveries webhooks triggers"),
    ("Audit", "/audit", "gates verdicts decisions evidence policy"),
    ("Spend", "/spend", "cost budget tokens money usage"),
    ("System", "/system", "workers limits breakers tokens store health notices projections"),
];

/// What can be done, likewise.
pub(crate) const ACTIONS: [KnownPlace; 2] = [
    ("Decide what waits for you", "/inbox", "approve reject answer tasks"),
    ("Try another policy on recorded verdicts", "/audit/backtest", "backtest gates what if"),
];
