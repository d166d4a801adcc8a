//! The command line at a server: what is said where there is none, and what a server's death costs.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::fixtures::{Done, Scratch, Served, await_that, lines};

const ASKS: &str = "name: asks\nsteps:\n  - id: ok\n    approval: { title: Is it right? }\n";

fn certificate(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("certificates");
    folder.join(name).display().to_string()
}

fn tls(scratch: &Scratch, name: &str) -> (super::fixtures::Running, Served) {
    scratch.serve(&["--tls-cert", &certificate(name), "--tls-key", &certificate("server.key")])
}

/// An address at which no server listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// Answers every connection with the same text.
fn impostor(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _read = stream.read(&mut [0; 4096]);
            let _gone = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

fn at(scratch: &Scratch, url: &str, args: &[&str]) -> Done {
    scratch.run_far(&Served { url: url.to_owned(), token: format!("evf_{:064x}", 7) }, args)
}

#[test]
fn each_reason_why_no_server_answers_has_its_words() {
    let scratch = Scratch::new();
    let html = impostor("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>");
    let moved = impostor("HTTP/1.1 301 Moved\r\nlocation: https://e.example/\r\ncontent-length: 0\r\n\r\n");
    let proxy = impostor("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 3\r\n\r\nbad");
    let other = impostor("SSH-2.0-OpenSSH_9.9\r\n");
    let cases = [
        (NOBODY, "EF0611", "no server listens"),
        ("https://no-such-host.invalid", "EF0611", "there is no host no-such-host.invalid"),
        (&html, "EF0613", "is no Everfold server"),
        (&moved, "EF0613", "sends on to https://e.example/"),
        (&proxy, "EF0611", "502"),
        (&other, "EF0613", "does not answer as a server"),
        (&html.replace("http:", "https:"), "EF0613", "does not speak TLS"),
    ];
    for (url, code, words) in cases {
        let done = at(&scratch, url, &["runs"]);
        assert!(done.code == 7 && done.err.contains(code) && done.err.contains(words), "{url}: {done:?}");
        assert!(done.err.contains("hint:") && done.out.is_empty(), "{done:?}");
    }
    let json = at(&scratch, NOBODY, &["runs", "--json"]);
    let problem: Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!(problem["code"], "EF0611");
    assert!(!scratch.data().exists(), "a server needs no folder");
}

#[test]
fn a_certificate_is_trusted_by_who_signed_it_its_name_and_its_time() {
    let scratch = Scratch::new();
    let ca = certificate("ca.pem");
    {
        let (_server, served) = tls(&scratch, "good.pem");
        let stranger = scratch.run_far(&served, &["runs"]);
        assert!(
            stranger.code == 7 && stranger.err.contains("nobody that this machine trusts"),
            "{stranger:?}"
        );
        assert_eq!(scratch.run_far(&served, &["--ca", &ca, "runs"]).code, 0);
        let none = scratch.run_far(&served, &["--ca", "/no/such/file", "runs"]);
        assert!(none.code == 2 && none.err.contains("/no/such/file"), "{none:?}");
        let clear = at(&scratch, &served.url.replace("https:", "http:"), &["runs"]);
        assert!(
            clear.code == 7 && clear.err.contains(&format!("if it speaks TLS: {}", served.url)),
            "{clear:?}"
        );
        scratch.write("asks.yaml", ASKS);
        let done = scratch.run_far(&served, &["--ca", &ca, "run", "./asks.yaml", "--no-wait"]);
        assert_eq!(done.code, 6, "{done:?}");
        assert!(
            done.out.contains(&format!("everfold --server {} --ca {ca} approve", served.url)),
            "{}",
            done.out
        );
    }
    for (name, words) in [
        ("elsewhere.pem", "of another name than 127.0.0.1"),
        ("over.pem", "is over"),
        ("early.pem", "does not hold yet"),
    ] {
        let (_server, served) = tls(&scratch, name);
        let refused = scratch.run_far(&served, &["--ca", &ca, "runs"]);
        assert!(
            refused.code == 7 && refused.err.contains("EF0612") && refused.err.contains(words),
            "{refused:?}"
        );
    }
}

#[test]
fn a_certificate_that_signed_itself_is_trusted_where_it_is_named() {
    let scratch = Scratch::new();
    for (name, code, words) in
        [("self-signed.pem", 0, ""), ("self-signed-elsewhere.pem", 7, "of another name than 127.0.0.1")]
    {
        let (_server, served) = tls(&scratch, name);
        let asked = scratch.run_far(&served, &["--ca", &certificate(name), "runs"]);
        assert!(asked.code == code && asked.err.contains(words), "{asked:?}");
    }
}

#[test]
fn a_server_of_another_version_is_reported_where_the_two_do_not_understand_each_other() {
    let scratch = Scratch::new();
    // The first answer says who it is, the second one what it does not know.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut head) {
                let is_health = head[..count].windows(8).any(|part| part == b"/healthz");
                let (status, body) = match is_health {
                    true => ("200 OK", r#"{"status": "ok", "version": "9.1.0", "epoch": "e"}"#),
                    false => (
                        "404 Not Found",
                        r#"{"type": "t", "title": "t", "status": 404, "detail": "no route", "code": "EF0207"}"#,
                    ),
                };
                let _gone =
                    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
        }
    });
    let done = at(&scratch, &url, &["runs"]);
    assert!(done.code == 7 && done.err.contains("EF0614") && done.err.contains("Everfold 9.1.0"), "{done:?}");
}

#[test]
fn a_token_that_is_missing_wrong_over_or_weak_is_refused_with_what_to_do() {
    let scratch = Scratch::new();
    let (_server, served) = scratch.serve(&[]);
    scratch.write("asks.yaml", ASKS);
    let none: Done = scratch.command(&["--server", &served.url, "runs"]).output().unwrap().into();
    assert!(none.code == 4 && none.err.contains("$EVERFOLD_TOKEN"), "{none:?}");
    let wrong = at(&scratch, &served.url, &["runs"]);
    assert!(wrong.code == 4 && wrong.err.contains("EF0601"), "{wrong:?}");
    let made = |name: &str, flags: &[&str]| {
        let mut args = vec!["token", "create", name];
        args.extend(flags);
        let done = scratch.run_far(&served, &args);
        assert_eq!(done.code, 0, "{done:?}");
        Served { token: done.out.trim().to_owned(), ..served.clone() }
    };
    let viewer = made("eye", &["--role", "viewer"]);
    assert_eq!(scratch.run_far(&viewer, &["runs"]).code, 0);
    for verb in [
        &["run", "./asks.yaml", "--no-wait"][..],
        &["pipeline", "save", "./asks.yaml"],
        &["pause", "--all"],
        &["token", "list"],
        &["schedule", "add", "s", "delivery", "--every", "1h"],
    ] {
        let refused = scratch.run_far(&viewer, verb);
        assert!(refused.code == 4 && refused.err.contains("EF0602"), "{verb:?}: {refused:?}");
    }
    assert_eq!(scratch.run_far(&viewer, &["runs", "--json"]).json()["items"], serde_json::json!([]));
    let brief = made("brief", &["--role", "viewer", "--expires", "1s"]);
    let over = await_that("the token is over", || {
        let done = scratch.run_far(&brief, &["runs"]);
        (done.code != 0).then_some(done)
    });
    assert!(over.code == 4 && over.err.contains("EF0601"), "{over:?}");
}

#[test]
fn what_needs_the_folder_says_so() {
    let scratch = Scratch::new();
    for verb in [
        &["serve"][..],
        &["ui"],
        &["init"],
        &["doctor"],
        &["bench"],
        &["demo"],
        &["store", "verify"],
        &["store", "repair"],
        &["store", "adopt"],
    ] {
        // No server is asked: none listens there.
        let done = at(&scratch, NOBODY, verb);
        assert!(done.code == 2 && done.err.contains("EF0615"), "{verb:?}: {done:?}");
        assert!(done.err.contains(&format!("`{}`", verb.join(" "))), "{done:?}");
    }
    assert!(!scratch.data().exists() && lines(&scratch.path("hello.yaml")).is_empty());
}

#[test]
fn s10_a_write_whose_server_dies_before_it_answers_is_done_once() {
    let scratch = Scratch::new();
    scratch.write("once.yaml", "name: once\nsteps:\n  - id: a\n    command: echo a >> ../../../trace\n");
    // The start is durable, and its answer never comes.
    let (server, served) = scratch.serve(&["--crash-after", "RunStarted"]);
    let start = scratch.start_far(&served, &["run", "./once.yaml", "--json", "--patience", "50s"]);
    let killed = server.end();
    assert_eq!(killed.code, -1, "{killed:?}");
    let (_again, _) = scratch.serve(&["--listen", &served.listen()]);
    let done = start.end();
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(done.json()["status"], "succeeded");
    let runs = scratch.run_far(&served, &["runs", "--json"]).json();
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "{runs}");
    assert_eq!(lines(&scratch.path("trace")), ["a"]);
}

#[test]
fn s10_a_refusal_of_a_second_try_says_that_the_first_one_may_have_done_it() {
    let scratch = Scratch::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (key_sender, keys) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut tries = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut head) {
                let text = String::from_utf8_lossy(&head[..count]).into_owned();
                let key = text.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
                let (status, body) = match key {
                    None => ("200 OK", r#"{"version": "0.1.0", "epoch": "e"}"#),
                    Some(key) => {
                        key_sender.send(key.to_owned()).unwrap();
                        tries += 1;
                        if tries == 1 {
                            // It has come, and the answer never goes.
                            break;
                        }
                        (
                            "422 Unprocessable Content",
                            r#"{"type": "t", "title": "t", "status": 422, "detail": "the name was given before", "code": "EF0605"}"#,
                        )
                    }
                };
                let _gone =
                    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
        }
    });
    let done = at(&scratch, &url, &["token", "create", "ci", "--role", "viewer"]);
    assert!(done.code == 2 && done.err.contains("the first try lost its connection"), "{done:?}");
    let (first, second) = (keys.recv().unwrap(), keys.recv().unwrap());
    assert_eq!(first, second, "the same write");
}

/// Begins a run that writes now and then until it is let go on.
fn begun(scratch: &Scratch, served: &Served) -> PathBuf {
    let go = scratch.path("go");
    let script = "i=0; until test -e ../../../go; do i=$((i+1)); echo line $i; sleep 0.1; done; echo last";
    scratch.write("long.yaml", &format!("name: long\nsteps:\n  - id: work\n    command: '{script}'\n  - id: after\n    command: echo done\n"));
    assert_eq!(scratch.run_far(served, &["run", "./long.yaml", "--detach"]).code, 0);
    await_that("the work began", || {
        scratch.run_far(served, &["logs", "@", "work"]).out.contains("line 2").then_some(())
    });
    go
}

#[test]
fn whoever_watches_a_server_that_is_killed_sees_everything_once_and_the_end() {
    let scratch = Scratch::new();
    let (mut server, served) = scratch.serve(&[]);
    let go = begun(&scratch, &served);
    let watching = scratch.start_far(&served, &["watch", "@", "--json"]);
    let following = scratch.start_far(&served, &["logs", "@", "work", "-f"]);
    let waiting = scratch.start_far(&served, &["resume", "@"]);
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(300));
        server.kill();
        server = scratch.serve(&["--listen", &served.listen()]).0;
    }
    std::fs::write(go, "").unwrap();
    let watched = watching.end();
    assert_eq!(watched.code, 0, "{watched:?}");
    let versions: Vec<u64> = watched
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>(), "each event once, in order");
    assert!(watched.out.lines().last().unwrap().contains("RunSucceeded"));
    let followed = following.end();
    assert_eq!(followed.code, 0, "{followed:?}");
    assert_eq!(followed.out, scratch.run_far(&served, &["logs", "@", "work"]).out, "each line once");
    let waited = waiting.end();
    assert!(waited.code == 0 && waited.out.contains("succeeded"), "{waited:?}");
}

#[test]
fn a_token_that_ends_under_a_watch_ends_it_unless_there_is_a_new_one() {
    let scratch = Scratch::new();
    let (mut server, served) = scratch.serve(&[]);
    let go = begun(&scratch, &served);
    let create = |name: &str| {
        let made = scratch.run_far(&served, &["token", "create", name, "--role", "viewer"]);
        assert_eq!(made.code, 0, "{made:?}");
        made.out
    };
    for name in ["kept", "renewed"] {
        scratch.write(name, &create(name));
        let add = ["context", "add", name, "--server", &served.url, "--token-file", name];
        assert_eq!(scratch.run(&add).code, 0);
    }
    let kept = scratch.start(&["--context", "kept", "watch", "@"]);
    let renewed = scratch.start(&["--context", "renewed", "watch", "@"]);
    std::thread::sleep(Duration::from_millis(300));
    scratch.write("renewed", &create("new"));
    for name in ["kept", "renewed"] {
        assert_eq!(scratch.run_far(&served, &["token", "revoke", name]).code, 0);
    }
    server.kill();
    let _server = scratch.serve(&["--listen", &served.listen()]);
    let done = kept.end();
    assert!(done.code == 4 && done.err.contains("EF0601") && done.err.contains("kept"), "{done:?}");
    std::fs::write(go, "").unwrap();
    assert_eq!(renewed.end().code, 0);
}

#[test]
fn a_server_that_does_not_come_again_is_given_up_when_patience_ends() {
    let scratch = Scratch::new();
    let (mut server, served) = scratch.serve(&[]);
    let go = begun(&scratch, &served);
    let watching = scratch.start_far(&served, &["watch", "@", "--json", "--patience", "2s"]);
    std::thread::sleep(Duration::from_millis(300));
    server.kill();
    let done = watching.end();
    assert!(done.code == 7 && done.err.contains("EF0611"), "{done:?}");
    std::fs::write(go, "").unwrap();
    assert_eq!(scratch.run(&["resume", "@"]).code, 0, "the run is none the worse for it");
}

#[test]
fn a_server_that_is_slow_is_waited_for_as_long_as_patience_lasts() {
    let scratch = Scratch::new();
    let (mut server, served) = scratch.serve(&[]);
    server.signal(Signal::STOP);
    let since = Instant::now();
    let done = scratch.run_far(&served, &["--patience", "1s", "runs"]);
    assert!(done.code == 7 && done.err.contains("did not answer within 1s"), "{done:?}");
    assert!(since.elapsed() < Duration::from_secs(10));
    let waiting = scratch.start_far(&served, &["--patience", "30s", "runs"]);
    std::thread::sleep(Duration::from_millis(500));
    server.signal(Signal::CONT);
    assert_eq!(waiting.end().code, 0);
}

#[test]
fn p5_ctrl_c_once_leaves_the_run_to_the_server_and_twice_cancels_it() {
    let scratch = Scratch::new();
    let (_server, served) = scratch.serve(&[]);
    scratch.write("asks.yaml", ASKS);
    for (times, code, status) in [(1, 130, "waiting"), (2, 5, "cancelled")] {
        let mut waiting = scratch.start_far(&served, &["run", "./asks.yaml", "--title", status]);
        await_that("the run waits", || {
            let page = scratch.run_far(&served, &["runs", "-q", status, "--json"]).json();
            (page["items"][0]["status"] == "waiting").then_some(())
        });
        waiting.signal(Signal::INT);
        if times == 2 {
            // Signals of one kind merge while none was taken: the second one waits for the first one's answer.
            std::thread::sleep(Duration::from_millis(500));
            waiting.signal(Signal::INT);
        }
        let done = waiting.end();
        assert_eq!(done.code, code, "{done:?}");
        let view = scratch.run_far(&served, &["show", "@", "--json"]).json();
        assert_eq!(view["status"], status, "{done:?}");
        if times == 1 {
            let short = view["short_id"].as_str().unwrap();
            let back = format!(
                "goes on at {0}; come back to it with: everfold --server {0} resume {short}",
                served.url
            );
            assert!(done.err.contains(&back), "{}", done.err);
        }
    }
}

#[test]
fn a_run_is_sent_with_the_files_that_it_names_and_works_in_a_folder_of_the_server() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("mine")).unwrap();
    scratch.write("mine/ask.md", "Say ${input.word}.");
    scratch.write("mine/deep.yaml", "name: deep\ninput: { type: object, required: [word], properties: { word: { type: string } } }\nsteps:\n  - id: a\n    agent: { profile: echo, prompt: ask.md }\n  - id: b\n    command: pwd\noutput: '${steps.b.output.stdout}'\n");
    scratch.write("served.toml", "[agents.echo]\ncommand = [\"cat\"]\n");
    let (_server, served) = scratch.serve(&["--config", "served.toml"]);
    let done = scratch.run_far(&served, &["run", "mine/deep.yaml", "-i", "word=hello", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let folder = done.json()["output"].as_str().unwrap().to_owned();
    assert!(folder.contains("/scratch/") && !folder.contains("/mine"), "{folder}");
    let said = scratch.run_far(&served, &["run", "mine/deep.yaml", "-i", "word=hello"]);
    assert!(said.err.contains(&format!("commands run at {}", served.url)), "{said:?}");
    assert_eq!(scratch.run_far(&served, &["pipeline", "save", "mine/deep.yaml"]).code, 0);
    assert_eq!(scratch.run_far(&served, &["run", "deep", "-i", "word=hello"]).code, 0);
}

/// As people meet it: with another program than this one. Needs curl with HTTP/2.
#[test]
fn row_51_curl_speaks_http_2_and_http_1_over_tls() {
    let curl = |args: &[&str]| std::process::Command::new("curl").args(args).output();
    let has_http_2 =
        curl(&["--version"]).is_ok_and(|version| String::from_utf8_lossy(&version.stdout).contains("HTTP2"));
    if !has_http_2 {
        assert!(std::env::var_os("EVERFOLD_REQUIRE_CURL").is_none(), "there is no curl that speaks HTTP/2");
        eprintln!("SKIPPED: there is no curl that speaks HTTP/2");
        return;
    }
    let scratch = Scratch::new();
    let (_server, served) = tls(&scratch, "good.pem");
    let (ca, url) = (certificate("ca.pem"), format!("{}/healthz", served.url));
    for (wanted, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let format = "%{http_version} %{http_code}";
        let asked =
            curl(&[wanted, "--cacert", &ca, "-sS", "-m", "20", "-o", "/dev/null", "-w", format, &url]);
        let asked = asked.unwrap();
        let said = String::from_utf8_lossy(&asked.stdout).into_owned();
        assert_eq!(said, format!("{version} 200"), "{}", String::from_utf8_lossy(&asked.stderr));
    }
}
