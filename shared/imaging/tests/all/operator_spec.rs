//! The names of operators and noises, and masks and kernels from files.

use std::path::{Path, PathBuf};

use image::{ImageBuffer, Luma, Rgba, RgbaImage};
use imaging::{Convolution, Inpainting, Noise, OperatorSpec, from_byte, operator_list, parse_operator};
use ndarray::Array4;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

use crate::common::{Result, dot, norm, normal};

const SHAPE: [usize; 3] = [3, 64, 64];

fn refusal(text: &str) -> String {
    parse_operator(text, SHAPE, 0).map_or_else(|error| error.to_string(), |operator| format!("no error: {operator:?}"))
}

#[test]
fn every_name_makes_its_operator_with_the_pinned_defaults() -> Result {
    let cases = [
        ("inpainting", [3, 1, 1229], "70.0 %"),
        ("inpainting:0.9", [3, 1, 410], "90.0 %"),
        ("box-inpainting", [3, 1, 4096 - 576], "24x24"),
        ("box-inpainting:8", [3, 1, 4096 - 64], "8x8"),
        ("deconvolution", SHAPE, "13x13, standard deviation 1.5"),
        ("deconvolution:9,2", SHAPE, "9x9, standard deviation 2"),
        ("deconvolution: 9", SHAPE, "9x9, standard deviation 1.5"),
        ("motion-blur", SHAPE, "15x15, intensity 0.5, kernel seed 7"),
        ("motion-blur:21,0.2,3", SHAPE, "21x21, intensity 0.2, kernel seed 3"),
        ("super-resolution", [3, 16, 16], "4x4"),
        ("super-resolution:2", [3, 32, 32], "2x2"),
        ("colourisation", [1, 64, 64], "0.587 G"),
        ("compressed-sensing", [3, 1, 1024], "1024 of 4096"),
        ("tomography", [3, 60, 91], "60 angles over half a turn, 91 detectors"),
        ("tomography: 9", [3, 9, 91], "9 angles"),
        ("fourier", [3, 1, 1229], "1229 of 4096"),
        ("fourier:0.5", [3, 1, 2048], "2048 of 4096"),
        ("phase-retrieval", [3, 128, 128], "2x oversampled"),
        ("hdr", SHAPE, "exposure 2, clipped, gamma 2.2"),
        ("hdr:3,1", SHAPE, "exposure 3, clipped, gamma 1"),
    ];
    for (text, shape, parameters) in cases {
        let operator = parse_operator(text, SHAPE, 7)?;
        assert_eq!(operator.name(), text.split(':').next().unwrap_or(""));
        assert_eq!(operator.measurement_shape(), shape, "{text}");
        assert!(
            operator.description().contains(parameters),
            "{text}: {}",
            operator.description()
        );
        let spec: OperatorSpec = text.parse()?;
        assert_eq!(spec.name(), operator.name());
        assert_eq!(spec.kind(), operator.kind(), "{text}");
        assert_eq!(spec.to_string().parse::<OperatorSpec>()?, spec, "{text} as {spec}");
        assert!(operator_list().contains(&format!("  {}", spec.name())));
    }
    Ok(())
}

#[test]
fn an_unknown_name_lists_all_names_with_parameters_and_defaults() {
    let message = refusal("inpaint");
    for word in [
        "`inpaint`",
        "box-inpainting[:SIDE]",
        "REMOVED 0.7",
        "SIZE 13 pixels, STD 1.5",
        "kernel:FILE",
        "tomography[:ANGLES]",
        "fourier[:FRACTION]",
        "hdr[",
    ] {
        assert!(message.contains(word), "{message}");
    }
    for empty in ["", ":", ":3"] {
        assert!(refusal(empty).contains("no operator is called ``"));
    }
}

#[test]
fn wrong_parameters_are_refused_with_the_right_form() {
    let cases = [
        ("inpainting:seventy", "inpainting[:REMOVED]", "`seventy`"),
        ("inpainting:", "inpainting[:REMOVED]", "``"),
        ("inpainting:0.7,3", "inpainting[:REMOVED]", "`3`"),
        ("inpainting:70", "0 to 1", "70"),
        ("box-inpainting:-3", "box-inpainting[:SIDE]", "`-3`"),
        ("box-inpainting:65", "at most 64", "65"),
        ("deconvolution:13,1.5,2", "too many", "`2`"),
        ("deconvolution:99", "64x64", "99x99"),
        ("deconvolution:13,NaN", "above 0", "NaN"),
        (
            "deconvolution:18446744073709551615",
            "1 to 4096",
            "18446744073709551615",
        ),
        ("super-resolution:5", "64 and 64", "5"),
        ("colourisation:1", "too many", "`1`"),
        ("mask", "mask:FILE", "nothing"),
        ("kernel:", "kernel:FILE", "nothing"),
        ("hdr:1e999", "exposure", "inf"),
        ("tomography:0", "1 to 2000", "got 0"),
        ("tomography:1.5", "tomography[:ANGLES]", "`1.5`"),
        ("tomography:60,91", "too many", "`91`"),
        ("fourier:30", "0 to 1", "30"),
        ("fourier:a", "fourier[:FRACTION]", "`a`"),
    ];
    for (text, expected, got) in cases {
        let message = refusal(text);
        assert!(message.contains(expected) && message.contains(got), "{text}: {message}");
    }
}

/// Whatever is in the list, whoever added it: its name makes it, it says the same of itself as its entry, a linear one
/// has an exact adjoint, and its start image and picture are fit to look at.
#[test]
fn every_operator_of_the_list_keeps_the_contract() -> Result {
    let list = operator_list();
    let syntaxes = list.lines().filter_map(|line| line.split_whitespace().next());
    for syntax in syntaxes.filter(|syntax| !syntax.ends_with(":FILE")) {
        let spec: OperatorSpec = syntax.split('[').next().unwrap_or("").parse()?;
        let operator = spec.build(SHAPE, 3)?;
        assert_eq!((spec.name(), spec.kind()), (operator.name(), operator.kind()));
        assert_eq!(spec.to_string().parse::<OperatorSpec>()?, spec);
        let x = normal(2, SHAPE, 1).mapv(|pixel| (pixel / 2.0).clamp(-1.0, 1.0));
        let ax = operator.apply(&x)?;
        if operator.as_linear().is_some() {
            let v = normal(2, operator.measurement_shape(), 2);
            let error = dot(&ax, &v) - dot(&x, &operator.vjp(&x, &v)?);
            assert!(
                error.abs() <= 1e-5 * norm(&ax) * norm(&v),
                "{spec}: the adjoint is off by {error:e}"
            );
        }
        let b = Noise::Gaussian { sigma: 0.05 }.add(&ax, &mut StdRng::seed_from_u64(0))?;
        for (what, picture) in [
            ("start image", operator.start_image(&b)?),
            ("picture", operator.picture(&b)?),
        ] {
            let most = picture.iter().fold(0.0_f32, |most, pixel| most.max(pixel.abs()));
            assert!(most < 2.0, "{spec}: a pixel of the {what} is {most}");
        }
        assert_eq!(operator.start_image(&b)?.dim(), x.dim(), "{spec}");
    }
    Ok(())
}

#[test]
fn specs_are_equal_if_they_make_the_same_operator() -> Result {
    let spec = |text: &str| text.parse::<OperatorSpec>();
    assert_eq!(spec("inpainting")?, spec("inpainting:0.70")?);
    assert_eq!(spec("deconvolution:13")?, spec("deconvolution: 13, 1.5")?);
    assert_ne!(spec("inpainting")?, spec("inpainting:0.8")?);
    assert_ne!(spec("motion-blur")?, spec("motion-blur:15,0.5,0")?);
    // The same settings of two operators are two things.
    assert_ne!(spec("compressed-sensing:0.3")?, spec("fourier:0.3")?);
    assert_eq!(format!("{:?}", spec("fourier")?), "OperatorSpec(fourier:0.3)");
    Ok(())
}

#[test]
fn one_seed_gives_one_operator() -> Result {
    let x = Array4::from_shape_fn((1, 3, 64, 64), |(_, c, y, x)| (c * 4096 + y * 64 + x) as f32 / 12_288.0);
    for text in ["inpainting", "motion-blur", "compressed-sensing", "fourier"] {
        let measure = |seed| parse_operator(text, SHAPE, seed)?.apply(&x);
        assert_eq!(measure(3)?, measure(3)?, "{text}");
        assert_ne!(measure(3)?, measure(4)?, "{text}");
    }
    Ok(())
}

fn grey16(folder: &Path, name: &str, width: u32, height: u32, value: impl Fn(u32, u32) -> u16) -> Result<PathBuf> {
    let path = folder.join(name);
    ImageBuffer::<Luma<u16>, _>::from_fn(width, height, |x, y| Luma([value(x, y)])).save(&path)?;
    Ok(path)
}

#[test]
fn a_mask_file_of_any_size_is_fitted_to_the_image() -> Result {
    let folder = TempDir::new()?;
    let left_dark = |width: u32| move |x: u32, _: u32| if x < width / 2 { 0 } else { u16::MAX };
    // The left half of every one of them is dark, whatever its size and proportions.
    for (index, (width, height)) in [(8, 6), (2, 1), (2000, 30), (64, 700), (4000, 3000)]
        .into_iter()
        .enumerate()
    {
        let path = grey16(folder.path(), &format!("{index}.png"), width, height, left_dark(width))?;
        let mask = Inpainting::from_mask_file([3, 6, 8], &path)?.mask();
        for ((_, x), &kept) in mask.indexed_iter() {
            assert_eq!(kept, x >= 4, "{width}x{height}: column {x}");
        }
    }
    let black = grey16(folder.path(), "black.png", 1, 1, |_, _| 0)?;
    assert_eq!(
        parse_operator(&format!("mask:{}", black.display()), SHAPE, 0)?.measurement_shape(),
        [3, 1, 0]
    );
    let white = grey16(folder.path(), "white.png", 1, 1, |_, _| u16::MAX)?;
    assert_eq!(
        parse_operator(&format!("mask:{}", white.display()), SHAPE, 0)?.measurement_shape(),
        [3, 1, 4096]
    );
    // The threshold is half: 127 of 255 is dark, 128 is not.
    for (level, kept) in [(127 * 257, 0), (128 * 257, 4096)] {
        let path = grey16(folder.path(), "level.png", 3, 3, |_, _| level)?;
        assert_eq!(
            Inpainting::from_mask_file(SHAPE, &path)?
                .mask()
                .iter()
                .filter(|&&k| k)
                .count(),
            kept
        );
    }
    let clear = folder.path().join("clear,with:comma.png");
    RgbaImage::from_pixel(64, 64, Rgba([0, 0, 0, 0])).save(&clear)?;
    let operator = parse_operator(&format!("mask:{}", clear.display()), SHAPE, 0)?;
    assert_eq!(
        operator.measurement_shape(),
        [3, 1, 0],
        "what is transparent is missing"
    );
    assert!(operator.description().contains("clear,with:comma.png"));
    Ok(())
}

#[test]
fn a_kernel_file_keeps_16_bits_and_is_normalised() -> Result {
    let folder = TempDir::new()?;
    // A tail of 100 of 65535 would be black in 8 bits.
    let path = grey16(folder.path(), "k.png", 3, 2, |x, y| {
        [[100, 0, 200], [0, 65_000, 50]][y as usize][x as usize]
    })?;
    let operator = Convolution::from_kernel_file([3, 8, 8], &path)?;
    let kernel = operator.kernel();
    assert_eq!(kernel.dim(), (2, 3));
    let sum = 65_350.0;
    for ((y, x), weight) in [((0, 0), 100.0), ((0, 2), 200.0), ((1, 1), 65_000.0), ((0, 1), 0.0)] {
        assert!((kernel[[y, x]] - weight / sum).abs() < 1e-6, "{kernel}");
    }
    Ok(())
}

#[test]
fn files_that_cannot_serve_are_named() -> Result {
    let folder = TempDir::new()?;
    let black = grey16(folder.path(), "black.png", 5, 5, |_, _| 0)?;
    let large = grey16(folder.path(), "large.png", 65, 3, |_, _| 9)?;
    let broken = folder.path().join("broken.png");
    std::fs::write(&broken, "no image")?;
    std::fs::write(folder.path().join("notes.txt"), "no image")?;
    let cases = [
        (format!("kernel:{}", black.display()), "black or transparent everywhere"),
        (format!("kernel:{}", large.display()), "64x64, got 3x65"),
        (format!("kernel:{}", broken.display()), "broken.png"),
        (format!("mask:{}", broken.display()), "broken.png"),
        (format!("mask:{}/none.png", folder.path().display()), "does not exist"),
        (
            format!("mask:{}/notes.txt", folder.path().display()),
            "cannot read the image",
        ),
        (
            format!("mask:{}", folder.path().display()),
            "3 images where one is wanted",
        ),
    ];
    for (text, expected) in cases {
        let message = refusal(&text);
        assert!(
            message.contains(expected) && !message.contains("no error"),
            "{text}: {message}"
        );
    }
    Ok(())
}

fn spread(noise: Noise, level: f32) -> Result<(f64, f64)> {
    let b = Array4::from_elem((4, 3, 100, 100), level);
    let noisy = noise.add(&b, &mut StdRng::seed_from_u64(1))?;
    let n = noisy.len() as f64;
    let mean = noisy.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
    let variance = noisy
        .iter()
        .map(|&value| (f64::from(value) - mean).powi(2))
        .sum::<f64>()
        / n;
    Ok((mean, variance.sqrt()))
}

/// 120,000 numbers: the mean is known to `sigma / 346`, the standard deviation to `sigma / 490`. Five of these are
/// allowed.
#[test]
fn gaussian_noise_has_its_sigma_on_the_scale_of_the_pixels() -> Result {
    let (mean, std) = spread(Noise::Gaussian { sigma: 0.05 }, 0.25)?;
    assert!((mean - 0.25).abs() < 5.0 * 0.05 / 346.0, "{mean}");
    assert!((std - 0.05).abs() < 5.0 * 0.05 / 490.0, "{std}");
    // On [0, 1], where files are, it is half: 6.375 of 255 levels, a level being what two neighbouring bytes differ by.
    let levels = std / f64::from(from_byte(129) - from_byte(128));
    assert!((levels - 6.375).abs() < 5.0 * 6.375 / 490.0, "{levels}");
    assert_eq!(spread(Noise::Gaussian { sigma: 0.0 }, 0.25)?, (0.25, 0.0));
    assert_eq!(spread(Noise::None, 0.25)?, (0.25, 0.0));
    Ok(())
}

#[test]
fn poisson_noise_counts_photons_on_the_unit_scale() -> Result {
    for (level, rate) in [(-0.5, 1.0), (0.8, 1.0), (0.8, 0.1), (1.5, 1e6)] {
        let unit = (f64::from(level) + 1.0) / 2.0;
        let expected = 2.0 * (unit / (255.0 * rate)).sqrt();
        let (mean, std) = spread(Noise::Poisson { rate }, level)?;
        assert!(
            (mean - f64::from(level)).abs() < 5.0 * expected / 346.0 + 1e-7,
            "{level}, {rate}: {mean}"
        );
        // At least 6 photons: the fourth moment adds little to that of a normal distribution.
        assert!(
            (std / expected - 1.0).abs() < 5.0 * 1.1 / 490.0,
            "{level}, {rate}: {std}, expected {expected}"
        );
    }
    // No light, or less: no photons and no NaN. A blinding light: still a number.
    assert_eq!(spread(Noise::Poisson { rate: 1.0 }, -1.0)?, (-1.0, 0.0));
    assert_eq!(spread(Noise::Poisson { rate: 1.0 }, -3.0)?, (-1.0, 0.0));
    assert!(spread(Noise::Poisson { rate: 1e9 }, 1e30)?.0.is_finite());
    // A measurement without any number.
    let none = Array4::zeros((2, 3, 1, 0));
    assert_eq!(
        Noise::Poisson { rate: 1.0 }.add(&none, &mut StdRng::seed_from_u64(0))?,
        none
    );
    Ok(())
}

#[test]
fn noise_is_read_from_its_name() -> Result {
    for (text, noise) in [
        ("none", Noise::None),
        ("gaussian", Noise::Gaussian { sigma: 0.05 }),
        ("gaussian:0", Noise::Gaussian { sigma: 0.0 }),
        ("poisson", Noise::Poisson { rate: 1.0 }),
        ("poisson:0.5", Noise::Poisson { rate: 0.5 }),
    ] {
        assert_eq!(text.parse::<Noise>()?, noise);
        assert_eq!(noise.to_string().parse::<Noise>()?, noise);
    }
    for text in [
        "",
        "white",
        "none:1",
        "gaussian:x",
        "gaussian:-1",
        "gaussian:NaN",
        "poisson:0",
        "poisson:inf",
    ] {
        let message = text
            .parse::<Noise>()
            .map_or_else(|error| error.to_string(), |noise| noise.to_string());
        assert!(message.contains("expected"), "{text}: {message}");
    }
    let rng = &mut StdRng::seed_from_u64(0);
    let nan = Array4::from_elem((1, 1, 2, 2), f32::NAN);
    assert!(Noise::Poisson { rate: 1.0 }.add(&nan, rng).is_err());
    assert!(
        Noise::Gaussian { sigma: -1.0 }
            .add(&Array4::zeros((1, 1, 2, 2)), rng)
            .is_err()
    );
    Ok(())
}
