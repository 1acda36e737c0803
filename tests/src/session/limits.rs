//! How much one key seals, and how many keys one session has (PROTOCOL.md §5.3).

use moorline_core::limits::{EPOCH_MILLIS, HARD_SEALS, SOFT_BYTES, SOFT_SEALS};

use super::bench::Bench;
use crate::{Case, ensure};

pub(crate) static CASES: &[Case] = &[
    Case {
        name: "the limits of one key are those that the analyses of the AEAD allow",
        clause: "PROTOCOL.md §5.3",
        run: || {
            // RFC 8446 §5.5: 2^24.5 full records of 2^14 bytes.
            ensure!(HARD_SEALS <= 1 << 24);
            ensure!(SOFT_SEALS < HARD_SEALS / 2);
            ensure!(SOFT_BYTES <= 1 << 30);
            Ok(())
        },
    },
    Case {
        name: "a key that is an hour old is replaced, and the next one has an hour of its own",
        clause: "PROTOCOL.md §5.3",
        run: || {
            let mut bench = Bench::new()?;
            ensure!(bench.initiator.session.deadline().0 == EPOCH_MILLIS);
            bench.update(false, 1_800_000)?;
            ensure!(bench.initiator.session.deadline().0 == 1_800_000 + EPOCH_MILLIS);
            ensure!(bench.initiator.wait(false, EPOCH_MILLIS) == Ok(None));
            let asked = bench.initiator.wait(false, 1_800_000 + EPOCH_MILLIS);
            ensure!(asked.is_ok_and(|asked| asked.is_some()));
            Ok(())
        },
    },
];
