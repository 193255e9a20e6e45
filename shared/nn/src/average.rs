//! The exponential moving average of a network's parameters.

use crate::backend::Backend;
use crate::parameter::{Parameter, Parameters};

/// `average = decay * average + (1 - decay) * network`, parameter by parameter.
///
/// # Panics
///
/// If the two do not hold parameters of the same shapes in the same order.
///
/// # Errors
///
/// What the device reports.
pub fn update_average<B: Backend>(
    average: &mut dyn Parameters<B>,
    network: &dyn Parameters<B>,
    decay: f64,
) -> Result<(), B::Err> {
    let mut sources: Vec<&Parameter<B>> = Vec::new();
    network.visit("", &mut |_, parameter| sources.push(parameter));
    let mut sources = sources.into_iter();
    let mut result = Ok(());
    average.visit_mut("", &mut |name, parameter| {
        let Some(source) = sources.next() else {
            panic!("the network has no parameter for {name}")
        };
        if result.is_ok() {
            result = B::average_step(parameter, source, decay);
        }
    });
    result
}
