//! A process that has no file handle left: real ones, taken until the system gives no more.
//!
//! One program for these tests alone: the limit is the whole process's.
#![allow(clippy::unwrap_used)]

#[path = "fixtures/home.rs"]
mod home;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{LazyLock, Mutex, MutexGuard};

use everfold_ports::{AttemptResult, Executor as _};
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::http::{HttpClient, HttpRequest};
use everfold_workflows::shim::protocol::ShimRecord;
use home::{Home, is_alive, observer, output, pid_in, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The program that supervises attempts.
const SUPERVISOR: &str = env!("CARGO_BIN_EXE_everfold-shim-under-test");
static ALONE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

fn alone() -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), ..limits }).unwrap();
    alone
}

/// All handles that were left.
fn take_all() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

const SLOW: &str = "echo $$ > head; echo ran >> runs; while [ ! -e go ]; do sleep 0.02; done";

fn runs(home: &Home) -> usize {
    std::fs::read_to_string(home.work("runs")).unwrap_or_default().lines().count()
}

fn is_held_back(result: &AttemptResult) -> bool {
    matches!(result, AttemptResult::NoRoom { .. })
}

#[test]
fn row_11_an_attempt_that_finds_no_handle_is_held_back_at_whatever_it_needed_one_for() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut held_back = 0;
        for left in 0..12_usize {
            let home = Home::new();
            let executor = CommandExecutor::new(home.processes());
            let request = home.shell("echo ran >> runs");
            let mut taken = take_all();
            let kept = taken.len() - left;
            taken.truncate(kept);
            let end = executor.start(request.clone(), observer()).await;
            drop(taken);
            match &end.result {
                result if is_held_back(result) => held_back += 1,
                AttemptResult::Succeeded(_) => {}
                _ => panic!("{left} handles: {end:?}"),
            }
            let end = executor.start(request, observer()).await;
            assert!(matches!(end.result, AttemptResult::Succeeded(_)), "{left} handles: {end:?}");
            assert_eq!(runs(&home), 1, "{left} handles");
        }
        assert!(held_back >= 3, "{held_back}");
    });
}

#[test]
fn row_09_an_attempt_that_lives_is_neither_failed_nor_begun_again_while_there_is_no_handle_to_look_at_it() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let home = Home::new();
        let request = home.shell(SLOW);
        let attempt = tokio::spawn(CommandExecutor::new(home.processes()).start(request.clone(), observer()));
        let head = pid_in(&home.work("head")).await;
        until("its record", || ShimRecord::read(&home.path("attempt")).is_some()).await;
        attempt.abort();
        let _aborted = attempt.await;
        let executor = CommandExecutor::new(home.processes());
        let taken = take_all();
        let end = executor.reattach(request.clone(), observer()).await;
        drop(taken);
        assert!(is_held_back(&end.result), "{end:?}");
        assert!(is_alive(head));
        // It ends while the engine cannot look.
        std::fs::write(home.work("go"), "").unwrap();
        until("the end", || home.path("attempt/exit.json").exists()).await;
        let taken = take_all();
        let end = executor.reattach(request.clone(), observer()).await;
        drop(taken);
        assert!(is_held_back(&end.result), "{end:?}");
        let end = executor.reattach(request, observer()).await;
        assert_eq!((output(&end)["exit_code"].as_i64(), runs(&home)), (Some(0), 1));
    });
}

/// Steps `http`, gates of that kind, providers and notices send by this client.
#[test]
fn row_11_a_request_waits_for_a_handle_and_is_sent_once() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let client = HttpClient::new();
        let taken = take_all();
        let mut sending = Box::pin(client.send(HttpRequest::get(url)));
        let first = futures::poll!(&mut sending);
        assert!(first.is_pending(), "{first:?}");
        drop(taken);
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut asked = [0; 1_024];
            let size = peer.read(&mut asked).unwrap();
            peer.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
            listener.set_nonblocking(true).unwrap();
            (size, listener.accept().is_err())
        });
        assert_eq!(sending.await.unwrap().status, 204);
        let (size, is_alone) = server.join().unwrap();
        assert!(size > 0 && is_alone);
    });
}
