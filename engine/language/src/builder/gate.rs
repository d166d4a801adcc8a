//! Gates: a probe, a policy, a route.

use super::construct::{Construct as _, construct};
use super::probe::{FileProbe, Probe};
use super::route::Routes;
use super::value::{Flag, Number, Pause, Text, Texts};
use super::work::CommandLine;

construct! {
    /// What is judged after the work of a step.
    Gate
    set {
        /// Whether it applies.
        when "when": Text;
        /// Why it does not apply, where `when` is false.
        otherwise "otherwise": Text;
        /// Judges the evidence, instead of the probe's own policy.
        policy "policy": Text;
        /// Asks again while the verdict is pending.
        poll "poll": Poll;
        /// Signals that ask again at once.
        wake "wake": Texts;
        /// Only files that this round changed count.
        fresh "fresh": Flag;
        /// The code of its failure, for routes and programs.
        code "code": Text;
        /// What follows its failure.
        on_fail "on_fail": Routes;
        /// The role in whose name it asks; without it that of its step.
        acts_as "as": Text;
    }
    also ["id", "with", "expression", "command", "file", "frontmatter", "tests", "diff", "http", "ci",
        "mergeable", "runs", "config", "credentials", "function", "all", "any", "not", "at_least"]
}

impl Gate {
    /// One more signal that asks again at once, where `when` holds of it.
    pub fn wake_when(mut self, signal: impl Into<String>, when: impl Into<Text>) -> Self {
        let (signal, when): (String, Text) = (signal.into(), when.into());
        let one = serde_json::json!({"signal": signal, "when": serde_json::Value::from(when)});
        match self.keys.entry("wake").or_insert_with(|| serde_json::json!([])) {
            serde_json::Value::Array(list) => list.push(one),
            other => *other = one,
        }
        self
    }

    /// A gate of any probe; its `when`, `otherwise`, `policy` and `with` are the gate's.
    pub fn new(id: impl Into<String>, probe: Probe) -> Self {
        Self { keys: probe.keys }.with_key("id", id.into())
    }

    /// A command: exit code 0 passes.
    pub fn command(id: impl Into<String>, command: impl Into<CommandLine>) -> Self {
        Self::new(id, Probe::command(command))
    }

    /// An expression over what is known.
    pub fn expression(id: impl Into<String>, expression: impl Into<Text>) -> Self {
        Self::new(id, Probe::expression(expression))
    }

    /// Files: a path, or [`FileProbe`].
    pub fn file(id: impl Into<String>, file: impl Into<FileProbe>) -> Self {
        Self::new(id, Probe::file(file))
    }

    /// JUnit reports: at least one test, and none failed.
    pub fn tests(id: impl Into<String>, files: impl Into<Texts>) -> Self {
        Self::new(id, Probe::tests(files))
    }

    /// Credentials that the request must bring; for [`Pipeline::admit`](super::Pipeline::admit).
    pub fn credentials(id: impl Into<String>, names: impl Into<Texts>) -> Self {
        let names: Texts = names.into();
        Self::empty().with_key("credentials", names).with_key("id", id.into())
    }

    /// The same, named by one whole `${…}` that gives a list.
    pub fn credentials_of(id: impl Into<String>, list: impl Into<Text>) -> Self {
        let list: Text = list.into();
        Self::empty().with_key("credentials", list).with_key("id", id.into())
    }

    /// A function that only reads; its `ok` decides.
    pub fn function(id: impl Into<String>, name: impl Into<Text>) -> Self {
        Self::new(id, Probe::function(name))
    }
}

construct! {
    /// Asking again, until an answer counts or time is over.
    Poll
    set {
        /// The pause after each answer.
        every "every": Pause;
        /// At most so many probes.
        max "max": Number;
        /// At most so many probes in a row that could not be read.
        max_unread "max_unread": Number;
        /// At most for so long after the first.
        timeout "timeout": Pause;
        /// What follows when it is over.
        on_timeout "on_timeout": Routes;
    }
}

impl Poll {
    /// Asks again so often; bound it with [`Poll::max`] or [`Poll::timeout`].
    pub fn every_so_often(every: impl Into<Pause>) -> Self {
        Self::empty().every(every)
    }

    /// Asks at the pace of the probe itself (`ci`, `mergeable`, `http`), for at most so long.
    pub fn at_most(span: impl Into<Pause>) -> Self {
        Self::empty().timeout(span)
    }
}
