//! Numbers of runs in answers and lists.

use serde_json::json;

use crate::fixtures::in_memory::Api;

const NUMBERED: &str = "\
name: numbered
number: true
steps:
  - id: item
    function: everfold.unique
    with: { name: ET-006, then: next }
output: [\"${run.number}\", \"${steps.item.output.name}\"]
";

#[tokio::test]
async fn runs_are_found_by_their_number_and_names_are_given_once() {
    let api = Api::new();
    let mut last = json!(null);
    for number in 1..=3 {
        let (status, run) = api.post("/api/v1/runs", json!({ "definition": NUMBERED, "title": "one" })).await;
        assert_eq!((status, &run["number"], &run["number_key"]), (201, &json!(number), &json!("numbered")));
        last = api.until(run["id"].as_str().unwrap(), "succeeded").await;
    }
    assert_eq!(last["output"], json!([3, "ET-008"]));
    let (_, page) = api.get("/api/v1/runs?number=2").await;
    let found: Vec<_> = page["items"].as_array().unwrap().iter().map(|row| &row["number"]).collect();
    assert_eq!(found, [&json!(2)]);
    let (_, none) = api.get("/api/v1/runs?number=9").await;
    assert_eq!(none["items"], json!([]));
    let (_, verified) = api.get("/api/v1/store/verify").await;
    assert_eq!(verified["faults"], json!([]), "{verified}");
}
