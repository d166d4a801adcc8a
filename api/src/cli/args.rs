//! What the program takes: verbs and their arguments.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

/// A durable workflow engine: pipelines of commands, agents and people that survive anything.
#[derive(Debug, Parser)]
#[command(name = "everfold", bin_name = "everfold", version, max_term_width = 110)]
#[command(
    after_help = "RUN is an id, a short id, at least 4 digits of one, @ for the newest run, @1 for the one before.\n\
Exit codes: 0 success, 1 run failed, 2 usage, 3 no such thing, 4 refused, 5 cancelled, 6 people awaited, 7 store, 130 interrupted."
)]
pub(crate) struct Cli {
    /// The data folder [default: $EVERFOLD_DIR, else the nearest .everfold upwards, else ./.everfold]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Work at a server instead, with the token in EVERFOLD_TOKEN [default: $EVERFOLD_SERVER, else the context in use]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Work with the server or folder of this name; `local` is this machine [default: $EVERFOLD_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Who signed the server's certificate, as PEM [default: whom this machine trusts]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// How long a server may be away, or take for an answer [default: 1m]
    #[arg(long, global = true, value_name = "SPAN")]
    pub(crate) patience: Option<String>,
    /// The settings file [default: everfold.toml in the data folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more about what the engine does
    #[arg(long, global = true, hide = true)]
    pub(crate) verbose: bool,
    /// End the process by SIGKILL right after an event of this name is durable
    #[arg(long, global = true, hide = true, value_name = "EVENT")]
    pub(crate) crash_after: Option<String>,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What names something is never empty.
fn name() -> clap::builder::NonEmptyStringValueParser {
    clap::builder::NonEmptyStringValueParser::new()
}

/// The program's description, for completions.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// A real delivery on a scratch git repository, killed half-way and resumed
    Demo(DemoArgs),
    /// Start a run and follow it to its end
    Run(RunArgs),
    /// Go on with a run, or lift its pause, and follow it to its end
    Resume(ResumeArgs),
    /// Serve the folder over HTTP, and go on with all its runs
    Serve(ServeArgs),
    /// Who may call from afar: create, list, revoke, link
    Token(TokenArgs),
    /// Servers and folders that have names: list, add, use, show, remove
    Context(ContextArgs),
    /// List runs, newest first
    Runs(RunsArgs),
    /// Where a run is, what it waits for, what failed and what to do next
    Show(RunRef),
    /// Follow a run without touching it
    Watch(RunRef),
    /// What the work of a step wrote
    Logs(LogsArgs),
    /// Everything that happened to a run
    Events(EventsArgs),
    /// A run as it was at any moment
    State(StateArgs),
    /// What changed between two moments of a run, or is different in another run
    Diff(DiffArgs),
    /// Decisions: a new policy over recorded verdicts
    Audit(AuditArgs),
    /// Runs in columns, now or at any moment
    Board(BoardArgs),
    /// How many runs there are in each status
    Stats(StatsArgs),
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
    /// Tell a run, or all that have a label, that something happened
    Signal(SignalArgs),
    /// Pause a run before some of its steps
    Breakpoints(BreakpointsArgs),
    /// The budgets of a run: how full they are, and more for one of them
    Budget(BudgetArgs),
    /// What was used up, by run, step, role, model, day or pipeline
    Spend(SpendArgs),
    /// Where a run stands, its breakpoints, and the step that comes next
    Debug(RunRef),
    /// Decide every recorded input of a run again and compare
    Replay(RunRef),
    /// Bring a webhook's delivery by hand
    Hook(HookArgs),
    /// What webhooks delivered, and what that led to
    Hooks(HooksArgs),
    /// Notices that nobody got: list them, send them again; try a subscription
    Notices(NoticesArgs),
    /// Schedules: list, add, remove, pause, resume, trigger
    Schedule(ScheduleArgs),
    /// Pipelines: check, save, list, show, diff, schema, graph
    Pipeline(PipelineArgs),
    /// The store: verify, info, repair, adopt
    Store(StoreArgs),
    /// Slots, rates and breakers: what is in use, who waits, what stands open
    Limits(LimitsArgs),
    /// Who works for this folder's functions, and what they hold
    Workers,
    /// Check git, the disk, the agents' programs, the store and the settings
    Doctor,
    /// Write a commented everfold.toml, and an example pipeline if asked
    Init(InitArgs),
    /// Measure this machine: latency, throughput, recovery
    Bench(BenchArgs),
    /// What an error code means and what to do
    Explain(ExplainArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
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

#[derive(Debug, Args)]
pub(crate) struct LimitsArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<LimitsVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsVerb {
    /// Close a breaker, so that what waits for it starts at once
    Reset {
        /// The breaker, such as agent.claude
        #[arg(value_name = "BREAKER", value_parser = name())]
        breaker: String,
        /// Why; recorded with your name
        #[arg(short, long)]
        message: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunRef {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name())]
    pub(crate) run: String,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A file (with a / or ending in .yaml), or a name: NAME, NAME@N, NAME@HASH
    #[arg(value_name = "PIPELINE", value_parser = name())]
    pub(crate) pipeline: String,
    /// A value of the input; text where the schema says so, else JSON if it parses as JSON
    #[arg(short, long = "input", value_name = "KEY=VALUE")]
    pub(crate) input: Vec<String>,
    /// A file with the input as a JSON object; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input_file: Option<PathBuf>,
    /// A title for lists
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// A label, for filters
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// Recognises a repeated start: the same key starts one run only
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Higher goes first where runs wait for a slot, and where their attempts wait
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i32,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 takes a free one [default: serve.listen of the settings, 127.0.0.1:7878]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// The certificate for TLS, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A proxy in front speaks TLS and names the callers' addresses
    #[arg(long)]
    pub(crate) behind_proxy: bool,
    /// How people reach it, for links
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token and print it, once
    Create {
        /// Its name; events name their actor by it
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
        /// viewer, approver, operator, worker or admin; another word is an approver in that role
        #[arg(long, value_name = "ROLE", value_parser = name())]
        role: String,
        /// An approval role that it decides in; repeatable
        #[arg(long, value_name = "ROLE", value_parser = name())]
        approves: Vec<String>,
        /// How long it is good for, as in 30d [default: for ever]
        #[arg(long, value_name = "SPAN")]
        expires: Option<String>,
    },
    /// List the tokens
    List,
    /// Refuse a token and its sessions from now on
    Revoke {
        /// Its name
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
        /// Why
        #[arg(short, long = "message", value_name = "TEXT")]
        message: Option<String>,
    },
    /// Print a link that logs one browser in, once
    Link {
        /// The token whose rights the session gets
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ContextArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<ContextVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContextVerb {
    /// List them; the one in use has a star
    List,
    /// Name a server or a folder
    Add(ContextAddArgs),
    /// Work with it where nothing else is named
    Use {
        /// Its name; `local` is the data folder of where one is
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
    },
    /// Where it leads, and who you are there
    Show {
        /// Its name [default: the one in use]
        #[arg(value_name = "NAME", value_parser = name())]
        name: Option<String>,
    },
    /// Forget it
    Remove {
        /// Its name
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ContextAddArgs {
    /// Its name
    #[arg(value_name = "NAME", value_parser = name())]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) token: ContextTokenArgs,
    /// Work with it from now on where nothing else is named
    #[arg(long = "use")]
    pub(crate) in_use: bool,
    /// Take the place of the one that has the name
    #[arg(long)]
    pub(crate) replace: bool,
}

/// Where the token of a context is.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct ContextTokenArgs {
    /// The token is in this variable [default: EVERFOLD_TOKEN]
    #[arg(long, value_name = "NAME", value_parser = name())]
    pub(crate) token_env: Option<String>,
    /// The token is in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// This shell command prints the token
    #[arg(long, value_name = "COMMAND", value_parser = name())]
    pub(crate) token_command: Option<String>,
    /// Read the token from standard input, and keep it among the contexts
    #[arg(long)]
    pub(crate) with_token: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Return once the start is durable; the run goes on in the background
    #[arg(long, conflicts_with = "no_wait")]
    pub(crate) detach: bool,
    /// Return with 6 when only people or timers are awaited
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Go on with every other unfinished run, too
    #[arg(long)]
    pub(crate) resume_all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name())]
    pub(crate) run: String,
    /// Lift the pause of a pipeline instead
    #[arg(long, value_name = "NAME", conflicts_with_all = ["run", "all"])]
    pub(crate) pipeline: Option<String>,
    /// Lift the pause of the whole engine instead
    #[arg(long, conflicts_with = "run")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Only runs in this status; several separated by commas
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    /// Only runs of this pipeline
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// Only runs with this label
    #[arg(long = "label", value_name = "KEY[=VALUE]")]
    pub(crate) labels: Vec<String>,
    /// Only runs that mention these words
    #[arg(short, value_name = "WORDS")]
    pub(crate) query: Option<String>,
    /// Only runs that this run started
    #[arg(long, value_name = "RUN")]
    pub(crate) parent: Option<String>,
    /// Only runs that something goes on in at this step, or that wait for people there
    #[arg(long, value_name = "STEP")]
    pub(crate) step: Option<String>,
    /// Only runs that wait for somebody with this role
    #[arg(long, value_name = "ROLE")]
    pub(crate) awaiting: Option<String>,
    /// Only runs that began later than this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) started_after: Option<String>,
    /// In which order: -started, started, -ended or ended [default: -started]
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// As they were at a time (RFC 3339) or position
    #[arg(long, value_name = "TIME")]
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
    /// As it was at a time (RFC 3339) or position
    #[arg(long, value_name = "TIME")]
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
    /// As it was at a time (RFC 3339) or position
    #[arg(long, value_name = "TIME")]
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
    /// So many at most [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Go on until the run ends
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name())]
    pub(crate) run: String,
    /// A version, or a time in RFC 3339 [default: now]
    #[arg(long, value_name = "VERSION|TIME")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The run
    #[arg(value_name = "RUN", value_parser = name())]
    pub(crate) run: String,
    /// Two versions of it, as 5..12 (one may be left out), or another run
    #[arg(value_name = "A..B|RUN", value_parser = name())]
    pub(crate) other: String,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) verb: AuditVerb,
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
    /// Only verdicts from this time on, in RFC 3339
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only runs of this pipeline
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InboxArgs {
    /// Only what this role may do
    #[arg(long)]
    pub(crate) role: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The task's id, as `inbox` lists it; or a run with one open approval
    #[arg(value_name = "TASK", value_parser = name())]
    pub(crate) task: String,
    /// A comment
    #[arg(short, long = "message", value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// A remark on a file that is shown, or on a line of it
    #[arg(long = "remark", value_name = "PATH[:LINE]=TEXT")]
    pub(crate) remarks: Vec<String>,
    /// With `approve`: what takes the place of the value that may be edited, as JSON, or as text where that is none
    #[arg(long, value_name = "JSON")]
    pub(crate) value: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// The task's id, as `inbox` lists it; or a run with one open question
    #[arg(value_name = "TASK", value_parser = name())]
    pub(crate) task: String,
    /// The answer; one of the options where it is one
    #[arg(value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// One of the options
    #[arg(long, value_name = "OPTION")]
    pub(crate) choice: Option<String>,
    /// The answer to one item; once for each
    #[arg(long = "item", value_name = "ID=TEXT")]
    pub(crate) items: Vec<String>,
    /// Keep this part of the answer; the question stays open
    #[arg(long)]
    pub(crate) save: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnblockArgs {
    /// The run
    #[arg(value_name = "RUN", value_parser = name())]
    pub(crate) run: String,
    /// The step, or STEP.ITEM [default: the only blocked one]
    #[arg(value_name = "STEP", value_parser = name())]
    pub(crate) step: Option<String>,
    /// What follows: the work or the route once more; its gates judged again; on as if it had succeeded;
    /// on without it; or the run's failure
    #[arg(long, value_name = "retry|recheck|proceed|skip|fail")]
    pub(crate) decision: String,
    /// The output that `proceed` gives the step, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) output: Option<String>,
    /// With `recheck`: judge this gate by an expression of your own, this once; repeatable
    #[arg(long, value_name = "GATE=EXPR")]
    pub(crate) policy: Vec<String>,
    /// Why
    #[arg(short, long = "message", value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RecheckArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The step
    #[arg(value_name = "STEP")]
    pub(crate) step: String,
    /// Judge this gate by an expression of your own, this once; repeatable
    #[arg(long, value_name = "GATE=EXPR")]
    pub(crate) policy: Vec<String>,
    /// Why
    #[arg(short, long = "message", value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@")]
    pub(crate) run: String,
    /// The step [default: the one that is blocked, or that failed]
    #[arg(value_name = "STEP")]
    pub(crate) step: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The step that begins anew, with all that depends on it
    #[arg(long, value_name = "STEP")]
    pub(crate) from: String,
    /// Another value of the input
    #[arg(short, long = "input", value_name = "KEY=VALUE")]
    pub(crate) input: Vec<String>,
    /// Go on by this pipeline instead of the one that the run is pinned to: a file, or a name
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) definition: Option<String>,
    /// Another value of a settings document: JSON, or @FILE
    #[arg(long, value_name = "NAME=JSON")]
    pub(crate) config_value: Vec<String>,
    /// A title for lists
    #[arg(long)]
    pub(crate) title: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ForkArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The moment: a version, or a time in RFC 3339
    #[arg(long, value_name = "VERSION|TIME")]
    pub(crate) at: String,
    /// Another value of the input
    #[arg(short, long = "input", value_name = "KEY=VALUE")]
    pub(crate) input: Vec<String>,
    /// Pause before this step, as at a breakpoint
    #[arg(long, value_name = "STEP")]
    pub(crate) until: Option<String>,
    /// Go on by this pipeline instead of the one that the run is pinned to: a file, or a name
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) definition: Option<String>,
    /// Another value of a settings document: JSON, or @FILE
    #[arg(long, value_name = "NAME=JSON")]
    pub(crate) config_value: Vec<String>,
    /// A title for lists
    #[arg(long)]
    pub(crate) title: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The run
    #[arg(value_name = "RUN", value_parser = name())]
    pub(crate) run: String,
    /// Only this step, or STEP.ITEM
    #[arg(value_name = "STEP")]
    pub(crate) step: Option<String>,
    /// Why
    #[arg(short, long = "message", value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// The run
    #[arg(value_name = "RUN", value_parser = name(), required_unless_present_any = ["pipeline", "all"])]
    pub(crate) run: Option<String>,
    /// Every run of this pipeline, those to come included
    #[arg(long, value_name = "NAME", conflicts_with_all = ["run", "all"])]
    pub(crate) pipeline: Option<String>,
    /// Every run
    #[arg(long, conflicts_with = "run")]
    pub(crate) all: bool,
    /// Why
    #[arg(short, long = "message", value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "everfold signal RUN NAME [JSON]\n       everfold signal --label KEY=VALUE NAME [JSON]"
)]
pub(crate) struct SignalArgs {
    /// The run, the name of the signal, and what it says: JSON, or a text
    #[arg(value_name = "RUN NAME [JSON]", num_args = 1..=3, required = true)]
    pub(crate) words: Vec<String>,
    /// To the run that has this key, instead of a named one
    #[arg(long, value_name = "KEY", conflicts_with = "labels")]
    pub(crate) key: Option<String>,
    /// To every unended run with all these labels, instead of one run
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// The delivery it comes with: the same one again is no news
    #[arg(long, value_name = "ID")]
    pub(crate) delivery: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct BreakpointsArgs {
    /// The run
    #[arg(value_name = "RUN", value_parser = name())]
    pub(crate) run: String,
    /// The steps; those that had one before lose it [default: show them]
    #[arg(value_name = "STEP", conflicts_with = "clear")]
    pub(crate) steps: Vec<String>,
    /// Take all away
    #[arg(long)]
    pub(crate) clear: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PipelineArgs {
    #[command(subcommand)]
    pub(crate) verb: PipelineVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineVerb {
    /// Find every error of a file
    Check {
        /// A file, or a name
        pipeline: String,
    },
    /// Save a file as the newest version of its name
    Save {
        /// The file
        file: String,
    },
    /// List the saved and the built-in pipelines
    List,
    /// Steps and input of a pipeline
    Show {
        /// A file, or a name: NAME, NAME@N, NAME@HASH
        pipeline: String,
        /// Print its text as it was saved
        #[arg(long)]
        text: bool,
    },
    /// What is different in another pipeline or version
    Diff {
        /// A file, or a name: NAME, NAME@N, NAME@HASH
        from: String,
        /// The other one [default: of a file the saved version, of a name the version before]
        to: Option<String>,
    },
    /// Print the JSON Schema of pipeline files, for editors
    Schema,
    /// Draw the graph
    Graph {
        /// A file, or a name
        pipeline: String,
        /// As a picture in SVG
        #[arg(long)]
        svg: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct HookArgs {
    #[command(subcommand)]
    pub(crate) verb: HookVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HookVerb {
    /// Deliver a file to the triggers of the saved pipelines
    Deliver {
        /// The source, as triggers name it: `hook: SOURCE`
        #[arg(value_name = "SOURCE", value_parser = name())]
        source: String,
        /// The body as its sender would write it, JSON; `-` reads standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A header as its sender would set it; repeatable
        #[arg(long = "header", value_name = "KEY:VALUE")]
        headers: Vec<String>,
        /// What to call the delivery: the same one again is no news [default: as the source's reader finds it]
        #[arg(long, value_name = "ID", value_parser = name())]
        id: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct HooksArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<HooksVerb>,
    /// Only what this source delivered
    #[arg(value_name = "SOURCE", value_parser = name())]
    pub(crate) source: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HooksVerb {
    /// A delivery, and what each trigger made of it
    Show {
        /// Its id, or a beginning of it that is its alone
        #[arg(value_name = "ID", value_parser = name())]
        id: String,
    },
    /// Handle a delivery once more, as if it had come just now
    Redeliver {
        /// Its id, or a beginning of it that is its alone
        #[arg(value_name = "ID", value_parser = name())]
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct NoticesArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<NoticesVerb>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NoticesVerb {
    /// The subscriptions, and the notices that nobody got
    List,
    /// Send notices again that nobody got
    Retry {
        /// Which: RUN:VERSION:NOTICE
        #[arg(value_name = "ID", value_parser = name(), required_unless_present = "all")]
        ids: Vec<String>,
        /// All that are listed
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
    /// Let notices be that nobody got
    Drop {
        /// Which: RUN:VERSION:NOTICE
        #[arg(value_name = "ID", value_parser = name(), required_unless_present = "all")]
        ids: Vec<String>,
        /// All that are listed
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
    /// Send one notice of a subscription that says that it is a test
    Test {
        /// The subscription, as everfold.toml calls it
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    #[command(subcommand)]
    pub(crate) verb: ScheduleVerb,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
pub(crate) enum ScheduleVerb {
    /// List the schedules of saved pipelines and those that were added
    List,
    /// A schedule, and what its last moments led to
    Show {
        /// The schedule; PIPELINE:N is the Nth trigger of a pipeline
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
    },
    /// Start a pipeline again and again
    Add(ScheduleAddArgs),
    /// Remove a schedule that was added
    Remove(ScheduleChangeArgs),
    /// Pass over its moments until it is resumed
    Pause(ScheduleChangeArgs),
    /// Have its moments count again, from now on
    Resume(ScheduleChangeArgs),
    /// Do now what a moment would do
    Trigger {
        /// The schedule
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleChangeArgs {
    /// The schedule
    #[arg(value_name = "NAME", value_parser = name())]
    pub(crate) name: String,
    /// Why
    #[arg(short, long = "message", value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("moments").required(true))]
pub(crate) struct ScheduleAddArgs {
    /// Its name
    #[arg(value_name = "NAME", value_parser = name())]
    pub(crate) name: String,
    /// A saved or built-in pipeline: NAME, NAME@N, NAME@HASH
    #[arg(value_name = "PIPELINE", value_parser = name())]
    pub(crate) pipeline: String,
    /// A cron pattern of five fields, or six with seconds first
    #[arg(long, value_name = "PATTERN", group = "moments")]
    pub(crate) cron: Option<String>,
    /// The span between two moments, as 15m
    #[arg(long, value_name = "SPAN", group = "moments")]
    pub(crate) every: Option<String>,
    /// Only on these days, as mon,fri
    #[arg(long, value_name = "DAYS", value_delimiter = ',')]
    pub(crate) weekdays: Vec<String>,
    /// Only in these hours of the day, as 8..18
    #[arg(long, value_name = "A..B")]
    pub(crate) hours: Option<String>,
    /// The time zone [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// Put each moment off by at most so much
    #[arg(long, value_name = "SPAN")]
    pub(crate) jitter: Option<String>,
    /// Of moments that passed while nothing ran: none, the last one, or all count [default: none]
    #[arg(long, value_name = "none|one|all")]
    pub(crate) catch_up: Option<String>,
    /// While the last moment's run goes on: pass over, start all the same, or start afterwards [default: skip]
    #[arg(long, value_name = "skip|allow|queue")]
    pub(crate) overlap: Option<String>,
    /// A value of the runs' input
    #[arg(short, long = "input", value_name = "KEY=VALUE")]
    pub(crate) input: Vec<String>,
    /// A title for lists
    #[arg(long)]
    pub(crate) title: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    pub(crate) verb: StoreVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreVerb {
    /// Check every event, index entry, blob and snapshot
    Verify,
    /// What is kept where, and how far
    Info,
    /// Say what a repair would do, and do it with --yes
    Repair {
        /// Do it
        #[arg(long)]
        yes: bool,
        /// Restore from the index what the hash chain proves
        #[arg(long)]
        from_sled: bool,
    },
    /// Let a copied or moved folder act
    Adopt,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Write an example pipeline, too
    #[arg(long)]
    pub(crate) example: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Wait until you approve the brief yourself, in another terminal
    #[arg(long)]
    pub(crate) manual: bool,
    /// Where to play it: a new or empty folder [default: a new one among the temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// How long one piece of an agent's work takes, in seconds
    #[arg(long, hide = true, value_name = "SECONDS", default_value_t = 1.0)]
    pub(crate) pace: f64,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Take longer and measure more
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The code, as EF0201 [default: list all]
    pub(crate) code: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Elvish,
    Fish,
    Zsh,
}

#[derive(Debug, Args)]
pub(crate) struct BackgroundArgs {
    /// Go on with this run
    #[arg(long = "resume", value_name = "RUN")]
    pub(crate) runs: Vec<String>,
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_description_of_the_arguments_is_sound() {
        super::command().debug_assert();
    }
}

#[derive(Debug, Args)]
pub(crate) struct BudgetArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name())]
    pub(crate) run: String,
    /// Which budget, where there are several
    #[arg(long, value_name = "NAME")]
    pub(crate) budget: Option<String>,
    /// More money, in US dollars: 2.00
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) add: Option<String>,
    /// More tokens
    #[arg(long, value_name = "N")]
    pub(crate) tokens: Option<u64>,
    /// More time: 30m, 2h
    #[arg(long, value_name = "DURATION")]
    pub(crate) wall: Option<String>,
    /// Why
    #[arg(short = 'm', long = "message", value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SpendArgs {
    /// run, step, role, model, day or pipeline
    #[arg(long, value_name = "GROUP", default_value = "run")]
    pub(crate) by: String,
    /// Of one run only
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Of one pipeline only
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// From this day on (UTC): 2026-11-20
    #[arg(long, value_name = "DAY")]
    pub(crate) since: Option<String>,
}
