//! The frame of one page: its title, its place in the navigation, its caller, and the shown moment.

use askama::Template;

use super::address::{is_position, with_query};
use super::caller::{CallerRole, Who};

/// The places of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NavPlace {
    /// `/`
    Board,
    /// `/inbox`
    Inbox,
    /// `/pipelines`
    Pipelines,
    /// `/audit`
    Audit,
    /// `/insights`
    Insights,
    /// `/spend`
    Spend,
    /// `/system`
    System,
    /// Below a run, or none of these.
    Elsewhere,
}

/// What stands around a page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The page's title, in the tab.
    pub title: String,
    /// Where in the navigation the page is.
    pub place: NavPlace,
    /// Who looks.
    pub who: Who,
    /// The moment that is shown, as the address says it; none: now.
    pub at: Option<String>,
    /// The time to which ages count: that of the moment, or now where the moment is to come; none: now, or nothing says it.
    pub then: Option<String>,
    /// The page's own address, with its query.
    pub here: String,
    /// How many tasks wait for the caller.
    pub waiting: u64,
    /// The run of which changes are followed; none: every run. Only where `live`.
    pub follows: Option<String>,
    /// Whether the page is fetched again when something changes.
    pub live: bool,
}

/// What stands above the content of each page: the places, the search, the shown moment, who is there.
#[derive(Template)]
#[template(path = "frame_top.html")]
pub(crate) struct FrameTop<'a> {
    frame: &'a Frame,
}

impl Frame {
    /// The top of the page.
    pub(crate) fn top(&self) -> FrameTop<'_> {
        FrameTop { frame: self }
    }

    /// The hash in the addresses of assets.
    #[must_use]
    pub fn assets(&self) -> &'static str {
        crate::assets::hash()
    }

    /// An address that keeps the shown moment.
    #[must_use]
    pub fn to(&self, path: impl AsRef<str>) -> String {
        let path = path.as_ref();
        match &self.at {
            Some(at) => with_query(path, "at", at),
            None => path.to_owned(),
        }
    }

    /// This page at another moment; an empty one: now.
    #[must_use]
    pub fn here_at(&self, at: &str) -> String {
        let (path, query) = self.here.split_once('?').unwrap_or((&self.here, ""));
        let mut kept = form_urlencoded::Serializer::new(String::new());
        let pairs = form_urlencoded::parse(query.as_bytes());
        for (name, value) in pairs.filter(|(name, _)| name != "at" && name != "done") {
            kept.append_pair(&name, &value);
        }
        if !at.is_empty() {
            kept.append_pair("at", at);
        }
        match kept.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// What was done on the page before, as the address says it by a fixed word.
    #[must_use]
    pub fn done(&self) -> Option<&'static str> {
        let (_, query) = self.here.split_once('?')?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let (_, word) = pairs.find(|(name, _)| name == "done")?;
        crate::actions::done_sentence(&word).or_else(|| crate::system::done_sentence(&word))
    }

    /// The secret of this session that every form carries; empty where the caller came without one.
    #[must_use]
    pub fn csrf(&self) -> &str {
        self.who.csrf.as_deref().unwrap_or_default()
    }

    /// A key by which a form that is sent twice does one thing: hard to guess, and never the same.
    #[must_use]
    pub fn once(&self) -> String {
        format!("{:032x}", rand::random::<u128>())
    }

    /// Whether the shown moment is a position of the log, not a time.
    #[must_use]
    pub fn is_at_position(&self) -> bool {
        self.at.as_deref().is_some_and(is_position)
    }

    /// Whether the page shows now.
    #[must_use]
    pub fn is_now(&self) -> bool {
        self.at.is_none()
    }

    /// Whether the shown moment is still to come.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        let at = self.at.as_deref().filter(|at| !is_position(at)).and_then(crate::words::millis);
        at.is_some_and(|at| at > crate::words::now_millis())
    }

    /// The time of the shown moment, as it was asked for; none: now, or nothing says it.
    #[must_use]
    pub fn moment(&self) -> Option<&str> {
        if self.is_ahead() { self.at.as_deref() } else { self.then.as_deref() }
    }

    /// The icon of the browser's tab. It shows the state that the title begins with; without one, whether tasks wait
    /// for the caller.
    #[must_use]
    pub fn icon(&self) -> &'static str {
        const STATES: [(&[&str], &str); 5] = [
            (&["failed"], "icon-bad"),
            (&["blocked", "waiting"], "icon-waiting"),
            (&["running", "stopping"], "icon-running"),
            (&["succeeded"], "icon-good"),
            (&["paused", "queued", "cancelled"], "icon-still"),
        ];
        let sign = self.title.split_once(' ').map_or("", |(sign, _)| sign);
        let is_of = |state: &&str| crate::words::glyph(state) == sign;
        let shown = STATES.iter().find(|(states, _)| states.iter().any(is_of)).map(|(_, icon)| *icon);
        shown.unwrap_or(if self.waiting > 0 { "icon-waiting" } else { "icon" })
    }

    /// Whether the caller may read what is not about themselves: a worker's token may not.
    #[must_use]
    pub fn may_read(&self) -> bool {
        self.who.role.is_some_and(|role| role != CallerRole::Worker)
    }

    /// Whether the caller may start and steer runs, on a page that shows now.
    #[must_use]
    pub fn may_operate(&self) -> bool {
        self.is_now() && matches!(self.who.role, Some(CallerRole::Operator | CallerRole::Admin))
    }

    /// Whether the caller may decide tasks, on a page that shows now; which tasks, their own roles say.
    #[must_use]
    pub fn may_decide(&self) -> bool {
        self.is_now()
            && matches!(self.who.role, Some(CallerRole::Approver | CallerRole::Operator | CallerRole::Admin))
    }

    /// Whether the caller may do everything, on a page that shows now.
    #[must_use]
    pub fn may_administer(&self) -> bool {
        self.is_now() && self.who.role == Some(CallerRole::Admin)
    }

    /// The caller's name without its kind.
    #[must_use]
    pub fn name(&self) -> &str {
        self.who.actor.split_once(':').map_or(&self.who.actor, |(_, name)| name)
    }

    /// The areas of style that the page is of, by its address.
    #[must_use]
    pub fn areas(&self) -> &'static str {
        let path = self.here.split_once('?').map_or(self.here.as_str(), |(path, _)| path);
        let mut parts = path.trim_start_matches('/').split('/');
        match (parts.next().unwrap_or_default(), parts.next(), parts.next()) {
            ("runs", Some(_), Some("debug" | "compare")) => "run debugger",
            ("runs", Some(_), Some("act")) => "run",
            ("runs", Some(_), _) => "run tabs",
            ("compare", ..) => "debugger",
            ("inbox", ..) => "inbox",
            ("audit", ..) => "audit",
            ("pipelines" | "start" | "schedules" | "hooks", ..) => "pipelines",
            ("spend" | "system" | "insights", ..) => "system",
            _ => "board",
        }
    }

    /// The text of the browser's tab.
    #[must_use]
    pub fn tab(&self) -> String {
        let title = crate::visible::visible(&self.title);
        match self.waiting {
            0 => format!("{title} · Everfold"),
            count => format!("({count}) {title} · Everfold"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(title: &str, waiting: u64) -> Frame {
        let who = Who { actor: "user:ada".into(), role: None, approves: None, expires_at: None, csrf: None };
        Frame {
            title: title.into(),
            place: NavPlace::Elsewhere,
            who,
            at: None,
            then: None,
            here: "/".into(),
            waiting,
            follows: None,
            live: true,
        }
    }

    #[test]
    fn the_icon_shows_the_state_of_the_title_else_that_something_waits() {
        let icon = |title, waiting| frame(title, waiting).icon();
        assert_eq!(icon("✕ Greet Ada · 1a2b", 3), "icon-bad");
        assert_eq!(icon("◷ Greet Ada · 1a2b", 0), "icon-waiting");
        assert_eq!(icon("✓ Greet Ada · 1a2b", 0), "icon-good");
        assert_eq!(icon("Board", 2), "icon-waiting");
        assert_eq!(icon("Board", 0), "icon");
    }

    #[test]
    fn a_moment_that_is_to_come_is_known() {
        let at = |at: &str| Frame {
            at: Some(at.into()),
            then: Some("2020-01-02T00:00:00Z".into()),
            ..frame("Board", 0)
        };
        let ahead = |text: &str| at(text).is_ahead();
        assert!(ahead("2999-01-01T00:00:00Z") && !ahead("2020-01-01T00:00:00Z") && !ahead("400"));
        // The band names the moment that was asked for; ages count to another.
        assert_eq!(at("2999-01-01T00:00:00Z").moment(), Some("2999-01-01T00:00:00Z"));
        assert_eq!(at("400").moment(), Some("2020-01-02T00:00:00Z"));
    }
}
