//! Turns a wrong array into a sentence.
//!
//! A public test knows the right array, and it knows which mistakes are likely. [`Check`] compares a student's array
//! with the right one; where they differ it looks for the reason: one of the mistakes that the test lists, a missing
//! factor, a flipped sign, images of the batch in the wrong order, wrong coefficients of otherwise right terms. What it
//! finds becomes the text of the failing test.
//!
//! ```
//! use checks::Check;
//! use ndarray::Array4;
//!
//! let x = Array4::from_shape_fn((2, 1, 2, 2), |(b, _, i, j)| (4 * b + 2 * i + j) as f32 - 3.0);
//! let expected = &x * 0.5f32.sqrt();
//! let verdict = Check::new("shrink(x, alpha)", &expected)
//!     .formula("sqrt(alpha) x")
//!     .quantity("alpha", 0.5)
//!     .suspect(&x, "x came back unchanged")
//!     .diagnose(&(&x * 0.5));
//! assert!(verdict.unwrap_err().contains("off by a factor of sqrt(alpha)"));
//! ```
//!
//! [`Moments`] does the same for samples, of which only mean and covariance are known: [`expect_moments`].
//!
//! The crate is for tests and for the grader's checks. It knows nothing of diffusion; the sentences that do are in the
//! tests.

mod array;
mod moments;

pub use array::{Check, expect_close};
pub use moments::{Expected, Moments, check_moments, expect_moments};
