//! Vectors of floats, and the few operations on them that the kernels need, for each set of instructions.

/// A vector of floats and the few operations that the kernels need.
///
/// A value of an implementing type is a proof that this machine has the instructions: only
/// `dispatch!` makes one, after it has checked. So the methods are safe to call, and the kernels
/// contain no `unsafe`.
pub(crate) trait Simd: Copy {
    /// Floats in a vector.
    const LANES: usize;
    /// Rows of a register tile, see `conv::tile`: with `TILE_PANELS` panels of sums for each, as many
    /// as the registers hold.
    const TILE_ROWS: usize;
    /// Panels of 16 outputs in a register tile.
    const TILE_PANELS: usize;
    type Vector: Copy;

    /// The first `LANES` floats.
    fn load(self, from: &[f32]) -> Self::Vector;
    /// Overwrites the first `LANES` floats.
    fn store(self, vector: Self::Vector, to: &mut [f32]);
    fn splat(self, value: f32) -> Self::Vector;
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `c - a * b`
    fn mul_sub_from(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// Asks for the cache line `ahead` floats after `from`, which need not exist.
    fn prefetch(self, from: &f32, ahead: usize);
    /// The floats of both in turn, `a[0], b[0], a[1], b[1], ...`, as two vectors.
    fn interleave(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2];

    /// `a * b + c` of scalars, for loops that the compiler vectorises.
    #[inline(always)]
    fn mul_add_scalar(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// Floats in the widest vector of any path. Buffers are padded to it, so that their layout does not
/// depend on the path.
pub(crate) const MAX_LANES: usize = 16;

/// Whether every machine of the target multiplies and adds in one instruction. Elsewhere
/// `f32::mul_add` is a slow library call.
const BASELINE_FMA: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// Four floats in plain Rust: one SSE or NEON register.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Simd for Portable {
    const LANES: usize = 4;
    const TILE_ROWS: usize = 2;
    const TILE_PANELS: usize = 1;
    type Vector = [f32; 4];

    #[inline(always)]
    fn load(self, from: &[f32]) -> [f32; 4] {
        [from[0], from[1], from[2], from[3]]
    }

    #[inline(always)]
    fn store(self, vector: [f32; 4], to: &mut [f32]) {
        to[..4].copy_from_slice(&vector);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 4] {
        [value; 4]
    }

    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }

    #[inline(always)]
    fn sub(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]]
    }

    #[inline(always)]
    fn mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]]
    }

    #[inline(always)]
    fn mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        [
            Self::mul_add_scalar(a[0], b[0], c[0]),
            Self::mul_add_scalar(a[1], b[1], c[1]),
            Self::mul_add_scalar(a[2], b[2], c[2]),
            Self::mul_add_scalar(a[3], b[3], c[3]),
        ]
    }

    #[inline(always)]
    fn mul_sub_from(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        self.mul_add([-a[0], -a[1], -a[2], -a[3]], b, c)
    }

    #[inline(always)]
    fn prefetch(self, _from: &f32, _ahead: usize) {}

    #[inline(always)]
    fn interleave(self, a: [f32; 4], b: [f32; 4]) -> [[f32; 4]; 2] {
        [[a[0], b[0], a[1], b[1]], [a[2], b[2], a[3], b[3]]]
    }

    #[inline(always)]
    fn mul_add_scalar(a: f32, b: f32, c: f32) -> f32 {
        if BASELINE_FMA { a.mul_add(b, c) } else { a * b + c }
    }
}

/// Implements [`Simd`] with the intrinsics of an x86 vector type.
#[cfg(target_arch = "x86_64")]
macro_rules! x86_simd {
    (
        $name:ident = $vector:ident,
        LANES = $lanes:literal, TILE_ROWS = $rows:literal, TILE_PANELS = $panels:literal,
        $load:ident, $store:ident, $splat:ident,
        $add:ident, $sub:ident, $mul:ident, $fma:ident, $fnma:ident, $interleave:ident
    ) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name {
            _proof: (),
        }

        impl $name {
            /// # Safety
            /// This machine must have the instructions.
            pub(crate) unsafe fn new() -> Self {
                Self { _proof: () }
            }
        }

        impl Simd for $name {
            const LANES: usize = $lanes;
            const TILE_ROWS: usize = $rows;
            const TILE_PANELS: usize = $panels;
            type Vector = std::arch::x86_64::$vector;

            #[inline(always)]
            fn load(self, from: &[f32]) -> Self::Vector {
                let from = &from[..$lanes];
                // SAFETY: `self` proves the instructions; the slice has a vector's length and needs
                // no alignment.
                unsafe { std::arch::x86_64::$load(from.as_ptr()) }
            }

            #[inline(always)]
            fn store(self, vector: Self::Vector, to: &mut [f32]) {
                let to = &mut to[..$lanes];
                // SAFETY: as for `load`.
                unsafe { std::arch::x86_64::$store(to.as_mut_ptr(), vector) }
            }

            #[inline(always)]
            fn splat(self, value: f32) -> Self::Vector {
                // SAFETY: `self` proves the instructions.
                unsafe { std::arch::x86_64::$splat(value) }
            }

            #[inline(always)]
            fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
                // SAFETY: `self` proves the instructions.
                unsafe { std::arch::x86_64::$add(a, b) }
            }

            #[inline(always)]
            fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
                // SAFETY: `self` proves the instructions.
                unsafe { std::arch::x86_64::$sub(a, b) }
            }

            #[inline(always)]
            fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
                // SAFETY: `self` proves the instructions.
                unsafe { std::arch::x86_64::$mul(a, b) }
            }

            #[inline(always)]
            fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
                // SAFETY: `self` proves the instructions.
                unsafe { std::arch::x86_64::$fma(a, b, c) }
            }

            #[inline(always)]
            fn mul_sub_from(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
                // SAFETY: `self` proves the instructions.
                unsafe { std::arch::x86_64::$fnma(a, b, c) }
            }

            #[inline(always)]
            fn prefetch(self, from: &f32, ahead: usize) {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                let line: *const f32 = from;
                // SAFETY: every machine of the target has the instruction, and it never fails, whatever the address.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(ahead).cast()) }
            }

            #[inline(always)]
            fn interleave(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2] {
                // SAFETY: `self` proves the instructions.
                unsafe { $interleave(a, b) }
            }
        }
    };
}

// 16 registers: 6 rows x 2 vectors of sums, 2 vectors of weights and a value of the row.
#[cfg(target_arch = "x86_64")]
x86_simd! {
    Avx2 = __m256, LANES = 8, TILE_ROWS = 6, TILE_PANELS = 1,
    _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps,
    _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps,
    interleave_256
}
// 32 registers: 8 rows x 3 vectors of sums, 3 vectors of weights and a value of the row.
#[cfg(target_arch = "x86_64")]
x86_simd! {
    Avx512 = __m512, LANES = 16, TILE_ROWS = 8, TILE_PANELS = 3,
    _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps,
    _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps, _mm512_fmadd_ps, _mm512_fnmadd_ps,
    interleave_512
}

/// AVX2 interleaves within the halves of a vector; then the halves change places.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn interleave_256(a: std::arch::x86_64::__m256, b: std::arch::x86_64::__m256) -> [std::arch::x86_64::__m256; 2] {
    use std::arch::x86_64::{_mm256_permute2f128_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps};
    let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    [
        _mm256_permute2f128_ps::<0x20>(low, high),
        _mm256_permute2f128_ps::<0x31>(low, high),
    ]
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn interleave_512(a: std::arch::x86_64::__m512, b: std::arch::x86_64::__m512) -> [std::arch::x86_64::__m512; 2] {
    use std::arch::x86_64::{_mm512_permutex2var_ps, _mm512_setr_epi32};
    // Places 16 and above are those of b.
    let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    [_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b)]
}
