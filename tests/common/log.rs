//! A master's log, read as it comes.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde_json::Value;

use super::TIMEOUT;

/// The lines of a log so far. A line that is no JSON is one with nothing but a message.
pub struct Log {
    pub(super) lines: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl Log {
    /// Reads a log to its end, beside the test.
    pub fn follow(stderr: impl Read + Send + 'static) -> Log {
        let lines = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let shared = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let value =
                    serde_json::from_str(&line).unwrap_or_else(|_| serde_json::json!({ "message": line }));
                shared.0.lock().expect("a lock").push(value);
                shared.1.notify_all();
            }
            shared
                .0
                .lock()
                .expect("a lock")
                .push(serde_json::json!({ "end of log": true }));
            shared.1.notify_all();
        });
        Log { lines }
    }

    /// The first line from a place on that this is true of.
    pub fn wait(&self, from: usize, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        let mut lines = self.lines.0.lock().expect("a lock");
        let mut seen = from;
        loop {
            if let Some(found) = lines[seen..].iter().find(|line| is_it(line)) {
                return found.clone();
            }
            seen = lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(lines);
                panic!("waited in vain for {what:?}; the log:\n{}", self.text());
            }
            lines = self.lines.1.wait_timeout(lines, left).expect("a lock").0;
        }
    }

    /// How many lines have a message that contains this.
    pub fn count(&self, text: &str) -> usize {
        let lines = self.lines.0.lock().expect("a lock");
        let holds = |line: &&Value| line["message"].as_str().is_some_and(|said| said.contains(text));
        lines.iter().filter(holds).count()
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.lines
            .0
            .lock()
            .expect("a lock")
            .iter()
            .map(|line| format!("{line}\n"))
            .collect()
    }
}
