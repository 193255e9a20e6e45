//! A value derived from a parameter, made again only when the parameter has changed.

use std::sync::{Arc, Mutex, PoisonError};

/// Holds the value made at one version of a parameter. Sampling calls a layer thousands of times with the same
/// weights; training changes them at each step.
#[derive(Debug)]
pub struct Versioned<V>(Mutex<Option<(u64, Arc<V>)>>);

impl<V> Default for Versioned<V> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<V> Versioned<V> {
    /// The value for `version`, from `make` where the one at hand is older.
    pub fn get(&self, version: u64, make: impl FnOnce() -> V) -> Arc<V> {
        // A panic while making a value leaves the old one in place, which is still right for its version.
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_at, value)) = slot.as_ref()
            && *made_at == version
        {
            return value.clone();
        }
        let value = Arc::new(make());
        *slot = Some((version, value.clone()));
        value
    }
}
