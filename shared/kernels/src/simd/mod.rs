//! SIMD: which instructions this machine has, and a small trait over them.
//!
//! A kernel is written once, as an `#[inline(always)]` function generic over the trait `Simd`. The
//! macro `dispatch!` compiles it for each instruction set and picks one at run time, so that one
//! binary runs everywhere and is fast on AVX-512. Plain loops profit as well: inlined into a function
//! that may use AVX-512, the compiler vectorises them with AVX-512.

mod vector;

use std::fmt;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
pub(crate) use vector::{Avx2, Avx512};
pub(crate) use vector::{MAX_LANES, Portable, Simd};

/// A set of SIMD instructions that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimdPath {
    /// Plain Rust, vectorised by the compiler for the target's baseline (SSE2 on x86-64, NEON on
    /// arm64).
    Portable,
    /// AVX2 with FMA: 8 floats to a vector.
    Avx2,
    /// AVX-512 (F, VL, DQ, BW): 16 floats to a vector.
    Avx512,
}

impl SimdPath {
    /// All paths, the fastest last.
    pub const ALL: [SimdPath; 3] = [SimdPath::Portable, SimdPath::Avx2, SimdPath::Avx512];

    /// Whether this machine can run the path.
    #[must_use]
    pub fn is_supported(self) -> bool {
        match self {
            SimdPath::Portable => true,
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx512 => {
                SimdPath::Avx2.is_supported()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The fastest path of this machine.
    fn detect() -> Self {
        let supported = Self::ALL.into_iter().rev().find(|path| path.is_supported());
        supported.unwrap_or(SimdPath::Portable)
    }
}

impl fmt::Display for SimdPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SimdPath::Portable => "portable",
            SimdPath::Avx2 => "avx2",
            SimdPath::Avx512 => "avx512",
        })
    }
}

/// The path that all kernels take: the fastest that this machine has, or the one that the
/// environment variable `KERNELS_SIMD` (`portable`, `avx2` or `avx512`) asks for. Decided once per
/// process. (The `gemm` crate, behind attention and the fully connected layer, makes a choice of
/// its own.)
pub fn simd_path() -> SimdPath {
    static PATH: OnceLock<SimdPath> = OnceLock::new();
    *PATH.get_or_init(|| {
        let wish = std::env::var("KERNELS_SIMD").ok();
        choose_path(wish.as_deref()).unwrap_or_else(|warning| {
            let path = SimdPath::detect();
            eprintln!("KERNELS_SIMD: {warning}; using {path}");
            path
        })
    })
}

/// The path for a wish from the environment, or why the wish cannot be met.
fn choose_path(wish: Option<&str>) -> Result<SimdPath, String> {
    let Some(wish) = wish else {
        return Ok(SimdPath::detect());
    };
    match SimdPath::ALL.into_iter().find(|path| path.to_string() == wish) {
        Some(path) if path.is_supported() => Ok(path),
        Some(path) => Err(format!("this machine has no {path}")),
        None => Err(format!("\"{wish}\" is none of portable, avx2, avx512")),
    }
}

/// Makes `fn name(path, arguments...)` out of a generic function, which must be `#[inline(always)]`:
/// `fn generic<S: Simd>(simd: S, arguments...)`.
macro_rules! dispatch {
    (
        $(#[$meta:meta])*
        $visibility:vis fn $name:ident = $generic:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?
    ) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $visibility fn $name(path: $crate::simd::SimdPath, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx512(simd: $crate::simd::Avx512, $($arg: $ty),*) $(-> $ret)? {
                $generic(simd, $($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2(simd: $crate::simd::Avx2, $($arg: $ty),*) $(-> $ret)? {
                $generic(simd, $($arg),*)
            }
            use $crate::simd::SimdPath;
            assert!(path.is_supported(), "this machine has no {path}");
            match path {
                SimdPath::Portable => $generic($crate::simd::Portable, $($arg),*),
                // SAFETY: the assertion above says that this machine has the instructions.
                #[cfg(target_arch = "x86_64")]
                SimdPath::Avx2 => unsafe { avx2($crate::simd::Avx2::new(), $($arg),*) },
                // SAFETY: likewise.
                #[cfg(target_arch = "x86_64")]
                SimdPath::Avx512 => unsafe { avx512($crate::simd::Avx512::new(), $($arg),*) },
                #[cfg(not(target_arch = "x86_64"))]
                _ => unreachable!("only supported paths pass the assertion"),
            }
        }
    };
}
pub(crate) use dispatch;

/// The yardstick for the kernels: the GFLOP/s of one thread that only multiplies and adds, in
/// registers, with the instructions of [`simd_path`]. Measured anew at each call (a few
/// milliseconds), as clock rates change.
pub fn fma_peak() -> f64 {
    const STEPS: usize = 200_000;
    let rate = || {
        let start = std::time::Instant::now();
        let flop = fma_loop(simd_path(), STEPS, std::hint::black_box(1e-9));
        flop / start.elapsed().as_secs_f64() / 1e9
    };
    (0..8).map(|_| rate()).fold(0.0, f64::max)
}

dispatch! { fn fma_loop = fma_loop_generic(steps: usize, factor: f32) -> f64 }

/// Twelve independent chains of multiply-adds, enough to hide that each takes four cycles. Returns
/// the number of operations.
#[inline(always)]
fn fma_loop_generic<S: Simd>(simd: S, steps: usize, factor: f32) -> f64 {
    const CHAINS: usize = 12;
    let factor = simd.splat(factor);
    let mut chains = [factor; CHAINS];
    for _ in 0..steps {
        for chain in &mut chains {
            *chain = simd.mul_add(*chain, factor, factor);
        }
    }
    for chain in chains {
        let mut sink = [0.0; MAX_LANES];
        simd.store(chain, &mut sink);
        std::hint::black_box(sink);
    }
    (2 * steps * CHAINS * S::LANES) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_met_or_explained() {
        assert_eq!(choose_path(None), Ok(SimdPath::detect()));
        assert_eq!(choose_path(Some("portable")), Ok(SimdPath::Portable));
        assert!(choose_path(Some("mmx")).unwrap_err().contains("mmx"));
        for path in SimdPath::ALL {
            match choose_path(Some(&path.to_string())) {
                Ok(chosen) => assert!(chosen == path && path.is_supported()),
                Err(why) => assert!(!path.is_supported() && why.contains(&path.to_string())),
            }
        }
    }
}
