//! Whether what a method draws is the posterior, measured.
//!
//! A reconstruction may look right and be no sample of the posterior: too sure of itself, or biased. No single image
//! tells. But if images are drawn from the prior, measured, and given to a method, then under the true posterior the
//! image that was measured is one more sample among those of the method: whatever is asked of it, its rank among theirs
//! is uniform. That holds without knowing the posterior, so it can be asked of a trained network as well; where the
//! posterior is known, more can be asked.
//!
//! | module | what is in it |
//! |---|---|
//! | [`ranks`] | where true values stood among samples, and whether that is uniform |
//! | [`quantities`] | what is ranked, and what one image tells |
//! | [`summary`] | what many images tell: coverage, TARP, spread and skill |
//! | [`closed_forms`] | priors and operators whose posterior is known |
//! | [`gaussians`] | a mixture of Gaussians, and what a linear measurement makes of it |
//! | [`wasserstein`] | how far two samples are apart |
//! | [`study`] | all of it, of one method on one closed form |
//! | [`chance`] | tails of the laws that the tests rest on |

pub mod chance;
mod cholesky;
pub mod closed_forms;
pub mod gaussians;
pub mod quantities;
pub mod ranks;
pub mod study;
pub mod summary;
pub mod wasserstein;
