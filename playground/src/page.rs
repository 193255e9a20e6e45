//! The page: its files, as they stand in `page/`, and the handouts that it links to.

/// A file that is served as it is.
#[derive(Clone, Copy, Debug)]
pub struct PageFile {
    /// Where: `/style.css`.
    pub path: &'static str,
    /// What it is: `text/css`, with UTF-8.
    pub kind: &'static str,
    /// What is in it.
    pub text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const DRAWING: &str = "image/svg+xml";

macro_rules! file {
    ($path:literal, $kind:expr, $source:literal) => {
        PageFile {
            path: $path,
            kind: $kind,
            text: include_str!($source),
        }
    };
}

/// All of them.
pub const FILES: &[PageFile] = &[
    file!("/", HTML, "../page/index.html"),
    file!("/style.css", CSS, "../page/style.css"),
    file!("/icon.svg", DRAWING, "../page/icon.svg"),
    file!("/main.js", SCRIPT, "../page/main.js"),
    file!("/pixels.js", SCRIPT, "../page/pixels.js"),
    file!("/easel.js", SCRIPT, "../page/easel.js"),
    file!("/pictures.js", SCRIPT, "../page/pictures.js"),
    file!("/form.js", SCRIPT, "../page/form.js"),
    file!("/run.js", SCRIPT, "../page/run.js"),
    file!("/show.js", SCRIPT, "../page/show.js"),
    file!("/curves.js", SCRIPT, "../page/curves.js"),
    file!("/handouts/task3", PLAIN, "../../tasks/task3_generate/README.md"),
    file!("/handouts/task4", PLAIN, "../../tasks/task4_sdedit/README.md"),
    file!("/handouts/task5", PLAIN, "../../tasks/task5_score_ald/README.md"),
    file!("/handouts/task6", PLAIN, "../../tasks/task6_dps/README.md"),
    file!("/handouts/methods", PLAIN, "../../methods/README.md"),
];
