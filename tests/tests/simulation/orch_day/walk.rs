//! A task walked through ORCH's stages by hand: what is drawn on the way, and what must be said of it.
//!
//! Law: the texts and the order are those of ORCH's specification; the pipeline is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::luck::Luck;
use super::plan::{
    Act, AgentRound, CAP, Deed, Ending, Fate, Finding, PROJECTS, PULL_REQUESTS, Spent, Task, Try,
};
use super::texts;

/// Setbacks of a task beside those that use up its developments; more are not drawn.
const SETBACKS_MAX: u32 = 3;
/// Attempts of a round (O136), those that vanished not counted.
const ATTEMPTS: usize = 3;
const TEXT: &str = "A page that is dark at night, and bright by day.";

pub struct Walk {
    luck: Luck,
    task: Task,
    /// How often each step was done.
    rounds: BTreeMap<&'static str, u32>,
    usage: BTreeMap<&'static str, Spent>,
    /// How often the tracker was given a state.
    states: BTreeMap<&'static str, usize>,
    setbacks: u32,
    /// How often a person has set In Progress.
    continued: u32,
    /// The owner has written a comment that no agent was given yet.
    has_said: bool,
    /// How many pull requests were opened.
    pulls: usize,
    /// The last of them is open.
    has_pull: bool,
    /// A person has merged it.
    is_merged: bool,
    /// The repository is that of the orchestrator, whose staging is judged.
    is_self: bool,
}

impl Walk {
    /// Draws the task of a number.
    pub fn task(seed: u64, number: usize) -> Task {
        let mut luck = Luck::of(seed, &format!("task {number}"));
        let project = number % PROJECTS.len();
        let task = Task {
            project,
            sequence: (number / PROJECTS.len() + 1) as u64,
            title: format!("Dark mode & more {number}"),
            text: TEXT,
            begins: Duration::from_secs(luck.below(9 * 3_600)),
            rounds: BTreeMap::new(),
            closed: BTreeSet::new(),
            unread: BTreeSet::new(),
            is_hidden: false,
            acts: Vec::new(),
            comments: Vec::new(),
            pings: Vec::new(),
            fate: Fate::Done,
            live: String::new(),
        };
        let mut walk = Self {
            luck,
            task,
            rounds: BTreeMap::new(),
            usage: BTreeMap::new(),
            states: BTreeMap::new(),
            setbacks: 0,
            continued: 0,
            has_said: false,
            pulls: 0,
            has_pull: false,
            is_merged: false,
            is_self: PROJECTS[project].0 == "orchestrator",
        };
        if walk.luck.is_one_of(14) {
            walk.task.text = "short";
            // What could not be read is not judged (O110): it waits until it can.
            walk.task.is_hidden = walk.luck.is_one_of(3);
            walk.say("stream", "⚠️ QG-0 failed:<br>• Description слишком короткий (нужно &gt;= 20 символов)");
            walk.task.fate = Fate::Refused;
            return walk.task;
        }
        walk.task.fate = walk.stages();
        if walk.task.fate == Fate::Done {
            walk.finish();
        }
        walk.task
    }

    fn say(&mut self, who: &'static str, text: impl Into<String>) {
        self.task.comments.push((who, text.into()));
    }

    fn ping(&mut self, text: impl Into<String>) {
        self.task.pings.push(text.into());
    }

    /// A number of minutes, as a time.
    fn minutes(&mut self, below: u64) -> Duration {
        Duration::from_secs(60 * (1 + self.luck.below(below)))
    }

    /// The tracker is given a state; something follows.
    fn awaited(&mut self, state: &'static str, does: Deed) {
        let times = self.states.get(state).copied().unwrap_or_default();
        let after = self.minutes(90);
        self.task.acts.push(Act { awaits: (state, times), after, does });
    }

    fn stands(&mut self, state: &'static str) {
        *self.states.entry(state).or_default() += 1;
    }

    /// It is blocked; the owner sets In Progress, and a role is at work again, behind the step that reads the comments.
    fn relaunch(&mut self, role: &'static str) {
        self.awaited("blocked", Deed::Continue);
        self.continued += 1;
        self.say(role, texts::RELAUNCHED);
        let step = match role {
            "analyst" => "why-analyst",
            "architect" => "why-architect",
            "developer" => "why-developer",
            "reviewer" => "why-reviewer",
            _tester => "why-tester",
        };
        if self.begin_again(step) {
            self.say(role, texts::UNREAD);
        }
        if self.continued == 3 {
            self.ping("🔴 {item}: ERROR — 3 перезапуска одной задачи: слейте PR вручную или разберите её");
        }
    }

    /// One in so many, while a task may be set back.
    fn is_set_back(&mut self, one_in: u64) -> bool {
        let is = self.setbacks < SETBACKS_MAX && self.luck.is_one_of(one_in);
        self.setbacks += u32::from(is);
        is
    }

    fn round(&self, step: &str) -> u32 {
        self.rounds.get(step).copied().unwrap_or_default()
    }

    /// A round of an agent. Gives whether it ends well; else it is blocked, and people are called.
    fn agent(&mut self, step: &'static str, finding: Finding, can_fail: bool) -> bool {
        let round = self.round(step) + 1;
        self.rounds.insert(step, round);
        let mut tries = Vec::new();
        let mut ends = Ending::Well;
        if self.luck.is_one_of(9) {
            let limited = if can_fail && self.is_set_back(4) { ATTEMPTS } else { 1 };
            for _ in 0..limited {
                tries.push(Try { takes: self.minutes(4), ends: Ending::Limited });
            }
            if limited == ATTEMPTS {
                ends = Ending::Limited;
            }
        }
        if ends == Ending::Well && self.luck.is_one_of(9) {
            tries.push(Try { takes: self.minutes(4), ends: Ending::Lost });
        }
        if ends == Ending::Well {
            ends = match can_fail && self.is_set_back(14) {
                true if self.luck.is_one_of(3) => Ending::TooLong,
                true => Ending::Fails(1 + i32::try_from(self.luck.below(100)).unwrap()),
                false => Ending::Well,
            };
            tries.push(Try { takes: self.minutes(25), ends });
        }
        let mut usage = Spent::default();
        if ends == Ending::Well {
            usage = Spent {
                input: 1 + self.luck.below(90_000),
                cached: self.luck.below(2) * self.luck.below(9_000_000),
                output: 1 + self.luck.below(50_000),
                micros: self.luck.below(7_000_000),
            };
        }
        self.usage.entry(step).or_default().add(usage);
        self.task.rounds.insert((step, round), AgentRound { tries, finding, usage });
        let code = match ends {
            Ending::Fails(code) => code,
            Ending::TooLong => -9,
            Ending::Limited => 1,
            Ending::Well | Ending::Lost => return true,
        };
        if !matches!(step, "staging" | "deployer") {
            self.ping(format!(
                "⚠️ {{item}}: Agent {step} failed (exit_code={code}). Check logs: everfold logs {{run}} {step}"
            ));
            self.stands("blocked");
        }
        false
    }

    /// The comment of an agent that has ended well.
    fn status(&mut self, step: &'static str, judged: &str, links: &[(&str, &str)]) {
        let who = if step == "staging" { "deployer" } else { step };
        let used = self.task.rounds[&(step, self.round(step))].usage;
        self.say(who, texts::status(step, judged, links, used));
    }

    fn advance(&mut self, from: &str, to: &str) {
        self.say("stream", format!("🔄 Stage: {from} → {to}"));
    }

    fn stages(&mut self) -> Fate {
        self.say("stream", "analyst launched (8–15 min)");
        loop {
            self.analyse();
            if !self.design() {
                continue;
            }
            return loop {
                match self.build() {
                    Some(fate) => break fate,
                    None => continue,
                }
            };
        }
    }

    /// Until the analysis is approved.
    fn analyse(&mut self) {
        loop {
            let finding = match () {
                () if self.is_set_back(7) => Finding::Questions,
                () if self.is_set_back(10) => Finding::Nothing,
                () => Finding::Good,
            };
            if !self.agent("analyst", finding, true) {
                self.relaunch("analyst");
                continue;
            }
            match finding {
                Finding::Questions => {
                    self.say("analyst", "❓ Analyst нуждается в уточнении:<br>Who uses it &amp; why?");
                    self.ping("❓ {item}: Analyst задаёт вопросы. Ответь в Plane.");
                    self.stands("needs_input");
                    self.awaited("needs_input", Deed::Continue);
                    self.say("analyst", texts::RELAUNCHED);
                    if self.begin_again("why-analyst") {
                        self.say("analyst", texts::UNREAD);
                    }
                }
                Finding::Nothing => {
                    self.say(
                        "analyst",
                        "⚠️ Analyst завершился без артефактов и без вопросов. Проверьте лог.",
                    );
                    self.stands("blocked");
                    self.relaunch("analyst");
                }
                _documents => {
                    self.status(
                        "analyst",
                        "",
                        &[
                            ("00-business-request.md", "{folder}/00-business-request.md"),
                            ("01-brd.md", "{folder}/01-brd.md"),
                        ],
                    );
                    self.ping(texts::WAITS);
                    self.stands("in_review");
                    if !self.is_set_back(6) {
                        self.awaited("in_review", Deed::Approve);
                        self.advance("analysis", "architecture");
                        return;
                    }
                    let reason = (!self.luck.is_one_of(3)).then(|| "Who <b>pays</b> for it?".to_owned());
                    self.has_said |= reason.is_some();
                    let has_said = self.has_said;
                    // A comment counts once, and later where it could not be read (O117).
                    let why = match (self.begin_again("why-analyst"), has_said) {
                        (true, _) => "комментарии в Plane не прочитаны",
                        (false, true) => "Who pays for it?",
                        (false, false) => "Rejected via status, no reason comment",
                    };
                    self.say("analyst", format!("🔄 Analyst перезапущен. Причина отклонения: {why}"));
                    self.awaited("in_review", Deed::Reject(reason));
                }
            }
        }
    }

    /// The step that reads why a stage begins again. Gives whether the comments cannot be read.
    fn begin_again(&mut self, step: &'static str) -> bool {
        let round = self.round(step) + 1;
        self.rounds.insert(step, round);
        let is_unread = self.luck.is_one_of(4);
        if is_unread {
            self.task.unread.insert((step, round));
        } else {
            self.has_said = false;
        }
        is_unread
    }

    /// Until there is an architecture. `false`: a conflict leads back to the analysis.
    fn design(&mut self) -> bool {
        loop {
            let finding = match () {
                () if self.is_set_back(8) => Finding::Conflict,
                () if self.is_set_back(12) => Finding::NoDecision,
                () => Finding::Good,
            };
            if !self.agent("architect", finding, true) {
                self.relaunch("architect");
                continue;
            }
            self.status("architect", "", &[("06-adr", "{folder}/06-adr")]);
            match finding {
                Finding::Conflict => {
                    self.say(
                        "architect",
                        "⚠️ Architect нашёл конфликт с ТЗ. Возврат в Analysis.<br>the queue has no &lt;owner&gt;",
                    );
                    return false;
                }
                Finding::NoDecision => {
                    self.say("architect", "⚠️ QG failed at architecture: check_architecture_done — 0 files of {docs}/06-adr/ADR-*.md, 1 needed");
                    self.stands("blocked");
                    self.relaunch("architect");
                }
                _decided => {
                    self.advance("architecture", "development");
                    return true;
                }
            }
        }
    }

    /// One way from development towards the end. `None`: it is sent back to development.
    fn build(&mut self) -> Option<Fate> {
        if let Some(fate) = self.develop() {
            return Some(fate);
        }
        self.pull();
        if let Some(sent_back) = self.review() {
            return sent_back;
        }
        if let Some(sent_back) = self.test() {
            return sent_back;
        }
        self.deploy()
    }

    fn can_be_sent_back(&self) -> bool {
        self.round("developer") < CAP
    }

    /// There is no development left: a person is called, who merges by hand or lets it be.
    fn exhausted(&mut self, step: &'static str, after: &str) -> Fate {
        self.ping(format!(
            "🔴 {{item}}: ERROR — Max developer retries (3) reached after {after}, escalating"
        ));
        self.stands("blocked");
        if !self.luck.is_one_of(2) {
            return Fate::Waits(step);
        }
        self.awaited("blocked", Deed::Merge);
        self.is_merged = true;
        let gates = [
            ("developer", "check_ci_green"),
            ("reviewer", "check_reviewer_verdict"),
            ("tester", "check_tests_passed"),
            ("staging", "check_staging_status"),
            ("deployer", "check_deploy_status"),
        ];
        let left = gates.iter().skip_while(|gate| gate.0 != step).map(|gate| gate.1).collect::<Vec<_>>();
        self.say("stream", format!("🔀 PR слит вручную (ada). Пропущены: {}", left.join(", ")));
        Fate::Done
    }

    fn develop(&mut self) -> Option<Fate> {
        loop {
            let is_last = self.round("developer") + 1 >= CAP;
            let finding = match self.luck.below(10) {
                0 | 1 => Finding::Red,
                2 | 3 => Finding::Pending(1 + u32::try_from(self.luck.below(11)).unwrap()),
                4 if self.is_set_back(2) => Finding::Unsettled,
                5 => Finding::Unanswered(1 + u32::try_from(self.luck.below(4)).unwrap()),
                _ => Finding::Good,
            };
            if !self.agent("developer", finding, true) {
                self.relaunch("developer");
                continue;
            }
            let pull = self.pull_request();
            let (name, path) = (format!("PR #{pull}"), format!("{{forge}}/pulls/{pull}"));
            let mut links = vec![("{branch}", "{tree}")];
            if self.has_pull {
                links.push((&name, &path));
            }
            self.status("developer", "", &links);
            match finding {
                Finding::Red if is_last => return Some(self.exhausted("developer", "CI failure")),
                Finding::Red => continue,
                Finding::Unsettled => {
                    self.ping("🔴 {item}: ERROR — CI still pending after 120s");
                    self.stands("blocked");
                    self.awaited("blocked", Deed::CiTells);
                }
                _green => {}
            }
            self.advance("development", "review");
            return None;
        }
    }

    /// What stands for the number of the newest one.
    fn pull_request(&self) -> &'static str {
        PULL_REQUESTS[self.pulls.saturating_sub(1)]
    }

    fn open_pull(&mut self) {
        self.pulls += usize::from(!self.has_pull);
        self.has_pull = true;
    }

    /// The pull request is opened, or found.
    fn pull(&mut self) {
        let round = self.round("pr") + 1;
        self.rounds.insert("pr", round);
        match !self.luck.is_one_of(8) {
            true => self.open_pull(),
            false => {
                self.task.closed.insert(round);
                let text = "⚠️ PR не открыт: Gitea answered 500. Ревью идёт без него; перед слиянием он открывается снова.";
                self.say("orch", text);
                self.ping("⚠️ {item}: PR не открыт — Gitea answered 500");
            }
        }
    }

    /// `Some`: it does not go on to the tests.
    fn review(&mut self) -> Option<Option<Fate>> {
        loop {
            let finding = match self.luck.below(8) {
                0 | 1 => Finding::Changes,
                2 => Finding::OpenP1,
                _ => Finding::Good,
            };
            if !self.agent("reviewer", finding, true) {
                self.relaunch("reviewer");
                // It is asked for again on the way.
                self.pull();
                continue;
            }
            let verdict = if finding == Finding::Changes { "REQUEST_CHANGES" } else { "APPROVED" };
            self.status(
                "reviewer",
                &format!("<br>Verdict: {verdict}"),
                &[("12-review.md", "{folder}/12-review.md")],
            );
            if finding == Finding::Good {
                self.advance("review", "testing");
                return None;
            }
            return Some(match self.can_be_sent_back() {
                true => None,
                false => Some(self.exhausted("reviewer", "review rejection")),
            });
        }
    }

    /// `Some`: it does not go on to staging.
    fn test(&mut self) -> Option<Option<Fate>> {
        loop {
            let finding = if self.luck.is_one_of(4) { Finding::Failed } else { Finding::Good };
            if !self.agent("tester", finding, true) {
                self.relaunch("tester");
                continue;
            }
            let verdict = if finding == Finding::Failed { "FAIL" } else { "PASS" };
            self.status(
                "tester",
                &format!("<br>Verdict: {verdict}"),
                &[("13-test-report.md", "{folder}/13-test-report.md")],
            );
            if finding == Finding::Good {
                self.advance("testing", "deploy-staging");
                return None;
            }
            if !self.can_be_sent_back() {
                return Some(Some(self.exhausted("tester", "test failure")));
            }
            self.say(
                "tester",
                "❌ Тесты не прошли: Test verdict: FAIL (FAIL). Developer перезапущен для фикса.",
            );
            return Some(None);
        }
    }

    /// Staging and production; a failure waits for a person and leads to the developer.
    fn deploy(&mut self) -> Option<Fate> {
        for (step, name, file, from, to) in [
            ("staging", "Staging", "15-staging-log.md", "deploy-staging", "deploy"),
            ("deployer", "Deploy", "14-deploy-log.md", "deploy", "done"),
        ] {
            // It is opened before the merge at the latest, and merged before the deployment.
            if step == "deployer" {
                self.open_pull();
                self.has_pull = false;
            }
            let can_fail = self.can_be_sent_back();
            let is_judged = step == "deployer" || self.is_self;
            let finding = match can_fail && is_judged && self.is_set_back(5) {
                true => Finding::Failed,
                false => Finding::Good,
            };
            let has_ended = self.agent(step, finding, can_fail);
            let reason = match (has_ended, finding) {
                (false, _) => "smoke/healthcheck".to_owned(),
                (true, Finding::Failed) => format!("{name} status: FAILED"),
                (true, _) => String::new(),
            };
            if has_ended {
                let status = if finding == Finding::Failed { "FAILED" } else { "SUCCESS" };
                let path = format!("{{folder}}/{file}");
                self.status(step, &format!("<br>Status: {status}"), &[(file, &path)]);
            }
            if reason.is_empty() {
                self.advance(from, to);
                continue;
            }
            self.say("deployer", texts::rolled_back(name, &reason, has_ended));
            self.ping(format!(
                "🚨 {{item}}: {name} FAILED ({reason}). Rolled back to development. Needs fix."
            ));
            self.stands("blocked");
            self.relaunch("developer");
            return None;
        }
        Some(Fate::Done)
    }

    /// What is said of a task that is done.
    fn finish(&mut self) {
        self.say("deployer", texts::total(&self.usage));
        self.say("deployer", "✅ Task completed! PR merged and deployed.");
        if !self.is_merged {
            let title = self.task.title.replace('&', "&amp;");
            self.task.live = texts::live(&title, self.pull_request(), &self.usage, self.is_self);
        }
    }
}
