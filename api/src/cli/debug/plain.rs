//! Where a run stands, its breakpoints and the steps that come next, as lines.

use crate::cli::context::CommandContext;
use crate::cli::output::columns;
use crate::cli::run_text::past;
use crate::fault::Fault;
use crate::view::RunView;

pub(super) fn print(context: &CommandContext, view: &RunView) -> Result<u8, Fault> {
    if context.json {
        context.out.json(view)?;
        return Ok(0);
    }
    context.out.raw(&past(view, columns()));
    let list = |steps: &[String]| if steps.is_empty() { "none".to_owned() } else { steps.join(", ") };
    context.out.line(format!("\nbreakpoints {}", list(&view.breakpoints)));
    context.out.line(format!("next steps  {}", list(&view.next_steps)));
    context.say_next(view);
    Ok(0)
}
