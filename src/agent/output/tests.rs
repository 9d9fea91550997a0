//! Programs that print little, much, nonsense, and nothing any more.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use super::*;
use crate::output_ring::OutputView;

const SOON: Duration = Duration::from_secs(60);

struct Printing {
    output: ProgramOutput,
    view: OutputView,
    stdout: Option<File>,
    stderr: Option<File>,
}

fn printing(file: Option<OwnedFd>) -> Printing {
    let fd = OutputRing::create_fd("test").expect("a memfd");
    let view = OutputView::open(fd.as_fd()).expect("a view");
    let context = OutputContext {
        slot: Slot(3),
        ring: OutputRing::open(fd).expect("a ring"),
        file,
    };
    let (output, pipes) = ProgramOutput::open(context).expect("pipes");
    Printing {
        output,
        view,
        stdout: Some(pipes.stdout.into()),
        stderr: Some(pipes.stderr.into()),
    }
}

impl Printing {
    fn print(&mut self, text: &[u8]) {
        let stdout = self.stdout.as_mut().expect("open");
        stdout.write_all(text).expect("printed");
    }

    fn warn(&mut self, text: &[u8]) {
        let stderr = self.stderr.as_mut().expect("open");
        stderr.write_all(text).expect("printed");
    }

    async fn end(&mut self) {
        drop((self.stdout.take(), self.stderr.take()));
        self.output.finished(SOON).await;
    }

    fn texts(&self) -> Vec<(OutputStream, String)> {
        let lines = self.view.lines_from(0).lines.into_iter();
        lines.map(|line| (line.stream, line.text)).collect()
    }
}

#[tokio::test]
async fn both_streams_are_read_to_their_end() {
    let mut program = printing(None);
    program.output.started(77);
    program.print(b"one\ntwo");
    program.end().await;
    assert_eq!(program.view.pid(), Some(77));
    let stdout = |text: &str| (OutputStream::Stdout, text.to_owned());
    assert_eq!(program.texts(), [stdout("one"), stdout("two")]);
    let mut program = printing(None);
    program.warn(b"\xff\x1b[31m\n");
    program.end().await;
    assert_eq!(
        program.texts(),
        [(OutputStream::Stderr, "\u{fffd}\u{1b}[31m".to_owned())]
    );
    assert_eq!(program.output.last_lines(), ["\u{fffd}\\u{1b}[31m"]);
}

#[tokio::test]
async fn a_line_without_end_is_shown_after_a_while() {
    let mut program = printing(None);
    program.print(b"Password: ");
    timeout(SOON, program.output.matched(|line| line == "Password: "))
        .await
        .expect("shown");
    program.print(b"thanks\n");
    program.end().await;
    let texts: Vec<String> = program.texts().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["Password: ", "thanks"]);
}

#[tokio::test]
async fn a_line_is_waited_for_from_the_start_on() {
    let mut program = printing(None);
    program.print(b"listening on 3000\n");
    let wanted = |line: &str| line.contains("listening");
    timeout(SOON, program.output.matched(wanted))
        .await
        .expect("printed");
    timeout(SOON, program.output.matched(wanted))
        .await
        .expect("printed before");
    let output = program.output.clone();
    let later = tokio::spawn(async move { output.matched(|line| line == "and ready").await });
    program.warn(b"and ready\n");
    timeout(SOON, later).await.expect("printed").expect("no panic");
}

#[tokio::test]
async fn whoever_holds_the_pipes_does_not_hold_up_the_end() {
    let mut program = printing(None);
    program.print(b"last words");
    let seen = program.output.matched(|_| true);
    // Let the task read before the end.
    timeout(Duration::ZERO, seen)
        .await
        .expect_err("the line has no end yet");
    while !program.output.state().stdout.is_within_line() {
        tokio::task::yield_now().await;
    }
    program.output.finished(Duration::ZERO).await;
    assert_eq!(program.output.last_lines(), ["last words"]);
}

#[tokio::test]
async fn a_flood_without_line_ends_leaves_the_others_their_turn() {
    let program = printing(None);
    let mut stdout = program
        .stdout
        .as_ref()
        .map(|file| file.try_clone().expect("a copy"))
        .expect("open");
    let flood = std::thread::spawn(move || {
        for _ in 0..400 {
            stdout.write_all(&[b'x'; 64 * 1024]).expect("printed");
        }
    });
    let mut turns = 0;
    while !flood.is_finished() {
        tokio::task::yield_now().await;
        turns += 1;
    }
    flood.join().expect("no panic");
    assert!(turns > 1000, "{turns} turns while 25 MB were read");
    let mut program = program;
    program.end().await;
    let lines = program.view.lines_from(0);
    // More where the flood paused for long enough to look like a line without an end.
    assert!(lines.lost + lines.lines.len() as u64 >= 400 * 8);
}

#[tokio::test]
async fn a_file_gets_the_bytes_as_they_are_and_may_be_replaced() {
    let (first, second) = (
        tempfile::NamedTempFile::new().expect("a file"),
        tempfile::NamedTempFile::new().expect("a file"),
    );
    let append = |path: &std::path::Path| {
        let file = File::options().append(true).open(path).expect("opened");
        OwnedFd::from(file)
    };
    let mut program = printing(Some(append(first.path())));
    program.print(b"a\x1b[1m \xff\nb\n");
    timeout(SOON, program.output.matched(|line| line == "b"))
        .await
        .expect("written");
    program.output.replace_file(append(second.path()));
    program.print(b"c");
    program.end().await;
    assert_eq!(std::fs::read(first.path()).expect("read"), b"a\x1b[1m \xff\nb\n");
    assert_eq!(std::fs::read(second.path()).expect("read"), b"c\n");
}
