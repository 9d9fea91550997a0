//! What a scene came to: a line of the table, and everything that was wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Instant;

use super::client::Kind;
use super::request_log::{End, RequestLog};

/// One scene's end.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) name: String,
    kind: Option<Kind>,
    requests: usize,
    census: BTreeMap<End, usize>,
    /// Failed on a connection that a victim had accepted.
    excused: usize,
    /// Sent once more, because the server had said that it did not look at it.
    again: usize,
    /// Milliseconds: 99th percentile before anything was done, and while it was.
    pub(crate) p99_ms: Option<(f64, f64)>,
    notes: Vec<String>,
    wrong: Vec<String>,
}

impl Verdict {
    pub(crate) fn new(name: &str, kind: Kind, log: &RequestLog) -> Verdict {
        let mut verdict = Verdict::bare(name);
        verdict.kind = Some(kind);
        verdict.requests = log.requests.len();
        verdict.census = log.census();
        verdict.again = log.requests.iter().map(|request| request.again).sum();
        if log.requests.is_empty() {
            verdict.wrong("no request was sent".to_owned());
        }
        verdict
    }

    /// Of a scene that counts no requests.
    pub(crate) fn bare(name: &str) -> Verdict {
        Verdict {
            name: name.to_owned(),
            kind: None,
            requests: 0,
            census: BTreeMap::new(),
            excused: 0,
            again: 0,
            p99_ms: None,
            notes: Vec::new(),
            wrong: Vec::new(),
        }
    }

    pub(crate) fn excuse(&mut self, many: usize) {
        self.excused = many;
    }

    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(crate) fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// A bar: noted when met, wrong when not.
    pub(crate) fn expect(&mut self, met: bool, what: String) {
        if met {
            self.note(what);
        } else {
            self.wrong(what);
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }

    pub(crate) fn note_latency(&mut self, log: &RequestLog, steady: Range<Instant>, during: Range<Instant>) {
        let (steady, during) = (log.quantile_ms(steady, 0.99), log.quantile_ms(during, 0.99));
        self.p99_ms = Some((steady, during));
    }

    /// A bar for the latency during a deed against the steady one.
    pub(crate) fn expect_p99_within(&mut self, times: f64) {
        if let Some((steady, during)) = self.p99_ms {
            let ratio = during / steady;
            self.expect(ratio <= times, format!("p99 {ratio:.2}x steady (bar {times})"));
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.map(|kind| kind.to_string()).unwrap_or_default();
        let failed: usize = self.census.values().sum();
        write!(f, "{:<34} {kind:<16} ", self.name)?;
        if self.requests > 0 {
            write!(f, "{:>7} sent {failed:>4} failed", self.requests)?;
        }
        if self.excused > 0 {
            write!(f, " ({} of them a victim's)", self.excused)?;
        }
        if self.again > 0 {
            write!(f, " {} sent again", self.again)?;
        }
        if let Some((steady, during)) = self.p99_ms {
            write!(f, "  p99 {steady:.1} -> {during:.1} ms")?;
        }
        for (end, many) in &self.census {
            write!(f, "  {end:?}: {many}")?;
        }
        for note in &self.notes {
            write!(f, "  {note}")?;
        }
        write!(f, "  {}", if self.is_good() { "ok" } else { "MISSED" })?;
        for wrong in &self.wrong {
            write!(f, "\n    wrong: {wrong}")?;
        }
        Ok(())
    }
}
