//! A sampling loop allocates nothing in the kernels: after the first rounds, which fill the buffers that are used
//! again, the layers of a network ask the allocator for nothing, forward and back to the input.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::channels_last::{Onto, from_channels_last, to_channels_last};
use crate::conv::{ConvShape, PackedWeights, pack_forward, pack_input_grad};
use crate::norm::{Activation, NormInput};
use crate::norm_conv::{Norm, norm_conv, norm_conv_input_grad};
use crate::scratch::Scratch;

/// The system's allocator, which counts what each thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A convolution with its weights packed for both passes.
struct Conv {
    shape: ConvShape,
    bias: Vec<f32>,
    forward: PackedWeights,
    input_grad: PackedWeights,
}

impl Conv {
    fn new(shape: ConvShape) -> Self {
        let weight = vec![0.01; shape.weight_len()];
        let algorithm = shape.algorithm();
        Self {
            shape,
            bias: vec![0.1; shape.c_out],
            forward: pack_forward(&shape, algorithm, &weight),
            input_grad: pack_input_grad(&shape, algorithm, &weight),
        }
    }

    /// From channels first and back: convert, normalise, convolve, and the gradients of all that.
    fn there_and_back(&self, x: &mut [f32]) {
        let (shape, pixels) = (&self.shape, self.shape.height * self.shape.width);
        let mut map = Scratch::take(shape.input_len());
        to_channels_last(shape.c_in, pixels, x, &mut map);
        let groups = 4;
        let [scale, shift] = [1.0, 0.0].map(|value| {
            let mut values = Scratch::take(shape.batch * shape.c_in);
            values.fill(value);
            values
        });
        let norm = Norm {
            groups,
            epsilon: crate::norm::EPSILON,
            scale: &scale,
            shift: &shift,
            activation: Activation::Silu,
        };
        let mut y = Scratch::take(shape.output_len());
        let stats = norm_conv(
            shape,
            &map,
            norm,
            &self.forward,
            &self.bias,
            None,
            Onto::Overwrite,
            &mut y,
        );
        let [mut dscale, mut dshift] = [0, 1].map(|_| Scratch::take(scale.len()));
        let input = NormInput {
            x: &map,
            stats: &stats,
            scale: &scale,
            shift: &shift,
            activation: Activation::Silu,
        };
        let mut d = Scratch::take(map.len());
        norm_conv_input_grad(shape, &y, &self.input_grad, input, &mut d, &mut dscale, &mut dshift);
        from_channels_last(shape.c_in, pixels, &d, Onto::Overwrite, x);
    }
}

#[test]
fn a_steady_loop_allocates_nothing() {
    let sizes = [
        (1, 48, 48, 32, 3, 1),
        (1, 144, 144, 8, 3, 1),
        (9, 96, 144, 8, 3, 1),
        (2, 48, 48, 32, 3, 2),
        (2, 96, 48, 16, 1, 1),
    ];
    let convs: Vec<Conv> = sizes
        .map(|(batch, c_in, c_out, size, kernel, stride)| ConvShape {
            batch,
            c_in,
            c_out,
            height: size,
            width: size,
            kernel,
            stride,
        })
        .map(Conv::new)
        .into();
    let mut images: Vec<Vec<f32>> = convs
        .iter()
        .map(|conv| vec![0.5; conv.shape.batch * conv.shape.c_in * conv.shape.height * conv.shape.width])
        .collect();
    // On one thread, whose requests are counted. (The buffers of several are a matter of chance: how many are in use at
    // the same time.)
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let allocations = pool.install(|| {
        let mut round = || {
            convs
                .iter()
                .zip(&mut images)
                .for_each(|(conv, x)| conv.there_and_back(x))
        };
        // Buffers grow to the largest that was asked for, and are handed out by size: a few rounds until they suit.
        for _ in 0..4 {
            round();
        }
        let before = ALLOCATIONS.get();
        round();
        ALLOCATIONS.get() - before
    });
    assert_eq!(allocations, 0, "allocations in a steady loop");
    assert!(images.iter().flatten().all(|value| value.is_finite()));
}
