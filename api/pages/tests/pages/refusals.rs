//! Addresses that cannot be read.

use axum::http::StatusCode;

use crate::fixed_routes::FixedRoutes;

#[tokio::test]
async fn an_address_that_cannot_be_read_has_a_page_and_a_problem_for_programs() {
    let routes = FixedRoutes::new(&[]);
    for path in ["/runs/%ff", "/inbox/%ff"] {
        let (status, page) = routes.answer(path, "text/html").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(page.contains("<main") && page.contains("UTF-8"), "{path}: {page}");
        let (status, problem) = routes.answer(path, "*/*").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&400.into(), &"EF0211".into()), "{path}");
    }
    let (status, problem) = routes.answer("/assets/x/unknown", "*/*").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(problem.contains("nothing is at /assets/x/unknown"), "{problem}");
}
