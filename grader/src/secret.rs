//! The course's secret, from which everything that a submission must not guess is derived.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rand::rngs::{OsRng, StdRng};
use rand::{SeedableRng, TryRngCore};
use sha2::{Digest, Sha256};

/// The file of a course's own secret, beside its hidden images.
pub const FILE: &str = "secret";
/// The same of the demonstration set, which everybody can read.
const DEMONSTRATION: &str = "demonstration-secret";

/// 256 bits that only the course's staff knows, or what was derived from them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

/// Whose secret it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A course's own.
    Course,
    /// That of the demonstration set.
    Everybody,
}

impl Secret {
    /// A new one from the operating system.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub fn drawn() -> Result<Self> {
        let mut bits = [0; 32];
        OsRng
            .try_fill_bytes(&mut bits)
            .map_err(|error| anyhow!("the operating system gives no random numbers: {error}"))?;
        Ok(Self(bits))
    }

    /// One that is no secret: for calibration and tests, which are to be the same each time.
    #[must_use]
    pub fn known(number: u64) -> Self {
        Self([0; 32]).derive(&["known", &number.to_string()])
    }

    /// The secret beside the hidden images in `folder`.
    ///
    /// # Errors
    ///
    /// If there is none, it is damaged, or others than its owner may read that of a course.
    pub fn read(folder: &Path) -> Result<(Self, Owner)> {
        for (name, owner) in [(FILE, Owner::Course), (DEMONSTRATION, Owner::Everybody)] {
            let path = folder.join(name);
            let text = match fs::read_to_string(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                text => text.with_context(|| format!("cannot read `{}`", path.display()))?,
            };
            if owner == Owner::Course {
                let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
                ensure!(
                    mode & 0o077 == 0,
                    "`{0}` can be read by others (its mode is {mode:o}): `chmod 600 {0}`",
                    path.display()
                );
            }
            let secret = of_hex(text.trim()).with_context(|| {
                format!(
                    "`{}` is damaged, expected 64 hexadecimal digits: restore it from a copy",
                    path.display()
                )
            })?;
            return Ok((secret, owner));
        }
        bail!(
            "`{}` lacks the file `{FILE}`, from which all random inputs are derived. Copy it from where the course is \
             graded: another one would give other points. For a new course `grader hidden` draws images and a secret",
            folder.display()
        )
    }

    /// Writes it beside the hidden images in `folder`, in place of what was there, with the mode 0600 where it is a
    /// course's own.
    ///
    /// # Errors
    ///
    /// If the folder cannot be written to.
    pub fn write(&self, folder: &Path, owner: Owner) -> Result<()> {
        let (name, other, mode) = match owner {
            Owner::Course => (FILE, DEMONSTRATION, 0o600),
            Owner::Everybody => (DEMONSTRATION, FILE, 0o644),
        };
        for old in [name, other] {
            match fs::remove_file(folder.join(old)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let path = folder.join(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(writeln!(file, "{}", self.hex())?)
    }

    /// Another secret, which tells nothing of this one: SHA-256 of this one and the words, each with its length.
    #[must_use]
    pub fn derive(&self, words: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        for word in words {
            hash.update((word.len() as u64).to_le_bytes());
            hash.update(word);
        }
        let mut bits = [0; 32];
        bits.copy_from_slice(&hash.finalize());
        Self(bits)
    }

    /// A number that tells nothing of the rest.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.derive(&["number"])
            .0
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Random numbers.
    #[must_use]
    pub fn rng(&self) -> StdRng {
        StdRng::from_seed(self.derive(&["rng"]).0)
    }

    /// So much of it as tells two apart, and tells nothing of it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.derive(&["fingerprint"]).hex()[..16].to_owned()
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// It is not printed by accident.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

fn of_hex(text: &str) -> Option<Secret> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bits = [0; 32];
    for (index, bit) in bits.iter_mut().enumerate() {
        *bit = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(Secret(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_derived_differs_and_comes_again() {
        let secret = Secret::known(1);
        assert_eq!(secret.derive(&["a", "b"]), secret.derive(&["a", "b"]));
        for other in [&["ab"][..], &["a", "c"], &["b", "a"], &["a", "b", ""]] {
            assert_ne!(secret.derive(&["a", "b"]), secret.derive(other));
        }
        assert_ne!(secret.derive(&["a"]), Secret::known(2).derive(&["a"]));
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn a_secret_is_its_owners_and_comes_back() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let lacking = Secret::read(folder.path()).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(lacking.contains("lacks the file `secret`"), "{lacking}");
        let known = Secret::known(1);
        known.write(folder.path(), Owner::Everybody)?;
        assert_eq!(Secret::read(folder.path())?, (known, Owner::Everybody));
        let drawn = Secret::drawn()?;
        assert_ne!(drawn, Secret::drawn()?);
        drawn.write(folder.path(), Owner::Course)?;
        assert_eq!(Secret::read(folder.path())?, (drawn, Owner::Course));
        let path = folder.path().join(FILE);
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
        assert!(Secret::read(folder.path()).is_err(), "others may read it");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        fs::write(&path, "0123")?;
        assert!(Secret::read(folder.path()).is_err(), "it is damaged");
        Ok(())
    }
}
