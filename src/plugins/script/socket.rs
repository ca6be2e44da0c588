//! The socket between `ctx` and dockctl: names that both know, and frames. A frame is the length of a
//! JSON text in four bytes, the highest first, then the text.

use super::declare::request::MAX_FRAME;
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Name of the command.
pub(super) const NAME: &str = "ctx";
/// Variable with the path of the socket.
pub(super) const SOCKET_VARIABLE: &str = "CTX_SOCKET";
/// Variable with the address of the HTTP server.
pub(super) const URL_VARIABLE: &str = "CTX_SOCKET_URL";
/// File next to the socket that shows that a call got no answer.
pub(super) const CUT_MARK: &str = "cut";

/// Returns a short path of a file in a directory that is open.
pub(super) fn short_path(directory: &File, path: &Path) -> PathBuf {
    let open = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    open.join(path.file_name().unwrap_or_default())
}

/// Writes a frame.
pub(super) fn write(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&whole(bytes)?)
}

/// Reads a frame.
pub(super) fn read(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = [0; 4];
    from.read_exact(&mut head)?;
    let mut bytes = vec![0; length(head)?];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Writes a frame.
pub(super) async fn send(out: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    out.write_all(&whole(bytes)?).await
}

/// Reads a frame.
pub(super) async fn receive(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut head = [0; 4];
    from.read_exact(&mut head).await?;
    let mut bytes = vec![0; length(head)?];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn whole(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(bytes.len()).ok();
    let length = length
        .filter(|_| bytes.len() <= MAX_FRAME)
        .ok_or_else(too_long)?;
    Ok([&length.to_be_bytes()[..], bytes].concat())
}

fn length(head: [u8; 4]) -> io::Result<usize> {
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length <= MAX_FRAME {
        Ok(length)
    } else {
        Err(too_long())
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the frame is longer than 1 MiB")
}
