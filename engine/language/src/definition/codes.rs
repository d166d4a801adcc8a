//! The codes of problems: stable names for programs, long texts for people.

use std::fmt;

use serde::{Serialize, Serializer};

/// Whether a problem refuses the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does.
    Error,
    /// It is only pointed out.
    Warning,
}

macro_rules! codes {
    ($($variant:ident = $code:literal, $severity:ident, $title:literal, $text:literal;)*) => {
        /// What kind of problem a file has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name: `EF0105`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The kind in a few words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it means and what to do, in some lines.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Whether it refuses the file.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    Syntax = "EF0101", Error, "the file is no YAML",
        "A pipeline file is YAML 1.2 (JSON is YAML, too). The mark stands where reading stopped; the cause is often the line above: \
         a wrong indentation, a tab, an unclosed quote or bracket, or a value that holds `: ` or begins with one of @ ` % * & ! and is not in quotes.";
    NotHere = "EF0102", Error, "a construct of YAML that pipeline files do not have",
        "Aliases, anchors, tags and second documents are refused: they make a file mean something else than what stands there. \
         Write the value out; what all steps share goes under `defaults`.";
    DuplicateKey = "EF0103", Error, "a key is given twice",
        "Each key may stand once in a map. YAML readers disagree on which of two wins, so neither does here.";
    Limit = "EF0104", Error, "the file is too large or too deep",
        "A pipeline file has at most 1 MiB, 100,000 values and 64 levels. Long prompts belong into files of their own (`prompt: prompts/x.md`).";
    UnknownKey = "EF0105", Error, "an unknown key",
        "The key has no meaning at this place. A mistyped key is never ignored, because the pipeline would then do something else than you meant. \
         `everfold pipeline schema` prints the JSON Schema of the language for your editor.";
    MissingKey = "EF0107", Error, "a required key is missing",
        "The construct needs this key. The message names it and the construct.";
    Type = "EF0108", Error, "a value of the wrong type",
        "The field decides the type: text stays text (`1.10`, `no`), bools are `true` and `false`, whole numbers may be written `2_000_000`. \
         Numbers and durations may also be a text with `${…}`.";
    Value = "EF0109", Error, "a value that is not allowed here",
        "The value has the right type, but not one of the allowed forms: an id is `[a-z0-9][a-z0-9_-]{0,63}`, a code `[A-Z][A-Z0-9_]{0,63}`, a duration \
         a whole number with ms, s, m, h or d, and some fields take only certain words. The message lists them.";
    TooSmall = "EF0110", Error, "a number below its least value",
        "`attempts`, `max_rounds`, `quorum`, `max_in_flight` and the `limit` of `concurrency` count things that happen at least once; pauses are more than nothing.";
    Empty = "EF0111", Error, "a step with neither work nor gate",
        "A step has at most one kind of work (`command`, `agent`, `function`, `http`, `run`, `approval`, `question`, `wait`) and any number of gates, at least one of the two.";
    TwoWorks = "EF0112", Error, "a step with two kinds of work",
        "A step has at most one kind of work. Make two steps of it: the second one needs the first.";
    DuplicateStep = "EF0113", Error, "two steps with one id",
        "A step's id is its name in `needs`, routes, expressions and on the command line; it is unique in the pipeline, `on_finish` included.";
    UnknownStep = "EF0114", Error, "a step that does not exist",
        "`needs` and `rework` name steps by their ids. A step of `on_finish` cannot be named: it runs after all others.";
    Cycle = "EF0115", Error, "steps that need each other",
        "`needs` may not form a cycle: none of its steps could ever start. A loop is written as a route backwards: `on_fail: {rework: STEP}`.";
    Unreachable = "EF0116", Error, "something that can never happen",
        "A route after one without `when` is never looked at; what needs a step whose `on_success` always ends or blocks the run never starts; \
         a `when` that is always false skips the step in every run. Remove it, or give the earlier one a condition.";
    StandbyUnnamed = "EF0117", Error, "a standby step that no route names",
        "A step with `standby: true` runs only when a `rework` route names it. Without such a route it never runs.";
    ReworkTarget = "EF0118", Error, "a rework of a step that is not upstream",
        "`rework` goes back: to the step itself, or to one that it needs, directly or not. Otherwise the step would not be judged again. \
         For a standby helper, add it to the `needs` of the step whose gate names it.";
    Unbounded = "EF0119", Error, "a loop without an end",
        "`max: unlimited` is allowed where a person takes part in each turn (a rejected approval, `hold: true`, or an approval or question between the target and \
         the route), or where the target has `max_rounds`. A poll needs `max` or `timeout`.";
    DuplicateGate = "EF0120", Error, "two gates with one id in a step",
        "A gate's id defaults to its probe's name; with two gates of a kind, give them ids of their own.";
    Probes = "EF0121", Error, "a gate without exactly one probe",
        "A gate has exactly one probe: `expression`, `command`, `file`, `frontmatter`, `tests`, `diff`, `http`, `ci`, `mergeable`, `runs`, `config` or `function`. \
         Several gates run in order; several probes judged together stand in `all`, `any`, `not` or `at_least`.";
    Expression = "EF0122", Error, "an expression that does not compile",
        "Expressions are CEL. They stand bare in `when`, `policy` and `expression`, and as `${…}` inside texts. `$${` is a literal `${`. \
         An expression has at most 4 KiB, 2,000 parts, 32 levels and 100 names in a chain.";
    UnknownName = "EF0123", Error, "an unknown name in an expression",
        "Which names exist depends on the place: `input config run steps step workspace attempt answers rework` for steps, `item`, `index` and the name of `as` \
         under `foreach`, `output` in gates and routes, `evidence` and `gate` in policies, `failure` in `on_fail`, `signal` in `on_signal` and `match`, `answer` in `accept`, \
         `event` and `actor` in triggers and notices. What is computed before the run has steps sees only `input config run`. \
         In a shell string `${NAME}` is an expression, too: the shell's own variable is `$NAME` or `$${NAME}`.";
    UnknownField = "EF0124", Error, "an unknown field in an expression",
        "A step has `status output outputs round rounds attempts failure gates commit stage role last`; `outputs` has the names that the step declares; \
         `input` has what its schema declares.";
    NotUpstream = "EF0125", Error, "an expression about a step that may not have run",
        "An expression may ask for steps that its own step needs, directly or not: only their results are there for certain, and equal in every run. \
         Add the step to `needs`.";
    Unguarded = "EF0126", Error, "a value that may be absent",
        "An input that the schema does not require, an optional output file, and the output of a step that may be skipped or tolerated can be absent. \
         Ask first (`has(input.x) ? input.x : 'default'`), read it as an optional (`input.?x.orValue('default')`), or give the input a `default`, the step an `else`.";
    ExpressionType = "EF0127", Error, "an expression of the wrong type",
        "A condition must be true or false; `+` does not go with a text and a number (write string(n) or a text with `${n}`), nor with a whole number and a \
         fraction (write double(n)).";
    SingleQuotes = "EF0128", Error, "an expression where the shell expands nothing",
        "In a shell string each `${…}` becomes a reference to an environment variable that holds the value, so a value is never parsed as code. \
         In single quotes, in a quoted here-document and after a backslash the shell does not expand variables: the command would see the variable's name. \
         Use double quotes; `$${` writes a literal `${`.";
    Shell = "EF0129", Error, "a shell string that does not hang together",
        "A quote, a `$(…)` or a here-document is not closed, or an expression stands inside `$((…))`, where the shell would compute with its text: \
         compute in the expression instead, `${input.n + 1}`.";
    ForeachList = "EF0130", Error, "`foreach` over something that is no list",
        "`in` is a list, or one whole `${…}` that gives a list: `in: \"${input.platforms}\"`.";
    OnFinish = "EF0131", Error, "something that `on_finish` cannot have",
        "Steps of `on_finish` run one after the other however the run ends. No person is there to decide and nothing can be reworked any more: \
         approvals, questions, `rework` and `block`, `on_signal`, `needs` and `standby` have no place there.";
    File = "EF0132", Error, "a file that cannot be read",
        "Paths in a pipeline file are relative to it. A prompt that is meant as text, not as a path, has white space or more than one line.";
    Schema = "EF0133", Error, "a JSON Schema that is none",
        "`input`, and `schema` of an agent, are JSON Schemas (2020-12), checked against their own meta-schema.";
    Pattern = "EF0134", Error, "a pattern that does not compile",
        "Patterns are regular expressions without back-references and look-around, so that they run in linear time.";
    Combination = "EF0135", Error, "keys that do not go together",
        "One of the keys has no effect or no meaning beside the other one. The message says which.";
    Secret = "EF0136", Error, "a secret where it would be recorded",
        "Secrets stand only in `env` and `secrets` of a step, in the `headers` of `http` and in `with`; everywhere else their values would come into the history. \
         Give the process a variable: `secrets: [TOKEN]`, or `env: { AUTH: \"Bearer ${secrets.TOKEN}\" }`.";
    SignalRoute = "EF0137", Error, "a route that a signal cannot take here",
        "`approve`, `reject` and `changes` decide the step's approval, `answer` answers its question or what its work asked, `recheck` judges its gates again, \
         `unblock` decides on the blocked step: each stands in the `on_signal` of a step that has this, and nowhere else. \
         The pipeline's own `on_signal` belongs to no step: there a signal reworks a step, ends the run, or is ignored.";
    DuplicateId = "EF0138", Error, "two of a kind with one id",
        "Budgets, notices and the parts of a question are told apart by their ids: what was spent, sent or answered is recorded under them.";
    TooLarge = "EF0139", Error, "a number above its greatest value",
        "`retry.attempts` goes up to 100, `rounds` up to 1,000,000: what is tried without an end is a loop that nobody watches. \
         A longer pause (`backoff: 1m..1h`) lets fewer attempts cover more time.";
    Template = "EF0140", Error, "a template or a local that does not exist, or leads back to itself",
        "`like` of a step names one of the pipeline's `templates`, `local.NAME` one of its `locals`; a template may itself be like another one, and a local name \
         others, at most 16 in a row.";
    Approved = "EF0145", Error, "an approval that binds nothing of the step",
        "`approved` names steps with an `approval` that lie before this one and show a file or the commit (`show: [{file: PATH}]`, `commit: true`), \
         not one for each item of a `foreach`. The step itself has work that is executed, or gates alone: people, and time, start nothing.";
    UnusedKind = "EF0181", Warning, "a code that is spelled like a kind of failure",
        "`retry.only` and `retry.except` take kinds of failures, in lower case (error exit crash timeout lost spawn validation gate rejected budget cancelled \
         dependency conflict), and codes, in upper case. `TIMEOUT` is a code of your own; if you mean the kind, write `timeout`.";
    UndeclaredInput = "EF0182", Warning, "an input that the schema does not declare",
        "The schema declares other inputs, one with a similar name. Other inputs are allowed, so this is only pointed out.";
    NoEffect = "EF0184", Warning, "a key that has no effect on this work",
        "Approvals, questions, waits and steps with gates alone are not executed: nothing of them is repeated, lost, or sent a signal, and nothing but a \
         process leaves files behind. An `as` whose role no secret lists chooses nothing. The key can go.";
    RelativeSettings = "EF0188", Warning, "settings at a relative path in a pipeline with triggers",
        "Paths of `config` count from the folder in which a run is started. A run that a trigger or a call over REST without `cwd` starts has none, and is refused \
         with the code `config`. Write a whole path, or one below the home of the engine's user: `~/…`.";
    Unused = "EF0185", Warning, "a template, a policy or a local that nothing uses",
        "No step is like the template, no gate names the policy, or no expression the local. It may be a mistyped name; it changes nothing and can go.";
    HeldResource = "EF0189", Warning, "a resource that a step holds while its child needs it, too",
        "A step has its `resources` until its child run, or that of each item, has ended. As many such steps as there are of the resource keep it from all \
         their children, and wait for ever; with one of it the child is refused (`RESOURCE_HELD`). Leave it to the steps of the child.";
    Uncounted = "EF0190", Warning, "agents within `foreach` that no budget counts",
        "The steps within `foreach` are a run of their own for each item, and a budget of the pipeline counts what its own run uses, or all runs of its `scope`. \
         Give `foreach` a `budget` of its own: with the same `scope`, passed on through `input`, both count together.";
    NoValue = "EF0191", Warning, "an expression that gives no value in any run",
        "It asks for nothing of the run, so it fails each time it is needed as it does now: a division by 0, a text that is no number, a key that is not there.";
    TypeName = "EF0192", Warning, "an item that is called like a type",
        "Expressions have names of types, as in `type(x) == string`: bool bytes double duration dyn int list map null_type string timestamp type uint. They stand for \
         the type also where `as` gives an item that name. Call the item otherwise, or read it as `item`.";
    Shared = "EF0183", Warning, "work that may run in one worktree at once",
        "A run has one worktree. Steps that do not need one another, and the items of a `foreach`, may run at the same time and see, and save, each other's half-done \
         changes. Order steps with `needs`, let items run one at a time with `max_in_flight: 1`, give each a worktree with `workspace: own`, or set `workspace: none` on \
         what does not touch files.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Code {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text)).ok_or(())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Every code of this part with its title and explanation, for `everfold explain`.
#[must_use]
pub fn codes() -> Vec<(&'static str, &'static str, &'static str)> {
    Code::ALL.iter().map(|code| (code.as_str(), code.title(), code.explanation())).collect()
}
