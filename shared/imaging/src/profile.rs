//! Colour profiles: what the numbers of a file mean, where they are not sRGB.

use std::sync::Arc;

use image::{Rgb, RgbImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, ProfileText, Transform8BitExecutor, TransformOptions};

/// A profile that moves no colour by more than so many levels of 255 is sRGB, rounded otherwise.
const SAME: u8 = 2;
/// Levels of each channel at which that is tried.
const TRIED: [u8; 6] = [0, 51, 102, 153, 204, 255];

/// Converts the colours of `image` from the ICC profile that came with it to sRGB. The text says what was done, or why
/// it could not be; `None` where the profile is sRGB.
pub(crate) fn to_srgb(image: RgbImage, profile: &[u8]) -> (RgbImage, Option<String>) {
    let Ok(profile) = ColorProfile::new_from_slice(profile) else {
        return (
            image,
            Some("its colour profile cannot be read and is passed over".into()),
        );
    };
    let name = profile_name(&profile);
    let Some(convert) = Converter::new(&profile) else {
        return (
            image,
            Some(format!("its colour profile {name} is not for RGB and is passed over")),
        );
    };
    if convert.changes_nothing() {
        return (image, None);
    }
    match convert.apply(&image) {
        Some(converted) => (converted, Some(format!("colours converted from {name} to sRGB"))),
        None => (
            image,
            Some(format!("its colour profile {name} cannot be used and is passed over")),
        ),
    }
}

struct Converter {
    /// Of what goes in: RGB or grey.
    layout: Layout,
    transform: Arc<Transform8BitExecutor>,
}

impl Converter {
    fn new(profile: &ColorProfile) -> Option<Self> {
        let layout = match profile.color_space {
            DataColorSpace::Rgb => Layout::Rgb,
            DataColorSpace::Gray => Layout::Gray,
            _ => return None,
        };
        let srgb = ColorProfile::new_srgb();
        let transform = profile
            .create_transform_8bit(layout, &srgb, Layout::Rgb, TransformOptions::default())
            .ok()?;
        Some(Self { layout, transform })
    }

    fn apply(&self, image: &RgbImage) -> Option<RgbImage> {
        let mut converted = RgbImage::new(image.width(), image.height());
        let done = if self.layout == Layout::Gray {
            let grey: Vec<u8> = image.pixels().map(|pixel| pixel[0]).collect();
            self.transform.transform(&grey, &mut converted)
        } else {
            self.transform.transform(image, &mut converted)
        };
        done.ok().map(|()| converted)
    }

    fn changes_nothing(&self) -> bool {
        let count = TRIED.len() as u32;
        let colours = RgbImage::from_fn(count * count, count, |x, y| {
            let level = |index: u32| TRIED[(index % count) as usize];
            match self.layout {
                Layout::Gray => Rgb([level(x); 3]),
                _ => Rgb([level(x), level(x / count), level(y)]),
            }
        });
        let near = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= SAME;
        self.apply(&colours)
            .is_some_and(|converted| colours.iter().zip(converted.iter()).all(near))
    }
}

/// The name that the profile gives itself, in quotes.
fn profile_name(profile: &ColorProfile) -> String {
    let name = match &profile.description {
        Some(ProfileText::PlainString(text)) => text.clone(),
        Some(ProfileText::Localizable(texts)) => texts.first().map(|text| text.value.clone()).unwrap_or_default(),
        Some(ProfileText::Description(text)) => text.ascii_string.clone(),
        None => String::new(),
    };
    let name: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
    match name.trim() {
        "" => "without a name".into(),
        name => format!("`{name}`"),
    }
}
