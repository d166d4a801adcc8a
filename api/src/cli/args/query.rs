//! What is looked at.

use std::num::{NonZeroU64, NonZeroUsize};

use clap::{Args, Subcommand, ValueEnum};

use super::name::name;

#[derive(Debug, Args)]
pub(crate) struct RunRef {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name())]
    pub(crate) run: String,
}

#[derive(Debug, Args)]
pub(crate) struct DebugArgs {
    /// The run; without it the newest one
    #[arg(value_name = "RUN", value_parser = name())]
    pub(crate) run: Option<String>,
    /// Print where it stands, its breakpoints and the step that comes next, as everywhere but on a terminal
    #[arg(long)]
    pub(crate) plain: bool,
    /// Speak the Debug Adapter Protocol on standard input and output, for an editor that steps through the history
    #[arg(long, conflicts_with = "plain")]
    pub(crate) dap: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name(), conflicts_with_all = ["filter", "all"])]
    pub(crate) run: String,
    /// Every run of which this is true, instead of one: pipeline == 'delivery'
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// Every run
    #[arg(long, conflicts_with = "filter")]
    pub(crate) all: bool,
    /// With many runs: go on from here
    #[arg(long, value_name = "CURSOR", conflicts_with_all = ["run", "version"])]
    pub(crate) cursor: Option<String>,
    /// Decide by this pipeline instead: a file, a name, or `current` for the newest saved one of the run's
    #[arg(long, visible_alias = "pipeline", value_name = "FILE|NAME")]
    pub(crate) definition: Option<String>,
    /// Only the decision that recorded this version, in full
    #[arg(long, value_name = "N", conflicts_with_all = ["filter", "all"])]
    pub(crate) version: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Only runs in this status; several separated by commas
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    /// Only runs of this pipeline
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// Only runs with this number, where their pipelines number them
    #[arg(long, value_name = "N")]
    pub(crate) number: Option<u64>,
    /// Only runs with this label
    #[arg(long = "label", value_name = "KEY[=VALUE]")]
    pub(crate) labels: Vec<String>,
    /// Only runs that mention these words
    #[arg(short, value_name = "WORDS")]
    pub(crate) query: Option<String>,
    /// Only runs that this run started
    #[arg(long, value_name = "RUN")]
    pub(crate) parent: Option<String>,
    /// Only runs below this run, at whatever depth
    #[arg(long, value_name = "RUN")]
    pub(crate) top: Option<String>,
    /// Only runs that something goes on in at this step, or that wait for people there
    #[arg(long, value_name = "STEP")]
    pub(crate) step: Option<String>,
    /// Only runs that wait for a person with this role
    #[arg(long, value_name = "ROLE")]
    pub(crate) awaiting: Option<String>,
    /// Only runs of which this is true: status == 'failed' && cost > 2.0 && labels.team == 'blue'
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// Only runs that began later than this time: 2h, yesterday, 2026-11-20, RFC 3339
    #[arg(long = "since", alias = "started-after", value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) started_after: Option<String>,
    /// In which order: started, ended, or a field as in --filter: cost, elapsed, title, labels.team; with - before it the largest first [default: -started]
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// As they were at a time (-10m, yesterday, 2026-11-20, RFC 3339) or position
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// So many at most [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Go on where a former answer's `next_cursor` says
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct BoardArgs {
    /// As it was at a time (-10m, yesterday, 2026-11-20, RFC 3339) or position
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// What makes a column: status or stage
    #[arg(long, value_name = "WHAT", default_value = "status")]
    pub(crate) group_by: String,
    /// So many runs of each column
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Figures for each value of these fields: status, pipeline, labels.team, failure.kind; several separated by commas
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub(crate) by: Vec<String>,
    /// Figures for each stretch of time in which runs began: 1h, 1d, 7d
    #[arg(long, value_name = "SPAN")]
    pub(crate) bucket: Option<String>,
    /// Figures of the runs of which this is true: status == 'failed' && cost > 2.0 && labels.team == 'blue'
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// As it was at a time (-10m, yesterday, 2026-11-20, RFC 3339) or position
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ProjectionsArgs {
    #[command(subcommand)]
    pub(crate) what: Option<ProjectionsVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectionsVerb {
    /// Build a read model anew from the log
    Rebuild {
        /// Which one
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name())]
    pub(crate) run: String,
    /// The step, or STEP.ITEM [default: the one that runs or ran last]
    #[arg(value_name = "STEP", value_parser = name())]
    pub(crate) step: Option<String>,
    /// Go on until the work ends
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print what was written as it is: control sequences, and the protocol of an agent
    #[arg(long)]
    pub(crate) raw: bool,
    /// Only the last so many lines
    #[arg(long, value_name = "LINES")]
    pub(crate) tail: Option<usize>,
    /// The round [default: the last]
    #[arg(long, value_name = "N")]
    pub(crate) round: Option<u32>,
    /// The attempt [default: the last]
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name())]
    pub(crate) run: String,
    /// From this version on
    #[arg(long, value_name = "VERSION", default_value_t = 1)]
    pub(crate) from: u64,
    /// Only those that were recorded at this time or later: 10m, yesterday, 2026-11-20, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// So many at most [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Go on until the run ends
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name())]
    pub(crate) run: String,
    /// A version, or a time: -10m, yesterday, 2026-11-20, RFC 3339 [default: now]
    #[arg(long, value_name = "VERSION|TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The run [default: all that is held up in the folder]
    #[arg(value_name = "RUN", value_parser = name())]
    pub(crate) run: Option<String>,
    /// Only this step
    #[arg(value_name = "STEP", value_parser = name())]
    pub(crate) step: Option<String>,
    /// As it was at a version or a time: -10m, yesterday, 2026-11-20, RFC 3339 [default: now]
    #[arg(long, value_name = "VERSION|TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LineageArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name())]
    pub(crate) run: String,
    /// As it was at a time (-10m, yesterday, 2026-11-20, RFC 3339) or position
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "everfold bisect [OPTIONS] RUN EXPR\n       everfold bisect [OPTIONS] --runs FILTER EXPR\n       everfold bisect [OPTIONS] --pipeline NAME EXPR"
)]
pub(crate) struct BisectArgs {
    /// The run; with --runs and --pipeline the expression
    #[arg(value_name = "RUN", value_parser = name())]
    pub(crate) first: Option<String>,
    /// What is asked of the run after each event: steps.build.round > 1, cost > 2.0, status == 'blocked'
    #[arg(value_name = "EXPR")]
    pub(crate) expression: Option<String>,
    /// Ask it of each run instead, the oldest first, of which this is true: pipeline == 'release'
    #[arg(long, value_name = "FILTER")]
    pub(crate) runs: Option<String>,
    /// The same of the runs of this pipeline
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// Look at this many runs, or events of the run, at most [default: 100000 runs, 1000000 events]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroU64>,
    /// Go on where an answer ended that looked at as many as it may: at this run, or version of the run
    #[arg(long, value_name = "PLACE", value_parser = name())]
    pub(crate) from: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The run
    #[arg(value_name = "RUN", value_parser = name())]
    pub(crate) run: String,
    /// Two versions of it or times, as 5..12 or -10m.. (one may be left out); or another run
    #[arg(value_name = "A..B|RUN", value_parser = name(), allow_hyphen_values = true)]
    pub(crate) other: String,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<AuditVerb>,
    #[command(flatten)]
    pub(crate) decisions: DecisionsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DecisionsArgs {
    /// Only these: gate, vote, part, answer, expiry, approval, override, recheck, unjudged, rework, cancel; several separated by commas
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Only by this actor: user:NAME, token:NAME, engine
    #[arg(long, value_name = "ACTOR")]
    pub(crate) actor: Option<String>,
    /// Only of this gate
    #[arg(long, value_name = "GATE")]
    pub(crate) gate: Option<String>,
    /// Only verdicts of gates: pass, fail, pending or skipped
    #[arg(long, value_name = "VERDICT")]
    pub(crate) verdict: Option<String>,
    /// Only of runs of this pipeline
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// Only of this run
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Only decisions of which this is true: kind == 'override' && actor.startsWith('user:')
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// Only from this time on: 7d, yesterday, 2026-11-20, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// Only before this time: 7d, yesterday, 2026-11-20, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<String>,
    /// What was decided by a time (-10m, yesterday, 2026-11-20, RFC 3339) or position
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// So many at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Give recorded verdicts of a gate again by another policy, on the evidence of then; nothing is recorded
    Backtest(BacktestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    /// The gate, by its id
    #[arg(value_name = "GATE", value_parser = name())]
    pub(crate) gate: String,
    /// The policy: CEL over `evidence`, as in a pipeline
    #[arg(long, value_name = "EXPR")]
    pub(crate) policy: String,
    /// Only verdicts from this time on: 7d, yesterday, 2026-11-20, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// Only runs of this pipeline
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SpendArgs {
    /// run, step, role, model, day, pipeline, or label:NAME: by that label of the runs
    #[arg(long, value_name = "GROUP", default_value = "run")]
    pub(crate) by: String,
    /// Of one run only
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Of one pipeline only
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// From this day on (UTC): 2026-11-20, yesterday, 7d
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// As it was at a time (-10m, yesterday, 2026-11-20, RFC 3339) or position
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InsightsArgs {
    /// Only these: gates, reworks, flaky, time, cost
    #[arg(value_name = "INSIGHT", value_parser = name())]
    pub(crate) only: Vec<String>,
    /// Of runs of this pipeline
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// Of runs that began from this time on: 7d, yesterday, 2026-11-20, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// As it was at a time (-10m, yesterday, 2026-11-20, RFC 3339) or position
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// Of so many runs at most, the newest, up to 10000 [default: 1000]
    #[arg(long, value_name = "N")]
    pub(crate) runs: Option<usize>,
    /// Leave out gates with fewer verdicts, and routes with fewer reworks [default: 3]
    #[arg(long, value_name = "N")]
    pub(crate) at_least: Option<usize>,
    /// So many rows of each at most, up to 1000 [default: 20]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// With the query behind each, as `everfold sql` takes it
    #[arg(long)]
    pub(crate) queries: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// One SELECT over the tables; - reads it from stdin. With --schema: only these tables
    #[arg(value_name = "SELECT")]
    pub(crate) sql: Vec<String>,
    /// The tables with their columns
    #[arg(long)]
    pub(crate) schema: bool,
    /// As it was at a time (-10m, yesterday, 2026-11-20, RFC 3339) or position
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// So many rows at most, up to 100000 [default: 1000]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// How rows are printed
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub(crate) format: RowsForm,
}

/// How the rows of a query are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowsForm {
    /// A table for readers
    #[default]
    Table,
    /// A line of JSON for each row
    Ndjson,
    /// RFC 4180, with the names of the columns
    Csv,
}
