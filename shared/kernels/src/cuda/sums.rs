//! Sums over everything: losses and their gradients, norms of gradients. And sums over the pixels of a map.

use cudarc::driver::DeviceSlice;

use crate::cuda::{Address, Buffer, Kernels, Launched, check, index, small, threads_for};

const THREADS: usize = 256;

/// Numbers that make up a [`Kernels::sum_of_squares`].
pub const PARTS: usize = 32;

/// Blocks that share a sum of `count` values.
fn blocks(count: usize) -> usize {
    count.div_ceil(4 * THREADS).clamp(1, 64)
}

impl Kernels {
    /// The sum of each of so many `maps`: `[maps, pixels] -> [maps]`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn sum_pixels(&self, maps: usize, x: &Buffer) -> Launched<Buffer> {
        let pixels = x.len() / maps.max(1);
        check("whole maps", maps * pixels, x);
        let mut sums = self.take(maps)?;
        // SAFETY: sum_pixels(x, sums, pixels), one block for each map.
        unsafe {
            let parameters = (x, &mut sums, small::<i32>(pixels));
            self.launch("sum_pixels", [maps, 1, 1], threads_for(pixels), parameters)?;
        }
        Ok(sums)
    }

    /// `sum(x v)`, one number.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn dot(&self, x: &Buffer, v: &Buffer) -> Launched<Buffer> {
        check("the second factor", x.len(), v);
        let blocks = blocks(x.len());
        let mut partial = self.take(blocks)?;
        // SAFETY: dot_product(x, v, partial, count), whose blocks write one number each.
        unsafe {
            let parameters = (x, v, &mut partial, index(x.len()));
            self.launch("dot_product", [blocks, 1, 1], THREADS, parameters)?;
        }
        self.sum_up(&partial, 1.0)
    }

    /// `mean(w_i (x - target)^2)` over all values, image `i` having the weight `w_i`: one number.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn mean_squared_error(&self, x: &Buffer, target: &Buffer, weights: &Buffer) -> Launched<Buffer> {
        let (count, each) = (x.len(), x.len() / weights.len().max(1));
        check("whole images", each * weights.len(), x);
        check("the target", count, target);
        let blocks = blocks(count);
        let mut partial = self.take(blocks)?;
        // SAFETY: weighted_squares(x, target, w, partial, each, count), whose blocks write one number each.
        unsafe {
            let parameters = (x, target, weights, &mut partial, index(each), index(count));
            self.launch("weighted_squares", [blocks, 1, 1], THREADS, parameters)?;
        }
        self.sum_up(&partial, 1.0 / count as f32)
    }

    fn sum_up(&self, partial: &Buffer, factor: f32) -> Launched<Buffer> {
        let mut total = self.take(1)?;
        // SAFETY: sum_up(partial, total, factor, count), one block.
        unsafe {
            let parameters = (partial, &mut total, factor, small::<i32>(partial.len()));
            self.launch("sum_up", [1, 1, 1], 64, parameters)?;
        }
        Ok(total)
    }

    /// Adds the gradient of [`Kernels::dot`] with respect to `x`, where that of the result is the one number in `d`.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn add_dot_gradient(&self, v: &Buffer, d: &Buffer, dx: &mut Buffer) -> Launched {
        check("the gradient", v.len(), dx);
        check("the gradient of a number", 1, d);
        // SAFETY: add_product(v, d, dx, count), one thread for each value.
        unsafe { self.for_each("add_product", v.len(), (v, d, dx, index(v.len()))) }
    }

    /// The same for [`Kernels::mean_squared_error`].
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn add_mean_squared_error_gradient(
        &self,
        x: &Buffer,
        target: &Buffer,
        weights: &Buffer,
        d: &Buffer,
        dx: &mut Buffer,
    ) -> Launched {
        let (count, each) = (x.len(), x.len() / weights.len().max(1));
        check("whole images", each * weights.len(), x);
        check("the target", count, target);
        check("the gradient", count, dx);
        check("the gradient of a number", 1, d);
        let factor = 2.0 / count as f32;
        // SAFETY: add_weighted_differences(x, target, w, d, dx, factor, each, count), one thread for each value.
        unsafe {
            let parameters = (x, target, weights, d, dx, factor, index(each), index(count));
            self.for_each("add_weighted_differences", count, parameters)
        }
    }

    /// Writes `sum(x^2)`, as [`PARTS`] numbers of which it is the sum, to `sums` from number `PARTS place` on.
    ///
    /// # Panics
    ///
    /// If `sums` ends before.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn sum_of_squares(&self, x: &Buffer, sums: &mut Buffer, place: usize) -> Launched {
        assert!(
            (place + 1) * PARTS <= sums.len(),
            "place {place} of {} numbers",
            sums.len()
        );
        // SAFETY: sum_of_squares(x, partial, count), whose `PARTS` blocks write one number each; as many lie in `sums`
        // behind that address.
        unsafe {
            let parameters = (x, Address::of(sums).plus(place * PARTS), index(x.len()));
            self.launch("sum_of_squares", [PARTS, 1, 1], THREADS, parameters)
        }
    }

    /// `x *= factor`.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn scale(&self, x: &mut Buffer, factor: f32) -> Launched {
        let count = x.len();
        // SAFETY: scale(x, factor, count), one thread for each value.
        unsafe { self.for_each("scale", count, (x, factor, index(count))) }
    }
}
