//! Attempts whose folder is removed while they are at work: lost, and nothing of them goes on beside another.

use crate::fixtures::home::{Home, is_alive, observer, pid_in, until};
use everfold_base::failure::FailureKind;
use everfold_ports::{AttemptEnd, AttemptResult, Executor as _};
use everfold_workflows::command::CommandExecutor;
use everfold_workflows::shim::protocol::ShimRecord;

/// It forgets the mark of its folder, and so does what it starts.
const UNMARKED: &str = "exec env -i sh -c 'echo $$ > head; sleep 60 & echo $! > below; wait'";

fn assert_lost(end: &AttemptEnd) {
    let AttemptResult::Lost { reason } = &end.result else { panic!("not lost: {end:?}") };
    assert!(reason.contains("is gone"), "{reason}");
}

#[tokio::test]
async fn an_attempt_whose_folder_was_removed_under_its_engine_is_lost_and_never_begun_again() {
    let home = Home::new();
    let request = home.shell("echo ran >> runs; while [ ! -e go ]; do sleep 0.02; done");
    let executor = CommandExecutor::new(home.processes());
    let attempt = tokio::spawn(executor.start(request.clone(), observer()));
    until("the start", || home.work("runs").exists() && ShimRecord::read(&home.path("attempt")).is_some())
        .await;
    std::fs::remove_dir_all(home.path("attempt")).unwrap();
    std::fs::write(home.work("go"), "").unwrap();
    assert_lost(&attempt.await.unwrap());
    assert_lost(&executor.reattach(request, observer()).await);
    assert_eq!(std::fs::read_to_string(home.work("runs")).unwrap(), "ran\n");
}

#[tokio::test]
async fn the_next_engine_ends_what_lives_of_an_attempt_whose_folder_was_removed() {
    let home = Home::new();
    let request = home.shell(UNMARKED);
    let executor = CommandExecutor::new(home.processes());
    let attempt = tokio::spawn(executor.start(request.clone(), observer()));
    let (head, below) = (pid_in(&home.work("head")).await, pid_in(&home.work("below")).await);
    until("its record", || ShimRecord::read(&home.path("attempt")).is_some()).await;
    attempt.abort();
    let _aborted = attempt.await;
    std::fs::remove_dir_all(home.path("attempt")).unwrap();
    let end = executor.reattach(request, observer()).await;
    assert_lost(&end);
    assert!(!is_alive(head) && !is_alive(below), "nothing may begin beside it");
}

#[tokio::test]
async fn a_cancel_ends_what_lives_of_an_attempt_whose_folder_was_removed() {
    let home = Home::new();
    let request = home.shell(UNMARKED);
    let executor = CommandExecutor::new(home.processes());
    let attempt = tokio::spawn(executor.start(request.clone(), observer()));
    let (head, below) = (pid_in(&home.work("head")).await, pid_in(&home.work("below")).await);
    until("its record", || ShimRecord::read(&home.path("attempt")).is_some()).await;
    std::fs::remove_dir_all(home.path("attempt")).unwrap();
    executor.cancel(request).await;
    assert!(!is_alive(head) && !is_alive(below), "cancelled means that it has ended");
    let end = attempt.await.unwrap();
    let AttemptResult::Failed(failure) = &end.result else { panic!("not cancelled: {end:?}") };
    assert_eq!(failure.kind, FailureKind::Cancelled);
}
