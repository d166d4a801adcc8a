//! What people are asked, and say.

use clap::Args;

use super::name::name;

#[derive(Debug, Args)]
pub(crate) struct InboxArgs {
    /// Only what this role may do
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// Only tasks of which this is true: kind == 'approval' && since < now - duration('1d')
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// As it was at a time (-10m, yesterday, 2026-11-20, RFC 3339) or position
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
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
    /// What you looked at, as `show` prints it: the vote is refused if the task shows anything else
    #[arg(long, value_name = "DIGEST")]
    pub(crate) seen: Option<String>,
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
    /// An item that needs no answer any more; once for each
    #[arg(long = "resolve", value_name = "ID")]
    pub(crate) resolved: Vec<String>,
    /// An item that does not matter; once for each
    #[arg(long = "dismiss", value_name = "ID")]
    pub(crate) dismissed: Vec<String>,
    /// Keep this part of the answer; the question stays open
    #[arg(long)]
    pub(crate) save: bool,
}
