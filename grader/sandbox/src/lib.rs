//! Runs one untrusted program without network, in one scratch folder, within limits.
