//! What is there after the end.

use everfold_base::id::{Position, Version};
use everfold_store::AppendError;

use super::subject::Subject;
use crate::writer::Writer;

pub(crate) async fn everything_is_there_after_reopening(subject: &mut Subject) {
    let mut writers: Vec<Writer> = (0..5).map(|stream| Writer::new(&format!("s{stream}"))).collect();
    let mut log = Vec::new();
    for round in 0..4 {
        let store = subject.open();
        assert_eq!(store.read_all(Position(1), usize::MAX).await.unwrap(), log);
        for writer in &mut writers {
            assert_eq!(
                store.head(&writer.stream).await.unwrap().map(|head| (head.version, head.hash)),
                (round > 0).then_some((writer.version, writer.hash))
            );
            let large = vec![round; 20_000];
            store.append(writer.append(&[b"small", &large])).await.unwrap();
            let events = store.read(&writer.stream, Version(1), 100).await.unwrap();
            assert_eq!(events.len() as u64, writer.version.0);
        }
        log = store.read_all(Position(1), usize::MAX).await.unwrap();
        if round % 2 == 0 {
            store.close().await.unwrap();
        }
    }
}

pub(crate) async fn a_closed_store_refuses_appends(subject: &mut Subject) {
    let store = subject.open();
    let mut writer = Writer::new("a");
    store.append(writer.append(&[b"1"])).await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.append(writer.append(&[b"2"])).await, Err(AppendError::Closed)));
    store.close().await.unwrap();
    drop(store);
    assert_eq!(subject.open().last_position(), Position(1));
}
