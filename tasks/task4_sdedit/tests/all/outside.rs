//! Exercise 4.4: what must not change, as a formula.

use checks::{Case, Exercise, FORMULA, Fault, Guard, Monomial, Quantity, Sum, remark_if_slow};
use diffusion::Schedule;
use ndarray::{Array2, Array4};
use task4_sdedit::keep_outside;
use testing::arrays::noise;
use testing::formula::check_purity;
use testing::forward::of_alpha_bar;
use testing::sdedit::masked::{check_untouched, inside, outside};
use testing::setting::mask;

use crate::formulas::NOISE_GUIDE;
use crate::sampler::LOOP;

pub static KEEP_OUTSIDE: Exercise = Exercise::new("4.4 keep_outside", examine_keep_outside)
    .needs(&[&NOISE_GUIDE])
    .after(&LOOP);

/// `alpha_bar` at these times, images `[B, C, H, W]`, and the number of the mask.
const FEEDS: [(usize, [usize; 4], usize); 8] = [
    (300, [3, 2, 6, 6], 0),
    (60, [2, 3, 6, 5], 1),
    (700, [2, 2, 7, 6], 2),
    (500, [3, 1, 8, 8], 5),
    (150, [1, 3, 5, 6], 6),
    (400, [2, 2, 5, 5], 3),
    (600, [2, 2, 5, 6], 4),
    (0, [2, 2, 6, 7], 1),
];

fn examine_keep_outside() -> Result<(), Fault> {
    let mut guard = Guard::new("keep_outside", FORMULA);
    let mut sum = Sum::new(
        "keep_outside",
        "mask x_t + (1 - mask) (sqrt(alpha_bar) image + sqrt(1 - alpha_bar) eps)",
    )
    .term("x_t inside of the mask", Monomial::one())
    .term("the image outside of the mask", Monomial::of(&[("alpha_bar", 0.5)]))
    .term("eps outside of the mask", Monomial::of(&[("1 - alpha_bar", 0.5)]))
    .term("x_t outside of the mask", Monomial::zero())
    .term("the image inside of the mask", Monomial::zero())
    .term("eps inside of the mask", Monomial::zero());
    for (index, &(t, [b, c, h, w], number)) in FEEDS.iter().enumerate() {
        let alpha_bar = Schedule::linear().alpha_bar(t);
        let [x_t, image, eps] = [1, 2, 3].map(|k| noise((b, c, h, w), 10 * index as u64 + k));
        let mask = mask(h, w, number);
        let fed = format!("alpha_bar = {alpha_bar:.4}, images [{b}, {c}, {h}, {w}], mask number {number}");
        let mut once = || {
            let arrays = (x_t.clone(), image.clone(), mask.clone(), eps.clone());
            guard.call(&fed, move || {
                keep_outside(&arrays.0, &arrays.1, &arrays.2, &arrays.3, alpha_bar)
            })
        };
        let got = once()?;
        if index == 0 {
            check_purity("keep_outside", &got, &once()?)?;
        }
        if t == 0 && got.dim() == image.dim() {
            check_untouched("keep_outside with alpha_bar = 1", &got, &image, &mask)?;
        }
        sum.add(case_of_mask(fed, [&x_t, &image, &eps], &mask, alpha_bar, got));
    }
    sum.verdict()?;
    let ([x_t, image, eps], mask) = ([1, 2, 3].map(|seed| noise((1, 3, 64, 64), seed)), mask(64, 64, 0));
    remark_if_slow("keep_outside", &[x_t.clone(), image.clone(), eps.clone()], move || {
        keep_outside(&x_t, &image, &mask, &eps, 0.5)
    });
    Ok(())
}

fn case_of_mask(
    fed: String,
    [x_t, image, eps]: [&Array4<f32>; 3],
    mask: &Array2<f32>,
    alpha_bar: f64,
    got: Array4<f32>,
) -> Case {
    let with = |mask: &Array2<f32>| -> Vec<Array4<f32>> {
        vec![
            inside(x_t, mask),
            outside(image, mask),
            outside(eps, mask),
            outside(x_t, mask),
            inside(image, mask),
            inside(eps, mask),
        ]
    };
    let all = |arrays: Vec<Array4<f32>>| arrays.into_iter().enumerate().collect();
    let mut quantities = of_alpha_bar("alpha_bar", alpha_bar);
    quantities.push(Quantity::constant("0", 0.0));
    let turned = if mask.is_square() {
        mask.t().to_owned()
    } else {
        mask.clone()
    };
    let noised = x_t * alpha_bar.sqrt() as f32 + eps * (1.0 - alpha_bar).sqrt() as f32;
    let case = Case::new(fed, quantities, with(mask), got)
        .others(
            all(with(&(1.0 - mask))),
            "the mask is inverted: 1 is where x_t stays, 0 where the image comes back",
        )
        .others(all(with(&turned)), "rows and columns of the mask are exchanged")
        .others(
            vec![(1, image.clone()), (2, eps.clone())],
            "the noised image is there inside of the mask, too; it is to be multiplied by 1 - mask",
        )
        .other(
            0,
            x_t.clone(),
            "x_t is there outside of the mask, too; it is to be multiplied by the mask",
        )
        .other(
            0,
            inside(&noised, mask),
            "all of it is noised, x_t too, which has its noise already: noise the image alone",
        );
    let case = if mask.is_square() {
        case.tag("with square images")
    } else {
        case.tag("where height and width differ")
    };
    if alpha_bar < 1.0 {
        case
    } else {
        case.tag("where alpha_bar is 1")
    }
}

#[test]
fn exercise_4_4_keep_outside() {
    KEEP_OUTSIDE.tell();
}
