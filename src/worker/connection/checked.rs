//! A stream that shows its reader no byte behind a line that does not end with CR LF. For readers of HTTP/1.1
//! that need nothing else of the wire.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pipeline::Pipeline;
use crate::worker::accept::listener::Stream;

/// The stream, and how far its requests have arrived.
#[derive(Debug)]
pub(in crate::worker) struct CheckedStream {
    stream: Stream,
    pipeline: Pipeline,
}

impl CheckedStream {
    pub(in crate::worker) fn new(stream: Stream) -> CheckedStream {
        CheckedStream {
            stream,
            pipeline: Pipeline::new(),
        }
    }

    /// Whether a request could not be read, because a line does not end with CR LF.
    pub(in crate::worker) fn has_broken_head(&self) -> bool {
        self.pipeline.has_broken_head()
    }

    pub(in crate::worker) fn into_stream(self) -> Stream {
        self.stream
    }
}

impl AsyncRead for CheckedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.pipeline.is_broken() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let taken = self.pipeline.feed(&buf.filled()[before..]);
        buf.set_filled(before + taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CheckedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
