//! The pages of the browser, rendered over a folder with many runs.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use everfold_engine::clock::{self, Stopwatch};
use everfold_engine::data_folder::Layout;
use everfold_engine::time::Timestamp;

use super::asking::{PageCost, asked};
use super::engine::BenchError;
use super::load::percentile;
use super::questions::{self, QuestionLoad};
use crate::node::HoldOptions;
use crate::serve;

/// How often each page is asked for.
const TIMES: u32 = 200;

/// The pages that are asked for: what people look at first, what the board asks for while its bar of time is dragged,
/// and what looks at many rows. `@MOMENT` is another moment of the load each time.
const ASKED: [(&str, &str); 10] = [
    ("page: the board", "/"),
    ("page: the board, 200 cards a column", "/?cards=200"),
    ("page: the board of a past moment", "/?at=@MOMENT"),
    ("page: its columns, bar of time dragged", "/?at=@MOMENT&part=columns"),
    ("page: the table of runs", "/runs"),
    ("page: the table, sorted by a field", "/runs?sort=-elapsed"),
    ("figures of runs by group", "/api/v1/stats?by=pipeline,status&bucket=1h"),
    ("page: a run", "/runs/@"),
    ("page: events of a run", "/runs/@/events"),
    ("page: the inbox", "/inbox"),
];

/// Asks for each page, as the owner of the folder does; the folder's runs went on from `begun` until now.
///
/// The runs were written without read models. A first owner folds them, so that the next one opens the folder as it
/// is found in use, and its first board is the first view after a start.
pub(super) async fn rendered(folder: &Path, begun: Timestamp) -> Result<Vec<PageCost>, BenchError> {
    let pause = clock::now().since(begun) / TIMES;
    let folding = serve::hold(Layout::new(folder), HoldOptions::default()).await?;
    page(folding.routes(), "/").await?;
    folding.release().await;
    let guard = serve::hold(Layout::new(folder), HoldOptions::default()).await?;
    let mut costs = Vec::new();
    for (name, path) in ASKED {
        let (mut spans, mut bytes) = (Vec::with_capacity(TIMES as usize), 0);
        let mut moment = begun;
        for _ in 0..TIMES {
            moment = moment.plus(pause);
            let path = path.replace("@MOMENT", &moment.to_string());
            let one = Stopwatch::start();
            bytes = page(guard.routes(), &path).await?;
            spans.push(one.elapsed());
        }
        let first = spans.first().copied().unwrap_or_default();
        spans.sort_unstable();
        costs.push(PageCost { name, first, p50: percentile(&spans, 50), p99: percentile(&spans, 99), bytes });
    }
    costs.extend(questions::answered(&guard.routes(), QuestionLoad::MEASURED).await?);
    guard.release().await;
    Ok(costs)
}

/// Asks for a page to its last byte; resolves with its length.
async fn page(routes: Router, path: &str) -> Result<usize, BenchError> {
    asked(routes, Request::get(path).body(Body::empty())?).await
}
