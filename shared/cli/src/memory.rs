//! Whether a batch fits into memory: who asks too late is ended by the operating system without a word.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use score_unet::{Prior, UNetConfig};

use crate::session::Session;

/// So many feature maps of the finest level does a score with its pullback hold for each image. Measured as the growth
/// of the resident memory of `task6_dps` from `--batch 1` to `--batch 64`, images and results included.
const MAPS: u64 = 36;
/// The same for each level's pair of blocks of guided-diffusion's network. Measured with that of `ffhq_10m.pt`, as the
/// growth from a batch of one to one of two.
const MAPS_OF_A_BLOCK: u64 = 12;
/// Bytes of each weight once it is ready for both directions, beside the one that is read: a convolution keeps them
/// transformed. Measured as what that network takes beside its images, 1.9 GB for 93.6 million.
const PREPARED: u64 = 16;
const GIB: f64 = (1_u64 << 30) as f64;

/// Looks whether there is memory for `batch` images at a time, before anything is computed. On a GPU, whose memory is
/// its own, it does not.
///
/// # Errors
///
/// If the operating system refuses so much. Where it might run short, as others use it too, that is said.
pub fn check_batch(session: &Session, prior: &Prior, batch: usize) -> Result<()> {
    if prior.is_on_gpu() {
        return Ok(());
    }
    let of_one = bytes_per_image(prior.config());
    let of_weights = PREPARED * prior.parameters() as u64;
    let needed = of_one.saturating_mul(batch as u64).saturating_add(of_weights);
    let images = match batch {
        1 => "one image at a time takes".into(),
        _ => format!("{batch} images at a time take"),
    };
    let about = format!("{images} about {:.1} GiB of memory", needed as f64 / GIB);
    if !is_granted(needed) {
        bail!("{about}, and the system grants no more: {}", less(batch));
    }
    if let Some(free) = free_bytes().filter(|&free| needed > free) {
        session.note(&format!(
            "note: {about}, and {:.1} GiB are free: should the system end the program for that, {}",
            free as f64 / GIB,
            match (free.saturating_sub(of_weights) / of_one).max(1) {
                fits if batch > 1 => format!("name a --batch of {fits} or less"),
                _ => less(batch),
            }
        ));
    }
    Ok(())
}

/// Looks whether there is memory for the weights of the prior in `folder`, before they are read: without it the program
/// would be ended without a word.
///
/// # Errors
///
/// If the operating system refuses so much.
pub fn check_weights(folder: &Path) -> Result<()> {
    // In 16-bit floats they are half as long there as here.
    let file = folder.join("weights.safetensors");
    let needed = fs::metadata(file).map_or(0, |file| 2 * file.len());
    if !is_granted(needed) {
        bail!(
            "the weights of the prior in {} take up to {:.1} GiB of memory, and the system grants no more: end other \
             programs, or raise the limit (`ulimit -v` shows it)",
            folder.display(),
            needed as f64 / GIB
        );
    }
    Ok(())
}

/// What to do where a batch does not fit.
fn less(batch: usize) -> String {
    match batch {
        1 => "this prior needs a machine with more memory, or one that does nothing else".into(),
        _ => "name a smaller --batch".into(),
    }
}

fn bytes_per_image(config: &UNetConfig) -> u64 {
    let maps = match config {
        UNetConfig::Small(_) => MAPS,
        UNetConfig::Guided(guided) => MAPS_OF_A_BLOCK * (guided.blocks_per_level as u64 + 1),
    };
    maps * config.finest_map_len() as u64 * size_of::<f32>() as u64
}

/// A limit on addresses shows only when they are asked for; none of the memory is touched.
fn is_granted(bytes: u64) -> bool {
    usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok())
}

/// What is free in this machine or container; None where that is not known.
fn free_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| available(&text));
    let number = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse().ok()
    };
    let container = number("memory.max").zip(number("memory.current"));
    let container = container.map(|(limit, used)| limit.saturating_sub(used));
    machine.into_iter().chain(container).min()
}

/// The line `MemAvailable:   123 kB` of `/proc/meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use score_unet::GuidedConfig;

    use super::*;

    #[test]
    fn what_the_system_says_is_understood() {
        let meminfo = "MemTotal:  16000000 kB\nMemAvailable:    8000000 kB\nSwapFree: 0 kB\n";
        assert_eq!(available(meminfo), Some(8_192_000_000));
        assert_eq!(available("MemTotal: 16000000 kB\n"), None);
        assert!(is_granted(1 << 20) && !is_granted(u64::MAX));
    }

    /// 7 MB for an image of fruits64, as was measured: 101 MB in all for one, 542 MB for 64.
    #[test]
    fn an_image_takes_what_was_measured() {
        let megabytes = bytes_per_image(&UNetConfig::fruits64()) as f64 / 1e6;
        assert!((6.5..7.5).contains(&megabytes), "{megabytes}");
        // And 795 MB for one of 256x256 pixels: 2681 MB in all for one, 3476 MB for two.
        let megabytes = bytes_per_image(&GuidedConfig::ffhq256().into()) as f64 / 1e6;
        assert!((750.0..850.0).contains(&megabytes), "{megabytes}");
    }
}
