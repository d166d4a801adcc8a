//! The notices of a run as lines of its text.

use owo_colors::OwoColorize as _;

use crate::node::NoticeStatus;
use crate::text::{cut, instant};
use crate::view::RunView;

/// What a run has yet to tell and what it gave up, as lines behind an answer.
pub(in crate::cli) fn notice_lines(view: &RunView) -> Vec<String> {
    if view.notices_outstanding == 0 && view.notices_given_up.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), "notices".bold().to_string()];
    for one in &view.notices {
        let tries = match one.tries {
            0 => "not sent yet".to_owned(),
            tries => format!("not sent after {}", tries_of(tries)),
        };
        let waits = if one.waits { ", waits for its receiver" } else { "" };
        let next = one.next_try_at.map(|at| format!(", next at {}", instant(at))).unwrap_or_default();
        let why = one.failing.as_ref().map(|why| format!(": {}", cut(why, 200))).unwrap_or_default();
        lines.push(format!("  {} of event {}: {tries}{waits}{next}{why}", one.notice, one.version));
    }
    let more = view.notices_outstanding.saturating_sub(view.notices.len());
    if more > 0 {
        lines.push(format!("  and {more} more that are not sent yet"));
    }
    for one in &view.notices_given_up {
        let tries = tries_of(one.tries);
        let now = if one.status == NoticeStatus::Retrying { ", being sent again" } else { "" };
        lines.push(format!(
            "  {} of event {}: given up after {tries}{now}: {}",
            one.notice,
            one.version,
            cut(&one.message, 200)
        ));
    }
    lines
}

fn tries_of(number: u32) -> String {
    if number == 1 { "1 try".to_owned() } else { format!("{number} tries") }
}
