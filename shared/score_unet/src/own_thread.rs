//! A network on a thread of its own.
//!
//! dfdx's `Cuda` must not leave the thread that made it, but a prior is shared between threads. So the thread that
//! opens the GPU keeps it and the network, and a prior sends it arrays and waits for arrays.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use diffusion::{Pullback, Schedule, ScoreError, ScoreModel};
use ndarray::Array4;
use nn::{Backend, DeviceThread};

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
pub struct OnOwnThread {
    facts: Facts,
    schedule: Schedule,
    /// Where requests go, and the number of the next pullback.
    requests: Mutex<(Sender<Request>, u64)>,
    thread: DeviceThread,
}

impl OnOwnThread {
    /// Starts a thread, and makes the network there.
    ///
    /// # Errors
    ///
    /// Those of `make`, and of a thread that cannot be started or panics while it makes the network.
    pub fn start<B: Backend, E: From<std::io::Error> + Send + 'static>(
        make: impl FnOnce() -> Result<UNet<B>, E> + Send + 'static,
    ) -> Result<Self, E> {
        let (work, ends) = ends(|(): &()| make());
        ends.meet(DeviceThread::start(move || work(&()))?)
    }

    /// Makes the network on the thread of a GPU.
    ///
    /// # Errors
    ///
    /// Those of `make`, and of a GPU that cannot be used or fails while it makes the network.
    #[cfg(feature = "cuda")]
    pub fn on_gpu<E: From<std::io::Error> + From<nn::DeviceError> + Send + 'static>(
        gpu: &nn::OpenedGpu,
        make: impl FnOnce(&nn::Gpu) -> Result<UNet<nn::Gpu>, E> + Send + 'static,
    ) -> Result<Self, E> {
        let (work, ends) = ends(make);
        ends.meet(gpu.start(work)?)
    }

    /// Waits for an answer. None comes where the thread has panicked, as dfdx does where it does not expect a failure.
    fn wait(&self, answer: &Receiver<Answer>) -> Answer {
        self.thread
            .wait(answer)
            .unwrap_or_else(|words| Err(ScoreError::Backend(words)))
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

/// What is left on the side of those who ask.
struct Ends<E> {
    requests: Sender<Request>,
    started: Receiver<Result<(Facts, Schedule), E>>,
}

/// The work of a network's thread, and the other ends of its channels.
fn ends<D, B: Backend, E>(make: impl FnOnce(&D) -> Result<UNet<B>, E>) -> (impl FnOnce(&D), Ends<E>) {
    let (requests, received) = channel();
    let (ready, started) = channel();
    let work = move |device: &D| match make(device) {
        Ok(network) => {
            let _ = ready.send(Ok((Facts::of(&network), network.schedule().clone())));
            serve(&network, &received);
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    };
    (work, Ends { requests, started })
}

impl<E: From<std::io::Error>> Ends<E> {
    /// Waits until the network is made.
    fn meet(self, thread: DeviceThread) -> Result<OnOwnThread, E> {
        let (facts, schedule) = thread.wait(&self.started).map_err(std::io::Error::other)??;
        Ok(OnOwnThread {
            facts,
            schedule,
            requests: Mutex::new((self.requests, 0)),
            thread,
        })
    }
}

/// Answers until nobody can ask any more.
fn serve<B: Backend>(network: &UNet<B>, requests: &Receiver<Request>) {
    let mut pullbacks: HashMap<u64, Pullback<'_>> = HashMap::new();
    // An answer that nobody waits for any more is no error.
    for request in requests {
        match request {
            Request::Score(x_t, t, answer) => {
                let _ = answer.send(network.score_of(x_t, t));
            }
            Request::ScoreWithPullback(number, x_t, t, answer) => {
                let result = network.score_with_pullback_of(x_t, t);
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
        self.facts.config.image_shape()
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
