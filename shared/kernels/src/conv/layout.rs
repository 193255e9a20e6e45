//! How an image is laid out for the micro-kernels: as dense, shifted copies of its channels.
//!
//! A 3x3 kernel reads each pixel's neighbours, and a vector of 16 pixels has neighbours beyond the
//! ends of its row. Instead of testing for that in the inner loop, every channel is copied once for
//! each horizontal shift, with zeros where the shift leaves the image, and with rows of zeros above
//! and below:
//!
//! ```text
//!             shift -1      shift 0       shift +1
//!   row -1    0 0 0 0       0 0 0 0       0 0 0 0
//!   row  0    0 a b c       a b c d       b c d 0
//!   row  1    0 e f g       e f g h       f g h 0
//!   row  2    0 0 0 0       0 0 0 0       0 0 0 0
//! ```
//!
//! Now all pixels of the output, flattened, find the input of one tap (one of the nine kernel
//! positions) at their own index plus one fixed offset. A vector may span several rows, and an 8x8
//! image is exactly four AVX-512 vectors. With stride 2, a copy takes every second column and row
//! instead, and the same holds.

use std::ops::{Deref, Range};

use crate::conv::ConvShape;
use crate::conv::pack::grad_phase;
use crate::scratch::Scratch;
use crate::simd::MAX_LANES;

/// One copy of a channel: its pixel (r, c) is pixel `(row + step * r, col + step * c)` of the
/// image, or zero outside it.
struct Plane {
    row: isize,
    col: isize,
    rows: usize,
    /// Where the copy starts among the channel's copies.
    start: usize,
}

/// The copies of every channel, and where the taps find their input in them.
pub(super) struct Layout {
    planes: Vec<Plane>,
    step: usize,
    /// Size of the image that is copied.
    height: usize,
    width: usize,
    /// Columns of a copy, which are the columns of the output.
    columns: usize,
    /// Floats from one channel's copies to the next channel's.
    channel_len: usize,
    /// For each tap its offset in a channel's copies.
    taps: Vec<usize>,
}

impl Layout {
    fn new(height: usize, width: usize, step: usize, columns: usize) -> Self {
        Self {
            planes: Vec::new(),
            step,
            height,
            width,
            columns,
            channel_len: 0,
            taps: Vec::new(),
        }
    }

    /// Adds a copy and returns its start.
    fn add_plane(&mut self, row: isize, col: isize, rows: usize) -> usize {
        let start = self.channel_len;
        self.planes.push(Plane { row, col, rows, start });
        self.channel_len = (start + rows * self.columns).next_multiple_of(MAX_LANES);
        start
    }

    /// For rows `out_rows` of a convolution's output: taps in the order of the weights, row by row.
    pub(super) fn forward(shape: &ConvShape, out_rows: Range<usize>) -> Self {
        let (rows, columns) = (out_rows.len(), shape.out_width());
        let first = (out_rows.start * shape.stride) as isize;
        let mut layout = Self::new(shape.height, shape.width, shape.stride, columns);
        layout.taps = match (shape.kernel, shape.stride) {
            (1, _) => vec![layout.add_plane(first, 0, rows)],
            (_, 1) => {
                let starts = [-1, 0, 1].map(|col| layout.add_plane(first - 1, col, rows + 2));
                let tap = |tap: usize| starts[tap % 3] + tap / 3 * columns;
                (0..9).map(tap).collect()
            }
            _ => {
                // Kernel rows 0 and 2 read the odd rows of the image, kernel row 1 the even ones.
                let odd = [-1, 0, 1].map(|col| layout.add_plane(first - 1, col, rows + 1));
                let even = [-1, 0, 1].map(|col| layout.add_plane(first, col, rows));
                let tap = |tap: usize| match tap / 3 {
                    1 => even[tap % 3],
                    row => odd[tap % 3] + row / 2 * columns,
                };
                (0..9).map(tap).collect()
            }
        };
        layout
    }

    /// For the input gradient with stride 2, of the output's gradient: the taps are
    /// (row shift, column shift) = (0, 0), (0, 1), (1, 0), (1, 1).
    pub(super) fn strided_input_grad(shape: &ConvShape) -> Self {
        let (rows, columns) = (shape.out_height(), shape.out_width());
        let mut layout = Self::new(rows, columns, 1, columns);
        let starts = [0, 1].map(|col| layout.add_plane(0, col, rows + 1));
        layout.taps = vec![starts[0], starts[1], starts[0] + columns, starts[1] + columns];
        layout
    }

    /// Floats of one image's copies. The last vector of the last tap may reach past the last copy:
    /// hence the slack.
    pub(super) fn image_len(&self, channels: usize) -> usize {
        channels * self.channel_len + MAX_LANES
    }

    /// For each channel and tap where in the copies the tap finds its input for the output's first
    /// pixel.
    pub(super) fn offsets(&self, channels: usize) -> Vec<usize> {
        self.offsets_of(channels, &self.taps)
    }

    /// As [`Layout::offsets`], for some taps.
    fn offsets_of(&self, channels: usize, taps: &[usize]) -> Vec<usize> {
        let offset = |channel| taps.iter().map(move |tap| channel * self.channel_len + tap);
        (0..channels).flat_map(offset).collect()
    }

    /// As [`Layout::offsets`], for one of the four classes of pixels of
    /// [`Layout::strided_input_grad`].
    pub(super) fn phase_offsets(&self, channels: usize, phase: usize) -> Vec<usize> {
        let taps: Vec<usize> = grad_phase(phase).iter().map(|&(_, tap)| self.taps[tap]).collect();
        self.offsets_of(channels, &taps)
    }

    /// Whether the copies would be the image itself, in whole vectors.
    fn is_identity(&self) -> bool {
        self.step == 1
            && self.planes.len() == 1
            && self.planes[0].rows == self.height
            && (self.height * self.width).is_multiple_of(MAX_LANES)
    }

    /// One image (`[channels][height][width]`) laid out; without a copy where it can be used as it
    /// is.
    pub(super) fn expand<'a>(&self, image: &'a [f32]) -> Expanded<'a> {
        if self.is_identity() {
            return Expanded::Borrowed(image);
        }
        let channels = image.len() / (self.height * self.width);
        let mut copies = Scratch::take(self.image_len(channels));
        self.expand_into(image, &mut copies);
        Expanded::Owned(copies)
    }

    /// As [`Layout::expand`], into `copies` ([`Layout::image_len`] floats), all of which it
    /// overwrites.
    pub(super) fn expand_into(&self, image: &[f32], copies: &mut [f32]) {
        let pixels = self.height * self.width;
        let (body, slack) = copies.split_at_mut(image.len() / pixels * self.channel_len);
        slack.fill(0.0);
        for (copies, channel) in body.chunks_exact_mut(self.channel_len).zip(image.chunks_exact(pixels)) {
            self.expand_channel(channel, copies);
        }
    }

    fn expand_channel(&self, channel: &[f32], copies: &mut [f32]) {
        for (index, plane) in self.planes.iter().enumerate() {
            let end = self.planes.get(index + 1).map_or(self.channel_len, |next| next.start);
            let copy = &mut copies[plane.start..end];
            if self.step == 1 && self.columns == self.width {
                self.shift_plane(plane, channel, copy);
            } else {
                self.gather_plane(plane, channel, copy);
            }
        }
    }

    /// Step 1: the whole channel is moved at once, then the column that came in from the
    /// neighbouring row is cleared.
    fn shift_plane(&self, plane: &Plane, channel: &[f32], copy: &mut [f32]) {
        let width = self.width as isize;
        // `copy[i + offset]` is to hold `channel[i]`.
        let offset = -(plane.row * width + plane.col);
        let to = offset.max(0) as usize;
        let from = (-offset).max(0) as usize;
        let len = (channel.len() - from.min(channel.len())).min(copy.len() - to.min(copy.len()));
        copy[..to].fill(0.0);
        copy[to..to + len].copy_from_slice(&channel[from..from + len]);
        copy[to + len..].fill(0.0);
        if plane.col != 0 {
            let edge = if plane.col < 0 { 0 } else { self.width - 1 };
            copy.iter_mut()
                .skip(edge)
                .step_by(self.width)
                .for_each(|value| *value = 0.0);
        }
    }

    /// Any step, row by row.
    fn gather_plane(&self, plane: &Plane, channel: &[f32], copy: &mut [f32]) {
        let (body, rest) = copy.split_at_mut(plane.rows * self.columns);
        rest.fill(0.0);
        // The copy's columns `first..end` lie inside the image.
        let first = ((-plane.col).max(0) as usize).div_ceil(self.step);
        let end = ((self.width as isize - plane.col).max(0) as usize).div_ceil(self.step);
        let (first, end) = (first.min(self.columns), end.min(self.columns));
        for (r, row) in body.chunks_exact_mut(self.columns).enumerate() {
            let source = plane.row + (self.step * r) as isize;
            if source < 0 || source >= self.height as isize || first >= end {
                row.fill(0.0);
                continue;
            }
            row[..first].fill(0.0);
            row[end..].fill(0.0);
            let source = &channel[source as usize * self.width..][..self.width];
            let source = &source[(plane.col + (self.step * first) as isize) as usize..];
            gather(source, self.step, &mut row[first..end]);
        }
    }
}

/// Every `step`th value of `from`, until `to` is full.
fn gather(from: &[f32], step: usize, to: &mut [f32]) {
    if step == 2 {
        // With a constant step the compiler makes vector instructions of this.
        let (pairs, last) = from.as_chunks::<2>();
        for (to, [value, _]) in to.iter_mut().zip(pairs) {
            *to = *value;
        }
        if let (Some(to), Some(value)) = (to.get_mut(pairs.len()), last.first()) {
            *to = *value;
        }
    } else {
        for (to, value) in to.iter_mut().zip(from.iter().step_by(step)) {
            *to = *value;
        }
    }
}

/// An image that is laid out: its own memory, or copies.
pub(super) enum Expanded<'a> {
    Borrowed(&'a [f32]),
    Owned(Scratch),
}

impl Deref for Expanded<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Expanded::Borrowed(image) => image,
            Expanded::Owned(scratch) => scratch,
        }
    }
}
