//! How two processes of one proxy speak: messages of JSON behind their length, and sockets.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

/// The largest message, in bytes: twice what a report to the controller may have.
const LIMIT: u32 = 64 * 1024 * 1024;
/// Sockets that go over at once; the system takes 253.
const AT_ONCE: usize = 64;

/// Sends a message.
pub(super) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&bytes).await
}

/// Receives a message. May not be dropped in the middle and called again.
pub(super) async fn receive<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length);
    if length > LIMIT {
        let text = format!("a message of {length} bytes, where {LIMIT} are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Sends sockets; the other side knows how many.
pub(super) async fn send_sockets(stream: &UnixStream, sockets: &[TcpListener]) -> io::Result<()> {
    for some in sockets.chunks(AT_ONCE) {
        let sent = || {
            let fds: Vec<_> = some.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&fds));
            let byte = [IoSlice::new(&[0])];
            Ok(sendmsg(stream, &byte, &mut control, SendFlags::NOSIGNAL)?)
        };
        stream.async_io(Interest::WRITABLE, sent).await?;
    }
    Ok(())
}

/// Receives so many sockets.
pub(super) async fn receive_sockets(
    stream: &UnixStream,
    count: usize,
) -> io::Result<Vec<TcpListener>> {
    let mut sockets = Vec::new();
    while sockets.len() < count {
        let received = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let (mut byte, flags) = ([0], RecvFlags::CMSG_CLOEXEC);
            recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
            let fds = control.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            });
            Ok(fds.flatten().collect::<Vec<OwnedFd>>())
        };
        let fds = stream.async_io(Interest::READABLE, received).await?;
        if fds.is_empty() {
            let text = format!("{} of {count} sockets came", sockets.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        sockets.extend(fds.into_iter().map(TcpListener::from));
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_and_more_sockets_than_go_over_at_once_arrive_in_order() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let sockets: Vec<_> = (0..70).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = |sockets: &[TcpListener]| -> Vec<u16> {
            sockets.iter().map(|it| it.local_addr().unwrap().port()).collect()
        };
        send(&mut here, &"before").await.unwrap();
        send_sockets(&here, &sockets).await.unwrap();
        send(&mut here, &"after").await.unwrap();
        assert_eq!(receive::<String>(&mut there).await.unwrap(), "before");
        let received = receive_sockets(&there, 70).await.unwrap();
        assert_eq!(ports(&received), ports(&sockets));
        assert_eq!(receive::<String>(&mut there).await.unwrap(), "after");
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_one_is_refused() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        here.write_all(&[255; 4]).await.unwrap();
        assert!(receive::<String>(&mut there).await.is_err());
    }
}
