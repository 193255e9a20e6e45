//! Mistakes in a made-up step, and what is said of them.

use super::*;

/// Numbers without structure.
fn noise(shape: (usize, usize, usize, usize), seed: u32) -> Array4<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    Array4::from_shape_fn(shape, |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 8_388_608.0 - 1.0) * 1.7
    })
}

/// `a`, `bar` and `prev` of a few steps.
const STEPS: [[f64; 3]; 4] = [
    [0.9, 0.5, 0.55],
    [0.4, 0.1, 0.25],
    [0.7, 0.3, 0.42],
    [0.55, 0.02, 0.036],
];

type Student = fn(&Array4<f32>, &Array4<f32>, &Array4<f32>, [f64; 3]) -> Array4<f32>;

/// What is said of a function that should be `(x + (1 - a) s) / sqrt(a) + sqrt(1 - prev) z`.
fn verdict(student: Student) -> String {
    let mut sum = Sum::new("step", "(x + (1 - a) s) / sqrt(a) + sqrt(1 - prev) z")
        .bracket(Monomial::of(&[("a", -0.5)]))
        .bracketed("x", Monomial::one())
        .bracketed("the score", Monomial::of(&[("1 - a", 1.0)]))
        .term("z", Monomial::of(&[("1 - prev", 0.5)]));
    for (seed, step) in STEPS.into_iter().enumerate() {
        let shape = [(3, 2, 4, 5), (1, 1, 5, 4), (2, 3, 4, 4), (3, 2, 6, 4)][seed];
        let [x, s, z] = [1, 2, 3].map(|k| noise(shape, 10 * seed as u32 + k));
        let [a, bar, prev] = step;
        let quantities = [("a", a), ("bar", bar), ("prev", prev)]
            .into_iter()
            .flat_map(|(name, v)| {
                [
                    Quantity::plain(name, v),
                    Quantity::plain(format!("1 - {name}"), 1.0 - v),
                ]
            })
            .chain([Quantity::constant("2", 2.0)])
            .collect();
        let got = student(&x, &s, &z, step);
        sum.add(Case::new(format!("step {seed}"), quantities, vec![x, s, z], got));
    }
    sum.verdict()
        .err()
        .map_or_else(String::new, |fault| fault.hint().to_owned())
}

fn mix(x: &Array4<f32>, p: f64, s: &Array4<f32>, q: f64, z: &Array4<f32>, r: f64) -> Array4<f32> {
    x * p as f32 + s * q as f32 + z * r as f32
}

#[track_caller]
fn says(student: Student, sentence: &str) {
    let verdict = verdict(student);
    assert!(verdict.contains(sentence), "expected `{sentence}` in\n{verdict}");
}

#[test]
fn right_is_right() {
    assert_eq!(
        verdict(|x, s, z, [a, _, prev]| {
            let right =
                |x: f32, s: f32, z: f32| (x - (a as f32 - 1.0) * s) / a.sqrt() as f32 + z * (1.0 - prev).sqrt() as f32;
            let mut out = x.clone();
            ndarray::Zip::from(&mut out)
                .and(s)
                .and(z)
                .for_each(|x, s, z| *x = right(*x, *s, *z));
            out.reversed_axes().as_standard_layout().to_owned().reversed_axes()
        }),
        ""
    );
}

#[test]
fn one_coefficient_is_named() {
    says(
        |x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, (1.0 - a).sqrt() / a.sqrt(), z, (1.0 - p).sqrt()),
        "the score is multiplied by sqrt(1 - a) in the bracket; it should be multiplied by 1 - a",
    );
    says(
        |x, s, z, [a, b, p]| mix(x, 1.0 / a.sqrt(), s, (1.0 - b) / a.sqrt(), z, (1.0 - p).sqrt()),
        "the score is multiplied by 1 - bar in the bracket; it should be multiplied by 1 - a",
    );
    says(
        |x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, -(1.0 - a) / a.sqrt(), z, (1.0 - p).sqrt()),
        "the score has the wrong sign: it is subtracted",
    );
    says(
        |x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, 1.0 - a, z, (1.0 - p).sqrt()),
        "the score is multiplied by 1 - a; it should be multiplied by (1 - a) / sqrt(a)",
    );
    says(
        |x, s, z, [a, _, _]| mix(x, 1.0 / a.sqrt(), s, (1.0 - a) / a.sqrt(), z, 0.0),
        "the term with z is missing",
    );
    says(
        |x, s, z, [a, b, p]| {
            mix(
                x,
                1.0 / a.sqrt(),
                s,
                (1.0 - a) / a.sqrt(),
                z,
                ((1.0 - a) * (1.0 - p) / (1.0 - b)).sqrt(),
            )
        },
        "z is multiplied by sqrt(1 - prev) sqrt(1 - a) / sqrt(1 - bar); it should be multiplied by sqrt(1 - prev)",
    );
}

#[test]
fn factors_that_changed_places_are_told() {
    says(
        |x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, (1.0 - p).sqrt(), z, (1.0 - a) / a.sqrt()),
        "the factors of the score and z have changed places",
    );
}

#[test]
fn the_bracket_is_one_mistake() {
    says(
        |x, s, z, [a, _, p]| mix(x, 1.0 / a, s, (1.0 - a) / a, z, (1.0 - p).sqrt()),
        "the bracket is divided by a; it should be divided by sqrt(a)",
    );
    says(
        |x, s, z, [a, _, p]| mix(x, 1.0, s, 1.0 - a, z, (1.0 - p).sqrt()),
        "the bracket is not divided by sqrt(a)",
    );
    says(
        |x, s, z, [_, b, p]| mix(x, 1.0 / b.sqrt(), s, (1.0 - b) / b.sqrt(), z, (1.0 - p).sqrt()),
        "bar stands everywhere where a belongs",
    );
}

#[test]
fn two_mistakes_are_found_one_after_the_other() {
    let both = verdict(|x, s, z, [a, b, p]| mix(x, 1.0 / a, s, -(1.0 - b) / a, z, 2.0 * (1.0 - p).sqrt()));
    for part in [
        "the bracket is divided by a;",
        "the score is multiplied by -(1 - bar) in the bracket",
        "z is multiplied by 2 sqrt(1 - prev)",
    ] {
        assert!(both.contains(part), "{part}: {both}");
    }
}

#[test]
fn other_arrays_are_recognised() {
    says(
        |x, s, z, [a, _, p]| {
            let z = z.slice(ndarray::s![..1, .., .., ..]);
            (x + s * (1.0 - a) as f32) / a.sqrt() as f32 + &z * (1.0 - p).sqrt() as f32
        },
        "all images take z of the first image of the batch",
    );
    says(
        |x, s, z, [a, _, p]| {
            mix(
                &x.mapv(|v| v.clamp(-1.0, 1.0)),
                1.0 / a.sqrt(),
                s,
                (1.0 - a).sqrt() / a.sqrt(),
                z,
                (1.0 - p).sqrt(),
            )
        },
        "x is clamped to [-1, 1]; and the score is multiplied by sqrt(1 - a)",
    );
    says(
        |x, s, z, [a, _, p]| {
            mix(x, 1.0 / a.sqrt(), s, (1.0 - a) / a.sqrt(), z, (1.0 - p).sqrt()).mapv(|v| v.clamp(-1.0, 1.0))
        },
        "clamped to [-1, 1]",
    );
    says(|x, _, _, _| x.clone(), "x came back unchanged");
    says(
        |x, s, z, [a, _, p]| {
            mix(x, 1.0 / a.sqrt(), s, (1.0 - a) / a.sqrt(), z, (1.0 - p).sqrt())
                .slice_move(ndarray::s![..;-1, .., .., ..])
        },
        "images of the batch come back in the reverse order",
    );
}

#[test]
fn a_constant_is_recognised() {
    says(
        |x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, (1.0 - a) / a.sqrt(), z, (1.0 - p).sqrt()) + 0.1,
        "a constant, 0.1000, is added",
    );
}

#[test]
fn a_part_of_the_batch_is_told() {
    says(
        |x, s, z, [a, _, p]| {
            let mut s = s.clone();
            s.slice_mut(ndarray::s![..1, .., .., ..]).fill(0.0);
            mix(x, 1.0 / a.sqrt(), &s, (1.0 - a) / a.sqrt(), z, (1.0 - p).sqrt())
        },
        "only in the first image of each batch: step: the term with the score is missing",
    );
    says(
        |x, s, z, [a, _, p]| {
            let mut z = z.clone();
            z.slice_mut(ndarray::s![.., 1.., .., ..]).mapv_inplace(|v| 2.0 * v);
            mix(x, 1.0 / a.sqrt(), s, (1.0 - a) / a.sqrt(), &z, (1.0 - p).sqrt())
        },
        "in all channels but the first: step: z is multiplied by 2 sqrt(1 - prev)",
    );
}

#[test]
fn another_scale_is_recognised() {
    fn by_largest(image: &Array4<f32>) -> Array4<f32> {
        let mut out = image.clone();
        for mut image in out.outer_iter_mut() {
            let largest = image.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
            image.mapv_inplace(|v| v / largest);
        }
        out
    }
    says(
        |x, s, z, [a, _, p]| by_largest(&mix(x, 1.0 / a.sqrt(), s, (1.0 - a) / a.sqrt(), z, (1.0 - p).sqrt())),
        "each image is divided by its largest absolute value",
    );
    says(
        |x, s, z, [a, _, p]| {
            let z = (z - z.mean().unwrap_or(0.0)) / z.std(0.0);
            mix(x, 1.0 / a.sqrt(), s, (1.0 - a) / a.sqrt(), &z, (1.0 - p).sqrt())
        },
        "z is given mean 0 and variance 1, over the whole batch",
    );
}

/// What is the same whichever way it is turned says nothing of turning.
#[test]
fn rounding_is_no_other_order() {
    let mut sum = Sum::number("f", "1 - a", "f", Monomial::of(&[("1 - a", 1.0)]));
    for a in [0.9, 0.99, 0.999, 0.9999] {
        let quantities = vec![Quantity::plain("a", a), Quantity::plain("1 - a", 1.0 - a)];
        let got = Array4::from_elem((1, 1, 1, 1), 1.0 - a as f32);
        sum.add(Case::new("a call", quantities, vec![Array4::ones((1, 1, 1, 1))], got));
    }
    let fault = sum.verdict().expect_err("the digits are lost");
    assert!(fault.hint().contains("rounded to f32"), "{fault}");
}

/// Numbers have no scale, and no mean that could be taken off.
#[test]
fn a_number_that_is_limited_gets_no_name() {
    let mut sum = Sum::number("f", "a / n", "f", Monomial::of(&[("a", 1.0), ("n", -1.0)]));
    for (a, norms) in [(0.6, [0.5, 2.1, 8.3]), (1.7, [0.9, 1.6, 2.4]), (0.25, [3.2, 0.31, 0.7])] {
        let got = Array4::from_shape_fn((3, 1, 1, 1), |(image, ..)| a / f32::max(norms[image], 1.0));
        let (known, ones) = (
            vec![Quantity::plain("a", f64::from(a))],
            vec![Array4::ones((3, 1, 1, 1))],
        );
        sum.add(Case::new("a call", known, ones, got).of_each_image("n", &norms.map(f64::from)));
    }
    let fault = sum.verdict().expect_err("the small ones are wrong");
    assert!(fault.hint().contains("f is not a / n"), "{fault}");
}

#[test]
fn what_cannot_be_named_is_told_in_facts() {
    let said = verdict(|x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, (1.0 - a).sin(), z, (1.0 - p).sqrt()));
    assert!(said.contains("no product of the known quantities"), "{said}");
    let said = verdict(|x, s, z, [a, _, p]| mix(x, 1.0 / a.sqrt(), s, 1.0, z, (1.0 - p).sqrt()).mapv(f32::sin));
    assert!(said.contains("no sum of its terms"), "{said}");
    says(|x, _, _, _| x / 0.0, "values are infinite");
    says(|x, _, _, _| x.clone().reversed_axes(), "with the axes in another order");
}

/// Calls that are right have no mistake in common, whatever may be wrong with the others: turning an image that is no
/// square changes nothing, and would "explain" them.
#[test]
fn what_is_right_in_some_calls_is_not_explained() {
    let mut sum = Sum::new("step", "2 x").term("x", Monomial::of(&[("2", 1.0)]));
    for seed in 0..12 {
        let x = noise((2, 1, 6, 5), seed);
        let (tag, got) = if seed % 2 == 0 {
            ("at the last step", &x * 2.0)
        } else {
            ("before the last step", noise((2, 1, 6, 5), 100 + seed))
        };
        let case = Case::new(format!("step {seed}"), vec![Quantity::constant("2", 2.0)], vec![x], got);
        sum.add(case.tag(tag));
    }
    assert!(sum.named_fault().is_none(), "{:?}", sum.named_fault());
}
