//! Counts the requests that a client has begun to send on an HTTP/1.1 connection. A drain closes after the
//! last of them, and hyper does not tell what it still holds. The counter follows heads and lengths and
//! judges nothing. It gives up on bytes that it cannot follow (chunks); then the client counts as one that
//! waits for each answer.

/// The longest header line that matters, in bytes.
const LONGEST_LINE: usize = 64;

/// The counter of one connection.
#[derive(Debug)]
pub(in crate::worker) struct Pipeline {
    begun: u64,
    position: PipelinePosition,
    /// The beginning of the line that has not ended yet.
    line: Vec<u8>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PipelinePosition {
    /// Between requests: none has begun, or the last one is complete.
    Between,
    /// A head that has announced a body of this length, in bytes.
    Head { length: u64 },
    /// A body of which this number of bytes is to come.
    Body { left: u64 },
    /// Unknown.
    Lost,
}

/// What a header line says about the body.
enum BodyHeader {
    Nothing,
    Length(u64),
    Unclear,
}

impl Pipeline {
    pub(in crate::worker) fn new() -> Pipeline {
        Pipeline {
            begun: 0,
            position: PipelinePosition::Between,
            line: Vec::new(),
        }
    }

    /// The number of requests that have begun; `None` when that is not known.
    pub(in crate::worker) fn begun(&self) -> Option<u64> {
        (self.position != PipelinePosition::Lost).then_some(self.begun)
    }

    /// The number of bytes of a request's body that are to come, as far as that is known.
    pub(in crate::worker) fn missing_body_bytes(&self) -> u64 {
        match self.position {
            PipelinePosition::Body { left } => left,
            PipelinePosition::Between | PipelinePosition::Head { .. } | PipelinePosition::Lost => 0,
        }
    }

    /// Whether every request that has begun is known to be complete.
    pub(in crate::worker) fn is_complete(&self) -> bool {
        self.position == PipelinePosition::Between
    }

    /// Takes in bytes that have arrived.
    pub(in crate::worker) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.position {
                PipelinePosition::Between => self.begin(bytes),
                PipelinePosition::Head { length } => self.read_line(bytes, length),
                PipelinePosition::Body { left } => self.skip(bytes, left),
                PipelinePosition::Lost => return,
            };
        }
    }

    /// Empty lines between requests are passed over, as every server does.
    fn begin<'bytes>(&mut self, bytes: &'bytes [u8]) -> &'bytes [u8] {
        let empty = bytes
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let rest = &bytes[empty..];
        if !rest.is_empty() {
            self.begun += 1;
            self.position = PipelinePosition::Head { length: 0 };
        }
        rest
    }

    fn read_line<'bytes>(&mut self, bytes: &'bytes [u8], length: u64) -> &'bytes [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes);
            return &[];
        };
        if self.line.is_empty() {
            self.position = after_line(&bytes[..end], length);
        } else {
            self.keep(&bytes[..end]);
            self.position = after_line(&self.line, length);
            self.line.clear();
        }
        &bytes[end + 1..]
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LONGEST_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn skip<'bytes>(&mut self, bytes: &'bytes [u8], left: u64) -> &'bytes [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.position = body(left - here as u64);
        &bytes[here..]
    }
}

fn after_line(line: &[u8], length: u64) -> PipelinePosition {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return body(length);
    }
    match about_body(line) {
        BodyHeader::Nothing => PipelinePosition::Head { length },
        BodyHeader::Length(told) => PipelinePosition::Head { length: told },
        BodyHeader::Unclear => PipelinePosition::Lost,
    }
}

fn body(left: u64) -> PipelinePosition {
    match left {
        0 => PipelinePosition::Between,
        left => PipelinePosition::Body { left },
    }
}

fn about_body(line: &[u8]) -> BodyHeader {
    // Nearly every line is decided by its first letter.
    let value_of = |name: &str| {
        let (head, value) = line.split_at_checked(name.len())?;
        head.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    };
    match line.first() {
        Some(b'c' | b'C') => match value_of("content-length:") {
            Some(value) => std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .map_or(BodyHeader::Unclear, BodyHeader::Length),
            None => BodyHeader::Nothing,
        },
        Some(b't' | b'T') if value_of("transfer-encoding:").is_some() => BodyHeader::Unclear,
        Some(_) | None => BodyHeader::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\nCookie: x\r\n\r\n";
    const POST: &str =
        "POST / HTTP/1.1\r\nContent-Type: text/plain\r\ncontent-LENGTH:  9\r\n\r\n\r\n\r\nGET /";

    /// After these bytes, fed in pieces of that many.
    fn begun(text: &str, piece: usize) -> Option<u64> {
        let mut pipeline = Pipeline::new();
        for part in text.as_bytes().chunks(piece) {
            pipeline.feed(part);
        }
        pipeline.begun()
    }

    #[test]
    fn requests_are_counted_from_their_first_byte_however_they_are_cut() {
        for (text, many) in [
            (String::new(), 0),
            ("\r\n\r\n".to_owned(), 0),
            ("G".to_owned(), 1),
            (GET.to_owned(), 1),
            (format!("{GET}\r\n"), 1),
            (format!("{GET}G"), 2),
            (GET.repeat(50), 50),
            (POST.to_owned(), 1),
            (format!("{POST}{GET}{POST}\r\n{GET}"), 4),
        ] {
            for piece in [1, 2, 3, 7, 50, 100_000] {
                assert_eq!(begun(&text, piece), Some(many), "{text:?} in {piece}s");
            }
        }
    }

    #[test]
    fn what_cannot_be_followed_is_given_up_on() {
        for line in [
            "Transfer-Encoding: chunked",
            "Content-Length: 1, 1",
            "Content-Length: -1",
        ] {
            let text = format!("POST / HTTP/1.1\r\n{line}\r\n\r\n{GET}");
            for piece in [1, 9, 1000] {
                assert_eq!(begun(&text, piece), None, "{line}");
            }
        }
    }
}
