//! As much of an HTTP/1.1 answer as a load client has to understand: status, length, and whether the
//! connection goes on.

/// The head of an answer, and how much of the connection's bytes belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Head and body together.
    pub(crate) length: usize,
    /// The server said `Connection: close`.
    pub(crate) closes: bool,
}

impl Answer {
    /// What these bytes begin with; `None` while the head is not complete.
    ///
    /// # Errors
    /// When it is no answer, or one without a length.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Answer>, String> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&bytes[..end]).map_err(|error| error.to_string())?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or_else(|| format!("no status in {head:?}"))?;
        let (mut length, mut closes) = (None, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse::<usize>().ok();
            } else if name.eq_ignore_ascii_case("connection") {
                closes |= value.trim().eq_ignore_ascii_case("close");
            }
        }
        let length = length.ok_or_else(|| format!("no length in {head:?}"))?;
        Ok(Some(Answer {
            status,
            length: end + 4 + length,
            closes,
        }))
    }
}
