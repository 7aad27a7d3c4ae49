//! `quickstart` on a small folder.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use tempfile::TempDir;

use super::program::{Finished, Program};

/// A folder with text files, and one for the state.
struct TextFolder {
    folder: TempDir,
    state: TempDir,
}

impl TextFolder {
    fn new(files: usize, lines: usize) -> Self {
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
        };
        for file in 0..files {
            let text: String = (0..lines)
                .map(|line| {
                    format!(
                        "{}line {line} of file {file}\n",
                        if line % 7 == 0 { "\n" } else { "" }
                    )
                })
                .collect();
            fs::write(scene.folder.path().join(format!("file-{file}.txt")), text).unwrap();
        }
        fs::write(scene.folder.path().join("binary"), [0, 1, 2]).unwrap();
        scene
    }

    fn lines(&self) -> u64 {
        let files = fs::read_dir(self.folder.path()).unwrap().flatten();
        files
            .filter_map(|file| fs::read_to_string(file.path()).ok())
            .filter(|text| !text.contains('\0'))
            .map(|text| text.lines().count() as u64)
            .sum()
    }

    fn start(&self, more: &[&str]) -> Program {
        let folders: [&Path; 3] = [self.folder.path(), Path::new("--state"), self.state.path()];
        Program::start(
            "quickstart",
            folders
                .into_iter()
                .map(Path::as_os_str)
                .chain(more.iter().map(AsRef::as_ref)),
        )
    }

    async fn run(&self, more: &[&str]) -> Finished {
        self.start(more).finish().await
    }
}

/// The number in the row of the table with this name.
#[track_caller]
fn row(run: &Finished, name: &str) -> u64 {
    let found = run.out.lines().find_map(|line| line.strip_prefix(name));
    let row = found.unwrap_or_else(|| panic!("no row `{name}`: {run:?}"));
    row.split_whitespace()
        .next()
        .unwrap()
        .replace(',', "")
        .parse()
        .unwrap()
}

#[track_caller]
fn assert_exact(run: &Finished, put: u64) {
    assert_eq!(run.code, Some(0), "{run:?}");
    let rows = [
        "lines put",
        "lines processed",
        "lost",
        "duplicates",
        "out of order",
    ]
    .map(|name| row(run, name));
    assert_eq!(rows, [put, put, 0, 0, 0], "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_a_rerun_resumes_and_a_replay_reads_all() {
    let scene = TextFolder::new(20, 150);
    let lines = scene.lines();
    let first = scene.run(&[]).await;
    assert_exact(&first, lines);
    for reshard in [
        "split shardId-",
        "merged shardId-",
        "1 file skipped, not text: binary",
    ] {
        assert!(first.err.contains(reshard), "{first:?}");
    }
    assert!(
        first
            .out
            .lines()
            .filter(|line| line.starts_with("shardId-") && line.ends_with("ended"))
            .count()
            >= 3,
        "{first:?}"
    );

    let second = scene.run(&[]).await;
    assert_exact(&second, lines);
    assert!(
        second.out.contains("nothing was left to process"),
        "{second:?}"
    );

    let replay = scene.run(&["--replay"]).await;
    assert_exact(&replay, lines);
    assert!(
        replay
            .err
            .contains("quickstart-replay-1: 0 lines processed before"),
        "{replay:?}"
    );
    assert!(
        replay
            .out
            .contains(&format!("{} of them in this run", row_text(lines))),
        "{replay:?}"
    );

    // Lines at the end of a file are put alone; a file that was changed otherwise is put again.
    let grown = scene.folder.path().join("file-0.txt");
    let mut text = fs::read_to_string(&grown).unwrap();
    text.push_str("one more\nand another\n");
    fs::write(&grown, &text).unwrap();
    fs::write(scene.folder.path().join("file-1.txt"), "all new\n").unwrap();
    assert_exact(&scene.run(&[]).await, lines + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn fan_out_pushes_records_and_a_run_may_change_the_mode() {
    let scene = TextFolder::new(20, 150);
    let first = scene.run(&["--fan-out"]).await;
    assert_exact(&first, scene.lines());
    assert!(
        first.err.contains("pushed to the consumer quickstart"),
        "{first:?}"
    );
    for mode in [
        &[] as &[&str],
        &["--fan-out"],
        &["--replay", "--fan-out"],
        &["--replay"],
    ] {
        fs::write(
            scene.folder.path().join(format!("more-{}", mode.concat())),
            "a line\nand another\n",
        )
        .unwrap();
        assert_exact(&scene.run(mode).await, scene.lines());
    }
}

/// A number as the table has it.
fn row_text(number: u64) -> String {
    assert!((1000..1_000_000).contains(&number));
    format!("{},{:03}", number / 1000, number % 1000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_or_killed_run_is_resumed_exactly() {
    let scene = TextFolder::new(40, 1000);
    let records = scene.state.path().join("stream/records.sqlite-wal");
    let size = || fs::metadata(&records).map_or(0, |file| file.len());
    let mut run = scene.start(&[]);
    run.until("lines are put", || size() > 100_000).await;
    run.signal(Signal::INT);
    let stopped = run.finish().await;
    assert_eq!(stopped.code, Some(130), "{stopped:?}");
    assert!(stopped.out.contains("Stopped by SIGINT"), "{stopped:?}");
    assert!(
        row(&stopped, "lines put") < scene.lines(),
        "it was stopped on the way: {stopped:?}"
    );
    assert_eq!(row(&stopped, "duplicates"), 0);

    let before = size();
    let mut run = scene.start(&[]);
    run.until("more lines are put", || size() > before + 100_000)
        .await;
    run.signal(Signal::KILL);
    assert_eq!(run.finish().await.code, None);

    let last = scene.run(&[]).await;
    assert_exact(&last, scene.lines());
    assert!(last.err.contains("the last run was killed"), "{last:?}");
}

#[tokio::test]
async fn folders_that_cannot_be_are_named() {
    let scene = TextFolder::new(1, 1);
    let said = async |arguments: &[&str]| {
        let run = Program::start("quickstart", arguments).finish().await;
        assert_eq!(run.code, Some(1), "{run:?}");
        run.err
    };
    let (folder, state) = (
        scene.folder.path().to_str().unwrap(),
        scene.state.path().to_str().unwrap(),
    );
    assert!(
        said(&["/no/such/folder"])
            .await
            .contains("\"/no/such/folder\", does not exist")
    );
    assert!(
        said(&[folder, "--state", folder])
            .await
            .contains("is neither empty nor a state folder")
    );
    assert_exact(&scene.run(&[]).await, 2);
    assert!(
        said(&["/etc/default", "--state", state])
            .await
            .contains("belongs to")
    );
    let ledger = scene.state.path().join("ledger.sqlite");
    fs::write(
        &ledger,
        "something else that is not a database, and long enough to be looked at for what it is"
            .repeat(9),
    )
    .unwrap();
    assert!(
        said(&[folder, "--state", state])
            .await
            .contains("is not a ledger of the quickstart")
    );
}
