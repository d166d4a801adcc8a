//! Which fields of a run's state both debuggers show, and in which order.

/// Fields of a run that change with every event, or say nothing of the run itself.
pub const FIELDS_APART: [&str; 5] = ["version", "updated_at", "driven", "id", "short_id"];
/// Fields of a run in the order in which they are wanted.
pub const FIELDS_FIRST: [&str; 12] = [
    "status",
    "failure",
    "awaits",
    "paused",
    "steps",
    "next_steps",
    "routes",
    "output",
    "input",
    "usage",
    "budget",
    "commit",
];
