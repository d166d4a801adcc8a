//! The inbox is opened here: at the oldest question, or at one that is named.

use axum::extract::{Path, Query};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::draft::Draft;
use super::page::{self, InboxPage, Opened};
use super::task::{self, Task, TaskList};
use crate::frame::{NavPlace, Visit, with_query};
use crate::html::Html;
use crate::problem::Problem;

/// Parts of the list that are looked through for a question that the caller decides.
const PARTS_MAX: usize = 10;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InboxQuery {
    /// The task that was decided before.
    former: Option<String>,
    /// Where the list goes on.
    cursor: Option<String>,
}

impl InboxQuery {
    fn kept(&self, mut path: String) -> String {
        if let Some(former) = &self.former {
            path = with_query(&path, "former", former);
        }
        if let Some(cursor) = &self.cursor {
            path = with_query(&path, "cursor", cursor);
        }
        path
    }
}

/// `GET /inbox`: the oldest question that waits for the caller, by an address of its own, so that it stays while others
/// decide.
pub(super) async fn first(visit: Visit, Query(mut query): Query<InboxQuery>) -> Result<Response, Problem> {
    let mut list = TaskList::load(&visit, query.cursor.as_deref()).await?;
    // What others decide may fill the first parts of the list.
    for _ in 0..PARTS_MAX {
        let Some(next) = list.next.clone().filter(|_| list.mine.is_empty()) else { break };
        list = TaskList::load(&visit, Some(&next)).await?;
        query.cursor = Some(next);
    }
    match list.mine.first() {
        Some(task) => {
            let frame = visit.frame("", NavPlace::Inbox);
            Ok(Redirect::to(&frame.to(query.kept(task.path()))).into_response())
        }
        None => {
            let page = InboxPage::new(&visit, list, Opened::Nothing, query.former.as_deref()).await?;
            Ok(Html(page).into_response())
        }
    }
}

/// `GET /inbox/{task}`.
pub(super) async fn open(
    visit: Visit,
    Path(id): Path<String>,
    Query(query): Query<InboxQuery>,
) -> Result<Response, Problem> {
    let list = TaskList::load(&visit, query.cursor.as_deref()).await?;
    let Some(task) = find(&visit, &list, &id).await? else {
        let opened = page::gone(&visit, &id).await?;
        return Ok(Html(InboxPage::new(&visit, list, opened, query.former.as_deref()).await?).into_response());
    };
    if task.id != id {
        // A run was named in the place of a task.
        let frame = visit.frame("", NavPlace::Inbox);
        return Ok(Redirect::to(&frame.to(query.kept(task.path()))).into_response());
    }
    let opened = page::opened(&visit, task, Draft::default()).await?;
    Ok(Html(InboxPage::new(&visit, list, opened, query.former.as_deref()).await?).into_response())
}

async fn find(visit: &Visit, list: &TaskList, id: &str) -> Result<Option<Task>, Problem> {
    match list.get(id) {
        Some(task) => Ok(Some(task.clone())),
        None => task::find(visit, id).await,
    }
}
