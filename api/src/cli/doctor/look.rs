//! `doctor`: whether this machine has what Everfold needs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::settings::{Settings, TEMPLATE};
use everfold_engine::clock::{self, Stopwatch};
use everfold_engine::driver::{BreakerStand, LineView};
use everfold_engine::duration;
use everfold_engine::id::RunId;
use everfold_engine::time::Timestamp;
use everfold_workflows::agent::{AgentEnvironment, Preflights, find_program, program};
use everfold_workflows::provider::ProviderSettings;
use everfold_workflows::redact::RedactSettings;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use super::finding::{Finding, Health};
use super::upgrade;
use crate::cli::args::DoctorArgs;
use crate::cli::context::{CommandContext, items};
use crate::cli::pipeline::definition_of;
use crate::cli::pipeline_source::named;
use crate::cli::serve::save_listener;
use crate::client::FolderOptions;
use crate::fault::{Code, Fault};
use crate::http::PipelineView;
use crate::node::{self, HaltView};
use crate::text::{count, cut, instant};

/// The exit code where something is missing; where nothing will work it is that of faults that were found.
const MISSING: u8 = 1;

pub(crate) async fn run(context: &CommandContext, args: DoctorArgs) -> Result<u8, Fault> {
    let place = context.place()?;
    let mut findings = vec![git(), shell()];
    findings.push(disk(place.layout.root()));
    let (read, about) = settings(place);
    findings.extend(about);
    if let Some(settings) = &read {
        findings.extend(notices(settings, place.layout.root()).await);
        findings.extend(preflight(settings).await);
    }
    findings.push(store(context, place).await);
    if let Some(settings) = &read {
        findings.extend(unheard(context, settings).await);
    }
    findings.extend(other_built_ins(context).await);
    findings.extend(clock_behind(context).await);
    findings.extend(set_aside(context).await);
    findings.extend(paused(context).await);
    findings.extend(left_alone(context).await);
    if args.upgrade {
        findings.extend(upgrade::findings(context).await?);
    }
    let is = |health: Health| findings.iter().any(|finding| finding.health == health);
    if context.json {
        context.out.json(&serde_json::json!({ "folder": place.layout.root(), "findings": findings }))?;
    } else {
        context.out.line(format!("data folder {}", place.layout.root().display()));
        findings.iter().for_each(|finding| context.out.line(line(finding, args.settings)));
        if args.settings {
            context.out.line("\nsettings (everfold.toml)");
            TEMPLATE.lines().for_each(|key| context.out.line(format!("  {key}").trim_end()));
        }
    }
    Ok(match () {
        () if is(Health::Bad) => Code::Faults.exit(),
        () if is(Health::Lacking) => MISSING,
        () => 0,
    })
}

fn line(finding: &Finding, whole: bool) -> String {
    let mark = match finding.health {
        Health::Good => "✓".green().to_string(),
        Health::Notable => "·".cyan().to_string(),
        Health::Lacking => "!".yellow().to_string(),
        Health::Bad => "✗".red().to_string(),
    };
    let hint =
        finding.hint.as_ref().map(|hint| format!("\n    {} {hint}", "hint:".cyan())).unwrap_or_default();
    let found = finding.brief.as_ref().filter(|_| !whole).unwrap_or(&finding.found);
    format!("{mark} {:<18} {found}{hint}", finding.what)
}

fn git() -> Finding {
    let bad = |found: String| {
        Finding::new("git", Health::Lacking, found)
            .hint("install git: pipelines with `workspace: {git: …}` and `everfold demo` need it")
    };
    match Command::new("git").arg("--version").output() {
        Ok(output) if output.status.success() => {
            Finding::new("git", Health::Good, String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => bad(format!("it does not start: {}", output.status)),
        Err(error) => bad(format!("it does not start: {error}")),
    }
}

fn shell() -> Finding {
    match Command::new("sh").args(["-e", "-c", "exit 0"]).status() {
        Ok(status) if status.success() => Finding::new("sh", Health::Good, "it works"),
        other => Finding::new("sh", Health::Bad, format!("it does not work: {other:?}"))
            .hint("commands that are strings run as `sh -e -c`"),
    }
}

/// Syncs small appends for a moment and counts: the bound of every durable step.
fn disk(folder: &Path) -> Finding {
    const SPAN: Duration = Duration::from_millis(300);
    let nearest = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let measured = (|| -> std::io::Result<(u32, Duration)> {
        use std::io::Write as _;
        let mut file = tempfile::tempfile_in(nearest)?;
        let (mut syncs, watch) = (0, Stopwatch::start());
        while watch.elapsed() < SPAN {
            file.write_all(&[0x5a; 4096])?;
            file.sync_data()?;
            syncs += 1;
        }
        Ok((syncs, watch.elapsed()))
    })();
    match measured {
        Ok((syncs, span)) => {
            let each = span.as_secs_f64() * 1_000.0 / f64::from(syncs.max(1));
            let found =
                format!("{:.0} syncs of 4 KiB per second ({each:.2} ms each)", 1_000.0 / each.max(0.000_1));
            let finding = Finding::new("disk", Health::Good, found);
            if each > 20.0 {
                Finding { health: Health::Notable, ..finding }
                    .hint("a slow disk: each step of a run waits for one sync")
            } else {
                finding
            }
        }
        Err(error) => {
            Finding::new("disk", Health::Bad, format!("cannot write in {}: {error}", nearest.display()))
        }
    }
}

fn settings(place: &FolderOptions) -> (Option<Settings>, Vec<Finding>) {
    let settings = match node::settings(&place.layout, place.config.as_deref()) {
        Ok(settings) => settings,
        Err(fault) => {
            let finding = Finding::new("settings", Health::Bad, fault.message.clone());
            return (None, vec![finding.hint(fault.hint.unwrap_or_default())]);
        }
    };
    let path = place.config.clone().unwrap_or_else(|| place.layout.settings());
    let found = if path.exists() { path.display().to_string() } else { "defaults".to_owned() };
    let mut findings = vec![Finding::new("settings", Health::Good, found)];
    findings.extend(profiles(&settings));
    findings.extend(settings.providers.iter().map(|(name, settings)| provider(name, settings)));
    findings.push(redaction(&settings.redact));
    (Some(settings), findings)
}

/// What is masked by its form. To mask nothing is a choice of the settings, and no lack.
fn redaction(redact: &RedactSettings) -> Finding {
    let (active, keys) = (redact.active(), redact.active_keys());
    let names = |built_in: bool| {
        let names = active.iter().filter(|pattern| pattern.built_in == built_in);
        names.map(|pattern| pattern.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let parts = [("", names(true)), ("own: ", names(false)), ("fields: ", keys.join(", "))];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what}{names}"))
        .collect();
    match parts.is_empty() {
        true => Finding::new("redaction", Health::Notable, "nothing is masked but declared secrets")
            .hint("built_in = true under [redact] masks what looks like a credential"),
        false => {
            let own = active.iter().filter(|pattern| !pattern.built_in).count();
            let masked =
                [count(active.len() as u64, "pattern"), count(keys.len() as u64, "field")].join(", ");
            let own = if own == 0 { String::new() } else { format!(" ({own} of your own)") };
            let brief = format!("{masked}{own}; `doctor --settings` names them");
            Finding { brief: Some(brief), ..Finding::new("redaction", Health::Good, parts.join("; ")) }
        }
    }
}

/// Whether notices can be delivered: the function is there, and so is every secret. No notice is sent.
async fn notices(settings: &Settings, folder: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lacking: Vec<(String, String)> =
        futures::future::join_all(settings.secrets.iter().map(|(name, source)| {
            let had = source.try_out(name, folder);
            async move { had.await.err().map(|why| (name.clone(), why)) }
        }))
        .await
        .into_iter()
        .flatten()
        .collect();
    for (name, source) in &settings.secrets {
        let what = format!("secret {name}");
        findings.push(match lacking.iter().find(|(lacking, _)| lacking == name) {
            None => Finding::new(&what, Health::Good, format!("it is in {}", source.place())),
            Some((_, why)) => Finding::new(&what, Health::Lacking, why.clone()),
        });
    }
    if let Some(mail) = &settings.mail {
        let (host, port) = mail.place();
        let found = format!("{host}:{port} as {}", mail.from);
        let password = match &mail.password {
            Some(password) => password.try_out("mail.password", folder).await,
            None => Ok(()),
        };
        let authority = match &mail.ca {
            Some(file) => std::fs::File::open(file)
                .map(drop)
                .map_err(|error| format!("mail.ca: {}: {error}", file.display())),
            None => Ok(()),
        };
        findings.push(match password.and(authority) {
            Ok(()) => Finding::new("mail", Health::Good, found),
            Err(why) => Finding::new("mail", Health::Lacking, format!("{found}, but {why}")),
        });
    }
    for subscription in settings.subscriptions(folder) {
        let what = format!("subscription {}", subscription.name);
        let found = format!("{} of {}", subscription.function, subscription.events.join(", "));
        let secret =
            subscription.secret_names().into_iter().find(|name| lacking.iter().any(|(it, _)| it == name));
        let needs_mail = subscription.function == "notify.email" && settings.mail.is_none();
        findings.push(match secret {
            Some(name) => {
                Finding::new(&what, Health::Lacking, format!("{found}, but the secret {name} cannot be had"))
            }
            None if needs_mail => {
                Finding::new(&what, Health::Lacking, format!("{found}, but there is no mail server"))
                    .hint("set [mail] in everfold.toml")
            }
            None => Finding::new(&what, Health::Good, found)
                .hint(format!("everfold notices test {} sends one", subscription.name)),
        });
    }
    findings
}

/// Whether the token of a provider is there. Nothing is asked of the service.
fn provider(name: &str, settings: &ProviderSettings) -> Finding {
    let what = format!("provider {name}");
    let place = settings.url.as_deref().unwrap_or("its public service");
    let found = format!("{} at {place}", settings.kind.as_str());
    match &settings.token {
        None => Finding::new(&what, Health::Good, format!("{found}, without a token")),
        Some(token) => match token.read() {
            Ok(_) => Finding::new(&what, Health::Good, format!("{found}, token in {token}")),
            Err(error) => Finding::new(&what, Health::Lacking, format!("{found}, but {error}"))
                .hint(format!("put the token into {token}")),
        },
    }
}

/// Whether the programs of agents are there. Of those that come with Everfold and that the settings do not name, one is
/// enough.
fn profiles(settings: &Settings) -> Vec<Finding> {
    let names = settings.workflows().profile_names();
    let has_agent = names.iter().any(|name| {
        let profile = settings.workflows().profile(name);
        profile.as_ref().and_then(program).is_some_and(|program| find_program(program).is_some())
    });
    let one = |name: &String| {
        let finding = profile(settings, name)?;
        let is_optional = has_agent && !settings.agents.contains_key(name);
        Some(match finding.health {
            Health::Lacking if is_optional => Finding { health: Health::Notable, ..finding },
            _named_or_there => finding,
        })
    };
    names.iter().filter_map(one).collect()
}

/// Whether the program of an agent's profile is there.
fn profile(settings: &Settings, name: &str) -> Option<Finding> {
    let what = format!("agent {name}");
    let profile = settings.workflows().profile(name)?;
    let Some(program) = program(&profile) else {
        return Some(Finding::new(&what, Health::Good, "its program is the step's own (`args`)"));
    };
    Some(match find_program(program) {
        Some(path) => Finding::new(&what, Health::Good, path.display().to_string()),
        None => Finding::new(&what, Health::Lacking, format!("there is no program {program}"))
            .hint(format!("install {program}, or set agents.{name}.command in everfold.toml")),
    })
}

/// What the preflight of each profile that the settings name says now.
async fn preflight(settings: &Settings) -> Vec<Finding> {
    let (profiles, preflights) = (settings.workflows(), Preflights::default());
    let mut findings = Vec::new();
    for (name, about) in &settings.preflight {
        let what = format!("preflight {name}");
        let Some(profile) = profiles.profile(name) else {
            let found = format!("there is no agent profile {name}");
            let known = format!("there are {}", profiles.profile_names().join(", "));
            findings.push(Finding::new(&what, Health::Notable, found).hint(known));
            continue;
        };
        let caller = AgentEnvironment::engine(&profile, &profiles.withheld);
        findings.push(match preflights.look(name, about, &caller).await {
            Ok(()) => Finding::new(&what, Health::Good, "an agent could begin"),
            Err(failure) => {
                let code = failure.code.as_deref().unwrap_or_default();
                let found = format!("{} ({code})", failure.message);
                Finding::new(&what, Health::Lacking, found).hint(failure.hint())
            }
        });
    }
    findings
}

/// What stands still.
async fn paused(context: &CommandContext) -> Vec<Finding> {
    let Ok(engine) = context.client.get::<Value>("/api/v1/engine").await else {
        return Vec::new(); // The store's finding says why.
    };
    let halts: Vec<HaltView> = serde_json::from_value(engine["paused"].clone()).unwrap_or_default();
    let finding = |halt: HaltView| {
        let what =
            halt.pipeline.as_ref().map_or_else(|| "engine".to_owned(), |name| format!("pipeline {name}"));
        let reason = halt.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let flag = halt.pipeline.map_or_else(|| "--all".to_owned(), |name| format!("--pipeline {name}"));
        Finding::new(&what, Health::Notable, format!("paused by {} since {}{reason}", halt.by, halt.since))
            .hint(format!("{} resume {flag}", context.program))
    };
    halts.into_iter().map(finding).collect()
}

/// Sources of deliveries to which no saved pipeline listens.
async fn unheard(context: &CommandContext, settings: &Settings) -> Vec<Finding> {
    if settings.hooks.is_empty() {
        return Vec::new();
    }
    let listed = context.client.get("/api/v1/pipelines").await.and_then(|page: Value| items(&page));
    let Ok(listed): Result<Vec<PipelineView>, Fault> = listed else {
        return Vec::new(); // The store's finding says why.
    };
    let mut saved = Vec::new();
    for listed in listed.iter().filter(|listed| listed.version.is_some()) {
        let Ok(view) = named(context, &listed.name).await else { continue };
        saved.extend(definition_of(&view));
    }
    let sources = settings.hooks.keys().filter(|source| !saved.iter().any(|saved| saved.listens_to(source)));
    let finding = |source: &String| {
        let found =
            format!("no saved pipeline has a trigger with hook: {source}, so deliveries lead to nothing");
        Finding::new(&format!("hook {source}"), Health::Lacking, found).hint(format!(
            "{} {}",
            context.program,
            save_listener(source)
        ))
    };
    sources.map(finding).collect()
}

/// Saved pipelines with the name of a built-in one that are another one: saved by a former version, or changed.
async fn other_built_ins(context: &CommandContext) -> Vec<Finding> {
    let listed = context.client.get("/api/v1/pipelines").await.and_then(|page: Value| items(&page));
    let Ok(listed): Result<Vec<PipelineView>, Fault> = listed else {
        return Vec::new(); // The store's finding says why.
    };
    let finding = |saved: &PipelineView| {
        let (name, version) = (&saved.name, saved.version?);
        let own = node::built_in(name).ok()?.definition;
        let is_other = saved.hash != own.hash().to_string();
        let found =
            format!("what is saved as {name}@{version} is not what this version of everfold has built in");
        let hint = format!(
            "runs go by what is saved; {} pipeline save {name} takes what is built in",
            context.program
        );
        is_other.then(|| Finding::new(&format!("pipeline {name}"), Health::Notable, found).hint(hint))
    };
    listed.iter().filter_map(finding).collect()
}

/// Services behind open breakers.
async fn left_alone(context: &CommandContext) -> Vec<Finding> {
    let Ok(line) = context.client.get::<LineView>("/api/v1/engine/limits").await else {
        return Vec::new(); // The store's finding says why.
    };
    let open = line.breakers.into_iter().filter(|breaker| breaker.state != BreakerStand::Closed);
    open.map(|breaker| {
        let next = breaker.next.map(|next| format!(", next try at {}", instant(next))).unwrap_or_default();
        let last = breaker.last.map(|last| format!("; last: {}", cut(&last, 120))).unwrap_or_default();
        let failed = count(u64::from(breaker.failures), "failure");
        let found = format!("left alone after {failed} in a row, {} waiting{next}{last}", breaker.waiting);
        Finding::new(&breaker.service, Health::Notable, found)
            .hint(format!("{} limits reset {}", context.program, breaker.service))
    })
    .collect()
}

/// A clock that says less than when the store was written: it was ahead then, or is behind now.
async fn clock_behind(context: &CommandContext) -> Option<Finding> {
    const BEHIND_MIN: Duration = Duration::from_secs(1);
    let info: Value = context.client.get("/api/v1/store").await.ok()?;
    let last = info["position"].as_u64().filter(|position| *position > 0)?;
    let event: Value = context.client.get(&format!("/api/v1/events?from={last}")).await.ok()?;
    let written: Timestamp = event["committed_at"].as_str()?.parse().ok()?;
    let behind = written.since(clock::now());
    (behind > BEHIND_MIN).then(|| {
        let behind = duration::format(Duration::from_secs(behind.as_secs()));
        let found = format!("it says {behind} less than when the store was last written ({written})");
        Finding::new("clock", Health::Notable, found).hint(
            "it was ahead then, or is behind now: compare it with the time; spans go on by what it says, and what is \
             recorded keeps the later time until it is reached",
        )
    })
}

/// Runs that cannot be gone on with.
async fn set_aside(context: &CommandContext) -> Vec<Finding> {
    let Ok(info) = context.client.get::<Value>("/api/v1/store").await else {
        return Vec::new(); // The store's finding says why.
    };
    let finding = |aside: &Value| {
        let run: RunId = aside[0].as_str()?.parse().ok()?;
        let why = cut(aside[1].as_str().unwrap_or_default(), 240);
        let (program, short) = (&context.program, run.short());
        Some(Finding::new(&format!("run {short}"), Health::Bad, format!("set aside: {why}")).hint(format!(
            "{program} resume {short} tries again when that is mended, {program} cancel {short} --force ends it"
        )))
    };
    info["set_aside"].as_array().into_iter().flatten().filter_map(finding).collect()
}

async fn store(context: &CommandContext, place: &FolderOptions) -> Finding {
    let info: Result<Value, Fault> = context.client.get("/api/v1/store").await;
    match info {
        Ok(_) if !place.layout.root().exists() => {
            Finding::new("store", Health::Good, "none yet; the first run makes it")
        }
        Ok(info) => {
            let found = {
                let number = |name: &str| info[name].as_u64().unwrap_or(0);
                format!("{}, {}", count(number("runs"), "run"), count(number("position"), "event"))
            };
            let writability = &info["writability"];
            let refuses = |why: &str, hint: &str| {
                Finding::new("store", Health::Bad, format!("{found}; it takes no writes: {why}")).hint(hint)
            };
            if writability == "writable" {
                Finding::new("store", Health::Good, found)
            } else if writability == "full" {
                refuses("the disk is full", "make room; it goes on by itself")
            } else if info["adopted"] == false {
                let why = writability["read_only"].as_str().unwrap_or("it is a copy");
                refuses(why, "if no other copy acts: everfold store adopt")
            } else if let Some(why) = writability["not_ours"].as_str() {
                refuses(why, "end its process; the next one opens what lies there now")
            } else {
                let why =
                    writability["read_only"].as_str().map_or_else(|| writability.to_string(), str::to_owned);
                refuses(&why, "look after the disk; it tries again by itself, and runs go on then")
            }
        }
        Err(fault) => {
            let finding = Finding::new("store", Health::Bad, fault.message.clone());
            match fault.hint {
                Some(hint) => finding.hint(hint),
                None => finding,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_nothing_by_choice_is_worth_knowing_and_no_lack() {
        let nothing = redaction(&RedactSettings { built_in: false, ..RedactSettings::default() });
        assert_eq!(nothing.health, Health::Notable);
        assert_eq!(redaction(&RedactSettings::default()).health, Health::Good);
    }
}
