//! `/insights`: what the route answers, as tables.

use serde_json::{Value, json};

use crate::fixed_routes::FixedRoutes;

fn answer() -> Value {
    json!({
        "position": 1200, "now": "2026-11-20T08:15:24.000Z", "runs": 40, "ended": 39,
        "items": [
            {
                "name": "gates", "title": "Gates that never failed", "about": "Gates that passed each time.", "none": null,
                "sql": "select '<b>' from gates", "truncated": "rows", "reads": [],
                "columns": [{ "name": "pipeline", "type": "text" }, { "name": "gate", "type": "text" }, { "name": "verdicts", "type": null }, { "name": "last_at", "type": "time" }],
                "rows": [["release", "<i>tests</i>", 12, "2026-11-20T08:15:24.000Z"]],
            },
            {
                "name": "reworks", "title": "Reworks that never helped", "about": "Routes that sent back.",
                "none": "Every route has helped once.", "sql": "select 1", "columns": [], "rows": [], "truncated": null, "reads": [],
            },
        ],
    })
}

fn routes(insights: (u16, Value)) -> FixedRoutes {
    FixedRoutes::new(&[
        ("/insights", insights.0, insights.1),
        ("/pipelines", 200, json!({ "items": [{ "name": "release" }] })),
    ])
}

#[tokio::test]
async fn each_insight_is_a_table_with_its_query_and_says_what_no_rows_mean() {
    let routes = routes((200, answer()));
    let page = routes.get("/insights").await;
    assert_eq!(routes.asked("/insights"), ["/insights"]);
    for words in [
        "Gates that never failed",
        "Gates that passed each time.",
        "<a href=\"/pipelines/release\">release</a>",
        "/audit?kind=gate&#38;gate=%3Ci%3Etests%3C%2Fi%3E&#38;pipeline=release",
        "&#60;i&#62;tests&#60;/i&#62;",
        "select &#39;&#60;b&#62;&#39; from gates",
        "everfold insights gates --limit 1000",
        "Every route has helped once.",
        "<option value=\"release\">",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // A query without rows has no table; the page does not reload on events.
    assert_eq!(page.matches("<table>").count(), 1, "{page}");
    assert!(!page.contains("data-live"), "{page}");
}

#[tokio::test]
async fn the_head_says_of_no_run_of_one_and_of_many_how_many_have_ended() {
    for (runs, ended, said) in [
        (0, 0, "No run fits."),
        (1, 0, "What the one run that fits shows; it has not ended."),
        (1, 1, "What the one run that fits shows; it has ended."),
        (2, 0, "What 2 runs show, the newest that fit; none of them has ended."),
        (2, 1, "What 2 runs show, the newest that fit; one of them has ended."),
        (2, 2, "What 2 runs show, the newest that fit; all of them have ended."),
        (40, 39, "What 40 runs show, the newest that fit; 39 of them have ended."),
    ] {
        let mut answer = answer();
        (answer["runs"], answer["ended"]) = (json!(runs), json!(ended));
        let page = routes((200, answer)).get("/insights").await;
        assert!(page.contains(said), "{said}: {page}");
    }
}

#[tokio::test]
async fn fields_and_the_moment_of_the_page_are_those_of_the_route() {
    let routes = routes((200, answer()));
    let page = routes.get("/insights?pipeline=release&since=2026-11-20&runs=50&at_least=0&at=39").await;
    assert_eq!(
        routes.asked("/insights"),
        ["/insights?pipeline=release&since=2026-11-20T00%3A00%3A00Z&runs=50&at=39"]
    );
    assert!(page.contains("“0” is no number from 1 to 10000"), "{page}");
    assert!(
        page.contains("name=\"at_least\" value=\"0\"") && page.contains("name=\"at\" value=\"39\""),
        "{page}"
    );
    assert!(page.contains("/pipelines/release?at=39"), "{page}");
}

#[tokio::test]
async fn a_refusal_stands_on_the_page_with_the_fields_that_ask_for_less() {
    let refused = json!({
        "status": 422, "title": "the query takes too much", "detail": "the insight `flaky`: it took 10 s",
        "code": "EF0286", "hint": "ask for fewer runs",
    });
    let (status, page) = routes((422, refused)).answer("/insights", "text/html").await;
    assert_eq!(status, 422);
    for words in ["the insight `flaky`: it took 10 s", "ask for fewer runs", "EF0286", "name=\"runs\""] {
        assert!(page.contains(words), "{words}: {page}");
    }
}
