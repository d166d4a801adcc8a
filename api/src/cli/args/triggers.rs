//! What comes by itself: webhooks and schedules.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::name::name;
use super::steer::Why;

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
    /// Only deliveries of which this is true: handled.exists(h, h.outcomes.exists(o, o.outcome == 'refused'))
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HooksVerb {
    /// A delivery, and what each trigger made of it
    Show(DeliveryRef),
    /// Handle a delivery once more, as if it had come just now
    Redeliver(DeliveryRef),
}

#[derive(Debug, Args)]
pub(crate) struct DeliveryRef {
    /// Its id, or a beginning of it that is its alone
    #[arg(value_name = "ID", value_parser = name())]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    #[command(subcommand)]
    pub(crate) verb: ScheduleVerb,
}

#[derive(Debug, Subcommand)]
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
    /// Change a schedule that was added; what is not given stays
    Update(ScheduleUpdateArgs),
    /// Remove a schedule that was added
    Remove(ScheduleRemoveArgs),
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
    #[command(flatten)]
    pub(crate) why: Why,
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleRemoveArgs {
    /// The schedule
    #[arg(value_name = "NAME", value_parser = name())]
    pub(crate) name: String,
    /// Cancel the runs that it started and that have not ended, too
    #[arg(long)]
    pub(crate) cancel: bool,
    #[command(flatten)]
    pub(crate) why: Why,
}

/// Moments, as `schedule add` and `schedule update` take them.
#[derive(Debug, Args)]
pub(crate) struct MomentArgs {
    /// A cron pattern of five fields, or six with seconds first
    #[arg(long, value_name = "PATTERN", group = "moments")]
    pub(crate) cron: Option<String>,
    /// The span between two moments, as 15m
    #[arg(long, value_name = "SPAN", group = "moments")]
    pub(crate) every: Option<String>,
    /// Count the span from here: `added`, or a time; moments outside of the days and hours are put forward into them
    #[arg(long, value_name = "added|TIME")]
    pub(crate) anchor: Option<String>,
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
    /// Judge that by the run of the last moment, or by any unended run of the same key [default: run]
    #[arg(long, value_name = "run|key")]
    pub(crate) overlap_by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleUpdateArgs {
    /// The schedule
    #[arg(value_name = "NAME", value_parser = name())]
    pub(crate) name: String,
    /// Another pipeline: NAME, NAME@N, NAME@HASH
    #[arg(long, value_name = "PIPELINE", value_parser = name())]
    pub(crate) pipeline: Option<String>,
    #[command(flatten)]
    pub(crate) moments: MomentArgs,
    /// Take a part of its moments away: anchor, weekdays, hours, zone, jitter, catch_up, overlap, overlap_by
    #[arg(long, value_name = "PART", value_parser = ["anchor", "weekdays", "hours", "zone", "jitter", "catch_up", "overlap", "overlap_by"])]
    pub(crate) without: Vec<String>,
    /// A value of the runs' input; the others stay
    #[arg(short, long = "input", value_name = "KEY=VALUE")]
    pub(crate) input: Vec<String>,
    /// A title for lists
    #[arg(long)]
    pub(crate) title: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("given").args(["cron", "every"]).required(true))]
pub(crate) struct ScheduleAddArgs {
    /// Its name
    #[arg(value_name = "NAME", value_parser = name())]
    pub(crate) name: String,
    /// A saved or built-in pipeline: NAME, NAME@N, NAME@HASH
    #[arg(value_name = "PIPELINE", value_parser = name())]
    pub(crate) pipeline: String,
    #[command(flatten)]
    pub(crate) moments: MomentArgs,
    /// A value of the runs' input
    #[arg(short, long = "input", value_name = "KEY=VALUE")]
    pub(crate) input: Vec<String>,
    /// A title for lists
    #[arg(long)]
    pub(crate) title: Option<String>,
}
