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
pub struct OnOwnThread {
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
    /// Those of `make`, and of a thread that cannot be started or panics while it makes the network.
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
