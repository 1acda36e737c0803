//! Measures the device and holds the figures against their budget: `cargo bench-device`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use moorline_qemu::bench::{Budget, Cost, Figure};
use moorline_qemu::{Error, bench, setup};
use serde::Serialize;

/// Measures instructions, stack, flash and RAM of the device under QEMU's instruction counter.
#[derive(Parser)]
#[command(name = "bench-device")]
struct Arguments {
    /// Prints one JSON object a line instead of a table.
    #[arg(long)]
    json: bool,
    /// Fails when a figure has grown past its budget in qemu/budget.toml.
    #[arg(long)]
    check: bool,
    /// Writes the figures into qemu/budget.toml.
    #[arg(long, conflicts_with = "check")]
    update: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("bench-device: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    setup::ensure()?;
    setup::ensure_compiler()?;
    let budget = Budget::load()?;
    eprintln!("bench-device: building and running the images at opt-level s and 3");
    let figures = bench::measure()?;
    if !arguments.json {
        println!(
            "{:<28} {:>11} {:>4} {:>12} {:>8} {:>12}",
            "figure", "provider", "opt", "cost", "stack", "target"
        );
    }
    for figure in &figures {
        let target = budget.target(&figure.id);
        println!(
            "{}",
            if arguments.json {
                json(figure, target)
            } else {
                row(figure, target)
            }
        );
    }
    if arguments.update {
        budget.update(&figures)?;
        eprintln!(
            "bench-device: wrote {} figures to qemu/budget.toml",
            figures.len()
        );
    }
    if !arguments.check {
        return Ok(ExitCode::SUCCESS);
    }
    let judgements = budget.judge(&figures);
    let wrong: Vec<_> = judgements
        .iter()
        .filter(|judgement| !judgement.is_within())
        .collect();
    for judgement in &wrong {
        eprintln!("bench-device: {judgement}");
    }
    eprintln!(
        "bench-device: {} of {} figures are within budget",
        judgements.len() - wrong.len(),
        judgements.len()
    );
    Ok(if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn row(figure: &Figure, target: Option<u64>) -> String {
    let (unit, stack) = match figure.cost {
        Cost::Operation { stack_bytes, .. } => ("", stack_bytes.to_string()),
        Cost::Size { .. } => (" B", String::new()),
    };
    let cost = figure.cost.principal();
    let target = match target {
        Some(target) if cost > target => format!("{target} missed"),
        Some(target) => format!("{target} met"),
        None => String::new(),
    };
    let id = &figure.id;
    format!(
        "{:<28} {:>11} {:>4} {:>12} {stack:>8} {target:>12}",
        id.name,
        id.provider,
        id.opt,
        format!("{cost}{unit}")
    )
}

fn json(figure: &Figure, target: Option<u64>) -> String {
    let line = JsonFigure {
        name: &figure.id.name,
        provider: &figure.id.provider,
        opt: &figure.id.opt,
        cost: figure.cost,
        target,
    };
    serde_json::to_string(&line).unwrap_or_default()
}

/// One line of `--json`: the numbers of the cost stand beside the name.
#[derive(Serialize)]
struct JsonFigure<'a> {
    name: &'a str,
    provider: &'a str,
    opt: &'a str,
    #[serde(flatten)]
    cost: Cost,
    target: Option<u64>,
}
