//! Lists that are asked for by an expression, over REST.

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

const COUNTED: &str = "\
name: counted
input: { type: object, required: [n], properties: { n: { type: integer } } }
labels: { team: \"${input.n > 2 ? 'blue' : 'red'}\" }
steps:
  - id: pass
    gates:
      - { id: even, expression: \"input.n % 2 == 0\", code: ODD, on_fail: { fail: { code: ODD, message: is odd } } }
";

fn asked(expression: &str, rest: &str) -> String {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/api/v1/runs?filter={encoded}{rest}")
}

fn titles(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap()).collect()
}

/// Five runs, `n1` to `n5`; those with an odd number have failed.
pub(crate) async fn five_runs() -> Api {
    let api = Api::new();
    for n in 1..=5 {
        let body = json!({ "definition": COUNTED, "input": { "n": n }, "title": format!("n{n}") });
        let (status, run) = api.post("/api/v1/runs", body).await;
        assert_eq!(status, 201, "{run}");
        let end = if n % 2 == 0 { "succeeded" } else { "failed" };
        api.until(run["id"].as_str().unwrap(), end).await;
    }
    api
}

#[tokio::test]
async fn an_expression_is_asked_beside_the_simple_parameters_and_the_answer_says_how_it_was_found() {
    let api = five_runs().await;
    let expression = "status == 'failed' && labels.team == 'blue' && failure.code == 'ODD'";
    let (status, page) = api.get(&asked(expression, "")).await;
    assert_eq!((status, titles(&page)), (200, vec!["n5", "n3"]), "{page}");
    let by_index = json!(["labels.team", "status"]);
    let filter = json!({ "by_index": by_index, "looked_at": 2, "more": false, "undecided": null });
    assert_eq!((&page["filter"], &page["next_cursor"]), (&filter, &json!(null)));

    let (_, page) = api.get(&asked("step_counts.failed == 1", "&label=team:red&sort=ended")).await;
    assert_eq!(titles(&page), ["n1"], "{page}");
    let (_, page) = api.get("/api/v1/runs").await;
    assert_eq!((titles(&page).len(), page.get("filter")), (5, None), "no expression, nothing said of one");
    let (_, page) = api.get(&asked("failure.exit_code > 0 || title == 'n2'", "")).await;
    assert_eq!((titles(&page), &page["filter"]["undecided"]["rows"]), (vec!["n2"], &json!(4)), "{page}");
}

#[tokio::test]
async fn parts_of_an_answer_follow_each_other_and_a_cursor_belongs_to_its_expression() {
    let api = five_runs().await;
    let (odd, mut rest, mut found) = ("status != 'succeeded'", "&limit=1".to_owned(), Vec::new());
    loop {
        let (_, page) = api.get(&asked(odd, &rest)).await;
        found.extend(titles(&page).into_iter().map(str::to_owned));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        rest = format!("&limit=1&cursor={cursor}");
    }
    assert_eq!(found, ["n5", "n3", "n1"]);
    for other in [asked("status != 'failed'", &rest), format!("/api/v1/runs?{}", &rest[1..])] {
        let (status, problem) = api.get(&other).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "{problem}");
    }
}

#[tokio::test]
async fn runs_come_in_the_order_of_any_field_and_all_parts_are_of_the_position_of_the_first() {
    let api = five_runs().await;
    let (status, page) = api.get("/api/v1/runs?sort=title&limit=2").await;
    assert_eq!((status, titles(&page)), (200, vec!["n1", "n2"]), "{page}");
    assert_eq!(page["sort"], json!({ "looked_at": 5, "complete": true }));
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let body = json!({ "definition": COUNTED, "input": { "n": 6 }, "title": "n0" });
    let (_, run) = api.post("/api/v1/runs", body).await;
    api.until(run["id"].as_str().unwrap(), "succeeded").await;
    let (_, rest) = api.get(&format!("/api/v1/runs?sort=title&cursor={cursor}")).await;
    assert_eq!((titles(&rest), &rest["next_cursor"]), (vec!["n3", "n4", "n5"], &json!(null)), "{rest}");
    for (query, wanted) in [
        ("sort=-title&limit=3", vec!["n5", "n4", "n3"]),
        ("sort=status&status=failed", vec!["n5", "n3", "n1"]),
        ("sort=-labels.team&limit=1", vec!["n2"]),
        ("sort=title&filter=failure.code%20%3D%3D%20'ODD'&limit=2", vec!["n1", "n3"]),
    ] {
        let (status, page) = api.get(&format!("/api/v1/runs?{query}&at={}", rest["items"][0]["since"])).await;
        assert!(status == 200 && page["sort"]["complete"] == true, "{query}: {page}");
        let (_, page) = api.get(&format!("/api/v1/runs?{query}")).await;
        assert_eq!(titles(&page), wanted, "{query}: {page}");
    }
    let other = format!("/api/v1/runs?sort=-title&cursor={cursor}");
    let moment = format!("/api/v1/runs?sort=title&at=1&cursor={cursor}");
    let (_, problem) = api.get(&moment).await;
    assert!(problem["detail"].as_str().unwrap().contains("of another moment (`at`)"), "{problem}");
    for (path, code) in
        [(other.as_str(), "EF0211"), (moment.as_str(), "EF0211"), ("/api/v1/runs?sort=titel", "EF0211")]
    {
        let (status, problem) = api.get(path).await;
        assert_eq!((status, &problem["code"]), (422, &json!(code)), "{problem}");
    }
    // The parts of a list of the past name their moment each; another one, or none, is refused.
    let (_, page) = api.get("/api/v1/runs?sort=started").await;
    let [third, fourth] = [2, 3].map(|at| page["items"][at]["position"].as_u64().unwrap());
    let (_, past) = api.get(&format!("/api/v1/runs?sort=title&at={third}&limit=2")).await;
    assert_eq!(titles(&past), ["n1", "n2"], "{past}");
    let cursor = past["next_cursor"].as_str().unwrap();
    for (at, wanted) in [(format!("&at={third}"), 200), (format!("&at={fourth}"), 422), (String::new(), 422)]
    {
        let (status, page) = api.get(&format!("/api/v1/runs?sort=title{at}&cursor={cursor}")).await;
        assert_eq!(status, wanted, "{at}: {page}");
    }
    let (_, problem) = api.get("/api/v1/runs?sort=titel").await;
    assert_eq!(problem["detail"], "“titel” is no order of runs");
    assert!(problem["hint"].as_str().unwrap().starts_with("did you mean `title`?"), "{problem}");
}

#[tokio::test]
async fn of_titles_that_differ_in_the_case_of_letters_alone_the_newest_comes_first() {
    let api = Api::new();
    for title in ["fix", "FIX", "Fix", "add"] {
        let body = json!({ "definition": COUNTED, "input": { "n": 2 }, "title": title });
        let (_, run) = api.post("/api/v1/runs", body).await;
        api.until(run["id"].as_str().unwrap(), "succeeded").await;
    }
    let (_, page) = api.get("/api/v1/runs?sort=title").await;
    assert_eq!(titles(&page), ["add", "Fix", "FIX", "fix"], "{page}");
    let (_, page) = api.get("/api/v1/runs?sort=-title").await;
    assert_eq!(titles(&page), ["Fix", "FIX", "fix", "add"], "{page}");
}

/// The status and text of a page.
async fn page(api: &Api, path: &str) -> (u16, String) {
    let response = api.send("GET", path, &[("accept", "text/html")], Body::empty()).await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// The table showed the newest runs first, as if no order had been asked for, and the export was of that.
#[tokio::test]
async fn the_table_and_its_export_come_in_every_order_that_routes_have_and_say_where_there_is_none() {
    let api = five_runs().await;
    let place = |text: &str, title: &str| text.find(title).unwrap_or_else(|| panic!("{title}: {text}"));
    let (status, table) = page(&api, "/runs?sort=labels.team").await;
    assert_eq!(status, 200);
    assert!(!table.contains("sort-refused") && table.contains("labels.team"), "{table}");
    assert!(place(&table, ">n5<") < place(&table, ">n3<") && place(&table, ">n3<") < place(&table, ">n2<"));
    let (status, csv) = page(&api, "/runs.csv?sort=labels.team&columns=title").await;
    assert_eq!((status, csv.as_str()), (200, "title\r\nn5\r\nn4\r\nn3\r\nn2\r\nn1\r\n"));
    let (_, csv) = page(&api, "/runs.csv?sort=-labels.team&columns=title").await;
    assert_eq!(csv, "title\r\nn2\r\nn1\r\nn5\r\nn4\r\nn3\r\n");

    let (status, table) = page(&api, "/runs?sort=titel&status=failed").await;
    assert_eq!(status, 200);
    let said = &table[place(&table, "id=\"sort-refused\"")..];
    assert!(said.contains("“titel” is no order of runs: did you mean `title`?"), "{said}");
    assert!(place(&table, ">n5<") < place(&table, ">n1<") && !table.contains(">n2<"), "{table}");
    let (status, csv) = page(&api, "/runs.csv?sort=titel").await;
    assert_eq!(status, 422);
    assert!(csv.contains("“titel” is no order of runs"), "{csv}");
    // Filter and order are each refused for themselves.
    let (status, table) = page(&api, "/runs?sort=bogus&parent=zzzz").await;
    assert_eq!(status, 200);
    assert!(table.contains("id=\"sort-refused\"") && table.contains("id=\"filter-refused\""), "{table}");
}

#[tokio::test]
async fn now_is_the_moment_of_the_request_or_of_the_past_that_is_asked_for() {
    let api = five_runs().await;
    let (_, page) = api.get("/api/v1/runs?sort=started").await;
    let third = &page["items"][2];
    let (started, position) = (third["started_at"].as_str().unwrap(), third["position"].as_u64().unwrap());
    let (_, now) = api.get(&asked("started_at > now - duration('1d') && ended_at <= now", "")).await;
    assert_eq!(titles(&now).len(), 5, "{now}");
    let (_, then) = api.get(&asked("started_at <= now", &format!("&at={position}&sort=started"))).await;
    assert_eq!(titles(&then), ["n1", "n2", "n3"], "{then}");
    let at = format!("timestamp('{started}')");
    for (expression, at) in
        [(format!("now >= {at}"), position.to_string()), (format!("now == {at}"), started.to_owned())]
    {
        let (status, page) = api.get(&asked(&expression, &format!("&at={at}&limit=1"))).await;
        assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 1), "{expression}: {page}");
    }
}

#[tokio::test]
async fn an_expression_that_cannot_be_asked_is_refused_with_its_place() {
    let api = Api::new();
    let (status, problem) = api.get(&asked("cost > 2.0 && statsu == 'failed'", "")).await;
    assert_eq!((status, &problem["code"]), (422, &json!("EF0284")));
    let said = "filter: line 1, column 15: rows of runs have no field “statsu”";
    assert_eq!(problem["detail"], said);
    let hint = problem["hint"].as_str().unwrap();
    assert!(hint.starts_with("did you mean `status`? The fields are id, short_id, pipeline"), "{hint}");
    assert_eq!((&problem["errors"][0]["line"], &problem["errors"][0]["column"]), (&json!(1), &json!(15)));
    for bad in ["", "cost", "status ==", "input.n > 2", "status == 'faild'", &"!".repeat(5_000)] {
        let (status, problem) = api.get(&asked(bad, "")).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0284")), "{bad}: {problem}");
    }
}

const ASKING: &str = "\
name: asking
input: { type: object, required: [n], properties: { n: { type: integer } } }
labels: { item: \"ET-${input.n}\" }
steps:
  - { id: analyst, stage: analysis, function: everfold.noop, gates: [{ id: even, expression: \"input.n % 2 == 0\", on_fail: block }] }
  - { id: approve, stage: review, approval: { title: \"Number ${input.n}?\", roles: [lead] } }
";

/// Six runs that wait: for an approval those with an even number, for a decision about a blocked step the others.
async fn six_that_wait() -> Api {
    let api = Api::new();
    for n in 1..=6 {
        let body = json!({ "definition": ASKING, "input": { "n": n }, "title": format!("n{n}") });
        let (status, run) = api.post("/api/v1/runs", body).await;
        assert_eq!(status, 201, "{run}");
        let stand = if n % 2 == 0 { "waiting" } else { "blocked" };
        api.until(run["id"].as_str().unwrap(), stand).await;
    }
    for (id, name) in [("d1", "push"), ("d2", "issue"), ("d3", "push")] {
        let body = json!({ "body": json!({ "event": name }).to_string(), "id": id });
        let (status, answer) = api.post("/api/v1/hooks/shop/deliveries", body).await;
        assert_eq!(status, 201, "{answer}");
    }
    api
}

/// All items of a list, in parts of so many.
async fn read_all(api: &Api, route: &str, expression: Option<&str>, limit: usize) -> Vec<Value> {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let filter = expression.map(|text| format!("&filter={}", encoded(text))).unwrap_or_default();
    let (mut items, mut next) = (Vec::new(), String::new());
    loop {
        let (status, page) = api.get(&format!("{route}?limit={limit}{filter}{next}")).await;
        assert_eq!(status, 200, "{route} {expression:?}: {page}");
        assert_eq!(page.get("filter").is_some(), expression.is_some(), "{route}");
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { return items };
        next = format!("&cursor={}", encoded(cursor));
    }
}

#[tokio::test]
async fn every_list_that_takes_an_expression_answers_as_a_plain_scan_does_in_parts_of_any_size() {
    type Fits = fn(&Value) -> bool;
    let api = six_that_wait().await;
    let cases: [(&str, &str, Fits); 8] = [
        ("/api/v1/inbox", "kind == 'approval' && 'lead' in terms.roles", |row| row["kind"] == "approval"),
        ("/api/v1/inbox", "run_title in ['n1', 'n4']", |row| {
            row["run_title"] == "n1" || row["run_title"] == "n4"
        }),
        ("/api/v1/audit/decisions", "verdict == 'fail' && title != 'n3'", |row| {
            row["verdict"] == "fail" && row["title"] != "n3"
        }),
        ("/api/v1/audit/gates", "verdict == 'pass' && gate == 'even'", |row| row["verdict"] == "pass"),
        ("/api/v1/hooks", "id != 'd2' && size(handled) >= 0", |row| row["id"] != "d2"),
        ("/api/v1/hooks/shop/deliveries", "received_at <= now && id == 'd2'", |row| row["id"] == "d2"),
        ("/api/v1/notices", "tries > 3", |_| false),
        (
            "/api/v1/orch/tasks",
            "stage == 'analysis' && waits.exists(w, w.step == 'analyst') && item != 'ET-5'",
            |row| row["stage"] == "analysis" && row["item"] != "ET-5",
        ),
    ];
    for (route, expression, fits) in cases {
        let mut plain = read_all(&api, route, None, 1_000).await;
        plain.retain(fits);
        assert!(
            !plain.is_empty() || route.ends_with("notices"),
            "{route} {expression}: nothing is asked for"
        );
        for limit in [1, 2, 1_000] {
            assert_eq!(
                read_all(&api, route, Some(expression), limit).await,
                plain,
                "{route} {expression} {limit}"
            );
        }
    }
}

/// The fields that a list is asked by, as its refusal of another names them.
async fn fields_of(api: &Api, route: &str) -> Vec<String> {
    let (status, problem) = api.get(&format!("{route}?filter=nosuchfieldatall%20%3D%3D%201")).await;
    assert_eq!((status, &problem["code"]), (422, &json!("EF0284")), "{route}: {problem}");
    let hint = problem["hint"].as_str().unwrap().strip_prefix("the fields are ").unwrap();
    hint.split(", ").filter(|name| *name != "now").map(str::to_owned).collect()
}

#[tokio::test]
async fn a_field_that_lists_are_asked_by_is_one_of_their_rows() {
    let api = six_that_wait().await;
    let (_, document) = api.get("/api/openapi.json").await;
    for route in ["/inbox", "/audit/decisions", "/audit/gates", "/hooks", "/notices", "/orch/tasks"] {
        let answer = &document["paths"][format!("/api/v1{route}")]["get"]["responses"]["200"];
        let page = resolved(&document, &answer["content"]["application/json"]["schema"]);
        let rows = resolved(&document, &page["properties"]["items"]["items"]);
        for field in fields_of(&api, &format!("/api/v1{route}")).await.iter().filter(|name| *name != "cost") {
            let mut at = rows.clone();
            for part in field.split('.') {
                if at["type"] == "object" && at.get("properties").is_none() {
                    break; // A map of anything, as the document has it.
                }
                let (name, is_list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
                let below = property(&document, &at, name);
                assert!(!below.is_null(), "{route}: rows have no {field}: {at}");
                at = resolved(&document, if is_list { &below["items"] } else { &below });
            }
        }
    }
}

/// A schema without references and alternatives to null.
fn resolved(document: &Value, schema: &Value) -> Value {
    let mut at = schema;
    loop {
        let one_of = at["oneOf"].as_array().or(at["anyOf"].as_array());
        at = match (at["$ref"].as_str(), one_of) {
            (Some(reference), _) => document.pointer(reference.trim_start_matches('#')).unwrap(),
            (None, Some(ways)) if ways.iter().any(|way| way["type"] == "null") => {
                ways.iter().find(|way| way["type"] != "null").unwrap()
            }
            _plain => return at.clone(),
        };
    }
}

/// A property of a schema, or of one that it is made of.
fn property(document: &Value, schema: &Value, name: &str) -> Value {
    if let Some(found) = schema["properties"].get(name) {
        return found.clone();
    }
    let parts =
        ["allOf", "oneOf", "anyOf"].into_iter().flat_map(|of| schema[of].as_array().into_iter().flatten());
    let found =
        parts.map(|part| property(document, &resolved(document, part), name)).find(|found| !found.is_null());
    found.unwrap_or_default()
}

#[tokio::test]
async fn fields_leave_the_rows_of_a_list_with_the_chosen_members_and_change_no_part_of_it() {
    let api = five_runs().await;
    let (status, page) = api.get("/api/v1/runs?fields=title,status,failure.code,cost&limit=2").await;
    let row = |title: &str, status: &str, failure: Value| json!({ "title": title, "status": status, "failure": failure, "cost": 0.0 });
    let items = json!([row("n5", "failed", json!({ "code": "ODD" })), row("n4", "succeeded", Value::Null)]);
    assert_eq!((status, &page["items"]), (200, &items), "{page}");
    // The next page may be asked for with other fields, or with whole rows.
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, rest) = api.get(&format!("/api/v1/runs?cursor={cursor}&fields=title")).await;
    let row = |title: &str| json!({ "title": title });
    assert_eq!(rest["items"], json!([row("n3"), row("n2"), row("n1")]), "{rest}");
    let (_, whole) = api.get(&format!("/api/v1/runs?cursor={cursor}&limit=1")).await;
    assert!(whole["items"][0]["id"].is_string(), "{whole}");
    let (_, page) = api.get(&asked("status == 'failed'", "&fields=labels.team&sort=started")).await;
    let row = |team: &str| json!({ "labels": { "team": team } });
    assert_eq!(
        (&page["items"], &page["filter"]["looked_at"]),
        (&json!([row("red"), row("blue"), row("blue")]), &json!(3))
    );
}

/// Below maps of which the document says no members they were refused.
#[tokio::test]
async fn members_of_maps_under_any_names_are_chosen_by_their_paths() {
    let api = Api::new();
    let run = api.asking().await;
    let (status, page) = api.get("/api/v1/inbox?fields=kind,terms.roles,terms.none").await;
    let item = json!({ "kind": "approval", "terms": { "roles": [], "none": null } });
    assert_eq!((status, &page["items"]), (200, &json!([item])), "{page}");
    let (status, page) =
        api.get(&format!("/api/v1/runs/{run}/events?fields=version,event.type&limit=1")).await;
    let item = json!({ "version": 1, "event": { "type": "RunStarted" } });
    assert_eq!((status, &page["items"]), (200, &json!([item])), "{page}");
    for query in ["inbox?fields=terms.", "inbox?fields=title.x", "runs/@/events?fields=versoin.x"] {
        let (status, problem) = api.get(&format!("/api/v1/{query}")).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0287")), "{query}: {problem}");
    }
}

#[tokio::test]
async fn a_field_that_no_row_of_a_list_has_is_refused_with_the_likely_one() {
    let api = five_runs().await;
    for (query, hint) in [
        ("runs?fields=stauts", "did you mean `status`?"),
        ("runs?fields=id,failure.cod", "did you mean `failure.code`?"),
        ("runs?fields=", "fields=id,status,failure.code"),
        ("runs?fields=id&fields=title", "fields=id,status,failure.code"),
        ("inbox?fields=titel", "did you mean `title`?"),
        ("audit/gates?fields=verdikt", "did you mean `verdict`?"),
        ("runs/@/events?fields=versoin", "did you mean `version`?"),
    ] {
        let (status, problem) = api.get(&format!("/api/v1/{query}")).await;
        assert_eq!((status, &problem["code"]), (422, &json!("EF0287")), "{query}: {problem}");
        assert_eq!(problem["hint"], hint, "{query}");
    }
    let (status, problem) = api.get("/api/v1/runs/@?fields=id").await;
    assert_eq!((status, &problem["code"]), (422, &json!("EF0211")), "one run is no list: {problem}");
}

/// Each list takes the parameter, by what the document says of it.
#[tokio::test]
async fn every_list_takes_fields() {
    let api = five_runs().await;
    let document = everfold_api::http::document();
    let mut lists = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let mut parameters = item["get"]["parameters"].as_array().into_iter().flatten();
        if !parameters.any(|parameter| parameter["name"] == "fields") {
            continue;
        }
        let answer = &item["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let page = document.pointer(&answer["$ref"].as_str().unwrap()[1..]).unwrap();
        let row = &page["properties"]["items"]["items"];
        let row = row["$ref"].as_str().map_or(row, |reference| document.pointer(&reference[1..]).unwrap());
        let Some((name, _)) = row["properties"].as_object().and_then(|fields| fields.iter().next()) else {
            continue;
        };
        let filled = path.replace("{run}", "@").replace("{source}", "-").replace("{name}", "orch");
        let (status, page) = api.get(&format!("{filled}?fields={name}")).await;
        if status == 200 {
            let is_cut = |item: &Value| item.as_object().unwrap().keys().eq([name]);
            assert!(page["items"].as_array().unwrap().iter().all(is_cut), "{filled}: {page}");
        } else {
            assert_ne!((status, &problem_code(&page)), (422, &json!("EF0211")), "{filled}: {page}");
        }
        lists += 1;
    }
    assert!(lists >= 15, "{lists}");
}

fn problem_code(problem: &Value) -> Value {
    problem["code"].clone()
}

#[tokio::test]
async fn decisions_are_asked_for_by_their_attempt_and_their_route() {
    let api = five_runs().await;
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    for (list, expression, rows) in [
        ("audit/gates", "attempt == 1 && verdict == 'fail'", 3),
        ("audit/gates", "attempt > 1", 0),
        ("audit/decisions", "kind == 'gate' && attempt == 1", 5),
        ("audit/decisions", "route != null", 0),
    ] {
        let (status, page) = api.get(&format!("/api/v1/{list}?filter={}", encode(expression))).await;
        assert_eq!(
            (status, page["items"].as_array().map(Vec::len)),
            (200, Some(rows)),
            "{list} {expression}: {page}"
        );
    }
}

const INVOICE: &str = "\
name: invoice
input: { type: object, required: [amount], properties: { amount: { type: number }, who: { type: string } } }
search:
  amount: { type: number, value: \"${input.amount}\" }
  customer: \"${input.?who.orValue(null)}\"
  due: { type: time, value: \"2026-11-20T09:00:00Z\" }
  verdict: { type: text }
steps:
  - { id: pay, function: everfold.noop }
output: \"${run.search}\"
";

#[tokio::test]
async fn runs_are_found_by_what_their_pipeline_says_with_types() {
    let api = Api::new();
    for (amount, who) in [(json!(250), Some("acme")), (json!(99.5), Some("globex")), (json!(1000), None)] {
        let mut input = json!({ "amount": amount });
        if let Some(who) = who {
            input["who"] = json!(who);
        }
        let body = json!({ "definition": INVOICE, "input": input, "title": format!("of {amount}") });
        let (status, run) = api.post("/api/v1/runs", body).await;
        assert_eq!(status, 201, "{run}");
        api.until(run["id"].as_str().unwrap(), "succeeded").await;
    }
    let (_, page) =
        api.get(&asked("search.amount > 100", "&sort=-search.amount&fields=title,search.amount")).await;
    let row = |title: &str, amount: u16| json!({ "title": title, "search": { "amount": amount } });
    assert_eq!(page["items"], json!([row("of 1000", 1000), row("of 250", 250)]), "{page}");
    assert_eq!(page["filter"]["by_index"], json!(["search.amount"]));
    for (expression, wanted) in [
        ("search.customer == 'acme'", vec!["of 250"]),
        ("search.customer == null", vec!["of 1000"]),
        ("search.amount < 100.0 && search.due < now", vec!["of 99.5"]),
        ("search.amount in [250, 99.5]", vec!["of 99.5", "of 250"]),
    ] {
        let (status, page) = api.get(&asked(expression, "")).await;
        assert_eq!((status, titles(&page)), (200, wanted), "{expression}: {page}");
    }
    let (_, run) = api.get("/api/v1/runs/@").await;
    assert_eq!(run["search"], json!({ "amount": 1000, "due": "2026-11-20T09:00:00.000Z" }));
    let output =
        json!({ "amount": 1000, "customer": null, "due": "2026-11-20T09:00:00.000Z", "verdict": null });
    assert_eq!(run["output"], output);
    let (_, past) = api.get("/api/v1/runs/@/state?version=1").await;
    assert_eq!(past["search"], json!({}), "before it was set");
    let (_, found) =
        api.get(&format!("/api/v1/runs/@/bisect?expression={}", "search.amount%20%3E%20100")).await;
    assert_eq!(found["first"]["version"], 2, "{found}");
    let (_, stats) = api.get("/api/v1/stats?by=search.customer").await;
    assert_eq!(stats["grouped"]["groups"].as_array().unwrap().len(), 3, "{stats}");
    let wrong =
        json!({ "definition": INVOICE.replace("number, value", "time, value"), "input": { "amount": 1 } });
    let (status, problem) = api.post("/api/v1/runs", wrong).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(status == 422 && detail.contains("“amount” is a time, not a number"), "{status} {problem}");
}
