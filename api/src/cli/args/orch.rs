//! Tasks of the delivery orchestrator: runs that go through stages and name their work item.

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
    /// Import ORCH's tasks from its database: what is done with its history, what is open to go on with
    Import(OrchImportArgs),
    /// Give a project what it needs in Plane, in Gitea and here, and say what is missing
    Onboard(OrchOnboardArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OrchStatusArgs {
    /// The work item, as ET-018 (any prefix finds it by its number), or a run
    #[arg(value_name = "ITEM", value_parser = name())]
    pub(crate) item: Option<String>,
}
