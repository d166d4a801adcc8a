//! The command line as a whole: the flags of every verb, and the verbs.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueHint};

use super::begin::{ForkArgs, RestartArgs, ResumeArgs, RetryArgs, RunArgs};
use super::folder::{
    BackgroundArgs, BenchArgs, CompletionsArgs, DemoArgs, DoctorArgs, ExplainArgs, InitArgs, ManArgs,
    StoreArgs,
};
use super::orch::{OrchArgs, OrchVerb};
use super::people::{AnswerArgs, DecideArgs, InboxArgs};
use super::pipeline::{PipelineArgs, PipelineVerb};
use super::query::{
    AuditArgs, BisectArgs, BoardArgs, DebugArgs, DiffArgs, EventsArgs, InsightsArgs, LineageArgs, LogsArgs,
    ProjectionsArgs, ReplayArgs, RunRef, RunsArgs, SpendArgs, SqlArgs, StateArgs, StatsArgs, WhyArgs,
};
use super::server::{ContextArgs, OpenArgs, ServeArgs, TokenArgs, UiArgs};
use super::steer::{
    BreakpointsArgs, BudgetArgs, BudgetVerb, CancelArgs, InterruptArgs, LimitsArgs, NoticesArgs, PauseArgs,
    RecheckArgs, SignalArgs, UnblockArgs,
};
use super::triggers::{HookArgs, HooksArgs, ScheduleArgs, ScheduleVerb};
use crate::log::LogForm;

/// The heading of what every verb takes.
const EVERY: &str = "Options of every verb";

/// A durable workflow engine: pipelines of commands, agents and people that survive anything.
#[derive(Debug, Parser)]
#[command(name = "everfold", bin_name = "everfold", version, max_term_width = 110)]
#[command(
    after_help = "RUN is an id, a short id, at least 4 digits of one, @ for the newest run, @1 for the one before, ITEM-5 by its label item.\n\
Exit codes: 0 success, 1 run failed, 2 usage, 3 no such thing, 4 refused, 5 cancelled, 6 people awaited, 7 store, 130 interrupted."
)]
pub(crate) struct Cli {
    /// The data folder [default: $EVERFOLD_DIR, else the nearest .everfold upwards, else ./.everfold]
    #[arg(long, global = true, help_heading = EVERY, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// Work at a server instead, with the token in EVERFOLD_TOKEN [default: $EVERFOLD_SERVER, else the context in use]
    #[arg(long, global = true, help_heading = EVERY, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) server: Option<String>,
    /// Work with the server or folder of this name; `local` is this machine [default: $EVERFOLD_CONTEXT]
    #[arg(long, global = true, help_heading = EVERY, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Who signed the server's certificate, as PEM [default: whom this machine trusts]
    #[arg(long, global = true, help_heading = EVERY, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// How long a server may be away, or take for an answer [default: 1m]
    #[arg(long, global = true, help_heading = EVERY, value_name = "SPAN")]
    pub(crate) patience: Option<String>,
    /// The settings file [default: everfold.toml in the data folder]
    #[arg(long, global = true, help_heading = EVERY, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the answer as JSON; with =FIELD,… only these fields of each thing in it
    #[arg(long, global = true, help_heading = EVERY, value_name = "FIELD,…", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "", value_delimiter = ',')]
    pub(crate) json: Option<Vec<String>>,
    /// How the engine's lines on stderr look: text, or json
    #[arg(long, global = true, help_heading = EVERY, value_name = "FORM", value_enum, default_value_t)]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub(crate) log: LogForm,
    /// Say more about what the engine does
    #[arg(long, global = true, hide = true)]
    pub(crate) verbose: bool,
    /// End the process by SIGKILL right after an event of this name is durable, `*` after any event of a run
    #[arg(long, global = true, hide = true, value_name = "EVENT")]
    pub(crate) crash_after: Option<String>,
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// The run that the verb names, as it was typed.
    #[arg(skip)]
    pub(crate) run: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// A delivery in a scratch repository, killed half-way and resumed
    Demo(DemoArgs),
    /// Start a run and follow it to its end
    Run(RunArgs),
    /// Go on with a run, or lift its pause, and follow it to its end
    Resume(ResumeArgs),
    /// The pages of the folder in your browser, until Ctrl-C
    Ui(UiArgs),
    /// A run's page in your browser
    Open(OpenArgs),
    /// Serve the folder over HTTP, and go on with all its runs
    Serve(ServeArgs),
    /// Tools for agents: the Model Context Protocol on stdin, stdout
    Mcp,
    /// Who may call from afar: create, list, revoke, link
    Token(TokenArgs),
    /// Servers and folders that have names: list, add, use, show, remove
    Context(ContextArgs),
    /// List runs, newest first
    Runs(RunsArgs),
    /// Where a run is, what it waits for, what failed, what to do next
    Show(RunRef),
    /// Why a run is where it is; without a run, why nothing happens
    Why(WhyArgs),
    /// Follow a run without touching it
    Watch(RunRef),
    /// What the work of a step wrote
    Logs(LogsArgs),
    /// Everything that happened to a run
    Events(EventsArgs),
    /// A run as it was at any moment
    State(StateArgs),
    /// What changed between two moments of a run, or two runs
    Diff(DiffArgs),
    /// The runs that went on from a run's history, as a tree
    Lineage(LineageArgs),
    /// When an expression was true first: in a run, or among runs
    Bisect(BisectArgs),
    /// Decisions of all runs; a new policy over recorded verdicts
    Audit(AuditArgs),
    /// Runs in columns, now or at any moment
    Board(BoardArgs),
    /// How many runs there are, and their figures by group
    Stats(StatsArgs),
    /// What history shows: useless gates, flaky steps, time, cost
    Insights(InsightsArgs),
    /// Ask the lists by SQL, at any moment
    Sql(SqlArgs),
    /// How far the read models are, and building one anew
    Projections(ProjectionsArgs),
    /// What people are asked
    Inbox(InboxArgs),
    /// Say yes to an approval
    Approve(DecideArgs),
    /// Say no to an approval
    Reject(DecideArgs),
    /// Say what must change before you approve
    Changes(DecideArgs),
    /// Answer a question
    Answer(AnswerArgs),
    /// Decide on a blocked step
    Unblock(UnblockArgs),
    /// Judge all gates of a step again on the same artefacts
    Recheck(RecheckArgs),
    /// Try again what blocks a run, or what made an ended one fail
    Retry(RetryArgs),
    /// Begin a run anew at a step, as a new run
    Restart(RestartArgs),
    /// Go on from a moment of a run, beside it
    Fork(ForkArgs),
    /// End a run, or one step of it, before its time
    Cancel(CancelArgs),
    /// Start nothing more of a run until it is resumed
    Pause(PauseArgs),
    /// Stop what runs until it is resumed, agents in their sessions
    Interrupt(InterruptArgs),
    /// Tell a run, or all that have a label, that something happened
    Signal(SignalArgs),
    /// Pause a run before some of its steps
    Breakpoints(BreakpointsArgs),
    /// The budgets of a run: how full they are, and raising one
    Budget(BudgetArgs),
    /// What was used up, by run, step, role, model, day or pipeline
    Spend(SpendArgs),
    /// Tasks of ORCH: status, queue, stuck, import, onboard
    Orch(OrchArgs),
    /// A run event by event, full-screen: its state, why, logs
    Debug(DebugArgs),
    /// Decide every recorded input of a run again and compare
    Replay(ReplayArgs),
    /// Bring a webhook's delivery by hand
    Hook(HookArgs),
    /// What webhooks delivered, and what that led to
    Hooks(HooksArgs),
    /// Notices that could not be sent: list, retry, drop, test
    Notices(NoticesArgs),
    /// Schedules: list, add, remove, pause, resume, trigger
    Schedule(ScheduleArgs),
    /// Pipelines: check, save, list, show, diff, schema, graph
    Pipeline(PipelineArgs),
    /// The store: verify, info, repair, adopt
    Store(StoreArgs),
    /// Slots, rates, breakers: what is in use, who waits, what is open
    Limits(LimitsArgs),
    /// Who works for this folder's functions, and what they hold
    Workers,
    /// Check git, the disk, the agents' programs, store and settings
    Doctor(DoctorArgs),
    /// Write a commented everfold.toml, and an example pipeline if asked
    Init(InitArgs),
    /// Measure this machine: latency, throughput, recovery
    Bench(BenchArgs),
    /// What an error code means and what to do
    Explain(ExplainArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Print the manual page of the program or of a verb
    Man(ManArgs),
    /// Print the version
    Version,
    /// Own the data folder until its runs have ended
    #[command(hide = true)]
    Background(BackgroundArgs),
    /// Supervise a process
    #[command(hide = true)]
    Shim {
        /// The attempt's folder
        folder: PathBuf,
    },
}

impl Cli {
    /// Whether the answer is printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json.is_some()
    }

    /// The fields that are wanted of each thing in the answer; none: all.
    pub(crate) fn json_fields(&self) -> Vec<String> {
        self.json
            .iter()
            .flatten()
            .map(|field| field.trim().to_owned())
            .filter(|field| !field.is_empty())
            .collect()
    }
}

impl Verb {
    /// How people reach the server, where the verb says so.
    pub(crate) fn url(&self) -> Option<String> {
        match self {
            Self::Serve(args) => args.url.clone(),
            _serves_nothing => None,
        }
    }

    /// Whether the verb makes the data folder where there is none.
    pub(crate) fn creates_folder(&self, folder: &Path) -> bool {
        match self {
            Self::Run(args) => !args.dry_run,
            // Clients start it wherever they are opened: only where a folder was made it makes a store.
            Self::Mcp => folder.exists(),
            Self::Serve(_)
            | Self::Ui(_)
            | Self::Token(_)
            | Self::Background(_)
            | Self::Demo(_)
            | Self::Bench(_)
            | Self::Init(_)
            | Self::Hook(_) => true,
            Self::Pipeline(args) => matches!(args.verb, PipelineVerb::Save { .. }),
            Self::Schedule(args) => matches!(args.verb, ScheduleVerb::Add(_)),
            // A limit stands before the first run that it is for.
            Self::Budget(args) => matches!(args.verb, Some(BudgetVerb::Set(_))),
            Self::Orch(args) => matches!(&args.verb, OrchVerb::Onboard(args) if !args.check),
            _reads_or_changes => false,
        }
    }
}
