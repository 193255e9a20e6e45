//! The published files and their digests.

use metrics::Backbone;

/// What is known of a file's SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// All 64 hexadecimal digits.
    Full(&'static str),
    /// The first digits. torchvision puts eight of them into its files' names, and PyTorch's own download checks no
    /// more than these; the whole digests are published nowhere that we could rely on. Eight digits find every accident
    /// and nearly every exchange of files, but someone who tries four billion changes finds one that passes.
    Prefix(&'static str),
}

impl Digest {
    /// Refuses a file with another digest than this.
    ///
    /// # Errors
    ///
    /// The message names the file and both digests.
    pub fn check(self, found: &str, file: &str) -> anyhow::Result<()> {
        let (matches, expected) = match self {
            Self::Full(digest) => (found == digest, digest.to_string()),
            Self::Prefix(start) => (found.starts_with(start), format!("{start}...")),
        };
        anyhow::ensure!(
            matches,
            "{file} has the SHA-256 {found}, expected {expected}: it is cut off, altered, or another file than the one \
             that was published"
        );
        Ok(())
    }
}

/// A file as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub file: String,
    /// Where it is downloaded from.
    pub url: String,
    /// What its SHA-256 must be.
    pub digest: Digest,
}

/// torchvision's classification network; none for the embedded backbone.
#[must_use]
pub fn backbone_source(backbone: Backbone) -> Option<Source> {
    let (file, prefix) = match backbone {
        Backbone::Embedded => return None,
        Backbone::Alex => ("alexnet-owt-7be5be79.pth", "7be5be79"),
        Backbone::Vgg => ("vgg16-397923af.pth", "397923af"),
        Backbone::Squeeze => ("squeezenet1_1-b8a52dc0.pth", "b8a52dc0"),
    };
    Some(Source {
        file: file.into(),
        url: format!("https://download.pytorch.org/models/{file}"),
        digest: Digest::Prefix(prefix),
    })
}

/// The authors' weights of the stages, version 0.1; none for the embedded backbone. The digests are those of the files
/// in the package `lpips` 0.1.4.
#[must_use]
pub fn linear_source(backbone: Backbone) -> Option<Source> {
    let digest = match backbone {
        Backbone::Embedded => return None,
        Backbone::Alex => "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        Backbone::Vgg => "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        Backbone::Squeeze => "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
    };
    let name = backbone.name();
    let folder = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1";
    Some(Source {
        file: format!("lpips-v0.1-{name}.pth"),
        url: format!("{folder}/{name}.pth"),
        digest: Digest::Full(digest),
    })
}
