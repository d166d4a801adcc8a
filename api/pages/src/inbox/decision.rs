//! What a person says to a question, and where that leads.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::decide::{self, Then};
use super::draft::Draft;
use super::page::{self, InboxPage, Opened};
use super::task::{self, Task, TaskList, path_of};
use crate::form::Fields;
use crate::frame::{Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;

/// `POST /inbox/{task}`: says something to it, and goes on to the next one. What is refused is shown above the form, with
/// what was typed.
pub(super) async fn decided(
    visit: Visit,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    let Some(task) = task::find(&visit, &id).await?.filter(|task| task.id == id) else {
        let list = TaskList::load(&visit, None).await?;
        let opened = page::gone(&visit, &id).await?;
        if matches!(&opened, Opened::Gone(gone) if gone.is_repeat(&visit, &fields)) {
            // The answer of the first time was lost on its way.
            return Ok(Redirect::to(&with_query("/inbox", "former", &id)).into_response());
        }
        let opened = opened.with_draft(Draft::refused(&fields, None));
        let mut page = InboxPage::new(&visit, list, opened, None).await?;
        // Fetched again, the page would lose what was typed.
        page.frame.live = false;
        return Ok((StatusCode::CONFLICT, Html(page)).into_response());
    };
    match decide::send(&visit, &task, &fields).await {
        Ok(order) => {
            let list = TaskList::load(&visit, None).await?;
            let path = match order.then {
                Then::SameTask => task.path(),
                // What is asked anew is a task of its own.
                Then::SameRun => path_of(&task.short_id),
                Then::Next => {
                    list.next_behind(task.position, &task.id).map_or_else(|| "/inbox".to_owned(), Task::path)
                }
            };
            Ok(Redirect::to(&with_query(&path, "former", &task.id)).into_response())
        }
        Err(problem) if problem.is_unknown_caller() => Err(problem),
        Err(problem) => refused(&visit, &id, &fields, problem).await,
    }
}

/// The task as it stands now, with why it was refused, and with what was typed.
async fn refused(visit: &Visit, id: &str, fields: &Fields, problem: Problem) -> Result<Response, Problem> {
    let status = problem.status();
    let list = TaskList::load(visit, None).await?;
    let draft = Draft::refused(fields, Some(problem));
    let opened = match task::find(visit, id).await?.filter(|task| task.id == id) {
        Some(task) => page::opened(visit, task, draft).await?,
        None => page::gone(visit, id).await?.with_draft(draft),
    };
    let mut page = InboxPage::new(visit, list, opened, None).await?;
    // Fetched again, the page would lose why it was refused.
    page.frame.live = false;
    Ok((status, Html(page)).into_response())
}
