//! `serve`: the owner as a service.

use std::time::Duration;

use crate::settings::{Proxies, TlsFiles};
use serde_json::json;

use super::args::ServeArgs;
use super::background_owner::take_over;
use super::context::CommandContext;
use super::data_folder::absolute;
use super::interrupt::Interrupts;
use super::output::note;
use crate::access::TokenWish;
use crate::client::FolderOptions;
use crate::fault::{Code, Fault};
use crate::node::{self, Readiness};
use crate::serve::Server;
use everfold_engine::actor::Actor;
use everfold_engine::definition::Definition;
use everfold_engine::store::Writability;
use everfold_engine::tokens::Role;
use everfold_workflows::builtin;
use tokio::sync::watch;

/// How long a store may take no writes before the service ends.
const READ_ONLY_FOR: Duration = Duration::from_secs(60);
/// The name of the token that the first `serve` makes.
const FIRST_TOKEN: &str = "admin";

pub(crate) async fn run(context: &CommandContext, args: ServeArgs) -> Result<u8, Fault> {
    let place = context.place()?;
    let mut settings = node::settings(&place.layout, place.config.as_deref())?.serve;
    if let Some(listen) = args.listen {
        settings.listen = listen;
    }
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        settings.tls = Some(TlsFiles { cert: absolute(cert)?, key: absolute(key)? });
    }
    settings.behind_proxy = proxies(args.behind_proxy.as_deref(), settings.behind_proxy)?;
    settings.url = args.url.or(settings.url);
    settings.check_url().map_err(|why| Fault::new(Code::Usage, format!("--url: {why}")))?;
    // Before the folder is taken: a mistake in the arguments makes no folder.
    crate::serve::ListenPlace::of(&settings)?;

    let mut interrupts = Interrupts::listen()?;
    if args.until_input_ends {
        interrupts.end_with_input()?;
    }
    tokio::select! {
        biased;
        _signal = interrupts.next() => {
            note("ending before the store is open; the next start goes on from there");
            return Ok(0);
        }
        reached = reach(context, place) => reached?,
    }
    let node_guard =
        context.client.with_guard(|node_guard| (node_guard.node().clone(), node_guard.routes())).await;
    let Some((owner, routes)) = node_guard else {
        let record = node::read_record(&place.layout.owner());
        let (pid, url) = record.map_or((0, None), |record| (record.pid, record.url));
        let at = url.map_or_else(|| "on its socket alone".to_owned(), |url| format!("at {url}"));
        return Err(Fault::new(Code::Served, format!("process {pid} owns the folder and serves {at}"))
            .hint("end that process first, or name another folder with --dir"));
    };
    owner.measure();
    // Before the first answer: a command that comes back while runs are taken up finds each of them driven.
    owner.begin_to_drive_all();
    let server = Server::start(owner.clone(), routes, &settings).await?;
    owner.set_url(&server.url);
    let served = async {
        begin(context, &owner, &server.url).await?;
        Err(given_up(owner.store().writability(), READ_ONLY_FOR).await)
    };
    let served: Result<(), Fault> = tokio::select! {
        biased;
        _signal = interrupts.next() => Ok(()),
        served = served => served,
        fault = owner.broken() => {
            // What it waits for in good order would not come.
            owner.begin_closing();
            return Err(fault);
        }
    };
    if let Err(fault) = served {
        owner.begin_closing();
        server.stop().await;
        return Err(fault);
    }
    note("ending: what is being answered is finished, processes of steps live on");
    owner.set_readiness(Readiness::Ending);
    let drained = tokio::time::sleep(Duration::from_secs(settings.drain_seconds));
    tokio::select! {
        () = drained => {}
        // Asked twice, it ends at once.
        _again = interrupts.next() => {}
    }
    // Streams end by themselves once the owner says that it closes.
    owner.begin_closing();
    server.stop().await;
    if owner.still_owns_folder().await {
        return Ok(0);
    }
    let folder = owner.layout().root().display().to_string();
    Err(Fault::new(Code::NotOurs, format!("{folder} was removed, moved or replaced while it was served"))
        .hint("the next start opens what lies there now"))
}

/// Takes the folder, from an owner in the background, too.
async fn reach(context: &CommandContext, place: &FolderOptions) -> Result<(), Fault> {
    take_over(place).await?;
    context.client.reach().await
}

/// The proxies that are believed: those that the command names; where it names none, those of the settings, else
/// this machine.
fn proxies(said: Option<&[String]>, of_settings: Proxies) -> Result<Proxies, Fault> {
    match said {
        None => Ok(of_settings),
        Some([]) if of_settings.is_empty() => Ok(Proxies::loopback()),
        Some([]) => Ok(of_settings),
        Some(listed) => Proxies::listed(listed.iter().map(String::as_str))
            .map_err(|error| Fault::new(Code::Usage, error.to_string())),
    }
}

/// Says where it serves, and goes on with what was left.
async fn begin(context: &CommandContext, owner: &node::Node, url: &str) -> Result<(), Fault> {
    let first = first_token(owner).await?;
    announce(context, url, owner, first.as_deref()).await?;
    for source in owner.unheard_sources().await? {
        let save = save_listener(&source);
        note(format!(
            "warning: no saved pipeline has a trigger with hook: {source}, so deliveries lead to nothing; {} {save}",
            context.program
        ));
    }
    let recovered = owner.drive_all().await?;
    owner.set_readiness(Readiness::Ready);
    if recovered > 0 {
        note(format!("{recovered} unfinished {} on", if recovered == 1 { "run goes" } else { "runs go" }));
    }
    Ok(())
}

/// The words of the command that saves a pipeline which listens to a source: a built-in one, where there is one.
pub(super) fn save_listener(source: &str) -> String {
    let listens = |definition: &Definition| definition.listens_to(source);
    let found = builtin::pipelines()
        .iter()
        .find(|pipeline| node::built_in(pipeline.name).is_ok_and(|checked| listens(&checked.definition)));
    format!("pipeline save {}", found.map_or("FILE", |pipeline| pipeline.name))
}

/// Resolves when the store has taken no writes for so long, which a full disk is no part of, or never will again:
/// who watches over this process is to hear of it.
async fn given_up(mut writability: watch::Receiver<Writability>, patience: Duration) -> Fault {
    loop {
        let is_refusing =
            |now: &Writability| matches!(now, Writability::ReadOnly(_) | Writability::NotOurs(_));
        let now = writability.wait_for(is_refusing).await.map(|now| now.clone());
        let why = match now {
            Ok(Writability::NotOurs(why)) => {
                return Fault::new(Code::NotOurs, why).hint("the next start opens what lies there now");
            }
            Ok(Writability::ReadOnly(why)) => why,
            Ok(Writability::Writable | Writability::Full) => continue,
            // The store is being closed.
            Err(_) => return std::future::pending().await,
        };
        let mended = writability.wait_for(|now| !matches!(now, Writability::ReadOnly(_)));
        if tokio::time::timeout(patience, mended).await.is_err() {
            return Fault::new(Code::ReadOnly, format!("no writes for {} s: {why}", patience.as_secs()))
                .hint("nothing that was acknowledged is lost; look after the disk, then start again");
        }
    }
}

/// Makes the first token of a folder; its text, where it was made now.
async fn first_token(owner: &node::Node) -> Result<Option<String>, Fault> {
    if owner.access().access().await?.tokens().next().is_some() || owner.may_not_write() {
        return Ok(None);
    }
    let wish = TokenWish { name: FIRST_TOKEN.into(), role: Role::Admin, approves: Vec::new(), lasts: None };
    let made = owner.access().create(wish, Actor::Engine, None).await?;
    Ok(Some(made.secret.reveal().to_owned()))
}

/// Says where it serves and, the first time, how to get in.
async fn announce(
    context: &CommandContext,
    url: &str,
    owner: &node::Node,
    token: Option<&str>,
) -> Result<(), Fault> {
    let link = match token {
        Some(_) => Some(owner.access().link(FIRST_TOKEN).await?),
        None => None,
    };
    let login = link.map(|link| format!("{url}/login?code={}", link.code.reveal()));
    if context.json {
        let root = owner.layout().root().display().to_string();
        let pid = std::process::id();
        return context
            .out
            .json(&json!({ "url": url, "pid": pid, "dir": root, "token": token, "login": login }));
    }
    context.out.line(format!("serving {} at {url}", owner.layout().root().display()));
    if let (Some(token), Some(login)) = (token, login) {
        context.out.line(format!("  token of “{FIRST_TOKEN}”, shown this once: {token}"));
        context.out.line(format!("  log in with a browser, once, within 15 minutes: {login}"));
    } else {
        let program = &context.program;
        context.out.line(format!("  {program} token list, or {program} token create NAME --role viewer|approver|operator|worker|admin"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::args::{Cli, Verb};
    use super::*;

    #[test]
    fn row_57_proxies_are_those_of_the_command_then_of_the_settings_then_this_machine() {
        let listed = |text: &str| Proxies::listed(text.split(',')).unwrap_or_default();
        let of = |arguments: &[&str], settings: Proxies| {
            let cli = Cli::try_parse_from([&["everfold", "serve"], arguments].concat());
            match cli.map(|cli| cli.verb) {
                Ok(Verb::Serve(args)) => proxies(args.behind_proxy.as_deref(), settings).ok(),
                _ => None,
            }
        };
        let (none, loopback, far) = (Proxies::default(), Proxies::loopback(), listed("10.0.0.0/8"));
        assert_eq!(of(&[], none.clone()), Some(none.clone()));
        assert_eq!(of(&[], far.clone()), Some(far.clone()));
        assert_eq!(of(&["--behind-proxy"], none.clone()), Some(loopback.clone()));
        assert_eq!(of(&["--behind-proxy", "--url", "https://e.example"], none.clone()), Some(loopback));
        assert_eq!(of(&["--behind-proxy"], far.clone()), Some(far.clone()));
        let two = Some(listed("192.0.2.1,fd00::/8"));
        assert_eq!(of(&["--behind-proxy", "192.0.2.1,fd00::/8"], far.clone()), two);
        assert_eq!(of(&["--behind-proxy=192.0.2.1", "--behind-proxy=fd00::/8"], far), two);
        assert_eq!(of(&["--behind-proxy", "everything"], none), None);
    }

    #[tokio::test(start_paused = true)]
    async fn row_03_a_service_ends_after_a_minute_without_writes_and_not_before() {
        let store = watch::Sender::new(Writability::Writable);
        let given_up = tokio::spawn(given_up(store.subscribe(), READ_ONLY_FOR));
        let refusing = || Writability::ReadOnly("the disk failed".into());
        for _ in 0..3 {
            store.send_replace(refusing());
            tokio::time::sleep(READ_ONLY_FOR - Duration::from_secs(1)).await;
            store.send_replace(Writability::Writable);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // A full disk ends by itself, however long that takes.
        store.send_replace(Writability::Full);
        tokio::time::sleep(10 * READ_ONLY_FOR).await;
        assert!(!given_up.is_finished());
        store.send_replace(refusing());
        let fault = given_up.await.unwrap_or_else(|error| Fault::new(Code::Internal, error.to_string()));
        assert_eq!((fault.code, fault.code.exit()), (Code::ReadOnly, 7), "{fault}");
        assert!(fault.message.contains("the disk failed"), "{fault}");
    }

    #[tokio::test(start_paused = true)]
    async fn row_02_a_service_whose_folder_is_gone_ends_at_once() {
        let store = watch::Sender::new(Writability::Writable);
        let given_up = tokio::spawn(given_up(store.subscribe(), READ_ONLY_FOR));
        tokio::task::yield_now().await;
        store.send_replace(Writability::NotOurs("it was moved away".into()));
        let fault = given_up.await.unwrap_or_else(|error| Fault::new(Code::Internal, error.to_string()));
        assert_eq!((fault.code, fault.code.exit()), (Code::NotOurs, 7), "{fault}");
    }
}
