//! Steps, and what every step takes over.

use serde_json::{Value, json};

use super::construct::{Construct as _, construct};
use super::control::Budget;
use super::gate::Gate;
use super::people::{Approval, Ask, Question};
use super::remind::Remind;
use super::route::Routes;
use super::trigger::SignalWork;
use super::value::{Data, Flag, Number, Pause, Text, Texts, Word};
use super::wait::Wait;
use super::work::{Agent, ChildRun, CommandLine, Http};
use super::workspace::{StepWorkspace, Workspace};
use crate::definition::{OnLost, StepRole};

construct! {
    /// A step: one kind of work, any number of gates, at least one of the two.
    Step
    set {
        /// The template whose keys it has where it says nothing itself. See [`Pipeline::template`](super::Pipeline::template).
        like "like": Text;
        /// Its column on the board; without it that of the step above.
        stage "stage": Text;
        /// The steps that come before, in a list or as [`StepNeeds`] says; without it the step above. See [`Step::at_once`].
        needs "needs": StepNeeds;
        /// Whether it runs at all, judged once per round.
        when "when": Text;
        /// Its output where it ends without one: skipped, tolerated, passed over.
        otherwise "else": Data;
        /// It runs only when a rework names it.
        standby "standby": Flag;
        /// How many rounds there may be; refuses automatic reworks only.
        max_rounds "max_rounds": Number;
        /// The step with which a person's `retry` begins, where this one is blocked.
        retry_from "retry_from": Text;
        /// The time limit of one attempt.
        timeout "timeout": Pause;
        /// The time limit of a round.
        deadline "deadline": Pause;
        /// When people are reminded while it is blocked.
        remind "remind": Remind;
        /// From SIGTERM to SIGKILL.
        grace "grace": Pause;
        /// Tries again within a round.
        retry "retry": Retry;
        /// Whether sending it again does no harm.
        idempotent "idempotent": Flag;
        /// What follows when an attempt vanished without a record.
        on_lost "on_lost": Word<OnLost>;
        /// Whether it acts on what lies outside of the run, which a fork may not.
        outside "outside": Flag;
        /// What follows its success.
        on_success "on_success": Routes;
        /// What follows when its work failed for good.
        on_fail "on_fail": Routes;
        /// Secrets that its process gets as variables.
        secrets "secrets": Texts;
        /// The role in whose name it acts: which source of a secret it is given ([`Secret::of`](super::Secret::of)).
        acts_as "as": Text;
        /// What its process may do with the engine; without it nothing.
        api "api": Api;
        /// Where it works.
        workspace "workspace": StepWorkspace;
        /// Approvals without which nothing of it starts: what they showed must stand as it was approved.
        approved "approved": Texts;
        /// Resets the worktree before a retry.
        clean "clean": Flag;
        /// Slots that an attempt takes.
        resources "resources": Texts;
        /// Higher goes first.
        priority "priority": Number;
        /// It runs also when a budget is used up.
        budget_exempt "budget_exempt": Flag;
        /// Questions that its work may ask.
        ask "ask": Ask;
        /// One attempt per item of a list.
        foreach "foreach": Foreach;
        /// The parameters of its function.
        with "with": Data;
    }
    push {
        /// A gate, judged after those before it.
        gate "gates": Gate;
    }
    entry {
        /// A file that it leaves: a path, or [`Output`]. See also [`Step::json`] and [`Step::matching`].
        output "outputs": Output;
        /// A label that the run gets when it succeeds.
        label "labels": Text;
        /// A variable of its process.
        env "env": Text;
        /// What a signal means while it is active.
        on_signal "on_signal": Routes;
    }
    also ["id", "command", "agent", "function", "http", "run", "signal", "approval", "question", "wait"]
}

impl Step {
    /// A step with the work of a template.
    pub fn from_template(id: impl Into<String>, template: impl Into<String>) -> Self {
        Self::of(id).with_key("like", template.into())
    }

    /// Keys of a step without work, for [`Pipeline::template`](super::Pipeline::template).
    pub fn part() -> Self {
        Self::empty()
    }

    /// The gates of the template that the step is like stand here, among its own.
    pub fn gates_of_template(mut self) -> Self {
        let gates = self.keys.entry("gates").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(gates) = gates {
            gates.push("like".into());
        }
        self
    }

    fn of(id: impl Into<String>) -> Self {
        Self::empty().with_key("id", id.into())
    }

    fn work(id: impl Into<String>, kind: &str, work: impl Into<Value>) -> Self {
        Self::of(id).with_key(kind, work)
    }

    /// Steps for each item of a list: those within `foreach`.
    pub fn each(id: impl Into<String>, foreach: Foreach) -> Self {
        Self::of(id).foreach(foreach)
    }

    /// A command: a text is a line of shell, a list is a program with its arguments.
    pub fn command(id: impl Into<String>, command: impl Into<CommandLine>) -> Self {
        let command: CommandLine = command.into();
        Self::work(id, "command", command)
    }

    /// An agent.
    pub fn agent(id: impl Into<String>, agent: Agent) -> Self {
        Self::work(id, "agent", agent)
    }

    /// A function; its parameters are [`Step::with`].
    pub fn function(id: impl Into<String>, name: impl Into<Text>) -> Self {
        let name: Text = name.into();
        Self::work(id, "function", name)
    }

    /// A request: an address, or [`Http`].
    pub fn http(id: impl Into<String>, http: impl Into<Http>) -> Self {
        let http: Http = http.into();
        Self::work(id, "http", http)
    }

    /// A child run: a pipeline's name, or [`ChildRun`].
    pub fn run(id: impl Into<String>, child: impl Into<ChildRun>) -> Self {
        let child: ChildRun = child.into();
        Self::work(id, "run", child)
    }

    /// A signal to other runs.
    pub fn signal(id: impl Into<String>, signal: SignalWork) -> Self {
        Self::work(id, "signal", signal)
    }

    /// People decide.
    pub fn approval(id: impl Into<String>, approval: Approval) -> Self {
        Self::work(id, "approval", approval)
    }

    /// People answer.
    pub fn question(id: impl Into<String>, question: Question) -> Self {
        Self::work(id, "question", question)
    }

    /// Time passes, or a signal is awaited.
    pub fn wait(id: impl Into<String>, wait: Wait) -> Self {
        Self::work(id, "wait", wait)
    }

    /// Gates only.
    pub fn gates(id: impl Into<String>, gates: impl IntoIterator<Item = Gate>) -> Self {
        gates.into_iter().fold(Self::of(id), Step::gate)
    }

    /// It starts at once, whatever stands above it.
    pub fn at_once(self) -> Self {
        self.with_key("needs", json!([]))
    }

    /// Where its JSON output is read from: `stdout`, `lenient`, or a path.
    pub fn json(self, from: impl Into<String>) -> Self {
        self.output("json", Output(from.into().into()))
    }

    /// A field of its output, read out of standard output by a regular expression.
    pub fn matching(mut self, name: impl Into<String>, pattern: impl Into<String>) -> Self {
        let outputs = self.keys.entry("outputs").or_insert_with(|| json!({}));
        let matches = &mut outputs["match"];
        if matches.is_null() {
            *matches = json!({});
        }
        matches[name.into()] = Value::String(pattern.into());
        self
    }
}

construct! {
    /// What every step takes over where it says nothing.
    Defaults
    set {
        /// The time limit of one attempt.
        timeout "timeout": Pause;
        /// When people are reminded while a step is blocked.
        remind "remind": Remind;
        /// From SIGTERM to SIGKILL.
        grace "grace": Pause;
        /// Tries again within a round.
        retry "retry": Retry;
        /// What follows when work failed for good.
        on_fail "on_fail": Routes;
        /// What follows when an attempt vanished without a record.
        on_lost "on_lost": Word<OnLost>;
        /// The role of steps that have none, by [`Step::acts_as`] or by their agent.
        acts_as "as": Text;
    }
    entry {
        /// A variable of each process.
        env "env": Text;
    }
}

impl Defaults {
    /// Nothing yet.
    #[expect(clippy::new_without_default, reason = "all builders begin with a word of their own")]
    pub fn new() -> Self {
        Self::empty()
    }
}

construct! {
    /// What the process of a step may do with the engine that runs it.
    Api
    also ["role"]
}

impl Api {
    /// What this role may do.
    pub fn role(role: impl Into<Word<StepRole>>) -> Self {
        let role: Word<StepRole> = role.into();
        Self::empty().with_key("role", role)
    }
}

construct! {
    /// Trying again within a round.
    Retry
    set {
        /// Only failures of these kinds or codes.
        only "only": Texts;
        /// No failures of these kinds or codes, also where `only` names them.
        except "except": Texts;
        /// So many attempts that vanished are repeated in one round, where `on_lost` says so.
        lost "lost": Number;
    }
    also ["attempts", "backoff"]
}

impl Retry {
    /// So many attempts in all, the first one included.
    pub fn attempts(attempts: impl Into<Number>) -> Self {
        let attempts: Number = attempts.into();
        Self::empty().with_key("attempts", attempts)
    }

    /// The pause before the second attempt, doubled with each, up to the longest one.
    pub fn backoff(self, first: impl Into<Pause>, longest: impl Into<Pause>) -> Self {
        let (first, longest): (Pause, Pause) = (first.into(), longest.into());
        let text = |pause: Pause| pause.0.as_str().unwrap_or_default().to_owned();
        self.with_key("backoff", format!("{}..{}", text(first), text(longest)))
    }
}

construct! {
    /// One attempt per item of a list.
    Foreach
    set {
        /// The item's name in expressions, besides `item`.
        named "as": Text;
        /// Items in progress at once.
        max_in_flight "max_in_flight": Number;
        /// Whether no further item starts after one failed; they do where it is false.
        fail_fast "fail_fast": Flag;
        /// More of the input of the steps within it, beside the item and its index.
        input "input": Data;
        /// The workspace of the steps within it.
        workspace "workspace": Workspace;
        /// The output of an item, of the steps within it.
        output "output": Data;
    }
    push {
        /// The next step of an item: a pipeline of its own runs for each.
        step "steps": Step;
        /// What the steps of an item may use up; with the `scope` of a budget of the pipeline, both count together.
        budget "budget": Budget;
    }
    entry {
        /// A label of the run of an item.
        label "labels": Text;
    }
    also ["in"]
}

impl Foreach {
    /// Over a list, or one whole `${…}` that gives one.
    pub fn over(items: impl Into<Data>) -> Self {
        let items: Data = items.into();
        Self::empty().with_key("in", items)
    }
}

/// The steps that come before another, and how they must end for it to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct StepNeeds(Value);

impl StepNeeds {
    /// Each succeeded, was skipped, or failed and is tolerated: what a list alone says.
    #[must_use]
    pub fn done(steps: impl Into<Texts>) -> Self {
        Self::of("done", steps.into())
    }

    /// Each succeeded; where one ended otherwise, the step is skipped.
    #[must_use]
    pub fn succeeded(steps: impl Into<Texts>) -> Self {
        Self::of("succeeded", steps.into())
    }

    /// One succeeded; where none did, the step is skipped.
    #[must_use]
    pub fn any(steps: impl Into<Texts>) -> Self {
        Self::of("any", steps.into())
    }

    fn of(way: &str, steps: Texts) -> Self {
        Self(json!({ way: Value::from(steps) }))
    }
}

impl<T: Into<Texts>> From<T> for StepNeeds {
    fn from(steps: T) -> Self {
        let steps: Texts = steps.into();
        Self(steps.into())
    }
}

impl From<StepNeeds> for Value {
    fn from(needs: StepNeeds) -> Self {
        needs.0
    }
}

/// A file that a step leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Output(Value);

impl Output {
    /// A file that must be there.
    #[must_use]
    pub fn file(path: impl Into<String>) -> Self {
        Self(json!({ "file": path.into() }))
    }

    /// Its absence is no failure.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.0["optional"] = true.into();
        self
    }

    /// Unchanged by the attempt counts as missing.
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.0["fresh"] = true.into();
        self
    }
}

impl From<&str> for Output {
    fn from(path: &str) -> Self {
        Self::file(path)
    }
}

impl From<Output> for Value {
    fn from(output: Output) -> Self {
        output.0
    }
}
