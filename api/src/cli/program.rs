//! The program's entry: the arguments are read, the verb runs, its fault is printed, its code is the exit code.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::error::{ContextKind, ErrorKind};
use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

use super::dispatch::dispatch;
use super::output::note;
use super::{args, completions, output};
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
    outlive_file_size_limit();
    // Commands get the former limit back.
    everfold_workflows::handles::raise();
    if let Some(code) = completions::answered(&args) {
        return code;
    }
    let words = || args.iter().skip(1).take_while(|arg| *arg != "--").map(|arg| arg.to_string_lossy());
    let wants_json = words().any(|arg| arg == "--json" || arg.starts_with("--json="));
    let apart = fields_apart(words());
    let cli = match args::read(args.clone()) {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error, wants_json, apart),
    };
    if let Some(fields) = apart.filter(|fields| fields.contains(',')) {
        let fault = Fault::new(
            Code::Usage,
            format!("“{fields}” are no fields of --json, but an argument of the verb"),
        );
        output::fault(&fault.hint(format!("write --json={fields}")), true);
        return ExitCode::from(Code::Usage.exit());
    }
    crate::log::begin(cli.log, cli.verbose);
    let json = cli.is_json();
    if json && cli.json_fields().is_empty() && words().any(|word| word.starts_with("--json=")) {
        let fault = Fault::new(Code::Usage, "--json= names no field");
        let hint = "write --json=id,status for fields, and --json for all of the answer";
        output::fault(&fault.hint(hint), true);
        return ExitCode::from(Code::Usage.exit());
    }
    output::choose_fields(cli.json_fields());
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

/// The word behind `--json` that looks like a list of fields; they are written in one word with it, because a run may
/// follow there.
fn fields_apart<'a>(words: impl Iterator<Item = std::borrow::Cow<'a, str>>) -> Option<String> {
    let mut behind = words.skip_while(|word| word != "--json").skip(1);
    let is_field = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | ',');
    behind.next().filter(|word| word.chars().all(is_field)).map(std::borrow::Cow::into_owned)
}

/// Has a write beyond the limit of a file's size fail with an error that says so, where the signal would end the process without a word.
/// A handler, because what is ignored the commands of steps would ignore, too.
fn outlive_file_size_limit() {
    if let Err(error) = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))) {
        note(format!("a limit of a file's size would end this process: {error}"));
    }
}

fn not_understood(error: &clap::Error, json: bool, apart: Option<String>) -> ExitCode {
    if !error.use_stderr() {
        // Help and version were asked for.
        let printed = error.print().and_then(|()| std::io::stdout().flush());
        return match printed {
            Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => {
                let what = format!("the answer could not be written to standard output: {why}");
                output::fault(&Fault::new(Code::File, what), json);
                ExitCode::from(Code::File.exit())
            }
            _written_or_closed => ExitCode::SUCCESS,
        };
    }
    if json {
        let is_refused =
            |fields: &String| error.get(ContextKind::InvalidArg).is_some_and(|it| it.to_string() == *fields);
        let fields = apart.filter(is_refused);
        output::fault(
            &usage_fault(error).hinted(fields.map(|fields| format!("write --json={fields}"))),
            json,
        );
        return ExitCode::from(Code::Usage.exit());
    }
    let text = error.render().ansi().to_string();
    let text = text.replacen("error:", &format!("error[{}]:", Code::Usage), 1);
    anstream::eprint!("{}", super::logs::harmless(&text));
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
    let usage = rest.iter().skip_while(|line| !line.starts_with("Usage: "));
    let forms: Vec<&str> = usage.take_while(|line| !line.is_empty()).copied().collect();
    let usage = forms.join(", or ").strip_prefix("Usage: ").map(|forms| format!("usage: {forms}"));
    fault.hinted(tip.map(str::to_owned).or(usage))
}
