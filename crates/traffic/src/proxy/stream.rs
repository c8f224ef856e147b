//! A client's byte stream, whose beginning can be looked at before somebody reads it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a client that speaks HTTP/2 without having been asked sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes taken at once while the beginning is looked at; room for an ordinary head.
const PIECE: usize = 4 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Looked at and not read yet.
    first: BytesMut,
    tcp: TcpStream,
}

impl Stream {
    /// Nothing of it was looked at.
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { first: BytesMut::new(), tcp }
    }

    /// Whether it begins as HTTP/2 does. Waits for as many bytes as it takes to tell.
    pub(crate) async fn begins_http2(&mut self) -> io::Result<bool> {
        loop {
            let seen = self.first.len().min(PREFACE.len());
            if self.first.get(..seen) != PREFACE.get(..seen) {
                return Ok(false);
            }
            if seen == PREFACE.len() {
                return Ok(true);
            }
            self.first.reserve(PIECE);
            if self.tcp.read_buf(&mut self.first).await? == 0 {
                return Ok(false);
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.first.is_empty() {
            return Pin::new(&mut this.tcp).poll_read(cx, buf);
        }
        let count = this.first.len().min(buf.remaining());
        buf.put_slice(this.first.get(..count).unwrap_or_default());
        this.first.advance(count);
        if this.first.is_empty() {
            this.first = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
