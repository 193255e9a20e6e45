//! A thread for a device that must stay on one and may be lost there.
//!
//! What a GPU reports when it is lost, it reports ever after: also where memory is freed, and there cudarc panics. The
//! first such panic would unwind through more memory to free, and a panic while unwinding ends the process, with no
//! word of what happened. So a thread of this kind does not unwind from it: it says what it heard, and stops for good.
//! It stops inside of the panic hook, and so in a process that has lost its device nobody can set another hook: who
//! tries waits for ever. The error says to start the program again.

use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::io;
use std::panic::{self, PanicHookInfo};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How often somebody who waits looks whether the device is lost. An answer is there at once.
const LOOK: Duration = Duration::from_millis(200);

/// How long a thread may take to give its memory back.
const END: Duration = Duration::from_secs(5);

/// How the codes of the driver begin, where a panic quotes one.
const DRIVER_CODE: &str = "CUDA_ERROR_";
const OUT_OF_MEMORY: &str = "CUDA_ERROR_OUT_OF_MEMORY";

/// What to do when the memory of a GPU is full.
pub(crate) const NO_MEMORY_LEFT: &str = "the GPU has no memory left: work on fewer images at a time, close other \
    programs that use the GPU, or use --device cpu";

/// What a lost device said last.
type LastWords = Arc<OnceLock<String>>;

thread_local! {
    /// Set on the threads that belong to a device.
    static LAST_WORDS: OnceCell<LastWords> = const { OnceCell::new() };
    /// Whether panics of this thread print nothing.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// A thread that a device lives on. When this is dropped, the thread must have nothing left to do: its end is waited
/// for, since a program that ends takes the driver away, and a thread that frees memory then is aborted.
#[derive(Debug)]
pub struct DeviceThread {
    /// The thread, until it has been found to be over.
    handle: Mutex<Option<JoinHandle<()>>>,
    last_words: LastWords,
}

impl DeviceThread {
    /// Starts a thread that does `work`.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(work: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        hear_panics();
        let last_words = LastWords::default();
        let there = last_words.clone();
        let handle = Builder::new().name("device".into()).spawn(move || {
            let _ = LAST_WORDS.with(|words| words.set(there));
            work();
        })?;
        Ok(Self {
            handle: Mutex::new(Some(handle)),
            last_words,
        })
    }

    /// Waits for what the thread is to send.
    ///
    /// # Errors
    ///
    /// If it never will, since it panicked or lost its device: why, in words.
    pub fn wait<R>(&self, answer: &Receiver<R>) -> Result<R, String> {
        loop {
            match answer.recv_timeout(LOOK) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(words) = self.last_words.get() {
                        return Err(words.clone());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.end()),
            }
        }
    }

    /// What a thread that is over said last.
    fn end(&self) -> String {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        match handle.map(JoinHandle::join) {
            Some(Err(payload)) => format!("the network's device failed: {}", explain_panic(payload.as_ref())),
            _ => "the thread of the network has ended".into(),
        }
    }
}

impl Drop for DeviceThread {
    fn drop(&mut self) {
        let handle = self.handle.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(handle) = handle else { return };
        let start = Instant::now();
        // One whose device is lost has stopped for good.
        while !handle.is_finished() && self.last_words.get().is_none() && start.elapsed() < END {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a panic of dfdx's or cudarc's means, and what to do about it.
fn explain_panic(payload: &(dyn Any + Send)) -> String {
    let text = panic_text(payload);
    let Some(code) = driver_code(text) else {
        return text.into();
    };
    if code == OUT_OF_MEMORY {
        return NO_MEMORY_LEFT.into();
    }
    format!(
        "the NVIDIA driver reports {code}, and does so until the program ends: start it again, and see with \
         `nvidia-smi` whether the GPU still answers"
    )
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("it does not say why")
}

/// The driver's code in the text of a panic.
fn driver_code(text: &str) -> Option<&str> {
    let code = &text[text.find(DRIVER_CODE)?..];
    let end = code.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    Some(&code[..end.unwrap_or(code.len())])
}

/// Does `work`, and prints nothing where it panics.
#[cfg(feature = "cuda")]
pub(crate) fn quietly<R>(work: impl FnOnce() -> R) -> thread::Result<R> {
    hear_panics();
    QUIET.set(true);
    let result = panic::catch_unwind(panic::AssertUnwindSafe(work));
    QUIET.set(false);
    result
}

/// From here on panics on a device's thread that quote the driver print nothing, as they become errors; and those that
/// say that the device is lost do not unwind. Memory that lacks is given back by unwinding: that goes well.
fn hear_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !hear(info) {
                before(info);
            }
        }));
    });
}

/// Whether all is said and done about a panic. The thread of a device that is lost stays here.
fn hear(info: &PanicHookInfo<'_>) -> bool {
    let words = LAST_WORDS.try_with(|words| words.get().cloned()).ok().flatten();
    match (words, driver_code(panic_text(info.payload()))) {
        (Some(_), Some(OUT_OF_MEMORY)) => true,
        (Some(words), Some(_)) => {
            let _ = words.set(format!(
                "the network's device failed: {}",
                explain_panic(info.payload())
            ));
            loop {
                thread::park();
            }
        }
        _ => QUIET.try_with(Cell::get).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Panics as cudarc does where memory cannot be freed.
    struct Memory(&'static str);

    impl Drop for Memory {
        fn drop(&mut self) {
            panic!(
                "called `Result::unwrap()` on an `Err` value: DriverError({}, \"\")",
                self.0
            );
        }
    }

    fn last_words(work: impl FnOnce() + Send + 'static) -> String {
        let (sender, receiver) = channel::<()>();
        let thread = DeviceThread::start(move || {
            let _sender = sender;
            work();
        });
        thread.unwrap().wait(&receiver).unwrap_err()
    }

    const ALONE: &str = "NN_TEST_LOSES_ITS_DEVICE";

    /// Runs itself once more: the harness sets hooks, see above.
    #[test]
    fn a_lost_device_is_an_error_although_nothing_can_be_freed() {
        if std::env::var_os(ALONE).is_some() {
            let lost = || Memory("CUDA_ERROR_LAUNCH_FAILED");
            let words = last_words(move || drop((lost(), lost())));
            std::process::exit(if words.contains("reports CUDA_ERROR_LAUNCH_FAILED,") {
                7
            } else {
                8
            });
        }
        let mut test = std::process::Command::new(std::env::current_exe().expect("the path of this program"));
        let name = "device_thread::tests::a_lost_device_is_an_error_although_nothing_can_be_freed";
        let output = test.args(["--exact", name]).env(ALONE, "1").output();
        let output = output.expect("the test started again");
        assert_eq!(output.status.code(), Some(7), "{output:?}");
    }

    #[test]
    fn memory_that_lacks_is_told_from_other_panics() {
        let words = last_words(|| drop(Memory(OUT_OF_MEMORY)));
        assert!(words.ends_with(NO_MEMORY_LEFT), "{words}");
        let words = last_words(|| panic!("no such layer"));
        assert!(words.ends_with("failed: no such layer"), "{words}");
        assert!(last_words(|| ()).contains("has ended"));
    }

    #[test]
    fn it_has_given_everything_back_when_it_is_dropped() {
        struct Slow(Arc<OnceLock<()>>);
        impl Drop for Slow {
            fn drop(&mut self) {
                thread::sleep(Duration::from_millis(50));
                let _ = self.0.set(());
            }
        }
        let freed = Arc::new(OnceLock::new());
        let memory = Slow(freed.clone());
        drop(DeviceThread::start(move || drop(memory)).unwrap());
        assert!(freed.get().is_some());
    }

    #[test]
    fn answers_come() {
        let (sender, receiver) = channel();
        let thread = DeviceThread::start(move || sender.send(7).unwrap()).unwrap();
        assert_eq!(thread.wait(&receiver), Ok(7));
    }
}
