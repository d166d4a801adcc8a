//! The read model `inbox`: what people are asked to do. Open approvals and questions, blocked steps, work that a budget
//! holds; now or at a past position.
//!
//! Law: a task is numbered when it is opened and keeps every form that it had, so that what was open at a position is
//! found without folding anything.
//!
//! [`task`] is a task, [`fold`] says which event does what to it, [`task_list`] keeps the tasks, [`task_history`] how they are
//! stored, [`view`] answers queries.

mod fold;
mod reminders;
mod task;
mod task_history;
mod task_list;
mod view;

pub use fold::InboxModel;
pub(crate) use task::vote_word;
pub use task::{Remark, Task, TaskKind, TaskName, TaskNameError};
pub use view::{InboxView, TaskPage};
