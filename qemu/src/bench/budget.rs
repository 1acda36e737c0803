//! What each figure may cost.
//!
//! `qemu/budget.toml` is part of the source: a change that costs more than its figure allows fails, and a new
//! number is committed with its reason beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde::Deserialize;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value};

use super::{Cost, Figure, FigureId};
use crate::error::Error;
use crate::image::workspace_root;

/// The parsed budget.
#[derive(Debug)]
pub struct Budget {
    path: PathBuf,
    tolerance: Tolerance,
    entries: BTreeMap<FigureId, Entry>,
}

/// What one figure may cost, and what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    cost: Cost,
    target: Option<u64>,
}

/// By how much a figure may differ from its budget, in thousandths: compilers differ a little between hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
struct Tolerance(u64);

impl Budget {
    /// Reads `qemu/budget.toml`.
    ///
    /// # Errors
    ///
    /// It is not there, a key is unknown or missing, or a figure stands twice; the error names it.
    pub fn load() -> Result<Self, Error> {
        let path = workspace_root().join("qemu/budget.toml");
        let text = read(&path)?;
        Self::parse(&text, &path)
    }

    /// Returns the target of a figure, if it has one.
    pub fn target(&self, id: &FigureId) -> Option<u64> {
        self.entries.get(id).and_then(|entry| entry.target)
    }

    /// Holds every figure against the budget, and the budget against the figures.
    pub fn judge(&self, figures: &[Figure]) -> Vec<Judgement> {
        let measured: BTreeSet<&FigureId> = figures.iter().map(|figure| &figure.id).collect();
        let unmeasured = self.entries.keys().filter(|id| !measured.contains(id));
        let judged = figures.iter().map(|figure| self.judge_one(figure));
        judged
            .chain(unmeasured.map(|id| Judgement::NotMeasured { id: id.clone() }))
            .collect()
    }

    /// Writes the costs of `figures` into the file, leaving reasons, targets and comments as they are.
    ///
    /// Figures that are new are appended; those that are no longer measured are taken out.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn update(&self, figures: &[Figure]) -> Result<(), Error> {
        let text = updated(&read(&self.path)?, figures).map_err(|reason| Error::Budget {
            path: self.path.clone(),
            reason,
        })?;
        fs::write(&self.path, text).map_err(|source| Error::File {
            path: self.path.clone(),
            source,
        })
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let refuse = |reason| Error::Budget {
            path: path.into(),
            reason,
        };
        let file: File = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let mut entries = BTreeMap::new();
        for figure in file.figure {
            let cost = figure.cost().map_err(refuse)?;
            let id = FigureId {
                name: figure.name,
                provider: figure.provider,
                opt: figure.opt,
            };
            let shown = id.to_string();
            if entries
                .insert(
                    id,
                    Entry {
                        cost,
                        target: figure.target,
                    },
                )
                .is_some()
            {
                return Err(refuse(format!("{shown} stands twice")));
            }
        }
        Ok(Self {
            path: path.into(),
            tolerance: file.tolerance_per_mille,
            entries,
        })
    }

    fn judge_one(&self, figure: &Figure) -> Judgement {
        let id = figure.id.clone();
        let Some(entry) = self.entries.get(&id) else {
            return Judgement::NotBudgeted { id };
        };
        let within = |cost, budget| cost <= self.tolerance.above(budget);
        let fits = match (figure.cost, entry.cost) {
            (
                Cost::Operation {
                    instructions,
                    stack_bytes,
                },
                Cost::Operation {
                    instructions: instructions_budget,
                    stack_bytes: stack_budget,
                },
            ) => within(instructions, instructions_budget) && within(stack_bytes, stack_budget),
            (
                Cost::Size { bytes },
                Cost::Size {
                    bytes: bytes_budget,
                },
            ) => within(bytes, bytes_budget),
            _ => false,
        };
        if fits {
            Judgement::Within { id }
        } else {
            Judgement::Grown {
                id,
                budget: entry.cost,
                cost: figure.cost,
            }
        }
    }
}

/// How one figure stands to the budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It costs no more than its budget and the tolerance.
    Within {
        /// The figure.
        id: FigureId,
    },
    /// It costs more.
    Grown {
        /// The figure.
        id: FigureId,
        /// What it may cost.
        budget: Cost,
        /// What it costs.
        cost: Cost,
    },
    /// It was measured and has no budget.
    NotBudgeted {
        /// The figure.
        id: FigureId,
    },
    /// It has a budget and was not measured.
    NotMeasured {
        /// The figure.
        id: FigureId,
    },
}

impl Judgement {
    /// Says whether nothing is wrong.
    pub const fn is_within(&self) -> bool {
        matches!(self, Self::Within { .. })
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within { id } => write!(formatter, "{id} is within its budget"),
            Self::Grown { id, budget, cost } => write!(
                formatter,
                "{id} has grown from {budget} to {cost}; bring it down, or give its reason in qemu/budget.toml \
                 and run `cargo bench-device --update`"
            ),
            Self::NotBudgeted { id } => {
                write!(
                    formatter,
                    "{id} has no budget; run `cargo bench-device --update`"
                )
            }
            Self::NotMeasured { id } => {
                write!(
                    formatter,
                    "{id} has a budget and is not measured; run `cargo bench-device --update`"
                )
            }
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation {
                instructions,
                stack_bytes,
            } => {
                write!(
                    formatter,
                    "{instructions} instructions and {stack_bytes} bytes of stack"
                )
            }
            Self::Size { bytes } => write!(formatter, "{bytes} bytes"),
        }
    }
}

impl Tolerance {
    /// Returns the most that a figure with this budget may cost.
    fn above(self, budget: u64) -> u64 {
        budget.saturating_add(budget.saturating_mul(self.0) / 1000)
    }
}

impl TryFrom<u64> for Tolerance {
    type Error = &'static str;

    fn try_from(per_mille: u64) -> Result<Self, &'static str> {
        match per_mille {
            0..=50 => Ok(Self(per_mille)),
            _ => Err("a tolerance over 50 thousandths hides what the budget is there to show"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tolerance_per_mille: Tolerance,
    #[serde(default)]
    figure: Vec<FileFigure>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFigure {
    name: String,
    provider: String,
    opt: String,
    instructions: Option<u64>,
    stack_bytes: Option<u64>,
    bytes: Option<u64>,
    target: Option<u64>,
    #[serde(rename = "reason")]
    _reason: Option<String>,
}

impl FileFigure {
    fn cost(&self) -> Result<Cost, String> {
        match (self.instructions, self.stack_bytes, self.bytes) {
            (Some(instructions), Some(stack_bytes), None) => Ok(Cost::Operation {
                instructions,
                stack_bytes,
            }),
            (None, None, Some(bytes)) => Ok(Cost::Size { bytes }),
            _ => Err(format!(
                "{:?} needs either instructions and stack_bytes, or bytes",
                self.name
            )),
        }
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::File {
        path: path.into(),
        source,
    })
}

/// Returns `text` with the costs of `figures` in it.
fn updated(text: &str, figures: &[Figure]) -> Result<String, String> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| error.to_string())?;
    let item = document
        .entry("figure")
        .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let tables = item
        .as_array_of_tables_mut()
        .ok_or("figure is not written as [[figure]]")?;
    tables.retain(|table| figures.iter().any(|figure| is_of(table, &figure.id)));
    for figure in figures {
        if !tables.iter().any(|table| is_of(table, &figure.id)) {
            let mut table = Table::new();
            table.insert("name", figure.id.name.as_str().into());
            table.insert("provider", figure.id.provider.as_str().into());
            table.insert("opt", figure.id.opt.as_str().into());
            tables.push(table);
        }
        for table in tables.iter_mut().filter(|table| is_of(table, &figure.id)) {
            write_cost(table, figure.cost)?;
        }
    }
    Ok(document.to_string())
}

fn is_of(table: &Table, id: &FigureId) -> bool {
    let is = |key, value: &str| table.get(key).and_then(Item::as_str) == Some(value);
    is("name", &id.name) && is("provider", &id.provider) && is("opt", &id.opt)
}

fn write_cost(table: &mut Table, cost: Cost) -> Result<(), String> {
    let numbers: &[(&str, u64)] = match cost {
        Cost::Operation {
            instructions,
            stack_bytes,
        } => &[("instructions", instructions), ("stack_bytes", stack_bytes)],
        Cost::Size { bytes } => &[("bytes", bytes)],
    };
    for (key, number) in numbers {
        let number = i64::try_from(*number).map_err(|_| format!("{key} is too large to write"))?;
        match table.get_mut(key).and_then(Item::as_value_mut) {
            Some(value) => {
                // What stands around the number, such as a comment after it, stays.
                let decor = value.decor().clone();
                *value = Value::from(number);
                *value.decor_mut() = decor;
            }
            None => {
                table.insert(key, number.into());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
