//! What begins runs and goes on with them.

use std::path::PathBuf;

use clap::Args;

use super::many_runs::ManyRuns;
use super::name::name;

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
    /// Say what it would do, and do none of it: answers are made up, time is virtual
    #[arg(long, conflicts_with_all = ["detach", "no_wait", "resume_all", "idempotency_key"])]
    pub(crate) dry_run: bool,
    /// In a dry run: the stubs of this test case stand in the place of answers that are made up
    #[arg(long, value_name = "NAME", requires = "dry_run")]
    pub(crate) case: Option<String>,
    #[command(flatten)]
    pub(crate) brings: CredentialArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CredentialArgs {
    /// Bring a credential for the run: from the variable EVERFOLD_CREDENTIAL_NAME, or a file (`@-` is standard input)
    #[arg(long = "credential", value_name = "NAME[=@FILE]")]
    pub(crate) credentials: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Return once the start is durable; the run goes on in the background
    #[arg(long, conflicts_with = "no_wait")]
    pub(crate) detach: bool,
    /// Return with 6 when only people, timers or signals are awaited
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Go on with every other unfinished run, too
    #[arg(long)]
    pub(crate) resume_all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name(), conflicts_with_all = ["filter", "yes", "at_most", "order"])]
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) many: ManyRuns,
    /// Say this to agents that were interrupted [default: to go on]
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// Lift the pause of a pipeline instead
    #[arg(long, value_name = "NAME", value_parser = name(), conflicts_with_all = ["run", "all", "filter"])]
    pub(crate) pipeline: Option<String>,
    /// Lift the pause of the whole engine instead
    #[arg(long, conflicts_with_all = ["run", "filter"])]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", conflicts_with_all = ["filter", "yes", "at_most", "order"])]
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) many: ManyRuns,
    /// The step [default: the one that is blocked, or that failed]
    #[arg(value_name = "STEP")]
    pub(crate) step: Option<String>,
    #[command(flatten)]
    pub(crate) brings: CredentialArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

/// What is another thing in a run that goes on from a former one.
#[derive(Debug, Args)]
pub(crate) struct RerunChanges {
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
}

#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// The run
    #[arg(value_name = "RUN", required_unless_present = "filter", conflicts_with_all = ["filter", "yes", "at_most", "order"])]
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) many: ManyRuns,
    /// The step that begins anew, with all that depends on it
    #[arg(long, value_name = "STEP")]
    pub(crate) from: String,
    #[command(flatten)]
    pub(crate) anew: RerunChanges,
    #[command(flatten)]
    pub(crate) brings: CredentialArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ForkArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The moment: a version, or a time: -10m, yesterday, 2026-11-20, RFC 3339
    #[arg(long, value_name = "VERSION|TIME", allow_hyphen_values = true)]
    pub(crate) at: String,
    /// Pause before this step, as at a breakpoint
    #[arg(long, value_name = "STEP")]
    pub(crate) until: Option<String>,
    /// Act outside, too: send requests and notices, open pull requests; else they are held back
    #[arg(long)]
    pub(crate) live: bool,
    /// End work as the origin did wherever it is given the same, and do only what differs
    #[arg(long)]
    pub(crate) replay_effects: bool,
    #[command(flatten)]
    pub(crate) anew: RerunChanges,
    #[command(flatten)]
    pub(crate) brings: CredentialArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}
