//! Power cuts: the store, and the folder of an attempt, on a file system of their own, whose device is copied in the middle
//! of the writing, without a word to the writer. What the copy holds is what the disk held.
//!
//! Needs root, loop devices and ext4. Elsewhere it says so, loudly, and passes; with
//! `EVERFOLD_REQUIRE_POWER_CUT=1` it fails instead.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use everfold_engine::actor::Actor;
use everfold_engine::data_folder::Layout;
use everfold_engine::envelope::{Cause, EventHeader, NewEvent, StreamId};
use everfold_engine::id::{EffectId, InputId, Position, RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::store::verify::{NoMeaning, VerifyFault, verify_folder};
use everfold_engine::store::{Append, EventStore, IndexOpened, SledOptions, SledStore, StreamNote};
use everfold_engine::time::Timestamp;
use everfold_workflows::process::{LogFinder, archive_attempts, remove_old_attempts};
use everfold_workflows::settings::AttemptLimits;
use everfold_workflows::shim::log::{LogCheck, LogFiles, check as check_log};
use everfold_workflows::shim::protocol::{CommandOutcome, CommandRequest, ExitRecord, PROTOCOL};
use rand::{Rng as _, SeedableRng as _};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const CUTS: usize = 24;
const BATCH: u64 = 3;
const WRITERS: usize = 8;
/// Tells the writer process where to write.
const FOLDER: &str = "EVERFOLD_POWER_CUT_FOLDER";

/// Not a test of its own: the process that writes until it is killed.
#[test]
fn writer_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = std::sync::Arc::new(SledStore::open(folder, SledOptions::default()).unwrap());
        let writing: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer))).collect();
        for writer in writing {
            writer.await.unwrap();
        }
    });
}

/// Appends and reports each acknowledgement on standard output.
async fn write(store: std::sync::Arc<SledStore>, writer: usize) {
    for stream in 0.. {
        let stream = StreamId::engine(format!("{writer}-{stream}"));
        let mut hash = Hash::ZERO;
        for batch in 0..20 {
            let append = append(&stream, batch * BATCH, &mut hash);
            let went = store.append(append).await.unwrap();
            let line = format!("acknowledged {} {hash}\n", went.last_position());
            std::io::stdout().write_all(line.as_bytes()).unwrap();
        }
    }
}

fn append(stream: &StreamId, expected: u64, hash: &mut Hash) -> Append {
    let previous = *hash;
    let events = (1..=BATCH)
        .map(|next| {
            let header = EventHeader {
                stream: stream.clone(),
                version: Version(expected + next),
                recorded_at: Timestamp(1),
                actor: Actor::Engine,
                cause: Cause { input: InputId([1; 16]), because: Version(expected) },
                kind: 1,
                schema: 1,
                flags: 0,
                payload_hash: Hash::ZERO,
            };
            let event = NewEvent::link(header, vec![7; 40 + (expected as usize * 31) % 300], hash);
            *hash = event.hash;
            event
        })
        .collect();
    let note = StreamNote { open: true, busy: true, wake_at: None };
    let stream = stream.clone();
    Append { stream, expected: Version(expected), previous, events, dedup: None, fence: None, note }
}

/// A mounted image, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn mount(image: &Path, at: PathBuf) -> Result<Self, String> {
        fs::create_dir_all(&at).map_err(|error| error.to_string())?;
        command("mount", &["-o", "loop", &image.to_string_lossy(), &at.to_string_lossy()])?;
        Ok(Self(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _reported = command("umount", &["-l", &self.0.to_string_lossy()]);
    }
}

fn command(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// A fresh file system, or why there is none.
fn image(folder: &Path) -> Result<(PathBuf, Mounted), String> {
    let image = folder.join("disk.img");
    let file = fs::File::create(&image).map_err(|error| error.to_string())?;
    file.set_len(192 * 1024 * 1024).map_err(|error| error.to_string())?;
    command("mkfs.ext4", &["-q", "-F", &image.to_string_lossy()])?;
    let mounted = Mounted::mount(&image, folder.join("disk"))?;
    Ok((image, mounted))
}

/// A fresh file system; `None` where there can be none and none is required.
fn disk(folder: &Path) -> Option<(PathBuf, Mounted)> {
    match image(folder) {
        Ok(made) => Some(made),
        Err(why) => {
            let required = std::env::var("EVERFOLD_REQUIRE_POWER_CUT").is_ok_and(|value| value == "1");
            assert!(!required, "the power-cut test is required and cannot run: {why}");
            eprintln!(
                "\n*** THE POWER-CUT TEST DID NOT RUN: it needs root, loop devices and ext4 ({why}) ***\n"
            );
            None
        }
    }
}

/// The writer, killed when dropped.
struct Writer {
    child: Child,
    output: OwnedFd,
    read: Vec<u8>,
}

impl Writer {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["writer_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = OwnedFd::from(child.stdout.take().unwrap());
        rustix::fs::fcntl_setfl(&output, rustix::fs::OFlags::NONBLOCK).unwrap();
        Self { child, output, read: Vec::new() }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Reads what has been acknowledged so far.
    fn drain(&mut self) {
        let mut file = fs::File::from(self.output.try_clone().unwrap());
        let mut buffer = [0; 65_536];
        while let Ok(read @ 1..) = file.read(&mut buffer) {
            self.read.extend_from_slice(&buffer[..read]);
        }
    }

    /// Lets it write for a while.
    fn write_for(&mut self, span: Duration) {
        let mut left = span;
        while !left.is_zero() {
            // The moment of the cut is meant to be any moment; the pipe must not fill up meanwhile.
            let step = left.min(Duration::from_millis(5));
            std::thread::sleep(step);
            left -= step;
            self.drain();
            assert!(self.child.try_wait().unwrap().is_none(), "the writer ended by itself");
        }
    }

    /// Stops it where it stands; what it had acknowledged by then.
    fn freeze(&mut self) -> BTreeMap<u64, String> {
        kill_process(self.pid(), Signal::STOP).unwrap();
        await_stopped(&self.child);
        self.drain();
        let text = String::from_utf8_lossy(&self.read).into_owned();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .filter_map(|line| line.split_once("acknowledged ")?.1.split_once(' '))
            .map(|(position, hash)| (position.parse().unwrap(), hash.to_owned()))
            .collect()
    }

    fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }
}

/// Waits until no thread of a process that was asked to stop writes any more; it may have ended.
fn await_stopped(child: &Child) {
    let tasks = format!("/proc/{}/task", child.id());
    let state = |stat: &str| stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
    let is_still = |task: fs::DirEntry| match fs::read_to_string(task.path().join("stat")) {
        Ok(stat) => matches!(state(&stat), Some('T' | 'Z' | 'X')),
        // The thread has ended.
        Err(_) => true,
    };
    while fs::read_dir(&tasks).is_ok_and(|mut tasks| !tasks.all(|task| task.is_ok_and(is_still))) {
        std::thread::yield_now();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[test]
fn s1_nothing_acknowledged_is_lost_and_nothing_torn_when_the_power_is_cut() {
    let folder = TempDir::new().unwrap();
    let Some((image, mounted)) = disk(folder.path()) else { return };
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut writer = Writer::start(&mounted.0.join("store"));
    while !String::from_utf8_lossy(&writer.read).contains("acknowledged") {
        writer.write_for(Duration::from_millis(5));
    }
    let (mut acknowledged, mut rebuilt) = (0, 0);
    for cut in 0..CUTS {
        writer.write_for(Duration::from_micros(random.random_range(0..120_000)));
        let known = writer.freeze();
        // The device as it is now; what the file system has not written yet is lost.
        let copy = folder.path().join("cut.img");
        command("cp", &["--sparse=always", &image.to_string_lossy(), &copy.to_string_lossy()]).unwrap();
        writer.thaw();
        acknowledged = known.len();
        rebuilt += usize::from(check(&copy, folder.path(), &known, &format!("cut {cut}, seed {seed}")));
        fs::remove_file(&copy).unwrap();
    }
    drop(writer);
    println!(
        "{CUTS} cuts, {acknowledged} appends acknowledged by the last one, index rebuilt {rebuilt} times"
    );
    assert!(acknowledged > 100, "too little was written to mean something");
}

/// Opens what a cut left; whether the index was built again.
fn check(image: &Path, folder: &Path, known: &BTreeMap<u64, String>, context: &str) -> bool {
    let mounted = Mounted::mount(image, folder.join("cut")).unwrap();
    let store = mounted.0.join("store");
    let options = SledOptions { boot_id: "the boot after the cut".into(), ..SledOptions::default() };
    // Before anything is mended: nothing but the index, and an unfinished write, may be wrong.
    let report = verify_folder(&store, &options, &mut NoMeaning).unwrap();
    for fault in &report.faults {
        assert!(matches!(fault, VerifyFault::Index { .. }), "{context}: {fault}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SledStore::open(&store, options).unwrap_or_else(|error| panic!("{context}: {error}"));
        let log = store.read_all(Position(1), usize::MAX).await.unwrap();
        let mut ends: BTreeMap<&StreamId, (u64, Hash)> = BTreeMap::new();
        for (index, event) in log.iter().enumerate() {
            assert_eq!(event.position.0, index as u64 + 1, "{context}");
            let end = ends.entry(&event.header.stream).or_insert((0, Hash::ZERO));
            assert_eq!(event.header.version.0, end.0 + 1, "{context}");
            assert!(event.is_linked(&end.1), "{context}: the chain is broken");
            *end = (event.header.version.0, event.hash);
        }
        for (position, hash) in known {
            let event = log.get(*position as usize - 1);
            let found = event.map(|event| event.hash.to_string());
            assert_eq!(found.as_ref(), Some(hash), "{context}: position {position} was acknowledged");
        }
        for (stream, (version, hash)) in ends {
            assert_eq!(version % BATCH, 0, "{context}: a batch of {stream} is torn");
            let head = store.head(stream).await.unwrap().unwrap();
            assert_eq!((head.version.0, head.hash), (version, hash), "{context}");
        }
        let opened = store.report().index;
        store.close().await.unwrap();
        matches!(opened, IndexOpened::Rebuilt { .. })
    })
}

/// The folder of an attempt whose supervisor is real, as an engine makes it.
struct CutAttempt {
    request: CommandRequest,
    /// On another disk: the command leaves a line there each time it runs.
    ran: PathBuf,
}

impl CutAttempt {
    fn new(folder: &Path) -> Self {
        let (ran, go) = (folder.join("ran"), folder.join("go"));
        let script = format!(
            "echo ran >> {}; echo said; while [ ! -e {} ]; do sleep 0.02; done; echo '{{}}' > $OUTPUT; exit 3",
            ran.display(),
            go.display()
        );
        let request = CommandRequest {
            protocol: PROTOCOL,
            argv: ["sh", "-c", &script].map(str::to_owned).to_vec(),
            env: BTreeMap::new(),
            env_remove: Vec::new(),
            cwd: folder.to_owned(),
            stdin: None,
            timeout_ms: None,
            grace_ms: 300,
            log_max_bytes: 1 << 20,
            stdout_max_bytes: 1 << 20,
            stdout_tail_max_bytes: 1 << 10,
            secrets: false,
            declared: Vec::new(),
            redact: None,
            handles: None,
        };
        Self { request, ran }
    }

    /// Starts a supervisor, which finds its request as the engine leaves it: written, and not synced.
    fn supervise(&self, folder: &Path) -> Child {
        let mut request = self.request.clone();
        request.env.insert("OUTPUT".to_owned(), folder.join("output.json").display().to_string());
        fs::write(folder.join("request.json"), serde_json::to_vec(&request).unwrap()).unwrap();
        Command::new(env!("CARGO_BIN_EXE_everfold-under-test")).arg("shim").arg(folder).spawn().unwrap()
    }

    fn runs(&self) -> usize {
        fs::read_to_string(&self.ran).unwrap_or_default().lines().count()
    }
}

/// Cuts the power, and gives what a supervisor that is started after it makes of the folder, with its files.
fn after_cut(
    attempt: &CutAttempt,
    image: &Path,
    folder: &Path,
    name: &str,
) -> (ExitRecord, BTreeMap<String, Vec<u8>>) {
    let copy = folder.join("cut.img");
    command("cp", &["--sparse=always", &image.to_string_lossy(), &copy.to_string_lossy()]).unwrap();
    let mounted = Mounted::mount(&copy, folder.join("cut")).unwrap();
    let left = mounted.0.join(name);
    assert!(left.join("started").exists(), "what has begun is known to have begun");
    assert!(attempt.supervise(&left).wait().unwrap().success());
    let read = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap_or_default())
    };
    let files: BTreeMap<String, Vec<u8>> =
        fs::read_dir(&left).unwrap().map(|entry| read(entry.unwrap())).collect();
    let record: ExitRecord = serde_json::from_slice(&files["exit.json"]).unwrap();
    if let Some(seal) = &record.log {
        assert_eq!(check_log(LogFiles::at(&left.join("log")).unwrap(), seal).unwrap(), LogCheck::Same);
    }
    drop(mounted);
    fs::remove_file(&copy).unwrap();
    (record, files)
}

/// One sync before the command, one for the record of its end, and one for each file that the record speaks of: they are enough.
#[test]
fn p1_what_began_before_the_power_was_cut_never_runs_again_and_what_ended_is_found_with_all_that_it_left() {
    let folder = TempDir::new().unwrap();
    let Some((image, mounted)) = disk(folder.path()) else { return };
    let attempt = CutAttempt::new(folder.path());
    let name = "attempts/run/step-r1-a1";
    let here = mounted.0.join(name);
    everfold_system::folder::create_private(&here).unwrap();
    let mut supervisor = attempt.supervise(&here);
    while attempt.runs() == 0 {
        assert!(supervisor.try_wait().unwrap().is_none(), "the supervisor ended by itself");
        std::thread::sleep(Duration::from_millis(1));
    }
    let (record, _) = after_cut(&attempt, &image, folder.path(), name);
    assert!(matches!(record.outcome, CommandOutcome::Lost { .. }), "{record:?}");
    assert_eq!(attempt.runs(), 1, "it is lost, and did not run again");
    fs::write(folder.path().join("go"), "").unwrap();
    assert!(supervisor.wait().unwrap().success());
    let (record, files) = after_cut(&attempt, &image, folder.path(), name);
    assert_eq!(record.outcome, CommandOutcome::Exited { code: 3 });
    assert_eq!((files["stdout"].as_slice(), files["output.json"].as_slice()), (&b"said\n"[..], &b"{}\n"[..]));
    assert_eq!((record.stdout_bytes, attempt.runs()), (5, 1));
}

/// The runs whose attempts are archived while the power is cut.
const ARCHIVED_RUNS: u32 = 30;
/// Tells the process that archives where to do it.
const ARCHIVE: &str = "EVERFOLD_POWER_CUT_ARCHIVE";

fn archived_runs() -> Vec<RunId> {
    (0..ARCHIVED_RUNS).map(|run| format!("00000000-0000-0000-0000-{run:012}").parse().unwrap()).collect()
}

fn archived_attempts() -> Vec<EffectId> {
    let of_run =
        |run| (0..3).map(move |step| EffectId { run, attempt: format!("s{step}/1/1").parse().unwrap() });
    archived_runs().into_iter().flat_map(of_run).collect()
}

fn archived_log(id: &EffectId) -> Vec<u8> {
    format!("1000 O {id}\n").repeat(200).into_bytes()
}

/// All that have ended, at any time before now.
fn archive(layout: &Layout) -> u64 {
    let now = Timestamp(everfold_system::clock::now().0 + 1_000);
    let limits =
        AttemptLimits { keep: Duration::from_secs(3_600), keep_max: 1_000, archive_after: Duration::ZERO };
    let (attempts, runs) = (layout.all_attempts(), archived_runs());
    remove_old_attempts(&attempts, &runs, limits, now, &|| true);
    archive_attempts(&attempts, &runs, limits, now, &|| true)
}

/// Not a test of its own: the process that archives until it is done.
#[test]
fn archiving_process() {
    let Ok(folder) = std::env::var(ARCHIVE) else { return };
    archive(&Layout::new(folder));
}

/// The archive is on the disk before the first folder goes.
#[test]
fn whenever_the_power_is_cut_each_log_of_an_ended_run_is_whole_in_its_folder_or_in_the_archive() {
    let folder = TempDir::new().unwrap();
    let Some((image, mounted)) = disk(folder.path()) else { return };
    let layout = Layout::new(&mounted.0);
    for id in archived_attempts() {
        let attempt = layout.attempt(&id);
        everfold_system::folder::create_private(&attempt).unwrap();
        fs::write(attempt.join("log"), archived_log(&id)).unwrap();
        fs::write(attempt.join("exit.json"), "{}").unwrap();
    }
    command("sync", &["--file-system", &mounted.0.to_string_lossy()]).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "archiving_process"])
        .env(ARCHIVE, &mounted.0)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let seed: u64 = rand::random();
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let (mut cuts, mut between) = (0, 0);
    while child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_micros(random.random_range(0..20_000)));
        kill_process(pid, Signal::STOP).unwrap();
        await_stopped(&child);
        let copy = folder.path().join("cut.img");
        command("cp", &["--sparse=always", &image.to_string_lossy(), &copy.to_string_lossy()]).unwrap();
        let cut = Mounted::mount(&copy, folder.path().join("cut")).unwrap();
        between += usize::from(check_archives(&Layout::new(&cut.0), &format!("cut {cuts}, seed {seed}")));
        drop(cut);
        fs::remove_file(&copy).unwrap();
        cuts += 1;
        // It stood still meanwhile, or it would be done.
        kill_process(pid, Signal::CONT).unwrap();
    }
    assert!(child.wait().unwrap().success());
    println!("{cuts} cuts, {between} of them with archives and folders");
    assert!(between > 0, "no cut was in the middle of it");
}

/// Every log is there, and the next sweep ends what the cut left half done; whether there was something to do and something done.
fn check_archives(left: &Layout, context: &str) -> bool {
    let mut finder = LogFinder::new(left.clone());
    for id in archived_attempts() {
        let mut stored =
            finder.find(&id, None, false).unwrap_or_else(|error| panic!("{context}: {id}: {error}"));
        let mut bytes = Vec::new();
        let log = stored.files.log.as_mut().unwrap_or_else(|| panic!("{context}: {id} has no log"));
        log.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, archived_log(&id), "{context}: {id}");
    }
    let archived = archive(left);
    let names = fs::read_dir(left.all_attempts()).unwrap();
    let names: Vec<String> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
    let are_archives =
        names.len() == archived_runs().len() && names.iter().all(|name| name.ends_with(".zip"));
    assert!(are_archives, "{context}: {names:?}");
    archived > 0 && archived < archived_attempts().len() as u64
}
