//! How a posterior method does with other settings than its own: what the tuned ones come from.
//!
//! `cargo run -p methods --example posterior_sweep -- PRIOR IMAGES METHOD OPERATOR [STEPS] [SETTING=VALUE,...] ...`
//!
//! PRIOR is a folder, IMAGES a folder of photographs kept for tuning. All combinations of the values are tried, with
//! Gaussian noise of sigma 0.05, on the first eight images; a setting that is not named keeps its tuned value. Methods
//! without settings are run as they are.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use diffusion::ScoreModel;
use imaging::{
    ForwardOperator, Noise, OperatorKind, Symmetry, load_images, measure, parse_operator, sampler_rng, stack,
};
use methods::posterior::daps::{Daps, DapsSettings};
use methods::posterior::ddnm_plus::DdnmPlus;
use methods::posterior::diffpir::DiffPir;
use methods::posterior::moment_matching::MomentMatching;
use methods::posterior::pigdm::Pigdm;
use methods::posterior::pnp_admm::{PnpAdmm, PnpAdmmSettings};
use methods::posterior::red_diff::{RedDiff, RedDiffSettings};
use methods::stepping::Stepping;
use methods::{PosteriorMethod, Problem, registry};
use ndarray::{Array4, Axis};
use score_unet::Prior;

const IMAGES: usize = 8;
const SIGMA: f64 = 0.05;

type Settings = BTreeMap<String, f64>;

/// All combinations of the values of `NAME=VALUE,...`.
fn combinations(arguments: &[String]) -> Result<Vec<Settings>, Box<dyn Error>> {
    let mut all = vec![Settings::new()];
    for argument in arguments {
        let (name, values) = argument.split_once('=').ok_or("a setting is NAME=VALUE,...")?;
        let mut more = Vec::new();
        for value in values.split(',') {
            let value: f64 = value.parse()?;
            more.extend(all.iter().cloned().map(|mut settings| {
                settings.insert(name.to_owned(), value);
                settings
            }));
        }
        all = more;
    }
    Ok(all)
}

/// The method with these settings.
fn method(name: &str, kind: OperatorKind, settings: &Settings) -> Result<Box<dyn PosteriorMethod>, Box<dyn Error>> {
    let or = |name: &str, tuned: f64| settings.get(name).copied().unwrap_or(tuned);
    Ok(match name {
        "diffpir" => Box::new(DiffPir {
            lambda: or("lambda", DiffPir::TUNED.lambda),
            zeta: or("zeta", DiffPir::TUNED.zeta),
        }),
        "pnp-admm" => {
            let tuned = PnpAdmmSettings::tuned(kind);
            let levels = (or("first", tuned.levels.0), or("last", tuned.levels.1));
            let lambda = or("lambda", tuned.lambda);
            Box::new(PnpAdmm {
                settings: Some(PnpAdmmSettings { lambda, levels }),
            })
        }
        "red-diff" => {
            let tuned = RedDiffSettings::tuned(kind);
            let (lambda, rate) = (or("lambda", tuned.lambda), or("rate", tuned.rate));
            Box::new(RedDiff {
                settings: Some(RedDiffSettings { lambda, rate }),
            })
        }
        "daps" => {
            let tuned = DapsSettings::tuned(kind);
            let settings = DapsSettings {
                ode_steps: or("ode", tuned.ode_steps as f64) as usize,
                levels: (or("first", tuned.levels.0), or("last", tuned.levels.1)),
                langevin_steps: or("langevin", tuned.langevin_steps as f64) as usize,
                rate: or("rate", tuned.rate),
                tau: or("tau", tuned.tau),
            };
            Box::new(Daps::new(or("starts", 1.0) as usize, Some(settings)))
        }
        "pigdm" => Box::new(Pigdm { eta: or("eta", 1.0) }),
        "ddnm-plus" => Box::new(DdnmPlus {
            eta: or("eta", 0.85),
            repeats: or("repeats", 1.0) as usize,
        }),
        "moment-matching" => Box::new(MomentMatching {
            rounds: or("rounds", 1.0) as usize,
        }),
        _ => return Err(format!("`{name}` has no settings; leave them out").into()),
    })
}

/// Mean and least PSNR of all images, in dB, with what the operator cannot tell left out.
fn psnr(images: &Array4<f32>, truth: &Array4<f32>, kind: OperatorKind) -> Result<(f64, f64), Box<dyn Error>> {
    let mut all = Vec::new();
    for (image, truth) in images.axis_iter(Axis(0)).zip(truth.axis_iter(Axis(0))) {
        all.push(metrics::psnr(&Symmetry::of(kind).align(&image, &truth), &truth)?);
    }
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    Ok((all.iter().sum::<f64>() / all.len() as f64, least))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prior, images, name, operator, rest @ ..] = arguments.as_slice() else {
        return Err("name a prior's folder, a folder of images, a method and an operator".into());
    };
    let (num_steps, rest) = match rest.split_first() {
        Some((first, others)) if !first.contains('=') => (first.parse()?, others),
        _ => (100, rest),
    };
    let prior = Prior::load(Path::new(prior))?;
    let size = prior.image_shape()[1];
    let images = load_images(&[PathBuf::from(images)], size)?;
    let pixels: Vec<_> = images.iter().take(IMAGES).map(|image| image.pixels.view()).collect();
    let truth = stack(&pixels)?;
    let operator: Box<dyn ForwardOperator> = parse_operator(operator, prior.image_shape(), 0)?;
    let b = measure(&*operator, &truth, Noise::Gaussian { sigma: SIGMA }, 0, 0)?;
    let problem = Problem {
        operator: &*operator,
        b: &b,
        sigma: SIGMA,
    };
    let stepping = Stepping::new(num_steps);
    for settings in combinations(rest)? {
        let own;
        let method = match registry::posterior_method(name) {
            Ok(method) if settings.is_empty() => method,
            _ => {
                own = method(name, operator.kind(), &settings)?;
                &*own
            }
        };
        let start = Instant::now();
        let images = method.solve(&prior, &problem, stepping, &mut sampler_rng(0, 0, 0), &mut ())?;
        let (mean, least) = psnr(&images, &truth, operator.kind())?;
        let cost = method.cost(&*operator, prior.schedule(), num_steps)?;
        println!(
            "{:<14}{:<16}{:>5} calls  {mean:6.2} dB (least {least:5.2})  {:5.1} s  {settings:?}",
            operator.name(),
            method.name(),
            cost.evaluations,
            start.elapsed().as_secs_f64(),
        );
    }
    Ok(())
}
