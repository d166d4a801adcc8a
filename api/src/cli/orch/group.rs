//! From a verb of `orch` to the file that runs it.

use super::{import, onboard, queue, status};
use crate::cli::args::{OrchArgs, OrchVerb};
use crate::cli::context::CommandContext;
use crate::fault::Fault;

pub(crate) async fn run(context: &CommandContext, args: OrchArgs) -> Result<u8, Fault> {
    match args.verb {
        OrchVerb::Status(args) => status::status(context, args).await,
        OrchVerb::Queue => queue::queue(context).await,
        OrchVerb::Stuck(args) => status::stuck(context, args).await,
        OrchVerb::Import(args) => import::run(context, args).await,
        OrchVerb::Onboard(args) => onboard::run(context, args).await,
    }
}
