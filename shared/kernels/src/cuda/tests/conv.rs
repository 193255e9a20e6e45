//! Convolutions, by every tiling.

use crate::conv::ConvShape;
use crate::cuda::Turn;
use crate::cuda::conv::Problem;
use crate::cuda::tests::Bench;
use crate::cuda::tiling::Tiling;

/// The sizes that are tried: odd maps, one pixel, one channel, several tiles and shared ones, more than one large tile.
fn conv_shapes() -> Vec<ConvShape> {
    let shape = |batch, c_in, c_out, height, width, kernel, stride| ConvShape {
        batch,
        c_in,
        c_out,
        height,
        width,
        kernel,
        stride,
    };
    vec![
        shape(1, 1, 1, 1, 1, 3, 1),
        shape(2, 5, 17, 9, 11, 3, 1),
        shape(1, 40, 20, 8, 8, 3, 1),
        shape(3, 3, 50, 4, 12, 3, 1),
        shape(2, 9, 18, 7, 9, 3, 2),
        shape(1, 16, 5, 8, 10, 3, 2),
        shape(2, 37, 19, 5, 9, 1, 1),
        shape(1, 3, 49, 1, 1, 1, 1),
    ]
}

fn output_len(shape: &ConvShape) -> usize {
    shape.batch * shape.c_out * shape.out_height() * shape.out_width()
}

fn input_len(shape: &ConvShape) -> usize {
    shape.batch * shape.c_in * shape.height * shape.width
}

/// Calls `visit(output, input, weight)` with the indices of each product of a convolution.
fn products(shape: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let (oh, ow, k) = (shape.out_height(), shape.out_width(), shape.kernel);
    for (n, o, i) in (0..shape.batch)
        .flat_map(|n| (0..shape.c_out).map(move |o| (n, o)))
        .flat_map(|(n, o)| (0..shape.c_in).map(move |i| (n, o, i)))
    {
        for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
            for (r, s) in (0..k).flat_map(|r| (0..k).map(move |s| (r, s))) {
                let at = |window: usize, offset: usize, len: usize| {
                    (window * shape.stride + offset)
                        .checked_sub(k / 2)
                        .filter(|&at| at < len)
                };
                if let (Some(iy), Some(ix)) = (at(y, r, shape.height), at(x, s, shape.width)) {
                    visit(
                        ((n * shape.c_out + o) * oh + y) * ow + x,
                        ((n * shape.c_in + i) * shape.height + iy) * shape.width + ix,
                        ((o * shape.c_in + i) * k + r) * k + s,
                    );
                }
            }
        }
    }
}

#[test]
fn cuda_convolutions_and_all_their_gradients() {
    let Some(mut bench) = Bench::open(1) else { return };
    for shape in conv_shapes() {
        let [x, w, b] = [input_len(&shape), shape.weight_len(), shape.c_out].map(|len| bench.random(len));
        let [dy, more_y, more_x] =
            [output_len(&shape), output_len(&shape), input_len(&shape)].map(|len| bench.random(len));
        let pixels = shape.out_height() * shape.out_width();
        let mut y = more_y.host.clone();
        let (mut dx, mut dw, mut db) = (more_x.host.clone(), w.host.clone(), b.host.clone());
        for (index, y) in y.iter_mut().enumerate() {
            *y += b.host[index / pixels % shape.c_out];
        }
        for (index, dy) in dy.host.iter().enumerate() {
            db[index / pixels % shape.c_out] += dy;
        }
        products(&shape, |out, input, weight| {
            y[out] += x.host[input] * w.host[weight];
            dx[input] += dy.host[out] * w.host[weight];
            dw[weight] += dy.host[out] * x.host[input];
        });
        let kernels = &bench.kernels;
        let packed = kernels.pack_weights(&shape, &w.device, Turn::Forward).expect("packed");
        let turned = kernels.pack_weights(&shape, &w.device, Turn::Backward).expect("packed");
        let got = kernels.conv(&shape, &x.device, None, &packed, &b.device, Some(&more_y.device));
        bench.check(&format!("output of {shape:?}"), &got.expect("a pass"), &y);
        let problem = Problem::forward(&shape, &x.device, None, &packed, &b.device, Some(&more_y.device));
        for splits in [1, 2, shape.c_in.div_ceil(16)] {
            for tiling in Tiling::all(shape.kernel, shape.stride, splits) {
                let twice = [(); 2].map(|()| bench.read(&kernels.convolve(&problem, tiling).expect("a pass")));
                assert_eq!(twice[0], twice[1], "the second time other bits");
                bench.check(&format!("output by {tiling:?}"), &bench.upload(&twice[0]), &y);
            }
        }
        let got = kernels.conv_input_gradient(&shape, &dy.device, &turned, Some(&more_x.device));
        bench.check(&format!("input gradient of {shape:?}"), &got.expect("a pass"), &dx);
        // Gradients of parameters are added to what is there.
        let (mut got_w, mut got_b) = (w.device, b.device);
        let got = kernels.conv_weight_gradient(&shape, &x.device, None, &dy.device, &mut got_w);
        got.expect("a pass");
        bench.check(&format!("weight gradient of {shape:?}"), &got_w, &dw);
        kernels
            .bias_gradient(shape.batch, &dy.device, &mut got_b)
            .expect("a pass");
        bench.check(&format!("bias gradient of {shape:?}"), &got_b, &db);
    }
}
