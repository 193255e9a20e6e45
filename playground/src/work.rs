//! Does what a plan says, and tells a log of it: as the programs of the tasks and of `methods` do, with the same random
//! numbers, so that their results are the same.

use anyhow::{Error, Result, ensure};
use cli::{Judge, Judged, WHITE_STD};
use diffusion::{ScoreError, ScoreModel};
use imaging::{OperatorError, Symmetry, measure, sampler_rng};
use methods::Problem;
use ndarray::{Array3, Array4, ArrayRef3, Axis, stack};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::event::{Agreement, Done, Event, Nearness, Sample, Started};
use crate::log::Log;
use crate::picture::Picture;
use crate::plan::{Edit, Plan, Reconstruction, Work};
use crate::solver::Drawer;
use crate::watch::{Pass, Watch};

/// What a run works with.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The prior.
    pub model: &'a dyn ScoreModel,
    /// Says how near images are.
    pub judge: &'a Judge,
    /// Who is told.
    pub log: &'a Log,
}

impl Bench<'_> {
    /// Does it all, from [`Started`] to [`Done`]; returns the results, `[C, H, W]` each.
    ///
    /// # Errors
    ///
    /// Those of the methods and of the model, [`ScoreError::Stopped`] where the log says so, and a result that is no
    /// image: of another shape, or with a NaN in it.
    pub fn perform(self, plan: &Plan) -> Result<Vec<Array3<f32>>> {
        match &plan.work {
            Work::Generate(drawer) => self.generate(plan, drawer),
            Work::Edit(edit) => self.edit(plan, edit),
            Work::Reconstruct(work) => self.reconstruct(plan, work),
        }
    }

    /// As `task3_generate` with all images in one batch.
    fn generate(self, plan: &Plan, drawer: &Drawer) -> Result<Vec<Array3<f32>>> {
        self.tell_started(plan, Started::default());
        let mut watch = Watch::new(self.log, plan.samples, plan.evaluations);
        let rng = &mut StdRng::seed_from_u64(plan.seed);
        let sampler = drawer.sampler();
        let images = sampler.sample(self.model, plan.samples, plan.stepping, rng, &mut watch);
        let images = images.map_err(|error| explained(error.into(), &watch, None))?;
        let results = self.results(&images, plan.samples, &watch)?;
        self.tell_samples(0, &results, None)?;
        self.tell_done(&watch, &results, None)?;
        Ok(results)
    }

    /// As `task4_sdedit --guide`.
    fn edit(self, plan: &Plan, edit: &Edit) -> Result<Vec<Array3<f32>>> {
        let Edit {
            guide,
            mask,
            t0,
            repeats,
        } = edit;
        let image = Some(Picture::of(guide));
        self.tell_started(
            plan,
            Started {
                image,
                ..Started::default()
            },
        );
        let steps = task4_sdedit::steps_from(self.model.schedule(), *t0, plan.stepping.num_steps)?;
        let steps = plan.stepping.with_noise(steps);
        let mut watch = Watch::new(self.log, plan.samples, plan.evaluations).compared_with(guide, Symmetry::None);
        let rng = &mut sampler_rng(plan.seed, 0, 0);
        let mut images = stack(Axis(0), &vec![guide.view(); plan.samples])?;
        for pass in 0..*repeats {
            let observer = &mut Pass::new(pass, *repeats, &mut watch);
            let edited = task4_sdedit::sdedit(self.model, &images, mask.as_ref(), &steps, rng, observer);
            images = edited.map_err(|error| explained(error, &watch, None))?;
        }
        let results = self.results(&images, plan.samples, &watch)?;
        self.tell_samples(0, &results, Some(guide))?;
        self.tell_done(&watch, &results, Some(guide))?;
        Ok(results)
    }

    /// As the programs of tasks 4 to 6 and of `methods` with one image.
    fn reconstruct(self, plan: &Plan, work: &Reconstruction) -> Result<Vec<Array3<f32>>> {
        let Reconstruction { truth, solver, .. } = work;
        let operator = work.operator.as_ref();
        let b = measure(operator, &truth.clone().insert_axis(Axis(0)), work.noise, plan.seed, 0)?;
        let measurement = operator.picture(&b)?.index_axis(Axis(0), 0).to_owned();
        let symmetry = Symmetry::of(operator.kind());
        let started = Started {
            image: Some(Picture::of(truth)),
            measurement: Some(Picture::of(&measurement)),
            noise_norm: Some(work.sigma * (b.len() as f64).sqrt()),
            symmetry: symmetry.description(),
            ..Started::default()
        };
        self.tell_started(plan, started);
        let mut watch = Watch::new(self.log, plan.samples, plan.evaluations).compared_with(truth, symmetry);
        let sigma = work.sigma;
        let problem = &Problem { operator, b: &b, sigma };
        let mut results = Vec::new();
        for sample in 0..plan.samples {
            ensure!(!self.log.should_stop(), ScoreError::Stopped);
            watch.begin_sample(sample, sample * plan.evaluations / plan.samples);
            let rng = &mut sampler_rng(plan.seed, 0, sample as u64);
            let images = solver.solve(self.model, problem, plan.stepping, rng, &mut watch);
            let advice = || solver.advice(operator, plan.stepping.num_steps);
            let images = images.map_err(|error| explained(error, &watch, advice()))?;
            results.extend(self.results(&images, 1, &watch)?);
            self.tell_samples(sample, &results[sample..], Some(truth))?;
        }
        self.tell_done(&watch, &results, Some(truth))?;
        Ok(results)
    }

    /// The images of a batch, once it is sure that they are some.
    fn results(self, images: &Array4<f32>, samples: usize, watch: &Watch<'_>) -> Result<Vec<Array3<f32>>> {
        let [c, h, w] = self.model.image_shape();
        ensure!(
            images.dim() == (samples, c, h, w),
            "the result has shape [B, C, H, W] = {:?}, expected {:?}",
            images.shape(),
            [samples, c, h, w]
        );
        if !images.iter().all(|pixel| pixel.is_finite()) {
            let what = "the result";
            return Err(explained(ScoreError::NonFinite { t: 0, what }.into(), watch, None));
        }
        Ok(images.outer_iter().map(|image| watch.aligned(&image)).collect())
    }

    /// Tells of what `started` holds, and of what the plan knows.
    fn tell_started(self, plan: &Plan, started: Started) {
        self.log.tell(&Event::Started(Box::new(Started {
            samples: plan.samples,
            evaluations: plan.evaluations,
            settings: plan.settings.clone(),
            command: plan.command.clone(),
            ..started
        })));
    }

    /// Tells of these results, the first of which is sample number `first`.
    fn tell_samples(self, first: usize, results: &[Array3<f32>], truth: Option<&Array3<f32>>) -> Result<()> {
        for (place, image) in results.iter().enumerate() {
            self.log.tell(&Event::Sample(Box::new(Sample {
                sample: first + place,
                image: Picture::of(image),
                nearness: truth.map(|truth| self.nearness(image, truth)).transpose()?,
            })));
        }
        Ok(())
    }

    fn tell_done(self, watch: &Watch<'_>, results: &[Array3<f32>], truth: Option<&Array3<f32>>) -> Result<()> {
        let agreement = (results.len() > 1).then(|| -> Result<Agreement> {
            let mean = cli::mean(results);
            Ok(Agreement {
                nearness: truth.map(|truth| self.nearness(&mean, truth)).transpose()?,
                mean: Picture::of(&mean),
                spread: Picture::of(&cli::spread(results)),
                white: WHITE_STD,
            })
        });
        self.log.tell(&Event::Done(Box::new(Done {
            seconds: watch.seconds(),
            agreement: agreement.transpose()?,
        })));
        Ok(())
    }

    fn nearness(self, image: &ArrayRef3<f32>, truth: &Array3<f32>) -> Result<Nearness> {
        let what = Judged {
            case: "playground",
            method: "a result",
            image: "the image",
            seed: 0,
            seconds: 0.0,
        };
        let row = self.judge.row(&what, image, truth)?;
        Ok(Nearness {
            psnr: row.psnr,
            ssim: row.ssim,
            lpips: row.lpips,
        })
    }
}

/// An error that comes of a NaN or an infinity, with the place where they began and what to do; others as they are.
fn explained(error: Error, watch: &Watch<'_>, advice: Option<String>) -> Error {
    let not_finite = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(ScoreError::NonFinite { .. }))
            || matches!(cause.downcast_ref(), Some(OperatorError::NotFinite { .. }))
    };
    if !error.chain().any(not_finite) {
        return error;
    }
    let place = watch.last_t().map_or("before any step was shown".into(), |t| {
        format!("after the step at t = {t}")
    });
    let advice = advice.map_or_else(String::new, |advice| format!("; {advice}"));
    error.context(format!("numbers are no longer finite {place}{advice}"))
}
