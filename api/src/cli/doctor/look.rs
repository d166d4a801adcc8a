//! `doctor`: whether this machine has what Everfold needs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::settings::{Settings, TEMPLATE};
use everfold_engine::clock::Stopwatch;
use everfold_workflows::agent::{AgentEnvironment, Preflights, find_program, program};
use everfold_workflows::credential::MachineKey;
use everfold_workflows::provider::ProviderSettings;
use everfold_workflows::redact::RedactSettings;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use super::finding::{Finding, Health};
use super::{engine, upgrade};
use crate::cli::args::DoctorArgs;
use crate::cli::context::CommandContext;
use crate::client::FolderOptions;
use crate::fault::{Code, Fault};
use crate::node;
use crate::serve::try_certificate;
use crate::text::count;

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
    if let Some(settings) = &read {
        findings.extend(certificate(settings).await);
        findings.extend(credential_key(settings, place.layout.root()));
    }
    let info: Result<Value, Fault> = context.client.get("/api/v1/store").await;
    findings.push(engine::store(place, &info));
    // An owner that does not answer would be waited for by each.
    if let Ok(info) = &info {
        if let Some(settings) = &read {
            findings.extend(engine::unheard(context, settings).await);
        }
        findings.extend(engine::other_built_ins(context).await);
        findings.extend(engine::clock_behind(context, info).await);
        findings.extend(engine::set_aside(context, info));
        findings.extend(engine::paused(context).await);
        findings.extend(engine::left_alone(context).await);
    }
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

/// Whether `serve` could speak TLS, where the settings say that it does.
async fn certificate(settings: &Settings) -> Option<Finding> {
    let files = settings.serve.tls.as_ref()?;
    Some(match try_certificate(files).await {
        Ok(()) => Finding::new("tls", Health::Good, files.cert.display().to_string()),
        Err(fault) => {
            let finding = Finding::new("tls", Health::Lacking, fault.message);
            fault.hint.into_iter().fold(finding, Finding::hint)
        }
    })
}

/// Why credentials of requests could not be sealed. It is a lack where the settings name the key's place.
fn credential_key(settings: &Settings, folder: &Path) -> Option<Finding> {
    let key = MachineKey::at(settings.credentials.key_file(), folder);
    let error = key.check_place().err()?;
    let health = if settings.credentials.key.is_some() { Health::Lacking } else { Health::Notable };
    Some(Finding::new("credentials", health, error.message).hint(error.hint))
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
