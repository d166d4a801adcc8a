//! The command line: a file per verb or group of verbs.
//!
//! Law: a verb asks the routes and prints what they answer. It knows no store and no engine; so it
//! does the same whether another process owns the folder or this one. `--json` prints the routes' own
//! answer on stdout; what is for people's eyes beside it goes to stderr.

mod again;
mod args;
mod audit;
mod background;
mod bench;
mod board;
mod completions;
mod context;
mod contexts;
mod control;
mod demo;
pub(crate) mod describe;
mod diff;
mod doctor;
mod events;
mod explain;
mod files;
mod format;
mod hooks;
mod inbox;
mod init;
mod interrupt;
mod limits;
mod logs;
mod next;
mod notices;
mod order;
mod output;
mod pipeline;
mod progress;
mod projections;
mod replay;
mod rest;
mod run;
mod runs;
mod schedule;
mod serve;
mod show;
mod spend;
mod state;
mod store;
mod target;
mod token;
mod version;
mod wait;
mod watch;
mod workers;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use everfold_engine::store::Progress;

use crate::client::Leave;
use crate::fault::{Code, Fault};
use args::{Cli, ContextArgs, ContextVerb, NoticesVerb, Verb};
use context::Context;
use target::Where;

/// Runs the program with its arguments, the program's own name first.
#[must_use]
pub fn main_with_args(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    // The supervisor starts once per attempt: nothing else is loaded for it.
    if args.get(1).is_some_and(|verb| verb == "shim")
        && let Some(folder) = args.get(2)
    {
        return everfold_workflows::shim::shim_main(std::path::Path::new(folder));
    }
    // Commands get the former limit back.
    everfold_workflows::handles::raise();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    crate::log::begin(cli.log, cli.verbose);
    let json = cli.json;
    match dispatch(cli) {
        Ok(code) => match output::unwritten() {
            None => ExitCode::from(code),
            Some(fault) => {
                output::fault(&fault, json);
                ExitCode::from(if code == 0 { fault.code.exit() } else { code })
            }
        },
        Err(fault) => {
            output::fault(&fault, json);
            ExitCode::from(fault.code.exit())
        }
    }
}

fn not_understood(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help and version were asked for.
        let _closed = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().ansi().to_string();
    let text = text.replacen("error:", &format!("error[{}]:", Code::Usage), 1);
    anstream::eprint!("{text}");
    ExitCode::from(Code::Usage.exit())
}

/// Verbs that ask nobody run without a runtime, so that they start at once.
fn dispatch(mut cli: Cli) -> Result<u8, Fault> {
    // What is shown of a context is asked there.
    if let Verb::Context(ContextArgs { verb: Some(ContextVerb::Show { name: Some(name) }) }) = &cli.verb {
        cli.context = Some(name.clone());
    }
    match &cli.verb {
        Verb::Version => return version::run(cli.json),
        Verb::Explain(args) => return explain::run(args, cli.json),
        Verb::Completions(args) => return completions::run(args),
        Verb::Init(args) => {
            Where::of(&cli)?;
            return init::run(args, &cli);
        }
        Verb::Context(args) if !contexts::asks(args) => return contexts::run(args, &cli),
        Verb::Pipeline(args) if !pipeline::asks(args, &cli)? => return pipeline::run(args, &cli),
        Verb::Shim { .. } => return Err(Fault::new(Code::Usage, "shim takes a folder")),
        _asks => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::new(Code::Internal, format!("the runtime could not be started: {error}")))?;
    let outcome = runtime.block_on(ask(cli));
    // What still hangs on a blocking thread must not keep the command from ending.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    outcome
}

async fn ask(cli: Cli) -> Result<u8, Fault> {
    let context = Context::new(&cli)?;
    let serves = matches!(cli.verb, Verb::Serve(_));
    let outcome = verb(&context, cli.verb).await;
    let leave = match outcome {
        Ok((_, leave)) => leave,
        Err(_) if serves => Leave::Nothing,
        Err(_) => Leave::Waiting,
    };
    background::leave(&context, leave).await;
    outcome.map(|(code, _)| code)
}

/// Runs a verb; gives the exit code, and what is to become of runs that this process drove.
async fn verb(context: &Context, verb: Verb) -> Result<(u8, Leave), Fault> {
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
        Verb::State(args) => looked(state::run(context, args).await?),
        Verb::Diff(args) => looked(diff::run(context, args).await?),
        Verb::Audit(args) => looked(audit::run(context, args).await?),
        Verb::Board(args) => looked(board::run(context, args).await?),
        Verb::Stats(args) => looked(board::stats(context, args).await?),
        Verb::Projections(args) => looked(projections::run(context, args).await?),
        Verb::Inbox(args) => looked(inbox::run(context, args).await?),
        Verb::Approve(args) => acted(inbox::decide(context, args, "approve").await?),
        Verb::Reject(args) => acted(inbox::decide(context, args, "reject").await?),
        Verb::Changes(args) => acted(inbox::decide(context, args, "changes").await?),
        Verb::Answer(args) => acted(inbox::answer(context, args).await?),
        Verb::Unblock(args) => acted(control::unblock(context, args).await?),
        Verb::Recheck(args) => acted(control::recheck(context, args).await?),
        Verb::Retry(args) => looked(again::retry(context, args).await?),
        Verb::Restart(args) => looked(again::restart(context, args).await?),
        Verb::Fork(args) => looked(again::fork(context, args).await?),
        Verb::Cancel(args) => acted(control::cancel(context, args).await?),
        Verb::Pause(args) => acted(control::pause(context, args).await?),
        Verb::Signal(args) => acted(order::signal(context, args).await?),
        Verb::Breakpoints(args) => acted(order::breakpoints(context, args).await?),
        Verb::Budget(args) => acted(spend::budget(context, args).await?),
        Verb::Spend(args) => looked(spend::spend(context, args).await?),
        Verb::Debug(args) => looked(order::debug(context, args).await?),
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
        // Its runs go on when it is started again, not in a process that nobody asked for.
        Verb::Serve(args) => (serve::run(context, args).await?, Leave::Nothing),
        Verb::Token(args) => looked(token::run(context, args).await?),
        Verb::Store(args) => looked(store::run(context, args).await?),
        Verb::Workers => looked(workers::run(context).await?),
        Verb::Limits(args) => looked(limits::run(context, args).await?),
        Verb::Doctor => looked(doctor::run(context).await?),
        Verb::Demo(args) => looked(demo::run(context, args).await?),
        Verb::Bench(args) => looked(bench::run(context, args).await?),
        Verb::Background(args) => background::run(context, args).await?,
        Verb::Version | Verb::Explain(_) | Verb::Completions(_) | Verb::Init(_) | Verb::Shim { .. } => {
            return Err(Fault::new(Code::Internal, "this verb asks nobody"));
        }
    })
}

/// Shows how far long work on the store has come, where somebody watches.
pub(crate) fn progress_of_store() -> Arc<dyn Fn(Progress) + Send + Sync> {
    use std::io::IsTerminal as _;
    if !std::io::stderr().is_terminal() {
        return Arc::new(|_| {});
    }
    let bar = indicatif::ProgressBar::no_length();
    let style = indicatif::ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} events");
    bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
    Arc::new(move |progress| {
        let (what, done, of) = match progress {
            Progress::Index { done, of } => ("building the index", done, of),
            Progress::Verify { done, of } => ("verifying", done, of),
        };
        bar.set_message(what);
        bar.set_length(of.get());
        bar.set_position(done.get());
        if done >= of {
            bar.finish_and_clear();
        }
    })
}
