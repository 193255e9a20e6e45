//! Turns a wrong array into a sentence that is certain.
//!
//! A test knows what a function should return: a [`Sum`] of known terms, whose coefficients are [`Monomial`]s of named
//! quantities. Where a student's array differs, the coefficients are recovered from it by least squares, and each is
//! looked up among all products of at most three of the quantities. A name counts only if it explains every image of
//! every call to rounding, so that a hint is a proof; where nothing does, the message holds facts alone.
//!
//! ```
//! use checks::{Case, Monomial, Quantity, Sum};
//! use ndarray::Array4;
//!
//! let x = Array4::from_shape_fn((2, 1, 3, 3), |(b, _, i, j)| (7 * b + 2 * i + j * j) as f32 - 3.0);
//! let mut shrink = Sum::new("shrink", "sqrt(alpha) x").term("x", Monomial::of(&[("alpha", 0.5)]));
//! for alpha in [0.2, 0.5, 0.7] {
//!     let quantities = vec![Quantity::plain("alpha", alpha), Quantity::plain("1 - alpha", 1.0 - alpha)];
//!     let got = &x * alpha as f32;
//!     shrink.add(Case::new(format!("alpha = {alpha}"), quantities, vec![x.clone()], got));
//! }
//! let fault = shrink.verdict().unwrap_err();
//! assert!(fault.hint().contains("x is multiplied by alpha; it should be multiplied by sqrt(alpha)"));
//! ```
//!
//! Functions are called through a [`Guard`], which survives panics and loops that never end; an [`Exercise`] is
//! examined
//! once, and what stands on one that is wrong waits. [`Moments`] compares samples with a distribution, of which only
//! mean and covariance are known; [`Check`] two arrays.
//!
//! The crate is for tests and for the grader's checks. It knows nothing of diffusion; the quantities that do are in the
//! tests.

mod array;
mod case;
mod clock;
mod coefficients;
mod exercise;
mod fault;
mod guard;
mod least_squares;
mod lexicon;
mod made;
mod moments;
mod monomial;
mod panics;
mod parts;
mod quantity;
mod search;
mod speed;
mod structure;
mod sum;
mod words;

pub use array::{Check, expect_close};
pub use case::Case;
pub use exercise::Exercise;
pub use fault::Fault;
pub use guard::{FORMULA, Guard, SAMPLER};
pub use lexicon::{Lexicon, Target};
pub use moments::{Expected, Moments, check_moments, expect_moments};
pub use monomial::Monomial;
pub use quantity::{Kind, Quantity};
pub use speed::remark_if_slow;
pub use sum::{Sum, Wording};
