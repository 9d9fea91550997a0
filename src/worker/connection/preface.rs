//! Tells HTTP/2 from HTTP/1.1 by the first bytes of a connection (RFC 9113, section 3.4). The first read
//! decides about most connections, and nothing is copied for them. It must not know where the bytes come
//! from.

use tokio::io::ReadBuf;

/// The first bytes of every HTTP/2 connection with prior knowledge.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The result of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Detection {
    /// The connection is HTTP/1.1, or nothing known: the reader gets the bytes.
    Http1,
    /// All bytes so far begin the preface; they are kept.
    Undecided,
    /// The connection is HTTP/2: the bytes are kept until its reader asks for them.
    Http2,
}

/// The decision about one connection, and the bytes that are kept until it is made and they are asked for.
#[derive(Debug)]
pub(in crate::worker) struct ProtocolDetector {
    decided: bool,
    kept: Vec<u8>,
}

impl ProtocolDetector {
    pub(in crate::worker) fn new() -> ProtocolDetector {
        ProtocolDetector {
            decided: false,
            kept: Vec::new(),
        }
    }

    /// Gives the kept bytes to the reader once the decision is made. Whether there were any.
    pub(in crate::worker) fn give_back(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        if !self.decided || self.kept.is_empty() {
            return false;
        }
        let many = self.kept.len().min(buf.remaining());
        buf.put_slice(&self.kept[..many]);
        self.kept.drain(..many);
        true
    }

    /// Takes back bytes that may not be looked at yet. They come before those that are kept already.
    pub(in crate::worker) fn keep(&mut self, bytes: &[u8]) {
        self.kept.splice(..0, bytes.iter().copied());
    }

    /// The bytes that are kept.
    pub(in crate::worker) fn into_kept(self) -> Vec<u8> {
        self.kept
    }

    /// Looks at the bytes that were read into `buf` behind its first `before` bytes. No such byte means the
    /// end of the stream.
    pub(in crate::worker) fn look(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> Detection {
        if self.decided {
            return Detection::Http1;
        }
        let fresh = &buf.filled()[before..];
        if self.kept.is_empty() && (fresh.is_empty() || !begins(fresh)) {
            self.decided = true;
            return Detection::Http1;
        }
        let ended = fresh.is_empty();
        self.kept.extend_from_slice(fresh);
        buf.set_filled(before);
        if begins(&self.kept) && self.kept.len() < PREFACE.len() && !ended {
            return Detection::Undecided;
        }
        self.decided = true;
        if self.kept.starts_with(PREFACE) {
            return Detection::Http2;
        }
        self.give_back(buf);
        Detection::Http1
    }
}

/// Whether these bytes begin the preface, or begin with it.
fn begins(bytes: &[u8]) -> bool {
    let many = bytes.len().min(PREFACE.len());
    bytes[..many] == PREFACE[..many]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the reader gets of these reads, and what it is.
    fn opened(reads: &[&[u8]]) -> (Detection, Vec<u8>) {
        let mut detector = ProtocolDetector::new();
        let (mut last, mut all) = (Detection::Undecided, Vec::new());
        for read in reads {
            let mut space = [0; 64];
            let mut buf = ReadBuf::new(&mut space);
            buf.put_slice(read);
            let look = detector.look(&mut buf, 0);
            if last == Detection::Undecided {
                last = look;
            }
            all.extend_from_slice(buf.filled());
        }
        let mut space = [0; 64];
        let mut buf = ReadBuf::new(&mut space);
        while detector.give_back(&mut buf) {}
        all.extend_from_slice(buf.filled());
        (last, all)
    }

    #[test]
    fn it_is_recognised_however_it_is_cut_and_no_byte_is_lost() {
        let bytes = [PREFACE, b"frames"].concat();
        for cut in 1..bytes.len() {
            let (look, all) = opened(&[&bytes[..cut]]);
            if cut >= PREFACE.len() {
                assert_eq!((look, all), (Detection::Http2, bytes[..cut].to_vec()));
            } else {
                assert_eq!(look, Detection::Undecided);
                assert_eq!(
                    opened(&[&bytes[..cut], &bytes[cut..]]),
                    (Detection::Http2, bytes.clone())
                );
            }
        }
    }

    #[test]
    fn everything_else_is_handed_on_as_it_came() {
        for reads in [
            &[&b"GET / HTTP/1.1\r\n"[..]][..],
            &[b"P", b"OST / HTTP/1.1\r\n", b"more"],
            &[b"PRI * HTTP/2.0\r\n\r\nS", b"O\r\n"],
            &[b"PRI * HT", b""],
            &[b""],
        ] {
            assert_eq!(opened(reads), (Detection::Http1, reads.concat()), "{reads:?}");
        }
    }
}
