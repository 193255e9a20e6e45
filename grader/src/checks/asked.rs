//! What a submission asks of its model, written down where it is answered.

use std::sync::{Mutex, MutexGuard, PoisonError};

use diffusion::{Pullback, Schedule, ScoreError, ScoreModel};
use exchange::Message;
use ndarray::Array4;

/// The most images in one question; no check has more.
const MOST_IMAGES: usize = 8;

/// A question about a score that was answered.
#[derive(Clone, Debug)]
pub struct Call {
    /// The time.
    pub t: usize,
    /// `[B, C, H, W]`.
    pub x_t: Array4<f32>,
    /// The score there.
    pub score: Array4<f32>,
    /// What was pulled back there: `v` and `J^T v`.
    pub pulled: Vec<(Array4<f32>, Array4<f32>)>,
}

/// What came of one request.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    /// What the worker said.
    pub message: Message,
    /// What it asked, in order.
    pub calls: Vec<Call>,
    /// Why its images are not those of the sampler that was asked for.
    pub stray: Option<String>,
}

/// A model that writes down what it is asked, and refuses to answer for ever.
pub struct Recording<'a> {
    model: &'a dyn ScoreModel,
    most_calls: usize,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// The times of all questions, also of those that were refused.
    times: Vec<usize>,
    pullbacks: usize,
    calls: Vec<Call>,
}

impl<'a> Recording<'a> {
    /// Answers with `model`, at most so many times.
    #[must_use]
    pub fn new(model: &'a dyn ScoreModel, most_calls: usize) -> Self {
        Self {
            model,
            most_calls,
            heard: Mutex::default(),
        }
    }

    /// The answer to a request with what was asked on the way: its text `asked` is the times, with blanks between them,
    /// `pullbacks` the number of pullbacks asked for, whatever the worker says.
    #[must_use]
    pub fn with_calls(self, message: Message) -> Answered {
        let heard = self.heard.into_inner().unwrap_or_else(PoisonError::into_inner);
        let times: Vec<String> = heard.times.iter().map(ToString::to_string).collect();
        Answered {
            message: message
                .with("asked", times.join(" "))
                .with("pullbacks", heard.pullbacks),
            calls: heard.calls,
            stray: None,
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, x_t: &Array4<f32>, t: usize) -> Result<(), ScoreError> {
        let mut heard = self.heard();
        heard.times.push(t);
        if heard.times.len() > self.most_calls {
            // What is asked again and again need not be kept.
            heard.times.truncate(self.most_calls + 1);
            let most = self.most_calls;
            return Err(ScoreError::Backend(format!(
                "the model was asked more than {most} times"
            )));
        }
        drop(heard);
        self.model.check(x_t, t)?;
        if !(1..=MOST_IMAGES).contains(&x_t.dim().0) {
            return Err(ScoreError::Backend(format!(
                "the model was asked about {} images at once, expected 1 to {MOST_IMAGES}",
                x_t.dim().0
            )));
        }
        Ok(())
    }

    /// Its number among the answered ones.
    fn keep(&self, x_t: &Array4<f32>, t: usize, score: &Array4<f32>) -> usize {
        let mut heard = self.heard();
        heard.calls.push(Call {
            t,
            x_t: x_t.clone(),
            score: score.clone(),
            pulled: Vec::new(),
        });
        heard.calls.len() - 1
    }
}

impl ScoreModel for Recording<'_> {
    fn image_shape(&self) -> [usize; 3] {
        self.model.image_shape()
    }

    fn schedule(&self) -> &Schedule {
        self.model.schedule()
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.note(x_t, t)?;
        let score = self.model.score(x_t, t)?;
        self.keep(x_t, t, &score);
        Ok(score)
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.note(x_t, t)?;
        self.heard().pullbacks += 1;
        let (score, pullback) = self.model.score_with_pullback(x_t, t)?;
        let call = self.keep(x_t, t, &score);
        let pullback = move |v: &Array4<f32>| {
            let product = pullback(v)?;
            if let Some(call) = self.heard().calls.get_mut(call) {
                call.pulled.push((v.clone(), product.clone()));
            }
            Ok(product)
        };
        Ok((score, Box::new(pullback)))
    }
}

/// The model of requests that need none: it answers nothing.
pub struct Silent(Schedule);

impl Default for Silent {
    fn default() -> Self {
        Self(Schedule::linear())
    }
}

impl ScoreModel for Silent {
    fn image_shape(&self) -> [usize; 3] {
        exchange::SMALL_SHAPE
    }

    fn schedule(&self) -> &Schedule {
        &self.0
    }

    fn score(&self, _: &Array4<f32>, _: usize) -> Result<Array4<f32>, ScoreError> {
        Err(ScoreError::Backend("there is no model in this exercise".into()))
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.score(x_t, t).map(|score| {
            (
                score,
                Box::new(|_: &Array4<f32>| self.score(&Array4::zeros((0, 0, 0, 0)), 0)) as Pullback<'a>,
            )
        })
    }
}

/// A model that answers again what was asked before, and computes only what was not.
pub struct Replay<'a> {
    /// Computes what is new.
    pub model: &'a dyn ScoreModel,
    /// What is known.
    pub calls: &'a [Call],
}

impl Replay<'_> {
    fn known(&self, x_t: &Array4<f32>, t: usize) -> Option<&Call> {
        self.calls.iter().find(|call| call.t == t && call.x_t == *x_t)
    }
}

impl ScoreModel for Replay<'_> {
    fn image_shape(&self) -> [usize; 3] {
        self.model.image_shape()
    }

    fn schedule(&self) -> &Schedule {
        self.model.schedule()
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        match self.known(x_t, t) {
            Some(call) => Ok(call.score.clone()),
            None => self.model.score(x_t, t),
        }
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        let score = self.score(x_t, t)?;
        let x_t = x_t.clone();
        let pullback = move |v: &Array4<f32>| {
            let known = self.known(&x_t, t).map_or(&[][..], |call| &call.pulled);
            match known.iter().find_map(|(asked, product)| scaled(v, asked, product)) {
                Some(product) => Ok(product),
                None => self.model.score_with_pullback(&x_t, t)?.1(v),
            }
        };
        Ok((score, Box::new(pullback)))
    }
}

/// `J^T v` where `v` is, image by image, a multiple of what was asked: the map is linear in each.
fn scaled(v: &Array4<f32>, asked: &Array4<f32>, product: &Array4<f32>) -> Option<Array4<f32>> {
    if v.dim() != asked.dim() {
        return None;
    }
    let mut scaled = product.clone();
    for ((v, asked), mut product) in v.outer_iter().zip(asked.outer_iter()).zip(scaled.outer_iter_mut()) {
        let dot = |a: &ndarray::ArrayView3<'_, f32>, b: &ndarray::ArrayView3<'_, f32>| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let (of_v, of_asked, both) = (dot(&v, &v), dot(&asked, &asked), dot(&v, &asked));
        // The part of v that is no multiple, relative to v.
        if of_v > 0.0 && (of_v - both * both / of_asked.max(f64::MIN_POSITIVE)) > 1e-8 * of_v {
            return None;
        }
        product.mapv_inplace(|value| value * (both / of_asked.max(f64::MIN_POSITIVE)) as f32);
    }
    Some(scaled)
}
