//! Which kernels are compiled: a file of C++ for each file of CUDA, of dfdx's and of ours.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// The files, in dfdx's `src/tensor_ops`, that the project's ops launch kernels of.
const KERNELS: &[&str] = &[
    "adam/adam.cu",
    "add/binary_add.cu",
    "add/scalar_add.cu",
    "axpy/axpy.cu",
    "div/binary_div.cu",
    "div/scalar_div.cu",
    "exp/exp.cu",
    "ln/ln.cu",
    "max_to/max_to.cu",
    "mul/binary_mul.cu",
    "mul/scalar_mul.cu",
    "negate/negate.cu",
    "recip/recip.cu",
    "select_and_gather/gather.cu",
    "sgd/sgd.cu",
    "sigmoid/sigmoid.cu",
    "slice/slice.cu",
    "sqrt/sqrt.cu",
    "square/square.cu",
    "sub/binary_sub.cu",
    "sub/scalar_sub.cu",
    "sum_to/sum_to.cu",
];

/// The programs that dfdx compiles when it runs: the file, the constant that holds the text, the word in it that stands
/// for the type, and the kernels.
const PROGRAMS: &[(&str, &str, &str, &[&str])] = &[
    ("concat_along/cuda_kernel.rs", "KERNEL", "$Ty", &["fwd", "bwd"]),
    ("reshape_to/cuda_kernel.rs", "FWD_KERNEL", "$T", &["reshape_fwd"]),
    ("reshape_to/cuda_kernel.rs", "BWD_KERNEL", "$T", &["reshape_bwd"]),
];

/// The C++ of all kernels of dfdx in `ops`: a name and a text for each file.
pub fn texts(ops: &Path) -> Result<Vec<(String, String)>, String> {
    let files = KERNELS.iter().map(|file| beforehand(&ops.join(file)));
    let programs = PROGRAMS
        .iter()
        .map(|(file, constant, word, kernels)| at_run_time(&ops.join(file), constant, word, kernels));
    files.chain(programs).collect()
}

/// The C++ of all our kernels, which lie in `folder`: a name and a text for each file.
pub fn our_texts(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    paths
        .filter(|path| path.extension() == Some(OsStr::new("cu")))
        .map(|path| our_text(&path))
        .collect()
}

/// One of our files, which asks for no header. Its kernels are those that it declares with the word `KERNEL`.
fn our_text(file: &Path) -> Result<(String, String), String> {
    let text = read(file)?;
    let declared = text.lines().filter_map(|line| line.strip_prefix("KERNEL "));
    let names = declared.filter_map(|rest| {
        let rest = match rest.strip_prefix("__launch_bounds__(") {
            Some(bounds) => bounds.split_once(") ")?.1,
            None => rest,
        };
        rest.split('(').next()
    });
    let known: String = names.map(|name| known(name, "\"\"")).collect();
    let file = fs::canonicalize(file).map_err(|error| format!("{} cannot be found: {error}", file.display()))?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    Ok((
        format!("our_{stem}"),
        format!(
            "#include \"cuda_fp16.h\"\n#include \"{}\"\n#include \"stand_in.h\"\n{known}",
            file.display()
        ),
    ))
}

/// A file that nvcc would compile.
fn beforehand(file: &Path) -> Result<(String, String), String> {
    let kernels: Vec<String> = f32_names(&read(file)?);
    let fill = if file.ends_with("max_to/max_to.cu") {
        Some("fill_with_f32".to_string())
    } else {
        None
    };
    let known: String = kernels
        .into_iter()
        .chain(fill)
        .map(|name| known(&name, "\"\""))
        .collect();
    let name = file
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    Ok((
        name,
        format!("#include \"{}\"\n#include \"stand_in.h\"\n{known}", file.display()),
    ))
}

/// A text that NVRTC would compile. The compiled kernels go by the text, so that another text is refused.
fn at_run_time(file: &Path, constant: &str, word: &str, kernels: &[&str]) -> Result<(String, String), String> {
    let text = constant_text(&read(file)?, constant)
        .ok_or_else(|| format!("{} has no constant {constant} with a kernel's text", file.display()))?
        .replace(word, "float");
    let quoted = format!("R\"cuda({text})cuda\"");
    let known: String = kernels.iter().map(|name| known(name, &quoted)).collect();
    let name = format!("{}_{}", kernels.join("_"), constant.to_lowercase());
    Ok((
        name,
        format!("#include \"cuda_fp16.h\"\n{text}\n#include \"stand_in.h\"\n{known}"),
    ))
}

fn known(name: &str, program: &str) -> String {
    format!("static Known<&{name}> known_{name}({program}, \"{name}\");\n")
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

/// The kernels for f32: dfdx's names for them end so, and nothing else's in these files do.
fn f32_names(text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names: Vec<String> = text
        .split(|c| !is_word(c))
        .filter(|word| word.ends_with("_f32"))
        .map(Into::into)
        .collect();
    names.sort();
    names.dedup();
    names
}

/// What the constant `name` of a Rust file holds, a string with escaped quotes.
fn constant_text(file: &str, name: &str) -> Option<String> {
    let begin = format!("const {name}: &str = \"");
    let (_, rest) = file.split_once(&begin)?;
    let (text, _) = rest.split_once("\";")?;
    Some(text.replace("\\\"", "\""))
}
