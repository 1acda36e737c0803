//! The budget, parsed, judged and rewritten.

use super::*;

const TEXT: &str = r#"# Why this file is.
tolerance_per_mille = 10

[[figure]]
name = "frame.seal.256"
provider = "default"
opt = "s"
instructions = 1000 # measured on a good day
stack_bytes = 200
target = 900
reason = "one block more"

[[figure]]
name = "flash.core"
provider = "default"
opt = "s"
bytes = 5000
"#;

#[test]
fn a_figure_may_grow_by_the_tolerance_and_no_further() {
    let budget = parse(TEXT).expect("the text is valid");
    for (instructions, stack_bytes, fits) in [
        (1000, 200, true),
        (1010, 202, true),
        (1011, 200, false),
        (1000, 203, false),
        (1, 1, true),
    ] {
        let judgement = budget.judge_one(&seal(instructions, stack_bytes));
        assert_eq!(judgement.is_within(), fits, "{judgement}");
    }
    assert!(budget.judge_one(&flash(5050)).is_within());
    assert!(!budget.judge_one(&flash(5051)).is_within());
}

#[test]
fn every_figure_is_measured_and_every_measured_one_has_a_budget() {
    let budget = parse(TEXT).expect("the text is valid");
    let mut stranger = flash(1);
    stranger.id.opt = "3".into();
    let judgements = budget.judge(&[seal(1000, 200), stranger.clone()]);
    let wrong: Vec<_> = judgements
        .into_iter()
        .filter(|judgement| !judgement.is_within())
        .collect();
    assert_eq!(
        wrong,
        [
            Judgement::NotBudgeted { id: stranger.id },
            Judgement::NotMeasured { id: flash(1).id }
        ]
    );
}

#[test]
fn an_update_keeps_what_it_does_not_measure() {
    let text = updated(TEXT, &[seal(1234, 205), flash(4000)]).expect("the text is valid");
    let expected = TEXT
        .replace("1000", "1234")
        .replace("= 200", "= 205")
        .replace("5000", "4000");
    assert_eq!(text, expected);
}

#[test]
fn an_update_appends_the_new_and_drops_the_unmeasured() {
    let mut new = flash(77);
    new.id.name = "ram.static".into();
    let text = updated(TEXT, &[seal(1000, 200), new.clone()]).expect("the text is valid");
    let budget = parse(&text).expect("the update is valid");
    assert!(
        budget
            .judge(&[seal(1000, 200), new])
            .iter()
            .all(Judgement::is_within)
    );
    assert!(text.contains("# measured on a good day"));
    assert!(!text.contains("flash.core"));
}

#[test]
fn an_empty_budget_is_filled() {
    let text = updated("tolerance_per_mille = 10\n", &[flash(77)]).expect("the text is valid");
    assert!(
        parse(&text)
            .expect("the update is valid")
            .judge_one(&flash(77))
            .is_within()
    );
}

#[test]
fn refuses_what_it_does_not_know() {
    for (from, to, named) in [
        ("target", "goal", "goal"),
        (
            "tolerance_per_mille = 10",
            "tolerance_per_mille = 500",
            "tolerance",
        ),
        ("stack_bytes = 200\n", "", "stack_bytes"),
        (
            "name = \"flash.core\"",
            "name = \"flash.core\"\ninstructions = 1",
            "flash.core",
        ),
        (
            "bytes = 5000\n",
            "bytes = 5000\n[[figure]]\nname = \"flash.core\"\nprovider = \"default\"\nopt = \"s\"\nbytes = 1\n",
            "twice",
        ),
    ] {
        let refusal = parse(&TEXT.replace(from, to)).expect_err(to).to_string();
        assert!(refusal.contains(named), "{refusal}");
    }
}

#[test]
fn the_budget_in_the_tree_is_valid() {
    Budget::load().expect("qemu/budget.toml is valid");
}

fn parse(text: &str) -> Result<Budget, Error> {
    Budget::parse(text, Path::new("budget.toml"))
}

fn seal(instructions: u64, stack_bytes: u64) -> Figure {
    Figure {
        id: id("frame.seal.256"),
        cost: Cost::Operation {
            instructions,
            stack_bytes,
        },
    }
}

fn flash(bytes: u64) -> Figure {
    Figure {
        id: id("flash.core"),
        cost: Cost::Size { bytes },
    }
}

fn id(name: &str) -> FigureId {
    FigureId {
        name: name.into(),
        provider: "default".into(),
        opt: "s".into(),
    }
}
