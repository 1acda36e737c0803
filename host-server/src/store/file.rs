//! Files that are private and whole.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::StoreError;

/// Makes the folder `path`, readable by its owner alone, or checks that it is so.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), StoreError> {
    let io = |error| StoreError::Io {
        path: path.into(),
        error,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io)?;
    let mode = std::fs::metadata(path).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        let message = format!("others can read it; type `chmod 700 {}`", path.display());
        return Err(io(io::Error::other(message)));
    }
    Ok(())
}

/// Replaces the file `path` by `bytes`, readable by its owner alone. When it returns, the new file is on the disk; when
/// it fails, the old one is as it was and nothing is left beside it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let io = |error| StoreError::Io {
        path: path.into(),
        error,
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let fresh = path.with_extension("new");
    remove_if_there(&fresh).map_err(io)?;
    let replaced = write_new(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, path));
    if let Err(error) = replaced {
        // The first error is the one to tell.
        let _ = remove_if_there(&fresh);
        return Err(io(error));
    }
    sync_folder(folder)
}

/// Makes the names in the folder `path` last.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StoreError::Io {
            path: path.into(),
            error,
        })
}

/// Writes a file that is not there yet: neither one with wider rights nor a link to elsewhere is written to.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::replace;

    #[test]
    fn what_lies_where_the_new_file_is_written_is_neither_followed_nor_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, fresh) = (folder.path().join("a.key"), folder.path().join("a.new"));
        let elsewhere = folder.path().join("elsewhere");
        std::fs::write(&elsewhere, "kept").expect("a file");
        symlink(&elsewhere, &fresh).expect("a link");
        replace(&path, b"secret").expect("replaced");
        assert_eq!(std::fs::read(&elsewhere).expect("a file"), b"kept");
        std::fs::write(&fresh, "").expect("a file");
        std::fs::set_permissions(&fresh, PermissionsExt::from_mode(0o666)).expect("own file");
        replace(&path, b"newer").expect("replaced");
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read(&path).expect("a file"), b"newer");
        assert!(!fresh.exists());
    }

    #[test]
    fn a_file_that_cannot_be_replaced_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.key");
        // A folder is never replaced by a file.
        std::fs::create_dir(&path).expect("a folder");
        assert!(replace(&path, b"secret").is_err());
        assert!(!folder.path().join("a.new").exists());
    }
}
