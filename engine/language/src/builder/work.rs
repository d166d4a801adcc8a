//! Work that is executed: commands, agents, requests, child runs.

use serde_json::Value;

use super::construct::{Construct as _, construct};
use super::value::{Data, Flag, Number, Text, Texts, Word, words};

/// A command: a text is a line of shell, a list is a program with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandLine(Value);

impl CommandLine {
    /// A program with its arguments, as they are.
    #[must_use]
    pub fn program(words: impl Into<Texts>) -> Self {
        let words: Texts = words.into();
        Self(words.into())
    }
}

impl From<&str> for CommandLine {
    fn from(shell: &str) -> Self {
        Self(shell.into())
    }
}

impl From<String> for CommandLine {
    fn from(shell: String) -> Self {
        Self(shell.into())
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for CommandLine {
    fn from(words: [T; N]) -> Self {
        Self::program(words)
    }
}

impl From<Vec<String>> for CommandLine {
    fn from(words: Vec<String>) -> Self {
        Self::program(words)
    }
}

impl From<CommandLine> for Value {
    fn from(command: CommandLine) -> Self {
        command.0
    }
}

/// Whether an agent remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// Each attempt begins anew.
    New,
    /// The next round goes on where the last one ended.
    Resume,
    /// The same, also in a copy of the run.
    Carry,
}

/// What an answer means that breaks the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInvalid {
    /// The attempt fails.
    Fail,
    /// The output is null, and the answer is kept in the log.
    Keep,
}

/// What an agent's answer means that the program could not finish: it came to a limit, or broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnIncomplete {
    /// The attempt fails.
    Fail,
    /// The attempt succeeds with what there is, and says so.
    Warn,
}

/// What becomes of a child run when its parent is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnParentCancel {
    /// It is cancelled, too.
    Cancel,
    /// It goes on.
    Leave,
}

words! {
    Session { New "new", Resume "resume", Carry "carry" }
    OnInvalid { Fail "fail", Keep "keep" }
    OnIncomplete { Fail "fail", Warn "warn" }
    OnParentCancel { Cancel "cancel", Leave "leave" }
}

construct! {
    /// An agent.
    Agent
    set {
        /// Its profile in the settings.
        profile "profile": Text;
        /// Its role: `roles/ROLE.md` says more where it is there.
        role "role": Text;
        /// What it is to do: a path (`prompts/build.md`) or a text.
        prompt "prompt": Text;
        /// The model.
        model "model": Text;
        /// How hard it thinks.
        effort "effort": Text;
        /// For the profile's arguments and the prompt.
        with "with": Data;
        /// Whether it remembers.
        session "session": Word<Session>;
        /// The JSON Schema of its answer.
        schema "schema": Data;
        /// How often an unusable answer is given back to it within the attempt.
        repair "repair": Number;
        /// What an answer means that breaks the schema.
        on_invalid "on_invalid": Word<OnInvalid>;
        /// What an answer means that the program could not finish.
        on_incomplete "on_incomplete": Word<OnIncomplete>;
        /// More arguments of the program.
        args "args": Texts;
    }
}

impl Agent {
    /// An agent with a role.
    pub fn of_role(role: impl Into<Text>) -> Self {
        Self::empty().role(role)
    }

    /// An agent that does what the prompt says: a path, or a text.
    pub fn prompted(prompt: impl Into<Text>) -> Self {
        Self::empty().prompt(prompt)
    }

    /// Leaves the program's flag for the model out, whatever profile and role say.
    pub fn without_model(self) -> Self {
        self.with_key("model", Value::Null)
    }

    /// Leaves the program's flag for the effort out, whatever profile and role say.
    pub fn without_effort(self) -> Self {
        self.with_key("effort", Value::Null)
    }
}

construct! {
    /// A request to a service.
    Http
    set {
        /// The method; without it GET, with a body POST.
        method "method": Text;
        /// What is sent, as JSON.
        body "body": Data;
        /// Statuses that are expected: `200`, `2xx`.
        expect "expect": Texts;
        /// The answer's body is JSON.
        json "json": Flag;
    }
    entry {
        /// A header; it may hold a secret.
        header "headers": Text;
    }
    also ["url"]
}

impl Http {
    /// A request to this address.
    pub fn new(url: impl Into<Text>) -> Self {
        let url: Text = url.into();
        Self::empty().with_key("url", url)
    }
}

impl From<&str> for Http {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

construct! {
    /// A child run.
    ChildRun
    set {
        /// Its input.
        input "input": Data;
        /// Whether the step ends with it; else it is done once the child has started.
        wait "wait": Flag;
        /// What becomes of it when this run is cancelled.
        on_parent_cancel "on_parent_cancel": Word<OnParentCancel>;
    }
    entry {
        /// A label of it.
        label "labels": Text;
    }
    also ["pipeline"]
}

impl ChildRun {
    /// A run of this pipeline: a saved one's name, or a path.
    pub fn of(pipeline: impl Into<Text>) -> Self {
        let pipeline: Text = pipeline.into();
        Self::empty().with_key("pipeline", pipeline)
    }
}

impl From<&str> for ChildRun {
    fn from(pipeline: &str) -> Self {
        Self::of(pipeline)
    }
}
