//! Exercise 4.5: SDEdit as a solver of inverse problems: the start image, the passes, the residual.

use checks::Check;
use diffusion::{CountingModel, ScoreModel};
use imaging::{Convolution, ForwardOperator, Inpainting, residual_norms};
use ndarray::{Array4, array, s};
use rand::SeedableRng;
use rand::rngs::StdRng;
use task4_sdedit::{restore, sdedit, steps_from};
use testing::arrays::noise;
use testing::run::{BATCH, SHAPE, prior};
use testing::watch::Watch;

use crate::guide::guide;

/// A blur that is not its own transpose.
fn blur() -> Convolution {
    let kernel = array![[0.5, 0.2, 0.0], [0.1, 0.1, 0.0], [0.1, 0.0, 0.0]];
    Convolution::from_kernel(SHAPE, &kernel).unwrap()
}

fn measurement(operator: &dyn ForwardOperator) -> Array4<f32> {
    let b = operator.apply(&guide()).unwrap();
    let shape = b.dim();
    b + noise(shape, 77) * 0.05
}

#[test]
fn exercise_4_5_the_start_image_is_the_guide() {
    let (model, seed) = (prior(), 21);
    let steps = steps_from(model.schedule(), 200, 100).unwrap();
    let operators: [Box<dyn ForwardOperator>; 2] =
        [Box::new(blur()), Box::new(Inpainting::random(SHAPE, 0.6, 1).unwrap())];
    for operator in &operators {
        let operator = operator.as_ref();
        let b = measurement(operator);
        let from = |guide: &Array4<f32>| {
            sdedit(&model, guide, None, &steps, &mut StdRng::seed_from_u64(seed), &mut ()).unwrap()
        };
        let rng = &mut StdRng::seed_from_u64(seed);
        let result = restore(&model, operator, &b, &steps, 1, rng, &mut ()).unwrap();
        let start = operator.start_image(&b).unwrap();
        let expected = from(&start);
        let mut check = Check::new(format!("restore with one pass ({})", operator.name()), &expected)
            .formula("sdedit(model, operator.start_image(b), None, steps, rng, observer)")
            .suspect(&start, "it is the start image itself: sdedit was not called")
            .suspect(
                &from(&Array4::zeros(BATCH)),
                "the guide is an image of zeros: it should be operator.start_image(b)",
            );
        if operator.measurement_shape() == SHAPE {
            check = check
                .suspect(
                    &from(&operator.apply(&start).unwrap()),
                    "the guide is A of the start image: it should be operator.start_image(b)",
                )
                .suspect(
                    &from(&b),
                    "the guide is the measurement b itself: it should be operator.start_image(b), here A^T b",
                )
                .suspect(
                    &from(&operator.apply(&b).unwrap()),
                    "the guide is A b: it should be operator.start_image(b), here A^T b",
                )
                .suspect(
                    &from(&operator.linear().unwrap().pseudo_inverse(&b).unwrap()),
                    "the guide is the pseudo-inverse, whose noise is blown up: it should be operator.start_image(b)",
                );
        }
        check.verify(&result);
    }
}

#[test]
fn exercise_4_5_each_pass_starts_from_the_result_of_the_one_before() {
    let (model, seed) = (prior(), 22);
    let operator = blur();
    let b = measurement(&operator);
    let steps = steps_from(model.schedule(), 300, 50).unwrap();
    let start = operator.start_image(&b).unwrap();
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut results = vec![start.clone()];
    let mut from_start = start.clone();
    for _ in 0..3 {
        let next = sdedit(&model, results.last().unwrap(), None, &steps, rng, &mut ()).unwrap();
        results.push(next);
    }
    let again = &mut StdRng::seed_from_u64(seed);
    for _ in 0..3 {
        from_start = sdedit(&model, &start, None, &steps, again, &mut ()).unwrap();
    }
    let rng = &mut StdRng::seed_from_u64(seed);
    let result = restore(&model, &operator, &b, &steps, 3, rng, &mut ()).unwrap();
    Check::new("restore with three passes", &results[3])
        .formula("three times: guide = sdedit(model, guide, None, steps, rng, observer), all with the same rng")
        .suspect(
            &from_start,
            "every pass starts from the start image again; it should start from the result of the pass before",
        )
        .suspect(&results[1], "only one pass was made; `repeats` is 3")
        .suspect(&results[2], "two passes were made, one too few: `repeats` is 3")
        .suspect(&start, "no pass was made")
        .verify(&result);
    assert!(
        restore(&model, &operator, &b, &steps, 0, rng, &mut ()).unwrap() == start,
        "with no repeats the start image is the result"
    );
}

#[test]
fn exercise_4_5_the_observer_sees_the_residual_of_all_passes() {
    let model = CountingModel::new(prior());
    let operator = blur();
    let b = measurement(&operator);
    let steps = steps_from(model.schedule(), 300, 50).unwrap();
    let (repeats, per_pass) = (3, steps.len());
    let mut watch = Watch::default();
    let rng = &mut StdRng::seed_from_u64(23);
    restore(&model, &operator, &b, &steps, repeats, rng, &mut watch).unwrap();
    let counts: Vec<_> = watch.seen.iter().map(|seen| (seen.index, seen.num_steps)).collect();
    let wanted: Vec<_> = (0..repeats * per_pass).map(|i| (i, repeats * per_pass)).collect();
    assert!(
        counts == wanted,
        "the observer's `index` and `num_steps` should count the steps of all {repeats} passes through, (0, {n}), (1, \
         {n}), ...; they were {:?}, ...: hand sdedit a Measured with the right `pass` and `repeats`",
        &counts[..counts.len().min(per_pass + 2)],
        n = repeats * per_pass
    );
    assert_eq!(
        (model.forwards(), model.backwards()),
        (repeats * per_pass, 0),
        "{repeats} passes of {per_pass} steps take one score each and no pullback"
    );
    for seen in &watch.seen {
        let expected = residual_norms(&operator, &b, &seen.x0_hat).unwrap();
        let Some(residual) = &seen.residual else {
            panic!("the observer saw no residual: hand sdedit a Measured as observer")
        };
        assert_eq!(*residual, expected, "the residual is ||b - A x0_hat||, image by image");
    }
}

#[test]
fn exercise_4_5_measurements_of_the_wrong_shape_are_refused() {
    let model = prior();
    let operator = blur();
    let steps = steps_from(model.schedule(), 300, 50).unwrap();
    let b = measurement(&operator).slice(s![.., .., ..7, ..]).to_owned();
    let rng = &mut StdRng::seed_from_u64(24);
    let error = restore(&model, &operator, &b, &steps, 1, rng, &mut ())
        .err()
        .map(|e| e.to_string());
    assert!(
        error.as_ref().is_some_and(|e| e.contains("[6, 2, 7, 8]")),
        "the operator's error should come back with the shapes: {error:?}"
    );
}
