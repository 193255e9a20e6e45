//! Downloading a published file, in several goes if need be.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use pytorch_files::sha256;

use crate::weights::source::Source;

/// No published file is larger than this.
const MAX_BYTES: u64 = 1 << 30;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Downloads `source` into `folder` and returns the file's path. A file that is there already and has the right digest
/// is taken as it is; a download that was broken off is gone on with. `progress` is called with the number of bytes so
/// far and, where the server says it, of all.
///
/// # Errors
///
/// No connection, or one that breaks off; an answer other than the file; another digest than the published one, in
/// which case the file is removed.
pub fn download(source: &Source, folder: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> anyhow::Result<PathBuf> {
    let whole = folder.join(&source.file);
    if whole.exists() {
        let path = whole.display().to_string();
        let checked = source.digest.check(&sha256(&whole)?, &path);
        checked.map_err(|error| anyhow!("{error}; remove it to download it again"))?;
        return Ok(whole);
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let part = folder.join(format!("{}.part", source.file));
    receive(source, &part, progress)?;
    let found = sha256(&part)?;
    if let Err(error) = source.digest.check(&found, &source.url) {
        fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
        anyhow::bail!("{error}; what was downloaded has been removed");
    }
    fs::rename(&part, &whole).with_context(|| format!("cannot write {}", whole.display()))?;
    Ok(whole)
}

/// Writes the rest of the file to what is there of it.
fn receive(source: &Source, part: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> anyhow::Result<()> {
    let have = fs::metadata(part).map_or(0, |metadata| metadata.len());
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(TIMEOUT))
        .timeout_recv_response(Some(TIMEOUT))
        .timeout_per_read(Some(TIMEOUT))
        .build();
    let mut request = ureq::Agent::new_with_config(config).get(&source.url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let mut response = request.call().map_err(|error| unreachable_error(source, &error))?;
    let status = response.status().as_u16();
    // 206: the rest, as asked. 200: the whole file, from its start. 416: there is no rest.
    let start = match status {
        206 if continues_at(
            response
                .headers()
                .get("Content-Range")
                .and_then(|value| value.to_str().ok()),
            have,
        ) =>
        {
            have
        }
        200 => 0,
        416 if have > 0 => return Ok(()),
        _ => anyhow::bail!(
            "{} answered with HTTP status {status}; has the file moved? {}",
            source.url,
            by_hand(source)
        ),
    };
    let total = response.body().content_length().map(|rest| start + rest);
    let mut file = open(part, start)?;
    let mut body = response.body_mut().with_config().limit(MAX_BYTES).reader();
    let (mut done, mut buffer) = (start, vec![0; 1 << 16]);
    loop {
        progress(done, total);
        let count = body.read(&mut buffer).with_context(|| broken_off(done))?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count])
            .with_context(|| format!("cannot write {}", part.display()))?;
        done += count as u64;
    }
    anyhow::ensure!(total.is_none_or(|total| done == total), broken_off(done));
    Ok(())
}

fn open(part: &Path, start: u64) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    let options = if start > 0 {
        options.append(true)
    } else {
        options.write(true).create(true).truncate(true)
    };
    options
        .open(part)
        .with_context(|| format!("cannot write {}", part.display()))
}

/// Whether a `Content-Range: bytes 100-199/200` begins at byte `have`.
fn continues_at(range: Option<&str>, have: u64) -> bool {
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

fn broken_off(done: u64) -> String {
    format!(
        "the download broke off after {:.1} MB; the same command goes on from there",
        done as f64 / 1e6
    )
}

fn unreachable_error(source: &Source, error: &ureq::Error) -> anyhow::Error {
    anyhow!(
        "cannot reach {} ({error}); is this machine offline? {}",
        source.url,
        by_hand(source)
    )
}

fn by_hand(source: &Source) -> String {
    format!(
        "Download {} in any other way and hand it to `lpips-weights import`",
        source.file
    )
}
