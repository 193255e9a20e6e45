//! Temporary buffers that are used again, so that a kernel call costs no page faults and no
//! zeroing.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes in a cache line. Vectors that start on a line's boundary are loaded in one access.
const LINE: usize = 64;

/// Floats that may always be idle: 4 MiB.
const SPARE: usize = 1 << 20;

/// All buffers of the process.
static POOL: Mutex<Pool> = Mutex::new(Pool {
    idle: Vec::new(),
    idle_len: 0,
    used_len: 0,
    most_used: 0,
});

/// Buffers that nobody uses at the moment, the longest idle first, and the floats of those and of the others.
struct Pool {
    idle: Vec<Vec<f32>>,
    idle_len: usize,
    used_len: usize,
    /// The most floats that were ever in use at the same time.
    most_used: usize,
}

impl Pool {
    /// The smallest idle buffer with enough room and not much more, if there is one, and of several the one that was in
    /// use last: it is still in the cache. A large buffer is not spent on a small need: the next large need would ask
    /// for another one.
    fn take(&mut self, room: usize) -> Option<Vec<f32>> {
        let exact = self.idle.iter().rposition(|buffer| buffer.len() == room);
        let fitting = || (0..self.idle.len()).filter(|&i| (room..=2 * room).contains(&self.idle[i].len()));
        let best = exact.or_else(|| fitting().min_by_key(|&i| self.idle[i].len()))?;
        let buffer = self.idle.remove(best);
        self.idle_len -= buffer.len();
        self.count(buffer.len());
        Some(buffer)
    }

    /// Counts a buffer that comes into use.
    fn count(&mut self, len: usize) {
        self.used_len += len;
        self.most_used = self.most_used.max(self.used_len);
    }

    /// Gives up what was idle longest, where the pool is more than twice what ever was in use at a time, and more than
    /// [`SPARE`] larger. It must be larger, as buffers of several sizes are not needed at the same time: a steady loop
    /// would go on allocating.
    fn shrink(&mut self) {
        let enough = self.most_used + self.most_used.max(SPARE);
        while self.idle_len + self.used_len > enough && !self.idle.is_empty() {
            self.idle_len -= self.idle.remove(0).len();
        }
    }

    fn give_back(&mut self, buffer: Vec<f32>) {
        self.used_len -= buffer.len();
        self.idle_len += buffer.len();
        self.idle.push(buffer);
    }
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

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
        let buffer = buffer(room);
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

/// An idle buffer with enough room, or a new one.
fn buffer(room: usize) -> Vec<f32> {
    let mut pool = pool();
    if let Some(buffer) = pool.take(room) {
        return buffer;
    }
    pool.count(room);
    pool.shrink();
    drop(pool);
    vec![0.0; room]
}

impl Drop for Scratch {
    fn drop(&mut self) {
        pool().give_back(std::mem::take(&mut self.buffer));
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
    fn a_pool_hands_out_what_fits_and_gives_up_what_was_idle_longest() {
        let mut pool = Pool {
            idle: Vec::new(),
            idle_len: 0,
            used_len: 0,
            most_used: 0,
        };
        let len = |buffer: Option<Vec<f32>>| buffer.map(|buffer| buffer.len());
        for tenths in [10, 11, 30] {
            pool.count(tenths * SPARE / 10);
            pool.give_back(vec![0.0; tenths * SPARE / 10]);
        }
        assert_eq!(pool.most_used, 3 * SPARE);
        assert_eq!(len(pool.take(SPARE * 9 / 10)), Some(SPARE), "the smallest that fits");
        assert_eq!(len(pool.take(SPARE * 12 / 10)), None, "1.1 is too small, 3 too large");
        // With 4.1 idle and 3 in use the first must go, and no more.
        pool.count(2 * SPARE);
        pool.shrink();
        assert_eq!((pool.idle_len, pool.idle.len()), (3 * SPARE, 1));
    }

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
