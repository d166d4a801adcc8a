//! Probes: what a gate looks at.

use serde_json::{Value, json};

use super::construct::{Construct as _, construct};
use super::value::{Data, Flag, Number, Pause, Text, Texts, Word, words};
use super::work::{CommandLine, Http};

construct! {
    /// What is looked at: a gate's own, or one of several that a gate judges together.
    Probe
    set {
        /// Its name among others.
        id "id": Text;
        /// Whether it applies.
        when "when": Text;
        /// Why it does not apply, where `when` is false.
        otherwise "otherwise": Text;
        /// Judges the evidence, instead of the probe's own policy.
        policy "policy": Text;
        /// The parameters of a function.
        with "with": Data;
    }
    also ["expression", "command", "file", "frontmatter", "tests", "diff", "http", "ci", "mergeable", "runs",
        "config", "function", "all", "any", "not", "at_least"]
}

impl Probe {
    fn of(key: &str, value: impl Into<Value>) -> Self {
        Self::empty().with_key(key, value)
    }

    /// An expression over what is known.
    pub fn expression(expression: impl Into<Text>) -> Self {
        let expression: Text = expression.into();
        Self::of("expression", expression)
    }

    /// A command: exit code 0 passes.
    pub fn command(command: impl Into<CommandLine>) -> Self {
        let command: CommandLine = command.into();
        Self::of("command", command)
    }

    /// Files: a path, or [`FileProbe`].
    pub fn file(file: impl Into<FileProbe>) -> Self {
        let file: FileProbe = file.into();
        Self::of("file", file)
    }

    /// Fields at the top of a document.
    pub fn frontmatter(frontmatter: Frontmatter) -> Self {
        Self::of("frontmatter", frontmatter)
    }

    /// JUnit reports: at least one test, and none failed.
    pub fn tests(files: impl Into<Texts>) -> Self {
        let files: Texts = files.into();
        Self::of("tests", json!({ "files": Value::from(files) }))
    }

    /// What the work changed.
    pub fn diff(diff: Diff) -> Self {
        Self::of("diff", diff)
    }

    /// A service's answer: an address, or [`Http`].
    pub fn http(http: impl Into<Http>) -> Self {
        let http: Http = http.into();
        Self::of("http", http)
    }

    /// The checks of a commit or a pull request.
    pub fn ci(ci: Ci) -> Self {
        Self::of("ci", ci)
    }

    /// Whether a pull request can be merged.
    pub fn mergeable(mergeable: Mergeable) -> Self {
        Self::of("mergeable", mergeable)
    }

    /// Other runs.
    pub fn runs(runs: RunsProbe) -> Self {
        Self::of("runs", runs)
    }

    /// The live value of a setting; needs a `policy`.
    pub fn config(path: impl Into<Text>) -> Self {
        let path: Text = path.into();
        Self::of("config", json!({ "path": Value::from(path) }))
    }

    /// A function that only reads; its `ok` decides.
    pub fn function(name: impl Into<Text>) -> Self {
        let name: Text = name.into();
        Self::of("function", name)
    }

    /// Several, all of which must pass.
    pub fn all(of: impl IntoIterator<Item = Probe>) -> Self {
        Self::of("all", members(of))
    }

    /// Several, one of which must pass.
    pub fn any(of: impl IntoIterator<Item = Probe>) -> Self {
        Self::of("any", members(of))
    }

    /// One that must fail.
    pub fn negated(of: Probe) -> Self {
        Self::of("not", of)
    }

    /// Several, `n` of which must pass.
    pub fn at_least(n: impl Into<Number>, of: impl IntoIterator<Item = Probe>) -> Self {
        let n: Number = n.into();
        Self::of("at_least", json!({ "n": Value::from(n), "of": members(of) }))
    }
}

fn members(of: impl IntoIterator<Item = Probe>) -> Value {
    of.into_iter().map(Value::from).collect()
}

construct! {
    /// Files that must be there, and what must stand in them.
    FileProbe
    set {
        /// How many matches of the pattern there must be.
        min "min": Number;
        /// Another ref than the worktree.
        at "in": Text;
        /// They are JSON.
        json "json": Flag;
        /// They are YAML.
        yaml "yaml": Flag;
        /// A regular expression that their text must match.
        matches "matches": Text;
    }
    also ["exists", "all", "glob"]
}

impl FileProbe {
    /// A file that must be there.
    pub fn exists(path: impl Into<Text>) -> Self {
        let path: Text = path.into();
        Self::empty().with_key("exists", path)
    }

    /// Files that must all be there.
    pub fn all(paths: impl Into<Texts>) -> Self {
        let paths: Texts = paths.into();
        Self::empty().with_key("all", paths)
    }

    /// A pattern that files must match.
    pub fn glob(pattern: impl Into<Text>) -> Self {
        let pattern: Text = pattern.into();
        Self::empty().with_key("glob", pattern)
    }
}

impl From<&str> for FileProbe {
    fn from(path: &str) -> Self {
        Self::exists(path)
    }
}

/// How a value of a document is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// The whole value.
    Exact,
    /// A word of it.
    Word,
    /// Any part of it.
    Substring,
}

/// What a commit without checks means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoChecks {
    /// They are awaited.
    Pending,
    /// None are needed.
    Pass,
    /// That is wrong.
    Fail,
}

words! {
    Matching { Exact "exact", Word "word", Substring "substring" }
    NoChecks { Pending "pending", Pass "pass", Fail "fail" }
}

construct! {
    /// Fields at the top of a document.
    Frontmatter
    set {
        /// Values that fail; any of them beats those that pass.
        fail "fail": Texts;
        /// How values are compared.
        matching "match": Word<Matching>;
        /// Where the file is looked for: `worktree`, or refs; the first that has it counts.
        from "from": Texts;
        /// The branches of `from` are fetched from their remote first.
        fetch "fetch": Flag;
        /// The evidence holds the file's text, and so do the findings of a failure.
        text "text": Flag;
    }
    also ["file", "fields", "pass"]
}

impl Frontmatter {
    /// The file, the fields that are read, and the values that pass.
    pub fn new(file: impl Into<Text>, fields: impl Into<Texts>, pass: impl Into<Texts>) -> Self {
        let (file, fields, pass): (Text, Texts, Texts) = (file.into(), fields.into(), pass.into());
        Self::empty().with_key("file", file).with_key("fields", fields).with_key("pass", pass)
    }
}

construct! {
    /// What the work changed, and what it may change.
    Diff
    set {
        /// At least so many files.
        min_files "min_files": Number;
        /// At most so many files.
        max_files "max_files": Number;
        /// At most so many lines.
        max_lines "max_lines": Number;
        /// Only paths that match these patterns.
        allow "allow": Texts;
        /// No paths that match these patterns.
        deny "deny": Texts;
        /// `round`: what changed since this round of the step began; `passed`: also what its rounds since its gates last
        /// passed left; or a step: since the commit that it left.
        since "since": Text;
        /// A commit, such as `origin/main`: what stands as there came by a merge, and is not counted.
        merged "merged": Text;
    }
}

impl Diff {
    /// Nothing is asked yet.
    #[expect(clippy::new_without_default, reason = "a diff that asks for nothing is no probe")]
    pub fn new() -> Self {
        Self::empty()
    }
}

construct! {
    /// The checks of a commit or a pull request.
    Ci
    set {
        /// Another repository than the workspace's.
        repository "repository": Text;
        /// The commit.
        sha "sha": Text;
        /// The pull request; instead of the commit.
        pr "pr": Text;
        /// What a commit without checks means.
        none "none": Word<NoChecks>;
    }
    also ["provider"]
}

impl Ci {
    /// Asks a provider of the settings.
    pub fn new(provider: impl Into<Text>) -> Self {
        let provider: Text = provider.into();
        Self::empty().with_key("provider", provider)
    }
}

construct! {
    /// Whether a pull request can be merged.
    Mergeable
    set {
        /// Another repository than the workspace's.
        repository "repository": Text;
    }
    also ["provider", "pr"]
}

impl Mergeable {
    /// Asks a provider of the settings about a pull request.
    pub fn new(provider: impl Into<Text>, pr: impl Into<Text>) -> Self {
        let (provider, pr): (Text, Text) = (provider.into(), pr.into());
        Self::empty().with_key("provider", provider).with_key("pr", pr)
    }
}

construct! {
    /// Other runs: at least one that fits must be there.
    RunsProbe
    set {
        /// What they are doing: `running`, `blocked`, ….
        status "status": Texts;
        /// Started within this span.
        max_age "max_age": Pause;
    }
    entry {
        /// A label that they have: a value, or several of which any fits.
        label "labels": Data;
    }
}

impl RunsProbe {
    /// Nothing is asked yet.
    #[expect(clippy::new_without_default, reason = "one that asks for nothing is no probe")]
    pub fn new() -> Self {
        Self::empty()
    }
}
