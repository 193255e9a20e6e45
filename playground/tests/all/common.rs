//! Priors that are known in closed form or that misbehave, and wishes for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use diffusion::{GaussianModel, Pullback, Schedule, ScoreError, ScoreModel};
use ndarray::{Array1, Array4};
use playground::event::Event;
use playground::log::Log;
use playground::wish::{DrawnImage, Task, Wish};
use serde_json::Value;

/// The side of the images: LPIPS asks for no less.
pub const SIDE: usize = 16;
/// How long a test waits for what comes at once.
pub const LONG: Duration = Duration::from_secs(60);

/// A prior of grey-ish images.
pub fn prior() -> Result<GaussianModel> {
    let pixels = 3 * SIDE * SIDE;
    let mean = Array1::from_shape_fn(pixels, |pixel| 0.3 * (pixel as f64 * 0.1).sin());
    let variances = Array1::from_elem(pixels, 0.1);
    Ok(GaussianModel::diagonal(
        Schedule::linear(),
        [3, SIDE, SIDE],
        mean,
        variances,
    )?)
}

/// What a [`Naughty`] prior does when it is asked for a score.
#[derive(Clone, Copy)]
pub enum Does {
    /// What an exercise does that is not written yet.
    Todo,
    /// What the code of a mistaken index does.
    Panic,
    /// NaN.
    Nan,
    /// Takes its time.
    Sleep(Duration),
}

/// A prior whose score stands for a student's code: it panics, is NaN, or is slow. At `t` below 500 only, so that steps
/// are shown before.
pub struct Naughty {
    inner: GaussianModel,
    does: Does,
}

impl Naughty {
    pub fn new(does: Does) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { inner: prior()?, does }))
    }

    fn misbehave(&self, score: &mut Array4<f32>, t: usize) {
        match self.does {
            Does::Todo if t < 500 => todo!("Task 9.9: the score"),
            Does::Panic if t < 500 => assert!(score.is_empty(), "index 7 is out of bounds"),
            Does::Nan if t < 500 => score.fill(f32::NAN),
            Does::Sleep(time) => std::thread::sleep(time),
            _ => {}
        }
    }
}

impl ScoreModel for Naughty {
    fn image_shape(&self) -> [usize; 3] {
        self.inner.image_shape()
    }

    fn schedule(&self) -> &Schedule {
        self.inner.schedule()
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        let mut score = self.inner.score(x_t, t)?;
        self.misbehave(&mut score, t);
        Ok(score)
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        let (mut score, pullback) = self.inner.score_with_pullback(x_t, t)?;
        self.misbehave(&mut score, t);
        Ok((score, pullback))
    }
}

/// A wish that can be fulfilled: two samples of DPS on inpainting, 20 steps.
pub fn wish(task: Task) -> Wish {
    let text = |text: &str| text.to_owned();
    Wish {
        task,
        method: text(if task == Task::Generate { "ancestral" } else { "dps" }),
        operator: text("inpainting:0.5"),
        noise: text("0.05"),
        steps: text("20"),
        variance: String::new(),
        samples: text("2"),
        seed: text("3"),
        settings: BTreeMap::new(),
        image: (task != Task::Generate).then(|| DrawnImage {
            name: text("image.png"),
            rgb: (0..3 * SIDE * SIDE).map(|byte| (byte % 251) as u8).collect(),
        }),
        mask: Vec::new(),
    }
}

/// The mask of a wish with its upper half drawn.
pub fn upper_half() -> Vec<u8> {
    (0..SIDE * SIDE)
        .map(|pixel| u8::from(pixel < SIDE * SIDE / 2))
        .collect()
}

/// What was told: kinds and contents.
pub type Told = Vec<(&'static str, Value)>;

/// The events of a log.
pub fn events(log: &Log) -> Result<Told> {
    log.events()
        .iter()
        .map(|told| Ok((told.kind, serde_json::from_str(&told.json)?)))
        .collect()
}

/// Waits until a run is over, and returns the last event.
pub fn last_event(log: &Log) -> Result<(&'static str, Value)> {
    let start = std::time::Instant::now();
    while !log.is_over() {
        anyhow::ensure!(start.elapsed() < LONG, "the run is not over after {LONG:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(events(log)?.pop().unwrap_or(("nothing", Value::Null)))
}

/// An event that stands for any.
pub fn some_event(ahead: usize) -> Event {
    Event::Queued { ahead }
}
