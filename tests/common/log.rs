//! A master's log, read as it comes.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde_json::Value;

use super::TIMEOUT;

pub(super) struct Log {
    pub(super) lines: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl Log {
    pub(super) fn follow(stderr: impl Read + Send + 'static) -> Log {
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

    pub(super) fn wait(&self, from: usize, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
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

    pub(super) fn text(&self) -> String {
        self.lines
            .0
            .lock()
            .expect("a lock")
            .iter()
            .map(|line| format!("{line}\n"))
            .collect()
    }
}
