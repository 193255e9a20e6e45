//! A GPU that was found and tried out, on the thread where it will stay.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::Backend;
use crate::device::DeviceError;
use crate::device_ext::DeviceExt;
use crate::device_thread::DeviceThread;
use crate::gpu::Gpu;

type Work = Box<dyn FnOnce(&Gpu) + Send>;

/// A GPU, opened on a thread of its own, which dfdx's `Cuda` must not leave. The thread waits for its work.
#[derive(Clone, Debug)]
pub struct OpenedGpu {
    index: usize,
    description: String,
    /// Until it has got its work.
    idle: Arc<Mutex<Option<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    // Before the thread, which ends where no work can come any more.
    work: Sender<Work>,
    thread: DeviceThread,
}

impl OpenedGpu {
    /// Opens GPU number `index`, as [`Gpu::open`] does.
    ///
    /// # Errors
    ///
    /// As [`Gpu::open`].
    pub fn open(index: usize) -> Result<Self, DeviceError> {
        let (idle, description) = Idle::open(index)?;
        Ok(Self {
            index,
            description,
            idle: Arc::new(Mutex::new(Some(idle))),
        })
    }

    /// The GPU in words, as they follow "on".
    #[must_use]
    pub fn describe(&self) -> &str {
        &self.description
    }

    /// Gives the GPU its work, and returns the thread that does it. The first to ask gets the GPU that is open; for
    /// others it is opened once more.
    ///
    /// # Errors
    ///
    /// As [`Gpu::open`], for others than the first.
    pub fn start(&self, work: impl FnOnce(&Gpu) + Send + 'static) -> Result<DeviceThread, DeviceError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let idle = match idle {
            Some(idle) => idle,
            None => Idle::open(self.index)?.0,
        };
        // Where the thread is gone, waiting for its answer says so.
        let _ = idle.work.send(Box::new(work));
        Ok(idle.thread)
    }

    /// Does `work` on the GPU and waits for the result.
    ///
    /// # Errors
    ///
    /// As [`OpenedGpu::start`]; a GPU that fails, where dfdx panics.
    pub fn run<R: Send + 'static>(&self, work: impl FnOnce(&Gpu) -> R + Send + 'static) -> Result<R, DeviceError> {
        let (sender, result) = channel();
        let thread = self.start(move |gpu| {
            let _ = sender.send(work(gpu));
        })?;
        thread.wait(&result).map_err(DeviceError::Failed)
    }
}

impl Idle {
    /// Starts the thread and opens the GPU there; with its description.
    fn open(index: usize) -> Result<(Self, String), DeviceError> {
        let (opened, opens) = channel();
        let (work, works) = channel::<Work>();
        let live = move || match Gpu::open(index) {
            Ok(gpu) => {
                let _ = opened.send(Ok(gpu.device().describe()));
                if let Ok(work) = works.recv() {
                    work(&gpu);
                }
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        };
        let thread = DeviceThread::start(live)
            .map_err(|error| DeviceError::Unusable(format!("no thread can be started for the GPU: {error}")))?;
        let description = thread.wait(&opens).map_err(DeviceError::Unusable)??;
        Ok((Self { work, thread }, description))
    }
}
