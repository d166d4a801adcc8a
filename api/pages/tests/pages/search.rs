//! Search attributes on the pages of a run and in the table of runs.

use serde_json::{Value, json};

use crate::fixed_routes::FixedRoutes;

fn run() -> Value {
    json!({
        "id": "0198c1f0-0000-7000-8000-00000000beef", "short_id": "0000beef", "pipeline": "invoice", "title": "An invoice",
        "status": "running", "version": 5, "started_by": "user:ada", "started_at": "2026-11-22T10:00:00.000Z", "ended_at": null,
        "labels": { "team": "a:b" },
        "search": { "amount": 250, "due": "2026-12-01T00:00:00.000Z", "tags": ["red", "<b>"], "who": "a\u{202e}b" },
    })
}

#[tokio::test]
async fn the_headline_of_a_run_leads_from_each_value_to_the_runs_that_have_it() {
    let routes = FixedRoutes::new(&[
        ("/runs/beef", 200, run()),
        ("/runs/0198c1f0-0000-7000-8000-00000000beef/definition", 200, json!({})),
    ]);
    let page = routes.get("/runs/beef/definition").await;
    for words in [
        "href=\"/runs?label=team%3Aa%5C%3Ab\"",
        "title=\"search attribute (number)\"",
        "<a href=\"/runs?filter=search.amount+%3D%3D+250\">250</a>",
        "<time datetime=\"2026-12-01T00:00:00.000Z\" data-exact>2026-12-01 00:00:00 UTC</time>",
        "<a href=\"/runs?filter=%27red%27+in+search.tags\">red</a>,",
        ">&#60;b&#62;</a>",
        // What is shown names the character; what is asked for has it.
        "href=\"/runs?filter=search.who+%3D%3D+%27a%E2%80%AEb%27\">a⟨U+202E⟩b</a>",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test]
async fn the_table_asks_by_the_expression_of_its_address_and_offers_those_of_its_runs() {
    let list = json!({
        "items": [run()], "next_cursor": null,
        "filter": { "by_index": [], "looked_at": 3, "more": false, "undecided": { "rows": 2, "why": "search.amount is a text" } },
    });
    let routes = FixedRoutes::new(&[("/runs", 200, list), ("/pipelines", 200, json!({ "items": [] }))]);
    let page = routes.get("/runs?filter=search.amount+%3D%3D+250&columns=run,search").await;
    assert_eq!(routes.asked("/runs"), ["/runs?filter=search.amount+%3D%3D+250&sort=-started&limit=100"]);
    for words in [
        "filter: search.amount == 250",
        "<option value=\"filter:search.amount == 250\">",
        "class=\"of-search\"",
        "<span class=\"label-name\">amount</span> <a href=\"/runs?filter=search.amount+%3D%3D+250\">250</a>",
        "2 runs are left out",
        "search.amount is a text",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test]
async fn a_part_in_which_nothing_fits_says_that_older_runs_were_not_looked_at() {
    let list = json!({
        "items": [], "next_cursor": "c1",
        "filter": { "by_index": [], "looked_at": 20_000, "more": true, "undecided": null },
    });
    let routes = FixedRoutes::new(&[("/runs", 200, list), ("/pipelines", 200, json!({ "items": [] }))]);
    let page = routes.get("/runs?filter=cost+%3E+5.0").await;
    assert!(page.contains("Look at older runs") && page.contains("cursor=c1"), "{page}");
    assert!(!page.contains("No run fits this filter"), "{page}");
}
