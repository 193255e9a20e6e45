//! Temporary buffers that are used again, so that a kernel call costs no page faults and no
//! zeroing.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// Bytes in a cache line. Vectors that start on a line's boundary are loaded in one access.
const LINE: usize = 64;

/// Buffers that nobody uses at the moment. All together they are never more than were once in use
/// at the same time.
static IDLE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// A buffer of floats that starts at a cache line. What it holds at first is left over from an
/// earlier use.
#[derive(Debug)]
pub struct Scratch {
    buffer: Vec<f32>,
    start: usize,
    len: usize,
}

impl Scratch {
    /// A buffer of `len` floats.
    #[must_use]
    pub fn take(len: usize) -> Self {
        let room = len + LINE / size_of::<f32>();
        let buffer = take_idle(room);
        let start = buffer.as_ptr().align_offset(LINE);
        Self { buffer, start, len }
    }

    /// A buffer of `len` zeros.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        let mut scratch = Self::take(len);
        scratch.fill(0.0);
        scratch
    }
}

/// The smallest idle buffer with enough room, or a new one in place of some idle one.
fn take_idle(room: usize) -> Vec<f32> {
    let mut idle = IDLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let fitting = (0..idle.len()).filter(|&i| idle[i].len() >= room);
    match fitting.min_by_key(|&i| idle[i].len()) {
        Some(best) => idle.swap_remove(best),
        None => {
            idle.pop();
            drop(idle);
            vec![0.0; room]
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut idle = IDLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        idle.push(std::mem::take(&mut self.buffer));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_have_their_length_and_start_at_a_line() {
        for len in [0, 1, 17, 1000] {
            let (mut first, second) = (Scratch::take(len), Scratch::take(len));
            assert_eq!((first.len(), second.len()), (len, len));
            assert!(first.as_ptr().addr().is_multiple_of(LINE));
            first.fill(3.0);
            drop(first);
            assert!(Scratch::zeros(len).iter().all(|&value| value == 0.0));
        }
    }
}
