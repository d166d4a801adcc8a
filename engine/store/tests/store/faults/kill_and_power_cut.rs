//! The process killed, and the machine's power cut, between any two system calls.

use everfold_base::id::Version;
use everfold_store::EventStore;
use tempfile::TempDir;

use crate::fault_files::FaultFiles;
use crate::fixtures::{payloads, run, try_open_small};
use crate::writer::Writer;

/// What happens at the stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// `kill -9`: what was written stays.
    Kill,
    /// In the middle of a write.
    Torn,
    /// Power: of what was not synced, each sector stays or goes.
    Power(u64),
}

/// Opens, appends, and reopens after a stop behind `calls` system calls; `false` once none was hit.
fn stop_behind(calls: usize, stop: Stop, batches: &[Vec<Vec<u8>>]) -> bool {
    let folder = TempDir::new().unwrap();
    let files = FaultFiles::default();
    let mut acknowledged = 0;
    files.stop_after(calls + 1, stop == Stop::Torn);
    run(async {
        let Ok(store) = try_open_small(folder.path(), &files, "boot") else { return };
        let mut writer = Writer::new("a");
        for batch in batches {
            let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
            match store.append(writer.append(&batch)).await {
                Ok(_) => acknowledged += 1,
                Err(_) => break,
            }
        }
    });
    let stopped = files.has_stopped();
    let mut boot = "boot";
    if let Stop::Power(seed) = stop {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        files.lose_unsynced(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % 2 == 0
        });
        boot = "next boot";
    }
    run(async {
        let context = format!("{stop:?} behind {calls} calls, {acknowledged} acknowledged");
        let store = try_open_small(folder.path(), &FaultFiles::default(), boot)
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        let found = payloads(store.as_ref()).await;
        let whole: Vec<usize> = batches
            .iter()
            .scan(0, |sum, batch| {
                *sum += batch.len();
                Some(*sum)
            })
            .collect();
        let kept = [0].iter().chain(&whole).position(|sum| *sum == found.len());
        let kept = kept.unwrap_or_else(|| panic!("{context}: a batch is torn: {} events", found.len()));
        assert!(kept >= acknowledged, "{context}: {kept} batches are left");
        assert!(kept <= acknowledged + 1, "{context}: {kept} batches are there");
        assert_eq!(found, batches.concat()[..found.len()], "{context}");
        // The index agrees, and the stream goes on.
        let mut writer = Writer::new("a");
        let events = store.read(&writer.stream, Version(1), usize::MAX).await.unwrap();
        assert_eq!(events.len(), found.len(), "{context}");
        writer = Writer::at(&writer.stream, store.head(&writer.stream).await.unwrap());
        store.append(writer.append(&[b"goes on"])).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    });
    stopped
}

fn small() -> Vec<Vec<Vec<u8>>> {
    vec![
        vec![b"one".to_vec(), b"two".to_vec()],
        vec![vec![7; 9_000], b"three".to_vec(), vec![8; 3_000]],
        vec![b"four".to_vec()],
    ]
}

#[test]
fn s1_killed_behind_any_system_call_an_append_is_whole_or_absent() {
    let mut calls = 0;
    while stop_behind(calls, Stop::Kill, &small()) {
        calls += 1;
    }
    assert!(calls > 20, "{calls} places were tried");
}

#[test]
fn s2_killed_inside_any_write_an_append_is_whole_or_absent() {
    let mut calls = 0;
    while stop_behind(calls, Stop::Torn, &small()) {
        calls += 1;
    }
}

#[test]
fn s2_with_the_power_cut_behind_any_system_call_nothing_acknowledged_is_lost() {
    for seed in 0..2 {
        let mut calls = 0;
        while stop_behind(calls, Stop::Power(seed * 1_000 + calls as u64 + 1), &small()) {
            calls += 1;
        }
    }
}

#[test]
fn s7_stopped_anywhere_in_a_change_of_segments_nothing_acknowledged_is_lost() {
    // Files are short here; the second append does not fit into the first segment.
    let batches = vec![vec![vec![1; 7_000]], vec![vec![2; 9_000]], vec![b"last".to_vec()]];
    for stop in [Stop::Kill, Stop::Torn, Stop::Power(7)] {
        let mut calls = 0;
        while stop_behind(calls, stop, &batches) {
            calls += 1;
        }
        assert!(calls > 20, "{calls} places were tried");
    }
}
