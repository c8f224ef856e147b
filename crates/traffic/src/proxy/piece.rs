//! A piece of an answer on its way out, which knows when the client has taken it.
//!
//! hyper is done with a body once it has handed over the last piece, which HTTP/2 may then keep for
//! as long as the client gives no room for it. [`Held`] tells of that.

use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::streams::{Held, Stream};

/// Shorter pieces are not watched: a stream costs more than they do.
const SHORT: usize = 4 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Piece {
    bytes: Bytes,
    /// Told when it is taken.
    #[expect(dead_code, reason = "its end is what matters")]
    held: Option<Held>,
}

impl Piece {
    /// On a stream of HTTP/2, or on a connection of HTTP/1.1, which is watched as a whole.
    pub(crate) fn on(stream: Option<&Stream>, bytes: Bytes) -> Self {
        let watched = stream.filter(|_| bytes.len() >= SHORT);
        Self { held: watched.map(Stream::hold), bytes }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        self.bytes.copy_to_bytes(count)
    }
}
