//! What only the machine at hand can say of a pipeline: whether there is what its steps and gates name, whether the
//! shell understands the commands, and whether the settings documents are there.
//!
//! Law: nothing of a pipeline is run. The shell reads the commands and does no more (`sh -n`), one after the other,
//! without the environment of the process that checks and within a bound of time.
//!
//! Called by `everfold pipeline check` for files and by the owner for what it is asked about: both refuse the same.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use everfold_engine::definition::{
    self, ConfigSource, Definition, ExecutorTask, Member, NeededResource, Probe, Work, similar,
};
use everfold_engine::driver::Unknown;
use everfold_engine::expr::Template;
use everfold_engine::failure::Failure;
use everfold_workflows::notify;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use crate::fault::{Code, Fault};
use crate::node::unknown_view;

/// Commands of one pipeline that are given to the shell.
const SCRIPTS_MAX: usize = 500;
/// How long the shell may take for all of them.
const SHELL_WITHIN: Duration = Duration::from_secs(20);
/// Bytes that are read of the shell's message on one command.
const SAID_BYTES_MAX: u64 = 4_096;

/// Refuses functions and agent profiles that there are not.
///
/// # Errors
/// [`Code::NoFunction`], with each of them.
pub(crate) fn refuse_unknown(name: &str, unknown: &[Unknown]) -> Result<(), Fault> {
    if unknown.is_empty() {
        return Ok(());
    }
    let message = format!("{name}: {}, so no run could start", counted(unknown.len(), "unknown name"));
    Err(Fault::new(Code::NoFunction, message).errors(unknown.iter().map(unknown_view).collect()))
}

/// Refuses resources that the settings do not name.
///
/// # Errors
/// [`Code::NoResource`], with each of them.
pub(crate) fn refuse_missing(name: &str, definition: &Definition, known: &[String]) -> Result<(), Fault> {
    let known = || known.iter().map(String::as_str);
    let nested = definition::nested(definition);
    let needed = definition::resources(definition, &nested);
    let missing = needed.filter(|needed| !known().any(|known| known == needed.name));
    let missing = missing.map(|NeededResource { step, name }| {
        let near = similar(name, known());
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let what = format!(
            "step {step} needs the resource {name}, which the settings do not name, so no run could start"
        );
        json!({ "message": format!("{what}{near}") })
    });
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("{name}: {}", counted(missing.len(), "error"));
    Err(Fault::new(Code::NoResource, message)
        .errors(missing)
        .hint("[resources] in everfold.toml says how many there are of each"))
}

/// Refuses parameters of functions `notify.*` that could never be right: they would be found when something is to be told.
///
/// # Errors
/// [`Code::BadPipeline`], with each of them.
pub(crate) fn refuse_misfits(name: &str, definition: &Definition) -> Result<(), Fault> {
    let nested = definition::nested(definition);
    let errors: Vec<_> = definition::with_nested(definition, &nested)
        .flat_map(|(suffix, definition)| misfits_of(suffix, definition))
        .map(|(place, failure)| json!({ "message": format!("{place}: {}", failure.message), "hint": failure.hint() }))
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    let message = format!("{name}: {}", counted(errors.len(), "error"));
    Err(Fault::new(Code::BadPipeline, message).errors(errors))
}

fn misfits_of(suffix: &str, definition: &Definition) -> Vec<(String, Failure)> {
    let steps = definition.steps.iter().chain(&definition.on_finish);
    let of_steps = steps.filter_map(|step| match &step.work {
        Some(Work::Task(task)) if task.kind == ExecutorTask::FUNCTION => {
            let spec = task.spec.source();
            let found = notify::misfits(spec["name"].as_str()?, spec.get("with"));
            Some((format!("the step {}{suffix}", step.id), found))
        }
        _other => None,
    });
    // What a fallback gives is there.
    let of_notices = definition.notify.iter().filter(|notice| notice.fallback.is_none()).map(|notice| {
        let with = notice.with.as_ref().map(Template::source);
        (format!("the notice {}{suffix}", notice.id), notify::misfits(&notice.function, with))
    });
    let all = of_steps.chain(of_notices);
    all.flat_map(|(place, found)| found.into_iter().map(move |failure| (place.clone(), failure))).collect()
}

/// Refuses commands that the shell could not read; gives how many it was not asked about, for want of time.
///
/// # Errors
/// [`Code::BadPipeline`], with each of them.
pub(crate) async fn refuse_unreadable(name: &str, definition: &Definition) -> Result<usize, Fault> {
    let ShellCheck { wrong, unread } = unreadable(definition).await;
    if wrong.is_empty() {
        return Ok(unread);
    }
    let code = definition::Code::Shell;
    let message = format!("{name}: {}", counted(wrong.len(), "error"));
    let errors = wrong.into_iter().map(|message| json!({ "code": code, "message": message }));
    Err(Fault::new(Code::BadPipeline, message).errors(errors.collect()))
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What the shell says of the commands of a pipeline.
struct ShellCheck {
    /// Those that it cannot read, and why.
    wrong: Vec<String>,
    /// Those that it was not asked about.
    unread: usize,
}

async fn unreadable(definition: &Definition) -> ShellCheck {
    let nested = definition::nested(definition);
    let mut scripts = Vec::new();
    for (suffix, definition) in definition::with_nested(definition, &nested) {
        for step in definition.steps.iter().chain(&definition.on_finish) {
            if let Some(Work::Task(task)) = &step.work {
                scripts.extend(script_of(task).map(|text| (format!("step {}{suffix}", step.id), text)));
            }
            for gate in &step.gates {
                let place = format!("gate {} of step {}{suffix}", gate.id, step.id);
                scripts.extend(scripts_of(&gate.probe).into_iter().map(|text| (place.clone(), text)));
            }
        }
        for gate in &definition.admit.gates {
            let place = format!("gate {} of admit{suffix}", gate.id);
            scripts.extend(scripts_of(&gate.probe).into_iter().map(|text| (place.clone(), text)));
        }
    }
    let until = Instant::now() + SHELL_WITHIN;
    let mut heard = ShellCheck { wrong: Vec::new(), unread: scripts.len().saturating_sub(SCRIPTS_MAX) };
    let asked = scripts.len().min(SCRIPTS_MAX);
    for (nth, (place, text)) in scripts.into_iter().take(SCRIPTS_MAX).enumerate() {
        match timeout_at(until, refused_by_shell(&text)).await {
            Ok(Some(why)) => heard.wrong.push(format!("{place}: {why}")),
            Ok(None) => {}
            Err(_time_is_up) => {
                heard.unread += asked - nth;
                break;
            }
        }
    }
    heard
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

fn script_of(task: &ExecutorTask) -> Option<String> {
    let text = task.spec.source().get("shell")?.as_str()?;
    (task.kind == ExecutorTask::COMMAND).then(|| text.replace("$${", "${"))
}

/// What the shell says of a script that it cannot read; nothing is said where there is no shell.
async fn refused_by_shell(text: &str) -> Option<String> {
    let mut shell = Command::new("sh");
    shell.arg("-n").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    // Variables of this process must not change how the shell reads the command.
    shell.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let mut child = shell.spawn().ok()?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A shell that has seen enough closes its end.
            let _seen_enough = stdin.write_all(text.as_bytes()).await;
        }
    };
    let read = async {
        let mut said = Vec::new();
        if let Some(stderr) = stderr {
            let _ended = stderr.take(SAID_BYTES_MAX).read_to_end(&mut said).await;
        }
        said
    };
    let ((), said) = tokio::join!(write, read);
    let ended = child.wait().await.ok()?;
    if ended.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&said);
    let first = said.lines().next().unwrap_or("it cannot be read").trim().to_owned();
    Some(format!("the shell cannot read the command: {first}"))
}

/// Settings documents that a run which is started in this folder would not get.
pub(crate) fn absent(definition: &Definition, folder: &Path) -> Vec<String> {
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

    #[tokio::test]
    async fn row_48_commands_that_the_shell_cannot_read_are_found_without_running_them() {
        let here = tempfile::tempdir().unwrap();
        let touched = here.path().join("touched");
        let text = format!(
            "name: x\nsteps:\n  - {{id: fine, command: 'touch {0} && echo \"${{run.id}}\"'}}\n  - {{id: bad, command: 'if true; then echo x'}}\n  \
             - {{id: gated, gates: [{{id: g, any: [{{command: 'case x in'}}, {{command: 'true'}}]}}]}}",
            touched.display()
        );
        let ShellCheck { wrong: found, unread } = unreadable(&definition(&text)).await;
        assert_eq!(unread, 0);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("step bad: the shell cannot read the command"), "{found:?}");
        assert!(found[1].starts_with("gate g of step gated:"), "{found:?}");
        assert!(!touched.exists(), "nothing ran");
    }

    #[test]
    fn row_48_settings_documents_that_are_not_there_or_cannot_be_read_are_reported() {
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
