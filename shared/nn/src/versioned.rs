//! A value derived from something that seldom changes, made again only when it has.

use std::sync::{Arc, Mutex, PoisonError};

/// Holds the value made for one key: a parameter's version, an image's size. Sampling calls a layer thousands of times
/// with the same weights on images of one size; training changes the weights at each step.
#[derive(Debug)]
pub struct Versioned<V, K = u64>(Mutex<Option<(K, Arc<V>)>>);

impl<V, K> Default for Versioned<V, K> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<V, K: PartialEq> Versioned<V, K> {
    /// The value for `key`, from `make` where the one at hand is for another.
    pub fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        match self.try_get(key, || Ok::<V, std::convert::Infallible>(make())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The same where making the value can fail.
    ///
    /// # Errors
    ///
    /// That of `make`.
    pub fn try_get<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        // A panic while making a value leaves the old one in place, which is still right for its key.
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_for, value)) = slot.as_ref()
            && *made_for == key
        {
            return Ok(value.clone());
        }
        let value = Arc::new(make()?);
        *slot = Some((key, value.clone()));
        Ok(value)
    }
}
