//! Streams from an engine: output of containers and commands, and JSON documents, one per line.
//! Output is passed on as it arrives: it is not buffered until a line or a frame is complete.

use crate::{engine::error::EngineError, seam::LogChunk};
use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde_json::Value as Json;
use std::{collections::VecDeque, io};
use tokio_util::{
    codec::{FramedRead, LinesCodec, LinesCodecError},
    io::StreamReader,
};

/// Longest line of a response with one document per line, in bytes.
const MAX_LINE: usize = 16 << 20;
/// Size of a frame header, in bytes: stream number, three zeros, length.
const HEADER: usize = 8;

/// Splits a stream that interleaves standard output and standard error into frames.
#[derive(Debug, Default)]
struct Frames {
    /// The stream has no frames: a terminal has only one stream.
    is_raw: bool,
    has_started: bool,
    header: Vec<u8>,
    is_error: bool,
    /// Remaining bytes of the present frame.
    remaining: usize,
}

impl Frames {
    fn push(&mut self, mut bytes: Bytes) -> Result<Vec<LogChunk>, EngineError> {
        let mut pieces = Vec::new();
        while bytes.has_remaining() {
            if self.is_raw {
                pieces.push(LogChunk {
                    is_error: false,
                    bytes,
                });
                break;
            }
            if self.remaining == 0 {
                self.header.extend_from_slice(
                    &bytes.split_to(bytes.len().min(HEADER - self.header.len())),
                );
                if self.header.len() == HEADER {
                    pieces.extend(self.read_header()?);
                }
                continue;
            }
            let part = bytes.split_to(bytes.len().min(self.remaining));
            self.remaining -= part.len();
            pieces.push(LogChunk {
                is_error: self.is_error,
                bytes: part,
            });
        }
        Ok(pieces)
    }

    /// Reads a frame header. A stream that does not start with one has no frames: some engines send
    /// terminal output without declaring it.
    fn read_header(&mut self) -> Result<Option<LogChunk>, EngineError> {
        let head = std::mem::take(&mut self.header);
        let first = !std::mem::replace(&mut self.has_started, true);
        match head[..] {
            [kind @ 0..=3, 0, 0, 0, a, b, c, d] => {
                self.is_error = kind == 2;
                self.remaining =
                    usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
                Ok(None)
            }
            _ if first => {
                self.is_raw = true;
                Ok(Some(LogChunk {
                    is_error: false,
                    bytes: head.into(),
                }))
            }
            _ => Err(EngineError::Unexpected(
                "a frame of the stream has no header".to_owned(),
            )),
        }
    }

    /// Returns bytes that looked like a partial header when the stream ended.
    fn rest(&mut self) -> Option<LogChunk> {
        let rest = std::mem::take(&mut self.header);
        (!rest.is_empty() && !self.has_started).then(|| LogChunk {
            is_error: false,
            bytes: rest.into(),
        })
    }
}

/// Returns the pieces of a stream; with `is_raw` the stream has no frames.
pub(crate) fn pieces(
    body: impl Stream<Item = Result<Bytes, EngineError>> + Send + 'static,
    is_raw: bool,
) -> impl Stream<Item = Result<LogChunk, EngineError>> + Send {
    let state = (
        Box::pin(body),
        Frames {
            is_raw,
            ..Frames::default()
        },
        VecDeque::new(),
        false,
    );
    futures_util::stream::unfold(
        state,
        |(mut body, mut frames, mut ready, mut ended)| async move {
            loop {
                if let Some(piece) = ready.pop_front() {
                    return Some((Ok(piece), (body, frames, ready, ended)));
                }
                if ended {
                    return None;
                }
                match body.next().await {
                    Some(Ok(bytes)) => match frames.push(bytes) {
                        Ok(pieces) => ready.extend(pieces),
                        Err(error) => return Some((Err(error), (body, frames, ready, true))),
                    },
                    Some(Err(error)) => return Some((Err(error), (body, frames, ready, true))),
                    None => {
                        ready.extend(frames.rest());
                        ended = true;
                    }
                }
            }
        },
    )
}

/// Joins pieces to lines, each cut to a maximum number of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    line: Vec<u8>,
    max_length: usize,
}

impl Lines {
    pub(crate) fn with_max_length(most: usize) -> Self {
        Self {
            line: Vec::new(),
            max_length: most,
        }
    }

    /// Adds bytes and returns the lines that they complete.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = part
                .strip_suffix(b"\n")
                .map_or((part, false), |text| (text, true));
            let room = self.max_length.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                complete.push(text_of(&std::mem::take(&mut self.line)));
            }
        }
        complete
    }

    /// Returns the unfinished line, or `None` if it is empty.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        (!line.is_empty()).then(|| text_of(&line))
    }
}

fn text_of(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .trim_end_matches('\r')
        .to_owned()
}

/// Streams JSON documents, one per complete line.
pub(crate) fn documents(
    body: impl Stream<Item = Result<Bytes, EngineError>> + Send,
) -> impl Stream<Item = Result<Json, EngineError>> {
    let reader = StreamReader::new(Box::pin(body.map_err(io::Error::other)));
    let lines = FramedRead::new(reader, LinesCodec::new_with_max_length(MAX_LINE));
    let read = |line: Result<String, LinesCodecError>| match line {
        Ok(line) if line.trim().is_empty() => Ok(None),
        Ok(line) => document(&line).map(Some),
        Err(LinesCodecError::Io(error)) => Err(EngineError::lost(error)),
        Err(LinesCodecError::MaxLineLengthExceeded) => Err(EngineError::Unexpected(format!(
            "a line is longer than {} MiB",
            MAX_LINE >> 20
        ))),
    };
    lines
        .map(read)
        .filter_map(|line| std::future::ready(line.transpose()))
}

fn document(line: &str) -> Result<Json, EngineError> {
    let json: Json = serde_json::from_str(line)
        .map_err(|error| EngineError::Malformed(format!("a line is not valid JSON ({error})")))?;
    // Engines will leave out the first field, which API 1.48 deprecates.
    let error = json["error"].as_str();
    match error.or_else(|| json["errorDetail"]["message"].as_str()) {
        Some(error) => Err(EngineError::Reported(error.to_owned())),
        None => Ok(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0][..], &length, text].concat()
    }

    /// Returns both streams, regardless of how the bytes were split.
    fn read(
        frames: &mut Frames,
        bytes: &[u8],
        chunk_size: usize,
    ) -> Result<(Vec<u8>, Vec<u8>), EngineError> {
        let mut both = (Vec::new(), Vec::new());
        for part in bytes.chunks(chunk_size) {
            for piece in frames.push(Bytes::copy_from_slice(part))? {
                (if piece.is_error {
                    &mut both.1
                } else {
                    &mut both.0
                })
                .extend_from_slice(&piece.bytes);
            }
        }
        both.0
            .extend(frames.rest().into_iter().flat_map(|piece| piece.bytes));
        Ok(both)
    }

    #[test]
    fn frames_are_split_regardless_of_chunks() {
        let bytes = [
            frame(1, b"one\n"),
            frame(2, b"two"),
            frame(1, b""),
            frame(1, b"three"),
        ]
        .concat();
        for chunk_size in 1..=bytes.len() {
            let both = read(&mut Frames::default(), &bytes, chunk_size).unwrap();
            assert_eq!(
                both,
                (b"one\nthree".to_vec(), b"two".to_vec()),
                "{chunk_size}"
            );
        }
    }

    #[test]
    fn stream_without_frames_is_unchanged() {
        for text in ["hello world", "hi"] {
            assert_eq!(
                read(&mut Frames::default(), text.as_bytes(), 3).unwrap().0,
                text.as_bytes()
            );
        }
        let raw = &mut Frames {
            is_raw: true,
            ..Frames::default()
        };
        assert_eq!(read(raw, &frame(1, b"x"), 4).unwrap().0, frame(1, b"x"));
        let broken = [frame(1, b"x"), b"no header at all".to_vec()].concat();
        assert!(matches!(
            read(&mut Frames::default(), &broken, 5),
            Err(EngineError::Unexpected(_))
        ));
    }

    #[test]
    fn huge_frame_is_passed_on_as_it_arrives() {
        let mut frames = Frames::default();
        let head = [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        assert!(
            frames
                .push(Bytes::copy_from_slice(&head))
                .unwrap()
                .is_empty()
        );
        let pieces = frames.push(Bytes::from_static(b"at once")).unwrap();
        assert_eq!(
            pieces,
            [LogChunk {
                is_error: false,
                bytes: Bytes::from_static(b"at once")
            }]
        );
    }

    #[test]
    fn long_lines_are_cut_and_none_is_lost() {
        let mut lines = Lines::with_max_length(4);
        assert_eq!(lines.take(b"ab"), Vec::<String>::new());
        assert_eq!(lines.take(b"c\r\n\nlong line\nx"), ["abc", "", "long"]);
        assert_eq!((lines.rest().as_deref(), lines.rest()), (Some("x"), None));
        for _ in 0..1000 {
            assert!(lines.take(&[b'y'; 1000]).is_empty());
        }
        assert!(
            lines.line.capacity() < 64,
            "bytes over the limit are not stored"
        );
    }
}
