//! `replay`: decides every recorded input of a run again and compares.

use super::args::RunRef;
use super::context::CommandContext;
use crate::client::encode;
use crate::fault::{Code, Fault};
use crate::node::Replay;
use crate::text::count;

pub(crate) async fn run(context: &CommandContext, args: RunRef) -> Result<u8, Fault> {
    let replay: Replay = context.client.get(&format!("/api/v1/runs/{}/replay", encode(&args.run))).await?;
    if context.json {
        context.out.json(&replay)?;
        return Ok(if replay.differences.is_empty() { 0 } else { Code::Differs.exit() });
    }
    let Replay { run, inputs, events, verdicts, differences } = &replay;
    if differences.is_empty() {
        context.out.line(format!(
            "run {}: {} decided again, {} compared, {} given again, all equal",
            run.short(),
            count(*inputs, "input"),
            count(*events, "event"),
            count(*verdicts, "verdict")
        ));
        return Ok(0);
    }
    for difference in differences {
        context
            .out
            .line(format!("version {} ({}): {}", difference.version, difference.fact, difference.message));
        context.out.line(format!("  recorded: {}", crate::text::cut(&difference.recorded.to_string(), 300)));
        context.out.line(format!("  now:      {}", crate::text::cut(&difference.decided.to_string(), 300)));
    }
    Err(Fault::new(
        Code::Differs,
        format!("run {}: {}", run.short(), count(differences.len() as u64, "difference")),
    )
    .hint("the recorded decisions stand; a newer Everfold decides these otherwise"))
}
