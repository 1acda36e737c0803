//! Figures of the device: what each operation costs, and what an image takes.
//!
//! Instructions and stack are measured by the bench image under `-icount`, where they are exact and the same on
//! every machine. Flash and RAM are read off the sections of the images.

mod budget;
mod sections;
mod stack;

use std::fmt;
use std::time::Duration;

pub use budget::{Budget, Judgement};
pub use sections::Sections;
pub(crate) use sections::address_of;
use serde::Serialize;

use crate::emulator::Qemu;
use crate::error::Error;
use crate::image::{Board, Profile, Provider, build_image_on, build_small_image};
use crate::log::LogLine;
use crate::setup::need_target;

/// What tells one figure from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FigureId {
    /// The operation, such as `frame.seal.256`, or the part of an image, such as `flash.core`.
    pub name: String,
    /// Whose arithmetic it runs on.
    pub provider: String,
    /// The optimisation level, as `Cargo.toml` writes it.
    pub opt: String,
}

impl fmt::Display for FigureId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} ({}, opt {})",
            self.name, self.provider, self.opt
        )
    }
}

/// What something costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Cost {
    /// The cost of running an operation.
    Operation {
        /// Instructions executed.
        instructions: u64,
        /// The deepest that the stack went below the caller.
        stack_bytes: u64,
    },
    /// The size of a part of an image, or of a value that is kept, in bytes.
    Size {
        /// How many.
        bytes: u64,
    },
}

impl Cost {
    /// Returns the number that a target speaks of: instructions, or bytes of an image.
    pub const fn principal(self) -> u64 {
        match self {
            Self::Operation { instructions, .. } => instructions,
            Self::Size { bytes } => bytes,
        }
    }
}

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// What was measured.
    pub id: FigureId,
    /// What it costs.
    pub cost: Cost,
}

/// Builds and runs what is to be measured, for size and for speed, on every provider, and returns every figure.
///
/// # Errors
///
/// [`Error::Skipped`] where this machine has no target for the small board; an image does not build, does not run, or
/// reports something that is no figure.
pub fn measure() -> Result<Vec<Figure>, Error> {
    let mut figures = small_sizes()?;
    figures.push(agent_stack()?);
    for profile in [Profile::Device, Profile::DeviceFast] {
        for provider in Provider::ALL {
            figures.extend(operations(profile, provider)?);
            figures.extend(sizes(profile, provider)?);
        }
    }
    Ok(figures)
}

/// Runs the bench image and returns what it reports.
///
/// # Errors
///
/// The image does not build, does not run, or reports something that is no figure.
pub fn operations(profile: Profile, provider: Provider) -> Result<Vec<Figure>, Error> {
    let image = build_image_on(provider, "bench", profile)?;
    let outcome = Qemu::new(image)
        .icount(ICOUNT_SHIFT)
        .deadline(DEADLINE)
        .run()?
        .check()?;
    let results = outcome.lines.iter().filter(|line| line.level.is_none());
    results.map(|line| parse(line, profile)).collect()
}

/// Reads `bench NAME provider PROVIDER instructions COUNT stack BYTES` and `size NAME provider PROVIDER bytes COUNT`.
fn parse(line: &LogLine, profile: Profile) -> Result<Figure, Error> {
    let words: Vec<&str> = line.message.split(' ').collect();
    let number = |word: &str| {
        word.parse().map_err(|_| Error::Figure {
            line: line.message.clone(),
        })
    };
    match *words.as_slice() {
        [
            "bench",
            name,
            "provider",
            provider,
            "instructions",
            instructions,
            "stack",
            stack,
        ] => {
            let cost = Cost::Operation {
                instructions: number(instructions)?,
                stack_bytes: number(stack)?,
            };
            Ok(Figure {
                id: id(name, provider, profile),
                cost,
            })
        }
        ["size", name, "provider", provider, "bytes", bytes] => {
            let cost = Cost::Size {
                bytes: number(bytes)?,
            };
            Ok(Figure {
                id: id(name, provider, profile),
                cost,
            })
        }
        _ => Err(Error::Figure {
            line: line.message.clone(),
        }),
    }
}

/// Measures the agent's image, and what the protocol adds to a board that only echoes: a link, a channel and the
/// judgement of tokens, as the least agent has them.
fn sizes(profile: Profile, provider: Provider) -> Result<Vec<Figure>, Error> {
    let agent = Sections::of(&build_image_on(provider, "agent", profile)?)?;
    let executor = Sections::of(&build_image_on(provider, "executor", profile)?)?;
    let minimal = Sections::of(&build_image_on(provider, "minimal", profile)?)?;
    let baseline = Sections::of(&build_image_on(provider, "baseline", profile)?)?;
    let figure = |name, bytes| Figure {
        id: id(name, provider.name(), profile),
        cost: Cost::Size { bytes },
    };
    Ok(vec![
        figure("flash.agent", agent.flash_bytes),
        figure("flash.executor", executor.flash_bytes),
        figure(
            "flash.core",
            minimal.flash_bytes.saturating_sub(baseline.flash_bytes),
        ),
        figure("ram.static", agent.ram_bytes),
        figure("ram.static.executor", executor.ram_bytes),
        figure("ram.static.minimal", minimal.ram_bytes),
    ])
}

/// Measures the least agent on the board with 256 KiB of flash and 64 KiB of RAM.
fn small_sizes() -> Result<Vec<Figure>, Error> {
    need_target(Board::Lm3s6965evb.target())?;
    let profile = Profile::Device;
    let image = build_small_image("minimal", profile)?;
    let minimal = Sections::of(&image)?;
    let figure = |name, bytes| Figure {
        id: id(name, Provider::Default.name(), profile),
        cost: Cost::Size { bytes },
    };
    Ok(vec![
        figure("flash.minimal.small", minimal.flash_bytes),
        figure("ram.static.minimal.small", minimal.ram_bytes),
        figure("stack.minimal.small", stack::of_minimal(&image)?),
    ])
}

/// Measures the stack of the agent that ships.
fn agent_stack() -> Result<Figure, Error> {
    let (provider, profile) = (Provider::Default, Profile::Device);
    let image = build_image_on(provider, "agent", profile)?;
    let bytes = stack::of_agent(&image)?;
    Ok(Figure {
        id: id("stack.agent", provider.name(), profile),
        cost: Cost::Size { bytes },
    })
}

fn id(name: &str, provider: &str, profile: Profile) -> FigureId {
    FigureId {
        name: name.into(),
        provider: provider.into(),
        opt: profile.opt_level().into(),
    }
}

/// 2^5 ns an instruction: `firmware-example/src/board/clock.rs` counts on it.
pub const ICOUNT_SHIFT: u32 = 5;

/// The bench image runs for a second on an idle machine.
const DEADLINE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_figure() {
        let figure = parse(
            &said("bench token.verify provider default instructions 67 stack 8"),
            Profile::Device,
        );
        let figure = figure.expect("a figure");
        assert_eq!(figure.id.to_string(), "token.verify (default, opt s)");
        assert_eq!(
            figure.cost,
            Cost::Operation {
                instructions: 67,
                stack_bytes: 8
            }
        );
    }

    #[test]
    fn refuses_a_line_that_is_no_figure() {
        for line in [
            "",
            "bench",
            "bench a provider b instructions many stack 8",
            "bench a provider b instructions 1 stack 8 more",
            "size a provider b bytes",
        ] {
            assert!(parse(&said(line), Profile::Device).is_err(), "{line}");
        }
    }

    fn said(message: &str) -> LogLine {
        LogLine {
            level: None,
            message: message.into(),
            location: None,
            timestamp: None,
        }
    }
}
