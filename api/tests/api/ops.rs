//! The files of `ops` against the program: metrics and labels that there are, arguments that it takes, a check of health
//! that works.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use everfold_api::access::Caller;
use everfold_api::node::HoldOptions;
use everfold_api::serve;
use everfold_engine::data_folder::Layout;
use http_body_util::BodyExt as _;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const UNIT: &str = include_str!("../../../ops/everfold.service");
const IMAGE: &str = include_str!("../../../ops/Dockerfile");
const DASHBOARD: &str = include_str!("../../../ops/grafana/everfold.json");
const ALERTS: &str = include_str!("../../../ops/prometheus/everfold.rules.yml");

/// A run whose attempts, gates and end are counted.
const GATED: &str = "\
name: gated
steps:
  - id: a
    function: everfold.noop
    gates: [{ id: right, expression: 1 == 1 }]
";

/// Metrics by the names that queries use, each with its labels.
type Metrics = BTreeMap<String, BTreeSet<String>>;

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The names of labels between the braces behind a metric.
fn labels(text: &str) -> BTreeSet<String> {
    let inside =
        text.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let pairs = inside.split(',').filter_map(|pair| pair.split(['=', '!']).next());
    pairs.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// What `/metrics` of an engine that has done something says.
async fn exposed() -> Metrics {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path().join("data"));
    let held = serve::hold(layout, HoldOptions::default()).await.unwrap();
    held.node().measure();
    let send = async |method: &str, path: &str, body: Body| {
        let request = Request::builder().method(method).uri(path).extension(Caller::local("ada"));
        let response = held.routes().oneshot(request.body(body).unwrap()).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let body = json!({ "definition": GATED }).to_string();
    let run: Value = serde_json::from_str(&send("POST", "/api/v1/runs", body.into()).await).unwrap();
    assert!(run["id"].is_string(), "{run}");
    let counted = async {
        loop {
            let text = send("GET", "/metrics", Body::empty()).await;
            if text.contains("everfold_runs_ended_total{status=\"succeeded\"} 1") {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let text = tokio::time::timeout(Duration::from_secs(60), counted).await.unwrap();
    held.release().await;
    let mut metrics = Metrics::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(|c| !is_of_name(c)).unwrap());
        metrics.entry(name.to_owned()).or_default().extend(labels(rest));
    }
    metrics
}

/// The metrics that a text of queries names, each with the labels that it is asked by.
fn named(text: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut all = Vec::new();
    for (at, _) in text.match_indices("everfold_") {
        let (name, rest) = text[at..].split_at(text[at..].find(|c| !is_of_name(c)).unwrap());
        all.push((name.to_owned(), labels(rest)));
    }
    all
}

/// The labels that a text of queries groups by.
fn grouped_by(text: &str) -> BTreeSet<String> {
    let lists = text.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    lists.flat_map(|(list, _)| list.split(',')).map(|name| name.trim().to_owned()).collect()
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_ask_for_metrics_and_labels_that_there_are() {
    let metrics = exposed().await;
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut queries: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() > 20, "{}", queries.len());
    queries.extend(dashboard["templating"]["list"][1]["query"]["query"].as_str());
    queries.extend(ALERTS.lines().filter_map(|line| line.trim().strip_prefix("expr: ")));
    // What Prometheus adds to every sample.
    let added = ["instance", "job"].map(str::to_owned);
    for query in queries {
        let mut known: BTreeSet<String> = added.clone().into();
        for (name, asked) in named(query) {
            let own = metrics.get(&name).unwrap_or_else(|| panic!("there is no metric {name}: {query}"));
            known.extend(own.iter().cloned());
            assert!(asked.is_subset(&known), "{name} has no such label: {query}");
        }
        assert!(grouped_by(query).is_subset(&known), "no such label: {query}");
    }
}

/// The values of a key of the unit.
fn unit(key: &str) -> Vec<&'static str> {
    UNIT.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// The words of an instruction of the image, written as a list.
fn image(instruction: &str) -> Vec<String> {
    let line = IMAGE.lines().find_map(|line| line.strip_prefix(instruction)?.split_once('['));
    serde_json::from_str(&format!("[{}", line.unwrap().1)).unwrap()
}

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn everfold(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everfold"));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", folder).env("EVERFOLD_DIR", folder.join("data")).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Starts it as the unit and the image do, on a free port, asks how it is as the image does, and ends it as both do.
#[test]
fn the_unit_and_the_image_start_a_server_that_their_check_of_health_reaches() {
    let [start] = unit("ExecStart")[..] else { panic!("one program is started") };
    let (program, arguments) = start.split_once(' ').unwrap();
    assert!(program.ends_with("/everfold"), "{program}");
    let arguments: Vec<&str> = arguments.split(' ').collect();
    assert_eq!(image("CMD "), arguments, "both start the same");
    assert_eq!(image("ENTRYPOINT ").last().unwrap(), "everfold");
    let health = IMAGE.lines().find(|line| line.starts_with("HEALTHCHECK ")).unwrap();
    let health: Vec<String> = serde_json::from_str(health.split_once(" CMD ").unwrap().1).unwrap();
    assert_eq!(health[0], "everfold");
    let health: Vec<&str> = health[1..].iter().map(String::as_str).collect();

    let folder = tempfile::tempdir().unwrap();
    let arguments = [&arguments[..], &["--listen", "127.0.0.1:0"]].concat();
    let mut service = Service(everfold(folder.path(), &arguments).spawn().unwrap());
    let owner = Layout::new(folder.path().join("data")).owner();
    let until = Instant::now() + Duration::from_secs(60);
    while !std::fs::read_to_string(&owner).is_ok_and(|record| record.contains("http://127.0.0.1:")) {
        assert!(Instant::now() < until && service.0.try_wait().unwrap().is_none(), "it does not serve");
        std::thread::sleep(Duration::from_millis(5));
    }
    let healthy = everfold(folder.path(), &health).status().unwrap();
    assert!(healthy.success(), "{health:?}: {healthy}");
    assert!(IMAGE.contains("STOPSIGNAL SIGTERM\n"));
    rustix::process::kill_process(Pid::from_child(&service.0), Signal::TERM).unwrap();
    let ended = service.0.wait().unwrap();
    assert!(ended.success(), "{ended}");
}

#[test]
fn a_stop_of_the_unit_leaves_the_commands_of_steps_alone() {
    assert_eq!(unit("KillMode"), ["process"]);
    // A stop takes the folder away that they write in.
    assert!(unit("PrivateTmp").is_empty());
    // `ProtectSystem=strict` makes all but the state directory read-only, /tmp too.
    assert_eq!(unit("ReadWritePaths"), ["/tmp /var/tmp"]);
    assert_eq!(unit("OOMPolicy"), ["continue"]);
    assert_eq!(unit("StateDirectory"), ["everfold"]);
    assert!(unit("Environment").contains(&"EVERFOLD_DIR=/var/lib/everfold/data"), "the folder is kept there");
}
