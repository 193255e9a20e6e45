//! What makes and checks the networks of [`Lpips`](metrics::Lpips). Nothing of it is needed to compute a distance.
//!
//! - [`training`]: the embedded network is trained to tell classes of images apart; the program `train-backbone`.
//! - [`weights`]: the published networks are downloaded, checked and imported; the program `lpips-weights`.
//! - [`study`]: images are spoiled in known ways and measured; the program `lpips-study`.

pub mod study;
pub mod training;
pub mod weights;
