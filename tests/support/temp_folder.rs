//! Where a test's files go: within Cargo's target directory.

use std::path::PathBuf;

use super::fresh_name;

/// A folder of this test's own.
pub struct TempFolder(pub PathBuf);

impl TempFolder {
    /// An empty one.
    pub fn new() -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(fresh_name());
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Removes it with what it holds.
    pub fn remove(&self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}
