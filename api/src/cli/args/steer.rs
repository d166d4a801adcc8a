//! What steers runs and the engine.

use clap::{Args, Subcommand};

use super::many_runs::ManyRuns;
use super::name::name;

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
pub(crate) struct Why {
    /// Why
    #[arg(short, long = "message", value_name = "TEXT")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UnblockArgs {
    /// The run
    #[arg(value_name = "RUN", value_parser = name(), required_unless_present = "filter", conflicts_with_all = ["filter", "yes", "at_most", "order"])]
    pub(crate) run: Option<String>,
    /// The step, or STEP.ITEM [default: the only blocked one]
    #[arg(value_name = "STEP", value_parser = name())]
    pub(crate) step: Option<String>,
    /// What follows: the work or the route once more; its gates judged again; on as if it had succeeded;
    /// on without it; or the run's failure
    #[arg(long, value_name = "retry|recheck|proceed|skip|fail")]
    pub(crate) decision: String,
    #[command(flatten)]
    pub(crate) many: ManyRuns,
    /// The output that `proceed` gives the step, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) output: Option<String>,
    /// With `recheck`: judge this gate by an expression of your own, this once; repeatable
    #[arg(long, value_name = "GATE=EXPR")]
    pub(crate) policy: Vec<String>,
    #[command(flatten)]
    pub(crate) why: Why,
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
    #[command(flatten)]
    pub(crate) why: Why,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The run
    #[arg(value_name = "RUN", value_parser = name(), required_unless_present = "filter", conflicts_with_all = ["filter", "yes", "at_most", "order"])]
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) many: ManyRuns,
    /// Only this step, or STEP.ITEM
    #[arg(value_name = "STEP")]
    pub(crate) step: Option<String>,
    /// End a run that is set aside where it stands; nothing of it is tidied away
    #[arg(long, conflicts_with = "step")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) why: Why,
}

#[derive(Debug, Args)]
pub(crate) struct InterruptArgs {
    /// The run
    #[arg(value_name = "RUN", value_parser = name(), required_unless_present = "filter", conflicts_with_all = ["filter", "yes", "at_most", "order"])]
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) many: ManyRuns,
    #[command(flatten)]
    pub(crate) why: Why,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// The run
    #[arg(value_name = "RUN", value_parser = name(), required_unless_present_any = ["pipeline", "all", "filter"], conflicts_with_all = ["filter", "yes", "at_most", "order"])]
    pub(crate) run: Option<String>,
    /// Every run of this pipeline, those to come included
    #[arg(long, value_name = "NAME", value_parser = name(), conflicts_with_all = ["run", "all", "filter"])]
    pub(crate) pipeline: Option<String>,
    /// Every run
    #[arg(long, conflicts_with_all = ["run", "filter"])]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) many: ManyRuns,
    #[command(flatten)]
    pub(crate) why: Why,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "everfold signal RUN NAME [JSON]\n       everfold signal --label KEY=VALUE NAME [JSON]"
)]
pub(crate) struct SignalArgs {
    /// The run, the name of the signal, and what it says: JSON, or a text
    #[arg(value_name = "RUN NAME [JSON]", num_args = 1..=3, required = true)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) many: ManyRuns,
    /// To the run that has this key, instead of a named one
    #[arg(long, value_name = "KEY", conflicts_with_all = ["labels", "filter"])]
    pub(crate) key: Option<String>,
    /// To every unended run with all these labels, instead of one run
    #[arg(long = "label", value_name = "KEY=VALUE", conflicts_with_all = ["filter", "yes", "at_most", "order"])]
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
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct NoticesArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<NoticesVerb>,
    /// Only notices of which this is true: subscription == 'team' && tries > 3
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NoticesVerb {
    /// The subscriptions, and the notices that did not arrive
    List,
    /// Send notices again that did not arrive
    #[command(
        override_usage = "everfold notices retry [OPTIONS] ID...\n       everfold notices retry [OPTIONS] --all"
    )]
    Retry(NoticeSelection),
    /// Let notices be that did not arrive
    #[command(
        override_usage = "everfold notices drop [OPTIONS] ID...\n       everfold notices drop [OPTIONS] --all"
    )]
    Drop(NoticeSelection),
    /// Send one notice of a subscription that says that it is a test
    Test {
        /// The subscription, as everfold.toml calls it
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NoticeSelection {
    /// Which: RUN:VERSION:NOTICE
    #[arg(value_name = "ID", value_parser = name(), required_unless_present = "all")]
    pub(crate) ids: Vec<String>,
    /// All that are listed
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    override_usage = "everfold budget [RUN]\n       everfold budget [OPTIONS] RUN --add AMOUNT|--tokens N|--wall DURATION\n       everfold budget [OPTIONS] --filter EXPR --add AMOUNT|--tokens N|--wall DURATION\n       everfold budget list|set|unset"
)]
pub(crate) struct BudgetArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<BudgetVerb>,
    #[command(flatten)]
    pub(crate) run: RunBudgetArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BudgetVerb {
    /// List the budgets that runs share, with the limits of their own
    List {
        /// Only those of this scope
        #[arg(value_name = "SCOPE")]
        scope: Option<String>,
    },
    /// Give a shared budget limits of its own in place of those that it has
    Set(SharedBudgetArgs),
    /// Take the limits of its own from a shared budget
    Unset(SharedBudgetName),
}

#[derive(Debug, Args)]
pub(crate) struct SharedBudgetName {
    /// The text that the budgets of its runs share
    #[arg(value_name = "SCOPE")]
    pub(crate) scope: String,
    /// Over which time
    #[arg(long, value_name = "total|day|week|month", default_value = "total")]
    pub(crate) per: String,
    /// The time zone in which days begin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    #[command(flatten)]
    pub(crate) why: Why,
}

#[derive(Debug, Args)]
pub(crate) struct SharedBudgetArgs {
    #[command(flatten)]
    pub(crate) name: SharedBudgetName,
    /// Money: 500.00, or 450 EUR where the settings have its rate
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) cost: Option<String>,
    /// Tokens, read and written
    #[arg(long, value_name = "N")]
    pub(crate) tokens: Option<u64>,
    /// The time of paid attempts: 40h
    #[arg(long, value_name = "DURATION")]
    pub(crate) wall: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunBudgetArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name(), conflicts_with_all = ["filter", "yes", "at_most", "order"])]
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) many: ManyRuns,
    /// Which budget, where there are several
    #[arg(long, value_name = "NAME")]
    pub(crate) budget: Option<String>,
    /// More money, in US dollars: 2.00; or 2 EUR where the settings have its rate
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) add: Option<String>,
    /// More tokens
    #[arg(long, value_name = "N")]
    pub(crate) tokens: Option<u64>,
    /// More time: 30m, 2h
    #[arg(long, value_name = "DURATION")]
    pub(crate) wall: Option<String>,
    #[command(flatten)]
    pub(crate) why: Why,
}
