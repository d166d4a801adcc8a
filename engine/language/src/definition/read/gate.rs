//! Gates: one probe or several together, a policy, a route.

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{Admit, ExecutorTask, Gate, Member, OnRefused, Poll, Probe, Routes, Setting, Span, Wake};
use super::reader::{Keys, PipelineReader, Shape};
use super::route_cause::RouteCause;
use super::uses::{ExprPlace, Wants};
use crate::expr::{Expr, Template};

pub(super) const SHAPE: Shape = Shape {
    what: "a gate",
    keys: &[
        "id",
        "when",
        "otherwise",
        "policy",
        "poll",
        "wake",
        "fresh",
        "code",
        "on_fail",
        "as",
        "expression",
        "command",
        "file",
        "frontmatter",
        "tests",
        "diff",
        "http",
        "ci",
        "mergeable",
        "runs",
        "config",
        "credentials",
        "function",
        "with",
        "all",
        "any",
        "not",
        "at_least",
    ],
};

/// A probe among others that one gate judges together.
pub(super) const MEMBER: Shape = Shape {
    what: "a probe in a gate",
    keys: &[
        "id",
        "when",
        "otherwise",
        "policy",
        "expression",
        "command",
        "file",
        "frontmatter",
        "tests",
        "diff",
        "http",
        "ci",
        "mergeable",
        "runs",
        "config",
        "function",
        "with",
        "all",
        "any",
        "not",
        "at_least",
    ],
};

const PROBES: [&str; 17] = [
    "expression",
    "command",
    "file",
    "frontmatter",
    "tests",
    "diff",
    "http",
    "ci",
    "mergeable",
    "runs",
    "config",
    "credentials",
    "function",
    "all",
    "any",
    "not",
    "at_least",
];

pub(super) const POLL: Shape =
    Shape { what: "`poll`", keys: &["every", "max", "max_unread", "timeout", "on_timeout"] };

pub(super) const WAKE: Shape = Shape { what: "a signal of `wake`", keys: &["signal", "when"] };

pub(super) const AT_LEAST: Shape = Shape { what: "`at_least`", keys: &["n", "of"] };

const ADMIT: Shape = Shape { what: "`admit`", keys: &["gates", "on_refused", "secrets"] };

/// The interval between probes of a service where the gate sets none.
const OUTSIDE_EVERY: Span = Span(std::time::Duration::from_secs(30));
/// The longest time that a service is probed where the gate sets none.
const OUTSIDE_TIMEOUT: Span = Span(std::time::Duration::from_secs(60 * 60));

/// The keys that a gate and a member of a gate have in common.
struct ProbeFields {
    id: Option<String>,
    kind: &'static str,
    when: Option<Expr>,
    otherwise: Option<Template>,
    probe: Option<Probe>,
    policy: Option<Expr>,
}

impl PipelineReader<'_> {
    /// The gates of a step.
    pub(super) fn gates(&mut self, node: &YamlNode) -> Vec<Gate> {
        let mut gates: Vec<Gate> = Vec::new();
        if !matches!(node.kind, Kind::List(_)) {
            self.unread_gates.push(self.step);
        }
        for item in self.list(node, "`gates`") {
            let Some(gate) = self.gate(item) else {
                self.unread_gates.push(self.step);
                continue;
            };
            if gates.iter().any(|other| other.id == gate.id) {
                self.twice(item, &format!("there is a gate “{}” already", gate.id));
            }
            gates.push(gate);
        }
        gates
    }

    /// What is judged before a run begins: gates, or a map with them.
    pub(super) fn admit(&mut self, node: &YamlNode) -> Admit {
        let mut secrets = Vec::new();
        let (list, on_refused) = if matches!(node.kind, Kind::Map(_)) {
            let Some(keys) = self.keys(node, &ADMIT) else { return Admit::default() };
            let words = [("refuse", OnRefused::Refuse), ("fail", OnRefused::Fail)];
            let on_refused = keys.get("on_refused").and_then(|node| self.word(node, "`on_refused`", &words));
            let Some(gates) = keys.get("gates") else {
                self.missing(node, "`admit`", "gates", "gates: and a list of gates");
                return Admit::default();
            };
            // Each gate has a role of its own.
            let given = keys.get("secrets");
            secrets = given.map_or_else(Vec::new, |node| self.for_any_role(|it| it.secret_names(node)));
            (gates, on_refused)
        } else {
            (node, None)
        };
        for item in if let Kind::List(items) = &list.kind { items.as_slice() } else { &[] } {
            for key in ["poll", "on_fail", "wake", "fresh"] {
                if item.get(key).is_some() {
                    let span = Keys { node: item }.key_span(key);
                    self.report(Code::Combination, span, format!("`{key}` has no place in `admit`")).hint =
                        Some("admission is judged once, and a failure refuses the run".to_owned());
                }
            }
        }
        let mut gates = self.gates(list);
        // An admission probes once: a run that does not exist yet cannot wait.
        gates.iter_mut().for_each(|gate| gate.poll = None);
        Admit { gates, on_refused: on_refused.unwrap_or_default(), secrets }
    }

    fn twice(&mut self, item: &YamlNode, message: &str) {
        let span = match item.get("id") {
            Some(id) => id.span.clone(),
            None => self.first_line(item.span.clone()),
        };
        self.report(Code::DuplicateGate, span, message).hint =
            Some("give each an `id` of its own".to_owned());
    }

    fn gate(&mut self, node: &YamlNode) -> Option<Gate> {
        let keys = self.keys(node, &SHAPE)?;
        let acts_as = keys.get("as").and_then(|node| self.acts_as(node, ExprPlace::Gate));
        let fields = self.in_name_of(keys.get("as"), |reader| reader.probe_fields(keys, "gate"));
        let outside = fields.as_ref().and_then(|fields| fields.probe.as_ref()).is_some_and(asks_outside);
        if let Some(file) = keys.get("file").filter(|_| keys.get("policy").is_none()) {
            self.glob_that_fits_nothing(file);
        }
        let poll = match keys.get("poll") {
            Some(poll) => self.poll(poll, outside),
            None => outside.then(|| Poll {
                every: Setting::Fixed(OUTSIDE_EVERY),
                max: None,
                max_unread: None,
                timeout: Some(Setting::Fixed(OUTSIDE_TIMEOUT)),
                on_timeout: Routes::default(),
            }),
        };
        let wake = keys.get("wake").map_or_else(Vec::new, |node| self.wake(node));
        let fresh = keys.get("fresh").and_then(|node| self.bool(node, "`fresh`")).unwrap_or_default();
        if fresh
            && fields.as_ref().and_then(|fields| fields.probe.as_ref()).is_some_and(|it| !reads_files(it))
        {
            let span = keys.key_span("fresh");
            self.report(Code::Combination, span, "`fresh` is for probes of files").hint =
                Some("`file`, `frontmatter` and `tests` have it".to_owned());
        }
        let code = keys.get("code").and_then(|code| self.failure_code(code));
        let on_fail =
            keys.get("on_fail").map_or_else(Routes::default, |node| self.routes(node, RouteCause::Gate));
        let ProbeFields { id, kind, when, otherwise, probe, policy } = fields?;
        let id = match keys.get("id") {
            Some(_) => id?,
            None => kind.to_owned(),
        };
        Some(Gate { id, when, otherwise, probe: probe?, policy, poll, wake, fresh, code, on_fail, acts_as })
    }

    /// A signal, or a list of them.
    fn wake(&mut self, node: &YamlNode) -> Vec<Wake> {
        match &node.kind {
            Kind::List(items) => items.iter().filter_map(|item| self.wake_signal(item)).collect(),
            _ => self.wake_signal(node).into_iter().collect(),
        }
    }

    /// The name of a signal, or a map with it and the condition under which it counts.
    fn wake_signal(&mut self, node: &YamlNode) -> Option<Wake> {
        if !matches!(node.kind, Kind::Map(_)) {
            return self.signal_name(node).map(Wake::Each);
        }
        let keys = self.keys(node, &WAKE)?;
        let when =
            keys.get("when").map(|when| self.expression(when, "`when`", ExprPlace::Signal, Wants::Bool));
        let Some(signal) = keys.get("signal") else {
            self.missing(node, "a signal of `wake`", "signal", "signal: NAME");
            return None;
        };
        let signal = self.signal_name(signal)?;
        Some(match when {
            None => Wake::Each(signal),
            Some(when) => Wake::Fitting { signal, when: when? },
        })
    }

    fn probe_fields(&mut self, keys: Keys<'_>, what: &str) -> Option<ProbeFields> {
        let kind = self.one_probe(keys, what);
        let id = keys.get("id").and_then(|id| self.id(id, &format!("{what} id"), true));
        let when =
            keys.get("when").and_then(|when| self.expression(when, "`when`", ExprPlace::Gate, Wants::Bool));
        let otherwise =
            keys.get("otherwise").and_then(|text| self.text_template(text, "`otherwise`", ExprPlace::Gate));
        if keys.get("otherwise").is_some() && keys.get("when").is_none() {
            let span = keys.key_span("otherwise");
            self.report(
                Code::Combination,
                span,
                "`otherwise` is the reason given where `when` is false; there is no `when`",
            )
            .hint = Some("add `when`, or take `otherwise` out".to_owned());
        }
        let policy = keys.get("policy").and_then(|policy| {
            self.expression(policy, "`policy`", ExprPlace::Policy(kind.unwrap_or("any")), Wants::Any)
        });
        if kind == Some("config") && keys.get("policy").is_none() && !self.is_meant(keys.node, &["policy"]) {
            let span = self.first_line(keys.node.span.clone());
            self.report(Code::MissingKey, span, "the probe `config` needs a `policy`").hint =
                Some("a setting is neither good nor bad: policy: evidence.value == true".to_owned());
        }
        if keys.get("with").is_some() && kind != Some("function") {
            let span = keys.key_span("with");
            self.report(Code::Combination, span, "`with` belongs to `function`").hint =
                Some("name the function: function: NAME".to_owned());
        }
        let kind = kind?;
        Some(ProbeFields { id, kind, when, otherwise, probe: self.probe(keys, kind), policy })
    }

    fn one_probe(&mut self, keys: Keys<'_>, what: &str) -> Option<&'static str> {
        let given: Vec<&'static str> = PROBES.into_iter().filter(|name| keys.entry(name).is_some()).collect();
        match given.as_slice() {
            [one] => Some(one),
            [] => {
                if !self.is_meant(keys.node, &PROBES) {
                    let span = self.first_line(keys.node.span.clone());
                    self.report(Code::Probes, span, format!("this {what} has no probe")).hint =
                        Some(format!("it has one of: {}", PROBES.join(", ")));
                }
                None
            }
            [first, second, ..] => {
                let span = keys.key_span(second);
                self.report(
                    Code::Probes,
                    span,
                    format!("a {what} has one probe, not `{first}` and `{second}`"),
                )
                .hint = Some(
                    "make two gates of it, which run in order, or judge them together: all: [{…}, {…}]"
                        .to_owned(),
                );
                Some(first)
            }
        }
    }

    fn probe(&mut self, keys: Keys<'_>, kind: &'static str) -> Option<Probe> {
        let node = keys.entry(kind)?;
        if node.is_null() {
            self.report(Code::Type, keys.key_span(kind), format!("`{kind}` has no value")).hint =
                Some("write what is asked behind it".to_owned());
            return None;
        }
        let spec = match kind {
            "expression" => {
                // With a policy of its own the evidence may have any type.
                let wants = if keys.get("policy").is_some() { Wants::Any } else { Wants::Bool };
                return self.expression(node, "`expression`", ExprPlace::Gate, wants).map(Probe::Expression);
            }
            "command" => return self.command(node, ExprPlace::Gate).map(Probe::Task),
            "function" => return self.function(node, keys, ExprPlace::Gate).map(Probe::Task),
            "http" => return self.http(node, ExprPlace::Gate).map(Probe::Task),
            "all" => return self.members(node, "`all`").map(Probe::All),
            "any" => return self.members(node, "`any`").map(Probe::Any),
            "not" => return self.member(node).map(|member| Probe::Not(Box::new(member))),
            "at_least" => return self.at_least(node),
            "file" => self.file_probe(node)?,
            "frontmatter" => self.frontmatter_probe(node)?,
            "tests" => self.tests_probe(node)?,
            "diff" => self.diff_probe(node)?,
            "ci" => self.ci_probe(node)?,
            "mergeable" => self.mergeable_probe(node)?,
            "runs" => self.runs_probe(node)?,
            "credentials" => self.credentials_probe(node, keys.key_span(kind))?,
            _ => self.config_probe(node)?,
        };
        Some(Probe::Task(ExecutorTask { kind: kind.to_owned(), spec }))
    }

    fn members(&mut self, node: &YamlNode, what: &str) -> Option<Vec<Member>> {
        let items = self.list(node, what);
        if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
            self.report(Code::Value, node.span.clone(), format!("{what} has at least one probe")).hint =
                Some("write [{command: make check}], or another probe".to_owned());
        }
        let mut members: Vec<Member> = Vec::new();
        for item in items {
            let Some(member) = self.member(item) else { continue };
            if member.id.is_some() && members.iter().any(|other| other.id == member.id) {
                let name = member.id.as_deref().unwrap_or_default();
                self.twice(item, &format!("there is a probe “{name}” in {what} already"));
            }
            members.push(member);
        }
        (!items.is_empty() && members.len() == items.len()).then_some(members)
    }

    fn member(&mut self, node: &YamlNode) -> Option<Member> {
        if let Kind::Map(entries) = &node.kind {
            for (key, _) in entries {
                if let Some(name @ ("poll" | "wake" | "fresh" | "code" | "on_fail" | "as" | "credentials")) =
                    key.text()
                {
                    self.report(
                        Code::Combination,
                        key.span.clone(),
                        format!("`{name}` belongs to the gate, not to a probe in it"),
                    )
                    .hint = Some("move it up to the gate".to_owned());
                    return None;
                }
            }
        }
        let keys = self.keys(node, &MEMBER)?;
        let ProbeFields { id, kind: _, when, otherwise, probe, policy } = self.probe_fields(keys, "probe")?;
        Some(Member { id, when, otherwise, probe: probe?, policy })
    }

    fn at_least(&mut self, node: &YamlNode) -> Option<Probe> {
        let keys = self.keys(node, &AT_LEAST)?;
        for (key, example) in [("n", "n: 2"), ("of", "of: [{…}, {…}]")] {
            if keys.get(key).is_none() {
                self.missing(node, "`at_least`", key, example);
            }
        }
        let n = keys.get("n").and_then(|n| self.number_setting(n, "`n` of `at_least`", 1, ExprPlace::Gate));
        let of = keys.get("of").and_then(|of| self.members(of, "`of`"));
        let (n, of) = (n?, of?);
        if let (Setting::Fixed(n), Some(place)) = (&n, keys.get("n"))
            && *n as usize > of.len()
        {
            let message = format!("{n} of {} probes never pass", of.len());
            self.report(Code::Value, place.span.clone(), message);
        }
        Some(Probe::AtLeast { n, of })
    }

    /// `outside`: a service is asked, for which there is a default.
    fn poll(&mut self, node: &YamlNode, outside: bool) -> Option<Poll> {
        let keys = self.keys(node, &POLL)?;
        let every = match keys.get("every") {
            None if outside => Setting::Fixed(OUTSIDE_EVERY),
            None => {
                self.missing(node, "`poll`", "every", "every: 30s");
                return None;
            }
            Some(every) => {
                let setting = self.span_setting(every, "`every`", ExprPlace::Gate)?;
                if matches!(setting, Setting::Fixed(span) if span.0.is_zero()) {
                    self.report(Code::TooSmall, every.span.clone(), "`every` is more than nothing").hint =
                        Some("write a pause: every: 30s".to_owned());
                }
                setting
            }
        };
        let max =
            keys.get("max").and_then(|max| self.number_setting(max, "`max` of `poll`", 1, ExprPlace::Gate));
        let max_unread = keys
            .get("max_unread")
            .and_then(|max| self.number_setting(max, "`max_unread` of `poll`", 1, ExprPlace::Gate));
        let mut timeout =
            keys.get("timeout").and_then(|span| self.some_span(span, "`timeout`", ExprPlace::Gate));
        let bounds = ["max", "timeout"];
        if bounds.iter().all(|key| keys.get(key).is_none()) && !self.is_meant(node, &bounds) {
            if outside {
                timeout = Some(Setting::Fixed(OUTSIDE_TIMEOUT));
            } else {
                let place = self.first_line(node.span.clone());
                self.report(Code::Unbounded, place, "this poll would never end").hint =
                    Some("add `max: 20` (probes) or `timeout: 30m`".to_owned());
            }
        }
        let on_timeout =
            keys.get("on_timeout").map_or_else(Routes::default, |node| self.routes(node, RouteCause::Poll));
        Some(Poll { every, max, max_unread, timeout, on_timeout })
    }
}

/// Whether a probe, or one in it, is of a kind.
fn any_kind(probe: &Probe, is: &dyn Fn(&str) -> bool) -> bool {
    match probe {
        Probe::Expression(_) => false,
        Probe::Task(task) => is(&task.kind),
        Probe::All(of) | Probe::Any(of) | Probe::AtLeast { of, .. } => {
            of.iter().any(|member| any_kind(&member.probe, is))
        }
        Probe::Not(of) => any_kind(&of.probe, is),
    }
}

/// Whether a probe asks a service, whose answer may come late.
fn asks_outside(probe: &Probe) -> bool {
    any_kind(probe, &|kind| matches!(kind, "ci" | "mergeable" | "http"))
}

fn reads_files(probe: &Probe) -> bool {
    any_kind(probe, &|kind| matches!(kind, "file" | "frontmatter" | "tests"))
}
