//! A task as the inbox lists it: one thing that a person is asked.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::frame::{Frame, OwnRuns, Visit, Who, with_query};
use crate::problem::Problem;

/// One open task.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Task {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) run: String,
    pub(crate) short_id: String,
    pub(crate) pipeline: String,
    pub(crate) run_title: Option<String>,
    pub(crate) step: String,
    pub(crate) round: u32,
    #[serde(flatten)]
    pub(crate) asks: Asks,
    pub(crate) since: String,
    pub(crate) expires_at: Option<String>,
    #[serde(default)]
    pub(crate) reminded: u32,
    #[serde(default)]
    pub(crate) remind_at: Option<String>,
    pub(crate) position: u64,
    /// What the list says of it beside who decides.
    #[serde(skip)]
    pub(crate) stand: Stand,
}

/// How a caller who has the role for a task stands to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stand {
    /// It waits for them, if they have the role.
    #[default]
    Asked,
    /// They voted already, and may vote otherwise while it is open.
    Voted,
    /// They started its run, and whoever starts such a run does not decide it.
    Starter,
}

/// What is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Asks {
    Approval {
        title: String,
        #[serde(default)]
        show: Value,
        #[serde(default)]
        seen: Option<Seen>,
        #[serde(default)]
        value: Value,
        terms: ApprovalTerms,
        #[serde(default)]
        votes: BTreeMap<String, String>,
        #[serde(default)]
        comments: Vec<Remark>,
    },
    Question {
        title: String,
        #[serde(default)]
        text: Value,
        terms: QuestionTerms,
        #[serde(default)]
        draft: Value,
        #[serde(default)]
        saved_by: Option<String>,
    },
    Blocked {
        message: String,
        #[serde(default)]
        reason: Value,
    },
    Budget {
        budget: String,
        message: String,
        #[serde(default)]
        until: Option<String>,
    },
}

/// The hashes of what an approval shows.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Seen {
    pub(crate) digest: String,
    pub(crate) parts: Vec<SeenPart>,
    pub(crate) kept: Vec<KeptVote>,
}

/// One thing that is shown, by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SeenPart {
    pub(crate) kind: String,
    pub(crate) what: String,
    pub(crate) hash: Option<String>,
}

/// A vote of a former round that counts on.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct KeptVote {
    pub(crate) by: String,
    pub(crate) round: u32,
}

/// Who may vote, and what decides.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct ApprovalTerms {
    pub(crate) roles: Vec<String>,
    pub(crate) quorum: u32,
    pub(crate) veto: bool,
    pub(crate) self_approval: bool,
    pub(crate) comment: Vec<String>,
    pub(crate) changes: bool,
}

impl Default for ApprovalTerms {
    fn default() -> Self {
        Self {
            roles: Vec::new(),
            quorum: 1,
            veto: true,
            self_approval: true,
            comment: Vec::new(),
            changes: false,
        }
    }
}

/// Who may answer, and what.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct QuestionTerms {
    pub(crate) options: Vec<String>,
    pub(crate) items: Option<Vec<QuestionItem>>,
    pub(crate) roles: Vec<String>,
}

/// A part of a question.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct QuestionItem {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) options: Vec<String>,
    pub(crate) optional: bool,
}

/// What somebody said to a place of what is shown, or to all of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Remark {
    pub(crate) by: Option<String>,
    pub(crate) on: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) quote: Option<String>,
    pub(crate) text: String,
}

impl Task {
    /// What is asked, in one line.
    pub(crate) fn title(&self) -> &str {
        match &self.asks {
            Asks::Approval { title, .. } | Asks::Question { title, .. } => title,
            Asks::Blocked { message, .. } | Asks::Budget { message, .. } => message,
        }
    }

    /// What kind of task it is.
    pub(crate) fn kind_word(&self) -> &'static str {
        match &self.asks {
            Asks::Approval { .. } => "approval",
            Asks::Question { .. } => "question",
            Asks::Blocked { .. } => "blocked",
            Asks::Budget { .. } => "budget",
        }
    }

    /// Its sign, beside the word.
    pub(crate) fn glyph(&self) -> &'static str {
        match &self.asks {
            Asks::Approval { .. } => "◇",
            Asks::Question { .. } => "?",
            Asks::Blocked { .. } => "◆",
            Asks::Budget { .. } => "◎",
        }
    }

    /// What stands before the time since which it waits.
    pub(crate) fn since_word(&self) -> &'static str {
        match &self.asks {
            Asks::Approval { .. } | Asks::Question { .. } => "asked",
            Asks::Blocked { .. } => "blocked",
            Asks::Budget { .. } => "held",
        }
    }

    /// The run's title, or its pipeline.
    pub(crate) fn run_name(&self) -> &str {
        self.run_title.as_deref().unwrap_or(&self.pipeline)
    }

    /// The roles that may decide; empty: anyone.
    pub(crate) fn roles(&self) -> &[String] {
        match &self.asks {
            Asks::Approval { terms, .. } => &terms.roles,
            Asks::Question { terms, .. } => &terms.roles,
            Asks::Blocked { .. } | Asks::Budget { .. } => &[],
        }
    }

    /// Whether it says that whoever started its run does not decide it.
    pub(crate) fn excludes_starter(&self) -> bool {
        matches!(&self.asks, Asks::Approval { terms, .. } if !terms.self_approval)
    }

    /// The vote of a caller: `approve`, `reject` or `changes`.
    pub(crate) fn vote_of(&self, who: &Who) -> Option<&str> {
        match &self.asks {
            Asks::Approval { votes, .. } => votes.get(&who.actor).map(String::as_str),
            _ => None,
        }
    }

    /// How many approvals are needed more, where there are several: `1 more approval is needed`.
    pub(crate) fn lacking(&self) -> Option<String> {
        let Asks::Approval { terms, votes, .. } = &self.asks else { return None };
        let given = votes.values().filter(|vote| vote.as_str() == "approve").count();
        match (terms.quorum as usize).saturating_sub(given) {
            0 => None,
            1 => Some("1 more approval is needed".to_owned()),
            more => Some(format!("{more} more approvals are needed")),
        }
    }

    /// The caller's vote and what is lacking, in words: `you approved; 1 more approval is needed`.
    pub(crate) fn own_vote_words(&self, who: &Who) -> Option<String> {
        let said = match self.vote_of(who)? {
            "approve" => "you approved",
            "reject" => "you rejected",
            _ => "you asked for changes",
        };
        Some(self.lacking().map_or_else(|| said.to_owned(), |lacking| format!("{said}; {lacking}")))
    }

    /// What the list of those that others decide says of it.
    pub(crate) fn others_words(&self, who: &Who) -> String {
        match (self.stand, self.own_vote_words(who)) {
            (Stand::Voted, Some(words)) => words,
            (Stand::Starter, _) => "you started it; somebody else decides this".to_owned(),
            _ => format!("{} decides this", self.deciders()),
        }
    }

    /// The stand of a caller, who started these runs.
    fn stand_of(&self, who: &Who, own: &OwnRuns) -> Stand {
        if self.excludes_starter() && own.has(&self.run) {
            Stand::Starter
        } else if self.vote_of(who).is_some() {
            Stand::Voted
        } else {
            Stand::Asked
        }
    }

    /// Whether it waits for a caller who has not voted, and may.
    pub(crate) fn waits_for(&self, who: &Who) -> bool {
        self.stand == Stand::Asked && self.is_for(who)
    }

    /// Whether a caller has the role to decide it.
    pub(crate) fn is_for(&self, who: &Who) -> bool {
        who.decides(matches!(self.asks, Asks::Blocked { .. } | Asks::Budget { .. }), self.roles())
    }

    /// Who decides it, in words: `release`, `product or security`, `an operator`.
    pub(crate) fn deciders(&self) -> String {
        match (&self.asks, self.roles()) {
            (Asks::Blocked { .. } | Asks::Budget { .. }, _) => "an operator".to_owned(),
            (_, []) => "every approver".to_owned(),
            (_, roles) => roles.join(" or "),
        }
    }

    /// The step or item that asks, with its round from the second on: `review.eu`, `review.eu, round 2`.
    pub(crate) fn step_words(&self) -> String {
        let step = crate::visible::visible(&self.step).into_owned();
        match self.round {
            0 | 1 => step,
            round => format!("{step}, round {round}"),
        }
    }

    /// The page of the task.
    pub(crate) fn path(&self) -> String {
        path_of(&self.id)
    }

    /// The page of its run.
    pub(crate) fn run_path(&self) -> String {
        format!("/runs/{}", self.short_id)
    }

    /// The run's page with its step selected.
    pub(crate) fn step_path(&self) -> String {
        with_query(&self.run_path(), "step", &self.step)
    }

    /// A name for elements, without what ids must not hold.
    pub(crate) fn element(&self) -> String {
        format!("task-{}", self.id.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
    }
}

/// The page of a task, by its id.
pub(crate) fn path_of(id: &str) -> String {
    format!("/inbox/{}", crate::words::encoded(id))
}

/// A part of what is open, apart by who decides it.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskList {
    /// What waits for the caller, oldest first.
    pub(crate) mine: Vec<Task>,
    /// What others decide, oldest first.
    pub(crate) others: Vec<Task>,
    /// Where this part of the list begins; none: at the oldest.
    pub(crate) cursor: Option<String>,
    /// Where the list goes on.
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct TaskPage {
    items: Vec<Task>,
    next_cursor: Option<String>,
}

/// Tasks in one list.
const TASKS_MAX: usize = 100;

impl TaskList {
    /// Reads a part of the list at the moment that the page shows.
    pub(crate) async fn load(visit: &Visit, cursor: Option<&str>) -> Result<Self, Problem> {
        let mut path = visit.at_moment(&format!("/inbox?limit={TASKS_MAX}"));
        if let Some(cursor) = cursor {
            path = with_query(&path, "cursor", cursor);
        }
        let mut page: TaskPage = visit.rest.get(&path).await?;
        let is_asked = |task: &Task| task.excludes_starter() && task.is_for(&visit.who);
        let own = match page.items.iter().any(is_asked) {
            true => OwnRuns::load(&visit.rest, &visit.who, visit.at.as_deref()).await,
            false => OwnRuns::default(),
        };
        for task in &mut page.items {
            task.stand = task.stand_of(&visit.who, &own);
        }
        let (mine, others) = page.items.into_iter().partition(|task| task.waits_for(&visit.who));
        Ok(Self { mine, others, cursor: cursor.map(str::to_owned), next: page.next_cursor })
    }

    /// An open task of it.
    pub(crate) fn get(&self, id: &str) -> Option<&Task> {
        self.mine.iter().chain(&self.others).find(|task| task.id == id)
    }

    /// What is to be decided behind a place of the log, else the first.
    pub(crate) fn next_behind(&self, position: u64, but: &str) -> Option<&Task> {
        let mut rest = self.mine.iter().filter(|task| task.id != but);
        rest.clone().find(|task| task.position > position).or_else(|| rest.next())
    }

    /// The headline.
    pub(crate) fn headline(&self, frame: &Frame) -> String {
        let is_part = self.next.is_some() || self.cursor.is_some();
        if is_part && frame.is_now() && frame.waiting > 0 {
            // The list is a part; the number is of all, as in the navigation.
            return match frame.waiting {
                1 => "1 waits for you".to_owned(),
                count => format!("{count} wait for you"),
            };
        }
        let more = if self.next.is_some() { "+" } else { "" };
        match (self.mine.len(), frame.is_now()) {
            (0, true) if is_part => "None of these waits for you".to_owned(),
            (0, true) => "Nothing waits for you".to_owned(),
            (0, false) => "Nothing waited for you".to_owned(),
            (1, true) => format!("1{more} waits for you"),
            (count, true) => format!("{count}{more} wait for you"),
            (count, false) => format!("{count}{more} waited for you"),
        }
    }
}

/// One open task by its id, however long the list is.
pub(crate) async fn find(visit: &Visit, id: &str) -> Result<Option<Task>, Problem> {
    let run = id.split(':').next().unwrap_or_default();
    if run.is_empty() || !run.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return Ok(None);
    }
    let path = visit.at_moment(&format!("/inbox?limit=1000&run={run}"));
    let page: TaskPage = match visit.rest.get(&path).await {
        Ok(page) => page,
        Err(problem) if problem.status == 404 => return Ok(None),
        Err(problem) => return Err(problem),
    };
    let is_meant = |task: &Task| task.id == id || !id.contains(':');
    Ok(page.items.into_iter().find(is_meant))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::frame::own_runs;

    fn task(kind: Value) -> Task {
        let mut task = json!({
            "id": "3b2cabce:sign.a/b:1", "short_id": "3b2cabce", "pipeline": "p", "run_title": null, "step": "sign",
            "round": 1, "since": "2026-11-20T18:20:09.603Z", "expires_at": null, "position": 1,
        });
        for (name, value) in kind.as_object().into_iter().flatten() {
            task[name] = value.clone();
        }
        Task::deserialize(task).expect("the task is whole")
    }

    fn who(role: &str, approves: Value) -> Who {
        serde_json::from_value(json!({
            "actor": "token:x", "role": role, "approves": approves, "expires_at": null, "csrf": null,
        }))
        .expect("the caller is whole")
    }

    #[test]
    fn a_task_waits_for_those_who_may_decide_it() {
        let of_release = task(json!({"kind": "approval", "title": "Ship?", "terms": {"roles": ["release"]}}));
        assert!(of_release.is_for(&who("admin", Value::Null)));
        assert!(of_release.is_for(&who("approver", json!(["release"]))));
        assert!(!of_release.is_for(&who("approver", json!(["product"]))));
        assert!(!of_release.is_for(&who("viewer", json!(["release"]))));
        let blocked = task(json!({"kind": "blocked", "message": "exit 3"}));
        assert!(blocked.is_for(&who("operator", json!([]))));
        assert!(!blocked.is_for(&who("approver", json!([]))));
    }

    #[test]
    fn a_vote_that_does_not_suffice_waits_for_others() {
        let open = json!({"kind": "approval", "title": "Ship?", "terms": {"quorum": 2}, "votes": {"token:x": "approve"}});
        let open = task(open);
        let (voter, other) =
            (who("approver", Value::Null), Who { actor: "token:y".into(), ..who("admin", Value::Null) });
        assert_eq!(open.stand_of(&voter, &OwnRuns::default()), Stand::Voted);
        assert_eq!(open.stand_of(&other, &OwnRuns::default()), Stand::Asked);
        let open = Task { stand: Stand::Voted, ..open };
        assert!(!open.waits_for(&voter));
        assert_eq!(open.others_words(&voter), "you approved; 1 more approval is needed");
    }

    #[test]
    fn a_question_that_its_starter_must_not_decide_waits_for_others() {
        let open = task(
            json!({"kind": "approval", "title": "Ship?", "run": "a", "terms": {"self_approval": false}}),
        );
        assert_eq!(open.stand_of(&who("admin", Value::Null), &own_runs(&["a"])), Stand::Starter);
        assert_eq!(open.stand_of(&who("admin", Value::Null), &own_runs(&["b"])), Stand::Asked);
        let free = task(json!({"kind": "approval", "title": "Ship?", "run": "a", "terms": {}}));
        assert_eq!(free.stand_of(&who("admin", Value::Null), &own_runs(&["a"])), Stand::Asked);
    }

    #[test]
    fn the_address_of_a_task_holds_one_segment() {
        assert_eq!(path_of("3b2cabce:sign.a/b c:1"), "/inbox/3b2cabce:sign.a%2Fb%20c:1");
    }
}
