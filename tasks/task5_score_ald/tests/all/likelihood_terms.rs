//! What a likelihood score may be made of, rightly or wrongly.

use checks::{Case, Quantity};
use imaging::{ForwardOperator, norms};
use ndarray::Array4;

/// Whether a measurement has the shape of an image, so that `A` in place of `A^T` does not show in the shapes.
#[derive(Clone, Copy, PartialEq)]
pub enum Measurement {
    LikeAnImage,
    OfAnotherShape,
}

pub fn with_others(
    fed: String,
    operator: &dyn ForwardOperator,
    measurement: Measurement,
    [x, b]: [&Array4<f32>; 2],
    (sigma, gamma_t): (f64, f64),
    got: Array4<f32>,
) -> Case {
    let of = |x: &Array4<f32>| operator.apply(x).expect("images that fit");
    let back = |at: &Array4<f32>, r: &Array4<f32>| operator.vjp(at, r).expect("arrays that fit");
    let r = b - &of(x);
    let clamped = x.mapv(|v| v.clamp(-1.0, 1.0));
    let nowhere = Array4::zeros(x.dim());
    let values: Vec<f64> = norms(&r).iter().map(|norm| f64::from(*norm)).collect();
    let squares: Vec<f64> = values.iter().map(|norm| norm.powi(2)).collect();
    let whole = squares.iter().sum::<f64>().sqrt();
    let images = values.len();
    let difference = sigma.powi(2) - gamma_t.powi(2);
    let of_difference = back(x, &r) * ((sigma.powi(2) + gamma_t.powi(2)) / difference) as f32;
    let mut case = Case::new(fed, of_variance(sigma, gamma_t), vec![back(x, &r)], got)
        .of_each_image("||b - A x_t||", &values)
        .rare_of_each_image("||b - A x_t|| of the whole batch", &vec![whole; images])
        .other(
            0,
            back(x, b),
            "A x_t is not subtracted from b: it is A^T b that is divided",
        )
        .other(
            0,
            back(x, &(b + &of(x))),
            "A x_t is added to b; the residual is b - A x_t",
        )
        .other(
            0,
            back(x, &of(x)),
            "A^T A x_t stands where A^T (b - A x_t) belongs: b plays no part",
        )
        .other(
            0,
            back(x, b) - x,
            "it is A^T b - x_t that is divided: first A x_t, then b - A x_t, then A^T",
        )
        .other(0, of_difference, "gamma_t^2 is subtracted from sigma^2; variances add")
        .other(
            0,
            back(&clamped, &(b - &of(&clamped))),
            "x_t is clamped to [-1, 1]; Score-ALD takes it as it is",
        )
        .other(
            0,
            back(x, &r.mapv(|v| v.clamp(-1.0, 1.0))),
            "the residual is clamped to [-1, 1]",
        )
        .other(
            0,
            back(x, &r.mapv(f32::abs)),
            "the absolute value of the residual is taken",
        )
        .other(
            0,
            back(x, &r.mapv(f32::signum)),
            "only the signs of the residual are taken",
        );
    case = tagged(case, x, [sigma, gamma_t]);
    case = match operator.as_linear() {
        Some(linear) => case.other(
            0,
            linear.pseudo_inverse(&r).expect("a residual that fits"),
            "the pseudo-inverse of A is used where A^T belongs: operator.vjp(x_t, r)",
        ),
        None => case.other(
            0,
            back(&nowhere, &r),
            "the Jacobian is taken at 0; of a nonlinear operator it depends on the image: operator.vjp(x_t, r)",
        ),
    };
    let guess = operator.start_image(&r).expect("a residual that fits");
    case = case.other(
        0,
        guess,
        "operator.start_image stands where A^T belongs: operator.vjp(x_t, r)",
    );
    if measurement == Measurement::OfAnotherShape {
        let measured = (b.len() / images) as f64;
        return case.rare_of_each_image("the number of values measured of an image", &vec![measured; images]);
    }
    case = case
        .other(
            0,
            of(&r),
            "A is applied where A^T belongs: operator.vjp(x_t, r) is A^T r",
        )
        .other(0, r.clone(), "A^T is missing: it is b - A x_t that is divided");
    if operator.as_linear().is_none() {
        case = case
            .other(
                0,
                back(b, &r),
                "the Jacobian is taken at b; it belongs to the image: operator.vjp(x_t, r)",
            )
            .other(
                0,
                back(&r, &r),
                "operator.vjp is given r twice; its first argument is x_t",
            )
            .other(
                0,
                back(&r, x),
                "the arguments of operator.vjp have changed places: x_t is the first",
            );
    }
    case
}

/// The words for where a call differs from others.
fn tagged(case: Case, x_t: &Array4<f32>, [sigma, gamma_t]: [f64; 2]) -> Case {
    let (images, channels, height, width) = x_t.dim();
    let larger = if sigma < gamma_t {
        "where gamma_t is larger than sigma"
    } else {
        "where sigma is larger than gamma_t"
    };
    let alone = if images == 1 {
        "with one image alone"
    } else {
        "with more than one image"
    };
    let grey = if channels == 1 {
        "with a single channel"
    } else {
        "with more than one channel"
    };
    let square = if height == width {
        "with square images"
    } else {
        "where height and width differ"
    };
    case.tag(larger).tag(alone).tag(grey).tag(square)
}

pub const VARIANCE: &str = "sigma^2 + gamma_t^2";

/// What the likelihood score may be divided by: sums of something of `sigma` and something of `gamma_t`.
fn of_variance(sigma: f64, gamma_t: f64) -> Vec<Quantity> {
    let parts = |name: &str, value: f64| {
        let square = value.powi(2);
        [
            (format!("{name}^2"), square),
            (name.to_owned(), value),
            (format!("sqrt({name})"), value.sqrt()),
            (format!("{name}^4"), square.powi(2)),
            (format!("2 {name}^2"), 2.0 * square),
            (format!("{name}^2 / 2"), square / 2.0),
            (format!("(2 {name})^2"), 4.0 * square),
            (format!("({name} / 2)^2"), square / 4.0),
        ]
    };
    let mut quantities = vec![
        Quantity::plain("sigma", sigma),
        Quantity::plain("gamma_t", gamma_t),
        Quantity::plain(VARIANCE, sigma.powi(2) + gamma_t.powi(2)),
        Quantity::constant("2", 2.0),
        Quantity::rare("1 + gamma_t^2", 1.0 + gamma_t.powi(2)),
        Quantity::rare("1 + sigma^2", 1.0 + sigma.powi(2)),
    ];
    for (i, (of_sigma, s)) in parts("sigma", sigma).into_iter().enumerate() {
        for (j, (of_gamma, g)) in parts("gamma_t", gamma_t).into_iter().enumerate() {
            // Squares with a factor only beside a plain one: else the factor is one of the whole.
            let is_useful = (i, j) != (0, 0) && (i < 4 || j == 0) && (j < 4 || i == 0);
            if is_useful {
                quantities.push(Quantity::rare(format!("{of_sigma} + {of_gamma}"), s + g));
            }
        }
    }
    quantities
}
