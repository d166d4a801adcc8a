//! A run as answers show it. The command line reads the same documents back and prints them.

mod account;
mod awaits;
mod budget;
mod effects;
mod event_line;
mod failure;
mod next_steps;
mod notice;
mod pause;
mod run;
mod run_details;
mod seen;
mod step;
mod stored_value;

pub use account::{RouteView, StepUsageView, WarningView};
pub use awaits::AwaitView;
pub use budget::{AmountsView, BudgetStatus, UsageView};
pub(crate) use budget::{budget_summary, budget_view, usd};
pub use effects::{EffectsView, HeldBackView};
pub(crate) use event_line::{ShownEvent, answer_line, event_detail};
pub use failure::FailureView;
pub(crate) use next_steps::{answer_words, next_lines, next_steps};
pub use notice::OutstandingNotice;
pub use pause::PauseView;
pub use run::{CancelView, ParentView, RunView};
pub use seen::{KeptVoteView, SeenPartView, SeenView};
pub use step::{GateView, ItemsView, ProgressItemView, ProgressView, StepPhase, StepView, is_in_workspace};
pub(crate) use step::{agent_in_flight, model_of};
pub use stored_value::{small, whole};
