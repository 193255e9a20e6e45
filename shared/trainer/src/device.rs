//! A GPU that fails.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work` on a GPU: a panic there becomes an error, since dfdx panics where a copy from or to the GPU fails.
///
/// # Errors
///
/// Those of `work`.
pub fn without_device_panic(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        anyhow::bail!(
            "the GPU failed: {}; a training goes on from its last checkpoint with --resume",
            panic_text(payload.as_ref())
        )
    })
}

/// What a panic said.
fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("it does not say why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_device_is_an_error_that_says_how_to_go_on() {
        assert!(without_device_panic(|| Ok(())).is_ok());
        let error = without_device_panic(|| panic!("out of memory"));
        let message = error.map_or_else(|error| error.to_string(), |()| "no error".into());
        assert!(
            message.contains("failed: out of memory") && message.contains("--resume"),
            "{message}"
        );
    }
}
