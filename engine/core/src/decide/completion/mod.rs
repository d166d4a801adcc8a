//! What follows where work of a step has ended: the step succeeds or fails, is tried again, is blocked,
//! or a route is taken.

mod refused;
mod retry;
mod retry_refused;
mod settle;

pub(super) use settle::settle;
