//! Images of a student's sampler against the hidden ones: PSNR, LPIPS and other figures, each in a band.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use diffusion::ScoreModel;
use exchange::{Message, operator, steps};
use imaging::{Noise, grid, measure, to_byte};
use ndarray::{Array3, Array4, ArrayView3, Axis, concatenate, s};

use super::asked::{Answered, Replay};
use super::models::PRIOR;
use super::path::{StepMean, Way};
use super::trace::wrong_way;
use super::{Bench, Verdict};
use crate::bands::thresholds::Worse;

/// So many hidden images are in one request, and so many requests with seeds of their own make up one case.
const IMAGES: usize = 2;
const RUNS: usize = 2;

/// How images are judged.
#[derive(Clone, Copy)]
pub struct ImageCheck {
    /// The figures of the answers to all requests.
    pub measure: fn(&Bench, &[Message], &[Message]) -> Result<Measured>,
    /// Why an answer does not lie on the way of the sampler that was asked for, by what it asked the network.
    pub stray: fn(&Bench, &Message, &Answered) -> Result<Option<String>>,
}

/// A picture for the instructor.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What it shows.
    pub title: String,
    /// The PNG file.
    pub png: Vec<u8>,
}

/// One figure of the images of one case.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What the images are, such as `inpainting`. The worst figure of a case decides.
    pub case: String,
    /// What was measured, such as `PSNR`.
    pub name: &'static str,
    /// The value.
    pub value: f64,
    /// On which side of its usual value it is worse.
    pub worse: Worse,
}

impl Figure {
    /// What bands and reports call it: `inpainting: PSNR`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}: {}", self.case, self.name)
    }
}

/// What was measured of images.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// All figures.
    pub figures: Vec<Figure>,
    /// Results beside the hidden images.
    pub pictures: Vec<Picture>,
}

impl Measured {
    /// Adds a figure of a case.
    pub fn add(&mut self, case: &str, name: &'static str, value: f64, worse: Worse) {
        let case = case.to_owned();
        self.figures.push(Figure {
            case,
            name,
            value,
            worse,
        });
    }
}

/// What is said where a submission's own words would be.
pub const WITHHELD: &str =
    "What it says is not shown where hidden images are; the other checks of the exercise show it.";

/// The hidden images of run number `run`.
pub fn truth(bench: &Bench, run: usize) -> Array4<f32> {
    let from = (run * IMAGES) % (bench.hidden.dim().0 - IMAGES + 1);
    bench.hidden.slice(s![from..from + IMAGES, .., .., ..]).to_owned()
}

/// The requests of a case: so many runs, each with images and a seed of its own.
pub fn runs(bench: &Bench, request: impl Fn(usize) -> Result<Message>) -> Result<Vec<Message>> {
    (0..RUNS)
        .map(|run| {
            let seed = bench.number(&["sampler on images", &run.to_string()]);
            Ok(request(run)?.with("model", PRIOR).with("seed", seed))
        })
        .collect()
}

/// A request to reconstruct hidden images from measurements, which are made here.
pub fn measured_request(bench: &Bench, exercise: &str, operator_name: &str, run: usize) -> Result<Message> {
    let number = |what: &str| bench.number(&[what, exercise, operator_name, &run.to_string()]);
    let request = Message::request(exercise)
        .with("operator", operator_name)
        .with("operator_seed", number("operator on images"));
    let operator = operator(&request, bench.prior.image_shape())?;
    let noise = Noise::Gaussian { sigma: Noise::SIGMA };
    let truth = truth(bench, run);
    let b = measure(operator.as_ref(), &truth, noise, number("measurement noise"), 0)?;
    Ok(request.with_batch("b", &b))
}

/// What is wrong with the way of a sampler that was run on the prior.
///
/// # Errors
///
/// If the network fails.
pub fn stray_from(
    bench: &Bench,
    request: &Message,
    answer: &Answered,
    start: (f64, &Array4<f32>),
    mean: &StepMean<'_>,
) -> Result<Option<String>> {
    let model = Replay {
        model: &*bench.prior,
        calls: &answer.calls,
    };
    let way = Way {
        model: &model,
        steps: &steps(request, bench.prior.schedule())?,
        passes: request.number("repeats").unwrap_or(1),
        start,
        mean,
    };
    wrong_way(&way, answer)
}

/// The results of a case: the answers of its runs, one batch.
///
/// # Errors
///
/// If a run has no result, or one of another shape; the message is for the student.
pub fn results(answers: &[Message], shape: [usize; 4]) -> Result<Array4<f32>> {
    let mut batches = Vec::new();
    for answer in answers {
        // Nothing that the submission can choose goes back: it has seen measurements of hidden images.
        match (answer.texts.get("panic"), answer.texts.get("error")) {
            (Some(_), _) => anyhow::bail!("The code panicked. {WITHHELD}"),
            (None, Some(_)) => anyhow::bail!("The function returned an error. {WITHHELD}"),
            (None, None) => {}
        }
        let result = answer.batch("result").ok().filter(|result| result.shape() == shape);
        batches.push(result.with_context(|| format!("the result has another shape than [B, C, H, W] = {shape:?}"))?);
    }
    let views: Vec<_> = batches.iter().map(|batch| batch.view()).collect();
    concatenate(Axis(0), &views).context("no results")
}

/// PSNR and LPIPS of a case against the hidden images, and a picture of both.
pub fn compared(bench: &Bench, case: &str, answers: &[Message], measured: &mut Measured) -> Result<()> {
    let truths: Vec<Array4<f32>> = (0..answers.len()).map(|run| truth(bench, run)).collect();
    let shape = truths[0].shape();
    let results = results(answers, [shape[0], shape[1], shape[2], shape[3]])?;
    let views: Vec<_> = truths.iter().map(|truth| truth.view()).collect();
    let truth = concatenate(Axis(0), &views)?;
    let (mut psnr, mut lpips) = (0.0, 0.0);
    for (result, truth) in results.outer_iter().zip(truth.outer_iter()) {
        let scores = bench.judge.scores(&result, &truth)?;
        // Equal images are infinitely good; a mean asks for a number.
        psnr += scores.psnr.min(100.0);
        lpips += scores.lpips;
    }
    let count = results.dim().0 as f64;
    measured.add(case, "PSNR", psnr / count, Worse::Below);
    measured.add(case, "LPIPS", lpips / count, Worse::Above);
    measured.pictures.push(side_by_side(
        &format!("{case}: hidden image, result"),
        &[&truth, &results],
    )?);
    Ok(())
}

/// How well the prior denoises the images from t = 100, PSNR in dB: what it knows the like of, it denoises well.
pub fn likeliness(bench: &Bench, images: &Array4<f32>) -> Result<f64> {
    const T: usize = 100;
    let images = images.mapv(|value| value.clamp(-1.0, 1.0));
    let alpha_bar = bench.prior.schedule().alpha_bar(T);
    let eps = bench.noise_of(images.dim(), 77);
    let x_t = &images * alpha_bar.sqrt() as f32 + eps * (1.0 - alpha_bar).sqrt() as f32;
    let score = bench.prior.score(&x_t, T)?;
    // Tweedie's formula.
    let denoised = x_t * (1.0 / alpha_bar.sqrt()) as f32 + score * ((1.0 - alpha_bar) / alpha_bar.sqrt()) as f32;
    let mut sum = 0.0;
    for (one, image) in denoised.outer_iter().zip(images.outer_iter()) {
        sum += metrics::psnr(&one, &image)?.min(100.0);
    }
    Ok(sum / images.dim().0 as f64)
}

/// Batches as columns of a picture, an image of each in a row.
pub fn side_by_side(title: &str, batches: &[&Array4<f32>]) -> Result<Picture> {
    let rows = batches.first().map_or(0, |batch| batch.dim().0);
    let cells: Vec<ArrayView3<'_, f32>> = (0..rows)
        .flat_map(|row| batches.iter().map(move |batch| batch.index_axis(Axis(0), row)))
        .collect();
    let picture = grid(&cells, batches.len(), 2)?;
    Ok(Picture {
        title: title.into(),
        png: png(&picture)?,
    })
}

fn png(picture: &Array3<f32>) -> Result<Vec<u8>> {
    let (_, height, width) = picture.dim();
    let bytes: Vec<u8> = picture
        .view()
        .permuted_axes([1, 2, 0])
        .iter()
        .map(|&value| to_byte(value))
        .collect();
    let buffer =
        image::RgbImage::from_raw(width as u32, height as u32, bytes).context("a picture of three channels")?;
    let mut file = std::io::Cursor::new(Vec::new());
    buffer.write_to(&mut file, image::ImageFormat::Png)?;
    Ok(file.into_inner())
}

/// What a submission could write a hidden image with is left out.
fn without_numbers(text: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in text.split(' ') {
        let word = if word.contains(|c: char| c.is_ascii_digit()) {
            "..."
        } else {
            word
        };
        if word != "..." || words.last() != Some(&"...") {
            words.push(word);
        }
    }
    words.join(" ")
}

/// The share is the mean over the cases; in each its worst figure decides. Nothing is earned where an answer is not the
/// sampler's.
pub fn judge(
    key: &str,
    bench: &Bench,
    measure: fn(&Bench, &[Message], &[Message]) -> Result<Measured>,
    asked: &[Message],
    answers: &[Answered],
) -> Result<Verdict> {
    let messages: Vec<Message> = answers.iter().map(|answer| answer.message.clone()).collect();
    let measured = match measure(bench, asked, &messages) {
        Ok(measured) => measured,
        Err(error) => return Ok(Verdict::nothing(format!("{error:#}"))),
    };
    if let Some(stray) = answers.iter().find_map(|answer| answer.stray.as_ref()) {
        return Ok(Verdict::nothing(format!(
            "These images are not what the exercise's function makes of what the network answered, so that their \
             figures do not count. {}",
            without_numbers(stray)
        )));
    }
    let (mut cases, mut lines) = (BTreeMap::new(), Vec::new());
    for figure in &measured.figures {
        let (share, band) = bench.thresholds.share(key, &figure.key(), figure.value)?;
        let worst = cases.entry(figure.case.clone()).or_insert(1.0f64);
        *worst = worst.min(share);
        lines.push(format!(
            "{} {:.4}: {:.0} % of the points ({band})",
            figure.key(),
            figure.value,
            100.0 * share
        ));
    }
    Ok(Verdict {
        share: cases.values().sum::<f64>() / cases.len().max(1) as f64,
        text: lines.join("\n"),
        pictures: measured.pictures,
        figures: measured.figures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_goes_back() {
        let text = "The batch [B, C, H, W] = [2, 3, 64, 64] at t = 30, its mean is 0.123: draw it anew.";
        let kept = without_numbers(text);
        assert_eq!(
            kept,
            "The batch [B, C, H, W] = ... at t = ... its mean is ... draw it anew."
        );
    }
}
