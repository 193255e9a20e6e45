//! What moves the values of maps.

use crate::channels_last::Onto;
use crate::cuda::tests::{Bench, Both, f32s};
use crate::testing::{assert_close, to_f64};

/// `<A x, y> = <x, B y>`: B is the gradient of the linear map A.
#[track_caller]
fn assert_adjoint(what: &str, ax: &[f32], y: &[f64], x: &[f64], by: &[f32]) {
    let dot = |a: &[f32], b: &[f64]| a.iter().zip(b).map(|(&a, b)| f64::from(a) * b).sum::<f64>();
    let (forward, backward) = (dot(ax, y), dot(by, x));
    assert!(
        (forward - backward).abs() < 1e-4 * forward.abs().max(1.0),
        "{what}: {forward} and {backward}"
    );
}

#[test]
fn cuda_maps_are_moved_as_on_the_cpu() {
    let Some(mut bench) = Bench::open(5) else { return };
    let (batch, channels, height, width) = (2, 3, 5, 7);
    let count = batch * channels * height * width;
    let [x, y] = [count; 2].map(|len| bench.random(len));
    let kernels = &bench.kernels;

    let mut twice = vec![0.0; 4 * count];
    crate::resample::upsample2(batch * channels * height, width, 1, &f32s(&x), &mut twice);
    let got = kernels.upsample([height, width], &x.device).expect("a pass");
    assert_eq!(bench.read(&got), twice);
    let large = Both {
        host: (0..4 * count).map(|i| (i % 13) as f64).collect(),
        device: bench.upload(&(0..4 * count).map(|i| (i % 13) as f32).collect::<Vec<_>>()),
    };
    let back = kernels.upsample_gradient(width, &large.device, None).expect("a pass");
    assert_adjoint("upsampling", &twice, &large.host, &x.host, &bench.read(&back));
    let more = kernels
        .upsample_gradient(width, &large.device, Some(&y.device))
        .expect("a pass");
    let sum: Vec<f64> = bench
        .read(&back)
        .iter()
        .zip(&y.host)
        .map(|(&a, b)| f64::from(a) + b)
        .collect();
    assert_close("with more", &bench.read(&more), &sum, 1e-6);

    let joined = kernels.join_channels(batch, &x.device, &large.device).expect("a pass");
    let (part_x, part_y) = (count / batch, 4 * count / batch);
    for (first, part, expected) in [(0, part_x, &x.host), (part_x, part_y, &large.host)] {
        let got = kernels
            .take_channels(batch, &joined, first, part, None)
            .expect("a pass");
        assert_eq!(to_f64(&bench.read(&got)), *expected);
    }
    assert_eq!(
        bench.read(&joined)[part_x..part_x + part_y],
        bench.read(&large.device)[..part_y]
    );
    let got = kernels
        .take_channels(batch, &joined, 0, part_x, Some(&y.device))
        .expect("a pass");
    let sum: Vec<f64> = x.host.iter().zip(&y.host).map(|(x, y)| x + y).collect();
    assert_close("part of a map and more", &bench.read(&got), &sum, 1e-6);
    assert_close(
        "sum",
        &bench.read(&kernels.add(&x.device, &y.device).expect("a pass")),
        &sum,
        1e-6,
    );
    let mut added = bench.upload(&f32s(&x));
    kernels.add_assign(&mut added, &y.device).expect("a pass");
    assert_close("sum", &bench.read(&added), &sum, 1e-6);
}

#[test]
fn cuda_means_of_blocks_and_their_gradient() {
    let Some(mut bench) = Bench::open(7) else { return };
    let (maps, height, width) = (6, 5, 7);
    let count = maps * height * width;
    let [x, more] = [4 * count; 2].map(|len| bench.random(len));
    let [dy, other] = [count; 2].map(|len| bench.random(len));
    let place = |i: usize, (row, column)| {
        let (map_and_row, at) = (i / width, i % width);
        (2 * map_and_row + row) * 2 * width + 2 * at + column
    };
    let block = [(0, 0), (0, 1), (1, 0), (1, 1)];
    let kernels = &bench.kernels;

    let means: Vec<f64> = (0..count)
        .map(|i| block.map(|at| x.host[place(i, at)]).iter().sum::<f64>() / 4.0)
        .collect();
    bench.check(
        "means",
        &kernels.average_pool(width, &x.device).expect("a pass"),
        &means,
    );

    let mut expected = vec![0.0; 4 * count];
    (0..count).for_each(|i| block.iter().for_each(|&at| expected[place(i, at)] = dy.host[i] / 4.0));
    let back = kernels.average_pool_gradient([height, width], &dy.device, None);
    bench.check("gradient", &back.expect("a pass"), &expected);
    let back = kernels.average_pool_gradient([height, width], &dy.device, Some(&more.device));
    expected.iter_mut().zip(&more.host).for_each(|(d, more)| *d += more);
    bench.check("gradient and more", &back.expect("a pass"), &expected);

    let mut turned = bench.upload(&f32s(&other));
    let done = kernels.half_turn(height * width, &dy.device, Onto::Add, &mut turned);
    done.expect("a pass");
    let expected: Vec<f64> = dy
        .host
        .chunks(height * width)
        .flat_map(|map| map.iter().rev())
        .zip(&other.host)
        .map(|(x, other)| x + other)
        .collect();
    bench.check("half a turn onto something", &turned, &expected);
}

#[test]
fn cuda_channels_are_shifted_and_summed() {
    let Some(mut bench) = Bench::open(8) else { return };
    for (maps, pixels) in [(1, 1), (6, 35), (3, 5000)] {
        let (x, shift) = (bench.random(maps * pixels), bench.random(maps));
        let shifted: Vec<f64> = x
            .host
            .chunks(pixels)
            .zip(&shift.host)
            .flat_map(|(map, shift)| map.iter().map(move |x| x + shift))
            .collect();
        let kernels = &bench.kernels;
        let what = |of: &str| format!("{of} of {maps} maps of {pixels} pixels");
        let got = kernels.shift_channels(&x.device, &shift.device);
        bench.check(&what("shift"), &got.expect("a pass"), &shifted);
        let sums: Vec<f64> = shifted.chunks(pixels).map(|map| map.iter().sum()).collect();
        let got = kernels.sum_pixels(
            maps,
            &bench.upload(&shifted.iter().map(|&x| x as f32).collect::<Vec<_>>()),
        );
        bench.check(&what("sums"), &got.expect("a pass"), &sums);
    }
}

#[test]
fn cuda_pixels_are_shuffled_as_on_the_cpu() {
    let Some(mut bench) = Bench::open(6) else { return };
    let (batch, channels, height, width, factor) = (2, 3, 6, 9, 3);
    let count = batch * channels * height * width;
    let small = [height / factor, width / factor];
    let (x, more) = (bench.random(count), bench.random(count));
    let mut apart = vec![0.0; count];
    crate::resample::pixel_unshuffle(batch, channels, height, width, factor, &f32s(&x), &mut apart);
    let kernels = &bench.kernels;
    let mut got = kernels.take(count).expect("memory");
    let moved = kernels.pixel_unshuffle(small, factor, &x.device, Onto::Overwrite, &mut got);
    moved.expect("a pass");
    assert_eq!(bench.read(&got), apart);
    let mut back = bench.upload(&f32s(&more));
    kernels
        .pixel_shuffle(small, factor, &got, Onto::Add, &mut back)
        .expect("a pass");
    let sum: Vec<f64> = x.host.iter().zip(&more.host).map(|(x, y)| x + y).collect();
    assert_close("shuffled back onto something", &bench.read(&back), &sum, 1e-6);
}
