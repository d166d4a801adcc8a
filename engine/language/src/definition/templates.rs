//! Templates of steps and notices, and named policies: they are written out before anything else is read.
//!
//! Law: the tree that the reader gets holds neither, so every later check, the definition and its hash see what the steps,
//! notices and gates became. A node keeps the place where it was written.

use std::collections::{BTreeMap, BTreeSet};

use super::codes::Code;
use super::problem::{Problem, SourceText};
use super::read::{NOTICE_KEYS, STEP_KEYS, WORKS};
use super::similar::similar;
use super::tree_size::{TreeSize, size};
use super::yaml::{COPIED_BYTES_MAX, Kind, NODES_MAX, YamlNode};

/// Templates lead to others at most so far.
const DEPTH_MAX: usize = 16;

/// In a list of gates: those of the template stand here.
const LIKE: &str = "like";

/// Keys whose maps are put together key by key; any other value of a step or a notice stands in the place of the template's.
const MERGED: [&str; 16] = [
    "agent",
    "api",
    "approval",
    "ask",
    "env",
    "fallback",
    "foreach",
    "http",
    "labels",
    "on_signal",
    "outputs",
    "question",
    "retry",
    "run",
    "signal",
    "with",
];

/// Names of expressions, which a policy cannot be called by.
const TAKEN: [&str; 17] = [
    "answer",
    "answers",
    "attempt",
    "config",
    "evidence",
    "failure",
    "gate",
    "index",
    "input",
    "item",
    "output",
    "rework",
    "run",
    "secrets",
    "step",
    "steps",
    "workspace",
];

/// Writes out `like` of the steps and the named policies of the gates, and takes `templates` and `policies` out of the tree.
pub(super) fn write_out(root: &mut YamlNode, source: &SourceText, problems: &mut Vec<Problem>) {
    let templates = root.take("templates");
    let policies = root.take("policies");
    let room = TreeSize { nodes: NODES_MAX.saturating_sub(size(root).nodes), bytes: COPIED_BYTES_MAX };
    let mut writer = TemplateWriter {
        source,
        problems,
        templates: BTreeMap::new(),
        policies: BTreeMap::new(),
        used: BTreeSet::new(),
        room,
    };
    if let Some((_, templates)) = &templates {
        writer.read_templates(templates);
    }
    if let Some((_, policies)) = &policies {
        writer.read_policies(policies);
    }
    for key in ["steps", "on_finish"] {
        if let Some(steps) = root.get_mut(key) {
            writer.steps(steps);
        }
    }
    if let Some(Kind::List(notices)) = root.get_mut("notify").map(|notices| &mut notices.kind) {
        notices.iter_mut().for_each(|notice| writer.fill(notice));
    }
    if let Some(admit) = root.get_mut("admit") {
        match &mut admit.kind {
            Kind::Map(_) => admit.get_mut("gates").into_iter().for_each(|gates| writer.gates(gates)),
            _gates => writer.gates(admit),
        }
    }
    writer.report_unused();
}

struct TemplateWriter<'a> {
    source: &'a SourceText,
    problems: &'a mut Vec<Problem>,
    templates: BTreeMap<&'a str, (&'a YamlNode, &'a YamlNode)>,
    policies: BTreeMap<&'a str, (&'a YamlNode, &'a YamlNode)>,
    used: BTreeSet<(bool, &'a str)>,
    /// What may still be added.
    room: TreeSize,
}

impl<'a> TemplateWriter<'a> {
    fn report(&mut self, code: Code, node: &YamlNode, message: String, hint: impl Into<String>) {
        self.problems.push(self.source.problem(code, node.span.clone(), message).hint(hint));
    }

    /// The named entries of a map.
    fn entries(&mut self, node: &'a YamlNode, what: &str) -> Vec<(&'a str, &'a YamlNode, &'a YamlNode)> {
        match &node.kind {
            Kind::Map(entries) => {
                entries.iter().filter_map(|(key, value)| Some((key.text()?, key, value))).collect()
            }
            Kind::Bad => Vec::new(),
            _other if node.is_null() => Vec::new(),
            _other => {
                let message = format!("{what} is a map, this is {}", node.what());
                self.report(Code::Type, node, message, "write NAME: and what it stands for");
                Vec::new()
            }
        }
    }

    fn read_templates(&mut self, node: &'a YamlNode) {
        for (name, key, template) in self.entries(node, "`templates`") {
            let Kind::Map(entries) = &template.kind else {
                let message = format!("the template “{name}” is a map, this is {}", template.what());
                let hint = "it holds keys of a step or of a notice: NAME: { timeout: 10m }";
                self.report(Code::Type, template, message, hint);
                continue;
            };
            for (key, _) in entries {
                let Some(text) = key.text() else { continue };
                if text == "id" {
                    let message = "a template has no `id`".to_owned();
                    self.report(Code::UnknownKey, key, message, "each one that is like it has its own");
                } else if !STEP_KEYS.contains(&text) && !NOTICE_KEYS.contains(&text) {
                    let known = STEP_KEYS.iter().chain(NOTICE_KEYS).copied();
                    let hint = similar(text, known).map_or_else(
                        || "it holds keys of a step, or of a notice".to_owned(),
                        |similar| format!("did you mean `{similar}`?"),
                    );
                    self.report(Code::UnknownKey, key, format!("a step has no key “{text}”"), hint);
                }
            }
            self.templates.insert(name, (key, template));
        }
    }

    fn read_policies(&mut self, node: &'a YamlNode) {
        for (name, key, policy) in self.entries(node, "`policies`") {
            if !is_name(name) || TAKEN.contains(&name) {
                let message = format!("“{name}” cannot be the name of a policy");
                let hint = "a letter, then letters, digits and `_`; no name that expressions have already";
                self.report(Code::Value, key, message, hint);
                continue;
            }
            self.policies.insert(name, (key, policy));
        }
    }

    /// Writes out what steps are like, and those within them.
    fn steps(&mut self, steps: &mut YamlNode) {
        let Kind::List(steps) = &mut steps.kind else { return };
        for step in steps {
            self.fill(step);
            self.report_leftover(step);
            if let Some(gates) = step.get_mut("gates") {
                self.gates(gates);
            }
            if let Some(inner) = step.get_mut("foreach").and_then(|foreach| foreach.get_mut("steps")) {
                self.steps(inner);
            }
        }
    }

    /// Writes out what a step or a notice is like, without what it takes away.
    fn fill(&mut self, step: &mut YamlNode) {
        let mut barred = Barred::default();
        self.fill_from(step, &mut barred);
        let Kind::Map(entries) = &mut step.kind else { return };
        for (name, inner) in &barred.taken {
            let Some(inner) = inner else {
                entries.retain(|(key, _)| key.text() != Some(name));
                continue;
            };
            let outer = entries.iter_mut().find(|(key, _)| key.text() == Some(name));
            if let Some(Kind::Map(map)) = outer.map(|(_, map)| &mut map.kind) {
                map.retain(|(key, _)| key.text() != Some(inner));
            }
        }
    }

    fn fill_from(&mut self, step: &mut YamlNode, barred: &mut Barred) {
        let mut above: Vec<&'a str> = Vec::new();
        while let Some((_, like)) = step.take("like") {
            let Some(name) = like.text().filter(|_| !like.is_null()) else {
                let message = format!("`like` names a template, this is {}", like.what());
                self.report(Code::Type, &like, message, "write like: NAME");
                return;
            };
            let Some((&name, &(_, template))) = self.templates.get_key_value(name) else {
                let hint = match similar(name, self.templates.keys().copied()) {
                    Some(similar) => format!("did you mean `{similar}`?"),
                    None if self.templates.is_empty() => "the pipeline has no `templates`".to_owned(),
                    None => format!(
                        "there are: {}",
                        self.templates.keys().copied().collect::<Vec<_>>().join(", ")
                    ),
                };
                self.report(Code::Template, &like, format!("there is no template “{name}”"), hint);
                return;
            };
            if above.contains(&name) {
                let message = format!("the template “{name}” leads back to itself");
                self.report(Code::Template, &like, message, "take out one `like` of this circle");
                return;
            }
            if above.len() == DEPTH_MAX {
                let message = format!("more than {DEPTH_MAX} templates stand in a row before “{name}”");
                self.report(Code::Template, &like, message, "put some of them together");
                return;
            }
            above.push(name);
            self.used.insert((true, name));
            if self.has_room(&like, template) {
                merge(step, template, barred);
            } else {
                return;
            }
        }
    }

    /// Takes out, and reports, entries of a step's gates that stand for those of a template which has none.
    fn report_leftover(&mut self, step: &mut YamlNode) {
        let Some(Kind::List(gates)) = step.get_mut("gates").map(|gates| &mut gates.kind) else { return };
        let leftover: Vec<YamlNode> = gates.iter().filter(|gate| is_like(gate)).cloned().collect();
        gates.retain(|gate| !is_like(gate));
        for gate in leftover {
            let message = "`like` stands for the gates of the step's template, and here are none".to_owned();
            let hint = "give the step a `like: NAME` whose template has gates, or take it out";
            self.report(Code::Template, &gate, message, hint);
        }
    }

    /// Takes the size of what is added from what may be added; reports at `at` where that is too little.
    fn has_room(&mut self, at: &YamlNode, added: &YamlNode) -> bool {
        if let Some(room) = self.room.minus(size(added)) {
            self.room = room;
            return true;
        }
        let message = "with its templates and policies written out, the pipeline is too large".to_owned();
        self.report(Code::Limit, at, message, "100,000 values and 4 MiB more text are the most");
        false
    }

    /// Puts policies in the place of their names.
    fn gates(&mut self, gates: &mut YamlNode) {
        let Kind::List(gates) = &mut gates.kind else { return };
        gates.iter_mut().for_each(|gate| self.gate(gate));
    }

    /// Puts policies in the place of their names in one gate, or one member of a gate.
    fn gate(&mut self, gate: &mut YamlNode) {
        if let Some(policy) = gate.get_mut("policy") {
            self.policy(policy);
        }
        for key in ["all", "any"] {
            if let Some(members) = gate.get_mut(key) {
                self.gates(members);
            }
        }
        if let Some(member) = gate.get_mut("not") {
            self.gate(member);
        }
        if let Some(of) = gate.get_mut("at_least").and_then(|at_least| at_least.get_mut("of")) {
            self.gates(of);
        }
    }

    fn policy(&mut self, policy: &mut YamlNode) {
        let Some(text) = policy.text().map(str::trim) else { return };
        if let Some((&name, &(_, named))) = self.policies.get_key_value(text) {
            self.used.insert((false, name));
            if self.has_room(policy, named) {
                *policy = named.clone();
            }
            return;
        }
        if !is_name(text) || TAKEN.contains(&text) || ["true", "false", "null"].contains(&text) {
            return;
        }
        // Said once, here: the expression that a mistyped name is would be reported without what was meant.
        if let Some(near) = similar(text, self.policies.keys().copied()) {
            self.used.insert((false, near));
            let message = format!("there is no policy “{text}”");
            self.report(Code::UnknownName, policy, message, format!("did you mean `{near}`?"));
            policy.kind = Kind::Bad;
        }
    }

    fn report_unused(&mut self) {
        let templates = self.templates.iter().map(|(name, (key, _))| (true, *name, *key));
        let policies = self.policies.iter().map(|(name, (key, _))| (false, *name, *key));
        let unused: Vec<_> = templates
            .chain(policies)
            .filter(|(is_template, name, _)| !self.used.contains(&(*is_template, name)))
            .collect();
        for (is_template, name, key) in unused {
            let (message, hint) = if is_template {
                (
                    format!("nothing is like the template “{name}”"),
                    format!("write like: {name}, or remove it"),
                )
            } else {
                (format!("no gate has the policy “{name}”"), format!("write policy: {name}, or remove it"))
            };
            self.report(Code::Unused, key, message, hint);
        }
    }
}

/// Whether a word can be the name of a policy.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether an entry of a list of gates stands for those of the template.
fn is_like(gate: &YamlNode) -> bool {
    gate.text() == Some(LIKE)
}

/// The keys by which a step or a notice takes away with `null` what its template says, and those within its maps. They
/// stand there until all templates are written out: one that is above another one's would add the key again.
type TakenKeys = BTreeSet<(String, Option<String>)>;

/// What a step or a notice does not take over from the templates that are still to come.
#[derive(Default)]
struct Barred {
    taken: TakenKeys,
    /// Keys that a template before took away: a map of the step is not put together with those of later ones.
    ended: BTreeSet<String>,
}

/// Adds to a step or a notice what it does not say itself. Work of its own stands in the place of the template's.
fn merge(step: &mut YamlNode, template: &YamlNode, barred: &mut Barred) {
    let has_own_work = WORKS.iter().any(|work| step.get(work).is_some_and(|work| !work.is_null()));
    let is_function = step.get("function").is_some();
    let (Kind::Map(own), Kind::Map(added)) = (&mut step.kind, &template.kind) else { return };
    for (key, value) in added {
        let Some(name) = key.text() else { continue };
        if barred.ended.contains(name) {
            continue;
        }
        let Some((_, present)) = own.iter_mut().find(|(own, _)| own.text() == Some(name)) else {
            let is_replaced = WORKS.contains(&name) || (name == "with" && !is_function);
            if !(has_own_work && is_replaced) {
                own.push((key.clone(), value.clone()));
            }
            continue;
        };
        if present.is_null() {
            barred.taken.insert((name.to_owned(), None));
            continue;
        }
        if value.is_null() {
            barred.ended.insert(name.to_owned());
            continue;
        }
        match (&mut present.kind, &value.kind) {
            (Kind::Map(present), Kind::Map(value)) if MERGED.contains(&name) => {
                for (key, value) in value {
                    match present.iter().find(|(own, _)| own.text() == key.text()) {
                        None => present.push((key.clone(), value.clone())),
                        Some((_, own)) if own.is_null() => {
                            barred
                                .taken
                                .extend(key.text().map(|key| (name.to_owned(), Some(key.to_owned()))));
                        }
                        Some(_own) => {}
                    }
                }
            }
            (Kind::List(present), Kind::List(value)) if name == "gates" => {
                if let Some(at) = present.iter().position(is_like) {
                    present.splice(at..=at, value.iter().cloned());
                }
            }
            _own => {}
        }
    }
}
