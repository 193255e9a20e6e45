//! Temporary buffers that are used again, so that a kernel call costs no page faults and no zeroing.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// Bytes in a cache line. Vectors that start on a line's boundary are loaded in one access.
const LINE: usize = 64;

/// Buffers that nobody uses at the moment. There are never more of them than were in use at one time.
static IDLE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// A buffer of floats that starts at a cache line; what it holds at first is left over from its last use.
pub(crate) struct Scratch {
    buffer: Vec<f32>,
    start: usize,
    len: usize,
}

impl Scratch {
    /// A buffer of `len` floats.
    pub(crate) fn take(len: usize) -> Self {
        let mut buffer = IDLE
            .lock()
            .map(|mut idle| idle.pop().unwrap_or_default())
            .unwrap_or_default();
        let room = len + LINE / size_of::<f32>();
        if buffer.len() < room {
            buffer.resize(room, 0.0);
        }
        let start = buffer.as_ptr().align_offset(LINE);
        Self { buffer, start, len }
    }

    /// A buffer of `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut scratch = Self::take(len);
        scratch.fill(0.0);
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(mut idle) = IDLE.lock() {
            idle.push(std::mem::take(&mut self.buffer));
        }
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer[self.start..self.start + self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[self.start..self.start + self.len]
    }
}
