//! The data folder, and the program itself.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::node::LogDigest;

#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    pub(crate) verb: StoreVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreVerb {
    /// Check every event, index entry, blob and snapshot
    Verify {
        /// Compare with the digest that a former verification printed, and that was kept elsewhere
        #[arg(long, value_name = "POSITION:HASH")]
        digest: Option<LogDigest>,
    },
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
        /// Restore from another copy of the folder what the hash chain proves
        #[arg(long, value_name = "DIR", conflicts_with = "from_sled")]
        from: Option<PathBuf>,
        /// Give up what comes behind this position, where nothing has what the journal lacks from there on; with --from or
        /// --from-sled what lies before it is restored
        #[arg(long, value_name = "POSITION")]
        give_up_behind: Option<u64>,
    },
    /// Let a copied or moved folder act
    Adopt,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Write an example pipeline, too
    #[arg(long)]
    pub(crate) example: bool,
    /// Write the files of a pipeline that comes with Everfold, too
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// What is played [default: delivery]
    #[arg(value_enum)]
    pub(crate) story: Option<DemoStory>,
    /// Wait until you approve yourself, in another terminal
    #[arg(long)]
    pub(crate) manual: bool,
    /// Where to play it: a new or empty folder [default: a new one among the temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// How long one piece of an agent's work takes, in seconds
    #[arg(long, hide = true, value_name = "SECONDS", default_value_t = 1.0)]
    pub(crate) pace: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoStory {
    /// A delivery whose engine is killed half-way
    Delivery,
    /// An issue of Plane that goes through all stages of ORCH, whose server is killed half-way
    Orch,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Take longer and measure more
    #[arg(long)]
    pub(crate) full: bool,
    /// Measure from outside: a server, a worker and a client over loopback
    #[arg(long)]
    pub(crate) service: bool,
    /// Be the worker of the server at this URL, until the standard input ends
    #[arg(long, hide = true, requires = "service", value_name = "URL")]
    pub(crate) work_at: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The code, as EF0201 [default: list all]
    pub(crate) code: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print every key of everfold.toml with its default, too
    #[arg(long)]
    pub(crate) settings: bool,
    /// Decide again all that every run recorded: whether this version would decide otherwise than the one before
    #[arg(long)]
    pub(crate) upgrade: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The verb, and the one below it [default: the program]
    #[arg(value_name = "VERB", num_args = 0..=2, conflicts_with = "folder")]
    pub(crate) verb: Vec<String>,
    /// Write the pages of the program and of all verbs into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
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
