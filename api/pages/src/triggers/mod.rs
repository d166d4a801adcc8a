//! `/schedules` and `/hooks`: what starts runs by itself.

mod hooks;
mod outcome;
mod routes;
mod schedule_form;
mod schedule_view;
mod schedules;

pub(crate) use routes::routes;
pub(crate) use schedule_view::ScheduleView;
