//! The mistake behind wrong answers, in the words of the public tests: the coefficients of the known terms are
//! recovered from what came, and named where one formula explains all of it.

use anyhow::{Context, Result};
use checks::{Case, Fault, Monomial, Sum};
use exchange::{Message, step};
use ndarray::Array4;
use testing::formula::{direct_step, noising, posterior_step, step_through_x0, tweedie, x0_hat};
use testing::quantities::{of_alpha_bar, of_step, with_remarks};

use super::asked::Answered;

/// What is wrong with the answers, if the exercise's result is a sum of known terms.
pub fn fault(asked: &[Message], answers: &[Answered]) -> Option<Fault> {
    let exercise = asked.first()?.text("exercise").ok()?;
    let mut sum = with_remarks(sum_of(exercise)?);
    for (request, answer) in asked.iter().zip(answers) {
        sum.add(case(exercise, request, &answer.message).ok()?);
    }
    sum.verdict().err()
}

fn sum_of(exercise: &str) -> Option<Sum> {
    let sum = match exercise {
        "2.1" => noising("forward_diffusion", "x0"),
        "4.1" => noising("noise_guide", "guide"),
        "2.2" => tweedie("tweedie"),
        "3.2a" | "4.2a" | "5.4a" | "6.1" => tweedie("predict_x0"),
        "3.1" => direct_step("ddpm_step_direct"),
        "4.2b" => direct_step("reverse_step"),
        "3.2b" => step_through_x0("ddpm_step_through_x0"),
        "5.3" => posterior_step("posterior_step"),
        "6.4" => {
            let zeta_t = Monomial::of(&[("zeta_t", 1.0)]);
            step_through_x0("dps_step").term("the gradient", zeta_t.negated())
        }
        _ => return None,
    };
    Some(sum)
}

fn case(exercise: &str, request: &Message, answer: &Message) -> Result<Case> {
    let batches =
        |names: &[&str]| -> Result<Vec<Array4<f32>>> { names.iter().map(|name| request.batch(name)).collect() };
    let got = answer.batch("result")?;
    let quantities = match exercise {
        "2.1" | "2.2" | "4.1" => of_alpha_bar(request.number("alpha_bar")?),
        _ => of_step(&step(request)?),
    };
    let terms = match exercise {
        "2.1" => batches(&["x0", "eps"])?,
        "4.1" => batches(&["guide", "eps"])?,
        "2.2" | "3.2a" | "4.2a" | "5.4a" | "6.1" => batches(&["x_t", "score"])?,
        "3.1" | "4.2b" => batches(&["x_t", "score", "z"])?,
        "5.3" => batches(&["x_t", "score", "likelihood_score", "z"])?,
        "6.4" => batches(&["x_t", "x0_hat", "z", "gradient"])?,
        _ => {
            let (x_t, score) = (request.batch("x_t")?, request.batch("score")?);
            let hat = x0_hat(&x_t, &score, step(request)?.alpha_bar);
            vec![x_t, hat, request.batch("z")?]
        }
    };
    anyhow::ensure!(terms.iter().all(|term| term.dim() == got.dim()), "another shape");
    let case = Case::new(super::formula::describe(request), quantities, terms, got);
    if exercise != "6.4" {
        return Ok(case);
    }
    let zeta_t: Vec<f64> = request.array("zeta_t")?.iter().map(|zeta| f64::from(*zeta)).collect();
    let first = *zeta_t.first().context("a zeta_t for each image")?;
    let of_first = vec![first; zeta_t.len()];
    Ok(case
        .of_each_image("zeta_t", &zeta_t)
        .rare_of_each_image("zeta_t of the first image", &of_first))
}

#[cfg(test)]
mod tests {
    use testing::arrays::noise;

    use super::*;

    /// A request of exercise 3.1 as the check makes it.
    fn request(index: u64, (t, t_prev): (usize, usize), variance: &str) -> Message {
        let noise = |stream: u64| noise((2, 2, 4, 4), 10 * index + stream);
        Message::request("3.1")
            .with_batch("x_t", &noise(1))
            .with_batch("score", &noise(2))
            .with_batch("z", &noise(3))
            .with("t", t)
            .with("t_prev", t_prev)
            .with("variance", variance)
    }

    /// The step with a division by `alpha_t`.
    fn wrong(request: &Message) -> Result<Answered> {
        let (x_t, score, step) = (request.batch("x_t")?, request.batch("score")?, step(request)?);
        let mean = (x_t + score * (1.0 - step.alpha) as f32) / step.alpha as f32;
        let next = mean + request.batch("z")? * step.sigma as f32;
        Ok(Answered {
            message: Message::default().with_batch("result", &next),
            ..Answered::default()
        })
    }

    #[test]
    fn the_engine_of_the_public_tests_names_what_the_grader_finds() -> Result<()> {
        let times = [(100, 99), (700, 699), (400, 250), (800, 700), (20, 0)];
        let asked: Vec<Message> = ["beta", "posterior"]
            .into_iter()
            .flat_map(|rule| (0..).zip(times).map(move |(index, times)| request(index, times, rule)))
            .collect();
        let answers = asked.iter().map(wrong).collect::<Result<Vec<_>>>()?;
        let fault = fault(&asked, &answers).context("the answers are wrong")?;
        let sentence = "the bracket is divided by alpha_t; it should be divided by sqrt(alpha_t)";
        assert!(fault.hint().contains(sentence), "{fault}");
        Ok(())
    }
}
