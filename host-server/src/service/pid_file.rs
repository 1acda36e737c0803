//! The file that says which process serves.
//!
//! It says so to people and scripts. Which daemon has a data directory is settled by the lock in it, so one that was
//! left by a process that is gone is replaced.

use std::path::PathBuf;

use crate::store::{StoreError, replace};

/// The file; it is removed when this is dropped, unless another process has written it since.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    text: String,
}

impl PidFile {
    /// Writes the number of this process into the file `path`, whole or not at all.
    pub(super) fn write(path: PathBuf) -> Result<Self, StoreError> {
        let text = format!("{}\n", std::process::id());
        replace(&path, text.as_bytes())?;
        Ok(Self { path, text })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if std::fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PidFile;

    #[test]
    fn a_stale_file_is_replaced_and_anothers_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("moorlined.pid");
        std::fs::write(&path, "1\n").expect("a file");
        let own = PidFile::write(path.clone()).expect("written");
        let text = std::fs::read_to_string(&path).expect("it is there");
        assert_eq!(text, format!("{}\n", std::process::id()));
        drop(own);
        assert!(!path.exists());
        let own = PidFile::write(path.clone()).expect("written");
        std::fs::write(&path, "2\n").expect("a file");
        drop(own);
        assert!(path.exists());
    }
}
