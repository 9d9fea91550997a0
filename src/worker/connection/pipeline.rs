//! Follows the requests that a client sends on an HTTP/1.1 connection: how many have begun, and whether the last one is
//! complete. A drain closes after the last request, and a client that has closed its side gets its answers; hyper tells neither
//! how many requests it holds nor whether they are whole. The pipeline judges nothing. It gives up on bytes that it cannot
//! follow, which hyper refuses.

/// The longest beginning of a line that matters, in bytes.
const LONGEST_LINE: usize = 64;

/// The requests of one connection, as far as they have arrived.
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
    /// A head that has announced this body.
    Head { body: BodyFraming },
    /// A body, or the data of a chunk.
    Body(BodyPart),
    /// Unknown.
    Lost,
}

/// How a head announces the end of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyFraming {
    /// After this number of bytes.
    Length(u64),
    /// After the last chunk (RFC 9112, section 7.1).
    Chunks,
}

/// Where in a body the next byte lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyPart {
    /// In a body without chunks, of which this number of bytes is to come.
    Plain { left: u64 },
    /// In the line with the size of a chunk.
    ChunkSize,
    /// In a chunk of which this number of bytes is to come.
    Chunk { left: u64 },
    /// In the end of the line behind a chunk.
    ChunkEnd,
    /// In the lines behind the last chunk.
    Trailers,
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

    /// The number of bytes of a body of known length that are to come.
    pub(in crate::worker) fn missing_body_bytes(&self) -> u64 {
        match self.position {
            PipelinePosition::Body(BodyPart::Plain { left }) => left,
            PipelinePosition::Body(_)
            | PipelinePosition::Between
            | PipelinePosition::Head { .. }
            | PipelinePosition::Lost => 0,
        }
    }

    /// Whether the last request whose head is complete still misses a part of its body, or may miss one.
    pub(in crate::worker) fn misses_body(&self) -> bool {
        match self.position {
            PipelinePosition::Between | PipelinePosition::Head { .. } => false,
            PipelinePosition::Body(_) | PipelinePosition::Lost => true,
        }
    }

    /// Takes in bytes that have arrived.
    pub(in crate::worker) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.position {
                PipelinePosition::Between => self.begin(bytes),
                PipelinePosition::Head { .. }
                | PipelinePosition::Body(BodyPart::ChunkSize | BodyPart::ChunkEnd | BodyPart::Trailers) => {
                    self.read_line(bytes)
                }
                PipelinePosition::Body(BodyPart::Plain { left }) => self.skip(
                    bytes,
                    left,
                    |left| BodyPart::Plain { left },
                    PipelinePosition::Between,
                ),
                PipelinePosition::Body(BodyPart::Chunk { left }) => {
                    let end = PipelinePosition::Body(BodyPart::ChunkEnd);
                    self.skip(bytes, left, |left| BodyPart::Chunk { left }, end)
                }
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
            let body = BodyFraming::Length(0);
            self.position = PipelinePosition::Head { body };
        }
        rest
    }

    fn read_line<'bytes>(&mut self, bytes: &'bytes [u8]) -> &'bytes [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes);
            return &[];
        };
        if self.line.is_empty() {
            self.position = self.position.after_line(&bytes[..end]);
        } else {
            self.keep(&bytes[..end]);
            self.position = self.position.after_line(&self.line);
            self.line.clear();
        }
        &bytes[end + 1..]
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LONGEST_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn skip<'bytes>(
        &mut self,
        bytes: &'bytes [u8],
        left: u64,
        part: fn(u64) -> BodyPart,
        end: PipelinePosition,
    ) -> &'bytes [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.position = match left - here as u64 {
            0 => end,
            left => PipelinePosition::Body(part(left)),
        };
        &bytes[here..]
    }
}

impl PipelinePosition {
    /// The position behind a line that began at this one.
    fn after_line(self, line: &[u8]) -> PipelinePosition {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (self, line.is_empty()) {
            (PipelinePosition::Head { body }, true) => body.begin(),
            (PipelinePosition::Head { body }, false) => match body.after_header(line) {
                Some(body) => PipelinePosition::Head { body },
                None => PipelinePosition::Lost,
            },
            (PipelinePosition::Body(BodyPart::ChunkSize), false) => after_chunk_size(line),
            (PipelinePosition::Body(BodyPart::ChunkEnd), true) => PipelinePosition::Body(BodyPart::ChunkSize),
            (PipelinePosition::Body(BodyPart::Trailers), true) => PipelinePosition::Between,
            (PipelinePosition::Body(BodyPart::Trailers), false) => self,
            (PipelinePosition::Body(_) | PipelinePosition::Between | PipelinePosition::Lost, _) => {
                PipelinePosition::Lost
            }
        }
    }
}

impl BodyFraming {
    /// The position behind the head.
    fn begin(self) -> PipelinePosition {
        match self {
            BodyFraming::Length(0) => PipelinePosition::Between,
            BodyFraming::Length(left) => PipelinePosition::Body(BodyPart::Plain { left }),
            BodyFraming::Chunks => PipelinePosition::Body(BodyPart::ChunkSize),
        }
    }

    /// The framing after one more line of the head; `None` if the line makes it unclear. Chunks win over a length.
    fn after_header(self, line: &[u8]) -> Option<BodyFraming> {
        let value_of = |name: &str| {
            let (head, value) = line.split_at_checked(name.len())?;
            head.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        };
        // The first letter decides about nearly every line.
        match line.first() {
            Some(b'c' | b'C') => match value_of("content-length:") {
                Some(_) if self == BodyFraming::Chunks => Some(self),
                Some(value) => number(value, 10).map(BodyFraming::Length),
                None => Some(self),
            },
            Some(b't' | b'T') => match value_of("transfer-encoding:") {
                Some(value) => value
                    .trim_ascii()
                    .eq_ignore_ascii_case(b"chunked")
                    .then_some(BodyFraming::Chunks),
                None => Some(self),
            },
            Some(_) | None => Some(self),
        }
    }
}

/// The position behind a line with the size of a chunk and perhaps extensions.
fn after_chunk_size(line: &[u8]) -> PipelinePosition {
    let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
    match number(size, 16) {
        Some(0) => PipelinePosition::Body(BodyPart::Trailers),
        Some(left) => PipelinePosition::Body(BodyPart::Chunk { left }),
        None => PipelinePosition::Lost,
    }
}

fn number(text: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    u64::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\nCookie: x\r\n\r\n";
    const POST: &str =
        "POST / HTTP/1.1\r\nContent-Type: text/plain\r\ncontent-LENGTH:  9\r\n\r\n\r\n\r\nGET /";

    const CHUNKS: &str = "POST / HTTP/1.1\r\nContent-Length: 7\r\nTransfer-Encoding:  Chunked\r\n\r\n\
                          b;ext=1\r\nGET / HTTP/\r\n2 \r\n\r\n\r\n0\r\nX-Sum: 1\r\n\r\n";

    /// After these bytes, fed in pieces of this length.
    fn fed(text: &str, piece: usize) -> Pipeline {
        let mut pipeline = Pipeline::new();
        for part in text.as_bytes().chunks(piece) {
            pipeline.feed(part);
        }
        pipeline
    }

    fn begun(text: &str, piece: usize) -> Option<u64> {
        fed(text, piece).begun()
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
            (CHUNKS.repeat(3), 3),
            (format!("{CHUNKS}{GET}{CHUNKS}G"), 4),
        ] {
            for piece in [1, 2, 3, 7, 50, 100_000] {
                assert_eq!(begun(&text, piece), Some(many), "{text:?} in {piece}s");
            }
        }
    }

    #[test]
    fn what_cannot_be_followed_is_given_up_on() {
        for line in [
            "Transfer-Encoding: gzip, chunked",
            "Content-Length: 1, 1",
            "Content-Length: -1",
        ] {
            let text = format!("POST / HTTP/1.1\r\n{line}\r\n\r\n{GET}");
            for piece in [1, 9, 1000] {
                assert_eq!(begun(&text, piece), None, "{line}");
            }
        }
    }

    #[test]
    fn chunks_that_are_none_are_given_up_on() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for chunk in [
            "z\r\n",
            "-1\r\na\r\n",
            "1\r\nab\r\n",
            "\r\n",
            "11111111111111111\r\n",
        ] {
            let text = format!("{head}{chunk}{GET}");
            for piece in [1, 9, 1000] {
                assert_eq!(begun(&text, piece), None, "{chunk:?}");
            }
        }
    }

    #[test]
    fn a_body_is_missed_from_the_end_of_its_head_to_its_own() {
        for text in [POST, CHUNKS] {
            let head = text.find("\r\n\r\n").expect("a head") + 4;
            let end = if text == POST { head + 9 } else { text.len() };
            for length in 0..=end {
                let misses = fed(&text[..length], 7).misses_body();
                assert_eq!(
                    misses,
                    (head..end).contains(&length),
                    "{length} bytes of {text:?}"
                );
            }
        }
    }
}
