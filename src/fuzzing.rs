//! What reads bytes of strangers, one function each, for `fuzz/` and for the tests below, which run each on
//! mutations of good inputs. None may panic, and what is accepted must survive being written and read again.
//! It is compiled for tests and fuzzing alone.

use std::os::fd::AsFd;

use crate::agent::node::line::NodeLines;
use crate::agent::node::session::{MAX_LISTENERS, NodeEvent, NodeSession};
use crate::base::time::Monotonic;
use crate::config::source::ConfigFile;
use crate::config::{self, Overrides, print};
use crate::control::ControlRequest;
use crate::lifeline::{self, Command, Report};
use crate::output_ring::{self, OutputView};
use crate::scoreboard::{BoardView, layout};
use crate::sys::memfd;

/// A function and its name. It returns whether the input was accepted.
pub type FuzzTarget = (&'static str, fn(&[u8]) -> bool);

/// All targets, by the names of their files in `fuzz/fuzz_targets` and of their folders in `fuzz/seeds`.
pub const TARGETS: &[FuzzTarget] = &[
    ("configuration", configuration),
    ("control_request", control_request),
    ("http_pipeline", http_pipeline),
    ("lifeline_packet", lifeline_packet),
    ("log_line", log_line),
    ("node_channel", node_channel),
    ("output_ring", output_ring),
    ("scoreboard_view", scoreboard_view),
    ("upgrade_state", upgrade_state),
];

/// A configuration file.
pub fn configuration(bytes: &[u8]) -> bool {
    let read = |bytes: &[u8]| {
        let file = ConfigFile { name: "fuzz", bytes };
        config::read(&[], Some(file), &Overrides::default())
    };
    match read(bytes) {
        Ok(effective) => {
            let printed = print::effective(&effective.entries);
            let again = read(printed.as_bytes()).expect("what is printed can be read");
            assert_eq!(again.settings, effective.settings, "{printed}");
            true
        }
        Err(problems) => {
            assert!(!problems.list().is_empty(), "refused without a reason");
            let text = problems.to_string();
            assert!(!text.contains('\u{1b}'), "a terminal would obey {text:?}");
            false
        }
    }
}

/// A line that a client sent to the control socket.
pub fn control_request(bytes: &[u8]) -> bool {
    let Ok(request) = ControlRequest::parse(bytes) else {
        return false;
    };
    let line = request.line();
    let again = ControlRequest::parse(line.trim_ascii_end()).expect("what is written can be read");
    assert_eq!(again, request);
    true
}

/// The bytes of an HTTP/1.1 client, as the drain follows them.
pub fn http_pipeline(bytes: &[u8]) -> bool {
    crate::worker::fuzz_pipeline(bytes)
}

/// A packet between master and worker, in both directions.
pub fn lifeline_packet(bytes: &[u8]) -> bool {
    let command = lifeline::decode::<Command>(bytes);
    if let Ok(command) = &command {
        let again = lifeline::decode::<Command>(&lifeline::encode(command));
        assert_eq!(&again.expect("what is written can be read"), command);
    }
    let report = lifeline::decode::<Report>(bytes);
    if let Ok(report) = &report {
        let packet = lifeline::encode(report);
        if let Ok(again) = lifeline::decode::<Report>(&packet) {
            assert_eq!(&again, report);
        }
    }
    command.is_ok() || report.is_ok()
}

/// A log line that a worker of another user sent to the master.
pub fn log_line(bytes: &[u8]) -> bool {
    crate::observe::fuzz_relayed_line(bytes)
}

/// What a Node program writes to its channel. Everything that is answered is one line of JSON.
pub fn node_channel(bytes: &[u8]) -> bool {
    let (mut lines, mut session) = (NodeLines::default(), NodeSession::default());
    for part in bytes.chunks(1000) {
        lines.feed(part);
        while let Ok(Some(line)) = lines.line() {
            let Ok(step) = session.take(line) else {
                return false;
            };
            let granted = match step.event {
                Some(NodeEvent::ListenWanted(request)) => session.grant(request.id),
                Some(_) | None => None,
            };
            for reply in step.reply.into_iter().chain(granted) {
                assert_eq!(reply.find('\n'), Some(reply.len() - 1), "{reply:?}");
                serde_json::from_str::<serde_json::Value>(&reply).expect("JSON");
            }
            assert!(session.held().count() <= MAX_LISTENERS);
        }
    }
    true
}

/// The ring of a hostile worker's lines. Ten bytes of the input are one word: where it lies, and its value.
/// It is accepted if it has a line.
pub fn output_ring(bytes: &[u8]) -> bool {
    let header = output_ring::layout::HEADER.to_bytes();
    let mut ring = vec![0; output_ring::layout::BYTES];
    ring[..header.len()].copy_from_slice(&header);
    for word in bytes.chunks_exact(10) {
        let at = usize::from(u16::from_le_bytes([word[0], word[1]])) % output_ring::layout::WORDS;
        ring[at * 8..at * 8 + 8].copy_from_slice(&word[2..]);
    }
    let size = output_ring::layout::BYTES as u64;
    let file = memfd::create_sealed("fuzz", &ring, size, false).expect("a memory file");
    let Ok(view) = OutputView::open(file.as_fd()) else {
        return false;
    };
    assert!(view.pid().is_none_or(|pid| pid > 0), "no process has such an id");
    let read = view.lines_from(0);
    let text: usize = read.lines.iter().map(|line| line.text.len()).sum();
    assert!(text <= 3 * output_ring::layout::BYTES, "{text} bytes of text");
    let numbers = read.lines.windows(2).all(|two| two[0].number < two[1].number);
    assert!(numbers, "a line came twice");
    assert!(view.last_lines(3).lines.len() <= 3);
    !read.lines.is_empty()
}

/// The scoreboard of a hostile worker. Ten bytes of the input are one word: where it lies, and its value.
/// The word may be one of the header.
pub fn scoreboard_view(bytes: &[u8]) -> bool {
    let mut board = vec![0; layout::BYTES];
    board[..layout::HEADER.to_bytes().len()].copy_from_slice(&layout::HEADER.to_bytes());
    for word in bytes.chunks_exact(10) {
        let at = usize::from(u16::from_le_bytes([word[0], word[1]])) % (layout::BYTES / 8);
        board[at * 8..at * 8 + 8].copy_from_slice(&word[2..]);
    }
    let file = memfd::create_sealed("fuzz", &board, layout::BYTES as u64, false).expect("a memory file");
    let Ok(view) = BoardView::open(file.as_fd()) else {
        return false;
    };
    look(&view, Monotonic(1 << 40));
    true
}

/// Nothing in a look lies in the future, and every text can be printed.
fn look(view: &BoardView, now: Monotonic) {
    let vitals = view.vitals(now);
    assert!(vitals.beat.is_none_or(|beat| beat <= now), "a beat in the future");
    assert!(
        vitals.locks.iter().all(|lock| lock.since <= now),
        "a lock of the future"
    );
    let requests = view.requests(now).into_iter();
    let requests = requests.flat_map(|request| [request.method, request.path]);
    let routes = view.routes().into_iter().filter_map(|route| Some(route.name?.1));
    let metrics = view.app_metrics(now);
    assert!(
        metrics.iter().all(|metric| metric.reported <= now),
        "a report of the future"
    );
    let metrics = metrics.into_iter().flat_map(|metric| [metric.name, metric.help]);
    for text in requests.chain(routes).chain(metrics).chain(view.oldest(now)) {
        assert!(!text.chars().any(char::is_control), "{text:?} cannot be printed");
    }
}

/// The state that one master hands to the next.
pub fn upgrade_state(bytes: &[u8]) -> bool {
    crate::master::fuzz_upgrade_state(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// Mutated inputs for each target, and as many bytes of each at most.
    const ROUNDS: usize = 1_500;
    const MAX_BYTES: usize = 16 << 10;

    /// Pieces that parsers stumble over.
    const PIECES: &[&[u8]] = &[
        b"",
        b"0",
        b"-1",
        b"18446744073709551616",
        b"99999999999999999999999999999999999999999999999999999999999999999999999999",
        b"\"",
        b"\\u0000",
        b"\xff\xfe",
        b"\r\n\r\n",
        b"\n",
        b"null",
        b"[[[[",
        b"}",
        b"content-length: 00000000000000000000000000000000000000000000000000000000000000000007\r\n",
        b"transfer-encoding: chunked\r\n",
        b"\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x01\x00\x00\x00\x00\x00\x00\x00",
    ];

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(target);
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        files
            .iter()
            .map(|file| std::fs::read(file).expect("a seed"))
            .collect()
    }

    /// Changes an input at a few places.
    fn mutate(input: &mut Vec<u8>, random: &mut fastrand::Rng, others: &[Vec<u8>]) {
        for _ in 0..random.usize(1..=4) {
            let at = random.usize(..=input.len());
            let to = (at + random.usize(..16)).min(input.len());
            match random.u8(..6) {
                0 => drop(input.drain(at..to)),
                1 => drop(input.splice(at..to, random.choice(PIECES).expect("some").iter().copied())),
                2 => input
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|byte| *byte ^= 1 << random.u8(..8)),
                3 => input
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|byte| *byte = random.u8(..)),
                4 => {
                    let copy = input[at..to].to_vec();
                    drop(input.splice(at..at, copy));
                }
                _ => {
                    let other = random.choice(others).expect("a seed");
                    let from = random.usize(..=other.len());
                    let part = &other[from..(from + random.usize(..64)).min(other.len())];
                    drop(input.splice(at..to, part.iter().copied()));
                }
            }
        }
        input.truncate(MAX_BYTES);
    }

    /// `CLUSTER_UPDATE=1 cargo test --lib fuzzing` writes the seed anew.
    #[test]
    fn the_seed_of_the_upgrade_state_is_fresh() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/upgrade_state");
        let (file, fresh) = (
            folder.join("specimen.json"),
            crate::master::upgrade_specimen().to_string(),
        );
        if std::fs::read_to_string(&file).is_ok_and(|seed| seed == fresh) {
            return;
        }
        let update = std::env::var_os("CLUSTER_UPDATE").is_some();
        assert!(
            update,
            "the seed is stale: CLUSTER_UPDATE=1 cargo test --lib fuzzing"
        );
        std::fs::write(file, fresh).expect("written");
    }

    #[test]
    fn good_inputs_are_accepted() {
        for (name, run) in TARGETS {
            for (number, seed) in seeds(name).iter().enumerate() {
                assert!(run(seed), "seed {number} of {name} is refused: write it anew");
            }
        }
    }

    #[test]
    fn mutated_inputs_break_nothing() {
        for (name, run) in TARGETS {
            let seeds = seeds(name);
            let mut random = fastrand::Rng::with_seed(7);
            let mut accepted = 0;
            for _ in 0..ROUNDS {
                let mut input = random.choice(&seeds).expect("a seed").clone();
                mutate(&mut input, &mut random, &seeds);
                accepted += usize::from(run(&input));
            }
            println!("{name}: {accepted} of {ROUNDS} mutated inputs were accepted");
            assert!(accepted < ROUNDS, "{name} accepts everything");
        }
    }
}
