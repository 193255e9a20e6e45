//! One run at a time, the others in the order in which they came.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use cli::{Judge, explain_panic};
use diffusion::{ScoreError, ScoreModel};
use program::explain;

use crate::event::Event;
use crate::log::{Log, locked};
use crate::plan::Plan;
use crate::work::Bench;

/// So many runs wait at most.
pub const LONGEST: usize = 8;
/// So many runs that are over are kept, for a page that is loaded again.
const KEPT: usize = 3;

/// The runs that wait, the one that is being done, and the last that were.
#[derive(Debug)]
pub struct Queue {
    patience: Duration,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    waiting: VecDeque<(Plan, Arc<Log>)>,
    logs: VecDeque<Arc<Log>>,
}

impl Queue {
    /// Starts the thread that does the runs on `model`.
    ///
    /// - `patience`: a run that nobody looks at for so long is abandoned
    ///
    /// # Errors
    ///
    /// If there is no thread to be had, or the metrics' network cannot be read.
    pub fn start(model: Arc<dyn ScoreModel + Send + Sync>, patience: Duration) -> Result<Arc<Self>> {
        let judge = Judge::new()?;
        // Numbers that no run of a playground before this one had: a page may still ask for it.
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let state = State {
            last_id: started.as_millis() as u64,
            ..State::default()
        };
        let queue = Arc::new(Self {
            patience,
            state: Mutex::new(state),
            arrived: Condvar::new(),
        });
        let worker = queue.clone();
        let work = move || {
            loop {
                let (plan, log) = worker.next();
                if let Err(event) = outcome(&plan, model.as_ref(), &judge, &log) {
                    log.tell(&event);
                }
            }
        };
        thread::Builder::new().name("runs".into()).spawn(work)?;
        Ok(queue)
    }

    /// Puts a run at the end.
    ///
    /// # Errors
    ///
    /// If as many wait as may.
    pub fn add(&self, plan: Plan) -> Result<Arc<Log>> {
        let mut state = locked(&self.state);
        state.forget_the_abandoned();
        if state.waiting.len() >= LONGEST {
            bail!("{LONGEST} runs are waiting already: wait until one is done, or cancel one");
        }
        state.last_id += 1;
        let log = Arc::new(Log::new(state.last_id, self.patience));
        state.forget_the_old();
        state.logs.push_back(log.clone());
        state.waiting.push_back((plan, log.clone()));
        state.tell_places();
        self.arrived.notify_one();
        Ok(log)
    }

    /// The log of run number `id`, if it is still kept.
    #[must_use]
    pub fn find(&self, id: u64) -> Option<Arc<Log>> {
        locked(&self.state).logs.iter().find(|log| log.id() == id).cloned()
    }

    /// Asks a run to stop; one that waits is over at once.
    pub fn cancel(&self, log: &Log) {
        log.ask_to_stop();
        locked(&self.state).forget_the_abandoned();
    }

    /// Waits for the next run.
    fn next(&self) -> (Plan, Arc<Log>) {
        let mut state = locked(&self.state);
        loop {
            state.forget_the_abandoned();
            if let Some(next) = state.waiting.pop_front() {
                state.tell_places();
                return next;
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// Of the runs that wait, those that were cancelled or that nobody looks at any more.
    fn forget_the_abandoned(&mut self) {
        let before = self.waiting.len();
        self.waiting.retain(|(_, log)| {
            let stays = !log.should_stop();
            if !stays {
                log.tell(&stopped());
            }
            stays
        });
        if self.waiting.len() < before {
            self.tell_places();
        }
    }

    /// Of the runs that are over, all but the last few.
    fn forget_the_old(&mut self) {
        let over = self.logs.iter().filter(|log| log.is_over()).count();
        let mut too_many = over.saturating_sub(KEPT);
        self.logs.retain(|log| {
            let goes = too_many > 0 && log.is_over();
            too_many -= usize::from(goes);
            !goes
        });
    }

    fn tell_places(&self) {
        for (ahead, (_, log)) in self.waiting.iter().enumerate() {
            // The run that is being done is before the first.
            log.tell(&Event::Queued { ahead: ahead + 1 });
        }
    }
}

/// Does a run, whatever the code in it may do; the error is what ended it before it was done.
fn outcome(plan: &Plan, model: &(dyn ScoreModel + Send + Sync), judge: &Judge, log: &Log) -> Result<(), Event> {
    let bench = || Bench { model, judge, log }.perform(plan);
    // Inside the pool: each parallel loop that is started from outside costs two thread switches.
    let in_pool = || rayon::scope(|_| bench());
    match catch_unwind(AssertUnwindSafe(in_pool)) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if log.should_stop() || was_stopped(&error) => Err(stopped()),
        Ok(Err(error)) => Err(Event::Failed {
            sentence: explain(&error),
        }),
        Err(payload) => Err(Event::Failed {
            sentence: explain_panic("methods", payload.as_ref()),
        }),
    }
}

fn stopped() -> Event {
    Event::Stopped {
        sentence: "Stopped. What was there by then is shown.".to_owned(),
    }
}

fn was_stopped(error: &anyhow::Error) -> bool {
    let is_stop = |cause: &(dyn std::error::Error + 'static)| matches!(cause.downcast_ref(), Some(ScoreError::Stopped));
    error.chain().any(is_stop)
}
