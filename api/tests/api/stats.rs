//! Figures of runs by group, over REST.

use everfold_engine::time::Timestamp;
use serde_json::json;

use crate::filters::five_runs;

#[tokio::test]
async fn figures_of_runs_come_by_group_and_the_answer_says_of_how_many_rows() {
    let api = five_runs().await;
    let (status, stats) = api.get("/api/v1/stats?by=labels.team,failure.code&bucket=7d").await;
    let grouped = &stats["grouped"];
    assert_eq!((status, &grouped["by"]), (200, &json!(["labels.team", "failure.code"])), "{stats}");
    assert_eq!(
        (&grouped["bucket"], &grouped["looked_at"], &grouped["complete"]),
        (&json!("7d"), &json!(5), &json!(true))
    );
    let groups = grouped["groups"].as_array().unwrap();
    let named = groups.iter().map(|group| {
        let values = &group["values"];
        (
            values["labels.team"].as_str().unwrap(),
            values["failure.code"].as_str(),
            group["count"].as_u64().unwrap(),
        )
    });
    let mut named: Vec<_> = named.collect();
    named.sort_unstable();
    assert_eq!(
        named,
        [("blue", None, 1), ("blue", Some("ODD"), 2), ("red", None, 1), ("red", Some("ODD"), 1)]
    );
    let began: Timestamp = groups[0]["began"].as_str().unwrap().parse().unwrap();
    assert_eq!(began.0 % (7 * 86_400_000), 0, "{grouped}");
    assert_eq!(grouped["total"]["by_status"], json!({ "failed": 3, "succeeded": 2 }));
    assert_eq!(grouped["total"]["elapsed"]["runs"], 5);

    let (_, stats) = api.get("/api/v1/stats?filter=labels.team%20%3D%3D%20'red'").await;
    let (grouped, all) = (&stats["grouped"], &stats["total"]);
    assert_eq!(
        (all, &grouped["total"]["count"], &grouped["filter"]["by_index"]),
        (&json!(5), &json!(2), &json!(["labels.team"]))
    );
    let (_, stats) = api.get("/api/v1/stats").await;
    assert_eq!(stats.get("grouped"), None, "nothing was asked for by group");
    for (query, said) in [
        ("by=statsu", "runs are not grouped by “statsu”"),
        ("by=", "runs are not grouped by “”"),
        ("bucket=1s", "stretches of 1s are too short"),
        ("bucket=day", "bucket: "),
        ("filter=nosuch", "filter: "),
    ] {
        let (status, problem) = api.get(&format!("/api/v1/stats?{query}")).await;
        assert!(status == 422 && problem["detail"].as_str().unwrap().starts_with(said), "{query}: {problem}");
    }
    for (by, near) in [("statsu", "status"), ("label.team", "labels.team"), ("failure.cod", "failure.code")] {
        let (_, problem) = api.get(&format!("/api/v1/stats?by={by}")).await;
        let wanted = format!("did you mean `{near}`?");
        assert!(problem["hint"].as_str().unwrap().starts_with(&wanted), "{by}: {problem}");
    }
}
