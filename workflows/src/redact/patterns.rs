//! Searches a text for credentials, and masks them.
//!
//! Law: a line decides what is found in it; of a line whose end has not come the part from the first possible match
//! on waits, up to a limit. A text of any length is searched with the same result as its pieces.

use std::sync::{Arc, OnceLock};

use regex::bytes::Regex;

use super::anchors::{Anchors, Hit, Hits};
use super::key_block;
use super::key_names::{KeyNames, spellings};
use super::line::{LineEnds, line_from};
use super::own_patterns::OwnPatterns;
use super::rules::{
    DISCORD, DISCORD_EXPRESSION, KEYS, NAMED_FIELD, PRIVATE_KEY, Plausible, RULES, VAGUE, WEB_TOKEN,
};
use super::settings::RedactSettings;
use super::web_token::{TokenRuns, WebToken};
use super::words::{begins_word, is_of_token};

/// The longest block of lines.
const BLOCK_BYTES_MAX: usize = 64 * 1024;
/// How many empty lines stand between BEGIN and a key.
const BLANK_LINES_MAX: usize = 2;
/// The longest token of [`DISCORD_EXPRESSION`].
const DISCORD_BYTES_MAX: usize = 72;
const MARK: &[u8] = b"***";
/// What stands for a number in JSON.
const QUOTED_MARK: &[u8] = b"\"***\"";

/// The values of fields by name, behind the name: JSON, JSON within a text of JSON, Python.
const FIELD_EXPRESSION: &str = r#"(?:"\s*:\s*(?:"(?P<s>(?:[^"\\]|\\.)*)|(?P<n>-?[0-9][0-9.eE+-]{5,}))|\\+"\s*:\s*\\+"(?P<t>[^"\\]*)|'\s*:\s*'(?P<u>[^'\\]*))"#;
/// The same for own names, and what follows `=` and `:` in texts: variables and headers.
const OWN_FIELD_EXPRESSION: &str =
    r#"(?i)\s*(?:=>|[:=])\s*["'\\]*(?P<s>(?:(?:bearer|basic|token|digest|negotiate)\s+)?[^\s"'\\,;&]+)"#;

/// What is searched for.
pub(crate) struct Patterns {
    names: KeyNames,
    rules: Vec<Rule>,
    anchors: Anchors,
    /// By anchor: its rules, by number.
    rules_of: Vec<Vec<usize>>,
    discord: Option<LazyRegex>,
    own: OwnPatterns,
}

/// A rule that is tried where its anchor stands.
struct Rule {
    name: String,
    kind: RuleKind,
    plausible: Plausible,
    anchors: Vec<String>,
}

enum RuleKind {
    /// An expression, from the beginning of the anchor on.
    Text(LazyRegex),
    /// An expression, from the end of the anchor on, which is the end of a name.
    Field(LazyRegex),
    /// Lines from BEGIN to END.
    Block,
    WebToken,
}

/// What is known of a text from the places that were tried.
#[derive(Default)]
struct KnownEnds {
    lines: LineEnds,
    runs: TokenRuns,
}

struct LazyRegex(String, OnceLock<Option<Regex>>);

impl LazyRegex {
    fn new(expression: &str, is_anchored: bool) -> Self {
        let anchor = if is_anchored { "^" } else { "" };
        Self(format!("(?s-u){anchor}(?:{expression})"), OnceLock::new())
    }

    fn get(&self) -> Option<&Regex> {
        // A test compiles every one.
        self.1.get_or_init(|| Regex::new(&self.0).ok()).as_ref()
    }
}

/// Where a search stands between two pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Within {
    #[default]
    Text,
    /// A token that is longer than the window.
    Token,
    /// A private key; the next byte is a line end.
    Block(BlockSoFar),
}

/// How much of a private key was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct BlockSoFar {
    bytes: usize,
    /// How many words its lines have, with what a log puts before each; 0: not known yet.
    words: usize,
}

/// What a search made of a text.
pub(super) struct Searched {
    /// Up to where it is decided.
    pub(super) end: usize,
    pub(super) is_changed: bool,
}

/// What is to be masked.
#[derive(Debug, Clone, Copy)]
struct FoundSpan {
    start: usize,
    end: usize,
    is_number: bool,
    rule: usize,
}

/// What an anchor turned out to be.
enum Tried {
    No,
    Undecided,
    Found(FoundSpan),
    /// The match reaches over the window's end.
    Beyond(FoundSpan),
    /// A block: its lines begin at the line end.
    Block {
        line_end: usize,
    },
}

impl Patterns {
    /// What the settings, which were checked, search for; `None`: nothing.
    pub(crate) fn new(settings: &RedactSettings) -> Option<Arc<Self>> {
        let mut rules = Vec::new();
        for rule in RULES.iter().filter(|rule| settings.searches(rule.name)) {
            rules.push(Rule {
                name: rule.name.to_owned(),
                kind: match rule.name {
                    WEB_TOKEN => RuleKind::WebToken,
                    _other => RuleKind::Text(LazyRegex::new(rule.expression, true)),
                },
                plausible: rule.plausible,
                anchors: rule.anchors.iter().map(|anchor| (*anchor).to_owned()).collect(),
            });
        }
        if settings.searches(PRIVATE_KEY) {
            rules.push(Rule {
                name: PRIVATE_KEY.to_owned(),
                kind: RuleKind::Block,
                plausible: Plausible::Always,
                anchors: vec![key_block::BEGIN.to_owned()],
            });
        }
        let built_in_keys = KEYS.iter().filter(|_| settings.searches(NAMED_FIELD)).copied();
        let own_keys = settings.keys.iter().map(String::as_str);
        rules.extend(field_rule(built_in_keys, FIELD_EXPRESSION));
        rules.extend(field_rule(own_keys.clone(), FIELD_EXPRESSION));
        rules.extend(field_rule(own_keys, OWN_FIELD_EXPRESSION));
        let discord = settings.searches(DISCORD).then(|| LazyRegex::new(DISCORD_EXPRESSION, false));
        if rules.is_empty() && discord.is_none() && settings.patterns.is_empty() {
            return None;
        }
        let mut texts: Vec<String> = rules.iter().flat_map(|rule| rule.anchors.iter().cloned()).collect();
        texts.sort_unstable();
        texts.dedup();
        let of = |text: &String| {
            (0..rules.len()).filter(|rule| rules[*rule].anchors.contains(text)).collect::<Vec<_>>()
        };
        let rules_of = texts.iter().map(of).collect();
        Some(Arc::new(Self {
            names: KeyNames::new(&settings.active_keys()),
            rules,
            anchors: Anchors::new(texts),
            rules_of,
            discord,
            own: OwnPatterns::new(settings.patterns.clone().into_iter().collect()),
        }))
    }

    /// Whether the values of a field of this name are masked.
    pub(crate) fn name_secret(&self, name: &str) -> bool {
        self.names.name_secret(name)
    }

    /// The text, masked; `None` where nothing of it is to be.
    pub(crate) fn bytes(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut masked = Vec::with_capacity(text.len());
        let searched = self.search(text, 0, &mut Within::Text, true, &mut masked);
        searched.is_changed.then_some(masked)
    }

    /// The name of the first rule that finds something in the text of a pipeline, and where. Only what cannot be
    /// anything else counts: a pipeline names tokens and passwords, and lets test databases have theirs.
    pub(crate) fn first(&self, text: &[u8]) -> Option<(&str, usize)> {
        let mut matches = Vec::new();
        let mut begun = None;
        let mut hits = self.anchors.hits(text, 0);
        let _decided = self.collect(text, 0, true, &mut hits, &mut matches, &mut begun);
        let found = matches.iter().map(|found| (self.name_of(found.rule), found.start));
        let block = begun.map(|(start, _)| (PRIVATE_KEY, start));
        found.chain(block).filter(|(name, _)| !VAGUE.contains(name)).min_by_key(|(_, start)| *start)
    }

    fn name_of(&self, rule: usize) -> &str {
        match self.rules.get(rule) {
            Some(rule) => &rule.name,
            None if rule == self.rules.len() => DISCORD,
            None => self.own.name_of(rule - self.rules.len() - 1).unwrap_or_default(),
        }
    }

    /// Masks from a place on as far as it is decided; at the end of everything (`is_last`) all of it is.
    pub(super) fn search(
        &self,
        text: &[u8],
        from: usize,
        within: &mut Within,
        is_last: bool,
        masked: &mut Vec<u8>,
    ) -> Searched {
        let (mut at, mut is_changed) = (from, false);
        // Looked up once, however many blocks and long tokens there are.
        let mut hits = None;
        while at < text.len() {
            match *within {
                Within::Token => {
                    let rest = text[at..].iter().take_while(|byte| is_of_token(**byte)).count();
                    (at, is_changed) = (at + rest, true);
                    if at < text.len() {
                        *within = Within::Text;
                    }
                }
                Within::Block(so_far) => {
                    let (end, next) = block_line(text, at, so_far, is_last);
                    if end == at && next == *within {
                        return Searched { end: at, is_changed };
                    }
                    (at, *within, is_changed) = (end, next, true);
                }
                Within::Text => {
                    let (mut matches, mut begun) = (Vec::new(), None);
                    let hits = hits.get_or_insert_with(|| self.anchors.hits(text, at));
                    let decided = self.collect(text, at, is_last, hits, &mut matches, &mut begun);
                    is_changed |= !matches.is_empty() || begun.is_some();
                    for found in &matches {
                        masked.extend_from_slice(&text[at..found.start]);
                        let mark = if found.is_number { QUOTED_MARK } else { MARK };
                        masked.extend_from_slice(&mark[..mark.len().min(found.end - found.start)]);
                        at = found.end;
                    }
                    match begun {
                        Some((start, OpenEnd::Block { line_end })) => {
                            masked.extend_from_slice(&text[at..start]);
                            masked.extend_from_slice(MARK);
                            *within = Within::Block(BlockSoFar { bytes: line_end - start, words: 0 });
                            at = line_end;
                        }
                        Some((_, OpenEnd::Token)) => *within = Within::Token,
                        None => {
                            masked.extend_from_slice(&text[at..decided]);
                            return Searched { end: decided, is_changed };
                        }
                    }
                }
            }
        }
        Searched { end: at, is_changed }
    }

    /// Collects the matches in their order, apart from each other, up to the place that is given back. Where something
    /// begins that goes on behind the window, the search ends there, and that is `begun`.
    fn collect(
        &self,
        text: &[u8],
        from: usize,
        is_last: bool,
        hits: &mut Hits,
        matches: &mut Vec<FoundSpan>,
        begun: &mut Option<(usize, OpenEnd)>,
    ) -> usize {
        let mut decided = text.len();
        if !is_last {
            decided = self.anchors.perhaps(text, from, |at| begins_word(text, at)).unwrap_or(decided);
        }
        let mut masked_to = from;
        let mut known = KnownEnds::default();
        'hits: for hit in hits {
            if hit.start < masked_to || hit.start >= decided {
                continue;
            }
            for rule in &self.rules_of[hit.anchor] {
                match self.try_rule(*rule, hit, text, is_last, &mut known) {
                    Tried::No => {}
                    Tried::Undecided => {
                        decided = hit.start;
                        break 'hits;
                    }
                    Tried::Found(found) => {
                        masked_to = found.end;
                        matches.push(found);
                        break;
                    }
                    Tried::Beyond(found) => {
                        matches.push(found);
                        *begun = Some((found.end, OpenEnd::Token));
                        decided = found.end;
                        break 'hits;
                    }
                    Tried::Block { line_end } => {
                        *begun = Some((hit.start, OpenEnd::Block { line_end }));
                        decided = hit.start;
                        break 'hits;
                    }
                }
            }
        }
        let lines_to = decided;
        let mut others = Vec::new();
        // Where something begins that goes on, the rest is searched after it.
        let (text, is_last) = if begun.is_some() { (&text[..decided], true) } else { (text, is_last) };
        decided = decided.min(self.collect_discord(text, from, is_last, &mut others));
        let own = self.own.collect(text, from, is_last, |start, end, number| {
            others.push(FoundSpan { start, end, is_number: false, rule: self.rules.len() + 1 + number });
        });
        decided = decided.min(own);
        matches.extend(others.into_iter().filter(|found| found.start < lines_to));
        settle(matches, &mut decided);
        decided
    }

    fn try_rule(&self, number: usize, hit: Hit, text: &[u8], is_last: bool, known: &mut KnownEnds) -> Tried {
        let rule = &self.rules[number];
        let (regex, start) = match &rule.kind {
            RuleKind::Block => return try_block(text, hit.start, number, is_last),
            RuleKind::Text(regex) => (regex, hit.start),
            RuleKind::Field(regex) => (regex, hit.end),
            RuleKind::WebToken if !begins_word(text, hit.start) => return Tried::No,
            RuleKind::WebToken => {
                let found = |end| FoundSpan { start: hit.start, end, is_number: false, rule: number };
                return match known.runs.token_at(text, hit.start, is_last) {
                    WebToken::No => Tried::No,
                    WebToken::Undecided => Tried::Undecided,
                    WebToken::Until(end) => Tried::Found(found(end)),
                    WebToken::Beyond(end) => Tried::Beyond(found(end)),
                };
            }
        };
        if !begins_word(text, hit.start) {
            return Tried::No;
        }
        let Some((line, is_whole)) = known.lines.line_from(text, start, is_last) else {
            return Tried::Undecided;
        };
        let Some(captures) = regex.get().and_then(|regex| regex.captures(line)) else { return Tried::No };
        let (group, is_number) = match captures.name("n") {
            Some(number) => (Some(number), true),
            None => (["s", "t", "u"].iter().find_map(|name| captures.name(name)), false),
        };
        let Some(found) = group.or(captures.get(0)) else { return Tried::No };
        let is_masked = found.as_bytes().iter().all(|byte| *byte == b'*');
        if is_masked || !rule.plausible.takes(found.as_bytes()) {
            return Tried::No;
        }
        let reaches_over = !is_whole && found.end() == line.len();
        let (start, end) = (start + found.start(), start + found.end());
        let found = FoundSpan { start, end, is_number, rule: number };
        if reaches_over { Tried::Beyond(found) } else { Tried::Found(found) }
    }

    /// Tokens that no text of their own begins.
    fn collect_discord(&self, text: &[u8], from: usize, is_last: bool, found: &mut Vec<FoundSpan>) -> usize {
        let Some(regex) = self.discord.as_ref().and_then(LazyRegex::get) else { return text.len() };
        let begins = |at: usize| begins_word(text, at);
        for one in regex.find_iter(&text[from..]) {
            let (start, end) = (from + one.start(), from + one.end());
            if begins(start) {
                found.push(FoundSpan { start, end, is_number: false, rule: self.rules.len() });
            }
        }
        if is_last {
            return text.len();
        }
        let first = text.len().saturating_sub(DISCORD_BYTES_MAX).max(from);
        let is_of_run = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let run = text[first..].iter().rev().take_while(|byte| is_of_run(byte)).count();
        let open = (text.len() - run..text.len()).find(|at| matches!(text[*at], b'M' | b'N') && begins(*at));
        open.unwrap_or(text.len())
    }
}

/// What begins and goes on behind what was looked at.
#[derive(Debug, Clone, Copy)]
enum OpenEnd {
    Token,
    Block { line_end: usize },
}

fn field_rule<'a>(keys: impl Iterator<Item = &'a str>, expression: &str) -> Option<Rule> {
    let anchors: Vec<String> = keys.flat_map(spellings).collect();
    (!anchors.is_empty()).then(|| Rule {
        name: NAMED_FIELD.to_owned(),
        kind: RuleKind::Field(LazyRegex::new(expression, true)),
        plausible: Plausible::Always,
        anchors,
    })
}

fn try_block(text: &[u8], start: usize, rule: usize, is_last: bool) -> Tried {
    let Some((line, _)) = line_from(text, start, is_last) else { return Tried::Undecided };
    let Some(mark) = key_block::after_begin(line) else { return Tried::No };
    let rest = &line[mark..];
    let length = key_block::after_end(rest).unwrap_or_else(|| key_block::run(rest));
    if length > 0 {
        let end = start + mark + length;
        return Tried::Found(FoundSpan { start, end, is_number: false, rule });
    }
    let line_end = start + line.len();
    let is_bare = rest.iter().all(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'\\'));
    if !is_bare {
        return Tried::No;
    }
    if text.get(line_end) != Some(&b'\n') {
        return Tried::No;
    }
    // PGP has an empty line before the key.
    let mut at = line_end + 1;
    for _blank in 0..=BLANK_LINES_MAX {
        let Some((next, _)) = line_from(text, at, is_last) else { return Tried::Undecided };
        if key_block::is_first(next) {
            return Tried::Block { line_end };
        }
        at += next.len() + 1;
        if !next.iter().all(u8::is_ascii_whitespace) || at > text.len() {
            return Tried::No;
        }
    }
    Tried::No
}

/// The next line of a block, from the line end before it: up to where it is the block's, and what follows.
fn block_line(text: &[u8], at: usize, so_far: BlockSoFar, is_last: bool) -> (usize, Within) {
    let BlockSoFar { bytes, words } = so_far;
    let Some((line, _)) = line_from(text, at + 1, is_last) else { return (at, Within::Block(so_far)) };
    if let Some(end) = key_block::after_end(line) {
        return (at + 1 + end, Within::Text);
    }
    let Some(body) = key_block::body(line, words).filter(|_| bytes <= BLOCK_BYTES_MAX) else {
        return (at, Within::Text);
    };
    let end = at + 1 + line.len();
    match text.get(end) {
        None | Some(b'\n') => {
            let words = if words == 0 { body } else { words };
            (end, Within::Block(BlockSoFar { bytes: bytes + line.len() + 1, words }))
        }
        Some(_) => (end, Within::Token),
    }
}

/// Puts matches in order; those that overlap become one. What crosses `decided` waits.
fn settle(matches: &mut Vec<FoundSpan>, decided: &mut usize) {
    matches.sort_by_key(|found| found.start);
    let mut settled: Vec<FoundSpan> = Vec::with_capacity(matches.len());
    for found in matches.drain(..) {
        match settled.last_mut() {
            Some(last) if found.start < last.end => {
                last.end = last.end.max(found.end);
                last.is_number &= found.is_number;
            }
            _apart => settled.push(found),
        }
    }
    if let Some(crossing) = settled.iter().find(|found| found.start < *decided && found.end > *decided) {
        *decided = crossing.start;
    }
    settled.retain(|found| found.end <= *decided);
    *matches = settled;
}
