//! What only this machine can say of a pipeline file: whether its shell understands the commands, and whether the
//! settings documents are there.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use everfold_engine::definition::{self, ConfigSource, Definition, Member, Probe, Task, Work};
use serde_json::json;

use super::format::count;
use super::output::note;
use crate::fault::{Code, Fault};

/// Commands of one pipeline that are given to the shell.
const SCRIPTS_MAX: usize = 500;

/// Refuses commands that the shell could not read. As JSON they are in the fault.
///
/// # Errors
/// [`Code::BadPipeline`]: there are such.
pub(super) fn refuse_unreadable(name: &str, definition: &Definition, as_json: bool) -> Result<(), Fault> {
    let unreadable = unreadable(definition);
    if unreadable.is_empty() {
        return Ok(());
    }
    let shell = everfold_engine::definition::Code::Shell;
    let message = format!("{name}: {}", count(unreadable.len() as u64, "error"));
    let fault = Fault::new(Code::BadPipeline, message);
    if as_json {
        let errors = unreadable.into_iter().map(|message| json!({ "code": shell, "message": message }));
        return Err(fault.errors(errors.collect()));
    }
    unreadable.iter().for_each(|one| note(format!("error[{shell}]: {one}")));
    Err(fault)
}

/// The commands that the shell could not read: it reads them and runs nothing (`sh -n`).
pub(super) fn unreadable(definition: &Definition) -> Vec<String> {
    let mut scripts = Vec::new();
    for step in definition.steps.iter().chain(&definition.on_finish) {
        if let Some(Work::Task(task)) = &step.work {
            scripts.extend(script_of(task).map(|text| (format!("step {}", step.id), text)));
        }
        for gate in &step.gates {
            let place = format!("gate {} of step {}", gate.id, step.id);
            scripts.extend(scripts_of(&gate.probe).into_iter().map(|text| (place.clone(), text)));
        }
    }
    for gate in &definition.admit.gates {
        let place = format!("gate {} of admit", gate.id);
        scripts.extend(scripts_of(&gate.probe).into_iter().map(|text| (place.clone(), text)));
    }
    let wrong =
        |(place, text): (String, String)| refused_by_shell(&text).map(|why| format!("{place}: {why}"));
    scripts.into_iter().take(SCRIPTS_MAX).filter_map(wrong).collect()
}

fn scripts_of(probe: &Probe) -> Vec<String> {
    let all = |members: &[Member]| members.iter().flat_map(|member| scripts_of(&member.probe)).collect();
    match probe {
        Probe::Expression(_) => Vec::new(),
        Probe::Task(task) => script_of(task).into_iter().collect(),
        Probe::All(members) | Probe::Any(members) | Probe::AtLeast { of: members, .. } => all(members),
        Probe::Not(member) => scripts_of(&member.probe),
    }
}

fn script_of(task: &Task) -> Option<String> {
    let text = task.spec.source().get("shell")?.as_str()?;
    (task.kind == Task::COMMAND).then(|| text.replace("$${", "${"))
}

/// What the shell says of a script that it cannot read; nothing is said where there is no shell.
fn refused_by_shell(text: &str) -> Option<String> {
    let mut shell = Command::new("sh");
    shell.arg("-n").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = shell.spawn().ok()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A shell that has seen enough closes its end.
        let _seen_enough = stdin.write_all(text.as_bytes());
    }
    let ended = child.wait_with_output().ok()?;
    if ended.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let first = said.lines().next().unwrap_or("it cannot be read").trim().to_owned();
    Some(format!("the shell cannot read the command: {first}"))
}

/// Settings documents that a run which is started in this folder would not get.
pub(super) fn absent(definition: &Definition, folder: &Path) -> Vec<String> {
    let mut lacking = Vec::new();
    for (name, sources) in &definition.config {
        let mut is_there = false;
        for source in sources {
            let ConfigSource::File(path) = source else {
                is_there = true;
                continue;
            };
            let Some(path) =
                path.source().as_str().filter(|path| !path.contains("${") && !path.starts_with('~'))
            else {
                is_there = true; // Where it lies is known when a run starts.
                continue;
            };
            let Ok(text) = std::fs::read_to_string(folder.join(path)) else { continue };
            is_there = true;
            if let Err(why) = definition::settings_of(&text, path) {
                lacking.push(format!("settings {name}: {why}, so no run could start in this folder"));
            }
        }
        if !is_there {
            lacking.push(format!(
                "settings {name}: none of the files is there, so no run could start in this folder"
            ));
        }
    }
    lacking
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn definition(text: &str) -> Definition {
        let files: BTreeMap<String, String> = BTreeMap::new();
        everfold_engine::definition::parse(text, "x", &files).unwrap().definition
    }

    #[test]
    fn row_48_commands_that_the_shell_cannot_read_are_found_without_running_them() {
        let here = tempfile::tempdir().unwrap();
        let touched = here.path().join("touched");
        let text = format!(
            "name: x\nsteps:\n  - {{id: fine, command: 'touch {0} && echo \"${{run.id}}\"'}}\n  - {{id: bad, command: 'if true; then echo x'}}\n  \
             - {{id: gated, gates: [{{id: g, any: [{{command: 'case x in'}}, {{command: 'true'}}]}}]}}",
            touched.display()
        );
        let found = unreadable(&definition(&text));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("step bad: the shell cannot read the command"), "{found:?}");
        assert!(found[1].starts_with("gate g of step gated:"), "{found:?}");
        assert!(!touched.exists(), "nothing ran");
    }

    #[test]
    fn row_48_settings_documents_that_are_not_there_or_cannot_be_read_are_told_of() {
        let here = tempfile::tempdir().unwrap();
        std::fs::write(here.path().join("good.yaml"), "a: 1\n").unwrap();
        std::fs::write(here.path().join("bad.yaml"), "a: [1\n").unwrap();
        let text = "name: x\nconfig:\n  good: [none.yaml, good.yaml]\n  bad: [bad.yaml]\n  none: [none.yaml]\n  \
                    open: ['${input.x}.yaml']\n  own: [none.yaml, {a: 1}]\ninput: {required: [x]}\nsteps: [{id: a, command: x}]";
        let found = absent(&definition(text), here.path());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("settings bad: bad.yaml"), "{found:?}");
        assert!(found[1].starts_with("settings none: none of the files is there"), "{found:?}");
    }
}
