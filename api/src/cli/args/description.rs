//! The description of the program: what clap derives from the arguments, with the verbs in groups and examples of each.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};

use super::command_line::Cli;
use super::examples::{BELOW, EXAMPLES};
use super::groups;

/// The program's description: for reading arguments, for help, completions and manual pages.
pub(crate) fn command() -> clap::Command {
    let mut command = Cli::command();
    for (verb, lines) in EXAMPLES {
        command = command.mut_subcommand(verb, |command| {
            let command = command.after_help(examples(lines));
            command.mut_subcommands(|below| {
                let own = of_below(verb, lines, below.get_name());
                if own.is_empty() { below } else { below.after_help(examples(&own)) }
            })
        });
    }
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{}\n{{options}}{{after-help}}",
        groups::text(|verb| about(&command, verb)),
        heading("Options of every verb:"),
    );
    command.help_template(template)
}

/// Reads the arguments.
///
/// # Errors
/// They are not understood, or ask for help or the version.
pub(crate) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let (mut command, args): (_, Vec<OsString>) = (command(), args.into_iter().collect());
    let matches = match command.try_get_matches_from_mut(&args) {
        Ok(matches) => matches,
        Err(error) => return Err(superfluous(error, &command, &args)),
    };
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    cli.run = run_in(&matches);
    Ok(cli)
}

/// The run that the verb names.
fn run_in(matches: &clap::ArgMatches) -> Option<String> {
    let mut verb = matches;
    while let Some((_, below)) = verb.subcommand() {
        verb = below;
    }
    let typed = |id: &str| {
        let first = verb.try_get_raw(id).ok().flatten()?.next()?;
        let is_typed = verb.value_source(id) == Some(ValueSource::CommandLine);
        is_typed.then(|| first.to_string_lossy().into_owned())
    };
    // The first word of a signal is its run, but where something else says which runs are meant.
    let is_for_others = ["key", "labels", "filter"].iter().any(|id| typed(id).is_some());
    let of_task = |task: String| task.split(':').next().unwrap_or_default().to_owned();
    typed("run")
        .or_else(|| typed("words").filter(|_| !is_for_others))
        .or_else(|| typed("task").map(of_task))
        .filter(|run| !run.is_empty())
}

/// Names a word too many as that. Where there are verbs below the verb, clap takes it for one of them, which cannot stand behind
/// an argument.
fn superfluous(error: clap::Error, command: &clap::Command, args: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let verb = args.iter().skip(1).find_map(|arg| command.find_subcommand(arg));
    let is_verb = verb.is_some_and(|verb| verb.find_subcommand(word).is_some());
    if error.kind() != ErrorKind::ArgumentConflict || is_verb {
        return error;
    }
    let mut named = clap::Error::new(ErrorKind::UnknownArgument).with_cmd(command);
    named.insert(ContextKind::InvalidArg, ContextValue::String(word.clone()));
    if let Some(usage) = error.get(ContextKind::Usage) {
        named.insert(ContextKind::Usage, usage.clone());
    }
    named
}

fn heading(text: &str) -> String {
    use owo_colors::OwoColorize as _;
    text.bold().underline().to_string()
}

/// What a verb does, in a line.
fn about(command: &clap::Command, verb: &str) -> String {
    match command.find_subcommand(verb).and_then(clap::Command::get_about) {
        Some(about) => about.to_string(),
        // clap adds it when the program runs.
        None => "Print the help of a verb".to_owned(),
    }
}

/// The examples of a verb below another one: those of the verb above that begin with it, and its own.
fn of_below<'a>(verb: &str, lines: &[(&'a str, &'a str)], below: &str) -> Vec<(&'a str, &'a str)> {
    let typed = format!("everfold {verb} {below}");
    let is_of =
        |line: &str| line.strip_prefix(&typed).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    lines.iter().chain(BELOW).filter(|(line, _)| is_of(line)).copied().collect()
}

fn examples(lines: &[(&str, &str)]) -> String {
    let widest = lines.iter().map(|(line, _)| line.len()).filter(|length| *length < WIDE).max().unwrap_or(0);
    let mut text = heading("Examples:");
    for (line, why) in lines {
        let why = if why.is_empty() { String::new() } else { format!("   # {why}") };
        let room = if why.is_empty() { "" } else { &" ".repeat(widest.saturating_sub(line.len())) };
        text.push_str(&format!("\n  {line}{room}{why}"));
    }
    text
}

/// A line of so many characters does not push the remarks of the others to the right.
const WIDE: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// “The subcommand 'x' cannot be used with '[RUN]'”: there is no such verb.
    #[test]
    fn a_word_too_many_is_no_verb_below() {
        let refused = |line: &str| read(line.split(' ').map(OsString::from)).err().unwrap().to_string();
        for line in ["everfold budget @ x 3", "everfold --dir d budget @ --add 2 x"] {
            assert!(refused(line).contains("unexpected argument 'x' found"), "{line}: {}", refused(line));
        }
        let conflict = refused("everfold notices --filter x retry y");
        assert!(conflict.contains("the subcommand 'retry' cannot be used with '--filter"), "{conflict}");
    }

    /// Hints of these verbs said RUN where the run stood in the command.
    #[test]
    fn the_run_of_a_signal_and_of_a_task_is_the_run_of_the_command() {
        for (line, run) in [
            ("everfold signal 5b8093ed ci", Some("5b8093ed")),
            ("everfold signal --label team=blue ci", None),
            ("everfold signal --key ET-5 ci", None),
            ("everfold signal --filter true ci", None),
            ("everfold approve 5b8093ed:review:1", Some("5b8093ed")),
            ("everfold answer @1 yes", Some("@1")),
            ("everfold show 5b8093ed", Some("5b8093ed")),
            ("everfold show", None),
        ] {
            let cli =
                read(line.split(' ').map(OsString::from)).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(cli.run.as_deref(), run, "{line}");
        }
    }

    fn visible() -> Vec<String> {
        let command = command();
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        verbs.map(|verb| verb.get_name().to_owned()).collect()
    }

    #[test]
    fn the_description_of_the_arguments_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn each_verb_stands_in_one_group_and_has_examples() {
        for verb in visible() {
            let groups = groups::GROUPS.iter().filter(|(_, verbs)| verbs.contains(&verb.as_str()));
            assert_eq!(groups.count(), 1, "{verb}");
            assert_eq!(EXAMPLES.iter().filter(|(known, _)| *known == verb).count(), 1, "{verb}");
        }
        let known = groups::GROUPS.iter().flat_map(|(_, verbs)| *verbs).filter(|verb| **verb != "help");
        assert_eq!(known.count(), visible().len());
    }

    #[test]
    fn each_verb_below_another_one_ends_with_examples_of_its_own() {
        let mut command = command();
        command.build();
        let mut shown = 0;
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
        {
            let below =
                verb.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
            for below in below {
                let typed = format!("everfold {} {}", verb.get_name(), below.get_name());
                let more = below.get_after_help().map(ToString::to_string).unwrap_or_default();
                let is_own = |line: &str| line.trim_start().starts_with(&typed);
                assert!(more.starts_with("Examples:") && more.lines().skip(1).all(is_own), "{typed}: {more}");
                shown += more
                    .lines()
                    .skip(1)
                    .filter(|line| BELOW.iter().any(|(own, _)| line.contains(own)))
                    .count();
            }
        }
        assert_eq!(shown, BELOW.len(), "a line of BELOW stands in no help");
    }

    #[test]
    fn the_program_reads_every_example() {
        for (line, _) in EXAMPLES.iter().flat_map(|(_, lines)| *lines).chain(BELOW) {
            let words = shlex::split(line).unwrap().into_iter();
            // What a pipe or a file takes is no part of the command.
            let typed = words.take_while(|word| word != "|" && word != ">");
            if let Err(error) = read(typed.map(OsString::from)) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn the_page_of_all_verbs_fits_80_columns_and_a_verbs_own_options_go_first() {
        let page = command().render_help().to_string();
        let groups = page.lines().skip_while(|line| *line != "Start:");
        for line in groups.take_while(|line| !line.starts_with("Options")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(!page.contains("{"), "{page}");
        let mut command = command();
        command.build();
        for verb in ["run", "runs", "fork"] {
            let page = command.find_subcommand_mut(verb).unwrap().render_help().to_string();
            let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{verb}: {text}: {page}"));
            let own = if verb == "runs" { "--status" } else { "--input" };
            assert!(at(own) < at("Options of every verb:"), "{page}");
            assert!(at("Options of every verb:") < at("--dir"), "{page}");
            assert!(at("--context") < at("Examples:"), "{page}");
        }
    }
}
