//! Stands in for CUDA on a machine without it, for tests: with the feature `link`, whatever this crate is linked into
//! finds a driver, NVRTC and cuBLAS that compute on the CPU, with our kernels and dfdx's. The README beside it says
//! how, and what that cannot show.
//!
//! [`Counts`] is what a process asked of the device, for tests that start one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The environment variable that names the file for [`Counts`].
pub const COUNTS: &str = "CUDA_STAND_IN_COUNTS";
/// The environment variable that, set to anything, has kernels and products counted and not computed.
pub const ONLY_COUNT: &str = "CUDA_STAND_IN_ONLY_COUNT";
/// The environment variable that chooses what goes wrong: `no-driver`, `old-driver`, `other-card`, `memory=MIB` or
/// `lost=KERNELS`.
pub const FAULT: &str = "CUDA_STAND_IN_FAULT";

/// What a process asked of the device: `kernels`, `products`, `allocations`, `synchronisations` and others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Reads the file that a process with [`COUNTS`] has written at its end.
    ///
    /// # Errors
    ///
    /// If there is none, or it is none.
    pub fn read(path: &Path) -> io::Result<Self> {
        let number = |line: &str| {
            let (what, times) = line.rsplit_once(' ')?;
            Some((what.to_string(), times.parse().ok()?))
        };
        let wrong = |line: &str| {
            io::Error::other(format!(
                "{}: expected a name and a number, found {line}",
                path.display()
            ))
        };
        let text = fs::read_to_string(path)?;
        let lines: io::Result<_> = text
            .lines()
            .map(|line| number(line).ok_or_else(|| wrong(line)))
            .collect();
        lines.map(Self)
    }

    /// How often that was asked for.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// Kernels, products, copies and fills: what runs on the device, one after the other.
    #[must_use]
    pub fn stream_operations(&self) -> u64 {
        let copies = ["to the device", "to the host", "on the device"].map(|way| self.of(&format!("copies {way}")));
        self.of("kernels") + self.of("products") + self.of("fills") + copies.iter().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_nonsense_is_not() -> io::Result<()> {
        let path = std::env::temp_dir().join(format!("counts_{}", std::process::id()));
        fs::write(&path, "copies to the host 2\nkernels 40\n")?;
        let counts = Counts::read(&path)?;
        assert_eq!(
            (
                counts.of("copies to the host"),
                counts.of("kernels"),
                counts.of("fills")
            ),
            (2, 40, 0)
        );
        assert_eq!(counts.stream_operations(), 42);
        fs::write(&path, "kernels forty\n")?;
        assert!(Counts::read(&path).is_err_and(|error| error.to_string().contains("kernels forty")));
        fs::remove_file(path)
    }
}
