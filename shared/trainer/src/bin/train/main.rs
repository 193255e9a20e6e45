//! Trains a score network on a folder or zip of images: `cargo run -p trainer -- --help`.

mod course;
mod options;
mod start;

use std::process::ExitCode;

use anyhow::Result;
#[cfg(feature = "cuda")]
use anyhow::anyhow;
use nn::{Backend, DeviceExt, Parameters};
use program::{catch_signals, print, stop_asked};
use score_unet::unet::UNet;
use score_unet::{Device, folder_name};
use trainer::{Card, DENOISING_TIMES, Halves, Trainer, denoising_psnrs, validation_losses, write_card};
use training::{fingerprint, open_folder, read_split, require_same_data};

use crate::course::Data;
use crate::options::Options;
use crate::start::Start;

fn main() -> ExitCode {
    let options: Options = program::parse();
    program::run_outside(options.threads, || run(options))
}

fn run(options: Options) -> Result<()> {
    match options.device.open(print)? {
        Device::Cpu(cpu) => rayon::scope(|_| train_on(&cpu, &options)),
        #[cfg(feature = "cuda")]
        Device::Cuda(gpu) => gpu
            .run(move |gpu| train_on(gpu, &options))
            .map_err(|error| anyhow!("{error}; a training goes on from its last checkpoint with --resume"))?,
    }
}

fn train_on<B: Backend>(backend: &B, options: &Options) -> Result<()> {
    let start = Start::read(options)?;
    let _folder = open_folder(&options.out, &options.data, start.begin())?;
    if let Some(reason) = start.nothing_to_do(options) {
        print(&reason);
        return Ok(());
    }
    let mut trainer = start.trainer(backend, options)?;
    let data = read_data(options, &trainer)?;
    let (length, known_by) = (start.length(options), fingerprint(&data.train, &data.test));
    require_same_data(trainer.counters().data.as_deref(), &known_by)?;
    trainer.remember(length, known_by);

    catch_signals("stopping after this step and writing a checkpoint (once more to stop without)")?;
    print(&format!(
        "{} parameters, {} training and {} validation images, {} threads, on {}",
        trainer.average().count(),
        data.train.count,
        data.test.count,
        rayon::current_num_threads(),
        backend.device().describe()
    ));
    course::train(options, start.begin(), &mut trainer, &data, length)?;
    if stop_asked().is_some() {
        print(&format!(
            "stopped at step {}; go on with --resume and the same --data and --out",
            trainer.counters().step
        ));
        return Ok(());
    }
    finish(options, &trainer, &data)
}

/// The smaller part first: where it lacks, that is told at once.
fn read_data<B: Backend>(options: &Options, trainer: &Trainer<B>) -> Result<Data> {
    let size = trainer.counters().config.image_size();
    let test = read_split(&options.data, "test", size)?;
    let train = read_split(&options.data, "train", size)?;
    Ok(Data { train, test })
}

/// Measures the best weights and writes what was found.
fn finish<B: Backend>(options: &Options, trainer: &Trainer<B>, data: &Data) -> Result<()> {
    let mut network = UNet::load(&options.out, trainer.average().backend())?;
    network.freeze();
    let max = network.config().diffusion_steps();
    let halves = Halves::of(&data.test.names);
    let mut psnrs = Vec::new();
    for t in DENOISING_TIMES.into_iter().filter(|t| *t <= max) {
        let psnr = halves.means(&denoising_psnrs(&network, &data.test, t)?);
        print(&format!(
            "one-step denoising at t = {t}: {:.2} dB, mean over {} images",
            psnr.all, data.test.count
        ));
        psnrs.push((t, psnr));
    }
    let card = Card {
        name: folder_name(&options.out),
        parameters: network.count(),
        train_images: data.train.count,
        test_images: data.test.count,
        validation_loss: halves.means(&validation_losses(&network, &data.test)?),
        halves,
        denoising_psnr: psnrs,
    };
    write_card(&options.out, &card, trainer.counters())?;
    print(&format!(
        "validation loss of the written weights: {:.5}; all files are in {}",
        card.validation_loss.all,
        options.out.display()
    ));
    Ok(())
}
