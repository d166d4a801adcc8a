//! The pages of `everfold serve`: a client of its REST routes that renders HTML.
//!
//! Law: pages ask the routes and nothing else (`rest.rs`); reading and deciding work without scripts; no script and no
//! style stands inline. What comes from users is escaped by the templates, which escape everything.
//!
//! To begin with: `router` lists all pages; `frame` is what stands around each; `words.rs` says how a status, a
//! time, a duration and a cost are written; `components.rs` draws them. One folder or file a page.
#![allow(clippy::result_large_err, reason = "a problem is rare, and becomes an answer at once")]

mod actions;
mod assets;
mod audit;
mod board;
mod components;
mod debugger;
mod errors;
mod find;
mod form;
mod frame;
mod html;
mod inbox;
mod insights;
mod line_diff;
mod live;
mod live_hub;
mod login;
mod markdown;
mod orch;
mod own_page;
mod pages;
mod pipelines;
mod problem;
mod rest;
mod run;
mod sent_form;
mod spend;
mod start;
mod system;
mod tabs;
mod triggers;
mod visible;
mod words;

use axum::Router;
use axum::extract::Request;
use axum::middleware;
use axum::routing::get;
use tower::ServiceExt as _;

pub use debugger::{EventNature, EventSearch, FIELDS_APART, FIELDS_FIRST, followed_from, reasons};
pub use live_hub::{Change, ChangeSource};
pub(crate) use pages::Pages;
pub use rest::Rest;

/// The REST routes of one node, and all pages over them at every other path. `changes` opens the stream of what changes
/// there; it is opened while somebody looks. The listener puts the caller into the extensions of each request.
pub fn beside(rest: Rest, changes: ChangeSource) -> Router {
    let pages = router(rest.clone(), changes);
    Router::new().fallback(async move |mut request: Request| {
        if is_of_rest(request.uri().path()) {
            return rest.answer(request).await;
        }
        let kept = rest::OfListener(request.extensions().clone());
        request.extensions_mut().insert(kept);
        let Ok(response) = pages.clone().oneshot(request).await;
        response
    })
}

/// Whether a path is answered by REST: `/api` and below it, and what monitoring asks.
fn is_of_rest(path: &str) -> bool {
    matches!(path, "/api" | "/healthz" | "/readyz" | "/metrics") || path.starts_with("/api/")
}

fn router(rest: Rest, changes: ChangeSource) -> Router {
    let pages = Pages { rest, live: live_hub::LiveHub::new(changes) };
    Router::new()
        .merge(board::routes())
        .merge(find::routes())
        .merge(run::routes())
        .merge(actions::routes())
        .merge(tabs::routes())
        .merge(debugger::routes())
        .merge(inbox::routes())
        .merge(audit::routes())
        .merge(pipelines::routes())
        .merge(start::routes())
        .merge(triggers::routes())
        .merge(insights::routes())
        .merge(spend::routes())
        .merge(system::routes())
        .merge(orch::routes())
        .route("/login", get(login::page).post(login::log_in))
        .route("/logout", axum::routing::post(login::log_out))
        .route("/enter", get(login::enter))
        .route("/live", get(live::changes))
        .route("/assets/{hash}/{name}", get(assets::asset))
        .fallback(errors::no_page)
        .method_not_allowed_fallback(errors::no_method)
        .layer(middleware::from_fn(sent_form::named_address))
        .layer(middleware::from_fn_with_state(pages.clone(), own_page::from_own_page))
        .layer(middleware::from_fn_with_state(pages.clone(), errors::shown))
        .with_state(pages)
}
