//! All tables with their columns.
//!
//! Law: a column has the value that the list's row has under that field; tests compare the two.

use everfold_sql::ColumnLookup::{Argument, From, Index, Key, Range};
use everfold_sql::SqlType::{Boolean, Integer, Json, Real, Text, Time};

use super::table_text::{ColumnText, TableText};

const fn column(name: &'static str, of: everfold_sql::SqlType, about: &'static str) -> ColumnText {
    ColumnText::new(name, of, about)
}

/// About how many runs there are.
const RUN_COUNT: u64 = 100_000;
/// About how many events there are.
const EVENT_COUNT: u64 = 10_000_000;

/// The argument of a table that is about one run.
const OF_RUN: ColumnText =
    column("of_run", Text, "the argument: the run, as people name it (`@`, a short id)").found_by(Argument);

pub(super) const RUNS: TableText = TableText {
    name: "runs",
    about: "Every run, as lists show it.",
    route: "GET /runs",
    rows: RUN_COUNT,
    columns: &[
        column("id", Text, "the run").found_by(Key).named(),
        column("short_id", Text, "its last 8 digits"),
        column("pipeline", Text, "the pipeline's name").found_by(Index),
        column("number", Integer, "its number, where the pipeline numbers runs").found_by(Index),
        column("title", Text, "for readers"),
        column("status", Text, "`queued running waiting paused blocked stopping succeeded failed cancelled`")
            .found_by(Index),
        column("labels", Json, "its labels, a map; the table `labels` finds runs by them"),
        column("search", Json, "its search attributes, a map; the table `search` has them with their types"),
        column("started_by", Text, "who started it: `user:ada`"),
        column("initiator", Text, "who is behind the start, where that is another"),
        column("started_at", Time, "when it began").found_by(From),
        column("ended_at", Time, "null: it goes on"),
        column("elapsed_ms", Integer, "from its start to its end, or to `now()`").at("elapsed"),
        column("moved_at", Time, "when its status or active steps changed last"),
        column("updated_at", Time, "when its last event was recorded"),
        column("active_steps", Json, "the steps that have begun and not ended: a list"),
        column("awaits", Json, "what people are asked for: a list of `{step, kind, roles}`"),
        column("cost", Real, "US dollars"),
        column("input_tokens", Integer, "tokens read").at("usage.input_tokens"),
        column("output_tokens", Integer, "tokens written").at("usage.output_tokens"),
        column("failure_kind", Text, "how it failed, in a word").at("failure.kind"),
        column("failure_code", Text, "an own code below the kind").at("failure.code"),
        column("failure_message", Text, "what happened").at("failure.message"),
        column("failure_hint", Text, "what to do next").at("failure.hint"),
        column("failure_exit_code", Integer, "the exit code, where there is one").at("failure.exit_code"),
        column("failure_step", Text, "the step that failed").at("failure.step"),
        column("note", Text, "how it failed, why it stands still, or why it was cancelled"),
        column("set_aside", Text, "why its owner cannot go on with it; of now, whatever `at` says"),
        column("progress_step", Text, "the step whose work spoke last").at("progress.step"),
        column("progress_done", Integer, "so many parts are done").at("progress.done"),
        column("progress_of", Integer, "of so many").at("progress.of"),
        column("steps_total", Integer, "steps of the definition").at("step_counts.total"),
        column("steps_pending", Integer, "have not begun").at("step_counts.pending"),
        column("steps_open", Integer, "are in progress, or wait").at("step_counts.open"),
        column("steps_succeeded", Integer, "ended well").at("step_counts.succeeded"),
        column("steps_failed", Integer, "failed for good, tolerated or not").at("step_counts.failed"),
        column("steps_skipped", Integer, "did not apply").at("step_counts.skipped"),
        column("steps_cancelled", Integer, "were ended with their run").at("step_counts.cancelled"),
        column("parent_run", Text, "the run that started it")
            .found_by(Index)
            .of_values(RUN_COUNT / 3)
            .at("parent.run"),
        column("parent_short_id", Text, "the last 8 digits of that").at("parent.short_id"),
        column("parent_step", Text, "the step of it that did").at("parent.step"),
        column("parent_top", Text, "the topmost run above it")
            .found_by(Index)
            .of_values(RUN_COUNT / 10)
            .at("parent.top"),
        column("origin_run", Text, "the run whose history it began with").at("origin.run"),
        column("origin_version", Integer, "up to which version").at("origin.version"),
        column("origin_how", Text, "`fork retry restart handover`").at("origin.how"),
        column("version", Integer, "how many events it has"),
        column("position", Integer, "its place in the log; runs come by it, the newest first"),
        column("since", Integer, "the place of its last event"),
    ],
};

pub(super) const LABELS: TableText = TableText {
    name: "labels",
    about: "Every label of every run.",
    route: "GET /runs",
    rows: 300_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT).named(),
        column("key", Text, "the label's name").found_by(Index).named(),
        column("value", Text, "its text; found together with `key`").found_by(Index).beside_another(),
    ],
};

pub(super) const SEARCH: TableText = TableText {
    name: "search",
    about: "Every search attribute of every run.",
    route: "GET /runs",
    rows: 200_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT).named(),
        column("name", Text, "the attribute's name").found_by(Index).named(),
        column("type", Text, "`text number time bool list`"),
        column(
            "value",
            Text,
            "its value as a text: a number in digits, a time in RFC 3339, `true` or `false`, a list in JSON",
        ),
        column("number", Real, "of a number: its value, which has an order"),
    ],
};

pub(super) const STEPS: TableText = TableText {
    name: "steps",
    about: "The steps of runs, in the order of their files. Folded of the run's events: name runs.",
    route: "GET /runs/{run}/state",
    rows: 2_000_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT).named(),
        column("id", Text, "the step").named(),
        column("stage", Text, "the board's column"),
        column("kind", Text, "what it does: `command agent function approval question wait run gates`"),
        column("status", Text, "what it is doing"),
        column("standby", Boolean, "a standby step"),
        column("round", Integer, "the current round; 0: before the first"),
        column("attempt", Integer, "the current attempt; 0: before the first"),
        column("started_at", Time, "when the round began"),
        column("ended_at", Time, "when the round ended"),
        column("retry_at", Time, "when the next attempt begins"),
        column("items", Json, "of a `foreach`: `{total, scheduled, ended, failed, blocked, asking}`"),
        column("gates", Json, "the newest verdict of each gate of the round"),
        column("outputs", Json, "kept files: path by name"),
        column("failure_kind", Text, "how it failed, in a word").at("failure.kind"),
        column("failure_code", Text, "an own code below the kind").at("failure.code"),
        column("failure_message", Text, "what happened").at("failure.message"),
        column("tolerated", Boolean, "it failed, and the run goes on"),
        column("note", Text, "what its work said for readers"),
        column("code", Text, "the code that its work gave its end"),
        column("child", Text, "the run that its current attempt started"),
        column("usage", Json, "what it used up, in all rounds and attempts"),
        column("model", Text, "the model that its agent is told to use"),
        OF_RUN,
    ],
};

pub(super) const ATTEMPTS: TableText = TableText {
    name: "attempts",
    about: "Every attempt of runs with its times. Folded of the run's events: name runs.",
    route: "GET /runs/{run}/timeline",
    rows: 2_000_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT).named(),
        column("step", Text, "the step, or an item of it").named(),
        column("round", Integer, "the round").named(),
        column("attempt", Integer, "the attempt").named(),
        column("kind", Text, "the executor; empty where a retry does not name it again"),
        column("scheduled_at", Time, "when it was scheduled"),
        column("started_at", Time, "when it really began"),
        column("ended_at", Time, "when it ended; null: it goes on").at("end.at"),
        column("waited_ms", Integer, "from its schedule to its begin"),
        column("worked_ms", Integer, "from its begin to its end"),
        column("failure_kind", Text, "how it failed, in a word; null: well, or it goes on")
            .at("end.failure.kind"),
        column("failure_code", Text, "an own code below the kind").at("end.failure.code"),
        column("failure_message", Text, "what happened").at("end.failure.message"),
        column("failure_hint", Text, "what to do next").at("end.failure.hint"),
        column("failure_exit_code", Integer, "the exit code, where there is one").at("end.failure.exit_code"),
        column("head", Text, "the commit at the head of its worktree when it ended, where it had one")
            .at("end.commit"),
        column("log", Json, "its log as it was closed").at("end.log"),
        column("spared", Text, "of a fork: `held`: it acts outside and was not done; `recorded`: it was given what work of the origin was given")
            .at("spared.why"),
        column("would", Text, "what it would have done, where it was held back").at("spared.would"),
        OF_RUN,
    ],
};

pub(super) const STEP_TIMES: TableText = TableText {
    name: "step_times",
    about: "How long steps took in runs: queues, machines, people. What goes on counts up to `now()`, what overlaps once. Folded of the run's events: name runs.",
    route: "GET /pipelines/{name}/stats",
    rows: 1_000_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT).named(),
        column("step", Text, "the step").named(),
        column("rounds", Integer, "its rounds"),
        column("attempts", Integer, "its attempts that ended, those of its items among them"),
        column("failed_attempts", Integer, "how many of those failed; cancelled ones did not"),
        column("queue_ms", Integer, "how long attempts waited for their begin after they were scheduled"),
        column("machine_ms", Integer, "how long attempts worked"),
        column("people_ms", Integer, "how long it waited for people"),
        OF_RUN,
    ],
};

pub(super) const EVENTS: TableText = TableText {
    name: "events",
    about: "The events of a run, or of all runs in the order of the log.",
    route: "GET /runs/{run}/events",
    rows: EVENT_COUNT,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT).named(),
        column("version", Integer, "its place in the run; found together with the run")
            .found_by(Range)
            .beside_another()
            .named(),
        column("position", Integer, "its place in the log").found_by(Range).of_values(EVENT_COUNT),
        column("recorded_at", Time, "when it was recorded"),
        column("committed_at", Time, "when it was durable"),
        column("actor", Text, "who caused it"),
        column("type", Text, "its name: `StepScheduled`").at("event.type"),
        column("kind", Integer, "its number"),
        column("schema", Integer, "the schema of its bytes"),
        column("flags", Integer, "1: copied from the run that this one began with"),
        column("cause", Json, "`{input, because}`"),
        column("event", Json, "what it says"),
        column("hash", Text, "the end of the chain of hashes"),
        OF_RUN,
    ],
};

pub(super) const SIGNALS: TableText = TableText {
    name: "signals",
    about: "The signals that runs got. Read from the run's events: name runs.",
    route: "GET /runs/{run}/events",
    rows: 2_000_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT).named(),
        column("version", Integer, "its event's place in the run").named(),
        column("position", Integer, "its event's place in the log"),
        column("at", Time, "when it came"),
        column("actor", Text, "who sent it"),
        column("name", Text, "its name").at("signal.name"),
        column("payload", Json, "what it says").at("signal.payload"),
        column("delivery", Text, "the delivery that it came with").at("signal.delivery"),
        OF_RUN,
    ],
};

pub(super) const DECISIONS: TableText = TableText {
    name: "decisions",
    about: "Every decision: of gates, of people, of routes.",
    route: "GET /audit/decisions",
    rows: 500_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT),
        column("short_id", Text, "its last 8 digits"),
        column("pipeline", Text, "its pipeline").found_by(Index),
        column("title", Text, "its title"),
        column("version", Integer, "the event's place in the run"),
        column("position", Integer, "the event's place in the log; decisions come by it, the newest first")
            .named(),
        column("at", Time, "when"),
        column("actor", Text, "who decided: of a verdict, and of the rework that it leads to, `engine`")
            .found_by(Index),
        column("step", Text, "the step, or an item of it"),
        column("round", Integer, "the round"),
        column("attempt", Integer, "of a gate: the attempt that was judged"),
        column(
            "kind",
            Text,
            "`gate vote part answer expiry approval override recheck unjudged rework cancel`",
        )
        .found_by(Index),
        column("gate", Text, "the gate").found_by(Index),
        column("verdict", Text, "`pass fail pending skipped`").found_by(Index),
        column("reason", Text, "why"),
        column("policy", Text, "by which policy"),
        column("probe_no", Integer, "the number of the probe"),
        column("tolerated", Boolean, "it failed, and the run went on"),
        column("vote", Text, "of a vote: what was said"),
        column("comment", Text, "with which words"),
        column("decision", Text, "of an approval or an override: what was decided"),
        column(
            "policies",
            Json,
            "of an override or a recheck: by what instead of the pipeline's policies, by gate; a recheck with \
             them is an override, too, to `--kind override`",
        ),
        column("bypassed", Json, "of an override: the gates that were passed over"),
        column("signal", Text, "of an override or a cancel: the signal that ended the run"),
        column("due", Time, "of an expiry: until when there was time"),
        column(
            "route",
            Text,
            "of a rework: by which route, as `STEP/PLACE/INDEX`; `step` is the one that it leads to",
        ),
        column("used", Integer, "of a rework: the uses of the route"),
        column("max", Integer, "of a rework: how many are allowed"),
        column("permanent", Boolean, "of a gate that a recheck could not judge: asking again cannot help"),
        column("asked_by", Text, "of a gate that a recheck could not judge: who asked for the recheck")
            .at("asked.actor"),
        column("asked_at", Time, "when that was").at("asked.at"),
        column(
            "displaced_by",
            Text,
            "of a recheck in the place of one that was not over: who asked for that one",
        )
        .at("displaced.actor"),
        column("displaced_at", Time, "when that was").at("displaced.at"),
        column("displaced_gate", Text, "the gate that it was to judge").at("displaced.gate"),
    ],
};

pub(super) const GATES: TableText = TableText {
    name: "gates",
    about: "Every verdict of a gate.",
    route: "GET /audit/gates",
    rows: 300_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT),
        column("short_id", Text, "its last 8 digits"),
        column("pipeline", Text, "its pipeline").found_by(Index),
        column("title", Text, "its title"),
        column("version", Integer, "the event's place in the run"),
        column("position", Integer, "the event's place in the log; decisions come by it, the newest first")
            .named(),
        column("at", Time, "when"),
        column(
            "actor",
            Text,
            "`engine`; who had it judged again is the actor of the `recheck` in `decisions`",
        )
        .found_by(Index),
        column("step", Text, "the step, or an item of it"),
        column("round", Integer, "the round"),
        column("attempt", Integer, "the attempt that was judged"),
        column("gate", Text, "the gate").found_by(Index),
        column("verdict", Text, "`pass fail pending skipped`").found_by(Index),
        column("reason", Text, "why"),
        column("policy", Text, "by which policy"),
        column("probe_no", Integer, "the number of the probe"),
        column("tolerated", Boolean, "it failed, and the run went on"),
        column("evidence", Json, "on what"),
        column("policy_hash", Text, "BLAKE3 of the policy's text"),
    ],
};

pub(super) const VOTES: TableText = TableText {
    name: "votes",
    about: "Every vote of a person.",
    route: "GET /audit/decisions?kind=vote",
    rows: 50_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT),
        column("short_id", Text, "its last 8 digits"),
        column("pipeline", Text, "its pipeline").found_by(Index),
        column("title", Text, "its title"),
        column("version", Integer, "the event's place in the run"),
        column("position", Integer, "the event's place in the log; decisions come by it, the newest first")
            .named(),
        column("at", Time, "when"),
        column("actor", Text, "who caused it").found_by(Index),
        column("step", Text, "the step, or an item of it"),
        column("round", Integer, "the round"),
        column("vote", Text, "`approve reject changes`"),
        column("comment", Text, "with which words"),
        column("comments", Json, "remarks on what was shown"),
    ],
};

pub(super) const TASKS: TableText = TableText {
    name: "tasks",
    about: "What people are asked, while it is open.",
    route: "GET /inbox",
    rows: 1_000,
    columns: &[
        column("id", Text, "names it").named(),
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT),
        column("short_id", Text, "its last 8 digits"),
        column("pipeline", Text, "its pipeline"),
        column("run_title", Text, "its title"),
        column("step", Text, "the step, or an item of it"),
        column("round", Integer, "the round"),
        column("attempt", Integer, "the attempt"),
        column("kind", Text, "`approval question blocked budget`"),
        column("title", Text, "what is asked"),
        column("terms_roles", Json, "who may: a list; empty: anyone").at("terms.roles"),
        column("votes", Json, "the votes so far, by person"),
        column("saved_by", Text, "who saved a part of an answer"),
        column("message", Text, "of a blocked step or a budget: what happened"),
        column("budget", Text, "the budget that is used up"),
        column("until", Time, "when the budget's next period begins"),
        column("since", Time, "since when"),
        column("expires_at", Time, "until when; null: for ever"),
        column("reminded", Integer, "how often people were reminded"),
        column("remind_at", Time, "when they are reminded next"),
        column("position", Integer, "the place of the event that asked"),
    ],
};

pub(super) const DELIVERIES: TableText = TableText {
    name: "deliveries",
    about: "Deliveries of webhooks, of now.",
    route: "GET /hooks",
    rows: 20_000,
    columns: &[
        column("source", Text, "its source").found_by(Index).named(),
        column("id", Text, "what its sender calls it").named(),
        column("name", Text, "what kind of event it tells of"),
        column("sender", Text, "who is behind it"),
        column("received_at", Time, "when it came"),
        column("handled", Json, "what it led to, each time that it was handled"),
    ],
};

pub(super) const NOTICES: TableText = TableText {
    name: "notices",
    about: "Notices that did not arrive, of now.",
    route: "GET /notices",
    rows: 1_000,
    columns: &[
        column("id", Text, "names it").named(),
        column("run", Text, "the run"),
        column("version", Integer, "the event that it is of"),
        column("notice", Text, "the notice of the pipeline"),
        column("subscription", Text, "the subscription of the settings"),
        column("event", Text, "the name of the event"),
        column("status", Text, "`dead retrying`"),
        column("tries", Integer, "how often it was tried"),
        column("message", Text, "why it did not arrive"),
        column("at", Time, "when it was given up"),
        column("again_by", Text, "who had it sent again"),
    ],
};

pub(super) const SPEND: TableText = TableText {
    name: "spend",
    about: "What runs used up, by day and step.",
    route: "GET /spend?by=step",
    rows: 100_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT).named(),
        column("pipeline", Text, "its pipeline").named(),
        column("day", Text, "the day in UTC: `2026-11-20`").named(),
        column("step", Text, "the step").named().at("name"),
        column("reports", Integer, "reports that were summed up"),
        column("input_tokens", Integer, "tokens read, those from a cache among them"),
        column("cached_tokens", Integer, "those of them that came from a cache"),
        column("output_tokens", Integer, "tokens written"),
        column("cost", Real, "US dollars"),
    ],
};

pub(super) const MODEL_SPEND: TableText = TableText {
    name: "model_spend",
    about: "The same amounts, by day and model.",
    route: "GET /spend?by=model",
    rows: 100_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT).named(),
        column("pipeline", Text, "its pipeline").named(),
        column("day", Text, "the day in UTC: `2026-11-20`").named(),
        column("model", Text, "the model; empty: it is not known").named().at("name"),
        column("reports", Integer, "reports that were summed up"),
        column("input_tokens", Integer, "tokens read, those from a cache among them"),
        column("cached_tokens", Integer, "those of them that came from a cache"),
        column("output_tokens", Integer, "tokens written"),
        column("cost", Real, "US dollars"),
    ],
};

pub(super) const ROLE_SPEND: TableText = TableText {
    name: "role_spend",
    about: "The same amounts, by day and role of agents.",
    route: "GET /spend?by=role",
    rows: 100_000,
    columns: &[
        column("run", Text, "the run").found_by(Index).of_values(RUN_COUNT).named(),
        column("pipeline", Text, "its pipeline").named(),
        column("day", Text, "the day in UTC: `2026-11-20`").named(),
        column("role", Text, "the role; empty: it has none").named().at("name"),
        column("reports", Integer, "reports that were summed up"),
        column("input_tokens", Integer, "tokens read, those from a cache among them"),
        column("cached_tokens", Integer, "those of them that came from a cache"),
        column("output_tokens", Integer, "tokens written"),
        column("cost", Real, "US dollars"),
    ],
};

/// All of them, in the order in which they are described.
pub(in crate::http) static TABLES: &[TableText] = &[
    RUNS,
    LABELS,
    SEARCH,
    STEPS,
    ATTEMPTS,
    STEP_TIMES,
    EVENTS,
    SIGNALS,
    DECISIONS,
    GATES,
    VOTES,
    TASKS,
    DELIVERIES,
    NOTICES,
    SPEND,
    MODEL_SPEND,
    ROLE_SPEND,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use everfold_projections::{FieldType, RUN_FIELDS, RowFields};
    use everfold_sql::SqlType;

    use super::*;
    use crate::http::list_fields::{
        DECISION_FIELDS, DELIVERY_FIELDS, GATE_FIELDS, NOTICE_FIELDS, TASK_FIELDS,
    };

    fn sql_type(of: FieldType) -> SqlType {
        match of {
            FieldType::Text | FieldType::Word(_) => Text,
            FieldType::Whole | FieldType::Span => Integer,
            FieldType::Number => Real,
            FieldType::Time => Time,
            FieldType::Flag => Boolean,
            FieldType::Texts | FieldType::Items | FieldType::TextMap | FieldType::ValueMap => Json,
        }
    }

    #[test]
    fn what_lists_are_filtered_by_is_a_column_of_the_same_type() {
        let of_lists: [(&RowFields, &TableText); 6] = [
            (&RUN_FIELDS, &RUNS),
            (&TASK_FIELDS, &TASKS),
            (&DECISION_FIELDS, &DECISIONS),
            (&GATE_FIELDS, &GATES),
            (&DELIVERY_FIELDS, &DELIVERIES),
            (&NOTICE_FIELDS, &NOTICES),
        ];
        for (fields, table) in of_lists {
            for field in fields.known.iter().filter(|field| !field.name.contains("[]")) {
                let column = table.columns.iter().find(|column| column.path == field.name);
                let column = column.unwrap_or_else(|| panic!("{} has no {}", table.name, field.name));
                assert_eq!(column.of, sql_type(field.of), "{}.{}", table.name, column.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_every_row_has_one() {
        let tables: BTreeSet<&str> = TABLES.iter().map(|table| table.name).collect();
        assert_eq!(tables.len(), TABLES.len());
        for table in TABLES {
            let columns: BTreeSet<&str> = table.columns.iter().map(|column| column.name).collect();
            assert_eq!(columns.len(), table.columns.len(), "{}", table.name);
            assert!(table.columns.iter().any(|column| column.names_row), "{}", table.name);
            assert!(table.columns.iter().all(|column| !column.about.is_empty()), "{}", table.name);
        }
    }
}
