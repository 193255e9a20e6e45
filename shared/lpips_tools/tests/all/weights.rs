//! Importing and downloading published weights, with files that the test makes and a server that it runs.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use lpips_tools::weights::{Digest, Files, Source, download, import, linear_source};
use metrics::{Backbone, Lpips};
use pytorch_files::{read_tensors, sha256};

/// `torch.save({"lin0.model.1.weight": torch.tensor([[[[0.5]], [[2.0]]]]), "steps": torch.tensor([7])})` in both of
/// PyTorch's formats, made by `scripts/lpips_pth_fixtures.py`.
const LEGACY: &[u8] = include_bytes!("../fixtures/legacy.pth");
const ZIPPED: &[u8] = include_bytes!("../fixtures/zipped.pth");

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

#[test]
fn both_formats_of_torch_save_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in [("legacy.pth", LEGACY), ("zipped.pth", ZIPPED)] {
        let path = write(folder.path(), name, bytes);
        let tensors = read_tensors(&path, &|name| name.starts_with("lin")).expect("tensors");
        assert_eq!(tensors.len(), 1, "{name}");
        assert_eq!(tensors[0].name, "lin0.model.1.weight");
        assert_eq!(
            (&tensors[0].shape[..], &tensors[0].values[..]),
            (&[1, 2, 1, 1][..], &[0.5, 2.0][..]),
            "{name}"
        );
        let whole_numbers =
            read_tensors(&path, &|name| name == "steps").map_or_else(|e| e.to_string(), |_| String::new());
        assert!(
            whole_numbers.contains("`steps`") && whole_numbers.contains("expected floats"),
            "{whole_numbers}"
        );
    }
}

#[test]
fn a_file_that_was_cut_off_is_refused_at_every_length() {
    let folder = tempfile::tempdir().expect("a folder");
    for bytes in [LEGACY, ZIPPED] {
        for length in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
            let path = write(folder.path(), "cut.pth", &bytes[..length]);
            let read = read_tensors(&path, &|name| name.starts_with("lin"));
            assert!(read.is_err(), "{length} of {} bytes were read", bytes.len());
        }
    }
}

/// A pickle that asks for `os.system("...")` when Python loads it.
#[test]
fn what_a_pickle_asks_to_run_is_not_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("was_run");
    let pickle = format!("cos\nsystem\n(S'touch {}'\ntR.", trace.display());
    let path = write(folder.path(), "attack.pth", pickle.as_bytes());
    assert!(read_tensors(&path, &|_| true).map_or(true, |tensors| tensors.is_empty()));
    assert!(!trace.exists());
}

#[test]
fn a_file_with_another_digest_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "alexnet-owt-7be5be79.pth", LEGACY);
    let out = folder.path().join("alex.safetensors");
    let refuse = |files| {
        let error = import(Backbone::Alex, &path, &path, &out, files).expect_err("a wrong file was imported");
        format!("{error:#}")
    };
    let message = refuse(Files::Published);
    assert!(
        message.contains(&sha256(&path).expect("a digest")) && message.contains("expected 7be5be79..."),
        "{message}"
    );
    // Even where the digest does not matter, it must be the right network.
    let message = refuse(Files::Any);
    assert!(
        message.contains("another network") && message.contains("features.0.weight"),
        "{message}"
    );
    assert!(!out.exists());
}

#[test]
fn a_network_from_safetensors_is_imported_and_measures_distances() {
    let folder = tempfile::tempdir().expect("a folder");
    let (network, linear) = (
        folder.path().join("network.safetensors"),
        folder.path().join("linear.safetensors"),
    );
    write_squeeze(&network, &linear, 0.25);
    let out = folder.path().join("sub").join(Backbone::Squeeze.file_name());
    import(Backbone::Squeeze, &network, &linear, &out, Files::Any).expect("an import");
    let lpips = Lpips::load(Backbone::Squeeze, &out).expect("imported weights");
    assert_eq!(lpips.name(), "squeeze");
    let image = ndarray::Array3::from_shape_fn((3, 32, 32), |(c, y, x)| ((c + 3 * y + x * x) as f32).sin());
    assert_eq!(lpips.distance(&image, &image).expect("a distance"), 0.0);
    assert!(lpips.distance(&(-&image), &image).expect("a distance") > 0.0);
    // A damaged file of ours.
    let bytes = fs::read(&out).expect("the file");
    fs::write(&out, &bytes[..bytes.len() / 2]).expect("half a file");
    let message = Lpips::load(Backbone::Squeeze, &out).map_or_else(|e| e.to_string(), |_| String::new());
    assert!(
        message.contains("LPIPS (squeeze)") && message.contains("not a whole safetensors file"),
        "{message}"
    );
    // Weights below zero make no distance.
    write_squeeze(&network, &linear, -0.25);
    let error = import(Backbone::Squeeze, &network, &linear, &out, Files::Any).expect_err("weights below zero");
    assert!(format!("{error:#}").contains("holds -0.25"), "{error:#}");
}

/// SqueezeNet with made-up weights, in torchvision's shapes.
fn write_squeeze(network: &Path, linear: &Path, weight: f32) {
    let fire = |index: usize, c_in: usize, squeezed: usize, half: usize| {
        [
            (format!("features.{index}.squeeze"), squeezed, c_in, 1),
            (format!("features.{index}.expand1x1"), half, squeezed, 1),
            (format!("features.{index}.expand3x3"), half, squeezed, 3),
        ]
    };
    let mut convolutions = vec![("features.0".to_string(), 64, 3, 3)];
    let modules = [(3, 64, 16, 64), (4, 128, 16, 64), (6, 128, 32, 128), (7, 256, 32, 128)];
    let deeper = [
        (9, 256, 48, 192),
        (10, 384, 48, 192),
        (11, 384, 64, 256),
        (12, 512, 64, 256),
    ];
    for (index, c_in, squeezed, half) in modules.into_iter().chain(deeper) {
        convolutions.extend(fire(index, c_in, squeezed, half));
    }
    let tensor = |name: String, shape: Vec<usize>, value: &dyn Fn(usize) -> f32| {
        let values = (0..shape.iter().product()).map(value).collect();
        nn::NamedTensor { name, shape, values }
    };
    let mut tensors = Vec::new();
    for (name, c_out, c_in, kernel) in convolutions {
        let spread = 1.0 / ((c_in * kernel * kernel) as f32).sqrt();
        let value = |i: usize| (i as f32 * 0.7).sin() * spread;
        tensors.push(tensor(
            format!("{name}.weight"),
            vec![c_out, c_in, kernel, kernel],
            &value,
        ));
        tensors.push(tensor(format!("{name}.bias"), vec![c_out], &|_| 0.1));
    }
    let save = |path: &Path, tensors: &[nn::NamedTensor]| {
        nn::save_tensors(path, tensors, nn::FloatType::F32, &Default::default()).expect("a weights file");
    };
    save(network, &tensors);
    let stages = [64, 128, 256, 384, 384, 512, 512];
    let linears = stages
        .iter()
        .enumerate()
        .map(|(k, c)| tensor(format!("lin{k}.model.1.weight"), vec![1, *c, 1, 1], &|_| weight));
    save(linear, &linears.collect::<Vec<_>>());
}

/// From the `Range` header of a request, where it has one, to the bytes of the response.
type Answer = Box<dyn Fn(Option<String>) -> Vec<u8> + Send>;

/// Answers one request after the other with what `answer` makes of the `Range` header; returns the address.
fn serve(answers: Vec<Answer>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/weights.pth", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut range = None;
            for line in BufReader::new(stream.try_clone().expect("a stream"))
                .lines()
                .map_while(Result::ok)
            {
                if line.to_ascii_lowercase().starts_with("range:") {
                    range = Some(line[6..].trim().to_string());
                }
                if line.is_empty() {
                    break;
                }
            }
            let _ = stream.write_all(&answer(range));
        }
    });
    address
}

fn response(status: &str, headers: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

const BODY: &[u8] = b"the weights, or so it is said";
/// SHA-256 of `BODY`, from coreutils' sha256sum.
const BODY_SHA256: &str = "f882e467b1fce17597af46bc03d9e8399995c61aadb57933b51b3448072210c0";

fn source(url: String, digest: Digest) -> Source {
    Source {
        file: "weights.pth".into(),
        url,
        digest,
    }
}

#[test]
fn a_download_that_broke_off_is_gone_on_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = serve(vec![
        Box::new(|range| {
            assert_eq!(range, None);
            response("200 OK", "", BODY.len(), &BODY[..10])
        }),
        Box::new(|range| {
            assert_eq!(range.as_deref(), Some("bytes=10-"));
            let range = format!("Content-Range: bytes 10-{}/{}\r\n", BODY.len() - 1, BODY.len());
            response("206 Partial Content", &range, BODY.len() - 10, &BODY[10..])
        }),
    ]);
    let source = source(url, Digest::Full(BODY_SHA256));
    let error = download(&source, folder.path(), &mut |_, _| ()).expect_err("half a file was taken for a whole one");
    assert!(
        format!("{error:#}").contains("the same command goes on from there"),
        "{error:#}"
    );
    let mut seen = Vec::new();
    let path = download(&source, folder.path(), &mut |done, total| seen.push((done, total))).expect("the rest");
    assert_eq!(fs::read(&path).expect("the file"), BODY);
    assert_eq!(seen.first(), Some(&(10, Some(BODY.len() as u64))));
    // It is here now: no server is needed.
    assert_eq!(
        download(&source, folder.path(), &mut |_, _| ()).expect("the file"),
        path
    );
}

#[test]
fn another_file_than_the_published_one_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = serve(vec![Box::new(|_| response("200 OK", "", BODY.len(), BODY))]);
    let error = download(&source(url, Digest::Prefix("00000000")), folder.path(), &mut |_, _| ());
    let message = format!("{:#}", error.expect_err("a wrong file was accepted"));
    assert!(
        message.contains(BODY_SHA256) && message.contains("expected 00000000..."),
        "{message}"
    );
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[test]
fn without_a_connection_the_message_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let closed = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("an address");
    let source = |url| source(url, Digest::Full(BODY_SHA256));
    let url = format!("http://{closed}/weights.pth");
    let error = download(&source(url.clone()), folder.path(), &mut |_, _| ()).expect_err("a download from nowhere");
    let message = format!("{error:#}");
    assert!(
        message.contains(&url) && message.contains("offline?") && message.contains("import"),
        "{message}"
    );
    let url = serve(vec![Box::new(|_| response("404 Not Found", "", 0, b""))]);
    let error = download(&source(url), folder.path(), &mut |_, _| ()).expect_err("a page that is not there");
    assert!(error.to_string().contains("HTTP status 404"), "{error:#}");
}

/// The authors' own files: `LPIPS_WEIGHTS=FOLDER cargo test -p lpips_tools -- --ignored`, with the folder
/// `lpips/weights/v0.1` of the installed package.
#[test]
#[ignore = "needs the files of the package lpips, which are not in this repository"]
fn the_stage_weights_of_the_package_are_read() {
    let folder = PathBuf::from(std::env::var_os("LPIPS_WEIGHTS").expect("LPIPS_WEIGHTS names the folder of the files"));
    for (backbone, channels) in [
        (Backbone::Alex, &[64, 192, 384, 256, 256][..]),
        (Backbone::Vgg, &[64, 128, 256, 512, 512]),
        (Backbone::Squeeze, &[64, 128, 256, 384, 384, 512, 512]),
    ] {
        let path = folder.join(format!("{}.pth", backbone.name()));
        let source = linear_source(backbone).expect("a source");
        source
            .digest
            .check(&sha256(&path).expect("a digest"), "the file")
            .expect("the published digest");
        let mut tensors = read_tensors(&path, &|_| true).expect("tensors");
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let found: Vec<usize> = tensors.iter().map(|tensor| tensor.values.len()).collect();
        assert_eq!(found, channels);
        assert!(
            tensors
                .iter()
                .flat_map(|tensor| &tensor.values)
                .all(|value| *value >= 0.0)
        );
    }
}
