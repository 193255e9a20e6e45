//! Messages through a pipe: each list of them is a frame, its length in front.

use std::io::{ErrorKind, Read, Write};

use anyhow::{Context, Result, ensure};

use crate::{Message, decode, encode};

/// The most bytes of one frame. Images and the steps of a small sampler take far less.
pub const MOST_BYTES: u64 = 16 << 20;

/// Writes messages as one frame.
///
/// # Errors
///
/// If nobody reads the pipe any more.
pub fn write_frame(pipe: &mut impl Write, messages: &[Message]) -> Result<()> {
    let bytes = encode(messages)?;
    pipe.write_all(&(bytes.len() as u64).to_le_bytes())?;
    pipe.write_all(&bytes)?;
    Ok(pipe.flush()?)
}

/// Reads one frame, which may come from anyone; `None` where the pipe ends before one begins.
///
/// # Errors
///
/// A frame that is too long, cut off or damaged.
pub fn read_frame(pipe: &mut impl Read) -> Result<Option<Vec<Message>>> {
    let mut length = [0; 8];
    match pipe.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome.context("cannot read from the pipe")?,
    }
    let length = u64::from_le_bytes(length);
    ensure!(
        length <= MOST_BYTES,
        "a frame of {length} bytes, expected at most {MOST_BYTES}"
    );
    let mut bytes = Vec::new();
    pipe.take(length).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 == length, "the frame is cut off");
    decode(&bytes).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_each_other() -> Result<()> {
        let (one, two) = (vec![Message::request("6.1")], vec![Message::default().with("t", 3)]);
        let mut pipe = Vec::new();
        write_frame(&mut pipe, &one)?;
        write_frame(&mut pipe, &two)?;
        let mut read = pipe.as_slice();
        assert_eq!(read_frame(&mut read)?, Some(one));
        assert_eq!(read_frame(&mut read)?, Some(two));
        assert_eq!(read_frame(&mut read)?, None);
        assert!(read_frame(&mut &pipe[..12]).is_err(), "a frame that is cut off");
        let long = (MOST_BYTES + 1).to_le_bytes();
        assert!(read_frame(&mut long.as_slice()).is_err(), "a frame that is too long");
        Ok(())
    }
}
