//! From a verb to the file that runs it.
//!
//! Law: the only file that knows every verb.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use super::args::{Cli, ContextArgs, ContextVerb, NoticesVerb, Verb};
use super::context::CommandContext;
use super::lines::hint_commands;
use super::target::Where;
use super::{
    audit, background, background_owner, bench, bisect, board, completions, contexts, control, data_folder,
    debug, demo, diff, doctor, events, explain, hooks, inbox, init, limits, logs, man, mcp, notices, orch,
    pipeline, projections, queries, replay, rerun, run, runs, schedule, serve, show, signal, spend, state,
    stats, store, threads, token, ui, version, watch, why, workers,
};
use crate::client::Leave;
use crate::fault::{Code, Fault};

/// How long blocking threads may go on when a command ends.
const RUNTIME_END: Duration = Duration::from_millis(200);

/// Runs the verb; one that needs no routes runs without a runtime, so that it starts at once.
pub(super) fn dispatch(mut cli: Cli) -> Result<u8, Fault> {
    // What is shown of a context is asked there.
    if let Verb::Context(ContextArgs { verb: Some(ContextVerb::Show { name: Some(name) }) }) = &cli.verb {
        cli.context = Some(name.clone());
    }
    match &cli.verb {
        Verb::Version => return version::run(cli.is_json()),
        Verb::Explain(args) => return explain::run(args, cli.is_json()),
        Verb::Completions(args) => return completions::run(args),
        Verb::Man(args) => return man::run(args),
        Verb::Init(args) => {
            let place = Where::of(&cli)?;
            return init::run(args, &cli, &place.program);
        }
        Verb::Context(args) if !contexts::asks(args) => return contexts::run(args, &cli),
        Verb::Pipeline(args) if !pipeline::asks(args, &cli)? => return pipeline::run(args, &cli),
        Verb::Shim { .. } => return Err(Fault::new(Code::Usage, "shim takes a folder")),
        _asks => {}
    }
    let runtime = threads::runtime()?;
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(ask(cli))));
    // What still hangs on a blocking thread must not keep the command from ending, whatever it ends with.
    runtime.shutdown_timeout(RUNTIME_END);
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

async fn ask(cli: Cli) -> Result<u8, Fault> {
    let context = CommandContext::new(&cli)?;
    let serves = matches!(cli.verb, Verb::Serve(_));
    let run = cli.run.clone();
    let ends_itself = matches!(cli.verb, Verb::Serve(_) | Verb::Ui(_));
    let (outcome, is_lost) = tokio::select! {
        biased;
        outcome = verb(&context, cli.verb) => (outcome, false),
        // A service ends in good order by itself.
        fault = context.client.folder_lost(), if !ends_itself => (Err(fault), true),
    };
    let leave = match outcome {
        Ok((_, leave)) => leave,
        // A process in the background would make the folder anew.
        Err(_) if serves || is_lost => Leave::Nothing,
        Err(_) => Leave::Waiting,
    };
    background_owner::leave(&context, leave).await;
    outcome.map(|(code, _)| code).map_err(|fault| {
        let fault = match &run {
            Some(run) => hint_commands::of_run(fault, run),
            None => fault,
        };
        context.placed(match context.client.place() {
            Some(place) => data_folder::hinted(fault, place.layout.root()),
            None => fault,
        })
    })
}

/// Runs a verb; gives the exit code, and what is to become of runs that this process drove.
async fn verb(context: &CommandContext, verb: Verb) -> Result<(u8, Leave), Fault> {
    let acted = |code: u8| (code, Leave::Everything);
    let looked = |code: u8| (code, Leave::Waiting);
    Ok(match verb {
        Verb::Run(args) => looked(run::run(context, args).await?),
        Verb::Resume(args) => looked(run::resume(context, args).await?),
        Verb::Context(_) => looked(contexts::show(context).await?),
        Verb::Runs(args) => looked(runs::run(context, args).await?),
        Verb::Show(args) => looked(show::run(context, args).await?),
        Verb::Watch(args) => looked(watch::run(context, args).await?),
        Verb::Logs(args) => looked(logs::run(context, args).await?),
        Verb::Events(args) => looked(events::run(context, args).await?),
        Verb::Why(args) => looked(why::run(context, args).await?),
        Verb::State(args) => looked(state::run(context, args).await?),
        Verb::Bisect(args) => looked(bisect::run(context, args).await?),
        Verb::Lineage(args) => looked(queries::lineage::run(context, args).await?),
        Verb::Diff(args) => looked(diff::run(context, args).await?),
        Verb::Audit(args) => looked(audit::run(context, args).await?),
        Verb::Board(args) => looked(board::run(context, args).await?),
        Verb::Stats(args) => looked(stats::run(context, args).await?),
        Verb::Insights(args) => looked(queries::insights::run(context, args).await?),
        Verb::Sql(args) => looked(queries::sql::run(context, args).await?),
        Verb::Projections(args) => looked(projections::run(context, args).await?),
        Verb::Inbox(args) => looked(inbox::run(context, args).await?),
        Verb::Approve(args) => acted(inbox::decide(context, args, "approve").await?),
        Verb::Reject(args) => acted(inbox::decide(context, args, "reject").await?),
        Verb::Changes(args) => acted(inbox::decide(context, args, "changes").await?),
        Verb::Answer(args) => acted(inbox::answer(context, args).await?),
        Verb::Unblock(args) => acted(control::unblock(context, args).await?),
        Verb::Recheck(args) => acted(control::recheck(context, args).await?),
        Verb::Retry(args) => looked(rerun::retry(context, args).await?),
        Verb::Restart(args) => looked(rerun::restart(context, args).await?),
        Verb::Fork(args) => looked(rerun::fork(context, args).await?),
        Verb::Cancel(args) => acted(control::cancel(context, args).await?),
        Verb::Pause(args) => acted(control::pause(context, args).await?),
        Verb::Interrupt(args) => acted(control::interrupt(context, args).await?),
        Verb::Signal(args) => acted(signal::signal(context, args).await?),
        Verb::Breakpoints(args) => acted(control::breakpoints(context, args).await?),
        Verb::Budget(args) => acted(spend::budget(context, args).await?),
        Verb::Spend(args) => looked(spend::spend(context, args).await?),
        Verb::Orch(args) => looked(orch::run(context, args).await?),
        Verb::Debug(args) => looked(debug::run(context, args).await?),
        Verb::Hook(args) => acted(hooks::hook(context, args).await?),
        Verb::Hooks(args) => match args.verb {
            Some(verb) => acted(hooks::one(context, verb).await?),
            None => looked(hooks::list(context, args).await?),
        },
        Verb::Notices(args) => match args.verb {
            Some(NoticesVerb::List) | None => looked(notices::one(context, args).await?),
            Some(_) => acted(notices::one(context, args).await?),
        },
        Verb::Schedule(args) => acted(schedule::run(context, args).await?),
        Verb::Pipeline(args) => looked(pipeline::ask(context, &args).await?),
        Verb::Replay(args) => looked(replay::run(context, args).await?),
        // Its runs go on when `serve` is started again, not in a background process.
        Verb::Serve(args) => (serve::run(context, args).await?, Leave::Nothing),
        Verb::Mcp => acted(mcp::run(context).await?),
        Verb::Ui(args) => ui::run(context, args).await?,
        Verb::Open(args) => looked(ui::open(context, args).await?),
        Verb::Token(args) => looked(token::run(context, args).await?),
        Verb::Store(args) => looked(store::run(context, args).await?),
        Verb::Workers => looked(workers::run(context).await?),
        Verb::Limits(args) => looked(limits::run(context, args).await?),
        Verb::Doctor(args) => looked(doctor::run(context, args).await?),
        Verb::Demo(args) => looked(demo::run(context, args).await?),
        Verb::Bench(args) => looked(bench::run(context, args).await?),
        Verb::Background(args) => background::run(context, args).await?,
        Verb::Version
        | Verb::Explain(_)
        | Verb::Completions(_)
        | Verb::Man(_)
        | Verb::Init(_)
        | Verb::Shim { .. } => {
            return Err(Fault::new(Code::Internal, "this verb asks nobody"));
        }
    })
}
