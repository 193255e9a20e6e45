//! A network on a thread of its own.
//!
//! dfdx's `Cuda` must not leave the thread that made it, but a prior is shared between threads. So the thread that
//! opens the GPU keeps it and the network, and a prior sends it arrays and waits for arrays.

use std::any::Any;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use diffusion::{Pullback, Schedule, ScoreError, ScoreModel};
use ndarray::Array4;
use nn::Backend;

use crate::network::{Facts, Network};
use crate::unet::UNet;

type Answer = Result<Array4<f32>, ScoreError>;

/// What the thread is asked for. A pullback goes by a number, since its closure must stay there.
enum Request {
    Score(Array4<f32>, usize, Sender<Answer>),
    ScoreWithPullback(u64, Array4<f32>, usize, Sender<Answer>),
    Pullback(u64, Array4<f32>, Sender<Answer>),
    /// The pullback of this number will not be called.
    Forget(u64),
}

/// A network that lives on a thread of its own. The thread ends when this is dropped.
#[derive(Debug)]
pub(crate) struct OnOwnThread {
    facts: Facts,
    schedule: Schedule,
    /// Where requests go, and the number of the next pullback.
    requests: Mutex<(Sender<Request>, u64)>,
    /// The thread, until it has been found to be over.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl OnOwnThread {
    /// Starts the thread, and makes the network there.
    ///
    /// # Errors
    ///
    /// Those of `make`, and of a thread that cannot be started.
    pub fn start<B: Backend, E: From<std::io::Error> + Send + 'static>(
        make: impl FnOnce() -> Result<UNet<B>, E> + Send + 'static,
    ) -> Result<Self, E> {
        let (requests, received) = channel();
        let (ready, started) = channel();
        let work = move || match make() {
            Ok(network) => {
                let _ = ready.send(Ok((Facts::of(&network), network.schedule().clone())));
                serve(&network, &received);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("network".into()).spawn(work)?;
        let (facts, schedule) = match started.recv() {
            Ok(result) => result?,
            Err(_) => return Err(std::io::Error::other(last_words(Some(thread))).into()),
        };
        Ok(Self {
            facts,
            schedule,
            requests: Mutex::new((requests, 0)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Waits for an answer. None comes where the thread has panicked, as dfdx does where it does not expect a failure.
    fn wait(&self, answer: &Receiver<Answer>) -> Answer {
        answer.recv().unwrap_or_else(|_| {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(ScoreError::Backend(last_words(thread)))
        })
    }

    fn send(&self, request: impl FnOnce(u64) -> Request) -> u64 {
        let mut guard = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let (requests, next) = &mut *guard;
        let number = *next;
        *next += 1;
        // Where the thread is gone, waiting for its answer says so.
        let _ = requests.send(request(number));
        number
    }
}

/// What a thread that is over said last.
fn last_words(thread: Option<JoinHandle<()>>) -> String {
    let Some(Err(payload)) = thread.map(JoinHandle::join) else {
        return "the thread of the network has ended".into();
    };
    format!("the network's device failed: {}", panic_text(payload.as_ref()))
}

/// What a panic said.
fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("it does not say why")
}

/// Answers until nobody can ask any more.
fn serve<B: Backend>(network: &UNet<B>, requests: &Receiver<Request>) {
    let mut pullbacks: HashMap<u64, Pullback<'_>> = HashMap::new();
    // An answer that nobody waits for any more is no error.
    for request in requests {
        match request {
            Request::Score(x_t, t, answer) => {
                let _ = answer.send(network.score(&x_t, t));
            }
            Request::ScoreWithPullback(number, x_t, t, answer) => {
                let result = network.score_with_pullback(&x_t, t);
                let _ = answer.send(result.map(|(score, pullback)| {
                    pullbacks.insert(number, pullback);
                    score
                }));
            }
            Request::Pullback(number, v, answer) => {
                let called = pullbacks.remove(&number).map(|pullback| pullback(&v));
                let _ = answer
                    .send(called.unwrap_or_else(|| Err(ScoreError::Backend("this pullback was called before".into()))));
            }
            Request::Forget(number) => {
                pullbacks.remove(&number);
            }
        }
    }
}

/// A pullback on the thread; dropped uncalled, it lets the thread free the memory.
struct RemotePullback<'a> {
    network: &'a OnOwnThread,
    number: u64,
}

impl RemotePullback<'_> {
    fn call(self, v: &Array4<f32>) -> Answer {
        let (answer, received) = channel();
        self.network.send(|_| Request::Pullback(self.number, v.clone(), answer));
        self.network.wait(&received)
    }
}

impl Drop for RemotePullback<'_> {
    fn drop(&mut self) {
        self.network.send(|_| Request::Forget(self.number));
    }
}

impl ScoreModel for OnOwnThread {
    fn image_shape(&self) -> [usize; 3] {
        let config = &self.facts.config;
        [config.image_channels, config.image_size, config.image_size]
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Answer {
        let (answer, received) = channel();
        self.send(|_| Request::Score(x_t.clone(), t, answer));
        self.wait(&received)
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        let (answer, received) = channel();
        let number = self.send(|number| Request::ScoreWithPullback(number, x_t.clone(), t, answer));
        let remote = RemotePullback { network: self, number };
        let score = self.wait(&received)?;
        Ok((score, Box::new(|v| remote.call(v))))
    }
}

impl Network for OnOwnThread {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }
}

#[cfg(test)]
mod tests {
    use nn::{Composed, Cpu, Parameters};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::config::UNetConfig;

    fn network() -> UNet<Composed<Cpu>> {
        let config = UNetConfig {
            image_size: 8,
            base_channels: 8,
            channel_multipliers: vec![1],
            norm_groups: 4,
            attention_heads: 2,
            ..UNetConfig::fruits64()
        };
        let mut rng = StdRng::seed_from_u64(3);
        let mut network = UNet::new(&config, &Composed(Cpu::default()), &mut rng).unwrap();
        network.visit_mut("", &mut |_, p| {
            let values: Vec<f32> = p.to_vec().iter().map(|v| v + rng.random_range(-0.2..0.2)).collect();
            p.value_mut().copy_from(&values);
        });
        network
    }

    fn image(seed: u64) -> Array4<f32> {
        let mut rng = StdRng::seed_from_u64(seed);
        Array4::from_shape_simple_fn((2, 3, 8, 8), || rng.random_range(-1.0..1.0))
    }

    fn start() -> OnOwnThread {
        OnOwnThread::start::<_, std::io::Error>(|| Ok(network())).unwrap()
    }

    #[test]
    fn it_answers_as_the_network_does() {
        let (here, there) = (network(), start());
        let (x, v) = (image(1), image(2));
        assert_eq!(here.score(&x, 40).unwrap(), there.score(&x, 40).unwrap());
        let (score, pullback) = there.score_with_pullback(&x, 40).unwrap();
        // Other work in between must neither wait for the pullback nor disturb it.
        there.score(&v, 900).unwrap();
        drop(there.score_with_pullback(&v, 900).unwrap());
        let (expected_score, expected) = here.score_with_pullback(&x, 40).unwrap();
        assert_eq!(score, expected_score);
        assert_eq!(pullback(&v).unwrap(), expected(&v).unwrap());
    }

    #[test]
    fn it_is_shared_between_threads() {
        let (expected, there) = (network().score(&image(1), 7).unwrap(), start());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| assert_eq!(there.score(&image(1), 7).unwrap(), expected));
            }
        });
    }

    #[test]
    fn errors_come_back() {
        let there = start();
        assert!(matches!(there.score(&image(1), 0), Err(ScoreError::Timestep { .. })));
        let result = OnOwnThread::start::<Composed<Cpu>, _>(|| Err(std::io::Error::other("no such network")));
        assert!(result.unwrap_err().to_string().contains("no such network"));
        let result = OnOwnThread::start::<Composed<Cpu>, std::io::Error>(|| panic!("no memory"));
        assert!(result.unwrap_err().to_string().contains("failed: no memory"));
    }
}
