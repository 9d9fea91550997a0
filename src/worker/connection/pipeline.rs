//! Follows the requests that a client sends on an HTTP/1.1 connection: how many have begun, and whether the
//! last one is complete. A drain closes after the last request, and a client that has closed its side gets
//! its answers; hyper tells neither how many requests it holds nor whether they are whole.
//!
//! Behind a request with `Upgrade` nothing is looked at before its answer is known: it may be another
//! protocol's, or the next request.
//!
//! It also finds lines that do not end with CR LF. Some servers take a bare line feed for the end of a line
//! and others do not, so what follows it may be a request for one and a part of a request for the other.
//! Nothing behind such a line is looked at. All else that is wrong with a request, hyper refuses.

/// The longest beginning of a line that matters, in bytes.
const LONGEST_LINE: usize = 64;

/// The requests of one connection, as far as they have arrived.
#[derive(Debug)]
pub(in crate::worker) struct Pipeline {
    begun: u64,
    position: PipelinePosition,
    /// The request that is arriving wants another protocol.
    wants_upgrade: bool,
    /// The beginning of the line that has not ended yet.
    line: Vec<u8>,
    /// The line is longer than its beginning that is kept.
    is_cut: bool,
    /// The last byte of the line that has not ended yet was a carriage return.
    after_cr: bool,
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
    /// Unknown, since a line of a head says nothing clear about the body.
    Lost,
    /// Behind a request that wants another protocol: until it is answered, nobody knows what follows.
    Held,
    /// Behind a line that does not end with CR LF, or a chunk that is none: in a body, or outside.
    Broken { in_body: bool },
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
            wants_upgrade: false,
            line: Vec::new(),
            is_cut: false,
            after_cr: false,
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
            | PipelinePosition::Held
            | PipelinePosition::Lost
            | PipelinePosition::Broken { .. } => 0,
        }
    }

    /// Whether the last request whose head is complete still misses a part of its body, or may miss one.
    pub(in crate::worker) fn misses_body(&self) -> bool {
        match self.position {
            PipelinePosition::Between | PipelinePosition::Head { .. } | PipelinePosition::Held => false,
            PipelinePosition::Body(_) | PipelinePosition::Lost => true,
            PipelinePosition::Broken { in_body } => in_body,
        }
    }

    /// Whether a line of a head, or between requests, does not end with CR LF.
    pub(in crate::worker) fn has_broken_head(&self) -> bool {
        self.position == PipelinePosition::Broken { in_body: false }
    }

    /// Whether nothing more is looked at.
    pub(in crate::worker) fn is_broken(&self) -> bool {
        matches!(self.position, PipelinePosition::Broken { .. })
    }

    /// Whether nothing may be looked at until the last request, which wants another protocol, is answered.
    pub(in crate::worker) fn is_held(&self) -> bool {
        self.position == PipelinePosition::Held
    }

    /// That request is answered, and the connection goes on with HTTP.
    pub(in crate::worker) fn resume(&mut self) {
        if self.is_held() {
            self.position = PipelinePosition::Between;
        }
    }

    /// Takes in bytes that have arrived. The number of those that may be looked at: all, unless the framing
    /// is broken or a request wants another protocol.
    pub(in crate::worker) fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.position {
                PipelinePosition::Between => self.begin(rest),
                PipelinePosition::Head { .. }
                | PipelinePosition::Body(BodyPart::ChunkSize | BodyPart::ChunkEnd | BodyPart::Trailers) => {
                    self.read_line(rest)
                }
                PipelinePosition::Body(BodyPart::Plain { left }) => {
                    let end = PipelinePosition::Between;
                    self.skip(rest, left, |left| BodyPart::Plain { left }, end)
                }
                PipelinePosition::Body(BodyPart::Chunk { left }) => {
                    let end = PipelinePosition::Body(BodyPart::ChunkEnd);
                    self.skip(rest, left, |left| BodyPart::Chunk { left }, end)
                }
                PipelinePosition::Lost => &[],
                PipelinePosition::Held | PipelinePosition::Broken { .. } => break,
            };
            if self.wants_upgrade && self.position == PipelinePosition::Between {
                self.wants_upgrade = false;
                self.position = PipelinePosition::Held;
            }
        }
        bytes.len() - rest.len()
    }

    /// Empty lines between requests are passed over, as every server does.
    fn begin<'bytes>(&mut self, bytes: &'bytes [u8]) -> &'bytes [u8] {
        match (bytes[0], self.after_cr) {
            (b'\r', false) => self.after_cr = true,
            (b'\n', true) => self.after_cr = false,
            (b'\n', false) => {
                self.position = PipelinePosition::Broken { in_body: false };
                return bytes;
            }
            // hyper refuses a carriage return that no line feed follows.
            (_, _) => {
                self.begun += 1;
                self.after_cr = false;
                let body = BodyFraming::Length(0);
                self.position = PipelinePosition::Head { body };
                return bytes;
            }
        }
        &bytes[1..]
    }

    fn read_line<'bytes>(&mut self, bytes: &'bytes [u8]) -> &'bytes [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes);
            return &[];
        };
        let last = bytes[..end].last();
        let ends_with_cr = last.map_or(self.after_cr, |last| *last == b'\r');
        if !ends_with_cr {
            let in_body = matches!(self.position, PipelinePosition::Body(_));
            self.position = PipelinePosition::Broken { in_body };
            return &bytes[end..];
        }
        if self.line.is_empty() && end > 0 {
            let line = &bytes[..(end - 1).min(LONGEST_LINE)];
            self.wants_upgrade |= self.position.is_upgrade_header(line);
            self.position = self.position.after_line(line, end > LONGEST_LINE);
        } else {
            self.keep(&bytes[..end]);
            let line = self.line.strip_suffix(b"\r").filter(|_| !self.is_cut);
            let line = line.unwrap_or(&self.line);
            self.wants_upgrade |= self.position.is_upgrade_header(line);
            self.position = self.position.after_line(line, self.is_cut);
        }
        self.line.clear();
        (self.after_cr, self.is_cut) = (false, false);
        &bytes[end + 1..]
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LONGEST_LINE.saturating_sub(self.line.len());
        self.is_cut |= part.len() > room;
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        self.after_cr = part.last().map_or(self.after_cr, |last| *last == b'\r');
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
    /// Whether this line of a head wants another protocol.
    fn is_upgrade_header(self, line: &[u8]) -> bool {
        const NAME: &[u8] = b"upgrade:";
        matches!(self, PipelinePosition::Head { .. })
            && line
                .first()
                .is_some_and(|first| first.eq_ignore_ascii_case(&b'u'))
            && line
                .get(..NAME.len())
                .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    }

    /// The position behind a line that began at this one. Of a line that `is_cut` there is only the
    /// beginning.
    fn after_line(self, line: &[u8], is_cut: bool) -> PipelinePosition {
        match (self, line.is_empty()) {
            (PipelinePosition::Head { body }, true) => body.begin(),
            (PipelinePosition::Head { body }, false) => match body.after_header(line, is_cut) {
                Some(body) => PipelinePosition::Head { body },
                None => PipelinePosition::Lost,
            },
            (PipelinePosition::Body(BodyPart::ChunkSize), false) => after_chunk_size(line, is_cut),
            (PipelinePosition::Body(BodyPart::ChunkEnd), true) => PipelinePosition::Body(BodyPart::ChunkSize),
            (PipelinePosition::Body(BodyPart::Trailers), true) => PipelinePosition::Between,
            (PipelinePosition::Body(BodyPart::Trailers), false) => self,
            (PipelinePosition::Body(_), _) => PipelinePosition::Broken { in_body: true },
            (
                PipelinePosition::Between
                | PipelinePosition::Held
                | PipelinePosition::Lost
                | PipelinePosition::Broken { .. },
                _,
            ) => self,
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

    /// The framing after one more line of the head; `None` if the line makes it unclear. Chunks win over a
    /// length.
    fn after_header(self, line: &[u8], is_cut: bool) -> Option<BodyFraming> {
        let value_of = |name: &str| {
            let (head, value) = line.split_at_checked(name.len())?;
            head.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        };
        // The first letter decides about nearly every line.
        match line.first() {
            Some(b'c' | b'C') => match value_of("content-length:") {
                Some(_) if self == BodyFraming::Chunks => Some(self),
                Some(_) if is_cut => None,
                Some(value) => number(value, 10).map(BodyFraming::Length),
                None => Some(self),
            },
            Some(b't' | b'T') => match value_of("transfer-encoding:") {
                Some(_) if is_cut => None,
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
fn after_chunk_size(line: &[u8], is_cut: bool) -> PipelinePosition {
    // White space may stand before an extension and nowhere else.
    let size = match line.iter().position(|byte| *byte == b';') {
        Some(end) => Some(line[..end].trim_ascii_end()),
        None => (!is_cut).then_some(line),
    };
    let hex = size.filter(|size| size.iter().all(u8::is_ascii_hexdigit));
    match hex.and_then(|size| number(size, 16)) {
        Some(0) => PipelinePosition::Body(BodyPart::Trailers),
        Some(left) => PipelinePosition::Body(BodyPart::Chunk { left }),
        None => PipelinePosition::Broken { in_body: true },
    }
}

fn number(text: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    u64::from_str_radix(text, radix).ok()
}

/// Feeds all bytes at once, one by one, and in two parts: the pieces in which bytes arrive change nothing.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(bytes: &[u8]) -> bool {
    fn fed<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (usize, Option<u64>, PipelinePosition) {
        let mut pipeline = Pipeline::new();
        let followed = parts.into_iter().map(|part| pipeline.feed(part)).sum();
        (followed, pipeline.begun(), pipeline.position)
    }
    let whole = fed([bytes]);
    assert_eq!(fed(bytes.chunks(1)), whole, "one by one");
    let mut at = 0;
    while at < bytes.len() {
        at += 1 + at / 8;
        let (first, second) = bytes.split_at(at.min(bytes.len()));
        assert_eq!(fed([first, second]), whole, "parted at {at}");
    }
    whole.1.is_some() && whole.0 == bytes.len()
}

#[cfg(test)]
mod tests;
