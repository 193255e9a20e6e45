//! The matrices of F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3), as the few operations that they are.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::simd::Simd;

/// F(m x m, 3 x 3) by its one-dimensional transforms; `A` is m + 2.
pub(super) trait Winograd<const M: usize, const A: usize> {
    /// `G`, which transforms the kernel.
    const G: [[f32; 3]; A];

    /// `B' x`, of the input.
    fn input<S: Simd>(simd: S, x: [S::Vector; A]) -> [S::Vector; A];
    /// `A' x`, of the products.
    fn output<S: Simd>(simd: S, x: [S::Vector; A]) -> [S::Vector; M];
    /// `A y`, of the output's gradient.
    fn output_grad<S: Simd>(simd: S, y: [S::Vector; M]) -> [S::Vector; A];
}

/// m = 2, by the values of polynomials at 0, 1, -1 and infinity.
pub(super) struct F2;

impl Winograd<2, 4> for F2 {
    const G: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

    #[inline(always)]
    fn input<S: Simd>(simd: S, [x0, x1, x2, x3]: [S::Vector; 4]) -> [S::Vector; 4] {
        [simd.sub(x0, x2), simd.add(x1, x2), simd.sub(x2, x1), simd.sub(x3, x1)]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, [x0, x1, x2, x3]: [S::Vector; 4]) -> [S::Vector; 2] {
        [simd.add(simd.add(x0, x1), x2), simd.add(simd.sub(x1, x2), x3)]
    }

    #[inline(always)]
    fn output_grad<S: Simd>(simd: S, [y0, y1]: [S::Vector; 2]) -> [S::Vector; 4] {
        [y0, simd.add(y0, y1), simd.sub(y0, y1), y1]
    }
}

/// m = 4, at 0, +-p, +-q and infinity with p = 1 / sqrt 2 and q = sqrt 2. The usual points 1 and 2 need powers up to 8
/// where these need 2.8, and lose twice the digits.
pub(super) struct F4;

const P: f32 = FRAC_1_SQRT_2;
const Q: f32 = SQRT_2;
/// p^2 and q^2; their product is 1.
const PP: f32 = 0.5;
const QQ: f32 = 2.0;

impl Winograd<4, 6> for F4 {
    /// Rows `(1, x, x^2) / product over the other points z of (x - z)`.
    const G: [[f32; 3]; 6] = [
        [1.0, 0.0, 0.0],
        [-2.0 / 3.0, -2.0 / 3.0 * P, -1.0 / 3.0],
        [-2.0 / 3.0, 2.0 / 3.0 * P, -1.0 / 3.0],
        [1.0 / 6.0, 1.0 / 6.0 * Q, 1.0 / 3.0],
        [1.0 / 6.0, -1.0 / 6.0 * Q, 1.0 / 3.0],
        [0.0, 0.0, 1.0],
    ];

    /// The coefficients of `product over the other points z of (x - z)`, even and odd ones apart; for 0 and infinity
    /// `x^4 - 5/2 x^2 + 1` and x times that.
    #[inline(always)]
    fn input<S: Simd>(simd: S, [x0, x1, x2, x3, x4, x5]: [S::Vector; 6]) -> [S::Vector; 6] {
        let (pp, qq, sum) = (simd.splat(PP), simd.splat(QQ), simd.splat(PP + QQ));
        let (p, q) = (simd.splat(P), simd.splat(Q));
        let even_p = simd.mul_sub_from(qq, x2, x4);
        let odd_p = simd.mul_sub_from(qq, x1, x3);
        let even_q = simd.mul_sub_from(pp, x2, x4);
        let odd_q = simd.mul_sub_from(pp, x1, x3);
        [
            simd.add(x0, simd.mul_sub_from(sum, x2, x4)),
            simd.mul_add(p, odd_p, even_p),
            simd.mul_sub_from(p, odd_p, even_p),
            simd.mul_add(q, odd_q, even_q),
            simd.mul_sub_from(q, odd_q, even_q),
            simd.add(x1, simd.mul_sub_from(sum, x3, x5)),
        ]
    }

    /// Row i: the i-th powers of the points; infinity counts for the highest alone.
    #[inline(always)]
    fn output<S: Simd>(simd: S, [x0, x1, x2, x3, x4, x5]: [S::Vector; 6]) -> [S::Vector; 4] {
        let (sum_p, sum_q) = (simd.add(x1, x2), simd.add(x3, x4));
        // Differences times p and q.
        let diff_p = simd.mul(simd.splat(P), simd.sub(x1, x2));
        let diff_q = simd.mul(simd.splat(Q), simd.sub(x3, x4));
        let (pp, qq) = (simd.splat(PP), simd.splat(QQ));
        [
            simd.add(x0, simd.add(sum_p, sum_q)),
            simd.add(diff_p, diff_q),
            simd.mul_add(pp, sum_p, simd.mul(qq, sum_q)),
            simd.mul_add(pp, diff_p, simd.mul_add(qq, diff_q, x5)),
        ]
    }

    #[inline(always)]
    fn output_grad<S: Simd>(simd: S, [y0, y1, y2, y3]: [S::Vector; 4]) -> [S::Vector; 6] {
        let (pp, qq) = (simd.splat(PP), simd.splat(QQ));
        let (p, q) = (simd.splat(P), simd.splat(Q));
        let (even_p, odd_p) = (simd.mul_add(pp, y2, y0), simd.mul_add(pp, y3, y1));
        let (even_q, odd_q) = (simd.mul_add(qq, y2, y0), simd.mul_add(qq, y3, y1));
        [
            y0,
            simd.mul_add(p, odd_p, even_p),
            simd.mul_sub_from(p, odd_p, even_p),
            simd.mul_add(q, odd_q, even_q),
            simd.mul_sub_from(q, odd_q, even_q),
            y3,
        ]
    }
}

/// A one-dimensional transform of all columns, then of all rows: `$x` is the vector in row `$r` and column `$c` of what
/// is transformed, and `$use` is done with each row `$row` of the result, whose values are `$values`.
///
/// `$columns` is room for the transformed columns. It comes from outside, since it is as large as all that is
/// transformed, and Rust would fill it with zeros at each use. A macro and no function that takes a closure: a closure
/// is compiled without the path's vector instructions unless it is inlined, which nobody promises.
macro_rules! both_ways {
    (
        $simd:ident, $one_way:expr, $columns:ident,
        ($r:ident, $c:ident) => $x:expr, $from:tt,
        ($row:ident, $values:ident) => $use:block
    ) => {{
        for ($c, to) in $columns.iter_mut().enumerate() {
            let mut column = [$simd.splat(0.0); $from];
            for ($r, x) in column.iter_mut().enumerate() {
                *x = $x;
            }
            *to = $one_way($simd, column);
        }
        for $row in 0..$columns[0].len() {
            let mut row = [$simd.splat(0.0); $from];
            for (x, column) in row.iter_mut().zip(&$columns) {
                *x = column[$row];
            }
            let $values = $one_way($simd, row);
            $use
        }
    }};
}
pub(super) use both_ways;

/// `G g`
#[inline(always)]
pub(super) fn kernel<S: Simd, W: Winograd<M, A>, const M: usize, const A: usize>(
    simd: S,
    [g0, g1, g2]: [S::Vector; 3],
) -> [S::Vector; A] {
    let mut u = [simd.splat(0.0); A];
    for (u, g) in u.iter_mut().zip(W::G) {
        let sum = simd.mul_add(simd.splat(g[1]), g1, simd.mul(simd.splat(g[2]), g2));
        *u = simd.mul_add(simd.splat(g[0]), g0, sum);
    }
    u
}

/// `G' u`
#[inline(always)]
pub(super) fn kernel_grad<S: Simd, W: Winograd<M, A>, const M: usize, const A: usize>(
    simd: S,
    u: [S::Vector; A],
) -> [S::Vector; 3] {
    let mut g = [simd.splat(0.0); 3];
    for (row, u) in W::G.iter().zip(u) {
        for (g, factor) in g.iter_mut().zip(row) {
            *g = simd.mul_add(simd.splat(*factor), u, *g);
        }
    }
    g
}
