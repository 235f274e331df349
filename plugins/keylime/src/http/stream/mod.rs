//! The body of a large answer, parsed while it comes, so that it is never in memory whole.

use std::io::{self, BufReader, Read};

use hyper::body::Bytes;
use reqwest::Response;
use tokio::sync::mpsc;

use super::Failure;
use super::failure::Situation;
use crate::error::Malformed;

/// Most pieces of a body that wait for the parser.
const WAITING: usize = 4;

/// Longest text in an answer, in bytes. The parser holds each in memory whole.
pub(super) const MAX_TEXT: usize = 4 * 1024 * 1024;

/// Deepest nesting of arrays and objects: the parser remembers each level.
const MAX_DEPTH: usize = 128;

/// Has `parse` read the body, of at most `limit` bytes. Returns the body's length as well.
///
/// The parser has a thread of its own: megabytes of JSON would hold up all other tasks of this one.
pub(super) async fn parse_body<T: Send + 'static>(
    mut response: Response,
    limit: usize,
    situation: Situation,
    parse: impl FnOnce(Bounded<BufReader<Pieces>>) -> T + Send + 'static,
) -> Result<(usize, T), Failure> {
    let too_large = || Failure::from(Malformed::TooLarge { limit });
    if response
        .content_length()
        .is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit))
    {
        return Err(too_large());
    }
    let (sender, incoming) = mpsc::channel(WAITING);
    let parser = tokio::task::spawn_blocking(move || {
        parse(Bounded::new(BufReader::new(Pieces { incoming, piece: Bytes::new() })))
    });
    let mut length = 0;
    while let Some(piece) = response.chunk().await.map_err(|error| Failure::of_body(&error, situation))? {
        length += piece.len();
        if length > limit {
            return Err(too_large());
        }
        // The parser has ended and needs no more.
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    let parsed = parser.await.map_err(|_panicked| Failure::from(Malformed::CutShort))?;
    Ok((length, parsed))
}

/// A reader of the pieces that have come; it waits for more.
pub(super) struct Pieces {
    incoming: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.incoming.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        let read = self.piece.split_to(length);
        buffer.iter_mut().zip(read).for_each(|(to, from)| *to = from);
        Ok(length)
    }
}

/// A reader that fails before its JSON parser would have to remember more than [`MAX_TEXT`] and
/// [`MAX_DEPTH`].
pub(super) struct Bounded<R> {
    inner: R,
    depth: usize,
    text: Option<Text>,
}

/// The reader's place in a text.
#[derive(Clone, Copy)]
struct Text {
    length: usize,
    escaped: bool,
}

impl<R> Bounded<R> {
    fn new(inner: R) -> Self {
        Self { inner, depth: 0, text: None }
    }

    fn pass(&mut self, byte: u8) -> bool {
        self.text = match (self.text, byte) {
            (Some(Text { escaped: false, .. }), b'"') => None,
            (Some(Text { length, escaped }), byte) => {
                Some(Text { length: length + 1, escaped: byte == b'\\' && !escaped })
            }
            (None, b'"') => Some(Text { length: 0, escaped: false }),
            (None, b'[' | b'{') => {
                self.depth += 1;
                None
            }
            (None, b']' | b'}') => {
                self.depth = self.depth.saturating_sub(1);
                None
            }
            (None, _) => None,
        };
        self.depth <= MAX_DEPTH && self.text.is_none_or(|text| text.length <= MAX_TEXT)
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let read = buffer.iter().take(length);
        match read.copied().all(|byte| self.pass(byte)) {
            true => Ok(length),
            false => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }
}

#[cfg(test)]
mod tests;
