//! Two runs with one seed, whose noise drops out of their difference.

use checks::Fault;
use ndarray::Array4;

/// The same moment of two runs with one seed, which start from images that differ: what came, and what should have but
/// for the noise, which both have alike.
pub(super) struct Pair {
    /// Where it is.
    pub at: String,
    /// What came in either run.
    pub got: [Array4<f32>; 2],
    /// What should have come, without the noise.
    pub right: [Array4<f32>; 2],
}

/// The noise drops out of the difference of two runs, whatever the order is in which it is drawn: the rest is exact.
///
/// - `what`: what they differ in, and by what they should, for messages
pub(super) fn check_pairs(function: &str, what: &str, pairs: &[Pair]) -> Result<(), Fault> {
    for Pair { at, got, right } in pairs {
        let (came, expected) = (&got[0] - &got[1], &right[0] - &right[1]);
        let size = got.iter().flatten().fold(1.0f32, |m, v| m.max(v.abs()));
        let Some((place, value)) = came
            .indexed_iter()
            .find(|(place, value)| (**value - expected[*place]).abs() > 2e-5 * size || value.is_nan())
        else {
            continue;
        };
        return Err(Fault::new(format!(
            "{function}: two runs with one seed, {what}; at {at} they do not"
        ))
        .fact("the noise of both is the same, and drops out of the difference")
        .fact(format!(
            "[image, channel, row, column] {place:?}: they differ by {value:.6}, expected {:.6}",
            expected[place]
        )));
    }
    Ok(())
}
