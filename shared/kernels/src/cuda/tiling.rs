//! How a convolution is cut up among the blocks of a grid: a function of its sizes alone, so that no result depends on
//! the card or on what else it does.
//!
//! The numbers are those of an H100, with 132 processors, measured over the layers of `fruits64` at batches of 1, 16
//! and 64: about how many blocks of each kind run at the same time there. Other cards are well enough served: their
//! number of processors is of that order, and more blocks than can run wait for their turn.

/// The most tiles whose input channels several blocks share.
pub const MOST_SHARED_TILES: usize = 1024;

/// The channels of packed weights are filled up to a multiple of this.
const PADDING: usize = 48;

/// Channels of packed weights.
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(PADDING)
}

/// A way to compute a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    pub kernel: &'static str,
    /// Output channels of a block.
    pub channels: usize,
    /// Patches of 8x8 pixels of a block, for each of which it has 64 threads.
    pub patches: usize,
    /// Blocks that share the input channels of a tile.
    pub splits: usize,
}

/// A kernel, and when it is worth its while.
struct Kind {
    kernel: &'static str,
    channels: usize,
    patches: usize,
    /// Input channels that it loads at a time.
    at_once: usize,
    /// Blocks beyond which more of them would have to wait.
    enough: usize,
    /// Loads of input channels below which a block would do little but begin and end.
    least_loads: usize,
}

const LARGE3: Kind = Kind {
    kernel: "conv3_large",
    channels: 48,
    patches: 2,
    at_once: 8,
    enough: 528,
    least_loads: 3,
};
const SMALL3: Kind = Kind {
    kernel: "conv3_small",
    channels: 16,
    patches: 1,
    at_once: 8,
    enough: 1320,
    least_loads: 2,
};
const STRIDE2: Kind = Kind {
    kernel: "conv3_stride2",
    ..SMALL3
};
const LARGE1: Kind = Kind {
    kernel: "conv1_large",
    channels: 48,
    patches: 1,
    at_once: 16,
    enough: 800,
    least_loads: 3,
};
const SMALL1: Kind = Kind {
    kernel: "conv1_small",
    channels: 16,
    patches: 1,
    at_once: 16,
    enough: 1320,
    least_loads: 1,
};

/// So many blocks of a large kind must come together, or the small kind is faster.
const WORTH_LARGE_TILES: usize = 384;

impl Kind {
    fn tiling(&self, c_in: usize, c_out: usize, patches: usize) -> Tiling {
        let tiles = patches.div_ceil(self.patches) * c_out.div_ceil(self.channels);
        let loads = c_in.div_ceil(self.at_once);
        let splits = (self.enough / tiles).min(loads / self.least_loads).clamp(1, 12);
        Tiling {
            kernel: self.kernel,
            channels: self.channels,
            patches: self.patches,
            splits,
        }
    }
}

impl Tiling {
    /// That of a convolution with so many `patches` of outputs.
    pub fn of(size: usize, stride: usize, c_in: usize, c_out: usize, patches: usize) -> Self {
        let (large, small) = match (size, stride) {
            (1, _) => (&LARGE1, &SMALL1),
            (_, 1) => (&LARGE3, &SMALL3),
            _ => return STRIDE2.tiling(c_in, c_out, patches),
        };
        // Channels that do not exist are computed as well: not too many of them.
        let little_waste = 3 * c_out.next_multiple_of(48) <= 4 * c_out.next_multiple_of(16);
        let tiling = large.tiling(c_in, c_out, patches);
        if little_waste && tiling.blocks(c_out, patches) >= WORTH_LARGE_TILES {
            return tiling;
        }
        small.tiling(c_in, c_out, patches)
    }

    /// Blocks along each axis of the grid.
    pub fn grid(&self, c_out: usize, patches: usize) -> [usize; 3] {
        [
            patches.div_ceil(self.patches),
            c_out.div_ceil(self.channels),
            self.splits,
        ]
    }

    /// All ways to compute a convolution of that kind, with so many blocks for each tile.
    #[cfg(test)]
    pub fn all(size: usize, stride: usize, splits: usize) -> Vec<Self> {
        let kinds = match (size, stride) {
            (1, _) => vec![LARGE1, SMALL1],
            (_, 1) => vec![LARGE3, SMALL3],
            _ => vec![STRIDE2],
        };
        let tiling = |kind: Kind| Self {
            splits,
            ..kind.tiling(1, 1, 1)
        };
        kinds.into_iter().map(tiling).collect()
    }

    fn blocks(&self, c_out: usize, patches: usize) -> usize {
        self.grid(c_out, patches).iter().product()
    }

    /// Threads of a block.
    pub fn threads(&self) -> usize {
        64 * self.patches
    }

    /// Numbers that the blocks of all shared tiles write for each other; 0 where no tile is shared.
    pub fn partial_len(&self, c_out: usize, patches: usize) -> usize {
        if self.splits == 1 {
            return 0;
        }
        self.blocks(c_out, patches) * self.channels * self.patches * 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_tiles_are_few_enough_and_every_block_has_something_to_load() {
        for (size, stride) in [(3, 1), (3, 2), (1, 1)] {
            for (c_in, c_out) in [(1, 1), (12, 48), (48, 12), (144, 144), (288, 144), (1000, 7)] {
                for patches in [1, 3, 16, 100, 256, 1024, 100_000] {
                    let tiling = Tiling::of(size, stride, c_in, c_out, patches);
                    let [across, down, splits] = tiling.grid(c_out, patches);
                    assert!(splits == 1 || across * down <= MOST_SHARED_TILES, "{tiling:?}");
                    assert!(
                        splits <= c_in.div_ceil(16) || splits <= c_in.div_ceil(8) && size == 3,
                        "{tiling:?}"
                    );
                    assert!(down * tiling.channels <= padded(c_out), "{tiling:?}");
                }
            }
        }
    }

    #[test]
    fn many_images_have_large_tiles_and_few_pixels_share_theirs() {
        let of = |c_in, c_out, patches| {
            let tiling = Tiling::of(3, 1, c_in, c_out, patches);
            (tiling.kernel, tiling.splits)
        };
        assert_eq!(of(48, 48, 64 * 16), ("conv3_large", 1));
        assert_eq!(of(144, 144, 64), ("conv3_large", 5));
        assert_eq!(of(144, 144, 1), ("conv3_small", 9));
        assert_eq!(of(48, 12, 64 * 16), ("conv3_small", 1));
    }
}
