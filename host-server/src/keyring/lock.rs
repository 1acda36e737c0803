//! Memory that stays in memory.

use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior};

use crate::config::LockMemory;

/// Why memory is not locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The system keeps no core dumps away.
    #[error("core dumps cannot be switched off: {0}")]
    Dump(Errno),
    /// The limit of locked memory is below all of it: a daemon that reached it would get none.
    #[error(
        "the limit of locked memory is {0} bytes; it has to be unlimited (LimitMEMLOCK=infinity, `ulimit -l unlimited`)"
    )]
    Limited(u64),
    /// The system refuses.
    #[error("memory cannot be locked: {0}")]
    Refused(Errno),
}

/// Keeps the memory of this process out of swap space and core dumps, where all private keys are.
///
/// # Errors
///
/// [`LockError`] when it has to and cannot.
pub(crate) fn lock_memory(how: LockMemory) -> Result<(), LockError> {
    if how == LockMemory::Off {
        return Ok(());
    }
    match (lock(), how) {
        (Err(error), LockMemory::Required) => Err(error),
        (Err(error), _) => {
            tracing::info!(%error, "keys in memory may come to be in swap space");
            Ok(())
        }
        (Ok(()), _) => Ok(()),
    }
}

fn lock() -> Result<(), LockError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(LockError::Dump)?;
    if let Some(limit) = getrlimit(Resource::Memlock).current {
        return Err(LockError::Limited(limit));
    }
    // What is never touched is never locked: a stack of 2 MiB for each thread would be.
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(all).map_err(LockError::Refused)
}
