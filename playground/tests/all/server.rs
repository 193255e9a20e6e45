//! Over a real socket: who is answered, with what, and that nothing ends the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use diffusion::ScoreModel;
use playground::offers::Offers;
use playground::queue::Queue;
use playground::server::routes;
use playground::wish::Task;
use serde_json::Value;

use crate::common::{Does, LONG, Naughty, wish};

/// A server of a prior of its own, which ends with the test.
fn start(does: Does) -> Result<SocketAddr> {
    let model: Arc<dyn ScoreModel + Send + Sync> = Naughty::new(does)?;
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the repository")?;
    let offers = serde_json::to_string(&Offers::of(model.as_ref(), "fruits64", root)?)?;
    let app = routes(model.clone(), "fruits64".to_owned(), offers, Queue::start(model, LONG)?);
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, app).await })
    });
    Ok(address)
}

/// The status and the body that a request is answered with.
fn ask(address: SocketAddr, first_line: &str, headers: &str, body: &[u8]) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LONG))?;
    let length = body.len();
    write!(
        stream,
        "{first_line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    )?;
    // A server that has seen enough may close before all is sent.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).context("no status")?.parse()?;
    Ok((
        status,
        answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned(),
    ))
}

fn host(address: SocketAddr) -> String {
    format!("Host: {address}\r\n")
}

fn post(address: SocketAddr, path: &str, body: &[u8]) -> Result<(u16, Value)> {
    let (status, body) = ask(address, &format!("POST {path}"), &host(address), body)?;
    Ok((
        status,
        serde_json::from_str(&body).with_context(|| format!("no JSON: {body}"))?,
    ))
}

fn sentence(answer: &(u16, Value)) -> &str {
    answer.1["sentence"].as_str().unwrap_or_default()
}

#[test]
fn it_answers_its_own_page_only() -> Result<()> {
    let address = start(Does::Sleep(Duration::ZERO))?;
    let port = address.port();
    for (headers, status) in [
        (format!("Host: 127.0.0.1:{port}"), 200),
        (format!("Host: localhost:{port}"), 200),
        (
            format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}"),
            200,
        ),
        (format!("Host: localhost:{port}\r\nSec-Fetch-Site: same-origin"), 200),
        (
            format!("Host: localhost:{port}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate"),
            200,
        ),
        // A name that leads here, as somebody else's name may.
        (format!("Host: example.org:{port}"), 403),
        (format!("Host: localhost.example.org:{port}"), 403),
        ("Host: 192.168.0.7".to_owned(), 403),
        // A page of somebody else's, or of another program of this machine.
        (format!("Host: localhost:{port}\r\nOrigin: https://example.org"), 403),
        (
            format!("Host: localhost:{port}\r\nOrigin: http://localhost:{}", port ^ 1),
            403,
        ),
        (format!("Host: localhost:{port}\r\nOrigin: null"), 403),
        (
            format!("Host: localhost:{port}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors"),
            403,
        ),
    ] {
        let (got, body) = ask(address, "GET /", &format!("{headers}\r\n"), b"")?;
        assert_eq!(got, status, "{headers}: {body}");
    }
    Ok(())
}

#[test]
fn files_and_offers_are_served() -> Result<()> {
    let address = start(Does::Sleep(Duration::ZERO))?;
    for file in playground::page::FILES {
        let (status, body) = ask(address, &format!("GET {}", file.path), &host(address), b"")?;
        assert!(status == 200 && body == file.text, "{}", file.path);
    }
    let (_, offers) = ask(address, "GET /api/offers", &host(address), b"")?;
    let offers: Value = serde_json::from_str(&offers)?;
    let count = |name: &str| offers[name].as_array().map_or(0, Vec::len);
    let registered = (
        methods::registry::samplers().len(),
        methods::registry::posterior_methods().len(),
    );
    assert_eq!((count("samplers"), count("posterior")), registered);
    assert!(count("images") >= 16 && count("operators") >= 10);
    assert!(!offers["operators"].to_string().contains("FILE"));
    assert_eq!(ask(address, "GET /../Cargo.toml", &host(address), b"")?.0, 404);
    Ok(())
}

#[test]
fn files_that_are_no_images_get_a_sentence() -> Result<()> {
    let address = start(Does::Sleep(Duration::ZERO))?;
    let text = post(address, "/api/images", b"these are no pixels")?;
    assert!(
        text.0 == 422 && sentence(&text).contains("not those of an image"),
        "{text:?}"
    );
    let empty = post(address, "/api/masks", b"")?;
    assert!(empty.0 == 422 && sentence(&empty).contains("empty"), "{empty:?}");
    let large = post(address, "/api/images", &vec![0; (64 << 20) + 1])?;
    assert!(
        large.0 == 422 && sentence(&large).contains("larger than 64 MiB"),
        "{large:?}"
    );

    let photo = image::GrayImage::from_fn(320, 250, |x, _| image::Luma([x as u8]));
    let mut png = std::io::Cursor::new(Vec::new());
    photo.write_to(&mut png, image::ImageFormat::Png)?;
    let photo = post(address, "/api/images", png.get_ref())?;
    assert_eq!(photo.0, 200);
    assert!(
        photo.1["adapted"]
            .as_str()
            .is_some_and(|words| words.contains("320x250 cropped")),
        "{}",
        photo.1
    );
    let mask = post(address, "/api/masks", png.get_ref())?;
    assert!(mask.1["picture"]["height"] == 16, "{}", mask.1);

    // What claims to be larger than memory is refused before it is read.
    let mut claim = png.into_inner();
    claim[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let claim = post(address, "/api/images", &claim)?;
    assert!(claim.0 == 422 && !sentence(&claim).is_empty(), "{claim:?}");
    Ok(())
}

/// Starts a run, and returns its number.
fn begin(address: SocketAddr, steps: &str) -> Result<u64> {
    let mut wish = wish(Task::Generate);
    wish.steps = steps.to_owned();
    let started = post(address, "/api/runs", &serde_json::to_vec(&wish)?)?;
    started.1["id"].as_u64().with_context(|| format!("{started:?}"))
}

#[test]
fn a_run_is_told_from_its_beginning_or_from_where_a_page_left_off() -> Result<()> {
    let address = start(Does::Sleep(Duration::ZERO))?;
    let id = begin(address, "5")?;
    let events = format!("GET /api/runs/{id}/events");
    let (status, all) = ask(address, &events, &host(address), b"")?;
    assert_eq!(status, 200);
    let kinds = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("event: "));
        lines.map(str::to_owned).collect()
    };
    let kinds_of_all = kinds(&all);
    assert_eq!(kinds_of_all.last().map(String::as_str), Some("done"));
    assert_eq!(kinds_of_all.iter().filter(|kind| *kind == "step").count(), 2 * 5);
    let (_, rest) = ask(address, &events, &format!("{}Last-Event-ID: 3\r\n", host(address)), b"")?;
    assert_eq!(kinds(&rest), kinds_of_all[4..]);
    for path in ["/api/runs/1/events", "/api/runs/no/events"] {
        let (status, _) = ask(address, &format!("GET {path}"), &host(address), b"")?;
        assert!(status == 404 || status == 400, "{path}: {status}");
    }
    Ok(())
}

#[test]
fn a_run_can_be_cancelled_and_the_page_answers_meanwhile() -> Result<()> {
    let address = start(Does::Sleep(Duration::from_millis(20)))?;
    let id = begin(address, "1000")?;
    let watching = thread::spawn(move || ask(address, &format!("GET /api/runs/{id}/events"), &host(address), b""));
    let clock = std::time::Instant::now();
    assert_eq!(ask(address, "GET /", &host(address), b"")?.0, 200);
    assert!(clock.elapsed() < Duration::from_secs(5));
    assert_eq!(post(address, &format!("/api/runs/{id}/cancel"), b"")?.0, 200);
    let told = watching.join().ok().context("the watcher panicked")??.1;
    assert!(told.contains("event: stopped"), "{told}");
    assert_eq!(post(address, "/api/runs/1/cancel", b"")?.0, 404);
    Ok(())
}

#[test]
fn nonsense_gets_a_sentence() -> Result<()> {
    let address = start(Does::Sleep(Duration::ZERO))?;
    for (body, expected) in [
        (b"{".to_vec(), "cannot be read"),
        (vec![b' '; 1 << 20], "is larger than"),
        (
            br#"{"task":"generate","steps":"5","samples":"1","seed":"0","method":"ancestral","extra":1}"#.to_vec(),
            "unknown field `extra`",
        ),
        (
            br#"{"task":"generate","steps":"1000000000","samples":"1","seed":"0","method":"ancestral"}"#.to_vec(),
            "from 1 to 1000",
        ),
    ] {
        let answer = post(address, "/api/runs", &body)?;
        assert!(answer.0 == 422 && sentence(&answer).contains(expected), "{answer:?}");
    }
    begin(address, "1")?;
    Ok(())
}
