//! Plane, Gitea and Telegram of the demo, and what is new there.

use everfold_engine::json::Value;
use everfold_workflows::demo::orch_ci::DemoCi;
use everfold_workflows::demo::orch_scratch::{OWNER, OrchScratch, PREFIX, PROJECT, REPOSITORY, ROLES};
use everfold_workflows::fakes::{FakeGitea, FakeMessage, FakePlane, FakeServer, FakeTelegram};
use owo_colors::OwoColorize as _;

use super::super::fault::stopped;
use super::super::screen::Screen;
use crate::fault::Fault;
use crate::text::{cut, html_as_text};

/// The longest comment that is shown.
const COMMENT_CHARS_MAX: usize = 160;
pub(super) const GITEA_TOKEN: &str = "demo-gitea-token";
pub(super) const PLANE_TOKEN: &str = "demo-plane-token";
pub(super) const TELEGRAM_TOKEN: &str = "1001:demo-telegram-token";
pub(super) const HOOK_SECRET: &str = "demo-hook-secret";
const TITLE: &str = "Write numbers as Roman numerals";
const DESCRIPTION: &str = "<p>A script writes every number from 1 to 3999 as a Roman numeral.</p>";
/// Who steers.
pub(super) const PERSON: &str = "Ada";

/// The services, and what was seen of them.
pub(super) struct Town {
    pub(super) plane: FakePlane,
    pub(super) gitea: FakeServer<FakeGitea>,
    pub(super) telegram: FakeServer<FakeTelegram>,
    pub(super) issue: String,
    ci: DemoCi,
    hook: String,
    state: String,
    comments: usize,
    messages: Vec<(i64, u32)>,
    pulls: usize,
    merged: Vec<u64>,
    /// How the live message stood, each time that it changed.
    pub(super) live: Vec<String>,
}

impl Town {
    /// Serves all three, with one issue in the backlog.
    pub(super) async fn open() -> Result<Self, Fault> {
        let failed = stopped("a service of the demo cannot be opened");
        let plane = FakePlane::start(OWNER).await.map_err(&failed)?;
        plane.add_user(PLANE_TOKEN, "orch");
        for role in ROLES {
            plane.add_user(&token_of(role), role);
        }
        plane.add_project(PROJECT, PREFIX);
        let issue = plane.add_issue(PROJECT, 18, TITLE, DESCRIPTION, "Backlog", PERSON);
        let gitea = FakeGitea::new(GITEA_TOKEN, &format!("{OWNER}/{REPOSITORY}"));
        Ok(Self {
            plane,
            gitea: FakeServer::serve(gitea).await.map_err(&failed)?,
            telegram: FakeServer::serve(FakeTelegram::new(TELEGRAM_TOKEN)).await.map_err(&failed)?,
            issue,
            ci: DemoCi::default(),
            hook: String::new(),
            state: "Backlog".to_owned(),
            comments: 0,
            messages: Vec::new(),
            pulls: 0,
            merged: Vec::new(),
            live: Vec::new(),
        })
    }

    /// The environment of the server.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let shared = [
            ("ORCH_PLANE_API_TOKEN", PLANE_TOKEN.to_owned()),
            ("ORCH_GITEA_TOKEN", GITEA_TOKEN.to_owned()),
            ("ORCH_TELEGRAM_BOT_TOKEN", TELEGRAM_TOKEN.to_owned()),
            ("ORCH_PLANE_WEBHOOK_SECRET", HOOK_SECRET.to_owned()),
            ("ORCH_GITEA_WEBHOOK_SECRET", HOOK_SECRET.to_owned()),
        ];
        let variables = [
            "ORCH_PLANE_BOT_ANALYST",
            "ORCH_PLANE_BOT_ARCHITECT",
            "ORCH_PLANE_BOT_DEVELOPER",
            "ORCH_PLANE_BOT_REVIEWER",
            "ORCH_PLANE_BOT_TESTER",
            "ORCH_PLANE_BOT_DEPLOYER",
            "ORCH_PLANE_BOT_STREAM",
        ];
        shared.into_iter().chain(variables.into_iter().zip(ROLES.map(token_of))).collect()
    }

    /// Deliveries go to this server from now on.
    pub(super) fn tell(&mut self, server: &str) {
        self.plane.set_hook(&format!("{server}/api/v1/hooks/plane"), HOOK_SECRET);
        self.hook = format!("{server}/api/v1/hooks/gitea");
    }

    /// A person moves the issue.
    pub(super) fn moves(&mut self, screen: &Screen, state: &str) {
        self.plane.move_issue(&self.issue, state, PERSON);
        state.clone_into(&mut self.state);
        screen.fact(PERSON, &format!("sets it {}", state.bold()));
    }

    /// A person comments.
    pub(super) fn says(&mut self, screen: &Screen, text: &str) {
        self.plane.say(&self.issue, &format!("<p>{text}</p>"), PERSON);
        self.comments += 1;
        screen.fact(PERSON, &format!("writes “{text}”"));
    }

    /// Shows what is new.
    pub(super) async fn look(&mut self, screen: &Screen, scratch: &OrchScratch) -> Result<(), Fault> {
        let news = self.ci.look(scratch, &self.gitea, &self.hook, HOOK_SECRET).await;
        for news in news.map_err(stopped("the repository cannot be read"))? {
            let commit = news.commit.get(..7).unwrap_or(&news.commit);
            let tested = match &news.tested {
                None => String::new(),
                Some((true, _)) => format!("  {}", "CI green".green()),
                Some((false, said)) => format!("  {} {said}", "CI failed:".red()),
            };
            screen.fact("Gitea", &format!("{} at {commit}{tested}", news.branch));
        }
        let pulls = self.gitea.service(|gitea| gitea.pulls.clone());
        for pull in &pulls[self.pulls.min(pulls.len())..] {
            screen.fact("Gitea", &format!("pull request #{} of {}", pull.number, pull.head));
        }
        self.pulls = pulls.len();
        let merged: Vec<u64> =
            pulls.iter().filter(|pull| pull.state == "merged").map(|pull| pull.number).collect();
        for number in merged.iter().filter(|number| !self.merged.contains(number)) {
            screen.fact("Gitea", &format!("pull request #{number} is merged into main"));
        }
        self.merged = merged;
        let state = self.plane.state_of(&self.issue).unwrap_or_default();
        if state != self.state {
            screen.fact("Plane", &format!("state {}", state.cyan().bold()));
            self.state = state;
        }
        let comments = self.plane.comments_on(&self.issue);
        for (author, html) in &comments[self.comments.min(comments.len())..] {
            screen.fact("Plane", &format!("{}: {}", author.bold(), cut(&plain(html), COMMENT_CHARS_MAX)));
        }
        self.comments = comments.len();
        self.look_at_telegram(screen);
        Ok(())
    }

    fn look_at_telegram(&mut self, screen: &Screen) {
        let messages = self.telegram.service(|telegram| telegram.messages().to_vec());
        for message in messages {
            let known = self.messages.iter_mut().find(|(id, _)| *id == message.id);
            let is_news = match known {
                Some((_, edits)) => std::mem::replace(edits, message.edits) != message.edits,
                None => {
                    self.messages.push((message.id, message.edits));
                    true
                }
            };
            if is_news {
                self.show_message(screen, &message);
            }
        }
    }

    /// A ping in one line; of the task's own message what is new in it.
    fn show_message(&mut self, screen: &Screen, message: &FakeMessage) {
        let text = plain(&message.text.replace('\n', "\u{1}")).replace('\u{1}', "\n");
        if !message.is_silent {
            let first = text.lines().next().unwrap_or_default();
            return screen.fact("Telegram", &format!("{} {first}", "ping".yellow()));
        }
        let former = self.live.last().map(String::as_str).unwrap_or_default();
        let is_new = |line: &&str| !line.trim().is_empty() && !former.lines().any(|known| known == *line);
        for line in text.lines().filter(is_new).filter(|line| !line.starts_with(['━', '💰'])) {
            screen.fact("Telegram", &line.dimmed().to_string());
        }
        self.live.push(text);
    }

    /// The task's message as it stands at the end.
    pub(super) fn show_live(&self, screen: &Screen) {
        for line in self.live.last().iter().flat_map(|text| text.lines()) {
            screen.line(format!("     {line}"));
        }
    }

    /// What Plane was asked to write, for the summary.
    pub(super) fn written(&self) -> Value {
        let comments = self.plane.comments_on(&self.issue);
        comments
            .into_iter()
            .map(|(author, html)| serde_json::json!({ "by": author, "text": plain(&html) }))
            .collect()
    }
}

fn token_of(role: &str) -> String {
    format!("demo-{role}-token")
}

/// What a comment says, in one line.
fn plain(html: &str) -> String {
    html_as_text(&html.replace("<br>", " · ").replace("<li>", " ").replace('\n', " "))
}
