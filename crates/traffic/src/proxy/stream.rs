//! A client's byte stream: plain or inside TLS, with a beginning that can be looked at before
//! somebody reads it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::behind::Certificates;
use super::proxied::{self, Header};
use super::tls::H2;

/// What a client that speaks HTTP/2 without having been asked sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes taken at once while the beginning is looked at; room for an ordinary head.
const PIECE: usize = 4 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Looked at and not read yet.
    first: BytesMut,
    /// Bytes the network took from here; those of a stream inside TLS are counted below it.
    gone: u64,
    rest: Rest,
}

/// What comes after.
#[derive(Debug)]
enum Rest {
    Tcp(TcpStream),
    /// Inside another stream.
    Tls(Box<TlsStream<Stream>>),
}

/// The same call on whichever it is.
macro_rules! rest {
    ($stream:expr, $call:ident $(, $argument:expr)*) => {
        match &mut $stream.rest {
            Rest::Tcp(tcp) => Pin::new(tcp).$call($($argument),*),
            Rest::Tls(tls) => Pin::new(tls.as_mut()).$call($($argument),*),
        }
    };
}

impl Stream {
    /// Nothing of it was looked at.
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { first: BytesMut::new(), gone: 0, rest: Rest::Tcp(tcp) }
    }

    /// Takes a header of the PROXY protocol off its beginning; the client it names.
    ///
    /// # Errors
    /// When it begins with anything else, or ends first.
    pub(crate) async fn take_header(&mut self) -> io::Result<Option<SocketAddr>> {
        loop {
            match proxied::read(&self.first) {
                Header::Whole(length, client) => {
                    self.first.advance(length);
                    return Ok(client);
                }
                Header::Partial if self.more().await? > 0 => {}
                Header::Partial => return Err(io::ErrorKind::UnexpectedEof.into()),
                Header::Malformed => {
                    let text = "no header of the PROXY protocol";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
    }

    /// What the client says inside TLS, once that is agreed on.
    pub(crate) async fn inside_tls(self, certificates: &Certificates) -> io::Result<Self> {
        let nothing = || io::Error::other("no certificate to show yet");
        let tls = if certificates.is_one() {
            let config = certificates.of(None).ok_or_else(nothing)?;
            TlsAcceptor::from(config).accept(self).await?
        } else {
            let asked = LazyConfigAcceptor::new(Acceptor::default(), self).await?;
            let host = asked.client_hello().server_name().map(ToOwned::to_owned);
            let config = certificates.of(host.as_deref()).ok_or_else(nothing)?;
            asked.into_stream(config).await?
        };
        Ok(Self { first: BytesMut::new(), gone: 0, rest: Rest::Tls(Box::new(tls)) })
    }

    /// Whether it speaks HTTP/2: as agreed on in TLS; else when its preface comes first.
    /// Waits for as many bytes as it takes to tell.
    pub(crate) async fn speaks_http2(&mut self) -> io::Result<bool> {
        if let Rest::Tls(tls) = &self.rest {
            return Ok(tls.get_ref().1.alpn_protocol() == Some(H2));
        }
        loop {
            let seen = self.first.len().min(PREFACE.len());
            if self.first.get(..seen) != PREFACE.get(..seen) {
                return Ok(false);
            }
            if seen == PREFACE.len() {
                return Ok(true);
            }
            if self.more().await? == 0 {
                return Ok(false);
            }
        }
    }

    /// Bytes the network has taken so far. Inside TLS what is written waits in a buffer first, so
    /// this alone tells whether the other side takes anything.
    pub(crate) fn gone(&self) -> u64 {
        match &self.rest {
            Rest::Tcp(_) => self.gone,
            Rest::Tls(tls) => tls.get_ref().0.gone(),
        }
    }

    fn went(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = written {
            self.gone = self.gone.wrapping_add(*count as u64);
        }
    }

    /// Puts bytes back that were read from it, to be read again before all others.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let rest = std::mem::replace(&mut self.first, BytesMut::from(bytes));
            self.first.extend_from_slice(&rest);
        }
    }

    /// Takes more in to be looked at; how much, 0 at the end.
    async fn more(&mut self) -> io::Result<usize> {
        self.first.reserve(PIECE);
        match &mut self.rest {
            Rest::Tcp(tcp) => tcp.read_buf(&mut self.first).await,
            Rest::Tls(tls) => tls.read_buf(&mut self.first).await,
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
            return rest!(this, poll_read, cx, buf);
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
        let written = rest!(self, poll_write, cx, bytes);
        self.went(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = rest!(self, poll_write_vectored, cx, slices);
        self.went(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        match &self.rest {
            Rest::Tcp(tcp) => tcp.is_write_vectored(),
            Rest::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        rest!(self, poll_flush, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        rest!(self, poll_shutdown, cx)
    }
}
