//! Lines that several verbs print: causes, what was used up, what is different, notices, what came of a delivery or a schedule.

pub(super) mod account_text;
pub(super) mod cause_text;
pub(super) mod difference_text;
pub(super) mod notice_text;
pub(super) mod outcome_text;
