//! Lines that several verbs print: causes, items, what was used up, what is different, notices, what came of a delivery or a schedule, commands of hints.

pub(super) mod account_text;
pub(super) mod cause_text;
pub(super) mod difference_text;
pub(super) mod hint_commands;
pub(super) mod item_lines;
pub(super) mod notice_text;
pub(super) mod outcome_text;
