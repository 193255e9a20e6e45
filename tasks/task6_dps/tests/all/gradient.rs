//! Exercise 6.2: the gradient through the network, to rounding.

use checks::{Case, FORMULA, Fault, Guard, Monomial, Sum};
use diffusion::{Pullback, ScoreError};
use ndarray::Array4;
use task6_dps::measurement_gradient;
use testing::formula::{Feed, feeds};
use testing::probe::{Log, Probe, ProbeOperator};
use testing::quantities::{of_step, with_remarks};

/// What the gradient is made of, at some `x_t`.
struct Chain {
    operator: ProbeOperator,
    probe: Probe,
    x_t: Array4<f32>,
    x0_hat: Array4<f32>,
    residual: Array4<f32>,
    t: usize,
}

impl Chain {
    fn of(feed: &Feed<3>) -> Self {
        let [x_t, x0_hat, residual] = feed.arrays.clone();
        let (_, c, h, w) = x_t.dim();
        Self {
            operator: ProbeOperator::square([c, h, w], &Log::default()),
            probe: Probe::new([c, h, w]),
            x_t,
            x0_hat,
            residual,
            t: feed.step.t,
        }
    }

    fn pull_back(&self, v: &Array4<f32>) -> Array4<f32> {
        self.probe.pull_back(&self.x_t, self.t, v)
    }
}

pub fn gradient() -> Result<(), Fault> {
    let function = "measurement_gradient";
    let mut guard = Guard::new(function, FORMULA);
    let mut sum = with_remarks(
        Sum::new(
            function,
            "v = -2 A^T r, gradient = (v + (1 - alpha_bar_t) J_s^T v) / sqrt(alpha_bar_t), with A^T r = \
            operator.vjp(x0_hat, r)",
        )
        .bracket(Monomial::of(&[("2", 1.0), ("alpha_bar_t", -0.5)]).negated())
        .bracketed("A^T r", Monomial::one())
        .bracketed(
            "J_s^T A^T r, the part through the network,",
            Monomial::of(&[("1 - alpha_bar_t", 1.0)]),
        ),
    );
    for feed in feeds::<3>() {
        let call = feed.clone();
        let got = guard.call(&feed.name, move || {
            let chain = Chain::of(&call);
            let pullback: Pullback<'_> = Box::new(|v| Ok(chain.pull_back(v)));
            measurement_gradient(&chain.operator, &chain.x0_hat, &chain.residual, pullback, &call.step)
                .map_err(|error| format!("{error:#}"))
        })?;
        let got = got.map_err(|error| {
            Fault::new(format!(
                "{function} returned an error, though nothing had failed: {error}"
            ))
        })?;
        sum.add(gradient_case(&feed, got));
    }
    sum.verdict()?;
    gradient_errors(&mut guard)
}

fn gradient_case(feed: &Feed<3>, got: Array4<f32>) -> Case {
    let chain = Chain::of(feed);
    let (operator, x0_hat, r) = (&chain.operator, &chain.x0_hat, &chain.residual);
    let back = operator.back(x0_hat, r);
    let (forward, at_r) = (operator.of(r), operator.back(r, r));
    let at_grey = operator.back(&Array4::zeros(r.dim()), r);
    let at_x_t = operator.back(&chain.x_t, r);
    let terms = vec![back.clone(), chain.pull_back(&back)];
    let of_forward = chain.pull_back(&forward);
    Case::new(feed.name.clone(), of_step(&feed.step), terms, got)
        .other(
            0,
            forward,
            "A r stands where A^T r belongs: operator.vjp, not operator.apply",
        )
        .other(1, of_forward, "A r goes through the network where A^T r belongs")
        .other(1, chain.pull_back(r), "the pullback is given r in place of A^T r")
        .other(
            1,
            chain.pull_back(x0_hat),
            "the pullback is given x0_hat in place of A^T r",
        )
        .other(0, r.clone(), "r stands where A^T r belongs")
        .other(0, x0_hat.clone(), "x0_hat stands where A^T r belongs")
        .other(
            0,
            at_r.clone(),
            "operator.vjp is given r twice; its first argument is x0_hat",
        )
        .other(
            1,
            chain.pull_back(&at_r),
            "what goes through the network is A^T r at r, not at x0_hat",
        )
        .other(
            0,
            operator.back(r, x0_hat),
            "the arguments of operator.vjp have changed places: x0_hat is the first",
        )
        .other(1, back, "A^T r does not go through the network")
        .others(
            vec![(0, at_grey.clone()), (1, chain.pull_back(&at_grey))],
            "operator.vjp is given an image of zeros in place of x0_hat, which is right for linear operators only",
        )
        .others(
            vec![(0, at_x_t.clone()), (1, chain.pull_back(&at_x_t))],
            "operator.vjp is given x_t in place of x0_hat, which is right for linear operators only",
        )
}

/// Errors of the operator and of the pullback come back.
fn gradient_errors(guard: &mut Guard) -> Result<(), Fault> {
    let should =
        |whose: &str| format!("the error of the {whose} should end measurement_gradient and come back: `?` does that");
    let feed = feeds::<3>().swap_remove(0);
    for (whose, breaks_operator) in [("pullback", false), ("operator (r has the wrong shape)", true)] {
        let call = feed.clone();
        let outcome = guard.call(&feed.name, move || {
            let mut chain = Chain::of(&call);
            if breaks_operator {
                chain.residual = Array4::zeros((3, 1, 1, 3));
            }
            let fails: Pullback<'_> = Box::new(|_| Err(ScoreError::Backend("the network broke".into())));
            let works: Pullback<'_> = Box::new(|v| Ok(chain.pull_back(v)));
            let pullback = if breaks_operator { works } else { fails };
            measurement_gradient(&chain.operator, &chain.x0_hat, &chain.residual, pullback, &call.step).is_err()
        });
        let is_error = outcome.map_err(|fault| Fault::new(format!("{}; but {}", should(whose), fault.hint())))?;
        if !is_error {
            return Err(Fault::new(format!("{}; but it returned Ok", should(whose))));
        }
    }
    Ok(())
}
