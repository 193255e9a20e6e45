//! What happened in a run so far, for as many viewers as there are, whenever they come.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::event::Event;

/// The events of one run. They are kept, so that a page that is loaded again, or a second one, sees them all.
#[derive(Debug)]
pub struct Log {
    id: u64,
    events: Mutex<Vec<Arc<Told>>>,
    /// What viewers wait for.
    so_far: watch::Sender<SoFar>,
    stop: AtomicBool,
    viewers: AtomicUsize,
    unseen_since: Mutex<Instant>,
    patience: Duration,
}

/// How far a run is. One value: whoever learns of the last event must learn with it that no other will come.
#[derive(Clone, Copy, Debug, Default)]
struct SoFar {
    events: usize,
    over: bool,
}

/// An event as it goes to the page.
#[derive(Debug)]
pub struct Told {
    /// Its kind: `step`.
    pub kind: &'static str,
    /// The rest, as JSON.
    pub json: String,
}

impl Log {
    /// The log of run number `id`, which has not begun, and is abandoned after `patience` without a viewer.
    #[must_use]
    pub fn new(id: u64, patience: Duration) -> Self {
        Self {
            id,
            events: Mutex::default(),
            so_far: watch::Sender::default(),
            stop: AtomicBool::new(false),
            viewers: AtomicUsize::new(0),
            unseen_since: Mutex::new(Instant::now()),
            patience,
        }
    }

    /// The run's number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Adds an event, and wakes whoever waits for it. After one that ends the run nothing is added.
    pub fn tell(&self, event: &Event) {
        let told = match serde_json::to_string(event) {
            Ok(json) => Told {
                kind: event.kind(),
                json,
            },
            // Nothing that an event holds can fail; were it so, the page would still be told.
            Err(error) => Told {
                kind: "failed",
                json: serde_json::json!({ "sentence": error.to_string() }).to_string(),
            },
        };
        let mut events = locked(&self.events);
        if self.is_over() {
            return;
        }
        events.push(Arc::new(told));
        self.so_far.send_replace(SoFar {
            events: events.len(),
            over: event.ends_the_run(),
        });
    }

    /// Event number `index`, from 0, if it is there.
    #[must_use]
    pub fn event(&self, index: usize) -> Option<Arc<Told>> {
        locked(&self.events).get(index).cloned()
    }

    /// All events so far.
    #[must_use]
    pub fn events(&self) -> Vec<Arc<Told>> {
        locked(&self.events).clone()
    }

    /// Waits until there is an event of this number: then true; false where there will never be one.
    pub async fn wait_for(&self, index: usize) -> bool {
        let mut so_far = self.so_far.subscribe();
        loop {
            let now = *so_far.borrow_and_update();
            if now.events > index {
                return true;
            }
            if now.over || so_far.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Asks the run to stop after the step that it is taking.
    pub fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Whether the run is to stop, since somebody asked for it or nobody looks at it any more.
    #[must_use]
    pub fn should_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst) || self.is_abandoned()
    }

    fn is_abandoned(&self) -> bool {
        self.viewers.load(Ordering::SeqCst) == 0 && locked(&self.unseen_since).elapsed() > self.patience
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.so_far.borrow().over
    }

    /// Somebody looks at it, for as long as the [`Viewer`] lives.
    #[must_use]
    pub fn viewer(self: &Arc<Self>) -> Viewer {
        self.viewers.fetch_add(1, Ordering::SeqCst);
        Viewer(self.clone())
    }
}

/// Somebody who looks at a run.
#[derive(Debug)]
pub struct Viewer(Arc<Log>);

impl Viewer {
    /// The run that is looked at.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.0
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        *locked(&self.0.unseen_since) = Instant::now();
        self.0.viewers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is behind a lock; where its holder panicked, as it was left.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
