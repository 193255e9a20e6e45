//! Task 3 on the trained prior: draws images that do not exist, and shows how they come about.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use cli::{CommonOptions, Progress, Report, ReportRow, Session, StepOptions, path_strip};
use diffusion::{FiniteCheck, ScoreError, ScoreModel, Step, Trajectory, TrajectoryFrame};
use ndarray::{Array3, Axis};
use plots::image_grid;
use rand::SeedableRng;
use rand::rngs::StdRng;
use task3_generate::{StepForm, sample};

/// How many moments of the first image's path are shown.
const MOMENTS: usize = 9;

/// Task 3, unconditional generation: draws images from the prior that no one has photographed.
///
/// Writes a grid of the images, and the path of the first one, x_t above the clean image expected behind it. The images
/// are drawn --batch at a time, each batch from one seed: --seed for the first, --seed plus the number of images before
/// it for the others. So the same images come again only with the same --batch; with --batch 1 each has a seed of its
/// own.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    steps: StepOptions,
    /// How many images to draw.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// Which of the lecture's two ways of writing the step; they agree to rounding.
    #[arg(long, value_enum, default_value_t = Form::Direct)]
    form: Form,
    /// How many images are drawn together; more is faster for each, and takes more memory.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Writes each image into a file of its own, too.
    #[arg(long)]
    save_each: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// From the score.
    Direct,
    /// Through the expected clean image x0hat.
    X0,
}

fn main() -> ExitCode {
    let options: Options = cli::parse();
    cli::run("task3_generate", &options.common, |session| run(&options, session))
}

/// What was drawn, until it was complete or interrupted.
struct Drawn {
    images: Vec<Array3<f32>>,
    report: Report,
    /// The path of the first image.
    frames: Vec<TrajectoryFrame>,
}

fn run(options: &Options, session: &mut Session) -> Result<()> {
    let prior = session.prior()?;
    let steps = options.steps.whole_way(prior.schedule())?;
    cli::check_batch(session, &prior, (options.count as usize).min(options.batch.into()))?;
    let mut report = session.report(&prior);
    let (name, value) = options.steps.variance.setting();
    report.set(name, value);
    report.set("steps", steps.len());
    report.set("batch", options.batch);
    let mut drawn = Drawn {
        images: Vec::new(),
        report,
        frames: Vec::new(),
    };
    let outcome = draw(options, &prior, &steps, &mut drawn);
    let complete = drawn.images.len();
    if outcome.is_err() && complete > 0 {
        session.note(&format!("{complete} of {} images are complete", options.count));
    }
    // Whatever ended it, what was done by then is kept.
    let saved = save(options, session, &drawn);
    outcome.map_err(Into::into).and(saved)
}

/// Draws --count images, --batch at a time.
fn draw(options: &Options, prior: &dyn ScoreModel, steps: &[Step], drawn: &mut Drawn) -> Result<(), ScoreError> {
    let (form, method) = match options.form {
        Form::Direct => (StepForm::Direct, "ddpm direct"),
        Form::X0 => (StepForm::ThroughX0, "ddpm through x0hat"),
    };
    let (count, batch) = (options.count as usize, usize::from(options.batch));
    let mut progress = Progress::new("sampling", count.div_ceil(batch) * steps.len());
    let mut trajectory = Some(Trajectory::new(MOMENTS));
    while drawn.images.len() < count {
        let size = batch.min(count - drawn.images.len());
        let seed = options.common.seed.wrapping_add(drawn.images.len() as u64);
        let rng = &mut StdRng::seed_from_u64(seed);
        let observer = &mut (FiniteCheck, &mut progress, &mut trajectory);
        let start = Instant::now();
        let samples = sample(prior, size, steps, form, rng, observer)?;
        let seconds = start.elapsed().as_secs_f64() / size as f64;
        for sample in samples.axis_iter(Axis(0)) {
            drawn.report.rows.push(ReportRow {
                case: "unconditional".into(),
                method: method.into(),
                image: format!("sample-{:04}", drawn.images.len()),
                seed,
                psnr: None,
                ssim: None,
                lpips: None,
                seconds,
            });
            drawn.images.push(sample.to_owned());
        }
        progress.next_run();
        if let Some(trajectory) = trajectory.take() {
            drawn.frames = trajectory.into_frames();
        }
    }
    Ok(())
}

/// First what takes the least room.
fn save(options: &Options, session: &mut Session, drawn: &Drawn) -> Result<()> {
    if drawn.images.is_empty() {
        return Ok(());
    }
    session.save_report(&drawn.report)?;
    let views: Vec<_> = drawn.images.iter().map(|image| image.view()).collect();
    let columns = (views.len() as f64).sqrt().ceil() as usize;
    session.save_figure(&image_grid(&views, columns)?, "samples.png")?;
    session.save_figure(&path_strip(&drawn.frames)?, "path.png")?;
    if options.save_each {
        for (image, row) in drawn.images.iter().zip(&drawn.report.rows) {
            session.save_image(image, &format!("{}.png", row.image))?;
        }
    }
    Ok(())
}
