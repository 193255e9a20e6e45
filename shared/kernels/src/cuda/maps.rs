//! What moves the values of maps, or adds them.

use cudarc::driver::DeviceSlice;

use crate::channels_last::Onto;
use crate::cuda::{Address, Buffer, Kernels, Launched, check, check_any, index};

/// Where a kernel that writes `y` finds what it adds: there, or nowhere.
fn address_to_add(onto: Onto, y: &Buffer) -> Address {
    match onto {
        Onto::Overwrite => Address(0),
        Onto::Add => Address::of(y),
    }
}

impl Kernels {
    /// `x + y`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn add(&self, x: &Buffer, y: &Buffer) -> Launched<Buffer> {
        check("what is added", x.len(), y);
        let mut sum = self.take(x.len())?;
        // SAFETY: add_maps(x, y, out, count), one thread for each value.
        unsafe { self.for_each("add_maps", x.len(), (x, y, &mut sum, index(x.len())))? };
        Ok(sum)
    }

    /// `x += y`.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn add_assign(&self, x: &mut Buffer, y: &Buffer) -> Launched {
        check("what is added", x.len(), y);
        // SAFETY: add_maps(x, y, out, count), one thread for each value, which reads it before it writes it.
        unsafe { self.for_each("add_maps", x.len(), (Address::of(x), y, Address::of(x), index(x.len()))) }
    }

    /// The channels of `x` and then those of `y`, image by image.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn join_channels(&self, batch: usize, x: &Buffer, y: &Buffer) -> Launched<Buffer> {
        let (part_x, part_y) = (x.len() / batch.max(1), y.len() / batch.max(1));
        check("the first map", batch * part_x, x);
        check("the second map", batch * part_y, y);
        let count = x.len() + y.len();
        let mut joined = self.take(count)?;
        // SAFETY: join_channels(x, y, joined, part_x, part_y, count), one thread for each value that is written.
        unsafe {
            let parameters = (x, y, &mut joined, index(part_x), index(part_y), index(count));
            self.for_each("join_channels", count, parameters)?;
        }
        Ok(joined)
    }

    /// Of each image of `joined` the `part` values from value `first` on; plus `add`, which has the shape of the
    /// result.
    ///
    /// # Panics
    ///
    /// If an image has not so many values; as all here, if the length of a buffer is wrong.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn take_channels(
        &self,
        batch: usize,
        joined: &Buffer,
        first: usize,
        part: usize,
        add: Option<&Buffer>,
    ) -> Launched<Buffer> {
        let (whole, count) = (joined.len() / batch.max(1), batch * part);
        assert!(first + part <= whole, "{part} values from {first} on, of {whole}");
        check("a joined map", batch * whole, joined);
        check_any("what is added", count, add);
        let mut out = self.take(count)?;
        let [whole, first, part] = [whole, first, part].map(index);
        // SAFETY: take_channels(joined, add, out, whole, first, part, count), one thread for each value that is
        // written; what it reads lies inside of an image.
        unsafe {
            let parameters = (joined, Address::of_any(add), &mut out, whole, first, part, index(count));
            self.for_each("take_channels", count, parameters)?;
        }
        Ok(out)
    }

    /// Maps of `height` rows and `width` columns, each pixel twice in both directions.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn upsample(&self, size: [usize; 2], x: &Buffer) -> Launched<Buffer> {
        self.repeat_pixels(size, 1.0, x, None)
    }

    /// The gradient of that, in rows of `width`; plus `add`, which has the shape of the result.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn upsample_gradient(&self, width: usize, dy: &Buffer, add: Option<&Buffer>) -> Launched<Buffer> {
        self.sum_blocks(width, 1.0, dy, add)
    }

    /// The means of 2x2 pixels, in rows of `width`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn average_pool(&self, width: usize, x: &Buffer) -> Launched<Buffer> {
        self.sum_blocks(width, 0.25, x, None)
    }

    /// The gradient of that, for means in `height` rows and `width` columns; plus `add`, which has the shape of the
    /// result.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn average_pool_gradient(&self, size: [usize; 2], dy: &Buffer, add: Option<&Buffer>) -> Launched<Buffer> {
        self.repeat_pixels(size, 0.25, dy, add)
    }

    fn repeat_pixels(
        &self,
        [height, width]: [usize; 2],
        factor: f32,
        x: &Buffer,
        add: Option<&Buffer>,
    ) -> Launched<Buffer> {
        check("whole maps", x.len() / (height * width) * height * width, x);
        let count = 4 * x.len();
        check_any("what is added", count, add);
        let mut y = self.take(count)?;
        let [height, width] = [height, width].map(index);
        // SAFETY: repeat_pixels(x, add, y, factor, height, width, count), one thread for each value that is written.
        unsafe {
            let parameters = (x, Address::of_any(add), &mut y, factor, height, width, index(count));
            self.for_each("repeat_pixels", count, parameters)?;
        }
        Ok(y)
    }

    fn sum_blocks(&self, width: usize, factor: f32, x: &Buffer, add: Option<&Buffer>) -> Launched<Buffer> {
        let count = x.len() / 4;
        check("whole rows", count / width * 4 * width, x);
        check_any("what is added", count, add);
        let mut y = self.take(count)?;
        // SAFETY: sum_blocks(x, add, y, factor, width, count), one thread for each value that is written.
        unsafe {
            let parameters = (x, Address::of_any(add), &mut y, factor, index(width), index(count));
            self.for_each("sum_blocks", count, parameters)?;
        }
        Ok(y)
    }

    /// Writes maps of so many `pixels`, turned by 180 degrees, to `y`, or adds them.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn half_turn(&self, pixels: usize, x: &Buffer, onto: Onto, y: &mut Buffer) -> Launched {
        let count = x.len();
        check("whole maps", count / pixels * pixels, x);
        check("the result", count, y);
        let add = address_to_add(onto, y);
        // SAFETY: half_turn(x, add, y, pixels, count), one thread for each value of y, which is read before it is
        // written.
        unsafe { self.for_each("half_turn", count, (x, add, y, index(pixels), index(count))) }
    }

    /// `x`, `[.., pixels]`, with a number of `shift`, `[..]`, added to all pixels of each map.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn shift_channels(&self, x: &Buffer, shift: &Buffer) -> Launched<Buffer> {
        let (count, pixels) = (x.len(), x.len() / shift.len().max(1));
        check("whole maps", pixels * shift.len(), x);
        let mut y = self.take(count)?;
        // SAFETY: shift_channels(x, shift, y, pixels, count), one thread for each value.
        unsafe {
            let parameters = (x, shift, &mut y, index(pixels), index(count));
            self.for_each("shift_channels", count, parameters)?;
        }
        Ok(y)
    }

    /// Writes `x`, `[.., factor height, factor width]`, to `y`, `[.., factor factor, height, width]`, or adds it:
    /// blocks of pixels become channels.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn pixel_unshuffle(
        &self,
        [height, width]: [usize; 2],
        factor: usize,
        x: &Buffer,
        onto: Onto,
        y: &mut Buffer,
    ) -> Launched {
        self.move_pixels("pixel_unshuffle", [height, width], factor, x, onto, y)
    }

    /// Writes `x`, `[.., factor factor, height, width]`, to `y`, `[.., factor height, factor width]`, or adds it.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn pixel_shuffle(
        &self,
        [height, width]: [usize; 2],
        factor: usize,
        x: &Buffer,
        onto: Onto,
        y: &mut Buffer,
    ) -> Launched {
        self.move_pixels("pixel_shuffle", [height, width], factor, x, onto, y)
    }

    fn move_pixels(
        &self,
        kernel: &'static str,
        [height, width]: [usize; 2],
        factor: usize,
        x: &Buffer,
        onto: Onto,
        y: &mut Buffer,
    ) -> Launched {
        let (count, block) = (x.len(), height * width * factor * factor);
        check("whole blocks of pixels", count / block * block, x);
        check("the result", count, y);
        let add = address_to_add(onto, y);
        let [height, width, factor] = [height, width, factor].map(index);
        // SAFETY: pixel_unshuffle and pixel_shuffle(x, add, y, height, width, factor, count), one thread for each
        // value, each of which has a place of its own in x and in y and is read before it is written.
        unsafe { self.for_each(kernel, count, (x, add, y, height, width, factor, index(count))) }
    }

    /// `a_i x + b_i y` for each image `i`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn blend(&self, x: &Buffer, a: &Buffer, y: &Buffer, b: &Buffer) -> Launched<Buffer> {
        let (count, each) = (x.len(), x.len() / a.len().max(1));
        check("whole images", each * a.len(), x);
        check("the other images", count, y);
        check("the other coefficients", a.len(), b);
        let mut out = self.take(count)?;
        // SAFETY: blend(x, a, y, b, out, each, count), one thread for each value.
        unsafe { self.for_each("blend", count, (x, a, y, b, &mut out, index(each), index(count)))? };
        Ok(out)
    }

    /// `y += a_i x` for each image `i`.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn add_scaled(&self, x: &Buffer, a: &Buffer, y: &mut Buffer) -> Launched {
        let (count, each) = (x.len(), x.len() / a.len().max(1));
        check("whole images", each * a.len(), x);
        check("what is added to", count, y);
        // SAFETY: add_scaled(x, a, y, each, count), one thread for each value.
        unsafe { self.for_each("add_scaled", count, (x, a, y, index(each), index(count))) }
    }
}
