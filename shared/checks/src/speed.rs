//! A remark on a function that is right, but far slower than it needs to be. It is no fault.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use ndarray::Array4;

use crate::guard::Guard;

/// Slow is what computes so many times as long as it needs to.
const SLOW: f64 = 100.0;
/// And no less than this: what is below is over before anybody looks.
const NOTICED: Duration = Duration::from_millis(20);
/// So long it is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Calls a function that is known to be right on arrays as large as real images, and tells on standard error where it
/// computes for 100 times as long as plain loops over their pixels. What the machine does besides is not counted.
///
/// - `arrays`: what it is called with, `[B, C, H, W]`
pub fn remark_if_slow<T: Send + 'static>(
    function: &str,
    arrays: &[Array4<f32>],
    call: impl FnOnce() -> T + Send + 'static,
) {
    let needed = at_most(|| drop(black_box(plain_loops(arrays))));
    let mut guard = Guard::new(function, PATIENCE);
    // Whether it is right there, too, has been asked of smaller arrays.
    let came = guard.call("", call).is_ok();
    let shape = arrays.first().map_or(&[][..], |array| array.shape());
    if let Some(sentence) = sentence(function, shape, needed, guard.computed(), came) {
        // Not by `eprint!`, which the test harness would keep for tests that fail.
        drop(writeln!(io::stderr(), "slow: {sentence}"));
    }
}

/// The same of a sampler that takes 100 times as long as the model which it asks; whether it does.
pub(crate) fn remark_on_sampler(function: &str, needed: Duration, took: Option<Duration>) -> bool {
    let Some((times, seconds)) = excess(needed, took) else {
        return false;
    };
    drop(writeln!(
        io::stderr(),
        "slow: {function}: in a small run it computes for {seconds:.2} s, {times:.0} times as long as the model \
         that it asks"
    ));
    true
}

fn sentence(function: &str, shape: &[usize], needed: Duration, took: Option<Duration>, came: bool) -> Option<String> {
    let (times, seconds) = excess(needed, took)?;
    let end = if came { "" } else { " and more" };
    Some(format!(
        "{function} is right, but for images of the shape {shape:?} it computes for {seconds:.2} s{end}, {times:.0} \
         times as long as plain loops over their pixels"
    ))
}

/// How many times as long, and the seconds, if that is slow.
fn excess(needed: Duration, took: Option<Duration>) -> Option<(f64, f64)> {
    let took = took?;
    let times = took.as_secs_f64() / needed.as_secs_f64().max(1e-9);
    (times >= SLOW && took >= NOTICED).then_some((times, took.as_secs_f64()))
}

/// How long a computation takes, or less: the least of some times on the clock, which other programs lengthen. (The
/// system's own account of what a thread computes comes in ticks, too coarse for this.)
pub(crate) fn at_most(mut compute: impl FnMut()) -> Duration {
    let time = |_| {
        let clock = Instant::now();
        compute();
        clock.elapsed()
    };
    (0..5).map(time).min().unwrap_or_default()
}

/// A sum of all arrays with coefficients, number by number.
fn plain_loops(arrays: &[Array4<f32>]) -> Array4<f32> {
    let mut sum = arrays.first().cloned().unwrap_or_default();
    for (index, value) in sum.indexed_iter_mut() {
        let terms = arrays.iter().map(|array| 0.5 * f64::from(array[index]));
        *value = terms.sum::<f64>() as f32;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_hundred_times_as_long_is_slow() {
        let said = |needed: u64, took: u64| {
            let [needed, took] = [needed, took].map(Duration::from_micros);
            sentence("f", &[1, 3, 64, 64], needed, Some(took), true)
        };
        assert_eq!(said(300, 29_000), None);
        assert_eq!(said(10, 19_000), None);
        let text = said(300, 45_000).expect("it is slow");
        assert!(text.contains("f is right, but") && text.contains("150 times"), "{text}");
        assert_eq!(sentence("f", &[1, 3, 64, 64], PATIENCE, None, false), None);
    }

    #[test]
    fn loops_over_pixels_are_not_slow() {
        let x = Array4::from_elem((1, 3, 64, 64), 0.5f32);
        let arrays = [x.clone(), x.clone()];
        let needed = at_most(|| drop(black_box(plain_loops(&arrays))));
        let pixel_by_pixel = || Array4::from_shape_fn(x.dim(), |(b, c, h, w)| 2.0 * x[[b, c, h, w]] - x[[b, c, w, h]]);
        let took = at_most(|| drop(black_box(pixel_by_pixel())));
        assert_eq!(excess(needed, Some(took)), None, "{needed:?} {took:?}");
    }
}
