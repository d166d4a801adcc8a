//! The story, chapter by chapter.

use std::collections::BTreeSet;
use std::time::Duration;

use everfold_engine::clock::Stopwatch;
use everfold_engine::json::Value;
use owo_colors::OwoColorize as _;
use serde_json::json;

use super::super::agent::Process;
use super::super::fault::stopped;
use super::super::screen::Screen;
use super::service::DemoService;
use super::stage::OrchStage;
use super::town::Town;
use crate::cli::args::DemoArgs;
use crate::cli::context::CommandContext;
use crate::cli::interrupt::Interrupts;
use crate::cli::output::note;
use crate::client::{Client, FolderOptions};
use crate::fault::{Code, Fault};
use crate::text::quoted;

/// How long anything may take that takes a second, and how long a person may take.
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_WITH_PEOPLE: Duration = Duration::from_secs(3_600);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The exit code of an interrupted command.
const INTERRUPTED: u8 = 130;
/// What the agents execute: a task that is rejected once and whose CI fails once.
const EXECUTIONS: [&str; 9] = [
    "analyst 1",
    "analyst 2",
    "architect 1",
    "developer 1",
    "developer 2",
    "reviewer 1",
    "tester 1",
    "staging 1",
    "deployer 1",
];

/// Plays it.
pub(in super::super) async fn run(context: &CommandContext, args: DemoArgs) -> Result<u8, Fault> {
    let mut interrupts = Interrupts::listen()?;
    let town = Town::open().await?;
    let stage = OrchStage::set(&args, &town)?;
    let mut play = OrchPlay { stage, town, screen: Screen::new(context.json), manual: args.manual };
    let played = tokio::select! {
        played = play.play() => played,
        _interrupted = interrupts.next() => {
            let _gone = play.stage.scratch.hold(false);
            note(format!("interrupted; remove all of it: rm -rf {}", quoted(&play.stage.folder.display().to_string())));
            return Ok(INTERRUPTED);
        }
    };
    let _gone = play.stage.scratch.hold(false);
    let summary = played.map_err(|fault| {
        let stays = format!("everything stays as it is in {}", play.stage.folder.display());
        let hint = fault.hint.as_ref().map_or_else(|| stays.clone(), |hint| format!("{hint}\n  {stays}"));
        fault.hint(hint)
    })?;
    if context.json {
        context.out.json(&summary)?;
    }
    Ok(0)
}

struct OrchPlay {
    stage: OrchStage,
    town: Town,
    screen: Screen,
    manual: bool,
}

impl OrchPlay {
    async fn play(&mut self) -> Result<Value, Fault> {
        self.screen.line("Everfold demo: ORCH, from an issue to a deployed change".bold().to_string());
        self.screen.line("");
        self.screen.fact(
            "services",
            "Plane, Gitea and Telegram as small servers in this program; signed webhooks; real git",
        );
        self.screen.fact("agents", "a script in seven roles; any program can be an agent");
        self.screen.fact("folder", &self.stage.folder.display().to_string());
        self.stage.scratch.hold(true).map_err(stopped("the agents' folder cannot be written"))?;

        self.screen.chapter("A server begins to listen, with the pipeline `orch`");
        let mut server = self.serve().await?;
        let first = server.pid();

        self.screen.chapter("The owner sets an issue In Progress");
        self.town.moves(&self.screen, "In Progress");
        self.until(&mut server, "the analysis waits for approval", 1, "analyst 1", "In Review").await?;

        self.screen.chapter("The analysis is not what the owner wants");
        self.town.says(&self.screen, "Only up to 10? The task says 3999.");
        self.town.moves(&self.screen, "Rejected");
        self.until(&mut server, "the analysis waits once more", 1, "analyst 2", "In Review").await?;

        self.screen.chapter("Now it is. Architect and developer work; CI finds a fault of the first try");
        if self.manual {
            self.screen.line("   It waits for you. In another terminal, type");
            self.screen.line(format!("     {} inbox", self.stage.typed));
        } else {
            self.town.moves(&self.screen, "Approved");
        }
        let patience = if self.manual { PATIENCE_WITH_PEOPLE } else { PATIENCE };
        self.wait(&mut server, "the reviewer is at work", patience, |play| {
            Ok(play.execution("reviewer 1")?.is_some())
        })
        .await?;

        self.screen.chapter("The reviewer is at work. The server is killed");
        let agent = self.execution("reviewer 1")?.and_then(Process::of);
        let agent = agent.ok_or_else(|| Fault::new(Code::DemoStopped, "the reviewer is gone"))?;
        self.screen.command(&format!("kill -9 {first}"));
        server.kill().await?;
        if !agent.lives() {
            return Err(Fault::new(Code::DemoStopped, "the reviewer did not survive the server"));
        }
        self.screen.fact("agent", &format!("process {} lives on under its supervisor", agent.pid));
        let mut server = self.serve().await?;
        let second = server.pid();
        self.stage.scratch.hold(false).map_err(stopped("the agents' folder cannot be written"))?;
        self.wait(&mut server, "the task is done", PATIENCE * 2, |play| {
            Ok(play.town.plane.state_of(&play.town.issue).as_deref() == Some("Done"))
        })
        .await?;
        self.wait(&mut server, "the end is announced", PATIENCE, |play| {
            let comments = play.town.plane.comments_on(&play.town.issue);
            let is_announced = comments.iter().any(|(_, html)| html.starts_with("✅ Task completed"));
            Ok(is_announced && play.town.live.last().is_some_and(|text| text.starts_with('🎉')))
        })
        .await?;

        self.screen.chapter("What is left of it");
        self.proof([first, second]).await
    }

    /// Starts the server, and gives it the pipeline where it has none.
    async fn serve(&mut self) -> Result<DemoService, Fault> {
        let mut server =
            DemoService::start(&self.stage.program, &self.stage.folder, &self.town.environment())?;
        let layout = self.stage.layout.clone();
        let since = Stopwatch::start();
        let url = loop {
            server.must_live()?;
            if let Some(url) = server.url(&layout) {
                break url;
            }
            if since.elapsed() > PATIENCE {
                return Err(
                    Fault::new(Code::DemoStopped, "the server does not listen").hint(server.last_words())
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        self.save_pipeline().await?;
        self.town.tell(&url);
        self.screen.fact("server", &format!("process {}, {url}", server.pid()));
        Ok(server)
    }

    /// Saves the pipeline through the command line, as a person would; the same again adds no version.
    async fn save_pipeline(&self) -> Result<(), Fault> {
        let output = tokio::process::Command::new(&self.stage.program)
            .arg("--dir")
            .arg(self.stage.layout.root())
            .args(["pipeline", "save"])
            .arg(&self.stage.scratch.pipeline)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(stopped("this program could not be started"))?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "\n    ");
                let fault = Fault::new(Code::DemoStopped, "the pipeline could not be saved");
                Err(fault.hint(format!("it said\n    {said}")))
            }
        }
    }

    fn client(&self) -> Client {
        Client::new(FolderOptions {
            layout: self.stage.layout.clone(),
            config: None,
            url: None,
            crash_after: None,
            create: false,
            progress: None,
        })
    }

    /// The process of an execution, where there was one: `STEP ROUND`.
    fn execution(&self, wanted: &str) -> Result<Option<i32>, Fault> {
        let lines = self.stage.scratch.executions().map_err(stopped("the agents' record cannot be read"))?;
        let found = lines.iter().find(|line| line.starts_with(&format!("{wanted} ")));
        Ok(found.and_then(|line| line.rsplit(' ').next()?.parse().ok()))
    }

    /// Waits until an agent has worked and the issue is in a state.
    async fn until(
        &mut self,
        server: &mut DemoService,
        awaited: &str,
        times: u32,
        execution: &str,
        state: &str,
    ) -> Result<(), Fault> {
        let (execution, state) = (execution.to_owned(), state.to_owned());
        self.wait(server, awaited, PATIENCE * times, move |play| {
            let is_there = play.town.plane.state_of(&play.town.issue).as_deref() == Some(&*state);
            Ok(is_there && play.execution(&execution)?.is_some())
        })
        .await
    }

    /// Shows what is new until something is as it is awaited.
    async fn wait(
        &mut self,
        server: &mut DemoService,
        awaited: &str,
        patience: Duration,
        is_so: impl Fn(&Self) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let since = Stopwatch::start();
        loop {
            self.town.look(&self.screen, &self.stage.scratch).await?;
            if is_so(self)? {
                return Ok(());
            }
            server.must_live()?;
            if since.elapsed() > patience {
                let message = format!("waited {} s in vain until {awaited}", patience.as_secs());
                return Err(Fault::new(Code::DemoStopped, message).hint(server.last_words()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn proof(&mut self, servers: [u32; 2]) -> Result<Value, Fault> {
        let lines = self.stage.scratch.executions().map_err(stopped("the agents' record cannot be read"))?;
        let ran: Vec<String> =
            lines.iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        // A person may reject, and the engine begins further rounds: there it is proven that it began none twice.
        let rounds: BTreeSet<&str> = ran.iter().map(String::as_str).collect();
        let is_proven = match self.manual {
            false => ran == EXECUTIONS,
            true => rounds.len() == ran.len() && EXECUTIONS.iter().all(|round| rounds.contains(round)),
        };
        if !is_proven {
            return Err(Fault::new(Code::DemoStopped, format!("the agents executed {}", ran.join(", "))));
        }
        let runs: Value = self.client().get("/api/v1/runs?limit=2").await?;
        let run = &runs["items"][0];
        if run["status"] != "succeeded" {
            return Err(Fault::new(Code::DemoStopped, format!("the run is {}", run["status"])));
        }
        let id = run["id"].as_str().unwrap_or_default().to_owned();
        let messages = self.town.telegram.service(|telegram| telegram.messages().to_vec());
        let silent = messages.iter().filter(|message| message.is_silent).count();
        let screen = &self.screen;
        screen.proven(&format!("nothing ran twice: {}", ran.join(", ")));
        screen.proven(&format!(
            "Telegram has {silent} silent message, changed {} times",
            self.town.live.len() - 1
        ));
        screen.proven(&format!(
            "Plane has {} comments, the issue is Done",
            self.town.plane.comments_on(&self.town.issue).len()
        ));
        screen.line("");
        self.town.show_live(screen);
        screen.line("");
        screen.line("Try next".bold().to_string());
        let short = id.get(id.len().saturating_sub(8)..).unwrap_or(&id);
        let next =
            [format!("orch status {short}"), format!("show {short}"), format!("logs {short} developer")];
        let next: Vec<String> = next.iter().map(|verb| format!("{} {verb}", self.stage.typed)).collect();
        next.iter().for_each(|line| screen.line(format!("  {line}")));
        let remove = format!("rm -rf {}", quoted(&self.stage.folder.display().to_string()));
        screen.line("");
        screen.line(format!("All of it is in one folder; remove it with: {remove}"));
        Ok(json!({
            "folder": self.stage.folder, "dir": self.stage.layout.root(), "run": id, "servers": servers,
            "executions": lines, "comments": self.town.written(), "live": self.town.live, "next": next, "remove": remove,
        }))
    }
}
