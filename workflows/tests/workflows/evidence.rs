//! Evidence from test reports, real HTTP servers, settings, functions and other runs, and of what is
//! to be fresh.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::fixtures::home::{Home, git, in_git, judged, probe_request, repository};
use everfold_base::id::Position;
use everfold_base::time::Timestamp;
use everfold_core::policy::{Verdict, judge_default};
use everfold_core::state::RunStatus;
use everfold_ports::{Directory, DirectoryError, FoundRun, FoundRuns, Fresh, ProbeRequest, Prober, RunQuery};
use everfold_workflows::function::{Call, Function, FunctionExecutor, Functions, StepError};
use everfold_workflows::http::{HttpClient, HttpError, HttpRequest};
use everfold_workflows::probe::{
    ConfigProber, FileProber, FrontmatterProber, FunctionProber, HttpProber, RunsProber, TestsProber,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const REPORT: &str = r#"<testsuite tests="2"><testcase classname="a" name="ok"/><testcase classname="a" name="bad"><failure message="1 != 2"/></testcase></testsuite>"#;
const GOOD: &str = r#"<testsuite><testcase name="ok"/></testsuite>"#;

#[tokio::test]
async fn test_reports_are_found_counted_and_named() {
    let home = Home::new();
    let spec = json!({"files": ["reports/**/*.xml"]});
    let found = async |spec: &Value| TestsProber.probe(probe_request(&home, spec.clone())).await;
    let none = found(&spec).await.unwrap();
    assert_eq!(judged("tests", &none), (Verdict::Fail, "no test report was found".to_owned()));
    std::fs::create_dir_all(home.work("reports/deep")).unwrap();
    std::fs::write(home.work("reports/deep/a.xml"), REPORT).unwrap();
    std::fs::write(home.work("reports/b.xml"), GOOD).unwrap();
    let evidence = found(&spec).await.unwrap();
    assert_eq!(judged("tests", &evidence), (Verdict::Fail, "1 of 3 tests failed: a::bad".to_owned()));
    assert_eq!(
        evidence["failures"],
        json!([{"name": "a::bad", "message": "1 != 2", "file": "reports/deep/a.xml"}])
    );
    assert_eq!(evidence["files"][0]["path"], "reports/b.xml");
    let good = found(&json!({"files": "reports/*.xml"})).await.unwrap();
    assert_eq!(judged("tests", &good), (Verdict::Pass, "1 test passed".to_owned()));
    std::fs::write(home.work("reports/c.xml"), "<testsuite>").unwrap();
    let broken = found(&spec).await.unwrap();
    let (verdict, reason) = judged("tests", &broken);
    assert!(verdict == Verdict::Fail && reason.contains("reports/c.xml is no XML"), "{reason}");
    assert!(found(&json!({"files": []})).await.unwrap_err().permanent);
    assert!(found(&json!({"file": "x"})).await.unwrap_err().permanent);
}

/// When the round began, and its commit.
fn fresh(request: ProbeRequest, commit: Option<&str>, at: Timestamp) -> ProbeRequest {
    ProbeRequest { fresh: Some(Fresh { commit: commit.map(str::to_owned), at }), ..request }
}

fn now() -> Timestamp {
    everfold_system::clock::system()()
}

fn tomorrow() -> Timestamp {
    now().plus(Duration::from_secs(86_400))
}

#[tokio::test]
async fn l18_a_file_that_is_as_the_rounds_first_commit_has_it_is_not_fresh() {
    let home = Home::new();
    let work = home.path("work");
    repository(&work);
    std::fs::create_dir_all(work.join("docs")).unwrap();
    for name in ["docs/old.md", "docs/new.md"] {
        std::fs::write(work.join(name), "---\nstatus: READY\n---\n").unwrap();
    }
    std::fs::write(work.join(".gitignore"), "reports\n").unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "before the round"]);
    let (first, began) = (git(&work, &["rev-parse", "HEAD"]), now());
    std::fs::write(work.join("docs/new.md"), "---\nstatus: READY\nround: 2\n---\n").unwrap();
    // Written again with the same bytes: that is no change.
    std::fs::write(work.join("docs/old.md"), "---\nstatus: READY\n---\n").unwrap();
    let ask = |spec: Value| fresh(in_git(&home, spec), Some(&first), began);
    let files = FileProber::new(home.processes());
    let unchanged = |evidence: &Value| evidence["unchanged"].as_array().map(Vec::len);
    for (spec, expected) in [
        (json!({"exists": "docs/new.md"}), Some(0)),
        (json!({"exists": "docs/old.md"}), Some(1)),
        (json!({"all": ["docs/new.md", "docs/old.md"]}), Some(1)),
        (json!({"exists": "old.md", "in": "docs"}), Some(1)),
        (json!({"exists": work.join("docs/old.md")}), Some(1)),
    ] {
        let evidence = files.probe(ask(spec.clone())).await.unwrap();
        assert_eq!(unchanged(&evidence), expected, "{spec} {evidence}");
    }
    let globbed = files.probe(ask(json!({"glob": "docs/*.md"}))).await.unwrap();
    assert_eq!((&globbed["matches"], unchanged(&globbed)), (&json!(["docs/new.md"]), None));
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "saved after the attempt"]);
    let heads = FrontmatterProber::new(home.processes());
    for (file, from, expected) in
        [("new", "worktree", 0), ("old", "worktree", 1), ("new", "HEAD", 0), ("old", "HEAD", 1)]
    {
        let spec = json!({"file": format!("docs/{file}.md"), "pass": ["READY"], "from": from});
        let evidence = heads.probe(ask(spec)).await.unwrap();
        assert_eq!(unchanged(&evidence), Some(expected), "{file} {from} {evidence}");
        assert!(
            evidence.get("fresh_since").is_none(),
            "the moment is no evidence: `if_unchanged` compares that"
        );
        assert!(evidence["source"]["fresh_since"].is_object(), "{evidence}");
    }
    // Of another branch, whose file the round's first commit does not have: by when it was committed there.
    git(&work, &["checkout", "--quiet", "-b", "other"]);
    std::fs::write(work.join("docs/log.md"), "---\nstatus: READY\n---\n").unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "a log of its own"]);
    git(&work, &["checkout", "--quiet", "-"]);
    let spec = json!({"file": "docs/log.md", "pass": ["READY"], "from": ["worktree", "other"]});
    let evidence = heads.probe(ask(spec.clone())).await.unwrap();
    assert_eq!((&evidence["from"], unchanged(&evidence)), (&json!("other"), Some(0)));
    let later = fresh(in_git(&home, spec), Some(&first), tomorrow());
    assert_eq!(unchanged(&heads.probe(later).await.unwrap()), Some(1), "a log of a round before");
    // What git ignores is recognised by when it was written.
    std::fs::create_dir_all(work.join("reports")).unwrap();
    std::fs::write(work.join("reports/a.xml"), GOOD).unwrap();
    let spec = json!({"files": ["reports/*.xml"]});
    let written =
        TestsProber.probe(fresh(in_git(&home, spec.clone()), Some(&first), Timestamp(0))).await.unwrap();
    assert_eq!(judged("tests", &written).0, Verdict::Pass);
    let stale = TestsProber.probe(fresh(in_git(&home, spec), Some(&first), tomorrow())).await.unwrap();
    assert_eq!((judged("tests", &stale).0, &stale["stale"]), (Verdict::Fail, &json!(["reports/a.xml"])));
    // Outside of a repository there is only the time.
    let plain = fresh(probe_request(&home, json!({"exists": "docs/new.md"})), None, tomorrow());
    assert_eq!(unchanged(&files.probe(plain).await.unwrap()), Some(1));
}

/// A server that answers each connection with the next of these, and tells what it was asked.
async fn server(answers: Vec<String>) -> (String, Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the request ends with an empty line");
                request.extend_from_slice(&buffer[..read]);
            }
            seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _closed = stream.shutdown().await;
        }
    });
    (url, asked)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

#[tokio::test]
async fn a_url_is_asked_and_its_status_is_expected_or_not() {
    let home = Home::new();
    let (url, asked) = server(vec![
        answer("200 OK", "content-type: application/json\r\nset-cookie: id=1\r\n", r#"{"ready": true}"#),
        answer("503 Service Unavailable", "retry-after: 1\r\n", "starting"),
        answer("404 Not Found", "", "none"),
    ])
    .await;
    let prober = HttpProber::new(HttpClient::new());
    let spec = |path: &str| json!({"url": format!("{url}{path}"), "headers": {"x-token": "s3cret"}, "expect": [200, 204]});
    let evidence = prober.probe(probe_request(&home, spec("/healthz?deep=1"))).await.unwrap();
    assert_eq!((&evidence["status"], &evidence["body"]), (&json!(200), &json!({"ready": true})));
    assert_eq!(evidence["source"]["url"], format!("{url}/healthz?deep=1"));
    let text = evidence.to_string();
    assert!(!text.contains("s3cret") && !text.contains("id=1"), "{text}");
    assert_eq!(judged("http", &evidence), (Verdict::Pass, "status 200".to_owned()));
    let later = prober.probe(probe_request(&home, spec("/"))).await.unwrap();
    assert_eq!(judged("http", &later), (Verdict::Pending, "status 503, not 200 or 204".to_owned()));
    let wrong = prober.probe(probe_request(&home, spec("/gone"))).await.unwrap();
    assert_eq!(judged("http", &wrong).0, Verdict::Fail);
    let request = asked.lock().unwrap()[0].clone();
    assert!(
        request.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n") && request.contains("x-token: s3cret"),
        "{request}"
    );
    // A port of its own: one more connection may wait at the first server when that ends, and is reset.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = json!({"url": format!("http://{closed}/"), "expect": [200]});
    let unreachable = prober.probe(probe_request(&home, nobody)).await.unwrap_err();
    assert!(!unreachable.permanent && unreachable.message.contains("cannot be reached"), "{unreachable:?}");
    for spec in [
        json!({"url": "nonsense"}),
        json!({"url": url, "expect": "fine"}),
        json!({"url": url, "methd": "GET"}),
    ] {
        assert!(prober.probe(probe_request(&home, spec.clone())).await.unwrap_err().permanent, "{spec}");
    }
}

/// A sign-in page, a page of a proxy: what answers with 200 is not what was asked for.
#[tokio::test]
async fn row_27_a_page_is_no_json_and_passes_no_gate_that_asks_for_it() {
    let home = Home::new();
    let page = answer("200 OK", "content-type: text/html\r\n", "<html>Please sign in</html>");
    let long = answer("200 OK", "content-type: application/json\r\n", &format!("[{}1]", "1,".repeat(40_000)));
    let plain = answer("200 OK", "content-type: text/plain\r\n", "[1, 2]");
    let (url, _) = server(vec![page.clone(), page, long, plain]).await;
    let prober = HttpProber::new(HttpClient::new());
    let ask = async |json: bool| {
        prober.probe(probe_request(&home, json!({"url": url, "json": json}))).await.unwrap()
    };
    assert_eq!(
        judged("http", &ask(false).await).0,
        Verdict::Pass,
        "a page is fine where the gate asks for no JSON"
    );
    let refused = judged("http", &ask(true).await);
    assert!(refused.0 == Verdict::Fail && refused.1.contains("the body is no JSON"), "{refused:?}");
    let cut = judged("http", &ask(true).await);
    assert!(cut.0 == Verdict::Fail && cut.1.contains("over 65536 bytes"), "{cut:?}");
    let found = ask(true).await;
    assert_eq!((&found["body"], judged("http", &found).0), (&json!([1, 2]), Verdict::Pass));
}

#[tokio::test]
async fn a_header_that_is_cut_says_so() {
    let home = Home::new();
    let headers = format!("x-long: {}\r\nx-whole: {}\r\n", "a".repeat(1_025), "b".repeat(1_024));
    let (url, _) = server(vec![answer("200 OK", &headers, "")]).await;
    let found =
        HttpProber::new(HttpClient::new()).probe(probe_request(&home, json!({"url": url}))).await.unwrap();
    let headers = &found["headers"];
    assert_eq!(headers["x-long"], format!("{}…", "a".repeat(1_024)));
    assert_eq!(headers["x-whole"], "b".repeat(1_024));
}

#[tokio::test]
async fn redirects_are_followed_without_telling_another_host_who_asks() {
    let (other, asked_there) = server(vec![answer("200 OK", "", "there")]).await;
    let (url, asked_here) = server(vec![
        answer("302 Found", "location: /next?of=http://a.b/\r\n", ""),
        answer("307 Temporary Redirect", &format!("location: {other}/x\r\n"), ""),
        answer("302 Found", "location: /again\r\n", ""),
    ])
    .await;
    let client = HttpClient::new();
    let mut request = HttpRequest::get(format!("{url}/first"));
    request.headers.insert("authorization".into(), "Bearer s3cret".into());
    for (name, value) in [("x-api-key", "s3cret"), ("private-token", "s3cret"), ("accept", "text/html")] {
        request.headers.insert(name.into(), value.into());
    }
    let found = client.send(request.clone()).await.unwrap();
    assert_eq!((found.text().as_str(), found.url), ("there", format!("{other}/x")));
    let here = asked_here.lock().unwrap().clone();
    assert!(
        here[1].starts_with("GET /next?of=http://a.b/ ") && here[1].contains("Bearer s3cret"),
        "{here:?}"
    );
    assert!(here[1].contains("x-api-key: s3cret"), "{here:?}");
    let there = asked_there.lock().unwrap()[0].clone();
    assert!(!there.contains("s3cret") && there.contains("accept: text/html"), "{there}");
    // What may change something is not sent on.
    request.method = "POST".parse().unwrap();
    request.body = Some(b"{}".to_vec());
    assert_eq!(client.send(request).await.unwrap().status, 302);
}

/// An authority of these tests and a certificate of its for `localhost`; no system trusts it.
fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/certificates").join(name)
}

/// A server that greets over TLS, as often as it is asked.
async fn secure_server() -> std::net::SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(certificate("good.pem")).unwrap()],
            PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _asked = stream.read(&mut [0; 4096]).await;
            stream.write_all(answer("200 OK", "", "hello").as_bytes()).await.unwrap();
            let _closed = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn a_certificate_counts_only_by_an_authority_that_is_trusted_and_for_its_names() {
    let address = secure_server().await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate("ca.pem")).unwrap()).unwrap();
    let client = HttpClient::trusting(roots);
    for host in [format!("localhost:{}", address.port()), address.to_string()] {
        let found = client.send(HttpRequest::get(format!("https://{host}/"))).await.unwrap();
        assert_eq!((found.status, found.text().as_str()), (200, "hello"));
    }
    let elsewhere = format!("https://127.0.0.2:{}/", address.port());
    assert!(client.send(HttpRequest::get(elsewhere)).await.is_err(), "another name");
    let stranger = HttpClient::trusting(rustls::RootCertStore::empty());
    let refused = stranger.send(HttpRequest::get(format!("https://{address}/"))).await.unwrap_err();
    assert!(matches!(&refused, HttpError::Unreachable { .. }) && !refused.may_have_arrived(), "{refused}");
}

#[tokio::test]
async fn an_answer_is_bounded_in_size_and_time() {
    let large = answer("200 OK", "", &"x".repeat(100_000));
    let (url, _) = server(vec![large, "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\ncut".into()]).await;
    let client = HttpClient::new();
    let mut request = HttpRequest::get(&url);
    request.body_bytes_max = 1_000;
    let cut = client.send(request.clone()).await.unwrap();
    assert_eq!((cut.body.len(), cut.truncated), (1_000, true));
    let torn = client.send(request.clone()).await.unwrap_err();
    assert!(torn.may_have_arrived(), "{torn}");
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    request.url = format!("http://{}", silent.local_addr().unwrap());
    request.timeout = Duration::from_millis(100);
    let Err(HttpError::NoAnswer { reason, .. }) = client.send(request).await else { panic!("no answer") };
    assert_eq!(reason, "no answer within 100ms");
}

#[tokio::test]
async fn a_setting_is_read_as_its_documents_have_it_now() {
    let home = Home::new();
    let file = home.work("team.yaml");
    std::fs::write(&file, "deploy: {auto: false, hosts: [a, b]}\n").unwrap();
    let spec = |path: &str| json!({"path": path, "documents": [{"file": home.work("own.yaml")}, {"file": file}, {"values": {"deploy": {"slots": 2}}}]});
    let read = async |path: &str| ConfigProber.probe(probe_request(&home, spec(path))).await.unwrap();
    assert_eq!(read("team.deploy.auto").await["value"], json!(false));
    assert_eq!(read("team.deploy.slots").await["value"], json!(2));
    assert_eq!(read("team.deploy.hosts.1").await["value"], json!("b"));
    let whole = read("team").await;
    assert_eq!(
        whole["value"],
        json!({"deploy": {"auto": false, "hosts": ["a", "b"], "slots": 2}}),
        "all of it"
    );
    // A record that does not fit is left out, and said to be.
    let mut checked = spec("team.deploy");
    checked["records"] = json!({"team.deploy": {"type": ["boolean", "array"]}});
    let sound = ConfigProber.probe(probe_request(&home, checked)).await.unwrap();
    assert_eq!(sound["value"], json!({"auto": false, "hosts": ["a", "b"]}));
    assert_eq!(sound["skipped"][0]["record"], json!("team.deploy.slots"), "{sound}");
    let absent = read("team.deploy.none").await;
    assert_eq!((&absent["exists"], &absent["value"]), (&json!(false), &Value::Null));
    std::fs::write(home.work("own.yaml"), "deploy: {auto: true}\n").unwrap();
    let now = read("team.deploy.auto").await;
    assert_eq!((&now["value"], now["source"]["files"].as_array().unwrap().len()), (&json!(true), 2));
    assert_eq!(judge_default("config", &now), None, "it needs a policy");
    std::fs::write(&file, "deploy: [").unwrap();
    let broken = ConfigProber.probe(probe_request(&home, spec("team.deploy"))).await.unwrap_err();
    assert!(!broken.permanent && broken.message.contains("team.yaml"), "{broken:?}");
    let unknown = ConfigProber.probe(probe_request(&home, json!({"path": "other.x"}))).await.unwrap_err();
    assert!(unknown.permanent && unknown.message.contains("“other”"), "{unknown:?}");
}

#[tokio::test]
async fn only_functions_that_say_that_they_read_are_called_by_gates() {
    let home = Home::new();
    let mut functions = Functions::built_in();
    async fn open(_: Call, with: Value) -> Result<Value, StepError> {
        match with["team"].as_str() {
            Some("none") => Err(StepError::new("the tracker does not answer")),
            Some(team) => {
                Ok(json!({"ok": team == "a", "reason": format!("{team} has open tickets"), "count": 2}))
            }
            None => panic!("a bug"),
        }
    }
    async fn close(_: Call, _: Value) -> Result<Value, StepError> {
        Ok(json!({"ok": true}))
    }
    functions.register(Function::new("tickets.open", open).read_only()).unwrap();
    functions.register(Function::new("tickets.close", close).idempotent()).unwrap();
    let prober = FunctionProber::new(FunctionExecutor::new(functions));
    let ask =
        |name: &str, with: Value| prober.probe(probe_request(&home, json!({"name": name, "with": with})));
    let evidence = ask("tickets.open", json!({"team": "b"})).await.unwrap();
    assert_eq!(judged("function", &evidence), (Verdict::Fail, "b has open tickets".to_owned()));
    assert_eq!(
        (&evidence["output"]["count"], &evidence["source"]["function"]),
        (&json!(2), &json!("tickets.open"))
    );
    assert_eq!(
        judged("function", &ask("tickets.open", json!({"team": "a"})).await.unwrap()).0,
        Verdict::Pass
    );
    assert_eq!(judged("function", &ask("everfold.echo", json!(true)).await.unwrap()).0, Verdict::Pass);
    for (name, with, permanent, part) in [
        ("tickets.open", json!({"team": "none"}), false, "does not answer"),
        ("tickets.open", json!({}), false, "panicked"),
        ("tickets.close", json!({}), true, "does not say that it only reads"),
        ("tickets.opne", json!({}), true, "did you mean tickets.open"),
    ] {
        let failure = ask(name, with).await.unwrap_err();
        assert!(failure.permanent == permanent && failure.message.contains(part), "{name}: {failure:?}");
    }
}

/// A list of runs that is written here.
struct WrittenRuns(Vec<FoundRun>);

impl Directory for WrittenRuns {
    fn runs(&self, query: RunQuery) -> BoxFuture<'static, Result<FoundRuns, DirectoryError>> {
        let fits = |run: &&FoundRun| query.fits(run);
        let runs: Vec<FoundRun> = self.0.iter().filter(fits).cloned().collect();
        let total = runs.len() as u64;
        let runs = runs.into_iter().take(query.limit).collect();
        std::future::ready(Ok(FoundRuns { total, runs, position: Position(7) })).boxed()
    }
}

#[tokio::test]
async fn other_runs_are_found_by_labels_and_status_and_the_run_itself_does_not_count() {
    let home = Home::new();
    let run = |id: u128, status: RunStatus, lane: &str| FoundRun {
        run: format!("{id:032x}").parse().unwrap(),
        pipeline: "p".into(),
        title: None,
        labels: BTreeMap::from([("lane".to_owned(), lane.to_owned())]),
        status,
        started_at: Timestamp(0),
    };
    let mut own = run(1, RunStatus::Running, "deploy");
    own.run = home.id("build").run;
    let listed = vec![own, run(2, RunStatus::Running, "deploy"), run(3, RunStatus::Succeeded, "deploy")];
    let prober = RunsProber::new(Some(Arc::new(WrittenRuns(listed))));
    let ask = |spec: Value| prober.probe(probe_request(&home, spec));
    let spec = json!({"labels": {"lane": "deploy"}, "status": ["running", "blocked"]});
    let evidence = ask(spec).await.unwrap();
    assert_eq!((&evidence["total"], evidence["runs"].as_array().unwrap().len()), (&json!(1), 1));
    assert_eq!(judged("runs", &evidence).0, Verdict::Pass);
    assert_eq!(evidence["source"]["position"], json!(7));
    let none = ask(json!({"labels": {"lane": "other"}})).await.unwrap();
    assert_eq!(judged("runs", &none), (Verdict::Fail, "no run fits".to_owned()));
    assert_eq!(ask(json!({"status": "succeeded"})).await.unwrap()["total"], json!(1));
    for spec in [json!({"status": "done"}), json!({"label": {}})] {
        assert!(ask(spec).await.unwrap_err().permanent);
    }
    let alone = RunsProber::new(None).probe(probe_request(&home, json!({}))).await;
    assert!(alone.unwrap_err().permanent);
}

#[tokio::test]
async fn row_22_every_value_of_every_label_is_counted_and_what_is_not_named_is_said() {
    let home = Home::new();
    let run = |id: u128| FoundRun {
        run: format!("{id:032x}").parse().unwrap(),
        pipeline: "p".into(),
        title: None,
        labels: BTreeMap::from([
            ("card".to_owned(), if id == 1 { "oldest".to_owned() } else { format!("c{}", id % 3) }),
            ("own".to_owned(), format!("{id} {}", "x".repeat(100))),
        ]),
        status: RunStatus::Running,
        started_at: Timestamp(i64::try_from(id).unwrap()),
    };
    let listed: Vec<FoundRun> = (1..=120).rev().map(run).collect();
    let prober = RunsProber::new(Some(Arc::new(WrittenRuns(listed))));
    let evidence = prober.probe(probe_request(&home, json!({}))).await.unwrap();
    let named = evidence["runs"].as_array().unwrap().len() as u64;
    assert!(named <= 50, "{named}");
    assert_eq!((&evidence["total"], &evidence["unnamed"]), (&json!(120), &json!(120 - named)));
    assert_eq!(
        evidence["labels"]["card"],
        json!([
            {"value": "c0", "count": 40}, {"value": "c1", "count": 39}, {"value": "c2", "count": 40},
            {"value": "oldest", "count": 1},
        ]),
    );
    assert_eq!(evidence["labels"].get("own"), Some(&Value::Null), "more values than have room");
    assert!(evidence.to_string().len() < 32 * 1024, "a start keeps its evidence whole");
    let few = RunsProber::new(Some(Arc::new(WrittenRuns(vec![run(1), run(2)]))));
    let evidence = few.probe(probe_request(&home, json!({}))).await.unwrap();
    assert_eq!((evidence.get("unnamed"), evidence["runs"].as_array().unwrap().len()), (None, 2));
}

#[tokio::test]
async fn a_label_with_a_list_counts_the_runs_of_each_value_and_names_the_values_that_no_run_has() {
    let home = Home::new();
    let now = everfold_system::clock::now();
    let run = |id: u128, card: &str, status: RunStatus, minutes_ago: i64| FoundRun {
        run: format!("{id:032x}").parse().unwrap(),
        pipeline: "p".into(),
        title: None,
        labels: BTreeMap::from([("card".to_owned(), card.to_owned())]),
        status,
        started_at: Timestamp(now.0 - minutes_ago * 60_000),
    };
    let mut own = run(1, "a", RunStatus::Succeeded, 0);
    own.run = home.id("build").run;
    let listed = vec![
        own,
        run(2, "a", RunStatus::Succeeded, 5),
        run(3, "a", RunStatus::Succeeded, 500),
        run(4, "b", RunStatus::Failed, 5),
        run(5, "d", RunStatus::Succeeded, 1),
    ];
    let prober = RunsProber::new(Some(Arc::new(WrittenRuns(listed))));
    let ask = |spec: Value| prober.probe(probe_request(&home, spec));
    let cards = json!({"labels": {"card": ["b", "a", "c", "a"]}, "status": "succeeded"});
    let evidence = ask(cards).await.unwrap();
    assert_eq!(evidence["total"], json!(2), "the run itself does not count");
    let counts = json!([{"value": "a", "count": 2}, {"value": "b", "count": 0}, {"value": "c", "count": 0}]);
    assert_eq!(evidence["counts"]["card"], counts);
    assert_eq!(evidence["missing"]["card"], json!(["b", "c"]));
    let newest: Vec<&Value> = evidence["runs"].as_array().unwrap().iter().map(|run| &run["id"]).collect();
    assert_eq!(newest.len(), 2);
    assert!(newest[0].as_str().unwrap().ends_with('2'), "the newest comes first: {newest:?}");
    let young = ask(json!({"labels": {"card": ["a"]}, "max_age": "1h"})).await.unwrap();
    assert_eq!(young["total"], json!(1));
    assert!(young["runs"][0]["started_at"].is_string() && young["source"]["started_after"].is_string());
    let none = ask(json!({"labels": {"card": []}})).await.unwrap();
    assert_eq!((&none["total"], judged("runs", &none).0), (&json!(0), Verdict::Fail));
    let many: Vec<u32> = (0..101).collect();
    for spec in [json!({"labels": {"card": many}}), json!({"max_age": "soon"})] {
        assert!(ask(spec).await.unwrap_err().permanent);
    }
}
