//! Tasks of the delivery orchestrator: runs that go along stages and name their work item.

use clap::{Args, Subcommand};

use super::name::name;
use super::orch_setup::{OrchImportArgs, OrchOnboardArgs};

#[derive(Debug, Args)]
pub(crate) struct OrchArgs {
    #[command(subcommand)]
    pub(crate) verb: OrchVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrchVerb {
    /// Where the tasks stand; of one task all that is known
    Status(OrchStatusArgs),
    /// The attempts of agents: how many wait, work and ended, and what holds them back
    Queue,
    /// Tasks that nobody works on, nobody is asked about and no timer moves
    Stuck(OrchStuckArgs),
    /// Import ORCH's tasks from its database: what is done with its history, what is open to go on with
    Import(OrchImportArgs),
    /// Give a project what it needs in Plane, in Gitea and here, and say what is missing
    Onboard(OrchOnboardArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OrchStatusArgs {
    /// The work item, as ET-018 (its number finds it, whatever stands in front), or a run
    #[arg(value_name = "ITEM", value_parser = name())]
    pub(crate) item: Option<String>,
    /// Tasks that have ended, too
    #[arg(long, conflicts_with = "item")]
    pub(crate) all: bool,
    /// Only tasks in this stage
    #[arg(long, value_name = "STAGE", conflicts_with = "item")]
    pub(crate) stage: Option<String>,
    /// Only tasks of this project: the label `project`
    #[arg(long, value_name = "PROJECT", conflicts_with = "item")]
    pub(crate) project: Option<String>,
    /// Only tasks of which this is true: stuck && cost > 5.0
    #[arg(long, value_name = "EXPR", conflicts_with = "item")]
    pub(crate) filter: Option<String>,
    /// As it was at a time (-10m, yesterday, 2026-11-20, RFC 3339) or position
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// So many at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct OrchStuckArgs {
    /// As it was at a time (-10m, yesterday, 2026-11-20, RFC 3339) or position
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
}
