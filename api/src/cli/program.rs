//! The program's entry: the arguments are read, the verb runs, its fault is printed, its code is the exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use super::args::Cli;
use super::dispatch::dispatch;
use super::output;
use crate::fault::{Code, Fault};

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
    let wants_json = args.iter().skip(1).take_while(|arg| *arg != "--").any(|arg| arg == "--json");
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error, wants_json),
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

fn not_understood(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() {
        // Help and version were asked for.
        let _closed = error.print();
        return ExitCode::SUCCESS;
    }
    if json {
        output::fault(&usage_fault(error), json);
        return ExitCode::from(Code::Usage.exit());
    }
    let text = error.render().ansi().to_string();
    let text = text.replacen("error:", &format!("error[{}]:", Code::Usage), 1);
    anstream::eprint!("{text}");
    ExitCode::from(Code::Usage.exit())
}

/// What clap says as a fault: its first paragraph, and its tip, or else the usage, as the hint.
fn usage_fault(error: &clap::Error) -> Fault {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim);
    let message: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let message = message.join(" ");
    let message = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            "a verb is missing"
        }
        _other => message.strip_prefix("error: ").unwrap_or(&message),
    };
    let fault = Fault::new(Code::Usage, message);
    let rest: Vec<&str> = lines.collect();
    let tip = rest.iter().find_map(|line| line.strip_prefix("tip: "));
    let usage =
        rest.iter().find_map(|line| line.strip_prefix("Usage: ")).map(|usage| format!("usage: {usage}"));
    fault.hinted(tip.map(str::to_owned).or(usage))
}
