//! `man`: the manual pages, from the same description as the help.

use std::io;
use std::path::Path;

use clap_mangen::Man;

use super::args::{self, ManArgs};
use super::output::{Out, note};
use crate::fault::{Code, Fault};

pub(crate) fn run(args: &ManArgs) -> Result<u8, Fault> {
    let mut command = args::command();
    command.build();
    if let Some(folder) = &args.folder {
        let failed = |error: io::Error| Fault::new(Code::File, format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let written = write_pages(&command, "everfold", folder).map_err(failed)?;
        note(format!("{written} pages are written; read one with: man -l {}/everfold.1", folder.display()));
        return Ok(0);
    }
    let (mut found, mut name) = (&command, "everfold".to_owned());
    for verb in &args.verb {
        found = found.find_subcommand(verb).filter(|below| !below.is_hide_set()).ok_or_else(|| {
            Fault::new(Code::Usage, format!("{name} has no verb “{verb}”")).hint(verbs_of(found))
        })?;
        name = format!("{name}-{verb}");
    }
    let page = page(found, &name).map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    Out::new().bytes(&page);
    Ok(0)
}

fn verbs_of(command: &clap::Command) -> String {
    let verbs: Vec<&str> = below(command).map(clap::Command::get_name).collect();
    match verbs.as_slice() {
        [] => "it has none below it".to_owned(),
        verbs => format!("it has {}", verbs.join(", ")),
    }
}

/// The verbs below one that have a page.
fn below(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
}

/// Writes the pages of a verb and of those below it; how many there are.
fn write_pages(command: &clap::Command, name: &str, folder: &Path) -> io::Result<usize> {
    std::fs::write(folder.join(format!("{name}.1")), page(command, name)?)?;
    let mut written = 1;
    for verb in below(command) {
        written += write_pages(verb, &format!("{name}-{}", verb.get_name()), folder)?;
    }
    Ok(written)
}

/// A page: what clap knows of the verb, and its examples as they are typed.
fn page(command: &clap::Command, name: &str) -> io::Result<Vec<u8>> {
    let version = format!("everfold {}", env!("CARGO_PKG_VERSION"));
    let own = command.clone().display_name(name.to_owned());
    let man = Man::new(own.clone()).title(name).source(version).manual("Everfold");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if below(&own).next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(more) = own.get_after_help().map(ToString::to_string) {
        let (heading, lines) = match more.strip_prefix("Examples:\n") {
            Some(lines) => ("EXAMPLES", lines),
            None => ("NOTES", more.as_str()),
        };
        page.extend_from_slice(format!(".SH {heading}\n.nf\n{}.fi\n", typed(lines)).as_bytes());
    }
    Ok(page)
}

/// Lines as they are: nothing in them is a request of the formatter.
fn typed(lines: &str) -> String {
    let line =
        |line: &str| format!("\\&{}\n", line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq"));
    lines.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_verb_has_a_page_with_its_options_and_examples() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = args::command();
        command.build();
        let written = write_pages(&command, "everfold", folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), written);
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let run = read("everfold-run.1");
        for wanted in
            [".TH everfold-run 1", "\\-\\-input\\-file", ".SH EXAMPLES", "everfold run delivery \\-i repo=."]
        {
            assert!(run.contains(wanted), "{wanted}: {run}");
        }
        assert!(read("everfold-pipeline-check.1").contains("Find every error"));
        assert!(!folder.path().join("everfold-shim.1").exists());
        assert!(read("everfold.1").contains("Exit codes"));
    }
}
