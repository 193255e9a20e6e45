//! Serves the playground, or does a run that its page saved.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use cli::catch_panics;
use diffusion::ScoreModel;
use playground::again::again;
use playground::offers::Offers;
use playground::queue::Queue;
use playground::server::routes;
use program::{ThreadOptions, USER_ERROR, data_folder, explain, find_prior, print, say, start_threads};
use score_unet::{DeviceChoice, Prior};

/// The first of the ports that are tried where none is named.
const USUAL_PORT: u16 = 8017;
/// So many of them.
const PORTS: u16 = 20;
/// A run that nobody looks at for so long is abandoned. A page that is loaded again is back sooner.
const PATIENCE: Duration = Duration::from_secs(10);

/// The playground: a page in the browser on which the tasks and the methods can be tried.
///
/// It prints the address of the page, and serves it to this machine only, until Ctrl-C. On the page: choose or draw an
/// image, choose an operator, a method and its settings, and watch it work, step by step. What you have written in
/// tasks/ is what runs; start the playground again after a change.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// The prior: a name in data/priors, or a folder with config.json and weights.safetensors.
    #[arg(long, value_name = "NAME_OR_DIR", default_value = "fruits64")]
    prior: String,
    /// The port of the page's address [default: 8017, or the next that is free].
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// How many threads it computes with.
    #[command(flatten)]
    threads: ThreadOptions,
    /// Where the network runs: cpu, cuda, cuda:N or auto. GPUs need a program that was built with `--features cuda`.
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
    /// Serves no page, but does a run that the page saved (run.json), and writes its pictures into the folder of --out.
    #[arg(long, value_name = "FILE")]
    again: Option<PathBuf>,
    /// The folder for the pictures of --again.
    #[arg(long, value_name = "DIR", default_value = "out/playground", requires = "again")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let options: Options = program::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {}", explain(&error)));
            ExitCode::from(USER_ERROR)
        }
    }
}

fn run(options: &Options) -> Result<()> {
    start_threads(options.threads)?;
    // Before the prior is loaded: a port that is taken is told at once.
    let listener = match options.again {
        None => Some(listen(options.port)?),
        Some(_) => None,
    };
    let device = options.device.open(say)?;
    let prior = Prior::load_on(&find_prior(&options.prior, data_folder())?, &device)?;
    say(&prior.describe());
    match (listener, &options.again) {
        (Some(listener), _) => serve(listener, prior, &options.prior),
        (None, Some(file)) => {
            let written = again(file, &prior, &options.prior, &options.out)?;
            written.iter().for_each(|path| print(&path.display().to_string()));
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

/// A port of this machine that nobody else can reach.
fn listen(port: Option<u16>) -> Result<TcpListener> {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = port {
        return bind(port).with_context(|| format!("cannot listen on port {port}: name another with --port"));
    }
    let free = (USUAL_PORT..USUAL_PORT + PORTS).find_map(|port| bind(port).ok());
    free.map_or_else(|| bind(0), Ok)
        .context("cannot listen on any port of this machine")
}

fn serve(listener: TcpListener, prior: Prior, name: &str) -> Result<()> {
    catch_panics();
    let data = data_folder();
    let root = data
        .as_ref()
        .ok()
        .and_then(|data| data.parent())
        .unwrap_or(Path::new("."));
    let offers = serde_json::to_string(&Offers::of(&prior, name, root)?)?;
    let model: Arc<dyn ScoreModel + Send + Sync> = Arc::new(prior);
    let queue = Queue::start(model.clone(), PATIENCE)?;
    let app = routes(model, name.to_owned(), offers, queue);
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        print(&format!("the playground is at http://{address}/ (Ctrl-C ends it)"));
        axum::serve(listener, app).await
    })?;
    Ok(())
}
