//! What is wrong with a wish is said in a sentence; what is right becomes a plan, and the command line for it.

use std::path::Path;

use anyhow::Result;
use diffusion::{GaussianModel, Schedule};
use methods::registry;
use ndarray::Array1;
use playground::knobs;
use playground::offers::Offers;
use playground::plan::{DRAWN_HOLE, Plan, Work};
use playground::wish::{Task, Wish};

use crate::common::{SIDE, prior, upper_half, wish};

/// Why the wish is refused; empty where it is not.
fn refused(wish: &Wish) -> Result<String> {
    Ok(Plan::of(wish, &prior()?, "fruits64").map_or_else(|error| program::explain(&error), |_| String::new()))
}

#[test]
fn what_is_wrong_is_said() -> Result<()> {
    type Change = fn(&mut Wish);
    let cases: &[(Task, Change, &str)] = &[
        (
            Task::Generate,
            |w| w.steps = "1000000000".into(),
            "steps: expected a whole number from 1 to 1000, got `1000000000`",
        ),
        (Task::Generate, |w| w.steps = "0".into(), "steps: expected"),
        (Task::Generate, |w| w.steps = "ten".into(), "got `ten`"),
        (Task::Generate, |w| w.steps = "9".repeat(10_000), "9..."),
        (
            Task::Generate,
            |w| w.samples = "1000".into(),
            "samples: expected a whole number from 1 to 8",
        ),
        (Task::Generate, |w| w.seed = "-1".into(), "seed: expected"),
        (
            Task::Generate,
            |w| w.seed = "18446744073709551616".into(),
            "seed: expected",
        ),
        (Task::Generate, |w| w.variance = "gamma".into(), "`beta`, `posterior`"),
        (
            Task::Generate,
            |w| w.method = "dps".into(),
            "no sampler is called `dps`",
        ),
        (
            Task::Reconstruct,
            |w| w.method = "ddim".into(),
            "no posterior method is called `ddim`",
        ),
        (
            Task::Reconstruct,
            |w| w.noise = "NaN".into(),
            "noise: expected a number from 0 to 10, got `NaN`",
        ),
        (Task::Reconstruct, |w| w.noise = "-1".into(), "noise: expected"),
        (Task::Reconstruct, |w| w.operator = "blurr".into(), "blurr"),
        (Task::Reconstruct, |w| w.operator = "inpainting:2".into(), "0 to 1"),
        (
            Task::Reconstruct,
            |w| w.operator = "box-inpainting:1000000000".into(),
            "at most 16 pixels",
        ),
        (
            Task::Reconstruct,
            |w| w.operator = "mask:/etc/hostname".into(),
            "the page reads none",
        ),
        (
            Task::Reconstruct,
            |w| w.operator = " kernel :/etc/hostname".into(),
            "the page reads none",
        ),
        (
            Task::Reconstruct,
            |w| w.operator = DRAWN_HOLE.into(),
            "no hole is drawn",
        ),
        (Task::Reconstruct, |w| w.image = None, "no image"),
        (
            Task::Reconstruct,
            |w| w.image.as_mut().expect("an image").rgb.truncate(300),
            "the image came with 300 bytes",
        ),
        (
            Task::Reconstruct,
            |w| {
                w.operator = DRAWN_HOLE.into();
                w.mask = vec![1; 100];
            },
            "the mask has 100 pixels: expected 16x16",
        ),
        (
            Task::Edit,
            |w| w.mask = vec![1; 64 * 64],
            "the mask has 4096 pixels: expected 16x16",
        ),
        (
            Task::Reconstruct,
            |w| set(w, "zeta", "-1"),
            "zeta: expected a number from 0 to 1000, got `-1`",
        ),
        (Task::Reconstruct, |w| set(w, "zeta", "inf"), "zeta: expected"),
        (
            Task::Reconstruct,
            |w| set(w, "eta", "1"),
            "no setting `eta`: it has [zeta]",
        ),
        (
            Task::Reconstruct,
            |w| {
                w.method = "ddrm".into();
                w.operator = "hdr".into();
            },
            "ddrm cannot be used with hdr",
        ),
        (
            Task::Edit,
            |w| set(w, "t0", "1001"),
            "t0: expected a whole number from 1 to 1000",
        ),
        (
            Task::Edit,
            |w| set(w, "repeats", "1000000000"),
            "repeats: expected a whole number from 1 to 20",
        ),
        (
            Task::Edit,
            |w| set(w, "repeats", "1.5"),
            "repeats: expected a whole number",
        ),
    ];
    for (task, change, sentence) in cases {
        let mut wish = wish(*task);
        assert_eq!(refused(&wish)?, "");
        change(&mut wish);
        let said = refused(&wish)?;
        assert!(said.contains(sentence), "expected `{sentence}`, got `{said}`");
        assert!(said.len() < 3000, "too long: {said}");
    }
    Ok(())
}

fn set(wish: &mut Wish, name: &str, value: &str) {
    wish.settings.insert(name.to_owned(), value.to_owned());
}

#[test]
fn the_command_line_does_the_same() -> Result<()> {
    type Change = fn(&mut Wish);
    let cases: &[(Task, Change, &str)] = &[
        (
            Task::Generate,
            |_| {},
            "cargo run -p task3_generate -- --count 2 --batch 2 --save-each --steps 20 --seed 3",
        ),
        (
            Task::Generate,
            |w| w.variance = "beta".into(),
            "cargo run -p task3_generate -- --count 2 --batch 2 --save-each --steps 20 --variance beta --seed 3",
        ),
        (
            Task::Generate,
            |w| w.method = "ddim".into(),
            "cargo run -p playground -- --again run.json",
        ),
        (
            Task::Edit,
            |_| {},
            "cargo run -p task4_sdedit -- --guide image.png --t0 500 --repeats 1 --samples 2 --steps 20 --seed 3",
        ),
        (
            Task::Edit,
            |w| {
                w.mask = upper_half();
                set(w, "t0", " 300 ");
            },
            "cargo run -p task4_sdedit -- --guide image.png --mask mask.png --t0 300 --repeats 1 \
             --samples 2 --steps 20 --seed 3",
        ),
        (
            Task::Reconstruct,
            |w| set(w, "zeta", ""),
            "cargo run -p task6_dps -- --images image.png --count 1 --operator inpainting:0.5 \
             --sigma 0.05 --samples 2 --steps 20 --seed 3",
        ),
        (
            Task::Reconstruct,
            |w| {
                set(w, "zeta", "1.5");
                w.noise = "0".into();
                w.operator = "motion-blur".into();
            },
            "cargo run -p task6_dps -- --zeta 1.5 --images image.png --count 1 \
             --operator motion-blur:15,0.5 --noise none --samples 2 --steps 20 --seed 3",
        ),
        (
            Task::Reconstruct,
            |w| {
                w.method = "score-ald".into();
                w.operator = DRAWN_HOLE.into();
                w.mask = upper_half();
            },
            "cargo run -p task5_score_ald -- --images image.png --count 1 --operator mask:mask.png \
             --sigma 0.05 --samples 2 --steps 20 --seed 3",
        ),
        (
            Task::Reconstruct,
            |w| {
                w.method = "pigdm".into();
                w.image.as_mut().expect("an image").name = "it's me.png".into();
            },
            "cargo run -p methods -- --method pigdm --images 'it'\\''s me.png' --count 1 \
             --operator inpainting:0.5 --sigma 0.05 --samples 2 --steps 20 --seed 3",
        ),
        (
            Task::Reconstruct,
            |w| {
                w.method = "pigdm".into();
                set(w, "eta", "0.5");
            },
            "cargo run -p playground -- --again run.json",
        ),
    ];
    for (task, change, command) in cases {
        let mut wish = wish(*task);
        change(&mut wish);
        assert_eq!(Plan::of(&wish, &prior()?, "fruits64")?.command, *command);
        let elsewhere = Plan::of(&wish, &prior()?, "my prior")?.command;
        assert_eq!(elsewhere, format!("{command} --prior 'my prior'"));
    }
    Ok(())
}

/// A knob that is on the page and turns nothing would teach something wrong.
#[test]
fn each_knob_turns_something() -> Result<()> {
    let mut turned = 0;
    for method in registry::posterior_methods() {
        for knob in knobs::of_method(method.name()) {
            let mut wish = wish(Task::Reconstruct);
            wish.method = method.name().to_owned();
            let usual = Plan::of(&wish, &prior()?, "fruits64")?.settings;
            set(&mut wish, knob.name, "0.625");
            if knob.kind == knobs::Kind::Whole {
                set(&mut wish, knob.name, "7");
            }
            let plan = Plan::of(&wish, &prior()?, "fruits64")?;
            assert_ne!(plan.settings, usual, "{}: {}", method.name(), knob.name);
            let value = wish.settings[knob.name].as_str();
            assert!(
                plan.settings.contains(value),
                "{}: {} in `{}`",
                method.name(),
                knob.name,
                plan.settings
            );
            turned += 1;
        }
    }
    assert!(turned >= 10, "{turned} knobs");
    let mut ddim = wish(Task::Generate);
    ddim.method = "ddim".to_owned();
    set(&mut ddim, "eta", "0.625");
    assert!(Plan::of(&ddim, &prior()?, "fruits64")?.settings.contains("0.625"));
    Ok(())
}

#[test]
fn a_drawn_hole_is_what_is_missing() -> Result<()> {
    let mut wish = wish(Task::Reconstruct);
    wish.operator = DRAWN_HOLE.to_owned();
    wish.mask = upper_half();
    let Work::Reconstruct(work) = Plan::of(&wish, &prior()?, "fruits64")?.work else {
        panic!("another work was planned");
    };
    assert_eq!(work.operator.measurement_shape(), [3, 1, SIDE * SIDE / 2]);
    let lower = work.truth.slice(ndarray::s![.., SIDE / 2.., ..]).to_owned();
    let b = work.operator.apply(&work.truth.clone().insert_axis(ndarray::Axis(0)))?;
    assert_eq!(b.iter().collect::<Vec<_>>(), lower.iter().collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_prior_that_the_page_cannot_draw_is_refused() -> Result<()> {
    let grey = GaussianModel::diagonal(Schedule::linear(), [1, 4, 4], Array1::zeros(16), Array1::ones(16))?;
    let refused = Offers::of(&grey, "grey", Path::new("."));
    assert!(refused.is_err_and(|error| error.to_string().contains("[1, 4, 4]")));
    Ok(())
}
