//! What runs is what the tasks' programs run, with the same numbers; and all of it is told.

use anyhow::Result;
use cli::Judge;
use diffusion::{Schedule, ScoreModel};
use imaging::{Noise, measure, parse_operator, sampler_rng};
use methods::registry;
use ndarray::{Array3, Array4, Axis, stack};
use playground::log::Log;
use playground::picture::image_of;
use playground::plan::Plan;
use playground::wish::{Task, Wish};
use playground::work::Bench;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use task3_generate::StepForm;
use task6_dps::StepSize;

use crate::common::{LONG, SIDE, Told, events, prior, upper_half, wish};

/// The results of a wish, and what was told.
fn perform(wish: &Wish) -> Result<(Vec<Array3<f32>>, Told)> {
    let (model, judge, log) = (&prior()?, &Judge::new()?, &Log::new(0, LONG));
    let plan = Plan::of(wish, model, "fruits64")?;
    let results = Bench { model, judge, log }.perform(&plan)?;
    Ok((results, events(log)?))
}

fn image(wish: &Wish) -> Result<Array4<f32>> {
    let rgb = wish.image.as_ref().map(|image| image.rgb.clone()).unwrap_or_default();
    Ok(image_of(&rgb, [3, SIDE, SIDE])?.insert_axis(Axis(0)))
}

#[test]
fn it_draws_what_task_3_draws() -> Result<()> {
    let (results, _) = perform(&wish(Task::Generate))?;
    let steps = Schedule::linear().steps(20)?;
    let rng = &mut StdRng::seed_from_u64(3);
    let expected = task3_generate::sample(&prior()?, 2, &steps, StepForm::Direct, rng, &mut ())?;
    for (result, expected) in results.iter().zip(expected.outer_iter()) {
        assert_eq!(result, expected);
    }
    assert_eq!(results.len(), 2);
    Ok(())
}

#[test]
fn it_edits_as_task_4_does() -> Result<()> {
    let mut wish = wish(Task::Edit);
    wish.mask = upper_half();
    wish.settings.insert("repeats".into(), "2".into());
    let (results, _) = perform(&wish)?;
    let mask = ndarray::Array2::from_shape_fn((SIDE, SIDE), |(y, _)| if y < SIDE / 2 { 1.0 } else { 0.0 });
    let steps = task4_sdedit::steps_from(&Schedule::linear(), 500, 20)?;
    let guide = image(&wish)?.index_axis(Axis(0), 0).to_owned();
    let mut images = stack(Axis(0), &[guide.view(), guide.view()])?;
    let rng = &mut sampler_rng(3, 0, 0);
    for _ in 0..2 {
        images = task4_sdedit::sdedit(&prior()?, &images, Some(&mask), &steps, rng, &mut ())?;
    }
    for (result, expected) in results.iter().zip(images.outer_iter()) {
        assert_eq!(result, expected);
    }
    Ok(())
}

#[test]
fn it_reconstructs_as_task_6_does() -> Result<()> {
    let mut wish = wish(Task::Reconstruct);
    let model = &prior()?;
    let operator = parse_operator("inpainting:0.5", model.image_shape(), 3)?;
    let b = measure(operator.as_ref(), &image(&wish)?, Noise::Gaussian { sigma: 0.05 }, 3, 0)?;
    let steps = Schedule::linear().steps(20)?;
    let tuned = task6_dps::tuned(operator.kind(), 20);
    for zeta in [None, Some(0.5)] {
        if let Some(zeta) = zeta {
            wish.settings.insert("zeta".into(), format!("{zeta}"));
        }
        let (results, _) = perform(&wish)?;
        for (sample, result) in results.iter().enumerate() {
            let rng = &mut sampler_rng(3, 0, sample as u64);
            let step_size = StepSize::Normalised(zeta.unwrap_or(tuned));
            let expected = task6_dps::dps(model, operator.as_ref(), &b, step_size, &steps, rng, &mut ())?;
            assert_eq!(
                result,
                expected.index_axis(Axis(0), 0),
                "sample {sample}, zeta {zeta:?}"
            );
        }
    }
    Ok(())
}

/// All methods run, and the calls of the network that were promised are those that were told.
#[test]
fn every_method_tells_its_steps() -> Result<()> {
    let reconstruct = registry::posterior_methods()
        .iter()
        .map(|method| (Task::Reconstruct, method.name()));
    let generate = registry::samplers()
        .iter()
        .map(|sampler| (Task::Generate, sampler.name()));
    for (task, name) in reconstruct.chain(generate).chain([(Task::Edit, "")]) {
        let mut wish = wish(task);
        wish.method = name.to_owned();
        wish.steps = "6".to_owned();
        let (results, told) = perform(&wish)?;
        assert_eq!(results.len(), 2, "{name}");
        let kinds: Vec<&str> = told.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            (kinds.first(), kinds.last()),
            (Some(&"started"), Some(&"done")),
            "{name}"
        );
        assert_eq!(kinds.iter().filter(|kind| **kind == "sample").count(), 2, "{name}");
        let promised = told[0].1["evaluations"].as_u64();
        let done = told
            .iter()
            .filter(|(kind, _)| *kind == "step")
            .filter_map(|(_, step)| step["done"].as_u64());
        // A sampler shows each of its steps once, also those in which it calls the network twice.
        let most = done.max().unwrap_or(0);
        match task {
            Task::Reconstruct => assert_eq!(Some(most), promised, "{name}"),
            _ => assert!(Some(most) <= promised && most > 0, "{name}: {most} of {promised:?}"),
        }
    }
    Ok(())
}

#[test]
fn steps_have_residual_psnr_and_pictures_in_number() -> Result<()> {
    let mut wish = wish(Task::Reconstruct);
    (wish.steps, wish.samples) = ("1000".into(), "1".into());
    let (_, told) = perform(&wish)?;
    let steps: Vec<&Value> = told
        .iter()
        .filter(|(kind, _)| *kind == "step")
        .map(|(_, step)| step)
        .collect();
    assert_eq!(steps.len(), 1000);
    assert!(
        steps
            .iter()
            .all(|step| step["residual"].is_f64() && step["psnr"].is_f64())
    );
    let framed: Vec<u64> = steps
        .iter()
        .filter(|step| !step["frame"].is_null())
        .filter_map(|step| step["index"].as_u64())
        .collect();
    assert!((100..=121).contains(&framed.len()), "{} frames", framed.len());
    assert_eq!((framed.first(), framed.last()), (Some(&0), Some(&999)));
    let started = &told[0].1;
    let pixels = (SIDE * SIDE / 2 * 3) as f64;
    assert!((started["noise_norm"].as_f64().unwrap_or(0.0) - 0.05 * pixels.sqrt()).abs() < 1e-9);
    Ok(())
}

/// What a saved run gives again is what the page showed.
#[test]
fn a_saved_run_gives_the_same_pictures() -> Result<()> {
    let wish = wish(Task::Reconstruct);
    let folder = tempfile::tempdir()?;
    let (file, out) = (folder.path().join("run.json"), folder.path().join("out"));
    std::fs::write(&file, serde_json::to_vec(&wish)?)?;
    playground::again::again(&file, &prior()?, "fruits64", &out)?;
    let (results, _) = perform(&wish)?;
    let images = imaging::load_images(&[out.join("sample-0.png"), out.join("sample-1.png")], SIDE)?;
    for (image, result) in images.iter().zip(&results) {
        let rounded = playground::picture::Picture::of(result);
        assert_eq!(playground::picture::Picture::of(&image.pixels), rounded);
    }
    assert!(out.join("mean.png").is_file() && out.join("spread.png").is_file());
    std::fs::write(&file, "no run")?;
    let refused = playground::again::again(&file, &prior()?, "fruits64", &out);
    assert!(refused.is_err_and(|error| error.to_string().contains("no run that the page saved")));
    Ok(())
}
